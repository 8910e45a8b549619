//! The fast test for keys whose every state is written once: Gibbons and Korach (1997), extended to updates.
//!
//! A write and the reads of its value stand together in every legal order. An update that needs the value of one
//! write and leaves its own (compare-and-set, swap, append) ties two such clusters together, in order: chains of
//! clusters are blocks. Of two blocks the first must come before the second when one of its operations ends before one
//! of the second begins. An order exists when no two blocks must come before each other, and no operation within a block
//! contradicts its order. (Longer circles of blocks always contain a circle of two, because intervals of time have no
//! two separate pairs that are in order.)

use super::item::{Item, Rules};
use crate::{Edge, Key, Why};

/// What an operation needs and leaves: numbers of states, dense from 0 on. State 0 is the one before everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// The state that it was in, if that is known.
    pub needs: u32,
    /// The state that it left, if it left another one.
    pub leaves: u32,
}

impl Form {
    /// Of an operation that neither needs nor leaves anything.
    pub(super) const EMPTY: Form = Form { needs: NONE, leaves: NONE };

    /// Does it neither need nor leave anything?
    pub(super) fn is_empty(self) -> bool {
        self == Form::EMPTY
    }
}

/// No state.
pub(super) const NONE: u32 = u32::MAX;

/// Operations that contradict each other, by place, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    /// The operations.
    pub places: Vec<u32>,
    /// A circle, if there is a short one.
    pub edges: Vec<Edge>,
}

/// The operations that are in a state, or bring it about: by place, the one that ends first and the one that begins last.
#[derive(Clone, Copy)]
struct Cluster {
    writer: u32,
    /// The update that needs this state, if there is one.
    update: u32,
    ends: u32,
    begins: u32,
}

/// A chain of clusters. Moments are one later than in the history, so that 0 is before everything.
#[derive(Clone, Copy)]
struct Block {
    first_end: u64,
    last_begin: u64,
    ends: u32,
    begins: u32,
}

/// The test itself. Requires that every state is left by at most one operation, and is needed only if it is left by one or
/// is state 0. Open operations that did not surely take place must have been left out.
pub(super) struct Zones<'a> {
    key: Key,
    items: &'a [Item],
    forms: &'a [Form],
    clusters: Vec<Cluster>,
}

impl<'a> Zones<'a> {
    /// Gathers the clusters.
    pub(super) fn new(key: Key, items: &'a [Item], forms: &'a [Form], states: usize) -> Zones<'a> {
        let none = Cluster { writer: NONE, update: NONE, ends: NONE, begins: NONE };
        Zones { key, items, forms, clusters: vec![none; states] }
    }

    /// Two operations or blocks that contradict each other, if there are any.
    pub(super) fn contradiction(&mut self, rules: Rules) -> Option<Contradiction> {
        for (at, form) in self.forms.iter().enumerate() {
            if form.leaves != NONE {
                self.clusters[form.leaves as usize].writer = at as u32;
                self.join(form.leaves, at as u32);
            }
        }
        for (at, form) in self.forms.iter().enumerate() {
            let at = at as u32;
            if form.needs == NONE {
                continue;
            }
            if form.leaves == NONE {
                self.join(form.needs, at);
                continue;
            }
            let other = std::mem::replace(&mut self.clusters[form.needs as usize].update, at);
            if other != NONE {
                return Some(self.lost_update(form.needs, other, at));
            }
        }
        let mut blocks = Vec::with_capacity(self.clusters.len());
        let mut reached = 0;
        for state in 0..self.clusters.len() as u32 {
            let writer = self.clusters[state as usize].writer;
            let begins_chain = state == 0 || (writer != NONE && self.forms[writer as usize].needs == NONE);
            if begins_chain {
                match self.block(state, &mut reached) {
                    Ok(block) => blocks.push(block),
                    Err(found) => return Some(found),
                }
            }
        }
        let known = self.clusters.iter().skip(1).filter(|cluster| cluster.writer != NONE).count() + 1;
        if reached < known {
            return Some(self.circle());
        }
        self.conflict(blocks, rules)
    }

    fn join(&mut self, state: u32, at: u32) {
        let item = &self.items[at as usize];
        let cluster = &mut self.clusters[state as usize];
        if cluster.ends == NONE || item.end < self.items[cluster.ends as usize].end {
            cluster.ends = at;
        }
        if cluster.begins == NONE || item.begin > self.items[cluster.begins as usize].begin {
            cluster.begins = at;
        }
    }

    /// The block of the chain that begins with a state, unless it contradicts itself.
    fn block(&self, first: u32, reached: &mut usize) -> Result<Block, Contradiction> {
        let (mut ends, mut begins) = (NONE, NONE);
        let mut state = first;
        loop {
            *reached += 1;
            let cluster = self.clusters[state as usize];
            if cluster.writer != NONE && self.later(begins, cluster.ends) {
                // Whoever ends first in this cluster had ended before somebody earlier in the chain began.
                return Err(self.within(cluster.ends, begins));
            }
            if cluster.writer != NONE
                && self.items[cluster.ends as usize].precedes(&self.items[cluster.writer as usize])
            {
                return Err(self.within(cluster.ends, cluster.writer));
            }
            ends = self.first_end(ends, cluster.ends);
            begins = self.last_begin(begins, cluster.begins);
            if cluster.update == NONE {
                break;
            }
            state = self.forms[cluster.update as usize].leaves;
        }
        let first_end = if first == 0 { 0 } else { self.items[ends as usize].end.saturating_add(1) };
        let ends = if first == 0 { NONE } else { ends };
        let last_begin = if begins == NONE { 0 } else { self.items[begins as usize].begin.saturating_add(1) };
        Ok(Block { first_end, last_begin, ends, begins })
    }
    fn later(&self, begins: u32, ends: u32) -> bool {
        begins != NONE && ends != NONE && self.items[ends as usize].precedes(&self.items[begins as usize])
    }
    fn first_end(&self, a: u32, b: u32) -> u32 {
        if a == NONE || (b != NONE && self.items[b as usize].end < self.items[a as usize].end) { b } else { a }
    }
    fn last_begin(&self, a: u32, b: u32) -> u32 {
        if a == NONE || (b != NONE && self.items[b as usize].begin > self.items[a as usize].begin) { b } else { a }
    }

    /// Two blocks that must come before each other.
    fn conflict(&self, blocks: Vec<Block>, rules: Rules) -> Option<Contradiction> {
        let (mut forward, backward): (Vec<Block>, Vec<Block>) =
            blocks.into_iter().partition(|block| block.first_end < block.last_begin);
        forward.sort_unstable_by_key(|block| block.first_end);
        for pair in forward.windows(2) {
            if pair[1].first_end < pair[0].last_begin {
                return Some(self.between(pair[0], pair[1]));
            }
        }
        for block in backward.into_iter().filter(|_| rules.backward_zones) {
            let after = forward.partition_point(|other| other.first_end < block.last_begin);
            if let Some(other) = after.checked_sub(1).map(|at| forward[at])
                && block.first_end < other.last_begin
            {
                return Some(self.between(other, block));
            }
        }
        None
    }

    fn edge(&self, from: u32, to: u32, why: Why) -> Edge {
        Edge { from: self.items[from as usize].id, to: self.items[to as usize].id, why }
    }

    /// Both needed the same state, and each left another one.
    fn lost_update(&self, state: u32, one: u32, other: u32) -> Contradiction {
        let mut places = vec![one, other];
        self.add_writers(state, &mut places);
        let why = Why::Overtaken(self.key);
        Contradiction { places, edges: vec![self.edge(one, other, why), self.edge(other, one, why)] }
    }

    /// `ended`, later in a chain, had ended before `began`, earlier in it, began.
    fn within(&self, ended: u32, began: u32) -> Contradiction {
        let mut places = vec![ended, began];
        self.add_writers(self.state_of(ended), &mut places);
        self.add_writers(self.state_of(began), &mut places);
        let back = self.why_after(began, ended);
        Contradiction { places, edges: vec![self.edge(ended, began, Why::RealTime), self.edge(began, ended, back)] }
    }

    /// One of `a` ends before one of `b` begins, and the other way round.
    fn between(&self, a: Block, b: Block) -> Contradiction {
        let mut places = Vec::new();
        for block in [a, b] {
            for place in [block.ends, block.begins].into_iter().filter(|&place| place != NONE) {
                places.push(place);
                self.add_writers(self.state_of(place), &mut places);
            }
        }
        let mut edges = Vec::new();
        if a.begins != NONE && b.ends != NONE {
            let back = self.why_after(a.begins, b.ends);
            edges = vec![self.edge(b.ends, a.begins, Why::RealTime), self.edge(a.begins, b.ends, back)];
        }
        Contradiction { places, edges }
    }

    /// Why an operation must come before another one, if not because of time.
    fn why_after(&self, from: u32, to: u32) -> Why {
        let (from, to) = (self.forms[from as usize], self.forms[to as usize]);
        if from.leaves != NONE && to.needs == from.leaves {
            Why::ReadsFrom(self.key)
        } else if from.leaves == NONE && from.needs != NONE && to.leaves != NONE {
            Why::Overtaken(self.key)
        } else if from.leaves != NONE && to.leaves != NONE {
            Why::Overwrites(self.key)
        } else {
            Why::Forced(self.key)
        }
    }

    fn state_of(&self, place: u32) -> u32 {
        let form = self.forms[place as usize];
        if form.leaves == NONE { form.needs } else { form.leaves }
    }

    /// Adds whoever brought a state about, back to a blind write.
    fn add_writers(&self, mut state: u32, places: &mut Vec<u32>) {
        // A circle of updates would have no blind write.
        for _ in 0..=self.clusters.len() {
            let writer = if state == NONE { NONE } else { self.clusters[state as usize].writer };
            if writer == NONE {
                return;
            }
            places.push(writer);
            state = self.forms[writer as usize].needs;
        }
    }

    /// Updates that need each other's states in a circle, which nothing began.
    fn circle(&self) -> Contradiction {
        let mut seen = vec![false; self.clusters.len()];
        for first in 0..self.clusters.len() as u32 {
            let (mut state, mut path) = (first, Vec::new());
            while state != NONE && self.clusters[state as usize].writer != NONE && !seen[state as usize] {
                seen[state as usize] = true;
                path.push(state);
                state = self.forms[self.clusters[state as usize].writer as usize].needs;
            }
            if let Some(at) = path.iter().position(|&other| other == state) {
                let writers: Vec<u32> = path[at..].iter().map(|&state| self.clusters[state as usize].writer).collect();
                let mut round = writers.clone();
                round.reverse();
                round.push(round[0]);
                let why = Why::ReadsFrom(self.key);
                let edges = round.windows(2).map(|pair| self.edge(pair[0], pair[1], why)).collect();
                return Contradiction { places: writers, edges };
            }
        }
        Contradiction { places: (0..self.items.len() as u32).collect(), edges: Vec::new() }
    }
}
