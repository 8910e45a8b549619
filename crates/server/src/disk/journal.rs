//! The journal: the writes of each step as one frame, in segments, synced together.

use super::error::{DiskError, OpenError, Poison};
use super::frame;
use super::medium::Medium;
use super::prepare::{self, Fill, Preparer, Segment};
use super::recovery::Remains;
use super::sync::Syncer;
use super::{Options, Wake};
use quorate_core::store::Seq;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Frames are handed to the operating system at the latest when this many bytes wait.
const BUFFER_BYTES: usize = 1024 * 1024;
/// A buffer that grew beyond this for one large step is given back.
const BUFFER_KEEP_BYTES: usize = 4 * 1024 * 1024;

/// Where a segment lies.
pub(super) fn segment_path(journal: &Path, id: u64) -> PathBuf {
    journal.join(format!("{id:016x}.journal"))
}

/// A segment that takes no more frames but may still be needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    pub(super) id: u64,
    /// Bytes on disk.
    pub(super) bytes: u64,
    /// Whether it may serve again under a new name.
    pub(super) recyclable: bool,
}

/// Counters of the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes: u64,
    pub(super) frames: u64,
    pub(super) writes: u64,
    pub(super) rotations: u64,
    pub(super) unprepared: u64,
}

pub(super) struct Journal {
    path: PathBuf,
    segment_bytes: u64,
    medium: Arc<dyn Medium>,
    poison: Poison,
    syncer: Syncer,
    preparer: Preparer,
    active: Segment,
    position: u64,
    sealed: VecDeque<Sealed>,
    next_id: u64,
    asked: bool,
    buffer: Vec<u8>,
    /// Where the frame of the step in progress begins in the buffer.
    open: Option<usize>,
    last: Seq,
    /// As the loop last heard.
    synced: Seq,
    counters: Counters,
}

impl Journal {
    /// Goes on behind what was recovered, in a new segment.
    pub(super) fn start(
        path: &Path,
        options: &Options,
        remains: Remains,
        medium: Arc<dyn Medium>,
        poison: Poison,
        wake: Wake,
    ) -> Result<Journal, OpenError> {
        let failed = |error| OpenError::io(path, "preparing the journal in", error);
        let (last, id) = (remains.recovery.last, remains.next_id);
        let active = prepare::create(path, id, options.first_segment_bytes, Fill::Zeros).map_err(failed)?;
        let syncer = Syncer::start(active.file.clone(), last, path, medium.clone(), poison.clone(), wake);
        Ok(Journal {
            path: path.to_path_buf(),
            segment_bytes: options.segment_bytes,
            medium,
            poison,
            syncer: syncer.map_err(failed)?,
            preparer: Preparer::start(path).map_err(failed)?,
            position: frame::SEGMENT_HEADER as u64,
            active,
            sealed: remains.sealed,
            next_id: id + 1,
            asked: false,
            buffer: Vec::new(),
            open: None,
            last,
            synced: last,
            counters: Counters::default(),
        })
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.begin();
        frame::put(&mut self.buffer, key, value);
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.begin();
        frame::delete(&mut self.buffer, key);
    }

    /// Opens the frame of a step, if it is not open.
    pub(super) fn begin(&mut self) {
        if self.open.is_none() {
            self.open = Some(frame::begin(&mut self.buffer));
        }
    }

    /// True when writes wait for the end of their step.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Closes the frame of a step.
    pub(super) fn end(&mut self, seq: Seq) -> Result<(), DiskError> {
        self.begin();
        let mut start = self.open.take().expect("a frame was begun");
        let end = frame::padded(self.buffer.len()) as u64;
        if self.position + end > self.active.capacity && self.position + start as u64 > frame::SEGMENT_HEADER as u64 {
            // The frame does not fit: it becomes the first of the next segment, whose seed it needs.
            let step = self.buffer.split_off(start);
            self.flush()?;
            self.rotate()?;
            self.buffer = step;
            start = 0;
        }
        if !frame::finish(&mut self.buffer, start, self.active.seed, seq, self.synced) {
            return Err(self.poison.set("writing a step to", &self.path, &"it wrote 4 GiB or more"));
        }
        self.counters.frames += 1;
        self.last = seq;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands all closed frames to the operating system, with one write.
    pub(super) fn flush(&mut self) -> Result<(), DiskError> {
        self.poison.check()?;
        assert!(self.open.is_none(), "frames are flushed between steps");
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.medium
            .write_all_at(&self.active.file, &self.buffer, self.position)
            .map_err(|error| self.poison.set("writing to", &segment_path(&self.path, self.active.id), &error))?;
        self.position += self.buffer.len() as u64;
        self.counters.bytes += self.buffer.len() as u64;
        self.counters.writes += 1;
        self.buffer.clear();
        if self.buffer.capacity() > BUFFER_KEEP_BYTES {
            self.buffer = Vec::new();
        }
        self.syncer.appended(self.last);
        if !self.asked && self.position * 4 > self.active.capacity {
            self.asked = true;
            self.preparer.prepare(self.next_id, self.segment_bytes.min(self.active.capacity * 4));
            self.next_id += 1;
        }
        Ok(())
    }

    pub(super) fn request_sync(&mut self, upto: Seq) -> Result<(), DiskError> {
        self.flush()?;
        self.syncer.request(upto);
        Ok(())
    }

    pub(super) fn sync_now(&mut self) -> Result<Seq, DiskError> {
        self.flush()?;
        self.synced = self.syncer.sync_here()?;
        Ok(self.synced)
    }

    /// The last write known to be synced.
    pub(super) fn poll_synced(&mut self) -> Result<Seq, DiskError> {
        self.poison.check()?;
        self.synced = self.syncer.synced();
        Ok(self.synced)
    }

    /// Syncs the active segment and goes on in another. So every segment but the last with frames is synced as a whole,
    /// and whatever is wrong in it is damage. Returns the id of the new segment.
    pub(super) fn rotate(&mut self) -> Result<u64, DiskError> {
        self.sync_now()?;
        self.counters.rotations += 1;
        let next = self.next_segment()?;
        self.syncer.switch(next.file.clone());
        let (id, bytes) = (self.active.id, self.position.max(self.active.capacity));
        self.sealed.push_back(Sealed { id, bytes, recyclable: true });
        self.active = next;
        self.position = frame::SEGMENT_HEADER as u64;
        self.asked = false;
        Ok(self.active.id)
    }

    fn next_segment(&mut self) -> Result<Segment, DiskError> {
        if let Some(segment) = self.prepared() {
            return Ok(segment);
        }
        self.counters.unprepared += 1;
        let id = self.next_id;
        self.next_id += 1;
        let bytes = self.segment_bytes.min(self.active.capacity * 4);
        let make = || prepare::largest(bytes, |bytes| prepare::create(&self.path, id, bytes, Fill::Reserve));
        match make() {
            Ok(segment) => Ok(segment),
            Err(error) if prepare::is_lack_of_space(&error) => {
                // The segment that is being prepared may have the space, or give it back.
                self.preparer.wait();
                self.prepared().map_or_else(make, Ok)
            }
            Err(error) => Err(error),
        }
        .map_err(|error| self.poison.set("starting a segment of", &self.path, &error))
    }

    /// The segment that was prepared, if it is ready.
    fn prepared(&self) -> Option<Segment> {
        match self.preparer.take() {
            Some(Ok(segment)) if segment.id > self.active.id => return Some(segment),
            // It came too late, when another was in use already.
            Some(Ok(late)) => self.preparer.free(late.id, Some(late.capacity)),
            Some(Err(error)) => tracing::warn!("the next segment of the journal could not be prepared: {error}"),
            None => {}
        }
        None
    }

    /// Gives back the segments below `boundary`.
    pub(super) fn free_below(&mut self, boundary: u64) {
        let count = self.sealed.partition_point(|sealed| sealed.id < boundary);
        for sealed in self.sealed.drain(..count) {
            self.preparer.free(sealed.id, sealed.recyclable.then_some(sealed.bytes));
        }
    }

    /// The segment that takes frames.
    pub(super) fn segment(&self) -> u64 {
        self.active.id
    }

    /// The first of the newest segments that have together at most so many bytes, and are at most so many, without the
    /// active one.
    pub(super) fn newest(&self, bytes: u64, count: usize) -> u64 {
        let mut total = 0;
        let fits = self.sealed.iter().rev().take(count).take_while(|sealed| {
            total += sealed.bytes;
            total <= bytes
        });
        fits.last().map_or(self.active.id, |sealed| sealed.id)
    }

    /// Bytes in segments that are still needed.
    pub(super) fn live_bytes(&self) -> u64 {
        self.sealed.iter().map(|sealed| sealed.bytes).sum::<u64>() + self.position + self.buffer.len() as u64
    }

    /// Segments that are still needed, without the active one.
    pub(super) fn sealed_segments(&self) -> usize {
        self.sealed.len()
    }

    pub(super) fn last(&self) -> Seq {
        self.last
    }

    pub(super) fn synced(&self) -> Seq {
        self.synced
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn sync_times(&self) -> super::sync::SyncTimes {
        self.syncer.times()
    }
}
