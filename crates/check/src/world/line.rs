//! Queues and stacks: chains of what was put in, which share their beginnings.

use super::State;
use super::modular::{BASES, MODULUS, plus, power, times};
use crate::{Step, Value};
use rustc_hash::FxHashMap;

/// Stacks, whose states are chains, or queues.
pub(super) struct Lines {
    stacks: bool,
    chains: Chains,
    queues: Vec<Queue>,
    names: FxHashMap<Queue, State>,
}

/// What is in a queue: everything that was ever put in, as a chain, without the first so many of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Queue {
    hash: [u64; 2],
    length: u32,
    last: u32,
}

impl Lines {
    pub(super) fn new(stacks: bool) -> Lines {
        Lines { stacks, chains: Chains::new(), queues: Vec::new(), names: FxHashMap::default() }
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.queues.len() * 80 + self.chains.nodes.len() * 48) as u64
    }

    pub(super) fn first(&mut self) -> State {
        if self.stacks { Chains::ROOT } else { self.name(Queue { hash: [0, 0], length: 0, last: Chains::ROOT }) }
    }

    pub(super) fn step(&mut self, state: State, step: &Step, open: bool) -> Option<State> {
        match *step {
            Step::Insert { value, .. } if self.stacks => Some(self.chains.push(state, value.0)),
            Step::Insert { value, .. } => Some(self.enqueue(state, value.0)),
            Step::Take { value, .. } => {
                let (taken, next) = if self.stacks { self.chains.pop(state) } else { self.dequeue(state) };
                (open || value.is_none_or(|value| value.0 == taken)).then_some(next)
            }
            _ => None,
        }
    }

    fn enqueue(&mut self, state: State, value: u32) -> State {
        let Queue { mut hash, length, last } = self.queues[state as usize];
        for (lane, base) in BASES.into_iter().enumerate() {
            hash[lane] = plus(times(hash[lane], base), u64::from(value) + 1);
        }
        let last = self.chains.push(last, value);
        self.name(Queue { hash, length: length + 1, last })
    }

    fn dequeue(&mut self, state: State) -> (u32, State) {
        let Queue { mut hash, length, last } = self.queues[state as usize];
        if length == 0 {
            return (Value::NIL.0, state);
        }
        let value = self.chains.back(last, length - 1);
        for (lane, base) in BASES.into_iter().enumerate() {
            let gone = times(power(base, length - 1), u64::from(value) + 1);
            hash[lane] = plus(hash[lane], MODULUS - gone);
        }
        (value, self.name(Queue { hash, length: length - 1, last }))
    }

    /// Chains that differ only in what has left have the same content: only content names a state.
    fn name(&mut self, queue: Queue) -> State {
        let content = Queue { last: 0, ..queue };
        if let Some(&name) = self.names.get(&content) {
            return name;
        }
        self.queues.push(queue);
        self.names.insert(content, self.queues.len() as u32 - 1);
        self.queues.len() as u32 - 1
    }
}

/// Lists that share their beginnings. Each knows an earlier place to jump to, so that going back is logarithmic.
struct Chains {
    nodes: Vec<Link>,
    names: FxHashMap<(u32, u32), u32>,
}

#[derive(Clone, Copy)]
struct Link {
    before: u32,
    jump: u32,
    depth: u32,
    value: u32,
}

impl Chains {
    const ROOT: u32 = 0;

    fn new() -> Chains {
        let root = Link { before: 0, jump: 0, depth: 0, value: Value::NIL.0 };
        Chains { nodes: vec![root], names: FxHashMap::default() }
    }
    fn push(&mut self, before: u32, value: u32) -> u32 {
        if let Some(&name) = self.names.get(&(before, value)) {
            return name;
        }
        let parent = self.nodes[before as usize];
        let far = self.nodes[parent.jump as usize];
        let even = parent.depth - far.depth == far.depth - self.nodes[far.jump as usize].depth;
        let jump = if even && parent.depth > 0 { far.jump } else { before };
        let name = self.nodes.len() as u32;
        self.nodes.push(Link { before, jump, depth: parent.depth + 1, value });
        self.names.insert((before, value), name);
        name
    }
    /// The value at the end and the list without it.
    fn pop(&self, chain: u32) -> (u32, u32) {
        let link = self.nodes[chain as usize];
        (link.value, link.before)
    }
    /// The value so many places before the end.
    fn back(&self, chain: u32, places: u32) -> u32 {
        let depth = self.nodes[chain as usize].depth - places;
        let mut at = chain;
        while self.nodes[at as usize].depth > depth {
            let link = self.nodes[at as usize];
            at = if self.nodes[link.jump as usize].depth >= depth { link.jump } else { link.before };
        }
        self.nodes[at as usize].value
    }
}
