//! Every witness is checked again, by other means, before anybody sees it.

use super::{cycle, forced};
use crate::second;
use crate::{History, Id, Key, Model, Object, Outcome, Step, Value, Witness};
use std::collections::BTreeSet;

/// What the second check says of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It shows that the history breaks the model.
    Confirmed,
    /// The second check cannot tell, for this reason.
    Undecided(String),
    /// It shows nothing, for this reason.
    Refuted(String),
}

/// Does the witness show that the history breaks the model? Either each edge of its cycle follows from the text of the
/// history and the model forbids such cycles; or its operations alone break the model by the definition, and leaving the
/// others out cannot have done that.
pub fn verify(history: &History, model: Model, witness: &Witness) -> Checked {
    let ids = &witness.operations;
    if ids.is_empty() {
        return Checked::Refuted("it names no operation".into());
    }
    if !ids.is_sorted() || ids.iter().any(|id| id.index() >= history.len()) {
        return Checked::Refuted("its operations are not in order or not in the history".into());
    }
    let Err(of_cycle) = cycle::verify(history, model, &witness.edges) else { return Checked::Confirmed };
    if forced::is_circle(history, model, ids) {
        return Checked::Confirmed;
    }
    let left_out = match second::holds(&history.restrict(ids), model) {
        None => return Checked::Undecided(format!("{} operations are too many to try all orders", ids.len())),
        Some(true) => return Checked::Refuted(format!("its operations alone keep the model ({of_cycle})")),
        Some(false) => missing(history, model, ids),
    };
    let Some(id) = left_out else { return Checked::Confirmed };
    match whole(history, model, ids) {
        Some(false) => Checked::Confirmed,
        Some(true) => Checked::Refuted("its operations alone break the model, but the whole history keeps it".into()),
        None => Checked::Undecided(format!("it leaves out ({}), which may matter", history.describe(id))),
    }
}

/// Does the whole history keep the model? Of linearizability only what these operations can depend on is tried: what was
/// known of their keys when the last of them had ended.
fn whole(history: &History, model: Model, kept: &[Id]) -> Option<bool> {
    let full = second::holds(history, model);
    let plain = !history.object().is_transactional();
    if full.is_some() || model != Model::Linearizable || !plain || !history.has_real_time() {
        return full;
    }
    let single = |id: Id| history.steps(id).iter().all(|step| step.key() == history.steps(id)[0].key());
    let all_single = history.ids().all(|id| history.steps(id).is_empty() || single(id));
    let keys: BTreeSet<Option<Key>> = kept.iter().flat_map(|&id| history.steps(id)).map(Step::key).collect();
    let ended = kept.iter().map(|&id| history.operation(id)).filter(|kept| kept.outcome == Outcome::Done);
    let moment = ended.map(|kept| kept.end).max()?;
    let part: Vec<Id> = history
        .ids()
        .filter(|&id| history.operation(id).begin <= moment)
        .filter(|&id| !all_single || history.steps(id).iter().any(|step| keys.contains(&step.key())))
        .collect();
    // A part that keeps the model does not say that the whole does.
    second::order::linearizable_until(&history.restrict(&part), 0, moment).filter(|kept| !kept)
}

/// An operation that was left out although a history that keeps the model may break it without that operation.
///
/// Leaving out is sound for: what only looks (a replica's last digest is what remains); in models of time, what began after
/// everybody who could tell had ended; a change whose value nobody who is kept saw; a taken element that nobody who is
/// kept put in; where one order explains all, a compare-and-set of equal values; and all else where only pairs of
/// operations are compared. Convergence needs every write that lasts to the reads and the last reads of a session, and safe
/// reads all that overlap them.
fn missing(history: &History, model: Model, kept: &[Id]) -> Option<Id> {
    if matches!(model, Model::StrongEventual | Model::UniqueIds | Model::Fencing) {
        return None;
    }
    let by_time = matches!(
        model,
        Model::Linearizable | Model::StrictSerializable | Model::Regular | Model::Safe | Model::BoundedStaleness(_)
    );
    history.ids().find(|&id| {
        let operation = history.operation(id);
        // What was seen of a refused transaction is another thing than what nobody wrote.
        let transactional = history.object().is_transactional();
        if operation.outcome == Outcome::Refused && !transactional || kept.binary_search(&id).is_ok() {
            return false;
        }
        // Who had ended before it began cannot have seen it.
        let later = |other: &Id| {
            let seen_by = history.operation(*other);
            !(by_time && history.has_real_time() && seen_by.outcome == Outcome::Done && seen_by.precedes(operation))
        };
        let same_key = |other: &Id| {
            history.steps(*other).iter().any(|look| history.steps(id).iter().any(|step| step.key() == look.key()))
        };
        if model == Model::EventualConvergence {
            let ends =
                |other: &Id| history.object() != Object::Replica && operation.precedes(history.operation(*other));
            let looks = history.object() != Object::Replica && only_looks(history, id);
            // Without a session's last read an earlier one would count in its place.
            let hides = |other: &Id| *other < id && history.operation(*other).session == operation.session;
            let matters = |other: &Id| if looks { hides(other) } else { !ends(other) };
            return kept.iter().filter(|other| same_key(other)).any(matters);
        }
        let overlaps = |other: &Id| {
            let other = history.operation(*other);
            !other.precedes(operation) && !operation.precedes(other)
        };
        let hides = model == Model::Safe && kept.iter().any(|other| same_key(other) && overlaps(other));
        let looks: Vec<(Id, &Step)> = kept
            .iter()
            .filter(|other| later(other))
            .flat_map(|&other| history.steps(other).iter().map(move |step| (other, step)))
            .collect();
        !only_looks(history, id) && (hides || matters(history, model, id, &looks, kept))
    })
}

fn only_looks(history: &History, id: Id) -> bool {
    let open = history.operation(id).outcome == Outcome::Unknown;
    history.steps(id).iter().all(|step| step.is_read() && !(open && matches!(step, Step::Cas { .. })))
}

/// Could these answers be wrong only because the operation is gone?
fn matters(history: &History, model: Model, id: Id, looks: &[(Id, &Step)], kept: &[Id]) -> bool {
    let one_order = matches!(model, Model::Linearizable | Model::Sequential | Model::BoundedStaleness(_));
    let line = matches!(history.object(), Object::Queue | Object::Stack);
    let puts = |of: Option<Key>, value: Option<Value>| {
        kept.iter().flat_map(|&other| history.steps(other)).any(|step| match *step {
            Step::Insert { key, value: put } => Some(key) == of && value.is_none_or(|value| value == put),
            _ => false,
        })
    };
    history.steps(id).iter().any(|step| {
        let key = step.key();
        let told = looks.iter().filter(|(_, look)| look.key() == key);
        let mut told = told.map(|&(other, look)| (history.operation(other).outcome == Outcome::Done, look));
        match *step {
            _ if step.is_read() && !matches!(step, Step::Cas { .. }) => false,
            Step::Cas { from, to, .. } if one_order && from == to => false,
            Step::Write { value, .. } | Step::Cas { to: value, .. } => {
                told.any(|(_, look)| depends(history, look, value))
            }
            Step::Append { value, .. } if history.object() == Object::ListAppend => {
                told.any(|(_, look)| depends(history, look, value))
            }
            Step::Insert { value, .. } if line => told.any(|(done, look)| match *look {
                Step::Take { value: taken, .. } => done && taken.is_none_or(|taken| taken == value),
                Step::Insert { .. } => false,
                _ => true,
            }),
            Step::Insert { value, .. } => told.any(|(_, look)| match *look {
                Step::ReadList { list: Some(list), .. } => history.list(list).contains(&value),
                Step::Contains { value: asked, there: Some(there), .. } => asked == value && there,
                _ => false,
            }),
            Step::Remove { value, .. } => {
                puts(key, Some(value))
                    && told.any(|(_, look)| match *look {
                        Step::ReadList { list: Some(list), .. } => !history.list(list).contains(&value),
                        Step::Contains { value: asked, there: Some(there), .. } => asked == value && !there,
                        _ => false,
                    })
            }
            Step::Take { value: Some(Value::NIL), .. } if history.operation(id).outcome == Outcome::Done => false,
            Step::Take { value: Some(value), .. } if history.operation(id).outcome == Outcome::Done => {
                puts(key, Some(value)) && told.next().is_some()
            }
            Step::Take { .. } => puts(key, None) && told.next().is_some(),
            _ => told.next().is_some(),
        }
    })
}

/// Can the answer of a step depend on whether somebody wrote this value?
fn depends(history: &History, look: &Step, value: Value) -> bool {
    // To a store of texts, nothing and the empty text are the same.
    let is_empty = |value: Value| value == Value::NIL || history.value(value).name() == Some("");
    let same = |seen: Value| seen == value || history.object() == Object::Kv && is_empty(seen) && is_empty(value);
    match *look {
        Step::Read { value: seen, .. } => seen.is_some_and(same),
        Step::Cas { from, took: Some(true), .. } => same(from),
        Step::ReadList { list, .. } => list.is_some_and(|list| history.list(list).contains(&value)),
        Step::Write { .. } => false,
        Step::Append { .. } => history.object() != Object::ListAppend,
        _ => true,
    }
}
