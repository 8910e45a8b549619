//! Measurements of leaderless tables, not tests: `cargo test --release -p quorate-core --test speed -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used)]

mod cluster;

use bytes::Bytes;
use cluster::{Cluster, operate};
use quorate_core::guarantee::{Quorum, Session};
use quorate_core::hot::Hot;
use quorate_core::machine::*;
use quorate_core::operation::*;
use quorate_core::random::Random;
use std::time::{Duration, Instant};

const CLIENTS: usize = 50;
const KEYS: u64 = 10_000;

fn make(cluster: &mut Cluster, name: &str, cell: &str, replicas: u16, write: u16) {
    let (replicas, write) = (replicas.to_string(), write.to_string());
    let words = ["TABLE.CREATE", name, "shape", "leaderless", "cell", cell, "replicas", &replicas];
    cluster.ask(TableId(0), &words.into_iter().chain(["read", "1", "write", &write]).collect::<Vec<_>>());
    cluster.pass(3_000);
}

/// What this thread used; on Linux alone.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Processor time of one operation: of all nodes together, with the encoding of their messages, without sockets and disks.
#[test]
#[ignore = "a measurement"]
fn an_operation() {
    let value = Bytes::from(vec![b'v'; 100]);
    let only = std::env::var("QUORATE_BENCH_ROW").unwrap_or_default();
    for nodes in [1, 3] {
        let mut cluster = Cluster::new(nodes);
        for (name, cell) in [("registers", "mv-register"), ("counters", "counter"), ("sets", "set")] {
            make(&mut cluster, name, cell, nodes, 1);
        }
        let majority = (nodes / 2 + 1) as u8;
        let rows: [(&str, Option<&str>, &str, u8); 10] = [
            ("consensus write", None, "SET", 0),
            ("consensus read, linearizable", None, "GET", 0),
            ("write, W = 1", Some("registers"), "SET", 1),
            ("write, W = majority", Some("registers"), "SET", majority),
            ("read, R = 1", Some("registers"), "GET", 1),
            ("read, R = majority", Some("registers"), "GET", majority),
            ("read of one key, R = majority", Some("registers"), "GET", majority),
            ("counter increment", Some("counters"), "INCR", majority),
            ("set add", Some("sets"), "SADD", majority),
            ("set members", Some("sets"), "SMEMBERS", majority),
        ];
        for (row, table, word, wait_for) in rows.into_iter().filter(|row| row.0.contains(&only)) {
            let table = table.map_or(TableId(0), |name| cluster.table(name));
            let (mut random, mut sessions) = (Random::new(7), vec![Session::default(); CLIENTS]);
            let name = Bytes::copy_from_slice(word.as_bytes());
            let keys = if row.contains("one key") { 1 } else { KEYS };
            let mut rounds = |cluster: &mut Cluster, count: u64| {
                for _ in 0..count {
                    cluster.round(&mut sessions, |session| {
                        let key = Bytes::from(format!("key:{:08}", random.below(keys)));
                        let value = matches!(word, "SET" | "SADD").then(|| value.clone());
                        let mut operate = operate(table, [name.clone(), key].into_iter().chain(value));
                        operate.want.quorum = Quorum { read: wait_for, write: wait_for, ..Quorum::default() };
                        operate.session = session;
                        operate
                    });
                }
            };
            rounds(&mut cluster, 400);
            let (count, before) = (1_000, processor_time());
            rounds(&mut cluster, count);
            let us = (processor_time() - before).as_micros() as f64 / (count * CLIENTS as u64) as f64;
            println!("{nodes} nodes, {row}: {us:.2} µs");
        }
    }
}

/// What it costs to count which keys are asked for most, for each key of an operation.
#[test]
#[ignore = "a measurement"]
fn a_count() {
    let (mut random, count) = (Random::new(7), 1_000_000);
    for keys in [1, 50, 1_000, 100_000] {
        let mut hot = Hot::new(Mono(0));
        let before = processor_time();
        (0..count).for_each(|_| hot.count(Mono(1), TableId(0), &random.below(keys).to_be_bytes()));
        println!("one of {keys} keys: {} ns", (processor_time() - before).as_nanos() / count);
    }
}

/// Two replicas of a million keys, ten of which differ.
#[test]
#[ignore = "a measurement"]
fn a_comparison() {
    let count: u64 = std::env::var("QUORATE_BENCH_KEYS").map_or(1_000_000, |count| count.parse().unwrap());
    let mut cluster = Cluster::new(2);
    make(&mut cluster, "counters", "counter", 2, 1);
    let table = cluster.table("counters");
    let increment = |cluster: &mut Cluster, from: u64, count: u64| {
        for number in (from..from + count).step_by(CLIENTS) {
            let mut key = number..(from + count).min(number + CLIENTS as u64);
            let mut sessions = vec![Session::default(); key.clone().count()];
            cluster.round(&mut sessions, |_| {
                let key = Bytes::from(format!("key:{:08}", key.next().unwrap()));
                operate(table, [Bytes::from_static(b"INCR"), key].into_iter())
            });
        }
    };
    increment(&mut cluster, 0, count);
    cluster.pass(2_000);
    let data = cluster.stored(1);
    println!("{count} keys, {data} bytes at one node");
    for name in ["after a restart", "with sums", "with sums"] {
        if name == "after a restart" {
            cluster.restart();
        }
        cluster.apart = true;
        increment(&mut cluster, 77, 10);
        cluster.pass(3_000);
        cluster.apart = false;
        cluster.pass(3_000);
        (cluster.messages, cluster.bytes) = (0, 0);
        let taken = cluster.hosts[1].node.leaderless().progress().keys_taken;
        let (began, before) = (Instant::now(), processor_time());
        cluster.repair(NodeId(2));
        let (elapsed, used) = (began.elapsed(), processor_time() - before);
        let taken = cluster.hosts[1].node.leaderless().progress().keys_taken - taken;
        let (messages, bytes) = (cluster.messages, cluster.bytes);
        let share = 100.0 * bytes as f64 / data as f64;
        println!(
            "{name}: {taken} keys in {elapsed:?} (processor {used:?}), {messages} messages, {bytes} bytes, {share:.2} %"
        );
    }
}
