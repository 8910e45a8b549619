//! Did this history keep its guarantee? Checkers for recorded histories of any system.
//!
//! A [`History`] is recorded operation by operation with a [`Recorder`], or read from a file with [`format::read`]. [`check`]
//! judges it against one [`Model`]; [`classify`] judges it against every model that applies to its [`Object`].
//! A verdict is *valid*, *invalid* with a small [`Witness`], or *unknown* when the [`Budget`] is spent: never a guess.
//!
//! A test needs no file: events in, verdict out.
//!
//! ```
//! use quorate_check::format::{Format, Options, from_events};
//! use quorate_check::{Anomaly, Budget, Datum, Event, Kind, Meter, Model, Verdict, check};
//!
//! // Client 1 writes 1, then 2; afterwards client 2 reads.
//! fn verdict(seen: i64) -> Verdict {
//!     let events = [
//!         Event::of(1, Kind::Invoke, "write", 1),
//!         Event::of(1, Kind::Ok, "write", 1),
//!         Event::of(1, Kind::Invoke, "write", 2),
//!         Event::of(1, Kind::Ok, "write", 2),
//!         Event::of(2, Kind::Invoke, "read", Datum::Nil),
//!         Event::of(2, Kind::Ok, "read", seen),
//!     ];
//!     let events = events.map(|event| Ok(event.on("x")));
//!     let history = from_events(events, Format::JepsenEdn, &Options::default()).expect("the events fit together");
//!     check(&history, Model::Linearizable, &mut Meter::new(Budget::DEFAULT)).expect("registers may be linearizable")
//! }
//!
//! assert_eq!(verdict(2), Verdict::Valid);
//! let Verdict::Invalid(witness) = verdict(1) else { panic!("1 was overwritten before the read began") };
//! assert_eq!(witness.anomaly, Anomaly::StaleRead);
//! assert_eq!(witness.operations.len(), 3);
//! ```
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
mod staleness;
mod transaction;
mod verdict;
pub mod witness;
mod world;

pub use datum::Datum;
pub use event::{Event, Kind, Process};
pub use history::{Band, History, Id, Key, List, Operation, Outcome, Recorder, Session, Step, Ticket, Value};
pub use judge::{Finding, Inapplicable, applies, check, classify, silent};
pub use model::Model;
pub use object::Object;
pub use staleness::Staleness;
pub use verdict::{Anomaly, Budget, Edge, Judged, Meter, Progress, Spent, Verdict, Why, Witness};
