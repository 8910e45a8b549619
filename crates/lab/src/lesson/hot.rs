//! Placement spreads keys, not load: keys that grow with time all go to the last range, and one busy key is at one place wherever it is. And
//! what is spread by a hash is far apart for those who read neighbours.

use super::{Run, failed, per_mille, percent, row, table, unexpected};
use bytes::Bytes;
use quorate_core::leaderless::part_key;
use quorate_core::machine::NodeId;
use quorate_core::placement::{Division, Member, Range, Ring, hash_of};
use quorate_core::random::Random;
use std::collections::{BTreeMap, BTreeSet};

const WRITES: u64 = 10_000;

/// The busiest of the counted.
fn most<K: Ord>(counted: BTreeMap<K, u64>) -> u64 {
    counted.into_values().max().unwrap_or(0)
}

/// Records are appended under the time of their event. With the rule broken the time comes first in the key; else one of eight words does.
pub(crate) fn by_time(_seed: u64, broken: bool, _trace: bool) -> Run {
    const SHARDS: u64 = 8;
    // The bounds were chosen when the table held what was written until then, or are the words themselves.
    let bound = |at: u64| Bytes::from(if broken { format!("t{:08}", at * WRITES) } else { format!("{at}/") });
    let division = Division::Order((1..SHARDS).map(bound).collect());
    let mut ranges: BTreeMap<Range, u64> = BTreeMap::new();
    for number in 0..WRITES {
        let time = format!("t{:08}", SHARDS * WRITES + number);
        let key = if broken { time } else { format!("{}/{time}", hash_of(time.as_bytes()) % SHARDS) };
        *ranges.entry(division.range_of(key.as_bytes())).or_default() += 1;
    }
    let (used, busiest) = (ranges.len(), most(ranges));
    let rows = [
        row(&["keys begin with", "ranges", "ranges that take writes", "the busiest takes"]),
        row(&[
            if broken { "the time" } else { "one of 8 words" },
            &SHARDS.to_string(),
            &used.to_string(),
            &percent(busiest, WRITES),
        ]),
    ];
    let failure = if !broken && !(110..=140).contains(&per_mille(busiest, WRITES)) {
        Some(unexpected("the words do not spread the writes evenly"))
    } else {
        (busiest == WRITES).then(|| {
            failed("one range takes all writes", format!("{busiest} of {WRITES} appends go to the last range"))
        })
    };
    Run::counted(WRITES, failure, table(&rows))
}

/// Neighbours in order are read together. With the rule broken keys lie where their hash says.
pub(crate) fn neighbours(seed: u64, broken: bool, _trace: bool) -> Run {
    const SHARDS: u64 = 8;
    const KEYS: u64 = 100_000;
    const READ: u64 = 1_000;
    let key = |number: u64| format!("user:{number:06}");
    let bounds = (1..SHARDS).map(|at| Bytes::from(key(at * KEYS / SHARDS)));
    let division = if broken { Division::Hash } else { Division::Order(bounds.collect()) };
    let ranges = division.ranges().count() as u64;
    // A hash has more ranges than there are shards: they go round.
    let shard = |number: u64| u64::from(division.range_of(key(number).as_bytes()).0) * SHARDS / ranges;
    let first = Random::new(seed).below(KEYS - READ);
    let asked: BTreeSet<u64> = (first..first + READ).map(shard).collect();
    let rows = [
        row(&["keys lie", "shards", "shards asked for 1000 neighbours"]),
        row(&[if broken { "by hash" } else { "in order" }, &SHARDS.to_string(), &asked.len().to_string()]),
    ];
    let failure = if !broken && asked.len() > 2 {
        Some(unexpected("neighbours are at more than two shards"))
    } else {
        (asked.len() as u64 == SHARDS).then(|| {
            failed("a read of neighbours asks every shard", format!("{READ} neighbours lie on all of {SHARDS} shards"))
        })
    };
    Run::counted(READ, failure, table(&rows))
}

const ZIPF_KEYS: u64 = 10_000;
const NODES: u16 = 8;
const PARTS: u64 = 16;

/// The load of the n-th busiest key, as n to the power of -1.2, in whole numbers: `n^1.2 = n · n^(1/5)`, and the root is counted in millionths.
fn load(number: u64) -> u64 {
    const MILLION: u128 = 1_000_000;
    let target = u128::from(number) * MILLION.pow(5);
    let (mut low, mut high) = (MILLION, 8 * MILLION);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if middle.pow(5) <= target { low = middle } else { high = middle - 1 }
    }
    (MILLION.pow(3) / (u128::from(number) * low)) as u64
}

/// A few of ten thousand keys are much in demand. With the rule broken the answer is a better placement: more points on the ring. Else
/// every key that takes more than a hundredth of the calls is split into parts, which are counted together.
pub(crate) fn celebrity(_seed: u64, broken: bool, _trace: bool) -> Run {
    let loads: Vec<u64> = (1..=ZIPF_KEYS).map(load).collect();
    let total: u64 = loads.iter().sum();
    let parts = |load: u64| if !broken && load * 100 > total { PARTS } else { 1 };
    let members: Vec<Member> = (1..=NODES).map(|node| Member { node: NodeId(node), weight: 1, zone: node }).collect();
    let mut rows = vec![row(&["points of a node", "the busiest node takes"])];
    let (mut busiest_nodes, largest) = (Vec::new(), loads.iter().map(|&load| load / parts(load)).max().unwrap_or(0));
    for points in [16, 64, 256, 1024] {
        let ring = Ring::new(&members, points);
        let mut nodes: BTreeMap<NodeId, u64> = BTreeMap::new();
        for (number, &load) in loads.iter().enumerate() {
            for part in 0..parts(load) {
                let node = ring.owner(hash_of(format!("key:{number}:{part}").as_bytes())).expect("there are nodes");
                *nodes.entry(node).or_default() += load / parts(load);
            }
        }
        let busiest = most(nodes);
        busiest_nodes.push(busiest);
        rows.push(row(&[&points.to_string(), &percent(busiest, total)]));
    }
    let whole = match parts(loads[0]) {
        1 => "whole".to_string(),
        parts => format!("in {parts} parts"),
    };
    let found = format!(
        "{ZIPF_KEYS} keys on {NODES} nodes: a fair share is {}; the busiest key takes {} of all calls, {whole}\n{}",
        percent(1, NODES.into()),
        percent(loads[0], total),
        table(&rows)
    );
    let above = |limit: u64| busiest_nodes.iter().all(|&busiest| busiest >= limit);
    let failure = if !(200..=220).contains(&per_mille(loads[0], total)) || above(loads[0]) != broken {
        Some(unexpected("the busiest key or node takes another part of the calls"))
    } else {
        (largest > total / u64::from(NODES)).then(|| {
            let detail = format!("however many points: the node of the busiest key takes {}", percent(loads[0], total));
            failed("one key is more than a share", format!("{detail} of the calls and more"))
        })
    };
    Run::counted(ZIPF_KEYS, failure, found)
}

/// A counter is increased at every node, in parts. With the rule broken a read asks one part, as if that were the counter; else it asks all.
pub(crate) fn parts(_seed: u64, broken: bool, _trace: bool) -> Run {
    const INCREMENTS: u64 = 16_000;
    let members: Vec<Member> = (1..=NODES).map(|node| Member { node: NodeId(node), weight: 1, zone: node }).collect();
    let ring = Ring::new(&members, 256);
    let mut rows = vec![row(&["parts", "the busiest node takes", "a read asks", "and shows"])];
    let (mut shown, mut busiest) = (Vec::new(), Vec::new());
    for parts in [1u8, 4, 16, 64] {
        let (mut sums, mut nodes) = (vec![0; usize::from(parts)], BTreeMap::new());
        for number in 0..INCREMENTS {
            let part = (number % u64::from(parts)) as u8;
            sums[usize::from(part)] += 1;
            *nodes.entry(ring.owner(hash_of(&part_key(b"likes", part)))).or_default() += 1;
        }
        let asked = if broken { 1 } else { sums.len() };
        let sum: u64 = sums.iter().take(asked).sum();
        shown.push(sum);
        busiest.push(most(nodes));
        let busiest = percent(busiest[busiest.len() - 1], INCREMENTS);
        rows.push(row(&[&parts.to_string(), &busiest, &format!("{asked} of {parts}"), &sum.to_string()]));
    }
    let spread = busiest.windows(2).all(|pair| pair[1] < pair[0]) && per_mille(busiest[2], INCREMENTS) < 300;
    let failure = if !spread || shown[0] != INCREMENTS {
        Some(unexpected("more parts do not spread the increments over more nodes"))
    } else {
        let least = shown.iter().min().copied().unwrap_or(0);
        (least < INCREMENTS).then(|| {
            failed("a read shows a part for the whole", format!("{least} of {INCREMENTS} increments are shown"))
        })
    };
    Run::counted(INCREMENTS, failure, table(&rows))
}
