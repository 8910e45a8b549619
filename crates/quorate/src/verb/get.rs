//! `quorate get`

use crate::access::Access;
use crate::answer;
use crate::exit::Outcome;
use clap::Args;
use quorate_client::{Command, Reply};

/// Read the value of a key
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate get cart:7
  quorate get cart:7 --level session --receipt
  quorate get cart:7 --addr 127.0.0.1:7380 --json

Exits with 1 when the key is not there.")]
pub struct Get {
    /// The key
    key: String,
    #[command(flatten)]
    pub access: Access,
}

impl Get {
    pub fn run(self) -> Outcome {
        let command = self.access.say(Command::new(["GET".to_owned(), self.key]));
        answer::call(&self.access, &command, |reply| *reply == Reply::Nil)
    }
}
