//! Every fast algorithm of linearizability on all histories of up to eight operations of small scope.
//!
//! What matters of time is who had ended before whom began: an interval order. Each is enumerated once, as a Fishburn
//! matrix (Fishburn 1985; Dukes and Parviainen 2010): intervals from `i` to `j`, so many of each, such that something begins
//! and something ends at every moment. For 1 to 8 operations there are 1, 2, 5, 15, 53, 217, 1014, 5335.

use super::item::View;
use super::{Decision, Judge};
use crate::{Budget, Datum, History, Key, Meter, Object, Recorder, Step, Value};

/// The most operations.
const MOST: usize = 8;

const X: Key = Key(0);

/// Intervals of time; of equal ones, only one order of what they are is tried.
#[derive(Clone, Debug)]
struct Shape {
    spans: Vec<(u64, u64)>,
}

impl Shape {
    /// Calls with every interval order of so many operations.
    fn each(count: usize, found: &mut dyn FnMut(&Shape)) {
        for size in 1..=count {
            let cells: Vec<(u64, u64)> =
                (0..size as u64).flat_map(|begin| (begin..size as u64).map(move |end| (begin, end))).collect();
            fill(&cells, count, size as u64, &mut Vec::new(), found);
        }
    }
    /// By operation: who had ended before it began.
    fn before(&self) -> Vec<u32> {
        let before = |&(begin, _): &(u64, u64)| {
            self.spans.iter().enumerate().fold(0, |all, (at, &(_, end))| all | u32::from(end < begin) << at)
        };
        self.spans.iter().map(before).collect()
    }
    /// The most that overlap.
    fn clients(&self) -> usize {
        let at = |moment: u64| self.spans.iter().filter(|span| span.0 <= moment && moment <= span.1).count();
        self.spans.iter().map(|span| at(span.0)).max().unwrap_or(0)
    }
    fn is_last(&self, at: usize) -> bool {
        self.spans.iter().all(|span| span.1 <= self.spans[at].1)
    }
}

fn fill(cells: &[(u64, u64)], left: usize, size: u64, spans: &mut Vec<(u64, u64)>, found: &mut dyn FnMut(&Shape)) {
    let Some((&cell, rest)) = cells.split_first() else {
        if left == 0 {
            found(&Shape { spans: spans.clone() });
        }
        return;
    };
    let (begin, end) = cell;
    for more in 0..=left {
        spans.extend(std::iter::repeat_n(cell, more));
        // The cells come by row: this may be the last of its row, or of its column.
        let row = end + 1 < size || spans.iter().any(|span| span.0 == begin);
        let column = end != begin || spans.iter().any(|span| span.1 == end);
        if row && column && left - more >= (size - 1 - begin) as usize {
            fill(rest, left - more, size, spans, found);
        }
        spans.truncate(spans.len() - more);
    }
}

/// What an operation is. `Bring(n)` is the n-th that brings a value, which is n; `Show` shows one, 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Bring(u8),
    /// The same, of unknown outcome.
    MayBring(u8),
    Show(u8),
    /// Needs the first, brings the second.
    Change(u8, u8),
    /// A set as a whole, by bits.
    All(u8),
}

/// What is compared: the acts that an object knows, in words of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A register that first holds nothing.
    Register,
    /// A register that first holds what is written once more.
    Returning,
    /// A register that is changed by compare-and-set, too.
    Changed,
    Queue,
    Stack,
    Set,
    Counter,
}

impl Kind {
    const fn object(self) -> Object {
        match self {
            Kind::Register | Kind::Returning | Kind::Changed => Object::CasRegister,
            Kind::Queue => Object::Queue,
            Kind::Stack => Object::Stack,
            Kind::Set => Object::Set,
            Kind::Counter => Object::Counter,
        }
    }

    /// The state after an act, if it fits. States are numbers: a value, a sum, bits, or a line of values of four bits.
    fn after(self, state: u64, act: Act) -> Option<u64> {
        match (self, act) {
            (Kind::Register | Kind::Returning | Kind::Changed, act) => match act {
                Act::Bring(value) | Act::MayBring(value) => Some(u64::from(value)),
                Act::Show(value) => (state == u64::from(value)).then_some(state),
                Act::Change(from, to) => (state == u64::from(from)).then_some(u64::from(to)),
                Act::All(_) => None,
            },
            (Kind::Counter, Act::Bring(_) | Act::MayBring(_)) => Some(state + 1),
            (Kind::Counter, Act::Show(value)) => (state == u64::from(value)).then_some(state),
            (Kind::Set, Act::Bring(value) | Act::MayBring(value)) => Some(state | 1 << value),
            (Kind::Set, Act::All(bits)) => (state == u64::from(bits)).then_some(state),
            (Kind::Queue | Kind::Stack, Act::Bring(value) | Act::MayBring(value)) => {
                Some(state << 4 | u64::from(value))
            }
            (Kind::Queue | Kind::Stack, Act::Show(0)) => (state == 0).then_some(0),
            (Kind::Stack, Act::Show(value)) => (state & 15 == u64::from(value)).then_some(state >> 4),
            (Kind::Queue, Act::Show(value)) => {
                let first = (u64::BITS - state.leading_zeros()).div_ceil(4).checked_sub(1)? * 4;
                (state >> first == u64::from(value)).then_some(state & ((1 << first) - 1))
            }
            _ => None,
        }
    }

    fn first(self) -> u64 {
        u64::from(self == Kind::Returning)
    }

    /// What operations may be, if so many bring a value; who may be open also tells.
    fn shows(self, brought: u8) -> Vec<Act> {
        match self {
            Kind::Set => (0..1u8 << brought).map(|bits| Act::All(bits << 1)).collect(),
            _ => (0..=brought).map(Act::Show).collect(),
        }
    }

    fn step(self, recorder: &mut Recorder, act: Act) -> Step {
        let value = |recorder: &mut Recorder, value: u8| match value {
            0 => Value::NIL,
            value => recorder.value(&Datum::Integer(value.into())),
        };
        match (self, act) {
            (Kind::Counter, Act::Bring(_) | Act::MayBring(_)) => Step::Add { key: X, by: 1 },
            (Kind::Counter, Act::Show(number)) => Step::Count { key: X, number: Some(number.into()) },
            (Kind::Queue | Kind::Stack | Kind::Set, Act::Bring(of) | Act::MayBring(of)) => {
                Step::Insert { key: X, value: value(recorder, of) }
            }
            (Kind::Queue | Kind::Stack, Act::Show(of)) => Step::Take { key: X, value: Some(value(recorder, of)) },
            (_, Act::Bring(of) | Act::MayBring(of)) => Step::Write { key: X, value: value(recorder, of) },
            (_, Act::Show(of)) => Step::Read { key: X, value: Some(value(recorder, of)) },
            (_, Act::Change(from, to)) => {
                let (from, to) = (value(recorder, from), value(recorder, to));
                Step::Cas { key: X, from, to, took: Some(true) }
            }
            (_, Act::All(bits)) => {
                let all: Vec<Value> = (1..8).filter(|of| bits >> of & 1 == 1).map(|of| value(recorder, of)).collect();
                Step::ReadList { key: X, list: Some(recorder.list(&all)) }
            }
        }
    }

    fn history(self, shape: &Shape, acts: &[Act]) -> History {
        let mut recorder = Recorder::new(self.object());
        recorder.key(&"x".into());
        if self == Kind::Returning {
            let value = recorder.value(&Datum::Integer(1));
            recorder.initial_of_all(value);
        }
        for (at, (&(begin, end), &act)) in shape.spans.iter().zip(acts).enumerate() {
            let session = recorder.session(&Datum::Integer(at as i64));
            let step = [self.step(&mut recorder, act)];
            let ticket = recorder.begin(session, begin, 0, &step);
            if !matches!(act, Act::MayBring(_)) {
                recorder.end(ticket, end, &step);
            }
        }
        recorder.finish()
    }
}

/// Tries every order, by who was placed and the state that it left.
struct Orders {
    kind: Kind,
    before: Vec<u32>,
    seen: Vec<(u32, u64)>,
}

impl Orders {
    fn exists(&mut self, acts: &[Act]) -> bool {
        let must = |act: &Act| !matches!(act, Act::MayBring(_));
        let must = acts.iter().enumerate().fold(0, |all, (at, act)| all | u32::from(must(act)) << at);
        self.seen.clear();
        self.from(acts, must, 0, self.kind.first())
    }
    fn from(&mut self, acts: &[Act], must: u32, placed: u32, state: u64) -> bool {
        if placed & must == must {
            return true;
        }
        if self.seen.contains(&(placed, state)) {
            return false;
        }
        let next = (0..acts.len()).filter(|at| placed >> at & 1 == 0);
        for at in next.collect::<Vec<_>>() {
            if self.before[at] & must & !placed == 0
                && let Some(after) = self.kind.after(state, acts[at])
                && self.from(acts, must, placed | 1 << at, after)
            {
                return true;
            }
        }
        self.seen.push((placed, state));
        false
    }
}

/// What is small: by number of operations, from 1.
struct Scope {
    kind: Kind,
    /// How many operations may bring a value.
    brings: [u32; MOST],
    /// How many operations may be going on at one moment.
    clients: [usize; MOST],
    /// May operations that bring something have an unknown outcome, up to so many operations?
    open: usize,
}

#[derive(Default)]
struct Tally {
    valid: u64,
    invalid: u64,
}

impl Scope {
    /// Compares the checker with all orders on every history.
    fn compare(&self) {
        let mut tally = Tally::default();
        for (at, &most) in self.brings.iter().enumerate() {
            Shape::each(at + 1, &mut |shape| {
                if shape.clients() <= self.clients[at] {
                    self.compare_shape(shape, most, &mut tally);
                }
            });
            println!("{:?} of {}: {} valid, {} invalid", self.kind, at + 1, tally.valid, tally.invalid);
        }
        assert!(tally.valid > 10_000 && tally.invalid > 10_000);
    }

    fn compare_shape(&self, shape: &Shape, most: u32, tally: &mut Tally) {
        let (kind, count) = (self.kind, shape.spans.len());
        let mut orders = Orders { kind, before: shape.before(), seen: Vec::new() };
        for brings in (0..1u32 << count).filter(|brings| brings.count_ones() <= most) {
            let shows = kind.shows(brings.count_ones() as u8);
            let choices = Choices { kind, shape, brings, open: count <= self.open, shows: &shows };
            let mut acts = vec![shows[0]; count];
            choices.label(0, 0, &mut acts, &mut |acts| {
                let expected = orders.exists(acts);
                let history = kind.history(shape, acts);
                assert_eq!(is_valid(&history), expected, "{kind:?} {:?} {acts:?}", shape.spans);
                *(if expected { &mut tally.valid } else { &mut tally.invalid }) += 1;
            });
        }
    }
}

/// The verdict alone: nobody looks for a witness.
fn is_valid(history: &History) -> bool {
    let mut judge = Judge::new(history, View::TRUE);
    let parts = View::TRUE.parts(history);
    parts.iter().all(|part| {
        match judge.decide(&part.keys, &part.items, &mut Meter::new(Budget::DEFAULT)).expect("it is small") {
            Decision::Valid => true,
            Decision::Invalid(_) => false,
            Decision::TooHard => panic!("there is no limit"),
        }
    })
}

/// What there is to choose from.
struct Choices<'a> {
    kind: Kind,
    shape: &'a Shape,
    /// By operation, a bit: does it bring a value?
    brings: u32,
    open: bool,
    shows: &'a [Act],
}

impl Choices<'_> {
    fn does_bring(&self, at: usize) -> bool {
        self.brings >> at & 1 == 1
    }
    /// Had an operation ended before the one that brings this value began?
    fn is_future(&self, at: usize, value: u8) -> bool {
        let by = (0..self.shape.spans.len()).filter(|&at| self.does_bring(at)).nth(value as usize - 1);
        by.is_some_and(|by| self.shape.spans[at].1 < self.shape.spans[by].0)
    }

    /// Chooses what each operation is, from place `at` on. Nothing is shown or needed before it was brought: that is found
    /// out without any order.
    fn label(&self, at: usize, brought: u8, acts: &mut Vec<Act>, found: &mut dyn FnMut(&[Act])) {
        if at == acts.len() {
            return found(acts);
        }
        // Of operations that lie alike in time, those that bring come first, and what others show does not fall.
        let twin = at > 0 && self.shape.spans[at] == self.shape.spans[at - 1];
        if !self.does_bring(at) {
            for &show in self.shows {
                let falls = twin && !self.does_bring(at - 1) && show < acts[at - 1];
                let is_future = match (self.kind, show) {
                    (_, Act::Show(0)) | (Kind::Counter, _) => false,
                    (_, Act::Show(value)) => self.is_future(at, value),
                    (_, Act::All(bits)) => (1..8).any(|value| bits >> value & 1 == 1 && self.is_future(at, value)),
                    _ => false,
                };
                // What is taken was put in, once.
                let taken = matches!(self.kind, Kind::Queue | Kind::Stack)
                    && show != Act::Show(0)
                    && (0..at).any(|other| !self.does_bring(other) && acts[other] == show);
                if !falls && !is_future && !taken {
                    acts[at] = show;
                    self.label(at + 1, brought, acts, found);
                }
            }
        } else if !twin || self.does_bring(at - 1) {
            let value = brought + 1;
            let mut go = |act: Act| {
                acts[at] = act;
                self.label(at + 1, value, acts, found);
            };
            go(Act::Bring(value));
            if self.open && self.shape.is_last(at) {
                go(Act::MayBring(value));
            }
            if self.kind == Kind::Changed {
                for other in (0..=self.brings.count_ones() as u8).filter(|&other| other != value) {
                    if other == 0 || !self.is_future(at, other) {
                        go(Act::Change(other, value));
                    }
                }
            }
        }
    }
}

#[test]
fn the_orders_in_time_are_as_many_as_they_should_be() {
    let count = |operations: usize| {
        let mut count = 0;
        Shape::each(operations, &mut |_| count += 1);
        count
    };
    let counts: Vec<u32> = (1..=MOST).map(count).collect();
    assert_eq!(counts, [1, 2, 5, 15, 53, 217, 1014, 5335], "OEIS A022493");
}

#[test]
fn registers() {
    Scope { kind: Kind::Register, brings: [8, 8, 8, 8, 8, 8, 3, 3], clients: [8, 8, 8, 8, 8, 8, 3, 2], open: 5 }
        .compare();
}

#[test]
fn registers_that_return_to_the_first_value() {
    Scope { kind: Kind::Returning, brings: [8, 8, 8, 8, 8, 3, 2, 2], clients: [8, 8, 8, 8, 8, 8, 3, 2], open: 5 }
        .compare();
}

#[test]
fn registers_with_compare_and_set() {
    Scope { kind: Kind::Changed, brings: [8, 8, 8, 8, 8, 3, 2, 2], clients: [8, 8, 8, 8, 8, 8, 2, 2], open: 5 }
        .compare();
}

#[test]
fn queues() {
    Scope { kind: Kind::Queue, brings: [8, 8, 8, 8, 8, 8, 4, 4], clients: [8, 8, 8, 8, 8, 8, 8, 3], open: 5 }.compare();
}

#[test]
fn stacks() {
    Scope { kind: Kind::Stack, brings: [8, 8, 8, 8, 8, 8, 4, 4], clients: [8, 8, 8, 8, 8, 8, 8, 3], open: 5 }.compare();
}

#[test]
fn sets() {
    Scope { kind: Kind::Set, brings: [8, 8, 8, 8, 8, 3, 2, 2], clients: [8, 8, 8, 8, 8, 8, 3, 2], open: 5 }.compare();
}

#[test]
fn counters() {
    Scope { kind: Kind::Counter, brings: [8, 8, 8, 8, 8, 3, 2, 2], clients: [8, 8, 8, 8, 8, 8, 3, 2], open: 5 }
        .compare();
}
