//! Laws over random commands: small spaces so that keys, types and expiries collide.

use super::*;
use crate::random::Random;
use layout::{Body, Cell, CollectionId, KIND};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const COMMANDS: &[&str] = &[
    "SET k v",
    "SET k n",
    "SET k v PX t",
    "SET k v EX 1",
    "SET k v KEEPTTL",
    "SET k v NX GET",
    "SET k v PXAT 5",
    "GETSET k v",
    "GETDEL k",
    "GETEX k PX t",
    "GETEX k PERSIST",
    "GETEX k PXAT 5",
    "SETNX k v",
    "MSET k v k v",
    "MSETNX k v k v",
    "APPEND k v",
    "SETRANGE k n v",
    "INCR k",
    "INCRBY k n",
    "INCRBYFLOAT k n",
    "CAS k v v",
    "GET k",
    "MGET k k k",
    "STRLEN k",
    "GETRANGE k 1 -1",
    "VERSION k",
    "DEL k k",
    "UNLINK k",
    "EXISTS k k",
    "TYPE k",
    "RENAME k k",
    "RENAMENX k k",
    "COPY k k",
    "COPY k k REPLACE",
    "COPY k k DB 1 REPLACE",
    "KEYS *",
    "SCAN 0 COUNT 2",
    "DBSIZE",
    "RANDOMKEY",
    "PEXPIRE k t",
    "PEXPIRE k -1",
    "PEXPIRE k t GT",
    "PEXPIRE k t LT",
    "PERSIST k",
    "PTTL k",
    "TTL k",
    "PEXPIRETIME k",
    "TABLE.CREATE k",
    "TABLE.CREATE k shape leaderless replicas n cell set",
    "TABLE.ALTER k read n",
    "TABLE.DROP k",
    "TABLE.LIFE 1 5 0",
    "TABLE.CAUGHT 256 4 5",
    "MEMBER.SET 5 weight 2 founders 1,2,3,4 1,2,3",
    "MEMBER.SET 4 votes yes zone 3 founders 1 1",
    "MEMBER.LIST",
    "TABLE.LIST",
    "TABLE.SHOW k",
    "FLUSHDB",
    "FLUSHALL",
    "HSET k f v f v",
    "HSETNX k f v",
    "HGET k f",
    "HMGET k f f",
    "HGETALL k",
    "HDEL k f f",
    "HLEN k",
    "HINCRBY k f n",
    "HINCRBYFLOAT k f n",
    "HRANDFIELD k 2",
    "HSCAN k 0",
    "BIG k",
    "SADD k f f f",
    "SREM k f f",
    "SMEMBERS k",
    "SCARD k",
    "SPOP k",
    "SPOP k 2",
    "SRANDMEMBER k -3",
    "SMOVE k k f",
    "SINTER k k",
    "SINTERSTORE k k k",
    "SUNIONSTORE k k k",
    "SDIFFSTORE k k k",
    "SSCAN k 0 COUNT 1",
];

/// A command that a number stands for.
fn command(number: u64) -> Words {
    let mut random = Random::new(number);
    let template = COMMANDS[random.below(COMMANDS.len() as u64) as usize];
    if template == "BIG k" {
        let key = format!("k{}", random.below(5));
        let members = (0..100).map(|at| format!(" m{at}")).collect::<String>();
        return words(&format!("SADD {key}{members}"));
    }
    let word = |hole: &str| match hole {
        "k" => format!("k{}", random.below(5)),
        "f" => format!("f{}", random.below(5)),
        "v" => format!("v{}", random.below(3)),
        "n" => format!("{}", random.below(7)),
        "t" => format!("{}", 1 + random.below(60)),
        other => other.to_string(),
    };
    template.split(' ').map(word).map(|word| Bytes::from(word.into_bytes())).collect()
}

fn single(number: u64) -> Batch {
    let commands = vec![command(number)];
    Batch { table: TableId((number % 2) as u16), guards: vec![], idempotency: None, commands, transaction: false }
}

fn numbers() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), 1..120)
}

/// Lets log time pass, by a number of milliseconds that the command's number decides.
fn pass(replica: &mut Replica, number: u64) {
    replica.time_ms += (number >> 8) % 16;
}

fn sweep_all(replica: &mut Replica) {
    for _ in 0..1000 {
        if !replica.sweep() {
            return;
        }
    }
    panic!("a sweep without end");
}

/// What every reading command says about every key, and where scans lead.
fn visible(replica: &Replica) -> Vec<String> {
    let mut told = Vec::new();
    for table in 0..2 {
        let mut ask = |line: &str| {
            let (time, display) = (replica.time_ms, replica.time_ms + 7);
            let value = read(&replica.store, SPACE, TableId(table), &[words(line)], false, time, display);
            told.push(format!("{line}: {}", shown(&value)));
        };
        ["DBSIZE", "KEYS *", "SCAN 0 COUNT 100"].into_iter().for_each(&mut ask);
        for key in 0..5 {
            for line in ["GET", "TYPE", "VERSION", "PTTL", "TTL", "PEXPIRETIME", "HGETALL", "SMEMBERS", "HLEN", "SCARD"]
            {
                ask(&format!("{line} k{key}"));
            }
        }
    }
    told
}

/// Counts, indexes and elements agree with the cells. `swept`: nothing that was dropped is left.
fn check_structure(replica: &Replica, swept: bool) {
    let of_kind = |kind: u8| {
        let (from, until) = layout::kind_range(SPACE, kind);
        replica.store.0.range(Bytes::from(from)..Bytes::from(until))
    };
    let mut live = BTreeSet::new();
    let mut dropped = BTreeSet::new();
    let mut expiries = BTreeSet::new();
    let mut counts = BTreeMap::new();
    let generations: BTreeMap<u16, u32> = of_kind(layout::TABLE)
        .map(|(key, value)| {
            let id = u16::from_be_bytes([key[KIND], key[KIND + 1]]);
            (id, layout::Table::decode(TableId(id), Some(value)).generation)
        })
        .collect();
    for (key, value) in of_kind(layout::CELL) {
        let cell = Cell::decode(value.clone());
        let (table, generation) = layout::cell_table(key);
        let current = generations.get(&table.0).copied() == Some(generation);
        assert!(current || !swept, "a cell of a flushed table is left");
        if current {
            *counts.entry(table.0).or_insert(0u64) += 1;
        }
        if let Some(expiry) = cell.expiry {
            expiries.insert(layout::expiry_key(SPACE, expiry, key));
        }
        if let Body::Collection(collection) = cell.body {
            let (from, until) = collection.id.element_range(SPACE, 0);
            let elements = replica.store.0.range(Bytes::from(from.clone())..Bytes::from(until)).count() as u64;
            assert_eq!(elements, collection.count, "a collection counts its elements");
            assert!(elements > 0, "an empty collection is no key");
            assert!(live.insert(from[KIND..KIND + CollectionId::BYTES].to_vec()), "a collection with two owners");
        }
    }
    for (key, value) in of_kind(layout::TABLE) {
        let id = u16::from_be_bytes([key[KIND], key[KIND + 1]]);
        let table = layout::Table::decode(TableId(id), Some(value));
        assert_eq!(table.cells, counts.get(&id).copied().unwrap_or(0), "a table counts its cells");
    }
    let mut indexed = BTreeSet::new();
    for (key, _) in of_kind(layout::DUE) {
        match layout::Due::decode(key) {
            (_, layout::Due::Cell, _) => assert!(indexed.insert(key.to_vec())),
            (0, layout::Due::DroppedCollection, id) => assert!(dropped.insert(id.to_vec())),
            (0, layout::Due::DroppedTable, _) => assert!(!swept, "a dropped table is left"),
            other => panic!("due work of no kind: {other:?}"),
        }
    }
    assert_eq!(expiries, indexed, "the index of expiries");
    assert!(dropped.is_disjoint(&live), "a collection in use is to be dropped");
    assert!(!swept || dropped.is_empty(), "a dropped collection is left");
    for (key, _) in of_kind(layout::ELEMENT) {
        let id = &key[KIND..KIND + CollectionId::BYTES];
        assert!(live.contains(id) || dropped.contains(id), "an orphan element");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_and_indexes_agree_with_the_cells(numbers in numbers()) {
        let mut replica = Replica::new();
        for number in numbers {
            pass(&mut replica, number);
            replica.apply(&single(number));
            check_structure(&replica, false);
            for table in 0..2 {
                let count = |line: &str| {
                    match read(&replica.store, SPACE, TableId(table), &[words(line)], false, replica.time_ms, 0) {
                        Value::Int(count) => count as usize,
                        Value::Array(items) => items.len(),
                        other => panic!("{other:?}"),
                    }
                };
                prop_assert_eq!(count("DBSIZE"), count("KEYS *"));
            }
        }
        sweep_all(&mut replica);
        check_structure(&replica, true);
        prop_assert!(next_expiry(&replica.store, SPACE).is_none_or(|due| due > replica.time_ms));
    }

    #[test]
    fn a_sweep_changes_no_reply(numbers in numbers()) {
        let (mut swept, mut never) = (Replica::new(), Replica::new());
        for number in numbers {
            pass(&mut swept, number);
            pass(&mut never, number);
            if number % 3 == 0 {
                swept.sweep();
            }
            let batch = single(number);
            let random = matches!(&batch.commands[0][0][..], b"RANDOMKEY");
            let (one, other) = (swept.apply(&batch), never.apply(&batch));
            prop_assert!(random || one == other, "{:?}: {:?} {:?}", batch.commands, one, other);
            prop_assert_eq!(visible(&swept), visible(&never));
        }
    }

    #[test]
    fn apply_is_a_function_of_state_stamp_and_batch(numbers in numbers()) {
        let mut one = Replica::new();
        let mut other = one.clone();
        for number in &numbers {
            pass(&mut one, *number);
            prop_assert_eq!(one.apply(&single(*number)), { pass(&mut other, *number); other.apply(&single(*number)) });
            if number % 5 == 0 {
                other.store = MemoryStore(other.store.0.into_iter().collect());
            }
        }
        prop_assert_eq!(one.store, other.store);
    }

    #[test]
    fn a_command_that_fails_changes_nothing(numbers in numbers()) {
        let mut replica = Replica::new();
        for number in numbers {
            pass(&mut replica, number);
            let before = replica.store.clone();
            if replica.apply(&single(number)).value.is_error() {
                prop_assert_eq!(before, replica.store.clone());
            }
        }
    }

    #[test]
    fn reads_say_what_the_log_would_say_and_write_nothing(numbers in numbers()) {
        let mut replica = Replica::new();
        for number in numbers {
            pass(&mut replica, number);
            let batch = single(number);
            let name = &batch.commands[0][0];
            let before = replica.store.clone();
            let time = replica.time_ms;
            let told = read(&replica.store, SPACE, batch.table, &batch.commands, false, time, time);
            let value = replica.apply(&batch).value;
            if command::find(name).unwrap().write {
                prop_assert!(told.is_error());
            } else {
                prop_assert_eq!(before, replica.store.clone());
                let drawn = matches!(&name[..], b"RANDOMKEY" | b"SRANDMEMBER" | b"HRANDFIELD");
                prop_assert!(drawn || told == value);
            }
        }
    }

    #[test]
    fn a_batch_twice_under_one_key_is_a_batch_once(numbers in numbers(), again in any::<u64>()) {
        let (mut once, mut twice) = (Replica::new(), Replica::new());
        for (at, number) in numbers.iter().enumerate() {
            pass(&mut once, *number);
            pass(&mut twice, *number);
            let batch = with_idempotency(&format!("key {at}"), single(*number));
            let first = once.apply(&batch);
            prop_assert_eq!(&twice.apply(&batch), &first);
            for _ in 0..again % 3 {
                let stamp = Stamp::new(Position { group: 0, term: 9, index: 1_000_000 }, twice.time_ms, 0);
                let replayed = apply(&mut twice.store, SPACE, stamp, &batch, Mutants::none());
                prop_assert_eq!(&replayed.value, &first.value);
                prop_assert_eq!(replayed.replay_of, Some(Position { group: 0, term: 1, index: twice.index }));
            }
        }
        prop_assert_eq!(once.store, twice.store);
    }

    #[test]
    fn a_scan_tells_once_what_is_there_throughout(stay in 1..60u64, count in 1..9u64, noise in any::<u64>()) {
        for (add, remove, scan, step) in
            [("SET %", "DEL %", "SCAN", 1), ("SADD s %", "SREM s %", "SSCAN s", 1), ("HSET h %", "HDEL h %", "HSCAN h", 2)]
        {
            let mut replica = Replica::new();
            let mut random = Random::new(noise);
            let value = if add.starts_with("SADD") { "" } else { " v" };
            for at in 0..stay {
                replica.run(&(add.replace('%', &format!("stay{at}")) + value));
            }
            let (mut cursor, mut told) = ("0".to_string(), BTreeMap::new());
            loop {
                for _ in 0..3 {
                    let name = format!("noise{}", random.below(40));
                    let line = if random.chance(500) { add.replace('%', &name) + value } else { remove.replace('%', &name) };
                    replica.run(&line);
                }
                let Value::Array(page) = replica.run(&format!("{scan} {cursor} COUNT {count}")) else { panic!("a page") };
                let [Value::Bulk(next), Value::Array(items)] = &page[..] else { panic!("a page") };
                prop_assert!(items.len() as u64 <= count * step);
                for item in items.iter().step_by(step as usize) {
                    *told.entry(shown(item)).or_insert(0) += 1;
                }
                cursor = String::from_utf8_lossy(next).to_string();
                if cursor == "0" {
                    break;
                }
            }
            for at in 0..stay {
                prop_assert_eq!(told.get(&format!("\"stay{at}\"")), Some(&1), "{} stay{}", scan, at);
            }
        }
    }
}

#[test]
fn what_is_dropped_leaves_nothing_behind() {
    let members = (0..5000).map(|at| format!(" m{at}")).collect::<String>();
    let drops = [
        "DEL s",
        "FLUSHDB",
        "FLUSHALL",
        "SET s 1",
        "RENAME t s",
        "SINTERSTORE s nil",
        "GETDEL x",
        "PEXPIRE s 1",
        "SPOP s 5000",
    ];
    for drop in drops {
        let mut replica = Replica::new();
        replica.run("SET t 1");
        replica.run(&format!("SADD s{members}"));
        replica.run("SET x 1 PX 10");
        let size = replica.store.0.len();
        replica.run(drop);
        if drop != "SPOP s 5000" {
            assert!(size.abs_diff(replica.store.0.len()) < 4, "{drop} is done in one stroke");
        }
        replica.time_ms += 100;
        let mut sweeps = 0;
        while replica.sweep() {
            let left = replica.store.0.len();
            assert!(left + crate::limits::DELETE_PER_STEP + 8 > size - sweeps * crate::limits::DELETE_PER_STEP);
            sweeps += 1;
        }
        check_structure(&replica, true);
        replica.run("DEL s t x");
        sweep_all(&mut replica);
        replica.store.0.retain(|key, _| key[layout::SPACE] != layout::TABLE);
        assert!(replica.store.0.is_empty(), "{drop} left {} pairs", replica.store.0.len());
    }
}

#[test]
fn a_broken_index_is_noticed() {
    let mut replica = Replica::new();
    replica.run("SADD s a b");
    replica.run("PEXPIRE s 100");
    check_structure(&replica, true);
    let pairs: Vec<_> = replica.store.0.keys().cloned().collect();
    assert_eq!(pairs.len(), 5);
    for pair in pairs {
        let mut broken = replica.clone();
        broken.store.0.remove(&pair);
        assert!(std::panic::catch_unwind(|| check_structure(&broken, true)).is_err(), "{pair:?}");
    }
}
