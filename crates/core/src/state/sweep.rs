//! Removal of what is absent already: expired keys and records, dropped collections and tables. No reply can tell
//! whether it ran.

use super::cells::{Scope, Writer, keys_between};
use super::layout::{self, CollectionId, Due};
use super::{Space, Stamp, idempotency};
use crate::limits;
use crate::store::{Store, View};
use alloc::vec::Vec;

/// The log time at which work is next due; 0 when some is due now.
pub fn next_due(view: &dyn View, space: Space) -> Option<u64> {
    let (from, until) = layout::kind_range(space, layout::DUE);
    keys_between(view, &from, &until, 1).first().map(|entry| Due::decode(entry).0)
}

/// One bounded piece of the work that is due at this log time. True if more is.
pub fn run(store: &mut dyn Store, space: Space, stamp: Stamp) -> bool {
    let time_ms = stamp.time_ms;
    let (from, until) = layout::due_range(space, 0, time_ms);
    let entries = keys_between(store.as_view(), &from, &until, limits::EXPIRE_PER_STEP);
    if !entries.is_empty() {
        let scope = Scope::new(store.as_view(), space, Default::default(), time_ms, time_ms, 0);
        let mut writer = Writer::for_sweep(store, scope);
        let mut budget = limits::DELETE_PER_STEP;
        for entry in entries {
            remove(&mut writer, stamp, &entry, &mut budget);
        }
        writer.close();
    }
    next_due(store.as_view(), space).is_some_and(|due| due <= time_ms)
}

/// Does what an entry of the index asks for, and removes the entry once all of it is done.
fn remove(writer: &mut Writer<'_>, stamp: Stamp, entry: &[u8], budget: &mut usize) {
    let space = writer.scope.space;
    let (_, due, rest) = Due::decode(entry);
    match due {
        Due::Cell => writer.remove_at(layout::plain_key(space, layout::CELL, rest)),
        Due::Record => idempotency::sweep(writer.store(), space, stamp, entry, rest),
        Due::DroppedTable => {
            let from = layout::plain_key(space, layout::CELL, rest);
            let until = crate::store::after_prefix(&from);
            for key in piece(writer, entry, (from, until), budget) {
                writer.remove_at(key);
            }
        }
        Due::DroppedCollection => {
            let range = CollectionId::from_slice(rest).element_range(space, 0);
            for key in piece(writer, entry, range, budget) {
                writer.delete(&key);
            }
        }
    }
}

/// The keys of a range that the budget allows to delete now. When they are the last, the entry goes too.
fn piece(writer: &mut Writer<'_>, entry: &[u8], range: (Vec<u8>, Vec<u8>), budget: &mut usize) -> Vec<Vec<u8>> {
    let keys = keys_between(writer.reader().view, &range.0, &range.1, *budget);
    if keys.len() < *budget {
        writer.delete(entry);
    }
    *budget -= keys.len();
    keys
}
