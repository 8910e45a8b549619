//! What a session knows of the ranges of leaderless tables.

use crate::clock::Context;
use crate::limits;
use crate::operation::TableId;
use crate::placement::Range;
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ranges in one page.
const PAGE_RANGES: u16 = 32;

/// Events, per range of a table. A session goes along with every operation, and an operation changes one range of it: so the ranges
/// are in pages that copies share, and a change copies one page. Equal knowledge is an equal value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Events(Option<Arc<Vec<Page>>>);

/// So many ranges of a table; in order of the tables and of the ranges.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Page {
    number: Number,
    ranges: Arc<Vec<(Range, Context)>>,
}

type Number = (TableId, u16);

impl Events {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
    /// What is known of a range.
    pub(super) fn get(&self, table: TableId, range: Range) -> Option<&Context> {
        self.page(number(table, range))?.get(range)
    }
    /// Knows events of a range.
    pub(super) fn join(&mut self, table: TableId, range: Range, context: &Context) {
        if self.get(table, range).is_some_and(|known| known.covers(context)) {
            return;
        }
        let ranges = Arc::make_mut(&mut self.page_mut(number(table, range)).ranges);
        let at = place(ranges, range).unwrap_or_else(|at| {
            ranges.insert(at, (range, Context::default()));
            at
        });
        let known = &mut ranges[at].1;
        known.join(context);
        if known.beyond().count() > limits::SESSION_EVENTS {
            known.fill();
        }
    }
    /// Knows what another knows.
    pub(super) fn merge(&mut self, other: &Events) {
        match (&self.0, &other.0) {
            (Some(ours), Some(theirs)) if Arc::ptr_eq(ours, theirs) => return,
            (None, _) => return self.0.clone_from(&other.0),
            (Some(_), _) => {}
        }
        for theirs in other.pages() {
            match self.page(theirs.number) {
                Some(ours) if Arc::ptr_eq(&ours.ranges, &theirs.ranges) => {}
                Some(ours) if !theirs.covers(ours) => {
                    let (table, _) = theirs.number;
                    theirs.ranges.iter().for_each(|(range, context)| self.join(table, *range, context));
                }
                Some(_) | None => self.page_mut(theirs.number).ranges = theirs.ranges.clone(),
            }
        }
    }
    /// All that is known, in order of tables and ranges.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TableId, Range, &Context)> + '_ {
        self.pages().iter().flat_map(|Page { number: (table, _), ranges }| {
            ranges.iter().map(|(range, context)| (*table, *range, context))
        })
    }

    fn pages(&self) -> &[Page] {
        self.0.as_deref().map_or(&[], |pages| pages)
    }
    fn place(&self, number: Number) -> Result<usize, usize> {
        self.pages().binary_search_by_key(&number, |page| page.number)
    }
    fn page(&self, number: Number) -> Option<&Page> {
        self.place(number).ok().map(|at| &self.pages()[at])
    }
    /// A page that is to be changed.
    fn page_mut(&mut self, number: Number) -> &mut Page {
        let place = self.place(number);
        let pages = Arc::make_mut(self.0.get_or_insert_default());
        let at = place.unwrap_or_else(|at| {
            pages.insert(at, Page { number, ranges: Arc::default() });
            at
        });
        &mut pages[at]
    }
}

impl Page {
    fn get(&self, range: Range) -> Option<&Context> {
        place(&self.ranges, range).ok().map(|at| &self.ranges[at].1)
    }
    fn covers(&self, other: &Page) -> bool {
        let mut others = other.ranges.iter();
        others.all(|(range, theirs)| self.get(*range).is_some_and(|ours| ours.covers(theirs)))
    }
}

fn number(table: TableId, range: Range) -> Number {
    (table, range.0 / PAGE_RANGES)
}

fn place(ranges: &[(Range, Context)], range: Range) -> Result<usize, usize> {
    ranges.binary_search_by_key(&range, |(range, _)| *range)
}

/// A list of tables, ranges and contexts.
impl Serialize for Events {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let list: Vec<(TableId, Range, &Context)> = self.iter().collect();
        list.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Events, D::Error> {
        let list: Vec<(TableId, Range, Context)> = Vec::deserialize(deserializer)?;
        let mut events = Events::default();
        list.iter().for_each(|(table, range, context)| events.join(*table, *range, context));
        Ok(events)
    }
}
