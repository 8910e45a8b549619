//! Judges of leaderless tables. What clients wrote and read of one key is reduced to [`Write`]s and [`Read`]s; what follows from
//! who held a write and who answered a read is here, what follows for a kind of cell is in a file of its own.

pub mod elements;
pub mod equal;
mod round;
pub mod siblings;
pub mod sums;
pub mod swaps;

use quorate_core::guarantee::{Level, NodeSet};
use quorate_core::machine::NodeId;

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was acknowledged.
    Done,
    /// It was acknowledged before it was durable: a crash may lose it.
    Fleeting,
    /// It may have been applied, or may yet be.
    Unknown,
    /// It certainly was not and will not be.
    Refused,
}

/// A write to one key. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write<T> {
    /// What was written.
    pub what: T,
    /// Whose it is.
    pub session: u32,
    /// When it began.
    pub start: u64,
    /// When it was answered.
    pub end: u64,
    /// What became of it.
    pub fate: Fate,
    /// Who held it durably when it was answered.
    pub durable: NodeSet,
    /// A write that reads first: who is sure to have been asked, and how many were.
    pub asked: (NodeSet, usize),
}

/// A read of one key. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// What it showed.
    pub shown: T,
    /// Whose it is.
    pub session: u32,
    /// When it began.
    pub start: u64,
    /// When it was answered.
    pub end: u64,
    /// Who answered.
    pub answered: NodeSet,
    /// The level that was met.
    pub met: Level,
}

/// The rule of a table, and what happened to the disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    /// N.
    pub replicas: usize,
    /// W.
    pub write: usize,
    /// Disks that were lost or set back, and when, in microseconds. At most one at a time lacks something.
    pub replaced: &'a [(u64, NodeId)],
}

impl Rule<'_> {
    /// Those of some nodes whose disks were not replaced in this time.
    pub fn kept(&self, nodes: NodeSet, from: u64, until: u64) -> NodeSet {
        let lost = |node: NodeId| self.replaced.iter().any(|&(at, of)| of == node && (from..=until).contains(&at));
        nodes.iter().filter(|&node| !lost(node)).collect()
    }

    /// Must what these nodes held when it was acknowledged be there for ever? Each disk that is replaced takes one copy, which the next
    /// comparison brings back, if W replicas held it; of fewer that is not promised.
    pub fn survives(&self, nodes: NodeSet, start: u64, end: u64) -> bool {
        let none_after = self.replaced.iter().all(|&(at, _)| at < start);
        let held = self.kept(nodes, start, end);
        none_after || (held.len() >= self.write.max(2)) || !self.kept(nodes, start, u64::MAX).is_empty()
    }
}

impl<T> Write<T> {
    /// May it have been applied, now or later?
    pub fn attempted(&self) -> bool {
        self.fate != Fate::Refused
    }

    /// Must the read know of it? Who answered held it, or the level that was met promises it.
    pub fn is_met_by<S>(&self, read: &Read<S>, rule: Rule<'_>) -> bool {
        let acknowledged = matches!(self.fate, Fate::Done | Fate::Fleeting) && self.end < read.start;
        let own = self.session == read.session && read.met >= Level::Session;
        let regular = read.met >= Level::Regular && self.fate == Fate::Done && self.is_held_by_enough(rule, read.end);
        let holds = !rule.kept(self.durable, self.start, read.end).intersection(read.answered).is_empty();
        acknowledged && (own || regular || holds)
    }

    /// Must a later write, which reads before it writes, have seen it?
    pub fn is_seen_by<S>(&self, later: &Write<S>, rule: Rule<'_>) -> bool {
        let (nodes, count) = later.asked;
        // Of a write on fewer nodes than the table asks nothing is promised once its range has moved.
        let certain = self.fate == Fate::Done && self.is_held_by_enough(rule, later.end);
        let must_meet = certain && self.durable.len() + count > rule.replicas;
        let meets = !rule.kept(self.durable, self.start, later.end).intersection(nodes).is_empty() || must_meet;
        let acknowledged = matches!(self.fate, Fate::Done | Fate::Fleeting) && self.end < later.start;
        acknowledged && (self.session == later.session || meets)
    }

    /// Did W replicas hold it when it was acknowledged, so that no disk that went until then takes it from those who are asked?
    fn is_held_by_enough(&self, rule: Rule<'_>, until: u64) -> bool {
        let spare = rule.write > 1 || rule.replaced.iter().all(|(at, _)| !(self.start..=until).contains(at));
        spare && rule.kept(self.durable, self.start, self.end).len() >= rule.write
    }
}

#[cfg(test)]
use tests::{MAJORITY, read, write};

#[cfg(test)]
mod tests {
    use super::*;

    /// Forged operations, shared by the tests of the judges: `done 1..2 s1 @12` is acknowledged, of session 1, held by nodes 1 and 2.
    pub fn write<T>(what: T, text: &str) -> Write<T> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (start, end) = times(words[1]);
        let fate = match words[0] {
            "done" => Fate::Done,
            "fleeting" => Fate::Fleeting,
            "unknown" => Fate::Unknown,
            _ => Fate::Refused,
        };
        let nodes = words.get(3).map(|word| nodes(word)).unwrap_or_default();
        let asked = (nodes.iter().take(1).collect(), 1);
        Write { what, session: session(words[2]), start, end, fate, durable: nodes, asked }
    }

    /// `3..4 s1 @12 regular` was answered by nodes 1 and 2.
    pub fn read<T>(shown: T, text: &str) -> Read<T> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (start, end) = times(words[0]);
        let met = Level::parse(words[3].as_bytes()).expect("a level");
        Read { shown, session: session(words[1]), start, end, answered: nodes(words[2]), met }
    }

    fn times(word: &str) -> (u64, u64) {
        let (start, end) = word.split_once("..").expect("two times");
        (start.parse().expect("a time"), end.parse().unwrap_or(u64::MAX))
    }
    fn session(word: &str) -> u32 {
        word[1..].parse().expect("a session")
    }
    fn nodes(word: &str) -> NodeSet {
        word[1..].chars().filter_map(|digit| digit.to_digit(10)).map(|digit| NodeId(digit as u16)).collect()
    }

    pub const MAJORITY: Rule<'static> = Rule { replicas: 3, write: 2, replaced: &[] };

    #[test]
    fn what_enough_disks_held_survives_one_that_goes_and_what_fewer_held_does_not() {
        let nodes = |numbers: &[u16]| numbers.iter().copied().map(NodeId).collect::<NodeSet>();
        let survives = |numbers: &[u16], write: usize, replaced: &[(u64, NodeId)]| {
            Rule { replicas: 3, write, replaced }.survives(nodes(numbers), 10, 20)
        };
        let (before, during, after) = ([(5, NodeId(1))], [(15, NodeId(1))], [(25, NodeId(1)), (40, NodeId(2))]);
        assert!(survives(&[1], 1, &before), "it was written on the new disk");
        assert!(survives(&[1, 2], 2, &after), "the first compared before the second went");
        assert!(survives(&[1, 3], 3, &after), "node 3 still has it");
        assert!(!survives(&[1, 2], 3, &after), "fewer than W held it, and all of them went");
        assert!(!survives(&[1], 1, &after));
        assert!(survives(&[1, 2], 2, &during), "node 2 still has it");
        assert!(!survives(&[1], 2, &during));
        let both = [during[0], (40, NodeId(2))];
        assert!(!survives(&[1, 2], 2, &both), "one went before all that was to hold it had it");
    }

    #[test]
    fn who_lost_its_disk_since_need_not_show_a_write() {
        let rule = Rule { replaced: &[(3, NodeId(2))], ..MAJORITY };
        let done = write((), "done 1..2 s1 @12");
        assert!(!done.is_met_by(&read((), "4..5 s2 @2 eventual"), rule));
        assert!(done.is_met_by(&read((), "4..5 s2 @1 eventual"), rule));
        assert!(done.is_met_by(&read((), "4..5 s2 @23 regular"), rule), "the level promises it");
        let one = Rule { write: 1, ..rule };
        assert!(!done.is_met_by(&read((), "4..5 s2 @3 regular"), one), "of one copy nothing is left");
    }

    #[test]
    fn a_read_meets_a_write_by_who_held_it_by_its_level_or_by_its_session() {
        let done = write((), "done 1..2 s1 @12");
        for (text, met) in [
            ("3..4 s2 @23 eventual", true),
            ("3..4 s2 @3 eventual", false),
            ("3..4 s2 @3 session", false),
            ("3..4 s1 @3 session", true),
            ("3..4 s1 @3 eventual", false),
            ("3..4 s2 @3 regular", true),
            ("2..4 s2 @12 regular", false),
        ] {
            assert_eq!(done.is_met_by(&read((), text), MAJORITY), met, "{text}");
        }
        assert!(!write((), "unknown 1..2 s1").is_met_by(&read((), "3..4 s1 @123 atomic"), MAJORITY));
    }
}
