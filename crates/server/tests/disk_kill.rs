//! A process that writes is killed, over and over; what it had acknowledged must be there.
#![allow(clippy::unwrap_used)]

use quorate_core::store::{Seq, Store, View};
use quorate_server::disk::{DataDir, Disk, Identity, Options};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const CHILD: &str = "QUORATE_TEST_DISK_KILL";

fn open(path: &Path) -> Disk {
    let options = Options {
        overlay_bytes: 256 * 1024,
        journal_bytes: 1024 * 1024,
        segment_bytes: 256 * 1024,
        first_segment_bytes: 64 * 1024,
        cache_bytes: 1024 * 1024,
    };
    Disk::open(DataDir::open(path, &Identity { cluster: 1, node: 1 }).unwrap(), options, Arc::new(|| ())).unwrap()
}

fn cell(seq: u64) -> [u8; 3] {
    [2, (seq % 7) as u8, (seq % 5) as u8]
}

fn entry(seq: u64) -> Vec<u8> {
    [&[1, 0, 0, b'l'][..], &seq.to_be_bytes()].concat()
}

/// Every step writes a cell and a log entry, and deletes the entry of a hundred steps ago.
fn write(disk: &mut Disk) {
    let seq = disk.written().0 + 1;
    disk.put(&cell(seq), &[&seq.to_be_bytes()[..], &[0; 200]].concat());
    disk.put(&entry(seq), &[1; 100]);
    if seq > 100 {
        disk.delete(&entry(seq - 100));
    }
    disk.end_turn(Seq(seq), true).unwrap();
}

/// Runs in the child, and only there: prints each acknowledged step, until it is killed.
#[test]
fn child_that_writes() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let mut disk = open(Path::new(&path));
    let mut out = std::io::stdout();
    loop {
        for _ in 0..1 + disk.written().0 % 13 {
            write(&mut disk);
        }
        let upto = disk.written();
        if upto.0.is_multiple_of(2) {
            disk.request_sync(upto).unwrap();
            while disk.poll_synced().unwrap() < upto {
                std::thread::yield_now();
            }
        } else {
            disk.sync_now().unwrap();
        }
        writeln!(out, "acknowledged {}", upto.0).unwrap();
    }
}

#[test]
fn a_killed_process_loses_no_acknowledged_step() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some(seq) = line.strip_prefix("acknowledged ") {
                acknowledged = seq.parse().unwrap();
                heard += 1;
                if heard == 150 * round {
                    break;
                }
            }
        }
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(seq) = line.strip_prefix("acknowledged ") {
                acknowledged = seq.parse().unwrap();
            }
        }
        child.wait().unwrap();
        assert_eq!(heard, 150 * round, "the child ended by itself");
        let disk = open(directory.path());
        assert_eq!(disk.directory().incarnation(), 2 * round);
        assert!(disk.directory().was_unclean());
        let last = disk.recovery().last.0;
        assert!(last >= acknowledged, "{acknowledged} steps were acknowledged, {last} are there");
        assert_state(&disk, last);
        disk.close().unwrap();
    }
    let disk = open(directory.path());
    assert!(disk.metrics().base_bytes > 0, "overlays were flushed on the way");
}

/// Exactly the state after step `last`.
fn assert_state(disk: &Disk, last: u64) {
    let mut entries = Vec::new();
    disk.scan(&entry(0), &[1, 0, 0, b'm'], &mut |key, _| {
        entries.push(key.to_vec());
        true
    });
    let expected: Vec<_> = (last.saturating_sub(99).max(1)..=last).map(entry).collect();
    assert_eq!(entries, expected);
    for seq in last.saturating_sub(34).max(1)..=last {
        let value = disk.get(&cell(seq)).unwrap();
        assert_eq!(value[..8], seq.to_be_bytes());
    }
}
