//! From answers to receipt: a [`Tally`] counts who really answered, settling it gives [`Evidence`], and only evidence
//! gives a [`Receipt`]. What a receipt says was met is computed here, never copied from what was asked.

use super::level::{Ack, Level, Want};
use crate::clock::Dot;
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
    /// Takes a node out.
    pub fn remove(&mut self, node: NodeId) {
        self.0 &= !(1 << node.0);
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
    /// The nodes of either.
    pub fn union(self, other: NodeSet) -> NodeSet {
        NodeSet(self.0 | other.0)
    }
    /// The nodes of both.
    pub fn intersection(self, other: NodeSet) -> NodeSet {
        NodeSet(self.0 & other.0)
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

/// The nodes whose answers count: the voters of a group, and while they change also those that are left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Voters {
    /// The voters.
    pub now: NodeSet,
    /// The voters that are left behind; empty unless a change is on its way.
    pub outgoing: NodeSet,
}

impl From<NodeSet> for Voters {
    fn from(now: NodeSet) -> Voters {
        Voters { now, outgoing: NodeSet::default() }
    }
}

impl Voters {
    /// All of them.
    pub fn all(self) -> NodeSet {
        self.now.union(self.outgoing)
    }
    /// Are these nodes more than half of the voters, and of those that are left behind?
    pub fn has_majority(self, nodes: NodeSet) -> bool {
        let half = |half: NodeSet| half.is_empty() || nodes.intersection(half).len() > half.len() / 2;
        half(self.now) && half(self.outgoing)
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

/// Where a leaderless operation stands: the rule that it was held to, and what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Round {
    /// The range of the key.
    pub range: u16,
    /// The epoch of the table. Only answers of this epoch were counted.
    pub epoch: u64,
    /// R for a read, W for a write: so many replicas had to answer.
    pub needed: u8,
    /// What the table asks of the other side: W for a read, R for a write.
    pub opposite: u8,
    /// The event that a write was; none where it needed no name.
    pub dot: Option<Dot>,
    /// How many values a read found that were written concurrently, and are shown or hidden.
    pub siblings: u16,
    /// The read holds all that its session saw.
    pub covered: bool,
    /// Answers counted before they were durable.
    pub volatile: bool,
    /// Nodes that are no replicas and took the write in place of some.
    pub stand_ins: NodeSet,
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
    /// A write that W of N replicas took.
    QuorumWrite,
    /// A read of what R of N replicas hold together.
    QuorumRead,
    /// Such a read, and what it found was held by enough replicas before it was answered.
    WriteBack,
    /// A change that a majority of the replicas accepted in one Paxos round.
    PaxosWrite,
    /// A read for which a majority of the replicas accepted the value again.
    PaxosRead,
    /// What a read of R of N replicas found that had begun before this one.
    JoinedRead,
}

impl Path {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Path::Log => "log",
            Path::LeaderRound => "leader-round",
            Path::SessionReplica => "session-replica",
            Path::Replica => "replica",
            Path::QuorumWrite => "quorum-write",
            Path::QuorumRead => "quorum-read",
            Path::WriteBack => "write-back",
            Path::PaxosWrite => "paxos-write",
            Path::PaxosRead => "paxos-read",
            Path::JoinedRead => "joined-read",
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
    /// Closes the tally. What was met is counted by the voters of the group.
    pub fn settle(self, path: Path, position: Position, served_by: NodeId, voters: Voters) -> Evidence {
        let (answered, durable, whole) = (self.answered, self.durable, Whole::Voters(voters));
        Evidence { answered, durable, path, place: Place::Log(position), served_by, whole }
    }
    /// Closes the tally of a leaderless operation. `replicas` is N.
    pub fn settle_round(self, path: Path, round: Round, served_by: NodeId, replicas: usize) -> Evidence {
        let (answered, durable, whole) = (self.answered, self.durable, Whole::Replicas(replicas));
        Evidence { answered, durable, path, place: Place::Replicas(round), served_by, whole }
    }
    /// What these nodes alone answered.
    pub fn within(self, nodes: NodeSet) -> Tally {
        Tally { answered: self.answered.intersection(nodes), durable: self.durable.intersection(nodes) }
    }
    /// The nodes that answered so far.
    pub fn answers(&self) -> NodeSet {
        self.answered
    }
    /// Those of them that hold it durably.
    pub fn held(&self) -> NodeSet {
        self.durable
    }
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Place {
    Log(Position),
    Replicas(Round),
}

/// What really happened to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    answered: NodeSet,
    durable: NodeSet,
    path: Path,
    place: Place,
    served_by: NodeId,
    whole: Whole,
}

/// Of whom a part answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whole {
    Voters(Voters),
    Replicas(usize),
}

impl Whole {
    fn len(self) -> usize {
        match self {
            Whole::Voters(voters) => voters.all().len(),
            Whole::Replicas(replicas) => replicas,
        }
    }
    fn count(self, nodes: NodeSet) -> usize {
        match self {
            Whole::Voters(voters) => nodes.intersection(voters.all()).len(),
            Whole::Replicas(_) => nodes.len(),
        }
    }
    fn has_majority(self, nodes: NodeSet) -> bool {
        match self {
            Whole::Voters(voters) => voters.has_majority(nodes),
            Whole::Replicas(replicas) => nodes.len() > replicas / 2,
        }
    }
}

/// The guarantee that evidence supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Met {
    /// A read of this level.
    Read(Level),
    /// A write with this ack; `None` when no voter is known to hold it durably.
    Write(Option<Ack>),
}

impl Evidence {
    /// The strongest guarantee that the answers support.
    pub fn met(&self) -> Met {
        match self.path {
            Path::Log | Path::QuorumWrite | Path::PaxosWrite => {
                let durable = self.whole.count(self.durable);
                Met::Write(if durable == 0 {
                    None
                } else if durable == self.whole.len() {
                    Some(Ack::All)
                } else if self.whole.has_majority(self.durable) {
                    Some(Ack::Majority)
                } else if durable > 1 {
                    Some(Ack::One)
                } else {
                    Some(Ack::Leader)
                })
            }
            Path::LeaderRound | Path::PaxosRead if self.whole.has_majority(self.answered) => {
                Met::Read(Level::Linearizable)
            }
            Path::SessionReplica => Met::Read(Level::Session),
            Path::LeaderRound | Path::PaxosRead | Path::Replica => Met::Read(Level::Eventual),
            Path::QuorumRead | Path::WriteBack => Met::Read(self.read_of_replicas()),
            // Who had answered already need not have what was acknowledged since.
            Path::JoinedRead => Met::Read(self.read_of_replicas().min(Level::Session)),
        }
    }
    /// What reading from these replicas gives: it depends on who answered and on how the table writes.
    fn read_of_replicas(&self) -> Level {
        let Place::Replicas(round) = self.place else { return Level::Eventual };
        let replicas = self.whole.len();
        let meets_writes = self.answered.len() + usize::from(round.opposite) > replicas;
        let next_meets_it = self.durable.len() + usize::from(round.needed) > replicas;
        match (round.covered, meets_writes) {
            (false, _) => Level::Eventual,
            (true, false) => Level::Session,
            (true, true) if self.path == Path::WriteBack && next_meets_it => Level::Atomic,
            (true, true) => Level::Regular,
        }
    }
    /// Does the evidence support what was asked?
    pub fn meets(&self, want: Want) -> bool {
        let round = match self.place {
            Place::Log(_) => None,
            Place::Replicas(round) => Some(round),
        };
        match (self.met(), round) {
            (Met::Read(level), None) => level >= want.level(),
            (Met::Write(ack), None) => ack >= Some(want.ack()),
            (Met::Read(level), Some(round)) => {
                level >= want.level.unwrap_or(Level::Eventual) && self.answered.len() >= usize::from(round.needed)
            }
            (Met::Write(_), Some(round)) => {
                let counted = if round.volatile { self.answered } else { self.durable };
                counted.len() + round.stand_ins.len() >= usize::from(round.needed)
            }
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
            place: self.place,
            served_by: self.served_by,
            members: self.whole.len() as u16,
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
    place: Place,
    served_by: NodeId,
    members: u16,
    log_time_ms: u64,
    replayed: bool,
}

impl Receipt {
    /// This receipt, for a reply that an idempotency key replayed: it names the position of the first application.
    pub fn replay_of(self, first: Position) -> Receipt {
        Receipt { place: Place::Log(first), replayed: true, ..self }
    }
    /// This receipt, for a change that was made before under the same name: nothing was made anew.
    pub fn repeated(self) -> Receipt {
        Receipt { replayed: true, ..self }
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
    /// For a write, its log position; for a read, the applied position that it saw. Zeros for a leaderless table.
    pub fn position(&self) -> Position {
        match self.place {
            Place::Log(position) => position,
            Place::Replicas(_) => Position::default(),
        }
    }
    /// On a leaderless table: the rule that the operation was held to, and what it found.
    pub fn round(&self) -> Option<Round> {
        match self.place {
            Place::Log(_) => None,
            Place::Replicas(round) => Some(round),
        }
    }
    /// The node that evaluated the operation.
    pub fn served_by(&self) -> NodeId {
        self.served_by
    }
    /// How many voters the group has; both halves while they change.
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

    fn set(nodes: impl IntoIterator<Item = u16>) -> NodeSet {
        nodes.into_iter().map(NodeId).collect()
    }

    fn write_evidence(durable: &[u16], voters: Voters) -> Evidence {
        let mut tally = Tally::default();
        durable.iter().for_each(|&node| tally.durable(NodeId(node)));
        tally.settle(Path::Log, Position::default(), NodeId(1), voters)
    }

    #[test]
    fn what_was_met_is_computed_from_the_answers() {
        for (durable, members, met) in [
            (&[][..], 3_u16, None),
            (&[1][..], 3, Some(Ack::Leader)),
            (&[1, 2][..], 3, Some(Ack::Majority)),
            (&[1, 1, 1][..], 3, Some(Ack::Leader)),
            (&[1, 2, 3][..], 3, Some(Ack::All)),
            (&[1, 2][..], 5, Some(Ack::One)),
            (&[1, 2][..], 4, Some(Ack::One)),
            (&[1, 2, 3][..], 4, Some(Ack::Majority)),
            (&[1][..], 1, Some(Ack::All)),
        ] {
            let voters = set(1..=members).into();
            assert_eq!(write_evidence(durable, voters).met(), Met::Write(met), "{durable:?} of {members}");
        }
    }

    /// A majority of all is not one of each half, and the other way round. Learners are never counted.
    #[test]
    fn while_voters_change_a_majority_is_one_of_each_half() {
        let voters = |now: &[u16], outgoing: &[u16]| Voters {
            now: set(now.iter().copied()),
            outgoing: set(outgoing.iter().copied()),
        };
        for (durable, now, outgoing, met) in [
            (&[1, 2, 3][..], &[3, 4, 5][..], &[1, 2, 3][..], Some(Ack::One)),
            (&[2, 3, 4][..], &[3, 4, 5][..], &[1, 2, 3][..], Some(Ack::Majority)),
            (&[3, 4, 5][..], &[3, 4, 5, 6, 7][..], &[1, 2, 3, 4, 5][..], Some(Ack::Majority)),
            (&[1, 2, 3, 4][..], &[3, 4][..], &[1, 2, 3][..], Some(Ack::All)),
            (&[1, 4, 5][..], &[1, 2, 3][..], &[][..], Some(Ack::Leader)),
            (&[4, 5][..], &[1, 2, 3][..], &[][..], None),
        ] {
            let evidence = write_evidence(durable, voters(now, outgoing));
            assert_eq!(evidence.met(), Met::Write(met), "{durable:?} of {now:?} and {outgoing:?}");
        }
    }

    #[test]
    fn what_a_read_of_replicas_gives_depends_on_how_the_table_writes() {
        let met = |answered: &[u16], held: &[u16], (needed, opposite): (u8, u8), covered, path| {
            let mut tally = Tally::default();
            answered.iter().for_each(|&node| tally.answered(NodeId(node)));
            held.iter().for_each(|&node| tally.durable(NodeId(node)));
            let round = Round { needed, opposite, covered, ..Round::default() };
            tally.settle_round(path, round, NodeId(1), 3).met()
        };
        let (read, back) = (Path::QuorumRead, Path::WriteBack);
        assert_eq!(met(&[1], &[], (1, 2), false, read), Met::Read(Level::Eventual));
        assert_eq!(met(&[1], &[], (1, 2), true, read), Met::Read(Level::Session));
        assert_eq!(met(&[1, 2], &[], (2, 2), true, read), Met::Read(Level::Regular));
        assert_eq!(met(&[1, 2], &[], (2, 1), true, read), Met::Read(Level::Session), "writes to one are missed");
        assert_eq!(met(&[1, 2], &[1, 2], (2, 2), true, read), Met::Read(Level::Regular));
        assert_eq!(met(&[1, 2], &[1], (2, 2), true, back), Met::Read(Level::Regular), "the next read may miss it");
        assert_eq!(met(&[1, 2], &[1, 2], (2, 2), true, back), Met::Read(Level::Atomic));
        assert_eq!(met(&[1, 2], &[1, 2], (2, 2), false, back), Met::Read(Level::Eventual), "the session saw more");
    }

    #[test]
    fn a_round_without_a_majority_is_no_linearizable_read() {
        let mut tally = Tally::default();
        tally.answered(NodeId(1));
        let evidence =
            |tally: Tally| tally.settle(Path::LeaderRound, Position::default(), NodeId(1), set(1..=3).into());
        assert_eq!(evidence(tally).met(), Met::Read(Level::Eventual));
        tally.answered(NodeId(3));
        assert_eq!(evidence(tally).met(), Met::Read(Level::Linearizable));
    }
}
