//! What the connections asked and heard, for `quorate check`.

use quorate_check::{Datum, History, Key, Object, Operation, Recorder, Step, Ticket, Value};
use quorate_client::{Applied, Error, Reply, parse};
use std::time::Instant;

/// The most operations that are recorded, at about 200 bytes each in memory. The load ends when there are so many: what
/// went on unrecorded could not be told from what went wrong.
pub const OPERATIONS: u64 = 1_000_000;

/// What is recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Part of the keys of this run, which nobody else uses, so that they are absent at first.
    pub name: String,
    /// The most operations, at most [`OPERATIONS`].
    pub limit: u64,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Writes the value with this stamp.
    Set(u64),
    /// Reads.
    Get,
    /// Adds one.
    Incr,
}

/// A request whose reply is awaited.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    ticket: Ticket,
    key: Key,
    /// When it was sent.
    begin: u64,
    what: What,
}

/// The history of a run. Moments and times are nanoseconds since its start.
pub struct Record {
    recorder: Recorder,
    start: Instant,
    left: u64,
    /// Bytes of a value.
    size: usize,
}

impl Record {
    /// Nothing yet.
    pub fn new(start: Instant, size: usize, limit: u64) -> Record {
        Record { recorder: Recorder::new(Object::CasRegister), start, left: limit, size }
    }

    /// Is there room for so many operations more?
    pub fn has_room(&self, operations: usize) -> bool {
        self.left >= operations as u64
    }

    /// A request is about to be sent, at a place in the pipeline of a connection. Requests in flight together have no order,
    /// so each place is a session of its own.
    pub fn begin(&mut self, connection: usize, place: usize, key: &str, what: What) -> Asked {
        self.left = self.left.saturating_sub(1);
        let session = match place {
            0 => Datum::from(connection as i64),
            place => Datum::from(&*format!("{connection}.{place}")),
        };
        let session = self.recorder.session(&session);
        let key = self.recorder.key(&Datum::from(key));
        let step = match what {
            What::Set(stamp) => Step::Write { key, value: self.recorder.value(&Datum::from(stamp as i64)) },
            What::Get => Step::Read { key, value: None },
            What::Incr => Step::Add { key, by: 1 },
        };
        let begin = self.start.elapsed().as_nanos() as u64;
        let ticket = self.recorder.begin(session, begin, 0, &[step]);
        self.recorder.time_ns(ticket, begin, Operation::NEVER);
        Asked { ticket, key, begin, what }
    }

    /// Its reply has arrived. An operation whose reply tells nothing stays open.
    pub fn end(&mut self, asked: Asked, reply: &[u8]) {
        let end = self.start.elapsed().as_nanos() as u64;
        let Ok(Some((reply, _))) = parse(reply) else { return };
        let Asked { ticket, key, begin, what } = asked;
        self.recorder.time_ns(ticket, begin, end);
        match (what, reply) {
            (_, Reply::Error(text)) => match Error::of_reply(&text).applied {
                Applied::No => self.recorder.refuse(ticket, end),
                // What fewer nodes hold than was asked may be lost.
                Applied::Yes | Applied::Unknown => {}
            },
            (What::Set(_), Reply::Status(_)) => {
                let [step] = *self.recorder.steps(ticket) else { return };
                self.recorder.end(ticket, end, &[step]);
            }
            (What::Get, reply) => {
                let value = Some(self.value(&reply));
                self.recorder.end(ticket, end, &[Step::Read { key, value }]);
            }
            (What::Incr, Reply::Int(number)) => {
                self.recorder.end(ticket, end, &[Step::Add { key, by: 1 }, Step::Count { key, number: Some(number) }]);
            }
            (What::Set(_) | What::Incr, _) => {}
        }
    }

    /// The stamp of a value as it was written; anything else is told as it is, which nobody wrote.
    fn value(&mut self, reply: &Reply) -> Value {
        let datum = match reply {
            Reply::Nil => Datum::Nil,
            Reply::Bulk(bytes) => {
                let stamp = bytes.get(..STAMP_DIGITS).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                match stamp.filter(|stamp| *bytes == stamped(*stamp, self.size)) {
                    Some(stamp) => Datum::from(stamp as i64),
                    None => Datum::from(&*String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)])),
                }
            }
            other => Datum::from(&*other.to_string()),
        };
        self.recorder.value(&datum)
    }

    /// The history.
    pub fn finish(self) -> History {
        self.recorder.finish()
    }
}

/// The digits of the number that tells values apart.
pub const STAMP_DIGITS: usize = 12;
/// So much is told of a value that nobody wrote.
const SHOWN_BYTES: usize = 100;

/// The value of a stamp, of so many bytes: at least those of the stamp.
pub fn stamped(stamp: u64, size: usize) -> Vec<u8> {
    let mut value = format!("{stamp:0STAMP_DIGITS$}").into_bytes();
    value.resize(size.max(STAMP_DIGITS), b'x');
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_check::{Budget, Id, Meter, Model, Outcome, Verdict, check};

    fn bulk(value: &[u8]) -> Vec<u8> {
        [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
    }

    #[test]
    fn each_reply_is_told_as_what_it_means() {
        let mut record = Record::new(Instant::now(), 20, OPERATIONS);
        for (what, reply, said) in [
            (What::Set(7), b"+OK\r\n".to_vec(), "write k 7"),
            (What::Get, bulk(&stamped(7, 20)), "read k → 7"),
            (What::Get, b"$-1\r\n".to_vec(), "read k → nil"),
            (What::Get, bulk(&stamped(7, 19)), "read k → \"000000000007xxxxxxx\""),
            (What::Get, bulk(b"melted"), "read k → melted"),
            (What::Incr, b":3\r\n".to_vec(), "add k 1; read k → 3"),
            (What::Incr, b"-UNKNOWN applied: unknown; the deadline passed\r\n".to_vec(), "add k 1 (unknown)"),
            (What::Set(8), b"-SHORT applied: yes; only the leader holds it\r\n".to_vec(), "write k 8 (unknown)"),
            (What::Set(9), b"-CLUSTERDOWN applied: no; no leader\r\n".to_vec(), "write k 9 (refused)"),
            (What::Set(9), b":1\r\n".to_vec(), "write k 9 (unknown)"),
        ] {
            let asked = record.begin(1, 0, "k", what);
            record.end(asked, &reply);
            let history = Record { recorder: record.recorder.clone(), ..record }.finish();
            let last = Id(history.len() as u32 - 1);
            assert_eq!(history.describe(last), said);
            record = Record { recorder: record.recorder, ..record };
        }
    }

    #[test]
    fn what_is_in_flight_together_is_in_no_session_and_a_stale_read_is_noticed() {
        let mut record = Record::new(Instant::now(), 20, OPERATIONS);
        let asked = [record.begin(3, 0, "k", What::Set(1)), record.begin(3, 1, "k", What::Get)];
        record.end(asked[0], b"+OK\r\n");
        record.end(asked[1], b"$-1\r\n");
        std::thread::sleep(std::time::Duration::from_millis(1));
        let late = record.begin(3, 1, "k", What::Get);
        record.end(late, b"$-1\r\n");
        let history = record.finish();
        assert_ne!(history.operation(Id(0)).session, history.operation(Id(1)).session);
        assert!(history.operations().iter().all(|operation| operation.outcome == Outcome::Done));
        let verdict = check(&history, Model::Linearizable, &mut Meter::new(Budget::DEFAULT)).expect("it applies");
        assert!(matches!(verdict, Verdict::Invalid(_)), "{verdict:?}");
    }
}
