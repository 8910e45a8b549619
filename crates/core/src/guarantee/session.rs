//! The session token: what one session has seen, as an applied position per group, and as events per range of a leaderless table.

use super::events::Events;
use crate::clock::Context;
use crate::operation::TableId;
use crate::placement::Range;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use serde::{Deserialize, Serialize};

/// What a session has seen. Opaque to users, versioned, bound to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Session {
    seen: Vec<(u16, u64)>,
    events: Events,
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
    /// The session saw more ranges of leaderless tables than a token holds.
    Full,
}

impl core::fmt::Display for SessionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            SessionError::Malformed => "the session token is malformed",
            SessionError::Version => "the session token is of another version",
            SessionError::Foreign => "the session token belongs to another cluster",
            SessionError::Full => "the session token holds too many ranges of leaderless tables",
        })
    }
}

/// A token of positions alone.
const VERSION: u8 = 1;
/// A token of positions and events.
const VERSION_WITH_EVENTS: u8 = 2;

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
    /// The events of a range that a replica, or several together, must know.
    pub fn events(&self, table: TableId, range: Range) -> Option<&Context> {
        self.events.get(table, range)
    }
    /// The session saw events of a range. A token of more than [`crate::limits::SESSION_RANGES`] ranges is not taken back.
    pub fn observe_events(&mut self, table: TableId, range: Range, context: &Context) {
        self.events.join(table, range, context);
    }
    /// The session saw all that another saw.
    pub fn merge(&mut self, other: &Session) {
        other.seen.iter().for_each(|&(group, index)| self.observe(group, index));
        self.events.merge(&other.events);
    }
    /// What it saw of groups: all that an operation on one of them needs.
    pub fn of_groups(&self) -> Session {
        Session { seen: self.seen.clone(), events: Events::default() }
    }
    /// What it saw of a range: all that an operation on one key of it needs.
    pub fn of_range(&self, table: TableId, range: Range) -> Session {
        let mut session = Session::default();
        if let Some(context) = self.events(table, range) {
            session.observe_events(table, range, context);
        }
        session
    }
    /// Has it seen nothing?
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.events.is_empty()
    }
    /// The token as text: hexadecimal, bound to the cluster.
    pub fn token(&self, cluster: u64) -> String {
        let with_events = !self.events.is_empty();
        let mut bytes = alloc::vec![if with_events { VERSION_WITH_EVENTS } else { VERSION }];
        bytes.extend_from_slice(&cluster.to_be_bytes());
        if with_events {
            let events = postcard::to_allocvec(&self.events).expect("events always encode");
            bytes.extend_from_slice(&(events.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&events);
        }
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
        if version != VERSION && version != VERSION_WITH_EVENTS {
            return Err(SessionError::Version);
        }
        let (bound, mut positions) = rest.split_first_chunk::<8>().ok_or(SessionError::Malformed)?;
        if u64::from_be_bytes(*bound) != cluster {
            return Err(SessionError::Foreign);
        }
        let mut session = Session::default();
        if version == VERSION_WITH_EVENTS {
            let (length, rest) = positions.split_first_chunk::<4>().ok_or(SessionError::Malformed)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (events, rest) = rest.split_at_checked(length).ok_or(SessionError::Malformed)?;
            session.read_events(events)?;
            positions = rest;
        }
        if !positions.len().is_multiple_of(8) || positions.len() / 8 > crate::limits::GROUPS as usize {
            return Err(SessionError::Malformed);
        }
        for pair in positions.chunks(8) {
            let index = pair[2..].iter().fold(0, |index, byte| index << 8 | u64::from(*byte));
            session.observe(u16::from_be_bytes([pair[0], pair[1]]), index);
        }
        Ok(session)
    }

    fn read_events(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let events: Vec<(TableId, Range, Context)> =
            postcard::from_bytes(bytes).map_err(|_| SessionError::Malformed)?;
        if events.len() > crate::limits::SESSION_RANGES {
            return Err(SessionError::Full);
        }
        if events.is_empty() || !events.iter().all(|(_, _, context)| context.is_sound()) {
            return Err(SessionError::Malformed);
        }
        events.iter().for_each(|(table, range, context)| self.observe_events(*table, *range, context));
        Ok(())
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
        assert_eq!(Session::from_token("03", 1), Err(SessionError::Version));
        assert_eq!(Session::from_token(&token[..token.len() - 2], 0xABCD), Err(SessionError::Malformed));
    }

    /// Ranges in several pages and tables, in copies that learn of each other.
    #[test]
    fn copies_share_what_they_saw_and_learn_apart() {
        use crate::clock::{Actor, Dot};
        use crate::machine::NodeId;
        let saw = |session: &mut Session, number: u16| {
            let actor = Actor { node: NodeId(1 + number % 3), incarnation: 1 };
            let context = [Dot { actor, count: 1 + u64::from(number / 7) }].into_iter().collect();
            session.observe_events(TableId(256 + number % 2), Range(number * 37 % 100), &context);
        };
        let of = |numbers: &mut dyn Iterator<Item = u16>| {
            let mut session = Session::default();
            numbers.for_each(|number| saw(&mut session, number));
            session
        };
        let all = of(&mut (0..200));
        for cut in 0..200 {
            let first = of(&mut (0..cut));
            let (mut left, mut right) = (first.clone(), first.clone());
            (cut..200).filter(|number| number % 5 < 3).for_each(|number| saw(&mut left, number));
            (cut..200).rev().filter(|number| number % 5 > 1).for_each(|number| saw(&mut right, number));
            assert_eq!(first, of(&mut (0..cut)), "what copies learn, the original does not");
            for (mut ours, theirs) in [(left.clone(), &right), (right.clone(), &left)] {
                ours.merge(theirs);
                assert_eq!(ours, all, "{cut}");
                ours.merge(theirs);
                assert_eq!(ours, all, "{cut}");
            }
            let mut fresh = of(&mut (0..cut));
            fresh.merge(&left);
            assert_eq!(fresh, left, "{cut}");
            let bytes = postcard::to_allocvec(&left).expect("sessions always encode");
            assert_eq!(postcard::from_bytes(&bytes), Ok(left));
        }
        assert_eq!(
            all.of_range(TableId(256), Range(74)).events(TableId(256), Range(74)),
            all.events(TableId(256), Range(74))
        );
        assert_eq!((all.of_range(TableId(255), Range(74)), all.of_groups()), (Session::default(), Session::default()));
    }

    /// One who only writes sees events of its own, between those of others.
    #[test]
    fn a_session_of_many_writes_stays_small() {
        use crate::clock::{Actor, Dot};
        use crate::machine::NodeId;
        let actor = Actor { node: NodeId(1), incarnation: 1 };
        let (mut session, mut saw) = (Session::default(), Vec::new());
        for count in (1..10_000).map(|n| 3 * n) {
            saw.push(Dot { actor, count });
            session.observe_events(TableId(256), Range(1), &saw[saw.len() - 1..].iter().copied().collect());
            let known = session.events(TableId(256), Range(1)).expect("it saw some");
            assert!(saw.iter().all(|dot| known.contains(*dot)) && !known.contains(Dot { actor, count: count + 1 }));
            assert_eq!(known.contains(Dot { actor, count: 1 }), saw.len() > crate::limits::SESSION_EVENTS);
        }
        assert!(session.token(1).len() < 2 * (32 + 8 * crate::limits::SESSION_EVENTS));
    }

    #[test]
    fn a_token_of_events_comes_back() {
        use crate::clock::{Actor, Dot};
        use crate::machine::NodeId;
        let dot = |node: u16, count| Dot { actor: Actor { node: NodeId(node), incarnation: 1 }, count };
        let mut session = Session::default();
        session.observe(3, 70_000);
        session.observe_events(TableId(256), Range(700), &[dot(1, 1), dot(2, 9)].into_iter().collect());
        session.observe_events(TableId(256), Range(7), &[dot(1, 1)].into_iter().collect());
        session.observe_events(TableId(256), Range(700), &[dot(1, 2)].into_iter().collect());
        assert_eq!(session.events(TableId(256), Range(8)), None);
        let seen: Context = [dot(1, 1), dot(1, 2), dot(2, 9)].into_iter().collect();
        assert_eq!(session.events(TableId(256), Range(700)), Some(&seen));
        let token = session.token(5);
        assert!(token.len() / 2 < 100, "{token}");
        assert_eq!(Session::from_token(&token, 5), Ok(session));
        // What is cut off is noticed, unless it is a whole position.
        for cut in (20..token.len()).step_by(2).filter(|cut| *cut != token.len() - 16) {
            assert!(Session::from_token(&token[..cut], 5).is_err(), "{cut}");
        }
        // The count of an event that nobody could have made.
        let mut forged = Session::default();
        forged.observe_events(TableId(256), Range(1), &[dot(1, u64::MAX)].into_iter().collect());
        assert_eq!(Session::from_token(&forged.token(5), 5), Err(SessionError::Malformed));
    }
}
