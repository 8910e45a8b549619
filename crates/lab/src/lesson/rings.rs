//! Where keys live, and what a change of nodes moves: the rest of a division, or points on a ring (Karger and others 1997).

use super::{Run, failed, per_mille, percent, row, table, unexpected};
use quorate_core::machine::NodeId;
use quorate_core::placement::{Member, POINTS, Ring, hash_of};
use std::collections::BTreeMap;

const KEYS: u64 = 100_000;
/// Points of a node where shares should be even.
const MANY_POINTS: u32 = 256;

fn members(nodes: impl Iterator<Item = u16>) -> Vec<Member> {
    nodes.map(|node| Member { node: NodeId(node), weight: 1, zone: node }).collect()
}

fn keys() -> Vec<u64> {
    (0..KEYS).map(|number| hash_of(format!("key:{number}").as_bytes())).collect()
}

fn by_ring(members: &[Member], points: u32) -> Vec<NodeId> {
    let ring = Ring::new(members, points);
    keys().iter().map(|&hash| ring.owner(hash).expect("there are nodes")).collect()
}

fn by_rest(nodes: &[NodeId]) -> Vec<NodeId> {
    keys().iter().map(|hash| nodes[(hash % nodes.len() as u64) as usize]).collect()
}

/// Of all keys, how many moved, and how many of them between nodes that are there before and after.
fn moved(before: &[NodeId], after: &[NodeId], changed: NodeId) -> (u64, u64) {
    let moves: Vec<_> = before.iter().zip(after).filter(|(before, after)| before != after).collect();
    let between = moves.iter().filter(|(before, after)| **before != changed && **after != changed).count();
    (moves.len() as u64, between as u64)
}

fn told(from: u64, to: u64, (moves, between): (u64, u64)) -> String {
    let head = row(&["nodes", "keys that move", "between nodes that stay"]);
    table(&[head, row(&[&format!("{from} to {to}"), &percent(moves, KEYS), &percent(between, KEYS)])])
}

/// A tenth node joins. With the rule broken a key lives at the rest of its hash, divided by the number of nodes.
pub(crate) fn joins(_seed: u64, broken: bool, _trace: bool) -> Run {
    let (nine, ten) = (members(1..=9), members(1..=10));
    let named = |members: &[Member]| by_rest(&members.iter().map(|member| member.node).collect::<Vec<_>>());
    let (before, after) = match broken {
        true => (named(&nine), named(&ten)),
        false => (by_ring(&nine, MANY_POINTS), by_ring(&ten, MANY_POINTS)),
    };
    let (moves, between) = moved(&before, &after, NodeId(10));
    let expected = if broken { 890..=910 } else { 80..=120 };
    let failure = if !expected.contains(&per_mille(moves, KEYS)) {
        Some(unexpected(format!("{} of the keys move", percent(moves, KEYS))))
    } else {
        (between > 0).then(|| {
            let detail =
                format!("{} of the keys move for one node of ten; a tenth of them has to", percent(moves, KEYS));
            failed("nearly every key moves", detail)
        })
    };
    Run::counted(KEYS, failure, told(9, 10, (moves, between)))
}

/// One of ten nodes leaves.
pub(crate) fn leaves(_seed: u64, broken: bool, _trace: bool) -> Run {
    let gone = NodeId(4);
    let all = members(1..=10);
    let rest = members((1..=10).filter(|&node| node != gone.0));
    let named = |members: &[Member]| by_rest(&members.iter().map(|member| member.node).collect::<Vec<_>>());
    let (before, after) = match broken {
        true => (named(&all), named(&rest)),
        false => (by_ring(&all, MANY_POINTS), by_ring(&rest, MANY_POINTS)),
    };
    let held = before.iter().filter(|&&node| node == gone).count() as u64;
    let (moves, between) = moved(&before, &after, gone);
    let failure = if !broken && (moves != held || !(70..=130).contains(&per_mille(moves, KEYS))) {
        Some(unexpected(format!("{moves} keys move, and the node held {held}")))
    } else {
        (between > 0).then(|| {
            failed("keys move between nodes that stay", format!("{moves} keys move, and the node held {held}"))
        })
    };
    Run::counted(KEYS, failure, told(10, 9, (moves, between)))
}

/// What the busiest of ten nodes holds, in thousandths of the mean; over so many clusters.
fn busiest(points: u32) -> u64 {
    const CLUSTERS: u16 = 20;
    let hashes: Vec<u64> = keys().into_iter().step_by(5).collect();
    let most = |cluster: u16| {
        let first = 1 + cluster * 10;
        let ring = Ring::new(&members(first..=first + 9), points);
        let mut held: BTreeMap<NodeId, u64> = BTreeMap::new();
        for &hash in &hashes {
            *held.entry(ring.owner(hash).expect("there are nodes")).or_default() += 1;
        }
        held.into_values().max().expect("ten nodes")
    };
    (0..CLUSTERS).map(most).sum::<u64>() * 10 * 1_000 / u64::from(CLUSTERS) / hashes.len() as u64
}

/// How even shares are. With the rule broken a node has one point on the ring.
pub(crate) fn points(_seed: u64, broken: bool, _trace: bool) -> Run {
    let tried: &[u32] = if broken { &[1] } else { &[16, POINTS, 128, 256] };
    let measured: Vec<(u32, u64)> = tried.iter().map(|&points| (points, busiest(points))).collect();
    let times = |share: u64| format!("{}.{:02}", share / 1_000, share % 1_000 / 10);
    let mut rows = vec![row(&["points of a node", "the busiest of ten holds, in shares"])];
    rows.extend(measured.iter().map(|&(points, share)| row(&[&points.to_string(), &times(share)])));
    let worst = measured[measured.len() - 1].1;
    let falls = measured.windows(2).all(|pair| pair[0].1 > pair[1].1);
    let failure = if !falls || (!broken && worst > 1_200) {
        Some(unexpected("more points do not make the shares more even"))
    } else {
        (worst > 2_000).then(|| {
            failed("one node holds more than two shares", format!("the busiest node holds {} shares", times(worst)))
        })
    };
    Run::counted(KEYS, failure, table(&rows))
}

/// One of nine nodes is twice as large. With the rule broken all have the same points.
pub(crate) fn weights(_seed: u64, broken: bool, _trace: bool) -> Run {
    let mut all = members(1..=9);
    all[0].weight = if broken { 1 } else { 2 };
    let held = by_ring(&all, MANY_POINTS).iter().filter(|&&node| node == NodeId(1)).count() as u64;
    let found = format!(
        "a node twice as large as the other 8 holds {} of the keys; its share of the room is 20.0 %",
        percent(held, KEYS)
    );
    let share = per_mille(held, KEYS);
    let failure = if !broken && !(180..=220).contains(&share) || share > 220 {
        Some(unexpected("the share is not that of the weight"))
    } else {
        (share < 180).then(|| {
            failed("half of a large node stays empty", format!("it holds {} instead of 20.0 %", percent(held, KEYS)))
        })
    };
    Run::counted(KEYS, failure, found)
}
