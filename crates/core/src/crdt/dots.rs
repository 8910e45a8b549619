//! Dot stores: data under the names of the events that put it there (Almeida, Shoker and Baquero, "Delta state replicated
//! data types", 2018). What a context knows and the store does not hold was removed.

use super::{Cell, Delta, Refused};
use crate::clock::{Context, Dot};
use alloc::collections::BTreeMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A value under each dot. A dot names one event, so the value under it is the same wherever it is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DotFun<V>(BTreeMap<Dot, V>);

/// Dots alone.
pub type DotSet = DotFun<()>;

impl<V> Default for DotFun<V> {
    fn default() -> DotFun<V> {
        DotFun(BTreeMap::new())
    }
}

impl<V: Clone> DotFun<V> {
    /// One dot and its value.
    pub fn only(dot: Dot, value: V) -> DotFun<V> {
        DotFun(BTreeMap::from([(dot, value)]))
    }
    /// Puts a value in place of what was seen. The dot is fresh.
    pub fn replace(&mut self, dot: Dot, seen: &Context, value: V) -> Delta<DotFun<V>> {
        self.forget(seen);
        self.0.insert(dot, value.clone());
        let mut context = seen.clone();
        context.insert(dot);
        Delta { cell: DotFun::only(dot, value), context }
    }
    /// Holds no longer what was seen.
    pub fn forget(&mut self, seen: &Context) {
        self.0.retain(|&dot, _| !seen.contains(dot));
    }
    /// The dots and their values, in the order of the dots.
    pub fn iter(&self) -> impl Iterator<Item = (Dot, &V)> + '_ {
        self.0.iter().map(|(&dot, value)| (dot, value))
    }
    /// How many dots.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// No dots?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V: Clone> Cell for DotFun<V> {
    type Seen = Context;

    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
        self.0.retain(|&dot, _| other.0.contains_key(&dot) || !theirs.contains(dot));
        let news = other.0.iter().filter(|&(&dot, _)| !mine.contains(dot));
        self.0.extend(news.map(|(&dot, value)| (dot, value.clone())));
    }
    fn seen(&self) -> Context {
        self.0.keys().copied().collect()
    }
    fn remove(&mut self, seen: &Context) -> Result<Delta<Self>, Refused> {
        self.forget(seen);
        Ok(Delta { cell: DotFun::default(), context: seen.clone() })
    }
    fn is_bottom(&self) -> bool {
        self.0.is_empty()
    }
    fn dots(&self, each: &mut dyn FnMut(Dot)) {
        self.0.keys().copied().for_each(each);
    }
}

/// Makes a cell of a type that only names a [`DotFun`]: it joins, is seen and is removed as its dots are.
macro_rules! cell_of_dots {
    ($cell:ident) => {
        impl Cell for $cell {
            type Seen = Context;

            fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
                self.0.join(mine, &other.0, theirs);
            }
            fn seen(&self) -> Context {
                self.0.seen()
            }
            fn remove(&mut self, seen: &Context) -> Result<Delta<Self>, Refused> {
                Ok(self.0.remove(seen)?.map($cell))
            }
            fn is_bottom(&self) -> bool {
                self.0.is_bottom()
            }
            fn dots(&self, each: &mut dyn FnMut(Dot)) {
                self.0.dots(each);
            }
        }
    };
}
pub(super) use cell_of_dots;

/// A key of a [`DotMap`], which says what stands at it when nothing does.
pub trait Place<S>: Ord + Clone {
    /// The empty state at this key.
    fn bottom(&self) -> S;
}

impl<S: Default> Place<S> for Bytes {
    fn bottom(&self) -> S {
        S::default()
    }
}

/// A cell under each key; those that hold nothing are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DotMap<K: Ord, S>(BTreeMap<K, S>);

impl<K: Ord, S> Default for DotMap<K, S> {
    fn default() -> DotMap<K, S> {
        DotMap(BTreeMap::new())
    }
}

impl<K: Place<S>, S: Cell> DotMap<K, S> {
    /// One key and its cell.
    pub fn only(key: K, cell: S) -> DotMap<K, S> {
        let mut map = DotMap::default();
        map.put(key, cell);
        map
    }
    /// The cell of a key, if it holds something.
    pub fn get(&self, key: &K) -> Option<&S> {
        self.0.get(key)
    }
    /// Lets an operation change the cell of a key. If the operation fails, it must have changed nothing.
    pub fn update<T>(&mut self, key: &K, operation: impl FnOnce(&mut S) -> T) -> T {
        let mut cell = self.0.remove(key).unwrap_or_else(|| key.bottom());
        let result = operation(&mut cell);
        self.put(key.clone(), cell);
        result
    }
    /// The keys and their cells, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &S)> + '_ {
        self.0.iter()
    }

    fn put(&mut self, key: K, cell: S) {
        if !cell.is_bottom() {
            self.0.insert(key, cell);
        }
    }
}

impl<K: Place<S>, S: Cell> Cell for DotMap<K, S> {
    type Seen = BTreeMap<K, S::Seen>;

    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
        self.0.retain(|key, cell| {
            match other.0.get(key) {
                Some(other) => cell.join(mine, other, theirs),
                None => cell.join(mine, &key.bottom(), theirs),
            }
            !cell.is_bottom()
        });
        for (key, other) in &other.0 {
            if !self.0.contains_key(key) {
                let mut cell = key.bottom();
                cell.join(mine, other, theirs);
                self.put(key.clone(), cell);
            }
        }
    }
    fn seen(&self) -> Self::Seen {
        self.0.iter().map(|(key, cell)| (key.clone(), cell.seen())).collect()
    }
    fn remove(&mut self, seen: &Self::Seen) -> Result<Delta<Self>, Refused> {
        let (mut after, mut all) = (self.clone(), Delta { cell: DotMap::default(), context: Context::default() });
        for (key, seen) in seen {
            let delta = after.update(key, |cell| cell.remove(seen))?;
            all.cell.put(key.clone(), delta.cell);
            all.context.join(&delta.context);
        }
        *self = after;
        Ok(all)
    }
    fn is_bottom(&self) -> bool {
        self.0.is_empty()
    }
    fn is_absent(&self) -> bool {
        self.0.values().all(Cell::is_absent)
    }
    fn dots(&self, each: &mut dyn FnMut(Dot)) {
        self.0.values().for_each(|cell| cell.dots(each));
    }
}
