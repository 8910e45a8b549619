//! Replies compared with those of a real Redis 7.0: random commands of all families, bad ones too, go to both.
//!
//! Needs `redis-server` on PATH; says so and passes when there is none. Seeds are fixed, so a difference repeats.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use quorate_core::guarantee::Position;
use quorate_core::mutant::Mutants;
use quorate_core::operation::{Batch, TableId, Value, Words};
use quorate_core::random::Random;
use quorate_core::state::{self, Space, Stamp};
use quorate_core::store::MemoryStore;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[path = "redis_oracle/commands.rs"]
mod commands;

const SPACE: Space = [2, 0, 0, 0, 0, 0, 0];
const SEEDS: u64 = 8;
const COMMANDS_PER_SEED: usize = 6_000;

/// A server of our own, gone when the test is.
struct Redis {
    process: Child,
    directory: std::path::PathBuf,
    port: u16,
}

impl Redis {
    fn start() -> Option<Redis> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = std::env::temp_dir().join(format!("quorate-oracle-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(port.to_string())
            .arg("--dir")
            .arg(&directory)
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        Some(Redis { process, directory, port })
    }
    fn connect(&self) -> Client {
        for _ in 0..200 {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                stream.set_nodelay(true).unwrap();
                let mut client = Client(BufReader::new(stream));
                client.ask(&words("HELLO 3"));
                return client;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("redis-server started but does not listen");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The smallest client that understands RESP3.
struct Client(BufReader<TcpStream>);

impl Client {
    fn ask(&mut self, words: &Words) -> Value {
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&out).unwrap();
        self.value()
    }
    fn value(&mut self) -> Value {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        line.truncate(line.len() - 2);
        let rest = Bytes::copy_from_slice(&line[1..]);
        let number = || std::str::from_utf8(&rest).unwrap().parse::<i64>().unwrap();
        match line[0] {
            b'+' => Value::Status(rest),
            b'-' => Value::Error(rest),
            b':' => Value::Int(number()),
            b'_' => Value::Nil,
            b'$' => {
                let mut bytes = vec![0; number() as usize + 2];
                self.0.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Value::Bulk(Bytes::from(bytes))
            }
            b'*' => Value::Array((0..number()).map(|_| self.value()).collect()),
            b'~' => Value::Set((0..number()).map(|_| self.value()).collect()),
            b'%' => Value::Map((0..number()).map(|_| (self.value(), self.value())).collect()),
            other => panic!("a reply that begins with {}", other as char),
        }
    }
}

/// Our side: one replica, whose log time is the clock.
struct Ours {
    store: MemoryStore,
    index: u64,
    table: TableId,
}

impl Ours {
    fn new() -> Ours {
        Ours { store: MemoryStore::default(), index: 0, table: TableId(0) }
    }
    fn stamp(&self) -> Stamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        Stamp::new(Position { group: 0, term: 1, index: self.index }, now, now)
    }
    fn apply(&mut self, commands: &[Words], transaction: bool) -> Value {
        self.index += 1;
        let commands = commands.to_vec();
        let batch = Batch { table: self.table, guards: vec![], idempotency: None, commands, transaction };
        let stamp = self.stamp();
        state::apply(&mut self.store, SPACE, stamp, &batch, Mutants::none()).value
    }
    fn ask(&mut self, words: &Words) -> Value {
        let stamp = self.stamp();
        // What a read says must be what the log would say.
        let told = state::command::find(&words[0]).filter(|spec| !spec.write).map(|_| {
            let time = stamp.time_ms;
            state::read(&self.store, SPACE, self.table, std::slice::from_ref(words), false, time, time)
        });
        let value = self.apply(std::slice::from_ref(words), false);
        // Draws and remaining times depend on the moment.
        let drawn = matches!(&words[0][..], b"RANDOMKEY" | b"SRANDMEMBER" | b"HRANDFIELD" | b"TTL" | b"PTTL");
        if let Some(told) = told.filter(|_| !drawn) {
            assert_eq!(told, value, "read and apply differ on {words:?}");
        }
        // As RESP3 shows them.
        match value {
            Value::Pairs(pairs) => Value::Array(pairs.into_iter().map(|(a, b)| Value::Array(vec![a, b])).collect()),
            value => value,
        }
    }
}

fn words(line: &str) -> Words {
    line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
}

/// Order does not matter in sets, maps, and the replies of some commands.
fn sorted(value: Value, name: &[u8]) -> Value {
    let key = |value: &Value| format!("{value:?}");
    match value {
        Value::Set(mut values) => {
            values.sort_by_key(key);
            Value::Set(values)
        }
        Value::Map(mut pairs) => {
            pairs.sort_by_key(|(field, _)| key(field));
            Value::Map(pairs)
        }
        Value::Array(mut values) if matches!(name, b"KEYS" | b"HKEYS" | b"HVALS") => {
            values.sort_by_key(key);
            Value::Array(values)
        }
        // The limit that the text names is each side's own.
        Value::Error(text) if text.starts_with(b"ERR string exceeds maximum") => Value::error("too long"),
        other => other,
    }
}

fn near(ours: &Value, theirs: &Value, by: i64) -> bool {
    match (ours, theirs) {
        (Value::Int(a), Value::Int(b)) => (*a < 0) == (*b < 0) && a.abs_diff(*b) <= by as u64,
        _ => ours == theirs,
    }
}

/// Items of a value that is an array or a set.
fn items(value: &Value) -> Option<&Vec<Value>> {
    match value {
        Value::Array(items) | Value::Set(items) => Some(items),
        _ => None,
    }
}

struct Pair<'a> {
    ours: Ours,
    redis: &'a mut Client,
    history: Vec<String>,
    /// How often each command replied, and how often with an error.
    replies: &'a mut BTreeMap<Bytes, (u64, u64)>,
}

impl Pair<'_> {
    fn both(&mut self, words: &Words) -> (Value, Value) {
        let theirs = self.redis.ask(words);
        self.count(words, &theirs);
        (self.ours.ask(words), theirs)
    }
    fn count(&mut self, words: &Words, theirs: &Value) {
        let count = self.replies.entry(words[0].clone()).or_default();
        count.0 += u64::from(!theirs.is_error());
        count.1 += u64::from(theirs.is_error());
    }
    /// Several commands as one transaction.
    fn check_transaction(&mut self, commands: &[Words]) {
        self.history.extend(commands.iter().map(|words| format!("(in a transaction) {}", shown(words))));
        self.redis.ask(&words("MULTI"));
        commands.iter().for_each(|words| assert_eq!(self.redis.ask(words), Value::Status(Bytes::from("QUEUED"))));
        let theirs = self.redis.ask(&words("EXEC"));
        let ours = self.ours.apply(commands, true);
        let (Value::Array(a), Value::Array(b)) = (&ours, &theirs) else { self.fail(&ours, &theirs) };
        let each = |values: &[Value]| -> Vec<Value> {
            values.iter().zip(commands).map(|(value, words)| sorted(value.clone(), &words[0])).collect()
        };
        if each(a) != each(b) {
            self.fail(&ours, &theirs);
        }
    }
    fn same(&mut self, words: &Words) {
        let (ours, theirs) = self.both(words);
        let (ours, theirs) = (sorted(ours, &words[0]), sorted(theirs, &words[0]));
        assert_eq!(ours, theirs, "ours is left, Redis is right\n{}", self.history.join("\n"));
    }
    fn check(&mut self, words: &Words) {
        self.history.push(shown(words));
        let old = self.history.len().saturating_sub(40);
        self.history.drain(..old);
        match &words[0][..] {
            b"SCAN" | b"HSCAN" | b"SSCAN" => self.check_scan(words),
            b"SPOP" => self.check_pop(words),
            b"SRANDMEMBER" | b"HRANDFIELD" | b"RANDOMKEY" => self.check_drawn(words),
            b"INCRBYFLOAT" | b"HINCRBYFLOAT" => self.check_float(words),
            b"TTL" | b"EXPIRETIME" => self.check_near(words, 2),
            b"PTTL" | b"PEXPIRETIME" => self.check_near(words, 2_000),
            _ => self.same(words),
        }
    }
    fn fail(&self, ours: &Value, theirs: &Value) -> ! {
        panic!("ours {ours:?}\nRedis {theirs:?}\n{}", self.history.join("\n"));
    }
    fn check_near(&mut self, words: &Words, by: i64) {
        let (ours, theirs) = self.both(words);
        if !near(&ours, &theirs, by) {
            self.fail(&ours, &theirs);
        }
    }
    /// Long sums show binary noise in Redis; ours are exact. Equal up to that, and then made equal.
    fn check_float(&mut self, words: &Words) {
        let (ours, theirs) = self.both(words);
        if ours == theirs {
            return;
        }
        let number = |value: &Value| match value {
            Value::Bulk(bytes) => std::str::from_utf8(bytes).unwrap().parse::<f64>().unwrap(),
            _ => f64::NAN,
        };
        let (a, b) = (number(&ours), number(&theirs));
        let noise = a.abs() >= 8.0 && (a - b).abs() <= 1e-15 * a.abs();
        if !noise {
            self.fail(&ours, &theirs);
        }
        self.same(&vec![Bytes::from_static(b"DEL"), words[1].clone()]);
    }
    /// A whole scan on either side gives the same elements.
    fn check_scan(&mut self, words: &Words) {
        let cursor = if &words[0][..] == b"SCAN" { 1 } else { 2 };
        // What a cursor in the middle means is each side's own.
        let mut from_start = words.clone();
        if words.get(cursor).is_some_and(|word| &word[..] != b"x") {
            from_start[cursor] = Bytes::from_static(b"0");
        }
        let whole = |ask: &mut dyn FnMut(&Words) -> Value| {
            let (mut words, mut all) = (from_start.clone(), Vec::new());
            loop {
                let reply = ask(&words);
                let Some([Value::Bulk(next), Value::Array(page)]) = items(&reply).map(|items| &items[..]) else {
                    return reply;
                };
                let step = if &words[0][..] == b"HSCAN" { 2 } else { 1 };
                all.extend(page.chunks(step).map(|chunk| Value::Array(chunk.to_vec())));
                if &next[..] == b"0" {
                    break;
                }
                words[cursor] = next.clone();
            }
            all.sort_by_key(|value| format!("{value:?}"));
            all.dedup();
            Value::Array(all)
        };
        let ours = whole(&mut |words| self.ours.ask(words));
        let theirs = whole(&mut |words| self.redis.ask(words));
        self.count(words, &theirs);
        if ours != theirs {
            self.fail(&ours, &theirs);
        }
    }
    /// Both pop as many; what is left differs, so the key goes.
    fn check_pop(&mut self, words: &Words) {
        let (ours, theirs) = self.both(words);
        let alike = match (items(&ours), items(&theirs)) {
            (Some(a), Some(b)) => a.len() == b.len(),
            _ => matches!((&ours, &theirs), (Value::Bulk(_), Value::Bulk(_))) || ours == theirs,
        };
        if !alike {
            self.fail(&ours, &theirs);
        }
        if !ours.is_error() && words.len() > 1 {
            let del = vec![Bytes::from_static(b"DEL"), words[1].clone()];
            self.both(&del);
        }
    }
    /// Both draw as many, of what is there.
    fn check_drawn(&mut self, words: &Words) {
        let (ours, theirs) = self.both(words);
        let flat = |value: &Value| -> Vec<Value> {
            let one = |item: &Value| items(item).cloned().unwrap_or_else(|| vec![item.clone()]);
            items(value).map_or(vec![value.clone()], |items| items.iter().flat_map(one).collect())
        };
        let (a, b) = (flat(&ours), flat(&theirs));
        let bulks = |values: &[Value]| values.iter().all(|value| matches!(value, Value::Bulk(_)));
        let inner = |value: &Value| -> Option<Vec<_>> {
            Some(items(value)?.iter().map(|item| items(item).map(|items| items.len())).collect())
        };
        let alike = if bulks(&a) && bulks(&b) { inner(&ours) == inner(&theirs) } else { ours == theirs };
        if !alike {
            self.fail(&ours, &theirs);
        }
        if let (true, b"SRANDMEMBER") = (bulks(&a), &words[0][..]) {
            for member in a {
                let Value::Bulk(member) = member else { unreachable!("checked above") };
                let ask = vec![Bytes::from_static(b"SISMEMBER"), words[1].clone(), member];
                assert_eq!(self.redis.ask(&ask), Value::Int(1), "{words:?} drew what is not there");
            }
        }
    }
}

fn shown(words: &Words) -> String {
    words.iter().map(|word| String::from_utf8_lossy(word).to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn replies_are_those_of_redis() {
    let Some(redis) = Redis::start() else {
        eprintln!("redis-server is not on PATH: nothing was compared");
        return;
    };
    let mut client = redis.connect();
    let mut replies = BTreeMap::new();
    for seed in 0..SEEDS {
        client.ask(&words("FLUSHALL"));
        client.ask(&words("SELECT 0"));
        let history = vec![format!("seed {seed}")];
        let mut pair = Pair { ours: Ours::new(), redis: &mut client, history, replies: &mut replies };
        let mut random = Random::new(seed);
        for step in 0..COMMANDS_PER_SEED {
            if random.chance(5) {
                let table = random.below(3);
                pair.redis.ask(&words(&format!("SELECT {table}")));
                pair.ours.table = TableId(table as u16);
            }
            if random.chance(40) {
                let drawn: Vec<Words> = (0..4).map(|_| commands::draw(&mut random)).collect();
                let sure: Vec<Words> = drawn.into_iter().filter(is_sure).collect();
                pair.check_transaction(&sure);
            } else {
                pair.check(&commands::draw(&mut random));
            }
            if step % 500 == 0 {
                let stamp = pair.ours.stamp();
                while state::sweep(&mut pair.ours.store, SPACE, stamp) {}
            }
        }
    }
    for spec in state::command::COMMANDS {
        let (fine, failed) = replies.get(spec.name.as_bytes()).copied().unwrap_or_default();
        let ours_alone = matches!(spec.name, "CAS" | "VERSION")
            || [state::TABLE_FAMILY, state::TEXT_FAMILY, "escrow"].contains(&spec.family);
        assert!(ours_alone || fine > 10, "{} was compared {fine} times", spec.name);
        assert!(ours_alone || failed > 0, "{} never failed", spec.name);
    }
}

/// Does this command reply the same on both sides in every transaction? (Draws, times and long sums may differ, and
/// what is wrong on its face never enters a transaction.)
fn is_sure(words: &Words) -> bool {
    let moment = [&b"TTL"[..], b"PTTL", b"EXPIRETIME", b"PEXPIRETIME", b"INCRBYFLOAT", b"HINCRBYFLOAT"];
    let drawn = [&b"SPOP"[..], b"SRANDMEMBER", b"HRANDFIELD", b"RANDOMKEY", b"SCAN", b"HSCAN", b"SSCAN"];
    let known = state::command::find(&words[0]).is_some_and(|spec| spec.takes(words.len()));
    known && !moment.contains(&&words[0][..]) && !drawn.contains(&&words[0][..])
}

#[test]
fn patterns_mean_what_they_mean_in_redis() {
    let Some(redis) = Redis::start() else {
        eprintln!("redis-server is not on PATH: nothing was compared");
        return;
    };
    let mut replies = BTreeMap::new();
    let mut client = redis.connect();
    let mut pair = Pair { ours: Ours::new(), redis: &mut client, history: vec![], replies: &mut replies };
    let mut random = Random::new(1);
    let mut text = |alphabet: &[u8], least: u64, most: u64| -> Bytes {
        let length = least + random.below(most - least + 1);
        (0..length).map(|_| alphabet[random.below(alphabet.len() as u64) as usize]).collect()
    };
    for _ in 0..300 {
        pair.same(&vec![Bytes::from("SET"), text(b"abc-]^*\\", 1, 4), Bytes::from("v")]);
    }
    for _ in 0..5_000 {
        pair.check(&vec![Bytes::from("KEYS"), text(b"aabc*?[]^-\\", 0, 7)]);
    }
}

#[test]
fn the_comparison_notices_a_difference() {
    let sides = [words("SET k 1"), words("SET k 2")].map(|set| {
        let mut ours = Ours::new();
        ours.ask(&set);
        ours.ask(&words("GET k"))
    });
    assert_ne!(sorted(sides[0].clone(), b"GET"), sorted(sides[1].clone(), b"GET"));
    assert!(!near(&Value::Int(-1), &Value::Int(1), 2));
    assert!(!near(&Value::Int(-2), &Value::Int(-1), 0));
}
