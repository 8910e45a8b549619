//! The lesson machine under faults: the correct register holds, each naive variant is caught for the named reason.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use quorate_core::machine::{CallId, NodeId};
use quorate_core::random::Random;
use quorate_lab::check::register::{BUDGET, Reason, Verdict, check};
use quorate_lab::check::{Action, Answer, History, Operation, Outcome};
use quorate_lab::fault::Fault;
use quorate_lab::lesson::register::{Config, Register, Reply, Request, Variant};
use quorate_lab::simulator::{Habits, Simulator, Weather};
use std::collections::{BTreeMap, BTreeSet};

struct Run {
    digest: u64,
    steps: u64,
    done: usize,
    violations: Vec<String>,
    verdict: Verdict,
}

/// Five clients, three nodes, two keys, crashes and partitions: half a simulated second and then peace.
fn run(seed: u64, variant: Variant) -> Run {
    let members: Vec<NodeId> = (1..=3).map(NodeId).collect();
    let config = |node| Config { node, members: members.clone(), incarnation: 0, deadline_ms: 60, variant };
    let weather =
        Weather { loss_per_mille: 20, double_per_mille: 30, ordered: false, jitter_us: 3_000, ..Weather::default() };
    let habits = Habits { weather, sync_jitter_us: 8_000, ..Habits::default() };
    let configs = members.iter().map(|&node| (node, config(node))).collect();
    let mut simulator: Simulator<Register> = Simulator::new(seed, habits, configs);
    let mut random = Random::new(seed ^ 0xC11E);
    let mut at = 0;
    for _ in 0..12 {
        at += random.below(80_000);
        let node = NodeId(1 + random.below(3) as u16);
        let others = members.iter().copied().filter(|other| *other != node).collect();
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
    Run {
        digest: simulator.digest(),
        steps: simulator.steps(),
        done: history.iter().filter(|operation| matches!(operation.outcome, Outcome::Done(_))).count(),
        violations: simulator.violations.clone(),
        verdict: check(&history, BUDGET),
    }
}

fn drive(simulator: &mut Simulator<Register>, random: &mut Random) -> History {
    let mut history: BTreeMap<CallId, Operation> = BTreeMap::new();
    let mut free: BTreeSet<u32> = (0..5).collect();
    for i in 0..300u64 {
        simulator.run_until(simulator.now_us() + random.below(4_000));
        for answered in simulator.answers.drain(..) {
            let operation = history.get_mut(&answered.call).unwrap();
            operation.end = answered.at_us;
            free.insert(operation.client);
            operation.outcome = match (&operation.action, answered.reply) {
                (Action::Read, Reply::Done(value)) => Outcome::Done(Answer::Value(value)),
                (_, Reply::Done(_)) => Outcome::Done(Answer::Written),
                (_, Reply::Unknown) => Outcome::Unknown,
            };
        }
        let Some(client) = free.pop_first() else {
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

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in 0..30 {
        assert_eq!(run(seed, Variant::Correct).digest, run(seed, Variant::Correct).digest);
    }
    assert_ne!(run(1, Variant::Correct).digest, run(2, Variant::Correct).digest);
}

#[test]
fn the_correct_register_is_linearizable() {
    let (mut steps, mut done) = (0, 0);
    for seed in 0..SEEDS {
        let run = run(seed, Variant::Correct);
        assert_eq!(run.verdict, Verdict::Valid, "seed {seed}");
        assert_eq!(run.violations, Vec::<String>::new(), "seed {seed}");
        (steps, done) = (steps + run.steps, done + run.done);
    }
    assert!(done as u64 > SEEDS * 100, "{done} of {} operations were done in {steps} steps", SEEDS * 300);
}

const SEEDS: u64 = 300;

fn first_caught(variant: Variant) -> Option<(u64, Reason)> {
    (0..SEEDS).find_map(|seed| match run(seed, variant).verdict {
        Verdict::Invalid(witness) => Some((seed, witness.reason)),
        Verdict::Valid | Verdict::Unknown(_) => None,
    })
}

#[test]
fn each_naive_variant_is_caught() {
    for variant in [Variant::EagerAck, Variant::NoWriteBack, Variant::HalfIsEnough] {
        let caught = first_caught(variant);
        assert!(
            matches!(caught, Some((_, Reason::StaleRead | Reason::NewThenOld))),
            "{variant:?} survived {SEEDS} seeds: {caught:?}"
        );
        println!("{variant:?}: {caught:?}");
    }
}
