//! Durable state as the core sees it: a view to read, a store to write, drawers to keep rooms apart.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Position of a step's writes in the node's order of writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

/// The reading side. Infallible: a store that cannot read must crash the node.
pub trait View {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Option<Bytes>;
    /// Shows the value of a key where it lies, if there is one: what is needed of it need not be kept.
    fn look(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) {
        if let Some(value) = self.get(key) {
            visit(&value);
        }
    }
    /// Visits the pairs with `from <= key < until` in key order until `visit` returns false.
    fn scan(&self, from: &[u8], until: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool);
}

/// The writing side. Writes are visible to reads at once; they survive power loss once synced.
pub trait Store: View {
    /// Writes a pair.
    fn put(&mut self, key: &[u8], value: &[u8]);
    /// Removes a pair, if it is there.
    fn delete(&mut self, key: &[u8]);
    /// The same store for reading.
    fn as_view(&self) -> &dyn View;
}

/// First byte of every key: which room owns it.
pub mod drawer {
    /// The consensus room: hard state, log, positions.
    pub const CONSENSUS: u8 = 1;
    /// Replicated state: cells, idempotency records, expiry index.
    pub const STATE: u8 = 2;
    /// The leaderless room: contexts of ranges, cells, hints.
    pub const LEADERLESS: u8 = 3;
    /// The node: which life it has, and the catalogue that it was told.
    pub const NODE: u8 = 4;
}

/// The first key after all keys that start with `prefix`. The prefix must not consist of 0xFF bytes only.
pub fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xFF {
            end.push(last + 1);
            return end;
        }
    }
    panic!("a prefix of 0xFF bytes has no end");
}

/// A store in memory, for tests and for the lab.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore(pub BTreeMap<Bytes, Bytes>);

impl View for MemoryStore {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).cloned()
    }
    fn scan(&self, from: &[u8], until: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        if from >= until {
            return;
        }
        for (key, value) in
            self.0.range::<[u8], _>((core::ops::Bound::Included(from), core::ops::Bound::Excluded(until)))
        {
            if !visit(key, value) {
                return;
            }
        }
    }
}

impl Store for MemoryStore {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    }
    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
    fn as_view(&self) -> &dyn View {
        self
    }
}
