//! The session token: what one session has seen, as an applied position per group.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use serde::{Deserialize, Serialize};

/// What a session has seen. Opaque to users, versioned, bound to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Session {
    seen: Vec<(u16, u64)>,
}

/// Why a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionError {
    /// The text is not a token.
    Malformed,
    /// The token is of another version of the format.
    Version,
    /// The token belongs to another cluster.
    Foreign,
}

impl core::fmt::Display for SessionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            SessionError::Malformed => "the session token is malformed",
            SessionError::Version => "the session token is of another version",
            SessionError::Foreign => "the session token belongs to another cluster",
        })
    }
}

const VERSION: u8 = 1;

impl Session {
    /// The index that a replica of the group must have applied.
    pub fn position(&self, group: u16) -> u64 {
        self.seen.iter().find(|(seen, _)| *seen == group).map_or(0, |(_, index)| *index)
    }
    /// The session saw the state of a group at an index.
    pub fn observe(&mut self, group: u16, index: u64) {
        match self.seen.binary_search_by_key(&group, |(seen, _)| *seen) {
            Ok(at) => self.seen[at].1 = self.seen[at].1.max(index),
            Err(at) => self.seen.insert(at, (group, index)),
        }
    }
    /// The session saw all that another saw.
    pub fn merge(&mut self, other: &Session) {
        other.seen.iter().for_each(|&(group, index)| self.observe(group, index));
    }
    /// Has it seen nothing?
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
    /// The token as text: hexadecimal, bound to the cluster.
    pub fn token(&self, cluster: u64) -> String {
        let mut bytes = alloc::vec![VERSION];
        bytes.extend_from_slice(&cluster.to_be_bytes());
        for (group, index) in &self.seen {
            bytes.extend_from_slice(&group.to_be_bytes());
            bytes.extend_from_slice(&index.to_be_bytes()[2..]);
        }
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
    /// Reads a token.
    pub fn from_token(text: &str, cluster: u64) -> Result<Session, SessionError> {
        let digits = text.as_bytes();
        if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(SessionError::Malformed);
        }
        let digit = |d: u8| (d as char).to_digit(16).unwrap_or(0) as u8;
        let bytes: Vec<u8> = digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
        let (&version, rest) = bytes.split_first().ok_or(SessionError::Malformed)?;
        if version != VERSION {
            return Err(SessionError::Version);
        }
        let (bound, positions) = rest.split_first_chunk::<8>().ok_or(SessionError::Malformed)?;
        if u64::from_be_bytes(*bound) != cluster {
            return Err(SessionError::Foreign);
        }
        if !positions.len().is_multiple_of(8) || positions.len() / 8 > crate::limits::GROUPS as usize {
            return Err(SessionError::Malformed);
        }
        let mut session = Session::default();
        for pair in positions.chunks(8) {
            let index = pair[2..].iter().fold(0, |index, byte| index << 8 | u64::from(*byte));
            session.observe(u16::from_be_bytes([pair[0], pair[1]]), index);
        }
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_knows_its_cluster() {
        let mut session = Session::default();
        session.observe(3, 70_000);
        session.observe(0, 5);
        session.observe(3, 9);
        let token = session.token(0xABCD);
        assert!(token.len() < 100);
        assert_eq!(Session::from_token(&token, 0xABCD), Ok(session));
        assert_eq!(Session::from_token(&token, 1), Err(SessionError::Foreign));
        assert_eq!(Session::from_token("zz", 1), Err(SessionError::Malformed));
        assert_eq!(Session::from_token("é", 1), Err(SessionError::Malformed));
        assert_eq!(Session::from_token("", 1), Err(SessionError::Malformed));
        assert_eq!(Session::from_token("02", 1), Err(SessionError::Version));
        assert_eq!(Session::from_token(&token[..token.len() - 2], 0xABCD), Err(SessionError::Malformed));
    }
}
