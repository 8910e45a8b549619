//! All small executions of three nodes, to test clocks on and to learn from.

use super::lamport::Lamport;
use super::version::{Actor, VersionVector};
use crate::machine::NodeId;
use alloc::vec::Vec;

/// What happens at one node at once.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Where.
    pub node: usize,
    /// The event whose message is heard here, if one is.
    pub heard: Option<usize>,
}

/// Events of up to three nodes, which hear of each other.
#[derive(Clone, Debug, Default)]
pub struct Execution {
    /// In an order in which causes come first.
    pub events: Vec<Event>,
    /// By event: a bit for each event that came before it.
    before: Vec<u64>,
}

impl Execution {
    /// Did the first come before the second: on the same node, along a message, or through others?
    pub fn is_before(&self, a: usize, b: usize) -> bool {
        self.before[b] >> a & 1 == 1
    }
    /// Lamport's number of each event.
    pub fn numbers(&self) -> Vec<u64> {
        let mut clocks = [Lamport::default(); 3];
        let mut numbers: Vec<u64> = Vec::new();
        for event in &self.events {
            let clock = &mut clocks[event.node];
            numbers.push(match event.heard {
                Some(from) => clock.observe(numbers[from]),
                None => clock.tick(),
            });
        }
        numbers
    }
    /// What is known at each event, by a version vector.
    pub fn vectors(&self) -> Vec<VersionVector> {
        let mut known: [VersionVector; 3] = Default::default();
        let mut vectors: Vec<VersionVector> = Vec::new();
        for event in &self.events {
            let here = &mut known[event.node];
            if let Some(from) = event.heard {
                here.join(&vectors[from]);
            }
            here.advance(Actor { node: NodeId(event.node as u16 + 1), incarnation: 1 });
            vectors.push(here.clone());
        }
        vectors
    }
    /// All pairs of a cause and its effect.
    pub fn causes(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let count = self.events.len();
        (0..count).flat_map(move |a| (0..count).map(move |b| (a, b))).filter(|&(a, b)| self.is_before(a, b))
    }
    fn push(&mut self, event: Event) {
        let own = self.events.iter().rposition(|other| other.node == event.node);
        let known = |at: Option<usize>| at.map_or(0, |at| self.before[at] | 1 << at);
        let before = known(own) | known(event.heard);
        self.before.push(before);
        self.events.push(event);
    }
    fn pop(&mut self) {
        self.events.pop();
        self.before.pop();
    }
}

/// Calls with every execution of so many events on up to three nodes, which are named in the order of their first event.
pub fn each(events: usize, found: &mut dyn FnMut(&Execution)) {
    grow(events, &mut Execution::default(), found);
}

fn grow(left: usize, execution: &mut Execution, found: &mut dyn FnMut(&Execution)) {
    if left == 0 {
        return found(execution);
    }
    let nodes = execution.events.iter().map(|event| event.node + 1).max().unwrap_or(0);
    for node in 0..=nodes.min(2) {
        let others = (0..execution.events.len()).filter(|&at| execution.events[at].node != node);
        for heard in core::iter::once(None).chain(others.map(Some).collect::<Vec<_>>()) {
            execution.push(Event { node, heard });
            grow(left - 1, execution, found);
            execution.pop();
        }
    }
}
