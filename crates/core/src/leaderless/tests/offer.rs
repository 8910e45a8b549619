//! Values that are written in one round: what they replace, and what they do not.

use super::*;
use alloc::collections::BTreeMap;

fn kinds() -> [Kind; 2] {
    [Kind::Register, Kind::Latest]
}

fn messages(net: &Net, wanted: impl Fn(&Body) -> bool) -> usize {
    net.messages.iter().filter(|(_, _, message)| wanted(&message.body)).count()
}

#[test]
fn a_value_is_written_in_one_round_where_all_are_equal() {
    for kind in kinds() {
        let mut net = net(kind);
        net.done(1, "SET k a");
        let token = net.begin(2, Want::default(), &Session::default(), "SET k b", None).expect("a replica");
        assert_eq!((messages(&net, |body| matches!(body, Body::Offer { .. })), net.messages.len()), (2, 2));
        // Nobody has it yet, and the coordinator does not show it either.
        assert_eq!(net.ask_alone(2), bulk("a"));
        while !net.messages.is_empty() {
            net.deliver(0, true);
        }
        [1, 3].into_iter().for_each(|node| net.sync(node));
        assert_eq!((messages(&net, |body| matches!(body, Body::Done { .. })), net.messages.len()), (2, 2));
        net.calm();
        assert!(matches!(net.outcome(token).and_then(|it| it.outcome), Some(Outcome::Done { .. })));
        assert_eq!([1, 2, 3].map(|node| net.ask_alone(node)), [(); 3].map(|()| bulk("b")));
    }
}

/// The coordinator does not know of it, and the others refuse what would stand beside it.
#[test]
fn a_write_replaces_what_an_acknowledged_write_left() {
    for kind in kinds() {
        for latest in [1, 2] {
            let mut net = net(kind);
            net.done(1, "SET k old");
            net.isolate(3);
            net.done(1, "SET k a");
            net.done(latest, "SET k b");
            net.heal();
            net.done(3, "SET k c");
            net.calm();
            assert_eq!([1, 2, 3].map(|node| net.ask_alone(node)), [(); 3].map(|()| bulk("c")));
            assert!((1..=3).all(|node| net.state(node, b"k").cell == net.state(1, b"k").cell), "nothing is beside it");
        }
    }
}

/// Two that do not know of each other are offered at once: neither makes the other go.
#[test]
fn values_that_are_offered_at_once_are_siblings() {
    for seed in 0..200 {
        let mut net = Net::new(3, Kind::Register, (3, 2, 2), Mutants::none(), seed);
        let begin = |net: &mut Net, node, words| net.begin(node, Want::default(), &Session::default(), words, None);
        let tokens = [begin(&mut net, 1, "SET k a"), begin(&mut net, 2, "SET k b")];
        net.calm();
        for token in tokens {
            let settled = net.outcome(token.expect("a replica")).and_then(|it| it.outcome);
            assert!(matches!(settled, Some(Outcome::Done { .. })), "{settled:?}");
        }
        let found = net.ask_alone(3);
        let possible = [bulk("a"), bulk("b"), Value::Array(vec![bulk("a"), bulk("b")])];
        assert!(possible.contains(&found), "{found:?}");
        assert!([1, 2].iter().all(|&node| net.ask_alone(node) == found));
    }
}

/// Whoever was silent is not waited for: then a write reads first, and can still be refused.
#[test]
fn what_nobody_may_have_taken_is_refused_and_not_in_doubt() {
    let mut net = net(Kind::Register);
    net.isolate(1);
    let first = net.ask(1, Want::default(), &mut Session::default(), "SET k a");
    assert_eq!(first, Outcome::Unknown(Doubt::MissedQuorum { answered: 0, needed: 2 }));
    let second = net.ask(1, Want::default(), &mut Session::default(), "SET k b");
    assert_eq!(second, Outcome::Refused(Refusal::TooFewReplicas { answered: 1, needed: 2 }));
    net.heal();
    assert_eq!(net.get(1, "GET k"), bulk("a"));
    net.done(1, "SET k c");
    net.begin(1, Want::default(), &Session::default(), "SET k d", None).expect("a replica");
    assert_eq!(messages(&net, |body| matches!(body, Body::Offer { .. })), 2, "they were heard again");
}

/// A write of one value: when it began and ended, and whether it was acknowledged.
struct Written {
    value: Value,
    began: usize,
    ended: usize,
    done: bool,
}

/// Values are written at all replicas at once, messages are late, doubled and lost, nodes start anew and are cut off.
fn history(kind: Kind, seed: u64) -> (Vec<Written>, Value) {
    let mut net = Net::new(3, kind, (3, 2, 2), Mutants::none(), seed);
    let (mut random, mut written) = (Random::new(seed + 1), Vec::<Written>::new());
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    for at in 0..300 {
        let node = 1 + random.below(3) as u16;
        let up = net.hosts[usize::from(node) - 1].up;
        match random.below(40) {
            0..4 if up => {
                let words = alloc::format!("SET k {at}");
                if let Some(token) = net.begin(node, Want::default(), &Session::default(), &words, None) {
                    open.insert(token, written.len());
                    let value = bulk(&alloc::format!("{at}"));
                    written.push(Written { value, began: at, ended: usize::MAX, done: false });
                }
            }
            4..26 => net.deliver_some(&mut random, 4, (8, 20)),
            26..34 => net.sync(node),
            34 | 35 => net.pass(60),
            36 if up => net.crash(node),
            36 => net.start(node),
            37 if random.below(2) == 0 => net.isolate(node),
            37 => net.heal(),
            _ => net.calm(),
        }
        for settled in core::mem::take(&mut net.settled) {
            let Some(which) = open.remove(&settled.token) else { continue };
            written[which].ended = at;
            written[which].done = matches!(settled.outcome, Some(Outcome::Done { .. }));
        }
    }
    net.recover();
    net.calm();
    (0..4).for_each(|_| {
        net.pass(1_000);
        net.calm();
    });
    net.compare();
    net.compare();
    let values = [1, 2, 3].map(|node| net.ask_alone(node));
    assert!(values.iter().all(|value| *value == values[0]), "seed {seed}: {values:?}");
    let [end, ..] = values;
    (written, end)
}

/// What is there at the end was replaced by nobody who came after it, and what is not there was replaced by somebody.
#[test]
fn acknowledged_values_are_there_until_a_later_write() {
    let mut acknowledged = 0;
    for seed in 0..300 {
        for kind in kinds() {
            let (written, end) = history(kind, seed);
            let shown = match &end {
                Value::Array(values) => values.clone(),
                Value::Nil => vec![],
                value => vec![value.clone()],
            };
            let dones = || written.iter().filter(|write| write.done);
            acknowledged += dones().count();
            assert!(kind == Kind::Register || shown.len() <= 1);
            for value in &shown {
                let write = written.iter().find(|write| write.value == *value).expect("somebody wrote it");
                let later = dones().find(|later| later.began > write.ended && write.done);
                assert!(
                    later.is_none(),
                    "seed {seed}, {kind:?}: {value:?} was replaced by {:?}",
                    later.map(|it| &it.value)
                );
            }
            if let Some(last) = dones().max_by_key(|write| write.began) {
                let others = written.iter().filter(|other| other.value != last.value);
                let replaced = others.clone().any(|other| other.ended >= last.began);
                assert!(shown.contains(&last.value) || replaced, "seed {seed}, {kind:?}: {:?} is lost", last.value);
                assert!(!shown.is_empty(), "seed {seed}, {kind:?}: all is lost");
            }
        }
    }
    assert!(acknowledged > 3_000, "{acknowledged}");
}
