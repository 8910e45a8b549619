//! Read rounds (ReadIndex, thesis §6.4): a leader proves, after a read began, that it still leads.
//!
//! A round has a fresh number, and it is sent only after the reads that wait for it arrived. So an echo of the round
//! proves that a follower still followed at a moment after they began. An answer to an earlier round proves nothing for
//! a later read: accepting one was etcd #20418.

use super::{Group, Part};
use crate::guarantee::NodeSet;
use crate::machine::NodeId;
use crate::mutant::Mutant;

/// What a linearizable read waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTicket {
    /// The term in which this node led.
    pub term: u64,
    /// The round that a majority must echo.
    pub round: u64,
    /// The index that must be applied.
    pub index: u64,
}

impl Group {
    /// Begins a read at the leader. `after_all` makes it wait for every entry that the leader holds, not only for what
    /// is committed. `None` if this node does not lead.
    pub fn read(&mut self, after_all: bool) -> Option<ReadTicket> {
        let mutants = self.config.mutants;
        let last = self.log.last().index;
        let Part::Leader(leading) = &mut self.part else { return None };
        let index = if after_all { last } else { self.commit.max(leading.first) };
        let index = if mutants.has(Mutant::LeaderReadsWithoutRound) { self.commit } else { index };
        let round = if mutants.has(Mutant::LeaderReadsWithoutRound) {
            0
        } else if mutants.has(Mutant::ReadRoundReused) && leading.round > 0 {
            leading.round
        } else {
            leading.round_wanted = true;
            self.due = true;
            leading.round + 1
        };
        Some(ReadTicket { term: self.hard.term, round, index })
    }

    /// The newest round that a majority of the voters echoed.
    pub fn confirmed_round(&self) -> u64 {
        let Part::Leader(leading) = &self.part else { return 0 };
        let echoed = |node: NodeId| match leading.followers.get(&node) {
            _ if node == self.config.node => u64::MAX,
            follower => follower.map_or(0, |follower| follower.round),
        };
        self.log.members().reached(echoed, self.config.mutants).min(leading.round)
    }

    /// The newest round that was sent.
    pub(super) fn read_round(&self) -> u64 {
        let Part::Leader(leading) = &self.part else { return 0 };
        leading.round
    }

    /// The voters that echoed a round, and this node.
    pub fn echoed(&self, round: u64) -> NodeSet {
        let Part::Leader(leading) = &self.part else { return NodeSet::only(self.config.node) };
        let echoed = |node: &NodeId| leading.followers.get(node).is_some_and(|follower| follower.round >= round);
        let voters: NodeSet = self.peers().filter(echoed).collect();
        voters.union(NodeSet::only(self.config.node))
    }
}
