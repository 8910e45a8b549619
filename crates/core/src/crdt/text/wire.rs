//! Numbers and strings as lib0 writes them, which Yjs updates are made of.

use super::Malformed;
use alloc::vec::Vec;

/// Numbers of clients and units are below this: JavaScript counts exactly up to there.
pub const NUMBER_END: u64 = 1 << 53;
/// How deep values may be nested in each other.
const NESTED: u32 = 64;

/// Takes off the front of some bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// From the beginning.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }
    /// Is nothing left?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// So many bytes.
    pub fn take(&mut self, bytes: u64) -> Result<&'a [u8], Malformed> {
        let bytes = usize::try_from(bytes).map_err(|_| Malformed::Short)?;
        let (head, rest) = self.0.split_at_checked(bytes).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(head)
    }
    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }
    /// A number in groups of seven bits, the least first.
    pub fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return if number < NUMBER_END { Ok(number) } else { Err(Malformed::Number) };
            }
        }
        Err(Malformed::Number)
    }
    /// A number of bytes, and these.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.take(length)
    }
    /// A string.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        core::str::from_utf8(self.bytes()?).map_err(|_| Malformed::NotText)
    }
    /// The bytes of what a reading of them goes over.
    pub fn over(&mut self, read: impl FnOnce(&mut Reader<'a>) -> Result<(), Malformed>) -> Result<&'a [u8], Malformed> {
        let before = self.0;
        read(self)?;
        Ok(&before[..before.len() - self.0.len()])
    }
    /// Goes over a value of any kind.
    pub fn any(&mut self) -> Result<(), Malformed> {
        self.nested(NESTED)
    }

    fn nested(&mut self, left: u32) -> Result<(), Malformed> {
        let left = left.checked_sub(1).ok_or(Malformed::Nested)?;
        match self.byte()? {
            // Undefined, null, false, true.
            127 | 126 | 121 | 120 => {}
            // An integer with its sign, seven bits in each byte.
            125 => while self.byte()? >= 0x80 {},
            // Numbers of 4 and 8 bytes.
            124 => drop(self.take(4)?),
            123 | 122 => drop(self.take(8)?),
            119 => drop(self.string()?),
            116 => drop(self.bytes()?),
            118 => {
                for _ in 0..self.number()? {
                    self.string()?;
                    self.nested(left)?;
                }
            }
            117 => {
                for _ in 0..self.number()? {
                    self.nested(left)?;
                }
            }
            _ => return Err(Malformed::Kind),
        }
        Ok(())
    }
}

/// Writes a number.
pub fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a number of bytes, and these.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
