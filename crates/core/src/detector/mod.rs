//! # Failure detection: how suspicious is this silence?
//!
//! **The idea.** That a node is dead cannot be known over a network; it can only be suspected, since a slow node and a dead one
//! look the same until one of them answers. A timeout is one suspicion at one moment. The accrual detector instead gives a
//! level that grows with the silence, measured against how regular the node was before; each user of it chooses the level
//! at which it acts: to route around a node costs little when wrong, to hand over its work costs much.
//!
//! **Promises.**
//! - F1 The level is −log₁₀ of the chance that a silence this long is followed by a sign of life. (`the_level_is_that_of_the_distribution`, `false_suspicions_are_as_rare_as_the_level_says`)
//! - F2 It follows a change of rhythm without a setting. (`the_detector_follows_a_change_of_rhythm`)
//! - F3 Whoever acts at a lower level acts earlier. (`a_lower_level_is_reached_earlier`)
//! - F4 Of a node that was never heard from nothing is said: its user needs a patience of its own. (`nothing_is_said_of_a_node_that_was_never_heard`)
//! - F5 A silence in which the listener was away itself counts for nothing. (`a_pardoned_silence_leaves_no_trace`)
//!
//! **Not here.** Any decision. Suspicion is never a verdict, and no safety argument may use it.
//!
//! **Who uses it.** `node/health.rs` feeds one `Phi` per peer with beats and with nothing else. The status shows the levels, a node whose
//! clock is out hands leadership only to those who are not suspected, and a call for a leaderless table is passed on rather to a
//! replica that is not suspected (`node/replicas.rs`). All ask `Node::suspects`, each with a level of its own.
//! Elections keep their timeouts.
//!
//! **On disk.** Nothing: a rhythm is learned again.
//!
//! **What breaks it.** Counting messages that come in bursts as signs of life: the rhythm is then that of the load.
//!
//! **Read next.** Hayashibara, Défago, Yared and Katayama 2004, "The φ accrual failure detector".

mod phi;

pub use phi::{Phi, TO_HAND_OVER, TO_ROUTE_AROUND};
