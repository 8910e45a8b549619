//! What a change of members moves.

use super::{Placement, Range};
use crate::machine::NodeId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A replica of a range that a node is to hold and does not hold yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The range.
    pub range: Range,
    /// Who holds it now.
    pub from: Vec<NodeId>,
    /// Who is to hold it, too.
    pub to: NodeId,
}

/// All that moves from one placement to another with the same ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// In order of ranges.
    pub moves: Vec<Move>,
    /// Replicas of all ranges, after the change.
    pub replicas: usize,
}

impl Movement {
    /// What is to be copied.
    pub fn between(old: &Placement, new: &Placement) -> Movement {
        let mut moves = Vec::new();
        for (range, nodes) in new.iter() {
            let from = old.replicas(range);
            for &to in nodes.iter().filter(|node| !from.contains(node)) {
                moves.push(Move { range, from: from.to_vec(), to });
            }
        }
        Movement { moves, replicas: new.iter().map(|(_, nodes)| nodes.len()).sum() }
    }
    /// The part of all replicas that is copied.
    pub fn share(&self) -> f64 {
        self.moves.len() as f64 / self.replicas.max(1) as f64
    }
    /// How many replicas each node receives.
    pub fn received(&self) -> BTreeMap<NodeId, usize> {
        let mut received = BTreeMap::new();
        self.moves.iter().for_each(|one| *received.entry(one.to).or_default() += 1);
        received
    }
}
