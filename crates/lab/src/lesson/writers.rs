//! Writes that do not meet: two clients write one key at the same time, each at another replica, and both are told that it is done.
//! A cell that shows one value loses the other; a cell with siblings shows both.

use super::cluster::{Cluster, is_done, quorum, text};
use super::replica::Config;
use super::{Run, unexpected};
use crate::failure::Kind as Reason;
use crate::simulator::Weather;
use quorate_core::crdt::Kind;
use quorate_core::quorum::Preset;

const KEYS: usize = 20;

/// Of N = 3, W = 1 and R = 3. With the rule broken the last writer wins.
pub(crate) fn run(seed: u64, broken: bool, trace: bool) -> Run {
    let rule = Preset::FastWrites.rule(3).expect("three replicas");
    let kind = if broken { Kind::Latest } else { Kind::Register };
    let mut cluster = Cluster::new(seed, &Config::new(rule, kind), Weather::default(), trace);
    let (mut acknowledged, mut lost, mut example) = (0, 0, None);
    for number in 0..KEYS {
        // Each reads what it replaces at its own node alone, and finds nothing: neither write sees the other.
        let writes = [1, 2].map(|node| cluster.begin(node, &format!("SET k{number} by-{node}"), quorum(1, 0)));
        let done = writes.map(|call| is_done(&cluster.wait(call).outcome));
        acknowledged += done.iter().filter(|&&done| done).count();
        let read = text(&cluster.ask(3, &format!("GET k{number}"), quorum(3, 0)));
        for node in [1, 2].into_iter().filter(|node| !read.contains(&format!("by-{node}"))) {
            lost += 1;
            example.get_or_insert(format!(
                "k{number}: nodes 1 and 2 acknowledged, a read of all gives {read:?}; by-{node} is gone"
            ));
        }
    }
    let found = format!(
        "cell {}: {KEYS} keys, {acknowledged} writes acknowledged, {lost} lost; two writes have {} of 3 replicas in common for sure",
        kind.word(),
        rule.write_overlap()
    );
    let failure = if acknowledged < 2 * KEYS {
        Some(unexpected("a write was not acknowledged"))
    } else {
        example.map(|example| cluster.failed(Reason::AcknowledgedLost, example))
    };
    // Siblings are no register that a checker of registers could judge.
    let run = cluster.end(failure, found);
    Run { recording: Default::default(), ..run }
}
