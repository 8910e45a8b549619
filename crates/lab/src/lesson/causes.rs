//! What numbers tell of causes, and what they do not: Lamport's clock against version vectors, on every small execution of three nodes.

use super::{Run, actor, failed, percent, row, table, unexpected};
use bytes::Bytes;
use quorate_core::clock::executions::{Execution, each};
use quorate_core::clock::{Actor, Causality, Context, Lamport};
use quorate_core::crdt::{Cell, Register};
use quorate_core::random::Random;

const EVENTS: usize = 5;

fn pairs(execution: &Execution) -> impl Iterator<Item = (usize, usize)> + use<> {
    let count = execution.events.len();
    (0..count).flat_map(move |a| (0..count).filter(move |&b| a != b).map(move |b| (a, b)))
}

/// Is an event with a smaller number a cause? With the rule broken the smaller of two numbers is believed; else vectors are compared.
pub(crate) fn converse(_seed: u64, broken: bool, _trace: bool) -> Run {
    let (mut cases, mut wrong, mut smallest) = (0u64, 0u64, None::<(Execution, usize, usize, Vec<u64>)>);
    for events in 1..=EVENTS {
        each(events, &mut |execution| {
            let (numbers, vectors) = (execution.numbers(), execution.vectors());
            for (a, b) in pairs(execution) {
                let before =
                    if broken { numbers[a] < numbers[b] } else { vectors[a].compare(&vectors[b]) == Causality::Before };
                cases += 1;
                if before != execution.is_before(a, b) {
                    wrong += 1;
                    smallest.get_or_insert_with(|| (execution.clone(), a, b, numbers.clone()));
                }
            }
        });
    }
    let found = format!("all executions of up to {EVENTS} events on 3 nodes, {cases} pairs: {wrong} are told wrongly");
    let failure = smallest.map(|(execution, a, b, numbers)| {
        let nodes = execution.events.iter().map(|event| event.node).max().unwrap_or(0) + 1;
        if (nodes, execution.events.len()) != (2, 3) {
            return unexpected(format!("the smallest example has {nodes} nodes and {} events", execution.events.len()));
        }
        let detail = format!(
            "the smallest example, {nodes} nodes and {} events:\n{}",
            execution.events.len(),
            told(&execution, &numbers)
        );
        let last = format!("the event with number {} is no cause of the one with number {}", numbers[a], numbers[b]);
        failed("a smaller number is no cause", format!("{detail}\n{last}"))
    });
    Run::counted(cases, failure, found)
}

fn told(execution: &Execution, numbers: &[u64]) -> String {
    let line = |(at, number): (usize, &u64)| {
        let event = &execution.events[at];
        let heard = event.heard.map_or(String::new(), |from| format!(", hears of event {}", from + 1));
        format!("  event {} at node {}{heard}: number {number}", at + 1, event.node + 1)
    };
    numbers.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// Which pairs are concurrent? A total order of numbers and nodes finds none of them.
pub(crate) fn conflicts(_seed: u64, broken: bool, _trace: bool) -> Run {
    let (mut concurrent, mut flagged, mut wrong) = (0u64, 0u64, 0u64);
    each(EVENTS, &mut |execution| {
        let (numbers, vectors) = (execution.numbers(), execution.vectors());
        for (a, b) in pairs(execution).filter(|(a, b)| a < b) {
            let node = |at: usize| execution.events[at].node;
            let flag = if broken {
                (numbers[a], node(a)) == (numbers[b], node(b))
            } else {
                vectors[a].compare(&vectors[b]) == Causality::Concurrent
            };
            let truly = !execution.is_before(a, b) && !execution.is_before(b, a);
            concurrent += u64::from(truly);
            flagged += u64::from(truly && flag);
            wrong += u64::from(!truly && flag);
        }
    });
    let found = format!(
        "{concurrent} concurrent pairs in all executions of {EVENTS} events: {flagged} are found ({}), {wrong} others are called concurrent",
        percent(flagged, concurrent)
    );
    let missed = concurrent - flagged;
    let failure = if wrong > 0 || (broken && flagged > 0) {
        Some(unexpected("an order was called concurrent, or concurrent events had one number and one node"))
    } else {
        (missed > 0).then(|| {
            failed("conflicts are not noticed", format!("{missed} of {concurrent} concurrent pairs look ordered"))
        })
    };
    Run::counted(concurrent, failure, found)
}

/// Three nodes sort what they heard, each in another order. With the rule broken by number alone; else the node decides between equal numbers.
pub(crate) fn ties(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    let mut clocks = [Lamport::default(); 3];
    let mut events: Vec<(u64, usize)> = Vec::new();
    for _ in 0..30 {
        let at = random.below(3) as usize;
        let heard = random.chance(300).then(|| events.last().copied()).flatten();
        let number = match heard {
            Some((number, _)) => clocks[at].observe(number),
            None => clocks[at].tick(),
        };
        events.push((number, at));
    }
    let order = |mut arrived: Vec<(u64, usize)>, random: &mut Random| {
        for at in (1..arrived.len()).rev() {
            arrived.swap(at, random.below(at as u64 + 1) as usize);
        }
        if broken {
            arrived.sort_by_key(|&(number, _)| number);
        } else {
            arrived.sort_unstable();
        }
        arrived
    };
    let orders = [(); 3].map(|()| order(events.clone(), &mut random));
    let at = (0..events.len()).find(|&at| orders.iter().any(|order| order[at] != orders[0][at]));
    let found = format!(
        "{} events at 3 nodes; the orders are {}",
        events.len(),
        if at.is_some() { "different" } else { "equal" }
    );
    let failure = at.map(|at| {
        let told = orders.iter().map(|order| format!("node {}, number {}", order[at].1 + 1, order[at].0));
        failed("nodes see different orders", format!("place {}: {}", at + 1, told.collect::<Vec<_>>().join("; ")))
    });
    Run::counted(events.len() as u64 * 3, failure, found)
}

/// One side of a cut edits a key twice, the other once. With the rule broken the version with the greater count is kept.
pub(crate) fn one_number(_seed: u64, broken: bool, _trace: bool) -> Run {
    let (mut here, mut there) = ((Register::default(), Context::default()), (Register::default(), Context::default()));
    let edit = |side: &mut (Register, Context), node: u16, value: &'static str| {
        let (dot, seen) = (side.1.advance(actor(node)), side.0.seen());
        side.0.write(dot, &seen, Bytes::from_static(value.as_bytes()));
        value
    };
    edit(&mut here, 1, "draft of 1");
    let lasts = [edit(&mut here, 1, "text of 1"), edit(&mut there, 2, "text of 2")];
    let counted = |context: &Context| context.base().iter().map(|(_, count)| count).sum::<u64>();
    let (counts, compared) = ([counted(&here.1), counted(&there.1)], here.1.compare(&there.1));
    let mut merged = here.clone();
    if broken {
        if counts[1] > counts[0] {
            merged = there.clone();
        }
    } else {
        merged.0.join(&here.1, &there.0, &there.1);
        merged.1.join(&there.1);
    }
    let kept: Vec<String> = merged.0.siblings().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    let mut found = format!(
        "versions by count: {} and {}; by vector: {compared:?}\nafter the cut: {}",
        counts[0],
        counts[1],
        kept.join(" and ")
    );
    let missing = lasts.iter().find(|last| !kept.iter().any(|kept| kept == *last));
    let mut failure =
        missing.map(|missing| failed("an acknowledged write is lost", format!("nobody had overwritten {missing:?}")));
    if failure.is_none() {
        edit(&mut merged, 1, "both");
        let dominates = merged.1.compare(&here.1) == Causality::After && merged.1.compare(&there.1) == Causality::After;
        let single = merged.0.siblings().eq(["both"]);
        found.push_str("\nwho saw both writes \"both\", which comes after either");
        failure = (!dominates || !single || compared != Causality::Concurrent)
            .then(|| unexpected("the resolution is no later than both"));
    }
    Run::counted(3, failure, found)
}

const CLIENTS: u16 = 1_000;
const SERVERS: u16 = 3;

/// Many clients write one key through three servers, each by what it saw. With the rule broken each client counts its own writes.
pub(crate) fn actors(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    let (mut cell, mut known) = (Register::default(), Context::default());
    let mut blind = 0;
    for client in 1..=CLIENTS {
        let server = 1 + random.below(SERVERS.into()) as u16;
        let actor: Actor = actor(if broken { client } else { server });
        // Every tenth did not read what the one before it wrote.
        let seen = if client % 10 == 0 { Context::default() } else { cell.seen() };
        blind += usize::from(client % 10 == 0);
        let before = cell.siblings().count();
        cell.write(known.advance(actor), &seen, Bytes::from(client.to_string()));
        let expected = if client % 10 == 0 { before + 1 } else { 1 };
        if cell.siblings().count() != expected {
            return Run::counted(client.into(), Some(unexpected("a sibling too many or too few")), String::new());
        }
    }
    let entries = known.base().iter().count();
    let rows = [
        row(&["actors", "writes", "entries of the version", "concurrent writes, all kept"]),
        row(&[
            if broken { "clients" } else { "servers" },
            &CLIENTS.to_string(),
            &entries.to_string(),
            &blind.to_string(),
        ]),
    ];
    let failure = (entries > usize::from(SERVERS)).then(|| {
        failed("a version grows with every client", format!("{entries} entries for one key on {SERVERS} servers"))
    });
    Run::counted(CLIENTS.into(), failure, table(&rows))
}
