//! Models of one order, straight from their definitions: try all orders, by set of what was placed and state that it left.

use crate::{Datum, History, Id, Key, Object, Outcome, Step, Value};
use std::collections::{BTreeMap, BTreeSet};

/// More operations than this are not tried.
const LARGEST: usize = 64;
/// More pairs of set and state than this are not tried.
const MOST_STATES: usize = 200_000;

/// What is at one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Value(Datum),
    Line(Vec<Value>),
    Set(BTreeSet<Value>),
    Lock { holder: Option<u32>, token: Option<i64>, granted: Option<i64>, newest: Option<i64> },
}

type World = BTreeMap<Key, Content>;

fn initial(history: &History, key: Key) -> Content {
    match history.object() {
        Object::Set => Content::Set(BTreeSet::new()),
        Object::Queue | Object::Stack | Object::ListAppend => Content::Line(Vec::new()),
        Object::Mutex | Object::FencedLock => Content::Lock { holder: None, token: None, granted: None, newest: None },
        _ => Content::Value(plain(history, history.value(history.initial(key)).clone())),
    }
}

/// To a store of texts, nothing and the empty text are the same.
fn plain(history: &History, datum: Datum) -> Datum {
    if history.object() == Object::Kv && datum == Datum::text("") { Datum::Nil } else { datum }
}

fn apply(history: &History, world: &mut World, id: Id) -> bool {
    let open = history.operation(id).outcome == Outcome::Unknown;
    let session = history.operation(id).session.0;
    for step in history.steps(id) {
        let Some(key) = step.key() else { continue };
        let content = world.entry(key).or_insert_with(|| initial(history, key));
        if !apply_step(history, content, step, session, open) {
            return false;
        }
    }
    true
}

fn number(datum: &Datum) -> Option<i64> {
    if *datum == Datum::Nil { Some(0) } else { datum.integer() }
}

fn apply_step(history: &History, content: &mut Content, step: &Step, session: u32, open: bool) -> bool {
    let datum = |value: Value| plain(history, history.value(value).clone());
    match (step, content) {
        (Step::Read { value, .. }, Content::Value(is)) => open || value.is_none_or(|value| datum(value) == *is),
        (Step::Write { value, .. }, Content::Value(is)) => {
            *is = datum(*value);
            true
        }
        (Step::Cas { from, to, took, .. }, Content::Value(is)) => {
            let takes = datum(*from) == *is;
            if takes {
                *is = datum(*to);
            }
            open || took.is_none_or(|took| took == takes)
        }
        (Step::Append { value, .. }, Content::Value(is)) => {
            let (Datum::Text(_) | Datum::Nil) = is else { return false };
            let text = format!("{}{}", is.name().unwrap_or(""), datum(*value).name().unwrap_or(""));
            *is = plain(history, Datum::text(&text));
            true
        }
        (Step::Add { by, .. }, Content::Value(is)) => match number(is).and_then(|number| number.checked_add(*by)) {
            Some(sum) => {
                *is = Datum::Integer(sum);
                true
            }
            None => false,
        },
        (Step::Count { number: what, .. }, Content::Value(is)) => {
            open || what.is_none_or(|what| number(is) == Some(what))
        }
        (Step::Insert { value, .. }, Content::Set(set)) => {
            set.insert(*value);
            true
        }
        (Step::Remove { value, .. }, Content::Set(set)) => {
            set.remove(value);
            true
        }
        (Step::Contains { value, there, .. }, Content::Set(set)) => {
            open || there.is_none_or(|there| set.contains(value) == there)
        }
        (Step::ReadList { list, .. }, Content::Set(set)) => {
            open || list.is_none_or(|list| history.list(list).iter().copied().collect::<BTreeSet<_>>() == *set)
        }
        (Step::ReadList { list, .. }, Content::Line(line)) => {
            open || list.is_none_or(|list| history.list(list) == line)
        }
        (Step::Insert { value, .. } | Step::Append { value, .. }, Content::Line(line)) => {
            line.push(*value);
            true
        }
        (Step::Take { value, .. }, Content::Line(line)) => {
            let at = if history.object() == Object::Stack { line.len().saturating_sub(1) } else { 0 };
            let taken = if line.is_empty() { Value::NIL } else { line.remove(at) };
            open || value.is_none_or(|value| value == taken)
        }
        (Step::Acquire { token, .. }, Content::Lock { holder, token: held, granted, newest }) => {
            let token = if open { None } else { *token };
            if holder.is_some() || (token.is_some() && token <= *granted) {
                return false;
            }
            (*holder, *held) = (Some(session), token);
            *granted = token.or(*granted);
            *newest = (*newest).max(token);
            true
        }
        (Step::Release { token, .. }, Content::Lock { holder, token: held, .. }) => {
            let fits = *holder == Some(session) && (token.is_none() || held.is_none() || token == held);
            (*holder, *held) = (None, None);
            fits
        }
        (Step::Guarded { token, .. }, Content::Lock { newest, .. }) => {
            let fits = newest.is_none_or(|newest| *token >= newest);
            *newest = Some(*token);
            fits
        }
        _ => false,
    }
}

/// Is there an order that explains every answer and respects `before` (which only tells of operations that are done)? `None`
/// if that is too much to try.
fn ordered(history: &History, before: &dyn Fn(Id, Id) -> bool) -> Option<bool> {
    let ids: Vec<Id> = history.ids().filter(|id| history.operation(*id).outcome != Outcome::Refused).collect();
    if ids.len() > LARGEST || matches!(history.object(), Object::UniqueId | Object::Replica) {
        return None;
    }
    let done = |at: usize| history.operation(ids[at]).outcome == Outcome::Done;
    let must = (0..ids.len()).filter(|at| done(*at)).fold(0u64, |must, at| must | 1 << at);
    let earlier = |at: usize| {
        let others = (0..ids.len()).filter(|&other| other != at && done(other) && before(ids[other], ids[at]));
        others.fold(0u64, |earlier, other| earlier | 1 << other)
    };
    let earlier: Vec<u64> = (0..ids.len()).map(earlier).collect();
    let mut seen = BTreeSet::from([(0u64, World::new())]);
    let mut open = vec![(0u64, World::new())];
    while let Some((placed, world)) = open.pop() {
        if placed & must == must {
            return Some(true);
        }
        for at in (0..ids.len()).filter(|at| placed >> at & 1 == 0 && earlier[*at] & !placed == 0) {
            let mut next = world.clone();
            if apply(history, &mut next, ids[at]) && seen.insert((placed | 1 << at, next.clone())) {
                open.push((placed | 1 << at, next));
            }
        }
        if seen.len() > MOST_STATES {
            return None;
        }
    }
    Some(false)
}

/// Is there an order that respects time (with reads as begun so much earlier) and explains every answer?
pub fn linearizable(history: &History, reads_earlier: u64) -> Option<bool> {
    let begin = |id: Id| {
        let reads = history.steps(id).iter().all(Step::is_read);
        history.operation(id).begin.saturating_sub(if reads { reads_earlier } else { 0 })
    };
    let session = |a: Id, b: Id| a < b && history.operation(a).session == history.operation(b).session;
    let time = |a: Id, b: Id| history.operation(a).end < begin(b);
    if history.has_real_time() { ordered(history, &time) } else { ordered(history, &session) }
}

/// Is there an order that respects time and, also where transactions of one session overlap, sessions?
pub fn strict_serializable(history: &History) -> Option<bool> {
    let session = |a: Id, b: Id| a < b && history.operation(a).session == history.operation(b).session;
    let time = |a: Id, b: Id| history.has_real_time() && history.operation(a).precedes(history.operation(b));
    ordered(history, &|a, b| session(a, b) || time(a, b))
}

/// Is there an order that respects each session and explains every answer?
pub fn sequential(history: &History) -> Option<bool> {
    ordered(history, &|a, b| a < b && history.operation(a).session == history.operation(b).session)
}

/// Is there an order that explains every answer?
pub fn serializable(history: &History) -> Option<bool> {
    ordered(history, &|_, _| false)
}

/// Each read alone with all updates, for reads that `counts` says to judge.
fn each_read(history: &History, counts: impl Fn(Id) -> bool) -> Option<bool> {
    let reads = |id: Id| history.steps(id).iter().all(Step::is_read);
    let done = |id: &Id| history.operation(*id).outcome == Outcome::Done;
    for read in history.ids().filter(done).filter(|id| reads(*id) && counts(*id)) {
        let some: Vec<Id> = history.ids().filter(|id| *id == read || !reads(*id)).collect();
        if !linearizable(&history.restrict(&some), 0)? {
            return Some(false);
        }
    }
    Some(true)
}

/// Lamport's two models of single reads.
pub fn regular(history: &History) -> Option<bool> {
    each_read(history, |_| true)
}

/// The same for reads that overlap no update.
pub fn safe(history: &History) -> Option<bool> {
    each_read(history, |read| {
        history.ids().all(|id| {
            let (read, other) = (history.operation(read), history.operation(id));
            let refused = other.outcome == Outcome::Refused;
            refused || history.steps(id).iter().all(Step::is_read) || other.precedes(read) || read.precedes(other)
        })
    })
}
