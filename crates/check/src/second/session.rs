//! The models of sessions, straight from their definitions, by trying every order and every choice of writers. Written
//! without a look at the checkers, and only fit for a handful of operations.

use crate::{Datum, History, Key, Model, Object, Outcome, Step, Value};
use rustc_hash::FxHashSet;
use std::cell::Cell;

/// More steps of trying than this are not done.
const MOST_STEPS: u64 = 20_000_000;
/// More operations than this are not tried.
const LARGEST: usize = 24;

/// Does the history of registers or texts keep the model? `None` if that is too much to try, or no model of sessions.
pub fn holds(history: &History, model: Model) -> Option<bool> {
    let world = World::new(history)?;
    let kept = match model {
        Model::ReadYourWrites => world.each_read(|read, w, r| r == read && world.ops[w].sure && world.session(w, r)),
        Model::MonotonicWrites => world.each_read(|_, a, b| world.writes(a) && world.writes(b) && world.session(a, b)),
        Model::MonotonicReads => world.monotonic_reads(),
        Model::WritesFollowReads => world.some_choice(true, |choice| world.writes_follow_reads(choice)),
        Model::Pram => world.sessions().all(|session| {
            let nodes = world.view(session);
            world.ordered(&nodes, |a, b| world.session(a, b), |node| world.reads_in(node, session), None)
        }),
        Model::WeakCausal => world.some_choice(false, |choice| world.weak_causal(choice)),
        Model::CausalMemory => world.some_choice(false, |choice| world.causal_memory(choice)),
        Model::CausalConvergence => world.some_choice(false, |choice| world.convergent(choice)),
        Model::EventualConvergence => world.reads_agree(history),
        _ => return None,
    };
    (world.steps.get() <= MOST_STEPS).then_some(kept)
}

/// Is nothing read that nobody wrote, or that was written only after (in time, or by what it caused)?
pub fn reads_what_was_written(history: &History) -> bool {
    let Some(world) = World::new(history) else { return false };
    let in_time = |choice: &[Option<Shown>]| {
        choice.iter().enumerate().all(|(read, shown)| {
            shown.iter().flatten().filter(|&&write| write != START).all(|&write| {
                let of = |op: usize| &history.operations()[world.ops[op].place];
                !history.has_real_time() || of(write).begin < of(read).end
            })
        })
    };
    world.some_choice(false, |choice| in_time(choice) && world.causality(choice).is_some())
}

const START: usize = usize::MAX;

struct Op {
    place: usize,
    session: u32,
    key: usize,
    sure: bool,
    /// What was seen, and whether it was that or anything else.
    saw: Option<(Text, bool)>,
    wrote: Option<(Text, bool)>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Text {
    Plain(Value),
    Said(String),
}

struct World {
    /// Steps of trying that were done.
    steps: Cell<u64>,
    ops: Vec<Op>,
    initial: Vec<Text>,
}

/// What a read is chosen to show: the writes in order, the first one may be the start.
type Shown = Vec<usize>;

impl World {
    /// `None` if it is too large or not of registers.
    fn new(history: &History) -> Option<World> {
        let text = |value: Value| match history.value(value) {
            Datum::Nil if history.object() == Object::Kv => Text::Said(String::new()),
            Datum::Text(text) if history.object() == Object::Kv => Text::Said(text.to_string()),
            _ => Text::Plain(value),
        };
        let mut ops = Vec::new();
        for id in history.ids() {
            let operation = history.operation(id);
            let [step] = history.steps(id) else { return None };
            let known = operation.outcome == Outcome::Done;
            let mut op = Op {
                place: id.index(),
                session: operation.session.0,
                key: step.key()?.0 as usize,
                sure: known,
                saw: None,
                wrote: None,
            };
            match *step {
                _ if operation.outcome == Outcome::Refused => continue,
                Step::Read { value: Some(value), .. } if known => op.saw = Some((text(value), true)),
                Step::Read { .. } => continue,
                Step::Write { value, .. } => op.wrote = Some((text(value), false)),
                Step::Append { value, .. } => op.wrote = Some((text(value), true)),
                Step::Cas { from, to, took: Some(true), .. } if known => {
                    op.saw = Some((text(from), true));
                    op.wrote = Some((text(to), false));
                }
                Step::Cas { from, took: Some(false), .. } if known => op.saw = Some((text(from), false)),
                Step::Cas { to, .. } => {
                    op.sure = false;
                    op.wrote = Some((text(to), false));
                }
                _ => return None,
            }
            ops.push(op);
        }
        let initial = (0..history.counts().1 as u32).map(|key| text(history.initial(Key(key)))).collect();
        (ops.len() <= LARGEST).then_some(World { steps: Cell::new(0), ops, initial })
    }

    /// Some steps more; too many?
    fn spend(&self, steps: usize) -> bool {
        self.steps.set(self.steps.get() + steps as u64);
        self.steps.get() > MOST_STEPS
    }

    fn writes(&self, op: usize) -> bool {
        self.ops[op].wrote.is_some()
    }
    fn all_writes(&self) -> Vec<usize> {
        (0..self.ops.len()).filter(|&op| self.writes(op)).collect()
    }
    fn all_reads(&self) -> Vec<usize> {
        (0..self.ops.len()).filter(|&op| self.ops[op].saw.is_some()).collect()
    }
    fn sessions(&self) -> impl Iterator<Item = u32> {
        let mut all: Vec<u32> = self.ops.iter().map(|op| op.session).collect();
        all.sort();
        all.dedup();
        all.into_iter()
    }
    fn session(&self, a: usize, b: usize) -> bool {
        self.ops[a].session == self.ops[b].session && a < b && self.ops[a].sure
    }
    fn reads_in(&self, op: usize, session: u32) -> bool {
        self.ops[op].session == session && self.ops[op].saw.is_some()
    }
    fn view(&self, session: u32) -> Vec<usize> {
        (0..self.ops.len()).filter(|&op| self.writes(op) || self.reads_in(op, session)).collect()
    }

    /// The text of the writes in order.
    fn text(&self, key: usize, shown: &[usize]) -> Option<Text> {
        let mut text = self.initial[key].clone();
        for &write in shown.iter().filter(|&&write| write != START) {
            let (what, appends) = self.ops[write].wrote.as_ref()?;
            text = match (appends, text, what) {
                (true, Text::Said(old), Text::Said(more)) => Text::Said(old + more),
                (true, ..) => return None,
                (false, _, what) => what.clone(),
            };
        }
        Some(text)
    }
    fn fits(&self, read: usize, shown: &[usize]) -> bool {
        let (seen, same) = self.ops[read].saw.as_ref().expect("a read");
        let own = shown.last() == Some(&read);
        !own && self.text(self.ops[read].key, shown).is_some_and(|text| (text == *seen) == *same)
    }
    /// What a key shows after one more write.
    fn then(&self, shown: &mut Shown, write: usize) {
        if !self.ops[write].wrote.as_ref().expect("a write").1 {
            shown.clear();
        }
        shown.push(write);
    }

    /// Is there an order of the nodes, respecting `before`, in which every read that is checked fits?
    fn ordered(
        &self,
        nodes: &[usize],
        before: impl Fn(usize, usize) -> bool,
        checked: impl Fn(usize) -> bool,
        choice: Option<&[Option<Shown>]>,
    ) -> bool {
        let mut seen = FxHashSet::default();
        let start = vec![vec![START]; self.initial.len()];
        let mut stack = vec![(0u32, start)];
        while let Some((mask, state)) = stack.pop() {
            if mask.count_ones() as usize == nodes.len() {
                return true;
            }
            if !seen.insert((mask, state.clone())) {
                continue;
            }
            if self.spend(nodes.len() * 8) {
                return false;
            }
            for (at, &node) in nodes.iter().enumerate() {
                let waits =
                    |(other, &first): (usize, &usize)| mask >> other & 1 == 0 && other != at && before(first, node);
                if mask >> at & 1 == 1 || nodes.iter().enumerate().any(waits) {
                    continue;
                }
                let key = self.ops[node].key;
                let mut state = state.clone();
                if checked(node) {
                    let fits = match choice.and_then(|choice| choice[node].as_ref()) {
                        Some(shown) => state[key] == *shown,
                        None => self.fits(node, &state[key]),
                    };
                    if !fits {
                        continue;
                    }
                }
                if self.writes(node) {
                    self.then(&mut state[key], node);
                }
                stack.push((mask | 1 << at, state));
            }
        }
        false
    }

    fn each_read(&self, before: impl Fn(usize, usize, usize) -> bool) -> bool {
        self.all_reads().into_iter().all(|read| {
            let mut nodes = self.all_writes();
            if !self.writes(read) {
                nodes.push(read);
            }
            self.ordered(&nodes, |a, b| before(read, a, b), |node| node == read, None)
        })
    }

    fn monotonic_reads(&self) -> bool {
        self.sessions().all(|session| {
            (0..self.initial.len()).all(|key| {
                let of = |&op: &usize| self.ops[op].key == key;
                let writes: Vec<usize> = self.all_writes().into_iter().filter(of).collect();
                let reads: Vec<usize> =
                    self.all_reads().into_iter().filter(of).filter(|&op| self.reads_in(op, session)).collect();
                self.some_order(&writes, |_, _| true, &mut |order| self.views_grow(order, &reads))
            })
        })
    }
    fn views_grow(&self, order: &[usize], reads: &[usize]) -> bool {
        let mut views: FxHashSet<u32> = FxHashSet::from_iter([0]);
        for &read in reads {
            let fits = |view: u32| {
                let mut shown = vec![START];
                for (at, &write) in order.iter().enumerate() {
                    if view >> at & 1 == 1 {
                        self.then(&mut shown, write);
                    }
                }
                self.fits(read, &shown)
            };
            if self.spend(views.len() << order.len()) {
                return false;
            }
            let all = 0..1u32 << order.len();
            views = all.filter(|&view| views.iter().any(|&old| old & view == old) && fits(view)).collect();
        }
        !views.is_empty()
    }

    /// Is there a choice of what each read shows?
    fn some_choice(&self, named_only: bool, holds: impl Fn(&[Option<Shown>]) -> bool) -> bool {
        let mut reads = Vec::new();
        for read in self.all_reads() {
            let named = self.ops[read].saw.as_ref().expect("a read").1;
            let options = self.options(read);
            if options.is_empty() {
                return false;
            }
            if named || !named_only {
                reads.push((read, options));
            }
        }
        let mut numbers = vec![0; reads.len()];
        let mut choice: Vec<Option<Shown>> = vec![None; self.ops.len()];
        loop {
            for (number, (read, options)) in numbers.iter().zip(&reads) {
                choice[*read] = Some(options[*number].clone());
            }
            if self.spend(self.ops.len() * 8) {
                return false;
            }
            if holds(&choice) {
                return true;
            }
            // The next choice, as an odometer turns.
            let Some(at) = (0..reads.len()).find(|&at| numbers[at] + 1 < reads[at].1.len()) else { return false };
            numbers[at] += 1;
            numbers[..at].fill(0);
        }
    }
    fn options(&self, read: usize) -> Vec<Shown> {
        let key = self.ops[read].key;
        let writes: Vec<usize> = self.all_writes().into_iter().filter(|&op| self.ops[op].key == key).collect();
        let mut all: Vec<Shown> = vec![vec![START]];
        all.extend(writes.iter().filter(|&&op| !self.ops[op].wrote.as_ref().expect("a write").1).map(|&op| vec![op]));
        let mut at = 0;
        while at < all.len() {
            if self.spend(writes.len() * 8) {
                return Vec::new();
            }
            for &write in &writes {
                if self.ops[write].wrote.as_ref().expect("a write").1 && !all[at].contains(&write) {
                    let longer = [&all[at][..], &[write]].concat();
                    all.push(longer);
                }
            }
            at += 1;
        }
        all.retain(|shown| self.fits(read, shown));
        all
    }

    fn closure(&self, mut order: Vec<Vec<bool>>) -> Option<Vec<Vec<bool>>> {
        let count = self.ops.len();
        self.spend(count * count * count / 8);
        for middle in 0..count {
            for from in 0..count {
                for to in 0..count {
                    order[from][to] |= order[from][middle] && order[middle][to];
                }
            }
        }
        (0..count).all(|at| !order[at][at]).then_some(order)
    }
    fn causality(&self, choice: &[Option<Shown>]) -> Option<Vec<Vec<bool>>> {
        let count = self.ops.len();
        let mut order: Vec<Vec<bool>> = (0..count).map(|a| (0..count).map(|b| self.session(a, b)).collect()).collect();
        for (read, shown) in choice.iter().enumerate() {
            for &write in shown.iter().flatten().filter(|&&write| write != START) {
                order[write][read] = true;
            }
        }
        self.closure(order)
    }
    fn writes_follow_reads(&self, choice: &[Option<Shown>]) -> bool {
        let count = self.ops.len();
        let mut order = vec![vec![false; count]; count];
        for (read, shown) in choice.iter().enumerate() {
            for &write in shown.iter().flatten().filter(|&&write| write != START) {
                for later in (0..count).filter(|&later| self.writes(later)) {
                    order[write][later] |= self.session(read, later) || later == read;
                }
            }
        }
        let Some(order) = self.closure(order) else { return false };
        (0..count).filter(|&read| choice[read].is_some()).all(|read| {
            let mut nodes = self.all_writes();
            if !self.writes(read) {
                nodes.push(read);
            }
            self.ordered(&nodes, |a, b| order[a][b], |node| node == read, Some(choice))
        })
    }
    fn weak_causal(&self, choice: &[Option<Shown>]) -> bool {
        let Some(order) = self.causality(choice) else { return false };
        self.all_reads().into_iter().all(|read| {
            let past = |&op: &usize| op == read || self.writes(op) && order[op][read];
            let nodes: Vec<usize> = (0..self.ops.len()).filter(past).collect();
            self.ordered(&nodes, |a, b| order[a][b], |node| node == read, Some(choice))
        })
    }
    fn causal_memory(&self, choice: &[Option<Shown>]) -> bool {
        let Some(order) = self.causality(choice) else { return false };
        self.sessions().all(|session| {
            let nodes = self.view(session);
            self.ordered(&nodes, |a, b| order[a][b], |node| self.reads_in(node, session), Some(choice))
        })
    }
    fn convergent(&self, choice: &[Option<Shown>]) -> bool {
        let Some(order) = self.causality(choice) else { return false };
        let first = |placed: &[usize], next: usize| {
            self.all_writes().into_iter().all(|write| !order[write][next] || placed.contains(&write))
        };
        self.some_order(&self.all_writes(), first, &mut |all| {
            self.all_reads().into_iter().all(|read| {
                let mut shown = vec![START];
                for &write in all.iter().filter(|&&write| order[write][read]) {
                    if self.ops[write].key == self.ops[read].key {
                        self.then(&mut shown, write);
                    }
                }
                choice[read].as_ref() == Some(&shown)
            })
        })
    }

    fn reads_agree(&self, history: &History) -> bool {
        if !history.has_real_time() {
            return true;
        }
        let reads = self.all_reads();
        let late = |read: usize| {
            !self.writes(read)
                && self.all_writes().into_iter().filter(|&write| self.ops[write].key == self.ops[read].key).all(
                    |write| {
                        let (write, read) = (self.ops[write].place, self.ops[read].place);
                        let (write, read) = (&history.operations()[write], &history.operations()[read]);
                        write.end < read.begin
                    },
                )
        };
        let session = |read: usize| history.operations()[self.ops[read].place].session;
        let after = |other: usize, read: usize| {
            self.ops[other].place > self.ops[read].place
                && self.ops[other].key == self.ops[read].key
                && session(other) == session(read)
        };
        let last = |read: usize| late(read) && !reads.iter().any(|&other| late(other) && after(other, read));
        reads.iter().all(|&a| {
            reads.iter().all(|&b| {
                let ((first, one), (second, two)) =
                    (self.ops[a].saw.as_ref().expect("a read"), self.ops[b].saw.as_ref().expect("a read"));
                self.ops[a].key != self.ops[b].key
                    || !last(a)
                    || !last(b)
                    || match (one, two) {
                        (true, true) => first == second,
                        (true, false) | (false, true) => first != second,
                        (false, false) => true,
                    }
            })
        })
    }

    /// Does an order of these fit, each of which may come next after those placed?
    fn some_order(
        &self,
        of: &[usize],
        may_be_next: impl Fn(&[usize], usize) -> bool,
        fits: &mut dyn FnMut(&[usize]) -> bool,
    ) -> bool {
        let mut open = vec![Vec::new()];
        while let Some(placed) = open.pop() {
            if self.spend(8 * of.len()) {
                return false;
            }
            if placed.len() == of.len() {
                if fits(&placed) {
                    return true;
                }
                continue;
            }
            for &next in of.iter().rev().filter(|next| !placed.contains(next)) {
                if may_be_next(&placed, next) {
                    open.push([&placed[..], &[next]].concat());
                }
            }
        }
        false
    }
}
