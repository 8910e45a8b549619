//! **Quorums: how many of the replicas must answer.**
//!
//! Of N replicas, a write waits for W and a read for R. If R + W > N, every read asks somebody who has the last acknowledged
//! write; if 2W > N, every two writes meet. That makes reads *regular*, not linearizable: while a write is on its way, one
//! read may see it and a later one not, unless the first one writes it back before it answers.
//!
//! Promises, each with the test that holds it:
//! - **Q1** What the rule says of overlap is true of all sets of replicas. `rule::tests::the_rule_is_true_of_all_sets`
//! - **Q2** The chance of a stale read is that of drawing R replicas, none of which is among the W. `rule::tests::the_chance_is_counted`
//!
//! Not here: who answered (`guarantee::Tally` counts distinct hosts, never the plan), and consensus, whose majorities are its own.
//! Read next: Gifford 1979, "Weighted voting for replicated data".

mod rule;

pub use rule::{Preset, Rule, RuleError};
