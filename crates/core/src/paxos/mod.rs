//! **Paxos: one register per key that is changed by one step at a time.**
//!
//! A compare-and-set needs agreement, and a log is not needed for it: each key is a Paxos instance of its own whose value is
//! replaced ballot by ballot (CASPaxos, Rystsov 2018). A proposer first asks a majority to promise that they ignore smaller ballots and to tell the value that they
//! accepted last; it applies the change to the value of the highest ballot and asks a majority to accept the result. A read is a change that changes nothing.
//!
//! Promises, each with the test that holds it:
//! - **X1** Every chosen value was made from the one chosen before it: changes form one line. `tests::changes_form_one_line`
//! - **X2** A change that was told to be made is in every later value. `tests::changes_form_one_line`
//! - **X3** Lost, doubled, late and reordered messages break neither. `tests::changes_form_one_line`
//! - **X4** A change whose proposer gave up after it asked for acceptance may still be made: its outcome is unknown. `tests::a_given_up_change_may_surface`
//!
//! Not here: which replicas a key has, who calls a proposer (the leaderless node), and ballots of actors that lost their disk: they never come back.
//! What breaks it: a proposer that ignores the highest accepted value; a promise that is not durable before it is told.
//! Said and heard: [`Ask`], [`Tell`]. What is told leaves only when what it says is durable.

mod acceptor;
mod proposer;

pub use acceptor::{Acceptor, Ask, Tell};
pub use proposer::{Given, Proposer, Verdict};

use crate::clock::Actor;
use serde::{Deserialize, Serialize};

/// The name of an attempt: a number, and the actor that chose it, so that no two attempts have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// Greater than all that the actor has seen of this key.
    pub number: u64,
    /// Who tries.
    pub actor: Actor,
}

#[cfg(test)]
mod tests;
