//! PRAM and causal memory: one order of all writes for each session, in which what it read is explained.
//!
//! Each write gets a rank: the first operation of the session that it must come before. Whatever comes before an
//! operation of rank `i` has rank `i` at most, and a write that comes before a read of its key, and is not what the read
//! shows, comes before what it shows (the saturation of Bouajjani et al. 2017). When nothing changes any more, all writes
//! of one rank can be put, as late as possible, between two operations of the session: that is the order, unless some go
//! round in a circle. A compare-and-set of the session needs nothing else, since what is put late never comes between.

use super::core::Core;
use super::graph::{self, Arc};
use super::plain::{INITIAL, NONE, Plain, Shown};
use crate::{Key, Meter, Spent, Why};

/// Which of the two is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The order of every session.
    Sessions,
    /// And what is read before who read it, and so on.
    Causes,
}

/// What breaks the model for one session (its bound operations, in order) under this choice of writes.
pub(super) fn check(
    plain: &Plain<'_>,
    shown: &[Shown],
    part: &[bool],
    chain: &[u32],
    base: Base,
    space: &mut Space,
    meter: &mut Meter<'_>,
) -> Result<Option<Core>, Spent> {
    space.clear(plain);
    let mut view = View { plain, shown, part, chain, base, space, todo: Vec::new() };
    match view.place_all(meter)? {
        Some(core) => Ok(Some(core)),
        None => view.circle(meter),
    }
}

/// Room that is used again for every session.
#[derive(Default)]
pub(super) struct Space {
    rank: Vec<u32>,
    /// The last note of why an operation has its rank.
    note: Vec<u32>,
    notes: Vec<Note>,
    /// What must come before each operation beyond sessions and reads: a list within `more`.
    more_head: Vec<u32>,
    more: Vec<(u32, Arc, u32)>,
    /// The place in the chain of each operation of the session.
    place: Vec<u32>,
    /// For each key: writes placed since the last read of it, all writes placed, the reads so far.
    keys: Vec<OfKey>,
    touched: Vec<u32>,
}

#[derive(Default)]
struct OfKey {
    new: Vec<u32>,
    all: Vec<u32>,
    reads: Vec<u32>,
}

/// Why an operation got its rank: because of the one after it, known from an older note.
#[derive(Clone, Copy)]
struct Note {
    node: u32,
    /// The note of the operation that it must come before; none for those of the session itself.
    after: u32,
    why: Why,
    /// For what is forced: the read, and why the write comes before that.
    read: u32,
    known: u32,
}

impl Space {
    fn clear(&mut self, plain: &Plain<'_>) {
        let count = plain.acts.len();
        for list in [&mut self.rank, &mut self.note, &mut self.more_head, &mut self.place] {
            list.clear();
            list.resize(count, NONE);
        }
        self.notes.clear();
        self.more.clear();
        self.keys.resize_with(plain.history.counts().1, OfKey::default);
        for key in self.touched.drain(..) {
            let of = &mut self.keys[key as usize];
            of.new.clear();
            of.all.clear();
            of.reads.clear();
        }
    }
}

struct View<'a, 'h> {
    plain: &'a Plain<'h>,
    shown: &'a [Shown],
    part: &'a [bool],
    chain: &'a [u32],
    base: Base,
    space: &'a mut Space,
    todo: Vec<u32>,
}

impl View<'_, '_> {
    fn place_all(&mut self, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
        for (at, &node) in self.chain.iter().enumerate() {
            self.space.place[node as usize] = at as u32;
        }
        for at in 0..self.chain.len() as u32 {
            let node = self.chain[at as usize];
            if let Some(core) = self.order_shown(node) {
                return Ok(Some(core));
            }
            self.note(node, at, NONE, Why::Session, NONE, NONE);
            if let Some(core) = self.spread(at, meter)? {
                return Ok(Some(core));
            }
            let sees = self.plain.acts[node as usize].sees() && !self.shown[node as usize].is_open();
            if sees && let Some(core) = self.read(node, at, meter)? {
                return Ok(Some(core));
            }
            if self.part[node as usize] && self.plain.acts[node as usize].written().is_some() {
                self.placed(node);
            }
        }
        Ok(None)
    }

    /// The writes that a text shows are in its order.
    fn order_shown(&mut self, read: u32) -> Option<Core> {
        let shown = self.shown[read as usize];
        if self.plain.appended(shown).is_empty() {
            return None;
        }
        let why = Why::Overwrites(Key(self.plain.keys[read as usize]));
        let sources: Vec<u32> = self.plain.sources(shown).collect();
        for pair in sources.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            self.require(Arc { from, to, why, read }, NONE);
            // What is placed already has placed what came before it: this comes too late to be noticed otherwise.
            if self.space.rank[to as usize] != NONE && self.space.rank[from as usize] > self.space.rank[to as usize] {
                self.todo.push(to);
            }
        }
        None
    }

    fn require(&mut self, arc: Arc, known: u32) {
        let head = &mut self.space.more_head[arc.to as usize];
        self.space.more.push((*head, arc, known));
        *head = self.space.more.len() as u32 - 1;
    }

    fn note(&mut self, node: u32, rank: u32, after: u32, why: Why, read: u32, known: u32) {
        self.space.rank[node as usize] = rank;
        self.space.note[node as usize] = self.space.notes.len() as u32;
        self.space.notes.push(Note { node, after, why, read, known });
        self.todo.push(node);
    }

    fn placed(&mut self, write: u32) {
        let key = self.plain.keys[write as usize];
        let of = &mut self.space.keys[key as usize];
        if of.all.is_empty() && of.reads.is_empty() {
            self.space.touched.push(key);
        }
        of.new.push(write);
        of.all.push(write);
    }

    /// Whatever comes before what has changed has its rank at most.
    fn spread(&mut self, now: u32, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
        while let Some(node) = self.todo.pop() {
            meter.step(1)?;
            let rank = self.space.rank[node as usize];
            let previous = self.plain.previous[node as usize];
            if previous != NONE
                && let Some(core) = self.lower(previous, rank, node, Why::Session, (NONE, NONE), now)
            {
                return Ok(Some(core));
            }
            let own = self.space.place[node as usize] != NONE;
            if self.plain.rules.reads && (own || self.base == Base::Causes) {
                let why = Why::ReadsFrom(Key(self.plain.keys[node as usize]));
                for source in self.plain.sources(self.shown[node as usize]) {
                    if let Some(core) = self.lower(source, rank, node, why, (NONE, NONE), now) {
                        return Ok(Some(core));
                    }
                }
            }
            let mut more = self.space.more_head[node as usize];
            while more != NONE {
                let (next, arc, known) = self.space.more[more as usize];
                if let Some(core) = self.lower(arc.from, rank, node, arc.why, (arc.read, known), now) {
                    return Ok(Some(core));
                }
                more = next;
            }
        }
        Ok(None)
    }

    fn lower(
        &mut self,
        node: u32,
        rank: u32,
        after: u32,
        why: Why,
        (read, known): (u32, u32),
        now: u32,
    ) -> Option<Core> {
        let old = self.space.rank[node as usize];
        if old <= rank {
            return None;
        }
        let after = self.space.note[after as usize];
        let place = self.space.place[node as usize];
        if place != NONE {
            // An operation of the session would have to come before an earlier one, or before itself.
            self.space.notes.push(Note { node, after, why, read, known });
            return Some(self.back(self.space.notes.len() as u32 - 1));
        }
        self.note(node, rank, after, why, read, known);
        if self.part[node as usize] && self.plain.acts[node as usize].written().is_some() {
            if old == NONE {
                self.placed(node);
            }
            return self.passed(node, rank, old, now);
        }
        None
    }

    /// A write has moved to before reads of its key that had been placed before it.
    fn passed(&mut self, write: u32, rank: u32, old: u32, now: u32) -> Option<Core> {
        if !self.plain.rules.saturate {
            return None;
        }
        let key = self.plain.keys[write as usize];
        let reads = &self.space.keys[key as usize].reads;
        let from = reads.partition_point(|&at| at < rank);
        let to = reads.partition_point(|&at| at < old.min(now));
        for at in from..to {
            let place = self.space.keys[key as usize].reads[at];
            if let Some(core) = self.must_be_older(write, self.chain[place as usize]) {
                return Some(core);
            }
        }
        None
    }

    /// The write comes before the read, which does not show it: so it comes before what the read shows.
    fn must_be_older(&mut self, write: u32, read: u32) -> Option<Core> {
        let shown = self.shown[read as usize];
        if write == read || self.plain.shows(shown, write) {
            return None;
        }
        let known = self.space.note[write as usize];
        let key = Key(self.plain.keys[read as usize]);
        if shown.base == INITIAL {
            return self.plain.rules.initial.then(|| self.overlooked(write, read, known));
        }
        self.require(Arc { from: write, to: shown.base, why: Why::Forced(key), read }, known);
        if self.space.rank[shown.base as usize] < self.space.rank[write as usize] {
            self.todo.push(shown.base);
        }
        None
    }

    fn read(&mut self, read: u32, at: u32, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
        let (key, shown) = (self.plain.keys[read as usize], self.shown[read as usize]);
        let of = &mut self.space.keys[key as usize];
        if of.all.is_empty() && of.reads.is_empty() {
            self.space.touched.push(key);
        }
        let before = of.reads.last().map(|&at| self.chain[at as usize]);
        of.reads.push(at);
        // What was placed before an earlier read is older than what that showed; only texts need all of it again.
        let known = before.is_some_and(|before| self.shown[before as usize].base == shown.base);
        let again = self.plain.has_appends || (shown.base == INITIAL && !known);
        let new = std::mem::take(&mut of.new);
        let all = if again { std::mem::take(&mut of.all) } else { Vec::new() };
        meter.step((new.len() + all.len()) as u64)?;
        for &write in if again { &all } else { &new } {
            if let Some(core) = self.must_be_older(write, read) {
                return Ok(Some(core));
            }
        }
        if again {
            self.space.keys[key as usize].all = all;
        }
        if let Some(before) = before
            && !known
            && !again
            && self.plain.rules.saturate
        {
            // The one shown before is older than the one shown now, and perhaps the other way round.
            let older = self.shown[before as usize].base;
            if older != INITIAL
                && let Some(core) = self.must_be_older(older, read)
            {
                return Ok(Some(core));
            }
            let place = self.space.place[before as usize];
            if self.space.rank[shown.base as usize] <= place
                && let Some(core) = self.must_be_older(shown.base, before)
            {
                return Ok(Some(core));
            }
        }
        self.spread(at + 1, meter)
    }

    /// Why an operation of the session would have to come before an earlier one: a circle.
    fn back(&self, note: u32) -> Core {
        let mut core = self.explain(note, true);
        let (Some(first), Some(last)) = (core.arcs.first().copied(), core.arcs.last().copied()) else { return core };
        if last.to != first.from {
            core.arcs.push(Arc { from: last.to, to: first.from, why: Why::Session, read: NONE });
        }
        core
    }

    /// A read of the first state has a write before it.
    fn overlooked(&self, write: u32, read: u32, known: u32) -> Core {
        let mut core = self.explain(known, true);
        let why = Why::Overtaken(Key(self.plain.keys[read as usize]));
        let last = core.arcs.last().map_or(write, |arc| arc.to);
        core.arcs.insert(0, Arc { from: read, to: write, why, read: NONE });
        if last != read {
            let session = Arc { from: last, to: read, why: Why::Session, read: NONE };
            match core.arcs.last_mut() {
                Some(arc) if arc.why == Why::Session => arc.to = read,
                Some(_) | None => core.arcs.push(session),
            }
        }
        core.operations.extend([write, read]);
        core
    }

    /// The way from an operation to the session, and all reasons of it.
    fn explain(&self, note: u32, with_arcs: bool) -> Core {
        let mut core = Core::default();
        let mut todo = vec![note];
        let mut done = std::collections::BTreeSet::new();
        while let Some(start) = todo.pop() {
            if start == NONE || !done.insert(start) {
                continue;
            }
            let mut arcs: Vec<Arc> = Vec::new();
            let mut at = start;
            core.operations.push(self.space.notes[at as usize].node);
            loop {
                let Note { node, after, why, read, known } = self.space.notes[at as usize];
                if after == NONE {
                    break;
                }
                let to = self.space.notes[after as usize].node;
                match arcs.last_mut() {
                    Some(last) if last.why == Why::Session && why == Why::Session => last.to = to,
                    Some(_) | None => arcs.push(Arc { from: node, to, why, read }),
                }
                if read != NONE {
                    core.operations.extend(self.plain.sources(self.shown[read as usize]));
                    todo.push(known);
                }
                at = after;
            }
            core.operations.extend(Core::of_arcs(&arcs).operations);
            if start == note && with_arcs {
                core.arcs = arcs;
            }
        }
        core
    }

    /// Everything has its rank; do those of one rank go round in a circle?
    fn circle(&mut self, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
        let count = self.plain.acts.len();
        meter.step(count as u64 / 4)?;
        let Err(nodes) = self.visit()? else { return Ok(None) };
        let into = |to: u32| self.before(to);
        let arcs = graph::circle(count, &into, &nodes, meter)?.unwrap_or_default();
        let mut core = Core::of_arcs(&arcs);
        core.operations.extend(if arcs.is_empty() { &nodes[..] } else { &[] });
        for arc in arcs.iter().filter(|arc| arc.read != NONE) {
            core.operations.extend(self.plain.sources(self.shown[arc.read as usize]));
            let known = self.space.more.iter().find(|(_, more, _)| more == arc).map_or(NONE, |&(.., known)| known);
            core.operations.extend(self.explain(known, false).operations);
        }
        Ok(Some(core))
    }

    fn visit(&self) -> Result<Result<(), Vec<u32>>, Spent> {
        // Only what has a rank is visited, each with the list of what comes before it.
        let count = self.plain.acts.len();
        let mut state = vec![0u8; count];
        let mut stack: Vec<(u32, u32, u32)> = Vec::new();
        for root in (0..count as u32).filter(|&node| self.space.rank[node as usize] != NONE) {
            if state[root as usize] != 0 {
                continue;
            }
            state[root as usize] = 1;
            stack.push((root, 0, self.space.more_head[root as usize]));
            while let Some((node, next, more)) = stack.last_mut() {
                let earlier = match self.known_before(*node, *next) {
                    Some(earlier) => {
                        *next += 1;
                        earlier
                    }
                    None if *more != NONE => {
                        let (after, arc, _) = self.space.more[*more as usize];
                        *more = after;
                        arc.from
                    }
                    None => {
                        state[*node as usize] = 2;
                        stack.pop();
                        continue;
                    }
                };
                if state[earlier as usize] == 0 {
                    state[earlier as usize] = 1;
                    stack.push((earlier, 0, self.space.more_head[earlier as usize]));
                } else if state[earlier as usize] == 1 {
                    let start = stack.iter().position(|&(node, ..)| node == earlier).unwrap_or(0);
                    return Ok(Err(stack[start..].iter().map(|&(node, ..)| node).collect()));
                }
            }
        }
        Ok(Ok(()))
    }

    fn reads_bind(&self, node: u32) -> bool {
        self.plain.rules.reads && (self.base == Base::Causes || self.space.place[node as usize] != NONE)
    }

    fn known_before(&self, node: u32, next: u32) -> Option<u32> {
        let previous = self.plain.previous[node as usize];
        let has = u32::from(previous != NONE);
        if next < has {
            return Some(previous);
        }
        if self.reads_bind(node) { self.plain.source(self.shown[node as usize], next - has) } else { None }
    }

    fn before(&self, to: u32) -> Vec<Arc> {
        let key = Key(self.plain.keys[to as usize]);
        let known = (0..).map_while(|next| self.known_before(to, next));
        let previous = self.plain.previous[to as usize];
        let mut arcs: Vec<Arc> = known
            .map(|from| {
                let why = if from == previous { Why::Session } else { Why::ReadsFrom(key) };
                Arc { from, to, why, read: NONE }
            })
            .collect();
        let mut more = self.space.more_head[to as usize];
        while more != NONE {
            let (next, arc, _) = self.space.more[more as usize];
            arcs.push(arc);
            more = next;
        }
        arcs
    }
}
