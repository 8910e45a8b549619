//! The laws of machines, tested on any machine: give a [`Suspect`], get the laws that it broke.
//!
//! What the driver can see at every step (L5 order of syncs, L7 bounded effects, L8 drawers, one answer per call) the
//! simulator asserts itself; here the world is made to bring the others out: a run twice (L1), power lost after any one
//! step and at every batch boundary (L2, L3), wakes that nobody asked for and doubled messages (L4), absurd clocks (L9).

use crate::fault::Fault;
use crate::simulator::{Answered, Habits, Happening, Simulator, Subject, Weather};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::random::Random;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A machine with clients that know what it promises. A fresh one is made for each run.
pub trait Suspect {
    /// The machine.
    type Machine: Subject;
    /// The nodes of a cluster.
    fn configs(&self) -> Vec<(NodeId, <Self::Machine as quorate_core::machine::Machine>::Config)>;
    /// The next request of a client, and where it goes. It is asked at this time.
    fn request(
        &mut self,
        call: CallId,
        at_us: u64,
        random: &mut Random,
    ) -> (NodeId, <Self::Machine as quorate_core::machine::Machine>::Request);
    /// A client hears an answer.
    fn heard(&mut self, answered: Answered<<Self::Machine as quorate_core::machine::Machine>::Reply>);
    /// What the machine promised and did not keep, if anything. Calls without an answer have an unknown outcome.
    fn verdict(&self) -> Option<String>;
    /// How many calls had an answer.
    fn answered(&self) -> usize;
}

/// A law that was broken, with the seed of the run that showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which law.
    pub law: &'static str,
    /// The seed.
    pub seed: u64,
    /// What was seen.
    pub what: String,
}

/// What the world does to the machine in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Torment {
    Nothing,
    /// After this step of the whole run, the node that took it loses power; so many unsynced batches survive.
    CrashAfter {
        step: u64,
        keep: usize,
    },
    Echoes,
    Clocks,
}

struct Run {
    digest: u64,
    steps: u64,
    answered: usize,
    wrong: Option<String>,
}

const CALLS: u64 = 60;
const GAP_US: u64 = 8_000;
const REST_US: u64 = 3_000_000;
/// Doubled messages and spurious wakes, per mille, when they are the torment.
const ECHOES: u64 = 300;
/// Lost messages, per mille, when the power goes.
const LOSS: u64 = 150;

fn habits(torment: Torment) -> Habits {
    let weather = Weather { jitter_us: 2_000, ..Weather::default() };
    let calm = Habits { weather, spurious_wake_per_mille: 0, late_wake_per_mille: 0, ..Habits::default() };
    match torment {
        Torment::Nothing | Torment::Clocks => calm,
        Torment::CrashAfter { .. } => Habits { weather: Weather { loss_per_mille: LOSS, ..calm.weather }, ..calm },
        Torment::Echoes => Habits {
            weather: Weather { double_per_mille: ECHOES, ordered: false, ..calm.weather },
            spurious_wake_per_mille: ECHOES,
            late_wake_per_mille: ECHOES,
            ..calm
        },
    }
}

fn run<S: Suspect>(mut suspect: S, seed: u64, torment: Torment) -> Run {
    let mut simulator: Simulator<S::Machine> = Simulator::new(seed, habits(torment), suspect.configs());
    let result = catch_unwind(AssertUnwindSafe(|| live(&mut simulator, &mut suspect, seed, torment)));
    let panicked = result.is_err().then(|| "the machine fails an assertion".to_string());
    let wrong = panicked.or_else(|| simulator.violations.first().cloned()).or_else(|| suspect.verdict());
    Run { digest: simulator.digest(), steps: simulator.steps(), answered: suspect.answered(), wrong }
}

fn live<S: Suspect>(simulator: &mut Simulator<S::Machine>, suspect: &mut S, seed: u64, torment: Torment) {
    let mut random = Random::new(seed ^ 0x1A35);
    if torment == Torment::Clocks {
        for node in simulator.nodes().collect::<Vec<_>>() {
            let sign = if random.chance(500) { 1 } else { -1 };
            let decades = random.below(50 * 365 * 86_400_000) as i64;
            simulator.inject(&Fault::Skew(node, sign * decades));
            simulator.inject(&Fault::Drift(node, random.below(1_500_000) as i64 - 700_000));
        }
    }
    for call in 1..=CALLS {
        let at_us = simulator.now_us() + random.below(GAP_US);
        play(simulator, suspect, at_us, torment);
        let (node, request) = suspect.request(CallId(call), simulator.now_us(), &mut random);
        simulator.call(simulator.now_us(), node, CallId(call), request);
        if torment == Torment::Clocks && random.chance(100) {
            simulator.inject(&Fault::Skew(node, random.below(1 << 40) as i64 - (1 << 39)));
        }
    }
    let end = simulator.now_us() + REST_US;
    play(simulator, suspect, end, torment);
}

fn play<S: Suspect>(simulator: &mut Simulator<S::Machine>, suspect: &mut S, until_us: u64, torment: Torment) {
    while simulator.violations.is_empty() && simulator.next_at().is_some_and(|next| next <= until_us) {
        let happening = simulator.advance();
        simulator.answers.drain(..).for_each(|answered| suspect.heard(answered));
        if let (Torment::CrashAfter { step, keep }, Happening::Stepped(node) | Happening::Synced(node)) =
            (torment, happening)
            && simulator.steps() == step
        {
            simulator.inject(&Fault::Crash(node, keep));
            let back = simulator.now_us() + 5_000;
            simulator.schedule(back, Fault::Restart(node));
        }
    }
    if simulator.violations.is_empty() {
        simulator.idle_until(until_us);
    }
}

/// Tests the laws over some seeds; `crashes` is how many places per seed the power is lost at. The first broken law of
/// each kind is told.
pub fn check<S: Suspect>(make: impl Fn(u64) -> S, seeds: u64, crashes: u64) -> Vec<Broken> {
    let mut broken: Vec<Broken> = Vec::new();
    let mut tell = |law: &'static str, seed: u64, what: Option<String>| {
        if let Some(what) = what
            && !broken.iter().any(|known| known.law == law)
        {
            broken.push(Broken { law, seed, what });
        }
    };
    for seed in 0..seeds {
        let calm = run(make(seed), seed, Torment::Nothing);
        let again = run(make(seed), seed, Torment::Nothing);
        let differs = (calm.digest, calm.steps) != (again.digest, again.steps);
        tell("L1", seed, differs.then(|| "two runs of one seed differ".to_string()));
        tell("promise", seed, calm.wrong.clone());
        let silent = calm.answered < CALLS as usize / 2;
        tell("promise", seed, silent.then(|| format!("{} of {CALLS} calls were answered", calm.answered)));
        let mut random = Random::new(seed ^ 0xC4A5);
        for _ in 0..crashes {
            let step = 1 + random.below(calm.steps.max(1));
            let keep = random.below(3) as usize;
            tell("L3", seed, run(make(seed), seed, Torment::CrashAfter { step, keep }).wrong);
        }
        tell("L4", seed, run(make(seed), seed, Torment::Echoes).wrong);
        tell("L9", seed, run(make(seed), seed, Torment::Clocks).wrong);
    }
    broken
}
