//! The log of a group: the retained entries in memory, the same entries on disk.
//!
//! Memory holds exactly what the disk holds, so nothing is read back before a restart; both are bounded by compaction.

use super::Cx;
use super::members::{Members, Memberships};
use super::message::{Entry, Payload, Point};
use crate::limits;
use crate::mutant::{Mutant, Mutants};
use crate::store::{View, after_prefix, drawer};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

/// The log of one group.
#[derive(Clone, Debug)]
pub struct Log {
    group: u16,
    /// The entry before the first retained one.
    base: Point,
    entries: VecDeque<Entry>,
    bytes: usize,
    memberships: Memberships,
    /// Forgotten entries that are still on the disk.
    garbage: Range<u64>,
    mutants: Mutants,
}

fn key(group: u16, kind: u8) -> [u8; 4] {
    let [high, low] = group.to_be_bytes();
    [drawer::CONSENSUS, high, low, kind]
}

/// Key of a single record of the group in the consensus drawer.
pub(super) fn record_key(group: u16, kind: u8) -> [u8; 4] {
    key(group, kind)
}

fn entry_key(group: u16, index: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&key(group, b'l'));
    bytes[4..].copy_from_slice(&index.to_be_bytes());
    bytes
}

const ENTRY_VERSION: u8 = 1;

fn encode(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entry.size() + 8);
    bytes.push(ENTRY_VERSION);
    postcard::to_extend(entry, bytes).expect("entries always encode")
}

fn decode(bytes: &[u8]) -> Entry {
    let (version, body) = bytes.split_first().expect("an entry on disk is not empty");
    assert_eq!(*version, ENTRY_VERSION, "a log entry on disk is of another version");
    postcard::from_bytes(body).expect("an entry on disk decodes: the disk checks its frames")
}

impl Log {
    /// Loads the log that survived. The first members are those before any entry.
    pub(super) fn boot(group: u16, first: Members, mutants: Mutants, disk: &dyn View) -> Log {
        let base: Point = disk
            .get(&key(group, b'b'))
            .map(|bytes| postcard::from_bytes(&bytes).expect("a log base on disk decodes"))
            .unwrap_or_default();
        let members: Members = disk
            .get(&key(group, b'm'))
            .map(|bytes| postcard::from_bytes(&bytes).expect("a membership on disk decodes"))
            .unwrap_or(first);
        let memberships = Memberships::new(members);
        let mut log = Log { group, base, entries: VecDeque::new(), bytes: 0, memberships, garbage: 0..0, mutants };
        let prefix = key(group, b'l');
        disk.scan(&prefix, &after_prefix(&prefix), &mut |key, value| {
            let index = u64::from_be_bytes(key[4..].try_into().expect("a log key ends with its index"));
            if index <= base.index {
                log.garbage.start = if log.garbage.is_empty() { index } else { log.garbage.start };
                log.garbage.end = index + 1;
            } else {
                assert_eq!(index, log.last().index + 1, "the log on disk has a hole");
                log.push(decode(value));
            }
            true
        });
        log
    }

    /// The entry before the first retained one.
    pub fn base(&self) -> Point {
        self.base
    }
    /// The last entry; the base when nothing is retained.
    pub fn last(&self) -> Point {
        match self.entries.back() {
            Some(entry) => Point { term: entry.term, index: self.base.index + self.entries.len() as u64 },
            None => self.base,
        }
    }
    /// The retained entry at an index.
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        self.entries.get(index.checked_sub(self.base.index + 1)? as usize)
    }
    /// The term at an index, if it is the base or retained.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.index { Some(self.base.term) } else { self.entry(index).map(|entry| entry.term) }
    }
    /// The latest membership, committed or not.
    pub fn members(&self) -> Members {
        self.memberships.latest().1
    }
    /// Where the latest membership stands; the base when it stands there or before.
    pub fn members_index(&self) -> u64 {
        self.memberships.latest().0.unwrap_or(self.base.index)
    }
    /// The membership at an index from the base on.
    pub(super) fn members_at(&self, index: u64) -> Members {
        self.memberships.at(index)
    }
    /// Bytes of the retained entries.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    /// The last entry not after `index` whose term is not after `term`: where two logs may agree. `None` when that is
    /// before the base.
    pub(super) fn agreement(&self, index: u64, term: u64) -> Option<Point> {
        let last = index.min(self.last().index);
        let at = (self.base.index..=last).rev().find(|&at| self.term_at(at).is_some_and(|here| here <= term))?;
        Some(Point { term: self.term_at(at)?, index: at })
    }

    pub(super) fn append(&mut self, cx: &mut Cx<'_>, entry: Entry) -> u64 {
        let index = self.last().index + 1;
        cx.put(&entry_key(self.group, index), &encode(&entry));
        self.push(entry);
        index
    }

    /// Removes the entries from `index` on.
    pub(super) fn truncate(&mut self, cx: &mut Cx<'_>, index: u64) {
        while self.last().index >= index && !self.entries.is_empty() {
            cx.delete(&entry_key(self.group, self.last().index));
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= entry.size();
            }
        }
        if !self.mutants.has(Mutant::MemberChangeNotTruncated) {
            self.memberships.truncate(index);
        }
    }

    /// Forgets the entries up to `index`; they leave the disk piece by piece.
    pub(super) fn compact(&mut self, cx: &mut Cx<'_>, index: u64) {
        let Some(term) = self.term_at(index) else { return };
        if index <= self.base.index {
            return;
        }
        self.discard(self.base.index + 1..index + 1);
        while self.base.index < index {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes -= entry.size();
                self.base = Point { term: entry.term, index: self.base.index + 1 };
            }
        }
        self.base.term = term;
        self.write_base(cx);
        if self.memberships.compact(index) {
            self.write_members(cx);
        }
    }

    /// Starts over after a snapshot at `at`, with the members of that position, keeping what follows it if the log
    /// agrees there.
    pub(super) fn restart(&mut self, cx: &mut Cx<'_>, at: Point, members: Members) {
        if self.term_at(at.index) == Some(at.term) {
            self.compact(cx, at.index);
            return;
        }
        self.truncate(cx, self.base.index + 1);
        self.base = at;
        self.write_base(cx);
        let same = self.memberships.base() == members;
        self.memberships = Memberships::new(members);
        if !same {
            self.write_members(cx);
        }
    }

    /// Is there something for [`Log::delete_some`] to do?
    pub(super) fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }

    /// Deletes a bounded number of forgotten entries from the disk.
    pub(super) fn delete_some(&mut self, cx: &mut Cx<'_>) {
        let end = self.garbage.end.min(self.garbage.start + limits::DELETE_PER_STEP as u64);
        for index in self.garbage.start..end {
            cx.delete(&entry_key(self.group, index));
        }
        self.garbage.start = end;
    }

    fn discard(&mut self, indexes: Range<u64>) {
        self.garbage = if self.garbage.is_empty() { indexes } else { self.garbage.start..indexes.end };
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.size();
        if let Payload::Members(members) = entry.payload {
            self.memberships.push(self.last().index + 1, members);
        }
        self.entries.push_back(entry);
    }

    fn write_base(&self, cx: &mut Cx<'_>) {
        let bytes = postcard::to_allocvec(&self.base).expect("points always encode");
        cx.put(&key(self.group, b'b'), &bytes);
    }

    /// The membership of the base. A log that never had another than the first has no such record.
    fn write_members(&self, cx: &mut Cx<'_>) {
        let bytes = postcard::to_allocvec(&self.memberships.base()).expect("memberships always encode");
        cx.put(&key(self.group, b'm'), &bytes);
    }
}
