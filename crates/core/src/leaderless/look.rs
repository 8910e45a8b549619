//! What a reader finds in a cell.

use crate::crdt::text::Vector;
use crate::crdt::{AnyCell, Cell, Field, Flag, Kind, Leaf, Text};
use crate::machine::NodeId;
use crate::operation::Value;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;

/// What is asked of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Get,
    Exists,
    Type,
    Length,
    Members,
    HasMembers {
        members: Vec<Bytes>,
        single: bool,
    },
    Count,
    Field(Bytes),
    HasField(Bytes),
    Fields(Vec<Bytes>),
    AllFields(Parts),
    /// How many rights to decrease a bounded counter each node holds.
    Rights,
    /// The length of a text, in UTF-16 units.
    Units,
    /// What an editor lacks of a text that knows so much.
    State(Vector),
    /// What of a text is known here.
    Vector,
}

/// What of the fields is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    Names,
    Values,
    Both,
}

/// What a reader finds. The number of concurrent values that it shows or hides beyond the first comes with it.
pub(super) fn read(look: &Look, cell: &AnyCell, bound: i64) -> (Value, u16) {
    let leaf = match cell {
        AnyCell::Map(_) => None,
        AnyCell::Leaf(leaf) => Some(leaf),
    };
    let siblings = leaf.map_or(0, siblings);
    let value = match look {
        Look::Exists => Value::Int((!cell.is_absent()).into()),
        Look::Type => Value::Status(Bytes::from_static(type_name(cell).as_bytes())),
        Look::Length => Value::Int(leaf.map_or(0, |leaf| match shown(leaf, bound) {
            Value::Bulk(bytes) => bytes.len() as i64,
            _ => 0,
        })),
        Look::Get => leaf.map_or(Value::Nil, |leaf| shown(leaf, bound)),
        Look::Members => Value::Set(members(cell).cloned().map(Value::Bulk).collect()),
        Look::HasMembers { members, single } => {
            let held: BTreeSet<&Bytes> = self::members(cell).collect();
            let answers: Vec<Value> = members.iter().map(|member| Value::Int(held.contains(member).into())).collect();
            match (single, answers.first()) {
                (true, Some(answer)) => answer.clone(),
                _ => Value::Array(answers),
            }
        }
        Look::Count => Value::Int(match cell {
            AnyCell::Map(_) => names(cell).len() as i64,
            AnyCell::Leaf(_) => members(cell).count() as i64,
        }),
        Look::Field(field) => field_value(cell, field),
        Look::HasField(field) => Value::Int(names(cell).contains(field).into()),
        Look::Fields(fields) => Value::Array(fields.iter().map(|field| field_value(cell, field)).collect()),
        Look::Rights => Value::Map(match leaf {
            Some(Leaf::Bounded(cell)) => cell.holders().into_iter().map(pair).collect(),
            _ => Vec::new(),
        }),
        Look::Units => text(cell).map_or(Value::Int(0), |text| match text.show() {
            Ok((_, units)) => Value::Int(units as i64),
            Err(tangled) => Value::Error(Bytes::from(format!("ERR {tangled}"))),
        }),
        Look::State(vector) => text(cell).map_or(Value::Nil, |text| Value::Bulk(Bytes::from(text.state(vector)))),
        Look::Vector => text(cell).map_or(Value::Nil, |text| Value::Bulk(Bytes::from(text.vector()))),
        Look::AllFields(parts) => {
            let names = names(cell);
            match parts {
                Parts::Names => Value::Array(names.into_iter().map(Value::Bulk).collect()),
                Parts::Values => Value::Array(names.iter().map(|name| field_value(cell, name)).collect()),
                Parts::Both => {
                    Value::Map(names.iter().map(|name| (Value::Bulk(name.clone()), field_value(cell, name))).collect())
                }
            }
        }
    };
    (value, siblings)
}

fn pair((node, rights): (NodeId, u64)) -> (Value, Value) {
    (Value::Int(node.0.into()), Value::Int(i64::try_from(rights).unwrap_or(i64::MAX)))
}

fn siblings(leaf: &Leaf) -> u16 {
    let more = match leaf {
        Leaf::Register(cell) => cell.siblings().count().saturating_sub(1),
        Leaf::Latest(cell) => cell.read().map_or(0, |shown| shown.dropped),
        Leaf::Flag(_)
        | Leaf::DisableWinsFlag(_)
        | Leaf::Set(_)
        | Leaf::RemoveWinsSet(_)
        | Leaf::Counter(_)
        | Leaf::Bounded(_)
        | Leaf::Text(_) => 0,
    };
    u16::try_from(more).unwrap_or(u16::MAX)
}

/// The value of a leaf other than a set: siblings as an array.
fn shown(leaf: &Leaf, bound: i64) -> Value {
    let number = |number: i128| Value::Bulk(Bytes::from(number.to_string()));
    match leaf {
        Leaf::Register(cell) => one_or_all(cell.siblings().cloned().map(Value::Bulk).collect()),
        Leaf::Latest(cell) => cell.read().map_or(Value::Nil, |shown| Value::Bulk(shown.value.clone())),
        Leaf::Flag(cell) => on(cell.is_bottom(), cell.is_enabled()),
        Leaf::DisableWinsFlag(cell) => on(cell.is_bottom(), cell.is_enabled()),
        Leaf::Counter(cell) if cell.is_absent() => Value::Nil,
        Leaf::Counter(cell) => number(cell.value()),
        Leaf::Bounded(cell) if cell.is_bottom() => Value::Nil,
        Leaf::Bounded(cell) => number(cell.value(bound)),
        Leaf::Text(cell) if cell.is_absent() => Value::Nil,
        Leaf::Text(cell) => match cell.show() {
            Ok((text, _)) => Value::Bulk(Bytes::from(text)),
            Err(tangled) => Value::Error(Bytes::from(format!("ERR {tangled}"))),
        },
        Leaf::Set(_) | Leaf::RemoveWinsSet(_) => Value::Nil,
    }
}

/// The text in a cell, if there is one.
fn text(cell: &AnyCell) -> Option<&Text> {
    match cell {
        AnyCell::Leaf(Leaf::Text(text)) if !text.is_absent() => Some(text),
        _ => None,
    }
}

fn on(absent: bool, enabled: bool) -> Value {
    if absent { Value::Nil } else { Value::Bulk(Bytes::from_static(if enabled { b"1" } else { b"0" })) }
}

fn type_name(cell: &AnyCell) -> &'static str {
    if cell.is_absent() { "none" } else { cell.kind().word() }
}

fn members(cell: &AnyCell) -> impl Iterator<Item = &Bytes> {
    let (adds, removes) = match cell {
        AnyCell::Leaf(Leaf::Set(set)) => (Some(set), None),
        AnyCell::Leaf(Leaf::RemoveWinsSet(set)) => (None, Some(set)),
        _ => (None, None),
    };
    adds.into_iter().flat_map(|set| set.members()).chain(removes.into_iter().flat_map(|set| set.members()))
}

/// The names of the fields in which a reader finds something, in order.
fn names(cell: &AnyCell) -> BTreeSet<Bytes> {
    let AnyCell::Map(map) = cell else { return BTreeSet::new() };
    map.fields().map(|(field, _)| field.name.clone()).collect()
}

/// The kinds that commands make fields of.
pub(super) const FIELDS: [Kind; 2] = [Kind::Register, Kind::Counter];

/// What stands in a field. Cells of two kinds that were made concurrently are shown as siblings are.
fn field_value(cell: &AnyCell, name: &Bytes) -> Value {
    let AnyCell::Map(map) = cell else { return Value::Nil };
    let mut values = Vec::new();
    for kind in FIELDS {
        if let Some(leaf) = map.get(&Field { name: name.clone(), kind }) {
            match shown(leaf, 0) {
                Value::Array(siblings) => values.extend(siblings),
                value => values.push(value),
            }
        }
    }
    one_or_all(values)
}

/// What was written concurrently is shown as an array, and only that.
fn one_or_all(mut values: Vec<Value>) -> Value {
    match values.len() {
        0 => Value::Nil,
        1 => values.remove(0),
        _ => Value::Array(values),
    }
}
