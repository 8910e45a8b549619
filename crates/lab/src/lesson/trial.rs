//! Runs of the register lesson: a few clients, crashes and cuts, and a verdict on the history.

use super::register::{Config, Register, Reply, Request, Variant};
use crate::check::register::{BUDGET, Verdict, check};
use crate::check::{Action, Answer, History, Operation, Outcome};
use crate::fault::Fault;
use crate::recording::Recording;
use crate::simulator::{Habits, Simulator, Weather};
use bytes::Bytes;
use quorate_core::machine::{CallId, NodeId};
use quorate_core::random::Random;
use std::collections::{BTreeMap, BTreeSet};

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Trial {
    /// A hash of every turn.
    pub digest: u64,
    /// Steps of all nodes.
    pub steps: u64,
    /// Operations that were done.
    pub done: usize,
    /// Laws that were broken.
    pub violations: Vec<String>,
    /// What the checker says.
    pub verdict: Verdict,
    /// What happened, when a trace was asked for.
    pub trace: Vec<String>,
    /// What clients did and heard.
    pub recording: Recording,
}

/// The configurations of three replicas.
pub fn replicas(variant: Variant) -> Vec<(NodeId, Config)> {
    let members: Vec<NodeId> = (1..=3).map(NodeId).collect();
    let config = |node| Config { node, members: members.clone(), incarnation: 0, deadline_ms: 60, variant };
    members.iter().map(|&node| (node, config(node))).collect()
}

/// Five clients and two keys on three replicas that crash and are cut off.
pub fn run(seed: u64, variant: Variant, trace: bool) -> Trial {
    let weather =
        Weather { loss_per_mille: 20, double_per_mille: 30, ordered: false, jitter_us: 3_000, ..Weather::default() };
    let habits = Habits { weather, sync_jitter_us: 8_000, ..Habits::default() };
    let mut simulator: Simulator<Register> = Simulator::new(seed, habits, replicas(variant));
    simulator.trace = trace.then(Vec::new);
    let mut random = Random::new(seed ^ 0xC11E);
    let mut at = 0;
    for _ in 0..12 {
        at += random.below(80_000);
        let node = NodeId(1 + random.below(3) as u16);
        let others = simulator.nodes().filter(|other| *other != node).collect();
        match random.below(3) {
            0 => simulator.schedule(at, Fault::Partition(vec![vec![node], others])),
            1 => simulator.schedule(at, Fault::Heal),
            _ => {
                simulator.schedule(at, Fault::Crash(node, random.below(2) as usize));
                simulator.schedule(at + random.below(30_000), Fault::Restart(node));
            }
        }
    }
    let history = drive(&mut simulator, &mut random);
    Trial {
        digest: simulator.digest(),
        steps: simulator.steps(),
        done: history.iter().filter(|operation| matches!(operation.outcome, Outcome::Done(_))).count(),
        violations: simulator.violations.clone(),
        verdict: check(&history, BUDGET),
        recording: Recording { operations: history, faults: simulator.struck.clone(), end_us: simulator.now_us() },
        trace: simulator.trace.unwrap_or_default(),
    }
}

fn drive(simulator: &mut Simulator<Register>, random: &mut Random) -> History {
    let mut history: BTreeMap<CallId, Operation> = BTreeMap::new();
    let mut free: BTreeSet<u32> = (0..5).collect();
    for i in 0..300u64 {
        simulator.run_until(simulator.now_us() + random.below(4_000));
        for answered in simulator.answers.drain(..) {
            let Some(operation) = history.get_mut(&answered.call) else { continue };
            operation.end = answered.at_us;
            free.insert(operation.client);
            operation.outcome = match (&operation.action, answered.reply) {
                (Action::Read, Reply::Done(value)) => Outcome::Done(Answer::Value(value)),
                (_, Reply::Done(_)) => Outcome::Done(Answer::Written),
                (_, Reply::Unknown) => Outcome::Unknown,
            };
        }
        let Some(client) = free.pop_first() else {
            // All wait for nodes that crashed: others take their place.
            free = (0..5).map(|more| more + 5 * i as u32).collect();
            continue;
        };
        let key = Bytes::from(format!("k{}", random.below(2)));
        let (action, request) = if random.chance(500) {
            (Action::Read, Request::Get(key.clone()))
        } else {
            let value = Bytes::from(format!("v{i}"));
            (Action::Write(value.clone()), Request::Put(key.clone(), value))
        };
        let (start, end) = (simulator.now_us(), u64::MAX);
        history.insert(CallId(i), Operation { client, key, action, outcome: Outcome::Unknown, start, end });
        simulator.call(start, NodeId(1 + random.below(3) as u16), CallId(i), request);
    }
    history.into_values().collect()
}
