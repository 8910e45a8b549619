//! Crate `raft`.

use super::{Change, Cluster, MEMBERS, Shown};
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState, Entry, EntryType,
};
use raft::storage::MemStorage;
use raft::{RawNode, StateRole, Storage};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub struct Theirs {
    nodes: BTreeMap<u16, RawNode<MemStorage>>,
    /// How far each has applied changes of members. They are applied once, also when a restart delivers them anew.
    changed: BTreeMap<u16, u64>,
    /// Changes that were proposed. The context of an entry is the number of its change; that which ends one has none.
    proposed: Vec<ConfChangeV2>,
    queue: VecDeque<raft::eraftpb::Message>,
}

impl Theirs {
    pub fn new(nodes: u16, voters: u16) -> Theirs {
        let voters: Vec<u64> = (1..=u64::from(voters)).collect();
        let storage = || MemStorage::new_with_conf_state(ConfState::from((voters.clone(), vec![])));
        let nodes = (1..=nodes).map(|node| (node, Theirs::boot(node, storage(), 0))).collect();
        Theirs { nodes, changed: BTreeMap::new(), proposed: Vec::new(), queue: VecDeque::new() }
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
            let mut committed = ready.take_committed_entries();
            let store = raw.store().clone();
            store.wl().append(ready.entries()).unwrap();
            if let Some(hard) = ready.hs() {
                store.wl().set_hardstate(hard.clone());
            }
            self.queue.extend(ready.take_persisted_messages());
            let mut light = raw.advance_append(ready);
            if let Some(commit) = light.commit_index() {
                store.wl().mut_hard_state().commit = commit;
            }
            self.queue.extend(light.take_messages());
            committed.extend(light.take_committed_entries());
            apply_changes(raw, self.changed.entry(node).or_default(), &self.proposed, &committed);
            raw.advance_apply();
        }
    }
}

/// Members change there when the entry is applied, here when it is appended.
fn apply_changes(raw: &mut RawNode<MemStorage>, changed: &mut u64, proposed: &[ConfChangeV2], committed: &[Entry]) {
    for entry in committed {
        if entry.get_entry_type() == EntryType::EntryConfChangeV2 && entry.index > *changed {
            let change = entry.context.first().map(|number| proposed[usize::from(*number)].clone()).unwrap_or_default();
            let state = raw.apply_conf_change(&change).unwrap();
            raw.store().wl().set_conf_state(state);
            *changed = entry.index;
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
    fn change(&mut self, node: u16, change: &Change) {
        let state = self.nodes[&node].raft.prs().conf().to_conf_state();
        let has = |nodes: &[u64], node: u16| nodes.contains(&u64::from(node));
        let mut singles = Vec::new();
        for other in 1..=self.nodes.len() as u16 {
            let (votes, learns) = (has(&state.voters, other), has(&state.learners, other));
            let kind = match (change.voters.contains(&other), change.learners.contains(&other)) {
                (true, _) if !votes => ConfChangeType::AddNode,
                (false, true) if !learns => ConfChangeType::AddLearnerNode,
                (false, false) if votes || learns => ConfChangeType::RemoveNode,
                _ => continue,
            };
            let mut single = ConfChangeSingle::default();
            single.set_change_type(kind);
            single.node_id = u64::from(other);
            singles.push(single);
        }
        let mut change = ConfChangeV2::default();
        change.set_transition(ConfChangeTransition::Implicit);
        change.set_changes(singles.into());
        let number = u8::try_from(self.proposed.len()).unwrap();
        self.proposed.push(change.clone());
        self.nodes.get_mut(&node).unwrap().propose_conf_change(vec![number], change).unwrap();
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
        let log = entries.iter().map(|entry| match entry.get_entry_type() {
            EntryType::EntryConfChangeV2 => (entry.term, MEMBERS.to_vec()),
            EntryType::EntryNormal => (entry.term, entry.data.to_vec()),
            EntryType::EntryConfChange => panic!("all changes are of the second kind"),
        });
        Shown {
            leads: raw.raft.state == StateRole::Leader,
            term: raw.raft.term,
            log: log.collect(),
            commit: raw.raft.raft_log.committed - (first - 1),
        }
    }
}
