//! Replies for people and for programs, with their receipts.

use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::paint;
use quorate_client::{Client, Command, Error, Reply};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::time::Instant;

/// Makes a call and prints its reply. `is_no` tells the replies that mean no: they end with [`Exit::No`].
pub fn call(access: &Access, command: &Command, is_no: impl Fn(&Reply) -> bool) -> Outcome {
    let mut client = access.client();
    let start = Instant::now();
    let reply = client.call(command).map_err(|error| Failure::of(error, command))?;
    let (value, receipt) = if access.receipt { split(reply)? } else { (reply, None) };
    let exit = if is_no(&value) { Exit::No } else { Exit::Done };
    if access.json {
        print_json(&client, command, (&value, receipt.as_ref()), start)?;
    } else {
        print_plain(&value)?;
        if let Some(receipt) = &receipt {
            println!("{}", paint::dim(&describe(receipt, command, &start)));
        }
    }
    Ok(exit)
}

/// The value and the receipt of a reply that was asked for both.
fn split(reply: Reply) -> Result<(Reply, Option<Reply>), Failure> {
    match (reply.field("value"), reply.field("receipt")) {
        (Some(value), Some(receipt)) => match value {
            Reply::Error(text) => Err(Error::of_reply(text).into()),
            value => Ok((value.clone(), Some(receipt.clone()))),
        },
        _ => Err(Failure::machine("the server sent a reply without the receipt that was asked for")),
    }
}

fn print_plain(value: &Reply) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let outcome = match value {
        Reply::Bulk(bytes) => out.write_all(bytes).and_then(|()| out.write_all(b"\n")),
        Reply::Nil
        | Reply::Int(_)
        | Reply::Double(_)
        | Reply::Bool(_)
        | Reply::Status(_)
        | Reply::Error(_)
        | Reply::Array(_)
        | Reply::Map(_)
        | Reply::Set(_)
        | Reply::Push(_) => writeln!(out, "{value}"),
    };
    outcome.map_err(|error| Failure::machine(format!("cannot write to standard output: {error}")))
}

fn print_json(
    client: &Client,
    command: &Command,
    (value, receipt): (&Reply, Option<&Reply>),
    start: Instant,
) -> Result<(), Failure> {
    let mut object = Map::new();
    object.insert("value".into(), to_json(value));
    if let Some(key) = command.idempotency() {
        object.insert("idempotency_key".into(), json!(key));
    }
    if let Some(receipt) = receipt {
        object.insert("receipt".into(), to_json(receipt));
    }
    if let Some(session) = client.session() {
        object.insert("session".into(), json!(session));
    }
    object.insert("node".into(), json!(client.address()));
    object.insert("milliseconds".into(), json!(start.elapsed().as_micros() as f64 / 1000.0));
    writeln!(std::io::stdout(), "{}", Value::Object(object))
        .map_err(|error| Failure::machine(format!("cannot write to standard output: {error}")))
}

/// A reply as JSON. Bytes that are no text become `{"hex": …}`.
pub fn to_json(reply: &Reply) -> Value {
    let bytes = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    };
    match reply {
        Reply::Nil => Value::Null,
        Reply::Int(number) => json!(number),
        Reply::Double(number) => json!(number),
        Reply::Bool(value) => json!(value),
        Reply::Bulk(text) | Reply::Status(text) => bytes(text),
        Reply::Error(text) => json!({ "error": bytes(text) }),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => items.iter().map(to_json).collect(),
        Reply::Map(pairs) => {
            pairs.iter().map(|(key, value)| (key.text().unwrap_or_else(|| key.to_string()), to_json(value))).collect()
        }
    }
}

/// A receipt in a few lines for people: the asked and the met guarantee, who answered, and where in the log.
fn describe(receipt: &Reply, command: &Command, start: &Instant) -> String {
    let field = |name: &str| receipt.field(name).map_or_else(|| "?".to_owned(), inline);
    let replayed = match receipt.field("replayed").and_then(Reply::number) {
        Some(0) => "no",
        Some(_) => "yes, for its idempotency key: the position is that of the first time",
        None => "?",
    };
    let rows = [
        ("asked", field("asked")),
        ("met", field("met")),
        ("served by", format!("node {}, by {}", field("served_by"), field("path"))),
    ];
    let in_log = receipt.field("index").is_some();
    let position =
        [("position", format!("group {}, term {}, index {}", field("group"), field("term"), field("index")))];
    let time = [("log time", format!("{} ms since 1970, by the leader's clock", field("log_time_ms")))];
    let round = [
        ("needed", format!("{} of {} replicas, of epoch {}", field("needed"), field("members"), field("epoch"))),
        ("range", field("range")),
        ("event", receipt.field("dot").map_or_else(|| "none".to_owned(), inline)),
        ("siblings", field("siblings")),
        ("stand-ins", field("stand_ins")),
        ("seen", receipt.field("seen").map_or_else(|| "nothing".to_owned(), inline)),
    ];
    let held = [
        ("answered", format!("{} of {} members", field("answered"), field("members"))),
        ("durable on", field("durable")),
    ];
    let ends = [
        ("replayed", replayed.to_owned()),
        ("key", command.idempotency().unwrap_or_else(|| "none".to_owned())),
        ("session", field("session")),
        ("took", format!("{:.2} ms", start.elapsed().as_secs_f64() * 1000.0)),
    ];
    let place = if in_log { &position[..] } else { &round[..] };
    let time = if in_log { &time[..] } else { &[] };
    let rows = [&rows[..], place, &held[..], time, &ends[..]].concat();
    let lines = rows.iter().map(|(name, value)| format!("\n  {name:10}  {value}"));
    format!("receipt{}", lines.collect::<String>())
}

/// A reply on one line.
pub fn inline(reply: &Reply) -> String {
    match reply.items() {
        Some([]) => "none".to_owned(),
        Some(items) => items.iter().map(Reply::to_string).collect::<Vec<_>>().join(", "),
        None => reply.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_become_json_whatever_bytes_they_hold() {
        let map = Reply::Map(vec![(Reply::Status("a".into()), Reply::Bulk(vec![0xFF, 1].into()))]);
        assert_eq!(to_json(&map), json!({ "a": { "hex": "ff01" } }));
        assert_eq!(to_json(&Reply::Array(vec![Reply::Nil, Reply::Int(1)])), json!([null, 1]));
    }

    fn named(pairs: Vec<(&'static str, Reply)>) -> Reply {
        Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::Bulk(name.into()), value)).collect())
    }

    #[test]
    fn a_reply_without_the_receipt_that_was_asked_for_is_an_error() {
        assert!(split(Reply::Int(1)).is_err());
        assert!(split(named(vec![("value", Reply::Int(1))])).is_err());
        let receipt = named(vec![("met", Reply::Bulk("majority".into()))]);
        let both = split(named(vec![("value", Reply::Int(1)), ("receipt", receipt.clone())]));
        assert_eq!(both, Ok((Reply::Int(1), Some(receipt))));
    }

    #[test]
    fn a_receipt_of_replicas_has_no_position() {
        let receipt = named(vec![("needed", Reply::Int(2)), ("members", Reply::Int(3)), ("epoch", Reply::Int(7))]);
        let text = describe(&receipt, &Command::new(["GET"]), &Instant::now());
        assert!(text.contains("\n  needed      2 of 3 replicas, of epoch 7\n"), "{text}");
        assert!(!text.contains("position") && !text.contains("log time"), "{text}");
    }

    #[test]
    fn a_receipt_reads_as_lines() {
        let nodes = Reply::Array(vec![Reply::Int(1), Reply::Int(3)]);
        let met = Reply::Bulk("majority".into());
        let index = Reply::Int(7);
        let receipt = named(vec![("met", met), ("index", index), ("durable", nodes), ("replayed", Reply::Int(0))]);
        let text = describe(&receipt, &Command::new(["SET"]).idempotency_key("i"), &Instant::now());
        assert!(text.contains("\n  met         majority\n"), "{text}");
        assert!(text.contains("\n  durable on  1, 3\n"), "{text}");
        assert!(text.contains("\n  position    group ?, term ?, index 7\n"), "{text}");
        assert!(text.contains("\n  replayed    no\n"), "{text}");
        assert!(text.contains("\n  key         i\n"), "{text}");
    }
}
