//! What members of a group tell each other, and the entries of their log.

use super::Members;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The term of the leader that made it.
    pub term: u64,
    /// Log time in milliseconds since 1970: never falls along the log.
    pub time_ms: u64,
    /// What it does.
    pub payload: Payload,
}

impl Entry {
    /// Bytes that it costs in memory and on the wire, roughly.
    pub fn size(&self) -> usize {
        32 + match &self.payload {
            Payload::Nothing | Payload::Tick => 0,
            Payload::Batch(bytes) => bytes.len(),
            Payload::Members(_) => size_of::<Members>(),
        }
    }
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: the first entry of a leader, which lets it commit what it inherited.
    Nothing,
    /// An encoded batch of commands. The room does not look inside.
    Batch(Bytes),
    /// Moves log time, so that what expired is swept.
    Tick,
    /// From here on, and at once, the group has these members.
    Members(Members),
}

/// The end of a log: who has the greater one is more up to date (Raft §5.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Point {
    /// Term of the entry.
    pub term: u64,
    /// Index of the entry.
    pub index: u64,
}

/// What members of a group tell each other. Every message carries the sender's term.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// The sender's term; for a pre-vote and its grant the term that the candidate would have.
    pub term: u64,
    /// What is said.
    pub body: Body,
}

/// The kinds of messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Body {
    /// Would you vote for me? Said when a leader was silent too long. Lost: asked again after the next timeout.
    PreVote {
        /// The end of the asker's log.
        last: Point,
    },
    /// Answer to a pre-vote.
    PreVoteReply {
        /// Yes, or no.
        granted: bool,
    },
    /// Vote for me. Lost: asked again in the next term.
    Vote {
        /// The end of the candidate's log.
        last: Point,
        /// The leader itself asked for this election: the voter need not have missed it.
        transfer: bool,
    },
    /// Answer to a vote; a grant leaves once it is durable.
    VoteReply {
        /// Yes, or no.
        granted: bool,
    },
    /// Entries to append. Lost: found by the gap that the next one meets, or by an acknowledgement that stays away.
    Append {
        /// The entry before the first one sent.
        previous: Point,
        /// The entries, in order.
        entries: alloc::vec::Vec<Entry>,
        /// The leader's commit position.
        commit: u64,
    },
    /// The follower's log agrees with the leader's up to here, durably.
    Appended {
        /// The last index that agrees.
        matched: u64,
    },
    /// The follower's log has another entry, or none, before the first one sent.
    Rejected {
        /// The previous index that the append named.
        previous: u64,
        /// Where the logs may agree: the follower's last entry that is not after, nor of a later term than, the one named.
        hint: Point,
    },
    /// I still lead. Lost: the next one comes soon.
    Heartbeat {
        /// The commit position, as far as this follower is known to have it.
        commit: u64,
        /// The newest read round; echoed by the reply.
        round: u64,
        /// False when no reply is needed.
        reply: bool,
    },
    /// You led when I got your heartbeat.
    HeartbeatReply {
        /// The round of that heartbeat.
        round: u64,
    },
    /// A piece of the state at one position, for a follower that needs entries that are gone. One piece is in flight
    /// at a time; lost: sent again.
    Snapshot {
        /// The position of the state.
        at: Point,
        /// Log time and steady time at the position.
        times_ms: (u64, u64),
        /// Tells attempts at the same position apart.
        attempt: u64,
        /// Number of the piece, from 0.
        piece: u32,
        /// Keys, relative to the space of the group, and values, in key order.
        pairs: alloc::vec::Vec<(Bytes, Bytes)>,
        /// This is the last piece.
        done: bool,
        /// The membership at the position.
        members: Members,
    },
    /// The piece before this one is durable.
    SnapshotReply {
        /// The position of the state.
        at: Point,
        /// The attempt.
        attempt: u64,
        /// The next piece that is wanted.
        next: u32,
    },
    /// Start an election now: leadership is handed over.
    TakeOver,
}
