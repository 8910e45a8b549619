//! Sets, queues and stacks: what was put in must be there until it is taken out, and nothing else.

use super::{Event, Rules, events, found, nowhere};
use crate::{Anomaly, History, Id, Judged, Key, Meter, Step, Value};
use rustc_hash::FxHashMap;

/// What is known of one element of one set.
#[derive(Default)]
struct Element {
    inserts: Vec<Event>,
    removes: Vec<Event>,
    /// Reads that asked for it or listed it, and whether it was there.
    looks: Vec<(Event, bool)>,
    /// The last list that it was in, by number from 1.
    list: u32,
}

/// Nothing that was surely added is lost, nothing comes from nowhere or comes back, and no read lists an element twice.
///
/// An element is *lost* if it surely was in (added, or seen) before a read began that does not show it, and no remove can
/// have come between. It is *resurrected* if it surely was out (removed, or missed by a read) before a read began that shows
/// it, and no insert can have come between.
pub(super) fn set(history: &History, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    let mut places: FxHashMap<(Key, Value), u32> = FxHashMap::default();
    let mut elements: Vec<((Key, Value), Element)> = Vec::new();
    let mut lists: Vec<Vec<Event>> = vec![Vec::new(); history.counts().1];
    let mut read = 0;
    let mut place = |elements: &mut Vec<((Key, Value), Element)>, key: Key, value: Value| {
        let next = elements.len() as u32;
        let place = *places.entry((key, value)).or_insert(next);
        if place == next {
            elements.push(((key, value), Element::default()));
        }
        place as usize
    };
    for event in events(history, rules) {
        for step in history.steps(event.id) {
            meter.step(1)?;
            match *step {
                Step::Insert { key, value } => {
                    let at = place(&mut elements, key, value);
                    elements[at].1.inserts.push(event);
                }
                Step::Remove { key, value } => {
                    let at = place(&mut elements, key, value);
                    elements[at].1.removes.push(event);
                }
                Step::Contains { key, value, there: Some(there) } if event.is_done => {
                    let at = place(&mut elements, key, value);
                    elements[at].1.looks.push((event, there));
                }
                Step::ReadList { key, list: Some(list) } if event.is_done => {
                    meter.step(history.list(list).len() as u64)?;
                    read += 1;
                    for &value in history.list(list) {
                        let at = place(&mut elements, key, value);
                        let element = &mut elements[at].1;
                        if std::mem::replace(&mut element.list, read) == read {
                            let inserts = element.inserts.iter().map(|insert| insert.id);
                            return found(Anomaly::DuplicatedElement, inserts.chain([event.id]));
                        }
                        element.looks.push((event, true));
                    }
                    lists[key.0 as usize].push(event);
                }
                _ => {}
            }
        }
    }
    // What nobody ever put in takes the fewest operations to show, what was put in too late the next.
    for ever in [false, true] {
        for ((key, value), element) in elements.iter().filter(|(_, element)| element.inserts.is_empty() != ever) {
            meter.step(1 + element.looks.len() as u64)?;
            if let Some(witness) = element.made_up(history, *key, *value)? {
                return Ok(Some(witness));
            }
        }
    }
    for ((key, _), mut element) in elements {
        let lists = &lists[key.0 as usize];
        meter.step(1 + element.looks.len() as u64)?;
        if !element.removes.is_empty() || !element.may_be_whole(lists) {
            meter.step(lists.len() as u64)?;
            element.add_missing(lists);
        }
        if let Some(witness) = element.lost(rules)? {
            return Ok(Some(witness));
        }
        if let Some(witness) = element.resurrected(rules)? {
            return Ok(Some(witness));
        }
    }
    Ok(None)
}

impl Element {
    fn made_up(&self, history: &History, key: Key, value: Value) -> Judged {
        let first = self.inserts.iter().min_by_key(|insert| insert.begin);
        for (look, _) in self.looks.iter().filter(|(_, there)| *there) {
            match first {
                None => return nowhere(history, look.id, key, value),
                Some(first) if look.end < first.begin => {
                    return found(Anomaly::ReadFromFuture, [first.id, look.id]);
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// Does every read of the whole set that began after the element was surely in list it? Only then need those that do
    /// not list it not be looked at, if nobody removes it.
    fn may_be_whole(&self, lists: &[Event]) -> bool {
        let sure = self.inserts.iter().filter(|insert| insert.is_done).map(|insert| insert.end);
        let seen = self.looks.iter().filter(|(_, there)| *there).map(|(look, _)| look.end);
        let Some(from) = sure.chain(seen).min() else { return true };
        let later = lists.len() - lists.partition_point(|list| list.begin <= from);
        let is_list = |id: Id| lists.binary_search_by_key(&id, |list| list.id).is_ok();
        let listed = |look: &&(Event, bool)| look.1 && look.0.begin > from && is_list(look.0.id);
        self.looks.iter().filter(listed).count() >= later && self.looks.iter().all(|(_, there)| *there)
    }

    /// Adds the reads of the whole set that do not list it.
    fn add_missing(&mut self, lists: &[Event]) {
        let shown: Vec<Id> = self.looks.iter().map(|(look, _)| look.id).collect();
        let missing = lists.iter().filter(|list| shown.binary_search(&list.id).is_err());
        let missing: Vec<(Event, bool)> = missing.map(|list| (*list, false)).collect();
        self.looks.extend(missing);
        self.looks.sort_by_key(|(look, _)| look.id);
    }

    fn lost(&self, rules: Rules) -> Judged {
        let sure: Vec<Event> = self.inserts.iter().filter(|insert| insert.is_done).copied().collect();
        let seen: Vec<Event> = self.looks.iter().filter(|(_, there)| *there).map(|(look, _)| *look).collect();
        // Whoever added it says more than who saw it, which does not say who added it.
        for (proofs, inserts) in [(Proofs::new(sure), &[][..]), (Proofs::new(seen), &self.inserts)] {
            for (look, _) in self.looks.iter().filter(|(_, there)| !there) {
                if let Some(proof) = proofs.last_before(look)
                    && !(rules.between && can_come_between(&self.removes, &proof, look))
                {
                    let inserts = inserts.iter().map(|insert| insert.id);
                    return found(Anomaly::LostElement, inserts.chain([proof.id, look.id]));
                }
            }
        }
        Ok(None)
    }

    fn resurrected(&self, rules: Rules) -> Judged {
        let sure = self.removes.iter().filter(|remove| remove.is_done);
        let missed = self.looks.iter().filter(|(_, there)| !there).map(|(look, _)| look);
        let proofs = Proofs::new(sure.chain(missed).copied().collect());
        for (look, _) in self.looks.iter().filter(|(_, there)| *there) {
            if let Some(proof) = proofs.last_before(look)
                && !(rules.between && can_come_between(&self.inserts, &proof, look))
            {
                let inserts = self.inserts.iter().map(|insert| insert.id);
                return found(Anomaly::Resurrected, inserts.chain([proof.id, look.id]));
            }
        }
        Ok(None)
    }
}

fn can_come_between(changes: &[Event], proof: &Event, look: &Event) -> bool {
    changes.iter().any(|change| change.begin <= look.end && change.end >= proof.begin)
}

/// Operations that show how it was, by end, and of those that ended by then the one that began last.
struct Proofs {
    by_end: Vec<Event>,
    latest: Vec<Event>,
}

impl Proofs {
    fn new(mut by_end: Vec<Event>) -> Proofs {
        by_end.sort_by_key(|event| event.end);
        let mut latest: Vec<Event> = Vec::with_capacity(by_end.len());
        for event in &by_end {
            latest.push(latest.last().copied().filter(|other| other.begin >= event.begin).unwrap_or(*event));
        }
        Proofs { by_end, latest }
    }
    fn last_before(&self, look: &Event) -> Option<Event> {
        let ended = self.by_end.partition_point(|event| event.end < look.begin);
        ended.checked_sub(1).map(|at| self.latest[at])
    }
}

/// Each element comes out at most as often as it was put in and not before, and none is made up. Elements are lost only if
/// a take that found nothing proves it: more elements had surely been put in before and were never taken than takes of
/// unknown result can have taken by then. The order of elements is not judged.
pub(super) fn delivery(history: &History, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    let mut lines: Vec<(Key, Value, Event, bool)> = Vec::new();
    let mut empty: Vec<(Key, Event)> = Vec::new();
    let mut free: Vec<(Key, Event)> = Vec::new();
    for event in events(history, rules) {
        for step in history.steps(event.id) {
            match *step {
                Step::Insert { key, value } => lines.push((key, value, event, true)),
                Step::Take { key, value: Some(value) } if event.is_done => match value {
                    Value::NIL => empty.push((key, event)),
                    _ => lines.push((key, value, event, false)),
                },
                Step::Take { key, .. } if rules.free_takes => free.push((key, event)),
                _ => {}
            }
        }
    }
    meter.step(lines.len() as u64)?;
    lines.sort_by_key(|(key, value, ..)| (*key, *value));
    // Inserts of elements that were not taken, each with the key.
    let mut untaken: Vec<(Key, Event)> = Vec::new();
    for same in lines.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let (key, value, ..) = same[0];
        let part =
            |which: bool| -> Vec<Event> { same.iter().filter(|line| line.3 == which).map(|line| line.2).collect() };
        let (inserts, mut takes) = (part(true), part(false));
        takes.sort_by_key(|take| take.end);
        for (at, take) in takes.iter().enumerate() {
            let possible = inserts.partition_point(|insert| insert.begin <= take.end);
            if possible > at {
                continue;
            }
            let shown = inserts[..possible].iter().chain(&takes[..=at]).map(|event| event.id);
            return match inserts.first() {
                None => nowhere(history, take.id, key, value),
                Some(first) if possible == 0 => found(Anomaly::ReadFromFuture, [first.id, take.id]),
                Some(_) => found(Anomaly::DuplicatedElement, shown),
            };
        }
        let mut sure: Vec<Event> = inserts.into_iter().filter(|insert| insert.is_done).collect();
        sure.sort_by_key(|insert| insert.end);
        untaken.extend(sure.into_iter().skip(takes.len()).map(|insert| (key, insert)));
    }
    untaken.sort_by_key(|(key, insert)| (*key, insert.end));
    free.sort_by_key(|(key, take)| (*key, take.begin));
    for (key, nothing) in &empty {
        let first = untaken.partition_point(|(other, _)| other < key);
        let lost = untaken.partition_point(|(other, insert)| (*other, insert.end) < (*key, nothing.begin)) - first;
        let begun = free.partition_point(|(other, _)| other < key);
        let may = free.partition_point(|(other, take)| (*other, take.begin) <= (*key, nothing.end)) - begun;
        if lost > may {
            let lost = untaken[first..=first + may].iter().map(|(_, insert)| insert.id);
            let takes = free[begun..begun + may].iter().map(|(_, take)| take.id);
            let all = lost.clone().flat_map(|id| others_of(&lines, id));
            return found(Anomaly::LostElement, all.chain(lost).chain(takes).chain([nothing.id]));
        }
    }
    Ok(None)
}

/// Of an element that was put in more often than it was taken, all that put it in or took it: none of them alone was lost.
fn others_of(lines: &[(Key, Value, Event, bool)], id: Id) -> Vec<Id> {
    let of = |line: &&(Key, Value, Event, bool)| line.2.id == id && line.3;
    let Some(&(key, value, ..)) = lines.iter().find(of) else { return Vec::new() };
    let same = || lines.iter().filter(|line| (line.0, line.1) == (key, value));
    if same().all(|line| line.3) { Vec::new() } else { same().map(|line| line.2.id).collect() }
}
