//! A history of transactions, resolved: who read from whom, who wrote what, and what is wrong with single transactions.

use super::choice::Choice;
use super::{Rules, list, register};
use crate::{Anomaly, Edge, History, Id, Object, Outcome, Step};
use rustc_hash::FxHashMap;

/// The writer of the value that a key had before everything.
pub(super) const INITIAL: u32 = u32::MAX;
/// Nothing.
pub(super) const NONE: u32 = u32::MAX;

/// A read of something that the transaction did not write itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub key: u32,
    /// The transaction that wrote what was read, or [`INITIAL`].
    pub from: u32,
    /// How many transactions of the known order of versions have written the key before this read, if its version stands there.
    pub version: u32,
}

/// What is known of the order in which transactions wrote a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    /// The first writers, in order; nobody else wrote between them.
    pub order: Vec<u32>,
    /// The other writers, all after those.
    pub tail: Vec<u32>,
    /// Of lists only: how many elements were there when each of the first writers was done, as far as shown.
    pub lengths: Vec<u32>,
}

/// A transaction that read a version of a key and wrote the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Follower {
    pub key: u32,
    pub from: u32,
    pub by: u32,
}

/// All that follow one version, of sorted followers.
pub(super) fn following(followers: &[Follower], key: u32, from: u32) -> &[Follower] {
    let first = followers.partition_point(|follower| (follower.key, follower.from) < (key, from));
    let count = followers[first..].iter().take_while(|follower| (follower.key, follower.from) == (key, from)).count();
    &followers[first..first + count]
}

/// Something wrong that no order of transactions is needed to see.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub anomaly: Anomaly,
    pub operations: Vec<u32>,
    pub edges: Vec<Edge>,
}

/// Which models a fault breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Breaks {
    /// All of them.
    Everything,
    /// Read committed and what is stronger (G1a, G1b).
    Committed,
    /// Read atomic and what is stronger.
    Atomic,
}

/// Items of many owners, one owner after the other.
#[derive(Clone, Debug)]
pub(super) struct Rows<T> {
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T> Rows<T> {
    pub fn with_capacity(rows: usize, items: usize) -> Rows<T> {
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        Rows { starts, items: Vec::with_capacity(items) }
    }
    /// Adds to the row that is not closed yet.
    pub fn push(&mut self, item: T) {
        self.items.push(item);
    }
    /// The items of the row that is not closed yet.
    pub fn open(&mut self) -> &mut [T] {
        let start = *self.starts.last().expect("there is always a start") as usize;
        &mut self.items[start..]
    }
    pub fn close(&mut self) {
        self.starts.push(self.items.len() as u32);
    }
    pub fn len(&self) -> usize {
        self.items.len()
    }
    pub fn all_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
    pub fn of(&self, row: u32) -> &[T] {
        &self.items[self.starts[row as usize] as usize..self.starts[row as usize + 1] as usize]
    }
}

/// A write or append of one value to one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub operation: u32,
    /// Its place among all writes.
    pub place: u32,
    /// The how-manieth write of its operation to this key it is, from 0.
    pub nth: u32,
    /// Is it the last write of its operation to this key?
    pub last: bool,
    next: u32,
}

/// All writers of every value.
pub(super) struct Table {
    first: FxHashMap<u64, u32>,
    all: Vec<Written>,
    /// Was a value of this key written by a refused operation?
    pub refused: Vec<bool>,
    /// Distinct keys written by each operation that was not refused, sorted.
    pub writes: Rows<u32>,
}

const fn pair(key: u32, value: u32) -> u64 {
    (key as u64) << 32 | value as u64
}

impl Table {
    pub fn new(history: &History) -> Table {
        let keys = history.counts().1;
        let mut table = Table {
            first: FxHashMap::with_capacity_and_hasher(history.len(), Default::default()),
            all: Vec::with_capacity(history.len()),
            refused: vec![false; keys],
            writes: Rows::with_capacity(history.len(), history.len()),
        };
        // The write before of the same operation and key: its number among `all`, and how many there were.
        let mut before = vec![(NONE, 0, 0); keys];
        for id in history.ids() {
            let refused = history.operation(id).outcome == Outcome::Refused;
            for step in history.steps(id) {
                let (Step::Write { key, value } | Step::Append { key, value }) = *step else { continue };
                let slot = &mut before[key.0 as usize];
                let at = table.all.len() as u32;
                let nth = if slot.0 == id.0 { slot.2 + 1 } else { 0 };
                if nth > 0 {
                    table.all[slot.1 as usize].last = false;
                } else if !refused {
                    table.writes.push(key.0);
                }
                *slot = (id.0, at, nth);
                table.refused[key.0 as usize] |= refused;
                let first = table.first.entry(pair(key.0, value.0)).or_insert(NONE);
                table.all.push(Written { operation: id.0, place: at, nth, last: true, next: *first });
                *first = at;
            }
            table.writes.open().sort_unstable();
            table.writes.close();
        }
        table
    }

    /// The number of writes.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Where a key stands among all keys that all operations wrote.
    pub fn place_of(&self, operation: u32, key: u32) -> Option<usize> {
        let place = self.writes.of(operation).binary_search(&key).ok()?;
        Some(self.writes.starts[operation as usize] as usize + place)
    }

    /// All writers of a value, later ones first.
    pub fn writers(&self, key: u32, value: u32) -> impl Iterator<Item = Written> + '_ {
        let mut at = self.first.get(&pair(key, value)).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let written = *self.all.get(at as usize)?;
            at = written.next;
            Some(written)
        })
    }
}

/// A resolved history. Transactions are numbered like the operations of the history.
pub(super) struct Log<'a> {
    pub history: &'a History,
    pub table: &'a Table,
    /// Did it take place? Yes, or its outcome is unknown and somebody read what it wrote.
    pub present: Vec<bool>,
    /// Reads from outside, in program order.
    pub reads: Rows<Read>,
    /// By key.
    pub versions: Vec<Versions>,
    /// Sorted; of registers only, whose order of versions is not seen.
    pub followers: Vec<Follower>,
    /// Of lists only, by key: who showed how much of it.
    pub shown: Vec<Vec<list::Shown>>,
    /// Of lists only, by place of the key: how many appends were shown.
    pub counted: Vec<u32>,
    /// Of lists only: was this append shown?
    pub used: Vec<bool>,
    faults: [Option<Fault>; 3],
}

impl<'a> Log<'a> {
    pub fn new(history: &'a History, table: &'a Table, choice: &mut Choice, rules: Rules) -> Log<'a> {
        let present = history.operations().iter().map(|operation| operation.outcome == Outcome::Done).collect();
        let mut log = Log {
            history,
            table,
            present,
            reads: Rows::with_capacity(history.len(), history.len()),
            versions: Vec::new(),
            followers: Vec::new(),
            shown: Vec::new(),
            counted: Vec::new(),
            used: Vec::new(),
            faults: [None, None, None],
        };
        if history.object() == Object::ListAppend {
            list::resolve(&mut log, choice, rules);
        } else {
            register::resolve(&mut log, choice, rules);
        }
        log
    }

    /// Something is wrong; the first of its kind is kept.
    pub fn fault(&mut self, breaks: Breaks, anomaly: Anomaly, operations: &[u32]) {
        let slot = &mut self.faults[breaks as usize];
        if slot.is_none() {
            *slot = Some(Fault { anomaly, operations: operations.to_vec(), edges: Vec::new() });
        }
    }

    /// The worst fault that breaks a model which forbids these.
    pub fn worst(&self, forbidden: Breaks) -> Option<&Fault> {
        self.faults[..=forbidden as usize].iter().flatten().next()
    }

    pub fn is_done(&self, transaction: u32) -> bool {
        self.history.operation(Id(transaction)).outcome == Outcome::Done
    }

    /// Distinct keys that it wrote, sorted.
    pub fn writes(&self, transaction: u32) -> &[u32] {
        self.table.writes.of(transaction)
    }

    pub fn wrote(&self, transaction: u32, key: u32) -> bool {
        self.writes(transaction).binary_search(&key).is_ok()
    }

    /// A transaction that took place saw two states of one key.
    pub fn check_repeatable(&mut self, transaction: u32, seen: &mut [(u32, u32)]) {
        let mut found = None;
        for read in self.reads.of(transaction) {
            let slot = &mut seen[read.key as usize];
            if slot.0 == transaction && slot.1 != read.from {
                found = Some((slot.1, read.from));
            }
            *slot = (transaction, read.from);
        }
        if found.is_some() {
            self.fault(Breaks::Atomic, Anomaly::NonRepeatableRead, &[transaction]);
        }
    }

    /// These transactions and all whose writes they read, directly or over others, by begin.
    pub fn closure(&self, seeds: &[u32]) -> Vec<Id> {
        let mut within = vec![false; self.history.len()];
        let mut found: Vec<u32> = Vec::new();
        let mut add = |transaction: u32, found: &mut Vec<u32>| {
            if !std::mem::replace(&mut within[transaction as usize], true) {
                found.push(transaction);
            }
        };
        for &seed in seeds {
            add(seed, &mut found);
        }
        let mut at = 0;
        while let Some(&transaction) = found.get(at) {
            at += 1;
            if !self.is_done(transaction) {
                continue;
            }
            for step in self.history.steps(Id(transaction)) {
                match *step {
                    Step::Read { key, value: Some(value) } => {
                        for writer in self.table.writers(key.0, value.0) {
                            add(writer.operation, &mut found);
                        }
                    }
                    Step::ReadList { key, list: Some(list) } => {
                        for value in self.history.list(list) {
                            for writer in self.table.writers(key.0, value.0) {
                                add(writer.operation, &mut found);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        found.sort_unstable();
        found.into_iter().map(Id).collect()
    }
}
