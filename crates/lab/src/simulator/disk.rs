//! The disk of one host: what reads see, and what would survive if the power went now.
//!
//! Each step's writes are one batch that survives whole or not at all, as the checksums of the real journal guarantee.
//! The disk holds the newest state and, for each batch that is not yet synced, how to undo it.

use crate::digest::Digest;
use bytes::Bytes;
use quorate_core::store::{Seq, Store, View};
use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher;
use std::ops::Bound;

type Undo = Vec<(Bytes, Option<Bytes>)>;

/// A simulated disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pairs: BTreeMap<Bytes, Bytes>,
    unsynced: VecDeque<(Seq, Undo)>,
    written: Seq,
    synced: Seq,
}

impl Disk {
    /// The last write of this life.
    pub fn written(&self) -> Seq {
        self.written
    }
    /// The last write of this life that survives power loss.
    pub fn synced(&self) -> Seq {
        self.synced
    }
    /// How many batches would be lost with the power.
    pub fn unsynced_batches(&self) -> usize {
        self.unsynced.len()
    }
    /// Opens the store for one step. What is written goes into the digest.
    pub fn record<'a>(&'a mut self, digest: &'a mut Digest) -> Recorder<'a> {
        Recorder { pairs: &mut self.pairs, undo: Vec::new(), digest, refused: None, law: None }
    }
    /// Closes a step that wrote: its batch has the next number.
    pub fn close(&mut self, undo: Undo) -> Seq {
        self.written = Seq(self.written.0 + 1);
        self.unsynced.push_back((self.written, undo));
        self.written
    }
    /// Everything up to here survives power loss from now on.
    pub fn sync(&mut self, upto: Seq) {
        self.synced = self.synced.max(upto.min(self.written));
        while self.unsynced.front().is_some_and(|(seq, _)| *seq <= upto) {
            self.unsynced.pop_front();
        }
    }
    /// The power goes: of the batches that are not synced, the first `keep` survive by luck. Numbering starts anew.
    pub fn crash(&mut self, keep: usize) {
        while self.unsynced.len() > keep {
            let (_, undo) = self.unsynced.pop_back().expect("longer than keep");
            for (key, before) in undo.into_iter().rev() {
                match before {
                    Some(value) => self.pairs.insert(key, value),
                    None => self.pairs.remove(&key),
                };
            }
        }
        self.unsynced.clear();
        self.written = Seq(0);
        self.synced = Seq(0);
    }
    /// What would survive if the power went now.
    pub fn survivor(&self) -> Survivor<'_> {
        Survivor(self)
    }
}

impl View for Disk {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.pairs.get(key).cloned()
    }
    fn scan(&self, from: &[u8], until: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        scan(&self.pairs, from, until, visit);
    }
}

fn scan(pairs: &BTreeMap<Bytes, Bytes>, from: &[u8], until: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
    if from >= until {
        return;
    }
    for (key, value) in pairs.range::<[u8], _>((Bound::Included(from), Bound::Excluded(until))) {
        if !visit(key, value) {
            return;
        }
    }
}

/// The part of a disk that would survive if the power went now.
pub struct Survivor<'a>(&'a Disk);

impl Survivor<'_> {
    /// The values that unsynced batches changed, as they were before.
    fn before(&self) -> BTreeMap<Bytes, Option<Bytes>> {
        let mut before = BTreeMap::new();
        for (key, value) in self.0.unsynced.iter().flat_map(|(_, undo)| undo) {
            before.entry(key.clone()).or_insert_with(|| value.clone());
        }
        before
    }
}

impl View for Survivor<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        let changed = self.0.unsynced.iter().flat_map(|(_, undo)| undo).find(|(changed, _)| changed == key);
        match changed {
            Some((_, before)) => before.clone(),
            None => self.0.get(key),
        }
    }
    fn scan(&self, from: &[u8], until: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        let mut pairs = BTreeMap::new();
        scan(&self.0.pairs, from, until, &mut |key, value| {
            pairs.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            true
        });
        for (key, before) in self.before() {
            match before {
                Some(value) => pairs.insert(key, value),
                None => pairs.remove(&key),
            };
        }
        scan(&pairs, from, until, visit);
    }
}

/// A rule about keys: why this one must not be written, if so.
pub type KeyLaw = fn(&[u8]) -> Option<String>;

/// The store that one step sees: it reads its own writes, and remembers how to undo them.
pub struct Recorder<'a> {
    pairs: &'a mut BTreeMap<Bytes, Bytes>,
    undo: Undo,
    digest: &'a mut Digest,
    law: Option<KeyLaw>,
    refused: Option<String>,
}

impl Recorder<'_> {
    /// Judges each key that is written.
    pub fn under(mut self, law: Option<KeyLaw>) -> Self {
        self.law = law;
        self
    }
    /// Ends the step: how to undo it, and the first key that broke the rule.
    pub fn finish(self) -> (Undo, Option<String>) {
        (self.undo, self.refused)
    }
    fn judge(&mut self, key: &[u8]) {
        if let Some(law) = self.law
            && self.refused.is_none()
        {
            self.refused = law(key);
        }
    }
}

impl View for Recorder<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.pairs.get(key).cloned()
    }
    fn scan(&self, from: &[u8], until: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        scan(self.pairs, from, until, visit);
    }
}

impl Store for Recorder<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.judge(key);
        self.digest.write_usize(key.len());
        self.digest.write(key);
        self.digest.write_usize(value.len());
        self.digest.write(value);
        let key = Bytes::copy_from_slice(key);
        let before = self.pairs.insert(key.clone(), Bytes::copy_from_slice(value));
        self.undo.push((key, before));
    }
    fn delete(&mut self, key: &[u8]) {
        self.judge(key);
        self.digest.write_usize(key.len());
        self.digest.write(key);
        self.digest.write_usize(usize::MAX);
        if let Some((key, before)) = self.pairs.remove_entry(key) {
            self.undo.push((key, Some(before)));
        }
    }
    fn as_view(&self) -> &dyn View {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &mut Disk, pairs: &[(&str, Option<&str>)]) -> Seq {
        let mut digest = Digest::default();
        let mut store = disk.record(&mut digest);
        for (key, value) in pairs {
            match value {
                Some(value) => store.put(key.as_bytes(), value.as_bytes()),
                None => store.delete(key.as_bytes()),
            }
        }
        let (undo, _) = store.finish();
        disk.close(undo)
    }

    fn all(view: &dyn View) -> String {
        let mut text = String::new();
        view.scan(b"", b"~", &mut |key, value| {
            text += &format!("{}={} ", String::from_utf8_lossy(key), String::from_utf8_lossy(value));
            true
        });
        text
    }

    #[test]
    fn a_crash_takes_whole_batches_from_the_end_of_the_unsynced_tail() {
        let mut disk = Disk::default();
        let first = write(&mut disk, &[("a", Some("1")), ("b", Some("1"))]);
        disk.sync(first);
        write(&mut disk, &[("a", Some("2")), ("b", None), ("c", Some("2")), ("a", Some("2b"))]);
        write(&mut disk, &[("b", Some("3")), ("c", None)]);
        assert_eq!(all(&disk), "a=2b b=3 ");
        assert_eq!(all(&disk.survivor()), "a=1 b=1 ");
        assert_eq!(disk.survivor().get(b"c"), None);
        assert_eq!(disk.survivor().get(b"b").as_deref(), Some(&b"1"[..]));

        let mut torn = disk.clone();
        torn.crash(1);
        assert_eq!(all(&torn), "a=2b c=2 ");
        assert_eq!(all(&torn.survivor()), "a=2b c=2 ");
        disk.crash(0);
        assert_eq!(all(&disk), "a=1 b=1 ");
        assert_eq!((disk.written(), disk.synced()), (Seq(0), Seq(0)));
    }
}
