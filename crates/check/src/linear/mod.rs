//! Linearizability of every kind of object, and the models of single reads: regular, safe, bounded staleness.
//!
//! Linearizability composes: a history is linearizable if and only if its operations on each key are. What touches several
//! keys at once is judged with all of these keys. Each part is judged by the fastest algorithm that is exact for it, or
//! else by search:
//!
//! | object | algorithm | work |
//! |---|---|---|
//! | registers whose states are written once (swaps, compare-and-set, appends too) | zones | n log n |
//! | queues and stacks whose elements are put in once | see `line` | n log n |
//! | sets that only grow and are read whole | levels | n log n and the sizes of the reads |
//! | sets without reads of the whole | search, element by element | |
//! | counters to which always the same is added | as late as possible | n log n |
//! | everything else | search | exponential at worst |
//!
//! Of a history without times, only sessions tell what came before what: linearizable is then sequential. Regular, safe and
//! bounded staleness speak of time alone, so that then everything may have overlapped.

mod bonds;
mod counter;
#[cfg(test)]
mod exhaustive;
mod item;
mod line;
#[cfg(test)]
mod mutants;
mod name;
mod register;
mod search;
mod set;
mod shrink;
mod single;
mod stack;
mod text;
mod zone;

use crate::world::World;
use crate::{History, Id, Judged, Key, Meter, Object, Outcome, Spent, Step, Value};
use crate::{session, transaction};
use item::{Item, Part, View};
pub(crate) use search::{Tried, random};
use single::Reads;

use zone::{Contradiction, NONE};

pub(crate) fn linearizable(history: &History, meter: &mut Meter<'_>) -> Judged {
    if history.object().is_transactional() {
        return transaction::strict_serializable(history, meter);
    }
    if !history.has_real_time() {
        // What is known of time is the order within sessions.
        return session::sequential(history, meter);
    }
    judge(history, View::TRUE, meter)
}

pub(crate) fn regular(history: &History, meter: &mut Meter<'_>) -> Judged {
    single::each_read(history, Reads::All, View::of(history), meter)
}

pub(crate) fn safe(history: &History, meter: &mut Meter<'_>) -> Judged {
    single::each_read(history, Reads::Alone, View::of(history), meter)
}

pub(crate) fn bounded_staleness(history: &History, bound: u64, meter: &mut Meter<'_>) -> Judged {
    let reads_earlier = if history.has_real_time() { bound } else { 0 };
    judge(history, View { reads_earlier, ..View::of(history) }, meter)
}

/// Leaves out some of these operations, and all that must go with those, where the order within sessions is all that binds.
pub(crate) fn without(history: &History, kept: &[Id], some: std::ops::Range<usize>) -> Vec<Id> {
    let item = |&id: &Id| {
        let operation = history.operation(id);
        Item { id, session: operation.session.0, begin: 0, end: 0, open: operation.outcome == Outcome::Unknown }
    };
    let in_session = |a: &Item, b: &Item| a.session == b.session && a.id < b.id && !a.open;
    let items: Vec<Item> = kept.iter().map(item).collect();
    let rest = bonds::without(history, &items, some, in_session).unwrap_or_default();
    rest.into_iter().map(|item| item.id).collect()
}

/// Judges every part of a history. A part that is invalid decides; one that is unknown does only if no part is invalid.
///
/// No part is worth many steps of search before every other part was tried with as few.
fn judge(history: &History, view: View, meter: &mut Meter<'_>) -> Judged {
    let mut judge = Judge::new(history, view);
    let mut parts = view.parts(history);
    judge.limit = 1 << 14;
    let mut unknown = None;
    while !parts.is_empty() {
        let mut hard = Vec::new();
        for part in parts {
            match judge.decide(&part.keys, &part.items, meter) {
                Ok(Decision::Valid) => {}
                Ok(Decision::Invalid(found)) => {
                    // What is smaller should not take longer.
                    judge.limit = judge.limit.saturating_mul(2);
                    return Ok(Some(shrink::witness(&mut judge, &part, found, None, meter)));
                }
                Ok(Decision::TooHard) => hard.push(part),
                Err(spent) => unknown = Some(spent),
            }
        }
        judge.limit = judge.limit.saturating_mul(8);
        parts = hard;
    }
    unknown.map_or(Ok(None), Err)
}

/// What is known of a part.
enum Decision {
    /// There is an order.
    Valid,
    /// There is none, because of these operations: all, if it is not known which.
    Invalid(Contradiction),
    /// It takes more steps than the limit.
    TooHard,
}

/// What a fast algorithm says.
enum Fast {
    /// It cannot judge this.
    Unfit,
    /// There is an order.
    Valid,
    /// There is none, because of these operations.
    Invalid(Contradiction),
}

/// What is used again for each key.
struct Scratch {
    /// By value, all [`NONE`] between two uses.
    number: Vec<u32>,
}

/// Decides parts of one history.
struct Judge<'h> {
    history: &'h History,
    view: View,
    empty_text: Option<Value>,
    scratch: Scratch,
    /// The steps that one search is worth.
    limit: u64,
    /// Was the last decision made by search?
    searched: bool,
}

impl<'h> Judge<'h> {
    fn new(history: &'h History, view: View) -> Judge<'h> {
        let scratch = Scratch { number: vec![NONE; history.counts().0] };
        Judge { history, view, empty_text: World::empty_text(history), scratch, limit: u64::MAX, searched: false }
    }

    /// Is there an order of these operations, sorted by begin?
    fn decide(&mut self, keys: &[Key], items: &[Item], meter: &mut Meter<'_>) -> Result<Decision, Spent> {
        meter.step(items.len() as u64)?;
        self.searched = false;
        let rules = self.view.rules;
        let mut world = World::new(self.history, keys, self.empty_text);
        match self.fast(&world, keys, items) {
            Fast::Valid => return Ok(Decision::Valid),
            Fast::Invalid(mut found) => {
                found.places.sort_unstable();
                found.places.dedup();
                return Ok(Decision::Invalid(found));
            }
            Fast::Unfit => {}
        }
        self.searched = true;
        if let Some(groups) = self.elements(items) {
            return self.each_element(&mut world, items, groups, meter);
        }
        let all = || Contradiction { places: (0..items.len() as u32).collect(), edges: Vec::new() };
        let found = search::search(self.history, &mut world, items, rules, self.limit, meter)?;
        Ok(match found {
            Some(true) => Decision::Valid,
            Some(false) => Decision::Invalid(all()),
            None => Decision::TooHard,
        })
    }

    fn fast(&mut self, world: &World<'_>, keys: &[Key], items: &[Item]) -> Fast {
        let [key] = *keys else { return Fast::Unfit };
        let (history, rules) = (self.history, self.view.rules);
        match history.object() {
            Object::Register | Object::CasRegister => {
                register::judge(history, world, key, items, rules, &mut self.scratch)
            }
            Object::Kv => {
                let appends = |item: &Item| matches!(history.steps(item.id), [Step::Append { .. }]);
                if items.iter().any(appends) {
                    text::judge(history, world, key, items, rules)
                } else {
                    register::judge(history, world, key, items, rules, &mut self.scratch)
                }
            }
            Object::Queue => line::judge(history, key, items, false, rules, &mut self.scratch),
            Object::Stack => line::judge(history, key, items, true, rules, &mut self.scratch),
            Object::Set => set::judge(history, items, &mut self.scratch),
            Object::Counter => counter::judge(history, key, items),
            Object::Mutex
            | Object::FencedLock
            | Object::Bank
            | Object::ListAppend
            | Object::RwRegister
            | Object::UniqueId
            | Object::Replica => Fast::Unfit,
        }
    }

    /// Elements of a set are independent of each other unless the whole is read: the places of the operations of each.
    fn elements(&mut self, items: &[Item]) -> Option<Vec<Vec<u32>>> {
        if self.history.object() != Object::Set {
            return None;
        }
        let element = |item: &Item| match *self.history.steps(item.id) {
            [Step::Insert { value, .. } | Step::Remove { value, .. } | Step::Contains { value, .. }] => Some(value),
            _ => None,
        };
        if !items.iter().all(|item| element(item).is_some()) {
            return None;
        }
        let mut groups: Vec<Vec<u32>> = Vec::new();
        for (at, value) in items.iter().filter_map(element).enumerate() {
            let number = &mut self.scratch.number[value.0 as usize];
            if *number == NONE {
                *number = groups.len() as u32;
                groups.push(Vec::new());
            }
            groups[*number as usize].push(at as u32);
        }
        for value in items.iter().filter_map(element) {
            self.scratch.number[value.0 as usize] = NONE;
        }
        Some(groups)
    }

    fn each_element(
        &mut self,
        world: &mut World<'_>,
        items: &[Item],
        groups: Vec<Vec<u32>>,
        meter: &mut Meter<'_>,
    ) -> Result<Decision, Spent> {
        let mut hard = false;
        for places in groups {
            let some: Vec<Item> = places.iter().map(|&at| items[at as usize]).collect();
            match search::search(self.history, world, &some, self.view.rules, self.limit, meter)? {
                Some(true) => {}
                Some(false) => return Ok(Decision::Invalid(Contradiction { places, edges: Vec::new() })),
                None => hard = true,
            }
        }
        Ok(if hard { Decision::TooHard } else { Decision::Valid })
    }

    /// Are these operations, sorted by begin, invalid? Not if the budget is too small to know.
    fn is_invalid(&mut self, part: &Part, items: &[Item], meter: &mut Meter<'_>) -> bool {
        matches!(self.decide(&part.keys, items, meter), Ok(Decision::Invalid(_)))
    }
}
