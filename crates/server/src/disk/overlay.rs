//! The writes that are not in the base yet, in memory and in key order.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Bytes of memory that an entry is taken to need besides its key and its value: its place in the tree and what the
/// allocator adds.
const ENTRY_BYTES: usize = 112;

/// What the overlay knows about a key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// `None` hides the key in older layers.
    pub(super) value: Option<Bytes>,
    /// The key is certainly in no older layer, so a delete needs no tombstone.
    fresh: bool,
}

/// One layer of writes.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    entries: BTreeMap<Box<[u8]>, Entry>,
    bytes: usize,
}

impl Overlay {
    /// `None` when this layer does not know the key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Writes a pair. `fresh` is asked only for a key that this layer does not know: is it in no older layer?
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], fresh: impl FnOnce() -> bool) {
        // A key is looked up before it is copied: overwriting is as common as inserting.
        if let Some(entry) = self.entries.get_mut(key) {
            self.bytes -= entry.value.as_ref().map_or(0, Bytes::len);
            entry.value = Some(Bytes::copy_from_slice(value));
        } else {
            let entry = Entry { value: Some(Bytes::copy_from_slice(value)), fresh: fresh() };
            self.entries.insert(key.into(), entry);
            self.bytes += ENTRY_BYTES + key.len();
        }
        self.bytes += value.len();
    }

    /// Removes a key. `fresh` as for [`Overlay::put`].
    pub(super) fn delete(&mut self, key: &[u8], fresh: impl FnOnce() -> bool) {
        let known = self.entries.get_mut(key);
        match known {
            Some(entry) if entry.fresh => {
                self.bytes -= ENTRY_BYTES + key.len() + entry.value.as_ref().map_or(0, Bytes::len);
                self.entries.remove(key);
            }
            Some(entry) => {
                self.bytes -= entry.value.take().map_or(0, |value| value.len());
            }
            None if fresh() => {}
            None => {
                self.entries.insert(key.into(), Entry { value: None, fresh: false });
                self.bytes += ENTRY_BYTES + key.len();
            }
        }
    }

    /// The entries with `from <= key < until`; `from` must be below `until`.
    pub(super) fn range(&self, from: &[u8], until: &[u8]) -> impl Iterator<Item = (&[u8], &Option<Bytes>)> {
        let range = (Bound::Included(from), Bound::Excluded(until));
        self.entries.range::<[u8], _>(range).map(|(key, entry)| (&**key, &entry.value))
    }

    /// All entries in key order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Option<Bytes>)> {
        self.entries.iter().map(|(key, entry)| (&**key, &entry.value))
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
