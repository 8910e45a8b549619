//! What can go wrong, and whether the operation was applied.

use quorate_core::operation::Applied;
use std::fmt;

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No address could be reached.
    Unreachable,
    /// The server wants a password, or another one.
    Denied,
    /// The connection was lost.
    Lost,
    /// The deadline passed.
    Deadline,
    /// The peer does not speak the Redis protocol.
    Protocol,
    /// The cluster could not serve the operation now; it may succeed later without a change.
    Unavailable,
    /// The operation itself is at fault, such as a wrong type, a wrong word, a limit.
    Rejected,
    /// The cluster does not know what became of the operation, or met less than was asked.
    Doubt,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Unreachable => "unreachable",
            Kind::Denied => "denied",
            Kind::Lost => "lost",
            Kind::Deadline => "deadline",
            Kind::Protocol => "protocol",
            Kind::Unavailable => "unavailable",
            Kind::Rejected => "rejected",
            Kind::Doubt => "doubt",
        }
    }
}

/// What happened, whether the operation was applied, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind.
    pub kind: Kind,
    /// Was the operation applied?
    pub applied: Applied,
    /// What happened and what to do, for people.
    pub message: String,
}

impl Error {
    /// An error.
    pub fn new(kind: Kind, applied: Applied, message: impl Into<String>) -> Error {
        Error { kind, applied, message: message.into() }
    }

    /// The error that an error reply of the server is. An error about the outcome reads `WORD applied: …; sentence`;
    /// any other is about the command itself, which then changed nothing.
    pub fn of_reply(text: &[u8]) -> Error {
        let text = String::from_utf8_lossy(text);
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let told = rest.strip_prefix("applied: ").and_then(|rest| rest.split_once("; "));
        let told = told.and_then(|(applied, sentence)| Some((Applied::parse(applied)?, sentence)));
        let applied = told.map_or(Applied::No, |(applied, _)| applied);
        let kind = match (word, applied) {
            (_, Applied::Yes | Applied::Unknown) => Kind::Doubt,
            ("NOAUTH" | "WRONGPASS" | "NOPERM", Applied::No) => Kind::Denied,
            ("TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "BUSY" | "MASTERDOWN", Applied::No) => Kind::Unavailable,
            (_, Applied::No) => Kind::Rejected,
        };
        Error { kind, applied, message: told.map_or(&*text, |(_, sentence)| sentence).to_owned() }
    }

    /// May the operation be repeated without a key, because it was certainly not applied and may succeed later?
    pub fn may_retry(&self) -> bool {
        self.applied == Applied::No
            && matches!(self.kind, Kind::Unreachable | Kind::Lost | Kind::Deadline | Kind::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (applied: {})", self.message, self.applied.word())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reply_says_whether_it_was_applied() {
        for (text, kind, applied) in [
            ("REFUSED applied: no; there is no such table", Kind::Rejected, Applied::No),
            ("WRONGTYPE Operation against a key", Kind::Rejected, Applied::No),
            ("NOAUTH Authentication required.", Kind::Denied, Applied::No),
            ("CLUSTERDOWN applied: no; no leader was reachable", Kind::Unavailable, Applied::No),
            ("UNKNOWN applied: unknown; the deadline passed", Kind::Doubt, Applied::Unknown),
            ("SHORT applied: yes; only the leader holds it", Kind::Doubt, Applied::Yes),
        ] {
            let error = Error::of_reply(text.as_bytes());
            assert_eq!((error.kind, error.applied), (kind, applied), "{text}");
        }
    }

    #[test]
    fn only_what_was_certainly_not_applied_may_be_repeated() {
        assert!(Error::new(Kind::Unreachable, Applied::No, "").may_retry());
        assert!(!Error::new(Kind::Lost, Applied::Unknown, "").may_retry());
        assert!(!Error::new(Kind::Rejected, Applied::No, "").may_retry());
    }
}
