//! The stage on which a script plays: one cluster at a time, its clients, and a judge.

use super::command::{self, Command};
use super::{Casting, Played};
use super::{replicas, tables};
use crate::check::register::{self, Verdict};
use crate::check::session::{self, Did};
use crate::check::{Action, Answer, Operation, Outcome};
use crate::digest::Digest;
use crate::failure::{Failure, Kind};
use crate::fault::{Fault, parse_time};
use crate::judge::Claim;
use crate::recording::{Recording, least_level};
use crate::simulator::{Habits, Weather};
use crate::vopr::{self, Options, mutant_named};
use crate::workload::{Mix, answer};
use crate::world::World;
use quorate_core::consensus::{Group, Payload};
use quorate_core::guarantee::{Level, Met, NodeSet, Path, Receipt, Session};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::operation::{Batch, IdempotencyKey, Operate, Outcome as Heard, Reply, Request, TableId, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

mod health;

/// How long a command may take, in microseconds.
const PATIENCE_US: u64 = 10_000_000;
/// How much faster the clock of a node runs that is to be elected, in parts in a million.
const ELECT_PPM: i64 = 4_000_000;
/// While it does not lead, the leader is asked this often to hand over, in microseconds.
const ASK_US: u64 = 60_000;

struct Asked {
    operate: Operate,
    start_us: u64,
    operation: usize,
    session: Option<String>,
    said: Option<String>,
}

/// An operation in the history of a script.
pub(super) struct Entry {
    pub(super) operation: Operation,
    /// Must it be explained? A weaker read need not be linearizable.
    pub(super) checked: bool,
    pub(super) level: Level,
    pub(super) session: Option<String>,
}

/// One cluster, its clients, and a judge.
pub struct Stage {
    mutant: Option<String>,
    trace: bool,
    world: Option<World>,
    asked: BTreeMap<CallId, Asked>,
    /// Requests besides operations whose answer is waited for, and what was answered.
    errands: BTreeMap<CallId, Option<String>>,
    pub(super) aliases: BTreeMap<String, CallId>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) history: Vec<Entry>,
    /// Calls for leaderless tables.
    pub(super) replicas: replicas::Calls,
    /// The operations with an idempotency key: attempts under one key are one operation.
    attempts: BTreeMap<(bytes::Bytes, u64), usize>,
    /// Keys that expire, so that their history is not one of a plain register.
    expiring: BTreeSet<bytes::Bytes>,
    blind_to_receipts: bool,
    /// What the sessions of the script did.
    events: Vec<session::Event>,
    pub(super) next_call: u64,
    /// Calls about tables, and what was said to them.
    pub(super) about_tables: BTreeMap<CallId, Option<String>>,
    failure: Option<Failure>,
    steps: u64,
    digests: Vec<u64>,
    lines: Vec<String>,
    recording: Recording,
}

pub(super) type Said = Result<Vec<String>, String>;

impl Stage {
    /// An empty stage.
    pub fn new(casting: &Casting<'_>) -> Stage {
        let Casting { mutant, trace, blind_to_receipts } = *casting;
        Stage {
            mutant: mutant.map(str::to_string),
            trace,
            world: None,
            asked: BTreeMap::new(),
            aliases: BTreeMap::new(),
            errands: BTreeMap::new(),
            sessions: BTreeMap::new(),
            history: Vec::new(),
            replicas: replicas::Calls::default(),
            attempts: BTreeMap::new(),
            expiring: BTreeSet::new(),
            blind_to_receipts,
            events: Vec::new(),
            next_call: 0,
            about_tables: BTreeMap::new(),
            failure: None,
            steps: 0,
            digests: Vec::new(),
            lines: Vec::new(),
            recording: Recording::default(),
        }
    }

    /// Does one command and says what came of it.
    pub fn perform(&mut self, command: &str) -> Vec<String> {
        let done = catch_unwind(AssertUnwindSafe(|| self.dispatch(command)));
        match done {
            Ok(Ok(lines)) => lines,
            Ok(Err(error)) => vec![format!("error: {error}")],
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_string();
                let line = format!("the node fails an assertion: {text}");
                if let Some(world) = &mut self.world {
                    world.judge.accuse(world.simulator.now_us(), Kind::Assertion, text);
                }
                vec![line]
            }
        }
    }

    /// Leaves the stage.
    pub fn finish(mut self, text: String) -> Played {
        self.close();
        let digest = Digest::of(&self.digests);
        let Stage { failure, steps, lines: trace, recording, .. } = self;
        Played { text, failure, steps, digest, trace, recording }
    }

    fn close(&mut self) {
        if let Some(mut world) = self.world.take() {
            if self.failure.is_none() {
                self.failure = world.judge.failure().cloned();
                self.recording = Recording {
                    operations: self.told(least_level(self.failure.as_ref())),
                    faults: std::mem::take(&mut world.simulator.struck),
                    end_us: world.simulator.now_us(),
                };
            }
            self.steps += world.simulator.steps();
            self.digests.push(world.simulator.digest());
            self.lines.append(&mut world.simulator.trace.take().unwrap_or_default());
        }
        self.asked.clear();
        self.aliases.clear();
        self.errands.clear();
        self.sessions.clear();
        self.history.clear();
        self.attempts.clear();
        self.expiring.clear();
        self.events.clear();
        self.about_tables.clear();
        self.replicas = replicas::Calls::default();
    }

    /// What clients did and heard, without keys that expire and reads of weaker levels. Each session is a client, and so is
    /// each command outside of sessions.
    fn told(&self, least: Level) -> Vec<Operation> {
        let plain = |entry: &&Entry| {
            let read = entry.operation.action == Action::Read;
            !self.expiring.contains(&entry.operation.key) && (!read || entry.level >= least)
        };
        let client = |entry: &Entry| {
            let session = entry.session.as_ref().and_then(|name| self.sessions.keys().position(|known| known == name));
            session.map_or(entry.operation.client + self.sessions.len() as u32, |session| session as u32)
        };
        let told = |entry: &Entry| Operation { client: client(entry), ..entry.operation.clone() };
        self.history.iter().filter(plain).map(told).collect()
    }

    fn dispatch(&mut self, command: &str) -> Said {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["cluster", options @ ..] => self.cluster(options),
            ["run", time] => {
                let until = self.world()?.simulator.now_us() + parse_time(time)?;
                self.play_until(until, |_| false)?;
                Ok(Vec::new())
            }
            ["wait", which @ ("suspects" | "trusts"), node, peer, level] => {
                self.wait_suspects(node_id(node)?, node_id(peer)?, level, *which == "suspects")
            }
            ["wait", condition @ ..] => self.wait(condition),
            ["suspects"] => self.suspects(),
            ["peers", node] => self.peers(node_id(node)?),
            ["clocks"] => self.clocks(),
            ["elect", node] => self.elect(node_id(node)?),
            ["members", node] => self.members(node_id(node)?),
            ["members", node, next @ ..] => self.change_members(node_id(node)?, super::members::parse(next)?),
            ["transfer", node, to] => self.transfer(node_id(node)?, node_id(to)?),
            ["await", alias] => self.await_alias(alias),
            ["status"] => self.status(),
            ["log", node] => self.log(node_id(node)?),
            ["judge"] => self.judge(),
            ["table", node, verb, rest @ ..] => self.ask_catalogue(node, &format!("TABLE.{verb}"), rest),
            ["member", node, verb, rest @ ..] => self.ask_catalogue(node, &format!("MEMBER.{verb}"), rest),
            ["moves"] => self.moves(),
            ["tables"] => self.tables(),
            ["on", table, node, rest @ ..] => self.ask_replicas(table, node, rest),
            ["state", table, key] => self.state(table, key),
            ["repair"] => self.repair(),
            ["get" | "put" | "del" | "swap" | "incr" | "setnx" | "cas", ..] => self.ask(command::parse(&words)?),
            _ => {
                let fault: Fault = command.parse()?;
                let world = self.world()?;
                let happening = world.simulator.inject(&fault);
                self.note(happening);
                Ok(Vec::new())
            }
        }
    }

    pub(super) fn world(&mut self) -> Result<&mut World, String> {
        self.world.as_mut().ok_or_else(|| "there is no cluster yet; begin with: cluster 3".to_string())
    }

    /// `cluster 3 seed=1 mutant=NAME keep=10 election=100ms sync=1ms`: a calm cluster, so that only the script disturbs it.
    fn cluster(&mut self, words: &[&str]) -> Said {
        self.close();
        let habits = Habits {
            weather: Weather { delay_us: 200, jitter_us: 300, ..Weather::default() },
            late_wake_per_mille: 0,
            spurious_wake_per_mille: 0,
            lost_hint_per_mille: 0,
            background_sync_us: 0,
            ..Habits::default()
        };
        let mix = Mix { clients: 0, ..Mix::default() };
        let mut options = Options { election_ms: 100, heartbeat_ms: 20, habits, mix, ..Options::default() };
        options.keep_entries = 1_000;
        options.mutant.clone_from(&self.mutant);
        for word in words {
            let wrong = || format!("{word:?} is not an option of a cluster");
            match word.split_once('=') {
                None => options.nodes = word.parse().ok().filter(|nodes| (1..=63).contains(nodes)).ok_or_else(wrong)?,
                Some(("voters", voters)) => options.voters = Some(voters.parse().map_err(|_| wrong())?),
                Some(("seed", seed)) => options.seed = seed.parse().map_err(|_| wrong())?,
                Some(("keep", keep)) => options.keep_entries = keep.parse().map_err(|_| wrong())?,
                Some(("election", time)) => options.election_ms = parse_time(time)? / 1000,
                Some(("repair", ways)) => repair(&mut options, |mix| {
                    (mix.mend_reads, mix.hints) = (ways.contains("reads"), ways.contains("hints"));
                }),
                Some(("compare", "never")) => repair(&mut options, |mix| mix.compare_ms = 0),
                Some(("compare", time)) => {
                    let ms = parse_time(time)? / 1000;
                    repair(&mut options, |mix| mix.compare_ms = ms);
                }
                Some(("sync", time)) => options.habits.sync_us = parse_time(time)?,
                Some(("mutant", name)) => {
                    mutant_named(name).ok_or_else(|| format!("there is no mutant named {name:?}"))?;
                    options.mutant = Some(name.to_string());
                }
                Some(_) => return Err(wrong()),
            }
        }
        let mut world = vopr::build(&options);
        world.judge.blind_to_receipts = self.blind_to_receipts;
        if self.trace {
            world.simulator.trace = Some(Vec::new());
        }
        self.world = Some(world);
        Ok(Vec::new())
    }

    fn note(&mut self, happening: crate::simulator::Happening) {
        let Some(world) = &mut self.world else { return };
        world.judge.observe(&world.simulator, happening);
        for answered in std::mem::take(&mut world.simulator.answers) {
            if let Some(said) = self.errands.get_mut(&answered.call) {
                *said = errand_told(&answered.reply);
            }
            let Some(asked) = self.asked.get_mut(&answered.call) else {
                tables::answered(&mut self.about_tables, answered.call, &answered.reply);
                let stage = (&mut self.replicas, &mut self.sessions, &mut self.history[..]);
                replicas::answered(stage, (&world.simulator, &mut world.judge), answered.call, &answered.reply);
                continue;
            };
            let now = world.simulator.now_us();
            let Entry { operation, checked, .. } = &mut self.history[asked.operation];
            let known = matches!(operation.outcome, Outcome::Done(_));
            asked.said = Some(match answered.reply {
                Reply::Operated { outcome, session, seen: _ } => {
                    if let Some(name) = &asked.session {
                        self.sessions.entry(name.clone()).or_default().merge(&session);
                    }
                    if let Heard::Done { value, receipt } | Heard::Short { value, receipt } = &outcome {
                        let done = matches!(outcome, Heard::Done { .. });
                        let (operate, start_us) = (&asked.operate, asked.start_us);
                        world.judge.judge_reply(&world.simulator, &Claim { operate, start_us, value, receipt, done });
                        if let Some(name) = &asked.session {
                            let number = self.sessions.keys().position(|known| known == name).unwrap_or(0) as u32;
                            self.events.extend(event(number, operation, value, receipt));
                        }
                        match answer(&operation.action, value).filter(|_| !known) {
                            Some(answer) if is_linearizable(receipt) => {
                                (operation.outcome, operation.end) = (Outcome::Done(answer), now);
                            }
                            // A weaker read promises nothing here.
                            Some(answer) if operation.action == Action::Read => {
                                (operation.outcome, operation.end) = (Outcome::Done(answer), now);
                                *checked = false;
                            }
                            // A weaker write may be lost.
                            Some(_) => {}
                            None => {}
                        }
                    }
                    if matches!(outcome, Heard::Refused(_)) && asked.operate.batch.idempotency.is_none() {
                        operation.outcome = Outcome::Refused;
                    }
                    told(&outcome)
                }
                reply @ (Reply::Transferred(_)
                | Reply::ChangeBegun(_)
                | Reply::Hot(_)
                | Reply::Repair(_)
                | Reply::Status(_)) => errand_told(&reply).unwrap_or_default(),
            });
        }
    }

    /// Plays until a time or until something is so. True if it became so.
    pub(super) fn play_until(&mut self, until_us: u64, so: impl Fn(&Stage) -> bool) -> Result<bool, String> {
        loop {
            if so(self) {
                return Ok(true);
            }
            let world = self.world()?;
            if world.simulator.next_at().is_none_or(|next| next > until_us) {
                world.simulator.idle_until(until_us);
                return Ok(false);
            }
            let happening = world.simulator.advance();
            self.note(happening);
        }
    }

    pub(super) fn patience(&mut self) -> Result<u64, String> {
        Ok(self.world()?.simulator.now_us() + PATIENCE_US)
    }

    pub(super) fn group(&self, node: NodeId) -> Option<&Group> {
        self.world.as_ref()?.simulator.machine(node)?.group(0)
    }

    fn leader(&self) -> Option<(NodeId, u64)> {
        let world = self.world.as_ref()?;
        let leads = |node: NodeId| self.group(node).filter(|group| group.leads()).map(|group| (node, group.term()));
        world.simulator.nodes().filter_map(leads).max_by_key(|(_, term)| *term)
    }

    fn wait(&mut self, condition: &[&str]) -> Said {
        let until = self.patience()?;
        let held = match condition {
            ["leader"] => self.play_until(until, |stage| stage.leader().is_some())?,
            ["leader", node] => {
                let node = node_id(node)?;
                self.play_until(until, |stage| stage.leader().is_some_and(|(leader, _)| leader == node))?
            }
            ["follower", node] => {
                let node = node_id(node)?;
                self.play_until(until, |stage| stage.group(node).is_some_and(|group| !group.leads()))?
            }
            ["members", node, wanted @ ..] => {
                let (node, wanted) = (node_id(node)?, super::members::parse(wanted)?);
                let have = |group: &Group| super::members::settled(group) == Some(wanted);
                self.play_until(until, |stage| stage.group(node).is_some_and(have))?
            }
            [what @ ("last" | "durable" | "commit" | "applied"), node, index] => {
                let (node, what) = (node_id(node)?, what.to_string());
                let index: u64 = index.parse().map_err(|_| format!("{index:?} is not an index"))?;
                self.play_until(until, |stage| stage.group(node).is_some_and(|group| position(group, &what) >= index))?
            }
            _ => return Err("wait for: leader [N], follower N, members N VOTERS [learners NODES], suspects|trusts N PEER LEVEL, or last|durable|commit|applied N INDEX".into()),
        };
        if !held {
            return Ok(vec!["waited in vain".to_string()]);
        }
        match condition {
            ["leader", ..] => {
                Ok(self.leader().map(|(node, term)| format!("{} leads term {term}", node.0)).into_iter().collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The clock of the node runs fast until it leads, so that it stands before the others do; another leader is asked
    /// to hand over.
    fn elect(&mut self, node: NodeId) -> Said {
        let until = self.patience()?;
        self.world()?.simulator.inject(&Fault::Drift(node, ELECT_PPM));
        let mut held = false;
        while !held && self.world()?.simulator.now_us() < until {
            let soon = self.world()?.simulator.now_us() + ASK_US;
            held = self.play_until(soon, |stage| stage.leader().is_some_and(|(leader, _)| leader == node))?;
            if let Some((leader, _)) = self.leader().filter(|(leader, _)| *leader != node) {
                self.transfer(leader, node)?;
            }
        }
        self.world()?.simulator.inject(&Fault::Drift(node, 0));
        let term = self.group(node).map_or(0, Group::term);
        Ok(vec![if held { format!("{} leads term {term}", node.0) } else { "waited in vain".to_string() }])
    }

    fn transfer(&mut self, node: NodeId, to: NodeId) -> Said {
        self.request(node, Request::Transfer { group: 0, to })?;
        Ok(Vec::new())
    }

    fn request(&mut self, node: NodeId, request: Request) -> Result<CallId, String> {
        self.next_call += 1;
        let call = CallId(self.next_call);
        let world = self.world()?;
        let now = world.simulator.now_us();
        world.simulator.call(now, node, call, request);
        Ok(call)
    }

    /// Asks something besides an operation and waits for the answer.
    pub(super) fn errand(&mut self, node: NodeId, request: Request) -> Said {
        let call = self.request(node, request)?;
        self.errands.insert(call, None);
        let until = self.patience()?;
        self.play_until(until, |stage| stage.errands.get(&call).is_some_and(Option::is_some))?;
        Ok(vec![self.errands.remove(&call).flatten().unwrap_or_else(|| "no answer".to_string())])
    }

    fn ask(&mut self, command: Command) -> Said {
        self.next_call += 1;
        let call = CallId(self.next_call);
        let session = command.session.as_ref().and_then(|name| self.sessions.get(name)).cloned().unwrap_or_default();
        let batch = Batch {
            table: TableId(0),
            guards: Vec::new(),
            idempotency: command.idempotency.map(IdempotencyKey),
            commands: vec![command.words],
            transaction: false,
        };
        let (want, deadline_ms) = (command.want, command.deadline_ms);
        let operate =
            Operate { batch, want, session, seen: None, after_own_writes: command.after_own_writes, deadline_ms };
        let world = self.world()?;
        if world.simulator.machine(command.node).is_none() {
            return Ok(vec!["the node is down".to_string()]);
        }
        // A command begins after the one before it ended, so that they do not count as concurrent.
        let start = world.simulator.now_us() + 1;
        world.simulator.call(start, command.node, call, Request::Operate(operate.clone()));
        if command.expires {
            self.expiring.insert(command.key.clone());
        }
        let operation = Operation {
            client: call.0 as u32,
            key: command.key,
            action: command.action,
            outcome: Outcome::Unknown,
            start,
            end: u64::MAX,
        };
        let entry = Entry { operation, checked: true, level: want.level(), session: command.session.clone() };
        let operation = self.enter(entry, &operate.batch);
        let asked = Asked { operate, start_us: start, operation, session: command.session, said: None };
        self.asked.insert(call, asked);
        match command.alias {
            Some(alias) => {
                self.aliases.insert(alias, call);
                Ok(Vec::new())
            }
            None => self.await_call(call),
        }
    }

    /// The place of an operation in the history: a retry under its idempotency key has the place of the first attempt.
    fn enter(&mut self, entry: Entry, batch: &Batch) -> usize {
        let next = self.history.len();
        let place = match &batch.idempotency {
            Some(key) => *self.attempts.entry((key.0.clone(), Digest::of(&batch.commands))).or_insert(next),
            None => next,
        };
        if place == next {
            self.history.push(entry);
        }
        place
    }

    fn await_alias(&mut self, alias: &str) -> Said {
        let call = *self.aliases.get(alias).ok_or_else(|| format!("nothing was asked as={alias}"))?;
        if self.is_for_replicas(call) { self.await_replicas(call) } else { self.await_call(call) }
    }

    fn await_call(&mut self, call: CallId) -> Said {
        let until = self.patience()?;
        let said = |stage: &Stage| stage.asked.get(&call).and_then(|asked| asked.said.clone());
        self.play_until(until, |stage| said(stage).is_some())?;
        Ok(vec![said(self).unwrap_or_else(|| "no answer".to_string())])
    }

    fn status(&mut self) -> Said {
        let nodes: Vec<NodeId> = self.world()?.simulator.nodes().collect();
        let line = |node: NodeId| match self.group(node) {
            None => format!("{} down", node.0),
            Some(group) => format!(
                "{} {} term {} last {} commit {} applied {}",
                node.0,
                group.role().word(),
                group.term(),
                group.log().last().index,
                group.commit(),
                group.applied().at.index
            ),
        };
        Ok(nodes.into_iter().map(line).collect())
    }

    fn log(&mut self, node: NodeId) -> Said {
        let group = self.group(node).ok_or("the node is down")?;
        let log = group.log();
        let mut lines = Vec::new();
        if log.base().index > 0 {
            lines.push(format!("..{} compacted", log.base().index));
        }
        for index in log.base().index + 1..=log.last().index {
            let Some(entry) = log.entry(index) else { continue };
            let what = match &entry.payload {
                Payload::Nothing => "nothing".to_string(),
                Payload::Tick => "tick".to_string(),
                Payload::Members(members) => format!("members {}", super::members::text(*members)),
                Payload::Batch(bytes) => postcard::from_bytes::<Batch>(bytes).map_or("?".into(), |batch| shown(&batch)),
            };
            let mark = if index <= group.commit() { "committed" } else { "open" };
            lines.push(format!("{index} term {} {mark}: {what}", entry.term));
        }
        Ok(lines)
    }

    /// Compares logs and states, checks the history of the script's own operations, and says what was broken, if anything.
    fn judge(&mut self) -> Said {
        let history: Vec<Operation> =
            self.history.iter().filter(|entry| entry.checked).map(|entry| entry.operation.clone()).collect();
        let expiring = self.expiring.clone();
        let events = self.events.clone();
        let history: Vec<Operation> =
            history.into_iter().filter(|operation| !expiring.contains(&operation.key)).collect();
        let world = self.world()?;
        world.judge.checkpoint(&world.simulator);
        if let Verdict::Invalid(witness) = register::check(&history, register::BUDGET) {
            let now = world.simulator.now_us();
            world.judge.accuse(now, Kind::NotLinearizable(witness.anomaly), witness.to_string());
        }
        if let Some((broken, at)) = session::check(&events) {
            let now = world.simulator.now_us();
            world.judge.accuse(now, Kind::Session(broken), format!("{:?}", events[at]));
        }
        Ok(match world.judge.failure() {
            None => vec!["all promises held".to_string()],
            Some(failure) => vec![format!("BROKEN: {}", failure.kind.word())],
        })
    }
}

/// How the leaderless tables of the cluster are repaired.
fn repair(options: &mut Options, change: impl FnOnce(&mut crate::replicas::Mix)) {
    change(options.replicas.get_or_insert_with(crate::replicas::Mix::of_nobody));
}

pub(super) fn node_id(word: &str) -> Result<NodeId, String> {
    word.parse().map(NodeId).map_err(|_| format!("{word:?} is not a node"))
}

fn position(group: &Group, what: &str) -> u64 {
    match what {
        "last" => group.log().last().index,
        "durable" => group.durable(),
        "commit" => group.commit(),
        _ => group.applied().at.index,
    }
}

/// Does the outcome belong into a history that must be linearizable?
fn is_linearizable(receipt: &Receipt) -> bool {
    use quorate_core::guarantee::{Ack, Level};
    match receipt.met() {
        Met::Read(level) => level == Level::Linearizable,
        Met::Write(ack) => ack >= Some(Ack::Majority),
    }
}

/// What a session did, as the checker of sessions wants it.
fn event(session: u32, operation: &Operation, value: &Value, receipt: &Receipt) -> Option<session::Event> {
    use quorate_core::guarantee::{Ack, Level};
    let did = match receipt.met() {
        Met::Write(ack) if ack >= Some(Ack::Majority) => Did::Write(receipt.position().index),
        Met::Write(_) => return None,
        Met::Read(Level::Eventual) => Did::Glance,
        Met::Read(Level::Session | Level::Regular | Level::Atomic | Level::Linearizable) => Did::Read,
    };
    let value = match (&operation.action, answer(&operation.action, value)?) {
        (Action::Read, Answer::Value(value)) => value,
        (Action::Write(value) | Action::Swap(value), _) => Some(value.clone()),
        _ => return None,
    };
    Some(session::Event { session, key: operation.key.clone(), did, value })
}

fn shown(batch: &Batch) -> String {
    let word = |word: &bytes::Bytes| {
        if word.len() > 40 { format!("({} bytes)", word.len()) } else { String::from_utf8_lossy(word).into_owned() }
    };
    let words = |words: &Vec<bytes::Bytes>| words.iter().map(word).collect::<Vec<_>>().join(" ");
    batch.commands.iter().map(words).collect::<Vec<_>>().join("; ")
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Nil => "nothing".into(),
        Value::Int(number) => number.to_string(),
        Value::Bulk(bytes) if bytes.len() > 40 => format!("({} bytes)", bytes.len()),
        Value::Bulk(bytes) | Value::Status(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Error(bytes) => format!("error {}", String::from_utf8_lossy(bytes)),
        Value::Array(values) | Value::Set(values) if values.iter().all(|value| matches!(value, Value::Bulk(_))) => {
            values.iter().map(value_text).collect::<Vec<_>>().join(" ")
        }
        Value::Map(pairs) if pairs.iter().all(|pair| matches!(pair, (Value::Int(_), Value::Int(_)))) => {
            let pair = |(name, value): &(Value, Value)| format!("{}: {}", value_text(name), value_text(value));
            pairs.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) | Value::Map(_) | Value::Set(_) | Value::Pairs(_) => format!("{value:?}"),
    }
}

pub(super) fn set_text(nodes: NodeSet) -> String {
    nodes.iter().map(|node| node.0.to_string()).collect::<Vec<_>>().join(",")
}

fn errand_told(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Transferred(Ok(())) | Reply::ChangeBegun(Ok(())) => Some("ok".to_string()),
        Reply::Transferred(Err(refusal)) | Reply::ChangeBegun(Err(refusal)) => {
            Some(format!("refused: {}", refusal.sentence()))
        }
        Reply::Status(status) => Some(format!("{status:?}")),
        Reply::Repair(status) => Some(format!("{status:?}")),
        Reply::Hot(status) => Some(format!("{status:?}")),
        Reply::Operated { .. } => None,
    }
}

pub(super) fn told(outcome: &Heard) -> String {
    match outcome {
        Heard::Done { value, receipt } => format!("{} ({})", value_text(value), receipt_text(receipt)),
        Heard::Short { value, receipt } => format!("{} (short: {})", value_text(value), receipt_text(receipt)),
        Heard::Refused(refusal) => format!("refused: {}", refusal.sentence()),
        Heard::Unknown(doubt) => format!("unknown: {}", doubt.sentence()),
    }
}

fn receipt_text(receipt: &Receipt) -> String {
    let met = match receipt.met() {
        Met::Read(level) => level.word().to_string(),
        Met::Write(None) => "nobody".to_string(),
        Met::Write(Some(ack)) => ack.word().to_string(),
    };
    let position = receipt.position();
    let place = format!("index {} term {}", position.index, position.term);
    let replayed = if receipt.replayed() { ", replayed" } else { "" };
    match receipt.path() {
        Path::Log => format!("{met}, durable on {}, {place}{replayed}", set_text(receipt.durable())),
        Path::LeaderRound => format!("{met}, answered by {}, {place}", set_text(receipt.answered())),
        Path::SessionReplica | Path::Replica => format!("{met}, from {}, {place}", receipt.served_by().0),
        Path::QuorumWrite | Path::PaxosWrite => format!("{met}, durable on {}{replayed}", set_text(receipt.durable())),
        Path::QuorumRead | Path::WriteBack | Path::PaxosRead => {
            format!("{met}, answered by {}", set_text(receipt.answered()))
        }
        Path::JoinedRead => format!("{met}, answered to an earlier read by {}", set_text(receipt.answered())),
    }
}
