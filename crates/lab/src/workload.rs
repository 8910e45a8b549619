//! Clients: sessions that ask random nodes for random things, retry under idempotency keys, and write down what they hear.

use crate::check::register::{self, Verdict};
use crate::check::session::{self, Did, Event};
use crate::check::{Action, Answer, Operation, Outcome};
use crate::failure::Kind;
use crate::judge::{Claim, Judge};
use crate::simulator::Simulator;
use bytes::Bytes;
use quorate_core::guarantee::{Ack, Level, Met, Receipt, Session, Want};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::node::Node;
use quorate_core::operation::{Batch, IdempotencyKey, Operate, Reply, Request, TableId, Value};
use quorate_core::operation::{Outcome as Heard, Words};
use quorate_core::random::Random;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What clients do, and how often. Shares are per mille.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    /// How many clients.
    pub clients: u32,
    /// How many keys of each kind.
    pub keys: u64,
    /// The mean pause of a client between two operations, in microseconds.
    pub think_us: u64,
    /// How long a client lets a call take, in milliseconds.
    pub deadline_ms: u32,
    /// Reads among all operations.
    pub reads: u64,
    /// Session reads among reads.
    pub session_reads: u64,
    /// Eventual reads among reads.
    pub eventual_reads: u64,
    /// Blind writes with ack `leader` or `one`.
    pub weak_acks: u64,
    /// Writes with ack `all`.
    pub all_acks: u64,
    /// Writes that carry an idempotency key and are retried.
    pub idempotent: u64,
    /// Additions among writes.
    pub additions: u64,
    /// Writes to keys that expire, among writes.
    pub expiring: u64,
    /// Clients that stay at one node.
    pub sticky: u64,
    /// Requests that move leadership, among all operations.
    pub transfers: u64,
}

impl Default for Mix {
    fn default() -> Mix {
        Mix {
            clients: 4,
            keys: 2,
            think_us: 8_000,
            deadline_ms: 400,
            reads: 500,
            session_reads: 250,
            eventual_reads: 50,
            weak_acks: 50,
            all_acks: 50,
            idempotent: 300,
            additions: 300,
            expiring: 30,
            sticky: 300,
            transfers: 5,
        }
    }
}

/// One operation as its client knows it.
#[derive(Clone, Debug)]
pub struct Record {
    /// What was asked and heard, with times.
    pub operation: Operation,
    /// The guarantee asked for.
    pub want: Want,
    /// The receipt, when there was one.
    pub receipt: Option<Receipt>,
}

struct Pending {
    record: usize,
    operate: Operate,
    /// The call of the attempt that is under way.
    call: Option<CallId>,
    node: NodeId,
    attempt_us: u64,
    tries: u32,
    /// An attempt had an unknown outcome.
    ambiguous: bool,
}

struct Client {
    id: u32,
    at_us: u64,
    session: Session,
    home: Option<NodeId>,
    pending: Option<Pending>,
}

/// All clients of a run.
pub struct Workload {
    /// The nodes that clients talk to.
    pub targets: Vec<NodeId>,
    mix: Mix,
    random: Random,
    clients: Vec<Client>,
    records: Vec<Record>,
    calls: BTreeMap<CallId, usize>,
    next_call: u64,
    next_value: u64,
    stopped: bool,
}

/// How long a client waits beyond its deadline before it gives up, in microseconds.
const PATIENCE_US: u64 = 500_000;
/// Attempts of an operation with an idempotency key.
const TRIES: u32 = 6;

impl Workload {
    /// Clients that talk to these nodes.
    pub fn new(mix: Mix, targets: Vec<NodeId>, mut random: Random) -> Workload {
        let clients = (0..mix.clients)
            .map(|id| Client {
                id,
                at_us: random.below(mix.think_us.max(1) * 4),
                session: Session::default(),
                home: random.chance(mix.sticky).then(|| targets[random.below(targets.len() as u64) as usize]),
                pending: None,
            })
            .collect();
        Workload {
            targets,
            mix,
            random,
            clients,
            records: Vec::new(),
            calls: BTreeMap::new(),
            next_call: 0,
            next_value: 0,
            stopped: false,
        }
    }

    /// What happened so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }
    /// When a client acts next.
    pub fn next_at(&self) -> Option<u64> {
        let waits = |client: &&Client| client.pending.is_some() || !self.stopped;
        self.clients.iter().filter(waits).map(|client| client.at_us).min()
    }
    /// Clients begin nothing new.
    pub fn stop(&mut self) {
        self.stopped = true;
    }
    /// Is nothing under way?
    pub fn is_idle(&self) -> bool {
        self.clients.iter().all(|client| client.pending.is_none())
    }

    /// Clients whose time has come act.
    pub fn act(&mut self, simulator: &mut Simulator<Node>) {
        let now = simulator.now_us();
        for at in 0..self.clients.len() {
            if self.clients[at].at_us > now {
                continue;
            }
            match &mut self.clients[at].pending {
                None if self.stopped => {}
                None => self.begin(at, simulator),
                Some(pending) if pending.call.is_some() => self.attempt_over(at, now, true),
                Some(_) => self.attempt(at, simulator),
            }
        }
    }

    /// A node crashed: who waits for it sees the connection close.
    pub fn crashed(&mut self, now_us: u64, node: NodeId) {
        for at in 0..self.clients.len() {
            let waits = |pending: &Pending| pending.call.is_some() && pending.node == node;
            if self.clients[at].pending.as_ref().is_some_and(waits) {
                self.attempt_over(at, now_us, true);
            }
        }
    }

    /// Clients hear the answers that arrived.
    pub fn hear(&mut self, simulator: &mut Simulator<Node>, judge: &mut Judge) {
        for answered in std::mem::take(&mut simulator.answers) {
            let Some(at) = self.calls.remove(&answered.call) else { continue };
            let awaited = self.clients[at].pending.as_ref().is_some_and(|pending| pending.call == Some(answered.call));
            if let (true, Reply::Operated { outcome, session }) = (awaited, answered.reply) {
                self.clients[at].session.merge(&session);
                self.heard(at, outcome, simulator, judge);
            }
        }
    }

    fn heard(&mut self, at: usize, outcome: Heard, simulator: &Simulator<Node>, judge: &mut Judge) {
        let now = simulator.now_us();
        let (value, receipt, done) = match outcome {
            Heard::Done { value, receipt } => (value, receipt, true),
            Heard::Short { value, receipt } => (value, receipt, false),
            Heard::Refused(_) => return self.attempt_over(at, now, false),
            Heard::Unknown(_) => return self.attempt_over(at, now, true),
        };
        let Some(pending) = self.clients[at].pending.take() else { return };
        let (operate, start_us) = (&pending.operate, pending.attempt_us);
        judge.judge_reply(simulator, &Claim { operate, start_us, value: &value, receipt: &receipt, done });
        let record = &mut self.records[pending.record];
        match answer(&record.operation.action, &value) {
            Some(answer) => record.operation.outcome = Outcome::Done(answer),
            None => judge.accuse(now, Kind::WrongError, format!("{}: {value:?}", record.operation)),
        }
        record.operation.end = now;
        record.receipt = Some(receipt);
        self.clients[at].at_us = now + self.random.below(self.mix.think_us * 2 + 1);
    }

    /// An attempt ended without a result; `unknown` when it may have been applied.
    fn attempt_over(&mut self, at: usize, now_us: u64, unknown: bool) {
        let pause = 1_000 + self.random.below(self.mix.think_us * 2 + 1);
        let client = &mut self.clients[at];
        client.at_us = now_us + pause;
        let Some(pending) = &mut client.pending else { return };
        pending.ambiguous |= unknown;
        if let Some(call) = pending.call.take() {
            self.calls.remove(&call);
        }
        if pending.operate.batch.idempotency.is_some() && pending.tries < TRIES {
            return;
        }
        let operation = &mut self.records[pending.record].operation;
        operation.outcome = if pending.ambiguous { Outcome::Unknown } else { Outcome::Refused };
        operation.end = now_us;
        client.pending = None;
    }

    fn begin(&mut self, at: usize, simulator: &mut Simulator<Node>) {
        if self.random.chance(self.mix.transfers) {
            self.transfer(at, simulator);
            return;
        }
        let (key, action, words, want, idempotent) = self.draw();
        let now = simulator.now_us();
        let client = self.clients[at].id;
        let operation = Operation { client, key, action, outcome: Outcome::Unknown, start: now, end: u64::MAX };
        self.records.push(Record { operation, want, receipt: None });
        let record = self.records.len() - 1;
        let idempotency = idempotent.then(|| IdempotencyKey(Bytes::from(format!("op{record}"))));
        let batch =
            Batch { table: TableId(0), guards: Vec::new(), idempotency, commands: vec![words], transaction: false };
        let deadline_ms = self.mix.deadline_ms;
        let operate = Operate { batch, want, session: Session::default(), after_own_writes: false, deadline_ms };
        let node = self.targets[0];
        let pending = Pending { record, operate, call: None, node, attempt_us: now, tries: 0, ambiguous: false };
        self.clients[at].pending = Some(pending);
        self.attempt(at, simulator);
    }

    fn transfer(&mut self, at: usize, simulator: &mut Simulator<Node>) {
        let pick = |random: &mut Random, nodes: &[NodeId]| nodes[random.below(nodes.len() as u64) as usize];
        let (node, to) = (pick(&mut self.random, &self.targets), pick(&mut self.random, &self.targets));
        self.next_call += 1;
        simulator.call(simulator.now_us(), node, CallId(self.next_call), Request::Transfer { group: 0, to });
        self.clients[at].at_us = simulator.now_us() + self.mix.think_us;
    }

    fn attempt(&mut self, at: usize, simulator: &mut Simulator<Node>) {
        let now = simulator.now_us();
        let choice = self.random.below(self.targets.len() as u64) as usize;
        let client = &mut self.clients[at];
        let Some(pending) = &mut client.pending else { return };
        let first = pending.tries == 0;
        pending.node = client.home.filter(|home| first && self.targets.contains(home)).unwrap_or(self.targets[choice]);
        pending.tries += 1;
        pending.attempt_us = now;
        if simulator.machine(pending.node).is_none() {
            // The connection is refused: certainly not applied.
            return self.attempt_over(at, now, false);
        }
        self.next_call += 1;
        let call = CallId(self.next_call);
        pending.call = Some(call);
        pending.operate.session = client.session.clone();
        client.at_us = now + u64::from(self.mix.deadline_ms) * 1000 + PATIENCE_US;
        simulator.call(now, pending.node, call, Request::Operate(pending.operate.clone()));
        self.calls.insert(call, at);
    }

    fn draw(&mut self) -> (Bytes, Action, Words, Want, bool) {
        let mix = self.mix.clone();
        let random = &mut self.random;
        self.next_value += 1;
        let number = self.next_value;
        let mut want = Want::default();
        let which = random.below(mix.keys.max(1));
        let kind = if random.chance(mix.expiring) {
            'e'
        } else if random.chance(mix.additions) {
            'n'
        } else if random.chance(200) {
            'd'
        } else {
            'r'
        };
        let key = Bytes::from(format!("{kind}{which}"));
        let value = Bytes::from(format!("v{number}"));
        if random.chance(mix.reads) {
            want.level = match random.below(1000) {
                share if share < mix.session_reads => Level::Session,
                share if share < mix.session_reads + mix.eventual_reads => Level::Eventual,
                _ => Level::Linearizable,
            };
            return (key.clone(), Action::Read, words(&[b"GET", &key]), want, false);
        }
        want.ack = if random.chance(mix.all_acks) { Ack::All } else { Ack::Majority };
        let (action, words) = match (kind, random.below(10)) {
            ('e', _) => {
                let time = (20 + random.below(200)).to_string();
                (Action::Write(value.clone()), words(&[b"SET", &key, &value, b"PX", time.as_bytes()]))
            }
            ('n', _) => {
                // Few different amounts: additions of unknown outcome can then be told apart only where it matters.
                let by = [1, 1, 10][random.below(3) as usize];
                (Action::Add(by), words(&[b"INCRBY", &key, by.to_string().as_bytes()]))
            }
            ('d', 4..=6) => (Action::Delete, words(&[b"DEL", &key])),
            ('d', 7..=9) => (Action::Cas(None, value.clone()), words(&[b"SETNX", &key, &value])),
            (_, 0..=1) => (Action::Swap(value.clone()), words(&[b"GETSET", &key, &value])),
            (_, 2..=3) => {
                let last = self.records.iter().rev().find(|record| record.operation.key == key);
                let old = last.and_then(|record| match (&record.operation.action, &record.operation.outcome) {
                    (Action::Write(value) | Action::Swap(value), _) => Some(value.clone()),
                    (Action::Read, Outcome::Done(Answer::Value(value))) => value.clone(),
                    _ => None,
                });
                let old = old.unwrap_or(Bytes::from_static(b"nobody wrote this"));
                (Action::Cas(Some(old.clone()), value.clone()), words(&[b"CAS", &key, &old, &value]))
            }
            _ => {
                if random.chance(mix.weak_acks * 2) {
                    want.ack = if random.chance(500) { Ack::Leader } else { Ack::One };
                }
                (Action::Write(value.clone()), words(&[b"SET", &key, &value]))
            }
        };
        let idempotent = want.ack >= Ack::Majority && random.chance(mix.idempotent);
        (key, action, words, want, idempotent)
    }

    /// What the checkers of histories say.
    pub fn judge_history(&self, judge: &mut Judge, at_us: u64) {
        if let Some(lost) = self.read_from_nowhere() {
            judge.accuse(at_us, Kind::ReadFromNowhere, lost);
        }
        match register::check(&self.register_history(), register::BUDGET) {
            Verdict::Valid => {}
            Verdict::Invalid(witness) => {
                judge.accuse(at_us, Kind::NotLinearizable(witness.reason), witness.to_string());
            }
            Verdict::Unknown(key) => {
                judge.accuse(at_us, Kind::Undecided, format!("key {}", String::from_utf8_lossy(&key)));
            }
        }
        let events = self.session_events();
        if let Some((broken, at)) = session::check(&events) {
            let session = events[at].session;
            let seen = events[..=at].iter().filter(|event| event.session == session && event.key == events[at].key);
            let tail: Vec<String> = seen.map(|event| format!("  {event:?}")).collect();
            let from = tail.len().saturating_sub(6);
            judge.accuse(at_us, Kind::Session(broken), tail[from..].join("\n"));
        }
    }

    /// The operations that must be linearizable. A write that was acknowledged by less than a majority may be lost, or
    /// may take effect later.
    pub fn register_history(&self) -> Vec<Operation> {
        let linearizable = |record: &&Record| {
            let read = record.operation.action == Action::Read;
            !record.operation.key.starts_with(b"e") && (!read || record.want.level == Level::Linearizable)
        };
        let weaken = |record: &Record| {
            let mut operation = record.operation.clone();
            if matches!(record.receipt.map(|receipt| receipt.met()), Some(Met::Write(ack)) if ack < Some(Ack::Majority))
            {
                operation.outcome = Outcome::Unknown;
            }
            operation
        };
        self.records.iter().filter(linearizable).map(weaken).collect()
    }

    fn session_events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for record in self.records.iter().filter(|record| record.operation.key.starts_with(b"r")) {
            let (Some(receipt), Outcome::Done(answer)) = (record.receipt, &record.operation.outcome) else { continue };
            let did = match (receipt.met(), record.want.level) {
                (Met::Write(ack), _) if ack >= Some(Ack::Majority) => Did::Write(receipt.position().index),
                (Met::Write(_), _) => continue,
                (Met::Read(_), Level::Eventual) => Did::Glance,
                (Met::Read(_), Level::Session | Level::Linearizable) => Did::Read,
            };
            let value = match (&record.operation.action, answer) {
                (Action::Read, Answer::Value(value)) => value.clone(),
                (Action::Write(value) | Action::Swap(value), _) => Some(value.clone()),
                (Action::Cas(_, value), Answer::Took(true)) => Some(value.clone()),
                _ => continue,
            };
            events.push(Event { session: record.operation.client, key: record.operation.key.clone(), did, value });
        }
        events
    }

    /// Every read, of any level, gives a value that somebody wrote by then.
    fn read_from_nowhere(&self) -> Option<String> {
        let operations = || self.records.iter().map(|record| &record.operation);
        let mut written: BTreeSet<(&Bytes, &Bytes)> = BTreeSet::new();
        for operation in operations().filter(|operation| operation.outcome != Outcome::Refused) {
            match &operation.action {
                Action::Write(value) | Action::Swap(value) | Action::Cas(_, value) => {
                    written.insert((&operation.key, value));
                }
                Action::Read | Action::Delete | Action::Add(_) => {}
            }
        }
        let lost = operations().find(|operation| match &operation.outcome {
            Outcome::Done(Answer::Value(Some(value))) => {
                !operation.key.starts_with(b"n") && !written.contains(&(&operation.key, value))
            }
            _ => false,
        });
        lost.map(|operation| operation.to_string())
    }
}

fn words(words: &[&[u8]]) -> Words {
    words.iter().map(|word| Bytes::copy_from_slice(word)).collect()
}

/// What a value in a reply says about an action; `None` if it cannot be the reply to it.
pub fn answer(action: &Action, value: &Value) -> Option<Answer> {
    Some(match (action, value) {
        (Action::Read | Action::Swap(_), Value::Nil) => Answer::Value(None),
        (Action::Read | Action::Swap(_), Value::Bulk(value)) => Answer::Value(Some(value.clone())),
        (Action::Write(_), Value::Status(_)) => Answer::Written,
        (Action::Add(_), Value::Int(sum)) => Answer::Number(*sum),
        (Action::Delete | Action::Cas(..), Value::Int(took @ (0 | 1))) => Answer::Took(*took == 1),
        _ => return None,
    })
}
