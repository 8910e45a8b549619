//! Registers that are only compared and set: their swaps and linearizable reads have one order, and a plain read that meets a swap does not
//! show what that replaced.

use super::{Read, Rule, Write};
use bytes::Bytes;
use std::collections::BTreeSet;

/// A value that takes the place of another, or of none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// What was there.
    pub expected: Option<Bytes>,
    /// The new value, that nobody else writes.
    pub new: Bytes,
}

/// What plain reads are held to. The order of swaps and linearizable reads is judged as that of any register.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Those that took place, or may have.
    pub swaps: Vec<Write<Swap>>,
    /// What was seen by reads of any level.
    pub reads: Vec<Read<BTreeSet<Bytes>>>,
    /// What is there at the end, when all replicas are equal.
    pub end: Option<BTreeSet<Bytes>>,
}

/// What is wrong with plain reads, if anything.
pub fn check(history: &History, rule: Rule<'_>) -> Option<String> {
    let known: BTreeSet<&Bytes> =
        history.swaps.iter().filter(|swap| swap.attempted()).map(|swap| &swap.what.new).collect();
    let mut shown = history.reads.iter().map(|read| &read.shown).chain(&history.end);
    if let Some(wrong) = shown.find(|values| values.len() > 1 || values.iter().any(|value| !known.contains(value))) {
        return Some(format!("{wrong:?} is shown, and nobody set it to that"));
    }
    let replaced = |shown: &BTreeSet<Bytes>, swap: &Write<Swap>| shown.first() == swap.what.expected.as_ref();
    history.swaps.iter().find_map(|swap| {
        if let Some(end) = history.end.as_ref().filter(|end| swap.fate == super::Fate::Done && replaced(end, swap)) {
            return Some(format!("{end:?} is there at the end, and was replaced\n  {swap:?}"));
        }
        let read = history.reads.iter().find(|read| swap.is_met_by(read, rule) && replaced(&read.shown, swap))?;
        Some(format!("what was replaced is shown\n  {swap:?}\n  {read:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{MAJORITY, read, write};
    use super::*;

    fn set(text: &str) -> BTreeSet<Bytes> {
        text.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    /// Swaps `a b`, or `- b` of what was absent.
    fn judged(swaps: &[(&str, &str)], reads: &[(&str, &str)], end: Option<&str>) -> bool {
        let one = |(what, text): &(&str, &str)| {
            let (expected, new) = what.split_once(' ').expect("two values");
            let value = |word: &str| Bytes::copy_from_slice(word.as_bytes());
            write(Swap { expected: (expected != "-").then(|| value(expected)), new: value(new) }, text)
        };
        let history = History {
            swaps: swaps.iter().map(one).collect(),
            reads: reads.iter().map(|(shown, text)| read(set(shown), text)).collect(),
            end: end.map(set),
        };
        check(&history, MAJORITY).is_none()
    }

    #[test]
    fn what_was_replaced_is_not_shown_to_who_meets_the_swap() {
        let (a, b) = (("- a", "done 1..2 s1 @12"), ("a b", "done 3..4 s1 @12"));
        assert!(judged(&[a, b], &[("b", "5..6 s2 @2 eventual")], Some("b")));
        assert!(!judged(&[a, b], &[("a", "5..6 s2 @2 eventual")], None), "one that holds the swap answered");
        assert!(!judged(&[a, b], &[("", "5..6 s2 @23 regular")], None), "nothing was replaced by a");
        assert!(judged(&[a, b], &[("a", "5..6 s2 @3 eventual")], None));
        assert!(judged(&[a, ("a b", "unknown 3..4 s1")], &[("a", "5..6 s2 @2 eventual")], Some("b")));
        assert!(!judged(&[a, b], &[], Some("a")));
        assert!(!judged(&[a, b], &[], Some("a b")), "a register that is swapped has one value");
        assert!(!judged(&[a, ("a x", "refused 3..4 s1")], &[], Some("x")));
    }
}
