//! Messages between nodes as bytes: a version byte, then postcard. The driver frames them by length.

use super::Message;
use alloc::vec::Vec;

/// Version of the messages. Peers of another version are refused when they connect.
pub const VERSION: u8 = 2;

/// Appends a message.
pub fn encode(message: &Message, out: Vec<u8>) -> Vec<u8> {
    let mut out = out;
    out.push(VERSION);
    postcard::to_extend(message, out).expect("messages always encode")
}

/// Reads a message. `None` if the bytes are not exactly one message of this version.
pub fn decode(bytes: &[u8]) -> Option<Message> {
    let (&version, body) = bytes.split_first()?;
    if version != VERSION {
        return None;
    }
    let (message, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::{self, Body, Entry, Members, Payload, Point};
    use crate::guarantee::{Session, Want};
    use crate::machine::CallId;
    use crate::node::{Beat, Echo};
    use crate::operation::{Batch, Guard, IdempotencyKey, Operate, Outcome, Refusal, Reply, TableId};
    use alloc::string::String;
    use alloc::vec;
    use bytes::Bytes;
    use core::fmt::Write;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn operate() -> Operate {
        Operate {
            batch: Batch {
                table: TableId(1),
                guards: vec![Guard::Absent { key: Bytes::from_static(b"k") }],
                idempotency: Some(IdempotencyKey(Bytes::from_static(b"once"))),
                commands: vec![vec![Bytes::from_static(b"SET"), Bytes::from_static(b"k"), Bytes::from_static(b"v")]],
                transaction: false,
            },
            want: Want::default(),
            session: Session::default(),
            seen: None,
            after_own_writes: false,
            deadline_ms: 5000,
        }
    }

    /// The bytes of version 2. A change here is a new version.
    #[test]
    fn messages_have_the_bytes_of_their_version() {
        let consensus = |body| Message::Consensus { group: 0, message: consensus::Message { term: 7, body } };
        let entry = Entry { term: 7, time_ms: 300, payload: Payload::Batch(Bytes::from_static(b"abc")) };
        let last = Point { term: 6, index: 9 };
        let set = |nodes: &[u16]| nodes.iter().copied().map(crate::machine::NodeId).collect();
        let members = Members { voters: set(&[1, 2]), outgoing: set(&[3]), learners: set(&[4]) };
        let change = Entry { term: 7, time_ms: 300, payload: Payload::Members(members) };
        let at = Point { term: 6, index: 9 };
        let snapshot =
            Body::Snapshot { at, times_ms: (1, 2), attempt: 3, piece: 4, pairs: vec![], done: true, members };
        let outcome = Outcome::Refused(Refusal::NoLeader);
        let reply = Some(Reply::Operated { outcome, session: Session::default(), seen: None });
        let short = Some(Reply::Operated {
            outcome: Outcome::Refused(Refusal::Behind),
            session: Session::default(),
            seen: None,
        });
        let cases = [
            (consensus(Body::PreVote { last }), "020000070006 09"),
            (consensus(Body::Vote { last, transfer: true }), "02000007020609 01"),
            (
                consensus(Body::Append { previous: last, entries: vec![entry], commit: 8 }),
                "0200000704060901 07ac020103616263 08",
            ),
            (
                consensus(Body::Append { previous: last, entries: vec![change], commit: 8 }),
                "0200000704060901 07ac0203060810 08",
            ),
            (consensus(snapshot), "0200000709 0609 01020304 00 01 060810"),
            (consensus(Body::Appended { matched: 10 }), "02000007050a"),
            (consensus(Body::Heartbeat { commit: 8, round: 2, reply: true }), "0200000707080201"),
            (
                Message::Forward { call: CallId(4), incarnation: 2, group: 0, term: 7, operate: operate() },
                "020104020007 01 01 01 01 6b 01 04 6f6e6365 01 03 03 534554 01 6b 01 76 00 00 00 00 00 00 00 00 00 00 00 8827",
            ),
            (Message::Answer { call: CallId(4), incarnation: 2, reply }, "0202040201000100000000"),
            (Message::Answer { call: CallId(4), incarnation: 2, reply: short }, "0202040201000102000000"),
            (
                Message::Beat(Beat {
                    incarnation: 2,
                    sent_us: 300,
                    wall_ms: 9,
                    echo: None,
                    catalogue: 4,
                    leads: vec![(1, 6)],
                }),
                "020302ac020900 04 010106",
            ),
            (Message::AskCatalogue, "0206"),
            (Message::Catalogue(Bytes::from_static(b"abc")), "020703616263"),
            (
                Message::Beat(Beat {
                    incarnation: 2,
                    sent_us: 300,
                    wall_ms: 9,
                    echo: Some(Echo { incarnation: 5, sent_us: 7, held_us: 8 }),
                    catalogue: 0,
                    leads: vec![],
                }),
                "020302ac020901050708 00 00",
            ),
        ];
        for (message, expected) in cases {
            let bytes = encode(&message, vec![]);
            assert_eq!(hex(&bytes), expected.replace(' ', ""), "{message:?}");
            assert_eq!(decode(&bytes), Some(message));
            assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[VERSION + 1, 0]), None);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_values_come_back() {
        let mut random = crate::random::Random::new(1);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next() as u8).collect();
            bytes.insert(0, VERSION);
            if let Some(message) = decode(&bytes) {
                assert_eq!(decode(&encode(&message, vec![])), Some(message));
            }
        }
        let node = Message::Answer { call: CallId(1), incarnation: 1, reply: Some(Reply::Transferred(Ok(()))) };
        assert_eq!(decode(&encode(&node, vec![])), Some(node));
    }
}
