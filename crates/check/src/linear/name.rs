//! The most specific name of the contradiction that few operations show.

use super::item::View;
use super::shrink::{left, seen};
use crate::{Anomaly, Datum, History, Id, Key, Object, Outcome, Step, Value};

/// The name of the contradiction among these operations.
pub(super) fn name(history: &History, view: &View, operations: &[Id]) -> Anomaly {
    if view.reads_earlier > 0 {
        return Anomaly::TooStale;
    }
    match history.object() {
        Object::Register | Object::CasRegister | Object::Kv => of_register(history, operations),
        Object::Queue | Object::Stack => of_queue(history, operations),
        Object::Set => of_set(history, operations),
        Object::Counter => Anomaly::CounterOutOfBounds,
        Object::Mutex | Object::FencedLock => Anomaly::NotLinearizable,
        Object::Bank | Object::ListAppend | Object::RwRegister | Object::UniqueId | Object::Replica => {
            Anomaly::NotLinearizable
        }
    }
}

/// A value that was seen by an operation, and how that can be.
fn from_nowhere(history: &History, operations: &[Id]) -> Option<Anomaly> {
    let sums = Sums::of(history, operations);
    for &reader in operations {
        let key = history.steps(reader).iter().find_map(Step::key)?;
        for value in history.steps(reader).iter().filter_map(seen) {
            let is_first = value == history.initial(key) || value == Value::NIL;
            let writes = |id: &Id| {
                *id != reader
                    && history.steps(*id).iter().any(|step| left(step) == Some(value) && step.key() == Some(key))
            };
            if is_first || matches!(history.steps(reader), [Step::Remove { .. } | Step::Contains { .. }]) {
                continue;
            }
            let mut kept = operations.iter().copied().filter(writes);
            let first = kept.by_ref().map(|id| history.operation(id).begin).min();
            match first {
                Some(begin) if history.operation(reader).end < begin && !sums.give(value) => {
                    return Some(Anomaly::ReadFromFuture);
                }
                Some(_) => {}
                None if history.ids().any(|id| writes(&id) && super::shrink::is_refused(history, id)) => {
                    return Some(Anomaly::AbortedRead);
                }
                None if history.object() == Object::Kv || sums.give(value) => {}
                None => return Some(Anomaly::ReadFromNowhere),
            }
        }
    }
    None
}

/// Additions to the registers of some operations.
struct Sums<'h> {
    history: &'h History,
    /// The registers to which something was added.
    keys: Vec<Key>,
}

impl<'h> Sums<'h> {
    fn of(history: &'h History, operations: &[Id]) -> Sums<'h> {
        let mut keys: Vec<Key> = operations.iter().flat_map(|&id| history.steps(id)).filter_map(Step::key).collect();
        keys.sort_unstable();
        keys.dedup();
        let adds = |id: &Id, key: Key| {
            history.steps(*id).iter().any(|step| matches!(*step, Step::Add { key: to, .. } if to == key))
        };
        keys.retain(|&key| history.ids().any(|id| adds(&id, key) && !super::shrink::is_refused(history, id)));
        Sums { history, keys }
    }
    /// Can they have made this value?
    fn give(&self, value: Value) -> bool {
        let is_number = || self.history.value(value).integer().is_some();
        self.keys.iter().any(|&key| value != self.history.initial(key)) && is_number()
    }
}

/// The state from which an update of a register started, if it told.
fn start(history: &History, id: Id) -> Option<Datum> {
    if let [Step::Add { by, .. }, Step::Count { number: Some(sum), .. }] = *history.steps(id) {
        return sum.checked_sub(by).map(Datum::Integer);
    }
    history.steps(id).iter().find_map(left)?;
    history.steps(id).iter().find_map(seen).map(|value| history.value(value).clone())
}

fn of_register(history: &History, operations: &[Id]) -> Anomaly {
    if let Some(anomaly) = from_nowhere(history, operations) {
        return anomaly;
    }
    let done = |id: &&Id| history.operation(**id).outcome == Outcome::Done;
    let saw = |id: Id| history.steps(id).iter().find_map(seen);
    let leaves = |id: Id| history.steps(id).iter().rev().find_map(left);
    let mut starts: Vec<Datum> = operations.iter().filter(done).filter_map(|&id| start(history, id)).collect();
    starts.sort_unstable();
    if starts.windows(2).any(|pair| pair[0] == pair[1]) {
        return Anomaly::LostUpdate;
    }
    let reads = || operations.iter().filter(done).filter_map(|&id| Some((history.operation(id), saw(id)?)));
    // By then the value was surely there: whoever wrote or saw it first has ended.
    let there_by = |value: Value| {
        let touches = |id: &&Id| saw(**id) == Some(value) || leaves(**id) == Some(value);
        operations.iter().filter(done).filter(touches).map(|id| history.operation(*id).end).min()
    };
    let sums = Sums::of(history, operations);
    let initial = |value: Value| operations.iter().all(|&id| leaves(id) != Some(value)) && !sums.give(value);
    let missed = |begin: u64, value: Value| {
        operations.iter().filter(done).any(|&writer| {
            let other = leaves(writer).is_some_and(|left| left != value);
            let writer = history.operation(writer);
            other && writer.end < begin && (initial(value) || there_by(value).is_some_and(|end| end < writer.begin))
        })
    };
    if reads().any(|(read, value)| missed(read.begin, value)) {
        return Anomaly::StaleRead;
    }
    if reads().any(|(a, first)| reads().any(|(b, then)| a.precedes(b) && first != then)) {
        return Anomaly::NewThenOld;
    }
    Anomaly::NotLinearizable
}

fn of_queue(history: &History, operations: &[Id]) -> Anomaly {
    let takes = |id: Id| match *history.steps(id) {
        [Step::Take { value: Some(value), .. }] if history.operation(id).outcome == Outcome::Done => Some(value),
        _ => None,
    };
    if operations.iter().any(|&id| takes(id) == Some(Value::NIL)) {
        return Anomaly::WronglyEmpty;
    }
    if let Some(anomaly) = from_nowhere(history, operations) {
        return anomaly;
    }
    let mut taken: Vec<Value> = operations.iter().filter_map(|&id| takes(id)).collect();
    taken.sort_unstable();
    let inserts = |value: Value| {
        let inserts = |id: &&Id| history.steps(**id).iter().any(|step| left(step) == Some(value));
        operations.iter().filter(inserts).count()
    };
    if taken.chunk_by(|a, b| a == b).any(|same| same.len() > inserts(same[0])) {
        return Anomaly::DuplicatedElement;
    }
    Anomaly::Reordered
}

fn of_set(history: &History, operations: &[Id]) -> Anomaly {
    let mut looked = Vec::new();
    for &id in operations {
        for step in history.steps(id) {
            match *step {
                Step::ReadList { list: Some(list), .. } => {
                    let mut list = history.list(list).to_vec();
                    list.sort_unstable();
                    if list.windows(2).any(|pair| pair[0] == pair[1]) {
                        return Anomaly::DuplicatedElement;
                    }
                    looked.extend(list);
                }
                Step::Contains { value, there: Some(true), .. } => looked.push(value),
                _ => {}
            }
        }
    }
    let inserted =
        |value: &Value| operations.iter().any(|&id| history.steps(id).iter().any(|step| left(step) == Some(*value)));
    if looked.iter().any(|value| !inserted(value)) {
        return Anomaly::ReadFromNowhere;
    }
    Anomaly::NotLinearizable
}
