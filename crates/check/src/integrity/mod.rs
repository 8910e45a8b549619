//! Properties of single kinds of objects that need no order of all operations.
//!
//! Each is implied by linearizability, and each finding rests on what surely took place before what: operations of unknown
//! outcome are always given the benefit of the doubt. Without times nothing comes surely before anything else.

mod collection;
mod lock;
#[cfg(test)]
mod mutants;
mod number;

use crate::{Anomaly, Budget, History, Id, Judged, Meter, Object, Operation, Outcome, Step, Value, Witness};

/// Rules that the judges must respect. Tests break one at a time, to show that they would notice.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// Operations of unknown outcome may have taken place.
    unknown: bool,
    /// What has ended comes before what begins later.
    real_time: bool,
    /// An element that was removed meanwhile is not lost, and one that was added meanwhile is not back.
    between: bool,
    /// A take whose element is not known may have taken any.
    free_takes: bool,
    /// Additions that overlap a count may be in it or not.
    overlapping: bool,
    /// A sum that is changed on purpose is not broken.
    changes: bool,
    /// Whoever read some accounts only did not see the sum.
    all_accounts: bool,
    /// A lock is held no longer than until the begin of the next release.
    releases: bool,
    /// A session does not give back what it did not take.
    own_releases: bool,
    /// A session may get its token again, another session may not.
    own_tokens: bool,
    /// Of two writes the later one has no older token.
    writes: bool,
    /// Whoever got no name does not share one.
    names: bool,
}

impl Rules {
    const TRUE: Rules = Rules {
        unknown: true,
        real_time: true,
        between: true,
        free_takes: true,
        overlapping: true,
        changes: true,
        all_accounts: true,
        releases: true,
        own_releases: true,
        own_tokens: true,
        writes: true,
        names: true,
    };
}

pub(crate) fn set(history: &History, meter: &mut Meter<'_>) -> Judged {
    collection::set(history, Rules::TRUE, meter)
}

pub(crate) fn delivery(history: &History, meter: &mut Meter<'_>) -> Judged {
    collection::delivery(history, Rules::TRUE, meter)
}

pub(crate) fn counter(history: &History, meter: &mut Meter<'_>) -> Judged {
    number::counter(history, Rules::TRUE, meter)
}

pub(crate) fn bank(history: &History, meter: &mut Meter<'_>) -> Judged {
    number::bank(history, Rules::TRUE, meter)
}

pub(crate) fn mutual_exclusion(history: &History, meter: &mut Meter<'_>) -> Judged {
    lock::mutual_exclusion(history, Rules::TRUE, meter)
}

pub(crate) fn fencing(history: &History, meter: &mut Meter<'_>) -> Judged {
    lock::fencing(history, Rules::TRUE, meter)
}

pub(crate) fn unique_ids(history: &History, meter: &mut Meter<'_>) -> Judged {
    names(history, Rules::TRUE, meter)
}

/// The few operations that show that the object lacks the property that every order of all its operations has.
pub(crate) fn simplest(history: &History) -> Option<Vec<Id>> {
    let meter = &mut Meter::new(Budget::DEFAULT);
    let judged = match history.object() {
        Object::Set => set(history, meter),
        Object::Queue | Object::Stack => delivery(history, meter),
        Object::Mutex => mutual_exclusion(history, meter),
        Object::FencedLock => match mutual_exclusion(history, meter) {
            Ok(None) => fencing(history, meter),
            judged => judged,
        },
        Object::Counter
        | Object::Register
        | Object::CasRegister
        | Object::Kv
        | Object::Bank
        | Object::ListAppend
        | Object::RwRegister
        | Object::UniqueId
        | Object::Replica => return None,
    };
    judged.ok().flatten().map(|witness| witness.operations)
}

/// No name is given out twice.
fn names(history: &History, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    meter.step(history.len() as u64)?;
    let mut given: Vec<Option<Id>> = vec![None; history.counts().0];
    for event in events(history, rules).filter(|event| event.is_done || !rules.names) {
        for step in history.steps(event.id) {
            let Step::Generate { value: Some(value) } = *step else { continue };
            if let Some(first) = given[value.0 as usize].replace(event.id) {
                return found(Anomaly::DuplicateId, [first, event.id]);
            }
        }
    }
    Ok(None)
}

/// An operation that may have taken place.
#[derive(Clone, Copy)]
struct Event {
    id: Id,
    begin: u64,
    end: u64,
    /// Did it surely take place?
    is_done: bool,
    session: u32,
}

/// Operations that were not refused, by begin.
fn events(history: &History, rules: Rules) -> impl Iterator<Item = Event> + use<'_> {
    history.ids().filter_map(move |id| {
        let Operation { session, outcome, mut begin, mut end, .. } = *history.operation(id);
        if outcome == Outcome::Refused || outcome == Outcome::Unknown && !rules.unknown {
            return None;
        }
        let is_done = outcome == Outcome::Done;
        if !is_done {
            end = Operation::NEVER;
        }
        if !history.has_real_time() || !rules.real_time {
            (begin, end) = (0, Operation::NEVER);
        }
        Some(Event { id, begin, end, is_done, session: session.0 })
    })
}

fn found(anomaly: Anomaly, operations: impl IntoIterator<Item = Id>) -> Judged {
    let mut operations: Vec<Id> = operations.into_iter().collect();
    operations.sort_unstable();
    operations.dedup();
    Ok(Some(Witness { anomaly, operations, edges: Vec::new() }))
}

/// How a value can have been seen that nobody can have put in by then: from nowhere, or from a refused operation.
fn nowhere(history: &History, reader: Id, key: crate::Key, value: Value) -> Judged {
    let puts = |step: &Step| matches!(*step, Step::Insert { key: at, value: other } if at == key && other == value);
    let refused = history
        .ids()
        .find(|id| history.operation(*id).outcome == Outcome::Refused && history.steps(*id).iter().any(puts));
    match refused {
        Some(refused) => found(Anomaly::AbortedRead, [refused, reader]),
        None => found(Anomaly::ReadFromNowhere, [reader]),
    }
}
