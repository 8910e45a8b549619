//! Replicated state: what a batch does to data, by log time.

mod cells;
pub mod command;
mod expiry;
mod failure;
mod hash;
mod idempotency;
mod key;
mod layout;
mod number;
mod pattern;
mod sample;
mod scan;
mod server;
mod set;
mod string;
mod sweep;
#[cfg(test)]
mod tests;

use crate::guarantee::Position;
use crate::mutant::{Mutant, Mutants};
use crate::operation::{Batch, Guard, TableId, Value, Words};
use crate::store::{Store, View};
use alloc::format;
use alloc::vec::Vec;
use cells::{Reader, Scope, Writer};
use command::{Run, Spec};
use failure::{Failure, Ran};

/// Where the state of a group lives in the store: every key of it begins with this.
/// `[drawer::STATE, group: u16 BE, generation: u32 BE]`; a snapshot that is installed gets a new generation.
pub type Space = [u8; 7];

/// When and where in the log a batch is applied. The only time that apply knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The entry.
    pub position: Position,
    /// Log time: stamped by the leader, never falls, in milliseconds since 1970.
    pub time_ms: u64,
    /// The replica's own clock, which only the mutant `WallClockInApply` looks at.
    #[cfg(feature = "lab")]
    pub wall_ms: u64,
}

impl Stamp {
    /// A stamp. `wall_ms` is the replica's own clock: nothing looks at it, unless the lab breaks that rule.
    pub fn new(position: Position, time_ms: u64, wall_ms: u64) -> Stamp {
        let _ = wall_ms;
        Stamp {
            position,
            time_ms,
            #[cfg(feature = "lab")]
            wall_ms,
        }
    }
    /// The time by which keys expire.
    fn time_ms(&self, mutants: Mutants) -> u64 {
        #[cfg(feature = "lab")]
        if mutants.has(Mutant::WallClockInApply) {
            return self.wall_ms;
        }
        let _ = mutants.has(Mutant::WallClockInApply);
        self.time_ms
    }
}

/// What applying a batch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The reply.
    pub value: Value,
    /// Where the batch was first applied, when an idempotency key replayed its reply.
    pub replay_of: Option<Position>,
}

/// Applies one batch. Deterministic: a function of the state, the stamp and the batch.
pub fn apply(store: &mut dyn Store, space: Space, stamp: Stamp, batch: &Batch, mutants: Mutants) -> Applied {
    let time_ms = stamp.time_ms(mutants);
    let Some(key) = &batch.idempotency else {
        return Applied { value: run(store, space, stamp, time_ms, batch), replay_of: None };
    };
    if let Some(replayed) = idempotency::replay(store.as_view(), space, time_ms, key, batch)
        && !forgotten(&replayed, stamp, mutants)
    {
        return replayed;
    }
    let value = run(store, space, stamp, time_ms, batch);
    idempotency::record(store, space, stamp, time_ms, key, (batch, &value));
    Applied { value, replay_of: None }
}

/// With a broken rule, what was kept under an earlier leader is not known to the next.
fn forgotten(replayed: &Applied, stamp: Stamp, mutants: Mutants) -> bool {
    mutants.has(Mutant::IdempotencyForgottenByNewLeader)
        && replayed.replay_of.is_some_and(|first| first.term != stamp.position.term)
}

fn run(store: &mut dyn Store, space: Space, stamp: Stamp, time_ms: u64, batch: &Batch) -> Value {
    let seed = stamp.position.index ^ stamp.position.term.rotate_left(40) ^ u64::from(stamp.position.group) << 48;
    let scope = Scope::new(store.as_view(), space, batch.table, time_ms, time_ms, seed);
    let mut writer = Writer::new(store, scope, stamp.position.index);
    if let Some(failure) = batch.guards.iter().find_map(|guard| violated(writer.reader(), guard)) {
        return failure.into();
    }
    let value = replies(&batch.commands, batch.transaction, |ordinal, words| {
        writer.scope.ordinal = ordinal;
        match known(words)?.run {
            Run::Read(run) => run(writer.reader(), words),
            Run::Write(run) => run(&mut writer, words),
        }
    });
    writer.close();
    value
}

/// Evaluates reading commands. `time_ms` is the log time of the applied position: a key whose expiry is at or before
/// it is absent. `display_ms` is the local clock, only for replies that tell a remaining time. A command that writes
/// is answered with an error.
pub fn read(
    view: &dyn View,
    space: Space,
    table: TableId,
    commands: &[Words],
    transaction: bool,
    time_ms: u64,
    display_ms: u64,
) -> Value {
    let seed = time_ms ^ display_ms.rotate_left(32);
    let mut scope = Scope::new(view, space, table, time_ms, display_ms, seed);
    replies(commands, transaction, |ordinal, words| {
        scope.ordinal = ordinal;
        match known(words)?.run {
            Run::Read(run) => run(Reader { view, scope: &scope }, words),
            Run::Write(_) => Err(Failure::new("ERR this command writes and was sent as a read; nothing was applied")),
        }
    })
}

/// The reply of one command, or the array of the replies of all.
fn replies(commands: &[Words], transaction: bool, mut run: impl FnMut(u64, &Words) -> Ran) -> Value {
    let mut reply = |(ordinal, words)| run(ordinal, words).unwrap_or_else(Value::from);
    match commands {
        [words] if !transaction => reply((0, words)),
        _ => Value::Array((0..).zip(commands).map(reply).collect::<Vec<_>>()),
    }
}

fn known(words: &Words) -> Result<&'static Spec, Failure> {
    let spec = words.first().and_then(|name| command::find(name)).ok_or_else(|| Failure::unknown_command(words))?;
    if spec.takes(words.len()) { Ok(spec) } else { Err(Failure::arity(&words[0])) }
}

fn violated(reader: Reader<'_>, guard: &Guard) -> Option<Failure> {
    use alloc::string::String;
    match guard {
        Guard::Version { key, version } => {
            let found = reader.cell(key).map_or(0, |cell| cell.version);
            let name = String::from_utf8_lossy(key);
            (found != *version).then(|| Failure::told(format!("GUARD key {name} is at version {found}, not {version}")))
        }
        Guard::Absent { key } => {
            let name = String::from_utf8_lossy(key);
            reader.cell(key).map(|_| Failure::told(format!("GUARD key {name} exists")))
        }
    }
}

/// The log time at which `sweep` next has work: when the next key or record expires, or 0 if something was dropped
/// whose removal is not finished.
pub fn next_expiry(view: &dyn View, space: Space) -> Option<u64> {
    sweep::next_due(view, space)
}

/// Removes keys and records that expired at or before `stamp.time_ms`, at most `limits::EXPIRE_PER_STEP`, and goes on
/// with the removal of dropped collections and tables. Called when an entry of kind tick is applied. True if more is due.
pub fn sweep(store: &mut dyn Store, space: Space, stamp: Stamp) -> bool {
    sweep::run(store, space, stamp.time_ms)
}

/// Is this key, taken after its [`Space`], part of an idempotency record?
pub fn is_idempotency_record(space_relative_key: &[u8]) -> bool {
    idempotency::is_record(space_relative_key)
}
