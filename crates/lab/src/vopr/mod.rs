//! Whole runs of the real node: a phase in which anything goes wrong, a phase in which all must become well again.

mod health;
mod members;
mod plan;
mod replicas;
mod shrink;

pub use plan::{Options, Plan, Swarm, draw_faults, mutant_named};
pub use shrink::{Shrunk, shrink};

use crate::digest::Digest;
use crate::failure::{Failure, Kind};
use crate::fault::Fault;
use crate::recording::{Recording, least_level};
use crate::replicas::{Clients, Told};
use crate::simulator::{EPOCH_MS, Simulator};
use crate::workload::{LONGEST_EXPIRY_MS, Workload};
use crate::world::World;
use quorate_core::machine::NodeId;
use quorate_core::node::{Config, Node, Repair, Timing};
use quorate_core::random::Random;
use quorate_core::state;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed of its options.
    pub seed: u64,
    /// A hash of every turn.
    pub digest: u64,
    /// Steps of all nodes.
    pub steps: u64,
    /// Simulated time, in microseconds.
    pub time_us: u64,
    /// Operations that clients began, and those that were done.
    pub operations: (usize, usize),
    /// Entries that were committed, and terms that had a leader, over all groups.
    pub committed: u64,
    /// Terms that had a leader, over all groups.
    pub terms: usize,
    /// Memberships that nodes of group 0 went by.
    pub memberships: usize,
    /// The first broken promise.
    pub failure: Option<Failure>,
    /// What happened, when a trace was asked for.
    pub trace: Vec<String>,
    /// What clients did and heard, when a trace was asked for.
    pub recording: Recording,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.failure.is_some() { "FAILED" } else { "held" };
        writeln!(
            f,
            "seed {} {verdict}: {} steps in {} ms, {} of {} operations done, {} entries committed, {} terms led, digest {:016x}",
            self.seed,
            self.steps,
            self.time_us / 1000,
            self.operations.1,
            self.operations.0,
            self.committed,
            self.terms,
            self.digest
        )?;
        if let Some(failure) = &self.failure {
            writeln!(f, "{failure}")?;
        }
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Runs the plan of a seed twice. The second run must be the first again.
pub fn run(seed: u64) -> Report {
    run_twice(&Plan::draw(seed))
}

/// Runs a plan twice. The second run must be the first again.
pub fn run_twice(plan: &Plan) -> Report {
    let first = run_plan(plan, false);
    let second = run_plan(plan, false);
    if first == second {
        return first;
    }
    let detail = format!("digest {:016x}, then {:016x}", first.digest, second.digest);
    let at_us = first.time_us.min(second.time_us);
    Report { failure: Some(Failure { kind: Kind::NotDeterministic, at_us, detail }), ..first }
}

/// Runs a plan once. A trace comes with a recording of what clients did.
pub fn run_plan(plan: &Plan, trace: bool) -> Report {
    let mut world = build(&plan.options);
    for (at_us, fault) in &plan.faults {
        world.simulator.schedule(*at_us, fault.clone());
    }
    if trace {
        world.simulator.trace = Some(Vec::new());
    }
    // An assertion of the node is a finding too: the run ends there.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| live(&mut world, &plan.options))) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
        world.judge.accuse(world.simulator.now_us(), Kind::Assertion, text.to_string());
    }
    report(plan.options.seed, world)
}

fn report(seed: u64, world: World) -> Report {
    let groups = 0..quorate_core::limits::GROUPS;
    let records = world.workload.records();
    let replicated = world.replicas.as_ref().map_or(&[][..], Clients::records);
    let done = replicated
        .iter()
        .filter(|record| matches!(record.told, Told::Changed | Told::Took(_) | Told::Shown(_)))
        .count();
    let failure = world.judge.failure();
    let recording = world.simulator.trace.as_ref().map(|_| Recording {
        operations: world.workload.history(least_level(failure)),
        faults: world.simulator.struck.clone(),
        end_us: world.simulator.now_us(),
    });
    Report {
        seed,
        digest: world.simulator.digest(),
        steps: world.simulator.steps(),
        time_us: world.simulator.now_us(),
        operations: (
            records.len() + replicated.len(),
            records.iter().filter(|record| record.receipt.is_some()).count() + done,
        ),
        committed: groups.clone().map(|group| world.judge.committed(group)).sum(),
        terms: groups.map(|group| world.judge.terms_led(group)).sum(),
        memberships: world.judge.memberships(0),
        failure: failure.cloned(),
        trace: world.simulator.trace.unwrap_or_default(),
        recording: recording.unwrap_or_default(),
    }
}

/// The configuration of a node.
pub fn config(options: &Options, node: NodeId) -> Config {
    let mut config = Config::new(7, node, options.members(), options.groups);
    config.voters = options.first_voters();
    config.timing = Timing { heartbeat_ms: options.heartbeat_ms, election_ms: options.election_ms };
    config.keep.entries = options.keep_entries;
    config.mutants = options.mutants();
    if let Some(mix) = &options.replicas {
        config.repair =
            Repair { reads: mix.mend_reads, hints: mix.hints, compare_ms: mix.compare_ms, ..Repair::default() };
    }
    config
}

/// A fresh world.
pub fn build(options: &Options) -> World {
    let configs = options.members().into_iter().map(|node| (node, config(options, node))).collect();
    let simulator: Simulator<Node> = Simulator::new(options.seed, options.habits.clone(), configs);
    let random = Random::new(Digest::of(&(options.seed, "clients")));
    let mut workload = Workload::new(options.mix.clone(), options.members(), random);
    workload.links_keep_order = options.habits.weather.ordered;
    let mut world = World::new(simulator, workload);
    world.judge.blind_to_receipts = options.blind_to_receipts;
    world.replicas = options.replicas.clone().map(|mix| Clients::new(mix, options.members(), options.seed));
    world
}

fn live(world: &mut World, options: &Options) {
    if !world.run_until(options.safety_us) {
        return;
    }
    replicas::judge_history(world, false);
    recover(world, options);
    if world.judge.failure().is_none() {
        world.checkpoint();
        let now = world.simulator.now_us();
        world.workload.judge_history(&mut world.judge, now);
        replicas::judge_history(world, true);
    }
}

/// How long a healed cluster may take, in microseconds: many elections, and whatever clients still wait for.
fn patience_us(options: &Options) -> u64 {
    options.election_ms * 1_000 * 20 + u64::from(options.mix.deadline_ms) * 4_000 + 3_000_000
}

/// A majority of the voters must get to work without the others; then all must become equal.
fn recover(world: &mut World, options: &Options) {
    let mut random = Random::new(Digest::of(&(options.seed, "core")));
    calm(world, options);
    let Some(mut core) = members::voters(world, options) else { return };
    let majority = core.len() / 2 + 1;
    while core.len() > majority {
        core.remove(random.below(core.len() as u64) as usize);
    }
    for node in options.members() {
        let fault = if core.contains(&node) { Fault::Restart(node) } else { Fault::Crash(node, 0) };
        let happening = world.simulator.inject(&fault);
        world.note(happening);
    }
    world.workload.targets = core.clone();
    replicas::go_to(world, &core);
    let healed_us = world.simulator.now_us();
    let done_at_heal = done(world);
    let deadline = healed_us + patience_us(options);
    let wanted = done_at_heal + 10;
    while done(world) < wanted {
        if world.simulator.now_us() >= deadline {
            let detail = format!("{} operations done since the faults ended", done(world) - done_at_heal);
            return world.judge.accuse(world.simulator.now_us(), Kind::NoProgress, detail);
        }
        if !world.run_until(world.simulator.now_us() + 20_000) {
            return;
        }
    }
    world.workload.stop();
    replicas::stop(world);
    become_level(world, options, &core);
    for node in options.members() {
        let happening = world.simulator.inject(&Fault::Restart(node));
        world.note(happening);
    }
    members::include_all(world, options);
    become_level(world, options, &options.last_voters());
    replicas::recover(world, options);
    expire(world, options);
    become_level(world, options, &options.last_voters());
    health::be_well(world, options);
    health::lose_a_clock(world, options);
    health::be_well(world, options);
    become_level(world, options, &options.last_voters());
}

/// What expired by true time must go, on every node. A log time that a bad clock carried into the future has to be
/// waited for, so what is due only then is left out.
fn expire(world: &mut World, options: &Options) {
    world.run_until(world.simulator.now_us() + LONGEST_EXPIRY_MS * 1_000);
    let deadline = world.simulator.now_us() + patience_us(options);
    while world.judge.failure().is_none()
        && let Some(detail) = options.members().into_iter().find_map(|node| overdue(world, node))
    {
        if world.simulator.now_us() >= deadline {
            world.judge.accuse(world.simulator.now_us(), Kind::NotExpired, detail);
        }
        world.run_until(world.simulator.now_us() + 20_000);
    }
}

fn overdue(world: &World, node: NodeId) -> Option<String> {
    let now_ms = EPOCH_MS + world.simulator.now_us() / 1_000;
    let disk = world.simulator.disk(node);
    world.simulator.machine(node)?.groups().find_map(|(id, group)| {
        let at_ms = state::next_expiry(disk, group.space()).filter(|at_ms| *at_ms < now_ms)?;
        Some(format!("node {} of group {id} holds what expired {} ms ago", node.0, now_ms - at_ms))
    })
}

/// No more faults: links, disks and clocks are fine.
fn calm(world: &mut World, options: &Options) {
    let happening = world.simulator.inject(&Fault::Heal);
    world.note(happening);
    let weather = &mut world.simulator.network.weather;
    (weather.loss_per_mille, weather.double_per_mille, weather.spike_per_mille) = (0, 0, 0);
    weather.late_copy_per_mille = 0;
    world.simulator.habits.late_wake_us = world.simulator.habits.late_wake_us.min(options.heartbeat_ms * 100);
}

fn done(world: &World) -> usize {
    world.workload.records().iter().filter(|record| record.receipt.is_some()).count()
}

fn become_level(world: &mut World, options: &Options, nodes: &[NodeId]) {
    let deadline = world.simulator.now_us() + patience_us(options);
    while world.judge.failure().is_none() && !(world.is_idle() && world.is_level(nodes)) {
        if world.simulator.now_us() >= deadline {
            let detail = nodes.iter().map(|node| describe(world, *node)).collect::<Vec<_>>().join("\n");
            world.judge.accuse(world.simulator.now_us(), Kind::NoConvergence, detail);
        }
        world.run_until(world.simulator.now_us() + 20_000);
    }
    world.checkpoint();
}

fn describe(world: &World, node: NodeId) -> String {
    let Some(machine) = world.simulator.machine(node) else { return format!("  node {} is down", node.0) };
    let groups = machine.groups().map(|(id, group)| {
        format!(
            "group {id} {} term {} last {} commit {} applied {}",
            group.role().word(),
            group.term(),
            group.log().last().index,
            group.commit(),
            group.applied().at.index
        )
    });
    format!("  node {}: {}", node.0, groups.collect::<Vec<_>>().join("; "))
}

/// What many seeds gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Seeds run, each twice.
    pub seeds: u64,
    /// Steps of all runs, each counted once.
    pub steps: u64,
    /// Operations that were done.
    pub done: usize,
    /// The reports of seeds that failed.
    pub failures: Vec<Report>,
}

/// Runs the plans of many seeds. `progress` hears each report as it comes; it returns false to stop.
pub fn swarm(seeds: Range<u64>, mut progress: impl FnMut(&Report) -> bool) -> Summary {
    let mut summary = Summary::default();
    for seed in seeds {
        let report = run(seed);
        summary.seeds += 1;
        summary.steps += report.steps;
        summary.done += report.operations.1;
        let go_on = progress(&report);
        if report.failure.is_some() {
            summary.failures.push(report);
        }
        if !go_on {
            break;
        }
    }
    summary
}
