//! The busiest keys, for people.

use super::TableId;
use crate::machine::NodeId;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What clients of a node ask for most, lately.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HotStatus {
    /// The node that answers. Each operation is counted at the node that its client asked.
    pub node: NodeId,
    /// The time that the counts are about, in milliseconds: what is older counts less.
    pub window_ms: u64,
    /// The tables that are asked for.
    pub tables: Vec<HotTable>,
}

/// A table that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HotTable {
    /// The table.
    pub table: TableId,
    /// Its name.
    pub name: String,
    /// How often its keys were asked for.
    pub operations: u64,
    /// No key that is not named was asked for more often.
    pub missed: u64,
    /// Its busiest keys, the busiest first.
    pub keys: Vec<HotKey>,
}

/// A key, and how often it was asked for. The truth lies between `most` less `error` and `most`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HotKey {
    /// The key, or the beginning of a long one.
    pub key: Bytes,
    /// Bytes of the whole key.
    pub bytes: u64,
    /// It was asked for at most so often.
    pub most: u64,
    /// That may be so much too large.
    pub error: u64,
}
