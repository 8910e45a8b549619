//! The search for one order of all transactions by executing them, for histories whose values repeat: which writer a read
//! read from need not be chosen then, as all that matters is what is there.
//!
//! It is the search of Wing and Gong (1993) with Lowe's memory of what was tried (2017), over lanes: transactions that are known to
//! come one after the other. A transaction that only looks is placed as soon as its answers fit: it could not stand anywhere
//! better. Exponential at worst, so it is charged to a budget.

use super::fewest::fewest;
use super::{Base, Rules};
use crate::linear::{Tried, random};
use crate::{Anomaly, History, Id, Key, Meter, Object, Operation, Outcome, Spent, Step, Witness};
use rustc_hash::FxHashMap;

/// What a step does to the content of a key, which is a number.
#[derive(Clone, Copy)]
enum Act {
    /// The key must have this content.
    Find(u32, u32),
    /// It has this content now.
    Put(u32, u32),
    /// This element stands behind its content now.
    Push(u32, u32),
}

/// Transactions of which each comes before the next.
struct Lane {
    operations: Vec<u32>,
    /// By place, when the first of those from there on ends.
    earliest_end: Vec<u64>,
    next: usize,
}

/// A transaction of unknown outcome.
struct May {
    operation: u32,
    begin: u64,
    /// The lane, and how many of it come before.
    after: Option<(u32, usize)>,
}

struct Frame {
    /// A lane, or behind all lanes a transaction of unknown outcome.
    chosen: u32,
    /// How many contents had been changed.
    changes: u32,
    /// How many transactions had been placed on sight.
    trail: u32,
}

struct Search {
    lanes: Vec<Lane>,
    may: Vec<May>,
    has_time: bool,
    acts: Vec<Act>,
    /// By operation, where its acts begin; one more for the end.
    starts: Vec<u32>,
    only_looks: Vec<bool>,
    begins: Vec<u64>,
    /// Lists by their last element and the list before it.
    lists: FxHashMap<(u32, u32), u32>,
    content: Vec<u32>,
    name: u128,
    marks: Vec<u128>,
    used: Vec<u64>,
    left: usize,
    /// Keys and what they had before.
    changes: Vec<(u32, u32)>,
    trail: Vec<u32>,
    tried: Tried,
}

/// Is there an order of all transactions that respects what is known of it and explains every answer?
pub(super) fn has_order(history: &History, base: Base, rules: Rules, meter: &mut Meter<'_>) -> Result<bool, Spent> {
    let mut search = Search::new(history, base, rules);
    let bytes = 64 * (search.acts.len() + search.lists.len() + history.len()) as u64;
    meter.step(search.acts.len() as u64)?;
    meter.hold(bytes)?;
    let mut held = bytes;
    let found = search.run(meter, &mut held);
    meter.release(held);
    found
}

impl Search {
    fn new(history: &History, base: Base, rules: Rules) -> Search {
        let in_sessions = base != Base::Nothing && rules.sessions;
        let mut lanes: Vec<Lane> = Vec::new();
        let mut lane_of = vec![None; history.counts().2];
        let mut may = Vec::new();
        for id in history.ids() {
            let operation = history.operation(id);
            let known = &mut lane_of[operation.session.0 as usize];
            match operation.outcome {
                Outcome::Refused => {}
                Outcome::Unknown => {
                    let after =
                        known.filter(|_| in_sessions).map(|lane: u32| (lane, lanes[lane as usize].operations.len()));
                    may.push(May { operation: id.0, begin: operation.begin, after });
                }
                Outcome::Done => {
                    let lane = known.filter(|_| in_sessions).unwrap_or_else(|| {
                        lanes.push(Lane { operations: Vec::new(), earliest_end: Vec::new(), next: 0 });
                        lanes.len() as u32 - 1
                    });
                    *known = Some(lane);
                    lanes[lane as usize].operations.push(id.0);
                }
            }
        }
        if !rules.unknown_writes {
            may.clear();
        }
        for lane in &mut lanes {
            let ends = lane.operations.iter().rev().scan(Operation::NEVER, |earliest, &at| {
                *earliest = history.operation(Id(at)).end.min(*earliest);
                Some(*earliest)
            });
            lane.earliest_end = ends.collect();
            lane.earliest_end.reverse();
        }
        let is_list = history.object() == Object::ListAppend;
        let initial = |key: u32| if is_list { 0 } else { history.initial(Key(key)).0 };
        let content = (0..history.counts().1 as u32).map(initial).collect();
        let mut seed = 7;
        let mut search = Search {
            left: lanes.iter().map(|lane| lane.operations.len()).sum(),
            used: vec![0; may.len().div_ceil(64)],
            tried: Tried::new(may.len().div_ceil(64)),
            lanes,
            may,
            has_time: base == Base::Time && rules.real_time && history.has_real_time(),
            acts: Vec::new(),
            starts: vec![0],
            only_looks: Vec::new(),
            begins: history.operations().iter().map(|operation| operation.begin).collect(),
            lists: FxHashMap::default(),
            content,
            name: 0,
            marks: history.ids().map(|_| random(&mut seed)).collect(),
            changes: Vec::new(),
            trail: Vec::new(),
        };
        search.read(history);
        search
    }

    /// Turns steps into acts. The content of a register is its value; a list that is empty is 0.
    fn read(&mut self, history: &History) {
        for id in history.ids() {
            let is_done = history.operation(id).outcome == Outcome::Done;
            let first = self.acts.len();
            for step in history.steps(id) {
                match *step {
                    Step::Read { key, value: Some(value) } if is_done => self.acts.push(Act::Find(key.0, value.0)),
                    Step::Write { key, value } => self.acts.push(Act::Put(key.0, value.0)),
                    Step::Append { key, value } => self.acts.push(Act::Push(key.0, value.0)),
                    Step::ReadList { key, list: Some(list) } if is_done => {
                        let content = history.list(list).iter().fold(0, |list, value| self.longer(list, value.0));
                        self.acts.push(Act::Find(key.0, content));
                    }
                    _ => {}
                }
            }
            self.only_looks.push(self.acts[first..].iter().all(|act| matches!(act, Act::Find(..))));
            self.starts.push(self.acts.len() as u32);
        }
    }

    /// The list with one more element.
    fn longer(&mut self, list: u32, element: u32) -> u32 {
        let next = self.lists.len() as u32 + 1;
        *self.lists.entry((list, element)).or_insert(next)
    }

    fn run(&mut self, meter: &mut Meter<'_>, held: &mut u64) -> Result<bool, Spent> {
        let mut frames: Vec<Frame> = Vec::new();
        self.place_on_sight(meter)?;
        let choices = (self.lanes.len() + self.may.len()) as u32;
        let mut bound = self.bound();
        let mut candidate = 0;
        while self.left > 0 {
            meter.step(1)?;
            if candidate == choices {
                let Some(frame) = frames.pop() else { return Ok(false) };
                self.undo(&frame);
                bound = self.bound();
                candidate = frame.chosen + 1;
                continue;
            }
            let frame = Frame { chosen: candidate, changes: self.changes.len() as u32, trail: self.trail.len() as u32 };
            if self.try_place(candidate, bound) {
                self.place_on_sight(meter)?;
                let (is_new, _) = self.tried.remember(self.name, &self.used);
                if is_new {
                    let bytes = self.tried.bytes() + 16 * self.lists.len() as u64;
                    let more = bytes.saturating_sub(*held);
                    *held += more;
                    meter.hold(more)?;
                    frames.push(frame);
                    bound = self.bound();
                    candidate = 0;
                    continue;
                }
                self.undo(&frame);
            }
            candidate += 1;
        }
        Ok(true)
    }

    /// The earliest end of all that must still be placed: what began later must wait.
    fn bound(&self) -> u64 {
        let ends = self.lanes.iter().filter_map(|lane| lane.earliest_end.get(lane.next).copied());
        if self.has_time { ends.min().unwrap_or(Operation::NEVER) } else { Operation::NEVER }
    }

    /// Places a transaction if it may come next and its answers fit.
    fn try_place(&mut self, candidate: u32, bound: u64) -> bool {
        let at = candidate as usize;
        let Some(lane) = self.lanes.get(at) else {
            let at = at - self.lanes.len();
            let May { operation, begin, after } = self.may[at];
            let waits = after.is_some_and(|(lane, count)| self.lanes[lane as usize].next < count);
            let is_used = self.used[at / 64] >> (at % 64) & 1 == 1;
            let before = self.changes.len();
            if is_used || waits || (self.has_time && begin > bound) || !self.execute(operation) {
                return false;
            }
            if self.changes.len() == before {
                return false; // It would change nothing.
            }
            self.used[at / 64] |= 1 << (at % 64);
            return true;
        };
        let Some(&operation) = lane.operations.get(lane.next) else { return false };
        if !self.is_begun(operation, bound) || !self.execute(operation) {
            return false;
        }
        self.take(at, operation);
        true
    }

    fn is_begun(&self, operation: u32, bound: u64) -> bool {
        !self.has_time || self.begins[operation as usize] <= bound
    }

    fn take(&mut self, lane: usize, operation: u32) {
        self.lanes[lane].next += 1;
        self.left -= 1;
        self.name ^= self.marks[operation as usize];
    }

    fn give_back(&mut self, lane: usize) {
        let lane = &mut self.lanes[lane];
        lane.next -= 1;
        self.left += 1;
        self.name ^= self.marks[lane.operations[lane.next] as usize];
    }

    /// Changes the contents as the transaction does; if an answer does not fit, nothing is changed.
    fn execute(&mut self, operation: u32) -> bool {
        let before = self.changes.len();
        for at in self.starts[operation as usize]..self.starts[operation as usize + 1] {
            match self.acts[at as usize] {
                Act::Find(key, content) => {
                    if self.content[key as usize] != content {
                        self.change_back(before);
                        return false;
                    }
                }
                Act::Put(key, content) => self.change(key, content),
                Act::Push(key, element) => {
                    let content = self.longer(self.content[key as usize], element);
                    self.change(key, content);
                }
            }
        }
        true
    }

    fn change(&mut self, key: u32, content: u32) {
        let was = std::mem::replace(&mut self.content[key as usize], content);
        if was != content {
            self.name ^= mark(key, was) ^ mark(key, content);
            self.changes.push((key, was));
        }
    }

    fn change_back(&mut self, count: usize) {
        while self.changes.len() > count {
            let (key, was) = self.changes.pop().expect("there are more");
            let is = std::mem::replace(&mut self.content[key as usize], was);
            self.name ^= mark(key, was) ^ mark(key, is);
        }
    }

    fn place_on_sight(&mut self, meter: &mut Meter<'_>) -> Result<(), Spent> {
        loop {
            let bound = self.bound();
            let before = self.trail.len();
            meter.step(1 + self.lanes.len() as u64 / 8)?;
            for lane in 0..self.lanes.len() {
                while let Some(&operation) = self.lanes[lane].operations.get(self.lanes[lane].next)
                    && self.only_looks[operation as usize]
                    && self.is_begun(operation, bound)
                    && self.execute(operation)
                {
                    self.take(lane, operation);
                    self.trail.push(lane as u32);
                }
            }
            if self.trail.len() == before {
                return Ok(());
            }
        }
    }

    fn undo(&mut self, frame: &Frame) {
        while self.trail.len() > frame.trail as usize {
            let lane = self.trail.pop().expect("there are more");
            self.give_back(lane as usize);
        }
        self.change_back(frame.changes as usize);
        match (frame.chosen as usize).checked_sub(self.lanes.len()) {
            None => self.give_back(frame.chosen as usize),
            Some(at) => self.used[at / 64] &= !(1 << (at % 64)),
        }
    }
}

fn mark(key: u32, content: u32) -> u128 {
    random(&mut (u64::from(key) << 32 | u64::from(content)))
}

/// Few transactions that no order explains, out of a history that none explains. The work is as much again as so many steps.
pub(super) fn witness(history: &History, base: Base, rules: Rules, steps: u64, meter: &mut Meter<'_>) -> Witness {
    let took_place = |id: &Id| history.operation(*id).outcome != Outcome::Refused;
    let kept: Vec<Id> = history.ids().filter(took_place).collect();
    let mut fails = |fewer: &[Id], meter: &mut Meter<'_>| {
        let exists = has_order(&history.restrict(fewer), base, rules, meter)?;
        Ok((!exists).then(|| fewer.to_vec()))
    };
    let operations = fewest(history, kept, steps, &mut fails, meter);
    Witness { anomaly: Anomaly::NotSerializable, operations, edges: Vec::new() }
}
