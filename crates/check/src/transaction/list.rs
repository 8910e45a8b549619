//! Transactions of `Append` and `ReadList`: the lists show the order of versions (Kingsbury and Alvaro, *Elle*, 2020).
//!
//! What only refused operations appended is an aborted read (G1a) and is taken out of the lists before anything else is
//! concluded. A read behind own appends ends with these; the rest of it was read from outside. All lists of a key are
//! prefixes of the longest one. What was appended and never shown comes behind all that was shown, in any order, because the
//! longest list would have shown it otherwise.

use super::Rules;
use super::choice::Choice;
use super::log::{Breaks, INITIAL, Log, NONE, Read, Versions, Written};
use crate::{Anomaly, Id, Outcome, Step, Value};

/// A list that an operation read, own appends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shown {
    /// The number of elements.
    pub length: u32,
    pub reader: u32,
}

/// A list as read, without what was refused.
struct Seen {
    reader: u32,
    key: u32,
    /// Among the elements of all lists.
    from: u32,
    to: u32,
    /// Of these were appended by the reader itself before it read.
    own: u32,
}

/// The longest list of a key.
#[derive(Clone, Debug, Default)]
struct Longest {
    from: usize,
    to: usize,
    reader: u32,
}

/// An element of the longest list.
#[derive(Clone, Copy, Debug)]
struct Element {
    writer: u32,
    /// The number of transactions in the order of versions up to here.
    version: u32,
    /// Is it the last append of its writer to the key?
    last: bool,
}

pub(super) fn resolve(log: &mut Log<'_>, choice: &mut Choice, rules: Rules) {
    let keys = log.history.counts().1;
    log.counted = vec![0; log.table.writes.len()];
    log.used = vec![false; log.table.len()];
    let mut elements: Vec<Value> = Vec::new();
    let seen = look(log, &mut elements);
    let mut longest = vec![Longest::default(); keys];
    for list in &seen {
        let best = &mut longest[list.key as usize];
        if (list.to - list.from) as usize > best.to - best.from {
            *best = Longest { from: list.from as usize, to: list.to as usize, reader: list.reader };
        }
    }
    log.shown = vec![Vec::new(); keys];
    for list in &seen {
        let best = &longest[list.key as usize];
        let (from, to) = (list.from as usize, list.to as usize);
        if elements[from..to] == elements[best.from..best.from + (to - from)] {
            log.shown[list.key as usize].push(Shown { length: (to - from) as u32, reader: list.reader });
        } else {
            log.fault(Breaks::Everything, Anomaly::IncompatibleOrder, &[best.reader, list.reader]);
        }
    }
    let mut rows = vec![0..0; keys];
    let mut known: Vec<Element> = Vec::new();
    for (key, best) in longest.iter().enumerate() {
        let start = known.len();
        order(log, choice, rules, key as u32, &elements[best.from..best.to], &mut known);
        rows[key] = start..known.len();
    }
    finish_versions(log, &known, &rows);
    read_all(log, &seen, &known, &rows);
}

/// All lists that were read by operations that took place.
fn look(log: &mut Log<'_>, elements: &mut Vec<Value>) -> Vec<Seen> {
    let history = log.history;
    let mut own: Vec<(u32, u32)> = vec![(NONE, 0); history.counts().1];
    let mut seen = Vec::new();
    for id in history.ids().filter(|&id| history.operation(id).outcome == Outcome::Done) {
        let steps = history.steps(id);
        for (at, step) in steps.iter().enumerate() {
            match *step {
                Step::Append { key, .. } => {
                    let slot = &mut own[key.0 as usize];
                    *slot = (id.0, if slot.0 == id.0 { slot.1 + 1 } else { 1 });
                }
                Step::ReadList { key, list: Some(list) } => {
                    let from = elements.len() as u32;
                    keep(log, elements, id.0, key.0, history.list(list));
                    let (writer, count) = own[key.0 as usize];
                    let own = if writer == id.0 { count } else { 0 };
                    let mine = steps[..at].iter().rev().filter_map(|step| match *step {
                        Step::Append { key: of, value } if of == key => Some(value),
                        _ => None,
                    });
                    let shown = elements[from as usize..].iter().rev().copied();
                    let own = if own > 0 && !mine.take(own as usize).eq(shown.take(own as usize)) {
                        log.fault(Breaks::Everything, Anomaly::Internal, &[id.0]);
                        0
                    } else {
                        own
                    };
                    seen.push(Seen { reader: id.0, key: key.0, from, to: elements.len() as u32, own });
                }
                _ => {}
            }
        }
    }
    seen
}

/// Keeps the elements of a list that were not refused.
fn keep(log: &mut Log<'_>, elements: &mut Vec<Value>, reader: u32, key: u32, list: &[Value]) {
    if !log.table.refused[key as usize] {
        elements.extend_from_slice(list);
        return;
    }
    let (table, history) = (log.table, log.history);
    let is_refused = |operation: u32| history.operation(Id(operation)).outcome == Outcome::Refused;
    for &value in list {
        let mut writers = table.writers(key, value.0).peekable();
        if writers.peek().is_some() && writers.all(|written| is_refused(written.operation)) {
            log.fault(Breaks::Committed, Anomaly::AbortedRead, &[reader]);
        } else {
            elements.push(value);
        }
    }
}

/// Who wrote the elements of the longest list.
fn order(log: &mut Log<'_>, choice: &mut Choice, rules: Rules, key: u32, list: &[Value], known: &mut Vec<Element>) {
    let start = known.len();
    let (table, history) = (log.table, log.history);
    let takes_part = |operation: u32| match history.operation(Id(operation)).outcome {
        Outcome::Done => true,
        Outcome::Unknown => rules.unknown_writes,
        Outcome::Refused => false,
    };
    let mut version = 0;
    let mut missing = None;
    for (at, &value) in list.iter().enumerate() {
        let all = || table.writers(key, value.0).filter(|written| takes_part(written.operation));
        let free = || all().filter(|written| !log.used[written.place as usize]);
        let (first, count) = (free().next(), free().count());
        let written = match first {
            None => {
                let anomaly = if all().next().is_some() { Anomaly::DuplicateElement } else { Anomaly::ReadFromNowhere };
                let reader = log.shower(key, at as u32 + 1);
                log.fault(Breaks::Everything, anomaly, &[reader]);
                return;
            }
            Some(only) if count == 1 => only,
            Some(first) => free().nth(choice.among(count, None)).unwrap_or(first),
        };
        let writer = written.operation;
        log.present[writer as usize] = true;
        log.used[written.place as usize] = true;
        let is_new = known[start..].last().is_none_or(|before| before.writer != writer);
        version += u32::from(is_new);
        known.push(Element { writer, version, last: written.last });
        let counted = &mut log.counted[table.place_of(writer, key).expect("it appended to the key")];
        if *counted != written.nth {
            missing = missing.or(Some((at as u32, writer, *counted)));
        }
        *counted += 1;
    }
    // The appends of one transaction to one key are shown in its order, from the first on.
    if let Some((at, writer, nth)) = missing {
        let is_it = |written: Written| (written.operation, written.nth) == (writer, nth);
        let comes_later = list.iter().any(|value| table.writers(key, value.0).any(is_it));
        let anomaly = if comes_later { Anomaly::IncompatibleOrder } else { Anomaly::FracturedRead };
        let reader = log.shower(key, if comes_later { list.len() as u32 } else { at + 1 });
        log.fault(Breaks::Everything, anomaly, &[reader, writer]);
    }
}

impl Log<'_> {
    /// The reader of the shortest list of a key that has this many elements or more.
    pub fn shower(&self, key: u32, length: u32) -> u32 {
        let shown = self.shown[key as usize].iter().filter(|shown| shown.length >= length);
        shown.min().expect("an element that is known was shown").reader
    }
}

/// Orders and tails of all keys.
fn finish_versions(log: &mut Log<'_>, known: &[Element], rows: &[std::ops::Range<usize>]) {
    let mut versions = vec![Versions::default(); rows.len()];
    for (key, row) in rows.iter().enumerate() {
        let Versions { order, lengths, .. } = &mut versions[key];
        for (at, element) in known[row.clone()].iter().enumerate() {
            if order.last() != Some(&element.writer) {
                order.push(element.writer);
                lengths.push(0);
            }
            *lengths.last_mut().expect("there is one for each writer") = at as u32 + 1;
        }
    }
    // An operation that showed all its appends to a key has no place behind; one that ends the order needs none.
    let mut all_shown = vec![false; log.table.writes.len()];
    for (key, row) in rows.iter().enumerate() {
        for element in known[row.clone()].iter().filter(|element| element.last) {
            all_shown[log.table.place_of(element.writer, key as u32).expect("it appended to the key")] = true;
        }
    }
    for transaction in 0..log.history.len() as u32 {
        if !log.present[transaction as usize] {
            continue;
        }
        for &key in log.writes(transaction) {
            let place = log.table.place_of(transaction, key).expect("it appended to the key");
            let of_key = &mut versions[key as usize];
            if !all_shown[place] && of_key.order.last() != Some(&transaction) {
                of_key.tail.push(transaction);
            }
        }
    }
    log.versions = versions;
}

/// What each operation read from outside.
fn read_all(log: &mut Log<'_>, seen: &[Seen], known: &[Element], rows: &[std::ops::Range<usize>]) {
    let mut at = 0;
    let mut last_seen = vec![(NONE, 0); rows.len()];
    for reader in 0..log.history.len() as u32 {
        while let Some(list) = seen.get(at).filter(|list| list.reader == reader) {
            at += 1;
            let of_key = &known[rows[list.key as usize].clone()];
            let length = (list.to - list.from - list.own) as usize;
            if of_key.len() < length + list.own as usize {
                continue; // There was a fault.
            }
            let is_own = |element: &Element| element.writer == reader;
            if log.wrote(reader, list.key) && of_key[..length].iter().any(is_own) {
                log.fault(Breaks::Everything, Anomaly::ReadFromFuture, &[reader]);
            }
            if !of_key[length..].iter().take(list.own as usize).all(is_own) {
                log.fault(Breaks::Everything, Anomaly::Internal, &[reader]);
            }
            let Some(element) = of_key[..length].last().copied() else {
                log.reads.push(Read { key: list.key, from: INITIAL, version: 0 });
                continue;
            };
            if !element.last {
                log.fault(Breaks::Committed, Anomaly::IntermediateRead, &[reader]);
            }
            log.reads.push(Read { key: list.key, from: element.writer, version: element.version });
        }
        log.reads.close();
        log.check_repeatable(reader, &mut last_seen);
    }
}
