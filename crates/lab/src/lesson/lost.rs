//! A replica that loses what it acknowledged breaks what R + W > N promised. If it comes back and answers at once, a read may meet it in
//! place of a replica that knows; if it goes on under its old name, it names new events like old ones.

use super::cluster::{Cluster, is_done, quorum, text};
use super::replica::Config;
use super::{Run, failed, unexpected};
use crate::failure::Kind as Reason;
use crate::fault::Fault;
use crate::simulator::{Disk, Weather};
use quorate_core::crdt::Kind;
use quorate_core::guarantee::Want;
use quorate_core::machine::NodeId;
use quorate_core::mutant::Mutant;
use quorate_core::quorum::Preset;

/// Two of three acknowledge a write, then the disk of one is empty. With the rule broken it answers at once; else it compares itself with all others first.
pub(crate) fn wiped(seed: u64, broken: bool, trace: bool) -> Run {
    rejoin(seed, broken, trace, false)
}

/// The same with a disk from a backup.
pub(crate) fn restored(seed: u64, broken: bool, trace: bool) -> Run {
    rejoin(seed, broken, trace, true)
}

fn rejoin(seed: u64, broken: bool, trace: bool, backup: bool) -> Run {
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let config = Config { learns: !broken, ..Config::new(rule, Kind::Latest) };
    let mut cluster = Cluster::new(seed, &config, Weather::default(), trace);
    let old = cluster.ask(1, "SET k old", quorum(0, 3));
    cluster.pass(1_000);
    let disk = if backup { cluster.simulator.disk(NodeId(2)).clone() } else { Disk::default() };
    cluster.cut(3);
    let new = cluster.ask(1, "SET k new", Want::default());
    change_disk(&mut cluster, 2, disk);
    cluster.heal();
    cluster.cut(1);
    // Its two messages reach node 2, whichever is asked first.
    let first = text(&cluster.ask(3, "GET k", Want::default()));
    cluster.heal();
    cluster.pass(3_000);
    cluster.cut(1);
    let later = text(&cluster.ask(2, "GET k", Want::default()));
    let found = format!(
        "a write that nodes 1 and 2 acknowledged; the disk of node 2 is {}; nodes 2 and 3 are read: {first}\nlater, after all links worked again: {later}",
        if backup { "set back to before" } else { "lost" }
    );
    let plan = is_done(&old) && is_done(&new) && (broken || (first == "refused" && later == "new"));
    let failure =
        if plan { cluster.not_linearizable() } else { Some(unexpected(format!("read {first}, then {later}"))) };
    cluster.end(failure, found)
}

fn change_disk(cluster: &mut Cluster, node: u16, disk: Disk) {
    cluster.simulator.inject(&Fault::Crash(NodeId(node), 0));
    cluster.simulator.replace_disk(NodeId(node), disk);
    cluster.simulator.inject(&Fault::Restart(NodeId(node)));
}

/// A replica writes, its disk is lost, and it writes again. With the rule broken both events have one name, and those that know the first take the
/// second for known.
pub(crate) fn identity(seed: u64, broken: bool, trace: bool) -> Run {
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let config = Config { broken: broken.then_some(Mutant::IdentityReused), ..Config::new(rule, Kind::Register) };
    let mut cluster = Cluster::new(seed, &config, Weather::default(), trace);
    let first = cluster.ask(1, "SET k first", quorum(0, 3));
    change_disk(&mut cluster, 1, Disk::default());
    // It reads what it replaces at its own node alone, and there is nothing.
    let second = cluster.ask(1, "SET k second", quorum(1, 3));
    cluster.pass(3_000);
    let reads = [1, 2, 3].map(|node| text(&cluster.ask(node, "GET k", quorum(1, 0))));
    let found = format!("both writes were acknowledged by all; then the nodes hold: {}", reads.join(", "));
    let failure = if !is_done(&first) || !is_done(&second) {
        Some(unexpected("a write was not acknowledged"))
    } else if let Some(read) = reads[1..].iter().find(|read| !read.contains("second")) {
        Some(cluster.failed(Reason::AcknowledgedLost, format!("node 2 or 3 holds {read:?}, and confirmed \"second\"")))
    } else if reads[1] != "first and second" {
        Some(unexpected("the two writes are concurrent, so both stay where both are known"))
    } else {
        None
    };
    let run = cluster.end(failure, found);
    Run { recording: Default::default(), ..run }
}

/// A replica takes from a counter with a bound, and its disk is set back to before. With the rule broken its next life takes by the rights that the
/// disk tells; else by those that are left when all replicas were heard.
pub(crate) fn rights(seed: u64, broken: bool, trace: bool) -> Run {
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let config = Config { broken: broken.then_some(Mutant::EscrowTakenUnheard), ..Config::new(rule, Kind::Bounded) };
    let mut cluster = Cluster::new(seed, &config, Weather::default(), trace);
    let deposit = cluster.ask(1, "INCRBY k 100", quorum(0, 3));
    cluster.pass(1_000);
    let backup = cluster.simulator.disk(NodeId(1)).clone();
    let first = cluster.ask(1, "DECRBY k 80", quorum(0, 3));
    change_disk(&mut cluster, 1, backup);
    let second = cluster.ask(1, "DECRBY k 60", quorum(0, 3));
    let rest = cluster.ask(1, "DECRBY k 20", quorum(0, 3));
    cluster.pass(3_000);
    let balance = text(&cluster.ask(2, "GET k", quorum(3, 0)));
    let found = format!(
        "100 are there, node 1 takes 80, its disk is set back to before; it takes 60: {}; it takes 20: {}\nthe balance: {balance}",
        text(&second),
        text(&rest)
    );
    let failure = if !is_done(&deposit) || !is_done(&first) {
        Some(unexpected("a change was not acknowledged"))
    } else if balance.starts_with('-') {
        Some(failed("a balance below 0", format!("node 1 takes 60 of the 20 that are left: the balance is {balance}")))
    } else if broken || text(&rest) != "0" || balance != "0" {
        Some(unexpected("what is left can be taken, and nothing more"))
    } else {
        None
    };
    cluster.end(failure, found)
}
