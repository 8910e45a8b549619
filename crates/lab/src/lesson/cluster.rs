//! Replicas of one leaderless table in the simulator, with clients that ask them one after another or at once.

use super::Run;
use super::replica::{Config, Replica, Reply, Request};
use crate::check::register::{BUDGET, Verdict, Witness, check};
use crate::check::{Action, Answer, Operation, Outcome as Known};
use crate::failure::{Failure, Kind};
use crate::fault::Fault;
use crate::recording::Recording;
use crate::simulator::{Habits, Simulator, Weather};
use bytes::Bytes;
use quorate_core::guarantee::{Quorum, Want};
use quorate_core::leaderless::State;
use quorate_core::machine::{CallId, NodeId};
use quorate_core::operation::{Outcome, Value};
use std::collections::BTreeMap;

/// Nodes, their clients, and what these did and heard.
pub(super) struct Cluster {
    pub(super) simulator: Simulator<Replica>,
    /// Each client is at one node.
    history: BTreeMap<CallId, Operation>,
    replies: BTreeMap<CallId, Reply>,
    calls: u64,
}

/// R and W of one operation; 0 is as the table says.
pub(super) fn quorum(read: u8, write: u8) -> Want {
    Want { quorum: Quorum { read, write, ..Quorum::default() }, ..Want::default() }
}

impl Cluster {
    /// Replicas that are configured alike, on a network of this weather.
    pub(super) fn new(seed: u64, config: &Config, weather: Weather, trace: bool) -> Cluster {
        let habits = Habits { weather, lost_hint_per_mille: 0, late_wake_per_mille: 0, ..Habits::default() };
        let configs = config.nodes().map(|node| (node, Config { node, ..config.clone() })).collect();
        let mut simulator = Simulator::new(seed, habits, configs);
        simulator.trace = trace.then(Vec::new);
        Cluster { simulator, history: BTreeMap::new(), replies: BTreeMap::new(), calls: 0 }
    }

    /// A client of a node begins an operation.
    pub(super) fn begin(&mut self, node: u16, words: &str, want: Want) -> CallId {
        self.begin_seen(node, words, want, None)
    }
    /// The same, by what a read handed out.
    pub(super) fn begin_seen(&mut self, node: u16, words: &str, want: Want, seen: Option<Bytes>) -> CallId {
        // What begins at the moment at which another ended would be concurrent with it.
        self.simulator.run_until(self.simulator.now_us() + 1);
        self.calls += 1;
        let call = CallId(self.calls);
        let words: Vec<Bytes> = words.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let start = self.simulator.now_us();
        let action = match words.as_slice() {
            [name, _, value] if name == "SET" => Some(Action::Write(value.clone())),
            [name, _] if name == "GET" => Some(Action::Read),
            _ => None,
        };
        if let Some(action) = action {
            let (client, key, outcome, end) = (node.into(), words[1].clone(), Known::Unknown, u64::MAX);
            self.history.insert(call, Operation { client, key, action, outcome, start, end });
        }
        self.simulator.call(start, NodeId(node), call, Request { words, want, seen });
        call
    }

    /// Takes in the replies that came.
    pub(super) fn listen(&mut self) {
        for answered in self.simulator.answers.drain(..) {
            if let Some(operation) = self.history.get_mut(&answered.call) {
                operation.end = answered.at_us;
                operation.outcome = known(&operation.action, &answered.reply.outcome);
            }
            self.replies.insert(answered.call, answered.reply);
        }
    }
    /// The reply to a call, if it came.
    pub(super) fn reply(&self, call: CallId) -> Option<&Reply> {
        self.replies.get(&call)
    }
    /// Time passes until a call is answered, which its deadline sees to.
    pub(super) fn wait(&mut self, call: CallId) -> Reply {
        loop {
            self.listen();
            if let Some(reply) = self.replies.get(&call) {
                return reply.clone();
            }
            assert!(self.simulator.next_at().is_some(), "a call has a deadline");
            self.simulator.advance();
        }
    }
    /// One operation from begin to end.
    pub(super) fn ask(&mut self, node: u16, words: &str, want: Want) -> Outcome {
        let call = self.begin(node, words, want);
        self.wait(call).outcome
    }

    pub(super) fn pass(&mut self, ms: u64) {
        let until = self.simulator.now_us() + ms * 1_000;
        self.simulator.run_until(until);
        self.listen();
    }
    /// Nobody hears of this node any more, nor it of them.
    pub(super) fn cut(&mut self, node: u16) {
        let (here, others) = self.simulator.nodes().partition(|other| other.0 == node);
        self.simulator.inject(&Fault::Partition(vec![here, others]));
    }
    pub(super) fn heal(&mut self) {
        self.simulator.inject(&Fault::Heal);
    }
    /// What a node that is up knows of a key.
    pub(super) fn state(&self, node: u16, key: &str) -> State {
        let machine = self.simulator.machine(NodeId(node)).expect("the node is up");
        machine.state(self.simulator.disk(NodeId(node)), key.as_bytes())
    }

    /// What clients of registers did and heard.
    pub(super) fn recording(&self) -> Recording {
        let operations = self.history.values().cloned().collect();
        Recording { operations, faults: self.simulator.struck.clone(), end_us: self.simulator.now_us() }
    }
    /// Must there be an order that explains all answers? Why there is none, if so.
    pub(super) fn not_linearizable(&self) -> Option<Failure> {
        match check(&self.recording().operations, BUDGET) {
            Verdict::Valid => None,
            Verdict::Invalid(witness) => {
                let kind = Kind::NotLinearizable(witness.anomaly);
                let detail = witness.to_string().trim_end().to_string();
                Some(Failure { kind, at_us: end_of(&witness), detail })
            }
            Verdict::Unknown(_) => Some(self.failed(Kind::Undecided, "the history is too entangled")),
        }
    }
    /// Something is wrong now.
    pub(super) fn failed(&self, kind: Kind, detail: impl Into<String>) -> Failure {
        Failure { kind, at_us: self.simulator.now_us(), detail: detail.into() }
    }
    /// The run is over. A law that was broken outweighs everything else.
    pub(super) fn end(self, failure: Option<Failure>, found: String) -> Run {
        let law = self.simulator.violations.first().map(|law| self.failed(Kind::Law, law.clone()));
        let (steps, recording) = (self.simulator.steps(), self.recording());
        Run { steps, failure: law.or(failure), found, trace: self.simulator.trace.unwrap_or_default(), recording }
    }
}

/// When the last operation of a witness ended; one that never ended counts by its begin.
fn end_of(witness: &Witness) -> u64 {
    let last = |it: &Operation| if it.end == u64::MAX { it.start } else { it.end };
    witness.operations.iter().map(last).max().unwrap_or(0)
}

fn known(action: &Action, outcome: &Outcome) -> Known {
    match (action, outcome) {
        (Action::Read, Outcome::Done { value, .. } | Outcome::Short { value, .. }) => {
            Known::Done(Answer::Value(match value {
                Value::Bulk(bytes) => Some(bytes.clone()),
                _ => None,
            }))
        }
        (_, Outcome::Done { .. } | Outcome::Short { .. }) => Known::Done(Answer::Written),
        (_, Outcome::Refused(_)) => Known::Refused,
        (_, Outcome::Unknown(_)) => Known::Unknown,
    }
}

/// An operation was evaluated, and all that was asked for was met.
pub(super) fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done { .. })
}

/// What a read gave, for people.
pub(super) fn text(outcome: &Outcome) -> String {
    let word = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    match outcome {
        Outcome::Done { value, .. } | Outcome::Short { value, .. } => match value {
            Value::Bulk(bytes) | Value::Status(bytes) | Value::Error(bytes) => word(bytes),
            Value::Int(number) => number.to_string(),
            Value::Nil => "nothing".to_string(),
            Value::Array(values) | Value::Set(values) => {
                let words = values.iter().filter_map(|value| match value {
                    Value::Bulk(bytes) => Some(word(bytes)),
                    _ => None,
                });
                words.collect::<Vec<_>>().join(" and ")
            }
            Value::Map(_) | Value::Pairs(_) => "pairs".to_string(),
        },
        Outcome::Refused(_) => "refused".to_string(),
        Outcome::Unknown(_) => "unknown".to_string(),
    }
}
