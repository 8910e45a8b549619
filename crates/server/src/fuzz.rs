//! Bytes from strangers against the decoders: targets that must not panic, and a runner that mutates seeds.

use crate::front::{Connection, Issue, Shared};
use crate::peer::frame;
use crate::peer::handshake::{Handshake, Identity};
use bytes::Bytes;
use quorate_core::clock::{Actor, Context, Dot};
use quorate_core::crdt::{Text, text};
use quorate_core::guarantee::{Session, Want};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::node::{Message, wire};
use quorate_core::operation::{Batch, Guard, Operate, Outcome, Refusal, Reply, TableId};
use quorate_core::random::Random;
use std::time::{Duration, Instant};

/// Feeds bytes to a client connection, in chunks that the first byte decides, answers whatever it asks, and checks that
/// every byte of output is a reply that it owed.
pub fn fuzz_resp(data: &[u8]) {
    let mut shared = Shared::new(1, 1);
    shared.bounds.pipeline = 8;
    let mut connection = Connection::new(1, "fuzz".to_string(), &shared);
    let mut issues: Vec<Issue> = Vec::new();
    let step = data.first().map_or(1, |first| usize::from(*first).max(1));
    for chunk in data.chunks(step) {
        connection.receive(chunk, &mut shared, &mut issues);
        while let Some(issue) = issues.pop() {
            let session = Default::default();
            let reply = Reply::Operated { outcome: Outcome::Refused(Refusal::NoLeader), session, seen: None };
            connection.complete(issue.slot, reply, &mut shared, &mut issues);
        }
        let written = connection.output().len();
        connection.sent(written);
    }
    assert!(connection.wants_input() || connection.is_over(), "a connection whose calls are answered is not stuck");
}

/// Feeds bytes to both sides of a handshake and to the decoder of messages.
pub fn fuzz_peer(data: &[u8]) {
    let identity = Identity { cluster: 1, node: NodeId(1), incarnation: 1, secret: vec![1] };
    let mut out = Vec::new();
    let sides = [Handshake::accept([0; 16]), Handshake::dial(&identity, NodeId(2), [0; 16], &mut out)];
    for mut side in sides {
        let mut input = Vec::new();
        for chunk in data.chunks(7) {
            input.extend_from_slice(chunk);
            if side.receive(&identity, &mut input, &mut out).is_err() {
                break;
            }
        }
    }
    let mut rest = data;
    while let Ok(Some((message, taken))) = frame::decode(rest) {
        let again = frame::encode(&message, Vec::new());
        assert!(matches!(frame::decode(&again), Ok(Some((decoded, _))) if decoded == message), "a message comes back");
        rest = &rest[taken..];
    }
    // Past the checksum, which random bytes hardly ever pass.
    let _ = wire::decode(data);
}

/// Feeds bytes to the readers of what editors of texts send. What is read is shown, edited, put together and read again.
pub fn fuzz_text(data: &[u8]) {
    let actor = Actor { node: NodeId(1), incarnation: 1 };
    let dot = |count| Dot { actor, count };
    let _ = text::decode_vector(data);
    if text::Update::decode(data).is_err() {
        return;
    }
    let mut text = Text::default();
    text.replace(dot(1), &Context::default(), Bytes::copy_from_slice(data));
    let edit = text::Edit::Insert { position: 0, text: "x".to_string() };
    if let (Ok((_, before)), Ok((update, after))) = (text.show(), text.edit(dot(2), &edit)) {
        assert_eq!(after, before + 1);
        let _ = (text.add(dot(2), update), text.show());
    }
    let together = text.together_with(data);
    assert!(text::Update::decode(&together).is_ok(), "what was put together is read again");
}

/// What honest peers say, for mutation.
pub fn peer_seeds() -> Vec<Vec<u8>> {
    let identity = |node: u16| Identity { cluster: 1, node: NodeId(node), incarnation: 1, secret: vec![1] };
    let (mut hello, mut answer, mut proof) = (Vec::new(), Vec::new(), Vec::new());
    let mut dialer = Handshake::dial(&identity(2), NodeId(1), [0; 16], &mut hello);
    let mut acceptor = Handshake::accept([0; 16]);
    let heard = acceptor.receive(&identity(1), &mut hello.clone(), &mut answer);
    let heard_too = dialer.receive(&identity(2), &mut answer.clone(), &mut proof);
    assert!(heard.is_ok() && heard_too.is_ok(), "honest peers understand each other");
    let operate = Operate {
        batch: Batch {
            table: TableId(0),
            guards: vec![Guard::Absent { key: Bytes::from_static(b"k") }],
            idempotency: None,
            commands: vec![vec![Bytes::from_static(b"SET"), Bytes::from_static(b"k"), Bytes::from_static(b"v")]],
            transaction: false,
        },
        want: Want::default(),
        session: Session::default(),
        seen: None,
        after_own_writes: true,
        deadline_ms: 5,
    };
    let (call, incarnation) = (CallId(1), 7);
    let forward = Message::Forward { call, incarnation, group: 0, term: 3, operate };
    let answered = Message::Answer { call, incarnation, reply: None };
    let frames = frame::encode(&answered, frame::encode(&forward, Vec::new()));
    vec![[&hello[..], &proof].concat(), answer, wire::encode(&forward, Vec::new()), frames]
}

/// Mutates seeds and feeds them to a target, until the time is over. Gives how many inputs were tried.
/// The input that is being tried is left in `last`, so that a caller can keep it when the target panics.
pub fn run(target: fn(&[u8]), seeds: &[Vec<u8>], seed: u64, time: Duration, last: &mut Vec<u8>) -> u64 {
    let mut random = Random::new(seed);
    let (begin, mut tried) = (Instant::now(), 0);
    seeds.iter().for_each(|seed| target(seed));
    while begin.elapsed() < time {
        for _ in 0..64 {
            *last = mutate(seeds, &mut random);
            target(last);
            tried += 1;
        }
    }
    tried
}

/// A seed with a few changes, or random bytes.
pub fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| match seeds.len() {
        0 => Vec::new(),
        many => seeds[random.below(many as u64) as usize].clone(),
    };
    let mut data = pick(random);
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() as u64 + 1) as usize;
        match random.below(7) {
            0 => data.insert(at, random.next() as u8),
            1 if at < data.len() => data[at] = random.next() as u8,
            2 if at < data.len() => data[at] ^= 1 << random.below(8),
            3 => data.truncate(at),
            4 => {
                let end = (at + random.below(16) as usize).min(data.len());
                data.drain(at..end);
            }
            5 => {
                let other = pick(random);
                let from = random.below(other.len() as u64 + 1) as usize;
                data.splice(at..at, other[from..].iter().copied());
            }
            _ => {
                let interesting: [&[u8]; 8] =
                    [b"\r\n", b"*", b"$-1\r\n", b"$8388609\r\n", b"*100001\r\n", b"\"", b"\xff\xff\xff\xff", b"WITH "];
                let piece = interesting[random.below(8) as usize];
                data.splice(at..at, piece.iter().copied());
            }
        }
        data.truncate(64 * 1024);
    }
    data
}
