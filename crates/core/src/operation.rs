//! What clients ask, what they hear, and the command that travels through the log between the two.
//!
//! A command is the vector of its words, as in the Redis protocol: `["SET", "k", "v"]`. The log holds the same vectors,
//! so a new command family touches one file of `state` and no format.

mod hot;
mod repair;

pub use hot::{HotKey, HotStatus, HotTable};
pub use repair::{MoveStatus, PairStatus, Progress, RepairStage, RepairStatus};

use crate::clock::{ClockOut, Offset};
use crate::guarantee::{Receipt, Session, Want};
use crate::machine::NodeId;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The words of one command: its name in upper case, then its arguments.
pub type Words = Vec<Bytes>;

/// A table: a space of keys of its own. The first sixteen are the databases of the Redis protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u16);

/// A condition on the state before a batch. If one does not hold, nothing of the batch is applied and the reply of the
/// batch is an error that begins with `GUARD`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Guard {
    /// The key was last written at this version; 0 means that it does not exist.
    Version {
        /// The key.
        key: Bytes,
        /// Its version: the log index of its last change.
        version: u64,
    },
    /// The key does not exist.
    Absent {
        /// The key.
        key: Bytes,
    },
}

/// A name under which a write is applied at most once: the first reply is kept and replayed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdempotencyKey(pub Bytes);

/// One atomic batch: one log entry. The guards are checked first, then the commands run in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Batch {
    /// The table whose keys are meant.
    pub table: TableId,
    /// What must hold before.
    pub guards: Vec<Guard>,
    /// The name under which it is applied at most once.
    pub idempotency: Option<IdempotencyKey>,
    /// What is done. One command replies with its value; a transaction with the array of all values.
    pub commands: Vec<Words>,
    /// True for MULTI/EXEC: the reply is an array even for one command.
    pub transaction: bool,
}

/// Bytes of an encoded batch besides those of its words, roughly.
const BATCH_BYTES: usize = 64;

impl Batch {
    /// The batch as bytes, for a log entry.
    pub fn encode(&self) -> Vec<u8> {
        let words: usize = self.commands.iter().flatten().map(|word| word.len() + 4).sum();
        postcard::to_extend(self, Vec::with_capacity(BATCH_BYTES + words)).expect("batches always encode")
    }

    /// Reads a batch. The words of a plain one are slices of the bytes, not copies. `None` if the bytes are no batch.
    pub fn decode(bytes: &Bytes) -> Option<Batch> {
        Batch::decode_plain(bytes).or_else(|| postcard::from_bytes(bytes).ok())
    }

    /// Reads a batch without guards and without an idempotency key.
    fn decode_plain(bytes: &Bytes) -> Option<Batch> {
        let rest = &mut &bytes[..];
        let table = TableId(u16::try_from(varint(rest)?).ok()?);
        let (guards, idempotency) = (varint(rest)?, varint(rest)?);
        if guards != 0 || idempotency != 0 {
            return None;
        }
        let count = varint(rest)?;
        // Every command and every word takes a byte at least.
        let room = |count: u64, rest: &[u8]| usize::try_from(count).ok().filter(|count| *count <= rest.len());
        let mut commands = Vec::with_capacity(room(count, rest)?);
        for _ in 0..count {
            let count = varint(rest)?;
            let mut words = Words::with_capacity(room(count, rest)?);
            for _ in 0..count {
                let length = usize::try_from(varint(rest)?).ok()?;
                let (word, behind) = rest.split_at_checked(length)?;
                words.push(bytes.slice_ref(word));
                *rest = behind;
            }
            commands.push(words);
        }
        let transaction = match **rest {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        Some(Batch { table, guards: Vec::new(), idempotency: None, commands, transaction })
    }
}

/// A number in groups of seven bits, the least first, off the front.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// What a client asks of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Request {
    /// Reads or writes data.
    Operate(Operate),
    /// Asks how this node sees itself and the others. Not replicated, not forwarded.
    Status,
    /// Asks that leadership of a group move to a node.
    Transfer {
        /// The group.
        group: u16,
        /// The next leader.
        to: NodeId,
    },
    /// Asks the leader of a group to change its members. A new voter should be a learner until it is caught up.
    ChangeMembers {
        /// The group.
        group: u16,
        /// The next voters.
        voters: Vec<NodeId>,
        /// The next learners: they get the log and never count.
        learners: Vec<NodeId>,
    },
    /// Asks how the repair of leaderless tables stands. Not forwarded: each node repairs what it holds.
    Repair {
        /// Begin to compare all that this node shares with others.
        run: bool,
    },
    /// Asks which keys the clients of this node ask for most. Not forwarded.
    Hot,
}

/// A batch with the guarantee that it names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operate {
    /// What is done.
    pub batch: Batch,
    /// The guarantee asked for.
    pub want: Want,
    /// What this session has seen.
    pub session: Session,
    /// What a read of this key on a leaderless table handed out: the write replaces or removes exactly that.
    pub seen: Option<Bytes>,
    /// True when earlier writes of this caller are still unanswered. Within a group, a write and a linearizable read then
    /// take effect after them, as far as they take effect at all: the read waits for every entry that the leader holds.
    pub after_own_writes: bool,
    /// How long the caller waits, in milliseconds.
    pub deadline_ms: u32,
}

/// A value in a reply, in the shapes of the Redis protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Nothing there.
    Nil,
    /// A number.
    Int(i64),
    /// Bytes.
    Bulk(Bytes),
    /// A short word, such as OK.
    Status(Bytes),
    /// A list.
    Array(Vec<Value>),
    /// Pairs; a flat list in RESP2.
    Map(Vec<(Value, Value)>),
    /// Distinct members; a list in RESP2.
    Set(Vec<Value>),
    /// An error of the command itself, such as `WRONGTYPE …` or `ERR …`: the command was evaluated and changed nothing.
    Error(Bytes),
    /// Pairs in order, which may repeat; a flat list in RESP2.
    Pairs(Vec<(Value, Value)>),
}

impl Value {
    /// `OK`.
    pub const OK: Value = Value::Status(Bytes::from_static(b"OK"));
    /// An error with a fixed text.
    pub const fn error(text: &'static str) -> Value {
        Value::Error(Bytes::from_static(text.as_bytes()))
    }
    /// Bytes, copied.
    pub fn bulk(bytes: &[u8]) -> Value {
        Value::Bulk(Bytes::copy_from_slice(bytes))
    }
    /// Is it an error?
    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_))
    }
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reply {
    /// The outcome of an operation.
    Operated {
        /// What became of it.
        outcome: Outcome,
        /// What the session saw: to be merged into what it had seen.
        session: Session,
        /// What a read of a leaderless table found: the next write of the key hands it back as [`Operate::seen`].
        seen: Option<Bytes>,
    },
    /// How the node sees itself and the others.
    Status(Status),
    /// Leadership was asked to move, or why not.
    Transferred(Result<(), Refusal>),
    /// A change of members began, or why not. It ends when the status shows it.
    ChangeBegun(Result<(), Refusal>),
    /// How repair stands.
    Repair(RepairStatus),
    /// The busiest keys.
    Hot(HotStatus),
}

/// What became of an operation. A timeout is ambiguous, and the type says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Evaluated, and the guarantee asked for was met.
    Done {
        /// The result.
        value: Value,
        /// What was met.
        receipt: Receipt,
    },
    /// Certainly not applied.
    Refused(Refusal),
    /// Applied, but the guarantee asked for was not met before the deadline. `applied: yes`.
    Short {
        /// The result.
        value: Value,
        /// What was met.
        receipt: Receipt,
    },
    /// It may have been applied or may yet be. `applied: unknown`.
    Unknown(Doubt),
}

/// Was an operation applied? Every failure says so, in every protocol with these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Applied {
    /// Certainly not. It may be repeated.
    No,
    /// Certainly, though less was met than was asked.
    Yes,
    /// It may have been, or may yet be. Read the state, or repeat it with the same idempotency key.
    Unknown,
}

impl Applied {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Applied::No => "no",
            Applied::Yes => "yes",
            Applied::Unknown => "unknown",
        }
    }
    /// The answer of a word.
    pub fn parse(word: &str) -> Option<Applied> {
        [Applied::No, Applied::Yes, Applied::Unknown].into_iter().find(|applied| applied.word() == word)
    }
}

/// Why an operation was certainly not applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// No leader was reachable before the deadline.
    NoLeader,
    /// No majority confirmed the read before the deadline.
    NoQuorum,
    /// The replica had not applied what the session saw before the deadline.
    Behind,
    /// Too few replicas of a leaderless table answered before the deadline.
    TooFewReplicas {
        /// So many answered.
        answered: u8,
        /// So many had to.
        needed: u8,
    },
    /// No node that holds the key was given a life to write in.
    NoLife,
    /// A stamp was too far in the future. The sentence says how far.
    ClockAhead(String),
    /// The keys belong to different consensus groups.
    CrossGroup,
    /// No table has this id.
    UnknownTable,
    /// No command has this name.
    UnknownCommand,
    /// The reply of this command depends on state, so it cannot be given with this ack: only majority or all.
    AckNeedsBlindWrite,
    /// A read and a write cannot carry the words given; the sentence says which and why.
    Impossible(String),
    /// The leader changed, and its successor's log has another entry in the place of this one.
    Superseded,
    /// Too much is in flight here.
    Overloaded,
    /// The operation is over a limit; the sentence says which.
    TooLarge(String),
    /// The group or node is not part of this cluster, or not a possible target.
    NoSuchTarget,
    /// Members change one step at a time, and the step before is not done.
    ChangeOnItsWay,
}

/// Why it is not known whether an operation was applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Doubt {
    /// The deadline passed while the entry was on its way.
    Deadline,
    /// The leader changed while the entry was on its way.
    LeaderChanged,
    /// The node that forwarded the operation lost the node that it forwarded to.
    LeaderLost,
    /// The node that the operation was passed on to was lost.
    CoordinatorLost,
    /// Too few replicas of a leaderless table confirmed the write before the deadline. Those that have it will spread it.
    MissedQuorum {
        /// So many confirmed it.
        answered: u8,
        /// So many had to.
        needed: u8,
    },
}

impl Refusal {
    /// What happened and what to do, for people.
    pub fn sentence(&self) -> String {
        use alloc::string::ToString;
        match self {
            Refusal::NoLeader => "no leader was reachable before the deadline; try again".to_string(),
            Refusal::NoQuorum => "no majority of the nodes answered before the deadline; try again, or read with level session or eventual".to_string(),
            Refusal::Behind => "this replica has not yet applied what the session saw; try again, ask another node, or read with level linearizable".to_string(),
            Refusal::TooFewReplicas { answered, needed } => alloc::format!(
                "{answered} of the {needed} replicas that must answer did so before the deadline; try again, or ask fewer"
            ),
            Refusal::NoLife => "the nodes that hold the key have just started and may not write yet: that takes a majority of the nodes; try again".to_string(),
            Refusal::ClockAhead(why) => why.clone(),
            Refusal::CrossGroup => "the keys belong to different groups; give them a common {tag}".to_string(),
            Refusal::UnknownTable => "there is no such table".to_string(),
            Refusal::UnknownCommand => "there is no such command".to_string(),
            Refusal::AckNeedsBlindWrite => "the reply of this command depends on the state, which only a committed entry has; use ack majority or all".to_string(),
            Refusal::Impossible(why) | Refusal::TooLarge(why) => why.clone(),
            Refusal::Superseded => "the leader changed and the operation was dropped; try again".to_string(),
            Refusal::Overloaded => "too many operations are in flight here; try again after a pause".to_string(),
            Refusal::NoSuchTarget => "there is no such group or node".to_string(),
            Refusal::ChangeOnItsWay => "another change of members or of leaders is on its way; try again after it".to_string(),
        }
    }
    /// May the same call succeed later without a change?
    pub fn may_retry(&self) -> bool {
        matches!(
            self,
            Refusal::NoLeader
                | Refusal::NoQuorum
                | Refusal::Behind
                | Refusal::Superseded
                | Refusal::Overloaded
                | Refusal::TooFewReplicas { .. }
                | Refusal::NoLife
                | Refusal::ClockAhead(_)
                | Refusal::ChangeOnItsWay
        )
    }
}

impl Doubt {
    /// What happened and what to do, for people.
    pub fn sentence(&self) -> String {
        use alloc::string::ToString;
        let what = match self {
            Doubt::MissedQuorum { answered, needed } => {
                return alloc::format!(
                    "{answered} of the {needed} replicas that must confirm did so before the deadline; they hold the write and \
                     will spread it; read the state before you repeat it"
                );
            }
            Doubt::CoordinatorLost => {
                "the node that coordinated the operation was lost before the outcome was known; read the state before you repeat it"
            }
            Doubt::Deadline => {
                "the deadline passed before the outcome was known; read the state, or repeat with an idempotency key"
            }
            Doubt::LeaderChanged => {
                "the leader changed before the outcome was known; read the state, or repeat with an idempotency key"
            }
            Doubt::LeaderLost => {
                "the leader was lost before the outcome was known; read the state, or repeat with an idempotency key"
            }
        };
        what.to_string()
    }
}

/// How a node sees itself and the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Status {
    /// The node that answers.
    pub node: NodeId,
    /// Its life: rises with every start.
    pub incarnation: u64,
    /// The members.
    pub members: Vec<NodeId>,
    /// Client calls in flight.
    pub calls: u64,
    /// Its groups.
    pub groups: Vec<GroupStatus>,
    /// The other members, as their beats show them.
    pub peers: Vec<PeerStatus>,
    /// Its wall clock is out: a majority of the members has other clocks.
    pub clock_out: Option<ClockOut>,
}

/// What a node knows of another by its beats.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The other node.
    pub node: NodeId,
    /// Its life, if it was heard.
    pub incarnation: Option<u64>,
    /// Milliseconds since its last beat, if it was heard.
    pub heard_ms: Option<u64>,
    /// How suspicious the silence is: hundredths of the level of the room `detector`. `None` if it was never heard.
    pub level_hundredths: Option<u32>,
    /// How long a message there and one back take, smoothed, in microseconds.
    pub round_trip_us: Option<u64>,
    /// How far its wall clock is ahead of that of the node that answers, if that was measured lately.
    pub clock: Option<Offset>,
}

impl PeerStatus {
    /// One line for people: `phi 0.4  last heard 80 ms ago  round trip 0.31 ms  clock +3 ms (give or take 2)`.
    pub fn text(&self) -> String {
        let Some(heard_ms) = self.heard_ms else { return String::from("never heard") };
        let tenths = self.level_hundredths.unwrap_or(0) / 10;
        let mut text = alloc::format!("phi {}.{}  last heard {heard_ms} ms ago", tenths / 10, tenths % 10);
        if let Some(us) = self.round_trip_us {
            text += &alloc::format!("  round trip {}.{:02} ms", us / 1_000, us % 1_000 / 10);
        }
        if let Some(Offset { ahead_ms, give_or_take_ms }) = self.clock {
            text += &alloc::format!("  clock {ahead_ms:+} ms (give or take {give_or_take_ms})");
        }
        text
    }
}

/// The part a node plays in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it could win a vote.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

impl Role {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        }
    }
}

/// How a node sees one of its groups.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupStatus {
    /// The group.
    pub group: u16,
    /// The part that this node plays.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The leader it knows.
    pub leader: Option<NodeId>,
    /// First index in its log.
    pub first: u64,
    /// Last index in its log.
    pub last: u64,
    /// Last index that survives power loss here.
    pub durable: u64,
    /// Last index known to be committed.
    pub commit: u64,
    /// Last index applied.
    pub applied: u64,
    /// Log time at the applied index, in milliseconds since 1970.
    pub log_time_ms: u64,
    /// What a leader knows of its followers: the index that each holds durably, and whether it is suspected.
    pub followers: Vec<FollowerStatus>,
    /// The voters of the latest membership that this node holds.
    pub voters: Vec<NodeId>,
    /// The voters that are left behind: a change is on its way while there are any, and both count.
    pub outgoing: Vec<NodeId>,
    /// Those that get the log and do not vote.
    pub learners: Vec<NodeId>,
}

/// What a leader knows of a follower.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FollowerStatus {
    /// The follower.
    pub node: NodeId,
    /// The index up to which it holds the leader's log durably.
    pub matched: u64,
    /// It has not answered for a while.
    pub suspected: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn batches_come_back_whether_plain_or_not() {
        let word = |len: usize| Bytes::from(vec![b'w'; len]);
        let plain = Batch {
            table: TableId(300),
            guards: Vec::new(),
            idempotency: None,
            commands: vec![vec![word(3), word(0), word(200)], Vec::new(), vec![word(20_000)]],
            transaction: true,
        };
        let guarded = Batch { guards: vec![Guard::Absent { key: word(1) }], ..plain.clone() };
        let named = Batch { idempotency: Some(IdempotencyKey(word(9))), transaction: false, ..plain.clone() };
        let empty = Batch { commands: Vec::new(), ..plain.clone() };
        for (batch, is_plain) in [(&plain, true), (&guarded, false), (&named, false), (&empty, true)] {
            let bytes = Bytes::from(batch.encode());
            assert_eq!(postcard::from_bytes::<Batch>(&bytes).as_ref(), Ok(batch));
            assert_eq!(Batch::decode(&bytes).as_ref(), Some(batch));
            assert_eq!(Batch::decode_plain(&bytes).as_ref(), is_plain.then_some(batch));
            for cut in 0..bytes.len().min(300) {
                assert_eq!(Batch::decode(&bytes.slice(..cut)), None, "cut at {cut}");
            }
        }
        // A count that the bytes cannot hold reserves no room.
        assert_eq!(Batch::decode(&Bytes::from_static(&[0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])), None);
    }
}
