//! What clients did and heard.

use bytes::Bytes;
use std::fmt;

/// A value of a register; `None` while the key is absent.
pub type Value = Option<Bytes>;

/// What a client asked of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The value, please.
    Read,
    /// The key has this value from now on.
    Write(Bytes),
    /// The key is absent from now on.
    Delete,
    /// The key has this value from now on, and the old one is the answer.
    Swap(Bytes),
    /// The number rises by this; an absent key counts as 0.
    Add(i64),
    /// If the value is the first, it becomes the second.
    Cas(Value, Bytes),
}

/// What a client heard, when the operation was evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// A write took place.
    Written,
    /// The value: of a read as it is, of a swap as it was.
    Value(Value),
    /// The number after an addition.
    Number(i64),
    /// Of a delete: was the key there? Of a compare-and-set: did it take place?
    Took(bool),
}

/// What is known about an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It took place between its start and its end.
    Done(Answer),
    /// It may take place at any time after its start, or never.
    Unknown,
    /// It did not and will not take place.
    Refused,
}

/// One operation of one client. Times are in microseconds of one true clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Who asked.
    pub client: u32,
    /// The key.
    pub key: Bytes,
    /// What was asked.
    pub action: Action,
    /// What is known.
    pub outcome: Outcome,
    /// When it was asked.
    pub start: u64,
    /// When the outcome was heard.
    pub end: u64,
}

/// Operations in any order.
pub type History = Vec<Operation>;

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn maybe(value: &Value) -> String {
    value.as_ref().map_or("nothing".to_string(), text)
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9}..{:<9} client {} ", self.start, self.end, self.client)?;
        let key = text(&self.key);
        match &self.action {
            Action::Read => write!(f, "get {key}"),
            Action::Write(value) => write!(f, "put {key} {}", text(value)),
            Action::Delete => write!(f, "del {key}"),
            Action::Swap(value) => write!(f, "swap {key} {}", text(value)),
            Action::Add(by) => write!(f, "incr {key} {by}"),
            Action::Cas(expect, value) => write!(f, "cas {key} {} {}", maybe(expect), text(value)),
        }?;
        match &self.outcome {
            Outcome::Done(Answer::Written) => write!(f, " -> OK"),
            Outcome::Done(Answer::Value(value)) => write!(f, " -> {}", maybe(value)),
            Outcome::Done(Answer::Number(number)) => write!(f, " -> {number}"),
            Outcome::Done(Answer::Took(took)) => write!(f, " -> {}", if *took { "yes" } else { "no" }),
            Outcome::Unknown => write!(f, " -> unknown"),
            Outcome::Refused => write!(f, " -> refused"),
        }
    }
}
