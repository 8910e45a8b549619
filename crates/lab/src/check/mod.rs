//! Checkers: did a history of operations keep its guarantee?
//!
//! A checker is tested on histories of its own, good and bad, before it may judge anything else.

mod history;
pub mod register;
mod search;
pub mod session;
mod zone;

pub use history::{Action, Answer, History, Operation, Outcome, Value};
