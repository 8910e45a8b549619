//! What is said in a comparison.

use super::catch_up::Told;
use crate::clock::Context;
use crate::crdt::AnyCell;
use crate::placement::Range;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What is said in a comparison. All of it is about one epoch of one table, and every question has a number of its own, which its answer bears.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Talk {
    /// Where do yours differ from these? Lost: the next comparison asks again; so it is for all questions that follow.
    Sums(Vec<(Range, Summary)>),
    /// Here.
    Differ {
        /// These differ.
        ranges: Vec<(Range, Summary, Context)>,
        /// These are not counted yet: ask again.
        later: Vec<Range>,
    },
    /// What are the sums of the buckets of this range?
    Buckets(Range),
    /// These.
    BucketSums {
        /// One for each bucket.
        sums: Vec<u64>,
        /// What was known of the range then.
        context: Context,
    },
    /// Which keys are in these buckets?
    Keys {
        /// Of this range.
        range: Range,
        /// The buckets.
        buckets: Vec<u8>,
        /// From this key on.
        from: Bytes,
    },
    /// These.
    Digests {
        /// Each key, and the digest of its cell.
        keys: Vec<(Bytes, u64)>,
        /// Where the list goes on.
        next: Option<Bytes>,
        /// What was known of the range then.
        context: Context,
    },
    /// What do you hold of these keys?
    Read {
        /// All of this range.
        range: Range,
        /// The keys.
        keys: Vec<Bytes>,
    },
    /// This. Of what is not told, ask again.
    Cells {
        /// At least one of those that were asked for.
        cells: Vec<ToldCell>,
        /// What is known of the range.
        context: Context,
    },
    /// Which Paxos acceptors are there, from this key on?
    Acceptors {
        /// Its range, and the key.
        from: (Range, Bytes),
    },
    /// These.
    AcceptorsAre {
        /// Of keys whose range the asker holds, too.
        list: Vec<Told>,
        /// Where the list goes on.
        next: Option<(Range, Bytes)>,
    },
    /// The sender holds these ranges no longer: compare them with it. Lost: offered again.
    Offer {
        /// The ranges.
        ranges: Vec<Range>,
    },
    /// They are compared, and what was found is durable. Lost: offered again.
    Taken {
        /// The ranges.
        ranges: Vec<Range>,
    },
}

/// What tells two copies of a range apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Summary {
    /// Of all keys and cells.
    pub sum: u64,
    /// Of the context.
    pub context: u64,
}

/// What a replica holds of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToldCell {
    /// The key.
    pub key: Bytes,
    /// Its cell.
    pub cell: AnyCell,
    /// What is known of this key beyond what is known of the range.
    pub extra: Context,
}
