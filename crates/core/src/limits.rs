//! Every bound of the node, in one place. The README's table of limits is made from this file.

/// Node ids run from 1 to this, so that a set of nodes fits in 64 bits.
pub const NODE_ID_MAX: u16 = 63;
/// Bytes of a key.
pub const KEY_BYTES: usize = 16 * 1024;
/// Bytes of one value, field or member.
pub const VALUE_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of one request, all its arguments together; so also of one log entry.
pub const REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Commands in one atomic batch.
pub const BATCH_COMMANDS: usize = 10_000;
/// Arguments of one command.
pub const ARGUMENTS: usize = 100_000;
/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
/// How long the reply for an idempotency key is kept, in milliseconds of log time.
pub const IDEMPOTENCY_KEEP_MS: u64 = 24 * 60 * 60 * 1000;
/// Tables in a cluster.
pub const TABLES: usize = 256;
/// Tables that are made at run time, at any one moment.
pub const TABLES_MADE: usize = 256;
/// Ranges of leaderless tables that one session token holds.
pub const SESSION_RANGES: usize = 256;
/// Single events that a session knows of one range of a leaderless table. With more it waits for all events before them, too.
pub const SESSION_EVENTS: usize = 32;
/// Hints that one node keeps for others.
pub const HINTS: u64 = 1_000_000;
/// Bytes of keys in one message of a comparison, roughly.
pub const COMPARE_BYTES: usize = 64 * 1024;
/// Keys that are looked at in one step of a comparison.
pub const COMPARE_KEYS: usize = if cfg!(test) { 16 } else { 4_096 };
/// Leaderless operations in flight that one node coordinates. More are refused.
pub const LEADERLESS_ROUNDS: usize = 100_000;
/// Updates that a text keeps side by side. One more puts all of them together.
pub const TEXT_UPDATES: usize = 64;
/// Bytes of the updates of one text.
pub const TEXT_BYTES: usize = 4 * 1024 * 1024;
/// Steps past concurrent pieces that reading one text takes.
pub const TEXT_STEPS: u64 = 4_000_000;
/// Consensus groups in a cluster.
pub const GROUPS: u16 = 256;

/// A wall clock that is further than this from those of a majority is out, in milliseconds: its node leaves leading to others.
/// A stamp that is further ahead of the clock here is not believed.
pub const CLOCK_OFF_MS: u64 = 500;

/// Client calls in flight on one node. More are refused.
pub const CALLS: usize = 200_000;
/// How long a call waits when it names no deadline, in milliseconds.
pub const DEADLINE_MS: u32 = 5_000;
/// The longest deadline that a call may name, in milliseconds.
pub const DEADLINE_MAX_MS: u32 = 60_000;

/// Entries applied in one step.
pub const APPLY_PER_STEP: usize = 1_024;
/// Keys that one step sweeps because they expired.
pub const EXPIRE_PER_STEP: usize = 256;
/// Bytes of entries in one append message; a single larger entry travels alone.
pub const APPEND_BYTES: usize = 512 * 1024;
/// Append messages in flight to one follower.
pub const APPENDS_IN_FLIGHT: usize = 64;
/// Bytes of entries in flight to one follower.
pub const APPEND_BYTES_IN_FLIGHT: usize = 16 * 1024 * 1024;
/// Bytes of applied entries that a group keeps for followers that lag.
pub const LOG_KEEP_BYTES: usize = 16 * 1024 * 1024;
/// Applied entries that a group keeps for followers that lag.
pub const LOG_KEEP_ENTRIES: u64 = 100_000;
/// Bytes of entries that a leader holds beyond its commit position before it refuses more.
pub const LOG_UNCOMMITTED_BYTES: usize = 64 * 1024 * 1024;
/// Log entries or stale keys deleted in one step.
pub const DELETE_PER_STEP: usize = 2_048;
/// Bytes of pairs in one piece of a snapshot; a single larger pair travels alone.
pub const SNAPSHOT_PIECE_BYTES: usize = 256 * 1024;
/// Bytes of old values that a snapshot in progress holds back before it starts over.
pub const SNAPSHOT_HELD_BYTES: usize = 64 * 1024 * 1024;
