//! Which writes a text shows, when texts are written and appended to.

use super::plain::{Act, INITIAL, NONE, Plain, Shown};
use crate::{Datum, Spent, Value};
use rustc_hash::FxHashMap;

/// More ways to read one text than this are not followed: the verdict is unknown then.
const MOST_READINGS: usize = 64;
/// Nor more work than this for one text.
const MOST_WORK: usize = 1 << 20;

/// All ways to read each text that was seen.
#[derive(Default)]
pub(super) struct Readings {
    ways: FxHashMap<(u32, u32), Vec<Shown>>,
    arena: Vec<u32>,
}

impl Readings {
    pub(super) fn new(plain: &Plain<'_>) -> Result<Readings, Spent> {
        // One place at the front, so that an arena in use is never empty.
        let mut readings = Readings { ways: FxHashMap::default(), arena: vec![NONE] };
        let mut appends: FxHashMap<u32, Appends<'_>> = FxHashMap::default();
        for (id, act) in plain.acts.iter().enumerate() {
            if let Act::Saw(value) = *act {
                let key = plain.keys[id];
                if !readings.ways.contains_key(&(key, value.0)) {
                    let appends = appends.entry(key).or_insert_with(|| Appends::new(plain, key));
                    let ways = readings.read(plain, key, value, appends)?;
                    readings.ways.insert((key, value.0), ways);
                }
            }
        }
        Ok(readings)
    }

    pub(super) fn arena(&self) -> &[u32] {
        &self.arena
    }

    pub(super) fn of(&self, key: u32, value: Value) -> Vec<Shown> {
        self.ways.get(&(key, value.0)).cloned().unwrap_or_default()
    }

    /// Every sequence of a write (or the state before everything) and appends that gives the text, each used once.
    fn read(&mut self, plain: &Plain<'_>, key: u32, value: Value, appends: &Appends<'_>) -> Result<Vec<Shown>, Spent> {
        let Some(text) = text_of(plain, value) else {
            // Not a text: only a write can have put it there.
            let same = |id: &&u32| plain.acts[**id as usize] == Act::Wrote(value);
            let mut ways: Vec<Shown> = plain.writes_of(key).iter().filter(same).map(|&id| Shown::write(id)).collect();
            if plain.initial(key) == value {
                ways.push(Shown::write(INITIAL));
            }
            return Ok(ways);
        };
        let mut ways = Vec::new();
        let mut work = 0;
        let bases = std::iter::once(INITIAL).chain(plain.writes_of(key).iter().copied());
        for base in bases {
            let start = if base == INITIAL {
                text_of(plain, plain.initial(key))
            } else if let Act::Wrote(value) = plain.acts[base as usize] {
                text_of(plain, value)
            } else {
                continue;
            };
            let Some(rest) = start.and_then(|start| text.strip_prefix(start)) else { continue };
            appends.follow(rest, &mut work, |used| {
                let first = self.arena.len() as u32;
                self.arena.extend_from_slice(used);
                ways.push(Shown::text(base, first, used.len() as u32));
                ways.len() <= MOST_READINGS
            })?;
        }
        Ok(ways)
    }
}

/// The text, if it is one; nothing is the empty text.
fn text_of<'p>(plain: &'p Plain<'_>, value: Value) -> Option<&'p str> {
    match plain.history.value(value) {
        Datum::Nil => Some(""),
        datum => datum.name(),
    }
}

/// The appends of one key, found by what they append.
struct Appends<'p> {
    by_text: FxHashMap<&'p str, Vec<u32>>,
    lengths: Vec<usize>,
}

impl<'p> Appends<'p> {
    fn new(plain: &'p Plain<'_>, key: u32) -> Appends<'p> {
        let mut by_text: FxHashMap<&str, Vec<u32>> = FxHashMap::default();
        for &id in plain.writes_of(key) {
            if let Act::Appended(value) = plain.acts[id as usize]
                && let Some(text) = text_of(plain, value)
            {
                by_text.entry(text).or_default().push(id);
            }
        }
        let mut lengths: Vec<usize> = by_text.keys().map(|text| text.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        Appends { by_text, lengths }
    }

    /// Calls `found` with every sequence of appends that gives the rest, until it says no.
    fn follow(&self, rest: &str, work: &mut usize, mut found: impl FnMut(&[u32]) -> bool) -> Result<(), Spent> {
        let mut used: Vec<u32> = Vec::new();
        // For each depth: what is left, and the next choices (length, append of that text).
        let mut stack: Vec<(&str, usize, usize)> = vec![(rest, 0, 0)];
        if rest.is_empty() && !found(&used) {
            return Err(Spent::Steps);
        }
        while let Some((left, length_at, append_at)) = stack.last_mut() {
            *work += 1;
            if *work > MOST_WORK {
                return Err(Spent::Steps);
            }
            let Some(&length) = self.lengths.get(*length_at) else {
                stack.pop();
                used.pop();
                continue;
            };
            let piece = left.get(..length);
            let choices = piece.and_then(|piece| self.by_text.get(piece));
            let Some(&append) = choices.and_then(|choices| choices.get(*append_at)) else {
                (*length_at, *append_at) = (*length_at + 1, 0);
                continue;
            };
            *append_at += 1;
            if used.contains(&append) {
                continue;
            }
            let left = &left[length..];
            used.push(append);
            if left.is_empty() && !found(&used) {
                return Err(Spent::Steps);
            }
            stack.push((left, 0, 0));
        }
        Ok(())
    }
}
