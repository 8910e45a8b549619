//! What must go together when operations are left out, so that an order of all stays an order of the rest.
//!
//! An operation goes together with those that may have seen what it changed: readers of its value, counts of its key, all
//! that handled its element of a queue. Of a lock, a session's acquire and its release go together, since between them nobody
//! else had the lock. Who only looked goes alone. And who saw a value does not stay without any of its writers: what is left
//! would contradict itself in another way, as a value from nowhere.

use super::item::Item;
use super::shrink::{all_seen, left, seen};
use crate::{Datum, History, Key, Object, Step, Value};
use rustc_hash::FxHashMap;

/// Can the first only take place before the second? Then it has not seen it.
pub(crate) type Before = fn(&Item, &Item) -> bool;

/// The operations without some of them, and without all that must go with those. `None` if nothing is left.
pub(crate) fn without(
    history: &History,
    items: &[Item],
    some: impl IntoIterator<Item = usize>,
    before: Before,
) -> Option<Vec<Item>> {
    let mut bonds = Bonds::new(history, items, before);
    some.into_iter().for_each(|at| bonds.go(at as u32));
    bonds.listen();
    bonds.settle();
    let rest: Vec<Item> = items.iter().zip(&bonds.gone).filter(|(_, gone)| !**gone).map(|(item, _)| *item).collect();
    (!rest.is_empty()).then_some(rest)
}

struct Bonds<'a> {
    history: &'a History,
    items: &'a [Item],
    before: Before,
    gone: Vec<bool>,
    todo: Vec<u32>,
    /// Who surely took place and tells what was there, of those that were not left out at first.
    ears: Vec<u32>,
    /// Who saw or handled a value.
    seen_by: FxHashMap<(Key, Value), Vec<u32>>,
    /// Who left a value or put it in.
    left_by: FxHashMap<(Key, Value), Vec<u32>>,
    /// Who may have seen anything of a key.
    wary: FxHashMap<Key, Vec<u32>>,
    all: FxHashMap<Key, Vec<u32>>,
    has_texts: bool,
    /// Is something else than texts written, to which nothing can be appended?
    has_others: bool,
}

impl<'a> Bonds<'a> {
    fn new(history: &'a History, items: &'a [Item], before: Before) -> Bonds<'a> {
        let steps = || items.iter().flat_map(|item| history.steps(item.id));
        let has_texts = history.object() == Object::Kv && steps().any(|step| matches!(step, Step::Append { .. }));
        let is_other = |step: &Step| match *step {
            Step::Write { value, .. } => !matches!(history.value(value), Datum::Nil | Datum::Text(_)),
            _ => false,
        };
        let has_others = has_texts && steps().any(is_other);
        let mut bonds = Bonds {
            history,
            items,
            before,
            gone: vec![false; items.len()],
            todo: Vec::new(),
            ears: Vec::new(),
            seen_by: FxHashMap::default(),
            left_by: FxHashMap::default(),
            wary: FxHashMap::default(),
            all: FxHashMap::default(),
            has_texts,
            has_others,
        };
        for (at, item) in items.iter().enumerate() {
            let at = at as u32;
            for step in history.steps(item.id) {
                let Some(key) = step.key() else { continue };
                bonds.all.entry(key).or_default().push(at);
                if bonds.is_wary(step, item.open) {
                    bonds.wary.entry(key).or_default().push(at);
                }
                let may_take = matches!(step, Step::Cas { took, .. } if item.open || took.is_none());
                if let (true, Step::Cas { from, .. }) = (may_take, *step) {
                    bonds.seen_by.entry((key, bonds.plain(from))).or_default().push(at);
                }
                if !item.open {
                    for value in shown(history, step) {
                        bonds.seen_by.entry((key, bonds.plain(value))).or_default().push(at);
                    }
                }
                // A compare-and-set of equal values brings nothing about.
                if let Some(value) = left(step).filter(|&value| seen(step) != Some(value)) {
                    bonds.left_by.entry((key, bonds.plain(value))).or_default().push(at);
                }
            }
        }
        bonds
    }

    /// To a store of texts, nothing and the empty text are the same.
    fn plain(&self, value: Value) -> Value {
        let is_empty = self.history.object() == Object::Kv && self.history.value(value).name() == Some("");
        if is_empty { Value::NIL } else { value }
    }

    /// May its answer or its effect depend on any change of its key?
    fn is_wary(&self, step: &Step, open: bool) -> bool {
        match *step {
            Step::Cas { took, .. } => !open && took != Some(true) || self.has_texts,
            Step::Count { number, .. } => !open && number.is_some(),
            Step::Take { value, .. } => open || value.is_none(),
            // Where values are written too, what a number is depends on the last of them.
            Step::Add { .. } => !matches!(self.history.object(), Object::Counter | Object::Bank),
            Step::Append { .. } => self.has_others || self.history.object() != Object::Kv,
            Step::Read { .. }
            | Step::Write { .. }
            | Step::ReadList { .. }
            | Step::Insert { .. }
            | Step::Remove { .. }
            | Step::Contains { .. }
            | Step::Acquire { .. }
            | Step::Release { .. }
            | Step::Guarded { .. }
            | Step::Generate { .. }
            | Step::Digest { .. } => false,
        }
    }

    fn go(&mut self, at: u32) {
        if !std::mem::replace(&mut self.gone[at as usize], true) {
            self.todo.push(at);
        }
    }

    fn listen(&mut self) {
        let ears = |&at: &u32| {
            let item = &self.items[at as usize];
            !self.gone[at as usize] && !item.open && !self.tells_nothing(item)
        };
        self.ears = (0..self.items.len() as u32).filter(ears).collect();
    }

    fn settle(&mut self) {
        loop {
            while let Some(at) = self.todo.pop() {
                for other in self.bound_to(at) {
                    self.go(other);
                }
            }
            for at in self.unexplained() {
                self.go(at);
            }
            if self.todo.is_empty() {
                return;
            }
        }
    }

    /// Those that must go with an operation.
    fn bound_to(&self, at: u32) -> Vec<u32> {
        let item = &self.items[at as usize];
        let mut bound = Vec::new();
        // The last ones first: they rarely come before it.
        let hears = |&other: &u32| !self.gone[other as usize] && !(self.before)(&self.items[other as usize], item);
        if !self.ears.iter().rev().any(hears) {
            // Whoever could come after it and surely took place does not tell what was there.
            return bound;
        }
        for step in self.history.steps(item.id) {
            let Some(key) = step.key() else { continue };
            match *step {
                Step::Cas { from, to, .. } if from == to => {}
                Step::Write { value, .. } | Step::Append { value, .. } if self.has_texts => {
                    let appends = matches!(step, Step::Append { .. });
                    bound.extend(self.may_have_seen(item, &self.readers_of(key, value, appends)));
                    if !appends {
                        bound.extend(self.may_have_seen(item, list(&self.wary, &key)));
                    }
                }
                Step::Write { value, .. }
                | Step::Append { value, .. }
                | Step::Cas { to: value, took: None | Some(true), .. } => {
                    bound.extend(self.may_have_seen(item, list(&self.seen_by, &(key, self.plain(value)))));
                    let others = list(&self.wary, &key).iter().copied();
                    let others: Vec<u32> = others.filter(|&other| !self.saw_other(other, key, value)).collect();
                    bound.extend(self.may_have_seen(item, &others));
                }
                Step::Add { by: 0, .. } => {}
                Step::Add { .. } => bound.extend(self.may_have_seen(item, list(&self.wary, &key))),
                Step::Insert { value, .. } if self.history.object() == Object::Set => {
                    bound.extend(self.may_have_seen(item, list(&self.seen_by, &(key, value))));
                }
                Step::Remove { value, .. } if self.left_by.contains_key(&(key, value)) => {
                    let misses: Vec<u32> = list(&self.all, &key).to_vec();
                    let misses = misses.into_iter().filter(|&other| self.missed(other, key, value));
                    bound.extend(self.may_have_seen(item, &misses.collect::<Vec<u32>>()));
                }
                Step::Insert { value, .. } | Step::Take { value: Some(value), .. }
                    if !item.open || left(step).is_some() =>
                {
                    if value != Value::NIL {
                        bound.extend(self.of_element(item, key, value));
                    }
                }
                // Whatever it took, somebody had put in.
                Step::Take { .. } => {
                    let puts = list(&self.all, &key).iter().copied().filter(|&other| self.puts(other, key));
                    bound.extend(puts);
                }
                Step::Acquire { .. } | Step::Release { .. } => bound.extend(self.of_hold(at, key)),
                Step::Cas { .. }
                | Step::Read { .. }
                | Step::Count { .. }
                | Step::ReadList { .. }
                | Step::Insert { .. }
                | Step::Remove { .. }
                | Step::Contains { .. }
                | Step::Guarded { .. }
                | Step::Generate { .. }
                | Step::Digest { .. } => {}
            }
        }
        bound
    }

    /// Would it do the same whatever was there?
    fn tells_nothing(&self, item: &Item) -> bool {
        let is_number = matches!(self.history.object(), Object::Counter | Object::Bank);
        self.history.steps(item.id).iter().all(|step| match step {
            Step::Write { .. } | Step::Insert { .. } | Step::Remove { .. } => true,
            Step::Add { .. } => is_number,
            _ => false,
        })
    }

    fn puts(&self, at: u32, of: Key) -> bool {
        let steps = self.history.steps(self.items[at as usize].id);
        steps.iter().any(|step| matches!(*step, Step::Insert { key, .. } if key == of))
    }

    fn may_have_seen<'b>(&'b self, change: &'b Item, who: &[u32]) -> Vec<u32> {
        let late = |other: &u32| !(self.before)(&self.items[*other as usize], change);
        who.iter().copied().filter(late).collect()
    }

    /// A failed compare-and-set has seen another value than the one that it named.
    fn saw_other(&self, at: u32, key: Key, value: Value) -> bool {
        self.history.steps(self.items[at as usize].id).iter().filter(|step| step.key() == Some(key)).all(
            |step| matches!(*step, Step::Cas { from, took: Some(false), .. } if self.plain(from) == self.plain(value)),
        )
    }

    /// Whose texts may show a text that was written or appended.
    fn readers_of(&self, key: Key, value: Value, appends: bool) -> Vec<u32> {
        let text = |value: Value| match self.history.value(value) {
            Datum::Nil => Some(""),
            other => other.name(),
        };
        let shows = |step: &Step| match *step {
            Step::Read { key: of, value: Some(seen) } if of == key => match (text(seen), text(value)) {
                (Some(seen), Some(text)) => {
                    if appends {
                        seen.contains(text)
                    } else {
                        seen.starts_with(text)
                    }
                }
                _ => seen == value,
            },
            _ => false,
        };
        let reads = |at: &u32| {
            let item = &self.items[*at as usize];
            !item.open && self.history.steps(item.id).iter().any(shows)
        };
        list(&self.all, &key).iter().copied().filter(reads).collect()
    }

    /// Did it see that an element is not in the set?
    fn missed(&self, at: u32, key: Key, value: Value) -> bool {
        let item = &self.items[at as usize];
        let misses = |step: &Step| match *step {
            Step::ReadList { key: of, list: Some(list) } => of == key && !self.history.list(list).contains(&value),
            Step::Contains { key: of, value: asked, there: Some(false) } => of == key && asked == value,
            _ => false,
        };
        !item.open && self.history.steps(item.id).iter().any(misses)
    }

    /// All that put in or took out an element of a queue, unless nobody is known to have taken it; and who may have taken any
    /// element and must have taken one.
    fn of_element(&self, item: &Item, key: Key, value: Value) -> Vec<u32> {
        let takes = self.may_have_seen(item, list(&self.seen_by, &(key, value)));
        let must = |at: &&u32| !self.items[**at as usize].open;
        let mut all: Vec<u32> = list(&self.wary, &key).iter().filter(must).copied().collect();
        if !takes.is_empty() {
            all.extend_from_slice(list(&self.seen_by, &(key, value)));
            all.extend_from_slice(list(&self.left_by, &(key, value)));
        }
        all
    }

    /// The rest of a hold of a lock, if it is known which it is: between its acquire and its release, and where nothing is
    /// known to release it, behind its acquire, the session did nothing else for sure. Else all that the session did.
    fn of_hold(&self, at: u32, key: Key) -> Vec<u32> {
        let item = |at: u32| &self.items[at as usize];
        let before = |one: u32, other: u32| !item(one).open && (self.before)(item(one), item(other));
        let of = |at: u32, acquires: bool| {
            self.history.steps(item(at).id).iter().any(|step| match step {
                Step::Acquire { key: of, .. } => acquires && *of == key,
                Step::Release { key: of, .. } => !acquires && *of == key,
                _ => false,
            })
        };
        let session = item(at).session;
        let all = list(&self.all, &key).iter().copied();
        let mine: Vec<u32> =
            all.filter(|&other| item(other).session == session && (of(other, true) || of(other, false))).collect();
        let sure = || mine.iter().copied().filter(|&other| !item(other).open);
        let is_hold = |one: u32, other: u32| {
            of(one, true)
                && of(other, false)
                && before(one, other)
                && sure().all(|third| third == one || third == other || before(third, one) || before(other, third))
        };
        let left = |acquires: bool, other: u32| of(other, acquires) && !self.gone[other as usize];
        let acquires = mine.iter().filter(|&&other| left(true, other)).count();
        let releases = mine.iter().filter(|&&other| left(false, other) && !item(other).open).count();
        if of(at, false) && (releases > acquires || item(at).open && releases == acquires) {
            // The others give back all that was taken.
            return Vec::new();
        }
        if item(at).open {
            return mine;
        }
        if let Some(other) = sure().find(|&other| is_hold(at, other) || is_hold(other, at)) {
            return vec![other];
        }
        if of(at, true) && sure().all(|other| other == at || before(other, at)) {
            return Vec::new();
        }
        mine
    }

    /// Who saw a value whose writers have all gone.
    fn unexplained(&self) -> Vec<u32> {
        let all_gone = |writers: &[u32]| writers.iter().all(|&writer| self.gone[writer as usize]);
        let mut found = Vec::new();
        for (&(key, value), writers) in self.left_by.iter().filter(|(_, writers)| all_gone(writers)) {
            if self.plain(self.history.initial(key)) == value {
                continue;
            }
            if self.has_texts {
                let appends = |at: &u32| {
                    let steps = self.history.steps(self.items[*at as usize].id);
                    steps.iter().any(|step| matches!(step, Step::Append { .. }))
                };
                let is_text = matches!(self.history.value(value), Datum::Text(_));
                if is_text {
                    found.extend(self.readers_of(key, value, writers.iter().any(appends)));
                }
            }
            found.extend_from_slice(list(&self.seen_by, &(key, value)));
        }
        found.retain(|&at| !self.gone[at as usize]);
        found
    }
}

/// The values that an answer shows.
fn shown(history: &History, step: &Step) -> Vec<Value> {
    match *step {
        Step::Contains { value, there, .. } => (there == Some(true)).then_some(value).into_iter().collect(),
        Step::Remove { .. } => Vec::new(),
        Step::Take { value: Some(Value::NIL), .. } => Vec::new(),
        _ if seen(step).is_some() || matches!(step, Step::ReadList { .. }) => all_seen(history, step).collect(),
        _ => Vec::new(),
    }
}

fn list<'m, K: std::hash::Hash + Eq>(map: &'m FxHashMap<K, Vec<u32>>, key: &K) -> &'m [u32] {
    map.get(key).map_or(&[], Vec::as_slice)
}
