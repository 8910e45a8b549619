//! Models of single reads: regular, safe, and bounded staleness.
//!
//! *Regular* (Lamport 1986; with several writers the weak form of Shao, Welch, Pierce and Lee 2011): each read, alone with
//! all updates, is linearizable. *Safe*: the same for reads that overlap no update; an update of unknown outcome overlaps
//! everything after its begin. *Bounded staleness*: linearizable if each read had begun earlier by the bound, which is in
//! the unit of the history's moments. A bound in time is judged on a history whose moments are its times.
//!
//! If all updates are plain writes, any order of them that respects time is legal, and a read of `v` has a place if and only
//! if some write of `v` had begun before the read ended, and no other write lies between the two. That holds for repeated
//! values too.

use super::item::{Item, Part, View};
use super::{Decision, Judge, name, shrink};
use crate::{Anomaly, Edge, History, Id, Judged, Key, Meter, Step, Value, Why, Witness};

/// Which reads are judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// All.
    All,
    /// Those that overlap no update.
    Alone,
}

/// Regular or safe.
pub(super) fn each_read(history: &History, reads: Reads, view: View, meter: &mut Meter<'_>) -> Judged {
    let mut judge = Judge::new(history, view);
    let mut unknown = None;
    for part in view.parts(history) {
        meter.step(part.items.len() as u64)?;
        let found = match plain(&mut judge, &part) {
            Some(plain) => plain.judge(&judge, &part, reads),
            None => match one_by_one(&mut judge, &part, reads, meter) {
                Ok(found) => found,
                Err(spent) => {
                    unknown = Some(spent);
                    None
                }
            },
        };
        if let Some(mut witness) = found {
            if matches!(witness.anomaly, Anomaly::NotLinearizable | Anomaly::NewThenOld) {
                witness.anomaly = if reads == Reads::All { Anomaly::NotRegular } else { Anomaly::NotSafe };
            }
            return Ok(Some(witness));
        }
    }
    unknown.map_or(Ok(None), Err)
}

fn only_looks(history: &History, item: &Item) -> bool {
    history.steps(item.id).iter().all(Step::is_read)
}

/// Does a read overlap an update?
struct Updates {
    begins: Vec<u64>,
    ends: Vec<u64>,
}

impl Updates {
    fn of(updates: &[Item]) -> Updates {
        let mut begins: Vec<u64> = updates.iter().map(|item| item.begin).collect();
        let mut ends: Vec<u64> = updates.iter().map(|item| item.end).collect();
        begins.sort_unstable();
        ends.sort_unstable();
        Updates { begins, ends }
    }
    fn overlap(&self, read: &Item) -> bool {
        // As many have ended before it as have begun by its end.
        let begun = self.begins.partition_point(|&begin| begin <= read.end);
        let ended = self.ends.partition_point(|&end| end < read.begin);
        begun > ended
    }
}

/// A key that is only read and blindly written.
struct Plain {
    key: Key,
    /// Done reads with a known value.
    reads: Vec<(Item, Value)>,
    /// By value, then by begin; the value before everything is written by `None` of the items.
    writes: Vec<(Value, Item)>,
    initial: Value,
}

fn plain(judge: &mut Judge<'_>, part: &Part) -> Option<Plain> {
    let history = judge.history;
    let [key] = part.keys[..] else { return None };
    let plain = |value: Value| if Some(value) == judge.empty_text { Value::NIL } else { value };
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for item in &part.items {
        match *history.steps(item.id) {
            [Step::Read { value, .. }] => {
                reads.extend(value.filter(|_| !item.open).map(|value| (*item, plain(value))));
            }
            [Step::Write { value, .. }] => writes.push((plain(value), *item)),
            _ => return None,
        }
    }
    writes.sort_by_key(|(value, item)| (*value, item.begin));
    Some(Plain { key, reads, writes, initial: plain(history.initial(key)) })
}

impl Plain {
    fn judge(&self, judge: &Judge<'_>, part: &Part, reads: Reads) -> Option<Witness> {
        let items: Vec<Item> = self.writes.iter().map(|(_, item)| *item).collect();
        let updates = Updates::of(&items);
        let mut by_end: Vec<Item> = items.iter().filter(|item| !item.open).copied().collect();
        by_end.sort_unstable_by_key(|item| item.end);
        // Of the writes that ended by then, the one that began last.
        let mut latest: Vec<Item> = Vec::with_capacity(by_end.len());
        for item in &by_end {
            let before = latest.last().copied().filter(|other| other.begin >= item.begin);
            latest.push(before.unwrap_or(*item));
        }
        // Within each value, the write that ends last among those that began by then.
        let mut longest: Vec<u64> = Vec::with_capacity(self.writes.len());
        for (at, (value, item)) in self.writes.iter().enumerate() {
            let before = if at > 0 && self.writes[at - 1].0 == *value { longest[at - 1] } else { 0 };
            longest.push(before.max(item.end));
        }
        for (read, value) in &self.reads {
            if reads == Reads::Alone && updates.overlap(read) {
                continue;
            }
            let ended = by_end.partition_point(|item| item.end < read.begin);
            let between = ended.checked_sub(1).map(|at| latest[at]);
            let first = self.writes.partition_point(|(other, _)| other < value);
            let begun = self.writes.partition_point(|(other, item)| (*other, item.begin) <= (*value, read.end));
            let reaches = begun > first && between.is_none_or(|between| longest[begun - 1] >= between.begin);
            let from_first = *value == self.initial && between.is_none();
            if !reaches && !from_first {
                return Some(self.witness(
                    judge,
                    part,
                    read,
                    *value,
                    between.filter(|_| begun > first || *value == self.initial),
                ));
            }
        }
        None
    }

    /// A read with all writers that its value may be from, and the write that lies between, if there is one.
    fn witness(&self, judge: &Judge<'_>, part: &Part, read: &Item, value: Value, between: Option<Item>) -> Witness {
        let writers = self.writes.iter().filter(|(other, _)| *other == value);
        let writers: Vec<Item> = writers.map(|(_, item)| *item).collect();
        let begun = writers.iter().filter(|writer| writer.begin <= read.end);
        let mut operations: Vec<Id> = begun.map(|writer| writer.id).collect();
        if operations.is_empty() && value != self.initial {
            // Of those that began too late one is enough.
            operations.extend(writers.first().map(|writer| writer.id));
        }
        let mut edges = Vec::new();
        operations.push(read.id);
        if let Some(between) = between {
            operations.push(between.id);
            edges.push(Edge { from: between.id, to: read.id, why: Why::RealTime });
            edges.push(Edge { from: read.id, to: between.id, why: Why::Overtaken(self.key) });
        }
        operations.sort_unstable();
        operations.dedup();
        debug_assert!(operations.iter().all(|id| part.items.iter().any(|item| item.id == *id)));
        Witness { anomaly: name::name(judge.history, &judge.view, &operations), operations, edges }
    }
}

/// Each read with all updates, by whatever judges linearizability. If all reads together fit, each fits.
fn one_by_one(
    judge: &mut Judge<'_>,
    part: &Part,
    reads: Reads,
    meter: &mut Meter<'_>,
) -> Result<Option<Witness>, crate::Spent> {
    let history = judge.history;
    let (looks, updates): (Vec<Item>, Vec<Item>) = part.items.iter().partition(|item| only_looks(history, item));
    let overlaps = Updates::of(&updates);
    let judged = |item: &Item| !item.open && (reads == Reads::All || !overlaps.overlap(item));
    let looks: Vec<Item> = looks.into_iter().filter(judged).collect();
    if looks.is_empty() {
        return Ok(None);
    }
    let with = |looks: &[Item]| {
        let mut items: Vec<Item> = updates.iter().chain(looks).copied().collect();
        items.sort_by_key(|item| (item.begin, item.id));
        Part { keys: part.keys.clone(), items }
    };
    let all = with(&looks);
    judge.limit = 1 << 20;
    let together = judge.decide(&all.keys, &all.items, meter);
    judge.limit = u64::MAX;
    if matches!(together?, Decision::Valid) {
        return Ok(None);
    }
    let mut unknown = None;
    for look in &looks {
        let one = with(std::slice::from_ref(look));
        match judge.decide(&one.keys, &one.items, meter) {
            Ok(Decision::Valid | Decision::TooHard) => {}
            // Nothing is said about updates without a read: it must stay.
            Ok(Decision::Invalid(found)) => {
                return Ok(Some(shrink::witness(judge, &one, found, Some(look.id), meter)));
            }
            Err(spent) => unknown = Some(spent),
        }
    }
    unknown.map_or(Ok(None), Err)
}
