//! Data directories that are opened, and those that are refused.
#![allow(clippy::unwrap_used)]

use quorate_core::store::{Seq, Store, View};
use quorate_server::disk::{DataDir, Disk, Identity, OpenError, Options};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const OURS: Identity = Identity { cluster: 0xabcd, node: 2 };

fn disk(path: &Path) -> Result<Disk, OpenError> {
    Disk::open(DataDir::open(path, &OURS)?, Options::default(), Arc::new(|| ()))
}

fn refused(path: &Path, identity: &Identity) -> String {
    DataDir::open(path, identity).unwrap_err().to_string()
}

#[test]
fn incarnations_rise_and_unclean_ends_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/data");
    assert_eq!(DataDir::identity_of(&path).unwrap(), None);
    let first = disk(&path).unwrap();
    assert_eq!(first.directory().incarnation(), 1);
    assert!(first.directory().is_new() && !first.directory().was_unclean());
    assert_eq!(DataDir::identity_of(&path).unwrap(), Some(OURS));
    drop(first);
    let second = disk(&path).unwrap();
    assert_eq!(second.directory().incarnation(), 2);
    assert!(second.directory().was_unclean() && !second.directory().is_new());
    second.close().unwrap();
    let third = DataDir::open(&path, &OURS).unwrap();
    assert_eq!(third.incarnation(), 3);
    assert!(!third.was_unclean() && !third.is_new());
}

#[test]
fn a_second_opener_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = DataDir::open(directory.path(), &OURS).unwrap();
    let text = refused(directory.path(), &OURS);
    assert!(text.contains("in use by another process") && text.contains(directory.path().to_str().unwrap()), "{text}");
    drop(first);
    let again = DataDir::open(directory.path(), &OURS).unwrap();
    assert_eq!(again.incarnation(), 2, "a refused open is no life of the node");
}

#[test]
fn foreign_directories_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("holiday.jpg"), "x").unwrap();
    let text = refused(directory.path(), &OURS);
    assert!(text.contains("holiday.jpg") && text.contains("not a data directory"), "{text}");
    assert!(matches!(DataDir::identity_of(directory.path()), Err(OpenError::NotOurs { .. })));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn directories_of_others_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(DataDir::open(directory.path(), &OURS).unwrap());
    let before = fs::read(directory.path().join("IDENTITY")).unwrap();
    let text = refused(directory.path(), &Identity { cluster: 0xef, ..OURS });
    assert!(text.contains("belongs to cluster 000000000000abcd, not to 00000000000000ef"), "{text}");
    let text = refused(directory.path(), &Identity { node: 3, ..OURS });
    assert!(text.contains("belongs to node 2, not to node 3"), "{text}");
    assert_eq!(fs::read(directory.path().join("IDENTITY")).unwrap(), before);
}

#[test]
fn a_newer_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let body = "quorate data directory\nformat 2\nsomething else\n";
    let sum = crc32c::crc32c(body.as_bytes());
    fs::write(directory.path().join("IDENTITY"), format!("{body}crc32c {sum:08x}\n")).unwrap();
    let text = refused(directory.path(), &OURS);
    assert!(text.contains("has format 2") && text.contains("formats up to 1"), "{text}");
}

#[test]
fn a_damaged_or_missing_identity_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    disk(directory.path()).unwrap().close().unwrap();
    let file = directory.path().join("IDENTITY");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("node 2", "node 3")).unwrap();
    let error = refused(directory.path(), &OURS);
    assert!(error.contains("IDENTITY is damaged at byte 0") && error.contains("checksum"), "{error}");
    // Without its identity it is a directory with unknown things in it.
    fs::remove_file(&file).unwrap();
    assert!(matches!(DataDir::open(directory.path(), &OURS), Err(OpenError::NotOurs { .. })));
}

#[test]
fn an_interrupted_first_open_is_taken_up_again() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("LOCK"), "").unwrap();
    fs::write(directory.path().join("IDENTITY.new"), "quor").unwrap();
    assert_eq!(DataDir::open(directory.path(), &OURS).unwrap().incarnation(), 1);
}

fn write_and_close(path: &Path) {
    let mut disk = disk(path).unwrap();
    for key in 1..=5 {
        disk.put(&[2, key], b"value");
        disk.end_turn(Seq(u64::from(key)), true).unwrap();
    }
    disk.close().unwrap();
}

#[test]
fn a_journal_that_is_missing_or_shortened_after_a_clean_close_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    write_and_close(directory.path());
    let journal = directory.path().join("journal");
    let segment = journal.join("0000000000000001.journal");
    let whole = fs::read(&segment).unwrap();
    // Five frames of 40 bytes follow the header of 40 bytes. A second attempt is refused as the first.
    for keep in [237, 200, 100, 40] {
        fs::write(&segment, &whole[..keep]).unwrap();
        for _ in 0..2 {
            let text = disk(directory.path()).map(drop).unwrap_err().to_string();
            assert!(text.contains("is damaged at byte") && text.contains("write 5 was synced"), "{keep}: {text}");
        }
    }
    fs::remove_file(&segment).unwrap();
    assert!(matches!(disk(directory.path()), Err(OpenError::Damaged { .. })));
    fs::write(&segment, &whole).unwrap();
    let disk = disk(directory.path()).unwrap();
    assert_eq!((disk.written(), disk.get(&[2, 5]).is_some()), (Seq(5), true));
}
