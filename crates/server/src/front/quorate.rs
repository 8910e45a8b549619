//! QUORATE: what this node knows and no Redis command asks for.

use super::codec::number;
use super::connection::{Connection, Flow};
use super::failure::{error, unknown_subcommand};
use super::shared::{Issue, Question, Shared};
use super::slot::{Kind, Render};
use crate::fault::LinkRules;
use bytes::Bytes;
use quorate_core::guarantee::Session;
use quorate_core::machine::NodeId;
use quorate_core::operation::{Request, Value, Words};

/// `QUORATE STATUS | REPAIR STATUS | REPAIR RUN | HOT | FAULTS <json> | TRANSFER <group> <node> | SESSION [token] | HELP`.
pub(super) fn quorate(connection: &mut Connection, words: Words, shared: &Shared, issues: &mut Vec<Issue>) -> Flow {
    let plain = Render::Value { receipt: false };
    match (&words[1].to_ascii_uppercase()[..], &words[2..]) {
        (b"STATUS", []) => {
            connection.ask(Question::Machine(Request::Status), Render::Status, Kind::Read, issues);
        }
        (b"HOT", []) => connection.ask(Question::Machine(Request::Hot), plain, Kind::Read, issues),
        (b"REPAIR", [word]) => match &word.to_ascii_uppercase()[..] {
            run @ (b"STATUS" | b"RUN") => {
                let request = Request::Repair { run: run == b"RUN" };
                connection.ask(Question::Machine(request), plain, Kind::Read, issues);
            }
            _ => connection.reply_error("ERR applied: no; REPAIR takes STATUS or RUN"),
        },
        (b"FAULTS", [_]) if !shared.faults_allowed => connection.reply_error(
            "ERR applied: no; faults can be injected only where the configuration says faults_allowed = true",
        ),
        (b"FAULTS", [json]) => match serde_json::from_slice::<LinkRules>(json) {
            Ok(rules) => connection.ask(Question::Faults(rules), plain, Kind::Read, issues),
            Err(why) => connection.reply(error(format!("ERR applied: no; these are no link rules: {why}"))),
        },
        (b"TRANSFER", [group, node]) => match (small(group), small(node)) {
            (Some(group), Some(node)) => {
                let request = Request::Transfer { group, to: NodeId(node) };
                connection.ask(Question::Machine(request), plain, Kind::Read, issues);
            }
            _ => connection.reply_error("ERR applied: no; TRANSFER takes the number of a group and that of a node"),
        },
        // What the session has seen is known only when everything before is answered.
        (b"SESSION", _) if !connection.slots.is_empty() => return Flow::Hold(words),
        (b"SESSION", []) => {
            let token = connection.session.token(shared.cluster);
            connection.reply(Value::Bulk(Bytes::from(token)));
        }
        (b"SESSION", [token]) => {
            let text = String::from_utf8_lossy(token);
            match Session::from_token(&text, shared.cluster) {
                Ok(session) => {
                    connection.session.merge(&session);
                    connection.reply(Value::OK);
                }
                Err(why) => connection.reply(error(format!("ERR {why}; nothing was changed"))),
            }
        }
        (b"HELP", []) => connection.reply(help()),
        _ => connection.reply(unknown_subcommand("QUORATE", &words[1])),
    }
    Flow::Next
}

fn small(word: &[u8]) -> Option<u16> {
    number(word).and_then(|number| u16::try_from(number).ok())
}

fn help() -> Value {
    let lines = [
        "QUORATE <subcommand>. Subcommands are:",
        "STATUS -- roles, terms, positions and counters of this node, as JSON.",
        "REPAIR STATUS -- what of leaderless tables was compared with whom, and what this node owes others, as JSON.",
        "REPAIR RUN -- begin to compare all that this node shares with others; the reply is that of REPAIR STATUS.",
        "HOT -- the keys that clients of this node ask for most, lately, as JSON.",
        "TRANSFER <group> <node> -- ask that the leadership of a group move to a node.",
        "SESSION [<token>] -- what this connection has seen, or add what another has seen.",
        "FAULTS <json> -- cut, drop or delay messages to peers; test clusters only.",
        "WITH <words> <command> -- the guarantee of one operation, for example WITH session GET k.",
        "IDEM <key> <command> -- apply a write at most once under a name.",
    ];
    Value::Array(lines.into_iter().map(|line| Value::Status(Bytes::from_static(line.as_bytes()))).collect())
}
