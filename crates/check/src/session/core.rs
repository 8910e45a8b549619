//! Operations that already break a model, made as few as possible.

use super::graph::Arc;
use super::plain::{Act, INITIAL, NONE, Plain};
use super::tie;
use crate::{Budget, History, Id, Meter, Spent};

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
    fails: &mut dyn FnMut(&History, &mut Meter<'_>) -> Result<bool, Spent>,
    meter: &mut Meter<'_>,
) -> Vec<Id> {
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 {
        let mut end = kept.len();
        let mut smaller = false;
        while end > 0 {
            let start = end.saturating_sub(chunk);
            let rest = without(history, &kept, start, end);
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

/// The operations without some, and without the reads that may have seen one of those.
fn without(history: &History, kept: &[Id], start: usize, end: usize) -> Vec<Id> {
    let part = history.restrict(kept);
    if !super::is_plain(&part) {
        let rest = tie::without(&part, start, end);
        return rest.into_iter().map(|at| kept[at.index()]).collect();
    }
    let Ok(plain) = Plain::new(&part, super::plain::Rules::TRUE) else { return kept.to_vec() };
    let gone = |at: u32| at != INITIAL && (start..end).contains(&(at as usize));
    let stays = |at: u32| {
        if gone(at) {
            return false;
        }
        if !plain.acts[at as usize].sees() {
            return true;
        }
        let shown = plain.shown[at as usize];
        if shown.is_open() {
            !plain.options(at).iter().any(|&option| plain.sources(option).any(gone))
        } else {
            !plain.sources(shown).any(gone)
        }
    };
    (0..kept.len() as u32).filter(|&at| stays(at)).map(|at| kept[at as usize]).collect()
}
