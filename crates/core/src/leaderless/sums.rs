//! What tells two copies of a range apart: a sum over all its keys and cells, in buckets. A tree of two levels (Merkle 1987), whose nodes
//! are sums, so that one changed key changes two of them.

use super::record::{self, Place};
use crate::limits;
use crate::mutant::{Mutant, Mutants};
use crate::store::View;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Buckets of a range.
pub(super) const BUCKETS: usize = 256;

/// The sums of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    buckets: Box<[u64; BUCKETS]>,
    /// From this key on nothing is counted yet.
    next: Option<Bytes>,
}

impl Sums {
    /// Nothing is counted.
    pub(super) fn begin() -> Sums {
        Sums { buckets: Box::new([0; BUCKETS]), next: Some(Bytes::new()) }
    }
    /// Goes on with counting what is stored of a range, so many keys at most. Gives how much of that was used; to look costs as
    /// much as a key.
    pub(super) fn count(&mut self, view: &dyn View, place: Place, most: usize, mutants: Mutants) -> usize {
        let Some(from) = self.next.take_if(|_| most > 0) else { return 0 };
        let (mut used, mut next) = (1, None);
        record::each_stored(view, place, &from, &mut |key, stored| {
            if used == most {
                next = Some(Bytes::copy_from_slice(key));
                return false;
            }
            used += 1;
            self.change(key, None, Some(stored), mutants);
            true
        });
        self.next = next;
        used
    }
    /// Is all counted?
    pub(super) fn is_counted(&self) -> bool {
        self.next.is_none()
    }
    /// Something else is stored of a key now.
    pub(super) fn change(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>, mutants: Mutants) {
        if self.next.as_ref().is_some_and(|next| key >= &next[..]) {
            return;
        }
        let sum = &mut self.buckets[bucket(key)];
        if let Some(old) = old {
            *sum = sum.wrapping_sub(weight(key, old, mutants));
        }
        if let Some(new) = new {
            *sum = sum.wrapping_add(weight(key, new, mutants));
        }
    }
    /// The sum of all.
    pub(super) fn total(&self) -> u64 {
        self.buckets.iter().fold(0, |total, sum| total.wrapping_add(*sum))
    }
    /// The sum of each bucket.
    pub(super) fn buckets(&self) -> Vec<u64> {
        self.buckets.to_vec()
    }
}

/// The bucket of a key.
pub(super) fn bucket(key: &[u8]) -> usize {
    // Not the hash that placed the key, whose highest bits are the same for the whole range.
    (xxh3_64_with_seed(key, 1) % BUCKETS as u64) as usize
}

/// What a key and its cell add to the sums, by what is stored of it; nothing if there is nothing in the cell.
fn weight(key: &[u8], stored: &[u8], mutants: Mutants) -> u64 {
    let Some(digest) = record::digest(stored) else { return 0 };
    let digest = if mutants.has(Mutant::SumsWithoutValues) { 0 } else { digest };
    xxh3_64_with_seed(key, digest)
}

/// The keys of some buckets with the digests of their cells, from a key on, until the bytes are enough or so many keys were looked
/// at; and where the list goes on.
pub(super) fn digests(
    view: &dyn View,
    place: Place,
    buckets: &[u8],
    from: &[u8],
    bytes: usize,
) -> (Vec<(Bytes, u64)>, Option<Bytes>) {
    let (mut found, mut size, mut seen, mut next) = (Vec::new(), 0, 0, None);
    record::each_stored(view, place, from, &mut |key, stored| {
        if size > bytes || seen == limits::COMPARE_KEYS {
            next = Some(Bytes::copy_from_slice(key));
            return false;
        }
        seen += 1;
        if buckets.contains(&(bucket(key) as u8))
            && let Some(digest) = record::digest(stored)
        {
            size += key.len() + size_of::<u64>();
            found.push((Bytes::copy_from_slice(key), digest));
        }
        true
    });
    (found, next)
}

/// Tells contexts apart.
pub(super) fn of_context(context: &crate::clock::Context) -> u64 {
    xxh3_64(&record::encode(context))
}
