//! What the value in a reply says about what was asked.

use crate::check::{Action, Answer};
use crate::failure::Kind;
use crate::judge::elements::{Asked, Told};
use bytes::Bytes;
use quorate_core::operation::Value;

/// How an operation was put into words, and so how its reply is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One command on one key.
    Plain,
    /// A write under a guard, which stands for a compare-and-set: an error `GUARD` is a no.
    Guarded,
    /// A transaction that reads a key and its version.
    Versioned,
    /// A transaction on so many keys, which together are one register: all have one value at any time.
    Tuple(usize),
    /// An operation on the table of elements.
    Table(Asked),
}

/// What a reply means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// For registers.
    pub answer: Option<Answer>,
    /// For the table of elements.
    pub told: Told,
    /// The version that was read with the value.
    pub version: Option<u64>,
}

impl From<Answer> for Meaning {
    fn from(answer: Answer) -> Meaning {
        Meaning { answer: Some(answer), told: Told::Changed, version: None }
    }
}

/// What a value in a reply says; if it cannot be the reply, which promise that breaks.
pub fn meaning(shape: &Shape, action: &Action, value: &Value) -> Result<Meaning, Kind> {
    match shape {
        Shape::Plain => answer(action, value).map(Meaning::from).ok_or(Kind::WrongError),
        Shape::Guarded if is_guard(value) => Ok(Answer::Took(false).into()),
        Shape::Guarded if *value == Value::OK => Ok(Answer::Took(true).into()),
        Shape::Guarded => Err(Kind::WrongError),
        Shape::Versioned => versioned(value),
        Shape::Tuple(_) if matches!(action, Action::Cas(..)) && is_guard(value) => Ok(Answer::Took(false).into()),
        Shape::Tuple(keys) => match value {
            Value::Array(replies) => tuple(*keys, action, replies),
            _ => Err(Kind::WrongError),
        },
        Shape::Table(asked) => {
            told(asked, value).map(|told| Meaning { answer: None, told, version: None }).ok_or(Kind::WrongError)
        }
    }
}

/// What a value in a reply says about an action; `None` if it cannot be the reply to it.
pub fn answer(action: &Action, value: &Value) -> Option<Answer> {
    Some(match (action, value) {
        (Action::Read | Action::Swap(_), Value::Nil) => Answer::Value(None),
        (Action::Read | Action::Swap(_), Value::Bulk(value)) => Answer::Value(Some(value.clone())),
        (Action::Write(_), Value::Status(_)) => Answer::Written,
        (Action::Add(_), Value::Int(sum)) => Answer::Number(*sum),
        (Action::Delete | Action::Cas(..), Value::Int(took @ (0 | 1))) => Answer::Took(*took == 1),
        _ => return None,
    })
}

fn is_guard(value: &Value) -> bool {
    matches!(value, Value::Error(text) if text.starts_with(b"GUARD"))
}

fn versioned(value: &Value) -> Result<Meaning, Kind> {
    let Value::Array(replies) = value else { return Err(Kind::WrongError) };
    let [found, Value::Int(version)] = replies.as_slice() else { return Err(Kind::WrongError) };
    let found = answer(&Action::Read, found).ok_or(Kind::WrongError)?;
    if (found == Answer::Value(None)) != (*version == 0) {
        return Err(Kind::TornTransaction);
    }
    let version = u64::try_from(*version).map_err(|_| Kind::WrongError)?;
    Ok(Meaning { version: Some(version), ..found.into() })
}

/// The replies to a transaction on a tuple of keys; see `draw` for its commands.
fn tuple(keys: usize, action: &Action, replies: &[Value]) -> Result<Meaning, Kind> {
    let same = |replies: &[Value], value: &Value| replies.iter().all(|reply| reply == value);
    match action {
        Action::Read => {
            let (values, versions) = replies.split_at_checked(keys).ok_or(Kind::WrongError)?;
            let (Some(first), Some(Value::Int(version))) = (values.first(), versions.first()) else {
                return Err(Kind::WrongError);
            };
            if !same(values, first) || !same(versions, &versions[0]) || (*first == Value::Nil) != (*version == 0) {
                return Err(Kind::TornTransaction);
            }
            let version = u64::try_from(*version).map_err(|_| Kind::WrongError)?;
            let found = answer(action, first).ok_or(Kind::WrongError)?;
            Ok(Meaning { version: Some(version), ..found.into() })
        }
        Action::Write(_) => {
            // The command after the first write fails, and its neighbours stay.
            let (failed, rest) = (replies.get(1).is_some_and(Value::is_error), replies.len() == keys + 1);
            let done = replies.iter().filter(|reply| **reply == Value::OK).count() == keys;
            if failed && rest && done { Ok(Answer::Written.into()) } else { Err(Kind::WrongError) }
        }
        Action::Swap(value) => {
            let [old, rest @ ..] = replies else { return Err(Kind::WrongError) };
            let pair = [Value::OK, Value::Bulk(value.clone())];
            if rest.len() != keys * 2 || rest.chunks(2).any(|replies| replies != pair) {
                return Err(Kind::TornTransaction);
            }
            answer(action, old).map(Meaning::from).ok_or(Kind::WrongError)
        }
        Action::Cas(..) if replies.len() == keys && same(replies, &Value::OK) => Ok(Answer::Took(true).into()),
        Action::Cas(..) | Action::Delete | Action::Add(_) => Err(Kind::WrongError),
    }
}

fn told(asked: &Asked, value: &Value) -> Option<Told> {
    let name = |value: &Value| if let Value::Bulk(name) = value { Some(name.clone()) } else { None };
    Some(match (asked, value) {
        (Asked::Add(_) | Asked::Empty, Value::Status(_)) => Told::Changed,
        (Asked::List, Value::Array(items)) => Told::Listed(items.iter().map(name).collect::<Option<Vec<Bytes>>>()?),
        (Asked::Count, Value::Int(count)) => Told::Counted(*count),
        (Asked::Any, Value::Nil) => Told::One(None),
        (Asked::Any, Value::Bulk(name)) => Told::One(Some(name.clone())),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tuple_is_noticed() {
        let value = |text: &'static str| Value::Bulk(Bytes::from_static(text.as_bytes()));
        let read = |replies: Vec<Value>| meaning(&Shape::Tuple(2), &Action::Read, &Value::Array(replies));
        let whole = read(vec![value("v1"), value("v1"), Value::Int(7), Value::Int(7)]).expect("one state");
        assert_eq!((whole.answer, whole.version), (Some(Answer::Value(Some(Bytes::from_static(b"v1")))), Some(7)));
        for torn in [
            vec![value("v1"), value("v2"), Value::Int(7), Value::Int(7)],
            vec![value("v1"), value("v1"), Value::Int(7), Value::Int(8)],
            vec![value("v1"), Value::Nil, Value::Int(7), Value::Int(0)],
            vec![Value::Nil, Value::Nil, Value::Int(7), Value::Int(7)],
        ] {
            assert_eq!(read(torn), Err(Kind::TornTransaction));
        }
        let swap = Action::Swap(Bytes::from_static(b"v3"));
        let replies = |last: &'static str| vec![Value::Nil, Value::OK, value("v3"), Value::OK, value(last)];
        assert!(meaning(&Shape::Tuple(2), &swap, &Value::Array(replies("v3"))).is_ok());
        assert_eq!(meaning(&Shape::Tuple(2), &swap, &Value::Array(replies("v2"))), Err(Kind::TornTransaction));
    }
}
