//! Removal of what is absent already: expired keys and records, dropped collections and tables. No reply can tell
//! whether it ran.

use super::Space;
use super::cells::{Scope, Writer, keys_between};
use super::layout::{self, CollectionId, KIND, u64_at};
use crate::limits;
use crate::store::{Store, View};
use alloc::vec::Vec;

/// The log time at which work is next due; 0 when some is due now.
pub fn next_due(view: &dyn View, space: Space) -> Option<u64> {
    let first = |kind| {
        let (from, until) = layout::kind_range(space, kind);
        keys_between(view, &from, &until, 1).pop()
    };
    if first(layout::DROPPED_TABLE).or_else(|| first(layout::DROPPED_COLLECTION)).is_some() {
        return Some(0);
    }
    let time = |kind| first(kind).map(|key| u64_at(&key, KIND));
    [time(layout::EXPIRY), time(layout::IDEMPOTENCY_EXPIRY)].into_iter().flatten().min()
}

/// One bounded piece of the work that is due at this log time. True if more is.
pub fn run(store: &mut dyn Store, space: Space, time_ms: u64) -> bool {
    let scope = Scope::new(store.as_view(), space, Default::default(), time_ms, time_ms, 0);
    // The index of an entry names versions and collections; a sweep makes neither.
    let mut writer = Writer::new(store, scope, 0);
    for key in due(&writer, layout::EXPIRY) {
        let cell_key = layout::plain_key(space, layout::CELL, &key[KIND + 8..]);
        writer.remove_at(cell_key);
    }
    for key in due(&writer, layout::IDEMPOTENCY_EXPIRY) {
        writer.delete(&layout::plain_key(space, layout::IDEMPOTENCY, &key[KIND + 8..]));
        writer.delete(&key);
    }
    let mut budget = limits::DELETE_PER_STEP;
    while budget > 0 && drop_table_piece(&mut writer, &mut budget) {}
    while budget > 0 && drop_collection_piece(&mut writer, &mut budget) {}
    writer.close();
    next_due(store.as_view(), space).is_some_and(|due| due <= time_ms)
}

/// The keys of an index by time that are due, at most [`limits::EXPIRE_PER_STEP`].
fn due(writer: &Writer<'_>, kind: u8) -> Vec<Vec<u8>> {
    let reader = writer.reader();
    let (from, _) = layout::kind_range(reader.scope.space, kind);
    let until = layout::plain_key(reader.scope.space, kind, &reader.scope.time_ms.saturating_add(1).to_be_bytes());
    keys_between(reader.view, &from, &until, limits::EXPIRE_PER_STEP)
}

fn first(writer: &Writer<'_>, kind: u8) -> Option<Vec<u8>> {
    let (from, until) = layout::kind_range(writer.scope.space, kind);
    keys_between(writer.reader().view, &from, &until, 1).pop()
}

/// Deletes cells of the first dropped table. False if there is none.
fn drop_table_piece(writer: &mut Writer<'_>, budget: &mut usize) -> bool {
    let Some(entry) = first(writer, layout::DROPPED_TABLE) else { return false };
    let from = layout::plain_key(writer.scope.space, layout::CELL, &entry[KIND..]);
    let until = crate::store::after_prefix(&from);
    let keys = keys_between(writer.reader().view, &from, &until, *budget);
    if keys.len() < *budget {
        writer.delete(&entry);
    }
    *budget = budget.saturating_sub(keys.len() + 1);
    keys.into_iter().for_each(|key| writer.remove_at(key));
    true
}

/// Deletes elements of the first dropped collection. False if there is none.
fn drop_collection_piece(writer: &mut Writer<'_>, budget: &mut usize) -> bool {
    let Some(entry) = first(writer, layout::DROPPED_COLLECTION) else { return false };
    let (from, until) = CollectionId::from_slice(&entry[KIND..]).element_range(writer.scope.space, 0);
    let keys = keys_between(writer.reader().view, &from, &until, *budget);
    if keys.len() < *budget {
        writer.delete(&entry);
    }
    *budget = budget.saturating_sub(keys.len() + 1);
    keys.iter().for_each(|key| writer.delete(key));
    true
}
