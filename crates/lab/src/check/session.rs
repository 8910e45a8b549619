//! The four promises to a session: read your writes, monotonic reads, monotonic writes, writes follow reads.
//!
//! Versions come from the log positions in receipts of writes, and the version of a read from the value that it gave:
//! what a read's own receipt says is not believed here.
//!
//! The models of sessions in `quorate-check` know values only, and so not the order of two writes that nobody read between:
//! there, monotonic writes of plain values can never be broken. Here positions tell that order, which is why this judge stays.

use super::history::Value;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Which promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// A read missed an earlier write of its own session.
    ReadYourWrites,
    /// A read saw an older value than an earlier read of its session.
    MonotonicReads,
    /// A write was ordered before an earlier write of its session.
    MonotonicWrites,
    /// A write was ordered before a value that its session had read.
    WritesFollowReads,
}

impl Broken {
    /// The name of it.
    pub const fn word(self) -> &'static str {
        match self {
            Broken::ReadYourWrites => "read your writes",
            Broken::MonotonicReads => "monotonic reads",
            Broken::MonotonicWrites => "monotonic writes",
            Broken::WritesFollowReads => "writes follow reads",
        }
    }
}

/// What a session did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// A read that must keep the promises.
    Read,
    /// A read that need not, but that the session has seen.
    Glance,
    /// A write that cannot be lost, at this version.
    Write(u64),
}

/// One step of a session, in the order of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The session.
    pub session: u32,
    /// The key.
    pub key: Bytes,
    /// What it did.
    pub did: Did,
    /// The value read, or left by the write.
    pub value: Value,
}

/// The first promise that was broken, and the place in the events where that was seen. Values must be unique per key;
/// an absent key counts as version 0, so keys that are deleted must be left out.
pub fn check(events: &[Event]) -> Option<(Broken, usize)> {
    let mut versions: BTreeMap<(&Bytes, &Bytes), u64> = BTreeMap::new();
    for event in events {
        if let (Did::Write(version), Some(value)) = (event.did, &event.value) {
            versions.insert((&event.key, value), version);
        }
    }
    let mut read: BTreeMap<(u32, &Bytes), u64> = BTreeMap::new();
    let mut written: BTreeMap<(u32, &Bytes), u64> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        let here = (event.session, &event.key);
        let last_read = read.get(&here).copied().unwrap_or(0);
        let last_write = written.get(&here).copied().unwrap_or(0);
        let seen = match &event.value {
            None => Some(0),
            // The version of a value whose write had no known outcome cannot be told.
            Some(value) => versions.get(&(&event.key, value)).copied(),
        };
        match (event.did, seen) {
            (Did::Write(version), _) if version < last_write => return Some((Broken::MonotonicWrites, at)),
            (Did::Write(version), _) if version < last_read => return Some((Broken::WritesFollowReads, at)),
            (Did::Write(version), _) => {
                written.insert(here, version);
            }
            (Did::Read, Some(version)) if version < last_write => return Some((Broken::ReadYourWrites, at)),
            (Did::Read, Some(version)) if version < last_read => return Some((Broken::MonotonicReads, at)),
            (Did::Read | Did::Glance, Some(version)) => {
                read.insert(here, version.max(last_read));
            }
            (Did::Read | Did::Glance, None) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1 write k a 5`, `2 read k a`, `2 glance k -`.
    fn events(text: &str) -> Vec<Event> {
        let event = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let did = match words[1] {
                "write" => Did::Write(words[4].parse().expect("a version")),
                "read" => Did::Read,
                _ => Did::Glance,
            };
            let bytes = |word: &str| Bytes::copy_from_slice(word.as_bytes());
            let value = (words[3] != "-").then(|| bytes(words[3]));
            Event { session: words[0].parse().expect("a session"), key: bytes(words[2]), did, value }
        };
        text.split("; ").map(event).collect()
    }

    #[test]
    fn good_sessions_pass() {
        for text in [
            "1 write k a 5; 1 read k a; 2 read k -; 2 read k a",
            "1 write k a 5; 2 write k b 9; 1 read k b; 1 write k c 10; 1 read k c",
            // A glance may be stale.
            "1 write k a 5; 1 write k b 6; 1 glance k a; 1 read k b",
            // Other keys and other sessions have their own versions.
            "1 write k a 5; 1 read other -; 2 read k -",
            // A value of unknown version is not held against anybody.
            "1 write k a 5; 1 read k x; 1 read k a",
        ] {
            assert_eq!(check(&events(text)), None, "{text}");
        }
    }

    #[test]
    fn each_promise_fails_by_name() {
        for (broken, text) in [
            (Broken::ReadYourWrites, "1 write k a 5; 1 read k -"),
            (Broken::ReadYourWrites, "2 write k a 3; 1 write k b 5; 1 read k a"),
            (Broken::MonotonicReads, "1 write k a 5; 2 read k a; 2 read k -"),
            (Broken::MonotonicReads, "1 write k a 5; 1 write k b 6; 2 glance k b; 2 read k a"),
            (Broken::MonotonicWrites, "1 write k a 5; 1 write k b 4"),
            (Broken::WritesFollowReads, "1 write k a 5; 2 read k a; 2 write k b 4"),
        ] {
            assert_eq!(check(&events(text)).map(|(broken, _)| broken), Some(broken), "{text}");
        }
    }
}
