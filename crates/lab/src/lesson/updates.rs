//! What cells are for: updates that arrive twice, states that must not grow with every update, likes from two regions, and words that two write at
//! one place.

use super::{Run, actor, failed, row, table, unexpected};
use bytes::Bytes;
use quorate_core::clock::{Context, Hybrid};
use quorate_core::crdt::text::{Edit, Text};
use quorate_core::crdt::{AddWins, Cell, Counter, Latest};
use quorate_core::random::Random;
use std::collections::BTreeMap;

const UPDATES: u64 = 1_000;
/// One in so many updates arrives again.
const AGAIN: u64 = 20;

/// Increments travel to another replica, and some arrive twice. With the rule broken an update says "add so much"; else it says what its node has
/// added in all.
pub(crate) fn doubled(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    let (mut here, mut there, nothing) = (Counter::default(), Counter::default(), Context::default());
    let (mut expected, mut naive, mut copies) = (0, 0, 0);
    for _ in 0..UPDATES {
        let amount = 1 + random.below(9) as i64;
        expected += amount;
        let update = here.add(actor(1), amount).expect("it fits");
        let again = u64::from(random.below(AGAIN) == 0);
        copies += again;
        for _ in 0..=again {
            naive += amount;
            there.join(&nothing, &update.cell, &update.context);
        }
    }
    let counted = if broken { i128::from(naive) } else { there.value() };
    let rows = [
        row(&["an update says", "updates", "copies", "expected", "counted"]),
        row(&[
            if broken { "add so much" } else { "added in all" },
            &UPDATES.to_string(),
            &copies.to_string(),
            &expected.to_string(),
            &counted.to_string(),
        ]),
    ];
    let more = counted - i128::from(expected);
    let failure = if copies == 0 || (!broken && more != 0) {
        Some(unexpected("no update came twice, or the cell miscounts"))
    } else {
        let detail = format!("{copies} copies of {UPDATES} updates add {more}");
        (more != 0).then(|| failed("what arrives twice counts twice", detail))
    };
    Run::counted(UPDATES, failure, table(&rows))
}

const ROUNDS: u64 = 10_000;

/// Members are added to a set and removed again. With the rule broken each removal leaves a tombstone, so that it is known when an add comes late; else
/// it is known from the context, which for each node is a number.
pub(crate) fn tombstones(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    // The tag of each add, and whether it was removed.
    let mut naive: BTreeMap<u64, bool> = BTreeMap::new();
    let (mut cell, mut known) = (AddWins::default(), Context::default());
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        let (by, member) = (actor(1 + random.below(3) as u16), Bytes::from(format!("m{}", random.below(8))));
        let (dot, seen) = (known.advance(by), cell.seen_of(&member));
        cell.add(dot, &seen, &member);
        let (dot, seen) = (known.advance(by), cell.seen_of(&member));
        cell.take(dot, &seen, &member);
        naive.insert(round, true);
        if (round + 1) % (ROUNDS / 4) == 0 {
            let entries = cell.members().count() + known.base().iter().count() + known.beyond().count();
            sizes.push((round + 1, if broken { naive.len() } else { entries }));
        }
    }
    let mut rows = vec![row(&["adds and removals", "entries kept"])];
    rows.extend(sizes.iter().map(|(rounds, entries)| row(&[&(2 * rounds).to_string(), &entries.to_string()])));
    let (first, last) = (sizes[0].1, sizes[sizes.len() - 1].1);
    let failure = if cell.members().next().is_some() {
        Some(unexpected("a member that was removed is there"))
    } else {
        let detail = format!("the set is empty, and keeps {last} tombstones");
        (last > first).then(|| failed("an empty set grows for ever", detail))
    };
    Run::counted(2 * ROUNDS, failure, table(&rows))
}

const LIKES: u64 = 1_000;
/// The regions hear of each other after so many likes.
const APART: u64 = 10;

/// Two regions count likes. With the rule broken the count is a value that is read, raised and written, and the last writer wins.
pub(crate) fn likes(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    let mut clocks = [1, 2].map(|node| Hybrid::new(actor(node), u64::MAX));
    let mut known = [Context::default(), Context::default()];
    let (mut values, mut counters) = ([Latest::default(), Latest::default()], [Counter::default(), Counter::default()]);
    let nothing = Context::default();
    let count = |cell: &Latest| {
        cell.read().map_or(0, |shown| shown.value.iter().fold(0, |sum, &digit| sum << 8 | u64::from(digit)))
    };
    for like in 1..=LIKES {
        let at = random.below(2) as usize;
        let (by, raised) = (actor(at as u16 + 1), count(&values[at]) + 1);
        let (dot, seen, stamp) = (known[at].advance(by), values[at].seen(), clocks[at].tick(like));
        values[at].write(dot, &seen, stamp, Bytes::copy_from_slice(&raised.to_be_bytes()));
        counters[at].add(by, 1).expect("it fits");
        if like % APART == 0 {
            let (cells, contexts, sums) = (values.clone(), known.clone(), counters.clone());
            for (to, from) in [(0, 1), (1, 0)] {
                values[to].join(&contexts[to], &cells[from], &contexts[from]);
                known[to].join(&contexts[from]);
                counters[to].join(&nothing, &sums[from], &nothing);
            }
        }
    }
    let counted = if broken { i128::from(count(&values[0])) } else { counters[0].value() };
    let rows = [
        row(&["cell", "likes", "counted"]),
        row(&[
            if broken { "a number in an lww-register" } else { "counter" },
            &LIKES.to_string(),
            &counted.to_string(),
        ]),
    ];
    let lost = i128::from(LIKES) - counted;
    let failure = if values[0].read() != values[1].read() {
        Some(unexpected("the regions differ"))
    } else {
        (lost != 0)
            .then(|| failed("likes are lost", format!("both regions agree, and {lost} of {LIKES} likes are gone")))
    };
    Run::counted(LIKES, failure, table(&rows))
}

const WORDS: [&str; 2] = ["quorum", "LEADER"];

/// Two write a word at one place of a text, without hearing of each other. With the rule broken each letter has a fraction as its place, in the
/// middle between its neighbours.
pub(crate) fn interleaving(_seed: u64, broken: bool, _trace: bool) -> Run {
    let shown = if broken { by_fractions() } else { by_neighbours() };
    let letters = WORDS.concat().len();
    let whole = WORDS.iter().all(|word| shown.contains(word));
    let found = format!("\"{}\" and \"{}\" are written into \"[]\": {shown}", WORDS[0], WORDS[1]);
    let failure = if shown.len() != letters + 2 {
        Some(unexpected("letters are missing, or there are more than were written"))
    } else {
        (!whole).then(|| failed("two words are mixed letter by letter", shown.clone()))
    };
    Run::counted(letters as u64, failure, found)
}

/// As the state of all letters, each with its place between 0 and 2^32 and its writer.
fn by_fractions() -> String {
    let mut letters = BTreeMap::from([((0u64, 0), '['), ((1 << 32, 0), ']')]);
    for (writer, word) in WORDS.iter().enumerate() {
        let (mut left, right) = (0, 1 << 32);
        for letter in word.chars() {
            left = (left + right) / 2;
            letters.insert((left, writer + 1), letter);
        }
    }
    letters.into_values().collect()
}

/// With the text of the core: a letter names those beside which it was written.
fn by_neighbours() -> String {
    let (mut base, mut known) = (Text::default(), Context::default());
    let type_in = |text: &mut Text, known: &mut Context, node: u16, position: u64, words: &str| {
        let dot = known.advance(actor(node));
        let edit = Edit::Insert { position, text: words.to_string() };
        let (update, _) = text.edit(dot, &edit).expect("the text has such a place");
        text.add(dot, update).expect("it is short")
    };
    type_in(&mut base, &mut known, 3, 0, "[]");
    let mut all = (base.clone(), known.clone());
    for (node, word) in (1..).zip(WORDS) {
        let (mut text, mut seen) = (base.clone(), known.clone());
        // Letter by letter, as people type.
        for (position, letter) in (1..).zip(word.chars()) {
            type_in(&mut text, &mut seen, node, position, &letter.to_string());
        }
        all.0.join(&all.1, &text, &seen);
        all.1.join(&seen);
    }
    all.0.show().expect("it is no tangle").0
}
