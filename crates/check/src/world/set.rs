//! Sets: their elements are numbered beforehand, key by key, so that a set is a row of bits.

use super::{State, Table};
use crate::{History, Key, Step, Value};
use rustc_hash::FxHashMap;

#[derive(Default)]
pub(super) struct Sets {
    elements: FxHashMap<(Key, Value), u32>,
    /// The number of elements of each key.
    sizes: FxHashMap<Key, u32>,
    table: Table<Box<[u64]>>,
    bytes: u64,
}

impl Sets {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn prepare<'h>(&mut self, steps: impl Iterator<Item = &'h Step>) {
        *self = Sets::default();
        for step in steps {
            if let Step::Insert { key, value } | Step::Remove { key, value } = *step {
                let size = self.sizes.entry(key).or_insert(0);
                self.elements.entry((key, value)).or_insert_with(|| {
                    *size += 1;
                    *size - 1
                });
            }
        }
    }

    pub(super) fn first_of(&mut self, key: Key) -> State {
        let empty = self.row(key);
        self.name(empty)
    }

    pub(super) fn step(&mut self, history: &History, state: State, step: &Step, open: bool) -> Option<State> {
        let agrees = |fits: bool| (open || fits).then_some(state);
        match *step {
            Step::Insert { key, value } => self.change(state, (key, value), true),
            Step::Remove { key, value } => self.change(state, (key, value), false),
            Step::Contains { key, value, there } => {
                let element = self.elements.get(&(key, value));
                let is = element.is_some_and(|&element| has(self.table.of(state), element));
                agrees(there.is_none_or(|there| there == is))
            }
            Step::ReadList { key, list } => {
                let Some(list) = list.filter(|_| !open) else { return Some(state) };
                let mut listed = self.row(key);
                for &value in history.list(list) {
                    let element = *self.elements.get(&(key, value))?;
                    if has(&listed, element) {
                        return None;
                    }
                    listed[element as usize / 64] |= 1 << (element % 64);
                }
                agrees(*self.table.of(state) == listed)
            }
            _ => None,
        }
    }

    fn change(&mut self, state: State, element: (Key, Value), there: bool) -> Option<State> {
        let element = *self.elements.get(&element)?;
        if has(self.table.of(state), element) == there {
            return Some(state);
        }
        let mut set = self.table.of(state).clone();
        set[element as usize / 64] ^= 1 << (element % 64);
        Some(self.name(set))
    }

    fn row(&self, key: Key) -> Box<[u64]> {
        vec![0; self.sizes.get(&key).map_or(0, |&size| size.div_ceil(64) as usize)].into()
    }

    fn name(&mut self, set: Box<[u64]>) -> State {
        let (known, bytes) = (self.table.len(), set.len() as u64 * 16 + 64);
        let name = self.table.name(set);
        self.bytes += if self.table.len() > known { bytes } else { 0 };
        name
    }
}

fn has(set: &[u64], element: u32) -> bool {
    set[element as usize / 64] >> (element % 64) & 1 == 1
}
