//! One operation on its way at its coordinator, and what it waits for.

use super::agree::Agreeing;
use super::change::Wrote;
use super::command::Action;
use super::escrow::Seek;
use super::message::Target;
use super::offer::Offering;
use super::parts::{Need, Parts};
use super::record::State;
use super::replica::Spot;
use super::rule::Rules;
use crate::clock::{Context, Dot, Stamp};
use crate::crdt::{AnyCell, Delta, Seen};
use crate::guarantee::{Evidence, Level, NodeSet, Round as Evident, Session, Tally, Want};
use crate::machine::{Mono, NodeId};
use crate::operation::{Outcome, Value};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use bytes::Bytes;

/// An answered write is said again for this long to replicas that did not confirm it, in milliseconds.
pub(super) const LINGER_MS: u64 = 1_000;

/// One operation on its way.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) token: u64,
    pub(super) spot: Spot,
    pub(super) epoch: u64,
    pub(super) parts: Parts,
    pub(super) action: Action,
    pub(super) rules: Rules,
    pub(super) want: Want,
    pub(super) session: Session,
    pub(super) seen: Option<Seen>,
    pub(super) once: Option<Bytes>,
    pub(super) bound: i64,
    /// The name and the stamp under which its value was offered.
    pub(super) offered: Option<(Dot, Stamp)>,
    /// Rights to decrease are lacking here, and all replicas are asked who holds them.
    pub(super) seek: Option<Seek>,
    pub(super) until: Mono,
    /// When it is looked at next; timers of other moments are of no account.
    pub(super) look_at: Mono,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// It has not set out; if it is kept, another read of the key is to serve it (`join.rs`).
    Waiting,
    /// A majority must agree on it.
    Agreeing(Box<Agreeing>),
    Reading(Reading),
    /// The value was offered to others, and nobody is known to have taken it.
    Offering(Offering),
    Writing(Writing),
    /// What a read found is being written back.
    Back(Back),
}

/// Joins what replicas hold.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) merged: State,
    pub(super) tally: Tally,
    pub(super) asked: NodeSet,
    /// What each told, to see afterwards who is behind.
    pub(super) told: BTreeMap<NodeId, State>,
}

/// Waits until enough replicas have the change.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) delta: Delta<AnyCell>,
    pub(super) after: Context,
    pub(super) dot: Dot,
    pub(super) value: Value,
    pub(super) tally: Tally,
    /// The caller has its answer; until this moment the round goes on for the replicas that are missing.
    pub(super) answered: Option<Mono>,
    /// So many confirmations came, whoever they are from. Only a broken rule looks at it.
    pub(super) confirmations: usize,
    /// The change was made before, under the same name.
    pub(super) replayed: bool,
    /// Who stands in for whom.
    pub(super) stands: BTreeMap<NodeId, NodeId>,
}

#[derive(Debug)]
pub(super) struct Back {
    pub(super) merged: State,
    /// Who answered the read, and who holds durably what it found.
    pub(super) tally: Tally,
    /// How many must hold it.
    pub(super) needed: Need,
    /// What is brought was agreed on: what the operation gave, and its event.
    pub(super) swapped: Option<(Value, Dot)>,
}

impl Writing {
    pub(super) fn new(wrote: Wrote, replayed: bool) -> Writing {
        let Wrote { delta, after, dot, value } = wrote;
        Writing {
            delta,
            after,
            dot,
            value,
            tally: Tally::default(),
            answered: None,
            confirmations: 0,
            replayed,
            stands: BTreeMap::new(),
        }
    }
    /// A replica has the change.
    pub(super) fn confirmed(&mut self, from: NodeId, durable: bool) {
        self.confirmations += 1;
        if durable { self.tally.durable(from) } else { self.tally.answered(from) }
    }
}

impl Round {
    /// Must a majority agree on it?
    pub(super) fn agrees(&self) -> bool {
        let reads = !self.action.writes() && self.rules.level == Some(Level::Linearizable);
        reads || matches!(self.action, Action::Swap { .. })
    }
    /// Is it a read that what this replica holds answers?
    pub(super) fn needs_no_other(&self, covered: bool) -> bool {
        let waits = self.rules.waits_for_session() && !covered;
        let alone = self.rules.read <= 1 && self.rules.fence == 0 && self.rules.write_back.is_none();
        !self.action.writes() && alone && !waits
    }
    /// Those who were asked something that they did not answer.
    pub(super) fn awaited(&self) -> NodeSet {
        match &self.phase {
            Phase::Reading(reading) => reading.asked.iter().filter(|&node| !reading.told.contains_key(&node)).collect(),
            Phase::Offering(offering) => offering.awaited().collect(),
            Phase::Writing(writing) => {
                let silent = |node: &NodeId| !writing.tally.answers().contains(*node);
                self.parts.replicas.iter().copied().filter(silent).collect()
            }
            Phase::Waiting | Phase::Back(_) | Phase::Agreeing(_) => NodeSet::default(),
        }
    }
    pub(super) fn target(&self) -> Target {
        Target { table: self.spot.place.table, epoch: self.epoch, key: self.spot.key.clone() }
    }
    /// Does a state know all events that the caller hands back?
    pub(super) fn knows_seen(&self, state: &State) -> bool {
        self.seen.as_ref().is_none_or(|seen| seen.is_known_to(&state.context))
    }
    /// Does a state hold all that the session saw of the range?
    pub(super) fn covered_by(&self, state: &State) -> bool {
        self.is_seen_by(&state.context)
    }
    /// Are all events that the session saw of the range among these?
    pub(super) fn is_seen_by(&self, context: &Context) -> bool {
        let seen = self.session.events(self.spot.place.table, self.spot.place.range);
        seen.is_none_or(|seen| context.covers(seen))
    }
    /// What the receipt of this round says, but for what it found.
    pub(super) fn evident(&self, needed: u8, opposite: u8) -> Evident {
        Evident { range: self.spot.place.range.0, epoch: self.epoch, needed, opposite, ..Evident::default() }
    }
    /// That of a read: who is read answers for the place where all data are.
    pub(super) fn evident_read(&self) -> Evident {
        self.evident(self.rules.read, self.parts.full().rule.write())
    }
}

/// What became of an operation, by the evidence.
pub(super) fn done(evidence: Evidence, want: Want, value: Value) -> Outcome {
    let receipt = evidence.receipt(want, 0);
    if evidence.meets(want) { Outcome::Done { value, receipt } } else { Outcome::Short { value, receipt } }
}
