//! Does each node go by the latest membership in its log, whether it appended it, cut it off, compacted it, got it with a
//! snapshot or found it on its disk?

use quorate_core::consensus::{Group, Members, Payload};
use std::collections::{BTreeMap, BTreeSet};

/// What the judge knows of the members of one group.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Every membership that a node ever went by.
    pub known: BTreeSet<Members>,
    /// Those of entries, by index and term.
    entries: BTreeMap<(u64, u64), Members>,
    /// Those that are committed, by index. The first one has no entry and stands at 0.
    committed: BTreeMap<u64, Members>,
}

/// The latest entry of the log that brings members.
fn latest(group: &Group) -> Option<((u64, u64), Members)> {
    let log = group.log();
    (log.base().index + 1..=log.last().index).rev().find_map(|index| {
        let entry = log.entry(index)?;
        let Payload::Members(members) = entry.payload else { return None };
        Some(((index, entry.term), members))
    })
}

impl Record {
    /// Sees a node whose log or members changed.
    pub fn see(&mut self, group: &Group) {
        self.known.insert(group.members());
        if group.log().last().index == 0 {
            self.committed.entry(0).or_insert(group.members());
        }
        // Where nobody ever saw another, there is nothing to look for.
        if self.known.len() > 1 {
            self.entries.extend(latest(group));
        }
    }

    /// An entry was committed.
    pub fn commit(&mut self, index: u64, term: u64) {
        if let Some(members) = self.entries.get(&(index, term)) {
            self.committed.entry(index).or_insert(*members);
        }
    }

    /// Says what is wrong with the members that a node goes by. All that it has committed must be told before.
    pub fn judge(&self, group: &Group) -> Option<String> {
        if self.known.len() < 2 {
            return None;
        }
        let at_base = || self.committed.range(..=group.log().base().index).next_back().map(|(_, members)| *members);
        let expected = latest(group).map(|(_, members)| members).or_else(at_base)?;
        let members = group.members();
        (expected != members).then(|| format!("goes by {members:?}, and its log says {expected:?}"))
    }
}
