//! The keys of logs: a prefix and a number that rises. They are kept in queues, not in the ordered map.
//!
//! Entries of a log are written upwards and deleted from below, seldom overwritten, and read only at a start. A queue
//! does that without a search. And since they die before long, they are not worth a place in the base: the journal
//! alone holds them, so a queue knows in which segment of the journal its oldest entry is.

use bytes::Bytes;
use quorate_core::store::drawer;
use std::collections::{BTreeMap, VecDeque};

/// Bytes of a prefix: `[drawer, group, group, kind]`.
const PREFIX_BYTES: usize = 4;
/// Bytes of a key: a prefix and a number.
const KEY_BYTES: usize = PREFIX_BYTES + 8;
/// Bytes of memory that an entry is taken to need besides its value.
const ENTRY_BYTES: usize = 80;

type Prefix = [u8; PREFIX_BYTES];
type RunKey = [u8; KEY_BYTES];

/// Could this be the key of a log?
pub(super) fn is_log_key(key: &[u8]) -> bool {
    key.len() == KEY_BYTES && key[0] == drawer::CONSENSUS
}

fn parse(key: &[u8]) -> Option<(Prefix, u64, RunKey)> {
    let key: RunKey = key.try_into().ok().filter(|key: &RunKey| is_log_key(key))?;
    let (prefix, number) = key.split_first_chunk().expect("a key is longer than its prefix");
    Some((*prefix, u64::from_be_bytes(number.try_into().expect("eight bytes")), key))
}

/// A pair in the shape in which the overlay hands out pairs: the value is always there.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) key: RunKey,
    pub(super) value: Option<Bytes>,
}

impl Pair {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// Consecutive entries under one prefix, none of which is in an older layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    first: u64,
    /// `None` where an entry was deleted between others.
    entries: VecDeque<Option<Pair>>,
    /// Entries from this number on are in this segment of the journal or in later ones.
    segments: VecDeque<(u64, u64)>,
    bytes: usize,
}

impl Run {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn place(&mut self, number: u64) -> Option<&mut Option<Pair>> {
        self.entries.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn push(&mut self, number: u64, pair: Pair, segment: u64) {
        if self.entries.is_empty() {
            self.first = number;
            self.segments.clear();
        }
        if self.segments.back().is_none_or(|(_, last)| *last < segment) {
            self.segments.push_back((number, segment));
        }
        self.bytes += pair.bytes();
        self.entries.push_back(Some(pair));
    }

    fn remove(&mut self, number: u64) -> bool {
        let Some(pair) = self.place(number).and_then(Option::take) else { return false };
        self.bytes -= pair.bytes();
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        while let Some(None) = self.entries.back() {
            self.entries.pop_back();
        }
        while self.segments.get(1).is_some_and(|(from, _)| *from <= self.first) {
            self.segments.pop_front();
        }
        while self.segments.back().is_some_and(|(from, _)| *from >= self.end()) {
            self.segments.pop_back();
        }
        true
    }

    /// The segment of the journal that its oldest entry needs.
    fn oldest_segment(&self) -> Option<u64> {
        self.segments.front().map(|(_, segment)| *segment)
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.entries.iter().flatten()
    }
}

/// All runs of a layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    by_prefix: BTreeMap<Prefix, Run>,
    bytes: usize,
}

impl Runs {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        let (prefix, number, _) = parse(key)?;
        let run = self.by_prefix.get(&prefix)?;
        let at = usize::try_from(number.checked_sub(run.first)?).ok()?;
        run.entries.get(at)?.as_ref().map(|pair| &pair.value)
    }

    /// Writes a pair that is here already, or appends one that follows the last and that `may_append`. False when it is
    /// not for a run.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], segment: u64, may_append: impl FnOnce() -> bool) -> bool {
        let Some((prefix, number, key)) = parse(key) else { return false };
        let run = self.by_prefix.entry(prefix).or_default();
        let pair = || Pair { key, value: Some(Bytes::copy_from_slice(value)) };
        if let Some(place) = run.place(number) {
            let Some(old) = place else { return false };
            let (before, new) = (old.bytes(), pair());
            let after = new.bytes();
            *old = new;
            run.bytes = run.bytes - before + after;
            self.bytes = self.bytes - before + after;
            return true;
        }
        let appends = (run.entries.is_empty() || number == run.end()) && may_append();
        if appends {
            let pair = pair();
            self.bytes += pair.bytes();
            run.push(number, pair, segment);
        }
        appends
    }

    /// Removes a pair. False when it is not in a run.
    pub(super) fn delete(&mut self, key: &[u8]) -> bool {
        let Some((prefix, number, _)) = parse(key) else { return false };
        let Some(run) = self.by_prefix.get_mut(&prefix) else { return false };
        let before = run.bytes;
        let found = run.remove(number);
        self.bytes -= before - run.bytes;
        found
    }

    /// The pairs with `from <= key`, and with `key < until` if there is such a bound, in order.
    pub(super) fn range<'a>(&'a self, from: &'a [u8], until: Option<&'a [u8]>) -> impl Iterator<Item = &'a Pair> {
        let mut first = Prefix::default();
        let known = from.len().min(PREFIX_BYTES);
        first[..known].copy_from_slice(&from[..known]);
        let runs = self.by_prefix.range(first..);
        let runs = runs.take_while(move |(prefix, _)| until.is_none_or(|until| prefix.as_slice() < until));
        let pairs = runs.flat_map(|(_, run)| run.pairs());
        let pairs = pairs.skip_while(move |pair| pair.key.as_slice() < from);
        pairs.take_while(move |pair| until.is_none_or(|until| pair.key.as_slice() < until))
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first segment of the journal that any entry needs.
    pub(super) fn oldest_segment(&self) -> Option<u64> {
        self.by_prefix.values().filter_map(Run::oldest_segment).min()
    }

    /// Takes out the runs that need a segment of the journal before `keep_from`, and as many of the others, those with
    /// the oldest entries first, that the rest needs at most `keep_bytes` of memory.
    pub(super) fn take_old(&mut self, keep_from: u64, keep_bytes: usize) -> Vec<Run> {
        self.by_prefix.retain(|_, run| !run.entries.is_empty());
        let mut order: Vec<(u64, Prefix)> =
            self.by_prefix.iter().filter_map(|(prefix, run)| Some((run.oldest_segment()?, *prefix))).collect();
        order.sort_unstable();
        let mut taken = Vec::new();
        for (segment, prefix) in order {
            if segment >= keep_from && self.bytes <= keep_bytes {
                break;
            }
            if let Some(run) = self.by_prefix.remove(&prefix) {
                self.bytes -= run.bytes;
                taken.push(run);
            }
        }
        taken
    }
}
