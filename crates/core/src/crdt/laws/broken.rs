//! Cells with one rule broken each, as they were broken elsewhere. The laws must notice, and for the reason that is named.

use super::super::*;
use super::subjects::{At, BOUND, Count, Counters, Escrow, Escrows, Latests, Registers, Say, Sets, next};
use super::{Step, Subject, Update, Updates, World, breaks};
use crate::clock::{Actor, Context, Dot, VersionVector};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Debug;
use core::marker::PhantomData;

type Act<T, Op> = fn(&mut T, (Actor, usize), Op, &T) -> Option<T>;

/// Another implementation, under the oracle of a cell.
struct Instead<S: Subject, T> {
    of: S,
    act: Act<T, S::Op>,
    join: fn(&mut T, &T),
    read: fn(&T) -> String,
    renames: bool,
}

impl<S: Subject, T: Clone + Eq + Debug + Default> Subject for Instead<S, T> {
    type State = T;
    type Op = S::Op;
    fn ops(&self) -> Vec<S::Op> {
        self.of.ops()
    }
    fn act(&self, at: &mut T, by: (Actor, usize), op: S::Op, observed: &T) -> Option<T> {
        (self.act)(at, by, op, observed)
    }
    fn join(&self, at: &mut T, other: &T) {
        (self.join)(at, other);
    }
    fn read(&self, at: &T) -> String {
        (self.read)(at)
    }
    fn renames(&self) -> bool {
        self.renames
    }
    fn expect(&self, history: &[Update<S::Op>], standing: Updates) -> String {
        self.of.expect(history, standing)
    }
    fn stands(&self, op: S::Op) -> bool {
        self.of.stands(op)
    }
    fn ends(&self, op: S::Op, other: S::Op) -> bool {
        self.of.ends(op, other)
    }
    fn saw(&self, update: &Update<S::Op>, other: (usize, S::Op)) -> bool {
        self.of.saw(update, other)
    }
    fn implied(&self, history: &[Update<S::Op>], at: usize) -> Updates {
        self.of.implied(history, at)
    }
    fn may(&self, history: &[Update<S::Op>], known: Updates, actor: Actor, op: S::Op) -> bool {
        self.of.may(history, known, actor, op)
    }
}

/// The rule is broken as it is said, and for the reason that is named.
fn noticed<S: Subject>(subject: &S, law: &'static str) {
    assert!(breaks(subject, law, 4), "no script of four steps breaks the law: {law}");
}

fn register(join: fn(&mut At<Register>, &At<Register>)) -> Instead<Registers, At<Register>> {
    let act = |at: &mut _, by, op, observed: &_| Registers.act(at, by, op, observed);
    Instead { of: Registers, act, join, read: |at| Registers.read(at), renames: true }
}

#[test]
fn a_vector_that_is_greater_somewhere_is_not_later() {
    let broken = &register(|at, other| {
        let mut ahead = other.context.base().iter().filter(|&(actor, count)| count > at.context.base().get(actor));
        if ahead.next().is_some() {
            at.cell = other.cell.clone();
        }
        at.context.join(&other.context);
    });
    noticed(broken, "commutative");
}

/// Removes all dots but the one that is wanted.
fn keep_only<C: Cell<Seen = Context>>(cell: &mut C, wanted: impl Fn(&[Dot]) -> Option<Dot>) {
    let mut dots = Vec::new();
    cell.dots(&mut |dot| dots.push(dot));
    let wanted = wanted(&dots);
    let others = dots.into_iter().filter(|&dot| Some(dot) != wanted).collect();
    cell.remove(&others).expect("dots are removed");
}

#[test]
fn a_sibling_is_not_dropped() {
    let broken = &register(|at, other| {
        at.join(other);
        keep_only(&mut at.cell, |dots| dots.last().copied());
    });
    noticed(broken, "reads as the oracle says");
}

#[test]
fn the_last_writer_does_not_make_the_others_forgotten() {
    let subject = Instead {
        of: Latests,
        act: |at: &mut At<Latest>, by, op, observed| Latests.act(at, by, op, observed),
        join: |at, other| {
            at.join(other);
            let shown = at.cell.read().map(|shown| shown.stamp.actor);
            keep_only(&mut at.cell, |dots| dots.iter().copied().find(|dot| Some(dot.actor) == shown));
        },
        read: |at| Latests.read(at),
        renames: true,
    };
    noticed(&subject, "associative");
}

type AddWinsSets = Sets<EnableWins>;
const SETS: AddWinsSets = Sets(PhantomData);

fn set(act: Act<At<AddWins>, Say>, join: fn(&mut At<AddWins>, &At<AddWins>)) -> Instead<AddWinsSets, At<AddWins>> {
    Instead { of: SETS, act, join, read: |at| SETS.read(at), renames: true }
}

#[test]
fn an_add_that_was_not_seen_is_not_removed() {
    let broken = &set(
        |at, by, op, _| {
            let here = at.clone();
            SETS.act(at, by, op, &here)
        },
        |at, other| at.join(other),
    );
    noticed(broken, "reads as the oracle says");
    noticed(broken, "reads as the causes say");
}

#[test]
fn a_change_does_not_speak_for_the_whole_range() {
    let broken = &set(
        |at, by, op, observed| {
            let mut change = SETS.act(at, by, op, observed)?;
            change.context.join(&at.context);
            Some(change)
        },
        |at, other| at.join(other),
    );
    noticed(broken, "changes are the state");
}

#[test]
fn what_was_removed_does_not_come_back() {
    let broken = &set(
        |at, by, op, observed| SETS.act(at, by, op, observed),
        |at, other| {
            let held = |at: &At<AddWins>| {
                let mut held = Context::default();
                at.cell.dots(&mut |dot| held.insert(dot));
                held
            };
            at.cell.join(&held(at), &other.cell, &held(other));
            at.context.join(&other.context);
        },
    );
    noticed(broken, "what is known changes nothing");
}

/// Added and removed, both for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TwoPhase {
    added: BTreeSet<u8>,
    removed: BTreeSet<u8>,
}

#[test]
fn what_was_removed_can_be_added_again() {
    let broken = &Instead {
        of: SETS,
        act: |at: &mut TwoPhase, _, op, observed| {
            let mut change = TwoPhase::default();
            match op {
                Say::Add(member) => drop(change.added.insert(member)),
                Say::Take(member) => change.removed.extend(observed.added.contains(&member).then_some(member)),
                Say::Clear => change.removed.clone_from(&observed.added),
            }
            at.added.extend(&change.added);
            at.removed.extend(&change.removed);
            Some(change)
        },
        join: |at, other| {
            at.added.extend(&other.added);
            at.removed.extend(&other.removed);
        },
        read: |at| format!("{:?}", at.added.difference(&at.removed).map(u8::to_string).collect::<BTreeSet<_>>()),
        renames: true,
    };
    noticed(broken, "reads as the oracle says");
}

#[test]
fn joins_by_difference_average_and_sum_are_none() {
    let counter = |join| Instead {
        of: Counters,
        act: |at: &mut i64, _, op, observed| {
            let change = match op {
                Count::Add(amount) => amount,
                Count::Reset => -*observed,
            };
            *at += change;
            Some(change)
        },
        join,
        read: i64::to_string,
        renames: true,
    };
    noticed(&counter(|at, other| *at -= other), "commutative");
    noticed(&counter(|at, other| *at = (*at + other) / 2), "associative");
    noticed(&counter(|at, other| *at += other), "idempotent");
}

#[test]
fn a_lost_disk_does_not_give_its_identity_to_the_next() {
    let counter = Instead {
        of: Counters,
        act: |at: &mut _, by, op, observed: &_| Counters.act(at, by, op, observed),
        join: |at, other| at.join(other),
        read: |at| Counters.read(at),
        renames: false,
    };
    noticed(&counter, "reads as the oracle says");
    let broken = &Instead { renames: false, ..register(|at, other| at.join(other)) };
    noticed(broken, "changes in any order, equal states");
}

/// The value of each actor under its newest dot, as in the maps of riak.
#[test]
fn an_increment_does_not_bring_back_what_was_reset() {
    let broken = &Instead {
        of: Counters,
        act: |at: &mut At<DotFun<i64>>, by, op, observed| match op {
            Count::Add(amount) => {
                let mine = at.cell.iter().filter(|(dot, _)| dot.actor == by.0);
                let (dots, amounts): (Vec<_>, Vec<_>) = mine.map(|(dot, &amount)| (dot, amount)).unzip();
                let (seen, amount) = (dots.into_iter().collect(), amounts.into_iter().sum::<i64>() + amount);
                Some(at.operate(by.0, |cell, dot| cell.replace(dot, &seen, amount)))
            }
            Count::Reset => at.remove(&observed.cell.seen()),
        },
        join: |at, other| at.join(other),
        read: |at| at.cell.iter().map(|(_, amount)| amount).sum::<i64>().to_string(),
        renames: true,
    };
    noticed(broken, "reads as the oracle says");
}

/// Rights as one number for each actor, of which joins take the greater.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Plain {
    made: VersionVector,
    used: VersionVector,
    rights: BTreeMap<Actor, u64>,
}

const DUPLICATED: Instead<Escrows, Plain> = Instead {
    of: Escrows,
    act: |at, by, op, _| {
        let there = at.rights.get(&by.0).copied().unwrap_or(0);
        let rights = match op {
            Escrow::Increase(amount) => there + amount,
            Escrow::Decrease(amount) | Escrow::Give(amount) => there.checked_sub(amount)?,
        };
        at.rights.insert(by.0, rights);
        match op {
            Escrow::Increase(amount) => at.made.raise(by.0, at.made.get(by.0) + amount),
            Escrow::Decrease(amount) => at.used.raise(by.0, at.used.get(by.0) + amount),
            Escrow::Give(amount) => *at.rights.entry(next(by.0)).or_default() += amount,
        }
        Some(at.clone())
    },
    join: |at, other| {
        at.made.join(&other.made);
        at.used.join(&other.used);
        for (&actor, &rights) in &other.rights {
            let here = at.rights.entry(actor).or_default();
            *here = rights.max(*here);
        }
    },
    read: |at| {
        let sum = |vector: &VersionVector| vector.iter().map(|(_, count)| count as i64).sum::<i64>();
        (BOUND + sum(&at.made) - sum(&at.used)).to_string()
    },
    renames: true,
};

#[test]
fn rights_that_were_given_are_gone() {
    noticed(&DUPLICATED, "what is known changes nothing");

    // And this is what it costs: the same rights are used twice.
    let mut world = World::new(&DUPLICATED, Some("none"));
    for step in [
        Step::Act { at: 0, seen: 0, op: Escrow::Increase(3) },
        Step::Join { at: 2, from: 0 },
        Step::Act { at: 0, seen: 0, op: Escrow::Give(2) },
        Step::Join { at: 1, from: 0 },
        Step::Join { at: 0, from: 2 },
        Step::Act { at: 0, seen: 0, op: Escrow::Decrease(2) },
        Step::Act { at: 1, seen: 1, op: Escrow::Decrease(2) },
        Step::Join { at: 1, from: 0 },
    ] {
        world.step(step).expect("no law is looked at");
    }
    assert_eq!(DUPLICATED.read(&world.replicas[1].state), (BOUND - 1).to_string(), "below the bound");
}
