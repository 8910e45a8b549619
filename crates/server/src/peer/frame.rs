//! Messages between nodes on a stream of bytes: length, checksum, message.

use quorate_core::limits;
use quorate_core::node::{Message, wire};
use std::fmt;

/// Bytes before the message: its length and its CRC-32C, both little-endian.
const HEAD_BYTES: usize = 8;
/// Bytes of one message: the largest request, and room for what is said about it.
pub const MESSAGE_BYTES: usize = limits::REQUEST_BYTES + 1024 * 1024;

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The length is over the bound.
    Length(u32),
    /// The bytes are not those that were sent.
    Checksum,
    /// The bytes are no message of this version.
    Message,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Length(bytes) => write!(f, "a message declares {bytes} bytes, and {MESSAGE_BYTES} are allowed"),
            Broken::Checksum => f.write_str("the checksum of a message is wrong"),
            Broken::Message => f.write_str("a message cannot be read"),
        }
    }
}

/// Appends a message.
pub fn encode(message: &Message, mut out: Vec<u8>) -> Vec<u8> {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    let mut out = wire::encode(message, out);
    let body = &out[start + HEAD_BYTES..];
    let (length, checksum) = (body.len() as u32, crc32c::crc32c(body));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Reads one message off the front of a buffer; gives it with the bytes it took. `None` means: not all of it is here.
pub fn decode(buffer: &[u8]) -> Result<Option<(Message, usize)>, Broken> {
    let Some((head, rest)) = buffer.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let checksum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if length as usize > MESSAGE_BYTES {
        return Err(Broken::Length(length));
    }
    let Some(body) = rest.get(..length as usize) else { return Ok(None) };
    if crc32c::crc32c(body) != checksum {
        return Err(Broken::Checksum);
    }
    let message = wire::decode(body).ok_or(Broken::Message)?;
    Ok(Some((message, HEAD_BYTES + body.len())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quorate_core::machine::CallId;

    fn message(call: u64) -> Message {
        Message::Answer { call: CallId(call), incarnation: 7, reply: None }
    }

    #[test]
    fn frames_come_back_one_by_one() {
        let bytes = encode(&message(2), encode(&message(1), Vec::new()));
        let (first, taken) = decode(&bytes).unwrap().unwrap();
        let (second, rest) = decode(&bytes[taken..]).unwrap().unwrap();
        assert_eq!((first, second, taken + rest), (message(1), message(2), bytes.len()));
        for cut in 0..taken {
            assert_eq!(decode(&bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let good = encode(&message(1), Vec::new());
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(decode(&flipped), Err(Broken::Checksum));
        assert_eq!(decode(&[0xFF; 8]), Err(Broken::Length(u32::MAX)));
        assert_eq!(decode(&[0; 8]), Err(Broken::Message));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
        }
    }
}
