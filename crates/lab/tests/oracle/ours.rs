//! Our consensus room.

use super::{Change, Cluster, MEMBERS, Shown};
use bytes::Bytes;
use quorate_core::consensus::{self, Config, Group, Members, Message, Payload};
use quorate_core::machine::{Mono, NodeId, Now, Step, Turn, Wall};
use quorate_core::mutant::Mutants;
use quorate_core::operation::Role;
use quorate_core::random::Random;
use quorate_core::store::{MemoryStore, Seq};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Long enough that no timeout of its own ever ends.
const NEVER_MS: u64 = 1 << 40;

pub struct Ours {
    nodes: BTreeMap<u16, Twin>,
    queue: VecDeque<(u16, u16, Message)>,
    members: Vec<NodeId>,
    mutants: Mutants,
}

struct Twin {
    group: Group,
    store: MemoryStore,
    written: Seq,
    random: Random,
    mono: Mono,
}

impl Ours {
    pub fn new(nodes: u16, voters: u16, mutants: Mutants) -> Ours {
        let members: Vec<NodeId> = (1..=voters).map(NodeId).collect();
        let mut ours = Ours { nodes: BTreeMap::new(), queue: VecDeque::new(), members, mutants };
        for node in 1..=nodes {
            let store = MemoryStore::default();
            let group = ours.boot(node, Mono(0), &store);
            ours.nodes.insert(node, Twin { group, store, written: Seq(0), random: Random::new(1), mono: Mono(0) });
        }
        ours
    }

    fn boot(&self, node: u16, mono: Mono, store: &MemoryStore) -> Group {
        let config = Config {
            group: 0,
            node: NodeId(node),
            members: self.members.clone(),
            heartbeat_ms: 10,
            election_ms: NEVER_MS,
            keep_entries: u64::MAX,
            keep_bytes: usize::MAX,
            mutants: self.mutants,
        };
        Group::boot(config, Now { mono, wall: Wall::default() }, store)
    }

    fn step(&mut self, node: u16, run: impl FnOnce(&mut Group, &mut Step<'_, (), Message>)) {
        let mut run = Some(run);
        self.step_once(node, &mut |group, cx| {
            if let Some(run) = run.take() {
                run(group, cx);
            }
        });
    }

    fn step_once(&mut self, node: u16, run: &mut dyn FnMut(&mut Group, &mut Step<'_, (), Message>)) {
        let twin = self.nodes.get_mut(&node).unwrap();
        let now = Now { mono: twin.mono, wall: Wall::default() };
        let mut turn = Turn::default();
        run(&mut twin.group, &mut Step::open(now, twin.written, &mut twin.store, &mut twin.random, &mut turn));
        // Applied at once, and not written, so that a restart learns anew what is committed.
        while let Some((index, entry)) = twin.group.next_to_apply() {
            let (term, time_ms) = (entry.term, entry.time_ms);
            twin.group.mark_applied(index, term, time_ms);
        }
        if turn.wrote {
            twin.written.0 += 1;
        }
        // The disk is instant here, so what waits for it leaves too.
        self.queue.extend(turn.sends.into_iter().map(|send| (node, send.to.0, send.message)));
        if turn.wrote {
            let upto = self.nodes[&node].written;
            self.step_once(node, &mut |group, cx| group.synced(cx, upto));
        }
    }

    /// The members that a node goes by.
    pub fn members(&self, node: u16) -> Members {
        self.nodes[&node].group.members()
    }

    fn flush(&mut self) {
        for node in 1..=self.nodes.len() as u16 {
            while self.nodes[&node].group.wake_at().at == Mono(0) {
                self.step(node, |group, cx| group.wake(cx));
            }
        }
    }
}

impl Cluster for Ours {
    fn stand(&mut self, node: u16) {
        // The others stop believing that they heard a leader; the candidate's own timeout ends.
        for other in 1..=self.nodes.len() as u16 {
            let leader = self.nodes[&other].group.leader();
            if let Some(leader) = leader.filter(|leader| leader.0 != other) {
                self.step(other, |group, cx| group.lost(cx, leader));
            }
        }
        let twin = self.nodes.get_mut(&node).unwrap();
        if !twin.group.leads() {
            twin.mono = twin.mono.max(twin.group.wake_at().at);
            self.step(node, |group, cx| group.wake(cx));
        }
    }
    fn propose(&mut self, node: u16, payload: &[u8]) {
        let payload = Payload::Batch(Bytes::copy_from_slice(payload));
        self.step(node, |group, cx| {
            group.propose(cx, payload);
        });
    }
    fn change(&mut self, node: u16, change: &Change) {
        let set = |nodes: &BTreeSet<u16>| nodes.iter().copied().map(NodeId).collect();
        let change = consensus::Change { voters: set(&change.voters), learners: set(&change.learners) };
        self.step(node, |group, cx| {
            group.change_members(cx, change).unwrap();
        });
    }
    fn heartbeat(&mut self, node: u16) {
        let twin = self.nodes.get_mut(&node).unwrap();
        if twin.group.leads() {
            twin.mono = twin.mono.max(twin.group.wake_at().at);
            self.step(node, |group, cx| group.wake(cx));
        }
    }
    fn restart(&mut self, node: u16) {
        let group = self.boot(node, self.nodes[&node].mono, &self.nodes[&node].store);
        self.nodes.get_mut(&node).unwrap().group = group;
    }
    fn deliver(&mut self, cut: &BTreeSet<(u16, u16)>) {
        self.flush();
        while let Some((from, to, message)) = self.queue.pop_front() {
            if !cut.contains(&(from, to)) {
                self.step(to, |group, cx| group.message(cx, NodeId(from), message));
            }
            if self.queue.is_empty() {
                self.flush();
            }
        }
    }
    fn show(&self, node: u16) -> Shown {
        let group = &self.nodes[&node].group;
        let entries = (1..=group.log().last().index).map(|index| group.log().entry(index).unwrap());
        let log = entries.map(|entry| match &entry.payload {
            Payload::Batch(bytes) => (entry.term, bytes.to_vec()),
            Payload::Members(_) => (entry.term, MEMBERS.to_vec()),
            Payload::Nothing | Payload::Tick => (entry.term, vec![]),
        });
        Shown { leads: group.role() == Role::Leader, term: group.term(), log: log.collect(), commit: group.commit() }
    }
}
