//! What applying one command costs, apart from the disk. Not a test of speed: it prints.
//! `cargo test --release -p quorate-core --test apply_cost -- --ignored --nocapture`

use bytes::Bytes;
use quorate_core::guarantee::Position;
use quorate_core::mutant::Mutants;
use quorate_core::operation::{Batch, TableId, Words};
use quorate_core::state::{self, Space, Stamp};
use quorate_core::store::{MemoryStore, Store, View};
use std::hint::black_box;
use std::time::Instant;

const SPACE: Space = [2, 0, 0, 0, 0, 0, 0];
const ROUNDS: u64 = 1_000_000;

fn words(line: &str) -> Words {
    line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
}

fn measure(name: &str, keys: u64, line: impl Fn(u64) -> String) {
    let mut store = MemoryStore::default();
    let batches: Vec<Batch> = (0..keys)
        .map(|key| Batch {
            table: TableId(0),
            guards: vec![],
            idempotency: None,
            commands: vec![words(&line(key))],
            transaction: false,
        })
        .collect();
    let mut run = |rounds: u64| {
        for round in 0..rounds {
            let stamp = Stamp::new(Position { group: 0, term: 1, index: round }, 1000, 1000);
            black_box(state::apply(&mut store, SPACE, stamp, &batches[(round % keys) as usize], Mutants::none()));
        }
    };
    run(keys);
    let begun = Instant::now();
    run(ROUNDS);
    println!("{name:28} {:>6} keys  {:>6.0} ns", keys, begun.elapsed().as_nanos() as f64 / ROUNDS as f64);
}

/// The store's own part: two gets and a put, as SET does them.
fn measure_store(keys: u64) {
    let mut store = MemoryStore::default();
    let names: Vec<Bytes> = (0..keys).map(|key| Bytes::from(format!("0123456789abcdefghij:{key}"))).collect();
    names.iter().for_each(|name| store.put(name, &[7; 109]));
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let name = &names[(round % keys) as usize];
        black_box((store.get(&names[0]), store.get(name)));
        store.put(name, &[7; 109]);
    }
    println!(
        "{:28} {keys:>6} keys  {:>6.0} ns",
        "store alone: get get put",
        begun.elapsed().as_nanos() as f64 / ROUNDS as f64
    );
}

#[test]
#[ignore = "prints figures; run it in release mode"]
fn cost_of_apply() {
    let value = "v".repeat(100);
    for keys in [1, 1_000, 100_000] {
        measure_store(keys);
        measure("SET, 100 bytes", keys, |key| format!("SET key:{key} {value}"));
        measure("GET absent", keys, |key| format!("GET key:{key}"));
        measure("INCR", keys, |key| format!("INCR key:{key}"));
        measure("HSET, one field", keys, |key| format!("HSET hash:{} field:{key} {value}", key % 100));
    }
}
