//! A second look at a cycle of transactions: does each edge follow from what the history says, and is such a cycle
//! forbidden? Written from the definitions, on purpose without the index structures of the checkers.

use crate::{Datum, Edge, History, Id, Key, Model, Object, Outcome, Step, Value, Why};

/// What speaks against the cycle; `Ok` if every edge follows and the model forbids it.
pub(super) fn verify(history: &History, model: Model, edges: &[Edge]) -> Result<(), String> {
    let closed = edges.iter().zip(edges.iter().cycle().skip(1)).all(|(edge, next)| edge.to == next.from);
    if edges.is_empty() || !closed {
        return Err("the edges do not form a cycle".into());
    }
    for edge in edges {
        if !follows(history, edge) {
            let (from, to, why) = (history.describe(edge.from), history.describe(edge.to), edge.why.word());
            return Err(format!("({from}) before ({to}) by {why} does not follow from the history alone"));
        }
    }
    let is = |wanted: fn(Why) -> bool| edges.iter().filter(|edge| wanted(edge.why)).count();
    let overtaken = is(|why| matches!(why, Why::Overtaken(_)));
    // A list shows the order of all that it holds, but was read from the last one only.
    let far = |edge: &&Edge| matches!(edge.why, Why::ReadsFrom(of) if !is_direct(history, edge, of));
    let far = edges.iter().filter(far).count();
    let overwrites = is(|why| matches!(why, Why::Overwrites(_))) + far;
    let reads = is(|why| matches!(why, Why::ReadsFrom(_))) - far;
    let lists = history.object() == Object::ListAppend;
    let in_time = edges
        .iter()
        .all(|edge| edge.why != Why::Session || history.operation(edge.from).precedes(history.operation(edge.to)));
    let transactional = history.object().is_transactional();
    let sessions = is(|why| why == Why::Session);
    let times = is(|why| why == Why::RealTime);
    let bound = sessions == 0 || history.sessions_bind();
    let adjacent = edges
        .iter()
        .zip(edges.iter().cycle().skip(1))
        .any(|(edge, next)| matches!((edge.why, next.why), (Why::Overtaken(_), Why::Overtaken(_))));
    let forbidden = match model {
        Model::Linearizable | Model::StrictSerializable => transactional || in_time || !history.has_real_time(),
        Model::StrongSessionSerializable | Model::Sequential => times == 0,
        Model::Serializable | Model::RepeatableRead => times == 0 && bound,
        Model::SnapshotIsolation => times == 0 && bound && !adjacent,
        Model::CausalTransactions | Model::WeakCausal | Model::CausalMemory | Model::CausalConvergence => {
            let agreed = overtaken == 0 && (overwrites == 0 || model != Model::WeakCausal);
            times == 0 && (agreed || overtaken == 1 && overwrites == 0)
        }
        Model::ReadAtomic => {
            times == 0 && bound && (overtaken == 0 || overtaken == 1 && reads + sessions == 1 && overwrites == 0)
        }
        Model::ReadCommitted | Model::MonotonicAtomicView => times == 0 && bound && overtaken == 0,
        // Only a list shows who overwrote whom without that one having read from the other.
        Model::ReadUncommitted => times == 0 && bound && overtaken == 0 && reads == 0 && lists,
        _ => false,
    };
    if forbidden { Ok(()) } else { Err(format!("{} does not forbid such a cycle", model.word())) }
}

fn took_place(history: &History, id: Id) -> bool {
    history.operation(id).outcome != Outcome::Refused
}

/// It ended well, or somebody saw what it wrote.
pub(super) fn surely(history: &History, id: Id) -> bool {
    let saw = |other: Id, of: Key, value: Value| {
        reads(history, other, of).contains(&value) || lists(history, other, of).any(|list| list.contains(&value))
    };
    let seen = |step: &Step| match *step {
        Step::Write { key, value } | Step::Append { key, value } => {
            history.ids().any(|other| other != id && saw(other, key, value)) && only_writer(history, id, key, value)
        }
        _ => false,
    };
    match history.operation(id).outcome {
        Outcome::Done => true,
        Outcome::Unknown => history.steps(id).iter().any(seen),
        Outcome::Refused => false,
    }
}

/// What an operation writes to a key, in program order: values of registers, elements of lists.
pub(super) fn writes(history: &History, id: Id, of: Key) -> impl Iterator<Item = Value> {
    history.steps(id).iter().filter_map(move |step| match *step {
        Step::Write { key, value }
        | Step::Append { key, value }
        | Step::Cas { key, to: value, took: Some(true), .. }
            if key == of =>
        {
            Some(value)
        }
        _ => None,
    })
}

/// The values of a register that an operation saw before it wrote the key itself. Answers of those that did not end say nothing.
pub(super) fn reads(history: &History, id: Id, of: Key) -> Vec<Value> {
    let mut seen = Vec::new();
    if history.operation(id).outcome != Outcome::Done {
        return seen;
    }
    for step in history.steps(id) {
        match *step {
            Step::Read { key, value: Some(value) } if key == of => seen.push(value),
            Step::Cas { key, from, took: Some(true), .. } if key == of => {
                seen.push(from);
                return seen;
            }
            Step::Write { key, .. } if key == of => return seen,
            _ => {}
        }
    }
    seen
}

fn lists(history: &History, id: Id, of: Key) -> impl Iterator<Item = &[Value]> {
    let done = history.operation(id).outcome == Outcome::Done;
    history.steps(id).iter().filter(move |_| done).filter_map(move |step| match *step {
        Step::ReadList { key, list: Some(list) } if key == of => Some(history.list(list)),
        _ => None,
    })
}

/// Does the edge follow from what these two operations, and reads of others, say?
pub(super) fn follows(history: &History, edge: &Edge) -> bool {
    let Edge { from, to, why } = *edge;
    if from == to || !surely(history, from) || !surely(history, to) {
        return false;
    }
    let (before, after) = (history.operation(from), history.operation(to));
    match why {
        Why::Session => {
            let sure = |step: &Step| !matches!(step, Step::Cas { took: None, .. });
            let ended = before.outcome == Outcome::Done && history.steps(from).iter().all(sure);
            before.session == after.session && from < to && ended
        }
        Why::RealTime => history.has_real_time() && before.precedes(after),
        Why::ReadsFrom(of) => {
            let saw = |value: Value| {
                reads(history, to, of).contains(&value) || lists(history, to, of).any(|list| list.contains(&value))
            };
            writes(history, from, of).any(|value| saw(value) && only_writer(history, from, of, value))
        }
        Why::Overwrites(of) => {
            let replaced =
                |value: Value| reads(history, to, of).contains(&value) && only_writer(history, from, of, value);
            let listed_after = |first: Value, second: Value| {
                history.ids().filter(|&id| took_place(history, id)).any(|id| {
                    lists(history, id, of).any(|list| {
                        let place = |wanted: Value| list.iter().position(|&value| value == wanted);
                        place(first).zip(place(second)).is_some_and(|(first, second)| first < second)
                    })
                })
            };
            let writes_later = writes(history, to, of).next().is_some();
            (writes_later && writes(history, from, of).any(replaced))
                || writes(history, from, of).filter(|&first| only_writer(history, from, of, first)).any(|first| {
                    writes(history, to, of)
                        .filter(|&second| only_writer(history, to, of, second))
                        .any(|second| listed_after(first, second))
                })
        }
        Why::Overtaken(of) => {
            let written: Vec<Value> = writes(history, to, of).collect();
            let own: Vec<Value> = writes(history, from, of).collect();
            let missed = |list: &[Value]| written.iter().any(|value| !list.contains(value) && !own.contains(value));
            let replaced = reads(history, from, of).into_iter().any(|value| {
                let initial = value == history.initial(of) && nobody_writes(history, of, value);
                let in_turn = reads(history, to, of).contains(&value)
                    && (initial
                        || history.ids().any(|id| {
                            id != to
                                && writes(history, id, of).any(|known| known == value)
                                && only_writer(history, id, of, value)
                        }));
                initial || in_turn
            });
            let registers =
                !written.is_empty() && !written.iter().any(|value| reads(history, from, of).contains(value));
            lists(history, from, of).any(missed) || (registers && replaced)
        }
        Why::Forced(_) => false,
    }
}

/// Was a list of the later one read from what the earlier one put there last, or a register?
fn is_direct(history: &History, edge: &Edge, of: Key) -> bool {
    let own: Vec<Value> = writes(history, edge.to, of).collect();
    let is_last = |list: &[Value]| {
        let last = list.iter().rev().find(|value| !own.contains(value));
        last.is_some_and(|&last| writes(history, edge.from, of).any(|value| value == last))
    };
    history.object() != Object::ListAppend || lists(history, edge.to, of).any(is_last)
}

/// Could an operation have left this value, for all that is known?
fn may_write(history: &History, id: Id, of: Key, value: Value) -> usize {
    let may = |step: &&Step| match **step {
        Step::Write { key, value: written } => key == of && written == value,
        Step::Cas { key, to, took, .. } => {
            let took = history.operation(id).outcome != Outcome::Done || took != Some(false);
            key == of && to == value && took
        }
        // What a text is after an append depends on what was there.
        Step::Append { key, value: written } => {
            key == of && (written == value || history.object() != Object::ListAppend)
        }
        _ => false,
    };
    if took_place(history, id) { history.steps(id).iter().filter(may).count() } else { 0 }
}

/// Can this value of the key only be what this operation wrote, once?
pub(super) fn only_writer(history: &History, writer: Id, of: Key, value: Value) -> bool {
    let is_start = match (history.object(), history.value(value)) {
        (Object::ListAppend, _) => false,
        // To a store of texts, nothing and the empty text are the same.
        (Object::Kv, Datum::Nil) => true,
        (Object::Kv, Datum::Text(text)) if text.is_empty() => true,
        _ => history.initial(of) == value,
    };
    !is_start && history.ids().all(|id| may_write(history, id, of, value) == usize::from(id == writer))
}

/// Can this value of the key only be the first one?
pub(super) fn nobody_writes(history: &History, of: Key, value: Value) -> bool {
    let texts = history.object() == Object::Kv;
    !texts && history.ids().all(|id| may_write(history, id, of, value) == 0)
}
