//! Sequential consistency (Lamport 1979): the search for one order of all operations that respects each session.
//!
//! Deciding it is NP-complete even for registers (Gibbons and Korach 1997), so the budget bounds the search. Reads that
//! fit take place at once, since they change nothing; a write waits while the value that it would replace is still to be
//! read; and no place is visited twice, a place being how far each session is and the state of each key.

use super::graph::Arc;
use super::plain::{Groups, NONE, Plain};
use super::states::States;
use crate::{History, Id, Meter, Outcome, Spent, Step};
use rustc_hash::{FxHashMap, FxHashSet};

/// Is there such an order?
pub(super) fn exists(
    history: &History,
    plain: Option<&Plain<'_>>,
    arcs: &[Arc],
    meter: &mut Meter<'_>,
) -> Result<bool, Spent> {
    let mut search = Search::new(history, plain);
    search.bind(arcs);
    search.run(meter)
}

struct Search<'h> {
    history: &'h History,
    states: States<'h>,
    /// The operations of each session that surely took place, in order.
    chains: Vec<Vec<u32>>,
    /// Operations that may take place once so many of their session have.
    optional: Vec<(u32, u32)>,
    used: Vec<bool>,
    next: Vec<u32>,
    state: Vec<u32>,
    left: usize,
    /// Distinct values only: which write each read needs, how many reads each write still has, the last write of each key.
    source: Vec<u32>,
    readers: Vec<u32>,
    last: Vec<u32>,
    /// What must come after each operation, and for how many each still waits.
    after: Groups,
    later: Vec<u32>,
    waits: Vec<u32>,
    /// Is it known of every write who read it?
    eager: bool,
    hash: u128,
    seen: FxHashSet<u128>,
    done: Vec<Done>,
    frames: Vec<Frame>,
}

/// One operation that took place, and how to take it back.
#[derive(Clone, Copy)]
struct Done {
    id: u32,
    /// The place among the optional ones, if it is one.
    optional: u32,
    key: u32,
    state: u32,
    last: u32,
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
    fn new(history: &'h History, plain: Option<&Plain<'_>>) -> Search<'h> {
        let (values, keys, sessions) = history.counts();
        let mut states = States::new(history);
        let state: Vec<u32> = (0..keys as u32).map(|key| states.first(crate::Key(key))).collect();
        let mut chains = vec![Vec::new(); sessions];
        let mut optional = Vec::new();
        let wanted = Wanted::new(history, values);
        for id in history.ids() {
            let operation = history.operation(id);
            let session = operation.session.0 as usize;
            let [step] = history.steps(id) else { continue };
            match operation.outcome {
                Outcome::Done => chains[session].push(id.0),
                Outcome::Unknown if step.is_read() || !wanted.wants(step) => {}
                Outcome::Unknown => optional.push((id.0, chains[session].len() as u32)),
                Outcome::Refused => {}
            }
        }
        let settled = plain.filter(|plain| plain.ambiguous.is_empty() && !plain.has_appends);
        let mut source = vec![NONE; if settled.is_some() { history.len() } else { 0 }];
        let mut readers = vec![0; source.len()];
        if let Some(plain) = settled {
            for id in 0..history.len() as u32 {
                if plain.acts[id as usize].sees()
                    && let Some(from) = plain.source(plain.shown[id as usize], 0)
                    && from < history.len() as u32
                {
                    source[id as usize] = from;
                    readers[from as usize] += 1;
                }
            }
        }
        let left = chains.iter().map(Vec::len).sum();
        let unclear = |id: Id| {
            let known = history.operation(id).outcome == Outcome::Done;
            matches!(history.steps(id), [Step::Cas { took, .. }] if took.is_none() || !known)
        };
        Search {
            history,
            states,
            used: vec![false; optional.len()],
            next: vec![0; sessions],
            last: vec![NONE; keys],
            chains,
            optional,
            state,
            left,
            source,
            readers,
            after: Groups::default(),
            later: Vec::new(),
            waits: Vec::new(),
            eager: !history.ids().any(unclear),
            hash: 0,
            seen: FxHashSet::default(),
            done: Vec::new(),
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

    fn step_of(&self, id: u32) -> Option<Step> {
        match self.history.steps(Id(id)) {
            [step] => Some(*step),
            _ => None,
        }
    }

    fn fits(&mut self, id: u32, open: bool) -> bool {
        let session = self.history.operation(Id(id)).session.0;
        let Some(step) = self.step_of(id) else { return true };
        let Some(key) = step.key() else { return true };
        if self.waits.get(id as usize).is_some_and(|&waits| waits > 0) {
            return false;
        }
        if self.replaces(&step, self.state[key.0 as usize]) && self.still_read(id, key.0) {
            return false;
        }
        self.states.after(self.state[key.0 as usize], &step, session, open).is_some()
    }

    /// Does it replace the value? Only registers are asked, whose states are their values.
    fn replaces(&self, step: &Step, state: u32) -> bool {
        match *step {
            Step::Cas { from, took: None, .. } => !self.source.is_empty() && from.0 == state,
            _ => !step.is_read(),
        }
    }

    /// Has the value that it would replace reads that are still to come, besides its own?
    fn still_read(&self, id: u32, key: u32) -> bool {
        let last = self.last[key as usize];
        if self.source.is_empty() || last == NONE {
            return false;
        }
        self.readers[last as usize] > u32::from(self.source[id as usize] == last)
    }

    fn take(&mut self, id: u32, optional: u32, meter: &mut Meter<'_>) -> Result<bool, Spent> {
        let session = self.history.operation(Id(id)).session.0;
        let step = self.step_of(id);
        let key = step.and_then(|step| step.key()).map(|key| key.0);
        let mut done = Done { id, optional, key: NONE, state: 0, last: NONE };
        if let (Some(step), Some(key)) = (step, key) {
            let old = self.state[key as usize];
            let known = self.states.len();
            let Some(new) = self.states.after(old, &step, session, optional != NONE) else { return Ok(false) };
            if self.states.len() > known {
                meter.hold(self.states.bytes(new))?;
            }
            done = Done { key, state: old, last: self.last[key as usize], ..done };
            self.change(key, new);
            if !self.source.is_empty() {
                if let Some(readers) = self.readers.get_mut(self.source[id as usize] as usize) {
                    *readers -= 1;
                }
                if self.replaces(&step, old) {
                    self.last[key as usize] = id;
                }
            }
        }
        self.count(id, optional, true);
        self.done.push(done);
        Ok(true)
    }

    fn change(&mut self, key: u32, new: u32) {
        let old = std::mem::replace(&mut self.state[key as usize], new);
        if old != new {
            self.hash ^= mix(1 << 30 | u64::from(key), u64::from(old)) ^ mix(1 << 30 | u64::from(key), u64::from(new));
        }
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
            let Some(Done { id, optional, key, state, last }) = self.done.pop() else { return };
            if key != NONE {
                self.change(key, state);
                self.last[key as usize] = last;
                if !self.source.is_empty()
                    && let Some(readers) = self.readers.get_mut(self.source[id as usize] as usize)
                {
                    *readers += 1;
                }
            }
            self.count(id, optional, false);
        }
    }

    /// A write that nobody reads (nor may have, in a compare-and-set of unknown answer) changes nothing for anybody, once what it replaces is not read any more.
    fn is_unread(&self, id: u32) -> bool {
        self.eager && self.readers.get(id as usize) == Some(&0) && matches!(self.step_of(id), Some(Step::Write { .. }))
    }

    /// Does it change nothing? An answer that says what was unknown binds it.
    fn only_looks(&self, step: &Step) -> bool {
        let binds = |key: crate::Key| self.states.is_unknown(self.state[key.0 as usize]);
        step.is_read() && !step.key().is_some_and(binds)
    }

    /// All reads that fit take place, and writes that nobody reads. Did any of those?
    fn read_all(&mut self, meter: &mut Meter<'_>) -> Result<bool, Spent> {
        let mut changed = false;
        for session in 0..self.chains.len() {
            while let Some(&id) = self.chains[session].get(self.next[session] as usize) {
                meter.step(1)?;
                let pure = self.step_of(id).is_none_or(|step| self.only_looks(&step)) || self.is_unread(id);
                if !pure || !self.fits(id, false) || !self.take(id, NONE, meter)? {
                    break;
                }
                changed |= self.is_unread(id);
            }
        }
        Ok(changed)
    }
}

/// What anybody waits for: a write whose outcome is unknown is of use only then.
struct Wanted {
    values: FxHashMap<(u32, u32), ()>,
    any: Vec<bool>,
    registers: bool,
}

impl Wanted {
    fn new(history: &History, _values: usize) -> Wanted {
        let registers = matches!(history.object(), crate::Object::Register | crate::Object::CasRegister);
        let mut wanted = Wanted { values: FxHashMap::default(), any: vec![false; history.counts().1], registers };
        for id in history.ids() {
            let known = history.operation(id).outcome == Outcome::Done;
            match history.steps(id) {
                [Step::Read { key, value: Some(value) }] if known => {
                    wanted.values.insert((key.0, value.0), ());
                }
                [Step::Cas { key, from, took, .. }] => {
                    wanted.values.insert((key.0, from.0), ());
                    wanted.any[key.0 as usize] |= known && *took == Some(false);
                }
                _ => {}
            }
        }
        wanted
    }
    fn wants(&self, step: &Step) -> bool {
        match step {
            Step::Write { key, value } | Step::Cas { key, to: value, .. } if self.registers => {
                self.any[key.0 as usize] || self.values.contains_key(&(key.0, value.0))
            }
            _ => true,
        }
    }
}
