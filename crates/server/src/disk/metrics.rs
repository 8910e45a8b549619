//! What the disk counts.

use super::Disk;

/// Counters since the disk was opened, and sizes now. Times are in microseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskMetrics {
    /// Bytes written to the journal.
    pub journal_bytes: u64,
    /// Frames written to the journal: steps that wrote.
    pub frames: u64,
    /// Write calls to the journal.
    pub writes: u64,
    /// Syncs of the journal.
    pub syncs: u64,
    /// Time of all syncs.
    pub sync_us_total: u64,
    /// The longest sync.
    pub sync_us_max: u64,
    /// Changes of segment.
    pub rotations: u64,
    /// Those for which no segment was ready.
    pub rotations_unprepared: u64,
    /// Overlays that were frozen.
    pub freezes: u64,
    /// Flushes that ended.
    pub flushes: u64,
    /// Bytes of memory of the overlays that were flushed.
    pub flushed_bytes: u64,
    /// Time of all flushes, beside the event loop.
    pub flush_us_total: u64,
    /// The longest flush.
    pub flush_us_max: u64,
    /// Times that the event loop had to wait for a flush.
    pub stalls: u64,
    /// Time that it waited.
    pub stall_us_total: u64,
    /// The longest wait.
    pub stall_us_max: u64,
    /// Memory of the overlay that takes writes, about.
    pub overlay_bytes: u64,
    /// Memory of the overlay that is being flushed, about.
    pub frozen_bytes: u64,
    /// Journal that is still needed.
    pub journal_live_bytes: u64,
    /// Files of the base.
    pub base_bytes: u64,
}

/// Waits of the event loop for a flush.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stalls {
    count: u64,
    total_us: u64,
    max_us: u64,
}

impl Stalls {
    pub(super) fn add(&mut self, us: u64) {
        self.count += 1;
        self.total_us += us;
        self.max_us = self.max_us.max(us);
    }
}

pub(super) fn collect(disk: &Disk) -> DiskMetrics {
    let journal = disk.journal.counters();
    let syncs = disk.journal.sync_times();
    let flushes = disk.flusher.times();
    DiskMetrics {
        journal_bytes: journal.bytes,
        frames: journal.frames,
        writes: journal.writes,
        syncs: syncs.count,
        sync_us_total: syncs.total_us,
        sync_us_max: syncs.max_us,
        rotations: journal.rotations,
        rotations_unprepared: journal.unprepared,
        freezes: disk.freezes,
        flushes: flushes.count,
        flushed_bytes: flushes.bytes,
        flush_us_total: flushes.total_us,
        flush_us_max: flushes.max_us,
        stalls: disk.stalls.count,
        stall_us_total: disk.stalls.total_us,
        stall_us_max: disk.stalls.max_us,
        overlay_bytes: (disk.active.bytes() + disk.active.log_bytes()) as u64,
        frozen_bytes: disk.frozen.as_ref().map_or(0, |frozen| frozen.overlay.bytes() as u64),
        journal_live_bytes: disk.journal.live_bytes(),
        base_bytes: disk.base.disk_bytes(),
    }
}
