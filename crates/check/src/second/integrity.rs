//! Properties of single kinds of objects, each restated as a sentence over all pairs of operations.

use crate::{Datum, History, Id, Key, Model, Operation, Outcome, Step, Value};
use std::collections::{BTreeMap, BTreeSet};

/// More operations than this are not paired.
const LARGEST: usize = 3_000;
/// The same for sets, where reads of all elements are paired with all changes of each.
const LARGEST_SET: usize = 300;

/// Does the history have the property? `None` if it is too large.
pub fn holds(history: &History, model: Model) -> Option<bool> {
    if history.len() > if model == Model::SetIntegrity { LARGEST_SET } else { LARGEST } {
        return None;
    }
    let kept = match model {
        Model::UniqueIds => unique_ids(history),
        Model::StrongEventual => equal_updates(history),
        Model::Fencing => keys(history).into_iter().all(|key| fencing(history, key)),
        Model::MutualExclusion => keys(history).into_iter().all(|key| exclusion(history, key)),
        Model::CounterBounds => counter(history),
        Model::BankTotal => bank(history),
        Model::SetIntegrity => keys(history).into_iter().all(|key| set(history, key)),
        Model::Delivery => keys(history).into_iter().all(|key| delivery(history, key)),
        _ => return None,
    };
    Some(kept)
}

/// One step of an operation that was not refused.
#[derive(Clone, Copy)]
struct Act<'a> {
    id: Id,
    step: &'a Step,
    begin: u64,
    end: u64,
    done: bool,
    session: u32,
}

fn acts(history: &History) -> impl Iterator<Item = Act<'_>> {
    history.ids().filter(|id| history.operation(*id).outcome != Outcome::Refused).flat_map(|id| {
        let operation = history.operation(id);
        let done = operation.outcome == Outcome::Done;
        let (begin, end) = match (history.has_real_time(), done) {
            (true, true) => (operation.begin, operation.end),
            (true, false) => (operation.begin, Operation::NEVER),
            (false, _) => (0, Operation::NEVER),
        };
        let session = operation.session.0;
        history.steps(id).iter().map(move |step| Act { id, step, begin, end, done, session })
    })
}

fn acts_on(history: &History, key: Key) -> Vec<Act<'_>> {
    acts(history).filter(|act| act.step.key() == Some(key)).collect()
}

fn keys(history: &History) -> BTreeSet<Key> {
    acts(history).filter_map(|act| act.step.key()).collect()
}

/// No two names are the same.
fn unique_ids(history: &History) -> bool {
    let mut names = BTreeSet::new();
    acts(history).filter(|act| act.done).all(|act| match *act.step {
        Step::Generate { value: Some(value) } => names.insert(value),
        _ => true,
    })
}

/// Digests of one key with the same updates have the same state.
fn equal_updates(history: &History) -> bool {
    let digests: Vec<(Key, Value, Value)> = acts(history).filter(|act| act.done).filter_map(digest).collect();
    digests.iter().all(|one| digests.iter().all(|other| (one.0, one.1) != (other.0, other.1) || one.2 == other.2))
}

fn digest(act: Act<'_>) -> Option<(Key, Value, Value)> {
    match *act.step {
        Step::Digest { key, updates, state } => Some((key, updates, state)),
        _ => None,
    }
}

/// The last digests of all replicas have the same state.
pub fn last_digests(history: &History) -> bool {
    let mut last = BTreeMap::new();
    for act in acts(history).filter(|act| act.done) {
        if let Some((key, _, state)) = digest(act) {
            last.insert((key, act.session), state);
        }
    }
    last.iter().all(|(one, state)| last.iter().all(|(other, known)| one.0 != other.0 || state == known))
}

/// Of two grants, and of two writes, the later one has no smaller token; no two sessions get the same one.
fn fencing(history: &History, key: Key) -> bool {
    let acts: Vec<Act<'_>> = acts_on(history, key).into_iter().filter(|act| act.done).collect();
    let grant = |act: &Act<'_>| match *act.step {
        Step::Acquire { token, .. } => token,
        _ => None,
    };
    let write = |act: &Act<'_>| match *act.step {
        Step::Guarded { token, .. } => Some(token),
        _ => None,
    };
    acts.iter().all(|one| {
        acts.iter().all(|other| {
            let rises = |one: Option<i64>, two: Option<i64>| one.zip(two).is_none_or(|(one, two)| one <= two);
            let shared = grant(one).is_some() && grant(one) == grant(other) && one.session != other.session;
            let later = one.end < other.begin;
            !shared && (!later || rises(grant(one), grant(other)) && rises(write(one), write(other)))
        })
    })
}

/// No two sessions hold the lock for sure at one moment, nobody gets it while another holds it for sure, and nobody gives
/// back more often than taken.
fn exclusion(history: &History, key: Key) -> bool {
    let acts = acts_on(history, key);
    let takes: Vec<&Act<'_>> = acts.iter().filter(|act| matches!(act.step, Step::Acquire { .. })).collect();
    let gives: Vec<&Act<'_>> = acts.iter().filter(|act| matches!(act.step, Step::Release { .. })).collect();
    let until = |take: &Act<'_>| {
        let ends = gives.iter().filter(|give| give.session == take.session && give.end >= take.begin);
        ends.map(|give| give.begin).min().unwrap_or(Operation::NEVER)
    };
    let held: Vec<(&Act<'_>, u64)> = takes.iter().filter(|take| take.done).map(|take| (*take, until(take))).collect();
    let both = held.iter().any(|(one, one_until)| {
        held.iter().any(|(two, two_until)| {
            let at_once = one.end.max(two.end) < *one_until.min(two_until);
            let within = one.end < two.begin && two.end < *one_until;
            one.session != two.session && (at_once || within)
        })
    });
    let too_often = gives.iter().filter(|give| give.done).any(|give| {
        let of = |act: &&&Act<'_>| act.session == give.session;
        let taken = takes.iter().filter(of).filter(|take| take.begin <= give.end).count();
        taken < 1 + gives.iter().filter(of).filter(|other| other.done && other.end < give.begin).count()
    });
    !both && !too_often
}

/// Each count is between what was surely and what was possibly added.
fn counter(history: &History) -> bool {
    acts(history).filter(|act| act.done).all(|count| {
        let Step::Count { key, number: Some(number) } = *count.step else { return true };
        let (mut low, mut high) = match history.value(history.initial(key)) {
            Datum::Nil => (0, 0),
            Datum::Integer(number) => (i128::from(*number), i128::from(*number)),
            _ => return true,
        };
        for act in acts_on(history, key).into_iter() {
            let Step::Add { by, .. } = *act.step else { continue };
            let by = i128::from(by);
            if act.id == count.id {
                let comes_first = std::ptr::from_ref(act.step) < std::ptr::from_ref(count.step);
                (low, high) = if comes_first { (low + by, high + by) } else { (low, high) };
            } else if act.end < count.begin {
                (low, high) = (low + by, high + by);
            } else if act.begin <= count.end {
                (low, high) = (low + by.min(0), high + by.max(0));
            }
        }
        low <= i128::from(number) && i128::from(number) <= high
    })
}

/// All reads of all accounts have the same sum, which is the first one if that is known; unless the sum is changed on purpose.
fn bank(history: &History) -> bool {
    let accounts = keys(history);
    let operations = || history.ids().filter(|id| history.operation(*id).outcome != Outcome::Refused);
    let changes = |id: Id| {
        let by = |step: &Step| if let Step::Add { by, .. } = *step { i128::from(by) } else { 0 };
        history.steps(id).iter().map(by).sum::<i128>() != 0
    };
    if operations().any(changes) {
        return true;
    }
    let total = |id: Id| {
        let mut balances: BTreeMap<Key, i64> = BTreeMap::new();
        for step in history.steps(id) {
            let Step::Count { key, number: Some(number) } = *step else { return None };
            let balance = balances.entry(key).or_insert(number);
            *balance = number.min(*balance);
        }
        let all = balances.len() == accounts.len() && !accounts.is_empty();
        (all && history.operation(id).outcome == Outcome::Done)
            .then(|| balances.values().map(|balance| i128::from(*balance)).sum::<i128>())
    };
    let first = |key: &Key| history.value(history.initial(*key)).integer().map(i128::from);
    let initial: Option<i128> = accounts.iter().map(first).sum();
    let totals: BTreeSet<i128> = operations().filter_map(total).chain(initial).collect();
    totals.len() <= 1
}

/// No element is listed twice, made up, lost or back without reason.
fn set(history: &History, key: Key) -> bool {
    let acts = acts_on(history, key);
    let listed = |act: &Act<'_>| match *act.step {
        Step::ReadList { list: Some(list), .. } if act.done => Some(history.list(list)),
        _ => None,
    };
    let mut elements: BTreeSet<Value> = BTreeSet::new();
    for act in &acts {
        if let Some(list) = listed(act) {
            elements.extend(list);
            if list.iter().collect::<BTreeSet<_>>().len() != list.len() {
                return false;
            }
        }
        if let Step::Insert { value, .. } | Step::Remove { value, .. } | Step::Contains { value, .. } = *act.step {
            elements.insert(value);
        }
    }
    elements.into_iter().all(|element| {
        let saw = |act: &Act<'_>| match *act.step {
            Step::Contains { value, there, .. } if act.done && value == element => there,
            _ => listed(act).map(|list| list.contains(&element)),
        };
        let inserts = |act: &&Act<'_>| matches!(*act.step, Step::Insert { value, .. } if value == element);
        let removes = |act: &&Act<'_>| matches!(*act.step, Step::Remove { value, .. } if value == element);
        let between =
            |change: &Act<'_>, from: &Act<'_>, to: &Act<'_>| change.begin <= to.end && change.end >= from.begin;
        acts.iter().all(|look| {
            let Some(there) = saw(look) else { return true };
            let possible = !there || acts.iter().filter(inserts).any(|insert| insert.begin <= look.end);
            possible
                && acts.iter().filter(|known| known.end < look.begin).all(|known| {
                    let was_in = known.done && inserts(&known) || saw(known) == Some(true);
                    let was_out = known.done && removes(&known) || saw(known) == Some(false);
                    let lost = was_in && !there && !acts.iter().filter(removes).any(|act| between(act, known, look));
                    let back = was_out && there && !acts.iter().filter(inserts).any(|act| between(act, known, look));
                    !lost && !back
                })
        })
    })
}

/// No element comes out more often than it went in by then, and it was not found empty while more elements were in it for
/// sure than can have been taken.
fn delivery(history: &History, key: Key) -> bool {
    let acts = acts_on(history, key);
    let inserted = |act: &Act<'_>| match *act.step {
        Step::Insert { value, .. } => Some(value),
        _ => None,
    };
    let took = |act: &Act<'_>| match *act.step {
        Step::Take { value, .. } if act.done => value,
        _ => None,
    };
    let is_free = |act: &Act<'_>| matches!(*act.step, Step::Take { .. }) && took(act).is_none();
    let more_than_in = acts.iter().any(|take| {
        let Some(value) = took(take).filter(|value| *value != Value::NIL) else { return false };
        let inserts = acts.iter().filter(|act| inserted(act) == Some(value) && act.begin <= take.end).count();
        acts.iter().filter(|act| took(act) == Some(value) && act.end <= take.end).count() > inserts
    });
    let elements: BTreeSet<Value> = acts.iter().filter_map(inserted).collect();
    let wrongly_empty = acts.iter().filter(|act| took(act) == Some(Value::NIL)).any(|empty| {
        let inside = |&element: &Value| {
            let takes = acts.iter().filter(|act| took(act) == Some(element) && element != Value::NIL).count();
            let sure = acts.iter().filter(|act| act.done && inserted(act) == Some(element));
            sure.filter(|act| act.end < empty.begin).count().saturating_sub(takes)
        };
        let may = acts.iter().filter(|act| is_free(act) && act.begin <= empty.end).count();
        elements.iter().map(inside).sum::<usize>() > may
    });
    !more_than_in && !wrongly_empty
}
