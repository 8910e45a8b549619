//! The options that all verbs share which talk to a cluster, and the client that they make.

use crate::exit::Failure;
use clap::Args;
use quorate_client::{Client, Command, Options};
use quorate_core::guarantee::{Ack, Level};
use quorate_core::limits;
use quorate_core::quorum::Rule;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

/// Where `quorate up` listens unless told otherwise.
pub const RESP_PORT: u16 = 7379;
/// Where `quorate up` serves HTTP unless told otherwise.
pub const HTTP_PORT: u16 = 7070;
/// Tables that have a number for people: the databases of the Redis protocol.
const DATABASES: u16 = 16;
/// How many nodes `quorate up` starts unless told otherwise.
pub const NODES: u16 = 3;

/// Where the cluster is and how to get in.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// A node's Redis-protocol address; may be given several times [default: 127.0.0.1:7379 and the next two ports]
    #[arg(long = "addr", value_name = "HOST:PORT", global = true)]
    pub addresses: Vec<String>,
    /// The password, if the cluster has one; better in the environment, as QUORATE_PASSWORD
    #[arg(long, value_name = "PASSWORD", global = true)]
    pub password: Option<String>,
}

impl Place {
    /// The addresses: those given, or where `quorate up` listens.
    pub fn addresses(&self) -> Vec<String> {
        if !self.addresses.is_empty() {
            return self.addresses.clone();
        }
        (0..NODES).map(|at| format!("127.0.0.1:{}", RESP_PORT + at)).collect()
    }
    /// The password: the option, or the environment.
    pub fn password(&self) -> Option<String> {
        self.password.clone().or_else(|| std::env::var("QUORATE_PASSWORD").ok()).filter(|password| !password.is_empty())
    }
}

/// What a single operation may say.
#[derive(Args, Clone, Debug)]
pub struct Access {
    #[command(flatten)]
    pub place: Place,
    /// The table: its name, as `quorate table` makes it, or a number from 0 to 15
    #[arg(long, value_name = "NAME", default_value = "0", value_parser = table)]
    pub table: String,
    /// What a read must not miss: linearizable (the default), atomic, regular, session or eventual
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub level: Option<Level>,
    /// Who must hold a write durably before it is acknowledged: leader, one, majority (the default) or all
    #[arg(long, value_name = "ACK", value_parser = ack)]
    pub ack: Option<Ack>,
    #[command(flatten)]
    pub replicas: Replicas,
    /// Go on from what another session saw: its token, as --json prints it
    #[arg(long, value_name = "TOKEN")]
    pub session: Option<String>,
    /// Print which guarantee was met, by whom, and where in the log
    #[arg(long)]
    pub receipt: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// Give up after this many milliseconds
    #[arg(long, value_name = "MS", default_value_t = limits::DEADLINE_MS,
          value_parser = clap::value_parser!(u32).range(1..=limits::DEADLINE_MAX_MS as i64))]
    pub deadline_ms: u32,
}

/// What an operation on a leaderless table may say.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "On leaderless tables")]
pub struct Replicas {
    /// Replicas that must answer a read, in place of what the table says
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=i64::from(Rule::REPLICAS_MAX)))]
    pub r: Option<u8>,
    /// Replicas that must hold a write, in place of what the table says
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=i64::from(Rule::REPLICAS_MAX)))]
    pub w: Option<u8>,
    /// Let other nodes take a write in place of replicas that do not answer
    #[arg(long)]
    pub sloppy: bool,
    /// Count an answer before it is durable
    #[arg(long)]
    pub volatile: bool,
    /// Replace exactly what a read saw: `seen` in its receipt
    #[arg(long, value_name = "HEX")]
    pub seen: Option<String>,
}

impl Replicas {
    fn say(&self, mut command: Command) -> Command {
        for (said, word) in [(self.sloppy, "sloppy"), (self.volatile, "volatile")] {
            if said {
                command = command.with(word);
            }
        }
        let command = self.r.map_or(command.clone(), |count| command.read_replicas(count));
        let command = self.w.map_or(command.clone(), |count| command.write_replicas(count));
        self.seen.as_ref().map_or(command.clone(), |digits| command.seen(digits))
    }
}

/// What a write may say besides.
#[derive(Args, Clone, Debug)]
pub struct Once {
    /// A name for this one write: repeating it with the same name applies it at most once [default: a random one, unless
    /// --ack is leader or one, or --table is a name: a leaderless table has no log that could keep it]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// A table by its number or its name.
pub fn table(word: &str) -> Result<String, String> {
    let number = word.parse::<u16>().is_ok_and(|number| number < DATABASES);
    let name = word.bytes().next().is_some_and(|first| first.is_ascii_alphabetic());
    if number || name { Ok(word.to_owned()) } else { Err("a table is a name, or a number from 0 to 15".to_owned()) }
}

/// The level of a word.
pub fn level(word: &str) -> Result<Level, String> {
    Level::parse(word.as_bytes())
        .ok_or_else(|| "the levels are linearizable, atomic, regular, session and eventual".to_owned())
}

/// The ack of a word.
pub fn ack(word: &str) -> Result<Ack, String> {
    Ack::parse(word.as_bytes()).ok_or_else(|| "the acks are leader, one, majority and all".to_owned())
}

impl Access {
    /// A client with these options.
    pub fn client(&self) -> Client {
        let options = Options {
            deadline: Duration::from_millis(u64::from(self.deadline_ms)),
            password: self.place.password(),
            table: if self.table == "0" { String::new() } else { self.table.clone() },
            carry_session: self.json || self.session.is_some(),
            ..Options::default()
        };
        let mut client = Client::new(self.place.addresses(), options);
        if let Some(token) = &self.session {
            client.set_session(token.clone());
        }
        client
    }

    /// The command with the words that these options say.
    pub fn say(&self, command: Command) -> Command {
        let command = self.level.map_or(command.clone(), |level| command.level(level));
        let command = self.ack.map_or(command.clone(), |ack| command.ack(ack));
        let command = self.replicas.say(command);
        if self.receipt { command.receipt() } else { command }
    }

    /// The command with these words and its idempotency key: the one given, or else a random one, so that the client may
    /// repeat it at another node. Acks below majority take none, nor do tables that may be leaderless.
    pub fn say_once(&self, once: &Once, command: Command) -> Result<Command, Failure> {
        let command = self.say(command);
        let key = match &once.idempotency_key {
            Some(key) => key.clone(),
            None if self.ack.is_some_and(|ack| ack < Ack::Majority) || self.has_named_table() => return Ok(command),
            None => random_key()?,
        };
        if key.is_empty() || key.len() > limits::IDEMPOTENCY_KEY_BYTES {
            let limit = limits::IDEMPOTENCY_KEY_BYTES;
            return Err(Failure::usage(format!("an idempotency key has 1 to {limit} bytes, this one {}", key.len())));
        }
        Ok(command.idempotency_key(key))
    }
}

impl Access {
    fn has_named_table(&self) -> bool {
        self.table.parse::<u16>().is_err()
    }
}

/// An idempotency key that nobody else has: 128 bits from the operating system.
pub fn random_key() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).map_err(|error| {
        Failure::machine(format!("cannot make an idempotency key from /dev/urandom: {error}"))
            .hint("name one with --idempotency-key KEY")
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_told_what_there_is() {
        assert_eq!(level("Session"), Ok(Level::Session));
        assert!(level("strong").is_err_and(|error| error.contains("linearizable")));
        assert_eq!(ack("ALL"), Ok(Ack::All));
        assert!(table("carts").is_ok() && table("15").is_ok());
        assert!(["16", "-1", "", "/"].iter().all(|wrong| table(wrong).is_err()));
        assert!(ack("two").is_err_and(|error| error.contains("majority")));
    }
}
