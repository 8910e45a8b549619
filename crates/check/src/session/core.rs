//! Operations that already break a model, made as few as possible.

use super::graph::Arc;
use super::plain::{Act, INITIAL, NONE, Plain, Shown};
use crate::{History, Id, Meter, Spent};
use std::ops::Range;

/// Some operations that break a model, and the circle that shows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Core {
    pub(super) operations: Vec<u32>,
    pub(super) arcs: Vec<Arc>,
}

impl Core {
    pub(super) fn of(operations: &[u32]) -> Core {
        Core { operations: operations.to_vec(), arcs: Vec::new() }
    }
    pub(super) fn of_arcs(arcs: &[Arc]) -> Core {
        let operations = arcs.iter().flat_map(|arc| [arc.from, arc.to, arc.read]).filter(|&id| id != NONE).collect();
        Core { operations, arcs: arcs.to_vec() }
    }
    /// Everything.
    pub(super) fn all(plain: &Plain<'_>) -> Core {
        let used = |id: &u32| plain.acts[*id as usize] != Act::Idle;
        Core { operations: (0..plain.acts.len() as u32).filter(used).collect(), arcs: Vec::new() }
    }
}

/// The operations, and everything that any of them may have read: without it, it would be a read from nowhere.
pub(super) fn with_sources(plain: &Plain<'_>, operations: &[u32]) -> Vec<Id> {
    let mut kept = vec![false; plain.acts.len()];
    let mut todo = operations.to_vec();
    while let Some(id) = todo.pop() {
        if std::mem::replace(&mut kept[id as usize], true) || !plain.acts[id as usize].sees() {
            continue;
        }
        let shown = plain.shown[id as usize];
        if shown.is_open() {
            todo.extend(plain.options(id).iter().flat_map(|&option| plain.sources(option)));
        } else {
            todo.extend(plain.sources(shown));
        }
    }
    (0..kept.len() as u32).filter(|&id| kept[id as usize]).map(Id).collect()
}

/// Making a witness smaller may take so many times the steps that were done before it.
const MULTIPLE: u64 = 4;
/// And as many more, so that small histories are made as small as can be.
const FLOOR: u64 = 1 << 20;
/// One try may take so many: one that is hard should not keep the others from being made.
const MOST_OF_ONE: u64 = 2_000_000;

/// Work on a witness, charged to the caller's meter, as long as there are steps left for it.
pub(super) struct Tries<'m, 'w> {
    meter: &'m mut Meter<'w>,
    left: u64,
}

impl<'m, 'w> Tries<'m, 'w> {
    /// In proportion to the steps that were done so far.
    pub(super) fn after_finding(meter: &'m mut Meter<'w>) -> Tries<'m, 'w> {
        let left = MULTIPLE.saturating_mul(meter.progress().steps).saturating_add(FLOOR);
        Tries { meter, left }
    }
    /// Steps of its own for the name, which is looked for in what is left of the witness.
    pub(super) fn of_name(&mut self) -> Tries<'_, 'w> {
        Tries { meter: &mut *self.meter, left: FLOOR }
    }
    /// A try that may take whatever is left. `None` if that is too little.
    pub(super) fn all<T>(&mut self, work: impl FnOnce(&mut Meter<'_>) -> Result<T, Spent>) -> Option<T> {
        self.at_most(u64::MAX, work)
    }
    /// One of many tries.
    pub(super) fn one<T>(&mut self, work: impl FnOnce(&mut Meter<'_>) -> Result<T, Spent>) -> Option<T> {
        self.at_most(MOST_OF_ONE, work)
    }
    fn at_most<T>(&mut self, most: u64, work: impl FnOnce(&mut Meter<'_>) -> Result<T, Spent>) -> Option<T> {
        if self.is_over() {
            return None;
        }
        let (done, took) = self.meter.within(most.min(self.left), work);
        // Some of the work is done even if no step is charged; whoever said stop means all of it.
        let stopped = matches!(done, Err(Spent::Stopped));
        self.left = if stopped { 0 } else { self.left.saturating_sub(took.max(1)) };
        done.ok()
    }
    fn is_over(&self) -> bool {
        self.left == 0
    }
}

/// Of the operations of a history, as few as possible that are still invalid. What takes too long is left as it is.
pub(super) fn shrink(
    history: &History,
    mut kept: Vec<Id>,
    without: &Without<'_>,
    fails: &mut dyn FnMut(&History, &mut Meter<'_>) -> Result<bool, Spent>,
    tries: &mut Tries<'_, '_>,
) -> Vec<Id> {
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 && !tries.is_over() {
        let mut end = kept.len();
        let mut smaller = false;
        while end > 0 && !tries.is_over() {
            let start = end.saturating_sub(chunk);
            let rest = without(history, &kept, start..end);
            end = start;
            if rest.len() == kept.len() || rest.is_empty() {
                continue;
            }
            let part = history.restrict(&rest);
            if tries.one(|meter| fails(&part, meter)) == Some(true) {
                kept = rest;
                end = end.min(kept.len());
                smaller = true;
            }
        }
        chunk = if smaller && chunk == 1 { 1 } else { chunk / 2 };
    }
    kept
}

/// The operations without some of them, and without all that must go with those.
pub(super) type Without<'a> = dyn Fn(&History, &[Id], Range<usize>) -> Vec<Id> + 'a;

/// Which reads cannot have seen what their own session wrote later.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    None,
    /// Those that name what they saw; a failed compare-and-set does not.
    Named,
    All,
}

/// Leaves out operations, and all reads that may have seen one of those, directly or over others.
pub(super) fn without_readers(history: &History, kept: &[Id], some: Range<usize>, bound: Bound) -> Vec<Id> {
    let part = history.restrict(kept);
    let Ok(plain) = Plain::new(&part, super::plain::Rules::TRUE) else { return kept.to_vec() };
    let mut gone: Vec<bool> = (0..kept.len()).map(|at| some.contains(&at)).collect();
    let is_gone = |gone: &[bool], at: u32| at != INITIAL && gone[at as usize];
    let later = |read: u32, source: u32| {
        let binds = match bound {
            Bound::None => false,
            Bound::Named => !matches!(plain.acts[read as usize], Act::SawOther(_)),
            Bound::All => true,
        };
        binds && source != INITIAL && plain.sessions[source as usize] == plain.sessions[read as usize] && source > read
    };
    loop {
        let goes = |&read: &u32| {
            if gone[read as usize] || !plain.acts[read as usize].sees() {
                return false;
            }
            let options = plain.options(read);
            let shows = |option: &Shown| plain.sources(*option).any(|source| is_gone(&gone, source));
            let possible = |option: &Shown| !plain.sources(*option).any(|source| later(read, source));
            options.iter().filter(|option| possible(option)).any(shows)
                || !options.is_empty() && options.iter().all(shows)
        };
        let readers: Vec<u32> = (0..kept.len() as u32).filter(goes).collect();
        if readers.is_empty() {
            return kept.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(&id, _)| id).collect();
        }
        readers.into_iter().for_each(|read| gone[read as usize] = true);
    }
}
