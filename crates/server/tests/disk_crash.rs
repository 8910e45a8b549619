//! Power loss and rot: the journal of a small history, cut and changed at every byte.
#![allow(clippy::unwrap_used)]

use quorate_core::store::{MemoryStore, Seq, Store, View};
use quorate_server::disk::{DataDir, Disk, Identity, OpenError, Options};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const STEPS: u64 = 9;
/// Synced after this step; and the steps behind it, but for the last, know about it.
const SYNCED: u64 = 6;

fn open(path: &Path) -> Result<Disk, OpenError> {
    let options = Options {
        overlay_bytes: 1 << 20,
        journal_bytes: 1 << 20,
        segment_bytes: 16 * 1024,
        first_segment_bytes: 2 * 1024,
        cache_bytes: 1 << 20,
    };
    Disk::open(DataDir::open(path, &Identity { cluster: 1, node: 1 })?, options, Arc::new(|| ()))
}

/// Writes of a step. They overwrite and delete those of earlier ones, so that no two states are alike.
fn step(store: &mut dyn Store, seq: u64) {
    store.put(&[1, 0, 0, b'p'], &seq.to_be_bytes());
    store.put(&[2, seq as u8], &vec![seq as u8; seq as usize * 3]);
    if seq > 2 {
        store.delete(&[2, seq as u8 - 2]);
    }
}

fn state_after(seq: u64) -> MemoryStore {
    let mut store = MemoryStore::default();
    (1..=seq).for_each(|seq| step(&mut store, seq));
    store
}

fn state_of(disk: &Disk) -> MemoryStore {
    let mut store = MemoryStore::default();
    disk.scan(&[], &[0xFF; 4], &mut |key, value| {
        store.put(key, value);
        true
    });
    store
}

fn run(disk: &mut Disk, steps: std::ops::RangeInclusive<u64>) {
    for seq in steps {
        step(disk, seq);
        disk.end_turn(Seq(seq), true).unwrap();
        disk.flush_frames().unwrap();
        if seq == SYNCED {
            assert_eq!(disk.sync_now().unwrap(), Seq(SYNCED));
        }
    }
}

struct History {
    _directory: tempfile::TempDir,
    path: PathBuf,
    segment: PathBuf,
    bytes: Vec<u8>,
    /// Where each step ends in the segment.
    ends: Vec<usize>,
}

/// The state of the directory when the process died, without a base, so that it is cheap to put back.
fn history() -> History {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let mut ends = vec![40];
    let mut disk = open(&path).unwrap();
    for seq in 1..=STEPS {
        run(&mut disk, seq..=seq);
        ends.push(40 + usize::try_from(disk.metrics().journal_bytes).unwrap());
    }
    drop(disk);
    let segment = path.join("journal/0000000000000001.journal");
    let bytes = fs::read(&segment).unwrap();
    assert_eq!(bytes.len(), 2048);
    assert!(ends[STEPS as usize] < 1000);
    History { _directory: directory, path, segment, bytes, ends }
}

impl History {
    /// Opens what is left when the segment has these bytes.
    fn recover(&self, bytes: &[u8]) -> Result<Disk, OpenError> {
        fs::remove_dir_all(self.path.join("journal")).unwrap();
        fs::create_dir(self.path.join("journal")).unwrap();
        fs::write(&self.segment, bytes).unwrap();
        open(&self.path)
    }
}

fn assert_prefix(disk: &Disk) -> u64 {
    let last = disk.recovery().last.0;
    assert_eq!(disk.written(), Seq(last));
    assert_eq!(state_of(disk), state_after(last));
    last
}

#[test]
fn a_journal_cut_anywhere_gives_the_steps_that_are_whole() {
    let history = history();
    for cut in 40..history.ends[STEPS as usize] + 10 {
        // The file ends there, or what was not written is zero.
        let mut zeroed = history.bytes.clone();
        zeroed[cut..].fill(0);
        let both = [&history.bytes[..cut], &zeroed];
        for bytes in both.into_iter().take(1 + usize::from(cut % 3 == 0)) {
            let disk = history.recover(bytes).unwrap();
            let last = assert_prefix(&disk);
            let whole = history.ends.iter().filter(|end| **end <= cut).count() as u64 - 1;
            // The padding of a frame is not needed.
            assert!(
                last == whole || last == whole + 1 && history.ends[last as usize] - cut < 8,
                "{cut} {last} {whole}"
            );
            if cut >= history.ends[SYNCED as usize] {
                assert!(last >= SYNCED);
            }
        }
    }
}

#[test]
fn a_torn_end_is_told_and_gone_for_good() {
    let history = history();
    let cut = history.ends[8] + 11;
    let mut disk = history.recover(&history.bytes[..cut]).unwrap();
    let told = disk.recovery().cut.clone().unwrap();
    assert_eq!((told.file, told.offset), (history.segment.clone(), history.ends[8] as u64));
    // The node goes on and dies again: only the new continuation is found.
    run(&mut disk, 9..=12);
    drop(disk);
    let disk = open(&history.path).unwrap();
    assert_eq!(disk.recovery().cut, None);
    assert_eq!(assert_prefix(&disk), 12);
}

#[test]
fn a_changed_byte_gives_a_prefix_or_is_refused() {
    let history = history();
    let (mut refused, mut prefixes) = (0, 0);
    for at in 0..history.ends[STEPS as usize] {
        let mut bytes = history.bytes.clone();
        bytes[at] ^= if at % 2 == 0 { 1 } else { 0xFF };
        let step_hit = history.ends.iter().filter(|end| **end <= at).count() as u64;
        match history.recover(&bytes) {
            Ok(disk) => {
                prefixes += 1;
                let last = assert_prefix(&disk);
                // A step that is proven to be synced must be there: a change before is refused or harmless.
                assert!(last >= SYNCED, "byte {at}: only {last} steps were found");
                assert!(last == STEPS || last == step_hit - 1, "byte {at}: {last}");
            }
            Err(error) => {
                refused += 1;
                assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
                assert!(step_hit <= SYNCED, "byte {at}: {error}");
                assert_eq!(fs::read(&history.segment).unwrap(), bytes, "nothing was changed");
            }
        }
    }
    assert!(refused > 200 && prefixes > 100, "{refused} {prefixes}");
}

#[test]
fn pages_written_out_of_order_are_no_damage_unless_they_were_synced() {
    let history = history();
    for lost in 1..=STEPS as usize {
        let mut bytes = history.bytes.clone();
        bytes[history.ends[lost - 1]..history.ends[lost]].fill(0);
        match history.recover(&bytes) {
            Ok(disk) => {
                assert!(lost as u64 > SYNCED);
                assert_eq!(assert_prefix(&disk), lost as u64 - 1);
                assert_eq!(disk.recovery().cut.is_some(), lost as u64 != STEPS);
            }
            Err(error) => {
                assert!(lost as u64 <= SYNCED);
                let text = error.to_string();
                let place = format!("is damaged at byte {}", history.ends[lost - 1]);
                assert!(text.contains(&place) && text.contains("proves that it was synced"), "{text}");
            }
        }
    }
}

/// Several segments: whatever is wrong in one that is not the last is damage.
#[test]
fn damage_in_an_earlier_segment_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let mut disk = open(&path).unwrap();
    run(&mut disk, 1..=60);
    assert!(disk.metrics().rotations >= 1);
    drop(disk);
    let first = path.join("journal/0000000000000001.journal");
    let bytes = fs::read(&first).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert_eq!(assert_prefix(&open(&path).unwrap()), 60);
    let mut refused = 0;
    for at in (0..end).step_by(13).chain([end - 1]) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&first, changed).unwrap();
        match open(&path) {
            // Padding was hit.
            Ok(disk) => assert_eq!(assert_prefix(&disk), 60),
            Err(OpenError::Damaged { file, .. }) if file == first => refused += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(refused > end / 13 * 8 / 10, "{refused} of {}", end / 13);
    for cut in (0..end).step_by(17) {
        fs::write(&first, &bytes[..cut]).unwrap();
        assert!(matches!(open(&path), Err(OpenError::Damaged { .. })), "cut at {cut}");
    }
    fs::remove_file(&first).unwrap();
    assert!(matches!(open(&path), Err(OpenError::Damaged { .. })));
    fs::write(&first, bytes).unwrap();
    assert_eq!(assert_prefix(&open(&path).unwrap()), 60);
}

#[test]
fn a_flush_before_the_crash_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let (kept, journal) = (directory.path().join("kept"), path.join("journal"));
    let mut disk = open(&path).unwrap();
    run(&mut disk, 1..=5);
    disk.sync_now().unwrap();
    copy(&journal, &kept);
    disk.flush_overlay().unwrap();
    drop(disk);
    // The flush is in the base, but its segments were not freed yet.
    fs::remove_dir_all(&journal).unwrap();
    copy(&kept, &journal);
    let mut disk = open(&path).unwrap();
    assert_eq!(assert_prefix(&disk), 5);
    run(&mut disk, 6..=9);
    drop(disk);
    assert_eq!(assert_prefix(&open(&path).unwrap()), 9);
}

#[test]
fn a_journal_that_ends_before_the_base_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let (kept, journal) = (directory.path().join("kept"), path.join("journal"));
    let mut disk = open(&path).unwrap();
    run(&mut disk, 1..=5);
    copy(&journal, &kept);
    run(&mut disk, 6..=8);
    disk.flush_overlay().unwrap();
    drop(disk);
    fs::remove_dir_all(&journal).unwrap();
    copy(&kept, &journal);
    let text = open(&path).map(drop).unwrap_err().to_string();
    assert!(text.contains("ends with write 5, but write 8 was synced"), "{text}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
