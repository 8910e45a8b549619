//! Few operations that already contradict each other, and a name for the contradiction.
//!
//! Only what is sound to drop is dropped: a history that is valid stays valid without it, so that what remains is
//! a contradiction of the whole history. Sound are: what begins after the first contradiction, operations that only look,
//! and all operations of a value that no other operation ties to others.

use super::item::{Item, Part, find};
use super::zone::Contradiction;
use super::{Judge, name};
use crate::{History, Id, Meter, Object, Outcome, Step, Value, Witness};
use rustc_hash::FxHashMap;

/// The witness for a part that is invalid, from operations among which the contradiction is.
pub(super) fn witness(judge: &mut Judge<'_>, part: &Part, found: Contradiction, meter: &mut Meter<'_>) -> Witness {
    let searched = judge.searched;
    let mut items: Vec<Item> = found.places.iter().map(|&at| part.items[at as usize]).collect();
    if items.len() < part.items.len() && !judge.is_invalid(part, &items, meter) {
        // What a fast algorithm named rests on operations that it did not name.
        items = part.items.clone();
    }
    if searched && items.len() == part.items.len() {
        items = shortest_prefix(judge, part, items, meter);
    }
    for _ in 0..2 {
        items = drop_idle(judge, part, items, meter);
        items = drop_values(judge, part, items, meter);
    }
    items = drop_open(judge, part, items, meter);
    let mut operations: Vec<Id> = items.iter().map(|item| item.id).collect();
    operations.sort_unstable();
    let kept = |id: Id| operations.binary_search(&id).is_ok();
    let edges = if found.edges.iter().all(|edge| kept(edge.from) && kept(edge.to)) { found.edges } else { Vec::new() };
    Witness { anomaly: name::name(judge.history, &judge.view, &operations), operations, edges }
}

/// Cuts off what is not needed after the moment when the contradiction was complete.
fn shortest_prefix(judge: &mut Judge<'_>, part: &Part, items: Vec<Item>, meter: &mut Meter<'_>) -> Vec<Item> {
    let mut ends: Vec<u64> = items.iter().filter(|item| !item.open).map(|item| item.end).collect();
    ends.sort_unstable();
    ends.dedup();
    let cut = |at: u64| -> Vec<Item> {
        let begun = items.iter().filter(|item| item.begin <= at);
        begun.map(|item| if item.end > at { Item { open: true, end: u64::MAX, ..*item } } else { *item }).collect()
    };
    let first = ends.partition_point(|&at| !judge.is_invalid(part, &cut(at), meter));
    let Some(&at) = ends.get(first) else { return items };
    let needed: Vec<Value> = items
        .iter()
        .filter(|item| item.begin <= at && item.end > at && !item.open)
        .flat_map(|item| judge.history.steps(item.id).iter().filter_map(seen))
        .collect();
    let keep = |item: &&Item| {
        let steps = judge.history.steps(item.id);
        let looks_late = item.end > at && steps.iter().all(Step::is_read);
        (item.begin <= at && !looks_late) || steps.iter().filter_map(left).any(|value| needed.contains(&value))
    };
    let fewer: Vec<Item> = items.iter().filter(keep).copied().collect();
    if judge.is_invalid(part, &fewer, meter) { fewer } else { items }
}

/// Drops operations that only look, as many as possible.
fn drop_idle(judge: &mut Judge<'_>, part: &Part, items: Vec<Item>, meter: &mut Meter<'_>) -> Vec<Item> {
    let history = judge.history;
    let idle = |item: &Item| history.steps(item.id).iter().all(|step| step.is_read() || takes_nothing(step));
    let (idle, fixed): (Vec<Item>, Vec<Item>) = items.into_iter().partition(idle);
    smallest(judge, part, fixed, idle.into_iter().map(|item| vec![item]).collect(), meter)
}

/// Drops whole values.
fn drop_values(judge: &mut Judge<'_>, part: &Part, items: Vec<Item>, meter: &mut Meter<'_>) -> Vec<Item> {
    let history = judge.history;
    let Some((fixed, groups)) = groups(history, &items) else { return items };
    smallest(judge, part, fixed, groups, meter)
}

/// Drops open operations that nobody saw. They could not help: with them it is invalid too.
fn drop_open(judge: &mut Judge<'_>, part: &Part, items: Vec<Item>, meter: &mut Meter<'_>) -> Vec<Item> {
    let history = judge.history;
    let may_go = match history.object() {
        Object::Register | Object::CasRegister | Object::Kv | Object::Set | Object::Queue | Object::Stack => true,
        Object::Counter
        | Object::Mutex
        | Object::FencedLock
        | Object::Bank
        | Object::ListAppend
        | Object::RwRegister
        | Object::UniqueId
        | Object::Replica => false,
    };
    let needed: Vec<Value> = items
        .iter()
        .filter(|item| !item.open)
        .flat_map(|item| history.steps(item.id).iter().flat_map(|step| all_seen(history, step)))
        .collect();
    // What was added is part of whatever sum was seen later.
    let adds = |item: &Item| history.steps(item.id).iter().any(|step| matches!(step, Step::Add { .. }));
    let unseen = |item: &&Item| {
        !(item.open && may_go)
            || adds(item)
            || history.steps(item.id).iter().filter_map(left).any(|value| needed.contains(&value))
    };
    let fewer: Vec<Item> = items.iter().filter(unseen).copied().collect();
    if fewer.len() < items.len() && judge.is_invalid(part, &fewer, meter) { fewer } else { items }
}

/// The fixed operations and as few of the groups as are needed to stay invalid. Each group that remains is needed.
fn smallest(
    judge: &mut Judge<'_>,
    part: &Part,
    fixed: Vec<Item>,
    mut groups: Vec<Vec<Item>>,
    meter: &mut Meter<'_>,
) -> Vec<Item> {
    let by_begin = |mut items: Vec<Item>| {
        items.sort_unstable_by_key(|item| (item.begin, item.id));
        items
    };
    let mut kept = fixed;
    loop {
        let with = |count: usize| by_begin(kept.iter().chain(groups[..count].iter().flatten()).copied().collect());
        if meter.step(1).is_err() {
            return with(groups.len());
        }
        // The smallest beginning of the list of groups that is enough: its last one is needed.
        let (mut low, mut high) = (0, groups.len());
        while low < high {
            let middle = (low + high) / 2;
            if judge.is_invalid(part, &with(middle), meter) { high = middle } else { low = middle + 1 }
        }
        if high == 0 {
            return by_begin(kept);
        }
        groups.truncate(high);
        kept.extend(groups.pop().expect("it has as many as are needed, at least one"));
    }
}

/// Operations that must stay, and groups each of which may go as a whole. `None` if nothing may.
fn groups(history: &History, items: &[Item]) -> Option<(Vec<Item>, Vec<Vec<Item>>)> {
    let by_value = match history.object() {
        // Of a value that was not there, a failed compare-and-set and a text say something too.
        Object::Register | Object::CasRegister | Object::Kv => {
            let whole = |step: &Step| {
                matches!(step, Step::Read { .. } | Step::Write { .. } | Step::Cas { took: Some(true), .. })
            };
            items.iter().all(|item| history.steps(item.id).iter().all(whole))
        }
        Object::Set => items.iter().all(|item| !matches!(history.steps(item.id), [Step::ReadList { .. }])),
        Object::Queue | Object::Stack => true,
        Object::Counter
        | Object::Mutex
        | Object::FencedLock
        | Object::Bank
        | Object::ListAppend
        | Object::RwRegister
        | Object::UniqueId
        | Object::Replica => false,
    };
    if !by_value {
        return None;
    }
    let mut names: FxHashMap<Value, u32> = FxHashMap::default();
    let mut leader: Vec<u32> = Vec::new();
    let mut group_of = Vec::with_capacity(items.len());
    for item in items {
        let mut mine = None;
        for value in history.steps(item.id).iter().flat_map(|step| [seen(step), left(step)]).flatten() {
            let next = leader.len() as u32;
            let name = *names.entry(value).or_insert(next);
            if name == next {
                leader.push(next);
            }
            let root = find(&mut leader, name);
            let other = mine.map_or(root, |mine| find(&mut leader, mine));
            leader[root as usize] = other;
            mine = Some(other);
        }
        group_of.push(mine);
    }
    let (mut fixed, mut groups): (Vec<Item>, Vec<Vec<Item>>) = (Vec::new(), vec![Vec::new(); leader.len()]);
    for (item, group) in items.iter().zip(group_of) {
        match group {
            Some(group) => groups[find(&mut leader, group) as usize].push(*item),
            None => fixed.push(*item),
        }
    }
    groups.retain(|group| !group.is_empty());
    Some((fixed, groups))
}

fn takes_nothing(step: &Step) -> bool {
    matches!(step, Step::Take { value: Some(Value::NIL), .. })
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

fn all_seen<'a>(history: &'a History, step: &Step) -> impl Iterator<Item = Value> + use<'a> {
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
