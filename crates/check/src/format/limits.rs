//! The bounds of what is read.

/// The longest line or record, in bytes; a little more may be read.
pub const RECORD_BYTES: u64 = 16 << 20;
/// How deep brackets may be nested.
pub const DEPTH: usize = 64;
/// The most operations of a history.
pub const OPERATIONS: u32 = u32::MAX - 1;
/// The most steps and elements of lists of a history, in total.
pub const STEPS: u64 = u32::MAX as u64 - 1;
/// The most events that wait until it is clear what the history is about.
pub const WAITING: usize = 4_000_000;
/// The most bands of a history; more are not kept.
pub const BANDS: usize = 10_000;
/// The most bands that are open at once; more are not kept.
pub const OPEN_BANDS: usize = 64;
/// The longest description of a band, in characters; the rest is cut off.
pub const BAND_CHARACTERS: usize = 120;
