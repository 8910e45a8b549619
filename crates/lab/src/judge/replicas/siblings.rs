//! Registers that keep what was written concurrently: a value is a sibling exactly as long as no write that saw it replaced it.

use super::{Fate, Read, Rule, Write};
use bytes::Bytes;
use std::collections::BTreeSet;

/// A write that hands back what it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The new value, that nobody else writes; none for a removal.
    pub by: Option<Bytes>,
    /// The values that it saw.
    pub saw: BTreeSet<Bytes>,
}

/// What happened to one register.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// All writes.
    pub writes: Vec<Write<Replaced>>,
    /// What was seen, in order of the begin.
    pub reads: Vec<Read<BTreeSet<Bytes>>>,
    /// What is there at the end, when all replicas are equal.
    pub end: Option<BTreeSet<Bytes>>,
}

/// What is wrong with a register, if anything.
pub fn check(history: &History, rule: Rule<'_>) -> Option<String> {
    let known: BTreeSet<&Bytes> =
        history.writes.iter().filter(|write| write.attempted()).filter_map(|write| write.what.by.as_ref()).collect();
    let mut shown = history.reads.iter().flat_map(|read| &read.shown).chain(history.end.iter().flatten());
    if let Some(stranger) = shown.find(|value| !known.contains(value)) {
        return Some(format!("{} is shown, and nobody wrote it", String::from_utf8_lossy(stranger)));
    }
    history.writes.iter().find_map(|write| {
        let value = write.what.by.as_ref()?;
        let replacing: Vec<&Write<Replaced>> =
            history.writes.iter().filter(|other| other.attempted() && other.what.saw.contains(value)).collect();
        let name = String::from_utf8_lossy(value);
        if let Some(end) = &history.end {
            let there = end.contains(value);
            if !there && write.fate == Fate::Done && replacing.is_empty() {
                return Some(format!("{name} was acknowledged, nobody replaced it, and it is lost\n  {write:?}"));
            }
            if let Some(by) = replacing.iter().find(|by| by.fate == Fate::Done).filter(|_| there) {
                return Some(format!("{name} was replaced, and is there at the end\n  {write:?}\n  {by:?}"));
            }
        }
        history.reads.iter().find_map(|read| {
            let there = read.shown.contains(value);
            if there && write.start > read.end {
                return Some(format!("{name} is shown before it was written\n  {read:?}"));
            }
            let untouched = replacing.iter().all(|by| by.start > read.end);
            if !there && untouched && write.is_met_by(read, rule) {
                return Some(format!("{name} is there and not shown\n  {write:?}\n  {read:?}"));
            }
            let by = replacing.iter().find(|by| by.is_met_by(read, rule)).filter(|_| there)?;
            Some(format!("{name} was replaced, and is shown\n  {by:?}\n  {read:?}"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{MAJORITY, read, write};
    use super::*;

    fn set(text: &str) -> BTreeSet<Bytes> {
        text.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    /// Writes `b saw a`, or `- saw a` for a removal.
    fn judged(writes: &[(&str, &str)], reads: &[(&str, &str)], end: Option<&str>) -> bool {
        let one = |(what, text): &(&str, &str)| {
            let (by, saw) = what.split_once(" saw").expect("a write says what it saw");
            let by = (by != "-").then(|| Bytes::copy_from_slice(by.as_bytes()));
            write(Replaced { by, saw: set(saw) }, text)
        };
        let history = History {
            writes: writes.iter().map(one).collect(),
            reads: reads.iter().map(|(shown, text)| read(set(shown), text)).collect(),
            end: end.map(set),
        };
        check(&history, MAJORITY).is_none()
    }

    #[test]
    fn values_are_siblings_exactly_when_nobody_replaced_them() {
        let (a, b) = (("a saw", "done 1..2 s1 @12"), ("b saw", "done 1..2 s2 @23"));
        assert!(judged(&[a, b], &[], Some("a b")));
        assert!(!judged(&[a, b], &[], Some("b")), "a concurrent value is dropped");
        let c = ("c saw a", "done 3..4 s1 @12");
        assert!(judged(&[a, b, c], &[], Some("b c")));
        assert!(!judged(&[a, b, c], &[], Some("a b c")), "a replaced value came back");
        assert!(!judged(&[a, b, c], &[], Some("b")));
        let unknown = ("c saw a", "unknown 3..4 s1");
        for end in ["a b", "b c"] {
            assert!(judged(&[a, b, unknown], &[], Some(end)));
        }
        assert!(judged(&[a, ("- saw a", "done 3..4 s1 @12")], &[], Some("")));
        assert!(!judged(&[a, ("- saw a", "done 3..4 s1 @12")], &[], Some("a")));
        assert!(!judged(&[a], &[], Some("a x")), "nobody wrote x");
        assert!(!judged(&[a, ("x saw", "refused 1..2 s1")], &[], Some("a x")));
    }

    #[test]
    fn reads_show_what_they_meet() {
        let (a, c) = (("a saw", "done 1..2 s1 @12"), ("c saw a", "done 3..4 s1 @12"));
        assert!(!judged(&[a], &[("", "3..4 s2 @2 eventual")], None));
        assert!(judged(&[a], &[("", "3..4 s2 @3 eventual")], None));
        assert!(!judged(&[a, c], &[("a", "5..6 s2 @1 eventual")], None));
        assert!(judged(&[a, c], &[("a", "5..6 s2 @3 eventual")], None));
        assert!(!judged(&[c], &[("c", "1..2 s2 @3 eventual")], None));
    }
}
