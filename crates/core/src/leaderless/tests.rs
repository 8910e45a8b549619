//! Rooms of several nodes on a network that loses, doubles and reorders, with disks that lose what was not synced.

use super::*;
use crate::catalogue::{LeaderlessSpec, Shape};
use crate::crdt::{AnyCell, Cell as _, Kind, Leaf};
use crate::guarantee::{Level, Met, Quorum, Session, Want};
use crate::machine::{Leave, Now, Send, Turn, Wall};
use crate::mutant::Mutant;
use crate::operation::{Doubt, Outcome, Refusal, Value};
use crate::placement::Division;
use crate::quorum::Rule;
use crate::random::Random;
use crate::store::{MemoryStore, Store as _};
use alloc::string::String;
use alloc::vec;
use bytes::Bytes;

mod repair;

struct Host {
    room: Leaderless,
    store: MemoryStore,
    /// What survives power loss.
    durable: MemoryStore,
    written: Seq,
    /// Messages that leave once the disk is synced.
    held: Vec<(Seq, Send<Message>)>,
    up: bool,
    incarnation: u64,
}

struct Net {
    hosts: Vec<Host>,
    catalogue: Catalogue,
    now_ms: u64,
    random: Random,
    /// On their way.
    messages: Vec<(NodeId, NodeId, Message)>,
    /// Pairs that hear nothing of each other.
    cut: BTreeSet<(u16, u16)>,
    settled: Vec<Settled>,
    next_token: u64,
    mutants: Mutants,
}

const TABLE: &str = "t";

fn members(count: u16) -> Vec<Member> {
    (1..=count).map(|node| Member { node: NodeId(node), weight: 1, zone: node }).collect()
}

fn boot(node: u16, incarnation: u64, now_ms: u64, mutants: Mutants, disk: &MemoryStore) -> Leaderless {
    let config =
        Config { node: NodeId(node), incarnation, mend_reads: true, hints: true, compare_ms: COMPARE_MS, mutants };
    Leaderless::boot(config, Mono(now_ms * 1_000), disk)
}

/// Long, so that only tests that want comparisons see them.
const COMPARE_MS: u64 = 60_000;

impl Net {
    fn new(count: u16, kind: Kind, (replicas, read, write): (u8, u8, u8), mutants: Mutants, seed: u64) -> Net {
        let mut catalogue = Catalogue::default();
        let rule = Rule::new(replicas, read, write).expect("it is one");
        let spec = LeaderlessSpec { rule, kind, bound: 0, division: Division::Hash };
        catalogue.create(TABLE, Shape::Leaderless(spec)).expect("it can be given");
        let host = |_| Host {
            room: boot(0, 0, 0, mutants, &MemoryStore::default()),
            store: MemoryStore::default(),
            durable: MemoryStore::default(),
            written: Seq(0),
            held: Vec::new(),
            up: false,
            incarnation: 0,
        };
        let mut net = Net {
            hosts: (0..count).map(host).collect(),
            catalogue,
            now_ms: 1_000,
            random: Random::new(seed),
            messages: Vec::new(),
            cut: BTreeSet::new(),
            settled: Vec::new(),
            next_token: 0,
            mutants,
        };
        (1..=count).for_each(|node| net.start(node));
        net
    }

    fn table(&self) -> TableId {
        self.catalogue.find(TABLE).expect("it was made").0
    }

    /// Starts a node on what survived, in a new life.
    fn start(&mut self, node: u16) {
        let (mutants, now_ms) = (self.mutants, self.now_ms);
        let host = &mut self.hosts[usize::from(node) - 1];
        host.incarnation += 1;
        host.up = true;
        host.store = host.durable.clone();
        host.held.clear();
        host.room = boot(node, host.incarnation, now_ms, mutants, &host.store);
        let claim = host.incarnation;
        self.catalogue.begin_life(NodeId(node), claim);
        self.tell_catalogue(node);
    }

    fn tell_catalogue(&mut self, node: u16) {
        let catalogue = self.catalogue.clone();
        let members = members(self.hosts.len() as u16);
        self.step(node, |room, cx, claim| {
            let actor = catalogue.actor(NodeId(node), claim);
            room.learn(cx.now().mono, &catalogue, &members, actor);
        });
    }

    fn crash(&mut self, node: u16) {
        self.hosts[usize::from(node) - 1].up = false;
    }

    fn step<T>(&mut self, node: u16, run: impl FnOnce(&mut Leaderless, &mut Cx<'_>, u64) -> T) -> T {
        let ms = self.now_ms;
        let now = Now { mono: Mono(ms * 1_000), wall: Wall { earliest_ms: ms, latest_ms: ms } };
        let mut random = Random::new(self.random.next());
        let host = &mut self.hosts[usize::from(node) - 1];
        let mut turn = Turn::default();
        let result = {
            let mut cx = Step::open(now, host.written, &mut host.store, &mut random, &mut turn);
            run(&mut host.room, &mut cx, host.incarnation)
        };
        if turn.wrote {
            host.written.0 += 1;
        }
        for send in turn.sends {
            match send.leave {
                Leave::Now => self.messages.push((NodeId(node), send.to, send.message)),
                Leave::AfterSync => host.held.push((turn.after, send)),
            }
        }
        self.settled.extend(host.room.take_settled());
        result
    }

    fn sync(&mut self, node: u16) {
        let host = &mut self.hosts[usize::from(node) - 1];
        if !host.up {
            return;
        }
        host.durable = host.store.clone();
        let upto = host.written;
        let sends = core::mem::take(&mut host.held);
        self.messages.extend(sends.into_iter().map(|(_, send)| (NodeId(node), send.to, send.message)));
        self.step(node, |room, cx, _| room.synced(cx, upto));
    }

    fn deliver(&mut self, at: usize, remove: bool) {
        let (from, to, message) = if remove { self.messages.swap_remove(at) } else { self.messages[at].clone() };
        let cut = self.cut.contains(&(from.0, to.0));
        if !cut && self.hosts[usize::from(to.0) - 1].up {
            self.step(to.0, |room, cx, _| room.message(cx, from, message));
        }
    }

    /// Everything arrives and is synced, until nothing happens any more.
    fn calm(&mut self) {
        for _ in 0..10_000 {
            (1..=self.hosts.len() as u16).for_each(|node| self.sync(node));
            if self.messages.is_empty() {
                return;
            }
            let at = self.random.below(self.messages.len() as u64) as usize;
            self.deliver(at, true);
        }
        panic!("it never ends");
    }

    /// Time passes for all that is up.
    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        for node in 1..=self.hosts.len() as u16 {
            if self.hosts[usize::from(node) - 1].up {
                self.step(node, |room, cx, _| room.wake(cx));
            }
        }
    }

    fn begin(&mut self, node: u16, want: Want, session: &Session, words: &str, seen: Option<Bytes>) -> Option<u64> {
        self.next_token += 1;
        let token = self.next_token;
        let words = words.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let until = Mono((self.now_ms + 1_000) * 1_000);
        let job = Job { token, table: self.table(), words, want, session: session.clone(), seen, once: None, until };
        match self.step(node, |room, cx, _| room.begin(cx, job, false)) {
            Begun::Here => Some(token),
            Begun::Pass(_) | Begun::Refused(_) => None,
        }
    }

    fn outcome(&mut self, token: u64) -> Option<Settled> {
        let at = self.settled.iter().position(|settled| settled.token == token)?;
        Some(self.settled.swap_remove(at))
    }

    /// One operation from begin to end, with nothing in its way but what is cut and down.
    fn ask(&mut self, node: u16, want: Want, session: &mut Session, words: &str) -> Outcome {
        let token = self.begin(node, want, session, words, None).expect("the node is a replica");
        for _ in 0..40 {
            self.calm();
            if let Some(settled) = self.outcome(token) {
                session.merge(&settled.session);
                return settled.outcome.expect("no table moved");
            }
            self.pass(50);
        }
        panic!("no outcome");
    }

    fn get(&mut self, node: u16, words: &str) -> Value {
        match self.ask(node, Want::default(), &mut Session::default(), words) {
            Outcome::Done { value, .. } => value,
            other => panic!("{other:?}"),
        }
    }

    fn done(&mut self, node: u16, words: &str) {
        let outcome = self.ask(node, Want::default(), &mut Session::default(), words);
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    }

    fn state(&self, node: u16, key: &[u8]) -> State {
        let host = &self.hosts[usize::from(node) - 1];
        host.room.peek(host.store.as_view(), self.table(), key).expect("the table is known")
    }

    fn isolate(&mut self, node: u16) {
        let count = self.hosts.len() as u16;
        for other in (1..=count).filter(|&other| other != node) {
            self.cut.insert((node, other));
            self.cut.insert((other, node));
        }
    }

    fn heal(&mut self) {
        self.cut.clear();
    }
}

fn with(read: u8, write: u8) -> Want {
    Want { quorum: Quorum { read, write, ..Quorum::default() }, ..Want::default() }
}

fn bulk(text: &str) -> Value {
    Value::bulk(text.as_bytes())
}

fn net(kind: Kind) -> Net {
    Net::new(3, kind, (3, 2, 2), Mutants::none(), 1)
}

#[test]
fn every_kind_of_cell_is_written_and_read() {
    let cases: &[(Kind, &[&str], &str, &str)] = &[
        (Kind::Register, &["SET k a", "SET k b"], "GET k", "b"),
        (Kind::Latest, &["SET k a", "SET k b"], "GET k", "b"),
        (Kind::Flag, &["SET k 0", "SET k 1"], "GET k", "1"),
        (Kind::DisableWinsFlag, &["SET k 1", "SET k 0"], "GET k", "0"),
        (Kind::Counter, &["INCR k", "INCRBY k 40", "DECR k"], "GET k", "40"),
        (Kind::Bounded, &["INCRBY k 5", "DECRBY k 3"], "GET k", "2"),
        (Kind::Map, &["HSET k f v g w", "HINCRBY k n 3", "HDEL k f"], "HGET k g", "w"),
    ];
    for (kind, writes, read, expected) in cases {
        let mut net = net(*kind);
        // A bounded counter is decreased where its rights are: always the same node here.
        writes.iter().for_each(|words| net.done(1, words));
        assert_eq!(net.get(2, read), bulk(expected), "{kind:?}");
        assert_eq!(net.get(3, "TYPE k"), Value::Status(Bytes::from_static(kind.word().as_bytes())));
        assert_eq!(net.get(3, "EXISTS k"), Value::Int(1));
        if *kind != Kind::Bounded {
            net.done(2, "DEL k");
            assert_eq!(net.get(1, "EXISTS k"), Value::Int(0), "{kind:?}");
        }
    }
    let mut net = net(Kind::Set);
    net.done(1, "SADD k a b c");
    net.done(2, "SREM k b z");
    assert_eq!(net.get(3, "SMEMBERS k"), Value::Set(vec![bulk("a"), bulk("c")]));
    assert_eq!(net.get(3, "SMISMEMBER k a b"), Value::Array(vec![Value::Int(1), Value::Int(0)]));
}

#[test]
fn an_answer_counts_once_and_only_in_its_epoch() {
    let run = |mutants: Mutants| {
        let mut net = Net::new(3, Kind::Register, (3, 2, 3), mutants, 1);
        net.isolate(3);
        let token = net.begin(1, Want::default(), &Session::default(), "SET k v", None).expect("a replica");
        // Node 2 confirms again and again.
        for _ in 0..5 {
            net.sync(1);
            net.sync(2);
            while !net.messages.is_empty() {
                net.deliver(0, true);
            }
            net.pass(100);
        }
        net.outcome(token).is_some()
    };
    assert!(!run(Mutants::none()), "two hosts are not three");
    assert!(run(Mutants::only(Mutant::AnswerCountedTwice)));
    assert!(run(Mutants::only(Mutant::QuorumFromPlan)));

    // A replica that has not heard of the new epoch is no witness of it.
    let run = |mutants: Mutants| {
        let mut net = Net::new(3, Kind::Register, (3, 2, 2), mutants, 1);
        let spec = net.catalogue.find(TABLE).expect("made").1.shape.clone();
        net.catalogue.remove(TABLE).expect("made");
        net.catalogue.create(TABLE, spec).expect("free");
        let old = net.hosts[0].room.tables.keys().next().copied().expect("one");
        // The same number with another epoch, as after a movement.
        net.hosts[0].room.tables.get_mut(&old).expect("one").epoch += 5;
        let job = Job {
            token: 9,
            table: old,
            words: ["SET", "k", "v"].map(|word| Bytes::from_static(word.as_bytes())).to_vec(),
            want: Want::default(),
            session: Session::default(),
            seen: None,
            once: None,
            until: Mono(u64::MAX),
        };
        net.step(1, |room, cx, _| room.begin(cx, job, false));
        (0..5).for_each(|_| {
            net.calm();
            net.pass(100);
        });
        net.outcome(9).is_some()
    };
    assert!(!run(Mutants::none()));
    assert!(run(Mutants::only(Mutant::EpochNotFenced)));
}

#[test]
fn a_missed_quorum_is_unknown() {
    let mut net = net(Kind::Register);
    net.isolate(1);
    let mut session = Session::default();
    let outcome = net.ask(1, with(1, 2), &mut session, "SET k v");
    assert_eq!(outcome, Outcome::Unknown(Doubt::MissedQuorum { answered: 1, needed: 2 }));
    let outcome = net.ask(1, Want::default(), &mut session, "GET k");
    assert_eq!(outcome, Outcome::Refused(Refusal::TooFewReplicas { answered: 1, needed: 2 }));
    let Outcome::Done { value, receipt } = net.ask(1, with(1, 0), &mut session, "GET k") else { panic!("one answers") };
    assert_eq!((value, receipt.met()), (bulk("v"), Met::Read(Level::Session)));
    // It surfaces.
    net.heal();
    assert_eq!(net.get(1, "GET k"), bulk("v"));
}

#[test]
fn a_receipt_says_what_the_answers_gave() {
    let mut net = net(Kind::Register);
    let mut session = Session::default();
    let Outcome::Done { receipt, .. } = net.ask(1, Want::default(), &mut session, "SET k v") else { panic!("written") };
    assert_eq!(receipt.round().map(|round| (round.needed, round.opposite)), Some((2, 2)));
    assert!(receipt.durable().len() >= 2 && receipt.round().and_then(|round| round.dot).is_some());
    for (want, met) in [
        (Want::default(), Level::Regular),
        (with(1, 0), Level::Session),
        (Want::of_level(Level::Eventual), Level::Session),
        (Want::of_level(Level::Regular), Level::Regular),
        (Want::of_level(Level::Atomic), Level::Atomic),
    ] {
        let Outcome::Done { receipt, .. } = net.ask(1, want, &mut session, "GET k") else { panic!("{want:?}") };
        assert_eq!(receipt.met(), Met::Read(met), "{want:?}");
    }
    let job = |want| net_begin(want);
    assert!(matches!(job(Want { level: Some(Level::Regular), ..with(1, 0) }), Begun::Refused(Refusal::Impossible(_))));
    assert!(matches!(job(with(4, 0)), Begun::Refused(Refusal::Impossible(_))));
}

fn net_begin(want: Want) -> Begun {
    let mut net = net(Kind::Register);
    let words = ["GET", "k"].map(|word| Bytes::from_static(word.as_bytes())).to_vec();
    let table = net.table();
    let job = Job {
        token: 1,
        table,
        words,
        want,
        session: Session::default(),
        seen: None,
        once: None,
        until: Mono(u64::MAX),
    };
    net.step(1, |room, cx, _| room.begin(cx, job, false))
}

/// `b` replaced `a`, and `c` replaced `b`. A replica that has only `a` must not take `c` for all that there is to know of `b`.
#[test]
fn a_change_is_not_taken_without_what_it_replaces() {
    let run = |mutants: Mutants| {
        let mut net = Net::new(3, Kind::Register, (3, 2, 2), mutants, 1);
        let write = |net: &mut Net, words: &str| net.ask(1, with(1, 2), &mut Session::default(), words);
        write(&mut net, "SET k a");
        net.isolate(3);
        write(&mut net, "SET k b");
        net.heal();
        write(&mut net, "SET k c");
        (net.state(1, b"k").cell == net.state(3, b"k").cell, net.get(3, "GET k"))
    };
    assert_eq!(run(Mutants::none()), (true, bulk("c")));
    assert!(!run(Mutants::only(Mutant::ChangeTakenAlone)).0);
}

/// What a client hands back may be more than the replica knows that it asks: a write of it waits for that.
#[test]
fn a_write_waits_for_what_it_hands_back() {
    let mut net = net(Kind::Register);
    net.isolate(3);
    net.done(1, "SET k a");
    net.done(1, "SET k b");
    let token = net.begin(1, with(1, 0), &Session::default(), "GET k", None).expect("a replica");
    net.calm();
    let seen = net.outcome(token).expect("one answers").seen;
    let token = net.begin(3, with(1, 1), &Session::default(), "SET k c", seen).expect("a replica");
    net.calm();
    assert!(net.outcome(token).is_none(), "node 3 knows nothing of what was seen");
    net.heal();
    net.pass(100);
    net.calm();
    assert!(matches!(net.outcome(token).and_then(|it| it.outcome), Some(Outcome::Done { .. })));
    assert_eq!(net.get(2, "GET k"), bulk("c"));
}

/// A write that an atomic read found at one replica is found by every later one; without writing back it is missed.
#[test]
fn what_one_atomic_read_saw_no_later_one_misses() {
    let run = |mutants: Mutants| {
        let mut net = Net::new(3, Kind::Register, (3, 2, 2), mutants, 1);
        net.done(1, "SET k old");
        net.isolate(1);
        let _ = net.ask(1, with(1, 2), &mut Session::default(), "SET k new");
        // Node 3 is away; 2 reads from 1 and itself, then 2 forgets nothing but 3 and 2 read without 1.
        net.heal();
        net.isolate(3);
        let first = net.ask(1, Want::of_level(Level::Atomic), &mut Session::default(), "GET k");
        net.heal();
        net.isolate(1);
        let second = net.ask(3, Want::of_level(Level::Atomic), &mut Session::default(), "GET k");
        let value = |outcome: Outcome| match outcome {
            Outcome::Done { value, .. } => value,
            other => panic!("{other:?}"),
        };
        (value(first), value(second))
    };
    assert_eq!(run(Mutants::none()), (bulk("new"), bulk("new")));
    assert_eq!(run(Mutants::only(Mutant::WriteBackSkipped)), (bulk("new"), bulk("old")));
}

#[test]
fn a_session_reads_what_it_wrote_from_any_replica_or_is_told() {
    let mut net = net(Kind::Counter);
    net.isolate(3);
    let mut session = Session::default();
    let _ = net.ask(1, with(0, 1), &mut session, "INCR k");
    let want = Want::of_level(Level::Session);
    let outcome = net.ask(3, want, &mut session.clone(), "GET k");
    assert_eq!(outcome, Outcome::Refused(Refusal::Behind));
    net.heal();
    let Outcome::Done { value, .. } = net.ask(3, want, &mut session, "GET k") else { panic!("the others answer") };
    assert_eq!(value, bulk("1"));
}

#[test]
fn siblings_stand_until_a_write_that_saw_them() {
    let mut net = net(Kind::Register);
    net.isolate(1);
    let _ = net.ask(1, with(1, 1), &mut Session::default(), "SET k a");
    net.done(2, "SET k b");
    net.heal();
    let token = net.begin(3, with(3, 0), &Session::default(), "GET k", None).expect("a replica");
    net.calm();
    let read = net.outcome(token).expect("all answer");
    let Some(Outcome::Done { value: Value::Array(siblings), receipt }) = read.outcome else { panic!("two siblings") };
    assert_eq!((siblings.len(), receipt.round().map(|round| round.siblings)), (2, Some(1)));
    // A third writes meanwhile; who hands back what it saw replaces the two and not the third.
    net.done(1, "SET k c");
    net.begin(2, Want::default(), &Session::default(), "SET k d", read.seen.clone()).expect("a replica");
    net.calm();
    assert_eq!(net.get(1, "GET k"), Value::Array(vec![bulk("c"), bulk("d")]));
    net.done(3, "SET k e");
    assert_eq!(net.get(2, "GET k"), bulk("e"));
    assert_eq!(net.begin(2, Want::default(), &Session::default(), "SET j d", read.seen), None, "of another key");
}

#[test]
fn what_was_removed_does_not_come_back() {
    // An add is late; the removal that saw it comes first.
    let run = |mutants: Mutants| {
        let mut net = Net::new(3, Kind::Set, (3, 1, 1), mutants, 1);
        net.begin(1, Want::default(), &Session::default(), "SADD k a", None).expect("a replica");
        let late: Vec<_> = net.messages.iter().filter(|(_, to, _)| *to == NodeId(3)).cloned().collect();
        net.messages.retain(|(_, to, _)| *to != NodeId(3));
        net.calm();
        net.done(1, "SREM k a");
        net.calm();
        net.messages.extend(late);
        net.calm();
        net.get(3, "SMEMBERS k")
    };
    assert_eq!(run(Mutants::none()), Value::Set(vec![]));
    assert_eq!(run(Mutants::only(Mutant::RemovalForgotten)), Value::Set(vec![bulk("a")]));
}

#[test]
fn what_is_known_of_one_key_is_not_known_of_the_range() {
    // Two keys of one range: node 3 misses a write to the second, and hears of the first by a read.
    let run = |mutants: Mutants| {
        let mut net = Net::new(3, Kind::Set, (3, 3, 1), mutants, 1);
        net.isolate(3);
        let _ = net.ask(1, with(1, 2), &mut Session::default(), "SADD {r}1 a");
        let _ = net.ask(1, with(1, 2), &mut Session::default(), "SADD {r}2 b");
        net.pass(5_000);
        net.heal();
        assert_eq!(net.get(3, "SMEMBERS {r}1"), Value::Set(vec![bulk("a")]));
        // Whoever believes that it knew the second takes its absence for a removal.
        let _ = net.get(3, "SMEMBERS {r}2");
        net.calm();
        net.get(1, "SMEMBERS {r}2")
    };
    assert_eq!(run(Mutants::none()), Value::Set(vec![bulk("b")]));
    assert_eq!(run(Mutants::only(Mutant::StateTakenForRange)), Value::Set(vec![]));
}

#[test]
fn a_lost_tail_does_not_give_its_names_to_the_next() {
    let run = |mutants: Mutants| {
        let mut net = Net::new(3, Kind::Register, (3, 1, 1), mutants, 1);
        net.begin(1, Want::default(), &Session::default(), "SET k first", None).expect("a replica");
        // The change left; the own disk lost it.
        net.crash(1);
        while !net.messages.is_empty() {
            net.deliver(0, true);
        }
        net.start(1);
        (1..=3).for_each(|node| net.tell_catalogue(node));
        net.done(1, "SET k second");
        net.calm();
        [1, 2].map(|node| net.ask(node, with(1, 0), &mut Session::default(), "GET k")).map(|outcome| match outcome {
            Outcome::Done { value, .. } => value,
            other => panic!("{other:?}"),
        })
    };
    // Nobody told the new life of the first write, so the two are siblings where both are known.
    assert_eq!(run(Mutants::none())[1], Value::Array(vec![bulk("first"), bulk("second")]));
    assert_eq!(run(Mutants::only(Mutant::IdentityReused)), [bulk("second"), bulk("first")], "for ever apart");
}

/// Draws operations, losses, copies, crashes and cuts; then all heals, every key is read from all, and all replicas must be equal.
#[test]
fn replicas_that_know_the_same_hold_the_same() {
    for kind in [Kind::Register, Kind::Latest, Kind::Set, Kind::Counter, Kind::Map] {
        for seed in 0..40 {
            let mut net = Net::new(3, kind, (3, 2, 2), Mutants::none(), seed);
            storm(&mut net, kind, 120);
            net.heal();
            (1..=3).for_each(|node| {
                if !net.hosts[usize::from(node) - 1].up {
                    net.start(node);
                }
            });
            (1..=3).for_each(|node| net.tell_catalogue(node));
            for _ in 0..3 {
                for key in KEYS {
                    for node in 1..=3 {
                        let _ = net.ask(node, with(3, 0), &mut Session::default(), &alloc::format!("EXISTS {key}"));
                    }
                }
                net.calm();
            }
            for key in KEYS {
                let cells = [1, 2, 3].map(|node| net.state(node, key.as_bytes()).cell);
                assert!(cells[0] == cells[1] && cells[1] == cells[2], "{kind:?} seed {seed} {key}: {cells:#?}");
            }
        }
    }
}

const KEYS: [&str; 3] = ["{r}1", "{r}2", "other"];

fn storm(net: &mut Net, kind: Kind, steps: usize) {
    let mut random = Random::new(net.random.next());
    for at in 0..steps {
        let node = 1 + random.below(3) as u16;
        let up = net.hosts[usize::from(node) - 1].up;
        match random.below(12) {
            0..=3 if up => {
                let key = KEYS[random.below(3) as usize];
                let words = words(kind, key, at, &mut random);
                let _ = net.begin(node, with(1 + random.below(2) as u8, 1), &Session::default(), &words, None);
            }
            4..=7 => {
                for _ in 0..random.below(6) {
                    if !net.messages.is_empty() {
                        let which = random.below(net.messages.len() as u64) as usize;
                        let keeps = random.below(6) == 0;
                        if random.below(8) == 0 {
                            net.messages.swap_remove(which);
                        } else {
                            net.deliver(which, !keeps);
                        }
                    }
                }
            }
            8 => net.sync(node),
            9 => net.pass(40),
            10 if random.below(3) == 0 => {
                if up {
                    net.crash(node);
                } else {
                    net.start(node);
                }
            }
            11 => {
                if random.below(2) == 0 {
                    net.isolate(node)
                } else {
                    net.heal()
                }
            }
            _ => {}
        }
    }
}

fn words(kind: Kind, key: &str, at: usize, random: &mut Random) -> String {
    let member = random.below(3);
    match (kind, random.below(4)) {
        (Kind::Register | Kind::Latest, 0) | (Kind::Counter, 0) => alloc::format!("DEL {key}"),
        (Kind::Register | Kind::Latest, _) => alloc::format!("SET {key} {at}"),
        (Kind::Counter, _) => alloc::format!("INCRBY {key} {}", 1 + member),
        (Kind::Set, 0) => alloc::format!("SREM {key} m{member}"),
        (Kind::Set, 1) => alloc::format!("DEL {key}"),
        (Kind::Set, _) => alloc::format!("SADD {key} m{member} m{at}"),
        (_, 0) => alloc::format!("HDEL {key} f{member}"),
        (_, 1) => alloc::format!("HINCRBY {key} n{member} 2"),
        (_, _) => alloc::format!("HSET {key} f{member} {at}"),
    }
}

#[test]
fn a_stamp_from_the_far_future_is_not_taken() {
    let run = |mutants: Mutants| {
        let mut net = Net::new(3, Kind::Latest, (3, 1, 2), mutants, 1);
        // The clock of node 1 is an hour ahead.
        net.now_ms += 3_600_000;
        let token = net.begin(1, Want::default(), &Session::default(), "SET k wrong", None).expect("a replica");
        net.now_ms -= 3_600_000;
        net.sync(1);
        net.calm();
        (net.outcome(token).is_some(), [2, 3].map(|node| net.state(node, b"k").cell))
    };
    let nothing = AnyCell::Leaf(Leaf::Latest(crate::crdt::Latest::default()));
    assert_eq!(run(Mutants::none()), (false, [nothing.clone(), nothing]));
    assert!(run(Mutants::only(Mutant::FarFutureStampAdopted)).0);
}

#[test]
fn a_cell_that_refuses_changes_nothing() {
    let mut net = net(Kind::Bounded);
    net.done(1, "INCRBY k 3");
    let before = [1, 2, 3].map(|node| net.state(node, b"k"));
    let value = net.get(1, "DECRBY k 4");
    assert!(matches!(&value, Value::Error(text) if text.starts_with(b"ERR applied: no; ")), "{value:?}");
    assert_eq!([1, 2, 3].map(|node| net.state(node, b"k")), before);
    assert!(matches!(net.get(1, "DEL k"), Value::Error(_)));
}

impl Net {
    /// Comparisons of all with all, each to its end.
    fn compare(&mut self) {
        for node in 1..=self.hosts.len() as u16 {
            for (table, with) in self.hosts[usize::from(node) - 1].room.pairs() {
                self.step(node, |room, cx, _| room.compare(cx, table, with));
                self.calm();
            }
        }
    }

    fn contexts(&self, key: &[u8]) -> Vec<Context> {
        let place = self.hosts[0].room.tables[&self.table()].place(self.table(), key);
        self.hosts.iter().map(|host| record::read_context(host.store.as_view(), place)).collect()
    }
}

/// What a comparison of whole ranges brings must be what reading every key from all would, and the contexts must agree, too.
#[test]
fn a_comparison_brings_all_and_closes_the_holes() {
    for kind in [Kind::Register, Kind::Set, Kind::Counter, Kind::Map] {
        for seed in 0..40 {
            let mut net = Net::new(3, kind, (3, 2, 2), Mutants::none(), 1_000 + seed);
            storm(&mut net, kind, 120);
            net.heal();
            (1..=3).for_each(|node| {
                if !net.hosts[usize::from(node) - 1].up {
                    net.start(node);
                }
            });
            (1..=3).for_each(|node| net.tell_catalogue(node));
            net.compare();
            net.compare();
            for key in KEYS {
                let cells = [1, 2, 3].map(|node| net.state(node, key.as_bytes()).cell);
                assert!(cells[0] == cells[1] && cells[1] == cells[2], "{kind:?} seed {seed} {key}: {cells:#?}");
                let contexts = net.contexts(key.as_bytes());
                assert!(
                    contexts.windows(2).all(|pair| pair[0] == pair[1]),
                    "{kind:?} seed {seed} {key}: {contexts:#?}"
                );
            }
        }
    }
}

/// A replica was away for as long as one likes; what was removed meanwhile stays removed, and what it alone has spreads.
#[test]
fn deletes_do_not_come_back_however_long_a_replica_was_away() {
    let mut net = net(Kind::Set);
    net.done(1, "SADD k a b");
    net.isolate(3);
    net.done(1, "SREM k a");
    net.done(2, "SADD k c");
    let _ = net.ask(3, with(1, 1), &mut Session::default(), "SADD k d");
    net.pass(1_000 * 60 * 60 * 24 * 365);
    net.heal();
    net.compare();
    let members = Value::Set(vec![bulk("b"), bulk("c"), bulk("d")]);
    for node in 1..=3 {
        let Outcome::Done { value, .. } = net.ask(node, with(1, 0), &mut Session::default(), "SMEMBERS k") else {
            panic!()
        };
        assert_eq!(value, members);
    }
}

#[test]
fn a_comparison_sends_little_where_little_differs() {
    let mut net = net(Kind::Counter);
    for key in 0..2_000 {
        net.done(1, &alloc::format!("INCR key:{key}"));
    }
    net.compare();
    net.isolate(3);
    for key in 0..10 {
        let _ = net.ask(1, with(1, 2), &mut Session::default(), &alloc::format!("INCR key:{key}"));
    }
    net.messages.clear();
    net.heal();
    let table = net.table();
    net.step(3, |room, cx, _| room.compare(cx, table, NodeId(1)));
    let (mut bytes, mut keys) = (0, 0);
    while let Some((from, to, message)) = net.messages.pop() {
        bytes += postcard::to_allocvec(&message).expect("it encodes").len();
        keys += usize::from(matches!(message.body, Body::Get { .. }));
        net.messages.push((from, to, message));
        net.deliver(net.messages.len() - 1, true);
        (1..=3).for_each(|node| net.sync(node));
    }
    assert_eq!(keys, 10);
    assert!(bytes < 80_000, "{bytes} bytes");
    assert_eq!(net.hosts[2].room.progress().keys_taken, 10);
    // Broken: the keys are the same, so nothing seems to differ.
    let mut net = Net::new(3, Kind::Counter, (3, 2, 2), Mutants::only(Mutant::SumsWithoutValues), 1);
    net.done(1, "INCR k");
    net.isolate(3);
    net.done(1, "INCR k");
    net.pass(5_000);
    net.messages.clear();
    net.heal();
    net.compare();
    assert_ne!(net.state(3, b"k").cell, net.state(1, b"k").cell);
}

#[test]
fn what_a_replica_did_not_confirm_is_owed_to_it() {
    let mut net = net(Kind::Counter);
    net.isolate(3);
    net.done(1, "INCR k");
    net.done(1, "INCR k");
    for _ in 0..30 {
        net.calm();
        net.pass(100);
    }
    assert_eq!(net.hosts[0].room.progress().hints, 1, "one for the key, whatever was written to it");
    // The debt outlives the node that owes.
    net.sync(1);
    net.crash(1);
    net.start(1);
    (1..=3).for_each(|node| net.tell_catalogue(node));
    net.heal();
    for _ in 0..30 {
        net.pass(100);
        net.calm();
    }
    let progress = net.hosts[0].room.progress();
    assert_eq!((progress.hints, progress.hints_delivered), (0, 1));
    assert_eq!(net.state(3, b"k").cell, net.state(1, b"k").cell);
}

/// Everybody counts by compare-and-set, through losses, copies, crashes and cuts. No number may be reached twice, and what was told to be
/// made is in what is found at the end.
fn count_by_swaps(mutants: Mutants, seed: u64) -> Result<u64, String> {
    let mut net = Net::new(3, Kind::Register, (3, 2, 2), mutants, seed);
    net.done(1, "SET k 0");
    let mut random = Random::new(seed ^ 7);
    let (mut guess, mut waiting, mut made) = ([0u64; 4], BTreeMap::new(), BTreeSet::new());
    for _ in 0..400 {
        let node = 1 + random.below(3) as u16;
        let up = net.hosts[usize::from(node) - 1].up;
        match random.below(24) {
            0..=2 if up => {
                let from = guess[usize::from(node)];
                let want = Want::default();
                let words = alloc::format!("CAS k {from} {}", from + 1);
                if let Some(token) = net.begin(node, want, &Session::default(), &words, None) {
                    waiting.insert(token, (node, from));
                }
            }
            3..=17 => {
                for _ in 0..random.below(12) {
                    if !net.messages.is_empty() {
                        let which = random.below(net.messages.len() as u64) as usize;
                        let keeps = random.below(8) == 0;
                        net.deliver(which, !keeps);
                    }
                }
                (1..=3).filter(|_| random.below(3) > 0).for_each(|node| net.sync(node));
            }
            18..=20 => net.pass(30),
            _ if random.below(4) == 0 => {
                if up {
                    net.crash(node);
                } else {
                    net.start(node);
                    (1..=3).for_each(|node| {
                        if net.hosts[usize::from(node) - 1].up {
                            net.tell_catalogue(node)
                        }
                    });
                }
            }
            _ => {
                if random.below(2) == 0 {
                    net.isolate(node)
                } else {
                    net.heal()
                }
            }
        }
        for settled in core::mem::take(&mut net.settled) {
            let Some((node, from)) = waiting.remove(&settled.token) else { continue };
            match settled.outcome {
                Some(Outcome::Done { value: Value::Int(1), .. }) => {
                    if !made.insert(from) {
                        return Err(alloc::format!("{from} was left twice"));
                    }
                    guess[usize::from(node)] = from + 1;
                }
                // Somebody was faster, or may have been: look at what is next.
                Some(_) | None => guess[usize::from(node)] = random.below(guess.iter().max().copied().unwrap_or(0) + 2),
            }
        }
    }
    net.heal();
    (1..=3).for_each(|node| {
        if !net.hosts[usize::from(node) - 1].up {
            net.start(node);
        }
    });
    (1..=3).for_each(|node| net.tell_catalogue(node));
    // Whoever still tries gives up.
    (0..40).for_each(|_| {
        net.calm();
        net.pass(50);
    });
    let outcome = net.ask(2, Want::of_level(Level::Linearizable), &mut Session::default(), "GET k");
    let Outcome::Done { value: Value::Bulk(found), receipt } = outcome else {
        return Err(alloc::format!("{outcome:?}"));
    };
    assert_eq!(receipt.met(), Met::Read(Level::Linearizable));
    let found: u64 = core::str::from_utf8(&found).expect("digits").parse().expect("digits");
    let least = made.last().map_or(0, |last| last + 1);
    if found < least { Err(alloc::format!("{found} is found, and {least} was made")) } else { Ok(made.len() as u64) }
}

#[test]
fn no_number_is_reached_twice_by_compare_and_set() {
    let mut made = 0;
    for seed in 0..150 {
        made += count_by_swaps(Mutants::none(), seed).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    assert!(made > 300, "only {made} were made");
    let broken =
        (0..150).filter(|&seed| count_by_swaps(Mutants::only(Mutant::PaxosIgnoresHighest), seed).is_err()).count();
    assert!(broken > 0, "nobody notices");
}

#[test]
fn a_compare_and_set_is_met_by_plain_reads_and_meets_plain_writes() {
    let mut net = net(Kind::Register);
    assert_eq!(net.get(1, "SETNX k a"), Value::Int(1));
    assert_eq!(net.get(2, "GET k"), bulk("a"));
    assert_eq!(net.get(3, "SETNX k b"), Value::Int(0));
    net.done(2, "SET k c");
    assert_eq!(net.get(3, "CAS k a b"), Value::Int(0), "it sees the plain write");
    assert_eq!(net.get(3, "CAS k c d"), Value::Int(1));
    net.isolate(2);
    let Outcome::Done { value, receipt } =
        net.ask(1, Want::of_level(Level::Linearizable), &mut Session::default(), "GET k")
    else {
        panic!()
    };
    assert_eq!((value, receipt.met()), (bulk("d"), Met::Read(Level::Linearizable)));
    let outcome = net.ask(2, Want::of_level(Level::Linearizable), &mut Session::default(), "GET k");
    assert_eq!(outcome, Outcome::Refused(Refusal::TooFewReplicas { answered: 1, needed: 2 }));
    // Nothing of it stays in the way of comparisons.
    net.heal();
    net.done(1, "DEL k");
    net.compare();
    net.compare();
    let contexts = net.contexts(b"k");
    assert!(contexts.windows(2).all(|pair| pair[0] == pair[1]), "{contexts:#?}");
    assert_eq!(net.get(2, "SETNX k e"), Value::Int(1), "absent again");
}

/// An increment under a name is repeated at another node while the first attempt is on its way, lost, or both: it counts once.
#[test]
fn an_increment_under_a_name_counts_once() {
    let mut net = net(Kind::Counter);
    let once = |net: &mut Net, node: u16, name: &'static str| {
        net.next_token += 1;
        let (token, table) = (net.next_token, net.table());
        let words = ["INCRBY", "k", "5"].map(|word| Bytes::from_static(word.as_bytes())).to_vec();
        let until = Mono((net.now_ms + 1_000) * 1_000);
        let (session, once) = (Session::default(), Some(Bytes::from_static(name.as_bytes())));
        let job = Job { token, table, words, want: Want::default(), session, seen: None, once, until };
        assert_eq!(net.step(node, |room, cx, _| room.begin(cx, job, false)), Begun::Here);
        token
    };
    net.isolate(1);
    once(&mut net, 1, "a");
    net.sync(1);
    let second = once(&mut net, 2, "a");
    net.calm();
    assert!(matches!(net.outcome(second).and_then(|it| it.outcome), Some(Outcome::Done { value: Value::Int(5), .. })));
    net.heal();
    net.compare();
    assert_eq!([1, 2, 3].map(|node| net.get(node, "GET k")), [bulk("5"), bulk("5"), bulk("5")]);
    let third = once(&mut net, 3, "a");
    net.calm();
    let Some(Outcome::Done { receipt, .. }) = net.outcome(third).and_then(|it| it.outcome) else { panic!("repeated") };
    assert!(receipt.replayed());
    once(&mut net, 3, "b");
    net.calm();
    assert_eq!(net.get(1, "GET k"), bulk("10"));
}

#[test]
fn what_a_removed_table_held_is_deleted() {
    let mut net = net(Kind::Register);
    for key in 0..300 {
        net.done(1, &alloc::format!("SET k{key} v"));
    }
    net.get(1, "SETNX x y");
    net.isolate(3);
    net.done(1, "SET k1 w");
    net.pass(5_000);
    net.heal();
    net.catalogue.remove(TABLE).expect("it is there");
    let kept = net.hosts[0].store.0.len();
    assert!(kept > 300);
    (1..=3).for_each(|node| net.tell_catalogue(node));
    (0..3).for_each(|_| net.pass(10));
    assert!(net.hosts.iter().all(|host| host.store.0.is_empty()), "{:?}", net.hosts[0].store.0.keys().next());
    assert_eq!(net.hosts[0].room.progress().hints, 0);
    assert_eq!(net.hosts[0].room.debt.iter().count(), 0, "nobody is owed it any more");
    assert_eq!(net.hosts[0].room.wake_at(), None);
}

/// `b` replaced `a`, and `c` replaced `b`. A replica that has only `a` is given `c` by a stand-in, and with it all that is to know of `b`.
#[test]
fn a_stand_in_brings_what_its_replica_missed() {
    let mut net = Net::new(5, Kind::Register, (3, 2, 2), Mutants::none(), 1);
    let table = net.table();
    let replicas = net.hosts[0].room.replicas(table, b"k").to_vec();
    let (here, away) = (replicas[0].0, replicas[2].0);
    let write = |net: &mut Net, want: Want, words: &str| {
        let outcome = net.ask(here, want, &mut Session::default(), words);
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    };
    write(&mut net, with(1, 3), "SET k a");
    net.isolate(away);
    write(&mut net, with(1, 2), "SET k b");
    let sloppy = Want { quorum: Quorum { read: 1, write: 3, sloppy: true, ..Quorum::default() }, ..Want::default() };
    write(&mut net, sloppy, "SET k c");
    net.heal();
    // Nobody else brings it.
    net.isolate(here);
    net.isolate(replicas[1].0);
    (0..30).for_each(|_| {
        net.pass(100);
        net.calm();
    });
    assert_eq!(net.state(away, b"k").cell, net.state(here, b"k").cell);
}

/// Two of the three replicas are away. A strict write is in doubt; a sloppy one is acknowledged, as what it is; and it comes home.
#[test]
fn a_stand_in_is_told_as_one_and_brings_the_write_home() {
    let run = |mutants: Mutants| {
        let mut net = Net::new(5, Kind::Register, (3, 2, 2), mutants, 1);
        let table = net.table();
        let replicas = net.hosts[0].room.replicas(table, b"k").to_vec();
        let (here, away) = (replicas[0].0, [replicas[1], replicas[2]]);
        away.iter().for_each(|node| net.isolate(node.0));
        let strict = net.ask(here, with(1, 2), &mut Session::default(), "SET k strict");
        assert_eq!(strict, Outcome::Unknown(Doubt::MissedQuorum { answered: 1, needed: 2 }));
        let want = Want { quorum: Quorum { read: 1, sloppy: true, ..Quorum::default() }, ..Want::default() };
        let Outcome::Done { receipt, .. } = net.ask(here, want, &mut Session::default(), "SET k sloppy") else {
            panic!("taken")
        };
        let stand_ins = receipt.round().map(|round| round.stand_ins).unwrap_or_default();
        assert!(!stand_ins.is_empty() && away.iter().all(|&node| !stand_ins.contains(node)));
        let told_as_strict = stand_ins.iter().any(|node| receipt.durable().contains(node));
        // The one that has it goes, the two come back: a read of two of three misses what was acknowledged.
        net.heal();
        net.isolate(here);
        let reader = away[0].0;
        let missed = net.get(reader, "GET k") == Value::Nil;
        (0..30).for_each(|_| {
            net.pass(100);
            net.calm();
        });
        (
            told_as_strict,
            missed,
            net.get(reader, "GET k"),
            net.hosts.iter().map(|host| host.room.standing.total()).sum::<u64>(),
        )
    };
    assert_eq!(run(Mutants::none()), (false, true, bulk("sloppy"), 0));
    assert!(run(Mutants::only(Mutant::SloppyCountsAsStrict)).0);
}

/// While two replicas compare, an add arrives late at the one that asks, of a key that was equal so far: absent here as it never came, absent there
/// as it was removed. What the other knew at the beginning must not be taken to be known here without its removal.
#[test]
fn what_comes_late_during_a_comparison_does_not_bring_back_what_was_removed() {
    let mut net = Net::new(3, Kind::Set, (3, 1, 1), Mutants::none(), 1);
    net.begin(1, Want::default(), &Session::default(), "SADD {r}1 a", None).expect("a replica");
    let late: Vec<_> = net.messages.iter().filter(|(_, to, _)| *to == NodeId(3)).cloned().collect();
    assert_eq!(late.len(), 1);
    net.messages.retain(|(_, to, _)| *to != NodeId(3));
    net.calm();
    net.isolate(3);
    net.done(1, "SREM {r}1 a");
    net.done(1, "SADD {r}2 b");
    net.calm();
    net.heal();
    let table = net.table();
    net.step(3, |room, cx, _| room.compare(cx, table, NodeId(1)));
    // Up to the moment when the keys are asked for, of buckets that were found to differ.
    let asks_for_keys = |message: &Message| matches!(message.body, Body::Compare { talk: Talk::Keys { .. }, .. });
    while !asks_for_keys(&net.messages[0].2) {
        net.deliver(0, true);
    }
    let next = core::mem::take(&mut net.messages);
    net.messages = late;
    net.calm();
    assert!(!net.state(3, b"{r}1").cell.is_bottom(), "it came late, and nobody told that it was removed");
    net.messages.extend(next);
    net.calm();
    let place = net.hosts[2].room.tables[&table].place(table, b"{r}1");
    let contexts = net.contexts(b"{r}1");
    assert_eq!(contexts[0], contexts[2], "all that the other knew is known: {place:?}");
    assert_eq!(net.state(3, b"{r}1").cell, net.state(1, b"{r}1").cell);
    assert_eq!(net.get(3, "SMEMBERS {r}2"), Value::Set(vec![bulk("b")]));
}
