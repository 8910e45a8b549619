//! Counters and banks: sums that surely and possibly were reached.

use super::{Event, Rules, events, found};
use crate::{Anomaly, Datum, History, Id, Judged, Key, Meter, Step};

/// Each count lies between the additions that surely and those that possibly took place: what had ended before it began
/// is counted, what overlaps it or has an unknown outcome may be.
pub(super) fn counter(history: &History, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    let mut changes: Vec<Vec<Change>> = vec![Vec::new(); history.counts().1];
    for event in events(history, rules) {
        for step in history.steps(event.id) {
            if let Step::Add { key, by } = *step {
                changes[key.0 as usize].push(Change { event, by });
            }
        }
    }
    meter.step(history.len() as u64)?;
    let sums: Vec<Sums> = changes.into_iter().map(Sums::new).collect();
    for event in events(history, rules).filter(|event| event.is_done) {
        for (at, step) in history.steps(event.id).iter().enumerate() {
            let Step::Count { key, number: Some(number) } = *step else { continue };
            let Some(initial) = number_of(history, key) else { continue };
            let sums = &sums[key.0 as usize];
            let (mut low, mut high) = sums.bounds(&event, rules);
            // Its own additions count as far as they stand before this step.
            let mut own = 0;
            for (place, step) in history.steps(event.id).iter().enumerate() {
                if let Step::Add { key: other, by } = *step
                    && other == key
                {
                    let by = i128::from(by);
                    (low, high) = (low - by.min(0), high - by.max(0));
                    own += if place < at { by } else { 0 };
                }
            }
            (low, high) = (low + own, high + own);
            let seen = i128::from(number) - initial;
            if seen < low || seen > high {
                return found(Anomaly::CounterOutOfBounds, sums.proof(&event, seen, own, seen > high));
            }
        }
    }
    Ok(None)
}

fn number_of(history: &History, key: Key) -> Option<i128> {
    match history.value(history.initial(key)) {
        Datum::Nil => Some(0),
        Datum::Integer(number) => Some(i128::from(*number)),
        Datum::Bool(_) | Datum::Number(_) | Datum::Text(_) | Datum::List(_) | Datum::Map(_) => None,
    }
}

#[derive(Clone, Copy)]
struct Change {
    event: Event,
    by: i64,
}

/// Additions by begin and by end, with sums of the positive and of the negative ones.
struct Sums {
    by_begin: Vec<Change>,
    by_end: Vec<Change>,
    begun: Vec<[i128; 2]>,
    ended: Vec<[i128; 2]>,
}

impl Sums {
    fn new(changes: Vec<Change>) -> Sums {
        let by_begin = changes;
        let mut by_end: Vec<Change> = by_begin.iter().filter(|change| change.event.is_done).copied().collect();
        by_end.sort_by_key(|change| change.event.end);
        let add = |changes: &[Change]| {
            let mut sums = vec![[0, 0]];
            for change in changes {
                let [up, down] = sums[sums.len() - 1];
                let by = i128::from(change.by);
                sums.push([up + by.max(0), down + by.min(0)]);
            }
            sums
        };
        let (begun, ended) = (add(&by_begin), add(&by_end));
        Sums { by_begin, by_end, begun, ended }
    }

    /// The least and the greatest sum that a reader can find.
    fn bounds(&self, reader: &Event, rules: Rules) -> (i128, i128) {
        let until = if rules.overlapping { reader.end } else { reader.begin };
        let begun = self.begun[self.by_begin.partition_point(|change| change.event.begin <= until)];
        let ended = self.ended[self.by_end.partition_point(|change| change.event.end < reader.begin)];
        (ended[0] + begun[1], begun[0] + ended[1])
    }

    /// The reader and the additions that bound it from the side where it is out of bounds: all that may have moved the sum
    /// towards what was seen, and the fewest that surely moved it away and are too many already.
    fn proof(&self, reader: &Event, seen: i128, own: i128, is_high: bool) -> Vec<Id> {
        let sign = if is_high { 1 } else { -1 };
        let others = |change: &&Change| change.event.id != reader.id;
        let begun = self.by_begin.iter().take_while(|change| change.event.begin <= reader.end).filter(others);
        let ended = self.by_end.iter().take_while(|change| change.event.end < reader.begin).filter(others);
        let towards = |change: &Change| i128::from(change.by) * sign;
        let mut proof = vec![reader.id];
        let mut distance = (seen - own) * sign;
        for change in begun.filter(|change| towards(change) > 0) {
            proof.push(change.event.id);
            distance -= towards(change);
        }
        let mut away: Vec<&Change> = ended.filter(|change| towards(change) < 0).collect();
        away.sort_by_key(|change| towards(change));
        for change in away {
            if distance > 0 {
                break;
            }
            proof.push(change.event.id);
            distance -= towards(change);
        }
        proof
    }
}

/// The sum of all accounts is the same in every read of all accounts: the initial sum if that is known, else that of the
/// first such read. Reads of some accounts say nothing about the sum. Operations that change the sum on purpose make
/// it unknown, and then nothing is concluded. Whether an account may be overdrawn is not in the history, so that a negative
/// balance is no finding.
pub(super) fn bank(history: &History, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    meter.step(history.len() as u64)?;
    let mut is_account = vec![false; history.counts().1];
    let mut accounts = 0;
    for event in events(history, rules) {
        let mut change = 0;
        for step in history.steps(event.id) {
            if let Some(key) = step.key()
                && !std::mem::replace(&mut is_account[key.0 as usize], true)
            {
                accounts += 1;
            }
            if let Step::Add { by, .. } = *step {
                change += i128::from(by);
            }
        }
        if change != 0 && rules.changes {
            return Ok(None);
        }
    }
    let keys = (0..history.counts().1 as u32).map(Key).filter(|key| is_account[key.0 as usize]);
    let known = |key: Key| *history.value(history.initial(key)) != Datum::Nil;
    let initial: Option<i128> =
        keys.map(|key| number_of(history, key).filter(|_| known(key))).try_fold(0, |sum, number| Some(sum + number?));
    let mut first: Option<(i128, Id)> = None;
    for event in events(history, rules).filter(|event| event.is_done) {
        let mut read: Vec<(Key, i64)> = Vec::new();
        let mut writes = false;
        for step in history.steps(event.id) {
            match *step {
                Step::Count { key, number: Some(number) } => read.push((key, number)),
                _ => writes = true,
            }
        }
        read.sort_unstable();
        read.dedup_by_key(|(key, _)| *key);
        if writes || read.is_empty() || read.len() != accounts && rules.all_accounts {
            continue;
        }
        let total: i128 = read.iter().map(|(_, number)| i128::from(*number)).sum();
        match (initial, first) {
            (Some(expected), _) if total != expected => return found(Anomaly::TotalBroken, [event.id]),
            (None, Some((expected, id))) if total != expected => return found(Anomaly::TotalBroken, [id, event.id]),
            (None, None) => first = Some((total, event.id)),
            (Some(_), _) | (None, Some(_)) => {}
        }
    }
    Ok(None)
}
