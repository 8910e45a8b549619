//! Which tables there are, and what a client asks next.

use super::record::{COUNTER, MARK};
use super::{Asked, Clients, Record, Shown, Told};
use bytes::Bytes;
use quorate_core::crdt::Kind;
use quorate_core::guarantee::{Level, Quorum, Want};
use quorate_core::leaderless::part_key;
use quorate_core::node::Repair;
use quorate_core::operation::Words;
use quorate_core::random::Random;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What clients of leaderless tables do, how often, and how replicas are repaired. Shares are per mille.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    /// How many clients.
    pub clients: u32,
    /// The tables that they make.
    pub tables: Vec<Table>,
    /// How many keys of each table.
    pub keys: u64,
    /// The mean pause of a client between two operations, in microseconds.
    pub think_us: u64,
    /// How long a client lets a call take, in milliseconds.
    pub deadline_ms: u32,
    /// Reads among all operations.
    pub reads: u64,
    /// Atomic reads among reads.
    pub atomic: u64,
    /// Operations that name R or W.
    pub named: u64,
    /// Writes that are answered before they are durable, among writes.
    pub volatile: u64,
    /// Writes that others may take in place of replicas, among writes.
    #[serde(default)]
    pub sloppy: u64,
    /// Removals among writes.
    pub removals: u64,
    /// Gifts of rights among writes of bounded counters.
    #[serde(default)]
    pub gifts: u64,
    /// Increments under a name, among increments of counters without a bound.
    #[serde(default)]
    pub names: u64,
    /// What reads find out of date is mended.
    pub mend_reads: bool,
    /// Writes that a replica did not confirm are owed to it.
    pub hints: bool,
    /// Tables are compared this often, in milliseconds.
    pub compare_ms: u64,
    /// The mean time between two changes of who holds how much, in microseconds; 0 is never.
    #[serde(default)]
    pub move_us: u64,
    /// The mean time between two disks that are copied, lost or set back, in microseconds; 0 is never. Only nodes that are in no consensus group
    /// lose theirs.
    #[serde(default)]
    pub lose_us: u64,
}

/// A table that clients make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The kind of its cells, by its word.
    pub cell: String,
    /// N.
    pub replicas: u8,
    /// R.
    pub read: u8,
    /// W.
    pub write: u8,
    /// Of a bounded counter.
    pub bound: i64,
    /// The first letters of its ranges but the first; none for ranges by hash.
    pub ranges: String,
    /// Its registers are compared and set, and written in no other way.
    #[serde(default)]
    pub swaps: bool,
    /// In so many parts is each key; 0 and 1 are whole.
    #[serde(default)]
    pub split: u8,
}

/// Keys begin with one of these, so that ranges by order part them; they have one tag, so that ranges by hash do not.
const LETTERS: [char; 4] = ['a', 'h', 'o', 'v'];

/// Linearizable reads among reads of registers that are compared and set.
const LINEARIZABLE: u64 = 700;
/// Increments under a name that was used before, among those under a name.
const AGAIN: u64 = 300;

/// The kinds of cells that clients use. Texts are drawn apart.
const KINDS: [Kind; 6] = [Kind::Register, Kind::Latest, Kind::Counter, Kind::Set, Kind::Map, Kind::Bounded];

impl Mix {
    /// No clients and no tables, and repair as nodes do it on their own.
    pub fn of_nobody() -> Mix {
        let Repair { reads, hints, compare_ms, share_percent: _ } = Repair::default();
        Mix {
            clients: 0,
            tables: Vec::new(),
            keys: 1,
            think_us: 0,
            deadline_ms: 0,
            reads: 0,
            atomic: 0,
            named: 0,
            volatile: 0,
            sloppy: 0,
            removals: 0,
            gifts: 0,
            names: 0,
            mend_reads: reads,
            hints,
            compare_ms,
            move_us: 0,
            lose_us: 0,
        }
    }

    /// What is drawn for a cluster of so many nodes.
    pub fn draw(nodes: u16, election_ms: u64, random: &mut Random) -> Mix {
        let first = random.below(KINDS.len() as u64) as usize;
        let count = 2 + random.below(3) as usize;
        let kinds = (0..count).map(|at| KINDS[(first + at) % KINDS.len()]);
        Mix {
            clients: 2 + random.below(4) as u32,
            tables: kinds.map(|kind| Table::draw(kind, nodes, random)).collect(),
            keys: 1 + random.below(4),
            think_us: 8_000 + random.below(30_000),
            deadline_ms: 50 + random.below(election_ms * 4) as u32,
            reads: 200 + random.below(500),
            atomic: [100, 300, 600][random.below(3) as usize],
            named: [0, 100, 500][random.below(3) as usize],
            volatile: [0, 0, 200][random.below(3) as usize],
            sloppy: [0, 300][random.below(2) as usize],
            removals: [50, 200, 400][random.below(3) as usize],
            mend_reads: random.chance(500),
            hints: random.chance(500),
            compare_ms: 50 + random.below(450),
            move_us: 0,
            lose_us: 0,
            gifts: 150,
            names: 0,
        }
    }
}

impl Table {
    /// A table of this kind of cell.
    pub fn draw(kind: Kind, nodes: u16, random: &mut Random) -> Table {
        let replicas = 1 + random.below(u64::from(nodes.min(5))) as u8;
        let replicas = if random.chance(600) { nodes.min(3) as u8 } else { replicas };
        let majority = replicas / 2 + 1;
        let (read, write) = match random.below(10) {
            0 => (1, replicas),
            1 => (replicas, 1),
            2 => (1, 1),
            3 => (1 + random.below(u64::from(replicas)) as u8, 1 + random.below(u64::from(replicas)) as u8),
            _ => (majority, majority),
        };
        let ranges = ["h", "o", "ho", "hov", ""];
        let by_hash = random.chance(60);
        let ranges = ranges[if by_hash { 4 } else { random.below(4) as usize }].to_string();
        let splits = matches!(kind, Kind::Counter | Kind::Set | Kind::Map) && random.chance(200);
        let (split, ranges) = if splits { (2 + random.below(4) as u8, String::new()) } else { (1, ranges) };
        let bound = [0, -20, 7][random.below(3) as usize];
        Table { cell: kind.word().to_string(), replicas, read, write, bound, ranges, swaps: false, split }
    }

    /// The same table, whose registers are compared and set.
    pub fn with_swaps(self) -> Table {
        Table { swaps: true, ..self }
    }

    /// A table whose reads and writes wait for a majority of three replicas, or of all nodes if they are fewer.
    pub fn balanced(kind: Kind, nodes: u16) -> Table {
        let replicas = nodes.min(3) as u8;
        let majority = replicas / 2 + 1;
        let ranges = "o".to_string();
        Table {
            cell: kind.word().to_string(),
            replicas,
            read: majority,
            write: majority,
            bound: 0,
            ranges,
            swaps: false,
            split: 1,
        }
    }

    /// The keys under which what stands at a key is kept.
    pub fn kept(&self, key: &Bytes) -> Vec<Bytes> {
        if self.split > 1 { (0..self.split).map(|part| part_key(key, part)).collect() } else { vec![key.clone()] }
    }

    /// The kind of its cells.
    pub fn kind(&self) -> Kind {
        Kind::from_word(&self.cell).unwrap_or(Kind::Register)
    }

    /// R + W > N and 2W > N, with R = W.
    pub fn is_majority(&self) -> bool {
        self.read == self.write && self.read > self.replicas / 2
    }

    /// The command that makes it.
    pub(super) fn words(&self, name: &str) -> Words {
        let mut words = vec!["TABLE.CREATE".to_string(), name.to_string(), "shape".into(), "leaderless".into()];
        let numbers = [("replicas", self.replicas), ("read", self.read), ("write", self.write)];
        words.extend(numbers.iter().flat_map(|(word, number)| [word.to_string(), number.to_string()]));
        words.extend(["cell".to_string(), self.cell.clone()]);
        if self.kind() == Kind::Bounded {
            words.extend(["bound".to_string(), self.bound.to_string()]);
        }
        if self.split > 1 {
            words.extend(["split".to_string(), self.split.to_string()]);
        }
        if !self.ranges.is_empty() {
            words.push("ranges".to_string());
            words.extend(self.ranges.chars().map(String::from));
        }
        words.into_iter().map(Bytes::from).collect()
    }
}

/// What is asked next.
pub(super) struct Drawn {
    pub table: usize,
    pub key: Bytes,
    pub asked: Asked,
    /// Of an increment that counts once.
    pub name: Option<Bytes>,
    pub words: Words,
    pub want: Want,
    pub seen: Option<Bytes>,
}

fn words(words: &[&[u8]]) -> Words {
    words.iter().map(|word| Bytes::copy_from_slice(word)).collect()
}

impl Clients {
    pub(super) fn draw(&mut self, at: usize) -> Drawn {
        self.next_value += 1;
        let table = self.random.below(self.mix.tables.len() as u64) as usize;
        let number = self.random.below(self.mix.keys.max(1)) as usize;
        let key = Bytes::from(format!("{}{{t}}{}", LETTERS[number % LETTERS.len()], number));
        let kind = self.mix.tables[table].kind();
        let read = self.random.chance(self.mix.reads);
        let swaps = self.mix.tables[table].swaps;
        let (asked, words, seen) = match read {
            true => None,
            false if swaps => Some(self.draw_swap(table, &key)),
            false => self.draw_write(at, table, &key, kind),
        }
        .unwrap_or_else(|| (Asked::Read, read_words(kind, &key), None));
        let (asked, words, name) = self.draw_name(table, &key, kind, (asked, words));
        let mut want = self.draw_want(table, asked == Asked::Read);
        if swaps && asked == Asked::Read && self.random.chance(LINEARIZABLE) {
            want = Want { level: Some(Level::Linearizable), ..Want::default() };
        }
        if kind == Kind::Bounded && asked.spends() {
            want.quorum.sloppy = false;
        }
        Drawn { table, key, asked, name, words, want, seen }
    }

    /// Gives some increments a name, under which they count once; and sends some again that were made under one.
    fn draw_name(
        &mut self,
        table: usize,
        key: &Bytes,
        kind: Kind,
        (asked, words): (Asked, Words),
    ) -> (Asked, Words, Option<Bytes>) {
        let counts = matches!(asked, Asked::Add(_)) && kind != Kind::Bounded;
        if !counts || self.mix.names == 0 || !self.random.chance(self.mix.names) {
            return (asked, words, None);
        }
        let before = if self.random.chance(AGAIN) { self.some_named(table, key) } else { None };
        match before {
            Some((amount, name)) => (Asked::Repeat, add_words(kind, key, amount), Some(name)),
            None => (asked, words, Some(Bytes::from(format!("i{}", self.next_value)))),
        }
    }

    /// An increment that was made under a name, or may have been.
    fn some_named(&mut self, table: usize, key: &Bytes) -> Option<(i64, Bytes)> {
        let back = self.random.below(4) as usize;
        let made = self.records.iter().rev().filter(|record| record.table == table && record.key == *key);
        // One that is under way may yet be refused, and then the second would be the first.
        let ended = |record: &&Record| record.end < u64::MAX && record.told != Told::Refused;
        let mut made = made.filter(ended).filter_map(|record| match &record.asked {
            Asked::Add(amount) => Some((*amount, record.name.clone()?)),
            Asked::Read
            | Asked::Repeat
            | Asked::Replace { .. }
            | Asked::Swap { .. }
            | Asked::Give
            | Asked::Put(_)
            | Asked::Take(_) => None,
        });
        made.nth(back)
    }

    /// A value takes the place of one that somebody saw or put there lately, or of none.
    fn draw_swap(&mut self, table: usize, key: &Bytes) -> (Asked, Words, Option<Bytes>) {
        let new = Bytes::from(format!("v{}", self.next_value));
        let back = self.random.below(3) as usize / 2;
        let known = self.records.iter().rev().filter(|record| record.table == table && record.key == *key);
        let mut known = known.filter_map(|record| match (&record.told, &record.asked) {
            (Told::Shown(Shown::Values(values)), _) => Some(values.first().cloned()),
            (Told::Took(true), Asked::Swap { new, .. }) => Some(Some(new.clone())),
            _ => None,
        });
        let expected = known.nth(back).flatten();
        let words = match &expected {
            Some(expected) => words(&[b"CAS", key, expected, &new]),
            None => words(&[b"SETNX", key, &new]),
        };
        (Asked::Swap { expected, new }, words, None)
    }

    fn draw_want(&mut self, table: usize, read: bool) -> Want {
        let (mix, random) = (&self.mix, &mut self.random);
        let replicas = u64::from(mix.tables[table].replicas);
        let mut want = Want::default();
        if read {
            want.level = match random.below(7) {
                _ if random.chance(mix.atomic) => Some(Level::Atomic),
                0..=1 => None,
                2 => Some(Level::Eventual),
                3..=5 => Some(Level::Session),
                _ => Some(Level::Regular),
            };
        }
        // What is in parts is read at different moments.
        if mix.tables[table].split > 1 {
            want.level = want.level.map(|level| level.min(Level::Regular));
        }
        let number = if random.chance(mix.named) { 1 + random.below(replicas) as u8 } else { 0 };
        // Atomic reads keep to the rule: what they write back must be found by the next.
        let number = if want.level == Some(Level::Atomic) { 0 } else { number };
        want.quorum = if read {
            Quorum { read: number, ..Quorum::default() }
        } else {
            let volatile = random.chance(mix.volatile);
            let sloppy = !volatile && random.chance(mix.sloppy);
            Quorum { write: number, volatile, sloppy, ..Quorum::default() }
        };
        want
    }

    /// A write; none if the client must read the key first.
    fn draw_write(
        &mut self,
        at: usize,
        table: usize,
        key: &Bytes,
        kind: Kind,
    ) -> Option<(Asked, Words, Option<Bytes>)> {
        let value = Bytes::from(format!("v{}", self.next_value));
        let removes = self.random.chance(self.mix.removals);
        let plain = |asked, words| Some((asked, words, None));
        match kind {
            Kind::Register => {
                let seen = self.clients[at].seen.get(&(table, key.clone()))?.clone();
                let by = (!removes).then(|| value.clone());
                let words = if removes { words(&[b"DEL", key]) } else { words(&[b"SET", key, &value]) };
                Some((Asked::Replace { by, saw: seen.values }, words, Some(seen.token)))
            }
            Kind::Latest => {
                let saw = BTreeSet::new();
                plain(Asked::Replace { by: Some(value.clone()), saw }, words(&[b"SET", key, &value]))
            }
            Kind::Bounded if self.random.chance(self.mix.gifts) => {
                let amount = (1 + self.random.below(30)).to_string();
                let node = self.targets[self.random.below(self.targets.len() as u64) as usize].0.to_string();
                plain(Asked::Give, words(&[b"ESCROW.GIVE", key, amount.as_bytes(), node.as_bytes()]))
            }
            Kind::Counter | Kind::Bounded => {
                // Some keys only grow: there a session that goes back is easily seen.
                let grows = key.ends_with(b"0") && kind == Kind::Counter;
                let amount = 1 + self.random.below(60) as i64;
                let amount = if removes && !grows { -amount } else { amount };
                plain(Asked::Add(amount), add_words(kind, key, amount))
            }
            Kind::Map if self.random.chance(300) => {
                let amount = 1 + self.random.below(60) as i64;
                plain(Asked::Add(amount), add_words(kind, key, amount))
            }
            Kind::Map | Kind::Set => {
                let (put, take): (&[u8], &[u8]) =
                    if kind == Kind::Map { (b"HSET", b"HDEL") } else { (b"SADD", b"SREM") };
                if let Some(element) = removes.then(|| self.some_element(table, key)).flatten() {
                    let words = words(&[take, key, &element]);
                    return plain(Asked::Take(element), words);
                }
                let mut words = words(&[put, key, &value]);
                if kind == Kind::Map {
                    words.push(Bytes::from_static(b"there"));
                }
                plain(Asked::Put(value), words)
            }
            Kind::Text => {
                let word = format!("v{}{MARK}", self.next_value);
                plain(Asked::Put(value), words(&[b"TEXT.INSERT", key, b"0", word.as_bytes()]))
            }
            Kind::Flag | Kind::DisableWinsFlag | Kind::RemoveWinsSet => None,
        }
    }

    /// An element that somebody added, mostly one of the last.
    fn some_element(&mut self, table: usize, key: &Bytes) -> Option<Bytes> {
        let back = self.random.below(6) as usize;
        let added = self.records.iter().rev().filter(|record| record.table == table && record.key == *key);
        added.filter_map(|record| record.asked.element().cloned()).nth(back)
    }
}

fn add_words(kind: Kind, key: &Bytes, amount: i64) -> Words {
    let amount = amount.to_string();
    match kind {
        Kind::Map => words(&[b"HINCRBY", key, COUNTER, amount.as_bytes()]),
        _ => words(&[b"INCRBY", key, amount.as_bytes()]),
    }
}

fn read_words(kind: Kind, key: &Bytes) -> Words {
    match kind {
        Kind::Set | Kind::RemoveWinsSet => words(&[b"SMEMBERS", key]),
        Kind::Map => words(&[b"HGETALL", key]),
        Kind::Register
        | Kind::Latest
        | Kind::Flag
        | Kind::DisableWinsFlag
        | Kind::Counter
        | Kind::Bounded
        | Kind::Text => words(&[b"GET", key]),
    }
}
