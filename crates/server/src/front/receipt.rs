//! A receipt as a value.

use bytes::Bytes;
use quorate_core::guarantee::{Met, NodeSet, Receipt, Session};
use quorate_core::operation::Value;

/// A value with the receipt for it, as `WITH receipt` asks.
pub fn with_receipt(value: Value, receipt: &Receipt, session: &Session, cluster: u64) -> Value {
    Value::Map(vec![(word("value"), value), (word("receipt"), receipt_value(receipt, session, cluster))])
}

fn receipt_value(receipt: &Receipt, session: &Session, cluster: u64) -> Value {
    let (asked, met) = match receipt.met() {
        Met::Read(level) => (receipt.asked().level().word(), level.word()),
        Met::Write(ack) => (receipt.asked().ack().word(), ack.map_or("none", |ack| ack.word())),
    };
    let position = receipt.position();
    Value::Map(vec![
        (word("asked"), word(asked)),
        (word("met"), word(met)),
        (word("path"), word(receipt.path().word())),
        (word("group"), Value::Int(i64::from(position.group))),
        (word("term"), Value::Int(position.term as i64)),
        (word("index"), Value::Int(position.index as i64)),
        (word("answered"), nodes(receipt.answered())),
        (word("durable"), nodes(receipt.durable())),
        (word("members"), Value::Int(i64::from(receipt.members()))),
        (word("served_by"), Value::Int(i64::from(receipt.served_by().0))),
        (word("log_time_ms"), Value::Int(receipt.log_time_ms() as i64)),
        (word("replayed"), Value::Int(i64::from(receipt.replayed()))),
        (word("session"), Value::Bulk(Bytes::from(session.token(cluster)))),
    ])
}

fn nodes(set: NodeSet) -> Value {
    Value::Array(set.iter().map(|node| Value::Int(i64::from(node.0))).collect())
}

fn word(word: &'static str) -> Value {
    Value::Bulk(Bytes::from_static(word.as_bytes()))
}
