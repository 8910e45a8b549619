//! The map of consistency models: which implies which, and for each such step the smallest history that tells the two apart.
//!
//! The histories stand in `lattice/separations.txt`. They are the first that a search through all histories finds, by number
//! of operations, then sessions, then keys (then steps, of transactions); a test searches again. Only histories in which
//! nothing is read before it is written, and nothing released that is not held, count: such a step breaks most models
//! alone, and shows little.

mod notation;

use crate::{Budget, History, Meter, Model, Verdict, check};
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

Linearizable implies also: set-integrity of sets, delivery of queues and stacks, counter-bounds of
counters, mutual-exclusion and fencing of locks. Of transactions it is strict-serializable.
Alone stand: strong-eventual, bank-total, unique-ids.
";

const LEGEND: &str = "
Each history below keeps the second model and breaks the first, in the way that stands behind the
colon. It is smallest: none with fewer operations does, of all in which nothing is read before it is
written, and nothing released that is not held.

    a: w x 1 @1-3 | r x nil @4-5    session a writes 1 to x from moment 1 to 3; then it reads x
    b: r x 1, w y 2 !               session b has a transaction of two steps, which was aborted (!)

Without moments only the order within each session is known, and it binds every model. With moments,
it binds only those transactional models that name it: causal, strong-session, strict.
";

/// The map, and under it each implication with its separating history and what that breaks.
pub fn render() -> String {
    let mut text = MAP.trim_start_matches('\n').to_string();
    text.push_str(LEGEND);
    let mut equal = Vec::new();
    for (stronger, weaker, separation) in edges() {
        match separation {
            Separation::History { history, text: lines } => {
                let _ = write!(text, "\n{} > {} ({})", stronger.word(), weaker.word(), history.object().word());
                let verdict = check(&history, stronger, &mut Meter::new(SMALL));
                if let Ok(Verdict::Invalid(witness)) = verdict {
                    let _ = write!(text, ": {}", witness.anomaly.word());
                }
                text.push('\n');
                for line in lines.lines() {
                    let _ = writeln!(text, "    {line}");
                }
            }
            Separation::Equal(_) if equal.contains(&(weaker, stronger)) => {}
            Separation::Equal(reason) => {
                equal.push((stronger, weaker));
                let _ = write!(text, "\n{} = {}", stronger.word(), weaker.word());
                let mut column = WIDTH;
                for word in reason.split(' ') {
                    column += 1 + word.chars().count();
                    if column > WIDTH {
                        text.push_str("\n   ");
                        column = 4 + word.chars().count();
                    }
                    let _ = write!(text, " {word}");
                }
                text.push('\n');
            }
        }
    }
    text
}

/// Columns of text.
const WIDTH: usize = 96;
/// Enough for the histories of the file.
const SMALL: Budget = Budget { steps: 1 << 20, bytes: 1 << 24 };

#[cfg(test)]
mod tests;
