//! The writes that are not in the base yet, in memory and in key order.

use super::key::Key;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::ops::Bound;

/// Bytes of memory that an entry is taken to need besides its key and its value: its place in the tree, where nodes are
/// two thirds full, and what the allocator adds.
const ENTRY_BYTES: usize = 144;

/// What the overlay knows about a key.
#[derive(Clone, Debug)]
struct Entry {
    /// `None` hides the key in older layers.
    value: Option<Bytes>,
    /// The key is certainly in no older layer, so a delete needs no tombstone.
    fresh: bool,
}

/// One layer of writes.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    entries: BTreeMap<Key, Entry>,
    bytes: usize,
}

impl Overlay {
    /// `None` when this layer does not know the key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.entries.get(&Key::new(key)).map(|entry| &entry.value)
    }

    /// Writes a pair. `fresh` is asked only for a key that this layer does not know: is it in no older layer?
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], fresh: impl FnOnce() -> bool) {
        self.bytes += value.len();
        let copy = Some(Bytes::copy_from_slice(value));
        match self.entries.entry(Key::new(key)) {
            Place::Occupied(mut place) => {
                let old = std::mem::replace(&mut place.get_mut().value, copy);
                self.bytes -= old.map_or(0, |value| value.len());
            }
            Place::Vacant(place) => {
                self.bytes += ENTRY_BYTES + key.len();
                place.insert(Entry { value: copy, fresh: fresh() });
            }
        }
    }

    /// Removes a key. `fresh` as for [`Overlay::put`].
    pub(super) fn delete(&mut self, key: &[u8], fresh: impl FnOnce() -> bool) {
        match self.entries.entry(Key::new(key)) {
            Place::Occupied(mut place) => {
                self.bytes -= place.get_mut().value.take().map_or(0, |value| value.len());
                if place.get().fresh {
                    self.bytes -= ENTRY_BYTES + key.len();
                    place.remove();
                }
            }
            Place::Vacant(place) => {
                if !fresh() {
                    self.bytes += ENTRY_BYTES + key.len();
                    place.insert(Entry { value: None, fresh: false });
                }
            }
        }
    }

    /// The entries with `from <= key < until`; `from` must be below `until`.
    pub(super) fn range(&self, from: &[u8], until: &[u8]) -> impl Iterator<Item = (&[u8], &Option<Bytes>)> {
        let range = (Bound::Included(Key::new(from)), Bound::Excluded(Key::new(until)));
        self.entries.range(range).map(|(key, entry)| (key.bytes(), &entry.value))
    }

    /// All entries in key order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Option<Bytes>)> {
        self.entries.iter().map(|(key, entry)| (key.bytes(), &entry.value))
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
