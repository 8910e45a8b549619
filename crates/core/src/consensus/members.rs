//! Who belongs to a group: a value with its laws, and the memberships along a log.
//!
//! A change of voters goes over a joint membership (thesis §4.3). While it lasts, elections, commits and read rounds
//! need a majority of the voters that are left behind and one of those that come. So at no moment can a majority of the
//! old voters and a majority of the new ones decide without each other, whichever node has heard of what. A group uses
//! the latest membership in its log, committed or not: waiting for the commit would leave it open which majority commits.

use super::majority;
use crate::guarantee::{NodeSet, Voters};
use crate::machine::NodeId;
use crate::mutant::{Mutant, Mutants};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Who belongs to a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Members {
    /// Those whose votes and acknowledgements count.
    pub voters: NodeSet,
    /// The voters that are left behind, which count as a second half. Empty unless the membership is joint.
    pub outgoing: NodeSet,
    /// Those that get the log and never count, unless they are also among the outgoing.
    pub learners: NodeSet,
}

/// A membership that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// The next voters.
    pub voters: NodeSet,
    /// The next learners.
    pub learners: NodeSet,
}

impl Change {
    /// Is it one that a group can have: at least one voter, and nobody both voter and learner?
    pub fn is_possible(self) -> bool {
        !self.voters.is_empty() && self.voters.intersection(self.learners).is_empty()
    }
}

impl Members {
    /// A group of voters.
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Members {
        Members { voters: voters.into_iter().collect(), ..Members::default() }
    }
    /// Is a change of voters on its way?
    pub fn is_joint(self) -> bool {
        !self.outgoing.is_empty()
    }
    /// Does the node count, in one half or both?
    pub fn is_voter(self, node: NodeId) -> bool {
        self.counted().all().contains(node)
    }
    /// Does the node belong to the group?
    pub fn contains(self, node: NodeId) -> bool {
        self.all().contains(node)
    }
    /// All that get the log.
    pub fn all(self) -> NodeSet {
        self.counted().all().union(self.learners)
    }
    /// The voters of both halves, as receipts count them.
    pub fn counted(self) -> Voters {
        Voters { now: self.voters, outgoing: self.outgoing }
    }

    /// The first step of a change: joint, unless the voters stay as they are.
    pub(super) fn toward(self, next: Change) -> Members {
        let outgoing = if next.voters == self.voters { NodeSet::default() } else { self.voters };
        Members { voters: next.voters, outgoing, learners: next.learners }
    }
    /// The last step of a change.
    pub(super) fn settled(self) -> Members {
        Members { outgoing: NodeSet::default(), ..self }
    }

    /// Are these nodes a majority of each half?
    pub(super) fn has_majority(self, nodes: NodeSet, mutants: Mutants) -> bool {
        self.halves(mutants).all(|(needed, half)| nodes.intersection(half).len() >= needed)
    }
    /// The greatest value that a majority of each half has reached.
    pub(super) fn reached(self, value: impl Fn(NodeId) -> u64, mutants: Mutants) -> u64 {
        let reached = |(needed, half): (usize, NodeSet)| {
            majority::reached(&mut half.iter().map(&value).collect::<Vec<u64>>(), needed)
        };
        self.halves(mutants).map(reached).min().unwrap_or(0)
    }

    /// Each half, and how many of it are needed.
    fn halves(self, mutants: Mutants) -> impl Iterator<Item = (usize, NodeSet)> {
        let skipped = mutants.has(Mutant::JointQuorumSkipped);
        let halves = [self.voters, if skipped { NodeSet::default() } else { self.outgoing }];
        halves.into_iter().filter(|half| !half.is_empty()).map(move |half| {
            let counts = if mutants.has(Mutant::LearnerCounts) { half.union(self.learners) } else { half };
            (majority::needed(half.len(), mutants), counts)
        })
    }
}

/// The memberships along a log: the one at its base, and those of its entries.
#[derive(Clone, Debug)]
pub(super) struct Memberships {
    base: Members,
    later: VecDeque<(u64, Members)>,
}

impl Memberships {
    pub(super) fn new(base: Members) -> Memberships {
        Memberships { base, later: VecDeque::new() }
    }
    /// The membership at the base of the log.
    pub(super) fn base(&self) -> Members {
        self.base
    }
    /// The latest one, and the index of its entry; none for that of the base.
    pub(super) fn latest(&self) -> (Option<u64>, Members) {
        self.later.back().map_or((None, self.base), |&(index, members)| (Some(index), members))
    }
    /// The one that was the latest at an index, which must not be before the base.
    pub(super) fn at(&self, index: u64) -> Members {
        let before = self.later.iter().rev().find(|(at, _)| *at <= index);
        before.map_or(self.base, |(_, members)| *members)
    }
    /// An entry brought one.
    pub(super) fn push(&mut self, index: u64, members: Members) {
        self.later.push_back((index, members));
    }
    /// The entries from an index on are gone, and so are their memberships.
    pub(super) fn truncate(&mut self, index: u64) {
        self.later.retain(|(at, _)| *at < index);
    }
    /// The base moves to an index. True if its membership is another one.
    pub(super) fn compact(&mut self, index: u64) -> bool {
        let before = self.base;
        while let Some(&(at, members)) = self.later.front()
            && at <= index
        {
            self.base = members;
            self.later.pop_front();
        }
        self.base != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nodes: &[u16]) -> NodeSet {
        nodes.iter().copied().map(NodeId).collect()
    }

    /// All sets of nodes 1 to 5.
    fn sets() -> impl Iterator<Item = NodeSet> {
        (0..32_u16).map(|bits| (1..=5).filter(|node| bits & (1 << (node - 1)) != 0).map(NodeId).collect())
    }

    /// The law that makes a change safe: each step of it shares a node with the one before, in any two majorities.
    #[test]
    fn any_majorities_of_neighbouring_memberships_share_a_node() {
        let none = Mutants::none();
        for old in sets().filter(|set| !set.is_empty()) {
            for new in sets().filter(|set| !set.is_empty()) {
                let before = Members { voters: old, ..Members::default() };
                let joint = before.toward(Change { voters: new, learners: NodeSet::default() });
                let after = joint.settled();
                assert_eq!((after.voters, after.is_joint(), joint.is_joint()), (new, false, old != new));
                let wins = |members: Members| sets().filter(move |nodes| members.has_majority(*nodes, none));
                for joint in wins(joint) {
                    for other in wins(before).chain(wins(after)) {
                        assert!(!joint.intersection(other).is_empty(), "{old:?} to {new:?}: {joint:?} and {other:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_majority_reached_is_what_a_majority_of_each_half_reached() {
        let none = Mutants::none();
        let learners = set(&[5]);
        for members in [
            Members { voters: set(&[1, 2, 3]), learners, ..Members::default() },
            Members { voters: set(&[1, 2, 3]), outgoing: set(&[3, 4]), learners },
            Members { voters: set(&[1]), outgoing: set(&[2, 3, 4]), learners },
            Members { voters: set(&[1, 2]), outgoing: set(&[3, 4, 5]), learners },
        ] {
            for there in sets() {
                let value = |node| if there.contains(node) { 7 } else { 3 };
                let expected = if members.has_majority(there, none) { 7 } else { 3 };
                assert_eq!(members.reached(value, none), expected, "{members:?} {there:?}");
            }
        }
    }

    #[test]
    fn a_learner_never_counts_and_one_of_the_outgoing_does() {
        let none = Mutants::none();
        let members = Members { voters: set(&[1, 2, 3]), outgoing: NodeSet::default(), learners: set(&[4]) };
        assert!(!members.has_majority(set(&[1, 4]), none) && members.has_majority(set(&[1, 3]), none));
        assert!(members.contains(NodeId(4)) && !members.is_voter(NodeId(4)));
        let joint = Members { voters: set(&[1]), outgoing: set(&[1, 2, 4]), learners: set(&[4]) };
        assert!(joint.has_majority(set(&[1, 4]), none) && joint.is_voter(NodeId(4)));
        assert!(!joint.settled().is_voter(NodeId(4)) && joint.settled().contains(NodeId(4)));
    }

    #[test]
    fn a_change_needs_voters_and_one_part_for_each_node() {
        let possible =
            |voters: &[u16], learners: &[u16]| Change { voters: set(voters), learners: set(learners) }.is_possible();
        assert!(possible(&[1], &[]) && possible(&[1, 2], &[3]));
        assert!(!possible(&[], &[1]) && !possible(&[1, 2], &[2]));
    }

    #[test]
    fn the_latest_membership_comes_and_goes_with_its_entry() {
        let (a, b, c) = (Members::of([NodeId(1)]), Members::of([NodeId(2)]), Members::of([NodeId(3)]));
        let mut log = Memberships::new(a);
        assert_eq!(log.latest(), (None, a));
        log.push(4, b);
        log.push(9, c);
        assert_eq!((log.latest(), log.at(3), log.at(8), log.at(9)), ((Some(9), c), a, b, c));
        log.truncate(9);
        assert_eq!(log.latest(), (Some(4), b));
        log.truncate(4);
        assert_eq!(log.latest(), (None, a));
        log.push(4, b);
        log.push(9, c);
        assert!(!log.compact(3));
        assert!(log.compact(4));
        assert_eq!((log.base(), log.latest(), log.at(5)), (b, (Some(9), c), b));
    }
}
