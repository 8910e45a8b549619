//! The pure node of Quorate: state machines that take inputs and give turns.
//!
//! Nothing here can name a clock, a thread, a socket or a file: the crate is `no_std`, so the compiler is the wall.
//! Floor 0 holds no concept (`machine`, `store`, `random`, `limits`), floor 1 holds values (`catalogue`, `clock`, `crdt`, `detector`,
//! `guarantee`, `operation`, `placement`, `quorum`), floor 2 holds rooms (`consensus`, `leaderless`, `paxos`, `state`), floor 3 is the
//! one place that knows all rooms (`node`).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod limits;
pub mod machine;
pub mod mutant;
pub mod random;
pub mod store;

pub mod catalogue;
pub mod clock;
pub mod crdt;
pub mod detector;
pub mod guarantee;
pub mod hot;
pub mod operation;
pub mod placement;
pub mod quorum;

pub mod consensus;
pub mod leaderless;
pub mod paxos;
pub mod state;

pub mod node;
