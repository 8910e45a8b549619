//! Who takes part in operations on a range: its replicas, and while it moves, those of the place that it comes from (`catalogue/placed.rs`).

use super::Table;
use super::rule::Rules;
use crate::guarantee::{NodeSet, Tally};
use crate::machine::NodeId;
use crate::mutant::{Mutant, Mutants};
use crate::paxos::Quorum;
use crate::placement::{Placement, Range};
use crate::quorum::Rule;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Where the data of a table come from.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    pub(super) rule: Rule,
    pub(super) placement: Placement,
    /// Replicas there that lost their disk.
    pub(super) blank: NodeSet,
    /// Those who must compare before the movement is over.
    pub(super) awaited: BTreeSet<NodeId>,
}

/// The replicas of one place, and the rule there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) nodes: NodeSet,
    pub(super) rule: Rule,
}

/// Who takes part in operations on a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// All who take writes: first those who are read, the nearest on the ring first.
    pub(super) replicas: Vec<NodeId>,
    /// Who holds what counts: reads ask them, and they coordinate.
    pub(super) readers: NodeSet,
    /// Where the data are to be.
    pub(super) now: Side,
    /// Where they come from, if they move.
    pub(super) from: Option<Side>,
}

/// How many must hold something in each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) now: u8,
    pub(super) from: u8,
}

/// The place that has the fewest to spare: what an operation met is what it met there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weakest {
    pub(super) tally: Tally,
    pub(super) needed: u8,
    pub(super) side: Side,
}

impl Side {
    pub(super) fn replicas(&self) -> usize {
        usize::from(self.rule.replicas())
    }
    fn majority(&self) -> usize {
        self.replicas() / 2 + 1
    }
}

impl Parts {
    fn settled(nodes: &[NodeId], rule: Rule) -> Parts {
        let set: NodeSet = nodes.iter().copied().collect();
        Parts { replicas: nodes.to_vec(), readers: set, now: Side { nodes: set, rule }, from: None }
    }

    /// The place where all data are.
    pub(super) fn full(&self) -> Side {
        self.from.unwrap_or(self.now)
    }

    /// Each place with what is needed there.
    fn sides(&self, need: Need, mutants: Mutants) -> impl Iterator<Item = (Side, u8)> + '_ {
        let from = self.from.map(|side| (side, need.from));
        let only_from = from.is_some() && mutants.has(Mutant::MovingWriteCountsOnce);
        let now = (!only_from).then_some((self.now, need.now));
        now.into_iter().chain(from)
    }

    /// What was met, where it was least.
    pub(super) fn weakest(&self, tally: Tally, need: Need, mutants: Mutants) -> Weakest {
        let within = |(side, needed): (Side, u8)| {
            // Others may have answered before the range moved away from them; or, with a broken rule, in place of a replica.
            let all = mutants.has(Mutant::SloppyCountsAsStrict);
            let tally = if all { tally } else { tally.within(side.nodes) };
            Weakest { tally, needed, side }
        };
        let spare = |weakest: &Weakest| weakest.tally.held().len() as i16 - i16::from(weakest.needed);
        let sides = self.sides(need, mutants).map(within);
        sides.min_by_key(spare).expect("there is always a place")
    }

    /// How many answered a proposer, and how many must, where it is least.
    pub(super) fn agreed(&self, answered: NodeSet) -> (u8, u8) {
        let quorum = |side: Side, nodes: NodeSet| (answered.intersection(nodes).len() as u8, side.majority() as u8);
        let full = quorum(self.full(), self.readers);
        let now = quorum(self.now, self.now.nodes);
        if now.0 >= now.1 && full.0 < full.1 { full } else { now }
    }

    /// Do so many hold it in each place?
    pub(super) fn enough(&self, tally: Tally, need: Need, mutants: Mutants) -> bool {
        let weakest = self.weakest(tally, need, mutants);
        weakest.tally.held().len() >= usize::from(weakest.needed)
    }

    /// Whose answers a proposer needs: a majority in each place. A replica that lost its disk has forgotten what it promised, so in the place
    /// where it was it is one of all and never one of those.
    pub(super) fn quorum(&self) -> Quorum {
        let full = self.full();
        let quorum = Quorum::new(full.nodes.intersection(self.readers), full.majority());
        if self.from.is_some() { quorum.and(self.now.nodes, self.now.majority()) } else { quorum }
    }

    /// Have so many been read, and so many answered where the data are going to?
    pub(super) fn read_enough(&self, answers: NodeSet, rules: &Rules) -> bool {
        let read = answers.intersection(self.readers).len();
        let ahead = answers.intersection(self.now.nodes).len();
        read >= usize::from(rules.read) && ahead >= usize::from(rules.fence)
    }

    /// As few of these as a read needs with this node: those first that answer for both places.
    pub(super) fn few_of(&self, mut nodes: Vec<NodeId>, here: NodeId, rules: &Rules) -> Vec<NodeId> {
        let in_both = |node: NodeId| self.readers.contains(node) && self.now.nodes.contains(node);
        nodes.sort_by_key(|&node| !in_both(node));
        let mut read = usize::from(rules.read).saturating_sub(usize::from(self.readers.contains(here)));
        let mut ahead = usize::from(rules.fence).saturating_sub(usize::from(self.now.nodes.contains(here)));
        nodes.retain(|&node| {
            let wanted = (read > 0 && self.readers.contains(node)) || (ahead > 0 && self.now.nodes.contains(node));
            if wanted {
                read = read.saturating_sub(usize::from(self.readers.contains(node)));
                ahead = ahead.saturating_sub(usize::from(self.now.nodes.contains(node)));
            }
            wanted
        });
        nodes
    }

    /// With how many of the old replicas a new one compares before it holds all that they acknowledged: one more than can lack a write, or
    /// an accepted proposal; and so many that those who have not heard of the movement are too few for a read that meets every write. Itself
    /// it counts only if it is one of them. Where fewer are left, all of them must do.
    pub(super) fn to_compare(&self, node: NodeId) -> (NodeSet, usize) {
        let full = self.full();
        let others: NodeSet = self.readers.iter().filter(|&other| other != node).collect();
        let written = usize::from(full.rule.write()).min(full.majority());
        let met = (full.replicas() + 1 - written).max(usize::from(full.rule.write()));
        let needed = met - usize::from(self.readers.contains(node));
        (others, needed.min(others.len()))
    }
}

impl Table {
    /// Who takes part in operations on a range.
    pub(super) fn parts(&self, range: Range) -> Parts {
        let nodes = self.placement.replicas(range);
        let Some(moving) = &self.moving else { return Parts::settled(nodes, self.spec.rule) };
        let (now, old) = (self.spec.rule, moving.rule);
        let before = moving.placement.replicas(range);
        let whole = before.iter().all(|&node| !moving.blank.contains(node));
        if before == nodes && whole && old.replicas() == now.replicas() && old.write() == now.write() {
            return Parts::settled(nodes, now);
        }
        let mut replicas: Vec<NodeId> = before.iter().copied().filter(|&node| !moving.blank.contains(node)).collect();
        let readers = replicas.iter().copied().collect();
        for &node in before.iter().chain(nodes) {
            if !replicas.contains(&node) {
                replicas.push(node);
            }
        }
        let side = |nodes: &[NodeId], rule| Side { nodes: nodes.iter().copied().collect(), rule };
        Parts { replicas, readers, now: side(nodes, now), from: Some(side(before, old)) }
    }

    /// Does a node take writes of a range?
    pub(super) fn takes_part(&self, range: Range, node: NodeId) -> bool {
        let moving = self.moving.as_ref();
        self.placement.replicas(range).contains(&node)
            || moving.is_some_and(|moving| moving.placement.replicas(range).contains(&node))
    }
}
