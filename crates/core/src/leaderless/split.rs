//! Keys in parts: a command on one key becomes commands on some of its parts, and their replies become one again.
//!
//! A part is a key like any other, with ranges and replicas of its own: part 3 of `likes` is the key `{3:likes}`, so what is busy is spread over the
//! nodes. An element of a set and a field of a map are always in the same part, by their hash. An increment may go to any: one under a name goes to the
//! part of the name, so that whoever repeats it finds what was counted. A read of all asks all parts, at different moments.

use super::change::Change;
use super::command::{self, Action};
use super::look::Look;
use crate::catalogue::LeaderlessSpec;
use crate::guarantee::{Level, Want};
use crate::operation::{Refusal, Value, Words};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// A command on a key that is in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What is asked of each part that it concerns.
    pub commands: Vec<Words>,
    /// How their replies become one.
    pub together: Together,
}

/// How the replies of parts become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Together {
    /// One part answers for all.
    One,
    /// One part was changed, and no more than that is known of the whole.
    Silent,
    /// Numbers are added.
    Sum,
    /// Numbers in digits are added.
    Digits,
    /// 1 if one says so.
    Any,
    /// What is not nothing.
    Type,
    /// All are the same, such as `OK`.
    Same,
    /// Members or fields of all.
    Union,
    /// The items of each reply stand at these places.
    Places(Vec<Vec<usize>>),
}

/// The key of a part. What is between the braces decides where it is.
pub fn part_key(key: &[u8], part: u8) -> Bytes {
    Bytes::from([b"{", part.to_string().as_bytes(), b":", key, b"}"].concat())
}

/// The keys under which what stands at a key is kept: one for each part, or the key itself.
pub fn kept_at(spec: &LeaderlessSpec, key: &Bytes) -> Vec<Bytes> {
    match spec.parts {
        0 | 1 => alloc::vec![key.clone()],
        parts => (0..parts).map(|part| part_key(key, part)).collect(),
    }
}

/// The part of a word: its XXH3-64, over the number of parts.
fn part_of(word: &[u8], parts: u8) -> u8 {
    (xxh3_64(word) % u64::from(parts)) as u8
}

/// What a command on a key of such a table asks of the parts. `near` chooses the part of an increment that may go to any.
///
/// # Errors
/// If it is no command of the table, or none that parts can be asked for.
pub fn split(
    spec: &LeaderlessSpec,
    words: &Words,
    (want, once): (Want, Option<&Bytes>),
    near: impl FnOnce(&[u8]) -> u8,
) -> Result<Split, Refusal> {
    let (key, action) = command::parse(spec, words)?;
    let parts = spec.parts;
    let to = |part: u8, rest: &[Bytes]| [&[words[0].clone(), part_key(&key, part)], rest].concat();
    let rest = &words[2..];
    let one = |part: u8, together| Split { commands: alloc::vec![to(part, rest)], together };
    let all = |together| Split { commands: (0..parts).map(|part| to(part, rest)).collect(), together };
    // So many words belong together, of which the first says where.
    let each = |width: usize| {
        let mut grouped: BTreeMap<u8, (Vec<Bytes>, Vec<usize>)> = BTreeMap::new();
        for (at, words) in rest.chunks(width).enumerate() {
            let (group, places) = grouped.entry(part_of(&words[0], parts)).or_default();
            group.extend_from_slice(words);
            places.push(at);
        }
        let commands = grouped.iter().map(|(&part, (group, _))| to(part, group)).collect();
        (commands, grouped.into_values().map(|(_, places)| places).collect::<Vec<_>>())
    };
    let some = |width: usize, together| Split { commands: each(width).0, together };
    let split = match action {
        Action::Look(look) => match look {
            Look::Get => all(Together::Digits),
            Look::Exists => all(Together::Any),
            Look::Type => all(Together::Type),
            Look::Count => all(Together::Sum),
            Look::Members | Look::AllFields(_) => all(Together::Union),
            Look::HasMembers { single: true, .. } | Look::Field(_) | Look::HasField(_) => {
                one(part_of(&rest[0], parts), Together::One)
            }
            Look::HasMembers { single: false, .. } | Look::Fields(_) => {
                let (commands, places) = each(1);
                Split { commands, together: Together::Places(places) }
            }
            Look::Length | Look::Rights | Look::Units | Look::State(_) | Look::Vector => return Err(whole(words)),
        },
        Action::Change(change) => match change {
            Change::Remove => all(Together::Any),
            Change::Add(_) => one(once.map_or_else(|| near(&key), |name| part_of(name, parts)), Together::Silent),
            Change::AddMembers(_) | Change::TakeMembers(_) | Change::RemoveFields(_) => some(1, Together::Sum),
            Change::SetFields { count, .. } => some(2, if count { Together::Sum } else { Together::Same }),
            Change::AddField { .. } => one(part_of(&rest[0], parts), Together::One),
            Change::Set(_) | Change::Give { .. } | Change::AddUpdate(_) | Change::EditText(_) => {
                return Err(whole(words));
            }
        },
        Action::Swap { .. } => return Err(whole(words)),
    };
    if split.commands.len() > 1 && want.level > Some(Level::Regular) {
        let why = "the parts of a split key are read at different moments: what asks several of them has the level regular at most";
        return Err(Refusal::Impossible(why.to_string()));
    }
    Ok(split)
}

fn whole(words: &Words) -> Refusal {
    let name = words.first().cloned().unwrap_or_default();
    Refusal::Impossible(format!("{} needs a key that is not in parts", alloc::string::String::from_utf8_lossy(&name)))
}

impl Together {
    /// The reply to a command, from those of its parts. One that is an error stands for all.
    pub fn join(&self, values: Vec<Value>) -> Value {
        if let Some(error) = values.iter().find(|value| value.is_error()) {
            return error.clone();
        }
        let sum = |values: &[Value]| values.iter().map(|value| if let Value::Int(it) = value { *it } else { 0 }).sum();
        let not_none = |value: &&Value| **value != Value::Status(Bytes::from_static(b"none"));
        match self {
            Together::Silent => Value::Nil,
            Together::Sum => Value::Int(sum(&values)),
            Together::Any => Value::Int(i64::from(sum(&values) > 0)),
            Together::Digits => digits(&values),
            Together::Type => values.iter().find(not_none).or(values.first()).cloned().unwrap_or(Value::Nil),
            Together::One | Together::Same => values.into_iter().next().unwrap_or(Value::Nil),
            Together::Union => union(values),
            Together::Places(places) => {
                let count = places.iter().map(Vec::len).sum();
                let mut whole = alloc::vec![Value::Nil; count];
                for (value, places) in values.into_iter().zip(places) {
                    let Value::Array(items) = value else { continue };
                    items.into_iter().zip(places).for_each(|(item, &at)| whole[at] = item);
                }
                Value::Array(whole)
            }
        }
    }
}

/// The sum; nil if there is none anywhere.
fn digits(values: &[Value]) -> Value {
    let number = |value: &Value| match value {
        Value::Bulk(text) => core::str::from_utf8(text).ok().and_then(|text| text.parse::<i128>().ok()),
        _ => None,
    };
    let sum = values.iter().filter_map(number).reduce(i128::saturating_add);
    sum.map_or(Value::Nil, |sum| Value::Bulk(Bytes::from(sum.to_string())))
}

/// No element is in two parts.
fn union(values: Vec<Value>) -> Value {
    values
        .into_iter()
        .reduce(|all, part| match (all, part) {
            (Value::Set(mut all), Value::Set(part)) => {
                all.extend(part);
                Value::Set(all)
            }
            (Value::Map(mut all), Value::Map(part)) => {
                all.extend(part);
                Value::Map(all)
            }
            (Value::Array(mut all), Value::Array(part)) => {
                all.extend(part);
                Value::Array(all)
            }
            (all, _) => all,
        })
        .unwrap_or(Value::Nil)
}
