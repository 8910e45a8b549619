//! The disk against a map in memory, over random histories of writes, flushes, reopens and reads.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use quorate_core::store::{MemoryStore, Seq, Store, View};
use quorate_server::disk::{DataDir, Disk, Identity, Options};
use std::path::Path;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Action {
    /// A step with these writes; `None` deletes.
    Step(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// Log entries are appended above all others, and deleted from below, as the consensus room does.
    Log {
        append: u8,
        delete: u8,
    },
    FlushFrames,
    SyncHere,
    SyncThere,
    FlushOverlay,
    Close,
    /// The process dies: nothing is closed.
    Drop,
    Scan(Vec<u8>, Vec<u8>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..3_u8, 0..40_u8).prop_map(|(kind, at)| vec![2, 0, kind, 0, 0, at]),
        2 => (0..60_u64).prop_map(log_key),
        1 => proptest::collection::vec(1..4_u8, 1..6),
        1 => Just(vec![0xFF; 5]),
    ]
}

fn log_key(index: u64) -> Vec<u8> {
    [&[1, 0, 0, b'l'][..], &index.to_be_bytes()].concat()
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    let bytes = (any::<u8>(), prop_oneof![8 => 0..200_usize, 1 => 5_000..9_000_usize]);
    prop_oneof![3 => bytes.prop_map(|(byte, len)| Some(vec![byte; len])), 1 => Just(None)]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => proptest::collection::vec((key(), value()), 0..8).prop_map(Action::Step),
        6 => (0..20_u8, 0..20_u8).prop_map(|(append, delete)| Action::Log { append, delete }),
        3 => Just(Action::FlushFrames),
        1 => Just(Action::SyncHere),
        1 => Just(Action::SyncThere),
        2 => Just(Action::FlushOverlay),
        1 => Just(Action::Close),
        1 => Just(Action::Drop),
        4 => (key(), key()).prop_map(|(from, until)| Action::Scan(from, until)),
    ]
}

fn open(path: &Path) -> Disk {
    let options = Options {
        overlay_bytes: 16 * 1024,
        journal_bytes: 64 * 1024,
        segment_bytes: 32 * 1024,
        first_segment_bytes: 8 * 1024,
        cache_bytes: 1024 * 1024,
    };
    let directory = DataDir::open(path, &Identity { cluster: 1, node: 1 }).unwrap();
    Disk::open(directory, options, Arc::new(|| ())).unwrap()
}

fn pairs(view: &dyn View, from: &[u8], until: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    view.scan(from, until, &mut |key, value| {
        pairs.push((key.to_vec(), value.to_vec()));
        true
    });
    pairs
}

fn write(disk: &mut Disk, model: &mut MemoryStore, key: &[u8], value: Option<&[u8]>) {
    for store in [disk as &mut dyn Store, model] {
        match value {
            Some(value) => store.put(key, value),
            None => store.delete(key),
        }
    }
}

fn run(actions: &[Action]) {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = open(directory.path());
    let mut model = MemoryStore::default();
    let (mut log_start, mut log_end) = (1000, 1000);
    let end_turn = |disk: &mut Disk| {
        let seq = Seq(disk.written().0 + 1);
        disk.end_turn(seq, true).unwrap();
    };
    for action in actions {
        match action {
            Action::Step(writes) => {
                for (key, value) in writes {
                    write(&mut disk, &mut model, key, value.as_deref());
                    assert_eq!(disk.get(key), model.get(key));
                }
                end_turn(&mut disk);
            }
            Action::Log { append, delete } => {
                for _ in 0..*append {
                    write(&mut disk, &mut model, &log_key(log_end), Some(&[7; 100]));
                    log_end += 1;
                }
                for _ in 0..u64::from(*delete).min(log_end - log_start) {
                    write(&mut disk, &mut model, &log_key(log_start), None);
                    log_start += 1;
                }
                end_turn(&mut disk);
            }
            Action::FlushFrames => disk.flush_frames().unwrap(),
            Action::SyncHere => assert_eq!(disk.sync_now().unwrap(), disk.written()),
            Action::SyncThere => {
                let upto = disk.written();
                disk.request_sync(upto).unwrap();
                while disk.poll_synced().unwrap() < upto {
                    std::thread::yield_now();
                }
            }
            Action::FlushOverlay => disk.flush_overlay().unwrap(),
            Action::Close | Action::Drop => {
                let last = disk.written();
                if matches!(action, Action::Close) {
                    disk.close().unwrap();
                } else {
                    disk.flush_frames().unwrap();
                    drop(disk);
                }
                disk = open(directory.path());
                assert_eq!(disk.recovery().last, last);
                assert_eq!(disk.recovery().cut, None);
                assert_eq!(disk.written(), last);
            }
            Action::Scan(from, until) => assert_eq!(pairs(&disk, from, until), pairs(&model, from, until)),
        }
    }
    assert_eq!(pairs(&disk, &[], &[0xFF; 9]), pairs(&model, &[], &[0xFF; 9]));
    for log in [[1, 0, 0, b'l'], [2, 0, 0, 0]] {
        let until = [log[0], log[1], log[2], log[3] + 1];
        assert_eq!(pairs(&disk, &log, &until), pairs(&model, &log, &until));
    }
    for (key, value) in &model.0 {
        assert_eq!(disk.get(key).as_ref(), Some(value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_disk_reads_as_the_model_does(actions in proptest::collection::vec(action(), 1..150)) {
        run(&actions);
    }
}

/// A long run, so that overlays are frozen, segments recycled, and tables compacted many times.
#[test]
fn a_long_history_reads_as_the_model_does() {
    let mut actions = Vec::new();
    let mut random = 1_u64;
    let mut next = move || {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) as u8
    };
    for turn in 0..12_000_u32 {
        let key = vec![2, 0, 0, 0, next() % 3, next()];
        let value = (next() % 4 > 0).then(|| vec![next(); usize::from(next())]);
        actions.push(Action::Step(vec![(key, value)]));
        actions.push(Action::Log { append: 2, delete: if turn < 100 { 0 } else { 2 } });
        match turn % 1_000 {
            250 => actions.push(Action::SyncThere),
            500 => actions.push(Action::Scan(vec![2, 0, 0, 0, 1], vec![2, 0, 0, 0, 2])),
            999 if turn % 2_000 == 999 => actions.push(Action::Close),
            999 => actions.push(Action::Drop),
            _ => {}
        }
    }
    run(&actions);
}
