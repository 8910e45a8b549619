//! Keys of leaderless tables that are kept in parts.

use super::net::Net;
use bytes::Bytes;
use quorate_core::guarantee::{Level, Met, Session, Want};
use quorate_core::leaderless::part_key;
use quorate_core::machine::*;
use quorate_core::operation::*;
use quorate_core::random::Random;
use std::collections::{BTreeMap, BTreeSet};

const NODES: u16 = 5;

fn make(net: &mut Net, name: &str, cell: &str, split: &str) -> TableId {
    let words = ["TABLE.CREATE", name, "shape", "leaderless", "cell", cell, "split", split];
    assert_eq!(net.value(1, &words), Value::OK);
    net.run(300);
    net.node(1).catalogue().find(name).unwrap().0
}

/// Sets and maps are shown in some order.
fn sorted(value: Value) -> Value {
    let text = |value: &Value| format!("{value:?}");
    match value {
        Value::Set(mut items) => {
            items.sort_by_key(text);
            Value::Set(items)
        }
        Value::Map(mut pairs) => {
            pairs.sort_by_key(|(key, _)| text(key));
            Value::Map(pairs)
        }
        value => value,
    }
}

#[test]
fn a_key_in_parts_is_as_one_that_is_whole() {
    let cases: [(&str, &[&str], &[&str]); 4] = [
        (
            "counter",
            &["INCR k", "INCRBY k 40", "DECR k", "DECRBY k 7", "DEL k", "INCR k"],
            &["GET k", "EXISTS k", "TYPE k"],
        ),
        (
            "set",
            &["SADD k a b c d e f g a", "SREM k b z", "SADD k x", "DEL k", "SREM k x", "SADD k h i"],
            &["SMEMBERS k", "SCARD k", "SISMEMBER k a", "SMISMEMBER k z a b h a", "EXISTS k", "TYPE k"],
        ),
        ("set-remove-wins", &["SADD k a b c", "SREM k b", "SADD k b"], &["SMEMBERS k", "SCARD k"]),
        (
            "map",
            &["HSET k f 1 g 2 h 3 f 4", "HMSET k i 5 j 6", "HINCRBY k n 7", "HDEL k g z", "HINCRBY k n 2", "DEL k"],
            &["HGETALL k", "HMGET k z f n g", "HGET k f", "HEXISTS k g", "HLEN k", "EXISTS k"],
        ),
    ];
    let mut net = Net::new(NODES, 1, 31);
    let mut random = Random::new(9);
    for (cell, writes, reads) in cases {
        let whole = make(&mut net, &format!("{cell}-whole"), cell, "1");
        let parts = make(&mut net, &format!("{cell}-parts"), cell, "16");
        for round in 0..30 {
            let words = writes[random.below(writes.len() as u64) as usize];
            let words = if round < writes.len() { writes[round] } else { words };
            let words: Vec<&str> = words.split(' ').collect();
            let mut ask = |net: &mut Net, table, words: &[&str]| {
                let node = 1 + random.below(u64::from(NODES)) as u16;
                // What was said to be written before is to be found, whatever is asked.
                net.run(100);
                sorted(net.value_on(table, node, words))
            };
            let (expected, value) = (ask(&mut net, whole, &words), ask(&mut net, parts, &words));
            let silent = cell == "counter" && words[0] != "DEL";
            assert_eq!(value, if silent { Value::Nil } else { expected }, "{cell} {words:?}");
            for words in reads {
                let words: Vec<&str> = words.split(' ').collect();
                assert_eq!(ask(&mut net, parts, &words), ask(&mut net, whole, &words), "{cell} {words:?}");
            }
        }
    }
}

/// The parts of a counter that is increased everywhere are on all nodes, and nobody passes increments on.
#[test]
fn a_busy_key_in_parts_is_on_many_nodes() {
    let mut net = Net::new(NODES, 1, 32);
    let likes = make(&mut net, "likes", "counter", "16");
    let mut coordinated: BTreeMap<NodeId, u32> = BTreeMap::new();
    for at in 0..160 {
        let node = 1 + at % NODES;
        let call = net.call_on(likes, node, Want::default(), Session::default(), &["INCR", "post"]);
        let Outcome::Done { receipt, .. } = net.outcome(call) else { panic!("increased") };
        assert_eq!(receipt.served_by(), NodeId(node));
        *coordinated.entry(receipt.served_by()).or_default() += 1;
    }
    assert!(coordinated.values().all(|&count| count == 160 / u32::from(NODES)));
    let room = net.node(1).leaderless();
    let holders: BTreeSet<Vec<NodeId>> =
        (0..16).map(|part| room.replicas(likes, &part_key(b"post", part)).to_vec()).collect();
    let nodes: BTreeSet<NodeId> = holders.iter().flatten().copied().collect();
    assert!(nodes.len() == usize::from(NODES) && holders.len() > 4, "{holders:?}");
    assert_eq!(net.value_on(likes, 3, &["GET", "post"]), Value::bulk(b"160"));
}

fn increase(net: &mut Net, table: TableId, node: u16, key: &str, name: &str) -> Outcome {
    net.next_call += 1;
    let call = CallId(net.next_call);
    let commands = vec![["INCR", key].map(|word| Bytes::copy_from_slice(word.as_bytes())).to_vec()];
    let idempotency = Some(IdempotencyKey(Bytes::copy_from_slice(name.as_bytes())));
    let batch = Batch { table, guards: vec![], idempotency, commands, transaction: false };
    let (want, session) = (Want::default(), Session::default());
    let operate = Operate { batch, want, session, seen: None, after_own_writes: false, deadline_ms: 3000 };
    net.step(NodeId(node), Input::Request { call, request: Request::Operate(operate) });
    net.outcome(call)
}

#[test]
fn an_increment_under_a_name_is_in_one_part_whoever_repeats_it() {
    let mut net = Net::new(NODES, 1, 33);
    let likes = make(&mut net, "likes", "counter", "16");
    for name in 0..20 {
        for node in 1..=NODES {
            let outcome = increase(&mut net, likes, node, "post", &format!("name {name}"));
            assert!(matches!(outcome, Outcome::Done { receipt, .. } if receipt.replayed() == (node > 1)));
        }
    }
    assert_eq!(net.value_on(likes, 1, &["GET", "post"]), Value::bulk(b"20"));
}

#[test]
fn what_parts_cannot_give_is_refused_with_the_reason() {
    let mut net = Net::new(3, 1, 34);
    let tags = make(&mut net, "tags", "set", "16");
    let ask = |net: &mut Net, want, words: &[&str]| {
        let call = net.call_on(tags, 1, want, Session::default(), words);
        net.outcome(call)
    };
    assert!(matches!(ask(&mut net, Want::default(), &["SADD", "k", "a", "b", "c"]), Outcome::Done { .. }));
    for level in [Level::Atomic, Level::Linearizable] {
        let outcome = ask(&mut net, Want::of_level(level), &["SMEMBERS", "k"]);
        assert!(
            matches!(&outcome, Outcome::Refused(Refusal::Impossible(why)) if why.contains("different moments")),
            "{outcome:?}"
        );
        let Outcome::Done { value, receipt } = ask(&mut net, Want::of_level(level), &["SISMEMBER", "k", "a"]) else {
            panic!("one part can")
        };
        assert_eq!((value, receipt.met()), (Value::Int(1), Met::Read(level)));
    }
    let Outcome::Done { receipt, .. } = ask(&mut net, Want::of_level(Level::Regular), &["SMEMBERS", "k"]) else {
        panic!("all parts can")
    };
    assert_eq!(receipt.met(), Met::Read(Level::Regular));
    for (words, why) in [
        (&["TABLE.ALTER", "tags", "split", "8"][..], "the split of a table cannot be changed"),
        (&["TABLE.CREATE", "t", "shape", "leaderless", "split", "4"], "only counters, sets and maps"),
        (&["TABLE.CREATE", "t", "shape", "leaderless", "cell", "bounded-counter", "split", "4"], "only counters"),
        (&["TABLE.CREATE", "t", "shape", "leaderless", "cell", "set", "split", "65"], "1 to 64"),
        (&["TABLE.CREATE", "t", "shape", "leaderless", "cell", "set", "split", "0"], "1 to 64"),
        (&["TABLE.CREATE", "t", "shape", "leaderless", "cell", "set", "split", "4", "ranges", "m"], "divided by hash"),
        (&["TABLE.CREATE", "t", "split", "4"], "a consensus table has no split"),
    ] {
        let value = net.value(1, words);
        let Value::Error(text) = &value else { panic!("{words:?}: {value:?}") };
        assert!(String::from_utf8_lossy(text).contains(why), "{words:?}: {text:?}");
    }
    // A quorum that one part misses all miss; what was written in part is in doubt.
    net.cut = Some(NodeId(3));
    let all = Want { quorum: quorate_core::guarantee::Quorum { read: 3, ..Default::default() }, ..Want::default() };
    assert!(matches!(ask(&mut net, all, &["SMEMBERS", "k"]), Outcome::Refused(_)));
}
