//! Operations that already break a model, made as few as possible.

use super::graph::Arc;
use super::plain::{Act, INITIAL, NONE, Plain, Shown};
use crate::{Budget, History, Id, Meter, Spent};
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

/// Of the operations of a history, as few as possible that are still invalid. What takes too long is left as it is.
pub(super) fn shrink(
    history: &History,
    mut kept: Vec<Id>,
    without: &Without<'_>,
    fails: &mut dyn FnMut(&History, &mut Meter<'_>) -> Result<bool, Spent>,
    meter: &mut Meter<'_>,
) -> Vec<Id> {
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 {
        let mut end = kept.len();
        let mut smaller = false;
        while end > 0 {
            let start = end.saturating_sub(chunk);
            let rest = without(history, &kept, start..end);
            end = start;
            if rest.len() == kept.len() || rest.is_empty() {
                continue;
            }
            let part = history.restrict(&rest);
            // A try may cost some; the whole of them no more than the caller has left.
            let mut try_meter = Meter::new(Budget { steps: 2_000_000, bytes: 1 << 28 });
            let failed = fails(&part, &mut try_meter);
            if meter.step(try_meter.progress().steps + rest.len() as u64).is_err() {
                return kept;
            }
            if failed == Ok(true) {
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
