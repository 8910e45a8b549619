//! Linearizability of registers, one key at a time: is there one order of all operations that respects time and
//! explains every answer? (Linearizability composes over keys, so each key may be judged alone.)

use super::history::{Action, Answer, Operation, Outcome, Value};
use super::search::{Found, search};
use super::zone;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;

/// What is wrong with a history, in the words of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A value was seen that only refused operations wrote.
    ReadOfRefused,
    /// A value was seen that nobody wrote.
    ReadFromNowhere,
    /// A value was seen before anybody began to write it.
    ReadFromFuture,
    /// A compare-and-set took place on a value that nobody wrote.
    CasFromNowhere,
    /// A read missed a write that had ended before it began.
    StaleRead,
    /// A later read saw an older value than an earlier one.
    NewThenOld,
    /// Two updates both started from the same state.
    LostUpdate,
    /// No order explains the answers.
    NotLinearizable,
}

impl Reason {
    /// The name of it.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::ReadOfRefused => "read of a refused write",
            Reason::ReadFromNowhere => "read from nowhere",
            Reason::ReadFromFuture => "read from the future",
            Reason::CasFromNowhere => "compare-and-set from nowhere",
            Reason::StaleRead => "stale read",
            Reason::NewThenOld => "new then old",
            Reason::LostUpdate => "lost update",
            Reason::NotLinearizable => "not linearizable",
        }
    }
}

/// Few operations that already contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What is wrong.
    pub reason: Reason,
    /// The operations, by start. Taken alone they are invalid too.
    pub operations: Vec<Operation>,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.reason.word())?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "  {operation}"))
    }
}

/// What the checker says about a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is linearizable.
    Valid,
    /// It is not.
    Invalid(Witness),
    /// The search was given up within its budget: this key is too entangled.
    Unknown(Bytes),
}

/// The steps of search that a key is worth.
pub const BUDGET: u64 = 1_000_000;

/// Judges each key. `budget` bounds the steps of the search for one key. The first invalid key is the verdict.
pub fn check(history: &[Operation], budget: u64) -> Verdict {
    let mut keys: BTreeMap<&Bytes, Vec<Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(&operation.key).or_default().push(operation.clone());
    }
    let mut verdict = Verdict::Valid;
    for (key, operations) in keys {
        match check_key(operations, budget) {
            KeyVerdict::Valid => {}
            KeyVerdict::Invalid(witness) => return Verdict::Invalid(witness),
            KeyVerdict::Unknown => verdict = Verdict::Unknown(key.clone()),
        }
    }
    verdict
}

enum KeyVerdict {
    Valid,
    Invalid(Witness),
    Unknown,
}

fn check_key(mut operations: Vec<Operation>, budget: u64) -> KeyVerdict {
    operations.sort_by_key(|operation| (operation.start, operation.end, operation.client));
    if let Some(witness) = impossible_value(&operations) {
        return KeyVerdict::Invalid(witness);
    }
    let operations = relevant(operations);
    match zone::contradiction(&operations) {
        Some(None) => KeyVerdict::Valid,
        Some(Some(witness)) => {
            let operations: Vec<Operation> = witness.into_iter().map(|at| operations[at].clone()).collect();
            KeyVerdict::Invalid(Witness { reason: reason(&operations), operations })
        }
        None => match search(&operations, budget) {
            Found::Order => KeyVerdict::Valid,
            Found::GaveUp => KeyVerdict::Unknown,
            Found::NoOrder => {
                let operations = shrink(operations, budget);
                KeyVerdict::Invalid(Witness { reason: reason(&operations), operations })
            }
        },
    }
}

/// Judges by search alone, without the fast test: for tests that compare the two.
pub fn check_by_search(history: &[Operation], budget: u64) -> Option<bool> {
    match search(&relevant(history.to_vec()), budget) {
        Found::Order => Some(true),
        Found::NoOrder => Some(false),
        Found::GaveUp => None,
    }
}

/// The value that an operation saw, if it saw one.
fn seen(operation: &Operation) -> Option<&Value> {
    match (&operation.action, &operation.outcome) {
        (Action::Read | Action::Swap(_), Outcome::Done(Answer::Value(value))) => Some(value),
        (Action::Cas(expected, _), Outcome::Done(Answer::Took(true))) => Some(expected),
        _ => None,
    }
}

/// The value that an operation would leave, unless it computes it.
fn left(operation: &Operation) -> Option<&Bytes> {
    match (&operation.action, &operation.outcome) {
        (Action::Cas(..), Outcome::Done(Answer::Took(false))) => None,
        (Action::Write(value) | Action::Swap(value) | Action::Cas(_, value), _) => Some(value),
        (Action::Read | Action::Delete | Action::Add(_), _) => None,
    }
}

/// Drops what cannot matter: refused operations, reads without an answer, and writes of unknown outcome that nobody saw.
fn relevant(operations: Vec<Operation>) -> Vec<Operation> {
    let plain = operations.iter().all(|operation| matches!(operation.action, Action::Read | Action::Write(_)));
    let witnessed: Vec<Value> = operations.iter().filter_map(seen).cloned().collect();
    let matters = |operation: &Operation| match (&operation.action, &operation.outcome) {
        (_, Outcome::Refused) | (Action::Read, Outcome::Unknown) => false,
        (Action::Write(value), Outcome::Unknown) if plain => witnessed.iter().any(|seen| seen.as_ref() == Some(value)),
        _ => true,
    };
    operations.into_iter().filter(matters).collect()
}

/// Values that were seen although nobody can have written them. Sums are left to the search.
fn impossible_value(operations: &[Operation]) -> Option<Witness> {
    let sums = operations
        .iter()
        .any(|operation| matches!(operation.action, Action::Add(_)) && operation.outcome != Outcome::Refused);
    for operation in operations {
        let Some(Some(value)) = seen(operation) else { continue };
        if sums && std::str::from_utf8(value).is_ok_and(|text| text.parse::<i64>().is_ok()) {
            continue;
        }
        let writers = || operations.iter().filter(|writer| left(writer) == Some(value) && *writer != operation);
        let witness = |reason, writer: Option<&Operation>| {
            let mut operations: Vec<Operation> = writer.into_iter().chain([operation]).cloned().collect();
            operations.sort_by_key(|operation| operation.start);
            Some(Witness { reason, operations })
        };
        let real = || writers().filter(|writer| writer.outcome != Outcome::Refused);
        match (real().min_by_key(|writer| writer.start), writers().next()) {
            (Some(first), _) if first.start > operation.end => return witness(Reason::ReadFromFuture, Some(first)),
            (Some(_), _) => {}
            (None, Some(refused)) => return witness(Reason::ReadOfRefused, Some(refused)),
            (None, None) if matches!(operation.action, Action::Cas(..)) => {
                return witness(Reason::CasFromNowhere, None);
            }
            (None, None) => return witness(Reason::ReadFromNowhere, None),
        }
    }
    None
}

/// Leaves out operations that are not needed for the contradiction. Only steps that keep a valid history valid are
/// taken: cutting the end off, and dropping operations that change nothing.
fn shrink(operations: Vec<Operation>, budget: u64) -> Vec<Operation> {
    let invalid = |operations: &[Operation]| search(operations, budget) == Found::NoOrder;
    let mut ends: Vec<u64> = operations.iter().map(|operation| operation.end).collect();
    ends.sort_unstable();
    let cut = |at: u64| -> Vec<Operation> {
        let begun = operations.iter().filter(|operation| operation.start <= at);
        let shorten = |operation: &Operation| {
            let open = operation.end > at;
            Operation { outcome: if open { Outcome::Unknown } else { operation.outcome.clone() }, ..operation.clone() }
        };
        begun.map(shorten).collect()
    };
    let first = ends.partition_point(|&at| !invalid(&relevant(cut(at))));
    let mut operations = match ends.get(first) {
        Some(&at) => relevant(cut(at)),
        None => operations,
    };
    let mut at = 0;
    while at < operations.len() {
        let idle = matches!(
            (&operations[at].action, &operations[at].outcome),
            (Action::Read, _) | (Action::Cas(..), Outcome::Done(Answer::Took(false)))
        );
        let mut fewer = operations.clone();
        fewer.remove(at);
        if idle && invalid(&fewer) {
            operations = fewer;
        } else {
            at += 1;
        }
    }
    operations
}

/// The name of the contradiction that these few operations show.
fn reason(operations: &[Operation]) -> Reason {
    let updates = |operation: &&Operation| {
        let took = matches!(operation.outcome, Outcome::Done(Answer::Took(true)));
        match operation.action {
            Action::Add(_) | Action::Swap(_) => true,
            Action::Cas(..) => took,
            Action::Read | Action::Write(_) | Action::Delete => false,
        }
    };
    let started_from = |operation: &Operation| match (&operation.action, &operation.outcome) {
        (Action::Add(by), Outcome::Done(Answer::Number(sum))) => Some(Some(Bytes::from((sum - by).to_string()))),
        _ => seen(operation).cloned(),
    };
    let mut starts: Vec<Value> = operations.iter().filter(updates).filter_map(started_from).collect();
    starts.sort();
    if starts.windows(2).any(|pair| pair[0] == pair[1]) {
        return Reason::LostUpdate;
    }
    let reads = || operations.iter().filter_map(|operation| Some((operation, seen(operation)?)));
    // By then the value was surely there: whoever wrote or saw it first has ended.
    let there_by = |value: &Value| {
        let known = |operation: &&Operation| operation.outcome != Outcome::Unknown;
        let touches = |operation: &&Operation| {
            seen(operation) == Some(value) || (value.is_some() && left(operation) == value.as_ref())
        };
        operations.iter().filter(known).filter(touches).map(|operation| operation.end).min()
    };
    let done = |writer: &&Operation| writer.outcome != Outcome::Unknown;
    let missed = |read: &Operation, value: &Value| {
        operations.iter().filter(done).any(|writer| {
            let other = left(writer).is_some_and(|left| Some(left) != value.as_ref());
            other
                && writer.end < read.start
                && (value.is_none() || there_by(value).is_some_and(|end| end < writer.start))
        })
    };
    if reads().any(|(read, value)| missed(read, value)) {
        return Reason::StaleRead;
    }
    let before = |a: &Operation, b: &Operation| a.end < b.start;
    if reads().any(|(a, saw)| reads().any(|(b, then)| before(a, b) && saw != then)) {
        return Reason::NewThenOld;
    }
    Reason::NotLinearizable
}
