//! Did this history keep its guarantee? Checkers for recorded histories of any system.
//!
//! A [`History`] is recorded operation by operation with a [`Recorder`], or read from a file by the readers. [`check`]
//! judges it against one [`Model`]; [`classify`] judges it against every model that applies to its [`Object`].
//! A verdict is *valid*, *invalid* with a small [`Witness`], or *unknown* when the [`Budget`] is spent: never a guess.
//!
//! This crate knows nothing of the system that it judges, so that a judge cannot share the mistake of the judged.

mod datum;
mod history;
mod integrity;
mod judge;
pub mod lattice;
mod linear;
mod model;
mod object;
mod session;
mod transaction;
mod verdict;

pub use datum::Datum;
pub use history::{Band, History, Id, Key, List, Operation, Outcome, Recorder, Session, Step, Ticket, Value};
pub use judge::{Inapplicable, check, classify};
pub use model::Model;
pub use object::Object;
pub use verdict::{Anomaly, Budget, Edge, Judged, Meter, Progress, Spent, Verdict, Why, Witness};
