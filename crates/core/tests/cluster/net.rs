//! Nodes on a small network in memory.

use bytes::Bytes;
use quorate_core::guarantee::{Session, Want};
use quorate_core::machine::*;
use quorate_core::node::{Config, Message, Node};
use quorate_core::operation::*;
use quorate_core::random::Random;
use quorate_core::store::{MemoryStore, Seq};
use std::collections::{BTreeMap, VecDeque};

pub struct Host {
    pub node: Option<Node>,
    pub store: MemoryStore,
    pub written: Seq,
    pub random: Random,
    pub held: Vec<(Seq, NodeId, Message)>,
}

pub struct Net {
    pub now_us: u64,
    pub hosts: BTreeMap<NodeId, Host>,
    pub queue: VecDeque<(NodeId, NodeId, Message)>,
    pub replies: BTreeMap<CallId, Reply>,
    pub next_call: u64,
    pub random: Random,
    pub drop_per_mille: u64,
    pub cut: Option<NodeId>,
    /// Answers to forwarded calls are lost.
    pub mute: bool,
    /// The consensus messages of this group are lost.
    pub silent: Option<u16>,
    pub groups: u16,
    pub keep: u64,
    /// Messages sent to each node.
    pub sent: BTreeMap<NodeId, u64>,
}

impl Net {
    pub fn new(nodes: u16, groups: u16, seed: u64) -> Net {
        let mut net = Net {
            now_us: 0,
            hosts: BTreeMap::new(),
            queue: VecDeque::new(),
            replies: BTreeMap::new(),
            next_call: 0,
            random: Random::new(seed),
            drop_per_mille: 0,
            cut: None,
            mute: false,
            silent: None,
            groups,
            keep: 1000,
            sent: BTreeMap::new(),
        };
        for id in 1..=nodes {
            let random = net.random.fork();
            let (store, written) = (MemoryStore::default(), Seq(0));
            net.hosts.insert(NodeId(id), Host { node: None, store, written, random, held: Vec::new() });
        }
        (1..=nodes).for_each(|id| net.boot(id));
        net
    }

    pub fn boot(&mut self, id: u16) {
        let members: Vec<NodeId> = self.hosts.keys().copied().collect();
        let mut config = Config::new(9, NodeId(id), members, self.groups);
        config.incarnation = self.now_us + 1;
        config.keep.entries = self.keep;
        let now = self.now();
        let host = self.hosts.get_mut(&NodeId(id)).unwrap();
        host.node = Some(Node::boot(&config, now, &host.store));
    }

    pub fn now(&self) -> Now {
        let ms = 1_000_000 + self.now_us / 1000;
        Now { mono: Mono(self.now_us), wall: Wall { earliest_ms: ms, latest_ms: ms } }
    }

    pub fn step(&mut self, id: NodeId, input: Input<Request, Message>) {
        let now = self.now();
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Some(node) = &mut host.node else { return };
        let mut turn = Turn::default();
        let mut cx = Step::open(now, host.written, &mut host.store, &mut host.random, &mut turn);
        node.step(&mut cx, input);
        if turn.wrote {
            host.written = Seq(host.written.0 + 1);
        }
        for send in turn.sends {
            assert_ne!(send.to, id);
            *self.sent.entry(send.to).or_default() += 1;
            match send.leave {
                Leave::Now => self.queue.push_back((id, send.to, send.message)),
                Leave::AfterSync => host.held.push((turn.after, send.to, send.message)),
            }
        }
        for answer in turn.answers {
            assert!(self.replies.insert(answer.call, answer.reply).is_none(), "answered twice");
        }
    }

    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms * 4 {
            self.now_us += 250;
            let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
            for &id in &ids {
                let host = self.hosts.get_mut(&id).unwrap();
                let written = host.written;
                for (_, to, message) in std::mem::take(&mut host.held) {
                    self.queue.push_back((id, to, message));
                }
                if self.hosts[&id].node.is_some() {
                    self.step(id, Input::Synced { upto: written });
                }
            }
            for _ in 0..self.queue.len() {
                let (from, to, message) = self.queue.pop_front().unwrap();
                let cut = self.cut.is_some_and(|cut| cut == from || cut == to)
                    || self.mute && matches!(message, Message::Answer { .. })
                    || matches!(message, Message::Consensus { group, .. } if self.silent == Some(group));
                if !cut && !self.random.chance(self.drop_per_mille) {
                    self.step(to, Input::Message { from, message });
                }
            }
            for &id in &ids {
                let due = |net: &Net| {
                    let node = net.hosts[&id].node.as_ref();
                    node.and_then(|node| node.wake_at()).is_some_and(|wake| wake.at.0 <= net.now_us)
                };
                for _ in 0..4 {
                    if due(self) {
                        self.step(id, Input::Wake);
                    }
                }
            }
        }
    }

    pub fn call(&mut self, to: u16, want: Want, session: Session, words: &[&str]) -> CallId {
        self.call_on(TableId(0), to, want, session, words)
    }

    pub fn call_on(&mut self, table: TableId, to: u16, want: Want, session: Session, words: &[&str]) -> CallId {
        self.next_call += 1;
        let call = CallId(self.next_call);
        let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let batch = Batch { table, guards: vec![], idempotency: None, commands: vec![words], transaction: false };
        let operate = Operate { batch, want, session, seen: None, after_own_writes: false, deadline_ms: 3000 };
        self.step(NodeId(to), Input::Request { call, request: Request::Operate(operate) });
        call
    }

    pub fn ask(&mut self, to: u16, want: Want, words: &[&str]) -> Outcome {
        let call = self.call(to, want, Session::default(), words);
        self.outcome(call)
    }

    pub fn outcome(&mut self, call: CallId) -> Outcome {
        for _ in 0..80 {
            if let Some(Reply::Operated { outcome, .. }) = self.replies.get(&call) {
                return outcome.clone();
            }
            self.run(50);
        }
        panic!("no reply");
    }

    pub fn value(&mut self, to: u16, words: &[&str]) -> Value {
        match self.ask(to, Want::default(), words) {
            Outcome::Done { value, .. } => value,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    /// As `value`, on a table that was made at run time.
    pub fn value_on(&mut self, table: TableId, to: u16, words: &[&str]) -> Value {
        let call = self.call_on(table, to, Want::default(), Session::default(), words);
        match self.outcome(call) {
            Outcome::Done { value, .. } => value,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    pub fn node(&self, id: u16) -> &Node {
        self.hosts[&NodeId(id)].node.as_ref().unwrap()
    }

    pub fn transfer(&mut self, from: u16, to: u16) {
        self.next_call += 1;
        let (call, request) = (CallId(self.next_call), Request::Transfer { group: 0, to: NodeId(to) });
        self.step(NodeId(from), Input::Request { call, request });
        assert_eq!(self.replies[&call], Reply::Transferred(Ok(())));
    }

    pub fn change_members(&mut self, at: u16, voters: &[u16], learners: &[u16]) -> Result<(), Refusal> {
        self.next_call += 1;
        let ids = |nodes: &[u16]| nodes.iter().copied().map(NodeId).collect();
        let (call, voters, learners) = (CallId(self.next_call), ids(voters), ids(learners));
        self.step(NodeId(at), Input::Request { call, request: Request::ChangeMembers { group: 0, voters, learners } });
        let Reply::ChangeBegun(result) = self.replies[&call].clone() else { panic!("another reply") };
        result
    }

    pub fn leader(&self, group: u16) -> u16 {
        let leads = |host: &&Host| host.node.as_ref().is_some_and(|node| node.group(group).unwrap().leads());
        self.hosts.values().find(leads).unwrap().node.as_ref().unwrap().config().node.0
    }
}
