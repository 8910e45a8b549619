//! Read, add one, write: at quorums that meet, two clients still overwrite each other. A compare-and-set, agreed on by a majority, does not.

use super::cluster::{Cluster, is_done, text};
use super::replica::Config;
use super::{Run, unexpected};
use crate::failure::Kind as Reason;
use crate::simulator::Weather;
use quorate_core::crdt::Kind;
use quorate_core::guarantee::{Level, Want};
use quorate_core::machine::CallId;
use quorate_core::operation::Outcome;
use quorate_core::quorum::Preset;

const CLIENTS: [u16; 2] = [1, 2];
const UPDATES: u64 = 15;

/// What a client is at.
enum At {
    Idle,
    Read(CallId),
    Write(CallId),
}

/// Two clients count up one key. With the rule broken they read and write at quorums; else they swap what they read for what they make of it.
pub(crate) fn run(seed: u64, broken: bool, trace: bool) -> Run {
    let rule = Preset::Balanced.rule(3).expect("three replicas");
    let mut cluster = Cluster::new(seed, &Config::new(rule, Kind::Latest), Weather::default(), trace);
    let fresh = Want::of_level(if broken { Level::Regular } else { Level::Linearizable });
    let first = cluster.ask(3, if broken { "SET k 0" } else { "SETNX k 0" }, Want::default());
    let (mut begun, mut counted, mut unknown, mut refused) = (0, 0, 0, 0);
    let mut clients = CLIENTS.map(|node| (node, At::Idle));
    while begun < UPDATES * 2 || clients.iter().any(|(_, at)| !matches!(at, At::Idle)) {
        for (node, at) in &mut clients {
            *at = match at {
                At::Idle if begun < UPDATES * 2 => {
                    begun += 1;
                    At::Read(cluster.begin(*node, "GET k", fresh))
                }
                At::Idle => At::Idle,
                At::Read(call) => match cluster.reply(*call).map(|reply| text(&reply.outcome)) {
                    None => At::Read(*call),
                    Some(value) => match value.parse::<u64>() {
                        Ok(number) if broken => {
                            At::Write(cluster.begin(*node, &format!("SET k {}", number + 1), Want::default()))
                        }
                        Ok(number) => {
                            At::Write(cluster.begin(*node, &format!("CAS k {number} {}", number + 1), Want::default()))
                        }
                        Err(_) => At::Idle,
                    },
                },
                At::Write(call) => match cluster.reply(*call).map(|reply| reply.outcome.clone()) {
                    None => At::Write(*call),
                    Some(outcome) => {
                        let took = is_done(&outcome) && (broken || text(&outcome) == "1");
                        counted += u64::from(took);
                        unknown += u64::from(matches!(outcome, Outcome::Unknown(_)));
                        refused += u64::from(is_done(&outcome) && !took);
                        At::Idle
                    }
                },
            };
        }
        cluster.pass(1);
    }
    let last = text(&cluster.ask(3, "GET k", fresh));
    let value = last.parse::<u64>().unwrap_or(u64::MAX);
    let found = format!(
        "{counted} updates acknowledged, {refused} refused because the value had changed, {unknown} unknown; the value is {last}"
    );
    let failure = if !is_done(&first) || counted < UPDATES / 2 || value > counted + unknown {
        Some(unexpected(format!("{counted} of {begun} updates were acknowledged, the value is {last}")))
    } else {
        let detail = format!("{counted} updates were acknowledged, and the value is {value}");
        (value < counted).then(|| cluster.failed(Reason::Lesson("an update is lost"), detail))
    };
    let run = cluster.end(failure, found);
    Run { recording: Default::default(), ..run }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_swapped_is_counted_once() {
        for seed in 0..30 {
            let run = run(seed, false, false);
            assert_eq!(run.failure, None, "seed {seed}: {}", run.found);
        }
    }
}
