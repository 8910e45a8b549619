//! Rounds: what an operation gives, and what its receipt says.

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

mod agree;
mod equal;
mod escrow;
mod join;
mod movement;
mod net;
mod offer;
mod repair;
mod text;

use net::{KEYS, Net, TABLE, bulk, net, storm, with};

#[test]
fn every_kind_of_cell_is_written_and_read() {
    let cases: &[(Kind, &[&str], &str, &str)] = &[
        (Kind::Register, &["SET k a", "SET k b"], "GET k", "b"),
        (Kind::Latest, &["SET k a", "SET k b"], "GET k", "b"),
        (Kind::Flag, &["SET k 0", "SET k 1"], "GET k", "1"),
        (Kind::DisableWinsFlag, &["SET k 1", "SET k 0"], "GET k", "0"),
        (Kind::Counter, &["INCR k", "INCRBY k 40", "DECR k"], "GET k", "40"),
        (Kind::Bounded, &["INCRBY k 5", "DECRBY k 3"], "GET k", "2"),
        (Kind::Text, &["TEXT.INSERT k 0 wrld", "TEXT.INSERT k 1 o", "TEXT.DELETE k 4 1"], "GET k", "worl"),
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

/// Events of other keys are on their way all the time: they make no two replicas different.
#[test]
fn a_read_that_finds_the_same_cell_writes_only_what_it_writes_back() {
    let mut net = net(Kind::Counter);
    net.done(1, "INCR {r}1");
    net.isolate(1);
    net.done(2, "INCR {r}2");
    net.heal();
    assert!(!net.state(1, b"{r}1").context.covers(&net.state(2, b"{r}1").context));
    let written = net.hosts[0].written;
    assert_eq!(net.get(1, "GET {r}1"), bulk("1"));
    assert_eq!(net.hosts[0].written, written);
    let outcome = net.ask(1, Want::of_level(Level::Atomic), &mut Session::default(), "GET {r}1");
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_ne!(net.hosts[0].written, written);
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

/// Begins to add 5 to a counter under a name.
fn once(net: &mut Net, node: u16, name: &'static str) -> u64 {
    net.next_token += 1;
    let (token, table) = (net.next_token, net.table());
    let words = ["INCRBY", "k", "5"].map(|word| Bytes::from_static(word.as_bytes())).to_vec();
    let until = Mono((net.now_ms + 1_000) * 1_000);
    let (session, once) = (Session::default(), Some(Bytes::from_static(name.as_bytes())));
    let job = Job { token, table, words, want: Want::default(), session, seen: None, once, until };
    assert_eq!(net.step(node, |room, cx, _| room.begin(cx, job, false)), Begun::Here);
    token
}

/// An increment under a name is repeated at another node while the first attempt is on its way, lost, or both: it counts once.
#[test]
fn an_increment_under_a_name_counts_once() {
    let mut net = net(Kind::Counter);
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
