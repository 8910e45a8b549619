//! How keys are divided into ranges.

use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Ranges of a table with hash placement: small enough to move one at a time, fixed so that what is known of a range stays true when
/// nodes come and go.
pub const RANGES: u16 = 1024;

/// Some of the keys of a table, which are always together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Range(pub u16);

/// How a table divides its keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Division {
    /// By the highest bits of the hash of the key's tag.
    Hash,
    /// By the keys themselves. Each bound, in order, is the first key of the next range.
    Order(Vec<Bytes>),
}

impl Division {
    /// Are the bounds in order, different, and few enough? To be asked of what was decoded or typed.
    pub fn is_sound(&self) -> bool {
        match self {
            Division::Hash => true,
            Division::Order(bounds) => {
                bounds.len() < usize::from(RANGES)
                    && bounds.first().is_none_or(|first| !first.is_empty())
                    && bounds.windows(2).all(|pair| pair[0] < pair[1])
            }
        }
    }
    /// The range of a key.
    pub fn range_of(&self, key: &[u8]) -> Range {
        match self {
            Division::Hash => Range((hash_of(key) >> (u64::BITS - RANGES.trailing_zeros())) as u16),
            Division::Order(bounds) => Range(bounds.partition_point(|bound| bound.as_ref() <= key) as u16),
        }
    }
    /// All ranges.
    pub fn ranges(&self) -> impl Iterator<Item = Range> + use<> {
        let count = match self {
            Division::Hash => RANGES,
            Division::Order(bounds) => bounds.len() as u16 + 1,
        };
        (0..count).map(Range)
    }
    /// Where on the ring a range is. Ranges of an order are scattered, so that the end of the keys is no hot spot of the ring too.
    pub fn position(&self, range: Range) -> u64 {
        match self {
            Division::Hash => u64::from(range.0) << (u64::BITS - RANGES.trailing_zeros()),
            Division::Order(bounds) => match usize::from(range.0).checked_sub(1) {
                None => 0,
                Some(at) => bounds.get(at).map_or(0, |bound| xxh3_64(bound)),
            },
        }
    }
}

/// The hash that places a key: XXH3-64 of its tag.
pub fn hash_of(key: &[u8]) -> u64 {
    xxh3_64(tag(key))
}

/// What decides where a key lives: the part between the first `{` and the next `}`, if it is not empty; else all of it.
pub fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    match key[open + 1..].iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(length) => &key[open + 1..open + 1 + length],
    }
}
