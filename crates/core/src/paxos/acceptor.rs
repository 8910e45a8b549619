//! The side that remembers.

use super::Ballot;
use serde::{Deserialize, Serialize};

/// What a proposer asks of an acceptor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ask<V> {
    /// Ignore smaller ballots from now on, and tell what you accepted last. Lost: the proposer asks again or gives up.
    Prepare(Ballot),
    /// This is the value now, unless you promised not to. Lost: the proposer asks again or gives up, and the outcome is unknown.
    Accept(Ballot, V),
}

/// What an acceptor tells, once it is durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tell<V> {
    /// It ignores smaller ballots than this; and what it accepted last, and at which ballot.
    Promised(Ballot, Option<(Ballot, V)>),
    /// It has this value of this ballot.
    Accepted(Ballot),
    /// It had promised a higher ballot than the one asked for.
    Refused {
        /// The one asked for.
        asked: Ballot,
        /// The one promised.
        promised: Ballot,
    },
}

/// One replica of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Acceptor<V> {
    promised: Option<Ballot>,
    accepted: Option<(Ballot, V)>,
}

impl<V> Default for Acceptor<V> {
    fn default() -> Acceptor<V> {
        Acceptor { promised: None, accepted: None }
    }
}

impl<V: Clone> Acceptor<V> {
    /// Takes what is asked, or refuses it. The state must be durable before the answer leaves. Asking twice changes nothing.
    pub fn hear(&mut self, ask: Ask<V>) -> Tell<V> {
        let asked = match &ask {
            Ask::Prepare(ballot) | Ask::Accept(ballot, _) => *ballot,
        };
        if let Some(promised) = self.promised.filter(|&promised| promised > asked) {
            return Tell::Refused { asked, promised };
        }
        self.promised = Some(asked);
        match ask {
            Ask::Prepare(ballot) => Tell::Promised(ballot, self.accepted.clone()),
            Ask::Accept(ballot, value) => {
                self.accepted = Some((ballot, value));
                Tell::Accepted(ballot)
            }
        }
    }

    /// As if a promise had been told before it was durable, and a crash had come between.
    #[cfg(test)]
    pub(super) fn forget_promise(&mut self) {
        self.promised = self.accepted.as_ref().map(|(ballot, _)| *ballot);
    }

    /// The highest ballot that it promised to keep to.
    pub fn promised(&self) -> Option<Ballot> {
        self.promised
    }

    /// Takes over what an acceptor of a place holds from which the key moves here. The value with the highest ballot of as many of them as meet every
    /// majority there is, or continues, the last that was chosen; here it is as if it had been accepted before. True if it changes something.
    pub fn take_over(&mut self, other: &Acceptor<V>) -> bool {
        let promised = self.promised.max(other.promised);
        let ballot = |acceptor: &Acceptor<V>| acceptor.accepted.as_ref().map(|(ballot, _)| *ballot);
        let newer = ballot(other) > ballot(self);
        if newer {
            self.accepted.clone_from(&other.accepted);
        }
        let changed = newer || promised != self.promised;
        self.promised = promised;
        changed
    }

    /// The value that was accepted last. It need not be the one that a majority has.
    pub fn value(&self) -> Option<&V> {
        self.accepted.as_ref().map(|(_, value)| value)
    }
}
