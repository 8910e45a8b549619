//! Sets that only grow and are read whole: every read is a level, and each element went in before the first level that has
//! it and after the last that has it not. Levels that are not ordered by inclusion contradict each other; otherwise
//! inserts and reads have a fixed order up to what cannot be told apart, which time must not contradict.

use super::item::Item;
use super::zone::{Contradiction, NONE};
use super::{Fast, Scratch};
use crate::{History, Step, Value};

/// Judges the operations of one set, if nothing is removed and membership is only seen by reads of the whole.
pub(super) fn judge(history: &History, items: &[Item], scratch: &mut Scratch) -> Fast {
    let whole = |item: &Item| matches!(history.steps(item.id), [Step::Insert { .. } | Step::ReadList { .. }]);
    if !items.iter().all(whole) {
        return Fast::Unfit;
    }
    let judged = Levels::read(history, items, scratch).and_then(|levels| levels.judge(items));
    for item in items {
        match *history.steps(item.id) {
            [Step::Insert { value, .. }] => scratch.number[value.0 as usize] = NONE,
            [Step::ReadList { list: Some(list), .. }] => {
                history.list(list).iter().for_each(|value| scratch.number[value.0 as usize] = NONE);
            }
            _ => {}
        }
    }
    match judged {
        Ok(()) => Fast::Valid,
        Err(places) => Fast::Invalid(Contradiction { places, edges: Vec::new() }),
    }
}

struct Levels {
    /// By element: its first insert to begin, and the level that first has it ([`NONE`] if none has).
    first: Vec<u32>,
    level: Vec<u32>,
    element_of: Vec<u32>,
    /// By level, a read of it.
    reads: Vec<u32>,
    /// By place, the level of a read.
    level_of: Vec<u32>,
    inserts: Vec<Vec<u32>>,
}

impl Levels {
    fn read(history: &History, items: &[Item], scratch: &mut Scratch) -> Result<Levels, Vec<u32>> {
        let mut levels = Levels {
            first: Vec::new(),
            level: Vec::new(),
            element_of: vec![NONE; items.len()],
            reads: Vec::new(),
            level_of: vec![NONE; items.len()],
            inserts: Vec::new(),
        };
        for (at, item) in items.iter().enumerate() {
            if let [Step::Insert { value, .. }] = *history.steps(item.id) {
                let number = &mut scratch.number[value.0 as usize];
                if *number == NONE {
                    *number = levels.first.len() as u32;
                    levels.first.push(at as u32);
                    levels.level.push(NONE);
                    levels.inserts.push(Vec::new());
                }
                levels.element_of[at] = *number;
                levels.inserts[*number as usize].push(at as u32);
            }
        }
        let mut reads: Vec<(Vec<Value>, u32)> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            if let [Step::ReadList { list: Some(list), .. }] = *history.steps(item.id)
                && !item.open
            {
                let mut list = history.list(list).to_vec();
                list.sort_unstable();
                if list.windows(2).any(|pair| pair[0] == pair[1]) {
                    let values = list.iter().map(|value| scratch.number[value.0 as usize]).filter(|&at| at != NONE);
                    return Err(values
                        .flat_map(|element| levels.inserts[element as usize].clone())
                        .chain([at as u32])
                        .collect());
                }
                reads.push((list, at as u32));
            }
        }
        reads.sort_by_key(|(list, _)| list.len());
        let mut known = 0;
        for (list, at) in reads {
            let grown = levels.reads.is_empty() || list.len() > known;
            let level = levels.reads.len() as u32 - u32::from(!grown);
            let mut fits = true;
            for value in &list {
                let number = scratch.number[value.0 as usize];
                if number == NONE {
                    return Err(vec![at]);
                }
                if levels.level[number as usize] == NONE {
                    fits &= grown;
                    levels.level[number as usize] = level;
                    known += 1;
                }
            }
            if !fits || known != list.len() {
                let other = *levels.reads.last().unwrap_or(&at);
                // The levels up to here have marked every element of both.
                let marked = levels.inserts.iter().zip(&levels.level).filter(|(_, level)| **level != NONE);
                return Err(marked.flat_map(|(inserts, _)| inserts.iter().copied()).chain([other, at]).collect());
            }
            if grown {
                levels.reads.push(at);
            }
            levels.level_of[at as usize] = level;
        }
        Ok(levels)
    }

    /// Orders inserts and reads by level, and asks whether time contradicts.
    fn judge(&self, items: &[Item]) -> Result<(), Vec<u32>> {
        let last = self.reads.len() as u32 * 2;
        let mut order: Vec<(u32, bool, u32)> = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let at = at as u32;
            let element = self.element_of[at as usize];
            if element != NONE {
                let level = self.level[element as usize];
                let first = self.first[element as usize] == at;
                // Of several inserts of an element the first must stand before its level; the others may stand later.
                if level != NONE && (first || !item.open) {
                    order.push((level * 2, first, at));
                } else if level == NONE && !item.open {
                    order.push((last, false, at));
                }
            } else if self.level_of[at as usize] != NONE {
                order.push((self.level_of[at as usize] * 2 + 1, true, at));
            }
        }
        order.sort_unstable();
        let mut latest: Option<u32> = None;
        for same in order.chunk_by(|a, b| a.0 == b.0) {
            for &(_, _, at) in same {
                if let Some(earlier) = latest
                    && items[at as usize].precedes(&items[earlier as usize])
                {
                    return Err(self.contradiction(earlier, at));
                }
            }
            for &(_, fixed, at) in same {
                if fixed && latest.is_none_or(|other| items[other as usize].begin < items[at as usize].begin) {
                    latest = Some(at);
                }
            }
        }
        Ok(())
    }

    /// `late` had ended before `early` began, but some read had seen `early` and not `late`.
    fn contradiction(&self, early: u32, late: u32) -> Vec<u32> {
        let mut places = vec![early, late];
        let element = self.element_of[early as usize];
        let level = if element == NONE { self.level_of[early as usize] } else { self.level[element as usize] };
        let read = self.reads[level as usize];
        places.push(read);
        // Every writer of what these reads saw.
        let top = if self.level_of[late as usize] == NONE { level } else { self.level_of[late as usize] };
        for (element, inserts) in self.inserts.iter().enumerate() {
            if self.level[element] != NONE && self.level[element] <= top.max(level) {
                places.extend(inserts);
            }
        }
        places
    }
}
