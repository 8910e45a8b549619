//! Answers gathered from all groups of a table: elements are added once each, the table is emptied now and then, and
//! whoever lists or counts must see what is surely there and nothing that is surely not.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// What was asked of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Adds an element; no other operation adds the same.
    Add(Bytes),
    /// Removes all elements.
    Empty,
    /// Lists all elements.
    List,
    /// Counts all elements.
    Count,
    /// Names one element.
    Any,
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The change took place.
    Changed,
    /// These elements are there.
    Listed(Vec<Bytes>),
    /// So many elements are there.
    Counted(i64),
    /// This element is there, or there is none.
    One(Option<Bytes>),
    /// It may have taken place, or may yet.
    Unknown,
    /// It did not and will not take place.
    Refused,
}

/// One operation, with its times in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What was asked.
    pub asked: Asked,
    /// What was heard.
    pub told: Told,
    /// A reading operation that must not miss what ended before it began.
    pub fresh: bool,
    /// When it began.
    pub start: u64,
    /// When it ended.
    pub end: u64,
}

impl Event {
    /// The moment after which it surely has taken place, if there is one.
    fn done_by(&self) -> Option<u64> {
        (self.told == Told::Changed).then_some(self.end)
    }
    /// The moment after which it cannot take place any more.
    fn over_by(&self) -> u64 {
        if self.told == Told::Changed { self.end } else { u64::MAX }
    }
}

struct Table<'a> {
    adds: BTreeMap<&'a Bytes, &'a Event>,
    empties: Vec<&'a Event>,
}

impl Table<'_> {
    /// Was the element surely there during all of the event?
    fn must(&self, add: &Event, read: &Event) -> bool {
        let spared = |empty: &&Event| empty.start > read.end || empty.over_by() < add.start;
        read.fresh && add.done_by().is_some_and(|end| end < read.start) && self.empties.iter().all(spared)
    }
    /// Can the element have been there at a moment of the event? A weaker read may see any moment before its end.
    fn may(&self, add: &Event, read: &Event) -> bool {
        let removed = |empty: &&Event| {
            add.over_by() < empty.start && empty.done_by().is_some_and(|end| end < read.start) && read.fresh
        };
        add.start <= read.end && add.told != Told::Refused && !self.empties.iter().any(removed)
    }
}

/// The first operation that no moment explains, and why.
pub fn check(events: &[Event]) -> Option<(usize, String)> {
    let mut table = Table { adds: BTreeMap::new(), empties: Vec::new() };
    for event in events {
        match &event.asked {
            Asked::Add(element) => {
                table.adds.insert(element, event);
            }
            Asked::Empty if event.told != Told::Refused => table.empties.push(event),
            Asked::Empty | Asked::List | Asked::Count | Asked::Any => {}
        }
    }
    events.iter().enumerate().find_map(|(at, event)| Some((at, wrong(&table, event)?)))
}

fn wrong(table: &Table<'_>, read: &Event) -> Option<String> {
    let text = |element: &Bytes| String::from_utf8_lossy(element).into_owned();
    let must = || table.adds.iter().filter(|(_, add)| table.must(add, read)).map(|(element, _)| *element);
    let known = |element: &Bytes| table.adds.get(element).is_some_and(|add| table.may(add, read));
    match &read.told {
        Told::Listed(elements) => {
            let set: BTreeSet<&Bytes> = elements.iter().collect();
            if set.len() < elements.len() {
                return Some("an element is listed twice".to_string());
            }
            if let Some(missing) = must().find(|element| !set.contains(element)) {
                return Some(format!("{} is there and not listed", text(missing)));
            }
            elements.iter().find(|element| !known(element)).map(|it| format!("{} is listed and not there", text(it)))
        }
        Told::Counted(count) => {
            let least = must().count() as i64;
            let most = table.adds.values().filter(|add| table.may(add, read)).count() as i64;
            (*count < least || *count > most).then(|| format!("counted {count}, there are {least} to {most}"))
        }
        Told::One(None) => must().next().map(|element| format!("{} is there and none was named", text(element))),
        Told::One(Some(element)) => (!known(element)).then(|| format!("{} is named and not there", text(element))),
        Told::Changed | Told::Unknown | Told::Refused => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1..3 add a`, `4..5 list a,b`, `4..5 stale count 1`, `1..- add a` (unknown), `1..2 refused a`.
    fn events(text: &str) -> Vec<Event> {
        let names = |word: &str| -> Vec<Bytes> {
            word.split(',').filter(|name| *name != "-").map(|name| Bytes::copy_from_slice(name.as_bytes())).collect()
        };
        let event = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (start, end) = words[0].split_once("..").expect("two times");
            let changed = if end == "-" { Told::Unknown } else { Told::Changed };
            let fresh = words[1] != "stale";
            let (verb, word) = (words[words.len() - 2], words[words.len() - 1]);
            let name = || names(word).pop();
            let (asked, told) = match verb {
                "add" => (Asked::Add(name().expect("a name")), changed),
                "refused" => (Asked::Add(name().expect("a name")), Told::Refused),
                "empty" => (Asked::Empty, changed),
                "list" => (Asked::List, Told::Listed(names(word))),
                "count" => (Asked::Count, Told::Counted(word.parse().expect("a number"))),
                _ => (Asked::Any, Told::One(name())),
            };
            let end = end.parse().unwrap_or(u64::MAX);
            Event { asked, told, fresh, start: start.parse().expect("a time"), end }
        };
        text.split("; ").map(event).collect()
    }

    #[test]
    fn answers_that_a_moment_explains_pass() {
        for text in [
            "1..2 add a; 3..4 list a; 3..4 count 1; 3..4 any a",
            "1..5 add a; 3..4 list -; 3..4 list a; 3..4 count 0; 3..4 any -",
            "1..- add a; 8..9 list a; 8..9 list -",
            "1..2 add a; 3..4 empty all; 5..6 list -; 5..6 any -",
            // The two overlap: the element may have come after the table was emptied.
            "1..3 add a; 2..4 empty all; 5..6 list a; 5..6 list -",
            "1..2 add a; 3..- empty all; 8..9 list a; 8..9 count 0",
            "1..2 add a; 3..4 stale list -; 3..4 stale count 0",
            "1..2 add a; 3..4 empty all; 5..6 stale list a",
        ] {
            assert_eq!(check(&events(text)), None, "{text}");
        }
    }

    #[test]
    fn answers_that_no_moment_explains_fail() {
        for text in [
            "1..2 add a; 3..4 list -",
            "1..2 add a; 3..4 list a,a",
            "1..2 add a; 1..2 add b; 3..4 list b",
            "1..2 add a; 1..2 add b; 3..4 count 1",
            "1..2 add a; 3..4 count 2",
            "1..2 add a; 3..4 any -",
            "1..2 refused a; 3..4 list a",
            "5..6 add a; 3..4 list a",
            "5..6 add a; 3..4 stale any a",
            "3..4 list x",
            "1..2 add a; 3..4 empty all; 5..6 list a",
            "1..2 add a; 3..4 empty all; 5..6 count 1",
            "1..2 empty all; 3..4 add a; 5..6 list -",
        ] {
            assert!(check(&events(text)).is_some(), "{text}");
        }
    }
}
