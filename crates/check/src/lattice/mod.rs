//! The map of consistency models: which implies which, and for each such step the smallest history that tells the two apart.
//!
//! The histories stand in `lattice/separations.txt`. Those of registers are the first that a search through all histories
//! finds, by number of operations, then sessions, then keys; a test searches again. Only histories in which nothing is
//! read before it is written count: a value from the future breaks most models with one operation, and shows little.

mod notation;

use crate::{History, Model};
use std::fmt::Write;

/// What tells a model from a weaker one.
#[derive(Clone, Debug)]
pub enum Separation {
    /// A smallest history that keeps the weaker model and breaks the stronger.
    History {
        /// The history.
        history: History,
        /// The same in words: a line for each session, its operations between bars, and begin and end where time matters.
        text: &'static str,
    },
    /// Nothing does: every history that keeps one keeps the other, for this reason.
    Equal(&'static str),
}

const GOLDEN: &str = include_str!("../../lattice/separations.txt");

/// Every direct implication, stronger model first, with what tells the two apart.
pub fn edges() -> Vec<(Model, Model, Separation)> {
    let edge = |&(stronger, weaker): &(Model, Model)| {
        let text = section(stronger, weaker).expect("a test finds every edge in the file");
        let separation = match text.strip_prefix("equal: ") {
            Some(reason) => Separation::Equal(reason.trim_end()),
            None => {
                let history = notation::read(text).expect("a test reads every history of the file");
                let (_, text) = text.split_once('\n').expect("the first line names the object");
                Separation::History { history, text: text.trim_end() }
            }
        };
        (stronger, weaker, separation)
    };
    Model::EDGES.iter().map(edge).collect()
}

/// The lines of the file after `# stronger > weaker`.
fn section(stronger: Model, weaker: Model) -> Option<&'static str> {
    let title = format!("# {} > {}\n", stronger.word(), weaker.word());
    let start = GOLDEN.find(&title)? + title.len();
    let rest = &GOLDEN[start..];
    Some(&rest[..rest.find("\n#").unwrap_or(rest.len())])
}

const MAP: &str = "
Single objects                                       Transactions

            linearizable                                   strict-serializable
      ┌──────────┼──────────┬──────────┐                            │
      │          │       bounded-  eventual-            strong-session-serializable
 sequential   regular   staleness convergence                ┌──────┴───────┐
   ┌──┴──────┐   │                                     serializable         │
   │         │  safe                                  = repeatable-read      │
causal-   causal-                                            │              │
memory    convergence                                snapshot-isolation   causal
 ├────┐   ┌──┴──────┐                                        └──────┬───────┘
 │  weak-causal     │                                          read-atomic
 │    ├─ writes-follow-reads                                        │
pram  │             │                                     monotonic-atomic-view
 ├────┼─ read-your-writes                                           │
 ├────┴─ monotonic-writes                                     read-committed
 └──────┬───────────┘                                               │
  monotonic-reads                                            read-uncommitted

Linearizable implies also: set-integrity of sets, delivery of queues and stacks, counter-bounds of counters,
mutual-exclusion and fencing of locks. Alone stand: strong-eventual, bank-total, unique-ids.
";

/// The map, and under it each implication with its separating history.
pub fn render() -> String {
    let mut text = MAP.trim_start_matches('\n').to_string();
    text.push_str("\nEach history below keeps the weaker model and breaks the stronger; none in which nothing is\n");
    text.push_str("read before it is written is smaller. A line is a session, its operations stand between bars,\n");
    text.push_str("@begin-end are moments, w writes, r reads, and commas hold a transaction together.\n");
    for (stronger, weaker, separation) in edges() {
        match separation {
            Separation::History { history, text: lines } => {
                let object = history.object().word();
                let _ = write!(text, "\n{} > {} ({object})\n", stronger.word(), weaker.word());
                for line in lines.lines() {
                    let _ = writeln!(text, "    {line}");
                }
            }
            Separation::Equal(reason) => {
                let _ = write!(text, "\n{} = {}\n    {reason}\n", stronger.word(), weaker.word());
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
