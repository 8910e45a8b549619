//! Which keys are asked for most, in a fixed room and with a bound on the error.
//!
//! Space-Saving (Metwally, Agrawal and El Abbadi 2005): so many keys have a count. A key without one takes the place of the key with the
//! least, and begins where that was: its count may be that much too large, never too small. Hence no key that was asked for more often
//! than the least count is missing.
//!
//! All counts, and the time that they are about, are halved together once in a while: what is told is about now.

use crate::machine::Mono;
use crate::operation::{HotKey, TableId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// Keys of one table that have a count.
pub const KEYS: usize = 64;
/// Tables that are watched. One more takes the place of the quietest.
pub const TABLES: usize = 64;
/// Bytes of a key that are kept. A longer one is known by its length and its hash, too.
pub const KEY_BYTES: usize = 256;
/// What was counted is halved this often, in milliseconds.
const HALF_LIFE_MS: u64 = 10_000;
/// Counts are in parts of an operation, so that little is lost when they are halved.
const OPERATION: u64 = 1 << 10;

/// The busiest keys of all tables.
#[derive(Clone, Debug, Default)]
pub struct Hot {
    tables: BTreeMap<TableId, Sketch>,
    began: Mono,
    halve_at: Mono,
    /// Time before `began` that the counts are about, as often halved as they.
    before_us: u64,
}

impl Hot {
    /// Nothing was asked for.
    pub fn new(now: Mono) -> Hot {
        Hot { began: now, halve_at: now.after_ms(HALF_LIFE_MS), ..Hot::default() }
    }

    /// A key was asked for.
    pub fn count(&mut self, now: Mono, table: TableId, key: &[u8]) {
        self.pass(now);
        if !self.tables.contains_key(&table) && self.tables.len() >= TABLES {
            let quietest = self.tables.iter().min_by_key(|(_, sketch)| sketch.total).map(|(&id, _)| id);
            quietest.map(|id| self.tables.remove(&id));
        }
        self.tables.entry(table).or_default().count(key);
    }

    /// The time that the counts are about, in milliseconds.
    pub fn window_ms(&self, now: Mono) -> u64 {
        (self.before_us + now.0.saturating_sub(self.began.0)) / 1_000
    }

    /// The tables that are asked for, each with how often.
    pub fn tables(&self) -> impl Iterator<Item = (TableId, u64)> + '_ {
        let asked = self.tables.iter().map(|(&id, sketch)| (id, sketch.total.div_ceil(OPERATION)));
        asked.filter(|&(_, operations)| operations > 0)
    }

    /// The busiest keys of a table, as many as asked or as are known, the busiest first.
    pub fn busiest(&self, table: TableId, count: usize) -> Vec<HotKey> {
        let Some(sketch) = self.tables.get(&table) else { return Vec::new() };
        let mut keys: Vec<HotKey> = sketch.keys.iter().zip(&sketch.counts).map(|(key, &most)| key.told(most)).collect();
        keys.sort_by(|a, b| {
            (b.most, b.most - b.error).cmp(&(a.most, a.most - a.error)).then_with(|| a.key.cmp(&b.key))
        });
        keys.truncate(count);
        keys
    }

    /// No key of the table that has no count was asked for more often.
    pub fn missed(&self, table: TableId) -> u64 {
        self.tables.get(&table).map_or(0, |sketch| sketch.least().div_ceil(OPERATION))
    }

    /// Halves what is old.
    pub fn pass(&mut self, now: Mono) {
        if now < self.halve_at {
            return;
        }
        let late = now.0 - self.halve_at.0;
        let halvings = 1 + late / (HALF_LIFE_MS * 1_000);
        for _ in 0..halvings.min(u64::from(u64::BITS)) {
            self.before_us = (self.before_us + self.halve_at.0 - self.began.0) / 2;
            self.began = self.halve_at;
            self.halve_at = self.halve_at.after_ms(HALF_LIFE_MS);
            self.tables.values_mut().for_each(Sketch::halve);
        }
        // A table that nobody asks for is forgotten.
        self.tables.retain(|_, sketch| sketch.total >= OPERATION);
        if self.halve_at <= now {
            (self.began, self.halve_at) = (now, now.after_ms(HALF_LIFE_MS));
        }
    }
}

/// The counts of one table.
#[derive(Clone, Debug, Default)]
struct Sketch {
    /// Hashes of the keys, apart from the rest, since each operation looks through them.
    hashes: Vec<u64>,
    counts: Vec<u64>,
    keys: Vec<Key>,
    total: u64,
    /// No count is less, once all places are taken.
    floor: u64,
    /// Where the next place with the least count is looked for.
    cursor: usize,
}

#[derive(Clone, Debug, Default)]
struct Key {
    start: Vec<u8>,
    bytes: usize,
    /// Its count may be so much too large.
    error: u64,
}

impl Key {
    fn is(&self, key: &[u8]) -> bool {
        self.bytes == key.len() && self.start == key[..key.len().min(KEY_BYTES)]
    }
    fn told(&self, most: u64) -> HotKey {
        let least = (most - self.error) / OPERATION;
        let most = most.div_ceil(OPERATION);
        HotKey { key: Bytes::copy_from_slice(&self.start), bytes: self.bytes as u64, most, error: most - least }
    }
}

impl Sketch {
    fn count(&mut self, key: &[u8]) {
        self.total += OPERATION;
        let hash = xxh3_64(key);
        let mut same = self.hashes.iter().enumerate().filter(|&(_, &known)| known == hash);
        if let Some((at, _)) = same.find(|&(at, _)| self.keys[at].is(key)) {
            self.counts[at] += OPERATION;
            return;
        }
        let (at, least) = self.place();
        self.hashes[at] = hash;
        self.counts[at] = least + OPERATION;
        let taken = &mut self.keys[at];
        taken.start.clear();
        taken.start.extend_from_slice(&key[..key.len().min(KEY_BYTES)]);
        (taken.bytes, taken.error) = (key.len(), least);
    }

    /// A place for a new key, and the count that stood there: a free one, or one with the least count.
    fn place(&mut self) -> (usize, u64) {
        if self.keys.len() < KEYS {
            self.hashes.push(0);
            self.counts.push(0);
            self.keys.push(Key::default());
            return (self.keys.len() - 1, 0);
        }
        // Counts only rise, so the search goes on where it was: many keys that are asked for once cost little.
        if !self.find_floor() {
            self.floor = self.least();
            self.find_floor();
        }
        (self.cursor, self.floor)
    }

    /// Goes on to the next place whose count is the floor, if there is one.
    fn find_floor(&mut self) -> bool {
        let places = (self.cursor..KEYS).chain(0..self.cursor);
        let found = places.into_iter().find(|&at| self.counts[at] == self.floor);
        self.cursor = found.unwrap_or(self.cursor);
        found.is_some()
    }

    /// The least count, if all places are taken; else nothing is missing.
    fn least(&self) -> u64 {
        if self.keys.len() < KEYS { 0 } else { self.counts.iter().copied().min().unwrap_or(0) }
    }

    /// Rounds so that the truth stays between the bounds.
    fn halve(&mut self) {
        for (key, count) in self.keys.iter_mut().zip(&mut self.counts) {
            let least = (*count - key.error) / 2;
            *count = count.div_ceil(2);
            key.error = *count - least;
        }
        (self.total, self.floor) = (self.total.div_ceil(2), self.floor.div_ceil(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use alloc::format;

    const TABLE: TableId = TableId(3);

    /// Draws by Zipf's law: the n-th key is asked for in proportion to 1/n.
    fn zipf(random: &mut Random, sums: &[f64]) -> usize {
        let at = random.below(1 << 53) as f64 / (1u64 << 53) as f64 * sums[sums.len() - 1];
        sums.partition_point(|&sum| sum <= at).min(sums.len() - 1)
    }

    fn harmonic(keys: usize) -> Vec<f64> {
        let mut sum = 0.0;
        (1..=keys)
            .map(|n| {
                sum += 1.0 / n as f64;
                sum
            })
            .collect()
    }

    /// Holds the sketch against exact counts, which are halved with it.
    fn check(hot: &Hot, exact: &BTreeMap<usize, f64>) {
        let told = hot.busiest(TABLE, KEYS);
        let name = |key: usize| Bytes::from(format!("key:{key}"));
        let missed = hot.missed(TABLE) as f64;
        for (&key, &truth) in exact {
            match told.iter().find(|told| told.key == name(key)) {
                Some(told) => {
                    let least = (told.most - told.error) as f64;
                    assert!(least <= truth && truth <= told.most as f64, "{told:?} was asked for {truth} times");
                }
                None => assert!(truth <= missed, "key {key} was asked for {truth} times, and {missed} is the bound"),
            }
        }
    }

    #[test]
    fn counts_of_zipf_draws_are_within_their_bounds() {
        for seed in 0..20 {
            let (mut random, sums) = (Random::new(seed), harmonic(5_000));
            let (mut hot, mut exact) = (Hot::new(Mono(0)), BTreeMap::<usize, f64>::new());
            let draws = 20_000;
            for _ in 0..draws {
                let key = zipf(&mut random, &sums);
                hot.count(Mono(1), TABLE, format!("key:{key}").as_bytes());
                *exact.entry(key).or_default() += 1.0;
            }
            check(&hot, &exact);
            assert!(hot.missed(TABLE) <= draws / KEYS as u64, "Metwally and others: at most a share of all");
            let busiest: Vec<Bytes> = hot.busiest(TABLE, 3).into_iter().map(|told| told.key).collect();
            assert_eq!(busiest, ["key:0", "key:1", "key:2"]);
            assert_eq!(hot.tables().collect::<Vec<_>>(), [(TABLE, draws)]);
        }
    }

    #[test]
    fn bounds_hold_when_counts_are_halved() {
        let (mut random, sums) = (Random::new(7), harmonic(500));
        let (mut hot, mut exact) = (Hot::new(Mono(0)), BTreeMap::<usize, f64>::new());
        for round in 0..20u64 {
            let now = Mono(round * HALF_LIFE_MS * 1_000);
            if round > 0 {
                hot.pass(now);
                exact.values_mut().for_each(|count| *count /= 2.0);
                check(&hot, &exact);
            }
            for _ in 0..2_000 {
                let key = zipf(&mut random, &sums);
                hot.count(now, TABLE, format!("key:{key}").as_bytes());
                *exact.entry(key).or_default() += 1.0;
            }
            check(&hot, &exact);
        }
    }

    #[test]
    fn what_was_busy_is_not_busy_for_ever() {
        let mut hot = Hot::new(Mono(0));
        let second = |second: u64| Mono(second * 1_000_000);
        for at in 0..60 {
            (0..1_000).for_each(|_| hot.count(second(at), TABLE, b"old"));
        }
        let rate = hot.busiest(TABLE, 1)[0].most * 1_000 / hot.window_ms(second(60));
        assert!((950..1_050).contains(&rate), "{rate} operations per second");
        for at in 60..120 {
            (0..100).for_each(|_| hot.count(second(at), TABLE, b"new"));
        }
        let keys: Vec<Bytes> = hot.busiest(TABLE, 2).into_iter().map(|told| told.key).collect();
        assert_eq!(keys, ["new", "old"]);
        hot.pass(second(1_000));
        assert_eq!((hot.busiest(TABLE, 1), hot.tables().count()), (Vec::new(), 0));
    }

    #[test]
    fn room_is_bounded_whatever_is_asked_for() {
        let mut hot = Hot::new(Mono(0));
        for table in 0..1_000 {
            (0..3).for_each(|_| hot.count(Mono(0), TableId(0), b"k"));
            for key in 0..200u32 {
                hot.count(Mono(0), TableId(table), &[key.to_be_bytes().as_slice(), &[b'x'; 1_000]].concat());
            }
        }
        assert_eq!(hot.tables.len(), TABLES);
        assert!(hot.tables.contains_key(&TableId(0)), "the quietest goes");
        assert!(hot.tables.values().all(|sketch| sketch.keys.len() <= KEYS));
        assert!(hot.tables.values().flat_map(|sketch| &sketch.keys).all(|key| key.start.capacity() <= 2 * KEY_BYTES));
        // Long keys that begin alike are not taken for one.
        let mut hot = Hot::new(Mono(0));
        for end in [b'a', b'b', b'b'] {
            hot.count(Mono(0), TABLE, &[&[b'x'; 400], &[end][..]].concat());
        }
        assert_eq!(
            hot.busiest(TABLE, 3).iter().map(|told| (told.most, told.bytes)).collect::<Vec<_>>(),
            [(2, 401), (1, 401)]
        );
    }
}
