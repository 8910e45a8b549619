//! What can be left out of one order of all operations, so that an order of the whole remains one of the rest.
//!
//! An operation *leaves* a value of a key, and another one *sees* it there. If with each operation all go that see what it
//! leaves, then whoever stays finds what it found: the last operation that stays and acted on it before is the same.

use crate::{History, Id, Object, Outcome, Step, Value};
use rustc_hash::FxHashSet;

/// One part of what a step does to its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    /// This value of it.
    One(Value),
    /// All of it.
    All,
}

/// The operations without those from one place to another, and without all that rest on them.
pub(super) fn without(history: &History, start: usize, end: usize) -> Vec<Id> {
    let mut gone: Vec<bool> = (0..history.len()).map(|at| (start..end).contains(&at)).collect();
    let mut left: FxHashSet<(u32, Part)> = FxHashSet::default();
    let mut touched: FxHashSet<u32> = FxHashSet::default();
    let mut fresh: Vec<Id> = history.ids().filter(|id| gone[id.index()]).collect();
    while !fresh.is_empty() {
        for id in fresh.drain(..) {
            for step in history.steps(id) {
                if let (Some(key), Some(part)) = (step.key(), leaves(history, step)) {
                    left.insert((key.0, part));
                    touched.insert(key.0);
                }
            }
        }
        let rests = |step: &Step| {
            let Some(key) = step.key() else { return false };
            sees(history, step).is_some_and(|part| match part {
                Part::All => touched.contains(&key.0),
                Part::One(_) => left.contains(&(key.0, part)) || left.contains(&(key.0, Part::All)),
            })
        };
        // Who perhaps took something may also have taken nothing.
        let stays = |id: Id| {
            let open = history.operation(id).outcome == Outcome::Unknown;
            open && matches!(history.steps(id), [Step::Take { .. }])
        };
        for id in history.ids() {
            if !gone[id.index()] && !stays(id) && history.steps(id).iter().any(rests) {
                gone[id.index()] = true;
                fresh.push(id);
            }
        }
    }
    history.ids().filter(|id| !gone[id.index()]).collect()
}

/// To a store of texts, nothing and the empty text are the same.
fn one(history: &History, value: Value) -> Option<Part> {
    let empty = history.object() == Object::Kv && history.value(value).name() == Some("");
    Some(Part::One(if empty { Value::NIL } else { value }))
}

fn leaves(history: &History, step: &Step) -> Option<Part> {
    match *step {
        Step::Write { value, .. } | Step::Insert { value, .. } | Step::Remove { value, .. } => one(history, value),
        Step::Take { value: Some(Value::NIL), .. } => None,
        Step::Take { value: Some(value), .. } => one(history, value),
        Step::Cas { to, took: Some(true), .. } => one(history, to),
        Step::Cas { took: Some(false), .. }
        | Step::Read { .. }
        | Step::ReadList { .. }
        | Step::Count { .. }
        | Step::Contains { .. }
        | Step::Generate { .. }
        | Step::Digest { .. } => None,
        Step::Cas { took: None, .. }
        | Step::Append { .. }
        | Step::Add { .. }
        | Step::Take { value: None, .. }
        | Step::Acquire { .. }
        | Step::Release { .. }
        | Step::Guarded { .. } => Some(Part::All),
    }
}

fn sees(history: &History, step: &Step) -> Option<Part> {
    match *step {
        Step::Read { value: Some(value), .. } => one(history, value),
        Step::Cas { from, took: Some(true), .. } => one(history, from),
        Step::Contains { value, .. } => one(history, value),
        // An element that was put in and taken goes as a whole: it would stand before others.
        Step::Insert { value, .. } if history.object() != Object::Set => one(history, value),
        Step::Take { value: Some(Value::NIL), .. } => None,
        Step::Take { value: Some(value), .. } => one(history, value),
        Step::Add { .. } if matches!(history.object(), Object::Counter | Object::Bank) => None,
        Step::Read { value: None, .. }
        | Step::Write { .. }
        | Step::Insert { .. }
        | Step::Remove { .. }
        | Step::ReadList { list: None, .. }
        | Step::Count { number: None, .. }
        | Step::Generate { .. }
        | Step::Digest { .. } => None,
        Step::Cas { .. }
        | Step::ReadList { .. }
        | Step::Count { .. }
        | Step::Append { .. }
        | Step::Add { .. }
        | Step::Take { value: None, .. }
        | Step::Acquire { .. }
        | Step::Release { .. }
        | Step::Guarded { .. } => Some(Part::All),
    }
}
