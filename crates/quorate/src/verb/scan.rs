//! `quorate scan`

use crate::access::Access;
use crate::answer::to_json;
use crate::exit::{Exit, Failure, Outcome};
use clap::Args;
use quorate_client::{Command, Error, Reply};
use std::io::Write;

/// List the keys that match a pattern
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate scan
  quorate scan 'cart:*' --limit 100
  quorate scan 'cart:*' --values --json

Each step sees a state of its own, so keys that are written or deleted meanwhile may or may not be listed.")]
pub struct Scan {
    /// The pattern: * any text, ? any character, brackets around characters for one of them
    #[arg(default_value = "*")]
    pattern: String,
    /// Stop after this many keys
    #[arg(long, value_name = "COUNT", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// Print the values too; keys that hold no string print without one
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    pub access: Access,
}

const KEYS_PER_STEP: &str = "1000";

impl Scan {
    pub fn run(self) -> Outcome {
        if self.access.receipt {
            return Err(Failure::usage("scan takes several steps and has no one receipt; leave --receipt out"));
        }
        let mut client = self.access.client();
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut cursor = "0".to_owned();
        let mut printed = 0;
        loop {
            let words = ["SCAN", &cursor, "MATCH", &self.pattern, "COUNT", KEYS_PER_STEP].map(str::to_owned);
            let reply = client.call(&self.access.say(Command::new(words)))?;
            let (next, keys) = page(&reply)?;
            let keys = &keys[..keys.len().min((self.limit - printed) as usize)];
            let values = if self.values { self.values_of(&mut client, keys)? } else { Vec::new() };
            for (at, key) in keys.iter().enumerate() {
                self.print(&mut out, key, values.get(at)).map_err(|error| Failure::machine(error.to_string()))?;
            }
            printed += keys.len() as u64;
            cursor = next;
            if cursor == "0" || printed >= self.limit {
                out.flush().map_err(|error| Failure::machine(error.to_string()))?;
                return Ok(Exit::Done);
            }
        }
    }

    fn values_of(&self, client: &mut quorate_client::Client, keys: &[Reply]) -> Result<Vec<Reply>, Error> {
        let get = |key: &Reply| self.access.say(Command::new(["GET"]).arg(key.bytes().cloned().unwrap_or_default()));
        client.pipeline(&keys.iter().map(get).collect::<Vec<_>>())
    }

    fn print(&self, out: &mut impl Write, key: &Reply, value: Option<&Reply>) -> std::io::Result<()> {
        let value = value.filter(|value| !matches!(value, Reply::Error(_)));
        match (self.access.json, value) {
            (true, Some(value)) => {
                writeln!(out, "{}", serde_json::json!({"key": to_json(key), "value": to_json(value)}))
            }
            (true, None) => writeln!(out, "{}", serde_json::json!({"key": to_json(key)})),
            (false, Some(value)) => writeln!(out, "{key}\t{value}"),
            (false, None) => writeln!(out, "{key}"),
        }
    }
}

/// The next cursor and the keys of one step.
fn page(reply: &Reply) -> Result<(String, &[Reply]), Failure> {
    match reply.items() {
        Some([cursor, keys]) => cursor.text().zip(keys.items()),
        Some(_) | None => None,
    }
    .ok_or_else(|| Failure::machine(format!("the server sent something else than a page of keys: {reply}")))
}
