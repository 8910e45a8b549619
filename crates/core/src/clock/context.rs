//! Sets of dots, small because most of them are the first events of an actor without holes.

use super::version::{Actor, Causality, Dot, VersionVector};
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which events are known: for each actor all up to one, and single ones beyond (the *causal context* of Almeida, Shoker and
/// Baquero, "Delta state replicated data types", 2018). Equal sets are equal values. A copy is cheap: it shares what is known until
/// one of the two learns more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context(Option<Arc<Known>>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Known {
    base: VersionVector,
    /// Beyond the base, and never the next one of it. In order.
    #[serde(deserialize_with = "in_order")]
    beyond: Vec<Dot>,
}

static NOTHING: Known = Known { base: VersionVector::NOTHING, beyond: Vec::new() };

/// Counts are below this, so that the next one always has a number.
const COUNT_END: u64 = 1 << 62;

impl Context {
    /// Is it what [`Context::insert`] makes, with counts that can be counted on? To be asked of what was decoded.
    pub fn is_sound(&self) -> bool {
        let counted = |count: u64| (1..COUNT_END).contains(&count);
        let Known { base, beyond } = self.known();
        base.iter().all(|(_, count)| counted(count))
            && beyond.iter().all(|dot| counted(dot.count) && dot.count > base.get(dot.actor) + 1)
    }
    /// Is the event known?
    pub fn contains(&self, dot: Dot) -> bool {
        self.known().contains(dot)
    }
    /// Knows one event more.
    pub fn insert(&mut self, dot: Dot) {
        if !self.contains(dot) {
            self.known_mut().insert(dot);
        }
    }
    /// Knows what the other knows.
    pub fn join(&mut self, other: &Context) {
        if self.covers(other) {
            return;
        }
        if other.covers(self) {
            *self = other.clone();
            return;
        }
        let known = self.known_mut();
        for (actor, count) in other.base().iter() {
            known.raise(actor, count);
        }
        other.beyond().for_each(|dot| known.insert(dot));
    }
    /// The name of the next event of an actor, which must be the only one to count with that name. It is known from now on.
    pub fn advance(&mut self, actor: Actor) -> Dot {
        let dot = self.next(actor);
        self.insert(dot);
        dot
    }
    /// The name that [`Context::advance`] would give.
    pub fn next(&self, actor: Actor) -> Dot {
        let Known { base, beyond } = self.known();
        let end = beyond.partition_point(|dot| dot.actor <= actor);
        let newest = beyond[..end].last().filter(|dot| dot.actor == actor).map_or(0, |dot| dot.count);
        Dot { actor, count: newest.max(base.get(actor)) + 1 }
    }
    /// What is known here but for these events of one actor, from the first to the last.
    pub fn without(&self, first: Dot, last: Dot) -> Context {
        let actor = first.actor;
        let mut rest = Known::default();
        for (other, count) in self.base().iter() {
            rest.base.raise(other, if other == actor { count.min(first.count - 1) } else { count });
        }
        rest.beyond.extend(self.beyond().filter(|dot| dot.actor != actor || dot.count < first.count));
        let known = (last.count + 1..=self.base().get(actor)).map(|count| Dot { actor, count });
        let later = self.beyond().filter(|dot| dot.actor == actor && dot.count > last.count);
        known.chain(later).for_each(|dot| rest.insert(dot));
        rest.into()
    }
    /// Knows all events before the single ones, too.
    pub fn fill(&mut self) {
        if !self.is_whole() {
            let known = self.known_mut();
            for dot in core::mem::take(&mut known.beyond) {
                known.base.raise(dot.actor, dot.count);
            }
        }
    }
    /// Does it know all that the other knows?
    pub fn covers(&self, other: &Context) -> bool {
        match (&self.0, &other.0) {
            (_, None) => true,
            (None, Some(theirs)) => theirs.is_empty(),
            // The event after the base is never among the single ones, so no greater base is covered.
            (Some(ours), Some(theirs)) => {
                Arc::ptr_eq(ours, theirs)
                    || ours.base.covers(&theirs.base) && theirs.beyond.iter().all(|&dot| ours.contains(dot))
            }
        }
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
        &self.known().base
    }
    /// The single events beyond the holes, in order.
    pub fn beyond(&self) -> impl Iterator<Item = Dot> + '_ {
        self.known().beyond.iter().copied()
    }
    /// Are there no holes?
    pub fn is_whole(&self) -> bool {
        self.known().beyond.is_empty()
    }
    /// Does it know nothing?
    pub fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    fn known(&self) -> &Known {
        self.0.as_deref().unwrap_or(&NOTHING)
    }

    /// To be changed: no longer shared, and something will be known.
    fn known_mut(&mut self) -> &mut Known {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl Known {
    fn is_empty(&self) -> bool {
        self.base.is_empty() && self.beyond.is_empty()
    }
    fn contains(&self, dot: Dot) -> bool {
        self.base.contains(dot) || self.beyond.binary_search(&dot).is_ok()
    }
    fn insert(&mut self, dot: Dot) {
        if dot.count.saturating_sub(1) <= self.base.get(dot.actor) {
            self.raise(dot.actor, dot.count);
        } else if let Err(at) = self.beyond.binary_search(&dot) {
            self.beyond.insert(at, dot);
        }
    }
    /// Knows the first so many events of an actor, and takes into the base what is then without holes.
    fn raise(&mut self, actor: Actor, count: u64) {
        if count <= self.base.get(actor) {
            return;
        }
        let start = self.beyond.partition_point(|dot| dot.actor < actor);
        let (mut end, mut count) = (start, count);
        while let Some(dot) = self.beyond.get(end).filter(|dot| dot.actor == actor)
            && dot.count.saturating_sub(1) <= count
        {
            count = count.max(dot.count);
            end += 1;
        }
        self.beyond.drain(start..end);
        self.base.raise(actor, count);
    }
}

impl From<Known> for Context {
    fn from(known: Known) -> Context {
        Context((!known.is_empty()).then(|| Arc::new(known)))
    }
}

impl From<VersionVector> for Context {
    fn from(base: VersionVector) -> Context {
        Known { base, beyond: Vec::new() }.into()
    }
}

impl FromIterator<Dot> for Context {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Context {
        let mut known = Known::default();
        dots.into_iter().for_each(|dot| known.insert(dot));
        known.into()
    }
}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.known().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Context, D::Error> {
        Ok(Known::deserialize(deserializer)?.into())
    }
}

/// Whatever order they come in.
fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Dot>, D::Error> {
    Ok(BTreeSet::deserialize(deserializer)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::NodeId;
    use alloc::collections::BTreeMap;

    fn dot(number: u32) -> Dot {
        let actor = Actor { node: NodeId(1 + (number / 4) as u16), incarnation: 1 };
        Dot { actor, count: 1 + u64::from(number % 4) }
    }

    fn of_bits(bits: u32) -> Context {
        (0..8).filter(|at| bits >> at & 1 == 1).map(dot).collect()
    }

    /// All sets of the first four events of two actors, and all pairs of them.
    /// Every set of eight events, without any run of events of one actor.
    #[test]
    fn a_run_of_events_is_left_out() {
        for bits in 0..1_u32 << 8 {
            let known: Context = (0..8).filter(|number| bits >> number & 1 == 1).map(dot).collect();
            for (first, last) in (0..8).flat_map(|first| (first..first / 4 * 4 + 4).map(move |last| (first, last))) {
                let rest: Context =
                    (0..8).filter(|it| bits >> it & 1 == 1 && !(first..=last).contains(it)).map(dot).collect();
                assert_eq!(known.without(dot(first), dot(last)), rest, "{bits:b} without {first} to {last}");
            }
        }
    }

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
            let mut known = Known::default();
            known.base.raise(actor, base);
            known.beyond.extend(beyond.iter().map(|&count| Dot { actor, count }));
            Context::from(known)
        };
        assert!(with(3, &[5, 9]).is_sound());
        for (base, beyond) in [(3, &[4][..]), (3, &[2]), (0, &[1]), (0, &[0]), (u64::MAX, &[]), (1, &[u64::MAX])] {
            assert!(!with(base, beyond).is_sound(), "{base} {beyond:?}");
        }
    }

    /// What is on disk and on the wire: a map of counts, and a set of dots; in no order that a reader could count on.
    #[test]
    fn a_context_is_read_whatever_its_order() {
        for bits in 0..256 {
            let context = of_bits(bits);
            let counts: BTreeMap<Actor, u64> = context.base().iter().collect();
            let dots: BTreeSet<Dot> = context.beyond().collect();
            let bytes = postcard::to_allocvec(&context).expect("contexts always encode");
            assert_eq!(postcard::to_allocvec(&(counts, dots)).as_ref(), Ok(&bytes));
            let pairs: Vec<(Actor, u64)> = context.base().iter().collect();
            let (pairs, dots): (Vec<_>, Vec<Dot>) = (pairs.into_iter().rev().collect(), context.beyond().collect());
            let mixed = postcard::to_allocvec(&(pairs, dots.iter().rev().collect::<Vec<_>>()));
            for bytes in [bytes, mixed.expect("contexts always encode")] {
                assert_eq!(postcard::from_bytes(&bytes).as_ref(), Ok(&context));
            }
        }
    }

    #[test]
    fn what_is_filled_has_no_holes_and_knows_no_newer_event() {
        for bits in 0..256u32 {
            let below = |part: u32| (part + 1).next_power_of_two() - 1;
            let mut context = of_bits(bits);
            context.fill();
            assert_eq!(context, of_bits(below(bits & 15) | below(bits >> 4) << 4), "{bits:b}");
        }
    }

    #[test]
    fn a_copy_does_not_learn_with_its_original() {
        for bits in 0..256 {
            let mut context = of_bits(bits);
            let (copy, mut joined) = (context.clone(), Context::default());
            joined.join(&context);
            context.advance(dot(0).actor);
            assert_eq!((&copy, &joined), (&of_bits(bits), &of_bits(bits)), "{bits:b}");
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
