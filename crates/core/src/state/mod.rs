//! Replicated state: what a batch does to data, by log time.

pub mod command;

use crate::guarantee::Position;
use crate::mutant::Mutants;
use crate::operation::{Batch, TableId, Value, Words};
use crate::store::{Store, View};

/// Where the state of a group lives in the store: every key of it begins with this.
/// `[drawer::STATE, group: u16 BE, generation: u32 BE]`; a snapshot that is installed gets a new generation.
pub type Space = [u8; 7];

/// When and where in the log a batch is applied. The only time that apply knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The entry.
    pub position: Position,
    /// Log time: stamped by the leader, never falls, in milliseconds since 1970.
    pub time_ms: u64,
    /// The replica's own clock: only a mutant looks at it.
    #[cfg(feature = "lab")]
    pub wall_ms: u64,
}

/// What applying a batch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The reply.
    pub value: Value,
    /// Where the batch was first applied, when an idempotency key replayed its reply.
    pub replay_of: Option<Position>,
}

/// Applies one batch. Deterministic: a function of the state, the stamp and the batch.
pub fn apply(store: &mut dyn Store, space: Space, stamp: Stamp, batch: &Batch, mutants: Mutants) -> Applied {
    let _ = (store, space, stamp, batch, mutants);
    Applied { value: Value::Nil, replay_of: None }
}

/// Evaluates reading commands. `time_ms` is the log time of the applied position: a key whose expiry is at or before
/// it is absent. `display_ms` is the local clock, only for replies that tell a remaining time.
pub fn read(
    view: &dyn View,
    space: Space,
    table: TableId,
    commands: &[Words],
    transaction: bool,
    time_ms: u64,
    display_ms: u64,
) -> Value {
    let _ = (view, space, table, commands, transaction, time_ms, display_ms);
    Value::Nil
}

/// The log time at which the next key expires, if any does.
pub fn next_expiry(view: &dyn View, space: Space) -> Option<u64> {
    let _ = (view, space);
    None
}

/// Removes keys and records that expired at or before `stamp.time_ms`, at most `limits::EXPIRE_PER_STEP`, and goes on
/// with the removal of dropped collections and tables. Called when an entry of kind tick is applied. True if more is due.
pub fn sweep(store: &mut dyn Store, space: Space, stamp: Stamp) -> bool {
    let _ = (store, space, stamp);
    false
}

/// Is this a record of an idempotency key? The key is relative to the space.
pub fn is_idempotency_record(key: &[u8]) -> bool {
    let _ = key;
    false
}
