//! What must follow from who read from whom, where no operations can be tried in all orders because they are many.

use super::cycle::{follows, nobody_writes, only_writer, reads, surely, writes};
use crate::{Edge, History, Id, Key, Model, Object, Why};
use std::collections::BTreeSet;

/// More operations than this are not compared with each other.
const LARGEST: usize = 128;

/// A read from outside: by whom, of what, and from whom; none if it is the first value.
struct Seen {
    reader: usize,
    of: Key,
    from: Option<usize>,
}

/// Must one of these operations come before itself in every history that keeps the model? Whoever wrote what was read from
/// another, and was seen by the reader, comes before that other; and where all agree on one order, whoever overwrote what
/// was read comes after the reader. Each step rests on the whole history, so that nothing that is left out matters.
pub(super) fn is_circle(history: &History, model: Model, ids: &[Id]) -> bool {
    let one_order = matches!(
        model,
        Model::Serializable | Model::RepeatableRead | Model::StrongSessionSerializable | Model::StrictSerializable
    );
    let causal = model == Model::CausalTransactions;
    let models = one_order || causal || model == Model::ReadAtomic;
    if !models || history.object() != Object::RwRegister || ids.len() > LARGEST {
        return false;
    }
    let keys: BTreeSet<Key> = ids.iter().flat_map(|&id| history.steps(id)).filter_map(|step| step.key()).collect();
    let sessions = causal
        || matches!(model, Model::StrongSessionSerializable | Model::StrictSerializable)
        || history.sessions_bind();
    let mut known = vec![vec![false; ids.len()]; ids.len()];
    let follows = |a: usize, b: usize, why: Why| follows(history, &Edge { from: ids[a], to: ids[b], why });
    for (a, b) in pairs(ids.len()) {
        known[a][b] = sessions && follows(a, b, Why::Session)
            || model == Model::StrictSerializable && follows(a, b, Why::RealTime);
    }
    let mut seen = Vec::new();
    for (reader, &id) in ids.iter().enumerate() {
        for &of in &keys {
            for value in reads(history, id, of) {
                let wrote = |&writer: &usize| {
                    writes(history, ids[writer], of).any(|written| written == value)
                        && only_writer(history, ids[writer], of, value)
                };
                let from = (0..ids.len()).filter(|&writer| writer != reader).find(wrote);
                if let Some(from) = from {
                    known[from][reader] = true;
                }
                if from.is_some() || value == history.initial(of) && nobody_writes(history, of, value) {
                    seen.push(Seen { reader, of, from });
                }
            }
        }
    }
    let changes = |at: usize, of: Key| writes(history, ids[at], of).next().is_some() && surely(history, ids[at]);
    let changers: Vec<(usize, Key)> = keys
        .iter()
        .flat_map(|&of| (0..ids.len()).map(move |at| (at, of)))
        .filter(|&(at, of)| changes(at, of))
        .collect();
    let mut order = closure(known.clone());
    let visible = if model == Model::ReadAtomic { known } else { order.clone() };
    loop {
        let before = order.clone();
        for Seen { reader, of, from } in &seen {
            for &(other, _) in
                changers.iter().filter(|(other, key)| key == of && other != reader && Some(*other) != *from)
            {
                if visible[other][*reader] || one_order && before[other][*reader] {
                    match from {
                        None => return true,
                        Some(from) => order[other][*from] = true,
                    }
                }
                order[*reader][other] |= one_order && from.is_none_or(|from| before[from][other]);
            }
        }
        order = closure(order);
        if (0..ids.len()).any(|at| order[at][at]) {
            return true;
        }
        if order == before {
            return false;
        }
    }
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |a| (0..count).map(move |b| (a, b)))
}

fn closure(mut order: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    for middle in 0..order.len() {
        let behind = order[middle].clone();
        for from in order.iter_mut().filter(|from| from[middle]) {
            from.iter_mut().zip(&behind).for_each(|(reaches, behind)| *reaches |= behind);
        }
    }
    order
}
