//! How the repair of leaderless tables stands, for people.

use super::TableId;
use crate::machine::NodeId;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How a node repairs its leaderless tables. All of it is about this life of the node but what it owes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RepairStatus {
    /// The node that answers.
    pub node: NodeId,
    /// The version of the catalogue that it knows: what moves is told by that.
    pub catalogue: u64,
    /// It holds leaderless tables and was not given its life yet: it does not know whether its disk was lost.
    pub waits_for_life: bool,
    /// It begins a comparison this often, in milliseconds, one pair after the other; 0 is only when it is asked to.
    pub every_ms: u64,
    /// What was done.
    pub progress: Progress,
    /// Each leaderless table with each other node that shares a range of it with this one.
    pub pairs: Vec<PairStatus>,
    /// Writes that other nodes did not confirm and that are kept for them, by node: only nodes that are owed something.
    pub owed: Vec<(NodeId, u64)>,
    /// Tables whose data move, or of which this node still holds ranges that moved away.
    pub moving: Vec<MoveStatus>,
}

/// A table whose data move.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MoveStatus {
    /// The table.
    pub table: TableId,
    /// Its name.
    pub name: String,
    /// Replicas that may lack data: the movement is over when all of them have compared.
    pub awaited: Vec<NodeId>,
    /// Ranges that this node must compare, and how many of them it has.
    pub compared: (u32, u32),
    /// Ranges that this node hands over before it deletes them.
    pub leaving: u32,
}

/// A table, and another node that holds some of the same ranges.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PairStatus {
    /// The table.
    pub table: TableId,
    /// Its name.
    pub name: String,
    /// The other node.
    pub with: NodeId,
    /// What goes on.
    pub stage: RepairStage,
    /// Milliseconds since a comparison came to its end, if one did.
    pub compared_ms: Option<u64>,
    /// The last comparison was given up: the other node did not answer, or the table moved.
    pub given_up: bool,
}

/// Where the comparison of a pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RepairStage {
    /// Nothing goes on.
    Idle,
    /// It was asked for, and waits for another comparison with the same node.
    Queued,
    /// It is on its way.
    Underway {
        /// Ranges that were compared, and repaired where they differed.
        done: u32,
        /// Ranges that both nodes hold.
        of: u32,
    },
}

/// What repair did in this life of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Progress {
    /// Comparisons with another node that were finished.
    pub compared: u64,
    /// Comparisons that were given up, because the other did not answer or the table moved.
    pub given_up: u64,
    /// Ranges that differed.
    pub ranges_differed: u64,
    /// Keys that were read from another and brought something.
    pub keys_taken: u64,
    /// States that a read brought to a replica that was behind.
    pub reads_mended: u64,
    /// Hints on disk.
    pub hints: u64,
    /// Hints that were delivered.
    pub hints_delivered: u64,
    /// Hints that there was no room for: comparison brings what they would have.
    pub hints_dropped: u64,
}
