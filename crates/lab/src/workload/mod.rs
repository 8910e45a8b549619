//! Clients: sessions that ask random nodes for random things, retry under idempotency keys, and write down what they hear.

mod draw;
mod history;
mod meaning;

pub use meaning::{Shape, answer};

use crate::check::{Action, Answer, Operation, Outcome};
use crate::digest::Digest;
use crate::judge::elements::Told;
use crate::judge::{Claim, Judge};
use crate::simulator::Simulator;
use bytes::Bytes;
use draw::{Drawn, Wanted};
use meaning::{Meaning, meaning};
use quorate_core::consensus::{Group, Payload};
use quorate_core::guarantee::{Level, Receipt, Session, Want};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::node::Node;
use quorate_core::operation::Outcome as Heard;
use quorate_core::operation::{IdempotencyKey, Operate, Reply, Request};
use quorate_core::random::Random;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Requests that change the members of group 0, among all operations.
    #[serde(default)]
    pub members: u64,
    /// Writes under a guard among writes to registers, and reads with the version among reads.
    #[serde(default)]
    pub guards: u64,
    /// Transactions on several keys, among all operations on registers.
    #[serde(default)]
    pub transactions: u64,
    /// Operations on a table that lies in all groups, among all operations.
    #[serde(default)]
    pub gathers: u64,
    /// Pipelines of several operations, among all that clients begin.
    #[serde(default)]
    pub pipelines: u64,
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
            members: 0,
            guards: 200,
            transactions: 150,
            gathers: 100,
            pipelines: 100,
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
    /// How it was put into words.
    pub shape: Shape,
    /// What was heard of the table of elements.
    pub told: Told,
    /// The version that was read with the value.
    pub read_version: Option<u64>,
    /// The pipeline that it is part of.
    pub pipeline: Option<u64>,
    /// It has an idempotency key.
    pub idempotent: bool,
    /// The hash of the entry that carries it.
    pub carried: u64,
}

impl Record {
    /// The value of a key at a version, as this operation surely knows it.
    fn version(&self) -> Option<(u64, &Bytes)> {
        let receipt = self.receipt.as_ref()?;
        let written = |value| (!self.may_be_lost()).then_some((receipt.position().index, value));
        match (&self.operation.action, &self.operation.outcome) {
            (Action::Read, Outcome::Done(Answer::Value(Some(value)))) => Some((self.read_version?, value)),
            (Action::Write(value) | Action::Swap(value), Outcome::Done(_))
            | (Action::Cas(_, value), Outcome::Done(Answer::Took(true))) => written(value),
            _ => None,
        }
    }
}

struct Pending {
    operate: Operate,
    /// The call of the attempt that is under way.
    call: Option<CallId>,
    node: NodeId,
    /// When the attempt is given up, or the next one begins.
    at_us: u64,
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
    /// By the place in the records, so in the order of sending.
    pending: BTreeMap<usize, Pending>,
}

/// All clients of a run.
pub struct Workload {
    /// The nodes that clients talk to.
    pub targets: Vec<NodeId>,
    /// Links keep order, as the node's transport does; the order of pipelines is promised only then.
    pub links_keep_order: bool,
    mix: Mix,
    random: Random,
    clients: Vec<Client>,
    records: Vec<Record>,
    /// The client and record of each call.
    calls: BTreeMap<CallId, (usize, usize)>,
    /// The values that keys had at versions, as clients heard.
    versions: BTreeMap<Bytes, BTreeMap<u64, Bytes>>,
    next_pipeline: u64,
    next_call: u64,
    next_value: u64,
    stopped: bool,
}

/// How long a client waits beyond its deadline before it gives up, in microseconds.
const PATIENCE_US: u64 = 500_000;
/// The longest time after which a key expires that clients ask for, in milliseconds.
pub const LONGEST_EXPIRY_MS: u64 = 220;
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
                pending: BTreeMap::new(),
            })
            .collect();
        Workload {
            targets,
            links_keep_order: true,
            mix,
            random,
            clients,
            records: Vec::new(),
            calls: BTreeMap::new(),
            versions: BTreeMap::new(),
            next_pipeline: 0,
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
        let begins = |client: &&Client| client.pending.is_empty() && !self.stopped;
        let idle = self.clients.iter().filter(begins).map(|client| client.at_us);
        let pending = self.clients.iter().flat_map(|client| client.pending.values().map(|pending| pending.at_us));
        idle.chain(pending).min()
    }
    /// Clients no longer change members.
    pub fn keep_members(&mut self) {
        self.mix.members = 0;
    }
    /// Clients begin nothing new.
    pub fn stop(&mut self) {
        self.stopped = true;
    }
    /// Is nothing under way?
    pub fn is_idle(&self) -> bool {
        self.clients.iter().all(|client| client.pending.is_empty())
    }

    /// Clients whose time has come act.
    pub fn act(&mut self, simulator: &mut Simulator<Node>) {
        let now = simulator.now_us();
        for at in 0..self.clients.len() {
            let client = &self.clients[at];
            if client.pending.is_empty() && client.at_us <= now && !self.stopped {
                self.begin(at, simulator);
                continue;
            }
            let due = client.pending.iter().filter(|(_, pending)| pending.at_us <= now);
            for (record, waits) in due.map(|(&record, it)| (record, it.call.is_some())).collect::<Vec<_>>() {
                if waits {
                    self.attempt_over(at, record, now, true);
                } else {
                    self.attempt(at, record, simulator);
                }
            }
        }
    }

    /// A node crashed: who waits for it sees the connection close.
    pub fn crashed(&mut self, now_us: u64, node: NodeId) {
        for at in 0..self.clients.len() {
            let waits = |pending: &Pending| pending.call.is_some() && pending.node == node;
            let pending = self.clients[at].pending.iter().filter(|(_, pending)| waits(pending));
            for record in pending.map(|(&record, _)| record).collect::<Vec<_>>() {
                self.attempt_over(at, record, now_us, true);
            }
        }
    }

    /// Clients hear the answers that arrived.
    pub fn hear(&mut self, simulator: &mut Simulator<Node>, judge: &mut Judge) {
        for answered in std::mem::take(&mut simulator.answers) {
            let Some((at, record)) = self.calls.remove(&answered.call) else { continue };
            if let Reply::Operated { outcome, session, seen: _ } = answered.reply {
                self.clients[at].session.merge(&session);
                self.heard(at, record, outcome, simulator, judge);
            }
        }
    }

    fn heard(&mut self, at: usize, place: usize, outcome: Heard, simulator: &Simulator<Node>, judge: &mut Judge) {
        let now = simulator.now_us();
        let (value, receipt, done) = match outcome {
            Heard::Done { value, receipt } => (value, receipt, true),
            Heard::Short { value, receipt } => (value, receipt, false),
            Heard::Refused(_) => return self.attempt_over(at, place, now, false),
            Heard::Unknown(_) => return self.attempt_over(at, place, now, true),
        };
        let Some(pending) = self.clients[at].pending.remove(&place) else { return };
        let (operate, start_us) = (&pending.operate, pending.attempt_us);
        judge.judge_reply(simulator, &Claim { operate, start_us, value: &value, receipt: &receipt, done });
        let record = &mut self.records[place];
        match meaning(&record.shape, &record.operation.action, &value) {
            Ok(Meaning { answer, told, version }) => {
                record.operation.outcome = answer.map_or(Outcome::Unknown, Outcome::Done);
                (record.told, record.read_version) = (told, version);
            }
            Err(kind) => judge.accuse(now, kind, format!("{}: {value:?}", record.operation)),
        }
        record.operation.end = now;
        record.receipt = Some(receipt);
        if let Some((version, value)) = record.version() {
            let (key, value) = (record.operation.key.clone(), value.clone());
            self.versions.entry(key).or_default().insert(version, value);
        }
        self.rest(at, now);
    }

    /// A client that has nothing under way begins something else after a pause.
    fn rest(&mut self, at: usize, now_us: u64) {
        if self.clients[at].pending.is_empty() {
            self.clients[at].at_us = now_us + self.random.below(self.mix.think_us * 2 + 1);
        }
    }

    /// An attempt ended without a result; `unknown` when it may have been applied.
    fn attempt_over(&mut self, at: usize, place: usize, now_us: u64, unknown: bool) {
        let pause = 1_000 + self.random.below(self.mix.think_us * 2 + 1);
        let Some(pending) = self.clients[at].pending.get_mut(&place) else { return };
        pending.ambiguous |= unknown;
        if let Some(call) = pending.call.take() {
            self.calls.remove(&call);
        }
        let record = &mut self.records[place];
        // A repetition would stand outside of the order of its pipeline.
        let repeats = pending.operate.batch.idempotency.is_some() && record.pipeline.is_none();
        if repeats && pending.tries < TRIES {
            pending.at_us = now_us + pause;
            return;
        }
        record.operation.outcome = if pending.ambiguous { Outcome::Unknown } else { Outcome::Refused };
        record.told = if pending.ambiguous { Told::Unknown } else { Told::Refused };
        record.operation.end = now_us;
        self.clients[at].pending.remove(&place);
        self.rest(at, now_us);
    }

    fn begin(&mut self, at: usize, simulator: &mut Simulator<Node>) {
        if self.random.chance(self.mix.transfers) {
            self.transfer(at, simulator);
        } else if self.mix.members > 0 && self.random.chance(self.mix.members) {
            self.change_members(at, simulator);
        } else if self.random.chance(self.mix.pipelines) {
            self.begin_pipeline(at, simulator);
        } else {
            let drawn = self.draw(Wanted::Anything);
            let record = self.enter(at, drawn, None, false, simulator.now_us());
            self.attempt(at, record, simulator);
        }
    }

    /// Writes, then reads, sent at once to one node. The reads say that writes before them are still unanswered.
    fn begin_pipeline(&mut self, at: usize, simulator: &mut Simulator<Node>) {
        let (writes, reads) = (1 + self.random.below(4), self.random.below(4));
        let pipeline = Some(self.next_pipeline);
        self.next_pipeline += 1;
        let node = self.choose(at, true);
        for place in 0..writes + reads {
            let write = place < writes;
            let mut drawn = self.draw(if write { Wanted::Write } else { Wanted::Read });
            drawn.want.level = Some(Level::Linearizable);
            let record = self.enter(at, drawn, pipeline, place > 0, simulator.now_us());
            self.attempt_at(at, record, node, simulator);
        }
    }

    /// Writes down what is asked, before it is asked.
    fn enter(&mut self, at: usize, drawn: Drawn, pipeline: Option<u64>, after_own_writes: bool, now_us: u64) -> usize {
        let Drawn { key, action, shape, mut batch, want, idempotent } = drawn;
        let client = self.clients[at].id;
        let operation = Operation { client, key, action, outcome: Outcome::Unknown, start: now_us, end: u64::MAX };
        let record = self.records.len();
        batch.idempotency = idempotent.then(|| IdempotencyKey(Bytes::from(format!("op{record}"))));
        let bytes = postcard::to_allocvec(&batch).expect("batches always encode");
        let carried = Digest::of(&Payload::Batch(Bytes::from(bytes)));
        let (receipt, told, read_version) = (None, Told::Unknown, None);
        self.records.push(Record {
            operation,
            want,
            receipt,
            shape,
            told,
            read_version,
            pipeline,
            idempotent,
            carried,
        });
        let deadline_ms = self.mix.deadline_ms;
        let operate = Operate { batch, want, session: Session::default(), seen: None, after_own_writes, deadline_ms };
        let (node, at_us, attempt_us) = (self.targets[0], now_us, now_us);
        let pending = Pending { operate, call: None, node, at_us, attempt_us, tries: 0, ambiguous: false };
        self.clients[at].pending.insert(record, pending);
        record
    }

    fn transfer(&mut self, at: usize, simulator: &mut Simulator<Node>) {
        let pick = |random: &mut Random, nodes: &[NodeId]| nodes[random.below(nodes.len() as u64) as usize];
        let (node, to) = (pick(&mut self.random, &self.targets), pick(&mut self.random, &self.targets));
        self.next_call += 1;
        simulator.call(simulator.now_us(), node, CallId(self.next_call), Request::Transfer { group: 0, to });
        self.clients[at].at_us = simulator.now_us() + self.mix.think_us;
    }

    /// Asks a node that leads, as only that can, for members drawn anew from all nodes.
    fn change_members(&mut self, at: usize, simulator: &mut Simulator<Node>) {
        let nodes: Vec<NodeId> = simulator.nodes().collect();
        let (mut voters, mut learners) = (Vec::new(), Vec::new());
        for &node in &nodes {
            match self.random.below(10) {
                0..6 => voters.push(node),
                6..8 => learners.push(node),
                _ => {}
            }
        }
        let leads = |node: &NodeId| simulator.machine(*node).and_then(|it| it.group(0)).is_some_and(Group::leads);
        let leaders: Vec<NodeId> = nodes.into_iter().filter(leads).collect();
        if !leaders.is_empty() {
            let leader = leaders[self.random.below(leaders.len() as u64) as usize];
            self.next_call += 1;
            let request = Request::ChangeMembers { group: 0, voters, learners };
            simulator.call(simulator.now_us(), leader, CallId(self.next_call), request);
        }
        self.clients[at].at_us = simulator.now_us() + self.mix.think_us;
    }

    /// The node that a client asks: its own at first, if it has one.
    fn choose(&mut self, at: usize, first: bool) -> NodeId {
        let choice = self.random.below(self.targets.len() as u64) as usize;
        let home = self.clients[at].home.filter(|home| first && self.targets.contains(home));
        home.unwrap_or(self.targets[choice])
    }

    fn attempt(&mut self, at: usize, record: usize, simulator: &mut Simulator<Node>) {
        let first = self.clients[at].pending.get(&record).is_some_and(|pending| pending.tries == 0);
        let node = self.choose(at, first);
        self.attempt_at(at, record, node, simulator);
    }

    fn attempt_at(&mut self, at: usize, record: usize, node: NodeId, simulator: &mut Simulator<Node>) {
        let now = simulator.now_us();
        let client = &mut self.clients[at];
        let Some(pending) = client.pending.get_mut(&record) else { return };
        pending.node = node;
        pending.tries += 1;
        pending.attempt_us = now;
        if simulator.machine(node).is_none() {
            // The connection is refused: certainly not applied.
            return self.attempt_over(at, record, now, false);
        }
        self.next_call += 1;
        let call = CallId(self.next_call);
        pending.call = Some(call);
        pending.operate.session = client.session.clone();
        pending.at_us = now + u64::from(self.mix.deadline_ms) * 1000 + PATIENCE_US;
        simulator.call(now, node, call, Request::Operate(pending.operate.clone()));
        self.calls.insert(call, (at, record));
    }
}
