//! Bytes, words and refusals.

use super::*;
use crate::clock::{Actor, Stamp};
use crate::machine::NodeId;
use crate::random::Random;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use bytes::Bytes;

const ACTOR: Actor = Actor { node: NodeId(2), incarnation: 3 };
const OTHER: Actor = Actor { node: NodeId(4), incarnation: 1 };

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn word(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn field(kind: Kind) -> Field {
    Field { name: word("f"), kind }
}

fn leaf<C>(wrap: fn(C) -> Leaf) -> impl FnOnce(C) -> AnyCell {
    move |cell| AnyCell::Leaf(wrap(cell))
}

/// One change of each kind.
fn changes() -> Vec<(Kind, Delta<AnyCell>)> {
    let mut context: Context = [Dot { actor: OTHER, count: 7 }].into_iter().collect();
    let seen = context.clone();
    let dot = context.advance(ACTOR);
    let nothing = SeenMembers::new();
    let stamp = Stamp { time_ms: 300, count: 1, actor: ACTOR };
    let mut counter = Counter::default();
    counter.add(ACTOR, 300).expect("it fits");
    let reset = counter.remove(&counter.seen()).expect("counters are reset");
    let mut bounded = Bounded::default();
    bounded.increase(ACTOR, 5, 0).expect("it fits");
    bounded.transfer(ACTOR, OTHER, 2).expect("the rights are there");
    let mut map = Map::default();
    let write = |cell: &mut Leaf| match cell {
        Leaf::Register(cell) => Ok(cell.write(dot, &seen, word("v")).map(Leaf::Register)),
        _ => panic!("the field is a register"),
    };
    vec![
        (Kind::Register, Register::default().write(dot, &seen, word("v")).map(leaf(Leaf::Register))),
        (Kind::Latest, Latest::default().write(dot, &seen, stamp, word("v")).map(leaf(Leaf::Latest))),
        (Kind::Flag, EnableWins::default().enable(dot, &seen).map(leaf(Leaf::Flag))),
        (Kind::DisableWinsFlag, DisableWins::default().disable(dot, &seen).map(leaf(Leaf::DisableWinsFlag))),
        (Kind::Set, AddWins::default().add(dot, &nothing, &word("m")).map(leaf(Leaf::Set))),
        (Kind::RemoveWinsSet, RemoveWins::default().take(dot, &nothing, &word("m")).map(leaf(Leaf::RemoveWinsSet))),
        (Kind::Counter, reset.map(leaf(Leaf::Counter))),
        (Kind::Bounded, bounded.decrease(ACTOR, 1).expect("the rights are there").map(leaf(Leaf::Bounded))),
        (Kind::Text, Text::default().replace(dot, &seen, word("u")).map(leaf(Leaf::Text))),
        (Kind::Map, map.update(&field(Kind::Register), write).expect("writes are not refused").map(AnyCell::Map)),
    ]
}

#[test]
fn cells_have_these_bytes() {
    // The cell: leaf or map, kind, what it holds. The context: what is known without holes, what beyond.
    let expected = [
        "00 00 01 020301 01 76                         01 020301 01 040107",
        "00 01 01 020301 ac02 01 0203 01 76            01 020301 01 040107",
        "00 02 01 020301                               01 020301 01 040107",
        "00 03 01 020301 00                            01 020301 01 040107",
        "00 04 01 016d 01 020301                       01 020301 00",
        "00 05 01 016d 01 020301 00                    01 020301 00",
        "00 06 01 0203 ac02 00 00 01 0203 ac02 00 00   00 00",
        "00 07 02 0203 0203 05 0203 0401 02 01 0203 01 00 00",
        "00 08 01 020301 01 75                         01 020301 01 040107",
        "01 01 0166 00 00 01 020301 01 76              01 020301 01 040107",
    ];
    let changes = changes();
    let found: Vec<String> =
        changes.iter().map(|(_, delta)| hex(&postcard::to_allocvec(delta).expect("it encodes"))).collect();
    assert_eq!(found, expected.map(|bytes| bytes.replace(' ', "")));
    for (kind, delta) in changes {
        let bytes = postcard::to_allocvec(&delta).expect("it encodes");
        assert_eq!(postcard::from_bytes(&bytes), Ok(delta.clone()));
        assert!(delta.cell.is_sound(kind));
        let seen = delta.cell.seen();
        let bytes = postcard::to_allocvec(&seen).expect("it encodes");
        assert_eq!(postcard::from_bytes(&bytes), Ok(seen));
    }
}

#[test]
fn arbitrary_bytes_make_no_cell_that_panics() {
    let mut random = Random::new(1);
    let whole: Vec<Vec<u8>> =
        changes().iter().map(|(_, delta)| postcard::to_allocvec(delta).expect("it encodes")).collect();
    let mut joined = 0;
    for round in 0..50_000 {
        let mut bytes = whole[round % whole.len()].clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next() as u8;
        }
        let Ok((delta, _)) = postcard::take_from_bytes::<Delta<AnyCell>>(&bytes) else { continue };
        for (kind, change) in changes() {
            if delta.cell.is_sound(kind) {
                let mut cell = change.cell;
                cell.join(&change.context, &delta.cell, &delta.context);
                let _ = (cell.seen(), cell.is_absent());
                joined += 1;
            }
        }
    }
    assert!(joined > 1_000, "{joined} were joined");
}

#[test]
fn a_field_of_another_kind_than_its_name_is_not_sound() {
    let (_, map) = changes().pop().expect("there are changes");
    let bytes = postcard::to_allocvec(&map.cell).expect("it encodes");
    // The map, one field, its name of one byte, and then its kind.
    let mut other = bytes.clone();
    other[4] = Kind::Set as u8;
    let cell: AnyCell = postcard::from_bytes(&other).expect("it decodes");
    assert!(map.cell.is_sound(Kind::Map) && !cell.is_sound(Kind::Map) && !map.cell.is_sound(Kind::Set));
}

#[test]
fn what_cannot_be_removed_or_nested_is_refused() {
    let mut map = Map::default();
    assert_eq!(map.update(&field(Kind::Map), |_| panic!("it is not reached")), Err(Refused::Nested));
    let increase = |leaf: &mut Leaf| match leaf {
        Leaf::Bounded(cell) => Ok(cell.increase(ACTOR, 1, 0)?.map(Leaf::Bounded)),
        _ => panic!("the field is bounded"),
    };
    let add = |leaf: &mut Leaf| match leaf {
        Leaf::Counter(cell) => Ok(cell.add(ACTOR, 1)?.map(Leaf::Counter)),
        _ => panic!("the field is a counter"),
    };
    map.update(&field(Kind::Bounded), increase).expect("it fits");
    map.update(&field(Kind::Counter), add).expect("it fits");
    let before = map.clone();
    // The counter comes first, and is not reset if the other refuses.
    assert_eq!(map.remove(&map.seen()), Err(Refused::Stays));
    assert_eq!(map, before);
    map.remove(&map.seen_of(&field(Kind::Counter))).expect("counters are reset");
    assert_eq!(map.fields().map(|(field, _)| field.kind).collect::<Vec<_>>(), [Kind::Bounded]);
    assert!(map.get(&field(Kind::Counter)).is_none());
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let (mut set, mut context) = (AddWins::default(), Context::default());
    for round in 0..1_000 {
        let member = Bytes::from(format!("{round}"));
        let dot = context.advance(ACTOR);
        let seen = set.seen_of(&member);
        set.add(dot, &seen, &member);
        let seen = set.seen_of(&member);
        let removal = set.remove(&seen).expect("members are removed");
        context.join(&removal.context);
    }
    assert!(set.is_bottom());
    let bytes = postcard::to_allocvec(&(set, context)).expect("it encodes");
    assert_eq!(bytes.len(), 7, "one actor, one count");
}

#[test]
fn every_kind_has_its_word_and_its_empty_cell() {
    for (kind, word) in Kind::ALL {
        assert_eq!((kind.word(), Kind::from_word(word)), (word, Some(kind)));
        let cell = AnyCell::new(kind);
        assert_eq!(cell.kind(), kind);
        assert!(cell.is_bottom() && cell.is_absent() && cell.is_sound(kind));
    }
    assert_eq!(Kind::from_word("or-set"), Some(Kind::Set));
    assert_eq!(Kind::from_word("list"), None);
}
