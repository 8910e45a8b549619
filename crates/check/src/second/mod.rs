//! The second opinion: models as their definitions stand, tried on few operations without any idea that would make it fast.
//!
//! Nothing here is shared with the checkers, so that they cannot make the same mistake.
#![allow(missing_docs, reason = "only tests and the check of witnesses use it")]

pub mod integrity;
pub mod order;
pub mod session;
pub mod transaction;

use crate::{History, Model, Object, Staleness};

/// More transactions than this are not tried in all orders.
const MOST_TRANSACTIONS: usize = 7;

/// Does the history keep the model? `None` if it is too large to try, or if the model says nothing about its object.
pub fn holds(history: &History, model: Model) -> Option<bool> {
    if !model.applies_to(history.object()) {
        return None;
    }
    match model {
        Model::Linearizable if !history.object().is_transactional() => order::linearizable(history, 0),
        Model::Linearizable | Model::StrictSerializable => order::strict(history),
        Model::Sequential | Model::StrongSessionSerializable => order::sequential(history),
        Model::Serializable | Model::RepeatableRead if history.sessions_bind() => order::sequential(history),
        Model::Serializable | Model::RepeatableRead => order::serializable(history),
        Model::BoundedStaleness(Staleness::Moments(bound)) => order::linearizable(history, bound),
        Model::BoundedStaleness(Staleness::Nanoseconds(bound)) => order::linearizable_by_time(history, bound),
        Model::Regular => order::regular(history),
        Model::Safe => order::safe(history),
        Model::ReadUncommitted
        | Model::ReadCommitted
        | Model::MonotonicAtomicView
        | Model::ReadAtomic
        | Model::CausalTransactions
        | Model::SnapshotIsolation => {
            if history.len() > MOST_TRANSACTIONS {
                return None;
            }
            let verdicts = transaction::verdicts(history);
            transaction::MODELS.iter().position(|known| *known == model).map(|at| verdicts[at])
        }
        Model::EventualConvergence if history.object() == Object::Replica => Some(integrity::last_digests(history)),
        Model::ReadYourWrites
        | Model::MonotonicReads
        | Model::MonotonicWrites
        | Model::WritesFollowReads
        | Model::Pram
        | Model::WeakCausal
        | Model::CausalMemory
        | Model::CausalConvergence
        | Model::EventualConvergence => session::holds(history, model),
        Model::StrongEventual
        | Model::SetIntegrity
        | Model::Delivery
        | Model::CounterBounds
        | Model::BankTotal
        | Model::MutualExclusion
        | Model::Fencing
        | Model::UniqueIds => integrity::holds(history, model),
    }
}
