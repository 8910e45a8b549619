//! Every witness is checked again, by other means, before anybody sees it.

use super::cycle;
use crate::second;
use crate::{History, Id, Model, Object, Outcome, Step, Value, Witness};

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
    match second::holds(&history.restrict(ids), model) {
        None => Checked::Undecided(format!("{} operations are too many to try all orders", ids.len())),
        Some(true) => Checked::Refuted(format!("its operations alone keep the model ({of_cycle})")),
        Some(false) => match missing(history, model, ids) {
            None => Checked::Confirmed,
            Some(id) => Checked::Undecided(format!("it leaves out ({}), which may matter", history.describe(id))),
        },
    }
}

/// An operation that was left out although a history that keeps the model may break it without that operation.
fn missing(history: &History, model: Model, kept: &[Id]) -> Option<Id> {
    let is_kept = |id: &Id| kept.binary_search(id).is_ok();
    let by_time = matches!(
        model,
        Model::Linearizable | Model::StrictSerializable | Model::Regular | Model::Safe | Model::BoundedStaleness(_)
    );
    history.ids().find(|id| {
        let operation = history.operation(*id);
        // Who had ended before it began cannot have seen it.
        let later = |other: &&Id| {
            let seen_by = history.operation(**other);
            !(by_time && history.has_real_time() && seen_by.outcome == Outcome::Done && seen_by.precedes(operation))
        };
        let looks: Vec<&Step> = kept.iter().filter(later).flat_map(|&other| history.steps(other)).collect();
        operation.outcome != Outcome::Refused && !is_kept(id) && matters(history, *id, &looks)
    })
}

/// Could these answers be wrong only because the operation is gone?
fn matters(history: &History, id: Id, looks: &[&Step]) -> bool {
    history.steps(id).iter().any(|step| {
        let key = step.key();
        let changes_to = match *step {
            _ if step.is_read() => return false,
            Step::Write { value, .. } | Step::Cas { to: value, .. } => Some(value),
            Step::Append { value, .. } if history.object() == Object::ListAppend => Some(value),
            Step::Insert { value, .. } | Step::Remove { value, .. } => Some(value),
            _ => None,
        };
        looks.iter().filter(|look| look.key() == key).any(|look| match changes_to {
            Some(value) => depends(history, look, value),
            None => true,
        })
    })
}

/// Can the answer of a step depend on whether somebody wrote this value?
fn depends(history: &History, look: &Step, value: Value) -> bool {
    match *look {
        Step::Read { value: seen, .. } => seen == Some(value),
        Step::Cas { from, took: Some(true), .. } => from == value,
        Step::ReadList { list, .. } => list.is_some_and(|list| history.list(list).contains(&value)),
        Step::Contains { value: asked, .. } => asked == value,
        Step::Write { .. } | Step::Insert { .. } | Step::Remove { .. } => false,
        Step::Append { .. } => history.object() != Object::ListAppend,
        Step::Take { value: taken, .. } => taken.is_none_or(|taken| taken == value || taken == Value::NIL),
        _ => true,
    }
}
