//! From the node's answer to the reply.

use super::connection::Connection;
use super::failure;
use super::hot::hot_json;
use super::info;
use super::receipt::with_receipt;
use super::repair::repair_json;
use super::shared::Shared;
use super::slot::{Entry, Ready, Render};
use super::tables;
use bytes::Bytes;
use quorate_core::guarantee::{Receipt, Session};
use quorate_core::operation::{Outcome, Reply, Value};

/// Makes the reply.
pub(super) fn render(connection: &mut Connection, render: Render, reply: Reply, shared: &mut Shared) -> Ready {
    shared.metrics.answered += 1;
    match reply {
        Reply::Operated { outcome, session, seen } => {
            if let Render::Info(gathered) = render {
                return Ready::Value(Value::Bulk(Bytes::from(gathered.text(shared))));
            }
            connection.session.merge(&session);
            operated(connection, render, outcome, seen, shared)
        }
        Reply::Status(status) => Ready::Value(match render {
            Render::Info(gathered) => Value::Bulk(Bytes::from(gathered.text(shared))),
            Render::Value { .. } | Render::Exec { .. } | Render::Watch(_) | Render::Select | Render::Status => {
                Value::Bulk(Bytes::from(info::status_json(&status, &shared.metrics).to_string()))
            }
        }),
        Reply::Hot(status) => Ready::Value(Value::Bulk(Bytes::from(hot_json(&status).to_string()))),
        Reply::Repair(status) => Ready::Value(Value::Bulk(Bytes::from(repair_json(&status).to_string()))),
        Reply::Transferred(Ok(())) | Reply::ChangeBegun(Ok(())) => Ready::Value(Value::OK),
        Reply::Transferred(Err(refusal)) | Reply::ChangeBegun(Err(refusal)) => Ready::Value(failure::refused(&refusal)),
    }
}

fn operated(
    connection: &mut Connection,
    render: Render,
    outcome: Outcome,
    seen: Option<Bytes>,
    shared: &mut Shared,
) -> Ready {
    let (value, receipt) = match outcome {
        Outcome::Done { value, receipt } => (value, receipt),
        Outcome::Refused(refusal) => {
            shared.metrics.refused += 1;
            return failed(connection, &render, failure::refused(&refusal));
        }
        Outcome::Short { receipt, .. } => {
            shared.metrics.uncertain += 1;
            return failed(connection, &render, failure::short(&receipt));
        }
        Outcome::Unknown(doubt) => {
            shared.metrics.uncertain += 1;
            return failed(connection, &render, failure::unknown(&doubt));
        }
    };
    let seen = seen.as_deref();
    match render {
        Render::Value { receipt: wanted } => {
            Ready::Value(earned(value, wanted, (&receipt, seen), &connection.session, shared))
        }
        Render::Exec { receipt: wanted, versions, entries } => match value {
            Value::Error(text) if text.starts_with(b"GUARD") => Ready::NullArray,
            Value::Array(mut values) => {
                let found = values.drain(..versions.len().min(values.len()));
                if !found.zip(versions).all(|(found, version)| found == Value::Int(version as i64)) {
                    return Ready::NullArray;
                }
                let values = assemble(entries, values);
                Ready::Value(earned(values, wanted, (&receipt, seen), &connection.session, shared))
            }
            other => Ready::Value(other),
        },
        Render::Watch(keys) => Ready::Value(match connection.watches.observe(keys, &value) {
            Ok(()) => Value::OK,
            Err(error) => error,
        }),
        Render::Select => Ready::Value(tables::selected(connection, value)),
        Render::Status | Render::Info(_) => Ready::Value(value),
    }
}

fn failed(connection: &mut Connection, render: &Render, error: Value) -> Ready {
    if let Render::Watch(_) = render {
        connection.watches.fail();
    }
    Ready::Value(error)
}

fn earned(
    value: Value,
    wanted: bool,
    (receipt, seen): (&Receipt, Option<&[u8]>),
    session: &Session,
    shared: &Shared,
) -> Value {
    if wanted { with_receipt(value, receipt, session, shared.cluster, seen) } else { value }
}

/// Puts the values of a batch and those that the front gave into the order of the commands.
fn assemble(entries: Vec<Entry>, values: Vec<Value>) -> Value {
    let mut values = values.into_iter();
    let entries = entries.into_iter().map(|entry| match entry {
        Entry::Answered(value) => value,
        Entry::Machine => values.next().unwrap_or(Value::Nil),
    });
    Value::Array(entries.collect())
}
