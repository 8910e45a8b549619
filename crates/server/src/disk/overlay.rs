//! The writes that are not in the base yet, in memory and in key order.

use super::key::Key;
use super::run::{Runs, is_log_key};
use bytes::Bytes;
use std::cmp::Ordering;
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
    /// Memory of the entries, without the logs.
    bytes: usize,
    /// The entries of logs, as far as they follow each other. No key is both here and in the map.
    logs: Runs,
    /// Keys of logs that are in the map, as they did not fit into a run.
    strays: usize,
}

impl Overlay {
    /// `None` when this layer does not know the key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        if is_log_key(key)
            && let Some(value) = self.logs.get(key)
        {
            return Some(value);
        }
        self.entries.get(&Key::new(key)).map(|entry| &entry.value)
    }

    /// Writes a pair, of which the journal will have a copy in `segment` or later. Only for a key that this layer does
    /// not know one of two is asked whether the key is in no older layer: `enter` when it becomes one that is flushed,
    /// `is_above` when it is of a log.
    pub(super) fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        segment: u64,
        is_above: impl FnOnce() -> bool,
        enter: impl FnOnce() -> bool,
    ) {
        if is_log_key(key) {
            let is_stray = self.strays > 0 && self.entries.contains_key(&Key::new(key));
            if self.logs.put(key, value, segment, || !is_stray && is_above()) {
                return;
            }
        }
        self.put_in_map(key, value, enter);
    }

    fn put_in_map(&mut self, key: &[u8], value: &[u8], fresh: impl FnOnce() -> bool) {
        self.bytes += value.len();
        match self.entries.entry(Key::new(key)) {
            Place::Occupied(mut place) => {
                let old = place.get_mut().value.take().unwrap_or_default();
                self.bytes -= old.len();
                place.get_mut().value = Some(overwrite(old, value));
            }
            Place::Vacant(place) => {
                self.bytes += ENTRY_BYTES + key.len();
                self.strays += usize::from(is_log_key(key));
                place.insert(Entry { value: Some(Bytes::copy_from_slice(value)), fresh: fresh() });
            }
        }
    }

    /// Removes a key. `fresh` is asked only for a key that this layer does not know: is it in no older layer?
    pub(super) fn delete(&mut self, key: &[u8], fresh: impl FnOnce() -> bool) {
        if is_log_key(key) && self.logs.delete(key) {
            return;
        }
        match self.entries.entry(Key::new(key)) {
            Place::Occupied(mut place) => {
                self.bytes -= place.get_mut().value.take().map_or(0, |value| value.len());
                if place.get().fresh {
                    self.bytes -= ENTRY_BYTES + key.len();
                    self.strays -= usize::from(is_log_key(key));
                    place.remove();
                }
            }
            Place::Vacant(place) => {
                if !fresh() {
                    self.bytes += ENTRY_BYTES + key.len();
                    self.strays += usize::from(is_log_key(key));
                    place.insert(Entry { value: None, fresh: false });
                }
            }
        }
    }

    /// The entries with `from <= key < until`; `from` must be below `until`.
    pub(super) fn range<'a>(
        &'a self,
        from: &'a [u8],
        until: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Option<Bytes>)> {
        let range = (Bound::Included(Key::new(from)), Bound::Excluded(Key::new(until)));
        let entries = self.entries.range(range).map(|(key, entry)| (key.bytes(), &entry.value));
        let logs = self.logs.range(from, Some(until)).map(|pair| (pair.key.as_slice(), &pair.value));
        merge(logs, entries)
    }

    /// All entries in key order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Option<Bytes>)> {
        let entries = self.entries.iter().map(|(key, entry)| (key.bytes(), &entry.value));
        let logs = self.logs.range(&[], None).map(|pair| (pair.key.as_slice(), &pair.value));
        merge(logs, entries)
    }

    /// Takes the entries away that are to be flushed, as a layer of their own, and keeps those of logs for which the
    /// journal needs no segment before `keep_from`, at most `keep_bytes` of them. `moved` hears the keys of logs that
    /// are not kept.
    pub(super) fn take_to_flush(&mut self, keep_from: u64, keep_bytes: usize, mut moved: impl FnMut(&[u8])) -> Overlay {
        for run in self.logs.take_old(keep_from, keep_bytes) {
            for pair in run.pairs() {
                moved(&pair.key);
                self.put_in_map(&pair.key, pair.value.as_deref().unwrap_or_default(), || false);
            }
        }
        let logs = std::mem::take(&mut self.logs);
        std::mem::replace(self, Overlay { logs, ..Overlay::default() })
    }

    /// The first segment of the journal that an entry of a log needs, as it will not be flushed.
    pub(super) fn oldest_segment(&self) -> Option<u64> {
        self.logs.oldest_segment()
    }

    /// Bytes of memory that a flush would free, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory for entries of logs, about.
    pub(super) fn log_bytes(&self) -> usize {
        self.logs.bytes()
    }
}

/// A copy of a value, in the place of an old one if that has the same size and nobody else holds it.
fn overwrite(old: Bytes, value: &[u8]) -> Bytes {
    if old.len() == value.len()
        && let Ok(mut place) = old.try_into_mut()
    {
        place.copy_from_slice(value);
        return place.freeze();
    }
    Bytes::copy_from_slice(value)
}

/// Two sequences in key order, without a common key, as one.
fn merge<'a>(
    logs: impl Iterator<Item = (&'a [u8], &'a Option<Bytes>)>,
    entries: impl Iterator<Item = (&'a [u8], &'a Option<Bytes>)>,
) -> impl Iterator<Item = (&'a [u8], &'a Option<Bytes>)> {
    let (mut logs, mut entries) = (logs.peekable(), entries.peekable());
    std::iter::from_fn(move || match (logs.peek(), entries.peek()) {
        (Some((log, _)), Some((entry, _))) if log.cmp(entry) == Ordering::Less => logs.next(),
        (Some(_), None) => logs.next(),
        (Some(_) | None, _) => entries.next(),
    })
}
