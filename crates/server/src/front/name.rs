//! The name of a command in upper case, on the stack, so that looking it up costs no allocation.

/// Longest name of a command.
const NAME_BYTES: usize = 32;

/// A name in upper case.
pub struct Name {
    bytes: [u8; NAME_BYTES],
    len: usize,
}

impl Name {
    /// The upper case of a word. A word that is too long for any command gives the empty name.
    pub fn of(word: &[u8]) -> Name {
        let mut bytes = [0; NAME_BYTES];
        let len = if word.len() <= NAME_BYTES { word.len() } else { 0 };
        bytes[..len].copy_from_slice(&word[..len]);
        bytes[..len].make_ascii_uppercase();
        Name { bytes, len }
    }
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
