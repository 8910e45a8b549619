//! Counters, sets and registers of several replicas: what a simpler state gets wrong.

use super::{Run, actor, failed, row, table, unexpected};
use bytes::Bytes;
use quorate_core::clock::{Context, Hybrid};
use quorate_core::crdt::{AddWins, Cell, Counter, Latest, Register};
use quorate_core::random::Random;
use std::collections::BTreeSet;

const NODES: usize = 5;
const INCREMENTS: u64 = 1_000;

/// Five nodes count up and down during a cut, and then hear of each other. With the rule broken each has one number, and the greater one stays.
pub(crate) fn counter(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    let mut numbers = [0i64; NODES];
    let mut cells = [(); NODES].map(|()| Counter::default());
    let (mut ups, mut downs) = (0i64, 0i64);
    for _ in 0..INCREMENTS {
        let (at, up) = (random.below(NODES as u64) as usize, random.chance(700));
        let amount = if up { 1 } else { -1 };
        ups += i64::from(up);
        downs += i64::from(!up);
        numbers[at] += amount;
        cells[at].add(actor(at as u16 + 1), amount).expect("it fits");
    }
    let nothing = Context::default();
    let mut joined = Counter::default();
    // Twice, as the last round of messages may come again.
    (0..2).for_each(|_| cells.iter().for_each(|cell| joined.join(&nothing, cell, &nothing)));
    let counted = if broken { i128::from(numbers.into_iter().max().unwrap_or(0)) } else { joined.value() };
    let rows = [
        row(&["state", "up", "down", "expected", "counted"]),
        row(&[
            if broken { "the greatest number" } else { "a sum of each node" },
            &ups.to_string(),
            &downs.to_string(),
            &(ups - downs).to_string(),
            &counted.to_string(),
        ]),
    ];
    let lost = i128::from(ups - downs) - counted;
    let failure = (lost != 0).then(|| failed("increments are lost", format!("{lost} of {} are missing", ups - downs)));
    Run::counted(INCREMENTS, failure, table(&rows))
}

/// What was ever added, and what was ever removed: a member is in if it was added and not removed.
#[derive(Clone, Default)]
struct TwoPhase {
    added: BTreeSet<Bytes>,
    removed: BTreeSet<Bytes>,
}

/// A member is added, removed, and added again. With the rule broken the set remembers for ever what was removed.
pub(crate) fn two_phase_set(_seed: u64, broken: bool, _trace: bool) -> Run {
    let member = Bytes::from_static(b"milk");
    let mut naive = TwoPhase::default();
    let (mut here, mut known) = (AddWins::default(), Context::default());
    let mut again = [false; 2];
    for round in [true, false, true] {
        let (dot, seen) = (known.advance(actor(1)), here.seen_of(&member));
        if round {
            naive.added.insert(member.clone());
            here.add(dot, &seen, &member);
        } else {
            naive.removed.insert(member.clone());
            here.take(dot, &seen, &member);
        }
        again = [naive.added.contains(&member) && !naive.removed.contains(&member), here.contains(&member)];
    }
    // A removal at one side of a cut, while the other adds: the add was not seen, so it wins.
    let (mut there, mut other) = (here.clone(), known.clone());
    let removed = here.take(known.advance(actor(1)), &here.seen_of(&member), &member);
    let added = there.add(other.advance(actor(2)), &there.seen_of(&member), &member);
    there.join(&other, &removed.cell, &removed.context);
    here.join(&known, &added.cell, &added.context);
    let wins = here.contains(&member) && there.contains(&member);
    let is_in = if broken { again[0] } else { again[1] };
    let told = |is_in: bool| if is_in { "in" } else { "out" };
    let found = format!(
        "add, remove, add again: {}\nremoved at one side of a cut and added at the other, with the set of the core: {}",
        told(is_in),
        told(wins)
    );
    let failure = if !wins {
        Some(unexpected("an add that no removal saw is gone"))
    } else {
        (!is_in).then(|| failed("what was removed cannot be added again", "milk was added last, and is not in the set"))
    };
    Run::counted(5, failure, found)
}

const PAIRS: u64 = 200;

/// Two sides of a cut write one key each time. With the rule broken the cell shows the later of both: replicas agree, and one write is gone.
pub(crate) fn converges_and_loses(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    let (mut lost, mut dropped, mut differ) = (0, 0, 0);
    for _ in 0..PAIRS {
        let (mut known, mut other) = (Context::default(), Context::default());
        let dots = [known.advance(actor(1)), other.advance(actor(2))];
        let nothing = Context::default();
        if broken {
            let stamps = [1, 2].map(|node| Hybrid::new(actor(node), 0).tick(random.below(1_000)));
            let (mut here, mut there) = (Latest::default(), Latest::default());
            let first = here.write(dots[0], &nothing, stamps[0], Bytes::from_static(b"here"));
            let second = there.write(dots[1], &nothing, stamps[1], Bytes::from_static(b"there"));
            here.join(&known, &second.cell, &second.context);
            there.join(&other, &first.cell, &first.context);
            differ += u64::from(here != there);
            dropped += here.read().map_or(0, |shown| shown.dropped);
            lost += 2 - u64::from(here.read().is_some());
        } else {
            let (mut here, mut there) = (Register::default(), Register::default());
            let first = here.write(dots[0], &nothing, Bytes::from_static(b"here"));
            let second = there.write(dots[1], &nothing, Bytes::from_static(b"there"));
            here.join(&known, &second.cell, &second.context);
            there.join(&other, &first.cell, &first.context);
            differ += u64::from(here != there);
            lost += 2 - here.siblings().count() as u64;
        }
    }
    let rows = [
        row(&["cell", "writes", "replicas that differ", "writes that no read shows", "of them told as dropped"]),
        row(&[
            if broken { "lww-register" } else { "mv-register" },
            &(2 * PAIRS).to_string(),
            &differ.to_string(),
            &lost.to_string(),
            &dropped.to_string(),
        ]),
    ];
    let failure = if differ > 0 || dropped as u64 != lost {
        Some(unexpected("replicas differ, or a read hides how many values it does not show"))
    } else {
        (lost > 0).then(|| {
            failed(
                "an acknowledged write is lost",
                format!("all replicas agree, and {lost} of {} writes are gone", 2 * PAIRS),
            )
        })
    };
    Run::counted(PAIRS, failure, table(&rows))
}
