//! Hints: a write that a replica did not confirm is owed to it. What is kept is the name of the key and for whom; what is delivered is the
//! state of that moment, so that an old hint never brings an old value.
//!
//! | key | value |
//! |---|---|
//! | `[3, 3, target u16, table u16, range u16, key…]` | the epoch of the table, u64 |
//!
//! Hints are bounded in number, and delivered a few at a time. One whose table moved is delivered only if its target still holds the key: a
//! node that no longer does would keep what nobody repairs.

use super::message::{Body, Message, Round as RoundId, Target};
use super::record::Place;
use super::replica::Spot;
use super::{Cx, Leaderless};
use crate::limits;
use crate::machine::NodeId;
use crate::mutant::Mutant;
use crate::operation::TableId;
use crate::placement::Range;
use crate::store::{View, after_prefix, drawer};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

pub(super) const HINT: u8 = 3;
const PREFIX: usize = 8;
/// Hints for one node that are delivered at the same time.
const AT_ONCE: usize = 32;
/// Hints are looked at this often, in milliseconds.
pub(super) const EVERY_MS: u64 = 1_000;

fn hint_key(target: NodeId, spot: &Spot) -> Vec<u8> {
    key_of(HINT, target, spot)
}

/// The key on disk for something that is kept of a key for another node.
pub(super) fn key_of(kind: u8, target: NodeId, spot: &Spot) -> Vec<u8> {
    let Place { table, range } = spot.place;
    let mut out = Vec::with_capacity(PREFIX + spot.key.len());
    out.extend_from_slice(&[drawer::LEADERLESS, kind]);
    out.extend_from_slice(&target.0.to_be_bytes());
    out.extend_from_slice(&table.0.to_be_bytes());
    out.extend_from_slice(&range.0.to_be_bytes());
    out.extend_from_slice(&spot.key);
    out
}

pub(super) fn spot_of(key: &[u8]) -> Option<(NodeId, Spot)> {
    let (head, key) = key.split_at_checked(PREFIX)?;
    let number = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let place = Place { table: TableId(number(4)), range: Range(number(6)) };
    Some((NodeId(number(2)), Spot { place, key: Bytes::copy_from_slice(key) }))
}

/// How many keys of a kind there are.
pub(super) fn count_of(view: &dyn View, kind: u8) -> u64 {
    let prefix = [drawer::LEADERLESS, kind];
    let mut count = 0;
    view.scan(&prefix, &after_prefix(&prefix), &mut |_, _| {
        count += 1;
        true
    });
    count
}

/// How many hints there are on disk, by the node that is owed them.
pub(super) fn count(view: &dyn View) -> BTreeMap<NodeId, u64> {
    let prefix = [drawer::LEADERLESS, HINT];
    let mut count = BTreeMap::new();
    view.scan(&prefix, &after_prefix(&prefix), &mut |key, _| {
        if let Some((target, _)) = spot_of(key) {
            *count.entry(target).or_default() += 1;
        }
        true
    });
    count
}

/// Some of what is kept for others of tables that were removed.
pub(super) fn of_removed(view: &dyn View, kind: u8, removed: &dyn Fn(TableId) -> bool, keys: &mut Vec<Bytes>) {
    let prefix = [drawer::LEADERLESS, kind];
    view.scan(&prefix, &after_prefix(&prefix), &mut |key, _| {
        if keys.len() < limits::DELETE_PER_STEP && spot_of(key).is_some_and(|(_, spot)| removed(spot.place.table)) {
            keys.push(Bytes::copy_from_slice(key));
        }
        keys.len() < limits::DELETE_PER_STEP
    });
}

impl Leaderless {
    /// A replica did not confirm a write: it is owed to it.
    pub(super) fn owe(&mut self, cx: &mut Cx<'_>, target: NodeId, spot: &Spot, epoch: u64) {
        if !self.config.hints {
            return;
        }
        let key = hint_key(target, spot);
        // What is on its way is older than this.
        self.delivering.retain(|_, (to, on_its_way)| *to != target || on_its_way != spot);
        if cx.get(&key).is_none() {
            if self.progress.hints >= limits::HINTS {
                self.progress.hints_dropped += 1;
                return;
            }
            self.progress.hints += 1;
            *self.debt.entry(target).or_default() += 1;
        }
        cx.put(&key, &epoch.to_be_bytes());
    }

    /// Delivers some hints to each node that is owed something, if it is time.
    pub(super) fn deliver_hints(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        if now < self.hints_at {
            return;
        }
        self.hints_at = now.after_ms(EVERY_MS);
        self.giving.clear();
        self.give_back(cx);
        self.delivering.clear();
        if self.progress.hints == 0 {
            return;
        }
        for target in self.owed(cx) {
            self.deliver_to(cx, target);
        }
    }

    fn owed(&self, cx: &Cx<'_>) -> Vec<NodeId> {
        let mut owed = Vec::new();
        let mut from = alloc::vec![drawer::LEADERLESS, HINT];
        let until = after_prefix(&from);
        loop {
            let mut found = None;
            cx.view().scan(&from, &until, &mut |key, _| {
                found = spot_of(key).map(|(target, _)| target);
                false
            });
            let Some(target) = found else { return owed };
            owed.push(target);
            from.truncate(2);
            from.extend_from_slice(&(target.0 + 1).to_be_bytes());
        }
    }

    fn deliver_to(&mut self, cx: &mut Cx<'_>, target: NodeId) {
        let mut prefix = alloc::vec![drawer::LEADERLESS, HINT];
        prefix.extend_from_slice(&target.0.to_be_bytes());
        let mut some: Vec<(Spot, u64)> = Vec::new();
        cx.view().scan(&prefix, &after_prefix(&prefix), &mut |key, value| {
            let epoch = value.try_into().map_or(0, u64::from_be_bytes);
            some.extend(spot_of(key).map(|(_, spot)| (spot, epoch)));
            some.len() < AT_ONCE
        });
        for (spot, epoch) in some {
            let table = self.tables.get(&spot.place.table);
            let holds = table.is_some_and(|table| table.replicas(&spot.key).contains(&target));
            let ours = table.is_some_and(|table| table.replicas(&spot.key).contains(&self.config.node));
            let replayed = self.config.mutants.has(Mutant::HintReplayed);
            let Some(now) = table.map(|table| table.epoch).filter(|_| ours && (holds || replayed)) else {
                self.paid(cx, target, &spot);
                continue;
            };
            let epoch = if replayed { epoch } else { now };
            let state = self.state(cx, &spot);
            self.next_round += 1;
            let number = self.next_round;
            let target_key = Target { table: spot.place.table, epoch, key: spot.key.clone() };
            self.delivering.insert(number, (target, spot));
            let round = RoundId { incarnation: self.config.incarnation, number };
            cx.send(target, Message { round, body: Body::Mend { target: target_key, state } });
        }
    }

    /// The target has it, or nobody is owed it any more.
    fn paid(&mut self, cx: &mut Cx<'_>, target: NodeId, spot: &Spot) {
        let key = hint_key(target, spot);
        if cx.get(&key).is_some() {
            cx.delete(&key);
            self.progress.hints = self.progress.hints.saturating_sub(1);
            if let Some(hints) = self.debt.get_mut(&target) {
                *hints = hints.saturating_sub(1);
            }
        }
    }

    /// A hint arrived. False if the number is none of a hint.
    pub(super) fn hint_done(&mut self, cx: &mut Cx<'_>, from: NodeId, number: u64, body: &Body) -> bool {
        let Some((target, spot)) = self.delivering.get(&number).cloned() else { return false };
        if target == from && matches!(body, Body::Done { durable: true }) {
            self.delivering.remove(&number);
            self.paid(cx, target, &spot);
            self.progress.hints_delivered += 1;
        }
        true
    }
}
