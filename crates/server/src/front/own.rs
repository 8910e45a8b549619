//! Commands that the front answers itself.

use super::auth;
use super::client;
use super::connection::{Connection, Flow, has_arity};
use super::describe;
use super::failure;
use super::info;
use super::members;
use super::quorate;
use super::settings;
use super::shared::{Issue, Shared};
use super::tables;
use super::transaction;
use super::wish::Wish;
use bytes::Bytes;
use quorate_core::operation::{Value, Words};

/// A command of the front.
#[derive(Debug)]
pub struct Own {
    /// Its name in upper case.
    pub name: &'static str,
    /// As in Redis: the number of words, negative for at least that many.
    pub arity: i32,
    /// Its family, for people.
    pub family: &'static str,
}

/// All of them.
pub const OWN: &[Own] = &[
    own("AUTH", -2, "connection"),
    own("CLIENT", -2, "connection"),
    own("COMMAND", -1, "server"),
    own("CONFIG", -2, "server"),
    own("DISCARD", 1, "transactions"),
    own("ECHO", 2, "connection"),
    own("EXEC", 1, "transactions"),
    own("HELLO", -1, "connection"),
    own("IDEM", -3, "quorate"),
    own("INFO", -1, "server"),
    own("MULTI", 1, "transactions"),
    own("PING", -1, "connection"),
    own("QMEMBER", -2, "quorate"),
    own("QTABLE", -2, "quorate"),
    own("QUIT", -1, "connection"),
    own("QUORATE", -2, "quorate"),
    own("RESET", 1, "connection"),
    own("SELECT", 2, "connection"),
    own("UNWATCH", 1, "transactions"),
    own("WATCH", -2, "transactions"),
    own("WITH", -2, "quorate"),
];

const fn own(name: &'static str, arity: i32, family: &'static str) -> Own {
    Own { name, arity, family }
}

/// The command of the front with this name in upper case.
pub fn find(name: &[u8]) -> Option<&'static Own> {
    OWN.binary_search_by(|own| own.name.as_bytes().cmp(name)).ok().map(|at| &OWN[at])
}

/// Does the front answer this command itself?
pub fn is_own(name: &[u8]) -> bool {
    find(name).is_some()
}

/// May a client say this before it gave the password?
pub fn for_strangers(name: &[u8]) -> bool {
    matches!(name, b"AUTH" | b"HELLO" | b"QUIT" | b"RESET")
}

/// Runs a command that is not the machine's: one of the front, or none at all.
pub(super) fn execute(
    connection: &mut Connection,
    name: &[u8],
    words: Words,
    wish: Wish,
    shared: &mut Shared,
    issues: &mut Vec<Issue>,
) -> Flow {
    let Some(own) = find(name) else {
        transaction::spoil(connection);
        connection.reply(failure::unknown_command(&words));
        return Flow::Next;
    };
    if !has_arity(own.arity, words.len()) {
        transaction::spoil(connection);
        connection.reply(failure::wrong_arity(name));
        return Flow::Next;
    }
    if !wish.is_plain() && !matches!(name, b"EXEC" | b"QMEMBER" | b"QTABLE") {
        transaction::spoil(connection);
        connection.reply(failure::error(format!(
            "ERR applied: no; WITH and IDEM mean nothing for {}, which does not touch data",
            own.name
        )));
        return Flow::Next;
    }
    connection.last = own.name;
    match name {
        b"MULTI" | b"EXEC" | b"DISCARD" | b"WATCH" => {
            return transaction::execute(connection, name, words, wish, issues);
        }
        b"QUIT" => {
            connection.reply(Value::OK);
            return Flow::Close;
        }
        b"RESET" => auth::reset(connection, shared),
        _ if connection.transaction.is_some() => transaction::queue_own(connection, name, &words),
        b"UNWATCH" => return transaction::execute(connection, name, words, wish, issues),
        b"PING" => ping(connection, words),
        b"ECHO" => connection.reply(Value::Bulk(words[1].clone())),
        b"SELECT" => tables::select(connection, &words[1], shared, issues),
        b"AUTH" => auth::auth(connection, &words, shared),
        b"HELLO" => auth::hello(connection, &words, shared),
        b"CLIENT" => client::client(connection, &words, issues),
        b"COMMAND" => describe::command(connection, &words),
        b"CONFIG" => settings::config(connection, &words, shared),
        b"INFO" => info::info(connection, &words, shared, issues),
        b"QMEMBER" => return members::qmember(connection, words, wish, issues),
        b"QTABLE" => return tables::qtable(connection, words, wish, issues),
        b"QUORATE" => return quorate::quorate(connection, words, shared, issues),
        other => unreachable!("{:?} is in the table of the front", String::from_utf8_lossy(other)),
    }
    Flow::Next
}

fn ping(connection: &mut Connection, mut words: Words) {
    match words.len() {
        1 => connection.reply(Value::Status(Bytes::from_static(b"PONG"))),
        2 => connection.reply(Value::Bulk(words.remove(1))),
        _ => connection.reply(failure::wrong_arity(b"ping")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(OWN.is_sorted_by_key(|own| own.name));
        assert!(is_own(b"PING") && !is_own(b"GET"));
    }
}
