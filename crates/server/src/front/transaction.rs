//! MULTI, EXEC, DISCARD, WATCH, UNWATCH. A transaction is one atomic batch; what was watched becomes guards of it.

use super::connection::{Connection, Flow};
use super::failure;
use super::shared::Issue;
use super::slot::{Entry, Kind, Render};
use super::wish::Wish;
use bytes::Bytes;
use quorate_core::limits;
use quorate_core::operation::{Guard, Value, Words};
use quorate_core::state::command::Spec;

/// Commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub struct Transaction {
    commands: Vec<Words>,
    entries: Vec<Entry>,
    bytes: usize,
    writes: bool,
    spoiled: bool,
}

impl Transaction {
    /// How many commands are queued.
    pub fn queued(&self) -> usize {
        self.entries.len()
    }
}

/// Keys that are watched, with the version that each had.
#[derive(Debug, Default)]
pub struct Watches {
    keys: Vec<(Bytes, u64)>,
    table: u16,
    /// A version could not be read, so the transaction cannot be guarded.
    failed: bool,
}

impl Watches {
    /// The versions of watched keys arrived.
    pub fn observe(&mut self, keys: Vec<Bytes>, value: &Value) -> Result<(), Value> {
        let failed = Err(Value::error("ERR applied: no; the versions of the watched keys could not be read"));
        let Value::Array(versions) = value else {
            self.failed = true;
            return failed;
        };
        for (key, version) in keys.into_iter().zip(versions) {
            let Value::Int(version) = version else {
                self.failed = true;
                return failed;
            };
            self.keys.push((Bytes::copy_from_slice(&key), *version as u64));
        }
        Ok(())
    }
    /// The versions could not be read.
    pub fn fail(&mut self) {
        self.failed = true;
    }
}

/// Commands of this file that a client says.
pub(super) fn execute(
    connection: &mut Connection,
    name: &[u8],
    words: Words,
    wish: Wish,
    issues: &mut Vec<Issue>,
) -> Flow {
    match name {
        b"MULTI" if connection.transaction.is_some() => connection.reply_error("ERR MULTI calls can not be nested"),
        b"MULTI" => {
            connection.transaction = Some(Box::default());
            connection.reply(Value::OK);
        }
        b"DISCARD" if connection.transaction.is_none() => connection.reply_error("ERR DISCARD without MULTI"),
        b"DISCARD" => {
            connection.transaction = None;
            connection.watches = Watches::default();
            connection.reply(Value::OK);
        }
        b"UNWATCH" => {
            // The versions may still be on their way, and must not arrive after this.
            if connection.slots.reads() > 0 {
                return Flow::Hold(words);
            }
            connection.watches = Watches::default();
            connection.reply(Value::OK);
        }
        b"WATCH" => return watch(connection, words, issues),
        b"EXEC" => return exec(connection, words, wish, issues),
        other => unreachable!("{other:?} is no command of transactions"),
    }
    Flow::Next
}

fn watch(connection: &mut Connection, words: Words, issues: &mut Vec<Issue>) -> Flow {
    if connection.transaction.is_some() {
        connection.reply_error("ERR WATCH inside MULTI is not allowed");
        return Flow::Next;
    }
    if connection.watches.keys.is_empty() {
        connection.watches.table = connection.table;
    } else if connection.watches.table != connection.table {
        connection.reply_error("ERR keys of two databases cannot be watched at once; say UNWATCH first");
        return Flow::Next;
    }
    if connection.watches.keys.len() + words.len() > limits::BATCH_COMMANDS {
        connection.reply_error("ERR too many keys are watched");
        return Flow::Next;
    }
    let keys = words[1..].to_vec();
    let commands = keys.iter().cloned().map(version_of).collect();
    connection.operate(commands, true, Vec::new(), Wish::default(), Kind::Read, Render::Watch(keys), issues);
    Flow::Next
}

fn exec(connection: &mut Connection, words: Words, wish: Wish, issues: &mut Vec<Issue>) -> Flow {
    let Some(transaction) = &connection.transaction else {
        connection.reply_error("ERR EXEC without MULTI");
        return Flow::Next;
    };
    let kind = if transaction.writes { Kind::Write } else { Kind::Read };
    // Versions of watched keys are reads that the guards need.
    let versions_missing = connection.slots.reads() > 0;
    if versions_missing || connection.must_hold(kind, wish.want.level()) {
        return Flow::Hold(words);
    }
    let watches = std::mem::take(&mut connection.watches);
    let Some(transaction) = connection.transaction.take() else { return Flow::Next };
    let Transaction { commands, entries, spoiled, .. } = *transaction;
    if spoiled || watches.failed {
        connection.reply_error("EXECABORT Transaction discarded because of previous errors.");
        return Flow::Next;
    }
    if !watches.keys.is_empty() && watches.table != connection.table {
        connection.reply_error("EXECABORT Transaction discarded because the watched keys are in another database.");
        return Flow::Next;
    }
    if wish.if_version.is_some() || wish.if_absent {
        connection
            .reply_error("ERR applied: no; if-version and if-absent need one command; use WATCH for a transaction");
        return Flow::Next;
    }
    if wish.table.is_some() || wish.seen.is_some() {
        connection.reply_error("ERR applied: no; table= and seen= need one command; SELECT the table before MULTI");
        return Flow::Next;
    }
    if commands.is_empty() {
        let values = entries.into_iter().map(|entry| match entry {
            Entry::Answered(value) => value,
            Entry::Machine => Value::Nil,
        });
        connection.reply(Value::Array(values.collect()));
        return Flow::Next;
    }
    let receipt = wish.receipt;
    match kind {
        Kind::Write => {
            let guards = watches.keys.into_iter().map(|(key, version)| Guard::Version { key, version }).collect();
            let render = Render::Exec { receipt, versions: Vec::new(), entries };
            connection.operate(commands, true, guards, wish, kind, render, issues);
        }
        // Guards belong to writes: a transaction that only reads takes the versions along and compares.
        Kind::Read => {
            let versions = watches.keys.iter().map(|(_, version)| *version).collect();
            let commands = watches.keys.into_iter().map(|(key, _)| version_of(key)).chain(commands).collect();
            let render = Render::Exec { receipt, versions, entries };
            connection.operate(commands, true, Vec::new(), wish, kind, render, issues);
        }
    }
    Flow::Next
}

fn version_of(key: Bytes) -> Words {
    vec![Bytes::from_static(b"VERSION"), key]
}

/// Queues a command that goes to the machine.
pub(super) fn queue(connection: &mut Connection, spec: &'static Spec, words: Words, wish: Option<Wish>) {
    let Some(transaction) = &mut connection.transaction else { return };
    if wish.is_some() {
        transaction.spoiled = true;
        connection.reply_error("ERR WITH and IDEM go before EXEC, not before the commands of a transaction");
        return;
    }
    transaction.bytes += words.iter().map(Bytes::len).sum::<usize>();
    if transaction.bytes > limits::REQUEST_BYTES || transaction.commands.len() >= limits::BATCH_COMMANDS {
        transaction.spoiled = true;
        connection.reply(failure::error(format!(
            "ERR applied: no; a transaction has at most {} commands and {} bytes",
            limits::BATCH_COMMANDS,
            limits::REQUEST_BYTES
        )));
        return;
    }
    transaction.writes |= spec.write;
    transaction.entries.push(Entry::Machine);
    transaction.commands.push(words);
    connection.reply(Value::Status(Bytes::from_static(b"QUEUED")));
}

/// Queues a command of the front. Only those that look at nothing can stand in a transaction.
pub(super) fn queue_own(connection: &mut Connection, name: &[u8], words: &Words) {
    let value = match (name, words.len()) {
        (b"PING", 1) => Value::Status(Bytes::from_static(b"PONG")),
        (b"PING" | b"ECHO", 2) => Value::bulk(&words[1]),
        _ => {
            spoil(connection);
            connection.reply_error("ERR Command not allowed inside a transaction");
            return;
        }
    };
    if let Some(transaction) = &mut connection.transaction {
        transaction.entries.push(Entry::Answered(value));
        connection.reply(Value::Status(Bytes::from_static(b"QUEUED")));
    }
}

/// A command could not be queued: EXEC will refuse.
pub(super) fn spoil(connection: &mut Connection) {
    if let Some(transaction) = &mut connection.transaction {
        transaction.spoiled = true;
    }
}
