//! CLIENT: what a client may learn and say about itself.

use super::auth::check_name;
use super::codec::Protocol;
use super::connection::Connection;
use super::failure::{error, unknown_subcommand};
use super::shared::{Issue, Question};
use super::slot::{Kind, Render};
use bytes::Bytes;
use quorate_core::operation::{Value, Words};

/// `CLIENT <subcommand> …`.
pub(super) fn client(connection: &mut Connection, words: &Words, issues: &mut Vec<Issue>) {
    let sub = words[1].to_ascii_uppercase();
    let value = match (&sub[..], &words[2..]) {
        (b"ID", []) => Value::Int(connection.id as i64),
        (b"GETNAME", []) if connection.name.is_empty() => Value::Nil,
        (b"GETNAME", []) => Value::Bulk(connection.name.clone()),
        (b"SETNAME", [name]) => match check_name(name) {
            Ok(()) => {
                connection.name = Bytes::copy_from_slice(name);
                Value::OK
            }
            Err(error) => error,
        },
        (b"SETINFO", [attribute, value]) => set_info(connection, attribute, value),
        (b"INFO", []) => Value::Bulk(Bytes::from(line(connection, connection.active_us))),
        (b"LIST", []) | (b"LIST", [_, _]) => {
            let render = Render::Value { receipt: false };
            connection.ask(Question::Clients, render, Kind::Read, issues);
            return;
        }
        (b"NO-EVICT" | b"NO-TOUCH", [switch]) if is_switch(switch) => Value::OK,
        (b"REPLY", [switch]) if switch.eq_ignore_ascii_case(b"ON") => Value::OK,
        (b"REPLY", [_]) => Value::error("ERR CLIENT REPLY can only be ON here: every command is answered"),
        _ => unknown_subcommand("CLIENT", &words[1]),
    };
    connection.reply(value);
}

fn is_switch(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"ON") || word.eq_ignore_ascii_case(b"OFF")
}

fn set_info(connection: &mut Connection, attribute: &[u8], value: &[u8]) -> Value {
    let at = match attribute.to_ascii_lowercase().as_slice() {
        b"lib-name" => 0,
        b"lib-ver" => 1,
        other => return error(format!("ERR Unrecognized option '{}'", String::from_utf8_lossy(other))),
    };
    if check_name(value).is_err() {
        return Value::error("ERR lib-name and lib-ver cannot contain spaces, newlines or special characters.");
    }
    connection.library[at] = Bytes::copy_from_slice(value);
    Value::OK
}

/// A client as a line of `CLIENT LIST`.
pub fn line(connection: &Connection, now_us: u64) -> String {
    let seconds = |since: u64| now_us.saturating_sub(since) / 1_000_000;
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let [input, output] = connection.buffered();
    let protocol = match connection.protocol {
        Protocol::Two => 2,
        Protocol::Three => 3,
    };
    format!(
        "id={} addr={} name={} age={} idle={} flags=N db={} sub=0 psub=0 multi={} qbuf={input} omem={output} cmd={} user=default unanswered={} resp={protocol} lib-name={} lib-ver={}\n",
        connection.id,
        connection.address,
        text(&connection.name),
        seconds(connection.since_us),
        seconds(connection.active_us),
        connection.table,
        connection.transaction.as_ref().map_or(-1, |transaction| transaction.queued() as i64),
        connection.last.to_ascii_lowercase(),
        connection.slots.len(),
        text(&connection.library[0]),
        text(&connection.library[1]),
    )
}
