//! Checkers: did a history of operations keep its guarantee?
//!
//! The judge is the crate `quorate-check`, which knows nothing of the node; here stands what clients of the lab do and hear,
//! and how that is put into a history for it.

mod history;
mod record;
pub mod register;
pub mod session;

pub use history::{Action, Answer, History, Operation, Outcome, Value};
pub use quorate_check;
pub use record::recorder;
