//! Convergence: what is left when writing has ended (Vogels 2009; Shapiro, Preguiça, Baquero and Zawirski 2011).

use super::core::Core;
use super::plain::{Act, Plain};
use crate::{History, Meter, Object, Operation, Outcome, Spent, Step, Value};
use rustc_hash::FxHashMap;

/// The last reads of all sessions agree, of those that begin after every write of their key that may take effect has ended.
/// Earlier ones may be stale: convergence promises an end, not a moment.
///
/// A key with a write whose outcome is unknown concludes nothing, since that may take effect at any time; nor does a
/// history without real time.
pub(super) fn reads_agree(plain: &Plain<'_>, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    let history = plain.history;
    if !history.has_real_time() {
        return Ok(None);
    }
    let mut ended = vec![0; history.counts().1];
    for (at, operation) in history.operations().iter().enumerate() {
        if plain.acts[at].written().is_some() {
            let end = &mut ended[plain.keys[at] as usize];
            *end = operation.end.max(*end);
        }
    }
    let late = |id: u32, operation: &Operation| {
        let key = plain.keys[id as usize];
        let written = !plain.writes_of(key).is_empty();
        ended[key as usize] != Operation::NEVER && (ended[key as usize] < operation.begin || !written)
    };
    let looks = |id: u32| matches!(plain.acts[id as usize], Act::Saw(_) | Act::SawOther(_));
    let mut last: FxHashMap<(u32, u32), u32> = FxHashMap::default();
    for (id, operation) in (0..).zip(history.operations()) {
        if looks(id) && late(id, operation) {
            last.insert((operation.session.0, plain.keys[id as usize]), id);
        }
    }
    // For each key the first last read of a value, and last reads of other values than some.
    let mut agreed: Vec<Option<(Value, u32)>> = vec![None; ended.len()];
    let mut others: FxHashMap<(u32, u32), u32> = FxHashMap::default();
    meter.step(history.len() as u64 / 4)?;
    for (id, operation) in (0..).zip(history.operations()) {
        let key = plain.keys[id as usize] as usize;
        if last.get(&(operation.session.0, key as u32)) != Some(&id) {
            continue;
        }
        match plain.acts[id as usize] {
            Act::Saw(value) => match agreed[key] {
                Some((other, first)) if other != value => return Ok(Some(Core::of(&[first, id]))),
                Some(_) => {}
                None => agreed[key] = Some((value, id)),
            },
            Act::SawOther(value) => {
                others.entry((key as u32, value.0)).or_insert(id);
            }
            Act::Idle | Act::Wrote(_) | Act::Appended(_) | Act::Swapped(..) => {}
        }
    }
    for (key, agreed) in agreed.iter().enumerate() {
        if let Some((value, first)) = *agreed
            && let Some(&other) = others.get(&(key as u32, value.0))
        {
            return Ok(Some(Core::of(&[first, other])));
        }
    }
    Ok(None)
}

fn digests(history: &History) -> impl Iterator<Item = (u32, u32, u32, Value, Value)> + '_ {
    let done = history.ids().filter(|&id| history.operation(id).outcome == Outcome::Done);
    done.flat_map(|id| {
        let session = history.operation(id).session.0;
        history.steps(id).iter().filter_map(move |step| match *step {
            Step::Digest { key, updates, state } => Some((id.0, session, key.0, updates, state)),
            _ => None,
        })
    })
}

/// The last digests of all replicas have the same state.
pub(super) fn last_digests_agree(history: &History, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    debug_assert_eq!(history.object(), Object::Replica);
    let mut last: FxHashMap<(u32, u32), u32> = FxHashMap::default();
    for (id, session, key, ..) in digests(history) {
        last.insert((session, key), id);
    }
    let mut agreed: Vec<Option<(Value, u32)>> = vec![None; history.counts().1];
    meter.step(history.len() as u64 / 4)?;
    for (id, session, key, _, state) in digests(history) {
        if last.get(&(session, key)) != Some(&id) {
            continue;
        }
        match agreed[key as usize] {
            Some((other, first)) if other != state => return Ok(Some(Core::of(&[first, id]))),
            Some(_) => {}
            None => agreed[key as usize] = Some((state, id)),
        }
    }
    Ok(None)
}

/// Replicas that had the same updates had the same state.
pub(super) fn equal_updates_agree(history: &History, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    let mut agreed: FxHashMap<(u32, Value), (Value, u32)> = FxHashMap::default();
    meter.step(history.len() as u64 / 4)?;
    for (id, _, key, updates, state) in digests(history) {
        let &mut (other, first) = agreed.entry((key, updates)).or_insert((state, id));
        if other != state {
            return Ok(Some(Core::of(&[first, id])));
        }
    }
    Ok(None)
}
