//! Models of one order, straight from their definitions: try all orders, by set of what was placed and state that it left.

use crate::{Datum, History, Id, Key, Object, Outcome, Step, Value};
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};

/// More operations than this are not tried.
const LARGEST: usize = 512;
/// More pairs of set and state than this are not tried.
const MOST_STATES: usize = 200_000;

/// What is at one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Content {
    Value(Datum),
    /// What was added to a first balance that nobody tells.
    Added(i128),
    Line(Vec<Value>),
    Set(BTreeSet<Value>),
    Lock {
        holder: Option<u32>,
        token: Option<i64>,
        granted: Option<i64>,
        newest: Option<i64>,
    },
}

type World = BTreeMap<Key, Content>;

fn initial(history: &History, key: Key) -> Content {
    match history.object() {
        Object::Set => Content::Set(BTreeSet::new()),
        Object::Queue | Object::Stack | Object::ListAppend => Content::Line(Vec::new()),
        Object::Mutex | Object::FencedLock => Content::Lock { holder: None, token: None, granted: None, newest: None },
        Object::Bank if history.value(history.initial(key)).integer().is_none() => Content::Added(0),
        _ => Content::Value(plain(history, history.value(history.initial(key)).clone())),
    }
}

/// To a store of texts, nothing and the empty text are the same.
fn plain(history: &History, datum: Datum) -> Datum {
    if history.object() == Object::Kv && datum == Datum::text("") { Datum::Nil } else { datum }
}

fn apply(history: &History, world: &mut World, id: Id, open: bool) -> bool {
    let session = history.operation(id).session.0;
    for step in history.steps(id) {
        let Some(key) = step.key() else { continue };
        let content = world.get_mut(&key).expect("every key is there from the start");
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
    if let (Step::Count { number: Some(number), .. }, Content::Added(_), false) = (step, &*content, open) {
        // Some first balance explains it, and from here on the balance is known.
        *content = Content::Value(Datum::Integer(*number));
        return true;
    }
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
        (Step::Add { by, .. }, Content::Added(sum)) => {
            *sum += i128::from(*by);
            true
        }
        (Step::Count { .. }, Content::Added(_)) => true,
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
            let lists = |list| {
                let listed: BTreeSet<Value> = history.list(list).iter().copied().collect();
                listed == *set && listed.len() == history.list(list).len()
            };
            open || list.is_none_or(lists)
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

/// A set of places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Places([u64; LARGEST / 64]);

impl Places {
    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }
    fn with(mut self, at: usize) -> Places {
        self.0[at / 64] |= 1 << (at % 64);
        self
    }
    fn contains(&self, other: &Places) -> bool {
        self.0.iter().zip(&other.0).all(|(these, those)| those & !these == 0)
    }
}

/// Who takes part in an order.
struct Part<'a> {
    history: &'a History,
    ids: Vec<Id>,
    /// Those that must be placed.
    must: Places,
    /// For each, who must be placed before it.
    earlier: Vec<Places>,
    /// For each of unknown outcome, one that does the same, may also never be, and can be placed whenever it can.
    twin: Vec<Option<usize>>,
}

impl Part<'_> {
    fn is_open(&self, at: usize) -> bool {
        !self.must.has(at)
    }

    /// The world after one more operation, if that one may come next and its answers fit.
    fn after(&self, world: &World, placed: &Places, at: usize) -> Option<World> {
        let waits = placed.has(at)
            || !placed.contains(&self.earlier[at])
            || self.twin[at].is_some_and(|twin| !placed.has(twin));
        if waits {
            return None;
        }
        let mut next = world.clone();
        let fits = apply(self.history, &mut next, self.ids[at], self.is_open(at));
        // Who may never be is not placed for nothing.
        (fits && !(self.is_open(at) && next == *world)).then_some(next)
    }

    /// Is there an order? Tried depth first; whoever only looks and fits is placed at once, as waiting cannot help it,
    /// unless its answer tells a first balance.
    fn has_order(&self) -> Option<bool> {
        let looks = |at: usize| {
            self.history.steps(self.ids[at]).iter().all(|step| step.is_read() && !matches!(step, Step::Cas { .. }))
        };
        let looks: Vec<bool> = (0..self.ids.len()).map(looks).collect();
        let keys = self.ids.iter().flat_map(|&id| self.history.steps(id)).filter_map(Step::key);
        let first: World = keys.map(|key| (key, initial(self.history, key))).collect();
        let mut seen = FxHashSet::from_iter([(Places::default(), first.clone())]);
        let mut open = vec![(Places::default(), first)];
        while let Some((placed, world)) = open.pop() {
            if placed.contains(&self.must) {
                return Some(true);
            }
            let mut choices = Vec::new();
            for (at, &only_looks) in looks.iter().enumerate() {
                if let Some(next) = self.after(&world, &placed, at) {
                    if only_looks && next == world {
                        choices = vec![(at, next)];
                        break;
                    }
                    choices.push((at, next));
                }
            }
            for (at, next) in choices {
                let next = (placed.with(at), next);
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
            if seen.len() > MOST_STATES {
                return None;
            }
        }
        Some(false)
    }
}

/// Is there an order that explains every answer and respects `before` (which only tells of operations that are done)? Who
/// is not `done` may be placed or not, and its answers say nothing. `None` if that is too much to try.
fn ordered(history: &History, done: &dyn Fn(Id) -> bool, before: &dyn Fn(Id, Id) -> bool) -> Option<bool> {
    let ids: Vec<Id> = history.ids().filter(|id| history.operation(*id).outcome != Outcome::Refused).collect();
    if ids.len() > LARGEST || matches!(history.object(), Object::UniqueId | Object::Replica) {
        return None;
    }
    let all = 0..ids.len();
    let these = |wanted: &dyn Fn(usize) -> bool| {
        all.clone().filter(|&at| wanted(at)).fold(Places::default(), |these, at| these.with(at))
    };
    let must = these(&|at| done(ids[at]));
    let earlier: Vec<Places> =
        all.clone().map(|at| these(&|other| other != at && must.has(other) && before(ids[other], ids[at]))).collect();
    let same = |a: usize, b: usize| {
        history.steps(ids[a]) == history.steps(ids[b])
            && (history.operation(ids[a]).session == history.operation(ids[b]).session
                || !matches!(history.object(), Object::Mutex | Object::FencedLock))
    };
    let twin = |at: usize| {
        (0..at).rev().find(|&other| {
            !must.has(other) && !must.has(at) && same(other, at) && earlier[at].contains(&earlier[other])
        })
    };
    let twin = all.clone().map(twin).collect();
    Part { history, ids, must, earlier, twin }.has_order()
}

fn is_done(history: &History, id: Id) -> bool {
    history.operation(id).outcome == Outcome::Done
}

fn same_session(history: &History, a: Id, b: Id) -> bool {
    a < b && history.operation(a).session == history.operation(b).session
}

/// Is there an order that respects time (with reads as begun so much earlier) and explains every answer?
pub fn linearizable(history: &History, reads_earlier: u64) -> Option<bool> {
    linearizable_until(history, reads_earlier, u64::MAX)
}

/// Is there an order that respects the times of the history (with reads as begun so many nanoseconds earlier) and explains every
/// answer? `None` too if times are missing.
pub fn linearizable_by_time(history: &History, reads_earlier_ns: u64) -> Option<bool> {
    let took_place = history.ids().filter(|&id| history.operation(id).outcome != Outcome::Refused);
    let times: BTreeMap<Id, (u64, u64)> =
        took_place.map(|id| Some((id, history.time_ns(id)?))).collect::<Option<_>>()?;
    let before = |a: Id, b: Id| {
        let earlier = if history.steps(b).iter().all(Step::is_read) { reads_earlier_ns } else { 0 };
        u128::from(times[&a].1) + u128::from(earlier) < u128::from(times[&b].0)
    };
    ordered(history, &|id| is_done(history, id), &before)
}

/// The same of what was known at a moment: who had not ended by then may take place or not. What keeps the model keeps it
/// at every moment.
pub fn linearizable_until(history: &History, reads_earlier: u64, moment: u64) -> Option<bool> {
    if !history.has_real_time() {
        return sequential(history);
    }
    let begin = |id: Id| {
        let reads = history.steps(id).iter().all(Step::is_read);
        history.operation(id).begin.saturating_sub(if reads { reads_earlier } else { 0 })
    };
    let time = |a: Id, b: Id| history.operation(a).end < begin(b);
    ordered(history, &|id| is_done(history, id) && history.operation(id).end <= moment, &time)
}

/// Is there an order that respects each session and explains every answer?
pub fn sequential(history: &History) -> Option<bool> {
    ordered(history, &|id| is_done(history, id), &|a, b| same_session(history, a, b))
}

/// Is there an order that respects each session and time, and explains every answer?
pub fn strict(history: &History) -> Option<bool> {
    let time = |a: Id, b: Id| history.has_real_time() && history.operation(a).precedes(history.operation(b));
    ordered(history, &|id| is_done(history, id), &|a, b| same_session(history, a, b) || time(a, b))
}

/// Is there an order that explains every answer?
pub fn serializable(history: &History) -> Option<bool> {
    ordered(history, &|id| is_done(history, id), &|_, _| false)
}

/// The keys of an operation, and all that updates tie to them: each key alone is an object of its own.
fn linked_keys(history: &History, read: Id) -> BTreeSet<Key> {
    let keys = |id: Id| history.steps(id).iter().filter_map(Step::key).collect::<BTreeSet<Key>>();
    let mut linked = keys(read);
    loop {
        let count = linked.len();
        for id in history.ids().filter(|&id| history.operation(id).outcome != Outcome::Refused) {
            if !linked.is_disjoint(&keys(id)) {
                linked.extend(keys(id));
            }
        }
        if linked.len() == count {
            return linked;
        }
    }
}

/// Each read alone with all updates of its object, for reads that `counts` says to judge.
fn each_read(history: &History, counts: impl Fn(Id) -> bool) -> Option<bool> {
    let reads = |id: Id| history.steps(id).iter().all(Step::is_read);
    let mut known = true;
    for read in history.ids().filter(|id| is_done(history, *id) && reads(*id) && counts(*id)) {
        let linked = linked_keys(history, read);
        let near = |id: Id| history.steps(id).iter().filter_map(Step::key).any(|key| linked.contains(&key));
        let some: Vec<Id> = history.ids().filter(|id| *id == read || !reads(*id) && near(*id)).collect();
        match linearizable(&history.restrict(&some), 0) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}

/// Lamport's two models of single reads.
pub fn regular(history: &History) -> Option<bool> {
    each_read(history, |_| true)
}

/// The same for reads that overlap no update of their key.
pub fn safe(history: &History) -> Option<bool> {
    each_read(history, |read| {
        history.ids().all(|id| {
            let keys = |id: Id| history.steps(id).iter().filter_map(Step::key).collect::<BTreeSet<Key>>();
            let elsewhere = keys(id).is_disjoint(&keys(read));
            let (read, other) = (history.operation(read), history.operation(id));
            let refused = other.outcome == Outcome::Refused;
            let reads = history.steps(id).iter().all(Step::is_read);
            refused || elsewhere || reads || other.precedes(read) || read.precedes(other)
        })
    })
}
