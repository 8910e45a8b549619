//! What the handbook of the field says of placement, measured on many keys.

use super::*;
use crate::random::Random;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use bytes::Bytes;

const KEYS: u64 = 100_000;

fn member(node: u16) -> Member {
    Member { node: NodeId(node), weight: 1, zone: node }
}

fn members(nodes: core::ops::RangeInclusive<u16>) -> Vec<Member> {
    nodes.map(member).collect()
}

fn keys() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|number| hash_of(format!("key:{number}").as_bytes()))
}

fn owners(ring: &Ring) -> Vec<NodeId> {
    keys().map(|key| ring.owner(key).expect("there are members")).collect()
}

fn part(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

#[test]
fn a_node_that_joins_takes_its_share_and_nothing_else_moves() {
    let (before, after) = (owners(&Ring::new(&members(1..=9), 256)), owners(&Ring::new(&members(1..=10), 256)));
    let moved: Vec<usize> = (0..before.len()).filter(|&at| before[at] != after[at]).collect();
    assert!(moved.iter().all(|&at| after[at] == NodeId(10)));
    let share = part(moved.len(), before.len());
    assert!((0.08..0.12).contains(&share), "{share}");
    // The naive way moves nearly everything.
    let naive = keys().filter(|key| key % 9 != key % 10).count();
    assert!(part(naive, before.len()) > 0.88);
}

#[test]
fn a_node_that_leaves_gives_up_only_its_own() {
    let all = members(1..=10);
    let rest: Vec<Member> = all.iter().copied().filter(|member| member.node != NodeId(4)).collect();
    let (before, after) = (owners(&Ring::new(&all, 256)), owners(&Ring::new(&rest, 256)));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before != after, *before == NodeId(4));
    }
}

/// How much the busiest of ten nodes holds, compared with the mean of all; over twenty clusters.
fn busiest(points: u32) -> f64 {
    let mut sum = 0.0;
    for cluster in 0..20u16 {
        let first = 1 + cluster * 10;
        let owners = owners(&Ring::new(&members(first..=first + 9), points));
        let mut held: BTreeMap<NodeId, usize> = BTreeMap::new();
        owners.iter().for_each(|&node| *held.entry(node).or_default() += 1);
        sum += part(*held.values().max().expect("ten"), owners.len()) * 10.0;
    }
    sum / 20.0
}

#[test]
fn more_points_make_shares_even() {
    let measured: Vec<f64> = [1, 16, 64, 256].map(busiest).to_vec();
    assert!(measured.windows(2).all(|pair| pair[0] > pair[1]), "{measured:?}");
    assert!(measured[0] > 2.0 && measured[2] < 1.35 && measured[3] < 1.2, "{measured:?}");
}

#[test]
fn shares_follow_weights() {
    let mut all = members(1..=9);
    all[0].weight = 2;
    let held = owners(&Ring::new(&all, 256)).iter().filter(|&&node| node == NodeId(1)).count();
    let share = part(held, KEYS as usize);
    assert!((0.18..0.22).contains(&share), "{share}: two of ten");
    // More weight takes from the others, and moves nothing between them.
    let (light, heavy) = (owners(&Ring::new(&members(1..=9), 256)), owners(&Ring::new(&all, 256)));
    for (light, heavy) in light.iter().zip(&heavy) {
        assert!(light == heavy || *heavy == NodeId(1));
    }
    all[3].weight = 0;
    assert!(!owners(&Ring::new(&all, 256)).contains(&NodeId(4)));
}

#[test]
fn replicas_are_different_and_zones_apart() {
    let mut random = Random::new(3);
    for _ in 0..2_000 {
        let nodes = 1 + random.next() % 8;
        let zones = 1 + random.next() % nodes;
        let mut draw = |node: u64| Member {
            node: NodeId(node as u16),
            weight: 1 + (random.next() % 3) as u16,
            zone: (random.next() % zones) as u16,
        };
        let all: Vec<Member> = (1..=nodes).map(&mut draw).collect();
        let ring = Ring::new(&all, 8);
        let asked = 1 + (random.next() % 6) as usize;
        let replicas = ring.replicas(random.next(), asked);
        assert_eq!(replicas.len(), asked.min(all.len()), "{all:?}");
        assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), replicas.len(), "{all:?}: {replicas:?}");
        let zone = |node: &NodeId| all[usize::from(node.0) - 1].zone;
        let exist: BTreeSet<u16> = all.iter().map(|member| member.zone).collect();
        let used: BTreeSet<u16> = replicas.iter().map(zone).collect();
        assert_eq!(used.len(), exist.len().min(asked), "{all:?}: {replicas:?}");
    }
}

#[test]
fn the_first_replica_is_the_owner() {
    let ring = Ring::new(&members(1..=5), POINTS);
    for key in keys().take(1_000) {
        assert_eq!(ring.replicas(key, 3)[0], ring.owner(key).expect("five"));
    }
    assert_eq!(Ring::new(&[], POINTS).owner(7), None);
    assert!(Ring::new(&[], POINTS).replicas(7, 3).is_empty());
}

#[test]
fn a_preview_counts_what_is_copied() {
    let place = |nodes| Placement::new(&Ring::new(&members(nodes), POINTS), &Division::Hash, 3);
    let (before, after) = (place(1..=5), place(1..=6));
    let movement = Movement::between(&before, &after);
    for one in &movement.moves {
        assert!(!one.from.contains(&one.to) && after.replicas(one.range).contains(&one.to));
    }
    let share = movement.share();
    assert!((0.12..0.22).contains(&share), "{share}: about one of six");
    assert_eq!(movement.received().values().sum::<usize>(), movement.moves.len());
    assert!(Movement::between(&before, &before).moves.is_empty());
}

#[test]
fn order_keeps_neighbours_together_and_hashes_scatter_them() {
    let bounds = ["d", "h", "m", "t"].map(|text| Bytes::from_static(text.as_bytes()));
    let order = Division::Order(bounds.to_vec());
    assert_eq!(order.ranges().count(), 5);
    let ranges: Vec<u16> = ["a", "d", "dz", "h", "z"].map(|key| order.range_of(key.as_bytes()).0).to_vec();
    assert_eq!(ranges, [0, 1, 1, 2, 4]);
    let touched = |division: &Division| {
        let all: BTreeSet<Range> = (0..1_000).map(|at| division.range_of(format!("e{at:04}").as_bytes())).collect();
        all.len()
    };
    assert_eq!(touched(&order), 1);
    assert!(touched(&Division::Hash) > 500);
}

#[test]
fn keys_with_one_tag_live_together() {
    let place = |key: &str| Division::Hash.range_of(key.as_bytes());
    assert_eq!(place("{user:7}.name"), place("{user:7}.cart"));
    for (key, expected) in [("user", "user"), ("a{user}b", "user"), ("a{}b", "a{}b"), ("a{b", "a{b"), ("x{a}y{b}", "a")]
    {
        assert_eq!(tag(key.as_bytes()), expected.as_bytes());
    }
}

/// These numbers must never change: data lies where they say.
#[test]
fn places_are_fixed() {
    let ring = Ring::new(&members(1..=5), POINTS);
    let placed: Vec<(u16, Vec<u16>)> = ["", "a", "cart:7", "user:1", "{tag}x"]
        .map(|key| {
            let range = Division::Hash.range_of(key.as_bytes());
            let replicas = ring.replicas(Division::Hash.position(range), 3);
            (range.0, replicas.iter().map(|node| node.0).collect())
        })
        .to_vec();
    assert_eq!(
        format!("{placed:?}"),
        "[(180, [5, 2, 4]), (923, [1, 2, 4]), (495, [3, 1, 5]), (237, [2, 5, 1]), (533, [1, 5, 4])]"
    );
}
