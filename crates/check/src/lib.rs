//! Did this history keep its guarantee? Checkers for recorded histories of any system.
//!
//! A [`History`] is recorded operation by operation with a [`Recorder`], or read from a file with [`format::read`]. [`check`]
//! judges it against one [`Model`]; [`classify`] judges it against every model that applies to its [`Object`].
//! A verdict is *valid*, *invalid* with a small [`Witness`], or *unknown* when the [`Budget`] is spent: never a guess.
//!
//! This crate knows nothing of the system that it judges, so that a judge cannot share the mistake of the judged.

#[cfg(test)]
extern crate self as quorate_check;

#[cfg(test)]
#[path = "../tests/brute_linear/mod.rs"]
mod brute_linear;
mod datum;
mod event;
pub mod format;
pub mod fuzz;
mod history;
mod integrity;
mod judge;
pub mod lattice;
mod linear;
#[cfg(test)]
#[path = "../tests/made/mod.rs"]
mod made;
mod model;
mod object;
#[doc(hidden)]
pub mod second;
mod session;
mod transaction;
mod verdict;
pub mod witness;

pub use datum::Datum;
pub use event::{Event, Kind, Process};
pub use history::{Band, History, Id, Key, List, Operation, Outcome, Recorder, Session, Step, Ticket, Value};
pub use judge::{Finding, Inapplicable, check, classify};
pub use model::Model;
pub use object::Object;
pub use verdict::{Anomaly, Budget, Edge, Judged, Meter, Progress, Spent, Verdict, Why, Witness};
