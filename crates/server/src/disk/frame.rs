//! The bytes of the journal: segment headers, frames, operations. All numbers are little-endian.
//!
//! A segment is a header and then frames; what follows the last frame is zeros, or the remains of an earlier life of the
//! file. Each segment has its own seed for checksums, made from its id and a random salt, so that neither remains nor a
//! client's value can pass for a frame. A frame is the writes of one step, all or nothing:
//!
//! ```text
//! len u32 │ crc of the operations u32 │ seq u64 │ unsynced u32 │ crc of these 20 bytes u32 │ operations │ 0..7 of padding
//! operation: 1 │ key length u16 │ value length u32 │ key │ value        a put
//!            2 │ key length u16 │ key                                  a delete
//! ```
//!
//! `unsynced` tells how many writes up to this one were not known to be synced when the frame was made: a frame that is
//! found behind a broken one so proves whether the broken one had been promised to anybody.

use quorate_core::store::Seq;

pub(super) const SEGMENT_HEADER: usize = 40;
pub(super) const FRAME_HEADER: usize = 24;
const MAGIC: &[u8; 8] = b"quorateJ";
const VERSION: u32 = 1;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// What the checksums of a segment start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u32);

/// What a segment was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// New: zeros follow its last frame.
    New = 0,
    /// Another segment: anything may follow its last frame.
    Recycled = 1,
}

/// The header of a segment and the seed that it stands for:
/// magic, version u32, origin u32, id u64, salt u64, crc of all these u32, four zeros.
pub(super) fn segment_header(id: u64, salt: u64, origin: Origin) -> ([u8; SEGMENT_HEADER], Seed) {
    let mut bytes = [0; SEGMENT_HEADER];
    bytes[0..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&(origin as u32).to_le_bytes());
    bytes[16..24].copy_from_slice(&id.to_le_bytes());
    bytes[24..32].copy_from_slice(&salt.to_le_bytes());
    let sum = crc32c::crc32c(&bytes[..32]);
    bytes[32..36].copy_from_slice(&sum.to_le_bytes());
    (bytes, Seed(crc32c::crc32c(&bytes[16..32])))
}

/// Reads the header of segment `id`.
pub(super) fn read_segment_header(bytes: &[u8], id: u64) -> Result<(Origin, Seed), String> {
    let Some(header) = bytes.get(..SEGMENT_HEADER) else {
        return Err(String::from("the file is shorter than its header"));
    };
    for origin in [Origin::New, Origin::Recycled] {
        let (expected, seed) = segment_header(id, read_u64(&header[24..32]), origin);
        if header == expected {
            return Ok((origin, seed));
        }
    }
    let version = read_u32(&header[8..12]);
    if &header[..8] == MAGIC && version > VERSION && read_u32(&header[32..36]) == crc32c::crc32c(&header[..32]) {
        return Err(format!("it has version {version} of the journal, and this program knows {VERSION}"));
    }
    Err(String::from("its header is not that of a journal segment with this name"))
}

/// Makes room for a frame at the end of the buffer; its operations follow.
pub(super) fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.resize(start + FRAME_HEADER, 0);
    start
}

pub(super) fn put(buffer: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let key_bytes = u16::try_from(key.len()).expect("keys are limited to less than 64 KiB");
    let value_bytes = u32::try_from(value.len()).expect("values are limited to less than 4 GiB");
    buffer.reserve(7 + key.len() + value.len());
    buffer.push(PUT);
    buffer.extend_from_slice(&key_bytes.to_le_bytes());
    buffer.extend_from_slice(&value_bytes.to_le_bytes());
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value);
}

pub(super) fn delete(buffer: &mut Vec<u8>, key: &[u8]) {
    let key_bytes = u16::try_from(key.len()).expect("keys are limited to less than 64 KiB");
    buffer.push(DELETE);
    buffer.extend_from_slice(&key_bytes.to_le_bytes());
    buffer.extend_from_slice(key);
}

/// Closes the frame that begins at `start` and ends with the buffer. False when it is too long for a frame.
pub(super) fn finish(buffer: &mut Vec<u8>, start: usize, seed: Seed, seq: Seq, synced: Seq) -> bool {
    let Ok(len) = u32::try_from(buffer.len() - start - FRAME_HEADER) else { return false };
    let sum = crc32c::crc32c_append(seed.0, &buffer[start + FRAME_HEADER..]);
    let unsynced = u32::try_from(seq.0 - synced.0).unwrap_or(u32::MAX);
    let head = &mut buffer[start..start + FRAME_HEADER];
    head[0..4].copy_from_slice(&len.to_le_bytes());
    head[4..8].copy_from_slice(&sum.to_le_bytes());
    head[8..16].copy_from_slice(&seq.0.to_le_bytes());
    head[16..20].copy_from_slice(&unsynced.to_le_bytes());
    let head_sum = crc32c::crc32c_append(seed.0, &head[..20]);
    head[20..24].copy_from_slice(&head_sum.to_le_bytes());
    buffer.resize(padded(buffer.len()), 0);
    true
}

/// Frames begin at multiples of eight.
pub(super) fn padded(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// One frame in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) seq: Seq,
    /// Writes up to here were known to be synced when the frame was made.
    pub(super) synced: Seq,
    pub(super) operations: &'a [u8],
    /// Where the next frame begins.
    pub(super) end: usize,
}

/// Reads the frame at an offset; `None` when no valid one begins there.
pub(super) fn read(segment: &[u8], offset: usize, seed: Seed) -> Option<Frame<'_>> {
    let head = segment.get(offset..offset + FRAME_HEADER)?;
    if read_u32(&head[20..24]) != crc32c::crc32c_append(seed.0, &head[..20]) {
        return None;
    }
    let start = offset + FRAME_HEADER;
    let operations = segment.get(start..start.checked_add(read_u32(&head[0..4]) as usize)?)?;
    if read_u32(&head[4..8]) != crc32c::crc32c_append(seed.0, operations) {
        return None;
    }
    let seq = Seq(read_u64(&head[8..16]));
    let synced = Seq(seq.0.saturating_sub(u64::from(read_u32(&head[16..20]))));
    Some(Frame { seq, synced, operations, end: padded(start + operations.len()) })
}

/// True when a frame began to be written at an offset, or may have.
pub(super) fn is_torn(segment: &[u8], offset: usize, origin: Origin, seed: Seed) -> bool {
    let head = &segment[offset.min(segment.len())..segment.len().min(offset + FRAME_HEADER)];
    match origin {
        Origin::New => head.iter().any(|byte| *byte != 0),
        Origin::Recycled => {
            head.len() == FRAME_HEADER && read_u32(&head[20..24]) == crc32c::crc32c_append(seed.0, &head[..20])
        }
    }
}

/// The first valid frame at or behind an offset whose `seq` is above `after`.
pub(super) fn search(segment: &[u8], offset: usize, seed: Seed, after: Seq) -> Option<(usize, Frame<'_>)> {
    let mut at = padded(offset);
    while let Some(head) = segment.get(at..at + FRAME_HEADER) {
        // Zeros and remains of older frames fail here, before any checksum is computed.
        if read_u64(&head[8..16]) > after.0
            && let Some(frame) = read(segment, at, seed)
        {
            return Some((at, frame));
        }
        at += 8;
    }
    None
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation<'a> {
    Put(&'a [u8], &'a [u8]),
    Delete(&'a [u8]),
}

/// Takes the first operation off the operations of a frame. `None` when they make no sense.
pub(super) fn take_operation<'a>(bytes: &mut &'a [u8]) -> Option<Operation<'a>> {
    let kind = take(bytes, 1)?[0];
    let key_bytes = usize::from(u16::from_le_bytes(take(bytes, 2)?.try_into().ok()?));
    match kind {
        PUT => {
            let value_bytes = read_u32(take(bytes, 4)?) as usize;
            let key = take(bytes, key_bytes)?;
            Some(Operation::Put(key, take(bytes, value_bytes)?))
        }
        DELETE => Some(Operation::Delete(take(bytes, key_bytes)?)),
        _ => None,
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

fn read_u64(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}
