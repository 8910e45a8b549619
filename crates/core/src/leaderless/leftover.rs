//! What tables that were removed left on disk is deleted, a bounded number of keys at a time.

use super::leave::DOOMED;
use super::record::{ACCEPTOR, CELL, CONTEXT};
use super::{Cx, Leaderless};
use crate::catalogue::Catalogue;
use crate::limits;
use crate::operation::TableId;
use crate::store::{View, drawer};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bytes::Bytes;

impl Leaderless {
    /// Tables were removed, or this node starts: looks what is left of those that the catalogue does not know any more.
    pub(super) fn look_for_leftovers(&mut self, catalogue: &Catalogue) {
        self.removed = catalogue.clone();
        self.leftovers = true;
    }

    /// Deletes some of what is left.
    pub(super) fn delete_leftovers(&mut self, cx: &mut Cx<'_>) {
        if !self.leftovers {
            return;
        }
        let mut doomed = Vec::new();
        for kind in [CONTEXT, CELL, ACCEPTOR, DOOMED] {
            for table in tables_on_disk(cx.view(), kind).into_iter().filter(|&table| self.removed.was_removed(table)) {
                keys_of(cx.view(), kind, table, &mut doomed);
            }
        }
        let removed = |table| self.removed.was_removed(table);
        self.debt.take_removed(cx.view(), &removed, &mut doomed);
        self.standing.take_removed(cx.view(), &removed, &mut doomed);
        self.leftovers = !doomed.is_empty();
        for key in doomed {
            cx.delete(&key);
        }
    }
}

/// The tables that have keys of a kind.
fn tables_on_disk(view: &dyn View, kind: u8) -> BTreeSet<TableId> {
    let mut tables = BTreeSet::new();
    let mut from = [drawer::LEADERLESS, kind, 0, 0];
    let until = [drawer::LEADERLESS, kind + 1];
    loop {
        let mut found = None;
        view.scan(&from, &until, &mut |key, _| {
            found = key.get(2..4).map(|table| u16::from_be_bytes([table[0], table[1]]));
            false
        });
        let Some(table) = found else { return tables };
        tables.insert(TableId(table));
        let Some(next) = table.checked_add(1) else { return tables };
        from[2..].copy_from_slice(&next.to_be_bytes());
    }
}

fn keys_of(view: &dyn View, kind: u8, table: TableId, keys: &mut Vec<Bytes>) {
    let mut from = [drawer::LEADERLESS, kind, 0, 0];
    from[2..].copy_from_slice(&table.0.to_be_bytes());
    view.scan(&from, &crate::store::after_prefix(&from), &mut |key, _| {
        if keys.len() < limits::DELETE_PER_STEP {
            keys.push(Bytes::copy_from_slice(key));
        }
        keys.len() < limits::DELETE_PER_STEP
    });
}
