//! Compare-and-set and linearizable reads.

use super::movement::moving_net;
use super::*;
use crate::paxos::Tell;

/// Everybody counts by compare-and-set, through losses, copies, crashes and cuts. No number may be reached twice, and what was told to be
/// made is in what is found at the end.
fn count_by_swaps(mutants: Mutants, seed: u64, moves: bool) -> Result<u64, String> {
    let nodes: u16 = if moves { 5 } else { 3 };
    let mut net = match moves {
        true => moving_net(Kind::Register, mutants, seed),
        false => Net::new(nodes, Kind::Register, (3, 2, 2), mutants, seed),
    };
    net.done(1, "SET k 0");
    let mut random = Random::new(seed ^ 7);
    let (mut guess, mut waiting, mut made) = ([0u64; 6], BTreeMap::new(), BTreeSet::new());
    for _ in 0..400 {
        let node = 1 + random.below(u64::from(nodes)) as u16;
        let up = net.hosts[usize::from(node) - 1].up;
        match random.below(24) {
            3..=23 if moves => net.disorder(&mut random),
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
                (1..=nodes).filter(|_| random.below(3) > 0).for_each(|node| net.sync(node));
            }
            18..=20 => net.pass(30),
            _ if random.below(4) == 0 => {
                if up {
                    net.crash(node);
                } else {
                    net.start(node);
                    (1..=nodes).for_each(|node| {
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
    net.recover();
    if moves {
        net.arrive();
    }
    // Whoever still tries gives up.
    (0..40).for_each(|_| {
        net.calm();
        net.pass(50);
    });
    let reader = net.reader(b"k");
    let outcome = net.ask(reader, Want::of_level(Level::Linearizable), &mut Session::default(), "GET k");
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
        made += count_by_swaps(Mutants::none(), seed, false).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    assert!(made > 300, "only {made} were made");
    let broken = (0..150)
        .filter(|&seed| count_by_swaps(Mutants::only(Mutant::PaxosIgnoresHighest), seed, false).is_err())
        .count();
    assert!(broken > 0, "nobody notices");
}

#[test]
fn no_number_is_reached_twice_when_acceptors_move() {
    let mut made = 0;
    for seed in 0..150 {
        made += count_by_swaps(Mutants::none(), seed, true).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    assert!(made > 150, "only {made} were made");
    let broken = Mutants::only(Mutant::MovesWithoutComparing);
    assert!((0..1_000).any(|seed| count_by_swaps(broken, seed, true).is_err()), "nobody notices");
}

/// The first attempt of a swap is left with one acceptor, the second with none; then a reader goes on with the first. The swap was made, though by its
/// last attempt but one.
#[test]
fn a_swap_that_somebody_else_made_is_not_told_as_missed() {
    let mut net = Net::new(3, Kind::Register, (3, 2, 2), Mutants::none(), 1);
    net.done(1, "SET k v0");
    net.messages.clear();
    let carry = |net: &mut Net, from: u16, to: u16| {
        let these = |message: &(NodeId, NodeId, Message)| (message.0.0, message.1.0) == (from, to);
        while let Some(at) = net.messages.iter().position(these) {
            net.deliver(at, true);
        }
    };
    // Node 1 promises and accepts; node 2 has promised to another swap, at node 3, meanwhile.
    net.begin(3, Want::default(), &Session::default(), "CAS k other v2", None).expect("a replica");
    net.messages.retain(|(_, to, _)| *to == NodeId(2));
    let swap = net.begin(2, Want::default(), &Session::default(), "CAS k v0 v1", None).expect("a replica");
    net.sync(2);
    carry(&mut net, 2, 1);
    net.sync(1);
    carry(&mut net, 3, 2);
    carry(&mut net, 1, 2);
    carry(&mut net, 2, 1);
    (1..=2).for_each(|node| net.sync(node));
    net.messages.clear();
    // The second attempt hears node 3, which has accepted nothing; and nobody accepts it, for the sake of a reader.
    net.pass(17);
    net.messages.retain(|(from, to, _)| (*from, *to) == (NodeId(2), NodeId(3)));
    net.sync(2);
    carry(&mut net, 2, 3);
    let linearizable = Want::of_level(Level::Linearizable);
    let read = net.begin(3, linearizable, &Session::default(), "GET k", None).expect("a replica");
    carry(&mut net, 3, 2);
    net.sync(3);
    carry(&mut net, 3, 2);
    net.sync(2);
    net.messages.retain(|(from, ..)| *from == NodeId(3));
    // The reader finds what node 1 accepted, and goes on with it.
    carry(&mut net, 3, 1);
    net.sync(1);
    carry(&mut net, 1, 3);
    carry(&mut net, 3, 1);
    (1..=3).for_each(|node| net.sync(node));
    carry(&mut net, 1, 3);
    let value = |settled: Settled| match settled.outcome {
        Some(Outcome::Done { value, .. }) => value,
        other => panic!("{other:?}"),
    };
    assert_eq!(net.outcome(read).map(value), Some(bulk("v1")));
    (0..10).for_each(|_| {
        net.calm();
        net.pass(20);
    });
    assert_eq!(net.outcome(swap).map(value), Some(Value::Int(1)), "it was made");
}

/// A value was accepted by a majority and read, and no more: no cell of those with whom the new replicas compare has it, but an acceptor does.
#[test]
fn what_acceptors_agreed_on_moves_with_the_key() {
    let run = |mutants| {
        let mut net = moving_net(Kind::Register, mutants, 3);
        net.done(1, "SET k 0");
        net.isolate(3);
        net.begin(1, Want::default(), &Session::default(), "CAS k 0 1", None).expect("it holds the key");
        let accepted = |message: &Message| matches!(&message.body, Body::Agreed { tell: Tell::Accepted(_), .. });
        while !net.messages.iter().any(|(_, _, message)| accepted(message)) {
            (1..=2).for_each(|node| net.sync(node));
            if !net.messages.is_empty() {
                net.deliver(0, true);
            }
        }
        net.crash(1);
        net.messages.clear();
        net.heal();
        let linearizable = Want::of_level(Level::Linearizable);
        let read = |net: &mut Net, node| match net.ask(node, linearizable, &mut Session::default(), "GET k") {
            Outcome::Done { value, .. } => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(read(&mut net, 3), bulk("1"));
        net.start(1);
        net.send_away();
        net.cut_between(&[3], &[4, 5]);
        net.arrive_as_it_is();
        read(&mut net, 4)
    };
    assert_eq!(run(Mutants::none()), bulk("1"));
    assert_eq!(run(Mutants::only(Mutant::AcceptorsStay)), bulk("0"));
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
