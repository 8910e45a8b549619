//! `quorate node`

use crate::exit::{Failure, Outcome};
use clap::Args;
use std::path::PathBuf;

/// Run one node, as its configuration says
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate node --print-config > quorate.toml
  quorate node --config quorate.toml

Stops in order at Ctrl-C or SIGTERM. Its log goes to standard error.")]
pub struct Node {
    /// The configuration file
    #[arg(long, value_name = "FILE", required_unless_present = "print_config")]
    config: Option<PathBuf>,
    /// Print an example of a configuration, with comments
    #[arg(long, conflicts_with = "config")]
    print_config: bool,
    /// Stop when standard input ends, as it does when the process that started this one is gone
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Node {
    pub fn run(self) -> Outcome {
        Err(Failure::machine("not there yet"))
    }
}
