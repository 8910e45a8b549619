//! Reads of one key at the same moment.

use super::*;
use crate::guarantee::{Path, Receipt};

fn done(net: &mut Net, token: u64) -> (Value, Receipt) {
    match net.outcome(token).and_then(|settled| settled.outcome) {
        Some(Outcome::Done { value, receipt }) => (value, receipt),
        other => panic!("{other:?}"),
    }
}

fn begin(net: &mut Net, want: Want, words: &str) -> u64 {
    net.begin(1, want, &Session::default(), words, None).expect("the node is a replica")
}

fn asked(net: &Net) -> usize {
    let asks = |body: &Body| matches!(body, Body::Get { .. } | Body::Propose { .. });
    net.messages.iter().filter(|(_, _, message)| asks(&message.body)).count()
}

/// A replica answers, a write is acknowledged without the one that reads, and only then that answer arrives.
fn after_an_answer(mutants: Mutants, want: Want) -> (Net, u64, u64) {
    let mut net = Net::new(3, Kind::Latest, (3, 2, 2), mutants, 1);
    net.done(1, "SET k old");
    net.calm();
    let first = begin(&mut net, with(2, 0), "GET k");
    let asked = net.messages[0].1.0;
    let other = 5 - asked;
    net.deliver(0, true);
    let answer = net.messages.pop().expect("it answered");
    net.cut.extend([(1, other), (other, 1)]);
    let written = net.ask(other, with(1, 2), &mut Session::default(), "SET k new");
    assert!(matches!(written, Outcome::Done { .. }), "{written:?}");
    let second = begin(&mut net, want, "GET k");
    net.messages.push(answer);
    net.calm();
    (net, first, second)
}

#[test]
fn a_read_goes_only_with_a_round_that_begins_after_it() {
    for (want, met) in [
        (with(2, 0), Level::Regular),
        (Want::of_level(Level::Regular), Level::Regular),
        (Want::of_level(Level::Atomic), Level::Atomic),
    ] {
        let (mut net, first, second) = after_an_answer(Mutants::none(), want);
        let _ = done(&mut net, first);
        let (value, receipt) = done(&mut net, second);
        assert_eq!((value, receipt.met()), (bulk("new"), Met::Read(met)));
    }
    let (mut net, _, second) = after_an_answer(Mutants::only(Mutant::JoinsEarlierRead), with(2, 0));
    assert_eq!(done(&mut net, second).0, bulk("old"), "and its receipt would say that it is not");
}

/// It is told that it may have missed something.
#[test]
fn a_read_that_may_miss_something_goes_with_what_flies() {
    let eventual = Want { level: Some(Level::Eventual), ..with(2, 0) };
    let (mut net, _, second) = after_an_answer(Mutants::none(), eventual);
    let (value, receipt) = done(&mut net, second);
    assert_eq!((value, receipt.path(), receipt.met()), (bulk("old"), Path::JoinedRead, Met::Read(Level::Session)));
}

#[test]
fn reads_of_one_moment_share_a_round() {
    for want in [with(2, 0), Want::of_level(Level::Atomic), Want::of_level(Level::Linearizable)] {
        let mut net = net(Kind::Latest);
        net.done(1, "SET k four");
        net.calm();
        let words = ["GET k", "STRLEN k", "EXISTS k"];
        let first = begin(&mut net, want, "GET k");
        let alone = asked(&net);
        let others: Vec<(u64, &str)> =
            (0..30).map(|at| (begin(&mut net, want, words[at % 3]), words[at % 3])).collect();
        assert_eq!(asked(&net), alone, "{want:?}");
        net.calm();
        let receipt = done(&mut net, first).1;
        for (other, words) in others {
            let (value, its) = done(&mut net, other);
            let expected = match words {
                "GET k" => bulk("four"),
                "STRLEN k" => Value::Int(4),
                _ => Value::Int(1),
            };
            assert_eq!((value, its.met(), its.path()), (expected, receipt.met(), receipt.path()), "{want:?} {words}");
            assert!(its.answered().len() >= 2);
        }
        assert!(net.hosts.iter().all(|host| host.room.flights.is_empty() && host.room.rounds.is_empty()));
    }
}

/// What one asks for is not what all wait for.
#[test]
fn nobody_waits_for_what_only_another_needs() {
    // Its session saw what nobody here can tell.
    let mut net = net(Kind::Latest);
    net.isolate(3);
    let mut session = Session::default();
    let _ = net.ask(3, with(1, 1), &mut session, "SET k far");
    let regular = Want::of_level(Level::Regular);
    let ahead = net.begin(1, regular, &session, "GET k", None).expect("a replica");
    let other = begin(&mut net, regular, "GET k");
    net.calm();
    assert_eq!(done(&mut net, other).0, Value::Nil);
    let early = net.outcome(ahead);
    assert!(early.is_none(), "{early:?}");
    net.heal();
    net.pass(100);
    net.calm();
    assert_eq!(done(&mut net, ahead).0, bulk("far"));

    // It needs more replicas than there are.
    net.isolate(3);
    let all = begin(&mut net, with(3, 0), "GET k");
    let two = begin(&mut net, with(2, 0), "GET k");
    net.calm();
    assert!(net.outcome(all).is_none());
    let _ = done(&mut net, two);
}

/// A replica is down: those who wait find others as soon as the one before them did.
#[test]
fn a_silent_replica_holds_nobody_up_twice() {
    let mut net = net(Kind::Latest);
    let spot = net.hosts[0].room.replicas(net.table(), b"k").to_vec();
    let next = spot.iter().find(|node| node.0 != 1).expect("there are three").0;
    net.isolate(next);
    let tokens = [0; 3].map(|_| begin(&mut net, with(2, 0), "GET k"));
    net.calm();
    net.pass(100);
    net.calm();
    for token in tokens {
        let _ = done(&mut net, token);
    }
}

/// A deadline passes, and the table moves: nobody is forgotten.
#[test]
fn who_waits_has_a_deadline_of_its_own() {
    let mut net = net(Kind::Latest);
    net.isolate(1);
    let first = begin(&mut net, with(2, 0), "GET k");
    net.pass(500);
    let second = begin(&mut net, with(2, 0), "GET k");
    for _ in 0..6 {
        net.pass(100);
    }
    let refused = |settled: Option<Settled>| matches!(settled.and_then(|it| it.outcome), Some(Outcome::Refused(_)));
    assert!(refused(net.outcome(first)));
    assert!(net.outcome(second).is_none());
    net.heal();
    net.pass(100);
    net.calm();
    let _ = done(&mut net, second);
}

/// Counts while messages are lost, late and doubled: a read sees all that was acknowledged before it began.
#[test]
fn a_shared_read_sees_all_that_was_acknowledged_before_it_began() {
    let missed = |mutants: Mutants, seed: u64| {
        let mut net = Net::new(3, Kind::Counter, (3, 2, 2), mutants, seed);
        let mut random = Random::new(seed);
        let (mut acknowledged, mut begun) = (BTreeSet::new(), BTreeMap::new());
        let (mut writes, mut missed) = (0, 0);
        for _ in 0..600 {
            let node = 1 + random.below(3) as u16;
            match random.below(10) {
                0 => {
                    let token = net.begin(node, Want::default(), &Session::default(), "INCR k", None);
                    writes += i64::from(token.is_some());
                }
                1..=3 => {
                    let level = [None, Some(Level::Regular), Some(Level::Atomic)][random.below(3) as usize];
                    let want = Want { level, ..Want::default() };
                    let token = net.begin(node, want, &Session::default(), "GET k", None);
                    begun.extend(token.map(|token| (token, acknowledged.len() as i64)));
                }
                4..=7 => net.deliver_some(&mut random, 4, (8, 8)),
                8 => net.sync(node),
                _ => net.pass(20),
            }
            for settled in core::mem::take(&mut net.settled) {
                match (settled.outcome, begun.remove(&settled.token)) {
                    (Some(Outcome::Done { value: Value::Bulk(sum), .. }), Some(least)) => {
                        let sum: i64 = core::str::from_utf8(&sum).ok().and_then(|sum| sum.parse().ok()).expect("a sum");
                        assert!(sum <= writes);
                        missed += usize::from(sum < least);
                    }
                    (Some(Outcome::Done { value: Value::Nil, .. }), Some(least)) => missed += usize::from(least > 0),
                    (Some(Outcome::Done { .. }), None) => {
                        acknowledged.insert(settled.token);
                    }
                    _ => {}
                }
            }
        }
        missed
    };
    for seed in 0..60 {
        assert_eq!(missed(Mutants::none(), seed), 0, "seed {seed}");
    }
    assert!((0..60).any(|seed| missed(Mutants::only(Mutant::JoinsEarlierRead), seed) > 0));
}
