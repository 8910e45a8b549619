//! Models of transactions, straight from their definitions: tried on all total orders and all choices of writers. For tiny histories.

use crate::{History, Id, Model, Operation, Outcome, Step, Value};

pub const MODELS: [Model; 10] = [
    Model::ReadUncommitted,
    Model::ReadCommitted,
    Model::MonotonicAtomicView,
    Model::ReadAtomic,
    Model::CausalTransactions,
    Model::SnapshotIsolation,
    Model::RepeatableRead,
    Model::Serializable,
    Model::StrongSessionSerializable,
    Model::StrictSerializable,
];

/// A read from outside: the key, and the transaction read from (`None`: the initial value).
type Seen = (u32, Option<usize>);

struct World<'a> {
    history: &'a History,
    /// Those that take place, in the order in which they do.
    order: Vec<usize>,
    /// Reads from outside, by operation.
    reads: Vec<Vec<Seen>>,
    dirty: bool,
}

/// Of each of [`MODELS`]: is the history valid?
pub fn verdicts(history: &History) -> [bool; 10] {
    let mut valid = [false; 10];
    let all: Vec<usize> = (0..history.len()).collect();
    let outcome = |at: usize| history.operations()[at].outcome;
    let done: Vec<usize> = all.iter().copied().filter(|&at| outcome(at) == Outcome::Done).collect();
    let unknown: Vec<usize> = all.iter().copied().filter(|&at| outcome(at) == Outcome::Unknown).collect();
    for subset in 0..1usize << unknown.len() {
        let mut order = done.clone();
        order.extend(unknown.iter().enumerate().filter(|(bit, _)| subset >> bit & 1 == 1).map(|(_, &at)| at));
        permutations(&mut order, 0, &mut |order| {
            let mut world =
                World { history, order: order.to_vec(), reads: vec![Vec::new(); history.len()], dirty: false };
            let mut todo: Vec<(usize, usize)> = Vec::new();
            for &at in order {
                if outcome(at) == Outcome::Done {
                    todo.extend((0..history.steps(Id(at as u32)).len()).map(|step| (at, step)));
                }
            }
            choose(&mut world, &todo, &mut valid);
        });
    }
    valid
}

fn permutations(items: &mut Vec<usize>, from: usize, visit: &mut dyn FnMut(&[usize])) {
    if from == items.len() {
        return visit(items);
    }
    for at in from..items.len() {
        items.swap(from, at);
        permutations(items, from + 1, visit);
        items.swap(from, at);
    }
}

/// Goes on with every writer that the next read can have read from.
fn choose(world: &mut World<'_>, todo: &[(usize, usize)], valid: &mut [bool; 10]) {
    let Some((&(at, step), rest)) = todo.split_first() else {
        for (model, valid) in MODELS.into_iter().zip(valid) {
            *valid = *valid || world.is_valid(model);
        }
        return;
    };
    let steps = world.history.steps(Id(at as u32));
    match steps[step] {
        Step::Read { key, value: Some(value) } => {
            let own = steps[..step].iter().rev().find_map(|step| match *step {
                Step::Write { key: of, value } if of == key => Some(value),
                _ => None,
            });
            if let Some(own) = own {
                if own == value {
                    choose(world, rest, valid);
                }
                return;
            }
            if world.history.initial(key) == value {
                world.reads[at].push((key.0, None));
                choose(world, rest, valid);
                world.reads[at].pop();
            }
            for other in world.order.clone().into_iter().filter(|&other| other != at) {
                if finals(world.history, other, key.0).last() == Some(&value) {
                    world.reads[at].push((key.0, Some(other)));
                    choose(world, rest, valid);
                    world.reads[at].pop();
                }
            }
            let anybody = (0..world.history.len()).filter(|&other| other != at);
            let took_part = |other: usize| {
                world.history.operations()[other].outcome != Outcome::Unknown || world.order.contains(&other)
            };
            if anybody
                .filter(|&other| took_part(other))
                .any(|other| finals(world.history, other, key.0).contains(&value))
            {
                let before = std::mem::replace(&mut world.dirty, true);
                choose(world, rest, valid);
                world.dirty = before;
            }
        }
        Step::ReadList { key, list: Some(list) } => {
            let before = world.dirty;
            let list = world.history.list(list);
            let is_refused = |value: &Value| {
                let mut writers = (0..world.history.len())
                    .filter(|&other| finals(world.history, other, key.0).contains(value))
                    .peekable();
                writers.peek().is_some()
                    && writers.all(|other| world.history.operations()[other].outcome == Outcome::Refused)
            };
            let shown: Vec<Value> = list.iter().copied().filter(|value| !is_refused(value)).collect();
            let own: Vec<Value> = steps[..step]
                .iter()
                .filter_map(|step| match *step {
                    Step::Append { key: of, value } if of == key => Some(value),
                    _ => None,
                })
                .collect();
            let mut versions: Vec<(Value, usize)> = Vec::new();
            for &other in &world.order {
                versions.extend(finals(world.history, other, key.0).into_iter().map(|value| (value, other)));
            }
            let is_prefix = shown.len() <= versions.len() && shown.iter().zip(&versions).all(|(a, b)| *a == b.0);
            let Some(outside) = shown.len().checked_sub(own.len()) else { return };
            if !is_prefix
                || shown[outside..] != own[..]
                || versions[..outside].iter().any(|version| version.1 == at)
                || versions[outside..shown.len()].iter().any(|version| version.1 != at)
            {
                return;
            }
            let from = outside.checked_sub(1).map(|last| versions[last].1);
            let is_middle = from.is_some() && versions.get(outside).map(|version| version.1) == from;
            world.dirty |= is_middle || shown.len() != list.len();
            world.reads[at].push((key.0, from));
            choose(world, rest, valid);
            world.reads[at].pop();
            world.dirty = before;
        }
        _ => choose(world, rest, valid),
    }
}

/// What an operation wrote to a key, in order.
fn finals(history: &History, at: usize, key: u32) -> Vec<Value> {
    let steps = history.steps(Id(at as u32)).iter();
    steps
        .filter_map(|step| match *step {
            Step::Write { key: of, value } | Step::Append { key: of, value } if of.0 == key => Some(value),
            _ => None,
        })
        .collect()
}

impl World<'_> {
    fn operation(&self, at: usize) -> &Operation {
        &self.history.operations()[at]
    }
    fn place(&self, at: usize) -> usize {
        self.order.iter().position(|&other| other == at).expect("it takes part")
    }
    fn before(&self, one: usize, other: usize) -> bool {
        self.place(one) < self.place(other)
    }
    fn session(&self, one: usize, other: usize) -> bool {
        let (a, b) = (self.operation(one), self.operation(other));
        a.session == b.session && one < other && a.outcome == Outcome::Done
    }
    fn reads_from(&self, one: usize, other: usize) -> bool {
        self.reads[other].iter().any(|read| read.1 == Some(one))
    }

    fn is_valid(&self, model: Model) -> bool {
        let binds = self.history.sessions_bind();
        if model == Model::ReadUncommitted {
            return !binds || self.respects(&|a, b| self.session(a, b));
        }
        if self.dirty || !self.respects(&|a, b| self.reads_from(a, b)) {
            return false;
        }
        let time = |a: usize, b: usize| self.history.has_real_time() && self.operation(a).precedes(self.operation(b));
        let known: &dyn Fn(usize, usize) -> bool = &|a, b| match model {
            Model::CausalTransactions | Model::StrongSessionSerializable => self.session(a, b),
            Model::StrictSerializable => self.session(a, b) || time(a, b),
            _ => binds && self.session(a, b),
        };
        if !self.respects(known) {
            return false;
        }
        let step = |a: usize, b: usize| self.reads_from(a, b) || known(a, b);
        let at_or_before = |a: usize, b: usize| a == b || self.before(a, b);
        match model {
            Model::ReadUncommitted => unreachable!("answered above"),
            Model::ReadCommitted if !binds => true,
            Model::ReadCommitted | Model::MonotonicAtomicView => self
                .axiom(&|seen, reader, read| self.reads[reader][..read].iter().any(|earlier| earlier.1 == Some(seen))),
            Model::ReadAtomic => self.axiom(&|seen, reader, _| step(seen, reader)),
            Model::CausalTransactions => {
                let mut reach = vec![vec![false; self.history.len()]; self.history.len()];
                for &a in &self.order {
                    for &b in &self.order {
                        reach[a][b] = step(a, b);
                    }
                }
                for &middle in &self.order {
                    for &a in &self.order {
                        for &b in &self.order {
                            reach[a][b] |= reach[a][middle] && reach[middle][b];
                        }
                    }
                }
                self.axiom(&|seen, reader, _| reach[seen][reader])
            }
            Model::SnapshotIsolation => {
                let conflict = |a: usize, b: usize| {
                    (0..self.history.counts().1 as u32)
                        .any(|key| !finals(self.history, a, key).is_empty() && !finals(self.history, b, key).is_empty())
                };
                self.axiom(&|seen, reader, _| {
                    self.order.iter().any(|&middle| {
                        at_or_before(seen, middle)
                            && (step(middle, reader) || (self.before(middle, reader) && conflict(middle, reader)))
                    })
                })
            }
            _ => self.axiom(&|seen, reader, _| self.before(seen, reader)),
        }
    }

    fn respects(&self, known: &dyn Fn(usize, usize) -> bool) -> bool {
        self.order.iter().enumerate().all(|(at, &later)| self.order[at..].iter().all(|&earlier| !known(earlier, later)))
    }

    /// Whoever wrote what a read read, and was seen by the reader, comes before the one read from.
    fn axiom(&self, seen_by: &dyn Fn(usize, usize, usize) -> bool) -> bool {
        self.order.iter().all(|&reader| {
            self.reads[reader].iter().enumerate().all(|(place, &(key, from))| {
                self.order.iter().all(|&seen| {
                    Some(seen) == from
                        || finals(self.history, seen, key).is_empty()
                        || !seen_by(seen, reader, place)
                        || from.is_some_and(|from| self.before(seen, from))
                })
            })
        })
    }
}
