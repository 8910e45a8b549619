//! What a table is: its shape, and the policy of that shape.

use super::Placed;
use crate::crdt::Kind;
use crate::placement::Division;
use crate::quorum::Rule;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Bytes of the name of a table.
const NAME_BYTES: usize = 64;

/// A table that was made at run time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableSpec {
    /// Its name for people.
    pub name: String,
    /// The version of the catalogue at which the places of its data changed last. Answers of another epoch do not count.
    pub epoch: u64,
    /// How it replicates.
    pub shape: Shape,
    /// Where its data are, if it is leaderless.
    pub placed: Placed,
}

/// How a table replicates.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Shape {
    /// In the logs of the groups that the first table has.
    Consensus,
    /// On R and W out of N replicas, without a leader.
    Leaderless(LeaderlessSpec),
}

/// The policy of a leaderless table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaderlessSpec {
    /// How many replicas there are, and how many must answer.
    pub rule: Rule,
    /// What stands at each key.
    pub kind: Kind,
    /// What a bounded counter never falls below; 0 for other kinds.
    pub bound: i64,
    /// How the keys are divided into ranges.
    pub division: Division,
    /// In so many parts is what stands at a key, each of which has a place of its own; 1 if it is whole.
    pub parts: u8,
}

/// Parts of a key at most: each is asked when the whole is read.
pub const PARTS: u8 = 64;

/// Why a table cannot be made or changed. Nothing was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableError {
    /// No table has this name.
    Unknown,
    /// Another has this name.
    Exists,
    /// A name is 1 to 64 letters, digits, `-`, `_` and `.`, and begins with a letter.
    Name,
    /// As many tables as there can be.
    TooMany,
    /// Another shape, cell or division would need other data.
    Fixed(&'static str),
    /// A bound means something for bounded counters only.
    Bound,
    /// The bounds of ranges are not in order, or too many.
    Ranges,
    /// What is to be split has no parts, or is to have none or too many.
    Parts,
    /// More replicas than nodes that hold data.
    TooFewNodes {
        /// Of the table.
        replicas: u8,
        /// That hold data.
        nodes: usize,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::Unknown => f.write_str("there is no table of this name"),
            TableError::Exists => f.write_str("there is a table of this name already"),
            TableError::Name => f.write_str(
                "the name of a table is 1 to 64 letters, digits, '-', '_' and '.', and begins with a letter",
            ),
            TableError::TooMany => f.write_str("there are as many tables as there can be"),
            TableError::Fixed(what) => {
                write!(f, "the {what} of a table cannot be changed; make another table and copy the data")
            }
            TableError::TooFewNodes { replicas, nodes } => {
                write!(f, "a table of {replicas} replicas needs as many nodes; there are {nodes}")
            }
            TableError::Parts => write!(
                f,
                "split is 1 to {PARTS}; only counters, sets and maps whose keys are divided by hash can be in several parts"
            ),
            TableError::Bound => f.write_str("only a table of bounded counters has a bound"),
            TableError::Ranges => f.write_str("the bounds of ranges must be different keys in order, at most 1023"),
        }
    }
}

pub(super) fn check_name(name: &str) -> Result<(), TableError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if first && name.len() <= NAME_BYTES && name.bytes().all(known) { Ok(()) } else { Err(TableError::Name) }
}

impl Shape {
    /// The policy, if the table is leaderless.
    pub fn leaderless(&self) -> Option<&LeaderlessSpec> {
        match self {
            Shape::Consensus => None,
            Shape::Leaderless(spec) => Some(spec),
        }
    }
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Shape::Consensus => "consensus",
            Shape::Leaderless(_) => "leaderless",
        }
    }

    /// What to know before such a table is used, if there is something.
    pub fn warning(&self) -> Option<&'static str> {
        let Shape::Leaderless(spec) = self else { return None };
        if spec.kind == Kind::Latest {
            Some("of concurrent writes of a key all but one are dropped; mv-register keeps them")
        } else if spec.rule.overlap() == 0 {
            Some(
                "a read may miss a write that was acknowledged: read and write together are not more than the replicas",
            )
        } else {
            None
        }
    }

    pub(super) fn check(&self) -> Result<(), TableError> {
        let Shape::Leaderless(spec) = self else { return Ok(()) };
        if spec.bound != 0 && spec.kind != Kind::Bounded {
            return Err(TableError::Bound);
        }
        let joins = matches!(spec.kind, Kind::Counter | Kind::Set | Kind::RemoveWinsSet | Kind::Map);
        let splits = joins && spec.division == Division::Hash && spec.parts <= PARTS;
        if spec.parts != 1 && !(splits && spec.parts > 0) {
            return Err(TableError::Parts);
        }
        if spec.division.is_sound() { Ok(()) } else { Err(TableError::Ranges) }
    }

    /// May data of this shape go on under another?
    pub(super) fn follows(&self, next: &Shape) -> Result<(), TableError> {
        match (self, next) {
            (Shape::Consensus, Shape::Consensus) => Ok(()),
            (Shape::Consensus, Shape::Leaderless(_)) | (Shape::Leaderless(_), Shape::Consensus) => {
                Err(TableError::Fixed("shape"))
            }
            (Shape::Leaderless(old), Shape::Leaderless(new)) => {
                if old.kind != new.kind {
                    Err(TableError::Fixed("cell"))
                } else if old.bound != new.bound {
                    Err(TableError::Fixed("bound"))
                } else if old.division != new.division {
                    Err(TableError::Fixed("division"))
                } else if old.parts != new.parts {
                    // Elements would be looked for in other parts.
                    Err(TableError::Fixed("split"))
                } else {
                    Ok(())
                }
            }
        }
    }
}
