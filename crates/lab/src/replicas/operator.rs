//! The operator, who says again and again which node shall hold how much. What becomes of that nobody waits for.

use super::one;
use crate::digest::Digest;
use crate::simulator::Simulator;
use bytes::Bytes;
use quorate_core::guarantee::{Session, Want};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::node::Node;
use quorate_core::operation::{Operate, Request, TableId};
use quorate_core::random::Random;

/// How long the operator lets a call take, in milliseconds.
const DEADLINE_MS: u32 = 1_000;
/// This many of a thousand nodes that lost their disk are taken out.
const REPLACED: u64 = 250;

pub(super) struct Operator {
    random: Random,
    nodes: Vec<NodeId>,
    move_us: u64,
    at_us: u64,
}

impl Operator {
    pub(super) fn new(move_us: u64, nodes: &[NodeId], seed: u64) -> Operator {
        let random = Random::new(Digest::of(&(seed, "operator")));
        Operator { random, nodes: nodes.to_vec(), move_us, at_us: move_us }
    }

    /// When it acts next, if ever.
    pub(super) fn next_at(&self) -> Option<u64> {
        (self.move_us > 0).then_some(self.at_us)
    }

    /// Nothing moves any more but what does.
    pub(super) fn rest(&mut self) {
        self.move_us = 0;
    }

    /// Changes the weight of a node, or the zone, if it is time.
    pub(super) fn act(&mut self, simulator: &mut Simulator<Node>, next_call: &mut u64) {
        let now = simulator.now_us();
        if self.next_at().is_none_or(|at_us| at_us > now) {
            return;
        }
        self.at_us = now + 1 + self.random.below(self.move_us * 2);
        let asked = self.nodes[self.random.below(self.nodes.len() as u64) as usize];
        let node = self.nodes[self.random.below(self.nodes.len() as u64) as usize];
        let (word, most) = if self.random.chance(800) { ("weight", 3) } else { ("zone", 4) };
        let text = format!("MEMBER.SET {} {word} {}", node.0, self.random.below(most));
        self.say(simulator, asked, &text, next_call);
    }

    /// A disk was lost. Sometimes others take the place of the node then, until it is given a weight again. True if that is asked for.
    pub(super) fn replace(&mut self, simulator: &mut Simulator<Node>, node: NodeId, next_call: &mut u64) -> bool {
        let replaces = self.move_us > 0 && self.random.chance(REPLACED);
        if replaces {
            let asked = self.nodes[self.random.below(self.nodes.len() as u64) as usize];
            self.say(simulator, asked, &format!("MEMBER.SET {} weight 0 lost yes", node.0), next_call);
        }
        replaces
    }

    fn say(&self, simulator: &mut Simulator<Node>, asked: NodeId, text: &str, next_call: &mut u64) {
        let now = simulator.now_us();
        let words = text.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        if simulator.machine(asked).is_none() {
            return;
        }
        *next_call += 1;
        let operate = Operate {
            batch: one(TableId::default(), words),
            want: Want::default(),
            session: Session::default(),
            seen: None,
            after_own_writes: false,
            deadline_ms: DEADLINE_MS,
        };
        simulator.call(now, asked, CallId(*next_call), Request::Operate(operate));
    }
}
