//! `quorate incr`

use crate::access::{Access, Once};
use crate::answer;
use crate::exit::Outcome;
use clap::Args;
use quorate_client::Command;

/// Add to a number, and print the sum
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate incr visits
  quorate incr stock:42 -3 --idempotency-key order-19")]
pub struct Incr {
    /// The key; one that is not there counts as 0
    key: String,
    /// How much to add
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    by: i64,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    pub access: Access,
}

impl Incr {
    pub fn run(self) -> Outcome {
        let command = Command::new(["INCRBY".to_owned(), self.key, self.by.to_string()]);
        answer::call(&self.access, &self.access.say_once(&self.once, command)?, |_| false)
    }
}
