//! Sets of dots, small because most of them are the first events of an actor without holes.

use super::version::{Actor, Causality, Dot, VersionVector};
use alloc::collections::BTreeSet;
use serde::{Deserialize, Serialize};

/// Which events are known: for each actor all up to one, and single ones beyond (the *causal context* of Almeida, Shoker and
/// Baquero, "Delta state replicated data types", 2018). Equal sets are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Context {
    base: VersionVector,
    /// Beyond the base, and never the next one of it.
    beyond: BTreeSet<Dot>,
}

/// Counts are below this, so that the next one always has a number.
const COUNT_END: u64 = 1 << 62;

impl Context {
    /// Is it what [`Context::insert`] makes, with counts that can be counted on? To be asked of what was decoded.
    pub fn is_sound(&self) -> bool {
        let counted = |count: u64| (1..COUNT_END).contains(&count);
        self.base.iter().all(|(_, count)| counted(count))
            && self.beyond.iter().all(|dot| counted(dot.count) && dot.count > self.base.get(dot.actor) + 1)
    }
    /// Is the event known?
    pub fn contains(&self, dot: Dot) -> bool {
        self.base.contains(dot) || self.beyond.contains(&dot)
    }
    /// Knows one event more.
    pub fn insert(&mut self, dot: Dot) {
        if dot.count == self.base.get(dot.actor) + 1 {
            self.base.raise(dot.actor, dot.count);
            self.close(dot.actor);
        } else if !self.base.contains(dot) {
            self.beyond.insert(dot);
        }
    }
    /// Knows what the other knows.
    pub fn join(&mut self, other: &Context) {
        for (actor, count) in other.base.iter() {
            if count > self.base.get(actor) {
                self.base.raise(actor, count);
                self.close(actor);
            }
        }
        other.beyond.iter().for_each(|&dot| self.insert(dot));
    }
    /// The name of the next event of an actor, which must be the only one to count with that name. It is known from now on.
    pub fn advance(&mut self, actor: Actor) -> Dot {
        let dot = self.next(actor);
        self.insert(dot);
        dot
    }
    /// The name that [`Context::advance`] would give.
    pub fn next(&self, actor: Actor) -> Dot {
        let first = Dot { actor, count: 0 };
        let last = Dot { actor, count: u64::MAX };
        let newest = self.beyond.range(first..=last).next_back().map_or(0, |dot| dot.count);
        Dot { actor, count: newest.max(self.base.get(actor)) + 1 }
    }
    /// What is known here but for the events of an actor from this one on.
    pub fn before(&self, first: Dot) -> Context {
        let mut before = Context::default();
        for (actor, count) in self.base.iter() {
            let end = if actor == first.actor { count.min(first.count - 1) } else { count };
            before.base.raise(actor, end);
        }
        before.beyond.extend(self.beyond().filter(|dot| dot.actor != first.actor || dot.count < first.count));
        before
    }
    /// Does it know all that the other knows?
    pub fn covers(&self, other: &Context) -> bool {
        // The event after the base is never among the single ones, so no greater base is covered.
        self.base.covers(&other.base) && other.beyond.iter().all(|&dot| self.contains(dot))
    }
    /// How the two stand to each other.
    pub fn compare(&self, other: &Context) -> Causality {
        match (self.covers(other), other.covers(self)) {
            (true, true) => Causality::Equal,
            (true, false) => Causality::After,
            (false, true) => Causality::Before,
            (false, false) => Causality::Concurrent,
        }
    }
    /// For each actor the events that are known without holes.
    pub fn base(&self) -> &VersionVector {
        &self.base
    }
    /// The single events beyond the holes.
    pub fn beyond(&self) -> impl Iterator<Item = Dot> + '_ {
        self.beyond.iter().copied()
    }
    /// Are there no holes?
    pub fn is_whole(&self) -> bool {
        self.beyond.is_empty()
    }
    /// Does it know nothing?
    pub fn is_empty(&self) -> bool {
        self.base.is_empty() && self.beyond.is_empty()
    }

    /// Takes into the base what is now without holes, and forgets what it covers.
    fn close(&mut self, actor: Actor) {
        loop {
            let first = Dot { actor, count: 0 };
            let last = Dot { actor, count: u64::MAX };
            let Some(&dot) = self.beyond.range(first..=last).next() else { return };
            if dot.count > self.base.get(actor) + 1 {
                return;
            }
            self.beyond.remove(&dot);
            self.base.raise(actor, dot.count);
        }
    }
}

impl From<VersionVector> for Context {
    fn from(base: VersionVector) -> Context {
        Context { base, beyond: BTreeSet::new() }
    }
}

impl FromIterator<Dot> for Context {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Context {
        let mut context = Context::default();
        dots.into_iter().for_each(|dot| context.insert(dot));
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::NodeId;
    use alloc::vec::Vec;

    fn dot(number: u32) -> Dot {
        let actor = Actor { node: NodeId(1 + (number / 4) as u16), incarnation: 1 };
        Dot { actor, count: 1 + u64::from(number % 4) }
    }

    fn of_bits(bits: u32) -> Context {
        (0..8).filter(|at| bits >> at & 1 == 1).map(dot).collect()
    }

    /// All sets of the first four events of two actors, and all pairs of them.
    #[test]
    fn contexts_are_sets() {
        for a in 0..256u32 {
            let context = of_bits(a);
            for at in 0..8 {
                assert_eq!(context.contains(dot(at)), a >> at & 1 == 1, "{a:b}");
            }
            assert_eq!(context.is_whole(), [a & 15, a >> 4].iter().all(|&part| (part + 1).is_power_of_two()));
            for b in 0..256u32 {
                let other = of_bits(b);
                let mut both = context.clone();
                both.join(&other);
                assert_eq!(both, of_bits(a | b), "{a:b} and {b:b}");
                assert_eq!(context.covers(&other), b & !a == 0, "{a:b} and {b:b}");
                assert_eq!(context == other, a == b);
            }
        }
    }

    #[test]
    fn the_order_in_which_dots_come_does_not_matter() {
        let mut orders: Vec<Vec<u32>> = alloc::vec![Vec::new()];
        for at in 0..5 {
            let longer = |order: &Vec<u32>| {
                (0..=order.len()).map(|place| [&order[..place], &[at], &order[place..]].concat()).collect::<Vec<_>>()
            };
            orders = orders.iter().flat_map(longer).collect();
        }
        for order in orders {
            let context: Context = order.iter().map(|&at| dot(at)).collect();
            assert_eq!(context, of_bits(0b11111), "{order:?}");
        }
    }

    #[test]
    fn what_no_insertion_makes_is_not_sound() {
        assert!((0..256).all(|bits| of_bits(bits).is_sound()));
        let Dot { actor, count: _ } = dot(0);
        let with = |base: u64, beyond: &[u64]| {
            let mut context = Context::default();
            context.base.raise(actor, base);
            context.beyond.extend(beyond.iter().map(|&count| Dot { actor, count }));
            context
        };
        assert!(with(3, &[5, 9]).is_sound());
        for (base, beyond) in [(3, &[4][..]), (3, &[2]), (0, &[1]), (0, &[0]), (u64::MAX, &[]), (1, &[u64::MAX])] {
            assert!(!with(base, beyond).is_sound(), "{base} {beyond:?}");
        }
    }

    #[test]
    fn the_next_name_was_never_given() {
        for bits in 0..256 {
            let mut context = of_bits(bits);
            for actor in [dot(0).actor, dot(4).actor] {
                let before = context.clone();
                let dot = context.advance(actor);
                assert!(!before.contains(dot) && context.contains(dot), "{bits:b}");
            }
        }
    }
}
