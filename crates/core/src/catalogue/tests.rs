use super::*;
use crate::crdt::Kind;
use crate::placement::Division;
use crate::quorum::Rule;
use alloc::format;
use bytes::Bytes;

fn leaderless(kind: Kind) -> LeaderlessSpec {
    let rule = Rule::new(3, 2, 2).expect("it is one");
    LeaderlessSpec { rule, kind, bound: 0, division: Division::Hash }
}

#[test]
fn what_a_shape_cannot_give_is_refused() {
    let mut catalogue = Catalogue::default();
    let set = Shape::Leaderless(leaderless(Kind::Set));
    for name in ["", "1", "a b", "ä", "-a", "a/b", &"x".repeat(65)] {
        assert_eq!(catalogue.create(name, set.clone()), Err(TableError::Name), "{name}");
    }
    let bound = Shape::Leaderless(LeaderlessSpec { bound: 3, ..leaderless(Kind::Set) });
    assert_eq!(catalogue.create("carts", bound), Err(TableError::Bound));
    for bounds in [&[&b"b"[..], b"a"][..], &[b"a", b"a"], &[b""]] {
        let division = Division::Order(bounds.iter().map(|bound| Bytes::copy_from_slice(bound)).collect());
        let shape = Shape::Leaderless(LeaderlessSpec { division, ..leaderless(Kind::Set) });
        assert_eq!(catalogue.create("carts", shape), Err(TableError::Ranges), "{bounds:?}");
    }
    assert_eq!(catalogue, Catalogue::default());
    catalogue.create("carts", set.clone()).expect("it can be given");
    assert_eq!(catalogue.create("carts", set.clone()), Err(TableError::Exists));
    assert_eq!(catalogue.alter("carts", Shape::Consensus), Err(TableError::Fixed("shape")));
    assert_eq!(catalogue.alter("carts", Shape::Leaderless(leaderless(Kind::Map))), Err(TableError::Fixed("cell")));
    assert_eq!(catalogue.alter("wagons", set), Err(TableError::Unknown));
    let epoch = catalogue.find("carts").expect("it is there").1.epoch;
    let rule = Rule::new(3, 1, 3).expect("it is one");
    let fast = Shape::Leaderless(LeaderlessSpec { rule, ..leaderless(Kind::Set) });
    catalogue.alter("carts", fast).expect("the data stay");
    assert_eq!(catalogue.find("carts").expect("it is there").1.epoch, epoch, "no data moved");
}

#[test]
fn numbers_are_never_used_again() {
    let mut catalogue = Catalogue::default();
    let first = catalogue.create("a", Shape::Consensus).expect("it is free");
    assert_eq!(first, TableId(FIRST_TABLE));
    catalogue.remove("a").expect("it is there");
    assert_eq!(catalogue.remove("a"), Err(TableError::Unknown));
    assert_ne!(catalogue.create("a", Shape::Consensus), Ok(first));
    for number in 1..limits::TABLES_MADE {
        catalogue.create(&format!("t{number}"), Shape::Consensus).expect("there is room");
    }
    assert_eq!(catalogue.create("more", Shape::Consensus), Err(TableError::TooMany));

    let node = NodeId(3);
    assert_eq!(catalogue.actor(node, 7), None);
    assert_eq!([7, 7, 9, 7].map(|claim| catalogue.begin_life(node, claim)), [1, 1, 2, 3]);
    assert_eq!(catalogue.actor(node, 9), None, "that life is over");
    assert_eq!(catalogue.actor(node, 7), Some(Actor { node, incarnation: 3 }));
}

#[test]
fn the_catalogue_has_these_bytes() {
    let mut catalogue = Catalogue::default();
    let division = Division::Order(alloc::vec![Bytes::from_static(b"m")]);
    let shape = Shape::Leaderless(LeaderlessSpec { division, bound: -2, ..leaderless(Kind::Bounded) });
    catalogue.create("stock", shape).expect("it can be given");
    catalogue.create("log", Shape::Consensus).expect("it can be given");
    catalogue.begin_life(NodeId(2), 300);
    let bytes = catalogue.encode();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex,
        "010302800205 73746f636b 01 01 03 02 02 07 03 01 01 01 6d 8102 03 6c6f67 02 00 02 01 02 01 ac02"
            .replace(' ', "")
    );
    assert_eq!(Catalogue::decode(&bytes), Some(catalogue));
    assert_eq!(Catalogue::decode(&bytes[..4]), None);
    assert_eq!(Catalogue::decode(&[2]), None);
}
