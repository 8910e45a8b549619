//! `quorate put`

use crate::access::{Access, Once};
use crate::answer;
use crate::exit::Outcome;
use clap::Args;
use quorate_client::{Command, Reply};

/// Write the value of a key
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate put cart:7 milk
  quorate put cart:7 milk --ttl 90s --ack all --receipt
  quorate put order:19 paid --if-absent --idempotency-key payment-19

Exits with 1 when --if-absent or --if-present did not hold.")]
pub struct Put {
    /// The key
    key: String,
    /// The value
    value: String,
    /// Remove the key after this long: 500ms, 90s, 15m, 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    ttl: Option<u64>,
    /// Write only if the key is not there
    #[arg(long, conflicts_with = "if_present")]
    if_absent: bool,
    /// Write only if the key is there
    #[arg(long)]
    if_present: bool,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    pub access: Access,
}

impl Put {
    pub fn run(self) -> Outcome {
        let command = self.access.say_once(&self.once, self.command())?;
        answer::call(&self.access, &command, |reply| *reply == Reply::Nil)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(["SET".to_owned(), self.key.clone(), self.value.clone()]);
        if let Some(ttl) = self.ttl {
            command = command.arg("PX").arg(ttl.to_string());
        }
        if self.if_absent {
            command = command.arg("NX");
        }
        if self.if_present {
            command = command.arg("XX");
        }
        command
    }
}

/// A time with its unit, in milliseconds.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    let wrong = || "a time is a number and a unit: 500ms, 90s, 15m, 12h or 7d".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (count, unit) = text.split_at(split);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let time = count.parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).ok_or_else(wrong)?;
    if time == 0 { Err("the time must be longer than nothing".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(milliseconds("90s"), Ok(90_000));
        assert_eq!(milliseconds("500ms"), Ok(500));
        for wrong in ["", "5", "s", "-5s", "5w", "0s", "99999999999999999999s", "1.5s"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }
}
