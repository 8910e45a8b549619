//! A counter that never falls below a bound, without coordination on the way (escrow: O'Neil 1986; replicated: Balegas and
//! others, "Extending eventually consistent cloud databases for enforcing numeric invariants", 2015).

use super::{Cell, Delta, Refused};
use crate::clock::{Actor, Context, Dot, VersionVector};
use crate::machine::NodeId;
use alloc::collections::{BTreeMap, BTreeSet};
use serde::{Deserialize, Serialize};

/// How far the value is above the bound, as rights to decrease it. An actor decreases by rights that it holds, made by its own
/// increases or given by others. The bound itself belongs to the table.
///
/// A decrease or a transfer is sent with all that its actor knew, not as the one number that changed: a replica that heard of
/// a decrease alone, and not of the rights behind it, would be below the bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bounded {
    /// How many rights ever went from the first actor to the second; from an actor to itself: how many it made. Only the
    /// first changes it, or the second if it is a later life of the same node; and only upwards.
    moved: BTreeMap<(Actor, Actor), u64>,
    /// How many each actor used.
    used: VersionVector,
}

impl Bounded {
    /// Increases the value, and holds the rights.
    ///
    /// # Errors
    /// [`Refused::Overflow`] if the value here would leave the range of `i64`.
    pub fn increase(&mut self, actor: Actor, amount: u64, bound: i64) -> Result<Delta<Bounded>, Refused> {
        i64::try_from(self.value(bound) + i128::from(amount)).map_err(|_| Refused::Overflow)?;
        let count = self.moved(actor, actor).checked_add(amount).ok_or(Refused::Overflow)?;
        let mut cell = Bounded::default();
        cell.raise(actor, actor, count);
        self.raise(actor, actor, count);
        Ok(Delta { cell, context: Context::default() })
    }
    /// Decreases the value by rights that the actor holds.
    ///
    /// # Errors
    /// [`Refused::Rights`] with what it holds, if that does not reach.
    pub fn decrease(&mut self, actor: Actor, amount: u64) -> Result<Delta<Bounded>, Refused> {
        let count = self.spend(actor, amount, self.used.get(actor))?;
        self.used.raise(actor, count);
        Ok(self.whole())
    }
    /// Takes what earlier lives of the actor's node hold. What such a life spent and nobody here knows of would be spent twice: only who
    /// knows all that it ever did may call this.
    pub fn take_back(&mut self, actor: Actor) {
        let earlier = |holder: &Actor| holder.node == actor.node && holder.incarnation < actor.incarnation;
        for holder in self.actors().into_iter().filter(earlier) {
            let count = self.moved(holder, actor).saturating_add(self.rights(holder));
            self.raise(holder, actor, count);
        }
    }
    /// Gives rights away, which changes no value.
    ///
    /// # Errors
    /// [`Refused::Rights`] with what the giver holds, if that does not reach.
    pub fn transfer(&mut self, from: Actor, to: Actor, amount: u64) -> Result<Delta<Bounded>, Refused> {
        let count = self.spend(from, amount, self.moved(from, to))?;
        // Rights that an actor gave to itself would count as made.
        if from != to {
            self.raise(from, to, count);
        }
        Ok(self.whole())
    }
    /// The value, never below the bound.
    pub fn value(&self, bound: i64) -> i128 {
        let made = self.moved.iter().filter(|((from, to), _)| from == to).map(|(_, &count)| i128::from(count));
        let used = self.used.iter().map(|(_, count)| i128::from(count));
        i128::from(bound) + made.sum::<i128>() - used.sum::<i128>()
    }
    /// The rights that an actor holds: what it can decrease by now.
    pub fn rights(&self, actor: Actor) -> u64 {
        // Concurrent gifts may add up to more than fits. Below 0 only bytes that no operation made can bring it.
        u64::try_from(self.balance(actor).max(0)).unwrap_or(u64::MAX)
    }
    /// An actor that spent more than it ever held. As long as rights are taken back as they may be, there is none, in no state.
    pub fn overdrawn(&self) -> Option<Actor> {
        let spenders = self.moved.keys().map(|&(from, _)| from).chain(self.used.iter().map(|(actor, _)| actor));
        spenders.into_iter().find(|&actor| self.balance(actor) < 0)
    }

    fn balance(&self, actor: Actor) -> i128 {
        let mut rights = -i128::from(self.used.get(actor));
        for (&(from, to), &count) in &self.moved {
            if to == actor {
                rights += i128::from(count);
            } else if from == actor {
                rights -= i128::from(count);
            }
        }
        rights
    }

    /// The rights that each node holds in all its lives; without those that hold none.
    pub fn holders(&self) -> BTreeMap<NodeId, u64> {
        let mut holders = BTreeMap::new();
        for (actor, rights) in self.actors().into_iter().map(|actor| (actor, self.rights(actor))) {
            if rights > 0 {
                let all = holders.entry(actor.node).or_insert(0_u64);
                *all = all.saturating_add(rights);
            }
        }
        holders
    }

    /// Did a life ever take rights of an earlier one?
    #[cfg(test)]
    pub fn was_taken_back(&self) -> bool {
        self.moved.keys().any(|(from, to)| from.node == to.node && from.incarnation < to.incarnation)
    }
    /// All that ever held rights.
    fn actors(&self) -> BTreeSet<Actor> {
        self.moved.keys().map(|&(_, to)| to).collect()
    }
    /// The total after so much was spent of the rights that an actor holds.
    fn spend(&self, actor: Actor, amount: u64, total: u64) -> Result<u64, Refused> {
        let there = self.rights(actor);
        if amount > there {
            let known = self.holders().values().fold(0, |all: u64, &rights| all.saturating_add(rights));
            return Err(Refused::Rights { there, known });
        }
        total.checked_add(amount).ok_or(Refused::Overflow)
    }
    fn moved(&self, from: Actor, to: Actor) -> u64 {
        self.moved.get(&(from, to)).copied().unwrap_or(0)
    }
    fn raise(&mut self, from: Actor, to: Actor, count: u64) {
        if count > self.moved(from, to) {
            self.moved.insert((from, to), count);
        }
    }
    fn whole(&self) -> Delta<Bounded> {
        Delta { cell: self.clone(), context: Context::default() }
    }
}

impl Cell for Bounded {
    type Seen = ();

    fn join(&mut self, _: &Context, other: &Self, _: &Context) {
        other.moved.iter().for_each(|(&(from, to), &count)| self.raise(from, to, count));
        self.used.join(&other.used);
    }
    fn seen(&self) {}
    /// Refused: rights that are used elsewhere at the same time would take the value below the bound.
    fn remove(&mut self, (): &()) -> Result<Delta<Self>, Refused> {
        Err(Refused::Stays)
    }
    fn is_bottom(&self) -> bool {
        *self == Bounded::default()
    }
    fn dots(&self, _: &mut dyn FnMut(Dot)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Actor = Actor { node: NodeId(1), incarnation: 1 };
    const B: Actor = Actor { node: NodeId(2), incarnation: 1 };

    #[test]
    fn a_decrease_brings_the_rights_behind_it() {
        let nothing = Context::default();
        let (mut a, mut b) = (Bounded::default(), Bounded::default());
        a.increase(A, 10, 0).expect("it fits");
        let gift = a.transfer(A, B, 10).expect("the rights are there");
        assert_eq!(a.decrease(A, 1), Err(Refused::Rights { there: 0, known: 10 }));
        b.join(&nothing, &gift.cell, &nothing);
        assert_eq!(b.decrease(B, 11), Err(Refused::Rights { there: 10, known: 10 }));
        let used = b.decrease(B, 10).expect("the rights are there");

        // A third replica hears of the decrease first. The one number that it changed would put it below the bound.
        let alone = Bounded { used: used.cell.used.clone(), ..Bounded::default() };
        assert_eq!((alone.value(0), alone.overdrawn()), (-10, Some(B)));
        assert_eq!(used.cell.value(0), 0);
    }

    #[test]
    fn a_life_takes_what_the_earlier_lives_of_its_node_hold() {
        let again = Actor { incarnation: 2, ..A };
        let mut counter = Bounded::default();
        counter.increase(A, 10, 0).expect("it fits");
        counter.increase(B, 5, 0).expect("it fits");
        counter.decrease(A, 3).expect("the rights are there");
        assert_eq!(counter.decrease(again, 1), Err(Refused::Rights { there: 0, known: 12 }));
        counter.take_back(again);
        counter.take_back(again);
        assert_eq!([A, B, again].map(|actor| counter.rights(actor)), [0, 5, 7]);
        // Who has not heard of the new life gives to the one before.
        counter.transfer(B, A, 2).expect("the rights are there");
        counter.take_back(again);
        assert_eq!((counter.rights(again), counter.value(0)), (9, 12));
        assert_eq!(counter.holders(), [(NodeId(1), 9), (NodeId(2), 3)].into());
    }

    #[test]
    fn rights_given_to_oneself_are_not_made() {
        let mut counter = Bounded::default();
        counter.increase(A, 3, 0).expect("it fits");
        counter.transfer(A, A, 2).expect("the rights are there");
        assert_eq!((counter.rights(A), counter.value(0)), (3, 3));
    }

    #[test]
    fn an_increase_beyond_64_bits_is_refused() {
        let mut counter = Bounded::default();
        assert_eq!(counter.increase(A, i64::MAX as u64, 1), Err(Refused::Overflow));
        assert!(counter.is_bottom());
        counter.increase(A, u64::MAX, i64::MIN).expect("the whole range above the lowest bound");
        assert_eq!(counter.value(i64::MIN), i64::MAX.into());
        assert_eq!(counter.increase(B, 1, i64::MIN), Err(Refused::Overflow));
    }
}
