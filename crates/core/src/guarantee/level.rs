//! The words that an operation can say.

use serde::{Deserialize, Serialize};

/// What a read must not miss. Ordered from weak to strong: each is served so that it keeps those before it, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Whatever the nearest replica has applied.
    Eventual,
    /// Everything that this session has seen or written, from any replica that has applied it.
    Session,
    /// Every write that was acknowledged before the read began; one that is on its way may be seen by one read and missed by
    /// the next (the regular register of Lamport 1986). On a table of R and W out of N: while R + W > N.
    Regular,
    /// As regular, and what one read saw no later read misses (the atomic register of Attiya, Bar-Noy and Dolev 1995).
    Atomic,
    /// Everything that was acknowledged before the read began, compare-and-set included.
    #[default]
    Linearizable,
}

/// Who must hold a write durably before it is acknowledged. Ordered from weak to strong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ack {
    /// The leader alone. The write is lost if the leader is lost before it replicates.
    Leader,
    /// The leader and one more node.
    One,
    /// A majority of the members. The write survives the loss of any minority.
    #[default]
    Majority,
    /// Every member.
    All,
}

/// The guarantee that an operation names. What it does not name is as the table says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Want {
    /// For reads.
    pub level: Option<Level>,
    /// For writes.
    pub ack: Option<Ack>,
    /// How many replicas of a leaderless table must answer.
    pub quorum: Quorum,
}

/// How many replicas of a leaderless table an operation waits for, and what counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quorum {
    /// R; 0 is as the table says.
    pub read: u8,
    /// W; 0 is as the table says.
    pub write: u8,
    /// Nodes that are no replicas may take a write in place of those that do not answer. Their answers never count as strict.
    pub sloppy: bool,
    /// An answer counts before it is durable.
    pub volatile: bool,
}

impl Want {
    /// A read of this level.
    pub fn of_level(level: Level) -> Want {
        Want { level: Some(level), ..Want::default() }
    }
    /// A write with this ack.
    pub fn of_ack(ack: Ack) -> Want {
        Want { ack: Some(ack), ..Want::default() }
    }
    /// The level of a read on a table of consensus groups.
    pub fn level(self) -> Level {
        self.level.unwrap_or_default()
    }
    /// The ack of a write on a table of consensus groups.
    pub fn ack(self) -> Ack {
        self.ack.unwrap_or_default()
    }
}

impl Level {
    /// All levels, weak to strong.
    pub const ALL: [Level; 5] = [Level::Eventual, Level::Session, Level::Regular, Level::Atomic, Level::Linearizable];
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Eventual => "eventual",
            Level::Session => "session",
            Level::Regular => "regular",
            Level::Atomic => "atomic",
            Level::Linearizable => "linearizable",
        }
    }
    /// The level of a word, in any case.
    pub fn parse(word: &[u8]) -> Option<Level> {
        Level::ALL.into_iter().find(|level| word.eq_ignore_ascii_case(level.word().as_bytes()))
    }
}

impl Ack {
    /// All acks, weak to strong.
    pub const ALL: [Ack; 4] = [Ack::Leader, Ack::One, Ack::Majority, Ack::All];
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Ack::Leader => "leader",
            Ack::One => "one",
            Ack::Majority => "majority",
            Ack::All => "all",
        }
    }
    /// The ack of a word, in any case.
    pub fn parse(word: &[u8]) -> Option<Ack> {
        Ack::ALL.into_iter().find(|ack| word.eq_ignore_ascii_case(ack.word().as_bytes()))
    }
}
