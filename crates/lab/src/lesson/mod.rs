//! Small machines of their own: lessons, and the proof that the simulator and its judges catch what they should.
//!
//! A lesson for the command line is a function from a seed to a [`Run`], with its rule broken or kept. It drives the values and
//! rooms of the core, and says what it counted.

pub(crate) mod balance;
pub(crate) mod causes;
mod cluster;
pub(crate) mod compare;
pub(crate) mod hot;
pub(crate) mod joins;
pub(crate) mod lost;
pub(crate) mod new_then_old;
pub(crate) mod overlap;
pub(crate) mod presets;
pub mod register;
mod replica;
pub(crate) mod rings;
pub(crate) mod sets;
pub mod silence;
pub(crate) mod sloppy;
pub(crate) mod stamps;
pub(crate) mod surfaces;
pub mod trial;
pub(crate) mod update;
pub(crate) mod updates;
pub(crate) mod writers;

use crate::failure::{Failure, Kind};
use crate::recording::Recording;
use quorate_core::clock::Actor;
use quorate_core::machine::NodeId;

/// A lesson: a seed, is its rule broken, and is a trace wanted?
pub(crate) type Lesson = fn(u64, bool, bool) -> Run;

/// What one run of a lesson gave.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Steps of all nodes, or cases that were tried.
    pub steps: u64,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// What was counted, in lines for people.
    pub found: String,
    /// What happened, when a trace was asked for.
    pub trace: Vec<String>,
    /// What clients did and heard, if there are clients.
    pub recording: Recording,
}

/// A number of a lesson that is out of what the theory says: neither the broken nor the kept rule may give it.
pub(crate) const UNEXPECTED: Kind = Kind::Lesson("the lesson went another way than planned");

impl Run {
    /// A lesson without a clock.
    fn counted(steps: u64, failure: Option<Failure>, found: String) -> Run {
        Run { steps, failure, found, ..Run::default() }
    }
}

/// A failure of a lesson without a clock.
fn failed(what: &'static str, detail: impl Into<String>) -> Failure {
    Failure { kind: Kind::Lesson(what), at_us: 0, detail: detail.into() }
}

fn unexpected(detail: impl Into<String>) -> Failure {
    Failure { kind: UNEXPECTED, at_us: 0, detail: detail.into() }
}

/// A part of something, as `33.3 %`.
fn percent(part: u64, of: u64) -> String {
    let per_mille = per_mille(part, of);
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

/// A part of something in thousandths, rounded.
fn per_mille(part: u64, of: u64) -> u64 {
    (part * 1_000 + of / 2) / of.max(1)
}

/// A node in its first life.
fn actor(node: u16) -> Actor {
    Actor { node: NodeId(node), incarnation: 1 }
}

/// Lines of a table, whose columns are as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let mut lines = Vec::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_string());
    }
    lines.join("\n")
}

/// A row of words.
fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}
