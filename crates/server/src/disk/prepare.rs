//! The thread that makes the next segment of the journal ready ahead of time.
//!
//! A sync of space that was written before costs about two thirds of a sync of new space, as the file system has nothing
//! to note down. So a segment is filled with zeros before its use, or is an old one under a new name.

use super::directory::sync_directory;
use super::frame::{self, Origin, Seed};
use super::journal::segment_path;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Zeros are written in pieces of this size.
const ZEROS: &[u8] = &[0; 256 * 1024];
/// Zeros are synced in pieces of this size, so that syncs of the active segment get their turn.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;

/// Segments that are kept for another use. A flush frees several at once.
const SPARES: usize = 4;

/// A segment that is ready for frames.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: u64,
    pub(super) file: Arc<File>,
    pub(super) seed: Seed,
    /// Bytes up to which the file is allocated.
    pub(super) capacity: u64,
}

enum Task {
    Prepare { id: u64, bytes: u64 },
    Free { id: u64, recycle: Option<u64> },
}

/// The way to the thread.
pub(super) struct Preparer {
    tasks: Option<Sender<Task>>,
    ready: Arc<Mutex<Option<io::Result<Segment>>>>,
    /// Held while a segment is made.
    making: Arc<Mutex<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    pub(super) fn start(journal: &Path) -> io::Result<Preparer> {
        let (tasks, inbox) = channel();
        let ready = Arc::new(Mutex::new(None));
        let making = Arc::new(Mutex::new(()));
        let mut worker =
            Worker { journal: journal.to_path_buf(), ready: ready.clone(), making: making.clone(), spares: Vec::new() };
        let thread = std::thread::Builder::new().name("disk-prepare".into()).spawn(move || worker.run(&inbox))?;
        Ok(Preparer { tasks: Some(tasks), ready, making, thread: Some(thread) })
    }

    /// Asks for a segment of about this size.
    pub(super) fn prepare(&self, id: u64, bytes: u64) {
        self.send(Task::Prepare { id, bytes });
    }

    /// Gives back a segment that is needed no more; `recycle` is its allocated size if it may serve again.
    pub(super) fn free(&self, id: u64, recycle: Option<u64>) {
        self.send(Task::Free { id, recycle });
    }

    /// The segment that was asked for, when it is ready.
    pub(super) fn take(&self) -> Option<io::Result<Segment>> {
        self.ready.lock().expect("no thread panics while it holds this lock").take()
    }

    /// Waits until no segment is being made, so that none holds space that it will not keep.
    pub(super) fn wait(&self) {
        drop(self.making.lock().expect("no thread panics while it holds this lock"));
    }

    fn send(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // Without the thread the journal makes its segments itself.
            let _ = tasks.send(task);
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    journal: PathBuf,
    ready: Arc<Mutex<Option<io::Result<Segment>>>>,
    making: Arc<Mutex<()>>,
    /// Files with their sizes, the largest first.
    spares: Vec<(PathBuf, u64)>,
}

impl Worker {
    fn run(&mut self, inbox: &Receiver<Task>) {
        while let Ok(task) = inbox.recv() {
            match task {
                Task::Prepare { id, bytes } => {
                    let _making = self.making.lock().expect("no thread panics while it holds this lock");
                    let last = self.spares.iter().rposition(|(_, size)| *size >= bytes);
                    let made = match last.map(|at| self.spares.remove(at)) {
                        Some((path, size)) => recycle(&self.journal, &path, id, size),
                        None => largest(bytes, |bytes| create(&self.journal, id, bytes, Fill::Zeros)),
                    };
                    *self.ready.lock().expect("no thread panics while it holds this lock") = Some(made);
                }
                Task::Free { id, recycle } => {
                    if let Err(error) = self.free(id, recycle) {
                        tracing::warn!("a segment of the journal that is needed no more could not be freed: {error}");
                    }
                }
            }
        }
    }

    /// Keeps the largest free segments for another use and removes the others.
    fn free(&mut self, id: u64, recycle: Option<u64>) -> io::Result<()> {
        let path = segment_path(&self.journal, id);
        match recycle {
            None => fs::remove_file(path)?,
            Some(bytes) => {
                let spare = self.journal.join(format!("{id:016x}{SPARE}"));
                fs::rename(path, &spare)?;
                let at = self.spares.partition_point(|(_, size)| *size >= bytes);
                self.spares.insert(at, (spare, bytes));
                if self.spares.len() > SPARES
                    && let Some((least, _)) = self.spares.pop()
                {
                    fs::remove_file(least)?;
                }
            }
        }
        // Segments vanish in order, also for a power loss: what is left is always the end of the journal.
        sync_directory(&self.journal)
    }
}

/// The end of the name of a file that is no part of the journal, or not yet.
pub(super) const SPARE: &str = ".spare";

/// Gives an old segment a new name and header. Its old frames fail the checksums of the new seed. The file has a name
/// that recovery ignores while its header is changed.
fn recycle(journal: &Path, spare: &Path, id: u64, capacity: u64) -> io::Result<Segment> {
    let file = File::options().read(true).write(true).open(spare)?;
    let (header, seed) = frame::segment_header(id, salt()?, Origin::Recycled);
    file.write_all_at(&header, 0)?;
    file.sync_all()?;
    publish(journal, spare, id)?;
    Ok(Segment { id, file: Arc::new(file), seed, capacity })
}

/// How the space of a new segment is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Written with zeros: slow to make, fast to sync.
    Zeros,
    /// Only set aside: fast to make.
    Reserve,
}

/// Makes a new segment, or leaves nothing: what a failed attempt took of a nearly full disk is given back.
pub(super) fn create(journal: &Path, id: u64, bytes: u64, fill: Fill) -> io::Result<Segment> {
    let path = journal.join(format!("{id:016x}{SPARE}"));
    fill_new(&path, id, bytes, fill)
        .and_then(|segment| publish(journal, &path, id).map(|()| segment))
        .inspect_err(|_| drop(fs::remove_file(&path)))
}

fn fill_new(path: &Path, id: u64, bytes: u64, fill: Fill) -> io::Result<Segment> {
    let file = File::options().create(true).truncate(true).read(true).write(true).open(path)?;
    // First, so that a lack of space is noticed before zeros take what is left from others.
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        // Some file systems cannot; then the file grows as it is written.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    if fill == Fill::Zeros {
        let mut offset = 0;
        while offset < bytes {
            let count = ZEROS.len().min((bytes - offset) as usize);
            file.write_all_at(&ZEROS[..count], offset)?;
            offset += count as u64;
            if offset.is_multiple_of(SYNC_BYTES) {
                file.sync_data()?;
            }
        }
    }
    let (header, seed) = frame::segment_header(id, salt()?, Origin::New);
    file.write_all_at(&header, 0)?;
    file.sync_all()?;
    Ok(Segment { id, file: Arc::new(file), seed, capacity: bytes })
}

/// Segments are not made smaller than this for lack of space, in bytes.
pub(super) const LEAST_BYTES: u64 = 64 * 1024;

/// Makes the largest segment of at most this size for which there is space, so that a nearly full disk is used to its
/// end. Any other failure is final.
pub(super) fn largest(bytes: u64, mut make: impl FnMut(u64) -> io::Result<Segment>) -> io::Result<Segment> {
    let mut bytes = bytes;
    loop {
        match make(bytes) {
            Err(error) if is_lack_of_space(&error) && bytes > LEAST_BYTES => bytes = (bytes / 4).max(LEAST_BYTES),
            made => return made,
        }
    }
}

/// Is the disk full, or what one may use of it?
pub(super) fn is_lack_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn publish(journal: &Path, from: &Path, id: u64) -> io::Result<()> {
    fs::rename(from, segment_path(journal, id))?;
    sync_directory(journal)
}

fn salt() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_space_makes_segments_smaller_and_anything_else_is_final() {
        let directory = tempfile::tempdir().unwrap();
        let free = 300 * 1024;
        let mut tried = Vec::new();
        let made = largest(16 * 1024 * 1024, |bytes| {
            tried.push(bytes / 1024);
            if bytes > free {
                return Err(io::ErrorKind::StorageFull.into());
            }
            create(directory.path(), 7, bytes, Fill::Reserve)
        });
        assert_eq!(made.unwrap().capacity, 256 * 1024);
        assert_eq!(tried, [16 * 1024, 4 * 1024, 1024, 256]);
        let mut tries = 0;
        let none = largest(1024 * 1024, |_| {
            tries += 1;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!((none.unwrap_err().kind(), tries), (io::ErrorKind::StorageFull, 3));
        let denied = largest(1024 * 1024, |_| Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_segment_that_could_not_be_made_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        // No file can have this size.
        create(directory.path(), 7, u64::MAX / 2, Fill::Zeros).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
