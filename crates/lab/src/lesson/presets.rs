//! Rules with a name, and how many nodes each survives.

use super::cluster::{Cluster, is_done, quorum};
use super::replica::Config;
use super::{Run, row, table, unexpected};
use crate::failure::Kind as Reason;
use crate::fault::Fault;
use crate::simulator::Weather;
use quorate_core::crdt::Kind;
use quorate_core::machine::NodeId;
use quorate_core::quorum::Preset;

/// Operations of each kind.
const OPERATIONS: u64 = 10;

/// Write to all, read one: with one node down no write is served.
pub(crate) fn fast_reads(seed: u64, broken: bool, trace: bool) -> Run {
    let preset = if broken { Preset::FastReads } else { Preset::Balanced };
    run(seed, preset, 1, trace)
}

/// Write one, read all: with one node down no read is served.
pub(crate) fn fast_writes(seed: u64, broken: bool, trace: bool) -> Run {
    let preset = if broken { Preset::FastWrites } else { Preset::Balanced };
    run(seed, preset, 1, trace)
}

/// Two of three: with two nodes down nothing is served.
pub(crate) fn balanced(seed: u64, broken: bool, trace: bool) -> Run {
    run(seed, Preset::Balanced, if broken { 2 } else { 1 }, trace)
}

/// Three replicas of which some are down, and what a client of a node that is up gets done.
fn run(seed: u64, preset: Preset, down: u16, trace: bool) -> Run {
    let rule = preset.rule(3).expect("three replicas");
    let mut cluster = Cluster::new(seed, &Config::new(rule, Kind::Counter), Weather::default(), trace);
    for at in 0..down {
        cluster.simulator.inject(&Fault::Crash(NodeId(3 - at), 0));
    }
    let (mut writes, mut reads) = (0, 0);
    for _ in 0..OPERATIONS {
        // An increment reads nothing before it writes.
        writes += u64::from(is_done(&cluster.ask(1, "INCR k", quorum(0, 0))));
        reads += u64::from(is_done(&cluster.ask(1, "GET k", quorum(0, 0))));
    }
    let rows = [
        row(&["rule", "N R W", "nodes down", "writes done", "reads done"]),
        row(&[
            preset.word(),
            &format!("{} {} {}", rule.replicas(), rule.read(), rule.write()),
            &down.to_string(),
            &format!("{writes} of {OPERATIONS}"),
            &format!("{reads} of {OPERATIONS}"),
        ]),
    ];
    let expected = |survives: u8| if down <= u16::from(survives) { OPERATIONS } else { 0 };
    let planned = (expected(rule.writes_survive()), expected(rule.reads_survive()));
    let failure = if (writes, reads) != planned {
        Some(unexpected(format!("{writes} writes and {reads} reads were done, where the rule says {planned:?}")))
    } else {
        let stops = match (writes, reads) {
            (0, 0) => Some("nothing is served"),
            (0, _) => Some("no write is served"),
            (_, 0) => Some("no read is served"),
            (_, _) => None,
        };
        stops.map(|stops| {
            cluster.failed(Reason::Lesson(stops), format!("{} with {down} of 3 nodes down", preset.word()))
        })
    };
    cluster.end(failure, table(&rows))
}
