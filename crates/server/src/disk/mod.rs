//! The data directory: identity, lock, journal, overlay and base.
//!
//! Writes go to two places: to the *overlay*, an ordered map in memory, where reads see them at once, and to the
//! *journal*, where all writes of a step are one frame. Syncing the journal makes the steps so far durable. When the
//! overlay is large it is frozen, and a thread moves it into the *base*, an LSM tree; then the segments of the journal
//! that led to it are used again. A read asks the active overlay, the frozen one, and the base, in this order. What was
//! flushed last stays in memory for reads until the next flush.
//!
//! Entries of logs are not moved into the base while the segments of the journal that hold them are recent: most are
//! deleted before long. Those segments are kept, and replay finds the entries there.
//!
//! Promises, and the tests that hold them:
//!
//! - **D1** A step is all or nothing, and what recovery finds is the state after some step (`tests/disk_crash.rs`).
//! - **D2** Every step that was reported as synced is found again, or the directory is refused as damaged
//!   (`tests/disk_crash.rs`, `tests/disk_kill.rs`).
//! - **D3** Reads see exactly the writes so far, whatever was frozen, flushed, and reopened meanwhile (`tests/disk_model.rs`).
//! - **D4** After a failed write or sync nothing is reported as synced any more (`tests.rs` here, `tests/disk_full.rs`).
//! - **D5** A directory that is locked, foreign, newer or damaged is refused (`tests/disk_directory.rs`).
//!
//! One limit cannot be lifted by a single disk: when the very last frames rot *after* they were synced, and nothing was
//! written behind them, and the node was not closed in order, then this looks like a torn end, and they are cut off.
//!
//! Layout: `IDENTITY`, `LOCK`, `journal/<id>.journal`, `base/`. Decision record 0002 tells why.

mod base;
mod directory;
mod error;
mod flush;
mod frame;
mod journal;
mod key;
mod medium;
mod metrics;
mod overlay;
mod prepare;
mod recovery;
mod run;
mod sync;
#[cfg(test)]
mod tests;
mod tops;

pub use directory::{DataDir, FORMAT, Identity};
pub use error::{DiskError, OpenError};
pub use metrics::DiskMetrics;
pub use recovery::{Cut, Recovery};

use base::{Base, OWN_DRAWER};
use bytes::Bytes;
use error::Poison;
use flush::Flusher;
use frame::Operation;
use journal::Journal;
use medium::{Files, Medium};
use overlay::Overlay;
use quorate_core::store::{Seq, Store, View};
use std::cell::Cell;
use std::cmp::Ordering;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tops::Tops;

/// Called from another thread when a sync or a flush has ended. It should only wake the event loop.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Segments of the journal that may wait for a flush, however small they are.
const SEALED_SEGMENTS: usize = 16;

/// Sizes of a disk, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The overlay is flushed when it needs more memory than this, its entries of logs not counted. Under a flush that
    /// cannot keep up it may grow to twice this size before the event loop has to wait; so both overlays together need at
    /// most four times this. A flush leaves entries of logs in memory, up to half of this.
    pub overlay_bytes: usize,
    /// The overlay is also flushed when the journal needs more disk space than this; so the journal needs at most
    /// twice this and six segments.
    pub journal_bytes: u64,
    /// Size of a segment of the journal.
    pub segment_bytes: u64,
    /// Size of the first segment after a start. It is written before the node is ready.
    pub first_segment_bytes: u64,
    /// Size of the cache for the base.
    pub cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        const MIB: u64 = 1024 * 1024;
        Options {
            overlay_bytes: 64 * MIB as usize,
            journal_bytes: 256 * MIB,
            segment_bytes: 64 * MIB,
            first_segment_bytes: 4 * MIB,
            cache_bytes: 64 * MIB,
        }
    }
}

/// An overlay on its way into the base.
struct Frozen {
    overlay: Arc<Overlay>,
    /// Its last write.
    last: Seq,
    /// The first segment of the journal that is still needed when it is flushed.
    boundary: u64,
}

/// The durable state of a node. One thread owns it.
///
/// The writes of a step become one frame with [`Disk::end_turn`]. [`Disk::flush_frames`], once per batch of steps,
/// hands the frames to the operating system, and [`Disk::request_sync`] or [`Disk::sync_now`] makes them durable.
pub struct Disk {
    active: Overlay,
    frozen: Option<Frozen>,
    /// What was flushed last, while nothing is frozen. The base says the same about its keys.
    flushed: Option<Arc<Overlay>>,
    /// The last write that was frozen.
    frozen_upto: Seq,
    tops: Tops,
    base: Base,
    journal: Journal,
    flusher: Flusher,
    poison: Poison,
    options: Options,
    recovery: Recovery,
    stalls: metrics::Stalls,
    freezes: u64,
    base_path: PathBuf,
    directory: DataDir,
}

impl Disk {
    /// Opens the disk in a data directory: the base, and the journal replayed over it.
    pub fn open(directory: DataDir, options: Options, wake: Wake) -> Result<Disk, OpenError> {
        Disk::open_with(directory, options, wake, Arc::new(Files))
    }

    fn open_with(directory: DataDir, options: Options, wake: Wake, medium: Arc<dyn Medium>) -> Result<Disk, OpenError> {
        let journal_path = directory.path().join("journal");
        let base_path = directory.path().join("base");
        let make = std::fs::create_dir_all(&journal_path).and_then(|()| directory::sync_directory(directory.path()));
        make.map_err(|error| OpenError::io(&journal_path, "creating", error))?;
        let base = Base::open(&base_path, options.cache_bytes)?;
        let unreadable = |error| OpenError::damaged(&base_path, 0, format!("the base cannot be read ({error})"));
        let known = recovery::Known { base: base.last().map_err(unreadable)?, closed: directory.synced() };
        let (mut active, tops) = (Overlay::default(), Tops::default());
        let mut failed = None;
        let remains = recovery::replay(&journal_path, known, |segment, operation| {
            if let Err(error) = apply(&mut active, segment, (&tops, &base), operation) {
                failed.get_or_insert(error);
            }
        })?;
        failed.map_or(Ok(()), |error| Err(unreadable(error)))?;
        let recovery = remains.recovery.clone();
        if let Some(cut) = &recovery.cut {
            tracing::warn!(
                "the journal had a torn end of writes that were not acknowledged: {} was cut at byte {}",
                cut.file.display(),
                cut.offset
            );
        }
        let poison = Poison::default();
        let journal = Journal::start(&journal_path, &options, remains, medium, poison.clone(), wake.clone())?;
        let flusher = Flusher::start(base.clone(), &base_path, poison.clone(), wake)
            .map_err(|error| OpenError::io(&base_path, "starting a thread for", error))?;
        Ok(Disk {
            active,
            frozen: None,
            flushed: None,
            frozen_upto: known.base,
            tops,
            base,
            journal,
            flusher,
            poison,
            options,
            recovery,
            stalls: metrics::Stalls::default(),
            freezes: 0,
            base_path,
            directory,
        })
    }

    /// What opening found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }
    /// The data directory.
    pub fn directory(&self) -> &DataDir {
        &self.directory
    }
    /// The last step that wrote. The next one that writes must be one more.
    pub fn written(&self) -> Seq {
        self.journal.last()
    }
    /// The last step that is known to survive power loss.
    pub fn synced(&self) -> Seq {
        self.journal.synced()
    }

    /// Ends a step. When it wrote, its writes become the frame `seq`, which must be [`Disk::written`] and one.
    pub fn end_turn(&mut self, seq: Seq, wrote: bool) -> Result<(), DiskError> {
        self.poison.check()?;
        if !wrote {
            assert!(!self.journal.is_open(), "a step that wrote must say so");
            return Ok(());
        }
        assert_eq!(seq.0, self.written().0 + 1, "steps that wrote are numbered without gaps");
        self.journal.end(seq)?;
        self.freeze_if_due()
    }

    /// Hands the frames so far to the operating system, with one write.
    pub fn flush_frames(&mut self) -> Result<(), DiskError> {
        self.journal.flush()
    }

    /// Asks the sync thread for a sync that covers `upto`, after flushing the frames. At most one sync is in progress;
    /// it may cover more than was asked for. The end of each is told through [`Wake`] and [`Disk::poll_synced`]; when
    /// `upto` is synced already, there is none.
    pub fn request_sync(&mut self, upto: Seq) -> Result<(), DiskError> {
        self.journal.request_sync(upto)
    }

    /// The last step that is known to survive power loss, as of now. Also takes note of finished flushes.
    pub fn poll_synced(&mut self) -> Result<Seq, DiskError> {
        self.release_flushed();
        self.journal.poll_synced()
    }

    /// Syncs all steps so far on this thread, and returns the last of them.
    pub fn sync_now(&mut self) -> Result<Seq, DiskError> {
        self.journal.sync_now()
    }

    /// Counters and sizes.
    pub fn metrics(&self) -> DiskMetrics {
        metrics::collect(self)
    }

    /// Syncs, stops the threads, and marks the directory as closed in order.
    pub fn close(mut self) -> Result<(), DiskError> {
        let last = self.sync_now()?;
        let Disk { journal, flusher, base, poison, directory, .. } = self;
        // The threads end before the mark is set.
        drop((journal, flusher, base));
        poison.check()?;
        let path = directory.path().to_path_buf();
        directory.close(last).map_err(|error| poison.set("closing", &path, &error))
    }

    /// Flushes the active overlay to the base, whatever its size, and waits for it.
    pub fn flush_overlay(&mut self) -> Result<(), DiskError> {
        self.wait_for_flush()?;
        self.freeze()?;
        self.wait_for_flush()
    }

    /// Is the overlay or its journal larger than so many times its limit?
    fn is_due(&self, times: usize) -> bool {
        self.active.bytes() > times * self.options.overlay_bytes
            || self.active.log_bytes() > times * self.options.overlay_bytes
            || self.journal.live_bytes() > times as u64 * self.options.journal_bytes
            || self.journal.sealed_segments() > times * SEALED_SEGMENTS
    }

    fn freeze_if_due(&mut self) -> Result<(), DiskError> {
        if !self.is_due(1) {
            return Ok(());
        }
        self.release_flushed();
        if self.frozen.is_some() {
            if !self.is_due(2) {
                return Ok(());
            }
            let started = Instant::now();
            self.wait_for_flush()?;
            self.stalls.add(since_us(started));
        }
        if self.is_due(1) { self.freeze() } else { Ok(()) }
    }

    fn freeze(&mut self) -> Result<(), DiskError> {
        // A flush is known by its last write. Without a new one there is nothing that needs a flush.
        if self.journal.last() == self.frozen_upto {
            return Ok(());
        }
        // A rotation syncs everything before it, which the flusher relies on.
        let boundary = self.journal.rotate()?;
        // What logs keep must leave room in the journal, or the next flush would be due at once.
        let keep_from = self.journal.newest(self.options.journal_bytes / 2, SEALED_SEGMENTS / 2);
        let (tops, base) = (&self.tops, &self.base);
        let mut failed = None;
        let overlay = self.active.take_to_flush(keep_from, self.options.overlay_bytes / 2, |key| {
            if let Err(error) = tops.enter(key, base) {
                failed.get_or_insert(error);
            }
        });
        self.must(failed.map_or(Ok(()), Err));
        // As of now, since every delete so far is synced: an entry that is deleted later comes back if that is lost.
        let boundary = self.active.oldest_segment().map_or(boundary, |segment| segment.min(boundary));
        let (overlay, last) = (Arc::new(overlay), self.journal.last());
        if let Some(flushed) = self.flushed.take() {
            self.flusher.drop_later(flushed);
        }
        self.tops.freeze();
        self.flusher.flush(overlay.clone(), last);
        self.frozen = Some(Frozen { overlay, last, boundary });
        self.frozen_upto = last;
        self.freezes += 1;
        Ok(())
    }

    fn wait_for_flush(&mut self) -> Result<(), DiskError> {
        if let Some(frozen) = &self.frozen {
            self.flusher.wait(frozen.last);
        }
        self.poison.check()?;
        self.release_flushed();
        Ok(())
    }

    fn release_flushed(&mut self) {
        if let Some(frozen) = self.frozen.take_if(|frozen| self.flusher.is_flushed(frozen.last)) {
            self.journal.free_below(frozen.boundary);
            self.flushed = Some(frozen.overlay);
        }
    }

    /// A store that cannot read must stop the node.
    fn must<T>(&self, result: Result<T, fjall::Error>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => panic!("{}", self.poison.set("reading from the base in", &self.base_path, &error)),
        }
    }

    /// The value of a key that the active overlay does not know.
    fn get_older(&self, key: &[u8]) -> Option<Bytes> {
        if key.first().is_none_or(|drawer| *drawer == OWN_DRAWER) || self.must(self.tops.is_above(key, &self.base)) {
            return None;
        }
        let in_memory = self.frozen.as_ref().map(|frozen| &frozen.overlay).or(self.flushed.as_ref());
        if let Some(value) = in_memory.and_then(|overlay| overlay.get(key)) {
            return value.clone();
        }
        self.must(self.base.get(key))
    }
}

/// Applies a write whose copy in the journal is in `segment` or later.
fn apply(
    active: &mut Overlay,
    segment: u64,
    (tops, base): (&Tops, &Base),
    operation: Operation<'_>,
) -> Result<(), fjall::Error> {
    let failed = Cell::new(None);
    let known = |answer: Result<bool, fjall::Error>| {
        answer.unwrap_or_else(|error| {
            failed.set(Some(error));
            false
        })
    };
    let is_above = |key| known(tops.is_above(key, base));
    match operation {
        Operation::Put(key, value) => {
            active.put(key, value, segment, || is_above(key), || known(tops.enter(key, base)));
        }
        Operation::Delete(key) => active.delete(key, || is_above(key)),
    }
    failed.take().map_or(Ok(()), Err)
}

impl View for Disk {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        match self.active.get(key) {
            Some(value) => value.clone(),
            None => self.get_older(key),
        }
    }

    fn look(&self, key: &[u8], visit: &mut dyn FnMut(&[u8])) {
        match self.active.get(key) {
            Some(Some(value)) => visit(value),
            Some(None) => {}
            None => {
                if let Some(value) = self.get_older(key) {
                    visit(&value);
                }
            }
        }
    }

    fn scan(&self, from: &[u8], until: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        let from = from.max(&[OWN_DRAWER + 1]);
        if from >= until {
            return;
        }
        let mut active = self.active.range(from, until).peekable();
        let only_active = self.must(self.tops.is_range_above(from, until, &self.base));
        let frozen = self.frozen.iter().filter(|_| !only_active);
        let mut frozen = frozen.flat_map(|frozen| frozen.overlay.range(from, until)).peekable();
        let mut base = (!only_active).then(|| self.base.range(from, until));
        let mut next_in_base = || {
            let guard = base.as_mut()?.next()?;
            Some(self.must(guard.into_inner()))
        };
        let mut base_pair = next_in_base();
        loop {
            let heads = [active.peek().map(|pair| pair.0), frozen.peek().map(|pair| pair.0)];
            let least = heads.into_iter().flatten().min();
            let in_base = base_pair.as_ref().map(|pair| &*pair.0);
            match least.map(|least| in_base.map_or(Ordering::Greater, |in_base| in_base.cmp(least))) {
                // The base comes first, or is all there is.
                None | Some(Ordering::Less) => {
                    let Some((key, value)) = base_pair else { return };
                    if !visit(&key, &value) {
                        return;
                    }
                    base_pair = next_in_base();
                    continue;
                }
                // The base has the same key, with an older value.
                Some(Ordering::Equal) => base_pair = next_in_base(),
                Some(Ordering::Greater) => {}
            }
            let older = frozen.next_if(|pair| Some(pair.0) == least);
            let newer = active.next_if(|pair| Some(pair.0) == least);
            if let Some((key, Some(value))) = newer.or(older)
                && !visit(key, value)
            {
                return;
            }
        }
    }
}

impl Store for Disk {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        assert!(key.first().is_some_and(|drawer| *drawer != OWN_DRAWER), "every key is in a drawer");
        self.journal.put(key, value);
        let result =
            apply(&mut self.active, self.journal.segment(), (&self.tops, &self.base), Operation::Put(key, value));
        self.must(result);
    }

    fn delete(&mut self, key: &[u8]) {
        assert!(key.first().is_some_and(|drawer| *drawer != OWN_DRAWER), "every key is in a drawer");
        self.journal.delete(key);
        let result = apply(&mut self.active, self.journal.segment(), (&self.tops, &self.base), Operation::Delete(key));
        self.must(result);
    }

    fn as_view(&self) -> &dyn View {
        self
    }
}

fn since_us(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
