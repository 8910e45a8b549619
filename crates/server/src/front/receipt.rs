//! A receipt as a value.

use crate::receipt::{Field, fields};
use bytes::Bytes;
use quorate_core::guarantee::{Receipt, Session};
use quorate_core::operation::Value;

/// A value with the receipt for it, as `WITH receipt` asks.
pub fn with_receipt(value: Value, receipt: &Receipt, session: &Session, cluster: u64, seen: Option<&[u8]>) -> Value {
    let fields = fields(receipt, session, cluster, seen);
    let receipt = Value::Map(fields.into_iter().map(|(name, field)| (word(name), shown(field))).collect());
    Value::Map(vec![(word("value"), value), (word("receipt"), receipt)])
}

fn shown(field: Field) -> Value {
    match field {
        Field::Text(text) => Value::Bulk(Bytes::from(text)),
        Field::Number(number) => Value::Int(number as i64),
        Field::Flag(flag) => Value::Int(i64::from(flag)),
        Field::Nodes(nodes) => Value::Array(nodes.iter().map(|node| Value::Int(i64::from(node.0))).collect()),
    }
}

fn word(word: &'static str) -> Value {
    Value::Bulk(Bytes::from_static(word.as_bytes()))
}
