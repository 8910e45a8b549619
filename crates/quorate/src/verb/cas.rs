//! `quorate cas`

use crate::access::{Access, Once};
use crate::answer;
use crate::exit::Outcome;
use clap::Args;
use quorate_client::{Command, Reply};

/// Compare and set: write a new value if the key holds the old one
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate cas wallet:7 100 80
  quorate cas wallet:7 100 80 --idempotency-key order-19 --receipt

Prints 1 when the value was written; prints 0 and exits with 1 when the key held something else or nothing.")]
pub struct Cas {
    /// The key
    key: String,
    /// The value that it must hold
    old: String,
    /// The value to write
    new: String,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    pub access: Access,
}

impl Cas {
    pub fn run(self) -> Outcome {
        let command = Command::new(["CAS".to_owned(), self.key, self.old, self.new]);
        answer::call(&self.access, &self.access.say_once(&self.once, command)?, |reply| *reply == Reply::Int(0))
    }
}
