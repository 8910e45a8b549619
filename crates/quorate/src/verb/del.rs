//! `quorate del`

use crate::access::{Access, Once};
use crate::answer;
use crate::exit::Outcome;
use clap::Args;
use quorate_client::{Command, Reply};

/// Delete keys, and print how many were there
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate del cart:7
  quorate del '{cart}:7' '{cart}:8' --ack all

Exits with 1 when none of the keys was there.")]
pub struct Del {
    /// The keys
    #[arg(required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    pub access: Access,
}

impl Del {
    pub fn run(self) -> Outcome {
        let words = std::iter::once("DEL".to_owned()).chain(self.keys);
        let command = self.access.say_once(&self.once, Command::new(words))?;
        answer::call(&self.access, &command, |reply| *reply == Reply::Int(0))
    }
}
