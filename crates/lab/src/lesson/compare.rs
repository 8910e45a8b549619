//! How a replica that missed writes gets them: from reads that touch their keys, from nodes that remember what they owe (hinted handoff), or by
//! comparing sums of what each holds (Merkle 1987).

use super::cluster::{Cluster, is_done, quorum};
use super::replica::Config;
use super::{Run, percent, unexpected};
use crate::failure::Kind as Reason;
use crate::simulator::Weather;
use quorate_core::crdt::Kind;
use quorate_core::guarantee::Want;
use quorate_core::machine::NodeId;
use quorate_core::mutant::Mutant;
use quorate_core::quorum::Preset;

/// Node 3 misses writes to two keys; one of them is read there. With the rule broken reads mend nothing.
pub(crate) fn read_repair(seed: u64, broken: bool, trace: bool) -> Run {
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let config = Config { mend_reads: !broken, ..Config::new(rule, Kind::Latest) };
    let mut cluster = Cluster::new(seed, &config, Weather::default(), trace);
    cluster.cut(3);
    let wrote = ["read", "other"].map(|key| is_done(&cluster.ask(1, &format!("SET {key} new"), Want::default())));
    cluster.pass(2_000);
    cluster.heal();
    cluster.ask(3, "GET read", Want::default());
    cluster.pass(100);
    let equal = ["read", "other"].map(|key| cluster.state(3, key).cell == cluster.state(1, key).cell);
    let told = |equal: bool| if equal { "as elsewhere" } else { "stale" };
    let found = format!(
        "node 3 missed two writes and served one read; the key that was read is {}, the other {}",
        told(equal[0]),
        told(equal[1])
    );
    let failure = if wrote != [true; 2] || equal[1] {
        Some(unexpected("a write was not done, or something else brought it"))
    } else {
        let behind = Reason::Lesson("a replica that a read found behind stays behind");
        (!equal[0]).then(|| cluster.failed(behind, "the read gave the new value, and node 3 still holds nothing"))
    };
    cluster.end(failure, found)
}

/// Node 3 is away while keys are written, some of them twice. With the rule broken nobody remembers what it missed.
pub(crate) fn hints(seed: u64, broken: bool, trace: bool) -> Run {
    const KEYS: u64 = 20;
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let config = Config { hints: !broken, ..Config::new(rule, Kind::Latest) };
    let mut cluster = Cluster::new(seed, &config, Weather::default(), trace);
    cluster.cut(3);
    let mut done = 0;
    for write in 0..KEYS * 3 / 2 {
        done += u64::from(is_done(&cluster.ask(1, &format!("SET k{} v{write}", write % KEYS), Want::default())));
    }
    cluster.pass(2_000);
    let hints = cluster.simulator.machine(NodeId(1)).map_or(0, |replica| replica.progress().hints);
    cluster.heal();
    cluster.pass(5_000);
    let equal = |key: &u64| {
        let key = format!("k{key}");
        cluster.state(3, &key).cell == cluster.state(1, &key).cell
    };
    let stale = KEYS - (0..KEYS).filter(equal).count() as u64;
    let found = format!(
        "node 3 missed {done} writes to {KEYS} keys; {hints} hints are kept, one for a key at most; seconds after its return {stale} keys are stale there"
    );
    let failure = if done != KEYS * 3 / 2 || hints != if broken { 0 } else { KEYS } {
        Some(unexpected(format!("{done} writes were done, {hints} hints kept")))
    } else {
        (stale > 0)
            .then(|| cluster.failed(Reason::NoConvergence, format!("{stale} of {KEYS} keys of node 3 are missing")))
    };
    cluster.end(failure, found)
}

const KEYS: u64 = 1_000;
const MISSED: u64 = 10;

/// Replicas hold many keys, and node 3 missed few of them, which nobody reads. With the rule broken nobody compares.
pub(crate) fn comparison(seed: u64, broken: bool, trace: bool) -> Run {
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let mutant = broken.then_some(Mutant::NeverCompares);
    let config = Config { compare_ms: 500, broken: mutant, ..Config::new(rule, Kind::Latest) };
    let mut cluster = Cluster::new(seed, &config, Weather::default(), trace);
    let write = |cluster: &mut Cluster, keys: std::ops::Range<u64>, value: &str| {
        let calls: Vec<_> = keys.map(|key| cluster.begin(1, &format!("SET k{key} {value}"), quorum(1, 2))).collect();
        calls.into_iter().filter(|&call| is_done(&cluster.wait(call).outcome)).count() as u64
    };
    let done = write(&mut cluster, 0..KEYS, "old");
    cluster.pass(3_000);
    let taken =
        |cluster: &Cluster| cluster.simulator.machine(NodeId(3)).map_or(0, |replica| replica.progress().keys_taken);
    let before = taken(&cluster);
    cluster.cut(3);
    let missed = write(&mut cluster, 0..MISSED, "new");
    cluster.pass(2_000);
    cluster.heal();
    cluster.pass(8_000);
    let stale = (0..KEYS).filter(|key| {
        let key = format!("k{key}");
        cluster.state(3, &key).cell != cluster.state(1, &key).cell
    });
    let (stale, sent) = (stale.count() as u64, taken(&cluster) - before);
    let found = format!(
        "{KEYS} keys, of which node 3 missed {MISSED}; seconds later {stale} are stale there, and {sent} were sent ({} of all)",
        percent(sent, KEYS)
    );
    let failure = if (done, missed) != (KEYS, MISSED) || (!broken && sent > 2 * MISSED) {
        Some(unexpected(format!("{done} and {missed} writes were done, {sent} keys sent")))
    } else {
        (stale > 0)
            .then(|| cluster.failed(Reason::NoConvergence, format!("{stale} keys of node 3 are as before the cut")))
    };
    let run = cluster.end(failure, found);
    Run { recording: Default::default(), ..run }
}
