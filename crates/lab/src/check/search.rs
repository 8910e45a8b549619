//! The general search for an order that explains every answer: Wing and Gong (1993), with Lowe's memory of the states
//! that were seen (2017). Exponential at worst, so it counts its steps and gives up honestly.

use super::history::{Action, Answer, Operation, Outcome, Value};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Order,
    NoOrder,
    GaveUp,
}

/// The state after an operation, or `None` if it cannot have answered so in this state.
pub(super) fn apply(state: &Value, action: &Action, answer: Option<&Answer>) -> Option<Value> {
    let agrees = |truth: Answer| answer.is_none_or(|answer| *answer == truth);
    match action {
        Action::Read => agrees(Answer::Value(state.clone())).then(|| state.clone()),
        Action::Write(value) => Some(Some(value.clone())),
        Action::Delete => agrees(Answer::Took(state.is_some())).then_some(None),
        Action::Swap(value) => agrees(Answer::Value(state.clone())).then(|| Some(value.clone())),
        Action::Add(by) => {
            let number = match state {
                None => Some(0),
                Some(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok()),
            };
            let Some(sum) = number.and_then(|number| number.checked_add(*by)) else {
                return answer.is_none().then(|| state.clone());
            };
            agrees(Answer::Number(sum)).then(|| Some(Bytes::from(sum.to_string())))
        }
        Action::Cas(expected, value) => {
            let took = state == expected;
            agrees(Answer::Took(took)).then(|| if took { Some(value.clone()) } else { state.clone() })
        }
    }
}

/// One moment of an operation: its call or its return.
struct Moment {
    operation: usize,
    is_call: bool,
    /// For a call, the place of its return.
    partner: usize,
    previous: usize,
    next: usize,
}

const HEAD: usize = 0;

/// Where the search stands among the candidates for the next place in the order.
#[derive(Clone, Copy)]
enum Cursor {
    /// At a moment of the list of operations that must take place.
    Must(usize),
    /// At an operation that may take place, among those that began before the moment.
    May(usize, u64),
}

struct Frame {
    chosen: Cursor,
    state: u32,
    last_may: Option<Placed>,
}

/// An operation that may be left out and was placed last, and the state before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    operation: usize,
    before: u32,
}

struct Search<'a> {
    operations: &'a [Operation],
    moments: Vec<Moment>,
    /// Operations of unknown outcome, by start.
    may: Vec<usize>,
    /// For each of them the one before it that asks for the same.
    twin: Vec<Option<usize>>,
    used: Vec<u64>,
    states: Vec<Value>,
    names: BTreeMap<Value, u32>,
    seen: BTreeSet<(Vec<u64>, u32, Option<Placed>)>,
    left: usize,
}

/// Is there an order of these operations on one key, absent at first, that respects time and explains every answer?
/// Refused operations must not be among them.
pub(super) fn search(operations: &[Operation], budget: u64) -> Found {
    Search::new(operations).run(budget)
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation]) -> Search<'a> {
        let known = |at: &usize| operations[*at].outcome != Outcome::Unknown;
        let (must, mut may): (Vec<usize>, Vec<usize>) = (0..operations.len()).partition(known);
        may.sort_by_key(|&at| operations[at].start);
        // At one instant calls come before returns: such operations overlap.
        let mut order: Vec<(u64, bool, usize)> = Vec::with_capacity(must.len() * 2);
        for &at in &must {
            order.push((operations[at].start, false, at));
            order.push((operations[at].end, true, at));
        }
        order.sort_unstable();
        let mut moments =
            vec![Moment { operation: usize::MAX, is_call: false, partner: HEAD, previous: HEAD, next: 1 }];
        let mut call_of = BTreeMap::new();
        for (place, (_, is_return, operation)) in order.iter().enumerate() {
            let here = place + 1;
            if *is_return {
                let call: usize = call_of[operation];
                moments[call].partner = here;
            } else {
                call_of.insert(*operation, here);
            }
            moments.push(Moment {
                operation: *operation,
                is_call: !is_return,
                partner: HEAD,
                previous: here - 1,
                next: here + 1,
            });
        }
        let last = moments.len() - 1;
        moments[last].next = HEAD;
        let words = operations.len().div_ceil(64);
        let same = |a: usize, b: usize| operations[may[a]].action == operations[may[b]].action;
        let twin = (0..may.len()).map(|at| (0..at).rev().find(|&earlier| same(at, earlier))).collect();
        Search {
            operations,
            moments,
            may,
            twin,
            used: vec![0; words],
            states: vec![None],
            names: BTreeMap::from([(None, 0)]),
            seen: BTreeSet::new(),
            left: must.len(),
        }
    }

    fn run(&mut self, budget: u64) -> Found {
        let mut frames: Vec<Frame> = Vec::new();
        let (mut state, mut last_may) = (0u32, None);
        let mut cursor = self.first();
        let mut steps = 0;
        while self.left > 0 {
            steps += 1;
            if steps > budget {
                return Found::GaveUp;
            }
            match self.candidate(cursor) {
                Some(operation) => match self.try_place(cursor, operation, state, last_may) {
                    Some(next) => {
                        frames.push(Frame { chosen: cursor, state, last_may });
                        self.place(cursor, operation);
                        let may = matches!(cursor, Cursor::May(..));
                        last_may = may.then_some(Placed { operation, before: state });
                        state = next;
                        cursor = self.first();
                    }
                    None => cursor = self.following(cursor),
                },
                None if self.has_more(cursor) => cursor = self.following(cursor),
                None => {
                    let Some(frame) = frames.pop() else { return Found::NoOrder };
                    self.unplace(frame.chosen);
                    (state, last_may) = (frame.state, frame.last_may);
                    cursor = self.following(frame.chosen);
                }
            }
        }
        Found::Order
    }

    fn first(&self) -> Cursor {
        self.settle(self.moments[HEAD].next)
    }
    /// A cursor at a moment; a return (or the end) ends the candidates that must take place.
    fn settle(&self, moment: usize) -> Cursor {
        if moment != HEAD && self.moments[moment].is_call {
            Cursor::Must(moment)
        } else {
            let bound = if moment == HEAD { u64::MAX } else { self.operations[self.moments[moment].operation].end };
            Cursor::May(0, bound)
        }
    }
    fn following(&self, cursor: Cursor) -> Cursor {
        match cursor {
            Cursor::Must(moment) => self.settle(self.moments[moment].next),
            Cursor::May(at, bound) => Cursor::May(at + 1, bound),
        }
    }
    fn has_more(&self, cursor: Cursor) -> bool {
        match cursor {
            Cursor::Must(_) => true,
            Cursor::May(at, bound) => {
                self.may.get(at).is_some_and(|&operation| self.operations[operation].start <= bound)
            }
        }
    }
    fn candidate(&self, cursor: Cursor) -> Option<usize> {
        match cursor {
            Cursor::Must(moment) => Some(self.moments[moment].operation),
            Cursor::May(at, _) if self.has_more(cursor) => {
                // Of several that ask for the same, the one that began first can stand wherever another can.
                let turn = self.twin[at].is_none_or(|earlier| self.is_used(self.may[earlier]));
                Some(self.may[at]).filter(|&operation| turn && !self.is_used(operation))
            }
            Cursor::May(..) => None,
        }
    }
    fn is_used(&self, operation: usize) -> bool {
        self.used[operation / 64] & (1 << (operation % 64)) != 0
    }

    /// The state after placing an operation next, if that is legal, useful and new.
    fn try_place(&mut self, cursor: Cursor, operation: usize, state: u32, last_may: Option<Placed>) -> Option<u32> {
        let may = matches!(cursor, Cursor::May(..));
        let next = self.after(state, operation)?;
        if may && next == state {
            return None;
        }
        // An operation that may be left out is placed only where the next one can tell the difference.
        if let Some(last) = last_may
            && let Some(without) = self.after(last.before, operation)
        {
            let could_be_left_out = without == next;
            let could_come_later = !may && self.after(without, last.operation) == Some(next);
            if could_be_left_out || could_come_later {
                return None;
            }
        }
        let mut used = self.used.clone();
        used[operation / 64] |= 1 << (operation % 64);
        let placed = may.then_some(Placed { operation, before: state });
        self.seen.insert((used, next, placed)).then_some(next)
    }
    /// The state that an operation leaves, if it can have answered so.
    fn after(&mut self, state: u32, operation: usize) -> Option<u32> {
        let op = &self.operations[operation];
        let answer = match &op.outcome {
            Outcome::Done(answer) => Some(answer),
            Outcome::Unknown | Outcome::Refused => None,
        };
        let next = apply(&self.states[state as usize], &op.action, answer)?;
        Some(self.name(next))
    }
    fn name(&mut self, state: Value) -> u32 {
        if let Some(&name) = self.names.get(&state) {
            return name;
        }
        let name = self.states.len() as u32;
        self.states.push(state.clone());
        self.names.insert(state, name);
        name
    }

    fn place(&mut self, cursor: Cursor, operation: usize) {
        self.used[operation / 64] |= 1 << (operation % 64);
        if let Cursor::Must(call) = cursor {
            self.left -= 1;
            let partner = self.moments[call].partner;
            self.lift(call);
            self.lift(partner);
        }
    }
    fn unplace(&mut self, cursor: Cursor) {
        let operation = match cursor {
            Cursor::Must(call) => {
                self.left += 1;
                let partner = self.moments[call].partner;
                self.unlift(partner);
                self.unlift(call);
                self.moments[call].operation
            }
            Cursor::May(at, _) => self.may[at],
        };
        self.used[operation / 64] &= !(1 << (operation % 64));
    }
    fn lift(&mut self, moment: usize) {
        let (previous, next) = (self.moments[moment].previous, self.moments[moment].next);
        self.moments[previous].next = next;
        if next != HEAD {
            self.moments[next].previous = previous;
        }
    }
    fn unlift(&mut self, moment: usize) {
        let (previous, next) = (self.moments[moment].previous, self.moments[moment].next);
        self.moments[previous].next = moment;
        if next != HEAD {
            self.moments[next].previous = moment;
        }
    }
}
