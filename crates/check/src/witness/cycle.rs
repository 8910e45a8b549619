//! A second look at a cycle of transactions: does each edge follow from what the history says, and is such a cycle
//! forbidden? Written from the definitions, on purpose without the index structures of the checkers.

use crate::{Edge, History, Id, Key, Model, Outcome, Step, Value, Why};

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
    let overwrites = is(|why| matches!(why, Why::Overwrites(_)));
    let reads = is(|why| matches!(why, Why::ReadsFrom(_)));
    let sessions = is(|why| why == Why::Session);
    let times = is(|why| why == Why::RealTime);
    let bound = sessions == 0 || history.sessions_bind();
    let adjacent = edges
        .iter()
        .zip(edges.iter().cycle().skip(1))
        .any(|(edge, next)| matches!((edge.why, next.why), (Why::Overtaken(_), Why::Overtaken(_))));
    let forbidden = match model {
        Model::Linearizable | Model::StrictSerializable => true,
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
        Model::ReadUncommitted => times == 0 && bound && overtaken == 0 && reads == 0,
        _ => false,
    };
    if forbidden { Ok(()) } else { Err(format!("{} does not forbid such a cycle", model.word())) }
}

fn took_place(history: &History, id: Id) -> bool {
    history.operation(id).outcome != Outcome::Refused
}

/// It ended well, or somebody saw what it wrote.
fn surely(history: &History, id: Id) -> bool {
    let saw = |other: Id, of: Key, value: Value| {
        reads(history, other, of).contains(&value) || lists(history, other, of).any(|list| list.contains(&value))
    };
    let seen = |step: &Step| match *step {
        Step::Write { key, value } | Step::Append { key, value } => {
            history.ids().any(|other| other != id && took_place(history, other) && saw(other, key, value))
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
fn writes(history: &History, id: Id, of: Key) -> impl Iterator<Item = Value> {
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

/// The values of a register that an operation saw before it wrote the key itself.
fn reads(history: &History, id: Id, of: Key) -> Vec<Value> {
    let mut seen = Vec::new();
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
    history.steps(id).iter().filter_map(move |step| match *step {
        Step::ReadList { key, list: Some(list) } if key == of => Some(history.list(list)),
        _ => None,
    })
}

/// Does the edge follow from what these two operations, and reads of others, say?
fn follows(history: &History, edge: &Edge) -> bool {
    let Edge { from, to, why } = *edge;
    if from == to || !surely(history, from) || !surely(history, to) {
        return false;
    }
    let (before, after) = (history.operation(from), history.operation(to));
    match why {
        Why::Session => before.session == after.session && from < to,
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
                || writes(history, from, of)
                    .any(|first| writes(history, to, of).any(|second| listed_after(first, second)))
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

fn only_writer(history: &History, writer: Id, of: Key, value: Value) -> bool {
    history
        .ids()
        .all(|id| id == writer || !took_place(history, id) || writes(history, id, of).all(|known| known != value))
}

fn nobody_writes(history: &History, of: Key, value: Value) -> bool {
    history.ids().all(|id| !took_place(history, id) || writes(history, id, of).all(|known| known != value))
}
