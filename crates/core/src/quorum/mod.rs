//! # Quorums: how many of the replicas must answer
//!
//! **The idea.** Of N replicas, a write waits for W and a read for R. If R + W > N, every read asks somebody who has the last
//! acknowledged write; if 2W > N, every two writes meet. That makes reads *regular*, not linearizable: while a write is on
//! its way, one read may see it and a later one not, unless the first one writes it back before it answers.
//!
//! **Promises.**
//! - Q1 What the rule says of overlap is true of all sets of replicas. (`the_rule_is_true_of_all_sets`)
//! - Q2 The chance of a stale read is that of drawing R replicas, none of which is among the W. (`the_chance_is_counted`)
//! - Q3 Rules with a name let every read meet every write. (`presets_overlap`)
//!
//! **Not here.** Who answered (`guarantee::Tally` counts distinct hosts, never the plan), and consensus, whose majorities are
//! its own.
//!
//! **On disk.** Nothing.
//!
//! **What breaks it.** A quorum that is counted from the plan instead of the answers (riak_kv #388).
//!
//! **Read next.** `rule.rs`. Gifford 1979, "Weighted voting for replicated data".

mod rule;

pub use rule::{Preset, Rule, RuleError};
