//! When is a silence suspicious? Nodes that only beat and watch each other, by one fixed timeout or by the rhythm of each link.
//!
//! The same nodes run in two worlds: on calm links a beat is hardly late, on rough ones it may be late by two heartbeats. No
//! timeout fits both: what is patient enough for the one is too slow for the other.

use crate::failure::{Failure, Kind};
use crate::fault::Fault;
use crate::simulator::{Habits, Simulator, Subject, Weather};
use quorate_core::detector::{Phi, TO_HAND_OVER};
use quorate_core::machine::{Input, Machine, Mono, NodeId, Now, Step, Wake};
use quorate_core::store::View;
use std::collections::BTreeMap;

/// By what a silence is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// By how regular the node was before.
    Phi,
    /// By a timeout that suits calm links.
    Short,
    /// By a timeout that suits any link.
    Long,
}

/// How often a node beats, in milliseconds.
const HEARTBEAT_MS: u64 = 100;
/// The two timeouts, in milliseconds.
const SHORT_MS: u64 = 250;
const LONG_MS: u64 = 1_000;
/// How late a beat may be on calm and on rough links, in milliseconds.
const JITTERS_MS: [u64; 2] = [5, 200];
/// How long the links may be learned, and for how long nobody may be suspected after that, in milliseconds.
const LEARN_MS: u64 = 5_000;
const WATCH_MS: u64 = 15_000;
/// A node that ended is suspected after so many of the longest intervals between two beats.
const INTERVALS: u64 = 3;

/// What does not change during one life.
#[derive(Clone, Debug)]
pub struct Config {
    node: NodeId,
    members: Vec<NodeId>,
    variant: Variant,
}

/// A node that beats and watches.
#[derive(Debug)]
pub struct Watcher {
    config: Config,
    beat_at: Mono,
    heard: BTreeMap<NodeId, (Phi, Mono)>,
}

impl Machine for Watcher {
    type Config = Config;
    type Request = ();
    type Reply = ();
    type Message = ();

    fn boot(config: &Config, now: Now, _disk: &dyn View) -> Watcher {
        Watcher { config: config.clone(), beat_at: now.mono, heard: BTreeMap::new() }
    }

    fn step(&mut self, cx: &mut Step<'_, (), ()>, input: Input<(), ()>) {
        let now = cx.now().mono;
        match input {
            Input::Message { from, message: () } => {
                let (phi, last) = self.heard.entry(from).or_default();
                phi.heard(now);
                *last = now;
            }
            Input::Wake if now >= self.beat_at => {
                self.beat_at = now.after_ms(HEARTBEAT_MS);
                let others = self.config.members.iter().filter(|&&member| member != self.config.node);
                others.for_each(|&peer| cx.send(peer, ()));
            }
            Input::Request { .. } | Input::Synced { .. } | Input::Lost { .. } | Input::Wake => {}
        }
    }

    fn wake_at(&self) -> Option<Wake> {
        Some(Wake { at: self.beat_at, why: "beat" })
    }
}

impl Subject for Watcher {
    fn reborn(config: &Config, _incarnation: u64) -> Config {
        config.clone()
    }
}

impl Watcher {
    fn suspects(&self, peer: NodeId, now: Mono) -> bool {
        let Some((phi, last)) = self.heard.get(&peer) else { return false };
        match self.config.variant {
            Variant::Phi => phi.level(now).is_some_and(|level| level > TO_HAND_OVER),
            Variant::Short => now > last.after_ms(SHORT_MS),
            Variant::Long => now > last.after_ms(LONG_MS),
        }
    }
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Steps of all nodes in both worlds.
    pub steps: u64,
    /// Who was suspected wrongly, or too late.
    pub failure: Option<Failure>,
    /// What happened, when a trace was asked for.
    pub trace: Vec<String>,
}

/// Three nodes in both worlds.
pub fn run(seed: u64, variant: Variant, trace: bool) -> Trial {
    let mut trial = Trial { steps: 0, failure: None, trace: Vec::new() };
    for jitter_ms in JITTERS_MS {
        let members: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let config = |&node: &NodeId| (node, Config { node, members: members.clone(), variant });
        let weather = Weather { jitter_us: jitter_ms * 1_000, ..Weather::default() };
        let habits = Habits { weather, lost_hint_per_mille: 0, late_wake_per_mille: 0, ..Habits::default() };
        let mut simulator: Simulator<Watcher> = Simulator::new(seed, habits, members.iter().map(config).collect());
        simulator.trace = trace.then(Vec::new);
        trial.failure = watch(&mut simulator, jitter_ms);
        trial.steps += simulator.steps();
        trial.trace = simulator.trace.take().unwrap_or_default();
        if trial.failure.is_some() {
            break;
        }
    }
    trial
}

fn watch(simulator: &mut Simulator<Watcher>, jitter_ms: u64) -> Option<Failure> {
    let accuse = |at_us, kind, what: String| {
        Some(Failure { kind, at_us, detail: format!("{what}, where a beat is late by up to {jitter_ms} ms") })
    };
    for ms in LEARN_MS..WATCH_MS {
        simulator.run_until(ms * 1_000);
        if let Some((node, peer)) = suspicions(simulator).first() {
            return accuse(
                simulator.now_us(),
                Kind::LivingSuspected,
                format!("node {} suspects node {}", node.0, peer.0),
            );
        }
    }
    let dead = NodeId(3);
    simulator.inject(&Fault::Crash(dead, 0));
    let patience_ms = (HEARTBEAT_MS + jitter_ms) * INTERVALS;
    simulator.run_until((WATCH_MS + patience_ms) * 1_000);
    let suspicions = suspicions(simulator);
    let late = (1..=2).map(NodeId).find(|node| !suspicions.contains(&(*node, dead)))?;
    let what = format!("node {} does not suspect node 3, {patience_ms} ms after it ended", late.0);
    accuse(simulator.now_us(), Kind::DeathNoticedLate, what)
}

/// Who suspects whom.
fn suspicions(simulator: &Simulator<Watcher>) -> Vec<(NodeId, NodeId)> {
    let mut found = Vec::new();
    for node in simulator.nodes() {
        let Some(watcher) = simulator.machine(node) else { continue };
        let now = simulator.clock(node).now(simulator.now_us()).mono;
        let suspected = simulator.nodes().filter(|&peer| watcher.suspects(peer, now));
        found.extend(suspected.map(|peer| (node, peer)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rhythm_is_right_in_both_worlds_and_no_timeout_is() {
        let kinds = |variant| (0..20).map(move |seed| run(seed, variant, false).failure.map(|failure| failure.kind));
        assert!(kinds(Variant::Phi).all(|kind| kind.is_none()));
        assert!(kinds(Variant::Short).all(|kind| kind == Some(Kind::LivingSuspected)));
        assert!(kinds(Variant::Long).all(|kind| kind == Some(Kind::DeathNoticedLate)));
    }
}
