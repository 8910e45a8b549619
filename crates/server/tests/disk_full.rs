//! A disk without space, with the real limits of the operating system on the size of a file.
#![allow(clippy::unwrap_used)]

use quorate_core::store::{Seq, Store, View};
use quorate_server::disk::{DataDir, Disk, Identity, Options};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const CHILD: &str = "QUORATE_TEST_DISK_FULL";

fn open(path: &Path) -> Disk {
    let options = Options {
        // Segments grow fourfold up to this, so that one of them meets the limit.
        first_segment_bytes: 64 * 1024,
        segment_bytes: 128 * 1024 * 1024,
        ..Options::default()
    };
    Disk::open(DataDir::open(path, &Identity { cluster: 1, node: 1 }).unwrap(), options, Arc::new(|| ())).unwrap()
}

/// Runs in the child, and only there: writes until the disk is full, and tells how far it came.
#[test]
fn child_that_fills() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let mut disk = open(Path::new(&path));
    let mut acknowledged = 0;
    let error = loop {
        let seq = Seq(disk.written().0 + 1);
        disk.put(&[&[2][..], &seq.0.to_be_bytes()].concat(), &[7; 10_000]);
        let synced = disk.end_turn(seq, true).and_then(|()| disk.sync_now());
        match synced {
            Ok(synced) => acknowledged = synced.0,
            Err(error) => break error,
        }
    };
    // It stays failed.
    assert!(disk.sync_now().is_err() && disk.flush_frames().is_err() && disk.poll_synced().is_err());
    let seq = Seq(disk.written().0 + 1);
    assert!(disk.end_turn(seq, false).is_err());
    println!("acknowledged {acknowledged} then {error}");
}

#[test]
fn a_full_disk_stops_the_node_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    // fjall's own journal is a file of 64 MiB with holes, so the limit is above that.
    let script = "trap '' XFSZ; ulimit -f $1; exec \"$0\" --exact child_that_fills --nocapture";
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg((66 * 1024).to_string())
        .env(CHILD, &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("acknowledged "));
    let line = line.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
    let (acknowledged, error) = line.split_once(" then ").unwrap();
    let acknowledged: u64 = acknowledged.parse().unwrap();
    assert!(error.contains("restart the node"), "{error}");
    assert!(acknowledged > 1_000, "{text}");
    let disk = open(&path);
    let last = disk.recovery().last.0;
    assert!(last == acknowledged || last == acknowledged + 1, "{acknowledged} {last}");
    for seq in 1..=last {
        assert_eq!(disk.get(&[&[2][..], &seq.to_be_bytes()].concat()).unwrap()[..], [7; 10_000]);
    }
}
