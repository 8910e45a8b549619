//! The words that an operation can say.

use serde::{Deserialize, Serialize};

/// What a read must not miss. Ordered from weak to strong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Whatever the nearest replica has applied.
    Eventual,
    /// Everything that this session has seen or written, from any replica that has applied it.
    Session,
    /// Everything that was acknowledged before the read began.
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

/// The guarantee that an operation names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Want {
    /// For reads.
    pub level: Level,
    /// For writes.
    pub ack: Ack,
}

impl Level {
    /// All levels, weak to strong.
    pub const ALL: [Level; 3] = [Level::Eventual, Level::Session, Level::Linearizable];
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Eventual => "eventual",
            Level::Session => "session",
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
