//! The last phase for leaderless tables: every table takes writes again, and without further writes all replicas become equal.

use super::{Options, patience_us};
use crate::failure::Kind;
use crate::fault::Fault;
use crate::judge::replicas::equal;
use crate::replicas::{Asked, Clients, Mix, Told};
use crate::world::World;
use quorate_core::machine::NodeId;
use std::collections::BTreeSet;

/// What the judges say of the history of leaderless tables. `ended` when no write is on its way any more.
pub(super) fn judge_history(world: &mut World, ended: bool) {
    if let Some(clients) = &world.replicas {
        clients.judge_history(&mut world.judge, &world.simulator, ended);
    }
}

pub(super) fn go_to(world: &mut World, nodes: &[NodeId]) {
    if let Some(clients) = &mut world.replicas {
        clients.targets = nodes.to_vec();
    }
}

pub(super) fn stop(world: &mut World) {
    world.replicas.iter_mut().for_each(Clients::stop);
}

/// All nodes are well: every table must take a write and show a read again, and then replicas must become equal.
pub(super) fn recover(world: &mut World, options: &Options) {
    let Some(mix) = &options.replicas else { return };
    start_again(world);
    let Some(clients) = &mut world.replicas else { return };
    let tables = mix.tables.len();
    let from = clients.records().len();
    clients.targets = options.members();
    clients.keep_still();
    clients.go_on();
    let deadline = world.simulator.now_us() + patience_us(options) + patience_of(mix);
    loop {
        let working = world.replicas.as_ref().map_or(0, |clients| working(clients, from));
        if working == tables || world.judge.failure().is_some() {
            break;
        }
        if world.simulator.now_us() >= deadline {
            let detail = format!("{working} of {tables} leaderless tables work");
            return world.judge.accuse(world.simulator.now_us(), Kind::NoProgress, detail);
        }
        world.run_until(world.simulator.now_us() + 20_000);
    }
    stop(world);
    become_equal(world, options, mix);
}

/// A node whose clock was ahead makes stamps of that time until it starts again, and nobody believes them.
fn start_again(world: &mut World) {
    let clock = |fault: &Fault| match fault {
        Fault::Skew(node, _) | Fault::Drift(node, _) => Some(*node),
        _ => None,
    };
    let wrong: BTreeSet<NodeId> = world.simulator.struck.iter().filter_map(|(_, fault)| clock(fault)).collect();
    for node in wrong {
        for fault in [Fault::Crash(node, usize::MAX), Fault::Restart(node)] {
            let happening = world.simulator.inject(&fault);
            world.note(happening);
        }
    }
}

/// The tables of which somebody wrote and read something since then.
fn working(clients: &Clients, from: usize) -> usize {
    let records = &clients.records()[from..];
    let of = |read: bool| -> BTreeSet<usize> {
        let done =
            records.iter().filter(|record| matches!(record.told, Told::Changed | Told::Took(_) | Told::Shown(_)));
        done.filter(|record| (record.asked == Asked::Read) == read).map(|record| record.table).collect()
    };
    of(true).intersection(&of(false)).count()
}

/// How long until each node has compared each table with each other node, in microseconds, and some comparisons given up.
fn patience_of(mix: &Mix) -> u64 {
    let pairs: u64 = mix.tables.iter().map(|table| u64::from(table.replicas)).sum();
    mix.compare_ms * 1_000 * pairs * 4 + 10_000_000
}

/// Nobody writes any more: all replicas of a key must come to know and hold the same.
fn become_equal(world: &mut World, options: &Options, mix: &Mix) {
    let deadline = world.simulator.now_us() + patience_us(options) + patience_of(mix);
    while world.judge.failure().is_none() {
        if world.is_idle() && different(world).is_none() {
            break;
        }
        if world.simulator.now_us() >= deadline {
            let detail = different(world).unwrap_or_else(|| "clients still wait".to_string());
            return world.judge.accuse(world.simulator.now_us(), Kind::NoConvergence, detail);
        }
        world.run_until(world.simulator.now_us() + 50_000);
    }
    world.checkpoint();
}

/// A table that still moves, a key whose replicas differ, or one that is where it should not be.
fn different(world: &World) -> Option<String> {
    if let Some(moves) = equal::on_its_way(&world.simulator) {
        return Some(moves);
    }
    world.replicas.as_ref()?.keys().into_iter().find_map(|(table, key)| {
        if let Some(node) = equal::stranger(&world.simulator, table, &key) {
            let name = String::from_utf8_lossy(&key);
            return Some(format!("node {} still holds {name} of table {}, which moved away", node.0, table.0));
        }
        if let Some(lacks) = equal::absent(&world.simulator, table, &key) {
            return Some(format!("{} of table {}: {lacks}", String::from_utf8_lossy(&key), table.0));
        }
        let states = equal::states(&world.simulator, table, &key);
        let (a, b) = equal::difference(&states)?;
        let name = String::from_utf8_lossy(&key);
        let all: Vec<String> = states.iter().map(|(node, state)| format!("  node {}: {state:?}", node.0)).collect();
        Some(format!("nodes {} and {} differ in {name} of table {}\n{}", a.0, b.0, table.0, all.join("\n")))
    })
}
