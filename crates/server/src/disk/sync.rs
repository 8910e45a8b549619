//! The thread that syncs the journal, so that the event loop need not wait for it.

use super::error::{DiskError, Poison};
use super::medium::Medium;
use super::{Wake, since_us};
use quorate_core::store::Seq;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

/// How long syncs took, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SyncTimes {
    pub(super) count: u64,
    pub(super) total_us: u64,
    pub(super) max_us: u64,
}

impl SyncTimes {
    fn add(&mut self, us: u64) {
        self.count += 1;
        self.total_us += us;
        self.max_us = self.max_us.max(us);
    }
}

#[derive(Debug)]
struct State {
    file: Arc<File>,
    /// Every frame up to here is written to `file`, or synced in an earlier segment.
    appended: Seq,
    wanted: Seq,
    synced: Seq,
    running: bool,
    stop: bool,
    times: SyncTimes,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    medium: Arc<dyn Medium>,
    poison: Poison,
    journal: Box<Path>,
    wake: Wake,
}

/// Syncs one segment at a time, at most one sync in progress.
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(
        file: Arc<File>,
        synced: Seq,
        journal: &Path,
        medium: Arc<dyn Medium>,
        poison: Poison,
        wake: Wake,
    ) -> io::Result<Syncer> {
        let state = State {
            file,
            appended: synced,
            wanted: synced,
            synced,
            running: false,
            stop: false,
            times: SyncTimes::default(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            medium,
            poison,
            journal: journal.into(),
            wake,
        });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("disk-sync".into()).spawn(move || theirs.run())?;
        Ok(Syncer { shared, thread: Some(thread) })
    }

    /// Tells that frames up to here were written to the segment.
    pub(super) fn appended(&self, upto: Seq) {
        self.shared.lock().appended = upto;
    }

    /// Asks for a sync that covers `upto`. One that is in progress is finished first.
    pub(super) fn request(&self, upto: Seq) {
        let mut state = self.shared.lock();
        state.wanted = state.wanted.max(upto);
        if !state.running && state.wanted > state.synced {
            self.shared.changed.notify_all();
        }
    }

    /// The last write that is synced.
    pub(super) fn synced(&self) -> Seq {
        self.shared.lock().synced
    }

    pub(super) fn times(&self) -> SyncTimes {
        self.shared.lock().times
    }

    /// Syncs here and now, after a sync in progress has ended: two at once on one file could hide an error from one of
    /// them, as the kernel reports it only once.
    pub(super) fn sync_here(&self) -> Result<Seq, DiskError> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        while state.running {
            state = shared.wait(state);
        }
        shared.poison.check()?;
        if state.appended > state.synced {
            // The lock is kept: this thread is the only other one that takes it, besides the sync thread.
            let started = Instant::now();
            shared.sync(&state.file)?;
            state.times.add(since_us(started));
            state.synced = state.appended;
        }
        Ok(state.synced)
    }

    /// Goes on with another segment. Everything in the one before must be synced.
    pub(super) fn switch(&self, file: Arc<File>) {
        let mut state = self.shared.lock();
        assert!(!state.running && state.synced == state.appended, "a segment is left only when it is synced");
        state.file = file;
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds this lock")
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).expect("no thread panics while it holds this lock")
    }

    fn sync(&self, file: &File) -> Result<(), DiskError> {
        self.medium.sync_data(file).map_err(|error| self.poison.set("syncing the journal in", &self.journal, &error))
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            if state.stop || self.poison.check().is_err() {
                return;
            }
            if state.wanted <= state.synced || state.appended <= state.synced {
                state = self.wait(state);
                continue;
            }
            let (file, upto) = (state.file.clone(), state.appended);
            state.running = true;
            drop(state);
            let started = Instant::now();
            let result = self.sync(&file);
            state = self.lock();
            state.running = false;
            state.times.add(since_us(started));
            if result.is_ok() {
                state.synced = upto;
            }
            self.changed.notify_all();
            drop(state);
            (self.wake)();
            state = self.lock();
        }
    }
}
