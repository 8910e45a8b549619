//! What one operation on a leaderless table was and gave.

use crate::failure::Kind as Broken;
use crate::judge::Judge;
use bytes::Bytes;
use quorate_core::crdt::{AnyCell, Kind, Leaf};
use quorate_core::guarantee::{Receipt, Want};
use quorate_core::operation::Value;
use std::collections::BTreeSet;

/// What was asked of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it.
    Read,
    /// A register has this value from now on, in place of those that were seen; none removes them.
    Replace {
        /// The new value.
        by: Option<Bytes>,
        /// The values that the client saw. Empty where the write itself looks for them.
        saw: BTreeSet<Bytes>,
    },
    /// A counter, or the counter in a map, rises by this.
    Add(i64),
    /// An increment that was made under a name is sent once more, under that name: it must not count again.
    Repeat,
    /// A register has the new value from now on if its value is the expected one, or if it has none.
    Swap {
        /// What must be there.
        expected: Option<Bytes>,
        /// The new value, that nobody else writes.
        new: Bytes,
    },
    /// Rights to decrease a bounded counter go to another node, which changes no value.
    Give,
    /// An element, or a word in a text, is there from now on; nobody else adds it.
    Put(Bytes),
    /// An element is removed.
    Take(Bytes),
}

impl Asked {
    /// The element that is put into a set, a map or a text.
    pub(super) fn element(&self) -> Option<&Bytes> {
        match self {
            Asked::Put(element) => Some(element),
            Asked::Read
            | Asked::Replace { .. }
            | Asked::Swap { .. }
            | Asked::Add(_)
            | Asked::Repeat
            | Asked::Give
            | Asked::Take(_) => None,
        }
    }
    /// Does it spend rights of a bounded counter, if it is asked of one?
    pub(super) fn spends(&self) -> bool {
        match self {
            Asked::Add(amount) => *amount < 0,
            Asked::Give => true,
            Asked::Read
            | Asked::Replace { .. }
            | Asked::Swap { .. }
            | Asked::Repeat
            | Asked::Put(_)
            | Asked::Take(_) => false,
        }
    }
}

/// What a read showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The values of a register.
    Values(BTreeSet<Bytes>),
    /// A sum; none if nothing was ever added.
    Sum(Option<i64>),
    /// The elements of a set, or the words of a text.
    Elements(BTreeSet<Bytes>),
    /// The elements of a map, and the sum in its counter.
    Fields(BTreeSet<Bytes>, Option<i64>),
}

impl Shown {
    /// The values, if a register was read.
    pub fn values(self) -> Option<BTreeSet<Bytes>> {
        match self {
            Shown::Values(values) => Some(values),
            Shown::Sum(_) | Shown::Elements(_) | Shown::Fields(..) => None,
        }
    }
    /// What two parts of a key show together.
    pub fn with(self, other: Shown) -> Shown {
        let both = |a: BTreeSet<Bytes>, b: BTreeSet<Bytes>| a.into_iter().chain(b).collect();
        let sum = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).reduce(|a, b| a + b);
        match (self, other) {
            (Shown::Values(a), Shown::Values(b)) => Shown::Values(both(a, b)),
            (Shown::Sum(a), Shown::Sum(b)) => Shown::Sum(sum(a, b)),
            (Shown::Elements(a), Shown::Elements(b)) => Shown::Elements(both(a, b)),
            (Shown::Fields(a, count), Shown::Fields(b, other)) => Shown::Fields(both(a, b), sum(count, other)),
            (shown, _) => shown,
        }
    }
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It may have been applied, or may yet be.
    Unknown,
    /// It certainly was not.
    Refused,
    /// The change was made.
    Changed,
    /// A value was compared with the expected one: was it that, and is it the new one? Or, was there something to remove?
    Took(bool),
    /// What a read showed.
    Shown(Shown),
}

/// One operation as its client knows it. Times are in microseconds.
#[derive(Clone, Debug)]
pub struct Record {
    /// Who asked.
    pub client: u32,
    /// Its session.
    pub session: u32,
    /// Which of the tables.
    pub table: usize,
    /// The key.
    pub key: Bytes,
    /// What was asked.
    pub asked: Asked,
    /// An increment that counts once under this name, however often it is sent.
    pub name: Option<Bytes>,
    /// The guarantee asked for.
    pub want: Want,
    /// When it began.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// What was heard.
    pub told: Told,
    /// The receipt, when there was one.
    pub receipt: Option<Receipt>,
    /// How often it was sent.
    pub attempts: u32,
}

/// The mark behind each word of a text.
pub(super) const MARK: char = ';';
/// The counter of a map.
pub(super) const COUNTER: &[u8] = b"count";

impl Record {
    pub(super) fn new(
        (client, session): (u32, u32),
        table: usize,
        key: Bytes,
        asked: Asked,
        want: Want,
        start: u64,
    ) -> Record {
        let told = Told::Unknown;
        let (name, end, receipt, attempts) = (None, u64::MAX, None, 0);
        Record { client, session, table, key, asked, name, want, start, end, told, receipt, attempts }
    }

    /// May it be sent again when its outcome is unknown?
    pub(super) fn may_be_repeated(&self) -> bool {
        matches!(self.asked, Asked::Put(_)) || self.name.is_some()
    }

    pub(super) fn hear(&mut self, value: &Value, receipt: &Receipt, now_us: u64, judge: &mut Judge) {
        self.end = now_us;
        self.receipt = Some(*receipt);
        self.told = match (&self.asked, value) {
            // A bounded counter refuses what its rights do not allow.
            (_, Value::Error(_)) => Told::Refused,
            (Asked::Read, value) => match read_of(value) {
                Some(shown) => Told::Shown(shown),
                None => {
                    judge.accuse(now_us, Broken::WrongError, format!("{self:?}: {value:?}"));
                    Told::Unknown
                }
            },
            // A removal that finds nothing removes nothing, though somebody else may be about to.
            (Asked::Swap { .. } | Asked::Take(_), value) => Told::Took(*value == Value::Int(1)),
            (Asked::Replace { .. } | Asked::Add(_) | Asked::Repeat | Asked::Give | Asked::Put(_), _) => Told::Changed,
        };
        if matches!(value, Value::Error(_)) && !self.asked.spends() {
            judge.accuse(now_us, Broken::WrongError, format!("{self:?}: {value:?}"));
        }
    }

    /// Reads the answer as one to a table of this kind of cell.
    pub(super) fn reread(&mut self, kind: Kind) {
        if let Told::Shown(shown) = &mut self.told {
            *shown = of_kind(shown.clone(), kind);
        }
    }
}

fn bytes(value: &Value) -> Option<Bytes> {
    match value {
        Value::Bulk(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

fn number(bytes: &Bytes) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn read_of(value: &Value) -> Option<Shown> {
    Some(match value {
        Value::Nil => Shown::Values(BTreeSet::new()),
        Value::Bulk(value) => Shown::Values(BTreeSet::from([value.clone()])),
        Value::Array(values) => Shown::Values(values.iter().map(bytes).collect::<Option<_>>()?),
        Value::Set(members) => Shown::Elements(members.iter().map(bytes).collect::<Option<_>>()?),
        Value::Map(pairs) => {
            let mut names = BTreeSet::new();
            let mut sum = None;
            for (name, value) in pairs {
                let name = bytes(name)?;
                if name == COUNTER {
                    sum = Some(number(&bytes(value)?)?);
                } else {
                    names.insert(name);
                }
            }
            Shown::Fields(names, sum)
        }
        Value::Int(_) | Value::Status(_) | Value::Error(_) | Value::Pairs(_) => return None,
    })
}

/// The words of a text. Each was inserted at once with a mark behind it.
fn words_of(text: &str) -> Shown {
    let words = text.split_terminator(MARK).map(|word| Bytes::copy_from_slice(word.as_bytes()));
    Shown::Elements(words.collect())
}

/// A counter and a text are read as a register is that holds digits or words.
fn of_kind(shown: Shown, kind: Kind) -> Shown {
    match (shown, kind) {
        (Shown::Values(values), Kind::Counter | Kind::Bounded) => Shown::Sum(values.first().and_then(number)),
        (Shown::Values(values), Kind::Text) => {
            words_of(&values.first().map(|text| String::from_utf8_lossy(text)).unwrap_or_default())
        }
        (shown, _) => shown,
    }
}

/// What a reader of a cell sees; none for kinds that clients do not use.
pub fn shown(cell: &AnyCell, bound: i64) -> Option<Shown> {
    let sum = |value: i128| i64::try_from(value).ok();
    Some(match cell {
        AnyCell::Leaf(Leaf::Register(cell)) => Shown::Values(cell.siblings().cloned().collect()),
        AnyCell::Leaf(Leaf::Latest(cell)) => {
            Shown::Values(cell.read().map(|shown| shown.value.clone()).into_iter().collect())
        }
        AnyCell::Leaf(Leaf::Counter(cell)) => Shown::Sum(sum(cell.value())),
        AnyCell::Leaf(Leaf::Bounded(cell)) => Shown::Sum(sum(cell.value(bound))),
        AnyCell::Leaf(Leaf::Set(cell)) => Shown::Elements(cell.members().cloned().collect()),
        AnyCell::Leaf(Leaf::Text(cell)) => words_of(&cell.show().ok()?.0),
        AnyCell::Map(map) => {
            let names = map.fields().map(|(field, _)| field.name.clone()).filter(|name| name != COUNTER).collect();
            let counter = map.fields().find_map(|(field, leaf)| match leaf {
                Leaf::Counter(counter) if field.name == COUNTER => sum(counter.value()),
                _ => None,
            });
            Shown::Fields(names, counter)
        }
        AnyCell::Leaf(Leaf::Flag(_) | Leaf::DisableWinsFlag(_) | Leaf::RemoveWinsSet(_)) => return None,
    })
}
