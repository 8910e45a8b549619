//! What this node keeps on disk for others: hints, and states that it took in their place.
//!
//! | key | value |
//! |---|---|
//! | `[3, kind, target u16, table u16, range u16, key…]` | as the kind says |

use super::record::Place;
use super::replica::Spot;
use crate::limits;
use crate::machine::NodeId;
use crate::operation::TableId;
use crate::placement::Range;
use crate::store::{View, after_prefix, drawer};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

const PREFIX: usize = 8;
/// What is kept for one node and given to it at the same time.
const AT_ONCE: usize = 32;

/// How much of a kind is kept, by the node that it is for. None of them is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    kind: u8,
    counts: BTreeMap<NodeId, u64>,
}

impl Kept {
    /// Counts what is on disk.
    pub(super) fn boot(view: &dyn View, kind: u8) -> Kept {
        let mut kept = Kept { kind, counts: BTreeMap::new() };
        let prefix = [drawer::LEADERLESS, kind];
        view.scan(&prefix, &after_prefix(&prefix), &mut |key, _| {
            if let Some((target, _)) = spot_of(key) {
                kept.add(target);
            }
            true
        });
        kept
    }
    /// How much there is.
    pub(super) fn total(&self) -> u64 {
        self.counts.values().sum()
    }
    /// For whom something is kept, and how much.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, u64)> + '_ {
        self.counts.iter().map(|(&target, &count)| (target, count))
    }
    /// One more is on disk.
    pub(super) fn add(&mut self, target: NodeId) {
        *self.counts.entry(target).or_default() += 1;
    }
    /// One is gone from disk.
    pub(super) fn remove(&mut self, target: NodeId) {
        if let Some(count) = self.counts.get_mut(&target) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&target);
            }
        }
    }
    /// The key on disk for what is kept of a key.
    pub(super) fn key(&self, target: NodeId, spot: &Spot) -> Vec<u8> {
        let Place { table, range } = spot.place;
        let mut out = Vec::with_capacity(PREFIX + spot.key.len());
        out.extend_from_slice(&[drawer::LEADERLESS, self.kind]);
        out.extend_from_slice(&target.0.to_be_bytes());
        out.extend_from_slice(&table.0.to_be_bytes());
        out.extend_from_slice(&range.0.to_be_bytes());
        out.extend_from_slice(&spot.key);
        out
    }
    /// The first of what is kept, for each node that something is kept for.
    pub(super) fn first(&self, view: &dyn View) -> Vec<(NodeId, Spot, Bytes)> {
        let mut all = Vec::new();
        for &target in self.counts.keys() {
            let mut prefix = alloc::vec![drawer::LEADERLESS, self.kind];
            prefix.extend_from_slice(&target.0.to_be_bytes());
            let until = all.len() + AT_ONCE;
            view.scan(&prefix, &after_prefix(&prefix), &mut |key, value| {
                all.extend(spot_of(key).map(|(target, spot)| (target, spot, Bytes::copy_from_slice(value))));
                all.len() < until
            });
        }
        all
    }
    /// Keys of tables that were removed, until there are as many as one step deletes. They are counted as gone.
    pub(super) fn take_removed(&mut self, view: &dyn View, removed: &dyn Fn(TableId) -> bool, keys: &mut Vec<Bytes>) {
        let prefix = [drawer::LEADERLESS, self.kind];
        view.scan(&prefix, &after_prefix(&prefix), &mut |key, _| {
            if keys.len() < limits::DELETE_PER_STEP
                && let Some((target, _)) = spot_of(key).filter(|(_, spot)| removed(spot.place.table))
            {
                keys.push(Bytes::copy_from_slice(key));
                self.remove(target);
            }
            keys.len() < limits::DELETE_PER_STEP
        });
    }
}

fn spot_of(key: &[u8]) -> Option<(NodeId, Spot)> {
    let (head, key) = key.split_at_checked(PREFIX)?;
    let number = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let place = Place { table: TableId(number(4)), range: Range(number(6)) };
    Some((NodeId(number(2)), Spot { place, key: Bytes::copy_from_slice(key) }))
}
