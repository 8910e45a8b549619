//! A sloppy quorum is none: nodes that stand in for replicas take writes that no read of the replicas finds until they were brought home.

use super::cluster::{Cluster, is_done, quorum, text};
use super::replica::Config;
use super::{Run, unexpected};
use crate::simulator::Weather;
use quorate_core::crdt::Kind;
use quorate_core::guarantee::{Quorum, Want};
use quorate_core::machine::NodeId;
use quorate_core::operation::Outcome;
use quorate_core::quorum::Preset;

/// Five nodes, three replicas of a key, two of which are away while it is written. With the rule broken others may take the write in their place.
pub(crate) fn run(seed: u64, broken: bool, trace: bool) -> Run {
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let config = Config { nodes: 5, ..Config::new(rule, Kind::Latest) };
    let mut cluster = Cluster::new(seed, &config, Weather::default(), trace);
    let replicas = cluster.simulator.machine(NodeId(1)).map(|replica| replica.replicas("k")).unwrap_or_default();
    let &[here, second, third] = replicas.as_slice() else { unreachable!("the rule has three replicas") };
    let old = cluster.ask(here, "SET k old", quorum(0, 3));
    cluster.cut(second);
    cluster.cut(third);
    // It reads what it replaces at its own node alone, so that only the write wants others.
    let want = Want { quorum: Quorum { read: 1, sloppy: broken, ..Quorum::default() }, ..Want::default() };
    let new = cluster.ask(here, "SET k new", want);
    cluster.heal();
    cluster.cut(here);
    let first = text(&cluster.ask(second, "GET k", Want::default()));
    cluster.heal();
    cluster.pass(5_000);
    cluster.cut(here);
    let later = text(&cluster.ask(second, "GET k", Want::default()));
    let told = match &new {
        Outcome::Done { receipt, .. } | Outcome::Short { receipt, .. } => {
            let stand_ins = receipt.round().map_or(0, |round| round.stand_ins.len());
            format!("done, by {} replica and {stand_ins} that stand in", receipt.durable().len())
        }
        Outcome::Refused(_) | Outcome::Unknown(_) => text(&new),
    };
    let found = format!(
        "R + W = {} of {}; two of the replicas are away, and a write is told as: {told}\nthey are back, the third is away, and a read of both gives {first}; seconds later {later}",
        rule.read() + rule.write(),
        rule.replicas(),
    );
    // A write in doubt comes home, too: its node goes on to say it for a while.
    let told_rightly = if broken { is_done(&new) } else { matches!(new, Outcome::Unknown(_)) };
    let plan = told_rightly && (first.as_str(), later.as_str()) == ("old", "new");
    let failure = match is_done(&old) && plan {
        true => cluster.not_linearizable(),
        false => Some(unexpected(format!("the write: {told}, the reads: {first}, then {later}"))),
    };
    cluster.end(failure, found)
}
