//! One door to all checkers: which algorithm judges which model.

use crate::{History, Id, Judged, Meter, Model, Object, Staleness, Verdict};
use crate::{integrity, linear, session, transaction};
use std::fmt;

/// A model was asked of a history that it says nothing about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inapplicable {
    /// The history is about another kind of object.
    Object {
        /// The model.
        model: Model,
        /// The object of the history.
        object: Object,
    },
    /// The model applies to the object, but not to operations of several steps or to sums.
    Operation {
        /// The model.
        model: Model,
        /// The first of those.
        first: Id,
    },
    /// The bound of the model is a time, and the history does not tell the times of all of its operations.
    Untimed {
        /// The model.
        model: Model,
        /// The line of the first operation without times; 0 if it has none.
        line: u32,
    },
}

impl fmt::Display for Inapplicable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Inapplicable::Object { model, object } => {
                write!(f, "{} says nothing about a history of {}", model.word(), object.word())
            }
            Inapplicable::Operation { model, .. } => {
                write!(f, "{} says nothing about operations of several steps, nor about sums", model.word())
            }
            Inapplicable::Untimed { model, line } => {
                write!(f, "{model} needs the times of all operations, but ")?;
                match line {
                    0 => f.write_str("not all have one"),
                    line => write!(f, "the one in line {line} does not tell them"),
                }?;
                f.write_str("; a bound without a unit counts moments")
            }
        }
    }
}

/// Does the model say anything about this history?
///
/// # Errors
/// If it says nothing about the object, or about one of the operations.
pub fn applies(history: &History, model: Model) -> Result<(), Inapplicable> {
    let object = history.object();
    if !model.applies_to(object) {
        return Err(Inapplicable::Object { model, object });
    }
    let of_writes = model == Model::EventualConvergence && object != Object::Replica;
    let of_writes = of_writes || (model != Model::Sequential && Model::of_sessions().any(|known| known == model));
    // That judge does not know the order of the steps of one operation.
    let several = || history.ids().find(|&id| history.steps(id).len() > 1);
    let of_elements = if model == Model::SetIntegrity { several() } else { None };
    match session::beyond(history).filter(|_| of_writes).or(of_elements) {
        None => Ok(()),
        Some(first) => Err(Inapplicable::Operation { model, first }),
    }
}

/// The models that say something about the object, but nothing about some operation of this history, with the first such
/// operation: [`classify`] leaves them out.
pub fn silent(history: &History) -> Vec<(Model, Id)> {
    let of_object = Model::ALL.into_iter().filter(|model| model.applies_to(history.object()));
    of_object
        .filter_map(|model| match applies(history, model) {
            Err(Inapplicable::Operation { model, first }) => Some((model, first)),
            Err(Inapplicable::Object { .. } | Inapplicable::Untimed { .. }) | Ok(()) => None,
        })
        .collect()
}

/// Does the history keep the model? The work is charged to the meter.
pub fn check(history: &History, model: Model, meter: &mut Meter<'_>) -> Result<Verdict, Inapplicable> {
    applies(history, model)?;
    if let Model::BoundedStaleness(Staleness::Nanoseconds(bound)) = model {
        let untimed = |id| Inapplicable::Untimed { model, line: history.operation(id).line };
        let timed = history.by_the_clock().map_err(untimed)?;
        return Ok(linear::bounded_staleness(&timed, bound, meter).into());
    }
    Ok(judge(history, model, meter).into())
}

/// The verdict of one model among all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The model.
    pub model: Model,
    /// Its verdict.
    pub verdict: Verdict,
    /// The other model that decided: a weaker one that is broken already, or a stronger one that is kept.
    pub by: Option<Model>,
}

/// The verdict of every model that [`applies`], stronger ones first. Each model that needs work of its own gets a meter of
/// its own; what the lattice decides needs none. Bounded staleness is left out, as it needs a bound, and
/// linearizability of transactions, which is strict serializability.
pub fn classify(history: &History, mut work: impl FnMut(Model) -> Verdict) -> Vec<Finding> {
    let asked = Model::ALL
        .into_iter()
        .filter(|model| applies(history, *model).is_ok() && !matches!(model, Model::BoundedStaleness(_)))
        .filter(|model| *model != Model::Linearizable || !history.object().is_transactional());
    let mut findings: Vec<Finding> = Vec::new();
    for model in asked.rev() {
        let broken = findings.iter().find_map(|known| match &known.verdict {
            Verdict::Invalid(witness) if model.implies(known.model) => Some((known.model, witness.clone())),
            Verdict::Valid | Verdict::Invalid(_) | Verdict::Unknown(_) => None,
        });
        let kept = || findings.iter().find(|known| known.verdict == Verdict::Valid && known.model.implies(model));
        let (verdict, by) = match (broken, kept()) {
            (Some((by, witness)), _) => (Verdict::Invalid(witness), Some(by)),
            (None, Some(known)) => (Verdict::Valid, Some(known.model)),
            (None, None) => (work(model), None),
        };
        findings.push(Finding { model, verdict, by });
    }
    for at in 0..findings.len() {
        let model = findings[at].model;
        let kept = findings.iter().find(|known| known.verdict == Verdict::Valid && known.model.implies(model));
        if let (Verdict::Unknown(_), Some(by)) = (&findings[at].verdict, kept.map(|known| known.model)) {
            findings[at] = Finding { model, verdict: Verdict::Valid, by: Some(by) };
        }
    }
    findings.reverse();
    findings
}

fn judge(history: &History, model: Model, meter: &mut Meter<'_>) -> Judged {
    match model {
        Model::Linearizable => linear::linearizable(history, meter),
        Model::Regular => linear::regular(history, meter),
        Model::Safe => linear::safe(history, meter),
        Model::BoundedStaleness(Staleness::Moments(bound) | Staleness::Nanoseconds(bound)) => {
            linear::bounded_staleness(history, bound, meter)
        }
        Model::Sequential => session::sequential(history, meter),
        Model::ReadYourWrites => session::read_your_writes(history, meter),
        Model::MonotonicReads => session::monotonic_reads(history, meter),
        Model::MonotonicWrites => session::monotonic_writes(history, meter),
        Model::WritesFollowReads => session::writes_follow_reads(history, meter),
        Model::Pram => session::pram(history, meter),
        Model::WeakCausal => session::weak_causal(history, meter),
        Model::CausalMemory => session::causal_memory(history, meter),
        Model::CausalConvergence => session::causal_convergence(history, meter),
        Model::EventualConvergence => session::eventual_convergence(history, meter),
        Model::StrongEventual => session::strong_eventual(history, meter),
        Model::ReadUncommitted => transaction::read_uncommitted(history, meter),
        Model::ReadCommitted => transaction::read_committed(history, meter),
        Model::ReadAtomic => transaction::read_atomic(history, meter),
        Model::MonotonicAtomicView => transaction::monotonic_atomic_view(history, meter),
        Model::CausalTransactions => transaction::causal(history, meter),
        Model::SnapshotIsolation => transaction::snapshot_isolation(history, meter),
        Model::RepeatableRead => transaction::repeatable_read(history, meter),
        Model::Serializable => transaction::serializable(history, meter),
        Model::StrongSessionSerializable => transaction::strong_session_serializable(history, meter),
        Model::StrictSerializable => transaction::strict_serializable(history, meter),
        Model::SetIntegrity => integrity::set(history, meter),
        Model::Delivery => integrity::delivery(history, meter),
        Model::CounterBounds => integrity::counter(history, meter),
        Model::BankTotal => integrity::bank(history, meter),
        Model::MutualExclusion => integrity::mutual_exclusion(history, meter),
        Model::Fencing => integrity::fencing(history, meter),
        Model::UniqueIds => integrity::unique_ids(history, meter),
    }
}
