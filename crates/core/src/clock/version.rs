//! Version vectors (Parker and others 1983; for events of nodes: Fidge and Mattern 1988).

use crate::machine::NodeId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One life of a node as a writer. A node whose disk was lost or set back comes back as another actor, so that no count is
/// ever used twice (riak_kv #1094, scylla #2169).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The node.
    pub node: NodeId,
    /// Which of its lives, from 1.
    pub incarnation: u32,
}

/// The name of one event: the n-th of an actor, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Who did it.
    pub actor: Actor,
    /// Its number among the events of the actor.
    pub count: u64,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node.0, self.incarnation)
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.actor, self.count)
    }
}

/// How two events, or two sets of events, stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Causality {
    /// They are the same.
    Equal,
    /// The first came before the second.
    Before,
    /// The first came after the second.
    After,
    /// Neither knew of the other.
    Concurrent,
}

/// For each actor the number of its events that are known, without holes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VersionVector {
    /// In order of the actors, who are few: a list is smaller and faster than a tree.
    counts: Vec<(Actor, u64)>,
}

impl VersionVector {
    /// Nothing is known.
    pub const NOTHING: VersionVector = VersionVector { counts: Vec::new() };

    /// The number of known events of an actor.
    pub fn get(&self, actor: Actor) -> u64 {
        self.place(actor).map_or(0, |at| self.counts[at].1)
    }
    /// Is the event known?
    pub fn contains(&self, dot: Dot) -> bool {
        dot.count <= self.get(dot.actor)
    }
    /// Counts one more event of an actor, and names it.
    pub fn advance(&mut self, actor: Actor) -> Dot {
        let dot = Dot { actor, count: self.get(actor) + 1 };
        self.raise(actor, dot.count);
        dot
    }
    /// Knows the first so many events of an actor.
    pub fn raise(&mut self, actor: Actor, count: u64) {
        match self.place(actor) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.max(count),
            Err(at) if count > 0 => self.counts.insert(at, (actor, count)),
            Err(_) => {}
        }
    }
    /// Knows what the other knows.
    pub fn join(&mut self, other: &VersionVector) {
        other.iter().for_each(|(actor, count)| self.raise(actor, count));
    }
    /// Does it know all that the other knows?
    pub fn covers(&self, other: &VersionVector) -> bool {
        other.iter().all(|(actor, count)| count <= self.get(actor))
    }
    /// How the two stand to each other: in each actor's count, not in their sum.
    pub fn compare(&self, other: &VersionVector) -> Causality {
        match (self.covers(other), other.covers(self)) {
            (true, true) => Causality::Equal,
            (true, false) => Causality::After,
            (false, true) => Causality::Before,
            (false, false) => Causality::Concurrent,
        }
    }
    /// Does it know nothing?
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
    /// The actors that are known, and the numbers of their known events; in order.
    pub fn iter(&self) -> impl Iterator<Item = (Actor, u64)> + '_ {
        self.counts.iter().copied()
    }

    fn place(&self, actor: Actor) -> Result<usize, usize> {
        self.counts.binary_search_by_key(&actor, |&(actor, _)| actor)
    }
}

impl Serialize for VersionVector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for VersionVector {
    /// Whatever order the actors come in.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<VersionVector, D::Error> {
        let counts = BTreeMap::deserialize(deserializer)?;
        Ok(VersionVector { counts: counts.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::executions::each;

    #[test]
    fn vectors_tell_exactly_what_came_before() {
        let mut concurrent = 0;
        each(6, &mut |execution| {
            let vectors = execution.vectors();
            for a in 0..vectors.len() {
                for b in 0..vectors.len() {
                    let expected = match (execution.is_before(a, b), execution.is_before(b, a)) {
                        (true, _) => Causality::Before,
                        (_, true) => Causality::After,
                        _ if a == b => Causality::Equal,
                        _ => Causality::Concurrent,
                    };
                    concurrent += u32::from(expected == Causality::Concurrent);
                    assert_eq!(vectors[a].compare(&vectors[b]), expected, "{a} {b} of {execution:?}");
                }
            }
        });
        assert!(concurrent > 10_000);
    }
}
