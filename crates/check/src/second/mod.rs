//! The second opinion: models as their definitions stand, tried on few operations without any idea that would make it fast.
//!
//! Nothing here is shared with the checkers, so that they cannot make the same mistake.

mod order;
mod transaction;

use crate::{History, Model};

/// More transactions than this are not tried in all orders.
const MOST_TRANSACTIONS: usize = 7;

/// Does the history keep the model? `None` if it is too large to try, or if there is no second opinion on the model.
pub fn holds(history: &History, model: Model) -> Option<bool> {
    match model {
        Model::StrictSerializable => order::strict_serializable(history),
        Model::Linearizable if Model::StrictSerializable.applies_to(history.object()) => {
            order::strict_serializable(history)
        }
        Model::Linearizable => order::linearizable(history, 0),
        Model::Sequential | Model::StrongSessionSerializable => order::sequential(history),
        Model::Serializable | Model::RepeatableRead if history.sessions_bind() => order::sequential(history),
        Model::Serializable | Model::RepeatableRead => order::serializable(history),
        Model::BoundedStaleness(bound) => order::linearizable(history, bound),
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
        _ => None,
    }
}
