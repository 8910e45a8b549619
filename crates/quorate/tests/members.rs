//! Nodes come and go while clients write: real processes, real faults, a lost disk. Afterwards nothing that was acknowledged is missing.
#![allow(clippy::unwrap_used)]

mod support;

use quorate_client::{Client, Command, Options, Reply};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use support::cluster::{Cluster, binary, signal, text};
use support::wait;

const KEYS: u64 = 8;
const PAUSE: Duration = Duration::from_millis(5);

/// What was acknowledged.
#[derive(Default)]
struct Ledger {
    members: BTreeMap<String, BTreeSet<String>>,
    /// By table and key: how often it was incremented, each time under a name of its own.
    increments: BTreeMap<(String, String), i64>,
}

/// Clients that write, each at all nodes in turn.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    ledger: Arc<Mutex<Ledger>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(addresses: &[String]) -> Load {
        let (stop, done, ledger) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Load { stop, done, ledger, threads: Vec::new() };
        for (id, table) in ["carts", "carts", "likes", "likes", ""].into_iter().enumerate() {
            let mut addresses = addresses.to_vec();
            let first = id % addresses.len();
            addresses.rotate_left(first);
            let (stop, done, ledger) = (load.stop.clone(), load.done.clone(), load.ledger.clone());
            load.threads.push(std::thread::spawn(move || {
                let mut client = client(addresses, table);
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    write(&mut client, &ledger, table, &format!("{id}-{count}"), count % KEYS);
                    done.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(PAUSE);
                }
            }));
        }
        load
    }

    /// Waits until each kind of client had so many writes acknowledged, about.
    fn progress(&self) {
        let before = self.done.load(Ordering::Relaxed);
        wait("writes are acknowledged", || (self.done.load(Ordering::Relaxed) >= before + 100).then_some(()));
    }

    fn end(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut self.ledger.lock().unwrap())
    }
}

fn client(addresses: Vec<String>, table: &str) -> Client {
    let options = Options { deadline: Duration::from_secs(3), table: table.to_owned(), ..Options::default() };
    Client::new(addresses, options)
}

/// One write, again under its name until it is acknowledged: what is not known to be applied is repeated.
fn write(client: &mut Client, ledger: &Mutex<Ledger>, table: &str, name: &str, key: u64) {
    let key = format!("key{key}");
    let command = match table {
        "carts" => Command::new(["SADD", &key, name].map(str::to_owned)),
        _ => Command::new(["INCR".to_owned(), key.clone()]).idempotency_key(format!("once-{table}-{name}")),
    };
    wait("a write is acknowledged", || matches!(client.call(&command), Ok(Reply::Int(_))).then_some(()));
    let mut ledger = ledger.lock().unwrap();
    match table {
        "carts" => drop(ledger.members.entry(key).or_default().insert(name.to_owned())),
        _ => *ledger.increments.entry((table.to_owned(), key)).or_default() += 1,
    }
}

/// All that was acknowledged is there, whichever node is asked.
fn judge(ledger: &Ledger, address: &str) -> Result<(), String> {
    let read = |table: &str, words: [&str; 2]| {
        let mut client = client(vec![address.to_owned()], table);
        let command = Command::new(words.map(str::to_owned));
        wait("a read is answered", || client.call(&command).ok().filter(|reply| !matches!(reply, Reply::Error(_))))
    };
    for (key, members) in &ledger.members {
        let reply = read("carts", ["SMEMBERS", key]);
        let found: BTreeSet<String> = reply.items().unwrap_or_default().iter().filter_map(Reply::text).collect();
        let missing: Vec<&String> = members.difference(&found).collect();
        if !missing.is_empty() {
            return Err(format!("{address}: {key} lacks {missing:?} of {} acknowledged members", members.len()));
        }
    }
    for ((table, key), count) in &ledger.increments {
        let reply = read(table, ["GET", key]);
        let found = reply.text().and_then(|text| text.parse().ok()).or(reply.number());
        if found != Some(*count) {
            return Err(format!("{address}: {table} {key} is {found:?} after {count} increments"));
        }
    }
    Ok(())
}

/// A cluster with a set and a counter on three replicas each.
fn cluster_of(nodes: u16) -> Cluster {
    let cluster = Cluster::of(nodes);
    for (name, cell) in [("carts", "set"), ("likes", "counter")] {
        let create = ["table", "create", name, "--shape", "leaderless", "--replicas", "3", "--cell", cell];
        wait("a table is made", || cluster.quorate(&create).status.success().then_some(()));
    }
    cluster
}

/// A node that is not one of those that `quorate up` runs.
struct Single {
    process: Child,
}

impl Single {
    /// A node that joins: its configuration is that of node 1, with itself added.
    fn start(cluster: &Cluster, node: u16) -> Single {
        let directory = cluster.data().join(format!("single-{node}"));
        std::fs::create_dir_all(&directory).unwrap();
        let mut config: toml::Table = configuration(cluster, 1);
        let local = |port: u16| format!("127.0.0.1:{}", port + node - 1);
        let (resp, http, peer) = (local(cluster.resp), local(cluster.http), local(cluster.peer));
        config.insert("node".to_owned(), i64::from(node).into());
        config.insert("join".to_owned(), true.into());
        config.insert("data".to_owned(), directory.join("data").to_str().unwrap().into());
        let listen = [("resp", resp), ("http", http), ("peer", peer.clone())];
        config.insert("listen".to_owned(), table(listen.map(|(name, address)| (name, address.into()))));
        let own = table([("node", i64::from(node).into()), ("peer", peer.into())]);
        config["members"].as_array_mut().unwrap().push(own);
        let file = directory.join("config.toml");
        std::fs::write(&file, config.to_string()).unwrap();
        let log = std::fs::File::create(directory.join("log")).unwrap();
        let mut command = binary();
        command.arg("node").arg("--config").arg(file).stdout(Stdio::null()).stderr(log);
        Single { process: command.spawn().unwrap() }
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        signal(self.process.id(), "TERM");
        let _ = self.process.wait();
    }
}

fn table<const N: usize>(pairs: [(&str, toml::Value); N]) -> toml::Value {
    toml::Value::Table(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn configuration(cluster: &Cluster, node: u16) -> toml::Table {
    let file = cluster.data().join(format!("node-{node}/quorate.toml"));
    toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Runs `quorate member` with the addresses of these nodes; gives what it says as JSON.
#[track_caller]
fn member(addresses: &[String], words: &str) -> Value {
    let mut command = binary();
    command.arg("member").args(words.split(' ')).arg("--json");
    for address in addresses {
        command.args(["--addr", address]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "member {words}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn nodes_come_and_go_and_nothing_acknowledged_is_missing() {
    let cluster = cluster_of(5);
    let mut addresses = cluster.addresses();
    addresses.push(cluster.address(6));
    let load = Load::start(&addresses[..5]);
    load.progress();

    cluster.fault("partition 5/1,2,3,4");
    load.progress();
    cluster.fault("heal");
    load.progress();

    // A node loses its disk.
    cluster.fault("crash 3");
    member(&addresses, "set 3 --votes no --wait");
    std::fs::remove_dir_all(cluster.data().join("node-3/data")).unwrap();
    let mut config = configuration(&cluster, 3);
    config.insert("join".to_owned(), true.into());
    std::fs::write(cluster.data().join("node-3/quorate.toml"), config.to_string()).unwrap();
    cluster.fault("restart 3");
    member(&addresses, "set 3 --votes yes --wait");
    load.progress();

    // A node is added, and one is removed.
    let sixth = Single::start(&cluster, 6);
    let added = member(&addresses, &format!("add 6 --address 127.0.0.1:{} --wait", cluster.peer + 5));
    assert_eq!((&added["over"], &added["members"][5]["groups_settled"]), (&true.into(), &1.into()), "{added}");
    load.progress();
    member(&addresses, "remove 2 --wait");
    cluster.fault("crash 2");
    addresses.remove(1);
    member(&addresses, "forget 2");
    load.progress();

    let listed = member(&addresses, "list --wait");
    let nodes: Vec<u64> =
        listed["members"].as_array().unwrap().iter().map(|member| member["node"].as_u64().unwrap()).collect();
    assert_eq!(nodes, [1, 3, 4, 5, 6], "{listed}");
    let ledger = load.end();
    assert!(ledger.members.len() as u64 == KEYS && ledger.increments.len() as u64 == 2 * KEYS);
    addresses.iter().for_each(|address| judge(&ledger, address).unwrap());
    drop(sixth);
}

#[test]
fn the_judge_notices_what_is_missing_and_what_counts_twice() {
    let cluster = cluster_of(3);
    let load = Load::start(&cluster.addresses());
    load.progress();
    let ledger = load.end();
    let address = cluster.address(2);
    judge(&ledger, &address).unwrap();
    let call = |table, words: [&str; 2]| {
        let command = Command::new(words.map(str::to_owned));
        wait("a write is acknowledged", || client(cluster.addresses(), table).call(&command).ok())
    };
    call("likes", ["INCR", "key1"]);
    let verdict = judge(&ledger, &address).unwrap_err();
    assert!(verdict.contains("likes key1"), "{verdict}");
    call("carts", ["DEL", "key1"]);
    let verdict = judge(&ledger, &address).unwrap_err();
    assert!(verdict.contains("key1 lacks"), "{verdict}");
}
