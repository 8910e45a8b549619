//! # Clocks: what came before what, without a common clock
//!
//! **The idea.** Wall clocks drift and jump, so no order that matters may rest on them. A Lamport clock gives every event a
//! number that grows along every cause, but cannot tell concurrent from ordered. A version vector can: it counts, for each actor,
//! the events that are known. A dot names one event; a context is a set of dots, with holes where messages are on their way.
//! A hybrid clock stays near the wall clock and still grows along every cause; it trusts the clocks of others only up to a
//! bound. How far two wall clocks are apart can be measured by a round trip, up to half of it; which of them is right only a
//! majority can say.
//!
//! **Promises.**
//! - C1 A cause has a smaller Lamport number than its effect; the converse fails. (`a_cause_has_a_smaller_number`, `a_smaller_number_is_no_proof_of_a_cause`)
//! - C2 A version vector is smaller if and only if its event came before. (`vectors_tell_exactly_what_came_before`)
//! - C3 A context holds exactly the dots that were put in, however they came. (`contexts_are_sets`, `the_order_in_which_dots_come_does_not_matter`)
//! - C4 A name that a context gives was never given before. (`the_next_name_was_never_given`)
//! - C5 A hybrid stamp grows along every cause, and is no further ahead than the clocks are. (`stamps_grow_along_every_cause_and_stay_near_the_clocks`)
//! - C6 A stamp beyond the bound is refused and changes nothing. (`a_stamp_from_the_far_future_changes_nothing`)
//! - C7 A measured offset is no further from the truth than it says. (`the_true_offset_is_within_what_is_given`)
//! - C8 A clock within the bound of a majority is never called out; one beyond it is, if a majority is known.
//!   (`a_clock_within_the_bound_is_never_called_out`, `only_a_majority_calls_a_clock_out`)
//!
//! **Not here.** Log time, which the leader of a consensus group stamps (`state`), and the two clocks of a host (`machine::Now`).
//!
//! **On disk.** Nothing of its own. Actors, dots, contexts and stamps are parts of what others store, as serde derives them.
//!
//! **What breaks it.** A count that is used again after a disk was lost. Therefore an actor is a node in one incarnation.
//!
//! **Read next.** `version.rs`, `context.rs`, then `crdt/`. Lamport 1978, "Time, clocks, and the ordering of events".

mod context;
mod hybrid;
mod lamport;
mod offset;
mod version;

pub use context::Context;
pub use hybrid::{Hybrid, Stamp, TooFarAhead};
pub use lamport::Lamport;
pub use offset::{ClockOut, Clocks, Offset};
pub use version::{Actor, Causality, Dot, VersionVector};

#[cfg(any(test, feature = "lab"))]
pub mod executions;
