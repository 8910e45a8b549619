//! From answers to receipt: a [`Tally`] counts who really answered, settling it gives [`Evidence`], and only evidence
//! gives a [`Receipt`]. What a receipt says was met is computed here, never copied from what was asked.

use super::level::{Ack, Level, Want};
use crate::machine::NodeId;
use serde::{Deserialize, Serialize};

/// A set of nodes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeSet(u64);

impl NodeSet {
    /// The set of one node.
    pub fn only(node: NodeId) -> NodeSet {
        let mut set = NodeSet::default();
        set.insert(node);
        set
    }
    /// Adds a node.
    pub fn insert(&mut self, node: NodeId) {
        self.0 |= 1 << node.0;
    }
    /// Is the node in it?
    pub fn contains(self, node: NodeId) -> bool {
        self.0 & (1 << node.0) != 0
    }
    /// How many nodes.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }
    /// No nodes?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The nodes, in order.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..64).filter(move |bit| self.0 & (1 << bit) != 0).map(|bit| NodeId(bit as u16))
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> NodeSet {
        let mut set = NodeSet::default();
        nodes.into_iter().for_each(|node| set.insert(node));
        set
    }
}

impl core::fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter().map(|node| node.0)).finish()
    }
}

/// A position in the log of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The group.
    pub group: u16,
    /// The term of the entry.
    pub term: u64,
    /// The index of the entry.
    pub index: u64,
}

/// How an operation was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Path {
    /// A log entry.
    Log,
    /// A leader that proved to a majority, after the read began, that it still leads.
    LeaderRound,
    /// A replica that has applied all that the session has seen.
    SessionReplica,
    /// A replica, as it stood.
    Replica,
}

impl Path {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Path::Log => "log",
            Path::LeaderRound => "leader-round",
            Path::SessionReplica => "session-replica",
            Path::Replica => "replica",
        }
    }
}

/// Counts who really answered, by distinct node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    answered: NodeSet,
    durable: NodeSet,
}

impl Tally {
    /// A node answered.
    pub fn answered(&mut self, node: NodeId) {
        self.answered.insert(node);
    }
    /// A node said that it holds the operation durably.
    pub fn durable(&mut self, node: NodeId) {
        self.answered.insert(node);
        self.durable.insert(node);
    }
    /// Closes the tally. `members` is how many nodes the group has.
    pub fn settle(self, path: Path, position: Position, served_by: NodeId, members: usize) -> Evidence {
        Evidence { answered: self.answered, durable: self.durable, path, position, served_by, members: members as u16 }
    }
}

/// What really happened to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    answered: NodeSet,
    durable: NodeSet,
    path: Path,
    position: Position,
    served_by: NodeId,
    members: u16,
}

/// The guarantee that evidence supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Met {
    /// A read of this level.
    Read(Level),
    /// A write with this ack; `None` when not even the leader holds it durably.
    Write(Option<Ack>),
}

impl Evidence {
    /// The strongest guarantee that the answers support.
    pub fn met(&self) -> Met {
        match self.path {
            Path::Log => {
                let (durable, members) = (self.durable.len(), self.members as usize);
                Met::Write(if durable == 0 {
                    None
                } else if durable == members {
                    Some(Ack::All)
                } else if durable > members / 2 {
                    Some(Ack::Majority)
                } else if durable > 1 {
                    Some(Ack::One)
                } else {
                    Some(Ack::Leader)
                })
            }
            Path::LeaderRound if self.answered.len() > self.members as usize / 2 => Met::Read(Level::Linearizable),
            Path::SessionReplica => Met::Read(Level::Session),
            Path::LeaderRound | Path::Replica => Met::Read(Level::Eventual),
        }
    }
    /// Does the evidence support what was asked?
    pub fn meets(&self, want: Want) -> bool {
        match self.met() {
            Met::Read(level) => level >= want.level,
            Met::Write(ack) => ack >= Some(want.ack),
        }
    }
    /// The receipt for these answers.
    pub fn receipt(self, asked: Want, log_time_ms: u64) -> Receipt {
        Receipt {
            asked,
            met: self.met(),
            evidence_answered: self.answered,
            durable: self.durable,
            path: self.path,
            position: self.position,
            served_by: self.served_by,
            members: self.members,
            log_time_ms,
            replayed: false,
        }
    }
}

/// What was asked and what was really met, and by whom. Receipts are earned: the only way to one is [`Evidence`].
/// (Decoding one from a peer's message carries a receipt that was earned there.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Receipt {
    asked: Want,
    met: Met,
    evidence_answered: NodeSet,
    durable: NodeSet,
    path: Path,
    position: Position,
    served_by: NodeId,
    members: u16,
    log_time_ms: u64,
    replayed: bool,
}

impl Receipt {
    /// This receipt, for a reply that an idempotency key replayed: it names the position of the first application.
    pub fn replay_of(self, first: Position) -> Receipt {
        Receipt { position: first, replayed: true, ..self }
    }
    /// The guarantee that was asked.
    pub fn asked(&self) -> Want {
        self.asked
    }
    /// The guarantee that was met.
    pub fn met(&self) -> Met {
        self.met
    }
    /// The nodes that answered.
    pub fn answered(&self) -> NodeSet {
        self.evidence_answered
    }
    /// The nodes that said they hold the write durably.
    pub fn durable(&self) -> NodeSet {
        self.durable
    }
    /// How it was served.
    pub fn path(&self) -> Path {
        self.path
    }
    /// For a write, its log position; for a read, the applied position that it saw.
    pub fn position(&self) -> Position {
        self.position
    }
    /// The node that evaluated the operation.
    pub fn served_by(&self) -> NodeId {
        self.served_by
    }
    /// How many members the group has.
    pub fn members(&self) -> u16 {
        self.members
    }
    /// Log time at the position, in milliseconds since 1970 by the leader's clock.
    pub fn log_time_ms(&self) -> u64 {
        self.log_time_ms
    }
    /// True when an idempotency key replayed an earlier reply.
    pub fn replayed(&self) -> bool {
        self.replayed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_evidence(durable: &[u16], members: usize) -> Evidence {
        let mut tally = Tally::default();
        durable.iter().for_each(|&node| tally.durable(NodeId(node)));
        tally.settle(Path::Log, Position::default(), NodeId(1), members)
    }

    #[test]
    fn what_was_met_is_computed_from_the_answers() {
        for (durable, members, met) in [
            (&[][..], 3, None),
            (&[1][..], 3, Some(Ack::Leader)),
            (&[1, 2][..], 3, Some(Ack::Majority)),
            (&[1, 1, 1][..], 3, Some(Ack::Leader)),
            (&[1, 2, 3][..], 3, Some(Ack::All)),
            (&[1, 2][..], 5, Some(Ack::One)),
            (&[1, 2][..], 4, Some(Ack::One)),
            (&[1, 2, 3][..], 4, Some(Ack::Majority)),
            (&[1][..], 1, Some(Ack::All)),
        ] {
            assert_eq!(write_evidence(durable, members).met(), Met::Write(met), "{durable:?} of {members}");
        }
    }

    #[test]
    fn a_round_without_a_majority_is_no_linearizable_read() {
        let mut tally = Tally::default();
        tally.answered(NodeId(1));
        let evidence = |tally: Tally| tally.settle(Path::LeaderRound, Position::default(), NodeId(1), 3);
        assert_eq!(evidence(tally).met(), Met::Read(Level::Eventual));
        tally.answered(NodeId(3));
        assert_eq!(evidence(tally).met(), Met::Read(Level::Linearizable));
    }
}
