//! # The consensus room: one log per group, agreed by a majority
//!
//! **The idea.** A group of nodes agrees on one log of entries. One of them, elected for a numbered term, leads: it
//! appends entries and copies them to the others. An entry is committed once a majority holds it durably, counting
//! only entries of the leader's own term. Whoever wins a later election holds every committed entry, because voters
//! refuse candidates whose log is behind theirs. All nodes apply the committed entries in order. A read at the leader
//! is safe once a majority has confirmed, after the read began, that it still leads. Who belongs to the group stands in
//! the log, too: members change over a joint membership, in which a majority is one of the old voters and one of the new.
//!
//! **Sources.** Ongaro and Ousterhout, *In Search of an Understandable Consensus Algorithm* (2014); Ongaro's thesis
//! (2014) for pre-vote, leadership transfer, ReadIndex and members; etcd #20418 for the fresh read round.
//!
//! **Promises.**
//! - C1 At most one leader per term. (`judge` election safety)
//! - C2 Two logs that agree at an index and term agree before it. (`judge` log matching)
//! - C3 A committed entry never changes and never vanishes. (`judge` committed entries)
//! - C4 An entry of an older term is never committed by counting. (`scripts/consensus/figure_8.txt`)
//! - C5 A confirmed read round proves leadership at a moment after the read began. (`scripts/consensus/stale_leader.txt`)
//! - C6 A vote, an acknowledgement and a term are durable before another node learns of them. (mutants `vote-not-durable`, `ack-before-sync`, `scripts/consensus/snapshot_not_durable.txt`)
//! - C7 While voters change, nothing is decided without a majority of both halves. (mutant `joint-quorum-skipped`, `scripts/consensus/joint_majorities.txt`)
//! - C8 Learners get the log and never count. (mutant `learner-counts`, `scripts/consensus/learner.txt`)
//! - C9 A node goes by the latest membership in its log, whatever happens to the log. (`judge` members, mutant `member-change-not-truncated`)
//! - C10 A removed node disturbs nobody and learns that it is removed. (`scripts/consensus/removed_node.txt`)
//! - C11 A change that a majority of both halves holds ends, whoever crashes. (`scripts/consensus/change_and_crash.txt`)
//!
//! **Not here.** What entries mean (`state`), who is answered (`node`), who decides on members.
//!
//! **Said and heard.** [`Message`]; each variant says when it is sent and what is lost if it is lost.
//!
//! **On disk.** Drawer 1, group, then `h` term and vote, `b` base of the log, `l` + index entries, `a` applied position,
//! `m` membership at the base (none while it is the first).
//!
//! **What breaks it.** The mutants of [`crate::mutant`] from `ack-before-sync` to `follower-does-not-truncate`, and from
//! `joint-quorum-skipped` to `member-change-not-truncated`.
//!
//! **Read next.** `election.rs`, `replicate.rs`, `read.rs`, `snapshot.rs`, `members.rs`, `change.rs`, then `node/`.

mod change;
mod election;
mod log;
mod majority;
mod members;
mod message;
mod read;
mod replicate;
mod snapshot;

pub use change::ChangeError;
pub use log::Log;
pub use members::{Change, Members};
pub use message::{Body, Entry, Message, Payload, Point};
pub use read::ReadTicket;
pub use snapshot::Holding;

use crate::guarantee::NodeSet;
use crate::limits;
use crate::machine::{Mono, NodeId, Now, Step, Wake};
use crate::mutant::Mutants;
use crate::operation::Role;
use crate::state::Space;
use crate::store::{Seq, View, drawer};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// While a snapshot is on its way, the log may grow to this many times what is kept, so that the follower finds the
/// entries that come after it.
const SNAPSHOT_PATIENCE: usize = 4;

/// What a gap of log time between two entries counts for at most in steady time, in milliseconds. A leader whose wall
/// clock jumps cannot hurry steady time by more.
const GAP_MS: u64 = 60_000;

/// The context in which the room runs: a step of the node, with the room's own messages.
pub type Cx<'a> = Step<'a, (), Message>;

/// What a group needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The group.
    pub group: u16,
    /// Who we are.
    pub node: NodeId,
    /// The voters of the first membership, the same at all nodes whether they are among them or not. Later ones are in
    /// the log.
    pub members: Vec<NodeId>,
    /// A leader says at least this often that it leads, in milliseconds.
    pub heartbeat_ms: u64,
    /// Silence of this length, and a random two thirds more, makes a follower ask for votes, in milliseconds.
    pub election_ms: u64,
    /// Applied entries kept for followers that lag.
    pub keep_entries: u64,
    /// Bytes of applied entries kept for followers that lag.
    pub keep_bytes: usize,
    /// Rules that are broken.
    pub mutants: Mutants,
}

/// How far a group has applied its log, and where its state lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Applied {
    /// The last applied entry.
    pub at: Point,
    /// Its log time in milliseconds since 1970.
    pub time_ms: u64,
    /// Log time in which no gap between two entries counts for more than [`GAP_MS`].
    pub steady_ms: u64,
    /// The generation of the space that holds the state: rises when a snapshot is installed.
    pub generation: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Hard {
    term: u64,
    vote: Option<NodeId>,
}

#[derive(Clone, Debug)]
enum Part {
    Follower,
    PreCandidate {
        granted: NodeSet,
    },
    /// `own` is the write of our own vote: it counts once it is durable.
    Candidate {
        granted: NodeSet,
        own: Seq,
    },
    Leader(replicate::Leading),
}

/// One consensus group as one of its members sees it.
#[derive(Clone, Debug)]
pub struct Group {
    config: Config,
    hard: Hard,
    log: Log,
    applied: Applied,
    commit: u64,
    /// The last own entry that survives power loss, and the writes that will raise it.
    durable: u64,
    appended: VecDeque<(Seq, u64)>,
    part: Part,
    leader: Option<NodeId>,
    /// When we last heard from a leader of this term.
    heard: Option<Mono>,
    election_at: Mono,
    /// Others should rather lead.
    holds_back: bool,
    /// The room has something to say that waits for the end of the burst.
    due: bool,
    incoming: Option<snapshot::Incoming>,
    garbage: snapshot::Garbage,
}

impl Group {
    /// Builds the group from what survived.
    pub fn boot(config: Config, now: Now, disk: &dyn View) -> Group {
        let record = |kind| disk.get(&log::record_key(config.group, kind));
        let hard = record(b'h').map(|bytes| postcard::from_bytes(&bytes).expect("a term on disk decodes"));
        let applied: Option<Applied> =
            record(b'a').map(|bytes| postcard::from_bytes(&bytes).expect("an applied position on disk decodes"));
        let log = Log::boot(config.group, Members::of(config.members.iter().copied()), config.mutants, disk);
        let applied = applied.unwrap_or_default();
        let garbage = snapshot::Garbage::boot(config.group, applied.generation, disk);
        assert!(log.base().index <= applied.at.index, "the log begins after the applied position");
        let alone = log.members().counted().all() == NodeSet::only(config.node);
        Group {
            hard: hard.unwrap_or_default(),
            commit: applied.at.index,
            durable: log.last().index,
            log,
            applied,
            appended: VecDeque::new(),
            part: Part::Follower,
            leader: None,
            heard: None,
            // The node does not know how long it was away: it waits a full timeout, spread by its own id, and draws the
            // next ones from its stream.
            election_at: if alone {
                now.mono
            } else {
                now.mono.after_ms(config.election_ms / 4 * (1 + config.node.0 as u64 % 3))
            },
            holds_back: false,
            due: false,
            incoming: None,
            garbage,
            config,
        }
    }

    /// Appends an entry; members go through [`Group::change_members`]. `None` when this node does not lead, hands
    /// leadership over, or holds too much uncommitted.
    pub fn propose(&mut self, cx: &mut Cx<'_>, payload: Payload) -> Option<Point> {
        assert!(!matches!(payload, Payload::Members(_)), "members change one at a time");
        self.accepts().then(|| self.append_own(cx, payload))
    }

    /// Would a proposal be taken now?
    pub fn accepts(&self) -> bool {
        let Part::Leader(leading) = &self.part else { return false };
        leading.transfer.is_none() && leading.uncommitted < limits::LOG_UNCOMMITTED_BYTES
    }

    /// Asks for a wake as soon as the burst of inputs ended.
    pub fn go_on(&mut self) {
        self.due = true;
    }

    /// A node spoke. Whoever it is, it is heard: it may lead by a membership that this log does not hold yet, or stand
    /// for an election that needs our vote (thesis §4.1). What counts is decided where votes and answers are counted.
    pub fn message(&mut self, cx: &mut Cx<'_>, from: NodeId, message: Message) {
        if !(1..=limits::NODE_ID_MAX).contains(&from.0) {
            return;
        }
        self.inform(cx, from, &message);
        if message.term > self.hard.term && !self.follow_newer_term(cx, from, &message) {
            return;
        }
        if message.term < self.hard.term {
            self.answer_older_term(cx, from, &message);
            return;
        }
        self.current_term(cx, from, message);
    }

    fn current_term(&mut self, cx: &mut Cx<'_>, from: NodeId, Message { term, body }: Message) {
        match body {
            Body::PreVote { last } => self.on_pre_vote(cx, from, term, last),
            // A grant carries the term that was asked for, which is ours by now: it comes too late.
            Body::PreVoteReply { granted: _ } => {}
            Body::Vote { last, transfer: _ } => self.on_vote(cx, from, last),
            Body::VoteReply { granted } => self.on_vote_reply(cx, from, granted),
            Body::Append { previous, entries, commit } => {
                self.heard_leader(cx, from);
                self.on_append(cx, from, previous, entries, commit);
            }
            Body::Appended { matched } => self.on_appended(cx, from, matched),
            Body::Rejected { previous, hint } => self.on_rejected(cx, from, previous, hint),
            Body::Heartbeat { commit, round, reply } => {
                self.heard_leader(cx, from);
                self.on_heartbeat(cx, from, commit, round, reply);
            }
            Body::HeartbeatReply { round } => self.on_heartbeat_reply(cx, from, round),
            Body::Snapshot { at, times_ms, attempt, piece, pairs, done, members } => {
                self.heard_leader(cx, from);
                self.on_snapshot(cx, from, snapshot::Piece { at, times_ms, attempt, piece, pairs, done, members });
            }
            Body::SnapshotReply { at, attempt, next } => self.on_snapshot_reply(cx, from, at, attempt, next),
            Body::TakeOver => self.on_take_over(cx, from),
        }
    }

    /// Writes up to `upto` survive power loss.
    pub fn synced(&mut self, cx: &mut Cx<'_>, upto: Seq) {
        while let Some(&(seq, index)) = self.appended.front() {
            if seq > upto {
                break;
            }
            self.appended.pop_front();
            self.durable = self.durable.max(index);
        }
        if let Part::Candidate { granted, own } = &mut self.part
            && *own <= upto
        {
            granted.insert(self.config.node);
            self.count_votes(cx);
        }
        self.advance_commit();
    }

    /// The transport believes that a peer's process ended.
    pub fn lost(&mut self, cx: &mut Cx<'_>, peer: NodeId) {
        if self.leader == Some(peer) {
            self.leader = None;
            self.heard = None;
            let spread = cx.random() % (self.config.heartbeat_ms.max(1) * 1000);
            let soon = cx.now().mono.after_us(spread).after_ms(self.holding_back_ms());
            self.election_at = self.election_at.min(soon);
        }
        if let Part::Leader(leading) = &mut self.part {
            leading.lost(peer);
        }
    }

    /// Time passed, or a burst of inputs ended.
    pub fn wake(&mut self, cx: &mut Cx<'_>) {
        self.due = false;
        let now = cx.now().mono;
        match &self.part {
            Part::Leader(_) => self.lead(cx),
            Part::Follower | Part::PreCandidate { .. } | Part::Candidate { .. } if now >= self.election_at => {
                self.campaign(cx)
            }
            Part::Follower | Part::PreCandidate { .. } | Part::Candidate { .. } => {}
        }
        if self.log.has_garbage() {
            self.log.delete_some(cx);
        } else {
            self.delete_garbage(cx);
        }
    }

    /// When [`Group::wake`] is wanted next.
    pub fn wake_at(&self) -> Wake {
        if self.due {
            return Wake { at: Mono(0), why: "replicate" };
        }
        if self.log.has_garbage() || self.garbage.any() {
            return Wake { at: Mono(0), why: "delete what was forgotten" };
        }
        match &self.part {
            Part::Leader(leading) => Wake { at: leading.heartbeat_at, why: "heartbeat" },
            Part::Follower | Part::PreCandidate { .. } | Part::Candidate { .. } => {
                Wake { at: self.election_at, why: "election timeout" }
            }
        }
    }

    /// The next committed entry that is not yet applied.
    pub fn next_to_apply(&self) -> Option<(u64, &Entry)> {
        let index = self.applied.at.index + 1;
        if index > self.commit {
            return None;
        }
        self.log.entry(index).map(|entry| (index, entry))
    }

    /// Steady time at the next entry to apply, whose log time is given.
    pub fn steady_at(&self, time_ms: u64) -> u64 {
        self.applied.steady_ms + time_ms.saturating_sub(self.applied.time_ms).min(GAP_MS)
    }

    /// The entry at the next index was applied. [`Group::write_applied`] must follow in the same step.
    pub fn mark_applied(&mut self, index: u64, term: u64, time_ms: u64) {
        assert_eq!(index, self.applied.at.index + 1, "entries are applied in order");
        self.applied.at = Point { term, index };
        self.applied.steady_ms = self.steady_at(time_ms);
        self.applied.time_ms = time_ms;
    }

    /// Records the applied position, in the batch that holds what was applied, and compacts the log.
    pub fn write_applied(&mut self, cx: &mut Cx<'_>) {
        let bytes = postcard::to_allocvec(&self.applied).expect("positions always encode");
        cx.put(&log::record_key(self.config.group, b'a'), &bytes);
        self.compact(cx);
    }

    fn compact(&mut self, cx: &mut Cx<'_>) {
        let base = self.log.base().index;
        let kept = self.applied.at.index - base;
        if kept <= self.config.keep_entries && self.log.bytes() <= self.config.keep_bytes {
            return;
        }
        let needed = self.snapshot_needs();
        if self.log.bytes() <= self.config.keep_bytes * SNAPSHOT_PATIENCE && needed <= self.applied.at.index {
            return;
        }
        // Down to half of what may be kept, so that compaction is rare.
        let mut index = self.applied.at.index.saturating_sub(self.config.keep_entries / 2).max(base);
        let mut bytes = self.log.bytes();
        for at in base + 1..=self.applied.at.index {
            if at > index && bytes <= self.config.keep_bytes / 2 {
                break;
            }
            bytes -= self.log.entry(at).map_or(0, Entry::size);
            index = index.max(at);
        }
        self.log.compact(cx, index);
    }

    /// The oldest index that a snapshot on its way will need entries after; without one, none.
    fn snapshot_needs(&self) -> u64 {
        let Part::Leader(leading) = &self.part else { return u64::MAX };
        leading.followers.values().filter_map(replicate::Follower::snapshot_index).min().unwrap_or(u64::MAX)
    }

    fn append_own(&mut self, cx: &mut Cx<'_>, payload: Payload) -> Point {
        let wall = cx.now().wall;
        let now_ms = wall.shown_ms();
        let entry = Entry { term: self.hard.term, time_ms: self.last_time_ms().max(now_ms), payload };
        let size = entry.size();
        let index = self.log.append(cx, entry);
        cx.hurry();
        self.appended.push_back((cx.seq(), index));
        if let Part::Leader(leading) = &mut self.part {
            leading.uncommitted += size;
        }
        self.due = true;
        Point { term: self.hard.term, index }
    }

    fn last_time_ms(&self) -> u64 {
        self.log.entry(self.log.last().index).map_or(self.applied.time_ms, |entry| entry.time_ms)
    }

    fn write_hard(&mut self, cx: &mut Cx<'_>, hard: Hard) {
        if hard.term > self.hard.term {
            // Whoever was sending a snapshot no longer leads.
            self.drop_incoming();
        }
        self.hard = hard;
        let bytes = postcard::to_allocvec(&hard).expect("terms always encode");
        cx.put(&log::record_key(self.config.group, b'h'), &bytes);
        cx.hurry();
    }

    /// The other voters.
    fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let node = self.config.node;
        self.log.members().counted().all().iter().filter(move |voter| *voter != node)
    }

    fn say(&self, body: Body) -> Message {
        Message { term: self.hard.term, body }
    }
}

/// What others may look at: the node to answer and route, the judges to judge.
impl Group {
    /// The part that this node plays.
    pub fn role(&self) -> Role {
        match self.part {
            Part::Follower => Role::Follower,
            Part::PreCandidate { .. } => Role::PreCandidate,
            Part::Candidate { .. } => Role::Candidate,
            Part::Leader(_) => Role::Leader,
        }
    }
    /// Does this node lead?
    pub fn leads(&self) -> bool {
        matches!(self.part, Part::Leader(_))
    }
    /// The current term.
    pub fn term(&self) -> u64 {
        self.hard.term
    }
    /// The vote of this term.
    pub fn vote(&self) -> Option<NodeId> {
        self.hard.vote
    }
    /// The leader that this node knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }
    /// The commit position.
    pub fn commit(&self) -> u64 {
        self.commit
    }
    /// The last own entry that survives power loss.
    pub fn durable(&self) -> u64 {
        self.durable
    }
    /// How far the log is applied.
    pub fn applied(&self) -> Applied {
        self.applied
    }
    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }
    /// Where the state of the group lives in the store.
    pub fn space(&self) -> Space {
        space(self.config.group, self.applied.generation)
    }
    /// The latest membership in the log of this node, committed or not.
    pub fn members(&self) -> Members {
        self.log.members()
    }
    /// The voters that hold an index durably, as far as this node knows.
    pub fn holders(&self, index: u64) -> NodeSet {
        self.log.members().counted().all().iter().filter(|&voter| self.held(voter) >= index).collect()
    }
    /// For a leader: the last index that so many voters, or all if they are fewer, hold durably.
    pub fn held_by(&self, voters: usize) -> u64 {
        let mut held: Vec<u64> = self.log.members().counted().all().iter().map(|voter| self.held(voter)).collect();
        let needed = voters.min(held.len()).max(1);
        majority::reached(&mut held, needed)
    }
    /// The last index that a node is known to hold durably.
    fn held(&self, node: NodeId) -> u64 {
        match &self.part {
            _ if node == self.config.node => self.durable,
            Part::Leader(leading) => leading.followers.get(&node).map_or(0, |follower| follower.matched),
            Part::Follower | Part::PreCandidate { .. } | Part::Candidate { .. } => 0,
        }
    }
    /// For a leader: each follower, the index that it holds durably, and whether it is suspected.
    pub fn followers(&self, now: Mono) -> Vec<(NodeId, u64, bool)> {
        let Part::Leader(leading) = &self.part else { return Vec::new() };
        leading.followers(now, self.config.heartbeat_ms)
    }
}

/// The space of a group's state in a generation.
pub(crate) fn space(group: u16, generation: u32) -> Space {
    let mut space = [drawer::STATE, 0, 0, 0, 0, 0, 0];
    space[1..3].copy_from_slice(&group.to_be_bytes());
    space[3..].copy_from_slice(&generation.to_be_bytes());
    space
}

type Followers = BTreeMap<NodeId, replicate::Follower>;
