//! Golden scripts: commands, and beneath each the exact output. A script is an experiment, a regression test and a lesson.
//!
//! A line that begins with `> ` is a command; what follows it up to the next command, comment or empty line is its
//! output. `#` begins a comment. See `scripts/README.md` for the words.

mod command;
mod members;
mod replicas;
mod stage;
mod tables;

pub use stage::Stage;

use crate::failure::Failure;
use crate::recording::Recording;

/// What a script gave.
#[derive(Clone, Debug)]
pub struct Played {
    /// The script with the output that its commands really gave.
    pub text: String,
    /// The first broken promise.
    pub failure: Option<Failure>,
    /// Steps of all nodes.
    pub steps: u64,
    /// A hash of every turn of every cluster.
    pub digest: u64,
    /// What happened, when a trace was asked for.
    pub trace: Vec<String>,
    /// What clients did and heard in the cluster that failed, or in the last one.
    pub recording: Recording,
}

/// How a script is played.
#[derive(Clone, Copy, Debug, Default)]
pub struct Casting<'a> {
    /// The rule that is broken in all clusters, unless they name one themselves.
    pub mutant: Option<&'a str>,
    /// Write down what happens.
    pub trace: bool,
    /// Receipts are not judged, to see what else notices.
    pub blind_to_receipts: bool,
}

/// Runs a script.
pub fn play(text: &str, casting: &Casting<'_>) -> Played {
    let mut stage = Stage::new(casting);
    let mut out = String::new();
    let mut in_output = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            out += line;
            out.push('\n');
            for said in stage.perform(command) {
                out += &said;
                out.push('\n');
            }
            in_output = true;
        } else if line.starts_with('#') || line.trim().is_empty() {
            in_output = false;
            out += line;
            out.push('\n');
        } else if !in_output {
            out += &format!("error: this line is neither a command nor a comment: {line}\n");
        }
    }
    stage.finish(out)
}
