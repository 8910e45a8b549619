//! Nodes whose messages and syncs arrive at once: what is measured is the core and the encoding of its messages.

use bytes::Bytes;
use quorate_core::guarantee::{Session, Want};
use quorate_core::machine::*;
use quorate_core::node::{Config, Node, wire};
use quorate_core::operation::*;
use quorate_core::random::Random;
use quorate_core::store::{MemoryStore, Seq};
use std::collections::VecDeque;

pub struct Host {
    pub node: Node,
    pub store: MemoryStore,
    written: Seq,
    random: Random,
    /// Waits for the disk.
    held: Vec<Effect>,
    hurry: bool,
}

enum Effect {
    Send(NodeId, Vec<u8>),
    Answer(CallId, Reply),
}

pub struct Cluster {
    pub hosts: Vec<Host>,
    now_us: u64,
    queue: VecDeque<(NodeId, NodeId, Vec<u8>)>,
    answers: Vec<(CallId, Reply)>,
    next_call: u64,
    /// Messages between nodes are lost.
    pub apart: bool,
    /// Sent between nodes.
    pub messages: u64,
    pub bytes: u64,
}

/// A node without repair of its own.
fn boot(id: u16, nodes: u16, incarnation: u64, now: Now, store: &MemoryStore) -> Node {
    let mut config = Config::new(9, NodeId(id), (1..=nodes).map(NodeId).collect(), 1);
    (config.incarnation, config.repair.hints, config.repair.compare_ms) = (incarnation, false, 0);
    Node::boot(&config, now, store)
}

impl Cluster {
    pub fn new(nodes: u16) -> Cluster {
        let mut cluster = Cluster {
            hosts: Vec::new(),
            now_us: 1,
            queue: VecDeque::new(),
            answers: Vec::new(),
            next_call: 0,
            apart: false,
            messages: 0,
            bytes: 0,
        };
        for id in 1..=nodes {
            let (store, random) = (MemoryStore::default(), Random::new(u64::from(id)));
            let node = boot(id, nodes, 1, cluster.now(), &store);
            cluster.hosts.push(Host { node, store, written: Seq(0), random, held: Vec::new(), hurry: false });
        }
        cluster.pass(3_000);
        cluster
    }

    /// All nodes begin anew from what they stored.
    pub fn restart(&mut self) {
        let (now, nodes) = (self.now(), self.hosts.len() as u16);
        for (host, id) in self.hosts.iter_mut().zip(1..) {
            host.node = boot(id, nodes, self.now_us, now, &host.store);
        }
        self.pass(5_000);
    }

    fn now(&self) -> Now {
        let ms = 1_000_000 + self.now_us / 1000;
        Now { mono: Mono(self.now_us), wall: Wall { earliest_ms: ms, latest_ms: ms } }
    }

    pub fn step(&mut self, id: NodeId, input: Input<Request, quorate_core::node::Message>) {
        let now = self.now();
        let host = &mut self.hosts[usize::from(id.0) - 1];
        let mut turn = Turn::default();
        let mut cx = Step::open(now, host.written, &mut host.store, &mut host.random, &mut turn);
        host.node.step(&mut cx, input);
        if turn.wrote {
            host.written = Seq(host.written.0 + 1);
        }
        host.hurry |= turn.hurry;
        for Send { to, message, leave } in turn.sends {
            let bytes = wire::encode(&message, Vec::new());
            match leave {
                Leave::Now => self.queue.push_back((id, to, bytes)),
                Leave::AfterSync => host.held.push(Effect::Send(to, bytes)),
            }
        }
        for Answer { call, reply, leave } in turn.answers {
            match leave {
                Leave::Now => self.answers.push((call, reply)),
                Leave::AfterSync => host.held.push(Effect::Answer(call, reply)),
            }
        }
    }

    /// Delivers and syncs until nothing is on its way.
    pub fn settle(&mut self) {
        loop {
            while let Some((from, to, bytes)) = self.queue.pop_front() {
                self.messages += 1;
                self.bytes += bytes.len() as u64;
                if !self.apart {
                    let message = wire::decode(&bytes).expect("a message decodes");
                    self.step(to, Input::Message { from, message });
                }
            }
            let mut quiet = true;
            for id in (1..=self.hosts.len() as u16).map(NodeId) {
                let host = &mut self.hosts[usize::from(id.0) - 1];
                if !std::mem::take(&mut host.hurry) {
                    continue;
                }
                quiet = false;
                let (upto, held) = (host.written, std::mem::take(&mut host.held));
                for effect in held {
                    match effect {
                        Effect::Send(to, bytes) => self.queue.push_back((id, to, bytes)),
                        Effect::Answer(call, reply) => self.answers.push((call, reply)),
                    }
                }
                self.step(id, Input::Synced { upto });
            }
            if quiet && self.queue.is_empty() {
                return;
            }
        }
    }

    /// So many milliseconds.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now_us += 1_000;
            self.wake();
            self.settle();
        }
    }

    fn wake(&mut self) {
        for id in (1..=self.hosts.len() as u16).map(NodeId) {
            let node = |cluster: &Cluster| cluster.hosts[usize::from(id.0) - 1].node.wake_at();
            for _ in 0..4 {
                if node(self).is_some_and(|wake| wake.at.0 <= self.now_us) {
                    self.step(id, Input::Wake);
                }
            }
        }
    }

    /// One operation for each of the sessions, all at the same time, at the first node; half a millisecond passes, or more until all are answered.
    pub fn round(&mut self, sessions: &mut [Session], mut operate: impl FnMut(Session) -> Operate) {
        let first = self.next_call;
        for session in sessions.iter() {
            let (call, request) = (CallId(self.next_call), Request::Operate(operate(session.clone())));
            self.next_call += 1;
            self.step(NodeId(1), Input::Request { call, request });
        }
        while self.answers.len() < sessions.len() {
            self.now_us += 500;
            self.wake();
            self.settle();
        }
        for (call, reply) in self.answers.drain(..) {
            let Reply::Operated { outcome, session, seen: _ } = reply else { panic!("another reply") };
            assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
            sessions[(call.0 - first) as usize].merge(&session);
        }
    }

    /// A node compares all that it holds with the others.
    pub fn repair(&mut self, id: NodeId) {
        self.step(id, Input::Request { call: CallId(u64::MAX), request: Request::Repair { run: true } });
        self.settle();
        self.answers.clear();
    }

    /// Asks until it is done.
    pub fn ask(&mut self, table: TableId, words: &[&str]) {
        for _ in 0..100 {
            let operate = operate(table, words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())));
            let call = CallId(self.next_call);
            self.next_call += 1;
            self.step(NodeId(1), Input::Request { call, request: Request::Operate(operate) });
            for _ in 0..4_000 {
                self.pass(1);
                match self.answers.pop() {
                    Some((_, Reply::Operated { outcome: Outcome::Done { .. }, .. })) => return,
                    Some(_) => break,
                    None => {}
                }
            }
        }
        panic!("{words:?} is not done");
    }

    pub fn table(&self, name: &str) -> TableId {
        self.hosts[0].node.catalogue().find(name).map(|(id, _)| id).expect("it was made")
    }

    /// Bytes of keys and values at a node.
    pub fn stored(&self, id: u16) -> usize {
        self.hosts[usize::from(id) - 1].store.0.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

pub fn operate(table: TableId, words: impl Iterator<Item = Bytes>) -> Operate {
    let commands = vec![words.collect()];
    Operate {
        batch: Batch { table, guards: vec![], idempotency: None, commands, transaction: false },
        want: Want::default(),
        session: Session::default(),
        seen: None,
        after_own_writes: false,
        deadline_ms: 3_000,
    }
}
