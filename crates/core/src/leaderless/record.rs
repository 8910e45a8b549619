//! What a replica keeps: for each range one context, for each key a cell.
//!
//! | key | value |
//! |---|---|
//! | `[3, 1, table u16, range u16]` | format u8, the context of the range |
//! | `[3, 2, table u16, range u16, key…]` | format u8, [`Record`] |
//! | `[3, 4, table u16, range u16, key…]` | what the Paxos acceptor of the key promised and accepted |
//!
//! All numbers are big-endian; values are what serde derives, in postcard.

use crate::clock::Context;
use crate::crdt::{AnyCell, Cell, Kind};
use crate::operation::TableId;
use crate::placement::Range;
use crate::store::{View, drawer};
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub(super) const CONTEXT: u8 = 1;
pub(super) const CELL: u8 = 2;
pub(super) const ACCEPTOR: u8 = 4;
const FORMAT: u8 = 1;
/// Bytes of a key on disk before the key of the client.
const PREFIX: usize = 6;
/// Room for what is encoded: most is not longer.
const ENCODED_BYTES: usize = 192;

/// A range of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The table.
    pub table: TableId,
    /// The range.
    pub range: Range,
}

/// What is kept of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) cell: AnyCell,
    /// What is known of this key beyond the context of its range: another replica told its state of this key alone.
    pub(super) extra: Context,
}

/// The state of a key as one replica tells it to another: the cell, and all that the replica knows of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// The cell.
    pub cell: AnyCell,
    /// What is known; it may know events of other keys of the range, too.
    pub context: Context,
}

impl Record {
    pub(super) fn new(kind: Kind) -> Record {
        Record { cell: AnyCell::new(kind), extra: Context::default() }
    }
    /// Need it not be kept?
    pub(super) fn is_empty(&self) -> bool {
        self.cell.is_bottom() && self.extra.is_empty()
    }
    pub(super) fn encode(&self) -> Vec<u8> {
        encode(&(FORMAT, self))
    }
    /// # Panics
    /// If the bytes are no record of this format: the disk is not what this node wrote.
    pub(super) fn decode(bytes: &[u8]) -> Record {
        assert_eq!(bytes.first(), Some(&FORMAT), "a record on disk has a known format");
        postcard::from_bytes(&bytes[1..]).expect("a record on disk decodes")
    }
}

impl State {
    /// Nothing known of a key.
    pub fn nothing(kind: Kind) -> State {
        State { cell: AnyCell::new(kind), context: Context::default() }
    }
    /// Takes in what another replica tells.
    pub fn join(&mut self, other: &State) {
        self.cell.join(&self.context, &other.cell, &other.context);
        self.context.join(&other.context);
    }
    /// Can it be taken in? To be asked of every state that another node told.
    pub fn is_sound(&self, kind: Kind) -> bool {
        let mut known = true;
        self.cell.dots(&mut |dot| known &= self.context.contains(dot));
        known && self.cell.is_sound(kind) && self.context.is_sound()
    }
}

pub(super) fn context_key(place: Place) -> [u8; PREFIX] {
    prefix(CONTEXT, place)
}

pub(super) fn cell_key(place: Place, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + key.len());
    out.extend_from_slice(&prefix(CELL, place));
    out.extend_from_slice(key);
    out
}

pub(super) fn acceptor_key(place: Place, key: &[u8]) -> Vec<u8> {
    let mut out = prefix(ACCEPTOR, place).to_vec();
    out.extend_from_slice(key);
    out
}

/// The first key of a kind in a range.
pub(super) fn place_key(kind: u8, place: Place) -> [u8; PREFIX] {
    prefix(kind, place)
}

/// The key after all acceptors of a table.
pub(super) fn after_acceptors(table: TableId) -> Vec<u8> {
    let table = table.0.to_be_bytes();
    crate::store::after_prefix(&[drawer::LEADERLESS, ACCEPTOR, table[0], table[1]])
}

/// The range and the key of an acceptor on disk.
pub(super) fn acceptor_of(key: &[u8]) -> Option<(Range, Bytes)> {
    let (place, key) = split(key)?;
    Some((place.range, Bytes::copy_from_slice(key)))
}

/// The ranges that have keys of a kind, of one table or of all.
pub(super) fn places(view: &dyn View, kind: u8, table: Option<TableId>) -> Vec<Place> {
    let mut found = Vec::new();
    let mut from = alloc::vec![drawer::LEADERLESS, kind];
    from.extend(table.into_iter().flat_map(|table| table.0.to_be_bytes()));
    let until = crate::store::after_prefix(&from);
    loop {
        let mut next = None;
        view.scan(&from, &until, &mut |key, _| {
            next = split(key).map(|(place, _)| place);
            false
        });
        let Some(place) = next else { return found };
        found.push(place);
        from = crate::store::after_prefix(&prefix(kind, place));
    }
}

fn split(key: &[u8]) -> Option<(Place, &[u8])> {
    let (head, key) = key.split_at_checked(PREFIX)?;
    let number = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    Some((Place { table: TableId(number(2)), range: Range(number(4)) }, key))
}

fn prefix(kind: u8, place: Place) -> [u8; PREFIX] {
    let (table, range) = (place.table.0.to_be_bytes(), place.range.0.to_be_bytes());
    [drawer::LEADERLESS, kind, table[0], table[1], range[0], range[1]]
}

pub(super) fn encode_context(context: &Context) -> Vec<u8> {
    encode(&(FORMAT, context))
}

/// Cells and contexts as bytes.
pub(super) fn encode(what: &impl Serialize) -> Vec<u8> {
    // A list that grows byte by byte is moved often.
    postcard::to_extend(what, Vec::with_capacity(ENCODED_BYTES)).expect("cells and contexts always encode")
}

/// # Panics
/// As [`Record::decode`].
pub(super) fn read_context(view: &dyn View, place: Place) -> Context {
    let Some(bytes) = view.get(&context_key(place)) else { return Context::default() };
    assert_eq!(bytes.first(), Some(&FORMAT), "a context on disk has a known format");
    postcard::from_bytes(&bytes[1..]).expect("a context on disk decodes")
}

/// Visits the keys of a range with what is stored of them, in order, from a key on, until the visitor says that it has enough.
pub(super) fn each_stored(view: &dyn View, place: Place, from: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
    let until = crate::store::after_prefix(&prefix(CELL, place));
    view.scan(&cell_key(place, from), &until, &mut |key, value| visit(&key[PREFIX..], value));
}

/// Tells cells apart by what is stored of a key, so that equal ones need not be sent; none if there is nothing in the cell.
pub(super) fn digest(stored: &[u8]) -> Option<u64> {
    // Mostly an empty context follows the cell: two zeros, and no other context ends with them. Then the cell need not be decoded.
    if let [FORMAT, cell @ .., 0, 0] = stored {
        return Some(xxh3_64(cell));
    }
    let Record { cell, extra: _ } = Record::decode(stored);
    (!cell.is_bottom()).then(|| digest_of(&cell))
}

/// Is this what is stored of a cell of that digest, of which nothing is known beyond the context of the range? If it is not seen at a glance, the answer is no.
pub(super) fn is_just(stored: &[u8], digest: u64) -> bool {
    matches!(stored, [FORMAT, cell @ .., 0, 0] if xxh3_64(cell) == digest)
}

/// As [`digest`].
pub(super) fn digest_of(cell: &AnyCell) -> u64 {
    xxh3_64(&encode(cell))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Actor, Dot};
    use crate::crdt::{Leaf, Register};
    use crate::machine::NodeId;
    use alloc::vec;
    use bytes::Bytes;

    /// Whatever is stored of a key, with and without what is known of it alone.
    #[test]
    fn a_digest_is_that_of_the_cell() {
        let actor = |node: u16| Actor { node: NodeId(node), incarnation: 1 };
        let dot = |node: u16, count| Dot { actor: actor(node), count };
        let contexts =
            [vec![], vec![dot(1, 1)], vec![dot(1, 128)], vec![dot(256, 1)], vec![dot(1, 1), dot(1, 1 << 14)]];
        for count in [1, 127, 128, 1 << 21] {
            let mut register = Register::default();
            for value in [&b""[..], b"v", &[0, 0], &[0; 300]] {
                register.write(dot(1, count), &Context::default(), Bytes::from_static(value));
                for cell in [AnyCell::new(Kind::Counter), AnyCell::Leaf(Leaf::Register(register.clone()))] {
                    for dots in &contexts {
                        let record = Record { cell: cell.clone(), extra: dots.iter().copied().collect() };
                        let digest = (!cell.is_bottom()).then(|| digest_of(&cell));
                        if !record.is_empty() {
                            assert_eq!(super::digest(&record.encode()), digest, "{record:?}");
                        }
                    }
                }
            }
        }
    }
}
