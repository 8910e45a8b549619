//! The requests of a load as bytes, made once and filled in for each.

use super::record::{STAMP_DIGITS, What, stamped};
use super::run::Plan;
use quorate_client::Command;

/// How many different members are added to a set.
pub const MEMBERS: u64 = 1_000;

/// What each request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Operation {
    /// Writes a value.
    Set,
    /// Reads a value.
    Get,
    /// Adds one to a counter.
    Incr,
    /// Adds a member to a set, one of a thousand.
    Sadd,
    /// Reads a value or writes one, each half of the time.
    Mixed,
}

impl Operation {
    /// What requests it is made of.
    pub fn parts(self) -> &'static [Operation] {
        match self {
            Operation::Set => &[Operation::Set],
            Operation::Get => &[Operation::Get],
            Operation::Incr => &[Operation::Incr],
            Operation::Sadd => &[Operation::Sadd],
            Operation::Mixed => &[Operation::Set, Operation::Get],
        }
    }

    /// What is recorded of a request; `None` if it cannot be.
    pub fn recorded(self, stamp: u64) -> Option<What> {
        match self {
            Operation::Set | Operation::Mixed => Some(What::Set(stamp)),
            Operation::Get => Some(What::Get),
            Operation::Incr => Some(What::Incr),
            Operation::Sadd => None,
        }
    }
}

/// Requests as bytes, with a place for the number of the key, and for that of the value or member if it has one.
pub struct Template {
    /// What it does.
    pub operation: Operation,
    bytes: Vec<u8>,
    key_at: usize,
    key: String,
    stamp_at: Option<usize>,
}

const KEY_DIGITS: usize = 12;

impl Template {
    /// The requests of a plan that do this.
    pub fn new(plan: &Plan, operation: Operation) -> Template {
        let kind = match operation {
            Operation::Incr => "counter",
            Operation::Sadd => "set",
            Operation::Set | Operation::Get | Operation::Mixed => "key",
        };
        let digits = "0".repeat(KEY_DIGITS);
        let key = match &plan.recorded {
            Some(recorded) => format!("{kind}:{}:{digits}", recorded.name),
            None => format!("{kind}:{digits}"),
        };
        let value = match &plan.recorded {
            Some(_) => String::from_utf8(stamped(0, plan.size)).expect("digits and letters"),
            None => "x".repeat(plan.size),
        };
        let mut command = match operation {
            Operation::Set | Operation::Mixed => Command::new(["SET".to_owned(), key.clone(), value]),
            Operation::Get => Command::new(["GET".to_owned(), key.clone()]),
            Operation::Incr => Command::new(["INCR".to_owned(), key.clone()]),
            Operation::Sadd => Command::new(["SADD".to_owned(), key.clone(), "0".repeat(STAMP_DIGITS)]),
        };
        let replicas = if operation == Operation::Get { plan.read } else { plan.write };
        if let Some(count) = replicas {
            command =
                if operation == Operation::Get { command.read_replicas(count) } else { command.write_replicas(count) };
        }
        command = plan.level.map_or(command.clone(), |level| command.level(level));
        command = plan.ack.map_or(command.clone(), |ack| command.ack(ack));
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        let named = bytes.windows(key.len()).position(|window| window == key.as_bytes());
        let key_at = named.expect("the key was put in above") + key.len() - KEY_DIGITS;
        let end = bytes.len() - b"\r\n".len();
        let stamp_at = match operation {
            Operation::Set if plan.recorded.is_some() => Some(end - plan.size.max(STAMP_DIGITS)),
            Operation::Sadd => Some(end - STAMP_DIGITS),
            Operation::Set | Operation::Get | Operation::Incr | Operation::Mixed => None,
        };
        Template { operation, bytes, key_at, key, stamp_at }
    }

    /// Appends a request.
    pub fn write(&self, key: u64, stamp: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let digits = |at: usize, count: usize| start + at..start + at + count;
        write_digits(key, &mut out[digits(self.key_at, KEY_DIGITS)]);
        if let Some(at) = self.stamp_at {
            write_digits(stamp, &mut out[digits(at, STAMP_DIGITS)]);
        }
    }

    /// The key of a number, as the server sees it.
    pub fn key(&self, key: u64) -> String {
        let name = &self.key[..self.key.len() - KEY_DIGITS];
        format!("{name}{key:0KEY_DIGITS$}")
    }
}

fn write_digits(mut number: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::{plan, recorded};
    use super::*;

    #[test]
    fn the_number_of_the_key_goes_where_the_key_is() {
        let address = "127.0.0.1:1".parse().expect("an address");
        let plan = plan(address, Operation::Set, 1);
        let mut out = Vec::new();
        Template::new(&plan, Operation::Set).write(42, 7, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000042\r\n$3\r\nxxx\r\n");
        // Recorded writes have keys and values of their own.
        let template = Template::new(&Plan { recorded: recorded(1), size: 14, ..plan }, Operation::Set);
        let mut out = Vec::new();
        template.write(42, 7, &mut out);
        let (key, value) = ("$20\r\nkey:run:000000000042", "$14\r\n000000000007xx");
        assert_eq!(String::from_utf8_lossy(&out), format!("*3\r\n$3\r\nSET\r\n{key}\r\n{value}\r\n"));
        assert_eq!(template.key(42), "key:run:000000000042");
    }

    #[test]
    fn members_and_replicas_are_said_where_they_belong() {
        let address = "127.0.0.1:1".parse().expect("an address");
        let plan = Plan { read: Some(1), write: Some(3), ..plan(address, Operation::Sadd, 1) };
        let said = |operation| {
            let mut out = Vec::new();
            Template::new(&plan, operation).write(42, 7, &mut out);
            let text = String::from_utf8_lossy(&out).into_owned();
            text.split("\r\n").skip(2).step_by(2).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(said(Operation::Sadd), "WITH w=3 SADD set:000000000042 000000000007");
        assert_eq!(said(Operation::Incr), "WITH w=3 INCR counter:000000000042");
        assert_eq!(said(Operation::Get), "WITH r=1 GET key:000000000042");
    }
}
