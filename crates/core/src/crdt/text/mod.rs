//! # Text that several write at once (*text*)
//!
//! **The idea.** A text is kept as the updates of Yjs that made it (v1, as `Y.encodeStateAsUpdate` gives them), so that editors of
//! that family join as they are. Each update stands under a dot of its own and replaces nothing: they are not siblings to choose
//! from, they are parts. When there are many, a write puts all that it sees and its own into one update, which replaces
//! exactly those. An update that was not seen stays beside it, and nothing is lost if two do that at once, because a unit that
//! comes twice counts once.
//!
//! Only who reads the text, or edits by position, puts the pieces in order (`sequence.rs`). Order, merging and encoding are our own and
//! not those of the crate yrs: a node must not panic, nor grow without bound, on the bytes of an editor, and must give the same
//! bytes everywhere (decision 0019). yrs is the judge in the tests, and so are updates recorded from Yjs itself.
//!
//! **Promises.**
//! - X1 A text is exactly what the updates say that no removal saw, however they were put together. (`a_text_is_what_its_updates_say`; broken: `a_text_that_is_put_together_replaces_only_what_was_seen`)
//! - X2 The order is that of Yjs. (`texts_are_those_of_yrs`, `updates_recorded_from_yjs_are_read_as_yjs_reads_them`)
//! - X3 What we make Yjs reads: edits, updates put together, parts that an editor lacks. (`texts_are_those_of_yrs`)
//! - X4 No bytes make a reader panic or work without bound. (`arbitrary_bytes_are_refused_or_read`, `what_is_too_tangled_is_refused`)
//! - X5 Units are named once, though the text was removed. (`a_name_of_a_unit_is_not_given_again`)
//!
//! **Not here.** Formats, embedded objects and other types of a document: they are carried, and not shown. Awareness (cursors) and
//! the channel to editors.
//!
//! **What breaks it.** Editors that were open while the text was removed: what they made before is unknown here, and what
//! they make on it is kept and not shown.
//!
//! **Read next.** `update.rs`, `join.rs`, `sequence.rs`.

mod join;
mod sequence;
#[cfg(test)]
mod tests;
mod update;
mod wire;

pub use sequence::Sequence;
pub use update::{Update, Vector, decode_vector, encode_vector};

use super::dots::cell_of_dots;
use super::{Cell, Delta, DotFun, Refused};
use crate::clock::{Actor, Context, Dot};
use crate::limits::{TEXT_BYTES, TEXT_UPDATES};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::ops::RangeInclusive;
use serde::{Deserialize, Serialize};

/// The part of a document that is the text: editors say `doc.getText("text")`.
pub const ROOT: &str = "text";

/// Names one unit of a document: the n-th that a client made, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The client, which made it in one session.
    pub client: u64,
    /// Its number.
    pub clock: u64,
}

/// The updates that make a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Text(DotFun<Bytes>);

impl Text {
    /// Takes an update in, which is sound. If there are as many as [`TEXT_UPDATES`], or more bytes than [`TEXT_BYTES`], all that are
    /// here are put together with it.
    ///
    /// # Errors
    /// [`Refused::Long`] if even so there are more bytes.
    pub fn add(&mut self, dot: Dot, update: Bytes) -> Result<Delta<Text>, Refused> {
        if self.0.len() < TEXT_UPDATES && self.bytes() + update.len() <= TEXT_BYTES {
            return Ok(self.replace(dot, &Context::default(), update));
        }
        let together = self.together_with(&update);
        if together.len() > TEXT_BYTES {
            return Err(Refused::Long);
        }
        let seen = self.seen();
        Ok(self.replace(dot, &seen, together))
    }
    /// Puts an update in place of what was seen. It must hold all that this held.
    pub fn replace(&mut self, dot: Dot, seen: &Context, update: Bytes) -> Delta<Text> {
        self.0.replace(dot, seen, update).map(Text)
    }
    /// One update that says what these and another say.
    pub fn together_with(&self, update: &[u8]) -> Bytes {
        let updates = self.updates().map(|update| &update[..]).chain([update]);
        Bytes::from(joined(updates).compact().encode())
    }
    /// The updates, in the order of their dots.
    pub fn updates(&self) -> impl Iterator<Item = &Bytes> + '_ {
        self.0.iter().map(|(_, update)| update)
    }
    /// Bytes of all updates.
    pub fn bytes(&self) -> usize {
        self.updates().map(Bytes::len).sum()
    }
    /// All that they say.
    pub fn document(&self) -> Update<'_> {
        joined(self.updates().map(|update| &update[..]))
    }
    /// The newest update under a dot of this actor.
    pub fn last_of(&self, actor: Actor) -> Option<&Bytes> {
        self.0.iter().filter(|(dot, _)| dot.actor == actor).last().map(|(_, update)| update)
    }
}

cell_of_dots!(Text);

/// Bytes that are no update say nothing. They come from a broken peer only: clients' updates are read before they are taken.
fn joined<'a>(updates: impl Iterator<Item = &'a [u8]>) -> Update<'a> {
    Update::join(updates.filter_map(|update| Update::decode(update).ok()))
}

/// Bits of a client's number for the count of the event that it begins with.
const COUNT_BITS: u32 = 27;
/// Bits of a client's number for the life of its node.
const LIFE_BITS: u32 = 20;

/// The clients that a node in one life writes as, up to one that begins with an event: they have 53 bits, and those of Yjs,
/// which draws 32, are smaller.
pub fn clients_of(dot: Dot) -> RangeInclusive<u64> {
    let life = u64::from(dot.actor.incarnation) % (1 << LIFE_BITS);
    let first = (u64::from(dot.actor.node.0) << LIFE_BITS | life) << COUNT_BITS;
    first..=first + dot.count % (1 << COUNT_BITS)
}

/// What is done to a text by position. Positions and lengths are in UTF-16 units, as in Yjs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Edit {
    /// Puts a text at a position.
    Insert {
        /// Where.
        position: u64,
        /// What.
        text: String,
    },
    /// Deletes from a position on.
    Delete {
        /// Where.
        position: u64,
        /// How many units.
        length: u64,
    },
}

impl Text {
    /// The update that makes an edit, by the one whose next event this is; and the length of the text after it.
    ///
    /// # Errors
    /// If the text has no such place, or is too tangled.
    pub fn edit(&self, dot: Dot, edit: &Edit) -> Result<(Bytes, u64), EditError> {
        let sequence = Sequence::of(self.document()).map_err(|Tangled| EditError::Tangled)?;
        let length = sequence.length();
        let last = self.last_of(dot.actor).and_then(|update| Update::decode(update).ok());
        let (update, length) = match edit {
            Edit::Insert { position, text } => {
                let update = sequence.insert(*position, text, clients_of(dot), last.as_ref())?;
                (update, length + update::units(text))
            }
            Edit::Delete { position, length: count } => (sequence.remove(*position, *count)?, length - count),
        };
        Ok((Bytes::from(update.encode()), length))
    }
    /// The text, and its length in UTF-16 units.
    ///
    /// # Errors
    /// If it is too tangled.
    pub fn show(&self) -> Result<(String, u64), Tangled> {
        let sequence = Sequence::of(self.document())?;
        Ok((sequence.text(), sequence.length()))
    }
    /// One update with what an editor lacks that knows so much.
    pub fn state(&self, vector: &Vector) -> Vec<u8> {
        self.document().compact().since(vector).encode()
    }
    /// What an editor need not send, as bytes: for each client how many units are here from the first on.
    pub fn vector(&self) -> Vec<u8> {
        encode_vector(&self.document().vector())
    }
}

/// Why bytes are no update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Malformed {
    Short,
    Long,
    Number,
    NotText,
    Nested,
    Kind,
    Twice,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Short => "they end too early",
            Malformed::Long => "they go on after the end",
            Malformed::Number => "a number is not below 2^53",
            Malformed::NotText => "a string is not UTF-8",
            Malformed::Nested => "a value is nested too deeply",
            Malformed::Kind => "something in them is of a kind that is not known",
            Malformed::Twice => "a client stands twice",
        })
    }
}

/// Its order takes more steps than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tangled;

impl fmt::Display for Tangled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = crate::limits::TEXT_STEPS;
        write!(f, "too much of the text was written concurrently at one place: its order takes more than {steps} steps")
    }
}

/// Why an edit changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// There is no such position.
    Beyond {
        /// The length of the text.
        length: u64,
    },
    /// A position is in the middle of a character of two units.
    Half,
    /// An update that somebody gave names units as this node would.
    Taken,
    /// As [`Tangled`].
    Tangled,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditError::Beyond { length } => {
                write!(f, "the text ends before that: it has {length} UTF-16 units")
            }
            EditError::Half => f.write_str("a position is in the middle of a character of two UTF-16 units"),
            EditError::Taken => {
                f.write_str("an update that somebody gave took the names that this node gives to units")
            }
            EditError::Tangled => Tangled.fmt(f),
        }
    }
}

/// What is wrong with bytes that somebody gave for an update, for people.
pub fn malformed(what: &str, why: Malformed) -> String {
    format!("the bytes are no {what} of Yjs (v1): {why}")
}
