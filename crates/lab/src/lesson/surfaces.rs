//! A write that missed its quorum is not undone: where it arrived it stays, and reads may find it, or not, or find it again. Whoever
//! tells it as failed lies; whoever tells it as unknown does not.

use super::cluster::{Cluster, quorum, text};
use super::replica::Config;
use super::{Run, failed, row, table, unexpected};
use crate::check::Outcome as Known;
use crate::recording::Recording;
use crate::simulator::Weather;
use quorate_check::{Budget, Meter, Model, Verdict, check};
use quorate_core::crdt::Kind;
use quorate_core::guarantee::Want;
use quorate_core::operation::Outcome;
use quorate_core::quorum::Preset;

/// A write reaches one of three replicas; three reads follow, of two replicas each. With the rule broken its client hears that it failed.
pub(crate) fn run(seed: u64, broken: bool, trace: bool) -> Run {
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let mut cluster = Cluster::new(seed, &Config::new(rule, Kind::Latest), Weather::default(), trace);
    cluster.ask(1, "SET k old", quorum(0, 3));
    cluster.cut(1);
    // It reads what it replaces at its own node alone, so that only the write misses its quorum.
    let wrote = cluster.ask(1, "SET k new", quorum(1, 2));
    cluster.pass(2_000);
    let mut rows = vec![row(&["read of", "gives"])];
    let mut seen = Vec::new();
    for (away, at) in [(3, 1), (1, 3), (2, 1)] {
        cluster.heal();
        cluster.cut(away);
        let read = text(&cluster.ask(at, "GET k", Want::default()));
        let asked: Vec<String> = (1..=3).filter(|&node| node != away).map(|node| node.to_string()).collect();
        rows.push(row(&[&format!("nodes {}", asked.join(" and ")), &read]));
        seen.push(read);
    }
    let told = if broken { "failed" } else { "unknown" };
    let found = format!("the write reached 1 of 3 replicas and is told as {told}\n{}", table(&rows));
    let failure = if !matches!(wrote, Outcome::Unknown(_)) || seen != ["new", "old", "new"] {
        Some(unexpected(format!("the write: {}, the reads: {}", text(&wrote), seen.join(", "))))
    } else {
        not_regular(cluster.recording(), broken)
    };
    let run = cluster.end(failure, found);
    Run { recording: told_as(run.recording, broken), ..run }
}

/// What the client of the write is told in place of what is true.
fn told_as(mut recording: Recording, failed: bool) -> Recording {
    let unknown = recording.operations.iter_mut().filter(|operation| operation.outcome == Known::Unknown);
    unknown.filter(|_| failed).for_each(|operation| operation.outcome = Known::Refused);
    recording
}

/// Reads of quorums promise no more than that each of them, alone with all writes, is right.
fn not_regular(recording: Recording, broken: bool) -> Option<crate::failure::Failure> {
    let history = told_as(recording, broken).history();
    match check(&history, Model::Regular, &mut Meter::new(Budget::DEFAULT)).expect("registers may be regular") {
        Verdict::Valid => None,
        Verdict::Invalid(witness) => Some(failed(
            "a value is read whose write was told as failed",
            format!("judged: {}", witness.anomaly.word()),
        )),
        Verdict::Unknown(_) => Some(unexpected("the checker gave up")),
    }
}
