use super::*;
use crate::crdt::Kind;
use crate::placement::Division;
use crate::quorum::Rule;
use alloc::collections::BTreeSet;
use alloc::format;
use bytes::Bytes;

fn leaderless(kind: Kind) -> LeaderlessSpec {
    let rule = Rule::new(3, 2, 2).expect("it is one");
    LeaderlessSpec { rule, kind, bound: 0, division: Division::Hash, parts: 1 }
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
    assert_eq!([7, 7, 9, 7].map(|claim| catalogue.begin_life(node, claim, 0)), [1, 1, 2, 3]);
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
    catalogue.begin_life(NodeId(2), 300, 0);
    let bytes = catalogue.encode();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex,
        "030302800205 73746f636b 01 01 03 02 02 07 03 01 01 01 6d 01 00 00 8102 03 6c6f67 02 00 00 00 02 01 02 01 ac02 00 00"
            .replace(' ', "")
    );
    assert_eq!(Catalogue::decode(&bytes), Some(catalogue));
    assert_eq!(Catalogue::decode(&bytes[..4]), None);
    assert_eq!(Catalogue::decode(&[1]), None);
}

fn founded(nodes: u16) -> Catalogue {
    let mut catalogue = Catalogue::default();
    catalogue.create("carts", Shape::Leaderless(leaderless(Kind::Set))).expect("it can be given");
    let members: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
    catalogue.found(&Founders { voters: members.clone(), members });
    catalogue
}

fn carts(catalogue: &Catalogue) -> (u64, Option<&Moving>) {
    let (_, spec) = catalogue.find("carts").expect("it is there");
    (spec.epoch, spec.placed.moving.as_ref())
}

fn weight(weight: u16) -> MemberChange {
    MemberChange { weight: Some(weight), ..MemberChange::default() }
}

fn nodes(nodes: impl IntoIterator<Item = u16>) -> BTreeSet<NodeId> {
    nodes.into_iter().map(NodeId).collect()
}

#[test]
fn data_count_where_they_come_from_until_all_have_compared() {
    let mut catalogue = founded(4);
    let id = catalogue.find("carts").expect("it is there").0;
    let (first, moving) = carts(&catalogue);
    assert_eq!(moving, None, "who founds moves nothing");
    catalogue.set_member(NodeId(5), MemberChange::default()).expect("there is room");
    let (second, moving) = carts(&catalogue);
    let from = moving.expect("data move").from.clone();
    assert!(second > first);
    assert_eq!(moving.expect("data move").awaited, nodes([5]), "only who gains a range may lack data");
    // What was said in another epoch, and by whom nobody waits for, changes nothing.
    catalogue.caught_up(id, first, NodeId(5));
    catalogue.caught_up(id, second, NodeId(1));
    assert_eq!(carts(&catalogue).0, second);
    assert!(carts(&catalogue).1.is_some());
    // The target changes on the way, and the place where all data are stays.
    catalogue.set_member(NodeId(1), weight(0)).expect("four are left");
    let (third, moving) = carts(&catalogue);
    let moving = moving.expect("data move");
    assert_eq!((third > second, &moving.from), (true, &from));
    assert_eq!(moving.awaited, nodes(2..=5), "the ranges of node 1 go to all others");
    catalogue.caught_up(id, second, NodeId(5));
    for node in 2..=5 {
        assert!(carts(&catalogue).1.is_some_and(|moving| moving.awaited.contains(&NodeId(node))));
        catalogue.caught_up(id, third, NodeId(node));
    }
    let (fourth, moving) = carts(&catalogue);
    assert_eq!((fourth > third, moving), (true, None));
    // And back, before anybody compared: nothing is left to wait for.
    catalogue.set_member(NodeId(1), weight(1)).expect("there is room");
    assert!(carts(&catalogue).1.is_some());
    catalogue.set_member(NodeId(1), weight(0)).expect("four are left");
    let (fifth, moving) = carts(&catalogue);
    assert_eq!((fifth > fourth, moving), (true, None));
}

#[test]
fn other_numbers_of_replicas_and_of_writes_await_all() {
    let mut catalogue = founded(5);
    let ruled = |replicas, read, write| {
        let rule = Rule::new(replicas, read, write).expect("it is one");
        Shape::Leaderless(LeaderlessSpec { rule, ..leaderless(Kind::Set) })
    };
    for (rule, why) in
        [(ruled(5, 3, 3), "data move"), (ruled(5, 4, 2), "readers of three may not know that writes are on two")]
    {
        let id = catalogue.alter("carts", rule).expect(why);
        for node in 1..=5 {
            let (epoch, moving) = carts(&catalogue);
            assert!(moving.is_some_and(|moving| moving.awaited.contains(&NodeId(node))), "{why}");
            catalogue.caught_up(id, epoch, NodeId(node));
        }
    }
    let (epoch, moving) = carts(&catalogue);
    assert_eq!(moving, None);
    catalogue.alter("carts", ruled(5, 5, 2)).expect("the data stay");
    assert_eq!(carts(&catalogue), (epoch, None), "writes are where they were");
    catalogue.alter("carts", ruled(5, 1, 5)).expect("data move");
    assert!(carts(&catalogue).1.is_some(), "a read of one would miss what is on two");
}

#[test]
fn a_lost_disk_is_not_asked_until_it_has_compared() {
    let mut catalogue = founded(3);
    let id = catalogue.find("carts").expect("it is there").0;
    for (claim, last) in [(7, 0), (8, 1), (8, 1), (9, 2)] {
        catalogue.begin_life(NodeId(2), claim, last);
        assert_eq!(carts(&catalogue).1, None, "the disk knows the life before");
    }
    // Lost, then set back.
    for (claim, last) in [(10, 0), (11, 2)] {
        let before = carts(&catalogue).0;
        catalogue.begin_life(NodeId(2), claim, last);
        let (epoch, moving) = carts(&catalogue);
        let moving = moving.expect("it must compare");
        assert_eq!((epoch > before, &moving.blank, &moving.awaited), (true, &nodes([2]), &nodes([2])));
    }
    let epoch = carts(&catalogue).0;
    catalogue.caught_up(id, epoch, NodeId(2));
    assert_eq!(carts(&catalogue).1, None);
}

/// Every write is on one replica alone, and one of them is gone: nobody can compare with it.
#[test]
fn a_movement_does_not_wait_for_a_disk_that_is_gone_for_good() {
    let mut catalogue = founded(4);
    let rule = Rule::new(3, 3, 1).expect("it is one");
    let id = catalogue.alter("carts", Shape::Leaderless(LeaderlessSpec { rule, ..leaderless(Kind::Set) }));
    let id = id.expect("the data stay");
    let lost = MemberChange { lost: true, ..weight(0) };
    catalogue.set_member(NodeId(2), lost.clone()).expect("three are left");
    let (epoch, moving) = carts(&catalogue);
    let moving = moving.expect("data move").clone();
    assert_eq!((moving.blank, moving.awaited.contains(&NodeId(2))), (nodes([2]), false));
    // Said again, it is lost again, and nothing else.
    catalogue.set_member(NodeId(2), lost).expect("three are left");
    assert!(carts(&catalogue).0 > epoch);
    let epoch = carts(&catalogue).0;
    moving.awaited.into_iter().for_each(|node| catalogue.caught_up(id, epoch, node));
    assert_eq!(carts(&catalogue).1, None);
}

#[test]
fn members_are_bounded_and_tables_keep_their_replicas() {
    let mut catalogue = founded(4);
    catalogue.set_member(NodeId(4), weight(0)).expect("three are left");
    let few = MemberError::TooFew { table: String::from("carts"), replicas: 3, left: 2 };
    assert_eq!(catalogue.set_member(NodeId(3), weight(0)), Err(few));
    assert_eq!(catalogue.set_member(NodeId(3), weight(65)), Err(MemberError::Weight));
    assert_eq!(catalogue.set_member(NodeId(64), weight(1)), Err(MemberError::TooMany));
    let address = MemberChange { address: Some("x".repeat(256)), ..MemberChange::default() };
    assert_eq!(catalogue.set_member(NodeId(3), address), Err(MemberError::Address));
    assert_eq!(catalogue.forget_member(NodeId(9)), Err(MemberError::Unknown));
    assert_eq!(catalogue.forget_member(NodeId(4)), Err(MemberError::InUse), "it votes");
    assert_eq!(catalogue.voters().map(Iterator::count), None, "as the configuration says");
    let votes = |votes| MemberChange { votes: Some(votes), ..MemberChange::default() };
    catalogue.set_member(NodeId(4), votes(false)).expect("three are left");
    assert_eq!(catalogue.voters().expect("it was said").collect::<BTreeSet<_>>(), nodes(1..=3));
    assert_eq!(catalogue.forget_member(NodeId(4)), Err(MemberError::InUse), "data still come from it");
    let (epoch, moving) = carts(&catalogue);
    let awaited = moving.expect("data move").awaited.clone();
    let id = catalogue.find("carts").expect("it is there").0;
    awaited.into_iter().for_each(|node| catalogue.caught_up(id, epoch, node));
    catalogue.forget_member(NodeId(4)).expect("nothing is left on it");
    for node in 1..=2 {
        catalogue.set_member(NodeId(node), votes(false)).expect("one is left");
    }
    assert_eq!(catalogue.set_member(NodeId(3), votes(false)), Err(MemberError::NoVoter));
}
