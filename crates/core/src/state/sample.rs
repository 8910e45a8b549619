//! Random draws from what is ordered by hash: every element with equal chance, without visiting all.
//!
//! A window of fixed width is laid at a random place of the circle of hashes. Every element lies in a window with equal
//! chance; if the window holds `n` elements it is kept with chance `n / MOST`, and one of them is taken. So crowded and
//! lonely elements are equally likely, as long as no window holds more than `MOST`, which is three times the mean.

use super::cells::{Reader, Visit};
use super::layout::{Cell, Collection, HASHES};
use crate::random::Random;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bytes::Bytes;

/// Up to this many elements are all listed.
const FEW: u64 = 128;
/// Elements in a window on average.
const MEAN: u64 = 16;
/// Elements in a window at most.
const MOST: usize = 48;
/// Windows laid before all are listed: only a table full of expired keys comes here.
const TRIES: usize = 64;

/// An element and its value.
pub type Element = (Bytes, Bytes);

/// Elements by hash: those of a collection, or the keys of a table.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    reader: Reader<'a>,
    collection: Option<&'a Collection>,
}

impl<'a> Source<'a> {
    /// The elements of a collection.
    pub fn elements(reader: Reader<'a>, collection: &'a Collection) -> Source<'a> {
        Source { reader, collection: Some(collection) }
    }
    /// The keys of the table.
    pub fn keys(reader: Reader<'a>) -> Source<'a> {
        Source { reader, collection: None }
    }
    fn count(&self) -> u64 {
        self.collection.map_or(self.reader.scope.table.cells, |collection| collection.count)
    }
    fn visit(&self, from: u64, visit: &mut Visit<'_>) {
        match self.collection {
            Some(collection) => self.reader.elements(collection, from, visit),
            None => self.reader.cells(from, &mut |hash, key, value| {
                let lives = Cell::decode_expiry(value).is_none_or(|expiry| expiry > self.reader.scope.time_ms);
                !lives || visit(hash, key, b"")
            }),
        }
    }
    fn between(&self, from: u64, until: u64, into: &mut Vec<Element>) {
        self.visit(from, &mut |hash, element, value| {
            let inside = hash < until && into.len() < MOST;
            if inside {
                into.push((Bytes::copy_from_slice(element), Bytes::copy_from_slice(value)));
            }
            inside
        });
    }
    /// All elements, in the order of hashes.
    pub fn all(&self) -> Vec<Element> {
        let mut all = Vec::new();
        self.visit(0, &mut |_, element, value| {
            all.push((Bytes::copy_from_slice(element), Bytes::copy_from_slice(value)));
            true
        });
        all
    }
    /// One element.
    pub fn one(&self, random: &mut Random) -> Option<Element> {
        let count = self.count();
        if count > FEW {
            let width = HASHES / count * MEAN;
            let mut window = Vec::new();
            for _ in 0..TRIES {
                window.clear();
                let start = random.below(HASHES);
                self.between(start, start + width, &mut window);
                if start + width > HASHES {
                    self.between(0, start + width - HASHES, &mut window);
                }
                let ticket = random.below(MOST as u64) as usize;
                if ticket < window.len() {
                    return Some(window.swap_remove(ticket));
                }
            }
        }
        let mut all = self.all();
        if all.is_empty() {
            return None;
        }
        let at = random.below(all.len() as u64) as usize;
        Some(all.swap_remove(at))
    }
    /// As many distinct elements as are asked for and there.
    pub fn distinct(&self, wanted: u64, random: &mut Random) -> Vec<Element> {
        let count = self.count();
        if count <= FEW || wanted >= count / 4 {
            let mut all = self.all();
            let wanted = (all.len() as u64).min(wanted) as usize;
            for at in 0..if wanted < all.len() { wanted } else { 0 } {
                let other = at + random.below((all.len() - at) as u64) as usize;
                all.swap(at, other);
            }
            all.truncate(wanted);
            return all;
        }
        let mut taken = BTreeSet::new();
        let mut drawn = Vec::new();
        while (drawn.len() as u64) < wanted {
            let Some(element) = self.one(random) else { break };
            if taken.insert(element.0.clone()) {
                drawn.push(element);
            }
        }
        drawn
    }
    /// As many elements as are asked for, one independent of the other.
    pub fn repeated(&self, wanted: u64, random: &mut Random) -> Vec<Element> {
        if self.count() <= FEW {
            let all = self.all();
            return (0..wanted).map(|_| all[random.below(all.len() as u64) as usize].clone()).collect();
        }
        (0..wanted).filter_map(|_| self.one(random)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::TableId;
    use crate::state::cells::{Scope, Writer};
    use crate::state::layout::Kind;
    use crate::store::MemoryStore;
    use alloc::collections::BTreeMap;
    use alloc::format;

    #[test]
    fn every_element_is_drawn_equally_often() {
        let mut store = MemoryStore::default();
        let scope = Scope::new(&store, [2, 0, 0, 0, 0, 0, 0], TableId(0), 0, 0, 0);
        let mut writer = Writer::new(&mut store, scope, 1);
        let mut set = writer.new_collection(Kind::Set);
        (0..300).for_each(|n| assert!(writer.put_element(&mut set, format!("m{n}").as_bytes(), b"")));
        let source = Source::elements(writer.reader(), &set);
        let mut random = Random::new(1);
        let mut drawn = BTreeMap::<Bytes, u64>::new();
        const EACH: u64 = 200;
        for _ in 0..300 * EACH {
            *drawn.entry(source.one(&mut random).expect("the set is not empty").0).or_default() += 1;
        }
        assert_eq!(drawn.len(), 300);
        let square = |times: &u64| times.abs_diff(EACH).pow(2) as f64 / EACH as f64;
        let chi_squared: f64 = drawn.values().map(square).sum();
        // 299 degrees of freedom: mean 299, deviation 24.
        assert!(chi_squared < 299.0 + 6.0 * 24.0, "{chi_squared}");
        let distinct = source.distinct(50, &mut random);
        assert_eq!(distinct.iter().collect::<BTreeSet<_>>().len(), 50);
    }
}
