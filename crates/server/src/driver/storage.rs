//! What the event loop needs of a disk.

use crate::metrics::Metrics;
use quorate_core::store::{MemoryStore, Seq, Store, View};
use std::fmt;

/// The disk has failed. The node stops for good: what was told to it since the last sync may or may not survive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageFailed(pub String);

impl fmt::Display for StorageFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StorageFailed {}

/// A store that survives. Writes are visible at once, reach the operating system with [`Storage::write_out`], and
/// survive power loss once a sync has ended.
pub trait Storage: Store {
    /// The last turn that wrote.
    fn written(&self) -> Seq;
    /// Closes the writes since the last call into one atomic turn, which has this number.
    fn end_turn(&mut self, seq: Seq) -> Result<(), StorageFailed>;
    /// Hands all closed turns to the operating system, with one write.
    fn write_out(&mut self) -> Result<(), StorageFailed>;
    /// Begins a sync that covers `upto`, and returns at once. Its end wakes the event loop.
    fn request_sync(&mut self, upto: Seq) -> Result<(), StorageFailed>;
    /// The last turn that is known to survive power loss.
    fn poll_synced(&mut self) -> Result<Seq, StorageFailed>;
    /// Syncs everything written out, and returns the last turn when it has ended.
    fn sync_now(&mut self) -> Result<Seq, StorageFailed>;
    /// Adds its counters.
    fn count(&self, metrics: &mut Metrics);
    /// Syncs and ends in order.
    fn close(self) -> Result<(), StorageFailed>
    where
        Self: Sized;
}

/// A disk in memory for tests: a sync is over as soon as it is asked for, unless it is held back.
#[derive(Debug, Default)]
pub struct MemoryDisk {
    store: MemoryStore,
    written: Seq,
    synced: Seq,
    /// While true, syncs do not end.
    pub holds: bool,
    /// While true, everything fails.
    pub fails: bool,
    syncs: u64,
}

impl MemoryDisk {
    /// Its syncs do not end while `holds`, and everything fails while `fails`.
    pub fn with(holds: bool, fails: bool) -> MemoryDisk {
        MemoryDisk { holds, fails, ..MemoryDisk::default() }
    }

    fn check(&self) -> Result<(), StorageFailed> {
        if self.fails { Err(StorageFailed("the disk was told to fail".to_string())) } else { Ok(()) }
    }
}

impl View for MemoryDisk {
    fn get(&self, key: &[u8]) -> Option<bytes::Bytes> {
        self.store.get(key)
    }
    fn scan(&self, from: &[u8], until: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        self.store.scan(from, until, visit);
    }
}

impl Store for MemoryDisk {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.store.put(key, value);
    }
    fn delete(&mut self, key: &[u8]) {
        self.store.delete(key);
    }
    fn as_view(&self) -> &dyn View {
        self
    }
}

impl Storage for MemoryDisk {
    fn written(&self) -> Seq {
        self.written
    }
    fn end_turn(&mut self, seq: Seq) -> Result<(), StorageFailed> {
        assert_eq!(seq.0, self.written.0 + 1, "turns that wrote are numbered without gaps");
        self.written = seq;
        self.check()
    }
    fn write_out(&mut self) -> Result<(), StorageFailed> {
        self.check()
    }
    fn request_sync(&mut self, upto: Seq) -> Result<(), StorageFailed> {
        self.check()?;
        if !self.holds {
            self.synced = self.synced.max(upto);
            self.syncs += 1;
        }
        Ok(())
    }
    fn poll_synced(&mut self) -> Result<Seq, StorageFailed> {
        self.check()?;
        Ok(self.synced)
    }
    fn sync_now(&mut self) -> Result<Seq, StorageFailed> {
        self.check()?;
        self.synced = self.written;
        self.syncs += 1;
        Ok(self.synced)
    }
    fn count(&self, metrics: &mut Metrics) {
        metrics.syncs = self.syncs;
    }
    fn close(self) -> Result<(), StorageFailed> {
        self.check()
    }
}
