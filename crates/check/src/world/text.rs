//! Texts by their hashes: what a text says is never needed, only whether it is the same.

use super::modular::{BASES, plus, times};

/// A text by two hashes of 61 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Text {
    pub(super) hash: [u64; 2],
    /// The bases to the power of the length.
    shift: [u64; 2],
}

impl Text {
    const EMPTY: Text = Text { hash: [0, 0], shift: [1, 1] };

    pub(super) fn of(text: &str) -> Text {
        text.bytes().fold(Text::EMPTY, Text::then)
    }

    pub(super) fn followed_by(self, other: Text) -> Text {
        let lane = |at: usize| plus(times(self.hash[at], other.shift[at]), other.hash[at]);
        let shift = |at: usize| times(self.shift[at], other.shift[at]);
        Text { hash: [lane(0), lane(1)], shift: [shift(0), shift(1)] }
    }

    /// The hashes of all texts that a text begins with, from the empty one to itself.
    pub(super) fn beginnings(text: &str) -> impl Iterator<Item = [u64; 2]> {
        let mut made = Text::EMPTY;
        let longer = text.bytes().map(move |byte| {
            made = made.then(byte);
            made.hash
        });
        std::iter::once(Text::EMPTY.hash).chain(longer)
    }

    fn then(mut self, byte: u8) -> Text {
        for (lane, base) in BASES.into_iter().enumerate() {
            self.hash[lane] = plus(times(self.hash[lane], base), u64::from(byte) + 1);
            self.shift[lane] = times(self.shift[lane], base);
        }
        self
    }
}
