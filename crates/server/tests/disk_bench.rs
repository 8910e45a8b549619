//! Measurements, not tests: `cargo test --release -p quorate-server --test disk_bench -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used)]

use quorate_core::store::{Seq, Store, View};
use quorate_server::disk::{DataDir, Disk, Identity, Options};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where to measure: the temporary directory may be in memory.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(std::env::var("QUORATE_BENCH_DIR").unwrap_or_else(|_| "target".into())).unwrap()
}

fn open(path: &Path) -> Disk {
    let directory = DataDir::open(path, &Identity { cluster: 1, node: 1 }).unwrap();
    Disk::open(directory, Options::default(), Arc::new(|| ())).unwrap()
}

/// User and system time of this process, or of this thread, in clock ticks of 10 ms.
fn cpu(file: &str) -> Duration {
    let stat = fs::read_to_string(file).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    Duration::from_millis((fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()) * 10)
}

fn memory_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn state_key(id: u64) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 0, 1, b'c', 0][..], format!("key:{id:012}").as_bytes()].concat()
}

fn log_key(index: u64) -> [u8; 12] {
    let mut key = [1, 0, 0, b'l', 0, 0, 0, 0, 0, 0, 0, 0];
    key[4..].copy_from_slice(&index.to_be_bytes());
    key
}

fn end(disk: &mut Disk) {
    let seq = Seq(disk.written().0 + 1);
    disk.end_turn(seq, true).unwrap();
}

#[test]
#[ignore = "a measurement"]
fn put_and_journal() {
    for batch in [1, 16, 256] {
        let directory = directory();
        let mut disk = open(directory.path());
        let mut random = Random(7);
        let keys: Vec<Vec<u8>> = (0..100_000).map(|_| state_key(random.next() % 100_000)).collect();
        for pass in ["first", "again"] {
            let (started, used) = (Instant::now(), cpu("/proc/thread-self/stat"));
            for batch in keys.chunks(batch) {
                for key in batch {
                    disk.put(key, &[7; 100]);
                    end(&mut disk);
                }
                disk.flush_frames().unwrap();
            }
            let ns = started.elapsed().as_nanos() / keys.len() as u128;
            let used = (cpu("/proc/thread-self/stat") - used).as_nanos() / keys.len() as u128;
            println!("batch {batch:3}, {pass}: {ns} ns per put, one step each (CPU {used} ns)");
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn sync_latency() {
    let directory = directory();
    let mut disk = open(directory.path());
    let mut random = Random(7);
    std::thread::sleep(Duration::from_millis(300));
    for round in 0..2 {
        for inline in [true, false] {
            let mut times: Vec<u64> = (0..1500)
                .map(|_| {
                    for _ in 0..8 {
                        disk.put(&state_key(random.next() % 100_000), &[7; 100]);
                    }
                    end(&mut disk);
                    let started = Instant::now();
                    if inline {
                        disk.sync_now().unwrap();
                    } else {
                        let upto = disk.written();
                        disk.request_sync(upto).unwrap();
                        while disk.poll_synced().unwrap() < upto {
                            std::thread::sleep(Duration::from_micros(1));
                        }
                    }
                    started.elapsed().as_micros() as u64
                })
                .collect();
            times.sort_unstable();
            let at = |part: usize| times[times.len() * part / 1000];
            let how = if inline { "on the loop" } else { "by the thread" };
            println!(
                "round {round}: sync {how}: p50 {} µs, p90 {}, p99 {}, max {}",
                at(500),
                at(900),
                at(990),
                at(999)
            );
        }
    }
}

/// As the disk driver's comparison in the design: an entry put, a cell read and put, an old entry deleted; one sync per turn.
#[test]
#[ignore = "a measurement"]
fn node_work() {
    let directory = directory();
    let mut disk = open(directory.path());
    println!("empty: {} MiB resident", memory_mib());
    let mut random = Random(7);
    let started = Instant::now();
    for id in 0..1_000_000 {
        disk.put(&state_key(id * 7919 % 1_000_000), &[7; 100]);
        if id % 100 == 99 {
            end(&mut disk);
            disk.flush_frames().unwrap();
        }
    }
    disk.sync_now().unwrap();
    println!("1 M keys loaded in {:?}: {} MiB resident", started.elapsed(), memory_mib());
    let (mut index, kept) = (0, std::env::var("QUORATE_BENCH_KEPT").map_or(10_000, |text| text.parse().unwrap()));
    for (batch, operations) in [(1, 20_000), (8, 150_000), (50, 400_000), (800, 600_000)] {
        let before = disk.metrics();
        let used = (cpu("/proc/self/stat"), cpu("/proc/thread-self/stat"));
        let started = Instant::now();
        for _ in 0..operations / batch {
            for _ in 0..batch {
                disk.put(&log_key(index), &[7; 140]);
                let key = state_key(random.next() % 1_000_000);
                assert!(disk.get(&key).is_some());
                disk.put(&key, &[8; 100]);
                if index >= kept {
                    disk.delete(&log_key(index - kept));
                }
                index += 1;
            }
            end(&mut disk);
            disk.sync_now().unwrap();
        }
        let took = started.elapsed();
        let per = |now: Duration, then: Duration| (now - then).as_micros() as f64 / f64::from(operations);
        println!(
            "{batch:3} per turn: {:.1} k/s; CPU per operation {:.1} µs in all, {:.1} µs on the loop; {} MiB resident",
            f64::from(operations) / took.as_secs_f64() / 1000.0,
            per(cpu("/proc/self/stat"), used.0),
            per(cpu("/proc/thread-self/stat"), used.1),
            memory_mib(),
        );
        let after = disk.metrics();
        println!(
            "    freezes {}, flush {} ms (max {}), stalls {} of {} ms, unprepared {} of {}, base {} MiB",
            after.freezes - before.freezes,
            (after.flush_us_total - before.flush_us_total) / 1000,
            after.flush_us_max / 1000,
            after.stalls - before.stalls,
            (after.stall_us_total - before.stall_us_total) / 1000,
            after.rotations_unprepared - before.rotations_unprepared,
            after.rotations - before.rotations,
            after.base_bytes >> 20,
        );
    }
    let started = Instant::now();
    drop(disk);
    println!("dropped in {:?}", started.elapsed());
    let started = Instant::now();
    let disk = open(directory.path());
    println!("reopened in {:?}, {} frames replayed", started.elapsed(), disk.recovery().frames);
}

/// Two ways to move a sorted overlay into fjall: bulk ingestion, and batches through its journal and memtable.
#[test]
#[ignore = "a measurement"]
fn ways_to_flush() {
    let mut random = Random(7);
    for way in ["ingestion", "batches", "ingestion", "batches"] {
        let directory = directory();
        let database = fjall::Database::builder(directory.path()).worker_threads(1).open().unwrap();
        let pairs = database.keyspace("pairs", fjall::KeyspaceCreateOptions::default).unwrap();
        let (started, used) = (Instant::now(), cpu("/proc/self/stat"));
        for _ in 0..8 {
            let keys: std::collections::BTreeSet<_> =
                (0..100_000).map(|_| state_key(random.next() % 1_000_000)).collect();
            if way == "ingestion" {
                let mut ingestion = pairs.start_ingestion().unwrap();
                keys.into_iter().for_each(|key| ingestion.write(key, [7; 100]).unwrap());
                ingestion.finish().unwrap();
            } else {
                let keys: Vec<_> = keys.into_iter().collect();
                for some in keys.chunks(1000) {
                    let mut batch = database.batch();
                    some.iter().for_each(|key| batch.insert(&pairs, key.as_slice(), [7; 100]));
                    batch.commit().unwrap();
                }
                database.persist(fjall::PersistMode::SyncAll).unwrap();
            }
        }
        let (took, used) = (started.elapsed(), cpu("/proc/self/stat") - used);
        println!("{way}: 800 k pairs in {took:?}, CPU {used:?} (making the keys and compactions included)");
    }
}

#[test]
#[ignore = "a measurement"]
fn first_open() {
    for _ in 0..3 {
        let directory = directory();
        let started = Instant::now();
        let mut disk = open(directory.path());
        let opened = started.elapsed();
        disk.put(&[2, 1], b"x");
        end(&mut disk);
        disk.sync_now().unwrap();
        println!("first open {opened:?}, first synced write {:?}", started.elapsed());
    }
}
