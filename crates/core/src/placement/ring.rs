//! Consistent hashing with virtual nodes (Karger and others 1997; weights and zones as in Dynamo, 2007).

use crate::machine::NodeId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Points of a node of weight 1, if nothing else is said: the busiest of ten nodes then holds about a fifth more than its share.
pub const POINTS: u32 = 64;

/// A node that may hold data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// How much it should hold, compared with the others; a node of weight 0 holds nothing.
    pub weight: u16,
    /// Nodes of one zone fail together.
    pub zone: u16,
}

/// Points on the circle of all hashes, each of which belongs to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// In order.
    points: Vec<(u64, NodeId)>,
    zones: BTreeMap<NodeId, u16>,
}

impl Ring {
    /// The ring of these members, with so many points for each unit of weight. The n-th point of a node lies at the XXH3-64 hash of
    /// the node (2 bytes) and n (4 bytes), both with the highest byte first: more weight adds points and moves none.
    pub fn new(members: &[Member], points: u32) -> Ring {
        let of_member = |member: &Member| {
            let node = member.node;
            (0..points * u32::from(member.weight)).map(move |number| (point(node, number), node))
        };
        let mut all: Vec<(u64, NodeId)> = members.iter().flat_map(of_member).collect();
        all.sort_unstable();
        let zones = members.iter().filter(|member| member.weight > 0).map(|member| (member.node, member.zone));
        Ring { points: all, zones: zones.collect() }
    }

    /// The nodes clockwise from a position on, each time that one of their points is met, once around.
    fn clockwise(&self, position: u64) -> impl Iterator<Item = NodeId> + '_ {
        let first = self.points.partition_point(|&(at, _)| at < position);
        self.points[first..].iter().chain(&self.points[..first]).map(|&(_, node)| node)
    }

    /// The node to which a position belongs: that of the next point.
    pub fn owner(&self, position: u64) -> Option<NodeId> {
        self.clockwise(position).next()
    }

    /// The next different nodes clockwise, as many as asked or as there are. No zone gives a second one before each zone gave
    /// one, and so on.
    pub fn replicas(&self, position: u64, count: usize) -> Vec<NodeId> {
        let count = count.min(self.zones.len());
        let mut chosen: Vec<NodeId> = Vec::with_capacity(count);
        let mut given: BTreeMap<u16, usize> = BTreeMap::new();
        for most in 1..=count {
            for node in self.clockwise(position) {
                if chosen.len() == count {
                    return chosen;
                }
                let given = given.entry(self.zones[&node]).or_default();
                if *given < most && !chosen.contains(&node) {
                    *given += 1;
                    chosen.push(node);
                }
            }
        }
        chosen
    }
}

fn point(node: NodeId, number: u32) -> u64 {
    let mut bytes = [0; 6];
    bytes[..2].copy_from_slice(&node.0.to_be_bytes());
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    xxh3_64(&bytes)
}
