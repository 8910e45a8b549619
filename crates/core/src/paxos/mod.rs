//! # Paxos: one register per key, changed by one step at a time
//!
//! **The idea.** A compare-and-set needs agreement, and a log is not needed for it: each key is a Paxos instance of its own
//! whose value is replaced ballot by ballot (CASPaxos, Rystsov 2018). A proposer first asks a majority to promise that they
//! ignore smaller ballots and to tell the value that they accepted last; it applies the change to the value of the highest
//! ballot and asks a majority to accept the result. A read is a change that changes nothing.
//!
//! **Promises.**
//! - X1 Every chosen value was made from the one chosen before it: changes form one line, and one that was told to be made is in every later value, though messages are lost, doubled, late and reordered. (`changes_form_one_line`)
//! - X2 A change whose proposer gave up after it asked for acceptance may still be made: its outcome is unknown. (`a_given_up_change_may_surface`)
//! - X3 An attempt that was overtaken stays over, and answers of strangers count for nothing. (`an_attempt_ends_when_it_is_overtaken`)
//!
//! **Not here.** Which replicas a key has, and who calls a proposer: no node does yet. Ballots of actors that lost their disk:
//! they never come back.
//!
//! **Said and heard.** [`Ask`], [`Tell`]. What is told leaves only when what it says is durable.
//!
//! **On disk.** For each key an [`Acceptor`], by whoever seats the room.
//!
//! **What breaks it.** A proposer that ignores the highest accepted value, half of the replicas as a majority, a promise that
//! is not durable before it is told. (`every_broken_rule_is_noticed`)
//!
//! **Read next.** `acceptor.rs`, `proposer.rs`.

mod acceptor;
mod proposer;

pub use acceptor::{Acceptor, Ask, Tell};
pub use proposer::{Given, Proposer, Quorum, Verdict};

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
