//! Every witness is checked again, by other means, before anybody sees it.

use super::missing::missing;
use super::{cycle, forced};
use crate::second;
use crate::{Edge, History, Id, Key, Model, Outcome, Staleness, Step, Witness};
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
/// others out cannot have done that; or else, of a small history, the whole breaks it too.
pub fn verify(history: &History, model: Model, witness: &Witness) -> Checked {
    let timed = as_judged(history, model);
    let history = timed.as_ref().unwrap_or(history);
    match examine(history, model, witness) {
        Ok(checked) => checked,
        Err(id) => match whole(history, model, &witness.operations) {
            Some(false) => Checked::Confirmed,
            Some(true) => {
                Checked::Refuted("its operations alone break the model, but the whole history keeps it".into())
            }
            None => Checked::Undecided(may_matter(history, id)),
        },
    }
}

/// The same without a look at the whole: do these operations show it by themselves, in whatever history they stand?
pub fn verify_alone(history: &History, model: Model, witness: &Witness) -> Checked {
    let timed = as_judged(history, model);
    let history = timed.as_ref().unwrap_or(history);
    examine(history, model, witness).unwrap_or_else(|id| Checked::Undecided(may_matter(history, id)))
}

/// The history with times for moments, if the model is about times and the history has them.
fn as_judged(history: &History, model: Model) -> Option<History> {
    matches!(model, Model::BoundedStaleness(Staleness::Nanoseconds(_))).then(|| history.by_the_clock().ok()).flatten()
}

fn may_matter(history: &History, left_out: Id) -> String {
    format!("it leaves out ({}), which may matter", history.describe(left_out))
}

/// What the operations of a witness show, or an operation without which they may be another thing than with it.
fn examine(history: &History, model: Model, witness: &Witness) -> Result<Checked, Id> {
    let ids = &witness.operations;
    if ids.is_empty() {
        return Ok(Checked::Refuted("it names no operation".into()));
    }
    if !ids.is_sorted() || ids.iter().any(|id| id.index() >= history.len()) {
        return Ok(Checked::Refuted("its operations are not in order or not in the history".into()));
    }
    let alone = history.restrict(ids);
    let Err(of_cycle) = circle(history, &alone, model, witness) else { return Ok(Checked::Confirmed) };
    let everything: Vec<Id> = alone.ids().collect();
    if forced::is_circle(history, model, ids) && forced::is_circle(&alone, model, &everything) {
        return Ok(Checked::Confirmed);
    }
    match second::holds(&alone, model) {
        None => Ok(Checked::Undecided(format!("{} operations are too many to try all orders", ids.len()))),
        Some(true) => Ok(Checked::Refuted(format!("its operations alone keep the model ({of_cycle})"))),
        Some(false) => missing(history, model, ids).map_or(Ok(Checked::Confirmed), Err),
    }
}

/// Does each edge of the cycle follow, from the whole history and from these operations alone?
fn circle(history: &History, alone: &History, model: Model, witness: &Witness) -> Result<(), String> {
    let place = |id: Id| witness.operations.binary_search(&id).map(|at| Id(at as u32)).ok();
    let edge = |edge: &Edge| Some(Edge { from: place(edge.from)?, to: place(edge.to)?, why: edge.why });
    let edges: Option<Vec<Edge>> = witness.edges.iter().map(edge).collect();
    let edges = edges.ok_or("an edge leads to an operation that it does not name")?;
    cycle::verify(history, model, &witness.edges)?;
    cycle::verify(alone, model, &edges)
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
