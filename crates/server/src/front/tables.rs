//! Tables by their names: SELECT, `WITH table=`, and QTABLE.

use super::codec::number;
use super::connection::{Connection, Flow};
use super::failure::{error, shown, unknown_subcommand};
use super::shared::{Issue, Question, Shared};
use super::slot::{Kind, Render};
use super::wish::Wish;
use bytes::Bytes;
use quorate_core::guarantee::{Session, Want};
use quorate_core::limits;
use quorate_core::operation::{Batch, Operate, Request, TableId, Value, Words};
use quorate_core::state::command;

/// `SELECT number | name`.
pub(super) fn select(connection: &mut Connection, word: &Bytes, shared: &Shared, issues: &mut Vec<Issue>) {
    match (number(word), find(word, shared)) {
        (_, Some(id)) => {
            connection.table = id;
            connection.reply(Value::OK);
        }
        (None, None) if could_be_made(word) => ask(connection, word, issues),
        (None, None) => connection.reply_error("ERR value is not an integer or out of range"),
        (Some(_), None) => connection.reply_error("ERR DB index is out of range"),
    }
}

/// The table of a number or a name, as far as this node knows.
pub(super) fn find(word: &[u8], shared: &Shared) -> Option<u16> {
    if let Some(number) = number(word) {
        return u16::try_from(number).ok().filter(|id| *id < shared.databases);
    }
    let configured = shared.tables.iter().position(|name| name.as_bytes() == word);
    let made = || shared.catalogue.find(std::str::from_utf8(word).ok()?).map(|(id, _)| id.0);
    configured.map(|at| at as u16).or_else(made)
}

fn could_be_made(word: &[u8]) -> bool {
    word.first().is_some_and(u8::is_ascii_alphabetic)
}

/// The table may have been made so lately that this node has not heard of it.
fn ask(connection: &mut Connection, name: &Bytes, issues: &mut Vec<Issue>) {
    let words = vec![Bytes::from_static(b"TABLE.SHOW"), name.clone()];
    let table = TableId::default();
    let batch = Batch { table, guards: Vec::new(), idempotency: None, commands: vec![words], transaction: false };
    let operate = Operate {
        batch,
        want: Want::default(),
        session: Session::default(),
        seen: None,
        after_own_writes: connection.slots.writes() > 0,
        deadline_ms: limits::DEADLINE_MS,
    };
    connection.selecting = true;
    connection.ask(Question::Machine(Request::Operate(operate)), Render::Select, Kind::Read, issues);
}

/// The answer to [`ask`].
pub(super) fn selected(connection: &mut Connection, shown: Value) -> Value {
    let Value::Map(pairs) = shown else { return shown };
    let id = pairs.iter().find_map(|pair| match pair {
        (Value::Bulk(name), Value::Int(id)) if name == "id" => u16::try_from(*id).ok(),
        _ => None,
    });
    let Some(id) = id else { return Value::error("ERR applied: no; the table has no number; this is a defect") };
    connection.table = id;
    Value::OK
}

/// A table that one operation names.
pub(super) fn named(word: &[u8], shared: &Shared) -> Result<u16, Value> {
    find(word, shared).ok_or_else(|| {
        let name = shown(word, 64);
        error(format!("ERR applied: no; this node knows no table '{name}'; SELECT {name} asks the others"))
    })
}

/// `QTABLE CREATE | ALTER | DROP | LIST | SHOW | HELP`: the commands of the log that begin with `TABLE.`.
pub(super) fn qtable(connection: &mut Connection, words: Words, wish: Wish, issues: &mut Vec<Issue>) -> Flow {
    let name = match &words[1].to_ascii_uppercase()[..] {
        b"CREATE" => "TABLE.CREATE",
        b"ALTER" => "TABLE.ALTER",
        b"DROP" => "TABLE.DROP",
        b"LIST" => "TABLE.LIST",
        b"SHOW" => "TABLE.SHOW",
        b"HELP" if words.len() == 2 => {
            connection.reply(help());
            return Flow::Next;
        }
        _ => {
            connection.reply(unknown_subcommand("QTABLE", &words[1]));
            return Flow::Next;
        }
    };
    of_catalogue(connection, name, words, wish, issues)
}

/// Runs a command of the machine whose first two words here are one there.
pub(super) fn of_catalogue(
    connection: &mut Connection,
    name: &'static str,
    words: Words,
    wish: Wish,
    issues: &mut Vec<Issue>,
) -> Flow {
    let spec = command::find(name.as_bytes()).expect("these commands are in the table of the machine");
    if !spec.takes(words.len() - 1) {
        let own = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
        connection.reply(unknown_subcommand(&own, &words[1]));
        return Flow::Next;
    }
    let command = [&[Bytes::from_static(name.as_bytes())], &words[2..]].concat();
    match connection.machine(spec, command, Some(wish), issues) {
        Flow::Hold(_) => Flow::Hold(words),
        other => other,
    }
}

fn help() -> Value {
    let lines = [
        "QTABLE <subcommand>. Subcommands are:",
        "CREATE <name> [shape consensus] -- a table in the logs of the first table's groups.",
        "CREATE <name> shape leaderless [replicas N] [read R] [write W] [preset fast-reads|fast-writes|balanced]",
        "    [cell KIND] [bound N] [split PARTS] [ranges <bound> ...] -- a table on R and W of N replicas.",
        "ALTER <name> <words> -- change what the words name.",
        "DROP <name> -- remove the table with all that it holds.",
        "LIST -- the tables that were made at run time.",
        "SHOW <name> -- one of them.",
        "SELECT <name> -- use a table from here on. WITH table=<name> <command> -- use it once.",
    ];
    Value::Array(lines.into_iter().map(|line| Value::Status(Bytes::from_static(line.as_bytes()))).collect())
}
