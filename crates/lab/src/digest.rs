//! A hash that is the same on every machine and in every year, so that digests can be compared and written down.

use std::hash::Hasher;
use xxhash_rust::xxh3::Xxh3;

/// Hashes what a run does: xxh3 over little-endian bytes.
#[derive(Clone, Default)]
pub struct Digest(Xxh3);

impl Digest {
    /// The digest of one value.
    pub fn of<T: std::hash::Hash + ?Sized>(value: &T) -> u64 {
        let mut digest = Digest::default();
        value.hash(&mut digest);
        digest.finish()
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0.digest()
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn write_u16(&mut self, number: u16) {
        self.0.update(&number.to_le_bytes());
    }
    fn write_u32(&mut self, number: u32) {
        self.0.update(&number.to_le_bytes());
    }
    fn write_u64(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }
    fn write_u128(&mut self, number: u128) {
        self.0.update(&number.to_le_bytes());
    }
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
    fn write_i16(&mut self, number: i16) {
        self.write_u16(number as u16);
    }
    fn write_i32(&mut self, number: i32) {
        self.write_u32(number as u32);
    }
    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }
    fn write_i128(&mut self, number: i128) {
        self.write_u128(number as u128);
    }
    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_same_for_ever() {
        assert_eq!(Digest::of(&(1u8, 2u64, Some(-3i64), b"four".as_slice())), GOLDEN);
        assert_ne!(Digest::of(&1u64), Digest::of(&2u64));
    }
    const GOLDEN: u64 = 14830520698749128958;
}
