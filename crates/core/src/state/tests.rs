//! What the room promises, in tables of commands and replies, and in laws over random commands.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::operation::IdempotencyKey;
use crate::store::MemoryStore;
use alloc::string::{String, ToString};
use alloc::vec;
use bytes::Bytes;

mod families;
mod format;
mod laws;
mod strings;
mod tables;

const SPACE: Space = [crate::store::drawer::STATE, 0, 0, 0, 0, 0, 1];

/// A replica by itself, with a log that only counts.
#[derive(Clone)]
struct Replica {
    store: MemoryStore,
    index: u64,
    time_ms: u64,
}

impl Replica {
    fn new() -> Replica {
        Replica { store: MemoryStore::default(), index: 0, time_ms: 1_000_000 }
    }
    fn stamp(&self) -> Stamp {
        Stamp::new(Position { group: 0, term: 1, index: self.index }, self.time_ms, 0)
    }
    fn apply(&mut self, batch: &Batch) -> Applied {
        self.index += 1;
        let stamp = self.stamp();
        apply(&mut self.store, SPACE, stamp, batch, Mutants::none())
    }
    /// Applies one command, written as words with blanks between.
    fn run(&mut self, line: &str) -> Value {
        self.apply(&batch(&[line])).value
    }
    fn told(&mut self, line: &str) -> String {
        shown(&self.run(line))
    }
    fn sweep(&mut self) -> bool {
        let stamp = self.stamp();
        sweep(&mut self.store, SPACE, stamp)
    }
}

fn words(line: &str) -> Words {
    line.split(' ').map(|word| Bytes::copy_from_slice(word.trim_matches('"').as_bytes())).collect()
}

fn batch(lines: &[&str]) -> Batch {
    let commands = lines.iter().map(|line| words(line)).collect();
    Batch { table: TableId(0), guards: vec![], idempotency: None, commands, transaction: lines.len() > 1 }
}

/// A value as a short text: `nil`, `3`, `"bytes"`, `OK`, `[..]`, `{..}` for maps and sets, `!ERR ..`.
fn shown(value: &Value) -> String {
    let all = |values: &[Value]| values.iter().map(shown).collect::<Vec<_>>().join(" ");
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).to_string();
    match value {
        Value::Nil => "nil".to_string(),
        Value::Int(number) => number.to_string(),
        Value::Bulk(bytes) => format!("\"{}\"", text(bytes)),
        Value::Status(bytes) => text(bytes),
        Value::Array(values) => format!("[{}]", all(values)),
        Value::Map(pairs) => {
            let mut pairs: Vec<_> = pairs.iter().map(|(a, b)| format!("{} {}", shown(a), shown(b))).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(" "))
        }
        Value::Set(values) => {
            let mut values: Vec<_> = values.iter().map(shown).collect();
            values.sort();
            format!("{{{}}}", values.join(" "))
        }
        Value::Error(text_) => format!("!{}", text(text_)),
        Value::Pairs(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(a, b)| format!("[{} {}]", shown(a), shown(b))).collect();
            format!("[{}]", pairs.join(" "))
        }
    }
}

/// Runs `command -> reply` lines on a fresh replica. `+N` alone lets N milliseconds of log time pass.
fn script(text: &str) {
    let mut replica = Replica::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(by) = line.strip_prefix('+') {
            replica.time_ms += by.parse::<u64>().unwrap();
            continue;
        }
        let (command, reply) = line.split_once(" -> ").unwrap();
        assert_eq!(replica.told(command), reply, "{command}");
    }
}

fn with_idempotency(key: &str, batch: Batch) -> Batch {
    Batch { idempotency: Some(IdempotencyKey(Bytes::copy_from_slice(key.as_bytes()))), ..batch }
}

#[test]
fn a_retry_under_an_idempotency_key_changes_nothing_and_hears_the_first_reply() {
    let mut replica = Replica::new();
    let add = with_idempotency("a", batch(&["INCR n"]));
    let first = replica.apply(&add);
    assert_eq!(first, Applied { value: Value::Int(1), replay_of: None });
    let before = replica.store.clone();
    let again = replica.apply(&add);
    assert_eq!(again.value, Value::Int(1));
    assert_eq!(again.replay_of, Some(Position { group: 0, term: 1, index: 1 }));
    let other = replica.apply(&with_idempotency("a", batch(&["INCR m"])));
    assert_eq!(shown(&other.value), "!IDEMPOTENCY key was used with another command");
    assert_eq!(other.replay_of, None);
    assert_eq!(replica.store, before);
    assert_eq!(replica.told("GET n"), "\"1\"");
}

#[test]
fn an_idempotency_record_ends_by_log_time_swept_or_not() {
    for swept in [false, true] {
        let mut replica = Replica::new();
        let empty = replica.store.clone();
        let add = with_idempotency("a", batch(&["INCR n"]));
        replica.apply(&add);
        replica.time_ms += crate::limits::IDEMPOTENCY_KEEP_MS - 1;
        assert!(!replica.sweep());
        assert!(replica.apply(&add).replay_of.is_some());
        replica.time_ms += 1;
        assert_eq!(next_expiry(&replica.store, SPACE), Some(replica.time_ms));
        if swept {
            assert!(!replica.sweep());
        }
        assert_eq!(replica.apply(&add), Applied { value: Value::Int(2), replay_of: None });
        replica.run("DEL n");
        replica.time_ms += crate::limits::IDEMPOTENCY_KEEP_MS;
        replica.sweep();
        assert_eq!(next_expiry(&replica.store, SPACE), None);
        let mut left = replica.store.clone();
        left.0.retain(|key, _| key[layout::SPACE] != layout::TABLE);
        assert_eq!(left, empty);
    }
}

#[test]
fn errors_are_replayed_too() {
    let mut replica = Replica::new();
    replica.run("SET s x");
    let bad = with_idempotency("b", batch(&["INCR s"]));
    let first = replica.apply(&bad).value;
    assert!(first.is_error());
    replica.run("SET s 1");
    assert_eq!(replica.apply(&bad).value, first);
    let key = Bytes::from_static(b"s");
    let guarded = with_idempotency("c", Batch { guards: vec![Guard::Absent { key }], ..batch(&["SET t 1"]) });
    assert_eq!(shown(&replica.apply(&guarded).value), "!GUARD key s exists");
    replica.run("DEL s");
    let again = replica.apply(&guarded);
    assert_eq!(shown(&again.value), "!GUARD key s exists");
    assert!(again.replay_of.is_some());
}

#[test]
fn guards_are_checked_before_anything_is_applied() {
    let mut replica = Replica::new();
    replica.run("SET a 1");
    let key = |name: &'static str| Bytes::from_static(name.as_bytes());
    let guarded = |guards, lines: &[&str]| Batch { guards, ..batch(lines) };
    let at = |version| Guard::Version { key: key("a"), version };
    assert_eq!(replica.told("VERSION a"), "1");
    let wrong = guarded(vec![at(7)], &["SET a 2", "SET b 2"]);
    assert_eq!(shown(&replica.apply(&wrong).value), "!GUARD key a is at version 1, not 7");
    assert_eq!(replica.told("MGET a b"), "[\"1\" nil]");
    let right = guarded(vec![at(1), Guard::Absent { key: key("b") }], &["SET a 2", "INCR a", "SET b 2"]);
    assert_eq!(shown(&replica.apply(&right).value), "[OK 3 OK]");
    let second = guarded(vec![at(5), at(1)], &["SET a 9"]);
    assert_eq!(shown(&replica.apply(&second).value), "!GUARD key a is at version 5, not 1");
    let exists = guarded(vec![Guard::Absent { key: key("b") }], &["SET a 9"]);
    assert_eq!(shown(&replica.apply(&exists).value), "!GUARD key b exists");
    let absent = guarded(vec![Guard::Version { key: key("c"), version: 0 }], &["SET c 1"]);
    assert_eq!(shown(&replica.apply(&absent).value), "OK");
}

#[test]
fn a_failing_command_leaves_its_neighbours_alone() {
    let mut replica = Replica::new();
    let reply = replica.apply(&batch(&["SET a x", "INCR a", "NOPE a", "GET", "SET b 1"])).value;
    assert_eq!(
        shown(&reply),
        "[OK !ERR value is not an integer or out of range !ERR unknown command 'NOPE', with args beginning with: 'a'  \
         !ERR wrong number of arguments for 'get' command OK]"
    );
}

#[test]
fn a_read_refuses_to_write() {
    let replica = Replica::new();
    let value = read(&replica.store, SPACE, TableId(0), &[words("SET a 1")], false, 0, 0);
    assert!(value.is_error());
    let value = read(&replica.store, SPACE, TableId(0), &[words("GET a")], true, 0, 0);
    assert_eq!(value, Value::Array(vec![Value::Nil]));
}
