//! Leaderless tables: reads and writes that wait for few or for many replicas, counters and sets, on clusters of several sizes.

use super::measure::{Load, Operation, Sample, drive, median, with_cpu};
use super::report::Report;
use super::systems::{Etcd, Quorate, Redis, installed};
use super::{ETCD_PORTS, Options, QUORATE_PORTS, REDIS_PORT, etcd};
use quorate_client::Command;
use std::time::{Duration, Instant};

/// Clusters of so many nodes.
pub const NODES: [u16; 3] = [1, 3, 5];
/// Replicas of each key, where there are as many nodes.
const REPLICAS: u16 = 3;

/// What is asked, of which table, and how many replicas must answer.
struct Row {
    name: &'static str,
    operation: Operation,
    table: &'static str,
    wait_for: Wait,
}

#[derive(Clone, Copy)]
enum Wait {
    One,
    Majority,
}

const fn row(name: &'static str, operation: Operation, table: &'static str, wait_for: Wait) -> Row {
    Row { name, operation, table, wait_for }
}

const ROWS: [Row; 6] = [
    row("write, W = 1", Operation::Set, "registers", Wait::One),
    row("write, W = majority", Operation::Set, "registers", Wait::Majority),
    row("read, R = 1", Operation::Get, "registers", Wait::One),
    row("read, R = majority", Operation::Get, "registers", Wait::Majority),
    row("counter increment, W = majority", Operation::Incr, "counters", Wait::Majority),
    row("set add, W = majority", Operation::Sadd, "sets", Wait::Majority),
];

const TABLES: [(&str, &str); 3] = [("registers", "mv-register"), ("counters", "counter"), ("sets", "set")];

/// One row of the report: a sample for each number of nodes, and what the others did with the nearest they have.
#[derive(Default)]
pub struct Measured {
    pub name: &'static str,
    pub quorate: Vec<Sample>,
    pub etcd: Option<Sample>,
    pub redis: Option<Sample>,
}

/// Measures each row on clusters of each size.
pub fn measure(options: &Options, report: &mut Report) -> Result<(), String> {
    let mut rows: Vec<Measured> = ROWS.iter().map(|row| Measured { name: row.name, ..Measured::default() }).collect();
    for nodes in NODES {
        let quorate = Quorate::start(nodes, 1, QUORATE_PORTS)?;
        let replicas = nodes.min(REPLICAS) as u8;
        make_tables(&quorate, replicas)?;
        for (row, measured) in ROWS.iter().zip(&mut rows) {
            println!("leaderless: {}, {nodes} nodes …", row.name);
            let count = match row.wait_for {
                Wait::One => 1,
                Wait::Majority => replicas / 2 + 1,
            };
            let load = Load { table: Some(row.table), read: Some(count), write: Some(count), ..load(options, row) };
            let sample = || with_cpu(&quorate.processes(), || drive(&quorate.address(1), &load));
            measured.quorate.push(rounds(options, sample)?);
        }
    }
    if installed("redis-server") {
        let redis = Redis::start(REDIS_PORT)?;
        for (row, measured) in ROWS.iter().zip(&mut rows) {
            println!("leaderless: {}, Redis …", row.name);
            let sample = || with_cpu(&redis.processes(), || drive(&redis.address(), &load(options, row)));
            measured.redis = Some(rounds(options, sample)?);
        }
    }
    if installed("etcd") && installed("etcdctl") {
        let etcd = Etcd::start(ETCD_PORTS)?;
        let leader = etcd.address(etcd.leader()?);
        for (row, measured) in ROWS.iter().zip(&mut rows) {
            if matches!(row.operation, Operation::Set | Operation::Get) && matches!(row.wait_for, Wait::Majority) {
                println!("leaderless: {}, etcd …", row.name);
                let sample = || with_cpu(&etcd.processes(), || etcd::drive(&leader, &load(options, row)));
                measured.etcd = Some(rounds(options, sample)?);
            }
        }
    }
    report.leaderless = rows;
    Ok(())
}

fn load(options: &Options, row: &Row) -> Load {
    Load::new(row.operation, 50, options.seconds)
}

fn rounds(options: &Options, sample: impl Fn() -> Result<Sample, String>) -> Result<Sample, String> {
    let samples = (0..options.rounds).map(|_| sample()).collect::<Result<Vec<_>, _>>()?;
    Ok(median(samples))
}

/// Makes the tables, and waits until the first node has a life to write in.
pub fn make_tables(quorate: &Quorate, replicas: u8) -> Result<(), String> {
    let mut client = quorate.client(1, 5_000);
    let (replicas, majority) = (replicas.to_string(), (replicas / 2 + 1).to_string());
    for (name, cell) in TABLES {
        let words = ["QTABLE", "CREATE", name, "shape", "leaderless", "cell", cell, "replicas", &replicas];
        let words = words.into_iter().chain(["read", &majority, "write", &majority]).map(str::to_owned);
        client.call(&Command::new(words)).map_err(|error| error.to_string())?;
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let write = Command::new(["SET", "first", "1"]).with("table=registers");
        match client.call(&write) {
            Ok(quorate_client::Reply::Status(_)) => return Ok(()),
            other if Instant::now() > deadline => return Err(format!("no write to a leaderless table: {other:?}")),
            Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
