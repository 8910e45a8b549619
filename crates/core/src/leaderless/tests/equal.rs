//! Replicas that differ become equal again: by reads, comparisons, hints and stand-ins.

use super::*;

/// Draws operations, losses, copies, crashes and cuts; then all heals, every key is read from all, and all replicas must be equal.
#[test]
fn replicas_that_know_the_same_hold_the_same() {
    for kind in [Kind::Register, Kind::Latest, Kind::Set, Kind::Counter, Kind::Map, Kind::Text] {
        for seed in 0..40 {
            let mut net = Net::new(3, kind, (3, 2, 2), Mutants::none(), seed);
            storm(&mut net, kind, 120);
            net.recover();
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

/// What a comparison of whole ranges brings must be what reading every key from all would, and the contexts must agree, too.
#[test]
fn a_comparison_brings_all_and_closes_the_holes() {
    for kind in [Kind::Register, Kind::Set, Kind::Counter, Kind::Map, Kind::Text] {
        for seed in 0..40 {
            let mut net = Net::new(3, kind, (3, 2, 2), Mutants::none(), 1_000 + seed);
            storm(&mut net, kind, 120);
            net.recover();
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
    while net.count_on() || !net.messages.is_empty() {
        let Some((from, to, message)) = net.messages.pop() else { continue };
        bytes += postcard::to_allocvec(&message).expect("it encodes").len();
        if let Body::Compare { talk: Talk::Read { keys: read, .. }, .. } = &message.body {
            keys += read.len();
        }
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

/// The answer about the first ranges arrives twice, the second time as if it were that about the last ones, which differ.
#[test]
fn a_doubled_answer_answers_no_other_question() {
    let mut net = net(Kind::Counter);
    net.isolate(3);
    let table = net.table();
    let range = |net: &Net, key: &str| net.hosts[0].room.tables[&table].place(table, key.as_bytes()).range;
    let key = (0..).map(|at| alloc::format!("k{at}")).find(|key| range(&net, key) > crate::placement::Range(1_000));
    let key = key.expect("keys are spread");
    net.done(1, &alloc::format!("INCR {key}"));
    net.pass(5_000);
    net.messages.clear();
    net.heal();
    net.step(3, |room, cx, _| room.compare(cx, table, NodeId(1)));
    while net.hosts[2].room.progress().compared == 0 {
        while net.count_on() {}
        assert!(!net.messages.is_empty(), "every question is answered");
        net.deliver(0, true);
        if matches!(&net.messages[..], [(.., Message { body: Body::Compare { talk: Talk::Differ { .. }, .. }, .. })]) {
            let again = net.messages[0].clone();
            net.deliver(0, true);
            net.messages.insert(0, again);
        }
        (1..=3).for_each(|node| net.sync(node));
    }
    assert_eq!(net.state(3, key.as_bytes()).cell, net.state(1, key.as_bytes()).cell);
}

/// Ranges of which a replica says what makes no sense are not compared.
#[test]
fn an_answer_that_makes_no_sense_ends_the_comparison() {
    let mut net = net(Kind::Counter);
    net.isolate(3);
    net.done(1, "INCR k");
    net.pass(5_000);
    net.messages.clear();
    net.heal();
    let table = net.table();
    net.step(3, |room, cx, _| room.compare(cx, table, NodeId(1)));
    for _ in 0..10_000 {
        net.count_on();
        let Some((.., message)) = net.messages.first_mut() else { break };
        if let Body::Compare { talk: Talk::BucketSums { sums, .. }, .. } = &mut message.body {
            sums.pop();
        }
        net.deliver(0, true);
    }
    let progress = net.hosts[2].room.progress();
    assert_eq!((progress.compared, progress.given_up), (0, 1));
}

/// A piece takes 10 ms; the node has two comparisons, and may give them a quarter of its time together while clients are served.
#[test]
fn what_is_compared_takes_no_more_than_its_share() {
    let run = |served: bool| {
        let mut net = net(Kind::Counter);
        let table = net.table();
        for with in [1, 2] {
            net.step(3, |room, cx, _| room.compare(cx, table, NodeId(with)));
        }
        let (mut questions, begun) = (net.messages.len(), net.now_ms);
        while net.hosts[2].room.progress().compared < 2 {
            net.now_ms += 10;
            if served {
                (1..=3).for_each(|node| net.step(node, |room, cx, _| room.serves(cx.now().mono)));
            }
            for _ in 0..net.messages.len() {
                net.deliver(0, true);
            }
            (1..=3).for_each(|node| net.sync(node));
            net.count_on();
            questions += net.messages.iter().filter(|(from, ..)| *from == NodeId(3)).count();
        }
        let took = net.now_ms - begun;
        // A question and its answer are on their way for two turns.
        (questions as u64 * 20, took)
    };
    let (worked, took) = run(true);
    assert!(worked * 100 <= took * 30, "{worked} of {took} ms");
    let (worked, took) = run(false);
    assert!(worked > took, "two at a time, without a rest: {worked} of {took} ms");
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
