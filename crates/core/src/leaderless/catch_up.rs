//! Catching up: a replica that may lack data, because a range moves to it or because its disk was lost, compares what it holds with old replicas,
//! so many that it meets every write and every accepted proposal that they acknowledged. Then it says so in the log of the catalogue, and
//! when all have, the new place counts alone.
//!
//! An old replica that answers does so in the new epoch, and from then on takes no write of the old one; nor does it after a crash, as it
//! answers nothing until it knows a catalogue that has its next life. So a write that was acknowledged in the old epoch was on W of the
//! old replicas before, and of those that are compared at least one has it.

use super::compare::Comparison;
use super::record::{self, Place, State};
use super::replica::Spot;
use super::talk::Talk;
use super::{Cx, Leaderless};
use crate::guarantee::NodeSet;
use crate::limits;
use crate::machine::{Mono, NodeId, Wake};
use crate::mutant::Mutant;
use crate::operation::TableId;
use crate::paxos::Acceptor;
use crate::placement::Range;
use crate::store::{Seq, View};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

/// While a replica catches up, comparisons that nobody answers are begun again after this, in milliseconds.
const LOOK_MS: u64 = 500;

/// What a replica must still compare for one table.
#[derive(Clone, Debug)]
pub(super) struct CatchingUp {
    epoch: u64,
    /// Ranges that are not done, with those that they were compared with.
    left: BTreeMap<Range, NodeSet>,
    /// All ranges that it began with.
    of: usize,
    /// What was found is durable then; known once all is done.
    durable_at: Option<Seq>,
}

/// One acceptor, as it is told in a comparison.
pub type Told = (Range, Bytes, Acceptor<State>);

impl Leaderless {
    /// The catalogue changed: looks what must be compared now.
    pub(super) fn look_what_to_catch_up(&mut self, now: Mono) {
        let (node, tables) = (self.config.node, &self.tables);
        let before = core::mem::take(&mut self.catching_up);
        for (&id, table) in tables {
            if table.moving.as_ref().is_none_or(|moving| !moving.awaited.contains(&node)) {
                continue;
            }
            let catching = match before.get(&id) {
                Some(same) if same.epoch == table.epoch => same.clone(),
                _ => {
                    let mine = table.placement.iter().filter(|(_, nodes)| nodes.contains(&node));
                    let moved = mine.map(|(range, _)| (range, table.parts(range)));
                    let moved = moved.filter(|(_, parts)| parts.from.is_some() && parts.to_compare(node).1 > 0);
                    let left: BTreeMap<Range, NodeSet> = moved.map(|(range, _)| (range, NodeSet::default())).collect();
                    CatchingUp { epoch: table.epoch, of: left.len(), left, durable_at: None }
                }
            };
            self.catching_up.insert(id, catching);
            self.catch_up_at = now;
        }
    }

    /// Tables for which this node has compared all that a movement asks of it, with their epochs.
    pub fn caught_up(&self) -> Vec<(TableId, u64)> {
        let durable = |catching: &CatchingUp| catching.durable_at.is_some_and(|at| at <= self.synced);
        let done = self.catching_up.iter().filter(|(_, catching)| durable(catching));
        done.map(|(&table, catching)| (table, catching.epoch)).collect()
    }

    /// Ranges that a movement asks this node to compare, and how many of them are done.
    pub(super) fn caught_up_of(&self, table: TableId) -> Option<(u32, u32)> {
        let catching = self.catching_up.get(&table)?;
        Some(((catching.of - catching.left.len()) as u32, catching.of as u32))
    }

    /// When [`Leaderless::catch_up`] is wanted.
    pub(super) fn catch_up_wake(&self) -> Option<Wake> {
        let open = self.catching_up.values().any(|catching| catching.durable_at.is_none());
        open.then_some(Wake { at: self.catch_up_at, why: "catch up" })
    }

    /// Begins the comparisons that are wanted, if it is time.
    pub(super) fn catch_up(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        if self.catch_up_wake().is_none_or(|wake| wake.at > now) {
            return;
        }
        self.catch_up_at = now.after_ms(LOOK_MS);
        self.end_comparisons(now);
        let mut to_begin: Vec<(TableId, NodeId)> = Vec::new();
        let skips = self.config.mutants.has(Mutant::MovesWithoutComparing);
        for (id, catching) in &mut self.catching_up {
            if skips {
                catching.left.clear();
            }
            if catching.left.is_empty() && catching.durable_at.is_none() {
                cx.hurry();
                catching.durable_at = Some(cx.after());
            } else if let Some(table) = self.tables.get(id) {
                let others = |(&range, done): (&Range, &NodeSet)| {
                    let (others, _) = table.parts(range).to_compare(self.config.node);
                    let done = *done;
                    others.iter().filter(move |&node| !done.contains(node)).collect::<Vec<NodeId>>()
                };
                let wanted: NodeSet = catching.left.iter().flat_map(others).collect();
                to_begin.extend(wanted.iter().map(|with| (*id, with)));
            }
        }
        for (table, with) in to_begin {
            self.compare(cx, table, with);
        }
    }

    /// A comparison came to its end.
    pub(super) fn caught_up_with(&mut self, now: Mono, comparison: &Comparison) {
        let (node, with) = (self.config.node, comparison.with);
        let Some(table) = self.tables.get(&comparison.table) else { return };
        let Some(catching) = self.catching_up.get_mut(&comparison.table) else { return };
        if catching.epoch != comparison.epoch || comparison.handed_over() {
            return;
        }
        let ranges = &mut self.ranges;
        catching.left.retain(|&range, done| {
            let (others, needed) = table.parts(range).to_compare(node);
            if others.contains(with) {
                done.insert(with);
            }
            if let Some(held) = ranges.get_mut(&Place { table: comparison.table, range }) {
                held.moved_here = true;
            }
            done.len() < needed
        });
        // What else is wanted need not wait, nor what is done.
        self.catch_up_at = now;
    }

    /// Is a comparison with another replica part of catching up? Then the acceptors of keys are wanted, too.
    pub(super) fn wants_acceptors(&self, table: TableId, with: NodeId) -> bool {
        let Some(known) = self.tables.get(&table) else { return false };
        let wanted = |range: &Range| known.parts(*range).to_compare(self.config.node).0.contains(with);
        self.catching_up.get(&table).is_some_and(|catching| catching.left.keys().any(wanted))
    }

    /// The acceptors from a key on that another node shall have, as many as fit; and where the list goes on.
    pub(super) fn tell_acceptors(&self, view: &dyn View, table: TableId, to: NodeId, from: &(Range, Bytes)) -> Talk {
        let Some(known) = self.tables.get(&table) else { return Talk::AcceptorsAre { list: Vec::new(), next: None } };
        let first = record::acceptor_key(Place { table, range: from.0 }, &from.1);
        let mut told: Vec<Told> = Vec::new();
        let (mut bytes, mut next) = (0, None);
        view.scan(&first, &record::after_acceptors(table), &mut |key, value| {
            let Some((range, key)) = record::acceptor_of(key) else { return true };
            if !known.takes_part(range, to) {
                return true;
            }
            if bytes > limits::COMPARE_BYTES {
                next = Some((range, key));
                return false;
            }
            bytes += value.len();
            told.push((range, key, postcard::from_bytes(value).expect("an acceptor on disk decodes")));
            true
        });
        Talk::AcceptorsAre { list: told, next }
    }

    /// Another node told its acceptors: those here continue what was agreed there. False if one of them makes no sense.
    pub(super) fn take_over_acceptors(&mut self, cx: &mut Cx<'_>, table: TableId, list: Vec<Told>) -> bool {
        for (range, key, told) in list {
            let Some(known) = self.tables.get(&table) else { return false };
            let spot = Spot { place: Place { table, range }, key };
            let sound = told.value().is_none_or(|state| state.is_sound(known.spec.kind));
            if !sound || known.place(table, &spot.key) != spot.place {
                return false;
            }
            if let Some(state) = told.value() {
                self.take_in_at_once(cx, &spot, state);
            }
            let mut here = self.acceptor(cx, &spot);
            if here.take_over(&told) {
                self.keep_acceptor(cx, &spot, &here);
            }
        }
        true
    }
}
