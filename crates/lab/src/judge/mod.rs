//! The judges of the node. They stand outside: they look at the nodes between steps, and keep their own record.

pub mod elements;
mod members;
mod mirror;
pub mod pipeline;
mod receipt;
pub mod replicas;

use crate::digest::Digest;
use crate::failure::{Failure, Kind};
use crate::simulator::{Happening, Simulator};
use crate::subject::entry_on_disk;
use mirror::Mirror;
use quorate_core::consensus::{Group, Members};
use quorate_core::guarantee::Position;
use quorate_core::machine::NodeId;
use quorate_core::node::Node;
use quorate_core::store::{View, after_prefix};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

pub use receipt::Claim;

/// A committed entry, as the judge recorded it.
#[derive(Clone, Copy, Debug)]
struct Committed {
    term: u64,
    digest: u64,
    /// The term of the node on which the judge first saw it committed: leaders of later terms must hold it.
    seen_in_term: u64,
    /// When that was, in microseconds.
    at_us: u64,
}

/// What the judge last saw of a group on a node.
#[derive(Clone, Debug, Default)]
struct Seen {
    log: Mirror,
    commit: u64,
    applied: u64,
    durable: u64,
    led_term: u64,
    members: Members,
}

/// The record of one group.
#[derive(Debug, Default)]
struct Record {
    leaders: BTreeMap<u64, NodeId>,
    committed: BTreeMap<u64, Committed>,
    states: BTreeMap<u64, (u64, NodeId)>,
    /// Every entry that ever stood in a log, by index and term: its hash, and the hash of what it carries.
    known: BTreeMap<(u64, u64), (u64, u64)>,
    /// Every entry that ever survived on the disk of a node, by node, index and term.
    held: BTreeSet<(NodeId, u64, u64)>,
    members: members::Record,
}

/// Watches a cluster of nodes.
#[derive(Debug, Default)]
pub struct Judge {
    records: BTreeMap<u16, Record>,
    seen: BTreeMap<(NodeId, u16), Seen>,
    /// The first reply under each idempotency key and command.
    replies: BTreeMap<(bytes::Bytes, u64), receipt::FirstReply>,
    /// Receipts are not judged, to see what else notices.
    pub blind_to_receipts: bool,
    failure: Option<Failure>,
}

/// One of so many applied positions has its state compared.
const STATE_SAMPLE: u64 = 4;

impl Judge {
    /// The first broken promise.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
    /// How many entries of a group the judge saw committed.
    pub fn committed(&self, group: u16) -> u64 {
        self.records.get(&group).and_then(|record| record.committed.keys().next_back().copied()).unwrap_or(0)
    }
    /// Does the judge know an entry to be committed at this index, of this term?
    pub fn is_committed(&self, group: u16, index: u64, term: u64) -> bool {
        self.records.get(&group).and_then(|record| record.committed.get(&index)).is_some_and(|it| it.term == term)
    }
    /// Where and when, in microseconds, an entry was committed first, by the hash of what it carries.
    pub fn places(&self) -> BTreeMap<u64, (Position, u64)> {
        let mut places = BTreeMap::new();
        for (&group, record) in &self.records {
            for (&index, committed) in &record.committed {
                if let Some((_, carried)) = record.known.get(&(index, committed.term)) {
                    places
                        .entry(*carried)
                        .or_insert((Position { group, term: committed.term, index }, committed.at_us));
                }
            }
        }
        places
    }
    /// When the judge first saw an entry committed, in microseconds.
    pub fn committed_at(&self, position: Position) -> Option<u64> {
        let committed = self.records.get(&position.group)?.committed.get(&position.index)?;
        (committed.term == position.term).then_some(committed.at_us)
    }
    /// How many terms of a group had a leader.
    pub fn terms_led(&self, group: u16) -> usize {
        self.records.get(&group).map_or(0, |record| record.leaders.len())
    }
    /// How many memberships of a group its nodes went by.
    pub fn memberships(&self, group: u16) -> usize {
        self.records.get(&group).map_or(0, |record| record.members.known.len())
    }
    /// A broken promise that somebody else noticed. The first one counts.
    pub fn accuse(&mut self, at_us: u64, kind: Kind, detail: String) {
        if self.failure.is_none() {
            self.failure = Some(Failure { kind, at_us, detail });
        }
    }

    /// Looks at what one event did.
    pub fn observe(&mut self, simulator: &Simulator<Node>, happening: Happening) {
        if let Some(violation) = simulator.violations.first() {
            self.accuse(simulator.now_us(), Kind::Law, violation.clone());
        }
        match happening {
            Happening::Stepped(node) | Happening::Synced(node) => {
                self.look_at(simulator, node);
            }
            Happening::Booted(node) => {
                self.seen.retain(|(other, _), _| *other != node);
                self.look_at(simulator, node);
            }
            // A fault may have resumed nodes, which then consumed what had waited.
            Happening::Faulted => {
                for node in simulator.nodes().collect::<Vec<_>>() {
                    self.look_at(simulator, node);
                }
            }
            Happening::Crashed(_) | Happening::Nothing => {}
        }
    }

    fn look_at(&mut self, simulator: &Simulator<Node>, node: NodeId) {
        let Some(machine) = simulator.machine(node) else { return };
        for (id, group) in machine.groups() {
            let mut seen = self.seen.remove(&(node, id)).unwrap_or_default();
            let (commit, applied, led_term) = (seen.commit, seen.applied, seen.led_term);
            seen.commit = group.commit();
            seen.applied = group.applied().at.index;
            if group.leads() {
                seen.led_term = group.term();
            }
            let same_log = seen.log.is_current(group.log());
            let members_may_differ = !same_log || seen.members != group.members();
            if members_may_differ {
                seen.members = group.members();
                self.records.entry(id).or_default().members.see(group);
            }
            if seen.led_term != led_term {
                self.new_leader(simulator, node, id, group);
            }
            if !same_log {
                self.log_changed(simulator, node, id, group, &mut seen.log);
            }
            if seen.durable < group.durable() {
                let disk = simulator.disk(node).survivor();
                let held = &mut self.records.entry(id).or_default().held;
                for index in seen.durable.max(group.log().base().index) + 1..=group.durable() {
                    held.extend(entry_on_disk(&disk, id, index).map(|entry| (node, index, entry.term)));
                }
            }
            seen.durable = group.durable();
            if seen.commit < commit {
                let detail = format!("node {} of group {id} falls from commit {commit} to {}", node.0, seen.commit);
                self.accuse(simulator.now_us(), Kind::CommittedChanged, detail);
            }
            if seen.commit > commit {
                self.newly_committed(simulator, node, id, group, &seen.log, commit);
            }
            if members_may_differ && let Some(detail) = self.records.entry(id).or_default().members.judge(group) {
                self.accuse(simulator.now_us(), Kind::Members, format!("node {} of group {id} {detail}", node.0));
            }
            seen.log.compact(group.log());
            if seen.applied != applied && seen.applied.is_multiple_of(STATE_SAMPLE) {
                self.compare_state(simulator, node, id, group);
            }
            self.seen.insert((node, id), seen);
        }
    }

    fn log_changed(&mut self, simulator: &Simulator<Node>, node: NodeId, id: u16, group: &Group, mirror: &mut Mirror) {
        let log = group.log();
        let record = self.records.entry(id).or_default();
        for index in mirror.follow(log) + 1..=log.last().index {
            let (Some(entry), Some((term, digest))) = (log.entry(index), mirror.entry(index)) else { continue };
            let carried = Digest::of(&entry.payload);
            if record.known.entry((index, term)).or_insert((digest, carried)).0 != digest {
                let detail = format!("node {} of group {id} holds another entry {index} of term {term}", node.0);
                return self.accuse(simulator.now_us(), Kind::LogMatching, detail);
            }
        }
    }

    fn new_leader(&mut self, simulator: &Simulator<Node>, node: NodeId, id: u16, group: &Group) {
        let term = group.term();
        let record = self.records.entry(id).or_default();
        let first = *record.leaders.entry(term).or_insert(node);
        if first != node {
            let detail = format!("nodes {} and {} both lead group {id} in term {term}", first.0, node.0);
            return self.accuse(simulator.now_us(), Kind::TwoLeaders, detail);
        }
        let log = group.log();
        let lacking = record.committed.range(log.base().index + 1..).find(|(index, committed)| {
            committed.seen_in_term < term && log.entry(**index).map(Digest::of) != Some(committed.digest)
        });
        if let Some((index, committed)) = lacking {
            let detail = format!(
                "node {} leads group {id} in term {term} without the entry {index} of term {}, committed by term {}",
                node.0, committed.term, committed.seen_in_term
            );
            return self.accuse(simulator.now_us(), Kind::LeaderLacksCommitted, detail);
        }
        self.compare_logs(simulator, id);
    }

    fn newly_committed(
        &mut self,
        simulator: &Simulator<Node>,
        node: NodeId,
        id: u16,
        group: &Group,
        log: &Mirror,
        from: u64,
    ) {
        let record = self.records.entry(id).or_default();
        for index in from + 1..=group.commit() {
            let Some((term, digest)) = log.entry(index) else {
                if index <= group.log().base().index {
                    // Installed by a snapshot, or appended and compacted in one step.
                    continue;
                }
                let detail = format!("node {} of group {id} commits {index}, which its log does not hold", node.0);
                return self.accuse(simulator.now_us(), Kind::CommittedChanged, detail);
            };
            let new = Committed { term, digest, seen_in_term: group.term(), at_us: simulator.now_us() };
            record.members.commit(index, term);
            let committed = record.committed.entry(index).or_insert(new);
            if committed.digest != digest {
                let detail = format!(
                    "entry {index} of group {id} was committed with term {}, and node {} commits another of term {term}",
                    committed.term, node.0
                );
                return self.accuse(simulator.now_us(), Kind::CommittedChanged, detail);
            }
        }
    }

    fn compare_state(&mut self, simulator: &Simulator<Node>, node: NodeId, id: u16, group: &Group) {
        let digest = state_digest(simulator.disk(node), group);
        let index = group.applied().at.index;
        let (first, other) = *self.records.entry(id).or_default().states.entry(index).or_insert((digest, node));
        if first != digest {
            let detail = format!("nodes {} and {} applied group {id} up to {index} and differ", other.0, node.0);
            self.accuse(simulator.now_us(), Kind::StatesDiffer, detail);
        }
    }

    /// Compares the logs of each two nodes, and the states of those that stand at one index.
    pub fn checkpoint(&mut self, simulator: &Simulator<Node>) {
        let ids: Vec<u16> = self.records.keys().copied().collect();
        for id in ids {
            self.compare_logs(simulator, id);
            for node in simulator.nodes().collect::<Vec<_>>() {
                if let Some(group) = simulator.machine(node).and_then(|machine| machine.group(id)) {
                    self.compare_state(simulator, node, id, group);
                }
            }
        }
    }

    fn compare_logs(&mut self, simulator: &Simulator<Node>, id: u16) {
        let groups: Vec<(NodeId, &Group)> =
            simulator.nodes().filter_map(|node| Some((node, simulator.machine(node)?.group(id)?))).collect();
        for (at, (a, left)) in groups.iter().enumerate() {
            for (b, right) in &groups[at + 1..] {
                if let Some(index) = mismatch(left, right) {
                    let detail = format!(
                        "the logs of nodes {} and {} in group {id} agree at an index and term, and differ at {index} before it",
                        a.0, b.0
                    );
                    self.accuse(simulator.now_us(), Kind::LogMatching, detail);
                }
            }
        }
    }
}

/// Where two logs differ before a place at which they agree.
fn mismatch(left: &Group, right: &Group) -> Option<u64> {
    let (left, right) = (left.log(), right.log());
    let first = left.base().index.max(right.base().index) + 1;
    let last = left.last().index.min(right.last().index);
    let mut agreed = false;
    for index in (first..=last).rev() {
        let (Some(a), Some(b)) = (left.entry(index), right.entry(index)) else { continue };
        agreed |= a.term == b.term;
        if agreed && a != b {
            return Some(index);
        }
    }
    None
}

/// A hash of the replicated state of a group, its keys taken relative to where the group keeps them.
pub fn state_digest(disk: &dyn View, group: &Group) -> u64 {
    let space = group.space();
    let mut digest = Digest::default();
    disk.scan(&space, &after_prefix(&space), &mut |key, value| {
        key[space.len()..].hash(&mut digest);
        value.hash(&mut digest);
        true
    });
    digest.finish()
}
