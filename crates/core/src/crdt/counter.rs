//! A counter that can be reset by what was observed of it (the semantics of Weidner and Almeida, "An oblivious observed-reset
//! embeddable replicated counter", 2022), without dots.

use super::{Cell, Delta, Refused};
use crate::clock::{Actor, Context, Dot, VersionVector};
use serde::{Deserialize, Serialize};

/// What each actor ever added and took. Both only grow, and only their actor makes them grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Totals {
    added: VersionVector,
    taken: VersionVector,
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
    /// The value. It leaves the range of `i64` only by concurrent increments that each stayed in it.
    pub fn value(&self) -> i128 {
        self.given.sum() - self.reset.sum()
    }
}

impl Totals {
    fn sum(&self) -> i128 {
        let sum = |vector: &VersionVector| vector.iter().map(|(_, count)| i128::from(count)).sum::<i128>();
        sum(&self.added) - sum(&self.taken)
    }
    fn join(&mut self, other: &Totals) {
        self.added.join(&other.added);
        self.taken.join(&other.taken);
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
