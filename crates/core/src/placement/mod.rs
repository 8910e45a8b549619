//! # Placement: which nodes hold which data
//!
//! **The idea.** Keys are divided into ranges, and a range has its replicas: whoever holds one key of it holds all. Hash
//! placement divides the hashes of keys into ranges of the same size, which spreads keys evenly and scatters neighbours; order
//! placement divides the keys themselves at chosen bounds, which keeps neighbours together and lets a busy stretch become a
//! hot spot. Where a range lives is told by a ring (consistent hashing, Karger and others 1997): each node has points on it, in
//! number by its weight, and the replicas of a range are the next different nodes clockwise, zones kept apart. A node that joins
//! or leaves moves only what it gains or held.
//!
//! **Promises.**
//! - P1 A node that joins N others takes about 1/(N+1); nothing moves between the others. (`a_node_that_joins_takes_its_share_and_nothing_else_moves`)
//! - P2 A node that leaves gives up what it held; nothing moves between the others. (`a_node_that_leaves_gives_up_only_its_own`)
//! - P3 More points make the shares more even; weights are kept. (`more_points_make_shares_even`, `shares_follow_weights`)
//! - P4 Replicas are different nodes, in as many zones as there are. (`replicas_are_different_and_zones_apart`)
//! - P5 The same members give the same places, in every version of the program. (`places_are_fixed`)
//! - P6 A preview tells what is copied, and to whom. (`a_preview_counts_what_is_copied`)
//!
//! **Not here.** Who decides on members (their log), and how data moves. A hot key beats any placement: it is one key.
//!
//! **On disk.** Nothing: places are computed from the members.
//!
//! **What breaks it.** A hash that another version computes otherwise; `key % nodes`, which moves nearly everything.
//!
//! **Read next.** `ring.rs`, `range.rs`; decision 0014.

mod movement;
mod range;
mod ring;

pub use movement::{Move, Movement};
pub use range::{Division, RANGES, Range, hash_of, tag};
pub use ring::{Member, POINTS, Ring};

use crate::machine::NodeId;
use alloc::vec::Vec;

/// The replicas of every range, the first of which is the next on the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    replicas: Vec<Vec<NodeId>>,
}

impl Placement {
    /// Places the ranges of a division on a ring, each on so many nodes, or on all if there are fewer.
    pub fn new(ring: &Ring, division: &Division, replicas: usize) -> Placement {
        let place = |range: Range| ring.replicas(division.position(range), replicas);
        Placement { replicas: division.ranges().map(place).collect() }
    }
    /// The nodes that hold a range.
    pub fn replicas(&self, range: Range) -> &[NodeId] {
        self.replicas.get(usize::from(range.0)).map_or(&[], Vec::as_slice)
    }
    /// All ranges with their nodes.
    pub fn iter(&self) -> impl Iterator<Item = (Range, &[NodeId])> + '_ {
        self.replicas.iter().enumerate().map(|(at, nodes)| (Range(at as u16), nodes.as_slice()))
    }
}

#[cfg(test)]
mod tests;
