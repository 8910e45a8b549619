//! Clients of leaderless tables: they make the tables, then read and write with quorums, levels and sessions of every kind, hand back
//! what they saw, and write down what they hear. They have a random stream of their own, so a run without them is as it was.

mod disks;
mod draw;
mod history;
mod operator;
mod record;

pub use draw::{Mix, Table};
pub use record::{Asked, Record, Shown, Told, shown};

use self::disks::Disks;
use self::operator::Operator;
use crate::digest::Digest;
use crate::judge::{Claim, Judge};
use crate::simulator::Simulator;
use bytes::Bytes;
use quorate_core::guarantee::{Session, Want};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::node::Node;
use quorate_core::operation::{Batch, IdempotencyKey, Operate, Outcome, Refusal, Reply, Request, TableId, Words};
use quorate_core::random::Random;
use std::collections::{BTreeMap, BTreeSet};

/// How long a client waits beyond its deadline before it gives up, in microseconds.
const PATIENCE_US: u64 = 500_000;
/// Attempts of what may be repeated.
const TRIES: u32 = 4;
/// The numbers of their calls, apart from those of the other clients.
const FIRST_CALL: u64 = 1 << 40;

/// What a client read of a register last: the token, and the values that it stands for.
#[derive(Clone, Debug)]
struct Seen {
    token: Bytes,
    values: BTreeSet<Bytes>,
}

struct Client {
    at_us: u64,
    token: Session,
    session: u32,
    seen: BTreeMap<(usize, Bytes), Seen>,
    pending: Option<Pending>,
}

struct Pending {
    /// Its place in the records; none while a table is made.
    record: Option<usize>,
    operate: Operate,
    call: Option<CallId>,
    node: NodeId,
    /// When the attempt is given up, or the next one begins.
    at_us: u64,
    attempt_us: u64,
    /// An attempt had an unknown outcome.
    ambiguous: bool,
}

/// All clients of the leaderless tables of a run.
pub struct Clients {
    /// The nodes that clients talk to.
    pub targets: Vec<NodeId>,
    mix: Mix,
    random: Random,
    clients: Vec<Client>,
    records: Vec<Record>,
    calls: BTreeMap<CallId, usize>,
    /// The tables that were made, in the order of the mix.
    made: Vec<TableId>,
    next_session: u32,
    next_call: u64,
    next_value: u64,
    operator: Operator,
    disks: Disks,
    stopped: bool,
}

impl Clients {
    /// Clients that talk to these nodes.
    pub fn new(mix: Mix, targets: Vec<NodeId>, seed: u64) -> Clients {
        let mut random = Random::new(Digest::of(&(seed, "replicas")));
        let client = |session| Client {
            at_us: random.below(mix.think_us.max(1) * 4),
            token: Session::default(),
            session,
            seen: BTreeMap::new(),
            pending: None,
        };
        let clients = (0..mix.clients).map(client).collect();
        Clients {
            operator: Operator::new(mix.move_us, &targets, seed),
            disks: Disks::new(mix.lose_us, seed),
            targets,
            next_session: mix.clients,
            mix,
            random,
            clients,
            records: Vec::new(),
            calls: BTreeMap::new(),
            made: Vec::new(),
            next_call: FIRST_CALL,
            next_value: 0,
            stopped: false,
        }
    }

    /// What happened so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }
    /// The tables that were made, with what was drawn for them.
    pub fn tables(&self) -> impl Iterator<Item = (TableId, &Table)> {
        self.made.iter().copied().zip(&self.mix.tables)
    }
    /// Each key that somebody wrote or read, and the parts of those that are split.
    pub fn keys(&self) -> BTreeSet<(TableId, Bytes)> {
        let keys = self.records.iter().map(|record| (record.table, &record.key)).collect::<BTreeSet<_>>();
        let kept = |(table, key): (usize, &Bytes)| {
            let id = self.made.get(table).copied();
            let kept = self.mix.tables[table].kept(key).into_iter();
            kept.filter_map(move |key| Some((id?, key)))
        };
        keys.into_iter().flat_map(kept).collect()
    }
    /// When a client acts next.
    pub fn next_at(&self) -> Option<u64> {
        let at = |client: &Client| match &client.pending {
            Some(pending) => Some(pending.at_us),
            None => (!self.stopped).then_some(client.at_us),
        };
        let others = self.operator.next_at().into_iter().chain(self.disks.next_at());
        let others = others.filter(|_| !self.stopped && self.all_made());
        self.clients.iter().filter_map(at).chain(others).min()
    }
    /// Clients begin nothing new.
    pub fn stop(&mut self) {
        self.stopped = true;
    }
    /// Data stay where they are from now on, and so do disks.
    pub fn keep_still(&mut self) {
        self.operator.rest();
        self.disks.rest();
    }
    /// Clients go on.
    pub fn go_on(&mut self) {
        self.stopped = false;
    }
    /// Is nothing under way?
    pub fn is_idle(&self) -> bool {
        self.clients.iter().all(|client| client.pending.is_none())
    }
    /// Was every table made?
    pub fn all_made(&self) -> bool {
        self.made.len() == self.mix.tables.len()
    }

    /// Clients whose time has come act.
    pub fn act(&mut self, simulator: &mut Simulator<Node>) {
        let now = simulator.now_us();
        if !self.stopped && self.all_made() {
            self.operator.act(simulator, &mut self.next_call);
            if let Some(node) = self.disks.act(simulator)
                && self.operator.replace(simulator, node, &mut self.next_call)
            {
                // When the log will say so nobody knows, and a replica counts as lost from then on.
                self.disks.rest();
            }
        }
        for at in 0..self.clients.len() {
            let client = &self.clients[at];
            match &client.pending {
                None if client.at_us <= now && !self.stopped => self.begin(at, simulator),
                Some(pending) if pending.at_us <= now && pending.call.is_some() => self.over(at, now, true),
                Some(pending) if pending.at_us <= now => self.attempt(at, simulator),
                None | Some(_) => {}
            }
        }
    }

    /// A node crashed: who waits for it sees the connection close.
    pub fn crashed(&mut self, now_us: u64, node: NodeId) {
        for at in 0..self.clients.len() {
            let waits = |pending: &Pending| pending.call.is_some() && pending.node == node;
            if self.clients[at].pending.as_ref().is_some_and(waits) {
                self.over(at, now_us, true);
            }
        }
    }

    /// A client hears an answer. False if it is for none of these.
    pub fn hear(&mut self, call: CallId, reply: &Reply, simulator: &Simulator<Node>, judge: &mut Judge) -> bool {
        if call.0 < FIRST_CALL {
            return false;
        }
        let (Some(at), Reply::Operated { outcome, session, seen }) = (self.calls.remove(&call), reply) else {
            return true;
        };
        self.clients[at].token.merge(session);
        let now = simulator.now_us();
        match outcome {
            Outcome::Done { .. } | Outcome::Short { .. } => self.done(at, outcome, seen.clone(), simulator, judge),
            Outcome::Refused(refusal) => {
                if *refusal == Refusal::Behind && self.random.chance(500) {
                    self.forget_session(at);
                }
                self.over(at, now, false);
            }
            Outcome::Unknown(_) => self.over(at, now, true),
        }
        true
    }

    /// The client is another from now on: what it saw nobody may find again.
    fn forget_session(&mut self, at: usize) {
        self.clients[at].token = Session::default();
        self.clients[at].session = self.next_session;
        self.next_session += 1;
    }

    fn done(
        &mut self,
        at: usize,
        outcome: &Outcome,
        seen: Option<Bytes>,
        simulator: &Simulator<Node>,
        judge: &mut Judge,
    ) {
        let (Outcome::Done { value, receipt } | Outcome::Short { value, receipt }) = outcome else { return };
        let Some(pending) = self.clients[at].pending.take() else { return };
        let now = simulator.now_us();
        self.rest(at, now);
        let Some(place) = pending.record else { return self.table_made(simulator) };
        let done = matches!(outcome, Outcome::Done { .. });
        let (operate, start_us) = (&pending.operate, pending.attempt_us);
        judge.judge_reply(simulator, &Claim { operate, start_us, value, receipt, done });
        let record = &mut self.records[place];
        record.hear(value, receipt, now, judge);
        let (table, key) = (record.table, record.key.clone());
        if let (Told::Shown(Shown::Values(values)), Some(token)) = (&record.told, seen) {
            let seen = Seen { token, values: values.clone() };
            self.clients[at].seen.insert((table, key.clone()), seen);
        }
        if let Some(id) = self.made.get(table) {
            self.mix.tables[table].kept(&key).iter().for_each(|key| judge.judge_replicas(simulator, *id, key));
        }
    }

    /// A client begins something else after a pause.
    fn rest(&mut self, at: usize, now_us: u64) {
        self.clients[at].at_us = now_us + self.random.below(self.mix.think_us * 2 + 1);
    }

    /// An attempt ended without a result; `unknown` when it may have been applied.
    fn over(&mut self, at: usize, now_us: u64, unknown: bool) {
        let pause = 1_000 + self.random.below(self.mix.think_us * 2 + 1);
        let Some(pending) = self.clients[at].pending.as_mut() else { return };
        pending.ambiguous |= unknown;
        if let Some(call) = pending.call.take() {
            self.calls.remove(&call);
        }
        let again = match pending.record.map(|place| &self.records[place]) {
            None => true,
            // Only what is safe to repeat is repeated, and only if it may not have been applied.
            Some(record) => unknown && record.may_be_repeated() && record.attempts < TRIES,
        };
        if again && !(pending.record.is_none() && self.stopped) {
            pending.at_us = now_us + pause;
            return;
        }
        let ambiguous = pending.ambiguous;
        if let Some(place) = pending.record {
            let record = &mut self.records[place];
            record.told = if ambiguous { Told::Unknown } else { Told::Refused };
            record.end = now_us;
        }
        self.clients[at].pending = None;
        self.rest(at, now_us);
    }

    fn begin(&mut self, at: usize, simulator: &mut Simulator<Node>) {
        let now = simulator.now_us();
        let (record, batch, want, seen) = if self.all_made() {
            let drawn = self.draw(at);
            let id = self.made[drawn.table];
            let (client, session) = (at as u32, self.clients[at].session);
            let record = Record::new((client, session), drawn.table, drawn.key, drawn.asked, drawn.want, now);
            let idempotency = drawn.name.clone().map(IdempotencyKey);
            self.records.push(Record { name: drawn.name, ..record });
            let batch = Batch { idempotency, ..one(id, drawn.words) };
            (Some(self.records.len() - 1), batch, drawn.want, drawn.seen)
        } else if at == 0 {
            let words = self.mix.tables[self.made.len()].words(&self.name());
            (None, one(TableId::default(), words), Want::default(), None)
        } else {
            return self.rest(at, now);
        };
        let (deadline_ms, session) = (self.mix.deadline_ms, Session::default());
        let operate = Operate { batch, want, session, seen, after_own_writes: false, deadline_ms };
        let node = self.targets[0];
        self.clients[at].pending =
            Some(Pending { record, operate, call: None, node, at_us: now, attempt_us: now, ambiguous: false });
        self.attempt(at, simulator);
    }

    /// The name of the table that is made next.
    fn name(&self) -> String {
        format!("t{}", self.made.len())
    }

    /// The table that was asked for is there, made by this attempt or by one before it, once a node says so.
    fn table_made(&mut self, simulator: &Simulator<Node>) {
        let name = self.name();
        let mut machines = simulator.nodes().filter_map(|node| simulator.machine(node));
        self.made.extend(machines.find_map(|machine| machine.catalogue().find(&name).map(|(id, _)| id)));
    }

    fn attempt(&mut self, at: usize, simulator: &mut Simulator<Node>) {
        let now = simulator.now_us();
        let node = self.targets[self.random.below(self.targets.len() as u64) as usize];
        let client = &mut self.clients[at];
        let Some(pending) = client.pending.as_mut() else { return };
        (pending.node, pending.attempt_us) = (node, now);
        if let Some(record) = pending.record {
            self.records[record].attempts += 1;
        }
        if simulator.machine(node).is_none() {
            // The connection is refused: certainly not applied.
            return self.over(at, now, false);
        }
        self.next_call += 1;
        let call = CallId(self.next_call);
        pending.call = Some(call);
        pending.operate.session = client.token.clone();
        pending.at_us = now + u64::from(self.mix.deadline_ms) * 1000 + PATIENCE_US;
        simulator.call(now, node, call, Request::Operate(pending.operate.clone()));
        self.calls.insert(call, at);
    }
}

fn one(table: TableId, words: Words) -> Batch {
    Batch { table, guards: Vec::new(), idempotency: None, commands: vec![words], transaction: false }
}
