//! **Failure detection: how suspicious is this silence?**
//!
//! That a node is dead cannot be known over a network; it can only be suspected, since a slow node and a dead one look the same until
//! one of them answers. A timeout is one suspicion at one moment. The accrual detector instead gives a level that grows with
//! the silence, measured against how regular the node was before; each user of it chooses the level at which it acts: to route
//! around a node costs little when wrong, to hand over its work costs much.
//!
//! Promises, each with the test that holds it:
//! - **F1** The level is −log₁₀ of the chance that a silence this long is followed by a sign of life. `phi::tests::the_level_is_that_of_the_distribution`
//! - **F2** It follows a change of rhythm without a setting. `phi::tests::the_detector_follows_a_change_of_rhythm`
//! - **F3** Whoever acts at a lower level acts earlier. `phi::tests::a_lower_level_is_reached_earlier`
//! - **F4** A node that was never heard from is not suspected by the level, but by its user's patience. `phi::tests::nothing_is_said_of_a_node_that_was_never_heard`
//!
//! Not here: any decision. Suspicion is never a verdict, and no safety argument may use it.
//! Read next: Hayashibara, Défago, Yared and Katayama 2004, "The φ accrual failure detector".

mod phi;

pub use phi::{Phi, TO_HAND_OVER, TO_ROUTE_AROUND};
