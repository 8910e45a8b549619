//! What command families work on: a reader of cells and a writer that keeps counts and indexes right.

use super::failure::{Failure, WRONG_TYPE};
use super::layout::{
    Body, Cell, Collection, CollectionId, Due, HASHES, Kind, Table, cell_name, element_name, expiry_key,
};
use super::{Space, layout};
use crate::operation::TableId;
use crate::random::Random;
use crate::store::{Store, View};
use alloc::vec::Vec;
use bytes::Bytes;

/// A command removes collections of at most this many elements at once, and leaves larger ones to `sweep`.
const SMALL_COLLECTION: u64 = 16;

/// Looks at hash, name and value of what a scan finds; false ends the scan.
pub type Visit<'v> = dyn FnMut(u64, &[u8], &[u8]) -> bool + 'v;

/// Where and when commands run.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    pub space: Space,
    pub table: Table,
    /// Log time: decides what is absent.
    pub time_ms: u64,
    /// For replies that tell a remaining time.
    pub display_ms: u64,
    /// Seeds random draws, with the number of the command in its batch.
    pub seed: u64,
    pub ordinal: u64,
}

impl Scope {
    pub fn new(view: &dyn View, space: Space, table: TableId, time_ms: u64, display_ms: u64, seed: u64) -> Scope {
        Scope { space, table: load_table(view, space, table), time_ms, display_ms, seed, ordinal: 0 }
    }
}

fn load_table(view: &dyn View, space: Space, id: TableId) -> Table {
    let mut table = None;
    view.look(&Table::key(space, id), &mut |value| table = Some(Table::decode(id, Some(value))));
    table.unwrap_or(Table::decode(id, None))
}

/// Reads cells and elements. Keys that expired are not there.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub view: &'a dyn View,
    pub scope: &'a Scope,
}

impl<'a> Reader<'a> {
    pub fn cell(&self, key: &[u8]) -> Option<Cell> {
        let value = self.view.get(&self.scope.table.cell_key(self.scope.space, key))?;
        Some(Cell::decode(value)).filter(|cell| cell.lives(self.scope.time_ms))
    }
    /// The string at a key.
    pub fn string(&self, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        self.cell(key).map(|cell| cell.string().cloned()).transpose()
    }
    /// The collection of this type at a key.
    pub fn collection(&self, key: &[u8], kind: Kind) -> Result<Option<Collection>, Failure> {
        self.cell(key).map(|cell| cell.collection(kind)).transpose()
    }
    /// The value of an element.
    pub fn element(&self, collection: &Collection, element: &[u8]) -> Option<Bytes> {
        self.view.get(&collection.id.element_key(self.scope.space, element))
    }
    /// Visits hash, element and value of the elements whose hash is at least `from`, in the order of hashes, until
    /// `visit` returns false.
    pub fn elements(&self, collection: &Collection, from: u64, visit: &mut Visit<'_>) {
        let (from, until) = collection.id.element_range(self.scope.space, from);
        self.view.scan(&from, &until, &mut |key, value| {
            let (hash, element) = element_name(key);
            visit(hash, element, value)
        });
    }
    /// Visits hash, key and cell of the keys whose hash is at least `from`, in the order of hashes, until `visit`
    /// returns false.
    pub fn cells(&self, from: u64, visit: &mut Visit<'_>) {
        let (from, until) = self.scope.table.cell_range(self.scope.space, from);
        self.view.scan(&from, &until, &mut |key, value| {
            let (hash, name) = cell_name(key);
            visit(hash, name, value)
        });
    }
    /// Keys in the table that are not expired.
    pub fn count(&self) -> u64 {
        let (from, until) = layout::due_range(self.scope.space, 1, self.scope.time_ms);
        let prefix = self.scope.table.prefix();
        let mut expired = 0;
        self.view.scan(&from, &until, &mut |entry, _| {
            let (_, due, rest) = Due::decode(entry);
            expired += u64::from(due == Due::Cell && rest.starts_with(&prefix));
            true
        });
        self.scope.table.cells - expired
    }
    /// A stream of random numbers for this command.
    pub fn random(&self) -> Random {
        Random::new(self.scope.seed ^ self.scope.ordinal.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

impl Cell {
    pub fn string(&self) -> Result<&Bytes, Failure> {
        match &self.body {
            Body::String(string) => Ok(string),
            Body::Collection(_) => Err(WRONG_TYPE),
        }
    }
    pub fn collection(&self, kind: Kind) -> Result<Collection, Failure> {
        match &self.body {
            Body::Collection(collection) if collection.kind == kind => Ok(*collection),
            Body::String(_) | Body::Collection(_) => Err(WRONG_TYPE),
        }
    }
}

/// A key that is about to be written: what the store holds for it, expired or not. Write it before you open the same
/// key again.
pub struct Slot {
    store_key: Vec<u8>,
    table: TableId,
    stored: Option<Cell>,
    lives: bool,
    /// False for a cell of a table that was flushed since: no count includes it.
    counted: bool,
}

impl Slot {
    /// The cell, if it is there and not expired.
    pub fn cell(&self) -> Option<&Cell> {
        self.stored.as_ref().filter(|_| self.lives)
    }
    pub fn expiry(&self) -> Option<u64> {
        self.cell().and_then(|cell| cell.expiry)
    }
    pub fn string(&self) -> Result<Option<&Bytes>, Failure> {
        self.cell().map(Cell::string).transpose()
    }
    pub fn collection(&self, kind: Kind) -> Result<Option<Collection>, Failure> {
        self.cell().map(|cell| cell.collection(kind)).transpose()
    }
}

/// Writes cells and elements, and keeps counts, expiry index and dropped collections in step.
pub struct Writer<'a> {
    store: &'a mut dyn Store,
    pub scope: Scope,
    /// The log index: the version of what is written.
    index: u64,
    collections: u32,
    table_changed: bool,
    small_collection: u64,
}

impl<'a> Writer<'a> {
    pub fn new(store: &'a mut dyn Store, scope: Scope, index: u64) -> Writer<'a> {
        Writer { store, scope, index, collections: 0, table_changed: false, small_collection: SMALL_COLLECTION }
    }
    /// A writer for `sweep`: it makes no versions and no collections, and what it drops it only marks as dropped, so
    /// that the work of one step stays bounded.
    pub fn for_sweep(store: &'a mut dyn Store, scope: Scope) -> Writer<'a> {
        Writer { store, scope, index: 0, collections: 0, table_changed: false, small_collection: 0 }
    }
    pub fn reader(&self) -> Reader<'_> {
        Reader { view: self.store.as_view(), scope: &self.scope }
    }
    /// The store, for what is not a cell.
    pub fn store(&mut self) -> &mut dyn Store {
        self.store
    }
    /// Opens a key of the table.
    pub fn open(&self, key: &[u8]) -> Slot {
        self.open_in(&self.scope.table, key)
    }
    /// Opens a key whose string, if it holds one, will be replaced and is not looked at: it is left empty.
    pub fn open_to_replace(&self, key: &[u8]) -> Slot {
        let table = &self.scope.table;
        let store_key = table.cell_key(self.scope.space, key);
        let mut stored = None;
        self.store.look(&store_key, &mut |value| stored = Some(Cell::decode_without_string(value)));
        let lives = stored.as_ref().is_some_and(|cell| cell.lives(self.scope.time_ms));
        Slot { store_key, table: table.id, stored, lives, counted: true }
    }
    /// Opens a key of any table.
    pub fn open_in(&self, table: &Table, key: &[u8]) -> Slot {
        let store_key = table.cell_key(self.scope.space, key);
        let stored = self.store.get(&store_key).map(Cell::decode);
        let lives = stored.as_ref().is_some_and(|cell| cell.lives(self.scope.time_ms));
        Slot { store_key, table: table.id, stored, lives, counted: true }
    }
    /// Gives a key a value and an expiry, in place of whatever it held.
    pub fn put(&mut self, slot: Slot, body: Body, expiry: Option<u64>) {
        let before = slot.stored.as_ref().and_then(|cell| cell.expiry);
        if before != expiry {
            if let Some(before) = before {
                self.store.delete(&expiry_key(self.scope.space, before, &slot.store_key));
            }
            if let Some(expiry) = expiry {
                self.store.put(&expiry_key(self.scope.space, expiry, &slot.store_key), b"");
            }
        }
        match &slot.stored {
            None => self.count(slot.table, 1),
            Some(Cell { body: Body::Collection(old), .. }) => {
                if !matches!(&body, Body::Collection(new) if new.id == old.id) {
                    self.drop_collection(old);
                }
            }
            Some(Cell { body: Body::String(_), .. }) => {}
        }
        let cell = Cell { version: self.index, expiry, body };
        self.store.put(&slot.store_key, &cell.encode());
    }
    /// Gives a key a string and keeps its expiry.
    pub fn put_string(&mut self, slot: Slot, string: Bytes) {
        let expiry = slot.expiry();
        self.put(slot, Body::String(string), expiry);
    }
    /// Writes a collection after its elements changed: an empty one is removed, the expiry is kept.
    pub fn put_collection(&mut self, slot: Slot, collection: Collection) {
        if collection.count == 0 {
            self.remove(slot);
        } else {
            let expiry = slot.expiry();
            self.put(slot, Body::Collection(collection), expiry);
        }
    }
    /// Gives a key that is there another expiry; one that is already over removes it.
    pub fn set_expiry(&mut self, slot: Slot, expiry: Option<u64>) {
        let Some(cell) = slot.cell() else { return };
        if cell.expiry == expiry {
            return;
        }
        if expiry.is_some_and(|expiry| expiry <= self.scope.time_ms) {
            self.remove(slot);
        } else {
            let body = cell.body.clone();
            self.put(slot, body, expiry);
        }
    }
    /// Removes a key.
    pub fn remove(&mut self, slot: Slot) {
        if let Some(cell) = &slot.stored
            && let Body::Collection(collection) = &cell.body
        {
            self.drop_collection(collection);
        }
        self.forget(slot);
    }
    /// Removes a key whose collection, if it has one, lives on under another key.
    pub fn forget(&mut self, slot: Slot) {
        let Some(cell) = slot.stored else { return };
        if let Some(expiry) = cell.expiry {
            self.store.delete(&expiry_key(self.scope.space, expiry, &slot.store_key));
        }
        self.store.delete(&slot.store_key);
        if slot.counted {
            self.count(slot.table, -1);
        }
    }

    /// A fresh collection without elements.
    pub fn new_collection(&mut self, kind: Kind) -> Collection {
        self.collections += 1;
        Collection { kind, id: CollectionId::new(self.index, self.collections), count: 0 }
    }
    /// Puts an element, and counts it if it is new. The caller writes the collection afterwards.
    pub fn put_element(&mut self, collection: &mut Collection, element: &[u8], value: &[u8]) -> bool {
        let key = collection.id.element_key(self.scope.space, element);
        let old = self.store.get(&key);
        if old.as_deref() != Some(value) {
            self.store.put(&key, value);
        }
        collection.count += u64::from(old.is_none());
        old.is_none()
    }
    /// Removes an element, and counts it if it was there. The caller writes the collection afterwards.
    pub fn remove_element(&mut self, collection: &mut Collection, element: &[u8]) -> bool {
        let key = collection.id.element_key(self.scope.space, element);
        let found = self.store.get(&key).is_some();
        if found {
            self.store.delete(&key);
            collection.count -= 1;
        }
        found
    }
    fn drop_collection(&mut self, collection: &Collection) {
        if collection.count == 0 {
            return;
        }
        if collection.count > self.small_collection {
            self.store.put(&collection.id.dropped_key(self.scope.space), b"");
            return;
        }
        let (from, until) = collection.id.element_range(self.scope.space, 0);
        for key in keys_between(self.store.as_view(), &from, &until, usize::MAX) {
            self.store.delete(&key);
        }
    }

    /// A table of this group.
    pub fn table(&self, id: TableId) -> Table {
        if id == self.scope.table.id {
            self.scope.table
        } else {
            load_table(self.store.as_view(), self.scope.space, id)
        }
    }
    fn set_table(&mut self, table: Table) {
        if table.id == self.scope.table.id {
            self.scope.table = table;
            self.table_changed = true;
        } else {
            self.store.put(&Table::key(self.scope.space, table.id), &table.encode());
        }
    }
    fn count(&mut self, id: TableId, by: i64) {
        let mut table = self.table(id);
        table.cells = table.cells.checked_add_signed(by).expect("a table counts every cell that it holds");
        self.set_table(table);
    }
    /// Empties a table in one stroke; `sweep` deletes what it held.
    pub fn flush(&mut self, id: TableId) {
        let mut table = self.table(id);
        if table.cells == 0 {
            return;
        }
        self.store.put(&Due::DroppedTable.key(self.scope.space, 0, &table.prefix()), b"");
        table.generation += 1;
        table.cells = 0;
        self.set_table(table);
    }
    /// All tables of this group that ever held a key.
    pub fn tables(&self) -> Vec<TableId> {
        let (from, until) = layout::kind_range(self.scope.space, layout::TABLE);
        let mut tables: Vec<TableId> = keys_between(self.store.as_view(), &from, &until, usize::MAX)
            .iter()
            .map(|key| TableId(u16::from_be_bytes([key[layout::KIND], key[layout::KIND + 1]])))
            .collect();
        if !tables.contains(&self.scope.table.id) {
            tables.push(self.scope.table.id);
        }
        tables
    }
    /// Writes what the batch changed of its table. Last thing before the writer goes.
    pub fn close(self) {
        if self.table_changed {
            self.store.put(&Table::key(self.scope.space, self.scope.table.id), &self.scope.table.encode());
        }
    }
    /// Removes a cell that the index of expiries names.
    pub fn remove_at(&mut self, store_key: Vec<u8>) {
        let (table, generation) = layout::cell_table(&store_key);
        let stored = self.store.get(&store_key).map(Cell::decode);
        let counted = self.table(table).generation == generation;
        self.remove(Slot { store_key, table, stored, lives: false, counted });
    }
    /// Deletes a pair that no count includes.
    pub fn delete(&mut self, store_key: &[u8]) {
        self.store.delete(store_key);
    }
}

/// The first keys of a range, at most `limit`.
pub fn keys_between(view: &dyn View, from: &[u8], until: &[u8], limit: usize) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    if limit > 0 {
        view.scan(from, until, &mut |key, _| {
            keys.push(key.to_vec());
            keys.len() < limit
        });
    }
    keys
}

/// The cursor after a page that ended at this hash: 0 when nothing can follow.
pub fn cursor_after(hash: u64) -> u64 {
    (hash + 1) % HASHES
}
