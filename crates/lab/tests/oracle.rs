//! The oracle: our consensus room and crate `raft` (TiKV) driven in lock step over the same random schedule.
//!
//! A schedule is a sequence of events: a node asks for votes, a client proposes, a message link is cut or healed, a
//! node restarts. After each event both clusters deliver messages until nothing moves. Then every node of the one must
//! have the same log, the same commit position and the same part and term as its twin. Timeouts are taken out of both:
//! whoever is to stand is told so.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use quorate_core::consensus::{Config, Group, Message, Payload};
use quorate_core::machine::{Mono, NodeId, Now, Step, Turn, Wall};
use quorate_core::mutant::{Mutant, Mutants};
use quorate_core::operation::Role;
use quorate_core::random::Random;
use quorate_core::store::{MemoryStore, Seq};
use raft::eraftpb::{ConfState, EntryType};
use raft::storage::MemStorage;
use raft::{RawNode, StateRole, Storage};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What both sides show after each event.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    leads: bool,
    term: u64,
    /// Terms and payloads; nothing for the entry that opens a leadership.
    log: Vec<(u64, Vec<u8>)>,
    commit: u64,
}

impl Shown {
    /// The oracle's votes carry commit positions, ours do not: away from a leader with a majority it may know more.
    fn agrees(&self, oracle: &Shown, leads_a_majority: bool) -> bool {
        let commit = if leads_a_majority { self.commit == oracle.commit } else { self.commit <= oracle.commit };
        commit && (self.leads, self.term, &self.log) == (oracle.leads, oracle.term, &oracle.log)
    }
}

trait Cluster {
    fn stand(&mut self, node: u16);
    fn propose(&mut self, node: u16, payload: &[u8]);
    fn heartbeat(&mut self, node: u16);
    fn restart(&mut self, node: u16);
    fn deliver(&mut self, cut: &BTreeSet<(u16, u16)>);
    fn show(&self, node: u16) -> Shown;
}

/// Long enough that no timeout of its own ever ends.
const NEVER_MS: u64 = 1 << 40;

struct Ours {
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
    fn new(nodes: u16, mutants: Mutants) -> Ours {
        let members: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
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
            Payload::Nothing | Payload::Tick => (entry.term, vec![]),
        });
        Shown { leads: group.role() == Role::Leader, term: group.term(), log: log.collect(), commit: group.commit() }
    }
}

struct Theirs {
    nodes: BTreeMap<u16, RawNode<MemStorage>>,
    queue: VecDeque<raft::eraftpb::Message>,
}

impl Theirs {
    fn new(nodes: u16) -> Theirs {
        let voters: Vec<u64> = (1..=u64::from(nodes)).collect();
        let storage = || MemStorage::new_with_conf_state(ConfState::from((voters.clone(), vec![])));
        let nodes = (1..=nodes).map(|node| (node, Theirs::boot(node, storage(), 0))).collect();
        Theirs { nodes, queue: VecDeque::new() }
    }

    fn boot(node: u16, storage: MemStorage, applied: u64) -> RawNode<MemStorage> {
        let config = raft::Config {
            id: u64::from(node),
            election_tick: 1 << 30,
            heartbeat_tick: 1,
            pre_vote: true,
            check_quorum: false,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            applied,
            ..Default::default()
        };
        RawNode::new(&config, storage, &slog::Logger::root(slog::Discard, slog::o!())).unwrap()
    }

    fn flush(&mut self, node: u16) {
        let raw = self.nodes.get_mut(&node).unwrap();
        while raw.has_ready() {
            let mut ready = raw.ready();
            self.queue.extend(ready.take_messages());
            let store = raw.store().clone();
            store.wl().append(ready.entries()).unwrap();
            if let Some(hard) = ready.hs() {
                store.wl().set_hardstate(hard.clone());
            }
            self.queue.extend(ready.take_persisted_messages());
            let mut light = raw.advance(ready);
            if let Some(commit) = light.commit_index() {
                store.wl().mut_hard_state().commit = commit;
            }
            self.queue.extend(light.take_messages());
            raw.advance_apply();
        }
    }
}

impl Cluster for Theirs {
    fn stand(&mut self, node: u16) {
        self.nodes.get_mut(&node).unwrap().campaign().unwrap();
        self.flush(node);
    }
    fn propose(&mut self, node: u16, payload: &[u8]) {
        let raw = self.nodes.get_mut(&node).unwrap();
        if raw.raft.state == StateRole::Leader {
            raw.propose(vec![], payload.to_vec()).unwrap();
        }
        self.flush(node);
    }
    fn heartbeat(&mut self, node: u16) {
        let raw = self.nodes.get_mut(&node).unwrap();
        if raw.raft.state == StateRole::Leader {
            raw.ping();
        }
        self.flush(node);
    }
    fn restart(&mut self, node: u16) {
        let raw = self.nodes.remove(&node).unwrap();
        // Our room learns the commit position anew after a restart, from what was applied: here, nothing.
        raw.store().wl().mut_hard_state().commit = raw.store().first_index().unwrap() - 1;
        let raw = Theirs::boot(node, raw.store().clone(), 0);
        self.nodes.insert(node, raw);
    }
    fn deliver(&mut self, cut: &BTreeSet<(u16, u16)>) {
        while let Some(message) = self.queue.pop_front() {
            let (from, to) = (message.from as u16, message.to as u16);
            if !cut.contains(&(from, to)) {
                let _ = self.nodes.get_mut(&to).unwrap().step(message);
                self.flush(to);
            }
        }
    }
    fn show(&self, node: u16) -> Shown {
        let raw = &self.nodes[&node];
        let store = raw.store();
        let (first, last) = (store.first_index().unwrap(), store.last_index().unwrap());
        let entries = if first > last {
            vec![]
        } else {
            let context = raft::GetEntriesContext::empty(false);
            store.entries(first, last + 1, None, context).unwrap()
        };
        let log = entries.iter().map(|entry| {
            assert_eq!(entry.get_entry_type(), EntryType::EntryNormal);
            (entry.term, entry.data.to_vec())
        });
        Shown {
            leads: raw.raft.state == StateRole::Leader,
            term: raw.raft.term,
            log: log.collect(),
            commit: raw.raft.raft_log.committed - (first - 1),
        }
    }
}

/// Runs one schedule on both; tells what happened, or the first difference.
fn lock_step(seed: u64, events: usize, mutants: Mutants) -> Result<Seen, String> {
    let mut random = Random::new(seed);
    let nodes = [3, 5][random.below(2) as usize];
    let (mut ours, mut theirs) = (Ours::new(nodes, mutants), Theirs::new(nodes));
    let mut cut: BTreeSet<(u16, u16)> = BTreeSet::new();
    let mut story = Vec::new();
    let mut seen = Seen::default();
    for event in 0..events {
        let node = 1 + random.below(u64::from(nodes)) as u16;
        let choice = random.below(100);
        let hangs = hangs_on_a_leader(&ours, node, nodes, &cut);
        let mut both = |run: &mut dyn FnMut(&mut dyn Cluster)| {
            run(&mut ours);
            run(&mut theirs);
        };
        match choice {
            // Our leader never grants a pre-vote, the oracle's does unless it checks its quorum by a clock.
            0..18 if hangs => {}
            0..18 => {
                story.push(format!("{node} stands"));
                both(&mut |cluster| cluster.stand(node));
            }
            18..60 => {
                story.push(format!("{node} proposes {event}"));
                both(&mut |cluster| cluster.propose(node, &event.to_be_bytes()));
            }
            60..75 => {
                let other = 1 + random.below(u64::from(nodes)) as u16;
                story.push(format!("cut {node} to {other}"));
                if other != node {
                    cut.extend([(node, other), (other, node)]);
                }
            }
            75..82 => {
                story.push("heal".to_string());
                cut.clear();
            }
            82..90 => {
                story.push(format!("{node} restarts"));
                both(&mut |cluster| cluster.restart(node));
            }
            _ => story.push("heartbeats".to_string()),
        }
        both(&mut |cluster| cluster.deliver(&cut));
        // Heartbeats bring both to the same rest: what one side notices at once, the other notices then.
        for _ in 0..3 {
            for node in 1..=nodes {
                both(&mut |cluster| cluster.heartbeat(node));
                both(&mut |cluster| cluster.deliver(&cut));
            }
        }
        for node in 1..=nodes {
            let (ours, theirs) = (ours.show(node), theirs.show(node));
            let linked = |other| !cut.contains(&(node, other)) && !cut.contains(&(other, node));
            let majority = (1..=nodes).filter(|&other| linked(other)).count() * 2 > usize::from(nodes);
            if !ours.agrees(&theirs, theirs.leads && majority) {
                return Err(format!(
                    "seed {seed}, node {node}\n  ours   {ours:?}\n  theirs {theirs:?}\n  {}",
                    story.join(", ")
                ));
            }
            seen.leaders += u64::from(ours.leads);
            seen.committed = seen.committed.max(ours.commit);
            seen.terms = seen.terms.max(ours.term);
        }
    }
    Ok(seen)
}

/// Would the candidate have a majority only together with nodes that lead?
fn hangs_on_a_leader(ours: &Ours, node: u16, nodes: u16, cut: &BTreeSet<(u16, u16)>) -> bool {
    let linked = |&other: &u16| !cut.contains(&(node, other)) && !cut.contains(&(other, node));
    let follows = |&other: &u16| !ours.show(other).leads;
    let enough = |voters: usize| voters * 2 > usize::from(nodes);
    enough((1..=nodes).filter(linked).count()) && !enough((1..=nodes).filter(linked).filter(follows).count())
}

/// That the schedules were not empty.
#[derive(Debug, Default)]
struct Seen {
    leaders: u64,
    committed: u64,
    terms: u64,
}

#[test]
fn our_room_and_the_oracle_agree_after_every_event() {
    let mut total = Seen::default();
    for seed in 0..400 {
        let seen = lock_step(seed, 60, Mutants::none()).unwrap_or_else(|difference| panic!("{difference}"));
        total.leaders += seen.leaders;
        total.committed += seen.committed;
        total.terms += seen.terms;
    }
    assert!(total.leaders > 10_000 && total.committed > 4_000 && total.terms > 1_500, "{total:?}");
}

#[test]
fn the_oracle_notices_a_broken_rule() {
    for mutant in [Mutant::ElectionRestrictionOff, Mutant::FollowerDoesNotTruncate, Mutant::MajorityIsHalf] {
        let broken =
            |seed| std::panic::catch_unwind(|| lock_step(seed, 60, Mutants::only(mutant)).is_err()).unwrap_or(true);
        assert!((0..400).any(broken), "{mutant:?} survived");
    }
}
