//! Keys and values on disk, below the [`Space`] of a group. All numbers are big-endian.
//!
//! | first byte | rest of the key | value |
//! |---|---|---|
//! | `TABLE` | table u16 | format u8, generation u32, cells u64 |
//! | `CELL` | table u16, generation u32, hash 48 bits, key | format and type u8, version u64, [expiry u64], string or (collection id, count u64) |
//! | `ELEMENT` | collection id, hash 48 bits, element | value of a field; empty for a member |
//! | `IDEMPOTENCY` | idempotency key | format u8, fingerprint u64, expiry u64, position, reply |
//! | `DUE` | time u64, 1, table u16, generation u32 of a dropped table | empty |
//! | `DUE` | time u64, 2, id of a dropped collection | empty |
//! | `DUE` | time u64, 3, key of a cell that expires, after its first byte | empty |
//! | `DUE` | time u64, 4, idempotency key | empty |
//! | `CATALOGUE` | nothing | what [`crate::catalogue`] says; in the first group only |
//!
//! `DUE` is what `sweep` has to do, by log time; what was dropped stands at time 0. One look at its beginning tells
//! when the next work is due.
//!
//! Cells and elements are ordered by hash, so that the cursor of a scan is a number that any replica understands without
//! remembering anything, and so that a random member can be drawn evenly without visiting all.

use super::Space;
use crate::operation::TableId;
use alloc::vec::Vec;
use bytes::Bytes;

pub const TABLE: u8 = 1;
pub const CELL: u8 = 2;
pub const ELEMENT: u8 = 3;
pub const IDEMPOTENCY: u8 = 4;
pub const DUE: u8 = 5;
pub const CATALOGUE: u8 = 6;

/// Bytes of a space.
pub const SPACE: usize = size_of::<Space>();
/// Bytes of a key before the part that a cell and its expiry share.
pub const KIND: usize = SPACE + 1;
/// Hashes are below this.
pub const HASHES: u64 = 1 << 48;
const HASH: usize = 6;
const FORMAT: u8 = 1;

/// Where a key or element stands in the order of its table or collection. The function is part of the format on disk.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes) >> 16
}

fn put_hash(out: &mut Vec<u8>, hash: u64) {
    out.extend_from_slice(&hash.to_be_bytes()[2..]);
}

fn key(space: Space, kind: u8, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(KIND + room);
    out.extend_from_slice(&space);
    out.push(kind);
    out
}

/// A key that consists of its first byte and a rest.
pub fn plain_key(space: Space, kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = key(space, kind, rest.len());
    out.extend_from_slice(rest);
    out
}

/// The range of all keys with this first byte.
pub fn kind_range(space: Space, kind: u8) -> (Vec<u8>, Vec<u8>) {
    (key(space, kind, 0), key(space, kind + 1, 0))
}

/// A table of a group: which generation of its cells is meant, and how many there are, expired ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    pub id: TableId,
    pub generation: u32,
    pub cells: u64,
}

impl Table {
    pub fn key(space: Space, id: TableId) -> [u8; KIND + 2] {
        let mut out = [0; KIND + 2];
        out[..SPACE].copy_from_slice(&space);
        out[SPACE] = TABLE;
        out[KIND..].copy_from_slice(&id.0.to_be_bytes());
        out
    }
    pub fn decode(id: TableId, value: Option<&[u8]>) -> Table {
        let Some(value) = value else { return Table { id, generation: 0, cells: 0 } };
        assert!(value.len() == 13 && value[0] == FORMAT, "a table record of an unknown format");
        Table { id, generation: u32_at(value, 1), cells: u64_at(value, 5) }
    }
    pub fn encode(&self) -> [u8; 13] {
        let mut out = [FORMAT; 13];
        out[1..5].copy_from_slice(&self.generation.to_be_bytes());
        out[5..].copy_from_slice(&self.cells.to_be_bytes());
        out
    }
    /// What follows the first byte in the keys of this table's cells.
    pub fn prefix(&self) -> [u8; 6] {
        let mut out = [0; 6];
        out[..2].copy_from_slice(&self.id.0.to_be_bytes());
        out[2..].copy_from_slice(&self.generation.to_be_bytes());
        out
    }
    /// The key of a cell.
    pub fn cell_key(&self, space: Space, name: &[u8]) -> Vec<u8> {
        let mut out = key(space, CELL, 6 + HASH + name.len());
        out.extend_from_slice(&self.prefix());
        put_hash(&mut out, hash(name));
        out.extend_from_slice(name);
        out
    }
    /// The range of the cells whose hash is at least `from`.
    pub fn cell_range(&self, space: Space, from: u64) -> (Vec<u8>, Vec<u8>) {
        let mut start = key(space, CELL, 6 + HASH);
        start.extend_from_slice(&self.prefix());
        let end = crate::store::after_prefix(&start);
        put_hash(&mut start, from);
        (start, end)
    }
}

/// Hash and name of a cell, from its key in the store.
pub fn cell_name(store_key: &[u8]) -> (u64, &[u8]) {
    hashed(&store_key[KIND + 6..])
}

/// Hash and name of an element, from its key in the store.
pub fn element_name(store_key: &[u8]) -> (u64, &[u8]) {
    hashed(&store_key[KIND + CollectionId::BYTES..])
}

fn hashed(rest: &[u8]) -> (u64, &[u8]) {
    let (hash, name) = rest.split_at(HASH);
    (hash.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), name)
}

/// What an entry of the index of due work asks for. The numbers are part of the format on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    DroppedTable = 1,
    DroppedCollection = 2,
    Cell = 3,
    Record = 4,
}

impl Due {
    /// The key of an entry.
    pub fn key(self, space: Space, time_ms: u64, rest: &[u8]) -> Vec<u8> {
        let mut out = key(space, DUE, 9 + rest.len());
        out.extend_from_slice(&time_ms.to_be_bytes());
        out.push(self as u8);
        out.extend_from_slice(rest);
        out
    }
    /// Time, kind and rest of an entry's key.
    pub fn decode(store_key: &[u8]) -> (u64, Due, &[u8]) {
        let due = match store_key[KIND + 8] {
            1 => Due::DroppedTable,
            2 => Due::DroppedCollection,
            3 => Due::Cell,
            4 => Due::Record,
            other => panic!("due work of the unknown kind {other}"),
        };
        (u64_at(store_key, KIND), due, &store_key[KIND + 9..])
    }
    /// Is this key, taken after its space, the entry of an idempotency record?
    pub fn is_of_record(space_relative_key: &[u8]) -> bool {
        space_relative_key.first() == Some(&DUE) && space_relative_key.get(9) == Some(&(Due::Record as u8))
    }
}

/// The range of due work from one log time to another, both included.
pub fn due_range(space: Space, from_ms: u64, until_ms: u64) -> (Vec<u8>, Vec<u8>) {
    let at = |time_ms: u64| plain_key(space, DUE, &time_ms.to_be_bytes());
    let until = until_ms.checked_add(1).map_or_else(|| kind_range(space, DUE).1, at);
    (at(from_ms), until)
}

/// The entry for the expiry of a cell with this key.
pub fn expiry_key(space: Space, time_ms: u64, cell_key: &[u8]) -> Vec<u8> {
    Due::Cell.key(space, time_ms, &cell_key[KIND..])
}

/// Names a collection for ever: the index of the entry that made it and a number within that entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionId([u8; CollectionId::BYTES]);

impl CollectionId {
    pub const BYTES: usize = 12;
    pub fn new(index: u64, ordinal: u32) -> CollectionId {
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(&index.to_be_bytes());
        out[8..].copy_from_slice(&ordinal.to_be_bytes());
        CollectionId(out)
    }
    pub fn from_slice(bytes: &[u8]) -> CollectionId {
        CollectionId(bytes.try_into().expect("a collection id has twelve bytes"))
    }
    pub fn element_key(&self, space: Space, element: &[u8]) -> Vec<u8> {
        let mut out = key(space, ELEMENT, Self::BYTES + HASH + element.len());
        out.extend_from_slice(&self.0);
        put_hash(&mut out, hash(element));
        out.extend_from_slice(element);
        out
    }
    /// The range of the elements whose hash is at least `from`.
    pub fn element_range(&self, space: Space, from: u64) -> (Vec<u8>, Vec<u8>) {
        let mut start = key(space, ELEMENT, Self::BYTES + HASH);
        start.extend_from_slice(&self.0);
        let end = crate::store::after_prefix(&start);
        put_hash(&mut start, from);
        (start, end)
    }
    pub fn dropped_key(&self, space: Space) -> Vec<u8> {
        Due::DroppedCollection.key(space, 0, &self.0)
    }
}

/// The types of collections. The numbers are part of the format on disk; a string is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Hash = 1,
    Set = 2,
}

/// A collection: its elements are pairs of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collection {
    pub kind: Kind,
    pub id: CollectionId,
    pub count: u64,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    String(Bytes),
    Collection(Collection),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The log index of its last change.
    pub version: u64,
    /// From this log time on it is absent.
    pub expiry: Option<u64>,
    pub body: Body,
}

const TYPE: u8 = 0b0111;
const TYPE_NAMES: [&str; 3] = ["string", "hash", "set"];
const EXPIRES: u8 = 0b1000;

impl Cell {
    /// Panics on bytes that no version of this code wrote: the store is damaged, and a guess would spread the damage.
    pub fn decode(value: Bytes) -> Cell {
        Cell::decode_with(&value, |from| value.slice(from..))
    }
    /// As [`Cell::decode`], but a string is left empty.
    pub fn decode_without_string(value: &[u8]) -> Cell {
        Cell::decode_with(value, |_| Bytes::new())
    }
    fn decode_with(value: &[u8], string: impl FnOnce(usize) -> Bytes) -> Cell {
        let head = value[0];
        assert!(head >> 4 == FORMAT, "a cell of an unknown format");
        let version = u64_at(value, 1);
        let (expiry, rest) = if head & EXPIRES == 0 { (None, 9) } else { (Some(u64_at(value, 9)), 17) };
        let collection = |kind| {
            let count = rest + CollectionId::BYTES;
            let id = CollectionId::from_slice(&value[rest..count]);
            Body::Collection(Collection { kind, id, count: u64_at(value, count) })
        };
        let body = match head & TYPE {
            0 => Body::String(string(rest)),
            1 => collection(Kind::Hash),
            2 => collection(Kind::Set),
            other => panic!("a cell of the unknown type {other}"),
        };
        Cell { version, expiry, body }
    }
    pub fn encode(&self) -> Vec<u8> {
        let room = match &self.body {
            Body::String(string) => string.len(),
            Body::Collection(_) => CollectionId::BYTES + 8,
        };
        let mut out = Vec::with_capacity(17 + room);
        out.push(FORMAT << 4 | self.tag() | if self.expiry.is_some() { EXPIRES } else { 0 });
        out.extend_from_slice(&self.version.to_be_bytes());
        if let Some(expiry) = self.expiry {
            out.extend_from_slice(&expiry.to_be_bytes());
        }
        match &self.body {
            Body::String(string) => out.extend_from_slice(string),
            Body::Collection(collection) => {
                out.extend_from_slice(&collection.id.0);
                out.extend_from_slice(&collection.count.to_be_bytes());
            }
        }
        out
    }
    /// The expiry of an encoded cell.
    pub fn decode_expiry(value: &[u8]) -> Option<u64> {
        (value[0] & EXPIRES != 0).then(|| u64_at(value, 9))
    }
    /// The name of the type of an encoded cell.
    pub fn decode_type(value: &[u8]) -> &'static str {
        TYPE_NAMES[usize::from(value[0] & TYPE)]
    }
    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        TYPE_NAMES[self.tag() as usize]
    }
    fn tag(&self) -> u8 {
        match &self.body {
            Body::String(_) => 0,
            Body::Collection(collection) => collection.kind as u8,
        }
    }
    /// Is it there at this log time?
    pub fn lives(&self, time_ms: u64) -> bool {
        self.expiry.is_none_or(|expiry| expiry > time_ms)
    }
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("a slice of eight bytes"))
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("a slice of four bytes"))
}

/// Table and generation of a cell, from its key in the store.
pub fn cell_table(store_key: &[u8]) -> (TableId, u32) {
    (TableId(u16::from_be_bytes([store_key[KIND], store_key[KIND + 1]])), u32_at(store_key, KIND + 2))
}
