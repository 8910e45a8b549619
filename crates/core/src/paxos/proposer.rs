//! The side that tries.

use super::Ballot;
use super::acceptor::{Ask, Tell};
use crate::guarantee::NodeSet;
use crate::machine::NodeId;

/// Whose answers a proposer needs: so many of these, and while the replicas of the key change, so many of others as well. Any two quorums that count
/// at the same time must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quorum {
    of: (NodeSet, usize),
    and: Option<(NodeSet, usize)>,
}

impl Quorum {
    /// So many of these.
    pub const fn new(nodes: NodeSet, needed: usize) -> Quorum {
        Quorum { of: (nodes, needed), and: None }
    }
    /// And so many of those.
    #[must_use]
    pub const fn and(self, nodes: NodeSet, needed: usize) -> Quorum {
        Quorum { and: Some((nodes, needed)), ..self }
    }
    fn contains(&self, node: NodeId) -> bool {
        self.of.0.contains(node) || self.and.is_some_and(|(nodes, _)| nodes.contains(node))
    }
    /// Did enough answer?
    fn is_met(&self, answered: NodeSet, rules: Rules) -> bool {
        let met = |(nodes, needed): (NodeSet, usize)| {
            let needed = if rules.majority { needed } else { nodes.len() / 2 };
            answered.intersection(nodes).len() >= needed
        };
        met(self.of) && self.and.is_none_or(met)
    }
}

impl From<NodeSet> for Quorum {
    /// More than half of these.
    fn from(nodes: NodeSet) -> Quorum {
        Quorum::new(nodes, nodes.len() / 2 + 1)
    }
}

/// What a change makes of the value before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Given<V> {
    /// This is the value from now on.
    Next(V),
    /// The value stays: the condition of the change does not hold, or it only reads.
    Same,
}

/// How an attempt stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict<V> {
    /// It waits for more answers.
    Open,
    /// Ask all replicas this now.
    Ask(Ask<V>),
    /// A majority has the value, which is this one.
    Chosen(Option<V>),
    /// Somebody tries with a higher ballot. Try again, with a higher one than that and after a pause.
    Overtaken {
        /// The ballot that was in the way.
        by: Ballot,
        /// Might the change still be made? Not if nobody was asked to accept it.
        unknown: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase<V> {
    /// Which replicas promised, and the value of the highest ballot that any of them told.
    Preparing {
        promised: NodeSet,
        newest: Option<(Ballot, V)>,
    },
    /// Which replicas accepted.
    Accepting {
        accepted: NodeSet,
        value: V,
    },
    Over,
}

/// Rules that a proposer must respect. Tests break one at a time, to show that they would notice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Of the values that were told, that of the highest ballot is the one to change.
    pub highest: bool,
    /// More than half must promise and accept.
    pub majority: bool,
}

impl Rules {
    pub(super) const TRUE: Rules = Rules { highest: true, majority: true };
}

/// One attempt to change one key. It is driven from outside: it never waits, and forgets nothing that a late answer could need.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposer<V> {
    ballot: Ballot,
    quorum: Quorum,
    phase: Phase<V>,
}

impl<V: Clone> Proposer<V> {
    /// Begins with a ballot that is higher than all that this actor has used or seen for the key. Ask [`Proposer::first`] of all replicas.
    pub fn new(ballot: Ballot, quorum: impl Into<Quorum>) -> Proposer<V> {
        let quorum = quorum.into();
        Proposer { ballot, quorum, phase: Phase::Preparing { promised: NodeSet::default(), newest: None } }
    }

    /// What to ask first.
    pub const fn first(&self) -> Ask<V> {
        Ask::Prepare(self.ballot)
    }

    /// Might the change be made although the attempt ends here?
    pub const fn is_unknown(&self) -> bool {
        matches!(self.phase, Phase::Accepting { .. })
    }

    /// Hears an answer. `change` makes the new value of the one that was chosen last, if any was; it is called once at most. Where nothing changes, the old
    /// value is accepted again: another proposer may have left it with a minority.
    pub fn hear(&mut self, from: NodeId, tell: Tell<V>, change: impl FnOnce(Option<&V>) -> Given<V>) -> Verdict<V> {
        self.hear_by(Rules::TRUE, from, tell, change)
    }

    pub(super) fn hear_by(
        &mut self,
        rules: Rules,
        from: NodeId,
        tell: Tell<V>,
        change: impl FnOnce(Option<&V>) -> Given<V>,
    ) -> Verdict<V> {
        let told = match &tell {
            Tell::Promised(ballot, _) | Tell::Accepted(ballot) | Tell::Refused { asked: ballot, .. } => *ballot,
        };
        if told != self.ballot || !self.quorum.contains(from) {
            // An answer to an earlier attempt, or of a node that is not asked.
            return Verdict::Open;
        }
        match (tell, &mut self.phase) {
            (_, Phase::Over)
            | (Tell::Promised(..), Phase::Accepting { .. })
            | (Tell::Accepted(_), Phase::Preparing { .. }) => Verdict::Open,
            (Tell::Refused { promised, .. }, phase) => {
                let unknown = matches!(phase, Phase::Accepting { .. });
                self.phase = Phase::Over;
                Verdict::Overtaken { by: promised, unknown }
            }
            (Tell::Promised(_, value), Phase::Preparing { promised, newest }) => {
                promised.insert(from);
                let told = value.as_ref().map(|(ballot, _)| *ballot);
                let known = newest.as_ref().map(|(ballot, _)| *ballot);
                if told > known && (rules.highest || known.is_none()) {
                    *newest = value;
                }
                let (promised, newest) = (*promised, newest.as_ref().map(|(_, value)| value.clone()));
                if !self.quorum.is_met(promised, rules) {
                    return Verdict::Open;
                }
                let next = match (change(newest.as_ref()), newest) {
                    (Given::Next(value), _) | (Given::Same, Some(value)) => value,
                    (Given::Same, None) => {
                        // Nothing was ever chosen: a majority has nothing.
                        self.phase = Phase::Over;
                        return Verdict::Chosen(None);
                    }
                };
                self.phase = Phase::Accepting { accepted: NodeSet::default(), value: next.clone() };
                Verdict::Ask(Ask::Accept(self.ballot, next))
            }
            (Tell::Accepted(_), Phase::Accepting { accepted, value }) => {
                accepted.insert(from);
                let (accepted, value) = (*accepted, value.clone());
                if !self.quorum.is_met(accepted, rules) {
                    return Verdict::Open;
                }
                self.phase = Phase::Over;
                Verdict::Chosen(Some(value))
            }
        }
    }
}
