//! What replicas of leaderless tables tell each other.

use super::record::State;
use crate::clock::{Context, TooFarAhead};
use crate::crdt::{AnyCell, Delta};
use crate::operation::TableId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A question or an answer about one key, in one epoch of its table. A replica that is in another epoch says so and does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// How many lives the sender knows to have had. What a life that is over said is not heard (decision 0020).
    pub life: u32,
    /// Which round of the asking node it belongs to, so that its answers find back. Answers to an earlier life of the node are dropped.
    pub round: Round,
    /// What is said.
    pub body: Body,
}

/// Names a round: all that is said for one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Round {
    /// The process of the node that asks: rises with every start.
    pub incarnation: u64,
    /// Its number there.
    pub number: u64,
}

/// Which key is meant, and in which epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The table.
    pub table: TableId,
    /// Its epoch, as the sender knows it.
    pub epoch: u64,
    /// The key.
    pub key: Bytes,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Body {
    /// Join this change. Lost: said again until enough confirmed it; then a hint or a comparison brings it.
    Put {
        /// Of this key.
        target: Target,
        /// The change.
        delta: Delta<AnyCell>,
        /// The events that it replaces or removes. Who does not know one of them does not know what that replaced either, so it cannot
        /// take the change alone.
        after: Context,
        /// Confirm before it is durable.
        volatile: bool,
    },
    /// Tell what you hold. Lost: asked again.
    Get {
        /// Of this key.
        target: Target,
        /// The digest of the cell that the asker holds: an equal one need not be sent.
        digest: u64,
        /// Answer once what you hold is durable.
        durable: bool,
        /// Answer in a life of your own and once you know this version of the catalogue; 0 asks for neither.
        version: u64,
    },
    /// Join this state of one key: the asker read it and found you behind. Lost: a later read or a comparison brings it.
    Mend {
        /// Of this key.
        target: Target,
        /// All of it.
        state: State,
    },
    /// A proposer asks a replica to promise or to accept. Lost: asked again.
    Propose {
        /// Of this key.
        target: Target,
        /// What is asked.
        ask: crate::paxos::Ask<State>,
    },
    /// What a replica promised or accepted, and what its cell holds. Lost: the proposer asks again.
    Agreed {
        /// What it promised or accepted.
        tell: crate::paxos::Tell<State>,
        /// What its cell holds.
        held: State,
    },
    /// Replicas compare what they hold; nobody waits for it.
    Compare {
        /// Of this table.
        table: TableId,
        /// Its epoch, as the sender knows it.
        epoch: u64,
        /// What is said.
        talk: super::talk::Talk,
    },
    /// Take this change in place of a replica that does not answer, and give it to that one when you can. Lost: said again.
    Stand {
        /// Of this key.
        target: Target,
        /// The replica.
        missing: crate::machine::NodeId,
        /// The change.
        delta: Delta<AnyCell>,
    },
    /// It is taken, durably. Lost: the coordinator says it again.
    Stood {
        /// In place of this replica.
        missing: crate::machine::NodeId,
    },
    /// Put or Mend is done. Lost: the asker says it again.
    Done {
        /// It survives power loss.
        durable: bool,
    },
    /// The receiver does not know all that the change replaces, and did nothing: it needs the whole state. Lost: the asker says it again.
    Behind,
    /// What a replica holds; after an offer, that it was not taken. Lost: the asker asks again.
    Held {
        /// The cell; none if it has the digest that was asked with.
        cell: Option<AnyCell>,
        /// All that is known of the key.
        context: Context,
    },
    /// The receiver is in another epoch of the table and did nothing. Lost: the asker asks again.
    Fenced {
        /// The epoch of the one who answers; 0 if it knows no such table.
        epoch: u64,
    },
    /// A stamp in the change is not believed, and nothing was done. Lost: the asker says it again.
    NotBelieved {
        /// Milliseconds that it is ahead of the clock there.
        ahead_ms: u64,
        /// Milliseconds that are believed.
        bound_ms: u64,
    },
    /// Join this change as with Put, unless you hold something that it neither replaces nor knows: then do nothing, and tell what you hold.
    /// Lost: said again.
    Offer {
        /// Of this key.
        target: Target,
        /// The change.
        delta: Delta<AnyCell>,
        /// The events that it replaces.
        after: Context,
        /// Confirm before it is durable.
        volatile: bool,
    },
}

impl From<TooFarAhead> for Body {
    fn from(far: TooFarAhead) -> Body {
        Body::NotBelieved { ahead_ms: far.ahead_ms, bound_ms: far.bound_ms }
    }
}
