//! Clients that work on a few keys, and the history of what they did and heard.

use super::cluster::Cluster;
use super::wait;
use bytes::Bytes;
use quorate_client::{Applied, Command, Error, Reply};
use quorate_lab::check::register::{self, Verdict};
use quorate_lab::check::{Action, Answer, History, Operation, Outcome};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

const KEYS: u64 = 6;
/// A client pauses so that a history stays short enough to be judged.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(4);

/// Load in the background, until it is stopped and judged.
pub struct Load {
    stop: Arc<AtomicBool>,
    start: Instant,
    acknowledged: Arc<AtomicU64>,
    history: Arc<Mutex<History>>,
    ledger: Arc<Mutex<BTreeSet<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Clients that begin at different nodes. Each third one writes new keys only, which must all be there at the end.
    pub fn start(cluster: &Cluster, clients: u32) -> Load {
        let mut load = Load {
            stop: Arc::default(),
            start: Instant::now(),
            acknowledged: Arc::default(),
            history: Arc::default(),
            ledger: Arc::default(),
            threads: Vec::new(),
        };
        for id in 0..clients {
            let client = cluster.client(1 + (id % u32::from(cluster.nodes)) as u16);
            let worker = Worker {
                id,
                client,
                random: 0x9E37_79B9 + u64::from(id),
                count: 0,
                start: load.start,
                stop: Arc::clone(&load.stop),
                acknowledged: Arc::clone(&load.acknowledged),
                history: Arc::clone(&load.history),
                ledger: Arc::clone(&load.ledger),
            };
            load.threads.push(std::thread::spawn(move || worker.run()));
        }
        load
    }

    /// Waits until so many writes more were acknowledged.
    pub fn progress(&self, writes: u64) {
        let before = self.acknowledged.load(Ordering::Relaxed);
        wait("writes are acknowledged", || {
            (self.acknowledged.load(Ordering::Relaxed) >= before + writes).then_some(())
        });
    }

    /// A key that was written and must be there.
    pub fn an_acknowledged_key(&self) -> String {
        self.ledger.lock().unwrap().first().unwrap().clone()
    }

    /// Stops, reads everything once more, and panics if a promise was broken.
    #[track_caller]
    pub fn judge(self, cluster: &Cluster) {
        match self.verdict(cluster) {
            Ok(what) => println!("{what}"),
            Err(what) => panic!("{what}"),
        }
    }

    /// Stops, reads everything once more, and judges.
    pub fn verdict(mut self, cluster: &Cluster) -> Result<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        for node in 1..=cluster.nodes {
            for key in 0..KEYS {
                let key = format!("register:{key}");
                let (reply, start, end) = wait("a read is answered", || {
                    let start = self.now();
                    let reply = cluster.client_of(node).call(&Command::new(["GET".to_owned(), key.clone()])).ok()?;
                    Some((reply, start, self.now()))
                });
                let outcome = Outcome::Done(Answer::Value(reply.bytes().cloned()));
                let operation = Operation { client: 1_000, key: key.into(), action: Action::Read, outcome, start, end };
                self.history.lock().unwrap().push(operation);
            }
        }
        let ledger = self.ledger.lock().unwrap();
        assert!(!ledger.is_empty(), "nothing was acknowledged, so nothing was tested");
        let mut client = cluster.client(1);
        let missing: Vec<&String> = ledger
            .iter()
            .filter(|key| {
                let get = Command::new(["GET".to_owned(), (*key).clone()]);
                wait("a read is answered", || client.call(&get).ok()) == Reply::Nil
            })
            .collect();
        if !missing.is_empty() {
            return Err(format!("{} of {} acknowledged writes are missing: {missing:?}", missing.len(), ledger.len()));
        }
        let history = self.history.lock().unwrap();
        let count = history.len();
        match register::check(&history, 10 * register::BUDGET) {
            Verdict::Valid => Ok(format!("{count} operations judged, {} writes of new keys all there", ledger.len())),
            Verdict::Invalid(witness) => Err(format!("{count} operations are not linearizable: {witness}")),
            Verdict::Unknown(key) => Err(format!("{count} operations are too entangled to judge, at {key:?}")),
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

struct Worker {
    id: u32,
    client: quorate_client::Client,
    random: u64,
    count: u64,
    start: Instant,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    history: Arc<Mutex<History>>,
    ledger: Arc<Mutex<BTreeSet<String>>>,
}

impl Worker {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            self.count += 1;
            if self.id % 3 == 2 {
                self.write_new();
            } else {
                self.operate();
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn write_new(&mut self) {
        let key = format!("ledger:{}:{}", self.id, self.count);
        if self.client.call(&Command::new(["SET", &key, "1"].map(str::to_owned))).is_ok() {
            self.ledger.lock().unwrap().insert(key);
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn operate(&mut self) {
        let key = format!("register:{}", self.draw(KEYS));
        let value = format!("{}-{}", self.id, self.count);
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let last = self.last_seen(&key);
        let (action, words) = match (self.draw(4), last) {
            (0, _) => (Action::Write(value.clone().into()), vec!["SET".to_owned(), key.clone(), value]),
            (1, Some(old)) => {
                let words = vec!["CAS".to_owned(), key.clone(), text(&old), value.clone()];
                (Action::Cas(Some(old), value.into()), words)
            }
            _ => (Action::Read, vec!["GET".to_owned(), key.clone()]),
        };
        let start = self.start.elapsed().as_micros() as u64;
        let reply = self.client.call(&Command::new(words));
        let end = self.start.elapsed().as_micros() as u64;
        let outcome = outcome(&action, reply);
        if matches!(outcome, Outcome::Done(Answer::Written | Answer::Took(_))) {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        let operation = Operation { client: self.id, key: key.into(), action, outcome, start, end };
        self.history.lock().unwrap().push(operation);
    }

    /// A value that was there a moment ago, so that some compare-and-sets succeed.
    fn last_seen(&self, key: &str) -> Option<Bytes> {
        let history = self.history.lock().unwrap();
        history.iter().rev().take(50).find_map(|operation| match (&operation.action, &operation.outcome) {
            _ if operation.key != key => None,
            (Action::Write(value), Outcome::Done(_)) => Some(value.clone()),
            (Action::Read, Outcome::Done(Answer::Value(value))) => value.clone(),
            _ => None,
        })
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }
}

/// What is known of an operation, given what the client said.
fn outcome(action: &Action, reply: Result<Reply, Error>) -> Outcome {
    match (action, reply) {
        (action, Err(error)) => match (error.applied, action) {
            (Applied::No, _) => Outcome::Refused,
            // A leader that stood still applied it and has not heard who holds it: as binding as a success.
            (Applied::Yes, Action::Write(_)) => Outcome::Done(Answer::Written),
            (Applied::Yes, Action::Read | Action::Cas(..) | Action::Delete | Action::Swap(_) | Action::Add(_))
            | (Applied::Unknown, _) => Outcome::Unknown,
        },
        (Action::Read, Ok(Reply::Nil)) => Outcome::Done(Answer::Value(None)),
        (Action::Read, Ok(Reply::Bulk(value))) => Outcome::Done(Answer::Value(Some(value))),
        (Action::Write(_), Ok(Reply::Status(_))) => Outcome::Done(Answer::Written),
        (Action::Cas(..), Ok(Reply::Int(took))) => Outcome::Done(Answer::Took(took == 1)),
        (action, Ok(reply)) => panic!("{action:?} was answered with {reply:?}"),
    }
}
