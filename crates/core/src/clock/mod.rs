//! **Clocks: what came before what, without a common clock.**
//!
//! Wall clocks drift and jump, so no order that matters may rest on them. A Lamport clock gives every event a number that
//! grows along every cause, but cannot tell concurrent from ordered. A version vector can: it counts, for each actor, the
//! events that are known. A dot names one event; a context is a set of dots, with holes where messages are on their way.
//! A hybrid clock stays near the wall clock and still grows along every cause; it trusts the clocks of others only up to a
//! bound.
//!
//! Promises, each with the test that holds it:
//! - **C1** A cause has a smaller Lamport number than its effect; the converse fails. `lamport::tests`
//! - **C2** A version vector is smaller if and only if the event came before. `version::tests::vectors_tell_exactly_what_came_before`
//! - **C3** A context holds exactly the dots that were put in, however they came. `context::tests`
//! - **C4** A hybrid stamp grows along every cause, and is ahead of true time by no more than the clocks are. `hybrid::tests`
//! - **C5** A stamp beyond the bound is refused and changes nothing. `hybrid::tests::a_stamp_from_the_far_future_changes_nothing`
//!
//! Not here: log time, which the leader of a consensus group stamps (`state`), and the two clocks of a host (`machine::Now`).
//! What breaks it: a counter that is used again after a disk was lost. Therefore an actor is a node in one incarnation.
//! Read next: `crdt`.

mod context;
mod hybrid;
mod lamport;
mod version;

pub use context::Context;
pub use hybrid::{Hybrid, Stamp, TooFarAhead};
pub use lamport::Lamport;
pub use version::{Actor, Causality, Dot, VersionVector};

#[cfg(test)]
mod executions;
