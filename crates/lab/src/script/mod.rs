//! Golden scripts: commands, and beneath each the exact output. A script is an experiment, a regression test and a lesson.
//!
//! A line that begins with `> ` is a command; what follows it up to the next command, comment or empty line is its
//! output. `#` begins a comment. See `scripts/README.md` for the words.

mod command;
mod stage;

pub use stage::Stage;

use crate::failure::Failure;

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
}

/// Runs a script. `mutant` breaks a rule in all its clusters, unless they name one themselves.
pub fn play(text: &str, mutant: Option<&str>, trace: bool) -> Played {
    let mut stage = Stage::new(mutant, trace);
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
