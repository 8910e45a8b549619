//! Keys that lie in the tree itself, so that a search need not follow a pointer for each comparison.

use std::cmp::Ordering;

/// Bytes of a key that need no allocation. Log keys and most state keys fit.
const INLINE_BYTES: usize = 39;

/// A key of the overlay, ordered as its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The first bytes, zeros behind a shorter key, and last how many there are, 40 standing for more than 39. So keys
    /// that differ only in zeros behind compare by length, which is their order as bytes.
    head: [u8; INLINE_BYTES + 1],
    /// The whole key, when it is longer than the head.
    long: Option<Box<Box<[u8]>>>,
}

impl Key {
    pub(super) fn new(bytes: &[u8]) -> Key {
        let mut head = [0; INLINE_BYTES + 1];
        let inline = bytes.len().min(INLINE_BYTES);
        head[..inline].copy_from_slice(&bytes[..inline]);
        let is_long = bytes.len() > INLINE_BYTES;
        head[INLINE_BYTES] = (inline + usize::from(is_long)) as u8;
        Key { head, long: is_long.then(|| Box::new(bytes.into())) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.long {
            None => &self.head[..usize::from(self.head[INLINE_BYTES])],
            Some(long) => long,
        }
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        let words = self.head.as_chunks::<8>().0;
        words.iter().map(|word| u64::from_be_bytes(*word))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        for (ours, theirs) in self.words().zip(other.words()) {
            if ours != theirs {
                return ours.cmp(&theirs);
            }
        }
        self.long.cmp(&other.long)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_their_bytes() {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for len in [0, 1, 2, 7, 8, 9, 38, 39, 40, 41, 60] {
            for fill in [0, 1, 0xFF] {
                keys.push(vec![fill; len]);
                for at in [0, 7, 8, 38, 39, 40].into_iter().filter(|at| *at < len) {
                    let mut key = vec![fill; len];
                    key[at] = 0x80;
                    keys.push(key);
                }
            }
        }
        for ours in &keys {
            assert_eq!(Key::new(ours).bytes(), ours);
            for theirs in &keys {
                assert_eq!(Key::new(ours).cmp(&Key::new(theirs)), ours.cmp(theirs), "{ours:?} {theirs:?}");
            }
        }
    }
}
