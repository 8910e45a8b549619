//! Disks that are lost, and older copies that are put back. So many at a time that no write that W replicas hold may be lost by it: the next only
//! when every node has a life and the replicas whose disk went have compared again. Nodes that vote keep their disks: a vote that is
//! forgotten is no fault that consensus survives.

use crate::digest::Digest;
use crate::fault::Fault;
use crate::simulator::Simulator;
use quorate_core::machine::NodeId;
use quorate_core::node::Node;
use quorate_core::random::Random;
use std::collections::BTreeMap;

pub(super) struct Disks {
    random: Random,
    every_us: u64,
    at_us: u64,
    /// The life of each node when its disk was copied.
    copied: BTreeMap<NodeId, u32>,
}

impl Disks {
    pub(super) fn new(every_us: u64, seed: u64) -> Disks {
        let random = Random::new(Digest::of(&(seed, "disks")));
        Disks { random, every_us, at_us: every_us, copied: BTreeMap::new() }
    }

    /// When the next disk may go, if ever.
    pub(super) fn next_at(&self) -> Option<u64> {
        (self.every_us > 0).then_some(self.at_us)
    }

    /// No disk goes any more.
    pub(super) fn rest(&mut self) {
        self.every_us = 0;
    }

    /// Copies a disk, loses one, or puts the copy back, if it is time. The node whose disk was lost, if one was.
    pub(super) fn act(&mut self, simulator: &mut Simulator<Node>) -> Option<NodeId> {
        let now = simulator.now_us();
        if self.next_at().is_none_or(|at_us| at_us > now) {
            return None;
        }
        self.at_us = now + 1 + self.random.below(self.every_us * 2);
        let spare: Vec<NodeId> = simulator.nodes().filter(|&node| is_outside(simulator, node)).collect();
        if spare.is_empty() || !is_whole(simulator) {
            return None;
        }
        let node = spare[self.random.below(spare.len() as u64) as usize];
        let life = simulator.machine(node).and_then(Node::actor).map_or(0, |actor| actor.incarnation);
        let down_us = self.random.below(self.every_us);
        let fault = match self.random.below(10) {
            0..=3 => {
                self.copied.insert(node, life);
                simulator.schedule(now, Fault::Backup(node));
                // Only a copy of an earlier life can be told from the disk itself.
                simulator.schedule(now, Fault::Crash(node, 0));
                simulator.schedule(now + down_us / 8, Fault::Restart(node));
                return None;
            }
            4..=6 if self.copied.get(&node).is_some_and(|&copied| copied < life) => Fault::Restore(node),
            _ => Fault::Lose(node),
        };
        simulator.schedule(now, Fault::Crash(node, 0));
        simulator.schedule(now, fault);
        simulator.schedule(now + down_us, Fault::Restart(node));
        Some(node)
    }
}

/// Is it a member of no consensus group?
fn is_outside(simulator: &Simulator<Node>, node: NodeId) -> bool {
    let outside = |machine: &Node| machine.groups().all(|(_, group)| !group.members().contains(node));
    simulator.machine(node).is_some_and(outside)
}

/// Has every node a life, as one whose disk counts?
fn is_whole(simulator: &Simulator<Node>) -> bool {
    simulator.nodes().all(|node| {
        let Some(machine) = simulator.machine(node).filter(|machine| machine.actor().is_some()) else { return false };
        let moving = machine.catalogue().tables().filter_map(|(_, spec)| spec.placed.moving.as_ref());
        moving.into_iter().all(|moving| moving.blank.is_empty())
    })
}
