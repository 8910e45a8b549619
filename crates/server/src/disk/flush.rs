//! The thread that moves frozen overlays into the base.

use super::base::Base;
use super::error::Poison;
use super::overlay::Overlay;
use super::{Wake, since_us};
use quorate_core::store::Seq;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// Counters of flushes. Times are in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlushTimes {
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) total_us: u64,
    pub(super) max_us: u64,
}

enum Task {
    Flush {
        overlay: Arc<Overlay>,
        last: Seq,
    },
    /// To free a large tree takes tens of milliseconds, which the event loop does not have.
    Drop(Arc<Overlay>),
}

#[derive(Default)]
struct Done {
    flushed: Seq,
    times: FlushTimes,
    ended: bool,
}

struct Shared {
    done: Mutex<Done>,
    changed: Condvar,
}

pub(super) struct Flusher {
    tasks: Option<Sender<Task>>,
    shared: Arc<Shared>,
    poison: Poison,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    pub(super) fn start(base: Base, path: &Path, poison: Poison, wake: Wake) -> io::Result<Flusher> {
        let (tasks, inbox) = channel();
        let shared = Arc::new(Shared { done: Mutex::default(), changed: Condvar::new() });
        let worker = Worker { base, path: path.into(), shared: shared.clone(), poison: poison.clone(), wake };
        let thread = std::thread::Builder::new().name("disk-flush".into()).spawn(move || worker.run(&inbox))?;
        Ok(Flusher { tasks: Some(tasks), shared, poison, thread: Some(thread) })
    }

    /// Starts to flush an overlay that ends with `last`. Every write in it must be synced in the journal: the base must
    /// never be ahead of what replay can give, or replay would mix two states.
    pub(super) fn flush(&self, overlay: Arc<Overlay>, last: Seq) {
        self.send(Task::Flush { overlay, last });
    }

    pub(super) fn drop_later(&self, overlay: Arc<Overlay>) {
        self.send(Task::Drop(overlay));
    }

    /// True when the overlay that ends with `last` is durable in the base.
    pub(super) fn is_flushed(&self, last: Seq) -> bool {
        self.lock().flushed >= last
    }

    /// Waits until [`Flusher::is_flushed`], or until the disk has failed.
    pub(super) fn wait(&self, last: Seq) {
        let mut done = self.lock();
        while done.flushed < last && !done.ended && self.poison.check().is_ok() {
            done = self.shared.changed.wait(done).expect("no thread panics while it holds this lock");
        }
    }

    pub(super) fn times(&self) -> FlushTimes {
        self.lock().times
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Done> {
        self.shared.done.lock().expect("no thread panics while it holds this lock")
    }

    fn send(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // A thread that has ended has poisoned the disk.
            let _ = tasks.send(task);
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    base: Base,
    path: Box<Path>,
    shared: Arc<Shared>,
    poison: Poison,
    wake: Wake,
}

/// Tells those who wait that the thread has ended, however it ended.
struct Ended(Arc<Shared>, Poison, Box<Path>);

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.set("flushing to", &self.2, &"the flush thread panicked");
        }
        if let Ok(mut done) = self.0.done.lock() {
            done.ended = true;
        }
        self.0.changed.notify_all();
    }
}

impl Worker {
    fn run(self, inbox: &Receiver<Task>) {
        let _ended = Ended(self.shared.clone(), self.poison.clone(), self.path.clone());
        while let Ok(task) = inbox.recv() {
            match task {
                Task::Drop(overlay) => drop(overlay),
                Task::Flush { overlay, last } => {
                    let started = Instant::now();
                    if let Err(error) = self.base.ingest(&overlay, last) {
                        self.poison.set("flushing to the base in", &self.path, &error);
                        (self.wake)();
                        return;
                    }
                    let (us, bytes) = (since_us(started), overlay.bytes() as u64);
                    drop(overlay);
                    let mut done = self.shared.done.lock().expect("no thread panics while it holds this lock");
                    done.flushed = last;
                    done.times.count += 1;
                    done.times.bytes += bytes;
                    done.times.total_us += us;
                    done.times.max_us = done.times.max_us.max(us);
                    drop(done);
                    self.shared.changed.notify_all();
                    (self.wake)();
                }
            }
        }
    }
}
