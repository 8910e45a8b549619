//! Of transactions that break a model, as few as still do.
//!
//! A history that keeps a model keeps it without a transaction that nobody who remains has read from. So a transaction goes
//! together with all that read from it, directly or over others. When no transaction can go in this way, no other part of
//! the witness that holds the writers of all that it read breaks the model.

use crate::{History, Id, Key, Meter, Spent, Step, Value};
use rustc_hash::FxHashSet;

/// The smaller part of these operations that `fails` says is invalid, if it says so: again in numbers of the whole history.
type Fails<'a> = dyn FnMut(&[Id], &mut Meter<'_>) -> Result<Option<Vec<Id>>, Spent> + 'a;

/// As few of these operations as still fail; after so many steps the fewest so far.
pub(super) fn fewest(
    history: &History,
    mut kept: Vec<Id>,
    steps: u64,
    fails: &mut Fails<'_>,
    meter: &mut Meter<'_>,
) -> Vec<Id> {
    let mut left = steps;
    let mut size = kept.len().div_ceil(2);
    while size > 0 {
        let (mut end, before) = (kept.len(), kept.len());
        while end > 0 {
            let start = end.saturating_sub(size);
            let fewer = without(history, &kept, &kept[start..end]);
            end = start;
            if fewer.is_empty() || left == 0 {
                continue;
            }
            let size = fewer.iter().map(|&id| size_of(history, id)).sum();
            let (found, took) = meter.within(left, |meter| {
                meter.step(size)?;
                fails(&fewer, meter)
            });
            left = left.saturating_sub(took);
            match found {
                Ok(Some(found)) => {
                    kept = found;
                    end = end.min(kept.len());
                }
                Ok(None) => {}
                Err(Spent::Steps | Spent::Bytes | Spent::Stopped) if left == 0 => return kept,
                Err(Spent::Stopped) => return kept,
                Err(Spent::Steps | Spent::Bytes) => {}
            }
        }
        size = if size == 1 && kept.len() < before { 1 } else { size / 2 };
    }
    kept
}

/// What an operation tells, in steps of work.
fn size_of(history: &History, id: Id) -> u64 {
    let told = history.steps(id).iter().map(|step| match *step {
        Step::ReadList { list: Some(list), .. } => 1 + history.list(list).len() as u64,
        _ => 1,
    });
    1 + told.sum::<u64>()
}

/// Leaves out some operations, and all that read from those, directly or over others.
fn without(history: &History, kept: &[Id], some: &[Id]) -> Vec<Id> {
    let mut gone: FxHashSet<Id> = some.iter().copied().collect();
    let mut written: FxHashSet<(Key, Value)> = some.iter().flat_map(|&id| writes(history, id)).collect();
    loop {
        let is_reader = |id: &&Id| !gone.contains(id) && reads_any(history, **id, &written);
        let readers: Vec<Id> = kept.iter().filter(is_reader).copied().collect();
        if readers.is_empty() {
            return kept.iter().filter(|id| !gone.contains(id)).copied().collect();
        }
        written.extend(readers.iter().flat_map(|&id| writes(history, id)));
        gone.extend(readers);
    }
}

fn writes(history: &History, id: Id) -> impl Iterator<Item = (Key, Value)> + use<'_> {
    history.steps(id).iter().filter_map(|step| match *step {
        Step::Write { key, value } | Step::Append { key, value } => Some((key, value)),
        _ => None,
    })
}

fn reads_any(history: &History, id: Id, written: &FxHashSet<(Key, Value)>) -> bool {
    let own = |at: usize, of: (Key, Value)| {
        history.steps(id)[..at].iter().any(|step| match *step {
            Step::Write { key, value } | Step::Append { key, value } => (key, value) == of,
            _ => false,
        })
    };
    history.steps(id).iter().enumerate().any(|(at, step)| match *step {
        Step::Read { key, value: Some(value) } => written.contains(&(key, value)) && !own(at, (key, value)),
        Step::ReadList { key, list: Some(list) } => {
            history.list(list).iter().any(|&value| written.contains(&(key, value)) && !own(at, (key, value)))
        }
        _ => false,
    })
}
