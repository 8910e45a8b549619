//! Clients that write while a cluster is injured, and a judge of what they were told.

use super::cluster::{binary, text};
use super::wait;
use quorate_client::{Client, Command, Options, Reply};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub const KEYS: u64 = 8;
const PAUSE: Duration = Duration::from_millis(5);

/// What was acknowledged.
#[derive(Default)]
pub struct Ledger {
    pub members: BTreeMap<String, BTreeSet<String>>,
    /// By table and key: how often it was incremented, each time under a name of its own.
    pub increments: BTreeMap<(String, String), i64>,
}

/// Clients that write, each at all nodes in turn.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    ledger: Arc<Mutex<Ledger>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(addresses: &[String]) -> Load {
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
    pub fn progress(&self) {
        let before = self.done.load(Ordering::Relaxed);
        wait("writes are acknowledged", || (self.done.load(Ordering::Relaxed) >= before + 100).then_some(()));
    }

    pub fn end(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut self.ledger.lock().unwrap())
    }
}

pub fn client(addresses: Vec<String>, table: &str) -> Client {
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
pub fn judge(ledger: &Ledger, address: &str) -> Result<(), String> {
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

/// A set and a counter on three replicas each.
pub fn make_tables(addresses: &[String]) {
    for (name, cell) in [("carts", "set"), ("likes", "counter")] {
        let mut create = binary();
        create.args(["table", "create", name, "--shape", "leaderless", "--replicas", "3", "--cell", cell]);
        for address in addresses {
            create.args(["--addr", address]);
        }
        wait("a table is made", || create.output().unwrap().status.success().then_some(()));
    }
}

/// Runs `quorate member` with the addresses of these nodes; gives what it says as JSON.
#[track_caller]
pub fn member(addresses: &[String], words: &str) -> Value {
    let mut command = binary();
    command.arg("member").args(words.split(' ')).arg("--json");
    for address in addresses {
        command.args(["--addr", address]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "member {words}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
