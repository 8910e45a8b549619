//! R + W > N is not enough: while a write is on its way, one read may see it and a later one not. A read that writes back what it
//! saw before it answers leaves no such later one (Attiya, Bar-Noy, Dolev 1995).

use super::cluster::{Cluster, is_done};
use super::replica::Config;
use super::{Run, unexpected};
use crate::fault::Fault;
use crate::simulator::Weather;
use quorate_core::crdt::Kind;
use quorate_core::guarantee::{Level, Want};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::quorum::Preset;
use quorate_core::random::Random;

/// So many of a thousand messages between the node of the writer and the others are lost: a write may be on its way for long.
const LOST_PER_MILLE: u16 = 500;
const OPERATIONS: u64 = 400;
/// The writer, and the readers.
const CLIENTS: [u16; 3] = [1, 2, 3];

/// One client writes, all read, each at its own node. With the rule broken, what a read found is brought to others only after it answered.
pub(crate) fn run(seed: u64, broken: bool, trace: bool) -> Run {
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let config = Config { mend_reads: true, ..Config::new(rule, Kind::Latest) };
    let mut cluster = Cluster::new(seed, &config, Weather::default(), trace);
    let nodes = |nodes: &[u16]| nodes.iter().map(|&node| NodeId(node)).collect();
    cluster.simulator.inject(&Fault::Drop(nodes(&CLIENTS[..1]), nodes(&CLIENTS[1..]), LOST_PER_MILLE));
    let level = if broken { Level::Regular } else { Level::Atomic };
    let mut random = Random::new(seed ^ 0x0E11);
    // Which replica a read asks first depends on the key.
    let key = format!("k{seed}");
    let mut writing: Option<CallId> = None;
    let mut reading: [Option<CallId>; 3] = [None; 3];
    let mut reads = Vec::new();
    for number in 0..OPERATIONS {
        cluster.pass(1 + random.below(5));
        let free = |cluster: &Cluster, call: Option<CallId>| call.is_none_or(|call| cluster.reply(call).is_some());
        if free(&cluster, writing) {
            // One writer whose node has all its writes: none of them is concurrent with another.
            writing = Some(cluster.begin(CLIENTS[0], &format!("SET {key} v{number}"), Want::default()));
        }
        let at = random.below(3) as usize;
        if free(&cluster, reading[at]) {
            let call = cluster.begin(CLIENTS[at], &format!("GET {key}"), Want::of_level(level));
            reading[at] = Some(call);
            reads.push(call);
        }
    }
    cluster.pass(2_000);
    let answered =
        reads.iter().filter(|&&call| cluster.reply(call).is_some_and(|reply| is_done(&reply.outcome))).count();
    let found = format!("{answered} reads at level {}, of {} from 3 replicas each", level.word(), rule.read());
    let few = (answered < reads.len() * 9 / 10).then(|| unexpected(format!("only {answered} reads were answered")));
    let failure = few.or_else(|| cluster.not_linearizable());
    cluster.end(failure, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_read_wrote_back_no_later_one_misses() {
        for seed in 0..100 {
            let run = run(seed, false, false);
            assert_eq!(run.failure, None, "seed {seed}: {}", run.found);
        }
    }
}
