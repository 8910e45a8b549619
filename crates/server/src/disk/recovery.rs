//! Reading the journal back after a start.

use super::directory::sync_directory;
use super::error::OpenError;
use super::frame::{self, Operation};
use super::journal::{Sealed, segment_path};
use super::prepare::SPARE;
use quorate_core::store::Seq;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A torn end of the journal that was cut off: writes that had not been reported as synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: PathBuf,
    /// Where it ends now, in bytes.
    pub offset: u64,
}

/// What opening a disk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The last write that is there. The next is one more.
    pub last: Seq,
    /// Frames replayed from the journal.
    pub frames: u64,
    /// The torn end, if there was one.
    pub cut: Option<Cut>,
}

/// What is left of the journal, for going on behind it.
pub(super) struct Remains {
    pub(super) recovery: Recovery,
    pub(super) sealed: VecDeque<Sealed>,
    pub(super) next_id: u64,
}

/// What is known about the end of the journal from elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The last write in the base.
    pub(super) base: Seq,
    /// The last write when the directory was last closed in order.
    pub(super) closed: Seq,
}

/// Replays the journal in order into `apply`, which hears the segment of each write, cuts a torn end off, and makes the rest durable. Changes no file when it
/// refuses.
///
/// The journal may begin with writes that the base already holds, because segments are kept for the logs in them, and a
/// node can stop after a flush and before others are freed. That is harmless: the segments hold *every* write since their first, in order, so the last write of
/// each key in them is replayed last, and the final state is the same as over an older base. In between, reads would see
/// a mixture, but nobody reads before replay has ended.
pub(super) fn replay(
    journal: &Path,
    known: Known,
    mut apply: impl FnMut(u64, Operation<'_>),
) -> Result<Remains, OpenError> {
    let ids = list(journal)?;
    let mut read = Read { journal, known, first: None, last: None, end: None, frames: 0, sealed: VecDeque::new() };
    for &id in &ids {
        read.segment(id, &mut apply)?;
    }
    let last = read.judge_end(&ids)?;
    let cut = read.look_behind_end(&ids, last)?;
    read.tidy(&ids)?;
    let recovery = Recovery { last, frames: read.frames, cut };
    Ok(Remains { recovery, sealed: read.sealed, next_id: ids.last().map_or(1, |id| id + 1) })
}

/// The ids of the segments, in order.
fn list(journal: &Path) -> Result<Vec<u64>, OpenError> {
    let failed = |error| OpenError::io(journal, "listing", error);
    let mut ids = Vec::new();
    for entry in fs::read_dir(journal).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let id = name.to_str().and_then(|name| u64::from_str_radix(name.strip_suffix(".journal")?, 16).ok());
        ids.extend(id);
    }
    ids.sort_unstable();
    Ok(ids)
}

struct Read<'a> {
    journal: &'a Path,
    known: Known,
    /// The first segment that was read.
    first: Option<u64>,
    /// The last frame that was read.
    last: Option<Seq>,
    /// The segment and the offset where it ends.
    end: Option<(u64, usize)>,
    frames: u64,
    sealed: VecDeque<Sealed>,
}

impl Read<'_> {
    /// Replays the frames of a segment up to the first place where there is none.
    fn segment(&mut self, id: u64, apply: &mut impl FnMut(u64, Operation<'_>)) -> Result<(), OpenError> {
        let (path, bytes) = self.load(id)?;
        let (_, seed) = frame::read_segment_header(&bytes, id).map_err(|what| OpenError::damaged(&path, 0, what))?;
        let mut offset = frame::SEGMENT_HEADER;
        while let Some(found) = frame::read(&bytes, offset, seed) {
            self.expect(&path, offset, found.seq)?;
            let mut operations = found.operations;
            while !operations.is_empty() {
                let operation = frame::take_operation(&mut operations)
                    .ok_or_else(|| OpenError::damaged(&path, offset as u64, "this frame holds no sensible writes"))?;
                apply(id, operation);
            }
            self.last = Some(found.seq);
            self.frames += 1;
            offset = found.end;
            self.end = Some((id, offset));
        }
        self.first.get_or_insert(id);
        if offset > frame::SEGMENT_HEADER {
            self.sealed.push_back(Sealed { id, bytes: bytes.len() as u64, recyclable: true });
        }
        Ok(())
    }

    /// Steps that wrote are numbered without gaps, so a frame that is missing in between is noticed.
    fn expect(&self, path: &Path, offset: usize, found: Seq) -> Result<(), OpenError> {
        let what = |expected| {
            format!("write {expected} should follow here, but the next one that can be read is write {}", found.0)
        };
        match (self.last, self.end) {
            (Some(last), Some((id, end))) if found.0 != last.0 + 1 => {
                Err(OpenError::damaged(&segment_path(self.journal, id), end as u64, what(last.0 + 1)))
            }
            (None, _) if found.0 == 0 || found.0 > self.known.base.0 + 1 => {
                // When segments before this one hold nothing that can be read, the first of them is the broken one.
                let (path, offset) = match self.first {
                    Some(first) => (segment_path(self.journal, first), frame::SEGMENT_HEADER),
                    None => (path.to_path_buf(), offset),
                };
                Err(OpenError::damaged(&path, offset as u64, what(self.known.base.0 + 1)))
            }
            _ => Ok(()),
        }
    }

    /// The last write there is, if nothing says that there must be more.
    fn judge_end(&self, ids: &[u64]) -> Result<Seq, OpenError> {
        let last = self.last.unwrap_or(self.known.base);
        let promised = self.known.base.max(self.known.closed);
        if last >= promised {
            return Ok(last);
        }
        let what = format!("the journal ends with write {}, but write {} was synced", last.0, promised.0);
        let (file, end) = match (self.end, ids.last()) {
            (Some((id, end)), _) => (segment_path(self.journal, id), end),
            (None, Some(id)) => (segment_path(self.journal, *id), frame::SEGMENT_HEADER),
            (None, None) => (self.journal.to_path_buf(), 0),
        };
        Err(OpenError::damaged(&file, end as u64, what))
    }

    /// Looks for frames behind the end. One that can be read, behind one that cannot, is proof of damage when it says
    /// that the broken one had been synced before. Otherwise a power loss explains both: the operating system writes
    /// pages that are not synced yet in any order.
    fn look_behind_end(&self, ids: &[u64], last: Seq) -> Result<Option<Cut>, OpenError> {
        let mut cut = None;
        let end_id = self.end.map_or(0, |(id, _)| id);
        for &id in ids.iter().filter(|id| **id >= end_id) {
            let (path, bytes) = self.load(id)?;
            let (origin, seed) =
                frame::read_segment_header(&bytes, id).map_err(|what| OpenError::damaged(&path, 0, what))?;
            let offset = self.end.filter(|(end_id, _)| *end_id == id).map_or(frame::SEGMENT_HEADER, |(_, end)| end);
            let mut torn = frame::is_torn(&bytes, offset, origin, seed);
            let mut at = offset;
            while let Some((found_at, found)) = frame::search(&bytes, at, seed, last) {
                if found.synced > last {
                    let what = format!(
                        "write {} cannot be read, although the frame at byte {found_at} proves that it was synced",
                        last.0 + 1
                    );
                    return Err(OpenError::damaged(&path, offset as u64, what));
                }
                torn = true;
                at = found.end;
            }
            if torn && cut.is_none() {
                cut = Some(Cut { file: path, offset: offset as u64 });
            }
        }
        Ok(cut)
    }

    /// Ends the last segment with frames where its frames end, so that nothing behind can ever be taken for a
    /// continuation; removes segments without frames; makes all of it durable.
    fn tidy(&mut self, ids: &[u64]) -> Result<(), OpenError> {
        if let Some((id, end)) = self.end {
            let path = segment_path(self.journal, id);
            let cut = || {
                let file = File::options().write(true).open(&path)?;
                file.set_len(end as u64)?;
                file.sync_all()
            };
            cut().map_err(|error| OpenError::io(&path, "cutting", error))?;
            if let Some(sealed) = self.sealed.back_mut() {
                *sealed = Sealed { id, bytes: end as u64, recyclable: false };
            }
        }
        let failed = |error| OpenError::io(self.journal, "tidying", error);
        for id in ids.iter().filter(|id| self.sealed.iter().all(|sealed| sealed.id != **id)) {
            fs::remove_file(segment_path(self.journal, *id)).map_err(failed)?;
        }
        for entry in fs::read_dir(self.journal).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.to_string_lossy().ends_with(SPARE) {
                fs::remove_file(path).map_err(failed)?;
            }
        }
        sync_directory(self.journal).map_err(failed)
    }

    fn load(&self, id: u64) -> Result<(PathBuf, Vec<u8>), OpenError> {
        let path = segment_path(self.journal, id);
        let bytes = fs::read(&path).map_err(|error| OpenError::io(&path, "reading", error))?;
        Ok((path, bytes))
    }
}
