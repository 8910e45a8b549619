//! Replicas that know the same hold the same, at any time; and in the end all know and hold the same.

use crate::failure::Kind;
use crate::judge::Judge;
use crate::simulator::Simulator;
use bytes::Bytes;
use quorate_core::crdt::Cell as _;
use quorate_core::crdt::{AnyCell, Leaf};
use quorate_core::leaderless::{State, kept_at};
use quorate_core::machine::NodeId;
use quorate_core::node::Node;
use quorate_core::operation::TableId;

/// What each replica of a key that is up knows and holds.
pub fn states(simulator: &Simulator<Node>, table: TableId, key: &Bytes) -> Vec<(NodeId, State)> {
    let of = |node: NodeId| {
        let room = simulator.machine(node)?.leaderless();
        let held = room.replicas(table, key).contains(&node);
        let state = room.peek(simulator.disk(node), table, key).filter(|_| held)?;
        Some((node, state))
    };
    simulator.nodes().filter_map(of).collect()
}

/// The keys under which what stands at a key is kept.
pub fn kept(simulator: &Simulator<Node>, table: TableId, key: &Bytes) -> Vec<Bytes> {
    let machines = simulator.nodes().filter_map(|node| simulator.machine(node));
    let mut specs = machines.filter_map(|machine| machine.catalogue().table(table)?.shape.leaderless());
    specs.next().map_or_else(|| vec![key.clone()], |spec| kept_at(spec, key))
}

/// A table that still moves, or a node that has not handed on what it holds no longer.
pub fn on_its_way(simulator: &Simulator<Node>) -> Option<String> {
    simulator.nodes().find_map(|node| {
        let moves = simulator.machine(node)?.moves();
        let table = moves.first()?;
        Some(format!("table {} moves, as node {} sees it: {table:?}", table.name, node.0))
    })
}

/// A node that still has something of a key, and is no replica of it.
pub fn stranger(simulator: &Simulator<Node>, table: TableId, key: &Bytes) -> Option<NodeId> {
    simulator.nodes().find(|&node| {
        let Some(machine) = simulator.machine(node) else { return false };
        let room = machine.leaderless();
        let state = room.peek(simulator.disk(node), table, key);
        let holds = state.is_some_and(|state| !state.cell.is_bottom() || !state.context.is_empty());
        holds && !room.replicas(table, key).contains(&node)
    })
}

/// A replica of a key, as the newest catalogue has it, that does not hold the key as one.
pub fn absent(simulator: &Simulator<Node>, table: TableId, key: &Bytes) -> Option<String> {
    let machines = simulator.nodes().filter_map(|node| simulator.machine(node));
    let newest = machines.max_by_key(|machine| machine.catalogue().version())?;
    let wanted = newest.catalogue().table(table)?.shape.leaderless()?.rule.replicas();
    let holders: Vec<NodeId> = states(simulator, table, key).iter().map(|(node, _)| *node).collect();
    lacking(newest.leaderless().replicas(table, key), usize::from(wanted), &holders)
}

/// What lacks where these nodes shall hold a key, as many as the table says, and those hold it.
fn lacking(replicas: &[NodeId], wanted: usize, holders: &[NodeId]) -> Option<String> {
    if replicas.len() != wanted {
        return Some(format!("{wanted} nodes shall hold it, and its place is {replicas:?}"));
    }
    let lacks = replicas.iter().find(|node| !holders.contains(node))?;
    Some(format!("node {} shall hold it and does not; {holders:?} do", lacks.0))
}

/// Two that know the same events of a key and hold different cells, if there are such.
pub fn contradiction(states: &[(NodeId, State)]) -> Option<(NodeId, NodeId)> {
    let pairs = states.iter().enumerate().flat_map(|(at, a)| states[at + 1..].iter().map(move |b| (a, b)));
    let mut pairs = pairs.filter(|((_, a), (_, b))| a.context == b.context && a.cell != b.cell);
    pairs.next().map(|((a, _), (b, _))| (*a, *b))
}

/// Did somebody decrease a bounded counter, or give away, by more than the rights that it held? Then the value may fall below the bound.
pub fn is_overdrawn(cell: &AnyCell) -> bool {
    matches!(cell, AnyCell::Leaf(Leaf::Bounded(cell)) if cell.overdrawn().is_some())
}

/// The first two that do not know and hold the same, if there are such.
pub fn difference(states: &[(NodeId, State)]) -> Option<(NodeId, NodeId)> {
    let differ = states.windows(2).find(|pair| pair[0].1 != pair[1].1)?;
    Some((differ[0].0, differ[1].0))
}

impl Judge {
    /// Looks whether replicas of a key that know the same hold the same, and of no bounded counter more was spent than there was.
    pub fn judge_replicas(&mut self, simulator: &Simulator<Node>, table: TableId, key: &Bytes) {
        let states = states(simulator, table, key);
        if let Some((node, state)) = states.iter().find(|(_, state)| is_overdrawn(&state.cell)) {
            let name = String::from_utf8_lossy(key);
            let detail = format!(
                "node {} holds {name} of table {}, of which more was spent than there was\n  {state:?}",
                node.0, table.0
            );
            self.accuse(simulator.now_us(), Kind::WrongSum, detail);
        }
        if let Some((a, b)) = contradiction(&states) {
            let of = |node| states.iter().find(|(other, _)| *other == node).map(|(_, state)| state);
            let name = String::from_utf8_lossy(key);
            let detail = format!(
                "nodes {} and {} know the same of {name} in table {} and hold\n  {:?}\n  {:?}",
                a.0,
                b.0,
                table.0,
                of(a),
                of(b)
            );
            self.accuse(simulator.now_us(), Kind::ReplicasDiffer, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::clock::{Actor, Context};
    use quorate_core::crdt::Kind;

    #[test]
    fn each_key_has_all_its_replicas() {
        let nodes = |numbers: &[u16]| numbers.iter().copied().map(NodeId).collect::<Vec<_>>();
        let (all, two) = (nodes(&[1, 2, 3]), nodes(&[1, 3]));
        assert_eq!(lacking(&all, 3, &all), None);
        assert!(lacking(&all, 3, &two).is_some(), "node 2 does not hold it");
        assert!(lacking(&two, 3, &two).is_some(), "nobody is the third");
    }

    #[test]
    fn equal_knowledge_must_mean_equal_cells() {
        let nothing = State::nothing(Kind::Set);
        let mut knows = nothing.clone();
        knows.context.advance(Actor { node: NodeId(1), incarnation: 1 });
        let mut forgot = State::nothing(Kind::Counter);
        forgot.context = knows.context.clone();
        let states = |two: [&State; 2]| vec![(NodeId(1), two[0].clone()), (NodeId(2), two[1].clone())];
        assert_eq!(contradiction(&states([&nothing, &nothing])), None);
        assert_eq!(contradiction(&states([&nothing, &knows])), None, "one of them is behind");
        assert_eq!(contradiction(&states([&forgot, &knows])), Some((NodeId(1), NodeId(2))));
        assert_eq!(difference(&states([&knows, &knows])), None);
        assert!(difference(&states([&nothing, &knows])).is_some());
        assert_eq!(Context::default(), nothing.context);
    }
}
