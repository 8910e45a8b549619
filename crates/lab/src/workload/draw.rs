//! What a client asks next.

use super::meaning::Shape;
use super::{LONGEST_EXPIRY_MS, Mix, Workload};
use crate::check::{Action, Answer, Outcome};
use crate::judge::elements::Asked;
use bytes::Bytes;
use quorate_core::guarantee::{Ack, Level, Want};
use quorate_core::operation::{Batch, Guard, TableId, Words};
use quorate_core::random::Random;

/// What is asked, before it has an idempotency key.
pub(super) struct Drawn {
    pub key: Bytes,
    pub action: Action,
    pub shape: Shape,
    pub batch: Batch,
    pub want: Want,
    pub idempotent: bool,
}

/// Reading or writing, when that is decided already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Anything,
    Read,
    Write,
}

/// The table of elements; the registers live in table 0.
const ELEMENTS: TableId = TableId(1);

fn words(words: &[&[u8]]) -> Words {
    words.iter().map(|word| Bytes::copy_from_slice(word)).collect()
}

fn batch(commands: Vec<Words>) -> Batch {
    let transaction = commands.len() > 1;
    Batch { table: TableId(0), guards: Vec::new(), idempotency: None, commands, transaction }
}

fn level(mix: &Mix, random: &mut Random) -> Level {
    match random.below(1000) {
        share if share < mix.session_reads => Level::Session,
        share if share < mix.session_reads + mix.eventual_reads => Level::Eventual,
        _ => Level::Linearizable,
    }
}

impl Workload {
    pub(super) fn draw(&mut self, wanted: Wanted) -> Drawn {
        self.next_value += 1;
        if wanted == Wanted::Anything && self.random.chance(self.mix.gathers) {
            return self.draw_element();
        }
        let read = match wanted {
            Wanted::Anything => self.random.chance(self.mix.reads),
            Wanted::Read => true,
            Wanted::Write => false,
        };
        let mut drawn = if self.random.chance(self.mix.transactions) {
            self.draw_tuple(read)
        } else if read {
            self.draw_read()
        } else {
            self.draw_write()
        };
        if read {
            drawn.want.level = Some(level(&self.mix, &mut self.random));
        } else {
            drawn.idempotent = drawn.want.ack() >= Ack::Majority && self.random.chance(self.mix.idempotent);
        }
        drawn
    }

    fn draw_key(&mut self) -> (char, Bytes) {
        let (mix, random) = (&self.mix, &mut self.random);
        let which = random.below(mix.keys.max(1));
        let kind = if random.chance(mix.expiring) {
            'e'
        } else if random.chance(mix.additions) {
            'n'
        } else if random.chance(200) {
            'd'
        } else {
            'r'
        };
        (kind, Bytes::from(format!("{kind}{which}")))
    }

    fn draw_read(&mut self) -> Drawn {
        let (kind, key) = self.draw_key();
        let get = words(&[b"GET", &key]);
        let (shape, batch) = if matches!(kind, 'r' | 'd') && self.random.chance(self.mix.guards) {
            (Shape::Versioned, batch(vec![get, words(&[b"VERSION", &key])]))
        } else {
            (Shape::Plain, batch(vec![get]))
        };
        Drawn { key, action: Action::Read, shape, batch, want: Want::default(), idempotent: false }
    }

    fn draw_write(&mut self) -> Drawn {
        let (kind, key) = self.draw_key();
        let value = Bytes::from(format!("v{}", self.next_value));
        if matches!(kind, 'r' | 'd') && self.random.chance(self.mix.guards) {
            return self.draw_guarded(key, value);
        }
        let (random, mix) = (&mut self.random, &self.mix);
        let mut want = Want::of_ack(if random.chance(mix.all_acks) { Ack::All } else { Ack::Majority });
        let (action, words) = match (kind, random.below(10)) {
            ('e', _) => {
                let time = (20 + random.below(LONGEST_EXPIRY_MS - 20)).to_string();
                (Action::Write(value.clone()), words(&[b"SET", &key, &value, b"PX", time.as_bytes()]))
            }
            ('n', _) => {
                // Few different amounts: additions of unknown outcome can then be told apart only where it matters.
                let by = [1, 1, 10][random.below(3) as usize];
                (Action::Add(by), words(&[b"INCRBY", &key, by.to_string().as_bytes()]))
            }
            ('d', 4..=6) => (Action::Delete, words(&[b"DEL", &key])),
            ('d', 7..=9) => (Action::Cas(None, value.clone()), words(&[b"SETNX", &key, &value])),
            (_, 0..=1) => (Action::Swap(value.clone()), words(&[b"GETSET", &key, &value])),
            (_, 2..=3) => {
                let old = self.last_value(&key);
                let old = old.unwrap_or(Bytes::from_static(b"nobody wrote this"));
                (Action::Cas(Some(old.clone()), value.clone()), words(&[b"CAS", &key, &old, &value]))
            }
            _ => {
                if random.chance(mix.weak_acks * 2) {
                    want.ack = Some(if random.chance(500) { Ack::Leader } else { Ack::One });
                }
                (Action::Write(value.clone()), words(&[b"SET", &key, &value]))
            }
        };
        Drawn { key, action, shape: Shape::Plain, batch: batch(vec![words]), want, idempotent: false }
    }

    fn last_value(&self, key: &Bytes) -> Option<Bytes> {
        let last = self.records.iter().rev().find(|record| record.operation.key == key);
        last.and_then(|record| match (&record.operation.action, &record.operation.outcome) {
            (Action::Write(value) | Action::Swap(value), _) => Some(value.clone()),
            (Action::Read, Outcome::Done(Answer::Value(value))) => value.clone(),
            _ => None,
        })
    }

    /// The value that a key had at a version, as somebody heard; mostly the newest that is known.
    fn watched(&mut self, key: &Bytes) -> Option<(u64, Bytes)> {
        let back = if self.random.chance(800) { 0 } else { 1 + self.random.below(3) as usize };
        let known = self.versions.get(key)?;
        let (version, value) = known.iter().rev().nth(back).or(known.iter().next_back())?;
        Some((*version, value.clone()))
    }

    /// A guard on each of the keys, and the value that they must have for it to hold.
    fn draw_guards(&mut self, register: &Bytes, keys: &[Bytes]) -> (Vec<Guard>, Option<Bytes>) {
        let watched = self.watched(register).filter(|_| self.random.chance(850));
        let absent = self.random.chance(500);
        let guard = |key: &Bytes| match &watched {
            Some((version, _)) => Guard::Version { key: key.clone(), version: *version },
            None if absent => Guard::Absent { key: key.clone() },
            None => Guard::Version { key: key.clone(), version: 0 },
        };
        (keys.iter().map(guard).collect(), watched.as_ref().map(|(_, value)| value.clone()))
    }

    fn draw_guarded(&mut self, key: Bytes, value: Bytes) -> Drawn {
        let (guards, expected) = self.draw_guards(&key, std::slice::from_ref(&key));
        let batch = Batch { guards, ..batch(vec![words(&[b"SET", &key, &value])]) };
        let action = Action::Cas(expected, value);
        Drawn { key, action, shape: Shape::Guarded, batch, want: Want::default(), idempotent: false }
    }

    /// A transaction on keys that always have one value: together they are a register.
    fn draw_tuple(&mut self, read: bool) -> Drawn {
        let which = self.random.below(self.mix.keys.max(1));
        let register = Bytes::from(format!("t{which}"));
        let count = 2 + which as usize % 2;
        let keys: Vec<Bytes> = (0..count).map(|at| Bytes::from(format!("{{t{which}}}{at}"))).collect();
        let value = Bytes::from(format!("v{}", self.next_value));
        let set = |key: &Bytes| words(&[b"SET", key, &value]);
        let get = |key: &Bytes| words(&[b"GET", key]);
        let mut guards = Vec::new();
        let (action, commands) = match self.random.below(4) {
            _ if read => {
                let versions = keys.iter().map(|key| words(&[b"VERSION", key]));
                (Action::Read, keys.iter().map(get).chain(versions).collect())
            }
            0 => {
                let mut commands: Vec<Words> = keys.iter().map(set).collect();
                commands.insert(1, words(&[b"INCRBY", &keys[0], b"1"]));
                (Action::Write(value.clone()), commands)
            }
            1 => {
                let pairs = keys.iter().flat_map(|key| [set(key), get(key)]);
                (Action::Swap(value.clone()), std::iter::once(get(&keys[0])).chain(pairs).collect())
            }
            _ => {
                let expected;
                (guards, expected) = self.draw_guards(&register, &keys);
                (Action::Cas(expected, value.clone()), keys.iter().map(set).collect())
            }
        };
        let batch = Batch { guards, ..batch(commands) };
        Drawn { key: register, action, shape: Shape::Tuple(count), batch, want: Want::default(), idempotent: false }
    }

    /// An operation on the table whose elements lie in all groups.
    fn draw_element(&mut self) -> Drawn {
        let element = Bytes::from(format!("m{}", self.next_value));
        let (asked, words) = match self.random.below(20) {
            0..=8 => (Asked::Add(element.clone()), words(&[b"SET", &element, b"1"])),
            9 => (Asked::Empty, words(&[b"FLUSHDB"])),
            10..=14 => (Asked::List, words(&[b"KEYS", b"*"])),
            15..=18 => (Asked::Count, words(&[b"DBSIZE"])),
            _ => (Asked::Any, words(&[b"RANDOMKEY"])),
        };
        let mut want = Want::default();
        let action = match &asked {
            Asked::Add(element) => Action::Write(element.clone()),
            Asked::Empty => Action::Delete,
            Asked::List | Asked::Count | Asked::Any => {
                want.level = Some(level(&self.mix, &mut self.random));
                Action::Read
            }
        };
        let batch = Batch { table: ELEMENTS, ..batch(vec![words]) };
        let key = Bytes::from_static(b"elements");
        Drawn { key, action, shape: Shape::Table(asked), batch, want, idempotent: false }
    }
}
