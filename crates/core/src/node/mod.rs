//! The node: the one place that knows all rooms. It translates and routes; no protocol logic lives here.
//!
//! A call comes in, `plan` decides its way, `route` takes it there: to the log of a group, to a read round, to the
//! leader on another node, or to a place where it waits. Whatever moves a group on ends in `settle`, which applies what
//! is committed and answers whoever waited for it.

use crate::catalogue::CATALOGUE_GROUP;
use crate::consensus;
use crate::hot::Hot;
use crate::leaderless::{self, Leaderless};
use crate::limits;
use crate::machine::{CallId, Input, Machine, Mono, NodeId, Now, Step, Wake};
use crate::mutant::Mutants;
use crate::operation::{Operate, Refusal, Reply, Request};
use crate::store::View;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use health::Health;
use seat::{Call, Origin, Seat};
use serde::{Deserialize, Serialize};

mod answer;
mod apply;
mod arrivals;
mod gather;
mod health;
mod hot;
pub mod plan;
mod replicas;
mod route;
mod seat;
mod status;
mod tables;
mod voters;
pub mod wire;

pub use health::{Beat, Echo};

/// What does not change during one life of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Names the cluster; session tokens and peers of another are refused.
    pub cluster: u64,
    /// Who we are.
    pub node: NodeId,
    /// Our life: rises with every start.
    pub incarnation: u64,
    /// The members that began the cluster, in order: a node that was added later is none of them. The catalogue says who they are as soon
    /// as somebody said it there.
    pub members: Vec<NodeId>,
    /// Those of them that vote in the first membership of each group, the same at all nodes. Later memberships are in the
    /// log of the group.
    pub voters: Vec<NodeId>,
    /// The tables. The first sixteen share the groups of table 0 unless they say otherwise.
    pub tables: Vec<Table>,
    /// Timeouts.
    pub timing: Timing,
    /// How much of an applied log a group keeps for followers that lag.
    pub keep: Keep,
    /// How leaderless tables are repaired.
    pub repair: Repair,
    /// Rules that are broken; always none outside the lab.
    pub mutants: Mutants,
}

/// How replicas of leaderless tables that differ become equal again. Each way alone is enough in the end but the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// What a read finds out of date is mended.
    pub reads: bool,
    /// Writes that a replica did not confirm are owed to it.
    pub hints: bool,
    /// Ranges are compared in the background this often, in milliseconds, one table with one node at a time; 0 is never.
    pub compare_ms: u64,
    /// What is compared, moved or deleted takes no more than this share of the time of disk and network while clients are
    /// served, in percent; 1 to 100.
    pub share_percent: u8,
}

impl Default for Repair {
    fn default() -> Repair {
        Repair { reads: true, hints: true, compare_ms: 10_000, share_percent: 25 }
    }
}

/// A table and the consensus groups that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name for people.
    pub name: String,
    /// Its first group.
    pub first_group: u16,
    /// How many groups its keys are spread over.
    pub groups: u16,
}

/// Timeouts, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A leader that has nothing to say says so this often, and every node tells every other that it lives.
    pub heartbeat_ms: u64,
    /// A follower that hears nothing for this long, and a random part of it more, asks for votes.
    pub election_ms: u64,
}

/// How much of an applied log a group keeps. A follower that needs more gets a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Entries.
    pub entries: u64,
    /// Bytes.
    pub bytes: usize,
}

impl Default for Keep {
    fn default() -> Keep {
        Keep { entries: limits::LOG_KEEP_ENTRIES, bytes: limits::LOG_KEEP_BYTES }
    }
}

impl Default for Timing {
    fn default() -> Timing {
        Timing { heartbeat_ms: 100, election_ms: 750 }
    }
}

impl Config {
    /// A cluster whose sixteen databases share `groups` consensus groups.
    pub fn new(cluster: u64, node: NodeId, members: Vec<NodeId>, groups: u16) -> Config {
        let table = |id: u16| Table {
            name: if id == 0 { String::from("default") } else { alloc::format!("db{id}") },
            first_group: 0,
            groups,
        };
        Config {
            cluster,
            node,
            incarnation: 1,
            voters: members.clone(),
            members,
            tables: (0..16).map(table).collect(),
            timing: Timing::default(),
            keep: Keep::default(),
            repair: Repair::default(),
            mutants: Mutants::none(),
        }
    }
}

/// What nodes tell each other.
// Messages of replicas are the largest and the most common: a box for each would cost more than the room.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// The consensus room of a group speaks.
    Consensus {
        /// The group.
        group: u16,
        /// What it says.
        message: consensus::Message,
    },
    /// A follower passes a call on to the leader. Lost: the caller hears `Unknown`, for a write, at its deadline.
    Forward {
        /// The call, as the follower names it.
        call: CallId,
        /// The life of the follower, so that answers to an earlier life are dropped.
        incarnation: u64,
        /// The group whose leader is meant.
        group: u16,
        /// The term in which the receiver leads, as the follower knows it. A copy that arrives in another term is not taken.
        term: u64,
        /// What is asked.
        operate: Operate,
    },
    /// The leader answers a forwarded call.
    Answer {
        /// The call, as the follower named it.
        call: CallId,
        /// The life of the follower that asked.
        incarnation: u64,
        /// What became of it; `None` means that the receiver was not the leader and did nothing.
        reply: Option<Reply>,
    },
    /// A node lives. Lost: the next one comes soon.
    Beat(Beat),
    /// Replicas of leaderless tables speak.
    Leaderless(Box<leaderless::Message>),
    /// A call for a leaderless table that the receiver shall coordinate. Lost: a read is passed on to another; the caller of a write
    /// hears `Unknown` at its deadline.
    Pass {
        /// The call, as the sender names it.
        call: CallId,
        /// The life of the sender's process.
        incarnation: u64,
        /// The life of the receiver as a writer, as the sender knows it. In another it does not take the call.
        life: Option<u32>,
        /// It is passed on for want of rights of a bounded counter, which is done once.
        sought: bool,
        /// What is asked.
        operate: Operate,
    },
    /// The receiver knows a newer catalogue, and shall tell it. Lost: asked again with the next beat.
    AskCatalogue,
    /// The catalogue as the sender knows it. Lost: asked again.
    Catalogue(Bytes),
}

/// How often deadlines are looked at, in milliseconds.
const SWEEP_MS: u64 = 50;

type Cx<'a> = Step<'a, Reply, Message>;

/// The whole node.
#[derive(Debug)]
pub struct Node {
    config: Config,
    seats: BTreeMap<u16, Seat>,
    /// Calls passed on to a leader elsewhere, by the number that this node gave them.
    forwarded: BTreeMap<CallId, route::Forwarded>,
    next_forward: u64,
    /// The order of the newest call.
    next_order: u64,
    gathers: BTreeMap<u64, gather::Gather>,
    next_gather: u64,
    /// What this node knows of tables that were made at run time.
    tables: tables::Tables,
    leaderless: Leaderless,
    replica_calls: replicas::Calls,
    /// Calls in flight here.
    calls: usize,
    /// When deadlines are looked at next.
    sweep_at: Option<Mono>,
    health: Health,
    hot: Hot,
}

impl Machine for Node {
    type Config = Config;
    type Request = Request;
    type Reply = Reply;
    type Message = Message;

    fn boot(config: &Config, now: Now, disk: &dyn View) -> Node {
        let groups = config.tables.iter().flat_map(|table| table.first_group..table.first_group + table.groups);
        let boot = |group| {
            let config = consensus::Config {
                group,
                node: config.node,
                members: config.voters.clone(),
                heartbeat_ms: config.timing.heartbeat_ms,
                election_ms: config.timing.election_ms,
                keep_entries: config.keep.entries,
                keep_bytes: config.keep.bytes,
                mutants: config.mutants,
            };
            (group, Seat::new(consensus::Group::boot(config, now, disk)))
        };
        let seats: BTreeMap<u16, Seat> = groups.map(boot).collect();
        let Repair { reads, hints, compare_ms, share_percent } = config.repair;
        let leaderless = leaderless::Config {
            node: config.node,
            incarnation: config.incarnation,
            mend_reads: reads,
            hints,
            compare_ms,
            share_percent,
            mutants: config.mutants,
        };
        let mut node = Node {
            tables: tables::Tables::boot(seats.get(&CATALOGUE_GROUP), disk),
            leaderless: Leaderless::boot(leaderless, now.mono, disk),
            replica_calls: replicas::Calls::default(),
            config: config.clone(),
            seats,
            forwarded: BTreeMap::new(),
            next_forward: 0,
            next_order: 0,
            gathers: BTreeMap::new(),
            next_gather: 0,
            calls: 0,
            sweep_at: None,
            health: Health::new(config, now.mono),
            hot: Hot::new(now.mono),
        };
        node.tell_leaderless(now.mono);
        node
    }

    fn step(&mut self, cx: &mut Cx<'_>, input: Input<Request, Message>) {
        match input {
            Input::Request { call, request } => self.request(cx, call, request),
            Input::Message { from, message } => self.message(cx, from, message),
            Input::Synced { upto } => {
                self.each_group(cx, |group, cx| group.synced(cx, upto));
                cx.within(replicas::wrap, |cx| self.leaderless.synced(cx, upto));
                self.settle_replicas(cx);
            }
            Input::Lost { peer } => {
                self.each_group(cx, |group, cx| group.lost(cx, peer));
                self.forwarded_to_lost(cx, peer);
                self.passed_to_lost(cx, peer);
            }
            Input::Wake => self.wake(cx),
        }
    }

    fn wake_at(&self) -> Option<Wake> {
        let beat = self.health.beat_at().map(|at| Wake { at, why: "beat" });
        self.work_at().into_iter().chain(beat).min_by_key(|wake| wake.at)
    }
}

impl Node {
    /// When there is work that is no beat.
    fn work_at(&self) -> Option<Wake> {
        let groups = self.seats.values().map(|seat| seat.group.wake_at());
        let expiry = self.seats.values().filter_map(Seat::expiry_at).map(|at| Wake { at, why: "expiry" });
        let sweep = self.sweep_at.map(|at| Wake { at, why: "deadlines" });
        let life = self.life_due().map(|at| Wake { at, why: "life" });
        let telling = self.telling_due().map(|at| Wake { at, why: "caught up" });
        groups
            .chain(expiry)
            .chain(sweep)
            .chain(life)
            .chain(telling)
            .chain(self.leaderless.wake_at())
            .min_by_key(|wake| wake.at)
    }

    /// What this node was told at its start.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A group of this node, for those who judge and show.
    pub fn group(&self, group: u16) -> Option<&consensus::Group> {
        self.seats.get(&group).map(|seat| &seat.group)
    }

    /// The groups of this node.
    pub fn groups(&self) -> impl Iterator<Item = (u16, &consensus::Group)> {
        self.seats.iter().map(|(&id, seat)| (id, &seat.group))
    }

    fn request(&mut self, cx: &mut Cx<'_>, call: CallId, request: Request) {
        match request {
            Request::Operate(mut operate) => {
                self.say_founders(&mut operate.batch);
                self.count_keys(cx.now().mono, &operate.batch);
                self.leaderless.serves(cx.now().mono);
                self.accept(cx, Origin::Local(call), operate, None);
            }
            Request::Hot => cx.answer(call, Reply::Hot(self.hot_status(cx.now().mono))),
            Request::Status => cx.answer(call, Reply::Status(self.status(cx.now().mono))),
            Request::Transfer { group, to } => {
                let result = self.transfer(cx, group, to);
                cx.answer(call, Reply::Transferred(result));
            }
            Request::ChangeMembers { group, voters, learners } => {
                let result = self.change_members(cx, group, &voters, &learners);
                cx.answer(call, Reply::ChangeBegun(result));
            }
            Request::Repair { run } => {
                if run {
                    cx.within(replicas::wrap, |cx| self.leaderless.repair(cx));
                }
                let status = self.leaderless.repair_status(cx.now().mono, &self.tables.catalogue);
                cx.answer(call, Reply::Repair(status));
            }
        }
    }

    fn message(&mut self, cx: &mut Cx<'_>, from: NodeId, message: Message) {
        match message {
            Message::Consensus { group, message } => {
                self.in_group(cx, group, |group, cx| group.message(cx, from, message));
            }
            Message::Forward { call, incarnation, group, term, operate } => {
                self.forward_arrived(cx, from, (call, incarnation), (group, term), operate);
            }
            Message::Answer { call, incarnation, reply } => {
                if incarnation == self.config.incarnation {
                    self.answer_arrived(cx, call, reply);
                }
            }
            Message::Beat(beat) => self.health.heard(from, beat, cx.now()),
            Message::Leaderless(message) => {
                cx.within(replicas::wrap, |cx| self.leaderless.message(cx, from, *message));
                self.settle_replicas(cx);
            }
            Message::Pass { call, incarnation, life, sought, operate } => {
                self.pass_arrived(cx, from, (call, incarnation), (life, sought), operate);
            }
            Message::AskCatalogue => {
                cx.send(from, Message::Catalogue(Bytes::from(self.tables.catalogue.encode())));
            }
            Message::Catalogue(bytes) => self.catalogue_arrived(cx, &bytes),
        }
    }

    fn transfer(&mut self, cx: &mut Cx<'_>, group: u16, to: NodeId) -> Result<(), Refusal> {
        let seat = self.seats.get_mut(&group).ok_or(Refusal::NoSuchTarget)?;
        if !seat.group.leads() {
            return Err(Refusal::NoLeader);
        }
        let begun = cx.within(wrap(group), |cx| seat.group.transfer(cx, to));
        if begun { Ok(()) } else { Err(Refusal::NoSuchTarget) }
    }

    fn change_members(
        &mut self,
        cx: &mut Cx<'_>,
        group: u16,
        voters: &[NodeId],
        learners: &[NodeId],
    ) -> Result<(), Refusal> {
        let seat = self.seats.get_mut(&group).ok_or(Refusal::NoSuchTarget)?;
        if !voters.iter().chain(learners).all(|node| (1..=limits::NODE_ID_MAX).contains(&node.0)) {
            return Err(Refusal::NoSuchTarget);
        }
        let change = consensus::Change {
            voters: voters.iter().copied().collect(),
            learners: learners.iter().copied().collect(),
        };
        match cx.within(wrap(group), |cx| seat.group.change_members(cx, change)) {
            Ok(_) => Ok(()),
            Err(consensus::ChangeError::NotLeading) => Err(Refusal::NoLeader),
            Err(consensus::ChangeError::Busy) => Err(Refusal::ChangeOnItsWay),
            Err(consensus::ChangeError::Impossible) => {
                Err(Refusal::Impossible(String::from("a group needs a voter, and a node is either voter or learner")))
            }
        }
    }

    fn accept(&mut self, cx: &mut Cx<'_>, origin: Origin, operate: Operate, pinned: Option<u16>) {
        self.accept_passed(cx, origin, operate, pinned, false);
    }

    fn accept_passed(&mut self, cx: &mut Cx<'_>, origin: Origin, operate: Operate, pinned: Option<u16>, sought: bool) {
        self.calls += 1;
        let deadline_ms = operate.deadline_ms.min(limits::DEADLINE_MAX_MS);
        let until = cx.now().mono.after_ms(u64::from(deadline_ms));
        if self.sweep_at.is_none() {
            self.sweep_at = Some(cx.now().mono.after_ms(SWEEP_MS));
        }
        self.next_order += 1;
        let call = Call { origin, operate, until, order: self.next_order, pinned, doubt: None, sought };
        if self.calls > limits::CALLS {
            self.refuse(cx, call, Refusal::Overloaded);
            return;
        }
        self.route(cx, call);
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        self.beat(cx);
        if self.work_at().is_none_or(|work| work.at > now) {
            return;
        }
        let ids: Vec<u16> = self.seats.keys().copied().collect();
        for id in ids {
            let Some(seat) = self.seats.get_mut(&id) else { continue };
            if seat.unwritten {
                seat.unwritten = false;
                cx.within(wrap(id), |cx| seat.group.write_applied(cx));
            }
            if seat.group.wake_at().at <= now {
                cx.within(wrap(id), |cx| seat.group.wake(cx));
            }
            self.expire(cx, id);
            self.settle(cx, id);
        }
        self.ask_for_life(cx);
        self.tell_caught_up(cx);
        if self.leaderless.wake_at().is_some_and(|wake| wake.at <= now) {
            cx.within(replicas::wrap, |cx| self.leaderless.wake(cx));
            self.settle_replicas(cx);
        }
        if self.sweep_at.is_some_and(|at| now >= at) {
            self.sweep_deadlines(cx);
            self.sweep_at = (self.calls > 0).then(|| now.after_ms(SWEEP_MS));
        }
    }

    fn in_group(&mut self, cx: &mut Cx<'_>, id: u16, run: impl FnOnce(&mut consensus::Group, &mut consensus::Cx<'_>)) {
        if let Some(seat) = self.seats.get_mut(&id) {
            cx.within(wrap(id), |cx| run(&mut seat.group, cx));
            self.settle(cx, id);
        }
    }

    fn each_group(&mut self, cx: &mut Cx<'_>, run: impl Fn(&mut consensus::Group, &mut consensus::Cx<'_>)) {
        let ids: Vec<u16> = self.seats.keys().copied().collect();
        for id in ids {
            self.in_group(cx, id, |group, cx| run(group, cx));
        }
    }
}

fn wrap(group: u16) -> impl Fn(consensus::Message) -> Message {
    move |message| Message::Consensus { group, message }
}
