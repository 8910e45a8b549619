//! The general search for an order that explains every answer: Wing and Gong (1993) with Lowe's memory of what was tried
//! (2017). Exponential at worst, so it is charged to a budget.
//!
//! What keeps it small:
//! - an operation that only looks is placed as soon as its answer fits: it could not stand anywhere better, unless
//!   its answer says what was unknown;
//! - of several operations that ask for the same, the one that must end first goes first;
//! - at a moment when nothing is under way, only the state counts: all orders that lead to the same one are tried once, so
//!   that the memory does what splitting the history there would do, and tries no state that is not needed;
//! - a state that was tried with fewer of the open operations used up need not be tried again with more of them;
//! - a value that an operation which must come soon waits for, and that nobody can write any more, ends the branch.

use super::item::{Item, Rules};
use crate::world::{State, World};
use crate::{History, Meter, Spent, Step, Value};
use rustc_hash::FxHashMap;

/// Is there an order of these operations (sorted by begin) that respects time and explains every answer? `None` if that
/// takes more steps than the limit.
pub(super) fn search(
    history: &History,
    world: &mut World<'_>,
    items: &[Item],
    rules: Rules,
    limit: u64,
    meter: &mut Meter<'_>,
) -> Result<Option<bool>, Spent> {
    let mut search = Search::new(history, world, items, rules);
    let found = search.run(limit, meter);
    let held = search.held;
    meter.release(held);
    found
}

const END: u32 = u32::MAX;
/// The head of the list of moments.
const HEAD: u32 = 0;

/// The begin or the end of an operation that must take place.
#[derive(Clone, Copy)]
struct Moment {
    /// The operation, by its place among those that must take place.
    operation: u32,
    /// For a begin the place of its end; 0 for an end.
    end: u32,
    before: u32,
    next: u32,
}

/// Where the search stands among the candidates for the next place in the order.
#[derive(Clone, Copy)]
enum Cursor {
    /// At a moment of the list of operations that must take place.
    Must(u32),
    /// At an open operation, if it began by this moment.
    May(u32, u64),
}

struct Frame {
    chosen: Cursor,
    state: State,
    /// The number of operations that had been placed on sight.
    trail: u32,
}

struct Search<'s, 'h> {
    history: &'s History,
    world: &'s mut World<'h>,
    rules: Rules,
    must: Vec<Item>,
    may: Vec<Item>,
    /// Does it only look?
    idle: Vec<bool>,
    /// The value that it must find, if that is known.
    needs: Vec<Option<Value>>,
    /// Equal for operations that ask for the same; the open ones share the numbers.
    class: Vec<u32>,
    may_class: Vec<u32>,
    /// For each open operation the one before it of its class.
    twin: Vec<u32>,
    /// How many operations that must take place have the class.
    class_size: Vec<u32>,
    marks: Vec<u128>,
    moments: Vec<Moment>,
    placed: u128,
    used: Vec<u64>,
    trail: Vec<u32>,
    left: usize,
    tried: Tried,
    held: u64,
}

impl<'s, 'h> Search<'s, 'h> {
    fn new(history: &'s History, world: &'s mut World<'h>, items: &[Item], rules: Rules) -> Search<'s, 'h> {
        let (must, may): (Vec<Item>, Vec<Item>) = items.iter().partition(|item| !item.open);
        let idle = |item: &Item| history.steps(item.id).iter().all(|step| step.is_read() || is_empty_take(step));
        let mut classes = FxHashMap::default();
        let mut class_of = |item: &Item| {
            let steps = history.steps(item.id);
            let holder = matches!(steps, [Step::Acquire { .. } | Step::Release { .. }]);
            // Whatever an open operation is said to have heard, it may have heard something else.
            let unsure = item.open && steps.iter().any(Step::is_answered);
            let asked = (steps, unsure, if holder { history.operation(item.id).session.0 } else { 0 });
            let next = classes.len() as u32;
            *classes.entry(asked).or_insert(next)
        };
        let class: Vec<u32> = must.iter().map(&mut class_of).collect();
        let may_class: Vec<u32> = may.iter().map(&mut class_of).collect();
        let mut class_size = vec![0; classes.len()];
        class.iter().for_each(|&class| class_size[class as usize] += 1);
        let mut last = vec![END; class_size.len()];
        let twin = (may_class.iter().enumerate())
            .map(|(at, &class)| std::mem::replace(&mut last[class as usize], at as u32))
            .collect();
        let mut seed = 1;
        let marks = must.iter().map(|_| random(&mut seed)).collect();
        let foreseen = items.iter().all(|item| is_foreseen(history.steps(item.id)));
        let needs = must.iter().map(|item| needed(history.steps(item.id)).filter(|_| foreseen)).collect();
        Search {
            needs,
            idle: must.iter().map(|item| idle(item) || rules.greedy_writes).collect(),
            left: must.len(),
            moments: moments(&must),
            used: vec![0; may.len().div_ceil(64)],
            tried: Tried::new(may.len().div_ceil(64)),
            trail: Vec::new(),
            placed: 0,
            held: 0,
            history,
            world,
            rules,
            must,
            may,
            class,
            may_class,
            twin,
            class_size,
            marks,
        }
    }

    fn run(&mut self, limit: u64, meter: &mut Meter<'_>) -> Result<Option<bool>, Spent> {
        let mut steps = 0;
        let mut frames: Vec<Frame> = Vec::new();
        let all = self.must.iter().chain(&self.may).map(|item| item.id);
        let mut state = self.world.first(all);
        self.place_on_sight(state, meter)?;
        let mut cursor = self.first();
        while self.left > 0 {
            meter.step(1)?;
            steps += 1;
            if steps > limit {
                return Ok(None);
            }
            if let Some(next) = self.try_place(cursor, state) {
                let frame = Frame { chosen: cursor, state, trail: self.trail.len() as u32 };
                self.place(cursor);
                self.place_on_sight(next, meter)?;
                if !self.is_hopeless(next, meter)? && self.remember(next, meter)? {
                    frames.push(frame);
                    state = next;
                    cursor = self.first();
                    continue;
                }
                self.undo(&frame);
            }
            let mut following = self.following(cursor);
            while following.is_none() {
                let Some(frame) = frames.pop() else { return Ok(Some(false)) };
                self.undo(&frame);
                state = frame.state;
                following = self.following(frame.chosen);
            }
            cursor = following.expect("the loop above ends with one");
        }
        Ok(Some(true))
    }

    /// Must one of the operations that end soon find a value that is not there and that nobody can bring about before?
    fn is_hopeless(&mut self, state: State, meter: &mut Meter<'_>) -> Result<bool, Spent> {
        let mut at = self.moments[HEAD as usize].next;
        let mut looks = 0;
        while at != HEAD && looks < FORESIGHT {
            let Moment { operation, end, next, .. } = self.moments[at as usize];
            if end == 0 {
                looks += 1;
                if let Some(value) = self.needs[operation as usize]
                    && !self.world.leads_to(state, value)
                {
                    meter.step(1)?;
                    if !self.can_come(value, operation) {
                        return Ok(true);
                    }
                }
            }
            at = next;
        }
        Ok(false)
    }
    /// Is there an operation left that may stand before this one and brings the value about, or a beginning of it?
    fn can_come(&mut self, value: Value, reader: u32) -> bool {
        let end = self.must[reader as usize].end;
        let mut at = self.moments[HEAD as usize].next;
        while at != HEAD {
            let Moment { operation, end, next, .. } = self.moments[at as usize];
            if end == 0 && operation == reader {
                break;
            }
            if end != 0 && operation != reader {
                let steps = self.history.steps(self.must[operation as usize].id);
                if self.world.brings(steps, value) {
                    return true;
                }
            }
            at = next;
        }
        for at in 0..self.may.len() {
            let item = self.may[at];
            if item.begin > end {
                break;
            }
            if !self.is_used(at as u32) && self.world.brings(self.history.steps(item.id), value) {
                return true;
            }
        }
        false
    }

    /// Remembers what is tried; `false` if it need not be.
    fn remember(&mut self, state: State, meter: &mut Meter<'_>) -> Result<bool, Spent> {
        let (new, bytes) = self.tried.remember(self.placed ^ spread(state), &self.used);
        if bytes > 0 {
            let all = self.tried.bytes() + self.world.bytes();
            let more = all.saturating_sub(self.held);
            self.held += more;
            meter.hold(more)?;
        }
        Ok(new)
    }

    fn first(&self) -> Cursor {
        self.settle(self.moments[HEAD as usize].next)
    }
    /// A cursor at a moment; an end (or nothing more) ends the candidates that must take place.
    fn settle(&self, moment: u32) -> Cursor {
        if moment == HEAD {
            return Cursor::May(0, u64::MAX);
        }
        let Moment { operation, end, .. } = self.moments[moment as usize];
        if end != 0 { Cursor::Must(moment) } else { Cursor::May(0, self.must[operation as usize].end) }
    }
    fn following(&self, cursor: Cursor) -> Option<Cursor> {
        match cursor {
            Cursor::Must(moment) => Some(self.settle(self.moments[moment as usize].next)),
            Cursor::May(at, bound) => {
                let next = self.may.get(at as usize + 1)?;
                (next.begin <= bound).then_some(Cursor::May(at + 1, bound))
            }
        }
    }

    /// The state after placing an operation next, if that is legal and useful.
    fn try_place(&mut self, cursor: Cursor, state: State) -> Option<State> {
        match cursor {
            Cursor::Must(moment) => {
                let operation = self.moments[moment as usize].operation as usize;
                if self.waits_for_twin(self.class[operation], Some(operation)) {
                    return None;
                }
                let item = self.must[operation];
                self.world.after(state, self.history.steps(item.id), item.session, false)
            }
            Cursor::May(at, bound) => {
                let item = *self.may.get(at as usize).filter(|item| item.begin <= bound)?;
                let twin = self.twin[at as usize];
                let waits = twin != END && !self.is_used(twin);
                if self.is_used(at) || waits || self.waits_for_twin(self.may_class[at as usize], None) {
                    return None;
                }
                let next = self.world.after(state, self.history.steps(item.id), item.session, true)?;
                (next != state).then_some(next)
            }
        }
    }
    /// Is there a candidate that asks for the same and must end before this one?
    fn waits_for_twin(&self, class: u32, operation: Option<usize>) -> bool {
        if self.class_size[class as usize] < 1 + u32::from(operation.is_some()) {
            return false;
        }
        let ends = |operation: usize| (self.must[operation].end, operation);
        let mut at = self.moments[HEAD as usize].next;
        while at != HEAD && self.moments[at as usize].end != 0 {
            let other = self.moments[at as usize].operation as usize;
            let earlier = operation.is_none_or(|operation| ends(other) < ends(operation));
            if self.class[other] == class && Some(other) != operation && earlier != self.rules.late_twins {
                return true;
            }
            at = self.moments[at as usize].next;
        }
        false
    }
    fn is_used(&self, at: u32) -> bool {
        self.used[at as usize / 64] >> (at % 64) & 1 == 1
    }

    /// Places every operation that only looks and whose answer fits. Nothing is lost: wherever else it could stand,
    /// it changes nothing. One that binds what is unknown does change the state, and where it stands is a choice.
    fn place_on_sight(&mut self, state: State, meter: &mut Meter<'_>) -> Result<(), Spent> {
        let mut at = self.moments[HEAD as usize].next;
        while at != HEAD && self.moments[at as usize].end != 0 {
            let Moment { operation, next, .. } = self.moments[at as usize];
            let mut following = next;
            if self.idle[operation as usize] {
                meter.step(1)?;
                let item = self.must[operation as usize];
                let next = self.world.after(state, self.history.steps(item.id), item.session, false);
                if next == Some(state) || next.is_some() && self.rules.greedy_writes {
                    self.trail.push(at);
                    self.lift_both(at);
                    following = self.next_after_lifting(at);
                }
            }
            at = following;
        }
        Ok(())
    }
    /// The moment that follows a lifted one in the list: its own end may have been the next.
    fn next_after_lifting(&self, begin: u32) -> u32 {
        let Moment { end, next, .. } = self.moments[begin as usize];
        if next == end { self.moments[end as usize].next } else { next }
    }

    fn place(&mut self, cursor: Cursor) {
        match cursor {
            Cursor::Must(begin) => self.lift_both(begin),
            Cursor::May(at, _) => self.used[at as usize / 64] |= 1 << (at % 64),
        }
    }
    fn undo(&mut self, frame: &Frame) {
        while self.trail.len() > frame.trail as usize {
            let begin = self.trail.pop().expect("it is longer than it was");
            self.lower_both(begin);
        }
        match frame.chosen {
            Cursor::Must(begin) => self.lower_both(begin),
            Cursor::May(at, _) => self.used[at as usize / 64] &= !(1 << (at % 64)),
        }
    }
    fn lift_both(&mut self, begin: u32) {
        let Moment { operation, end, .. } = self.moments[begin as usize];
        self.placed ^= self.marks[operation as usize];
        self.left -= 1;
        for moment in [begin, end] {
            let Moment { before, next, .. } = self.moments[moment as usize];
            self.moments[before as usize].next = next;
            self.moments[next as usize].before = before;
        }
    }
    fn lower_both(&mut self, begin: u32) {
        let Moment { operation, end, .. } = self.moments[begin as usize];
        self.placed ^= self.marks[operation as usize];
        self.left += 1;
        for moment in [end, begin] {
            let Moment { before, next, .. } = self.moments[moment as usize];
            self.moments[before as usize].next = moment;
            self.moments[next as usize].before = moment;
        }
    }
}

/// Of how many operations that end next the search asks whether they can still find what they found.
const FORESIGHT: u32 = 4;

/// Does the operation leave only values that are written in it?
fn is_foreseen(steps: &[Step]) -> bool {
    matches!(steps, [Step::Read { .. } | Step::Write { .. } | Step::Cas { .. } | Step::Append { .. }])
}

/// The value that an operation must find.
fn needed(steps: &[Step]) -> Option<Value> {
    match *steps {
        [Step::Read { value, .. }] => value,
        [Step::Cas { from, took: Some(true), .. }] => Some(from),
        _ => None,
    }
}

fn is_empty_take(step: &Step) -> bool {
    matches!(step, Step::Take { value: Some(Value::NIL), .. })
}

/// Begins and ends in order, as a list in a circle. At one moment begins come before ends: such operations overlap.
fn moments(must: &[Item]) -> Vec<Moment> {
    let mut ends: Vec<u32> = (0..must.len() as u32).collect();
    ends.sort_by_key(|&at| must[at as usize].end);
    let mut moments = vec![Moment { operation: END, end: 0, before: 0, next: 0 }];
    let mut begins = vec![0; must.len()];
    let mut add = |moments: &mut Vec<Moment>, operation: u32, is_end: bool| {
        let here = moments.len() as u32;
        moments.push(Moment { operation, end: 0, before: here - 1, next: HEAD });
        moments[here as usize - 1].next = here;
        moments[HEAD as usize].before = here;
        if is_end {
            moments[begins[operation as usize] as usize].end = here;
        } else {
            begins[operation as usize] = here;
        }
    };
    let mut next = 0;
    for &ending in &ends {
        while next < must.len() && must[next].begin <= must[ending as usize].end {
            add(&mut moments, next as u32, false);
            next += 1;
        }
        add(&mut moments, ending, true);
    }
    moments
}

/// What was tried: the operations placed and the state, and for each of these the sets of open operations used.
pub(crate) struct Tried {
    words: usize,
    heads: FxHashMap<u128, u32>,
    links: Vec<u32>,
    sets: Vec<u64>,
}

impl Tried {
    /// Nothing; sets have so many words.
    pub(crate) fn new(words: usize) -> Tried {
        Tried { words, heads: FxHashMap::default(), links: Vec::new(), sets: Vec::new() }
    }
    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.heads.capacity() * 33 + self.links.capacity() * 4 + self.sets.capacity() * 8) as u64
    }
    /// `false` if this was tried with no more of the open operations used; and whether memory grew.
    pub(crate) fn remember(&mut self, name: u128, used: &[u64]) -> (bool, u64) {
        let head = self.heads.entry(name).or_insert(END);
        if self.words == 0 {
            return (std::mem::replace(head, 0) == END, 1);
        }
        let mut at = *head;
        while at != END {
            let set = &self.sets[at as usize * self.words..(at as usize + 1) * self.words];
            if set.iter().zip(used).all(|(tried, used)| tried & !used == 0) {
                return (false, 0);
            }
            at = self.links[at as usize];
        }
        self.links.push(*head);
        self.sets.extend_from_slice(used);
        *head = self.links.len() as u32 - 1;
        (true, 1)
    }
}

/// A number that looks random (SplitMix64, Steele, Lea and Flood 2014), twice.
pub(crate) fn random(seed: &mut u64) -> u128 {
    let mut half = || {
        *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut made = *seed;
        made = (made ^ (made >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        made = (made ^ (made >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u128::from(made ^ (made >> 31))
    };
    half() << 64 | half()
}

fn spread(state: State) -> u128 {
    random(&mut (u64::from(state) << 32 | 0xFACE))
}
