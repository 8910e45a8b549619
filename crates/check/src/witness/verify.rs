//! The second opinion: every witness is checked again, by other means, before anybody sees it.

use super::cycle;
use crate::{History, Model, Witness};

/// What speaks against a witness; `Ok` if it shows that the history breaks the model.
pub fn verify(history: &History, model: Model, witness: &Witness) -> Result<(), String> {
    if witness.operations.is_empty() {
        return Err("it names no operation".into());
    }
    if !witness.operations.is_sorted() || witness.operations.iter().any(|id| id.index() >= history.len()) {
        return Err("its operations are not in order or not in the history".into());
    }
    cycle::verify(history, model, &witness.edges)
}
