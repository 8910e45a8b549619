//! The side that tries.

use super::Ballot;
use super::acceptor::{Ask, Tell};
use crate::guarantee::NodeSet;
use crate::machine::NodeId;

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
    replicas: NodeSet,
    phase: Phase<V>,
}

impl<V: Clone> Proposer<V> {
    /// Begins with a ballot that is higher than all that this actor has used or seen for the key. Ask [`Proposer::first`] of all replicas.
    pub fn new(ballot: Ballot, replicas: NodeSet) -> Proposer<V> {
        Proposer { ballot, replicas, phase: Phase::Preparing { promised: NodeSet::default(), newest: None } }
    }

    /// What to ask first.
    pub const fn first(&self) -> Ask<V> {
        Ask::Prepare(self.ballot)
    }

    /// Might the change be made although the attempt ends here?
    pub const fn is_unknown(&self) -> bool {
        matches!(self.phase, Phase::Accepting { .. })
    }

    /// Are these replicas more than half of all?
    fn is_majority(&self, of: NodeSet, rules: Rules) -> bool {
        let (some, all) = (of.len(), self.replicas.len());
        if rules.majority { 2 * some > all } else { 2 * some + 1 >= all }
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
        if told != self.ballot || !self.replicas.contains(from) {
            // An answer to an earlier attempt, or of a node that is no replica.
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
                if !self.is_majority(promised, rules) {
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
                if !self.is_majority(accepted, rules) {
                    return Verdict::Open;
                }
                self.phase = Phase::Over;
                Verdict::Chosen(Some(value))
            }
        }
    }
}
