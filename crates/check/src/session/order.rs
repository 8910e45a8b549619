//! Sequential consistency (Lamport 1979): the search for one order of all operations that respects each session.
//!
//! Deciding it is NP-complete even for registers (Gibbons and Korach 1997), so the budget bounds the search. Reads that
//! fit take place at once, since they change nothing; a write waits while the value that it would replace is still to be
//! read (see `demand`); and no place is visited twice, a place being how far each session is and the state of each key.
//!
//! The keys are searched together, so an operation may have several steps on several of them, which take place at once.

use super::demand::Demand;
use super::graph::Arc;
use super::plain::{Groups, NONE};
use crate::world::{State, World};
use crate::{History, Id, Key, Meter, Outcome, Spent, Step};
use rustc_hash::FxHashSet;

/// Is there such an order?
pub(super) fn exists(history: &History, arcs: &[Arc], meter: &mut Meter<'_>) -> Result<bool, Spent> {
    let mut search = Search::new(history);
    search.bind(arcs);
    search.run(meter)
}

struct Search<'h> {
    history: &'h History,
    world: World<'h>,
    /// The operations of each session that surely took place, in order.
    chains: Vec<Vec<u32>>,
    /// Operations that may take place once so many of their session have.
    optional: Vec<(u32, u32)>,
    used: Vec<bool>,
    next: Vec<u32>,
    /// The state of each key, and its number among those that are needed.
    state: Vec<State>,
    number: Vec<u32>,
    left: usize,
    demand: Demand,
    /// What must come after each operation, and for how many each still waits.
    after: Groups,
    later: Vec<u32>,
    waits: Vec<u32>,
    /// The bytes of states that are charged to the meter.
    held: u64,
    hash: u128,
    seen: FxHashSet<u128>,
    done: Vec<Done>,
    changes: Vec<Change>,
    frames: Vec<Frame>,
}

/// One operation that took place.
#[derive(Clone, Copy)]
struct Done {
    id: u32,
    /// The place among the optional ones, if it is one.
    optional: u32,
    /// So many changes came before those that it made.
    changes: u32,
}

/// What a key had before a step.
#[derive(Clone, Copy)]
struct Change {
    key: u32,
    state: State,
    number: u32,
}

struct Frame {
    /// So many operations had taken place.
    done: usize,
    choices: Vec<(u32, u32)>,
    next: usize,
}

fn mix(a: u64, b: u64) -> u128 {
    let half = |seed: u64| {
        let mut z = (a << 32 ^ b).wrapping_add(seed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    u128::from(half(0x9E37_79B9_7F4A_7C15)) << 64 | u128::from(half(0x0DDB_1A5E_5BAD_5EED))
}

impl<'h> Search<'h> {
    fn new(history: &'h History) -> Search<'h> {
        let (_, keys, sessions) = history.counts();
        let all: Vec<Key> = (0..keys as u32).map(Key).collect();
        let mut world = World::new(history, &all, World::empty_text(history));
        world.prepare(history.ids());
        let state: Vec<State> = all.into_iter().map(|key| world.first_of(key)).collect();
        let demand = Demand::new(history, &world);
        let number = state.iter().enumerate().map(|(key, &state)| demand.number(key as u32, state)).collect();
        let mut chains = vec![Vec::new(); sessions];
        let mut optional = Vec::new();
        for id in history.ids().filter(|&id| !history.steps(id).is_empty()) {
            let operation = history.operation(id);
            let session = operation.session.0 as usize;
            match operation.outcome {
                Outcome::Done => chains[session].push(id.0),
                Outcome::Unknown if demand.is_useless(id) || only_reads(history.steps(id)) => {}
                Outcome::Unknown => optional.push((id.0, chains[session].len() as u32)),
                Outcome::Refused => {}
            }
        }
        Search {
            history,
            used: vec![false; optional.len()],
            next: vec![0; sessions],
            left: chains.iter().map(Vec::len).sum(),
            world,
            chains,
            optional,
            state,
            number,
            demand,
            after: Groups::default(),
            later: Vec::new(),
            waits: Vec::new(),
            held: 0,
            hash: 0,
            seen: FxHashSet::default(),
            done: Vec::new(),
            changes: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Nothing takes place before what has to come before it.
    fn bind(&mut self, arcs: &[Arc]) {
        if arcs.is_empty() {
            return;
        }
        let count = self.history.len();
        self.after = Groups::new(count, arcs.len(), |at| Some(arcs[at as usize].from));
        self.later = arcs.iter().map(|arc| arc.to).collect();
        self.waits = vec![0; count];
        for arc in arcs {
            self.waits[arc.to as usize] += 1;
        }
    }

    fn run(&mut self, meter: &mut Meter<'_>) -> Result<bool, Spent> {
        self.advance(None, meter)?;
        loop {
            if self.left == 0 {
                return Ok(true);
            }
            let Some(frame) = self.frames.last_mut() else { return Ok(false) };
            let mark = frame.done;
            let choice = frame.choices.get(frame.next).copied();
            frame.next += 1;
            self.take_back(mark);
            match choice {
                Some((id, optional)) => self.advance(Some((id, optional)), meter)?,
                None => {
                    self.frames.pop();
                }
            }
        }
    }

    /// One operation takes place, and all reads that fit then; what could come next is put on the stack.
    fn advance(&mut self, choice: Option<(u32, u32)>, meter: &mut Meter<'_>) -> Result<(), Spent> {
        if let Some((id, optional)) = choice {
            let fits = self.take(id, optional, meter)?;
            debug_assert!(fits, "choices fit when they are made");
        }
        while self.read_all(meter)? {}
        if self.left > 0 && !self.seen.insert(self.hash) {
            return Ok(());
        }
        meter.hold(40)?;
        let mut choices = Vec::new();
        for session in 0..self.chains.len() {
            if let Some(&id) = self.chains[session].get(self.next[session] as usize) {
                meter.step(1)?;
                if self.fits(id, false) {
                    choices.push((id, NONE));
                }
            }
        }
        for at in 0..self.optional.len() {
            let (id, from) = self.optional[at];
            let session = self.history.operation(Id(id)).session.0 as usize;
            if !self.used[at] && self.next[session] >= from && self.fits(id, true) {
                choices.push((id, at as u32));
            }
        }
        meter.step(choices.len() as u64 + self.optional.len() as u64 / 8)?;
        // What may never have taken place comes last.
        choices.sort_by_key(|&(id, optional)| {
            (optional != NONE, self.history.operation(Id(id)).end.min(u64::MAX - 1), id)
        });
        meter.hold(16 * choices.len() as u64)?;
        self.frames.push(Frame { done: self.done.len(), choices, next: 0 });
        Ok(())
    }

    /// May it come next? An optional operation that would change nothing is of no use.
    fn fits(&mut self, id: u32, open: bool) -> bool {
        if self.waits.get(id as usize).is_some_and(|&waits| waits > 0) {
            return false;
        }
        if let [step] = self.history.steps(Id(id))
            && let Some(Key(key)) = step.key()
        {
            let (old, session) = (self.state[key as usize], self.history.operation(Id(id)).session.0);
            let new = self.world.step(old, step, session, open);
            let missed = || self.demand.is_missed(id, self.number[key as usize]);
            return new.is_some_and(|new| if new == old { !open } else { !missed() });
        }
        let before = self.changes.len();
        let fits = self.apply(id, open);
        let mut changed =
            self.changes[before..].iter().filter(|change| self.state[change.key as usize] != change.state);
        let useful = !open || changed.clone().next().is_some();
        let fits = fits && useful && !changed.any(|change| self.demand.is_missed(id, change.number));
        self.revert(before);
        fits
    }

    /// All steps take place, or none if one does not fit.
    fn apply(&mut self, id: u32, open: bool) -> bool {
        let (history, before) = (self.history, self.changes.len());
        let session = history.operation(Id(id)).session.0;
        for step in history.steps(Id(id)) {
            let Some(Key(key)) = step.key() else { continue };
            let state = self.state[key as usize];
            let Some(new) = self.world.step(state, step, session, open) else {
                self.revert(before);
                return false;
            };
            if new != state {
                self.changes.push(Change { key, state, number: self.number[key as usize] });
                self.set(key, new, self.demand.number(key, new));
            }
        }
        true
    }

    fn revert(&mut self, before: usize) {
        while self.changes.len() > before {
            let Some(Change { key, state, number }) = self.changes.pop() else { return };
            self.set(key, state, number);
        }
    }

    fn set(&mut self, key: u32, new: State, number: u32) {
        let old = std::mem::replace(&mut self.state[key as usize], new);
        self.number[key as usize] = number;
        self.hash ^= mix(1 << 30 | u64::from(key), u64::from(old)) ^ mix(1 << 30 | u64::from(key), u64::from(new));
    }

    fn take(&mut self, id: u32, optional: u32, meter: &mut Meter<'_>) -> Result<bool, Spent> {
        let changes = self.changes.len() as u32;
        if !self.apply(id, optional != NONE) {
            return Ok(false);
        }
        let more = self.world.bytes() - self.held;
        self.held += more;
        meter.hold(more)?;
        self.demand.take(id);
        self.count(id, optional, true);
        self.done.push(Done { id, optional, changes });
        Ok(true)
    }

    fn count(&mut self, id: u32, optional: u32, forth: bool) {
        if !self.waits.is_empty() {
            for &arc in self.after.of(id) {
                let waits = &mut self.waits[self.later[arc as usize] as usize];
                *waits = if forth { *waits - 1 } else { *waits + 1 };
            }
        }
        if optional != NONE {
            self.used[optional as usize] = forth;
            self.hash ^= mix(1 << 31, u64::from(optional));
            return;
        }
        let session = self.history.operation(Id(id)).session.0;
        let next = &mut self.next[session as usize];
        let (old, new) = (*next, if forth { *next + 1 } else { *next - 1 });
        *next = new;
        if forth {
            self.left -= 1
        } else {
            self.left += 1
        }
        self.hash ^= mix(u64::from(session), u64::from(old)) ^ mix(u64::from(session), u64::from(new));
    }

    fn take_back(&mut self, mark: usize) {
        while self.done.len() > mark {
            let Some(Done { id, optional, changes }) = self.done.pop() else { return };
            self.revert(changes as usize);
            self.demand.take_back(id);
            self.count(id, optional, false);
        }
    }

    /// A write that nobody needs changes nothing for anybody, once nobody needs what it replaces.
    fn is_idle(&self, id: u32) -> bool {
        let keys = self.history.steps(Id(id)).iter().filter_map(Step::key);
        self.demand.is_idle(id, keys.map(|Key(key)| self.number[key as usize]))
    }

    /// Does it change nothing? An answer that says what was unknown binds it.
    fn only_looks(&self, id: u32) -> bool {
        let steps = self.history.steps(Id(id));
        let binds = |Key(key): Key| self.world.is_unknown(self.state[key as usize]);
        only_reads(steps) && !steps.iter().filter_map(Step::key).any(binds)
    }

    /// All reads that fit take place, and writes that nobody needs. Did any of those?
    fn read_all(&mut self, meter: &mut Meter<'_>) -> Result<bool, Spent> {
        let mut changed = false;
        for session in 0..self.chains.len() {
            while let Some(&id) = self.chains[session].get(self.next[session] as usize) {
                meter.step(1)?;
                let reads = self.only_looks(id);
                if !(reads || self.is_idle(id)) || !self.fits(id, false) || !self.take(id, NONE, meter)? {
                    break;
                }
                changed |= !reads;
            }
        }
        Ok(changed)
    }
}

fn only_reads(steps: &[Step]) -> bool {
    steps.iter().all(Step::is_read)
}
