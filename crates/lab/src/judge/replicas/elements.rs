//! Sets, and fields of maps: elements that are added once each, and perhaps removed. None that was acknowledged is lost, and none
//! that was removed comes back.

use super::{Fate, Read, Rule, Write};
use bytes::Bytes;
use quorate_core::guarantee::Level;
use std::collections::{BTreeMap, BTreeSet};

/// What happened to one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Elements that were added, each by one operation; `true` if it was sent once only.
    pub adds: Vec<Write<(Bytes, bool)>>,
    /// Elements that were removed.
    pub removals: Vec<Write<Bytes>>,
    /// What was seen, in order of the begin.
    pub reads: Vec<Read<BTreeSet<Bytes>>>,
    /// What is there at the end, when all replicas are equal.
    pub end: Option<BTreeSet<Bytes>>,
}

/// What is wrong with a set, if anything.
pub fn check(history: &History, rule: Rule<'_>) -> Option<String> {
    let mut removals: BTreeMap<&Bytes, Vec<&Write<Bytes>>> = BTreeMap::new();
    for removal in history.removals.iter().filter(|removal| removal.attempted()) {
        removals.entry(&removal.what).or_default().push(removal);
    }
    let added: BTreeSet<&Bytes> = history.adds.iter().map(|add| &add.what.0).collect();
    let mut shown = history.reads.iter().flat_map(|read| &read.shown).chain(history.end.iter().flatten());
    if let Some(stranger) = shown.find(|element| !added.contains(element)) {
        return Some(format!("{} is shown, and nobody added it", text(stranger)));
    }
    history.adds.iter().find_map(|add| {
        let removals = removals.get(&add.what.0).map_or(&[][..], |removals| &removals[..]);
        let element = Element { add, removals, rule };
        element.wrong_at_end(history).or_else(|| element.wrong_in_reads(history))
    })
}

fn text(element: &Bytes) -> String {
    String::from_utf8_lossy(element).into_owned()
}

struct Element<'a> {
    add: &'a Write<(Bytes, bool)>,
    removals: &'a [&'a Write<Bytes>],
    rule: Rule<'a>,
}

impl Element<'_> {
    /// The removals that surely removed it: they were acknowledged and saw the add. An add that was sent twice may have been
    /// applied twice, and a removal sees what had arrived.
    fn removed(&self) -> impl Iterator<Item = &Write<Bytes>> {
        let sure = |removal: &&Write<Bytes>| self.add.what.1 && self.add.is_seen_by(removal, self.rule);
        self.removals.iter().copied().filter(sure)
    }

    fn wrong_at_end(&self, history: &History) -> Option<String> {
        let there = history.end.as_ref()?.contains(&self.add.what.0);
        let name = text(&self.add.what.0);
        if !there && self.add.fate == Fate::Done && self.removals.is_empty() {
            return Some(format!("{name} was added, and is lost\n  {:?}", self.add));
        }
        if there && self.add.fate == Fate::Refused {
            return Some(format!("{name} was refused, and is there\n  {:?}", self.add));
        }
        let removal = self.removed().find(|removal| removal.fate == Fate::Done).filter(|_| there)?;
        Some(format!("{name} was removed, and is there at the end\n  {:?}\n  {removal:?}", self.add))
    }

    fn wrong_in_reads(&self, history: &History) -> Option<String> {
        let name = text(&self.add.what.0);
        let mut seen_by: BTreeMap<u32, u64> = BTreeMap::new();
        for read in &history.reads {
            let there = read.shown.contains(&self.add.what.0);
            let untouched = || self.removals.iter().all(|removal| removal.start > read.end);
            if there && (self.add.start > read.end || self.add.fate == Fate::Refused) {
                return Some(format!("{name} is shown before it was added\n  {read:?}"));
            }
            let own = || seen_by.get(&read.session).is_some_and(|&end| end < read.start && read.met >= Level::Session);
            if !there && (self.add.is_met_by(read, self.rule) || own()) && untouched() {
                return Some(format!("{name} is there and not shown\n  {:?}\n  {read:?}", self.add));
            }
            if let Some(removal) = self.removed().find(|removal| removal.is_met_by(read, self.rule)).filter(|_| there) {
                return Some(format!("{name} was removed, and is shown\n  {removal:?}\n  {read:?}"));
            }
            if there {
                let first = seen_by.entry(read.session).or_insert(read.end);
                *first = read.end.min(*first);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAJORITY, read, write};
    use super::*;

    fn set(text: &str) -> BTreeSet<Bytes> {
        text.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    fn judged(add: &str, removal: &str, reads: &[(&str, &str)], end: Option<&str>) -> bool {
        let element = Bytes::from_static(b"a");
        let history = History {
            adds: vec![write((element.clone(), true), add)],
            removals: Some(removal)
                .filter(|text| !text.is_empty())
                .map(|text| write(element, text))
                .into_iter()
                .collect(),
            reads: reads.iter().map(|(shown, text)| read(set(shown), text)).collect(),
            end: end.map(set),
        };
        check(&history, MAJORITY).is_none()
    }

    #[test]
    fn what_was_added_is_there_and_what_was_not_is_not() {
        assert!(judged("done 1..2 s1 @12", "", &[("a", "3..4 s2 @1 eventual")], Some("a")));
        assert!(!judged("done 1..2 s1 @12", "", &[], Some("")));
        assert!(!judged("done 1..2 s1 @12", "", &[], Some("a b")));
        assert!(!judged("refused 1..2 s1", "", &[], Some("a")));
        assert!(judged("unknown 1..2 s1", "", &[], Some("")));
        assert!(!judged("done 1..2 s1 @12", "", &[("", "3..4 s2 @2 eventual")], None));
        assert!(judged("done 1..2 s1 @12", "", &[("", "3..4 s2 @3 eventual")], None));
        assert!(!judged("done 5..6 s1 @12", "", &[("a", "3..4 s2 @1 eventual")], None));
    }

    #[test]
    fn what_was_removed_does_not_come_back() {
        let add = "done 1..2 s1 @12";
        assert!(!judged(add, "done 3..4 s2 @13", &[], Some("a")));
        assert!(!judged(add, "done 3..4 s1 @3", &[], Some("a")), "its own session");
        assert!(judged(add, "done 3..4 s2 @3", &[], Some("a")), "it need not have seen the add");
        assert!(judged(add, "unknown 3..4 s2 @13", &[], Some("a")));
        assert!(!judged(add, "done 3..4 s2 @13", &[("a", "5..6 s3 @3 eventual")], None));
        assert!(judged(add, "done 3..4 s2 @13", &[("a", "5..6 s3 @2 eventual")], None));
        assert!(judged(add, "unknown 3..9 s2", &[("", "5..6 s3 @2 eventual")], None));
    }

    #[test]
    fn a_session_sees_again_what_it_saw() {
        let add = "unknown 1..2 s1";
        assert!(judged(add, "", &[("a", "3..4 s2 @1 eventual"), ("", "5..6 s2 @2 eventual")], None));
        assert!(!judged(add, "", &[("a", "3..4 s2 @1 eventual"), ("", "5..6 s2 @2 session")], None));
    }
}
