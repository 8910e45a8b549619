//! The base: what was flushed from the overlay, in an LSM tree (fjall).
//!
//! Only bulk ingestion writes to it, one overlay at a time: sorted tables are written beside fjall's own journal and
//! memtable and become part of the tree, all at once and durably, when one small file is replaced. So the base always
//! holds the state after exactly one step, and says after which.

use super::error::OpenError;
use super::overlay::Overlay;
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use quorate_core::store::Seq;
use std::path::Path;

/// Keys that begin with this belong to the disk itself; no drawer has it.
pub(super) const OWN_DRAWER: u8 = 0;
/// Where the base says which write it ends with.
const LAST_KEY: &[u8] = &[OWN_DRAWER, b'l'];
/// Values up to this size are copied out of the block cache, so that they do not keep a whole block in memory.
const COPY_BYTES: usize = 4096;

#[derive(Clone)]
pub(super) struct Base {
    // Declared first, dropped first: the database waits for its threads.
    pairs: Keyspace,
    _database: Database,
}

impl Base {
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Base, OpenError> {
        let open = || {
            let database = Database::builder(path).cache_size(cache_bytes).worker_threads(1).open()?;
            let pairs = database.keyspace("pairs", KeyspaceCreateOptions::default)?;
            Ok(Base { pairs, _database: database })
        };
        open().map_err(|error: fjall::Error| match error {
            fjall::Error::Io(error) => OpenError::io(path, "opening the base in", error),
            error => OpenError::damaged(path, 0, format!("the base cannot be opened ({error})")),
        })
    }

    /// The last write that it holds.
    pub(super) fn last(&self) -> Result<Seq, fjall::Error> {
        let stored = self.pairs.get(LAST_KEY)?;
        Ok(stored.and_then(|bytes| Some(Seq(u64::from_le_bytes(bytes.as_ref().try_into().ok()?)))).unwrap_or_default())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, fjall::Error> {
        Ok(self.pairs.get(key)?.map(|value| {
            if value.len() <= COPY_BYTES { Bytes::copy_from_slice(&value) } else { Bytes::from_owner(value) }
        }))
    }

    /// The pairs with `from <= key < until`.
    pub(super) fn range(&self, from: &[u8], until: &[u8]) -> fjall::Iter {
        self.pairs.range(from..until)
    }

    /// The greatest key with a prefix.
    pub(super) fn greatest(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, fjall::Error> {
        match self.pairs.prefix(prefix).next_back() {
            None => Ok(None),
            Some(guard) => Ok(Some(guard.key()?.to_vec())),
        }
    }

    /// Takes in an overlay that ends with `last`. Durable when it returns.
    pub(super) fn ingest(&self, overlay: &Overlay, last: Seq) -> Result<(), fjall::Error> {
        let mut ingestion = self.pairs.start_ingestion()?;
        // The disk's own drawer comes before all others.
        ingestion.write(LAST_KEY, last.0.to_le_bytes())?;
        for (key, value) in overlay.iter() {
            match value {
                Some(value) => ingestion.write(key, &**value)?,
                None => ingestion.write_tombstone(key)?,
            }
        }
        ingestion.finish()
    }

    /// Bytes of its files.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.pairs.disk_space()
    }
}
