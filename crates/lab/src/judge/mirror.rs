//! What the judge remembers of the log of one node, also of entries that the node has compacted since the last look.

use crate::digest::Digest;
use quorate_core::consensus::Log;
use std::collections::VecDeque;

/// Terms and hashes of consecutive entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    base: u64,
    entries: VecDeque<(u64, u64)>,
}

impl Mirror {
    pub fn last(&self) -> u64 {
        self.base + self.entries.len() as u64
    }
    /// Term and hash of an entry.
    pub fn entry(&self, index: u64) -> Option<(u64, u64)> {
        self.entries.get(index.checked_sub(self.base + 1)? as usize).copied()
    }
    /// Is the log as it was?
    pub fn is_current(&self, log: &Log) -> bool {
        let last = log.last();
        let same_end = self.entry(last.index).map_or(self.entries.is_empty(), |(term, _)| term == last.term);
        self.base == log.base().index && self.last() == last.index && same_end
    }
    /// Follows the log: returns the index after which entries are new. Compacted entries stay until [`Mirror::compact`].
    pub fn follow(&mut self, log: &Log) -> u64 {
        let mut keep = self.last().min(log.last().index);
        let floor = self.base.max(log.base().index);
        while keep > floor && self.entry(keep).map(|(term, _)| term) != log.term_at(keep) {
            keep -= 1;
        }
        let unknown = self.entry(keep).is_some_and(|(term, _)| log.term_at(keep) != Some(term));
        if keep < log.base().index || unknown {
            // What the log held between its old end and its new base was never seen.
            keep = log.base().index;
            (self.base, self.entries) = (keep, VecDeque::new());
        }
        self.entries.truncate((keep - self.base) as usize);
        for index in keep + 1..=log.last().index {
            if let Some(entry) = log.entry(index) {
                self.entries.push_back((entry.term, Digest::of(entry)));
            }
        }
        keep
    }
    pub fn compact(&mut self, log: &Log) {
        while self.base < log.base().index && self.entries.pop_front().is_some() {
            self.base += 1;
        }
    }
}
