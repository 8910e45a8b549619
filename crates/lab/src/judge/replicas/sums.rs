//! Counters: no acknowledged amount is lost or counted twice.

use super::{Fate, Read, Rule, Write};
use std::collections::BTreeSet;

/// What happened to one counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What it is worth before anything was added; a bounded counter begins at its bound.
    pub base: i64,
    /// No reader must ever see less.
    pub bound: Option<i64>,
    /// Amounts that were added.
    pub writes: Vec<Write<i64>>,
    /// Values that were seen, in order of their begin.
    pub reads: Vec<Read<i64>>,
    /// The value at the end, when all replicas are equal.
    pub end: Option<i64>,
}

/// What is wrong with a counter, if anything.
pub fn check(history: &History, rule: Rule<'_>) -> Option<String> {
    let seen = history.reads.iter().map(|read| read.shown).chain(history.end);
    if let Some((value, bound)) = history.bound.and_then(|bound| Some((seen.min()?, bound)))
        && value < bound
    {
        return Some(format!("the value {value} is less than the bound {bound}"));
    }
    let wrong = history.reads.iter().find_map(|read| out_of_range(history, read, rule));
    wrong.or_else(|| falls(history)).or_else(|| history.end.and_then(|end| no_sum(history, end)))
}

/// Is the value one that the amounts it must hold, and some of those that it may hold, can add up to?
fn out_of_range(history: &History, read: &Read<i64>, rule: Rule<'_>) -> Option<String> {
    let (mut least, mut most) = (history.base, history.base);
    for write in history.writes.iter().filter(|write| write.attempted() && write.start <= read.end) {
        let sure = write.is_met_by(read, rule);
        least += if sure { write.what } else { write.what.min(0) };
        most += if sure { write.what } else { write.what.max(0) };
    }
    let fits = (least..=most).contains(&read.shown);
    (!fits).then(|| format!("{} was read, which must be from {least} to {most}\n  {read:?}", read.shown))
}

/// A session never sees less than before, but for what was taken meanwhile.
fn falls(history: &History) -> Option<String> {
    use quorate_core::guarantee::Level;
    for (at, later) in history.reads.iter().enumerate().filter(|(_, later)| later.met >= Level::Session) {
        let taken = |write: &&Write<i64>| write.attempted() && write.what < 0 && write.start <= later.end;
        let taken: i64 = history.writes.iter().filter(taken).map(|write| write.what).sum();
        let before = |earlier: &&Read<i64>| earlier.session == later.session && earlier.end < later.start;
        let fallen = history.reads[..at].iter().filter(before).find(|earlier| later.shown < earlier.shown + taken);
        if let Some(earlier) = fallen {
            return Some(format!("a session saw {} and then {}\n  {later:?}", earlier.shown, later.shown));
        }
    }
    None
}

/// Is the end the sum of all that was acknowledged, and of some of what is unknown?
fn no_sum(history: &History, end: i64) -> Option<String> {
    let (mut sure, mut sums) = (history.base, BTreeSet::from([0]));
    for write in &history.writes {
        match write.fate {
            Fate::Done => sure += write.what,
            Fate::Fleeting | Fate::Unknown => {
                let with: Vec<i64> = sums.iter().map(|sum| sum + write.what).collect();
                sums.extend(with);
            }
            Fate::Refused => {}
        }
    }
    let missed = !sums.contains(&(end - sure));
    missed.then(|| format!("the end is {end}, {sure} was acknowledged, and what is unknown does not make up for it"))
}

#[cfg(test)]
mod tests {
    use super::super::{MAJORITY, read, write};
    use super::*;

    fn judged(writes: &[(i64, &str)], reads: &[(i64, &str)], end: Option<i64>) -> Option<String> {
        let history = History {
            base: 0,
            bound: Some(-5),
            writes: writes.iter().map(|(amount, text)| write(*amount, text)).collect(),
            reads: reads.iter().map(|(shown, text)| read(*shown, text)).collect(),
            end,
        };
        check(&history, MAJORITY)
    }

    #[test]
    fn what_was_acknowledged_is_counted_once() {
        let writes =
            [(5, "done 1..2 s1 @12"), (7, "unknown 1..9 s2"), (20, "fleeting 1..2 s1"), (90, "refused 1..2 s1")];
        for end in [5, 12, 25, 32] {
            assert_eq!(judged(&writes, &[], Some(end)), None);
        }
        for end in [0, 7, 10, 19, 95, 52] {
            assert!(judged(&writes, &[], Some(end)).is_some(), "{end}");
        }
    }

    #[test]
    fn a_read_misses_nothing_that_it_meets_and_invents_nothing() {
        let writes = [(5, "done 1..2 s1 @12"), (7, "unknown 6..9 s2"), (-3, "done 5..6 s2 @12")];
        for (shown, text, holds) in [
            (5, "3..4 s2 @2 eventual", true),
            (0, "3..4 s2 @2 eventual", false),
            (0, "3..4 s2 @3 eventual", true),
            (0, "3..4 s1 @3 session", false),
            (12, "3..4 s2 @2 eventual", false),
            (9, "7..8 s2 @2 eventual", true),
            (12, "7..8 s2 @2 eventual", false),
            (-4, "7..8 s2 @3 eventual", false),
        ] {
            assert_eq!(judged(&writes, &[(shown, text)], None).is_none(), holds, "{shown} {text}");
        }
    }

    #[test]
    fn a_session_does_not_go_back() {
        let writes = [(5, "unknown 1..2 s1")];
        let first = (5, "3..4 s2 @1 eventual");
        assert_eq!(judged(&writes, &[first, (0, "5..6 s3 @2 session")], None), None);
        assert_eq!(judged(&writes, &[first, (0, "5..6 s2 @2 eventual")], None), None);
        assert!(judged(&writes, &[first, (0, "5..6 s2 @2 session")], None).is_some());
    }

    #[test]
    fn nobody_sees_less_than_the_bound() {
        let writes = [(-9, "unknown 1..2 s1")];
        assert!(judged(&writes, &[(-9, "3..4 s2 @1 eventual")], None).is_some());
        assert!(judged(&writes, &[], Some(-9)).is_some());
    }
}
