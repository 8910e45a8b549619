//! Messages between nodes as bytes: a version byte, then postcard. The driver frames them by length.

use super::Message;
use alloc::vec::Vec;

/// Version of the messages. Peers of another version are refused when they connect.
pub const VERSION: u8 = 1;

/// Appends a message.
pub fn encode(message: &Message, out: Vec<u8>) -> Vec<u8> {
    let mut out = out;
    out.push(VERSION);
    postcard::to_extend(message, out).expect("messages always encode")
}

/// Reads a message. `None` if the bytes are not exactly one message of this version.
pub fn decode(bytes: &[u8]) -> Option<Message> {
    let (&version, body) = bytes.split_first()?;
    if version != VERSION {
        return None;
    }
    let (message, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(message)
}
