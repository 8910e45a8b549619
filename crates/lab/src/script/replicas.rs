//! Leaderless tables in a script: `on carts 1 set k v w=2` asks node 1, `state carts k` says what each replica holds, `repair` what is owed.

use super::stage::{Entry, Stage, node_id, told};
use crate::check::{Action, Answer, Operation, Outcome};
use crate::judge::replicas::equal;
use crate::judge::{Claim, Judge};
use crate::replicas::{Shown, shown};
use crate::simulator::Simulator;
use bytes::Bytes;
use quorate_core::catalogue::TableSpec;
use quorate_core::crdt::Kind;
use quorate_core::guarantee::{Level, Quorum, Session, Want};
use quorate_core::machine::CallId;
use quorate_core::node::Node;
use quorate_core::operation::{Batch, Operate, Outcome as Heard, Reply, Request, TableId, Value, Words};
use std::collections::BTreeMap;

/// A call for a leaderless table.
pub(super) struct Asked {
    operate: Operate,
    start_us: u64,
    session: Option<String>,
    /// Under this name the token of a read is kept.
    seen: Option<String>,
    /// Its place in the history, if it is one of a register that shows the latest value.
    operation: Option<usize>,
    said: Option<String>,
}

/// The calls of a script for leaderless tables, and what its reads handed out.
#[derive(Default)]
pub(super) struct Calls {
    asked: BTreeMap<CallId, Asked>,
    seen: BTreeMap<String, Bytes>,
}

#[derive(Default)]
struct Options {
    want: Want,
    session: Option<String>,
    seen: Option<String>,
    alias: Option<String>,
    deadline_ms: Option<u32>,
}

impl Options {
    fn take(&mut self, name: &str, word: &str) -> Result<(), String> {
        let wrong = || format!("\"{name}={word}\" is not an option of a command on a leaderless table");
        let number = || word.parse::<u8>().map_err(|_| wrong());
        match name {
            "level" => self.want.level = Some(Level::parse(word.as_bytes()).ok_or_else(wrong)?),
            "r" => self.want.quorum.read = number()?,
            "w" => self.want.quorum.write = number()?,
            "quorum" if word == "sloppy" => self.want.quorum = Quorum { sloppy: true, ..self.want.quorum },
            "quorum" if word == "volatile" => self.want.quorum = Quorum { volatile: true, ..self.want.quorum },
            "session" => self.session = Some(word.to_string()),
            "seen" => self.seen = Some(word.to_string()),
            "as" => self.alias = Some(word.to_string()),
            "deadline" => self.deadline_ms = Some((crate::fault::parse_time(word)? / 1000) as u32),
            _ => return Err(wrong()),
        }
        Ok(())
    }
}

impl Stage {
    /// `on carts 1 set k v w=2 seen=x`.
    pub(super) fn ask_replicas(&mut self, table: &str, node: &str, rest: &[&str]) -> Result<Vec<String>, String> {
        let node = node_id(node)?;
        let mut options = Options::default();
        let mut words: Words = Vec::new();
        for word in rest {
            match word.split_once('=') {
                Some((name, word)) => options.take(name, word)?,
                None if words.is_empty() => words.push(Bytes::from(word.to_ascii_uppercase())),
                None => words.push(Bytes::copy_from_slice(word.as_bytes())),
            }
        }
        let (id, kind) = self.table(table)?;
        let key = words.get(1).cloned().ok_or("a command names a key")?;
        let session = options.session.as_ref().and_then(|name| self.sessions.get(name)).cloned().unwrap_or_default();
        let seen = options.seen.as_ref().and_then(|name| self.replicas.seen.get(name)).cloned();
        let reads = words[0] == "GET" || words[0].ends_with(b"MEMBERS") || words[0] == "HGETALL";
        let deadline_ms = options.deadline_ms.unwrap_or(1_000);
        let batch = Batch {
            table: id,
            guards: Vec::new(),
            idempotency: None,
            commands: vec![words.clone()],
            transaction: false,
        };
        let seen = seen.filter(|_| !reads);
        let operate = Operate { batch, want: options.want, session, seen, after_own_writes: false, deadline_ms };
        self.next_call += 1;
        let call = CallId(self.next_call);
        let world = self.world()?;
        if world.simulator.machine(node).is_none() {
            return Ok(vec!["the node is down".to_string()]);
        }
        let start_us = world.simulator.now_us() + 1;
        world.simulator.call(start_us, node, call, Request::Operate(operate.clone()));
        let action = match (&words[..], reads) {
            ([_, _, value], false) => Some(Action::Write(value.clone())),
            ([_, _], true) => Some(Action::Read),
            _ => None,
        };
        let operation = action.filter(|_| kind == Kind::Latest).map(|action| {
            let checked = action != Action::Read || options.want.level == Some(Level::Atomic);
            let key = Bytes::from([table.as_bytes(), b"/", &key].concat());
            let client = call.0 as u32;
            let operation =
                Operation { client, key, action, outcome: Outcome::Unknown, start: start_us, end: u64::MAX };
            self.history.push(Entry { operation, checked, level: Level::Atomic, session: None });
            self.history.len() - 1
        });
        let Options { session, seen, alias, .. } = options;
        let asked = Asked { operate, start_us, session, seen: seen.filter(|_| reads), operation, said: None };
        self.replicas.asked.insert(call, asked);
        match alias {
            Some(alias) => {
                self.aliases.insert(alias, call);
                Ok(Vec::new())
            }
            None => self.await_replicas(call),
        }
    }

    /// Waits for the answer to a call for a leaderless table.
    pub(super) fn await_replicas(&mut self, call: CallId) -> Result<Vec<String>, String> {
        let until = self.patience()?;
        let said = |stage: &Stage| stage.replicas.asked.get(&call).and_then(|asked| asked.said.clone());
        self.play_until(until, |stage| said(stage).is_some())?;
        Ok(vec![said(self).unwrap_or_else(|| "no answer".to_string())])
    }

    pub(super) fn is_for_replicas(&self, call: CallId) -> bool {
        self.replicas.asked.contains_key(&call)
    }

    fn table(&mut self, name: &str) -> Result<(TableId, Kind), String> {
        let world = self.world()?;
        let mut machines = world.simulator.nodes().filter_map(|node| world.simulator.machine(node));
        let kind = |spec: &TableSpec| spec.shape.leaderless().map(|policy| policy.kind);
        let found = machines.find_map(|machine| {
            let (id, spec) = machine.catalogue().find(name)?;
            Some((id, kind(spec)?))
        });
        found.ok_or_else(|| format!("no node knows a leaderless table named {name:?}"))
    }

    /// What each replica of a key holds.
    pub(super) fn state(&mut self, table: &str, key: &str) -> Result<Vec<String>, String> {
        let (id, _) = self.table(table)?;
        let simulator = &self.world()?.simulator;
        let key = Bytes::copy_from_slice(key.as_bytes());
        let mut lines = Vec::new();
        for kept in equal::kept(simulator, id, &key) {
            let part = if kept == key { String::new() } else { format!("{}: ", String::from_utf8_lossy(&kept)) };
            let states = equal::states(simulator, id, &kept);
            let held = states.iter().map(|(node, state)| (node.0, text(shown(&state.cell, 0))));
            lines.extend(held.map(|(node, text)| format!("{part}{node} holds {text}")));
        }
        Ok(lines)
    }

    /// What each node owes to others, and what repair did.
    pub(super) fn repair(&mut self) -> Result<Vec<String>, String> {
        let simulator = &self.world()?.simulator;
        let line = |node| {
            let progress = simulator.machine(node)?.leaderless().progress();
            let (owed, delivered) = (progress.hints, progress.hints_delivered);
            Some(format!("{} owes {owed}, delivered {delivered}, mended {} for reads", node.0, progress.reads_mended))
        };
        Ok(simulator.nodes().filter_map(line).collect())
    }
}

/// A call that may have been for a leaderless table is answered.
pub(super) fn answered(
    (calls, sessions, history): (&mut Calls, &mut BTreeMap<String, Session>, &mut [Entry]),
    (simulator, judge): (&Simulator<Node>, &mut Judge),
    call: CallId,
    reply: &Reply,
) {
    let (Some(asked), Reply::Operated { outcome, session, seen }) = (calls.asked.get_mut(&call), reply) else { return };
    if let Some(name) = &asked.session {
        sessions.entry(name.clone()).or_default().merge(session);
    }
    if let (Some(name), Some(token)) = (&asked.seen, seen) {
        calls.seen.insert(name.clone(), token.clone());
    }
    let entry = asked.operation.map(|at| &mut history[at].operation);
    match outcome {
        Heard::Done { value, receipt } | Heard::Short { value, receipt } => {
            let done = matches!(outcome, Heard::Done { .. });
            let (operate, start_us) = (&asked.operate, asked.start_us);
            judge.judge_reply(simulator, &Claim { operate, start_us, value, receipt, done });
            if let Some(operation) = entry {
                let answer = match (&operation.action, value) {
                    (Action::Read, Value::Bulk(value)) => Answer::Value(Some(value.clone())),
                    (Action::Read, _) => Answer::Value(None),
                    _ => Answer::Written,
                };
                (operation.outcome, operation.end) = (Outcome::Done(answer), simulator.now_us());
            }
        }
        Heard::Refused(_) => {
            if let Some(operation) = entry {
                operation.outcome = Outcome::Refused;
            }
        }
        Heard::Unknown(_) => {}
    }
    let batch = &asked.operate.batch;
    if let Some(key) = batch.commands[0].get(1) {
        let kept = equal::kept(simulator, batch.table, key);
        kept.iter().for_each(|key| judge.judge_replicas(simulator, batch.table, key));
    }
    asked.said = Some(told(outcome));
}

fn text(shown: Option<Shown>) -> String {
    let all = |values: &mut dyn Iterator<Item = Bytes>| {
        let words: Vec<String> = values.map(|value| String::from_utf8_lossy(&value).into_owned()).collect();
        if words.is_empty() { "nothing".to_string() } else { words.join(" ") }
    };
    match shown {
        None => "something else".to_string(),
        Some(Shown::Sum(sum)) => sum.map_or_else(|| "nothing".to_string(), |sum| sum.to_string()),
        Some(Shown::Values(values) | Shown::Elements(values)) => all(&mut values.into_iter()),
        Some(Shown::Fields(names, sum)) => {
            let names = all(&mut names.into_iter());
            sum.map_or(names.clone(), |sum| format!("{names}, count {sum}"))
        }
    }
}
