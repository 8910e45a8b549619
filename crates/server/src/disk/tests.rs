//! Tests that need to reach inside: golden bytes, and files that fail.
#![allow(clippy::unwrap_used)]

use super::frame::{self, Origin};
use super::medium::{Files, Medium};
use super::*;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

#[test]
fn a_frame_and_a_segment_header_have_these_bytes() {
    let (header, seed) = frame::segment_header(5, 0x0102_0304_0506_0708, Origin::New);
    assert_eq!(hex(&header), "71756f726174654a0100000000000000050000000000000008070605040302019b308d2b00000000");
    let mut bytes = Vec::new();
    let start = frame::begin(&mut bytes);
    frame::put(&mut bytes, b"\x02key", b"value");
    frame::delete(&mut bytes, b"\x01old");
    assert!(frame::finish(&mut bytes, start, seed, Seq(12), Seq(9)));
    assert_eq!(
        hex(&bytes),
        concat!("17000000784344a30c000000000000000300000073bba47d01040005000000026b657976616c7565", "020400016f6c6400")
    );
    let read = frame::read(&bytes, 0, seed).unwrap();
    assert_eq!((read.seq, read.synced, read.end), (Seq(12), Seq(9), bytes.len()));
    let mut operations = read.operations;
    assert_eq!(frame::take_operation(&mut operations), Some(Operation::Put(b"\x02key", b"value")));
    assert_eq!(frame::take_operation(&mut operations), Some(Operation::Delete(b"\x01old")));
    assert!(operations.is_empty());
    assert_eq!(frame::read_segment_header(&header, 5), Ok((Origin::New, seed)));
    assert!(frame::read_segment_header(&header, 6).is_err());
}

#[test]
fn a_frame_of_another_segment_is_no_frame() {
    let (_, seed) = frame::segment_header(5, 77, Origin::New);
    let mut bytes = Vec::new();
    let start = frame::begin(&mut bytes);
    frame::put(&mut bytes, b"\x02key", b"value");
    assert!(frame::finish(&mut bytes, start, seed, Seq(12), Seq(9)));
    assert!(frame::read(&bytes, 0, seed).is_some());
    for (id, salt) in [(6, 77), (5, 78)] {
        let (_, other) = frame::segment_header(id, salt, Origin::Recycled);
        assert!(frame::read(&bytes, 0, other).is_none());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files that fail when they are told to.
#[derive(Debug, Default)]
struct Faulty {
    fail_writes: AtomicBool,
    fail_syncs: AtomicBool,
    syncs: AtomicUsize,
}

impl Medium for Faulty {
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.fail_writes.load(SeqCst) {
            // As a full disk does, it takes a part of what it is given.
            Files.write_all_at(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Files.write_all_at(file, bytes, offset)
    }
    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, SeqCst);
        if self.fail_syncs.load(SeqCst) {
            return Err(io::Error::other("the device is gone"));
        }
        Files.sync_data(file)
    }
}

fn open(path: &std::path::Path, medium: &Arc<Faulty>) -> Disk {
    let directory = DataDir::open(path, &Identity { cluster: 1, node: 1 }).unwrap();
    let options = Options { first_segment_bytes: 64 * 1024, segment_bytes: 64 * 1024, ..Options::default() };
    Disk::open_with(directory, options, Arc::new(|| ()), medium.clone()).unwrap()
}

fn step(disk: &mut Disk, key: u8) -> Result<(), DiskError> {
    disk.put(&[2, key], &[key; 100]);
    disk.end_turn(Seq(disk.written().0 + 1), true)?;
    disk.flush_frames()
}

/// Everything fails, with the first cause, and no sync is tried again.
fn assert_poisoned(disk: &mut Disk, medium: &Faulty, cause: &str) {
    let syncs = medium.syncs.load(SeqCst);
    let synced = disk.synced();
    let errors = [
        step(disk, 9).unwrap_err(),
        disk.flush_frames().unwrap_err(),
        disk.request_sync(Seq(1)).unwrap_err(),
        disk.poll_synced().unwrap_err(),
        disk.sync_now().unwrap_err(),
        disk.flush_overlay().unwrap_err(),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains(cause) && text.contains("restart the node"), "{text}");
    }
    assert_eq!(disk.synced(), synced);
    assert_eq!(medium.syncs.load(SeqCst), syncs);
}

#[test]
fn a_failed_sync_here_poisons_the_disk() {
    let (directory, medium) = (tempfile::tempdir().unwrap(), Arc::new(Faulty::default()));
    let mut disk = open(directory.path(), &medium);
    step(&mut disk, 1).unwrap();
    assert_eq!(disk.sync_now().unwrap(), Seq(1));
    step(&mut disk, 2).unwrap();
    medium.fail_syncs.store(true, SeqCst);
    assert!(disk.sync_now().is_err());
    medium.fail_syncs.store(false, SeqCst);
    assert_poisoned(&mut disk, &medium, "the device is gone");
    assert_eq!(disk.synced(), Seq(1));
    assert!(disk.close().is_err());
}

#[test]
fn a_failed_sync_there_poisons_the_disk() {
    let (directory, medium) = (tempfile::tempdir().unwrap(), Arc::new(Faulty::default()));
    let mut disk = open(directory.path(), &medium);
    step(&mut disk, 1).unwrap();
    medium.fail_syncs.store(true, SeqCst);
    disk.request_sync(Seq(1)).unwrap();
    while let Ok(synced) = disk.poll_synced() {
        assert_eq!(synced, Seq(0), "a sync that failed was reported as done");
        std::thread::yield_now();
    }
    medium.fail_syncs.store(false, SeqCst);
    assert_poisoned(&mut disk, &medium, "the device is gone");
    assert_eq!(disk.synced(), Seq(0));
}

#[test]
fn a_full_disk_poisons_the_disk_and_keeps_what_was_synced() {
    let (directory, medium) = (tempfile::tempdir().unwrap(), Arc::new(Faulty::default()));
    let mut disk = open(directory.path(), &medium);
    step(&mut disk, 1).unwrap();
    disk.sync_now().unwrap();
    medium.fail_writes.store(true, SeqCst);
    assert!(step(&mut disk, 2).is_err());
    medium.fail_writes.store(false, SeqCst);
    assert_poisoned(&mut disk, &medium, "no storage space");
    drop(disk);
    let disk = open(directory.path(), &medium);
    assert!(disk.directory().was_unclean());
    assert_eq!(disk.recovery().last, Seq(1));
    assert!(disk.recovery().cut.is_some());
    assert_eq!(disk.get(&[2, 1]), Some(Bytes::from_static(&[1; 100])));
    assert_eq!(disk.get(&[2, 2]), None);
}

/// A device with a cache: what was not synced is lost with the power, that is, when this is dropped.
#[derive(Debug, Default)]
struct Volatile {
    unsynced: std::sync::Mutex<Vec<(u64, Vec<u8>, u64)>>,
}

impl Medium for Volatile {
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.unsynced.lock().unwrap().push((inode(file)?, bytes.to_vec(), offset));
        Ok(())
    }
    fn sync_data(&self, file: &File) -> io::Result<()> {
        let inode = inode(file)?;
        let writes: Vec<_> = self.unsynced.lock().unwrap().extract_if(.., |write| write.0 == inode).collect();
        writes.into_iter().try_for_each(|(_, bytes, offset)| Files.write_all_at(file, &bytes, offset))
    }
}

fn inode(file: &File) -> io::Result<u64> {
    Ok(std::os::unix::fs::MetadataExt::ino(&file.metadata()?))
}

#[test]
fn power_loss_takes_only_what_was_not_reported_as_synced() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = 5_u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) % below
    };
    let mut reported = Seq(0);
    for _ in 0..60 {
        let data = DataDir::open(directory.path(), &Identity { cluster: 1, node: 1 }).unwrap();
        let options = Options {
            overlay_bytes: 20_000,
            first_segment_bytes: 8 * 1024,
            segment_bytes: 16 * 1024,
            ..Options::default()
        };
        let mut disk = Disk::open_with(data, options, Arc::new(|| ()), Arc::new(Volatile::default())).unwrap();
        assert!(disk.written() >= reported, "{:?} of {reported:?}", disk.written());
        // Each step counts up in one key, and says so in another.
        let last = disk.written().0;
        assert_eq!(disk.get(&[2, 0]).map_or(0, |value| u64::from_be_bytes(value[..8].try_into().unwrap())), last);
        assert_eq!(disk.get(&[2, 1, (last % 50) as u8]).is_some(), last > 0);
        // And the log holds the newest entries, none more and none fewer.
        let mut log = Vec::new();
        disk.scan(&log_key(0), &log_key(u64::MAX), &mut |key, _| {
            log.push(key.to_vec());
            true
        });
        assert_eq!(log, (last.saturating_sub(90) + 1..=last).map(log_key).collect::<Vec<_>>());
        for seq in last + 1..last + 1 + next(300) {
            disk.put(&[2, 0], &[&seq.to_be_bytes()[..], &[0; 50]].concat());
            disk.put(&[2, 1, (seq % 50) as u8], &vec![1; next(400) as usize]);
            disk.delete(&[2, 1, ((seq + 1) % 50) as u8]);
            disk.put(&log_key(seq), b"entry");
            disk.delete(&log_key(seq.saturating_sub(90)));
            disk.end_turn(Seq(seq), true).unwrap();
            match next(20) {
                0 => disk.flush_frames().unwrap(),
                1 => reported = disk.sync_now().unwrap(),
                2 => disk.request_sync(Seq(seq)).unwrap(),
                3..6 => reported = disk.poll_synced().unwrap(),
                _ => {}
            }
        }
    }
    assert!(reported.0 > 1_000);
}

fn log_key(index: u64) -> Vec<u8> {
    [&[1, 0, 0, b'l'][..], &index.to_be_bytes()].concat()
}

#[test]
fn log_entries_that_die_early_leave_nothing_behind() {
    let (directory, medium) = (tempfile::tempdir().unwrap(), Arc::new(Faulty::default()));
    let mut disk = open(directory.path(), &medium);
    for index in 0..100 {
        disk.put(&log_key(index), b"entry");
    }
    for index in 0..60 {
        disk.delete(&log_key(index));
    }
    assert_eq!(disk.active.iter().count(), 40);
    disk.end_turn(Seq(1), true).unwrap();
    disk.flush_overlay().unwrap();
    assert_eq!(disk.base.greatest(&[1]).unwrap(), None);
    for index in 60..100 {
        disk.delete(&log_key(index));
    }
    assert_eq!(disk.active.iter().count(), 0);
    for index in 100..200 {
        disk.put(&log_key(index), b"entry");
        disk.delete(&log_key(index));
    }
    disk.delete(&log_key(500));
    assert_eq!((disk.active.iter().count(), disk.active.log_bytes()), (0, 0));
}

#[test]
fn log_entries_that_live_long_reach_the_base_and_free_the_journal() {
    let (directory, medium) = (tempfile::tempdir().unwrap(), Arc::new(Faulty::default()));
    let data = |path| DataDir::open(path, &Identity { cluster: 1, node: 1 }).unwrap();
    let options = Options {
        journal_bytes: 64 * 1024,
        first_segment_bytes: 8 * 1024,
        segment_bytes: 8 * 1024,
        ..Options::default()
    };
    let mut disk = Disk::open_with(data(directory.path()), options.clone(), Arc::new(|| ()), medium.clone()).unwrap();
    for index in 0..10 {
        disk.put(&log_key(index), b"entry");
    }
    disk.end_turn(Seq(1), true).unwrap();
    for seq in 2..2_000 {
        disk.put(&[2, 2, 2], &[0; 100]);
        disk.end_turn(Seq(seq), true).unwrap();
    }
    disk.flush_overlay().unwrap();
    assert_eq!(disk.base.greatest(&[1]).unwrap(), Some(log_key(9)));
    assert!(disk.journal.live_bytes() < 64 * 1024);
    // Those that reached the base need tombstones, later ones do not.
    for index in 0..10 {
        disk.delete(&log_key(index));
    }
    disk.put(&log_key(10), b"entry");
    assert_eq!(disk.active.iter().count(), 11);
    disk.end_turn(Seq(2_000), true).unwrap();
    disk.close().unwrap();
    let disk = Disk::open_with(data(directory.path()), options, Arc::new(|| ()), medium).unwrap();
    let mut found = Vec::new();
    disk.scan(&[1], &[2], &mut |key, _| {
        found.push(key.to_vec());
        true
    });
    assert_eq!(found, [log_key(10)]);
}

/// Segments serve again under another name, full of old frames behind the new ones.
#[test]
fn remains_in_recycled_segments_are_not_replayed() {
    let (directory, medium) = (tempfile::tempdir().unwrap(), Arc::new(Faulty::default()));
    let journal = directory.path().join("journal");
    let mut disk = open(directory.path(), &medium);
    let (mut recycled, mut written) = (0, 0_u64);
    for round in 0..40_u64 {
        for key in 0..200 + round as u8 {
            step(&mut disk, key).unwrap();
            written += 1;
        }
        if round % 4 == 3 {
            disk.flush_overlay().unwrap();
            // The segments of this flush are freed and prepared in the background.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        if round % 5 == 4 {
            drop(disk);
            let files = std::fs::read_dir(&journal).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
            recycled += files.filter(|bytes| bytes[12] == Origin::Recycled as u8).count();
            disk = open(directory.path(), &medium);
            assert_eq!((disk.recovery().last, &disk.recovery().cut), (Seq(written), &None));
            let count = std::cell::Cell::new(0);
            disk.scan(&[2], &[3], &mut |key, value| {
                count.set(count.get() + 1);
                value == [key[1]; 100]
            });
            assert_eq!(count.get(), 200 + round);
        }
    }
    assert!(recycled > 0, "no segment was recycled, so this proves nothing");
}

#[test]
fn the_end_of_a_sync_wakes_the_loop() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, inbox) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let wake: Wake = Arc::new(move || sender.lock().unwrap().send(()).unwrap_or(()));
    let data = DataDir::open(directory.path(), &Identity { cluster: 1, node: 1 }).unwrap();
    let mut disk = Disk::open(data, Options::default(), wake).unwrap();
    for key in 1..=100 {
        step(&mut disk, key).unwrap();
        disk.request_sync(Seq(u64::from(key))).unwrap();
    }
    while disk.poll_synced().unwrap() < Seq(100) {
        inbox.recv().unwrap();
    }
    let metrics = disk.metrics();
    assert!(metrics.syncs >= 1 && metrics.syncs <= 100 && metrics.sync_us_max > 0, "{metrics:?}");
    assert_eq!((metrics.frames, metrics.writes), (100, 100));
}
