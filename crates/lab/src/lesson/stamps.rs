//! Order by the clocks of nodes: what a clock that is ahead does to writes that come later, and how a hybrid clock keeps the order of
//! causes without being right about the time.

use super::{Run, actor, failed, percent, row, table, unexpected};
use bytes::Bytes;
use quorate_core::clock::{Context, Hybrid, Stamp};
use quorate_core::crdt::{Cell, Latest, Register};
use quorate_core::random::Random;

const ROUNDS: u64 = 1_000;
/// The clock of node 2 is ahead by this much, in milliseconds; that of node 1 is right.
const AHEAD_MS: u64 = 500;
/// The second write begins this long after the first was acknowledged, at most, in milliseconds.
const PAUSE_MS: u64 = 1_000;

/// In each round node 2 writes, and node 1 overwrites it later. With the rule broken the value with the later wall clock is kept.
/// Else there are two ways: a clock that observed what it overwrites, or siblings where it did not see it.
pub(crate) fn last_writer(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    let mut ways = [Way::default(); 3];
    for round in 0..ROUNDS {
        let first_ms = 1_000_000 + round * 10_000;
        let second_ms = first_ms + 1 + random.below(PAUSE_MS);
        let mut clocks = [1, 2].map(|node| Hybrid::new(actor(node), AHEAD_MS));
        let first = clocks[1].tick(first_ms + AHEAD_MS);
        if broken {
            // A clock that nobody told of the first write shows what the wall clock shows.
            ways[0].count(clocks[0].tick(second_ms) > first);
        } else if random.chance(500) {
            clocks[0].observe(first, second_ms).expect("within the bound");
            ways[1].count(overwrites(first, clocks[0].tick(second_ms)));
        } else {
            ways[2].count(siblings_keep());
        }
    }
    let names = ["wall clock", "hybrid clock that saw the first write", "siblings, where it was not seen"];
    let tried = names.iter().zip(&ways).filter(|(_, way)| way.rounds > 0);
    let mut rows = vec![row(&["order by", "rounds", "later writes lost", ""])];
    rows.extend(tried.map(|(name, way)| {
        row(&[name, &way.rounds.to_string(), &way.lost.to_string(), &percent(way.lost, way.rounds)])
    }));
    let lost = ways.iter().map(|way| way.lost).sum::<u64>();
    let failure = if broken && !(ROUNDS * 4 / 10..ROUNDS * 6 / 10).contains(&lost) {
        Some(unexpected(format!(
            "{lost} lost: a pause of up to {PAUSE_MS} ms is shorter than {AHEAD_MS} ms half of the time"
        )))
    } else {
        let detail =
            format!("{lost} of {ROUNDS} later writes lost to earlier ones of a clock that is {AHEAD_MS} ms ahead");
        (lost > 0).then(|| failed("an acknowledged write is lost", detail))
    };
    Run::counted(ROUNDS, failure, table(&rows))
}

/// One way to order writes, and how often it lost the later of two.
#[derive(Clone, Copy, Default)]
struct Way {
    rounds: u64,
    lost: u64,
}

impl Way {
    fn count(&mut self, kept: bool) {
        self.rounds += 1;
        self.lost += u64::from(!kept);
    }
}

/// Is the second value shown after it was written over the first?
fn overwrites(first: Stamp, second: Stamp) -> bool {
    let (mut cell, mut known) = (Latest::default(), Context::default());
    cell.write(known.advance(actor(2)), &Context::default(), first, Bytes::from_static(b"first"));
    let seen = cell.seen();
    cell.write(known.advance(actor(1)), &seen, second, Bytes::from_static(b"second"));
    let shown = cell.read().is_some_and(|shown| shown.value == "second" && shown.dropped == 0);
    shown && second > first
}

/// Are both values there after two replicas wrote without knowing of each other?
fn siblings_keep() -> bool {
    let (mut here, mut there) = (Register::default(), Register::default());
    let (mut known, mut other) = (Context::default(), Context::default());
    let first = there.write(other.advance(actor(2)), &Context::default(), Bytes::from_static(b"first"));
    here.write(known.advance(actor(1)), &Context::default(), Bytes::from_static(b"second"));
    here.join(&known, &first.cell, &first.context);
    here.siblings().eq(["first", "second"]) || here.siblings().eq(["second", "first"])
}

/// Messages between nodes whose clocks are off by up to this much, in milliseconds.
const OFF_MS: u64 = 50;
const NODES: usize = 5;
const EVENTS: u64 = 10_000;

/// Nodes send and hear. With the rule broken an event has the time of the wall clock; a cause then often has a later time than its effect.
pub(crate) fn causes(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    // The first two are as wrong as may be, in both ways.
    let drawn = (2..NODES).map(|_| random.below(2 * OFF_MS + 1));
    let offsets: Vec<u64> = [0, 2 * OFF_MS].into_iter().chain(drawn).collect();
    let mut clocks: Vec<Hybrid> = (1..=NODES as u16).map(|node| Hybrid::new(actor(node), 2 * OFF_MS)).collect();
    // The last stamp of each node: what a message from it carries, and what its next event follows.
    let mut last: Vec<Option<Stamp>> = vec![None; NODES];
    let (mut pairs, mut inverted, mut furthest_ms, mut highest) = (0u64, 0u64, 0, 0);
    let mut truth_ms = 1_000_000;
    for _ in 0..EVENTS {
        truth_ms += random.below(3);
        let (at, from) = (random.below(NODES as u64) as usize, random.below(NODES as u64) as usize);
        let wall_ms = truth_ms + offsets[at] - OFF_MS;
        let heard = last[from].filter(|_| at != from);
        let stamp = if broken {
            Stamp { time_ms: wall_ms, count: 0, actor: actor(at as u16 + 1) }
        } else {
            if let Some(heard) = heard {
                clocks[at].observe(heard, wall_ms).expect("within the bound");
            }
            clocks[at].tick(wall_ms)
        };
        if let Some(cause) = heard {
            pairs += 1;
            inverted += u64::from(cause >= stamp);
        }
        furthest_ms = furthest_ms.max(stamp.time_ms.saturating_sub(truth_ms));
        highest = highest.max(stamp.count);
        last[at] = Some(stamp);
    }
    let found = format!(
        "{pairs} messages; {inverted} of them ({}) arrive before they were sent\nno stamp is further than {furthest_ms} ms ahead of true time, clocks are off by up to {OFF_MS} ms; highest count {highest}",
        percent(inverted, pairs)
    );
    let failure = if furthest_ms > OFF_MS {
        Some(unexpected("a stamp is further ahead than any clock"))
    } else {
        let detail = format!("{inverted} of {pairs} messages arrive before they were sent, by the wall clocks");
        (inverted > 0).then(|| failed("an effect comes before its cause", detail))
    };
    Run::counted(EVENTS, failure, found)
}

/// A clock that is ten years ahead, in milliseconds.
const FAR_MS: u64 = 10 * 365 * 24 * 3_600_000;

/// One of five clocks is far ahead, and all hear of each other. With the rule broken any stamp is believed.
pub(crate) fn far_future(_seed: u64, broken: bool, _trace: bool) -> Run {
    let bound_ms = if broken { u64::MAX } else { 500 };
    let now_ms = 1_000_000;
    let mut clocks: Vec<Hybrid> = (1..=NODES as u16).map(|node| Hybrid::new(actor(node), bound_ms)).collect();
    let mut refused = 0;
    for _ in 0..2 {
        for from in 0..NODES {
            let wall_ms = if from == 0 { now_ms + FAR_MS } else { now_ms };
            let stamp = clocks[from].tick(wall_ms);
            // The first node, whose clock is wrong, hears of nobody.
            let others = clocks.iter_mut().enumerate().filter(|&(at, _)| at != 0 && at != from);
            refused += others.map(|(_, clock)| u64::from(clock.observe(stamp, now_ms).is_err())).sum::<u64>();
        }
    }
    let ahead = clocks[1..].iter().filter(|clock| (*clock).clone().tick(now_ms).time_ms > now_ms + 500).count();
    let found = format!(
        "one of {NODES} clocks is ten years ahead; {refused} stamps are refused; {ahead} of the other clocks follow it"
    );
    let failure = (ahead > 0).then(|| {
        let detail = format!("{ahead} clocks that are right give stamps of ten years from now, and will for ten years");
        failed("one wrong clock moves all others", detail)
    });
    Run::counted(NODES as u64 * 2, failure, found)
}
