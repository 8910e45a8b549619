//! Few operations that already contradict each other, and a name for the contradiction.
//!
//! Only what is sound to drop is dropped: a history that is valid stays valid without it, so that what remains is
//! a contradiction of the whole history. Sound are: what begins after the first contradiction, and what `bonds` says.

use super::bonds;
use super::item::{Item, Part, Rules};
use super::zone::Contradiction;
use super::{Judge, name};
use crate::{History, Id, Meter, Outcome, Spent, Step, Value, Witness, integrity};

/// Making a witness smaller may take so many times the steps that were done before it.
const MULTIPLE: u64 = 4;
/// And as many more, so that small histories are made as small as can be.
const FLOOR: u64 = 1 << 20;

/// The witness for a part that is invalid, from operations among which the contradiction is. One of them may have to stay.
pub(super) fn witness(
    judge: &mut Judge<'_>,
    part: &Part,
    found: Contradiction,
    stays: Option<Id>,
    meter: &mut Meter<'_>,
) -> Witness {
    let searched = judge.searched;
    let left = MULTIPLE.saturating_mul(meter.progress().steps).saturating_add(FLOOR);
    let mut tries = Tries { judge, part, stays, meter, left };
    let mut is_named = vec![false; part.items.len()];
    found.places.iter().for_each(|&at| is_named[at as usize] = true);
    let others = (0..part.items.len()).filter(|&at| !is_named[at]);
    let named = bonds::without(tries.judge.history, &part.items, others, Item::precedes);
    // What a fast algorithm named may rest on operations that it did not name.
    let mut items = named.filter(|named| tries.is_invalid(named)).unwrap_or_else(|| part.items.clone());
    if searched && items.len() == part.items.len() {
        items = shortest_prefix(&mut tries, items);
    }
    items = fewest(&mut tries, items);
    if let Some(stays) = stays {
        // Or what contradicts itself without the one that has to stay, and that one.
        tries.stays = None;
        let mut others = fewest(&mut tries, items.clone());
        if others.iter().all(|item| item.id != stays) {
            others.extend(items.iter().filter(|item| item.id == stays));
        }
        items = if others.len() < items.len() { others } else { items };
    } else if let Some(few) = simpler(&tries, &items) {
        items = few;
    }
    let mut operations: Vec<Id> = items.iter().map(|item| item.id).collect();
    operations.sort_unstable();
    let kept = |id: Id| operations.binary_search(&id).is_ok();
    let edges = if found.edges.iter().all(|edge| kept(edge.from) && kept(edge.to)) { found.edges } else { Vec::new() };
    let judge = tries.judge;
    Witness { anomaly: name::name(judge.history, &judge.view, &operations), operations, edges }
}

/// Asks the judge about fewer operations, as long as there are steps left for it.
struct Tries<'a, 'h, 'm, 'w> {
    judge: &'a mut Judge<'h>,
    part: &'a Part,
    stays: Option<Id>,
    meter: &'m mut Meter<'w>,
    left: u64,
}

impl Tries<'_, '_, '_, '_> {
    /// Are these operations, sorted by begin, invalid? Not if too few steps are left to know.
    fn is_invalid(&mut self, items: &[Item]) -> bool {
        let Tries { judge, part, stays, meter, left } = self;
        if stays.is_some_and(|stays| items.iter().all(|item| item.id != stays)) {
            return false;
        }
        let (found, took) = meter.within(*left, |meter| Ok::<bool, Spent>(judge.is_invalid(part, items, meter)));
        // Some of the work is done even if no step is charged.
        *left = left.saturating_sub(took.max(1));
        found == Ok(true)
    }
    fn is_over(&self) -> bool {
        self.left == 0
    }
}

/// Of these operations those that show that a property of the object is broken which every linearizable history has.
fn simpler(tries: &Tries<'_, '_, '_, '_>, items: &[Item]) -> Option<Vec<Item>> {
    let view = tries.judge.view;
    if view.reads_earlier > 0 || view.rules != Rules::TRUE {
        return None;
    }
    let mut sorted: Vec<Item> = items.to_vec();
    sorted.sort_unstable_by_key(|item| item.id);
    let ids: Vec<Id> = sorted.iter().map(|item| item.id).collect();
    let shown = integrity::simplest(&tries.judge.history.restrict(&ids))?;
    Some(shown.into_iter().map(|at| sorted[at.index()]).collect())
}

/// As few operations as possible, and those that must stay with them.
fn fewest(tries: &mut Tries<'_, '_, '_, '_>, mut items: Vec<Item>) -> Vec<Item> {
    let history = tries.judge.history;
    let mut size = items.len().div_ceil(2);
    while size > 0 && !tries.is_over() {
        let (mut end, before) = (items.len(), items.len());
        while end > 0 && !tries.is_over() {
            let start = end.saturating_sub(size);
            if let Some(fewer) = bonds::without(history, &items, start..end, Item::precedes)
                && tries.is_invalid(&fewer)
            {
                items = fewer;
            }
            end = start.min(items.len());
        }
        size = if size == 1 && items.len() < before { 1 } else { size / 2 };
    }
    items
}

/// Cuts off what is not needed after the moment when the contradiction was complete.
fn shortest_prefix(tries: &mut Tries<'_, '_, '_, '_>, items: Vec<Item>) -> Vec<Item> {
    let history = tries.judge.history;
    let mut ends: Vec<u64> = items.iter().filter(|item| !item.open).map(|item| item.end).collect();
    ends.sort_unstable();
    ends.dedup();
    let cut = |at: u64| -> Vec<Item> {
        let begun = items.iter().filter(|item| item.begin <= at);
        begun.map(|item| if item.end > at { Item { open: true, end: u64::MAX, ..*item } } else { *item }).collect()
    };
    let first = ends.partition_point(|&at| !tries.is_invalid(&cut(at)));
    let Some(&at) = ends.get(first) else { return items };
    let late = (0..items.len()).filter(|&place| items[place].begin > at);
    let fewer = bonds::without(history, &items, late, Item::precedes);
    fewer.filter(|fewer| tries.is_invalid(fewer)).unwrap_or(items)
}

/// The value that a step saw, if it saw one.
pub(super) fn seen(step: &Step) -> Option<Value> {
    match *step {
        Step::Read { value, .. } | Step::Take { value, .. } => value,
        Step::Cas { from, took: Some(true), .. } => Some(from),
        Step::Contains { value, .. } | Step::Remove { value, .. } => Some(value),
        Step::Cas { .. }
        | Step::Write { .. }
        | Step::Append { .. }
        | Step::ReadList { .. }
        | Step::Add { .. }
        | Step::Count { .. }
        | Step::Insert { .. }
        | Step::Acquire { .. }
        | Step::Release { .. }
        | Step::Guarded { .. }
        | Step::Generate { .. }
        | Step::Digest { .. } => None,
    }
}

/// All values that a step saw.
pub(super) fn all_seen<'a>(history: &'a History, step: &Step) -> impl Iterator<Item = Value> + use<'a> {
    let list = match *step {
        Step::ReadList { list: Some(list), .. } => history.list(list),
        _ => &[],
    };
    seen(step).into_iter().chain(list.iter().copied())
}

/// The value that a step would leave or put in.
pub(super) fn left(step: &Step) -> Option<Value> {
    match *step {
        Step::Write { value, .. } | Step::Append { value, .. } | Step::Insert { value, .. } => Some(value),
        Step::Cas { to, took, .. } if took != Some(false) => Some(to),
        Step::Cas { .. }
        | Step::Read { .. }
        | Step::ReadList { .. }
        | Step::Add { .. }
        | Step::Count { .. }
        | Step::Remove { .. }
        | Step::Contains { .. }
        | Step::Take { .. }
        | Step::Acquire { .. }
        | Step::Release { .. }
        | Step::Guarded { .. }
        | Step::Generate { .. }
        | Step::Digest { .. } => None,
    }
}

/// Did an operation surely not take place?
pub(super) fn is_refused(history: &History, id: Id) -> bool {
    history.operation(id).outcome == Outcome::Refused
}
