//! A replica of one leaderless table as a machine of its own: the room of the node, and nothing around it.

use crate::simulator::Subject;
use bytes::Bytes;
use quorate_core::catalogue::{Catalogue, LeaderlessSpec, Shape};
use quorate_core::clock::Actor;
use quorate_core::crdt::Kind;
use quorate_core::guarantee::{Session, Want};
use quorate_core::leaderless::{self, Begun, Body, Cx, Job, Leaderless, Message, State};
use quorate_core::machine::{CallId, Input, Machine, Mono, NodeId, Now, Step, Wake};
use quorate_core::mutant::{Mutant, Mutants};
use quorate_core::operation::{Outcome, Refusal, TableId, Words};
use quorate_core::placement::{Division, Member};
use quorate_core::quorum::Rule;
use quorate_core::store::View;
use std::collections::VecDeque;

/// What does not change during one life.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) node: NodeId,
    /// How many nodes there are. If there are as many as replicas, each holds every key.
    pub(super) nodes: u16,
    pub(super) rule: Rule,
    pub(super) kind: Kind,
    /// What a read finds out of date is mended.
    pub(super) mend_reads: bool,
    /// Writes that a replica did not confirm are owed to it.
    pub(super) hints: bool,
    /// How often a replica compares itself with another, in milliseconds; 0 is never.
    pub(super) compare_ms: u64,
    /// A replica that starts again tells nobody what it holds before it has compared itself with all others.
    pub(super) learns: bool,
    pub(super) broken: Option<Mutant>,
    /// How often the node started.
    pub(super) life: u64,
}

/// A call takes at most this long, in milliseconds.
const DEADLINE_MS: u64 = 1_000;
/// A learner looks this often how far it is, in milliseconds.
const LEARN_MS: u64 = 50;

impl Config {
    pub(super) fn new(rule: Rule, kind: Kind) -> Config {
        Config {
            node: NodeId(0),
            nodes: rule.replicas().into(),
            rule,
            kind,
            mend_reads: false,
            hints: false,
            compare_ms: 0,
            learns: false,
            broken: None,
            life: 0,
        }
    }
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.nodes).map(NodeId)
    }
}

/// An operation for a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Request {
    pub(super) words: Words,
    pub(super) want: Want,
    /// What a read of the key handed out.
    pub(super) seen: Option<Bytes>,
}

/// What became of it, and what a read hands out for the next write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reply {
    pub(super) outcome: Outcome,
    pub(super) seen: Option<Bytes>,
}

/// One replica.
#[derive(Debug)]
pub(super) struct Replica {
    room: Leaderless,
    table: TableId,
    learning: Learning,
}

/// The nodes that a replica must still compare itself with before it answers, and the comparisons that had ended before.
#[derive(Debug, Default)]
struct Learning {
    left: VecDeque<NodeId>,
    compared: u64,
    look_at: Mono,
}

impl Replica {
    /// What it knows of a key.
    pub(super) fn state(&self, view: &dyn View, key: &[u8]) -> State {
        self.room.peek(view, self.table, key).expect("the table is known")
    }
    /// The nodes that hold a key.
    pub(super) fn replicas(&self, key: &str) -> Vec<u16> {
        self.room.replicas(self.table, key.as_bytes()).iter().map(|node| node.0).collect()
    }
    pub(super) fn progress(&self) -> quorate_core::operation::Progress {
        self.room.progress()
    }

    fn ask(&mut self, cx: &mut Step<'_, Reply, Message>, call: CallId, request: Request) {
        if !self.learning.left.is_empty() {
            return cx.answer(call, Reply { outcome: Outcome::Refused(Refusal::Behind), seen: None });
        }
        let Request { words, want, seen } = request;
        let until = cx.now().mono.after_ms(DEADLINE_MS);
        let job =
            Job { token: call.0, table: self.table, words, want, session: Session::default(), seen, once: None, until };
        let refusal = match within(cx, |cx| self.room.begin(cx, job, false)) {
            Begun::Here => return,
            Begun::Pass { .. } => Refusal::UnknownTable,
            Begun::Refused(refusal) => refusal,
        };
        cx.answer(call, Reply { outcome: Outcome::Refused(refusal), seen: None });
    }

    fn hear(&mut self, cx: &mut Step<'_, Reply, Message>, from: NodeId, message: Message) {
        let asks = matches!(message.body, Body::Get { .. } | Body::Propose { .. });
        if self.learning.left.is_empty() || !asks {
            within(cx, |cx| self.room.message(cx, from, message));
        }
    }

    fn learn(&mut self, cx: &mut Step<'_, Reply, Message>) {
        let compared = self.room.progress().compared;
        if compared > self.learning.compared {
            self.learning.compared = compared;
            self.learning.left.pop_front();
        }
        self.learning.look_at = cx.now().mono.after_ms(LEARN_MS);
        if let Some(&with) = self.learning.left.front() {
            within(cx, |cx| self.room.compare(cx, self.table, with));
        }
    }
}

fn within<T>(cx: &mut Step<'_, Reply, Message>, run: impl FnOnce(&mut Cx<'_>) -> T) -> T {
    cx.within(|message| message, run)
}

impl Machine for Replica {
    type Config = Config;
    type Request = Request;
    type Reply = Reply;
    type Message = Message;

    fn boot(config: &Config, now: Now, disk: &dyn View) -> Replica {
        let mut catalogue = Catalogue::default();
        let spec =
            LeaderlessSpec { rule: config.rule, kind: config.kind, bound: 0, division: Division::Hash, parts: 1 };
        let table = catalogue.create("t", Shape::Leaderless(spec)).expect("the first table");
        let room = leaderless::Config {
            node: config.node,
            incarnation: config.life,
            mend_reads: config.mend_reads,
            hints: config.hints,
            compare_ms: config.compare_ms,
            share_percent: 100,
            mutants: config.broken.map_or(Mutants::none(), Mutants::only),
        };
        let mut room = Leaderless::boot(room, now.mono, disk);
        let members: Vec<Member> = config.nodes().map(|node| Member { node, weight: 1, zone: node.0 }).collect();
        let actor = Actor { node: config.node, incarnation: config.life as u32 };
        room.learn(now.mono, &catalogue, &members, Some(actor));
        let learns = config.learns && config.life > 1;
        let left = config.nodes().filter(|&node| learns && node != config.node).collect();
        let learning = Learning { left, compared: 0, look_at: now.mono };
        Replica { room, table, learning }
    }

    fn step(&mut self, cx: &mut Step<'_, Reply, Message>, input: Input<Request, Message>) {
        match input {
            Input::Request { call, request } => self.ask(cx, call, request),
            Input::Message { from, message } => self.hear(cx, from, message),
            Input::Synced { upto } => within(cx, |cx| self.room.synced(cx, upto)),
            Input::Lost { .. } => {}
            Input::Wake => {
                within(cx, |cx| self.room.wake(cx));
                if !self.learning.left.is_empty() {
                    self.learn(cx);
                }
            }
        }
        for settled in self.room.take_settled() {
            let outcome = settled.outcome.expect("no table moves here");
            cx.answer(CallId(settled.token), Reply { outcome, seen: settled.seen });
        }
    }

    fn wake_at(&self) -> Option<Wake> {
        let learns = Wake { at: self.learning.look_at, why: "comparison of a learner" };
        let learns = (!self.learning.left.is_empty()).then_some(learns);
        self.room.wake_at().into_iter().chain(learns).min_by_key(|wake| wake.at)
    }
}

impl Subject for Replica {
    fn reborn(config: &Config, incarnation: u64) -> Config {
        Config { life: incarnation, ..config.clone() }
    }
}
