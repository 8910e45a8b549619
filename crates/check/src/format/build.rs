//! Puts values together from their parts, without recursion.

use crate::Datum;

/// What is open, from the outside in.
#[derive(Default)]
pub(super) struct Builder {
    open: Vec<Open>,
}

/// How something open ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// A list, with `]`.
    Square,
    /// A list, with `)`.
    Round,
    /// A set, with `}`.
    Set,
    /// A map, with `}`.
    Map,
}

enum Open {
    /// Items of a list or set, or keys and values of a map in turn.
    Items(Close, Vec<Datum>),
    /// The next value is left out.
    Discard,
    /// The next value stands for itself.
    Tag,
}

impl Builder {
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    pub(super) fn open(&mut self, close: Close) {
        self.open.push(Open::Items(close, Vec::new()));
    }

    pub(super) fn discard(&mut self) {
        self.open.push(Open::Discard);
    }

    pub(super) fn tag(&mut self) {
        self.open.push(Open::Tag);
    }

    /// Puts a value where it belongs; gives it back if nothing is open.
    #[inline]
    pub(super) fn add(&mut self, value: Datum) -> Option<Datum> {
        loop {
            match self.open.last_mut() {
                None => return Some(value),
                Some(Open::Items(_, items)) => {
                    items.push(value);
                    return None;
                }
                Some(Open::Discard) => {
                    self.open.pop();
                    return None;
                }
                Some(Open::Tag) => {
                    self.open.pop();
                }
            }
        }
    }

    /// Is a map open, and has it this many keys and values?
    pub(super) fn in_map(&self) -> Option<usize> {
        match self.open.last() {
            Some(Open::Items(Close::Map, items)) => Some(items.len()),
            Some(Open::Items(Close::Square | Close::Round | Close::Set, _) | Open::Discard | Open::Tag) | None => None,
        }
    }

    /// Has the list that is open no item yet?
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.open.last(), Some(Open::Items(_, items)) if items.is_empty())
    }

    /// A bracket closes what is open. Gives the value if nothing is open any more.
    pub(super) fn close(&mut self, byte: u8) -> Result<Option<Datum>, String> {
        let unexpected = || format!("{:?} closes nothing", byte as char);
        let Some(Open::Items(close, items)) = self.open.pop() else {
            return Err(unexpected());
        };
        let expected = match close {
            Close::Square => b']',
            Close::Round => b')',
            Close::Set | Close::Map => b'}',
        };
        if byte != expected {
            return Err(format!("{:?} was expected, not {:?}", expected as char, byte as char));
        }
        let value = match close {
            Close::Square | Close::Round => Datum::List(items),
            Close::Set => Datum::List(sorted(items)?),
            Close::Map => map(items)?,
        };
        Ok(self.add(value))
    }
}

fn sorted(mut items: Vec<Datum>) -> Result<Vec<Datum>, String> {
    items.sort_unstable();
    match items.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("a set has {} twice", pair[0])),
        None => Ok(items),
    }
}

/// The map of keys and values in turn.
fn map(items: Vec<Datum>) -> Result<Datum, String> {
    if !items.len().is_multiple_of(2) {
        return Err("the last key of a map has no value".to_string());
    }
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    match pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("a map has the key {} twice", pair[0].0)),
        None => Ok(Datum::Map(pairs)),
    }
}
