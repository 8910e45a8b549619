//! Repair when it is asked for, and how it stands.
//!
//! All pairs of a table and another node are compared, one with each node at a time, so that a node is never asked more than it can answer.
//! A comparison that is given up is not begun again by itself: the next turn of the background, or the next who asks, does that.

use super::{Cx, Leaderless, Table};
use crate::catalogue::Catalogue;
use crate::machine::{Mono, NodeId, Wake};
use crate::operation::{MoveStatus, PairStatus, Progress, RepairStage, RepairStatus, TableId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// While comparisons that were asked for are on their way, those that nobody answers are looked for this often, in milliseconds.
const LOOK_MS: u64 = 500;

/// Comparisons that were asked for, and how those before ended. Bounded by the pairs that there are.
#[derive(Debug, Default)]
pub(super) struct Repair {
    queue: BTreeSet<(NodeId, TableId)>,
    look_at: Option<Mono>,
    compared_at: BTreeMap<(TableId, NodeId), Mono>,
    given_up: BTreeSet<(TableId, NodeId)>,
}

impl Leaderless {
    /// Begins to compare all pairs. Those that are queued or on their way already are not begun twice.
    pub fn repair(&mut self, cx: &mut Cx<'_>) {
        self.end_comparisons(cx.now().mono);
        let underway: BTreeSet<_> = self.comparisons.values().map(|other| (other.table, other.with)).collect();
        let pairs = self.pairs().into_iter().filter(|pair| !underway.contains(pair));
        self.repair.queue = pairs.map(|(table, with)| (with, table)).collect();
        self.compare_queued(cx);
    }

    /// How repair stands. Tables have their names in the catalogue.
    pub fn repair_status(&self, now: Mono, catalogue: &Catalogue) -> RepairStatus {
        let pairs = self.pairs().into_iter().map(|(table, with)| PairStatus {
            table,
            name: catalogue.table(table).map_or_else(String::new, |spec| spec.name.clone()),
            with,
            stage: self.stage(table, with),
            compared_ms: self.repair.compared_at.get(&(table, with)).map(|at| now.0.saturating_sub(at.0) / 1_000),
            given_up: self.repair.given_up.contains(&(table, with)),
        });
        RepairStatus {
            node: self.config.node,
            catalogue: catalogue.version(),
            waits_for_life: !self.tables.is_empty() && self.actor.is_none(),
            every_ms: self.config.compare_ms,
            progress: self.progress(),
            pairs: pairs.collect(),
            owed: self.debt.iter().collect(),
            moving: self.moves(catalogue),
        }
    }

    /// Tables whose data move, and those of which this node still holds what moved away.
    pub fn moves(&self, catalogue: &Catalogue) -> Vec<MoveStatus> {
        let status = |(&table, known): (&TableId, &Table)| {
            let moving = known.moving.as_ref();
            let status = MoveStatus {
                table,
                name: catalogue.table(table).map_or_else(String::new, |spec| spec.name.clone()),
                awaited: moving.map_or_else(Vec::new, |moving| moving.awaited.iter().copied().collect()),
                compared: self.caught_up_of(table).unwrap_or_default(),
                leaving: self.leaving_of(table),
            };
            (moving.is_some() || status.leaving > 0 || self.looks_what_to_leave()).then_some(status)
        };
        self.tables.iter().filter_map(status).collect()
    }

    fn stage(&self, table: TableId, with: NodeId) -> RepairStage {
        match self.comparisons.values().find(|other| other.table == table && other.with == with) {
            Some(comparison) => {
                let (done, of) = comparison.ranges_done();
                RepairStage::Underway { done, of }
            }
            None if self.repair.queue.contains(&(with, table)) => RepairStage::Queued,
            None => RepairStage::Idle,
        }
    }

    /// Every table with every other node that shares a range of it.
    pub fn pairs(&self) -> Vec<(TableId, NodeId)> {
        let mut pairs = BTreeSet::new();
        for (&id, table) in &self.tables {
            for (_, nodes) in table.placement.iter().filter(|(_, nodes)| nodes.contains(&self.config.node)) {
                pairs.extend(nodes.iter().filter(|&&node| node != self.config.node).map(|&node| (id, node)));
            }
        }
        pairs.into_iter().collect()
    }

    /// What repair did in this life.
    pub fn progress(&self) -> Progress {
        Progress { hints: self.debt.total(), ..self.progress }
    }

    /// A comparison came to its end.
    pub(super) fn compared(&mut self, cx: &mut Cx<'_>, table: TableId, with: NodeId) {
        self.progress.compared += 1;
        let tables = &self.tables;
        self.repair.compared_at.retain(|(table, _), _| tables.contains_key(table));
        self.repair.compared_at.insert((table, with), cx.now().mono);
        self.repair.given_up.remove(&(table, with));
        if self.repair.look_at.is_some() {
            self.compare_queued(cx);
        }
    }

    /// A comparison was given up.
    pub(super) fn gave_up(&mut self, table: TableId, with: NodeId) {
        self.progress.given_up += 1;
        let tables = &self.tables;
        self.repair.given_up.retain(|(table, _)| tables.contains_key(table));
        self.repair.given_up.insert((table, with));
    }

    /// Looks for comparisons that were asked for and that nobody answers, if it is time, and begins those that wait.
    pub(super) fn repair_on(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        if self.repair.look_at.is_some_and(|at| at <= now) {
            self.end_comparisons(now);
            self.compare_queued(cx);
        }
    }

    /// When [`Leaderless::repair_on`] is wanted.
    pub(super) fn repair_at(&self) -> Option<Wake> {
        self.repair.look_at.map(|at| Wake { at, why: "repair" })
    }

    fn compare_queued(&mut self, cx: &mut Cx<'_>) {
        let nodes: BTreeSet<NodeId> = self.repair.queue.iter().map(|&(with, _)| with).collect();
        for with in nodes {
            let of_node = (with, TableId(0))..=(with, TableId(u16::MAX));
            // A table that is gone begins nothing.
            while !self.comparisons.values().any(|other| other.with == with)
                && let Some(&(with, table)) = self.repair.queue.range(of_node.clone()).next()
            {
                self.repair.queue.remove(&(with, table));
                self.compare(cx, table, with);
            }
        }
        self.repair.look_at = (!self.comparisons.is_empty()).then(|| cx.now().mono.after_ms(LOOK_MS));
    }
}
