//! A counter that can be reset by what was observed of it (the semantics of Weidner and Almeida, "An oblivious observed-reset
//! embeddable replicated counter", 2022), without dots.

use super::{Cell, Delta, Refused};
use crate::clock::{Actor, Context, Dot, VersionVector};
use alloc::collections::BTreeMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Names that one counter remembers. A change under one more is refused.
pub const NAMES: usize = 10_000;

/// What each actor ever added and took. Both only grow, and only their actor makes them grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Totals {
    added: VersionVector,
    taken: VersionVector,
    /// Amounts that were added under a name: each counts once, whoever added it and how often.
    named: BTreeMap<Bytes, i64>,
}

/// The sum of what was added and taken and not observed by a reset.
///
/// After a reset one entry for each actor stays: without it, the next increment of the actor could not be told from one that
/// was reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counter {
    given: Totals,
    /// How much of it resets observed; never more than was given.
    reset: Totals,
}

impl Counter {
    /// Adds an amount, or takes one if it is negative.
    ///
    /// # Errors
    /// [`Refused::Overflow`] if the value here would leave the range of `i64`, or the total of the actor that of `u64`.
    pub fn add(&mut self, actor: Actor, amount: i64) -> Result<Delta<Counter>, Refused> {
        let (before, mut delta) = (self.value(), Counter::default());
        let after = before + i128::from(amount);
        if i64::try_from(after).is_err() && after.unsigned_abs() > before.unsigned_abs() {
            return Err(Refused::Overflow);
        }
        let (total, changed) = match amount < 0 {
            true => (&mut self.given.taken, &mut delta.given.taken),
            false => (&mut self.given.added, &mut delta.given.added),
        };
        let count = total.get(actor).checked_add(amount.unsigned_abs()).ok_or(Refused::Overflow)?;
        total.raise(actor, count);
        changed.raise(actor, count);
        Ok(Delta { cell: delta, context: Context::default() })
    }
    /// Adds an amount under a name: once, however often and by whomever it is repeated.
    ///
    /// # Errors
    /// [`Refused::Overflow`] as [`Counter::add`]; [`Refused::OtherUse`] if the name stands for another amount here;
    /// [`Refused::Full`] if there are [`NAMES`] of them.
    pub fn add_once(&mut self, name: &Bytes, amount: i64) -> Result<Delta<Counter>, Refused> {
        match self.given.named.get(name) {
            Some(&before) if before != amount => return Err(Refused::OtherUse),
            Some(_) => {}
            None if self.given.named.len() >= NAMES => return Err(Refused::Full),
            None => {
                i64::try_from(self.value() + i128::from(amount)).map_err(|_| Refused::Overflow)?;
                self.given.named.insert(name.clone(), amount);
            }
        }
        let mut delta = Counter::default();
        delta.given.named.insert(name.clone(), amount);
        Ok(Delta { cell: delta, context: Context::default() })
    }
    /// Was an amount added under this name?
    pub fn knows(&self, name: &Bytes) -> bool {
        self.given.named.contains_key(name)
    }
    /// The value. It leaves the range of `i64` only by concurrent increments that each stayed in it.
    pub fn value(&self) -> i128 {
        self.given.sum() - self.reset.sum()
    }
}

impl Totals {
    fn sum(&self) -> i128 {
        let sum = |vector: &VersionVector| vector.iter().map(|(_, count)| i128::from(count)).sum::<i128>();
        let named = self.named.values().map(|&amount| i128::from(amount)).sum::<i128>();
        sum(&self.added) - sum(&self.taken) + named
    }
    fn join(&mut self, other: &Totals) {
        self.added.join(&other.added);
        self.taken.join(&other.taken);
        for (name, &amount) in &other.named {
            // One name stands for one amount, unless a client used it twice: then all choose the same one.
            let here = self.named.entry(name.clone()).or_insert(amount);
            *here = (*here).max(amount);
        }
    }
}

impl Cell for Counter {
    type Seen = Totals;

    fn join(&mut self, _: &Context, other: &Self, _: &Context) {
        self.given.join(&other.given);
        self.reset.join(&other.reset);
    }
    fn seen(&self) -> Totals {
        self.given.clone()
    }
    /// Resets what was seen, whether it has arrived here or not.
    fn remove(&mut self, seen: &Totals) -> Result<Delta<Self>, Refused> {
        let reset = Counter { given: seen.clone(), reset: seen.clone() };
        self.given.join(&reset.given);
        self.reset.join(&reset.reset);
        Ok(Delta { cell: reset, context: Context::default() })
    }
    fn is_bottom(&self) -> bool {
        *self == Counter::default()
    }
    /// Was all reset that was given?
    fn is_absent(&self) -> bool {
        self.given == self.reset
    }
    fn dots(&self, _: &mut dyn FnMut(Dot)) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::NodeId;

    fn actor(node: u16) -> Actor {
        Actor { node: NodeId(node), incarnation: 1 }
    }

    /// Replicas that repeat each other's changes, hear each other in any order, and reset what they see.
    #[test]
    fn what_has_a_name_counts_once_whoever_repeats_it() {
        use crate::random::Random;
        use alloc::collections::BTreeSet;
        use alloc::format;
        let nothing = Context::default();
        for seed in 0..400 {
            let mut random = Random::new(seed);
            // Each replica: its counter, the names that it knows, and those of them that some reset saw.
            let mut replicas: [(Counter, BTreeSet<u64>, BTreeSet<u64>); 3] = Default::default();
            for _ in 0..25 {
                let (at, from) = (random.below(3) as usize, random.below(3) as usize);
                match random.below(5) {
                    0..=2 => {
                        let name = random.below(4);
                        let word = Bytes::from(format!("{name}"));
                        replicas[at].0.add_once(&word, 1 << name).expect("it fits");
                        replicas[at].1.insert(name);
                    }
                    3 => {
                        let other = replicas[from].clone();
                        replicas[at].0.join(&nothing, &other.0, &nothing);
                        replicas[at].1.extend(other.1);
                        replicas[at].2.extend(other.2);
                    }
                    _ => {
                        let seen = replicas[at].0.seen();
                        replicas[at].0.remove(&seen).expect("counters are reset");
                        let known = replicas[at].1.clone();
                        replicas[at].2.extend(known);
                    }
                }
                for (counter, known, reset) in &replicas {
                    let expected: i128 = known.difference(reset).map(|name| 1 << name).sum();
                    assert_eq!(counter.value(), expected, "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_name_stands_for_one_amount() {
        let mut counter = Counter::default();
        let name = Bytes::from_static(b"once");
        counter.add_once(&name, 5).expect("it fits");
        assert_eq!(counter.add_once(&name, 6), Err(Refused::OtherUse));
        counter.add_once(&name, 5).expect("it is known");
        assert_eq!((counter.value(), counter.knows(&name)), (5, true));
        for number in 1..NAMES {
            counter.add_once(&Bytes::from(alloc::format!("{number}")), 0).expect("there is room");
        }
        assert_eq!(counter.add_once(&Bytes::from_static(b"more"), 1), Err(Refused::Full));
    }

    #[test]
    fn an_overflow_is_refused_and_changes_nothing() {
        let mut counter = Counter::default();
        counter.add(actor(1), i64::MAX).expect("it fits");
        let before = counter.clone();
        assert_eq!(counter.add(actor(2), 1), Err(Refused::Overflow));
        assert_eq!(counter, before);
        // The value would fit, the total of the actor that took does not.
        counter.add(actor(1), i64::MIN).expect("it fits");
        assert_eq!(counter.value(), -1);
        assert_eq!(counter.add(actor(1), i64::MIN), Err(Refused::Overflow));
        counter.add(actor(1), i64::MAX).expect("it fits");
        counter.add(actor(1), i64::MIN + 1).expect("a total of 2^64 - 1 fits");
        counter.add(actor(2), 1).expect("it fits");
        assert_eq!(counter.add(actor(1), -1), Err(Refused::Overflow));
        assert_eq!(counter.value(), 0);
    }

    #[test]
    fn a_sum_beyond_64_bits_is_told_as_it_is() {
        let nothing = Context::default();
        let mut counter = Counter::default();
        for node in 1..=3 {
            let mut alone = Counter::default();
            alone.add(actor(node), i64::MAX).expect("it fits");
            counter.join(&nothing, &alone, &nothing);
        }
        assert_eq!(counter.value(), 3 * i128::from(i64::MAX));
        assert_eq!(counter.add(actor(1), 1), Err(Refused::Overflow));
        counter.add(actor(1), -1).expect("the way back is open");
        let seen = counter.seen();
        counter.remove(&seen).expect("counters are reset");
        assert!(counter.is_absent() && !counter.is_bottom());
        assert_eq!(counter.value(), 0);
    }
}
