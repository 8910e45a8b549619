//! The side that holds: what a replica keeps of the ranges that are its own, and what it answers.

use super::message::{Body, Round, Target};
use super::record::{self, Place, Record, State, digest_of};
use super::{Cx, Leaderless, Table};
use crate::clock::Context;
use crate::crdt::{AnyCell, Cell, Delta, Leaf};
use crate::machine::NodeId;
use crate::mutant::Mutant;
use alloc::borrow::Cow;

/// A key at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) place: Place,
    pub(super) key: bytes::Bytes,
}

impl Leaderless {
    /// A peer asks. Answers leave once what they say is durable, unless it need not be.
    pub(super) fn asked(&mut self, cx: &mut Cx<'_>, from: NodeId, round: Round, target: &Target, body: Body) {
        // Without a life this node does not know whether its disk is the one that it had.
        let Some(table) = self.tables.get(&target.table).filter(|_| self.actor.is_some()) else {
            return cx.send(from, self.signed(round, Body::Fenced { epoch: 0 }));
        };
        let place = table.place(target.table, &target.key);
        let takes_part = table.takes_part(place.range, self.config.node) && !self.is_doomed(place);
        let here = takes_part || (matches!(body, Body::Get { .. }) && self.is_leaving(place));
        if !here && self.looks_what_to_leave() {
            // It is not known yet whether there is something of this range.
            return cx.send(from, self.signed(round, Body::Fenced { epoch: 0 }));
        }
        let replayed = self.config.mutants.has(Mutant::HintReplayed) && matches!(body, Body::Mend { .. });
        let fenced = !self.config.mutants.has(Mutant::EpochNotFenced) && !replayed;
        if (table.epoch != target.epoch || !here) && fenced {
            return cx.send(from, self.signed(round, Body::Fenced { epoch: table.epoch }));
        }
        let spot = Spot { place, key: target.key.clone() };
        if !matches!(body, Body::Mend { .. }) {
            self.serves(cx.now().mono);
        }
        match body {
            Body::Put { target: _, delta, after, volatile } => {
                self.put_arrived(cx, (from, round), &spot, (delta, after), (volatile, false));
            }
            Body::Offer { target: _, delta, after, volatile } => {
                self.put_arrived(cx, (from, round), &spot, (delta, after), (volatile, true));
            }
            Body::Get { target: _, digest, durable, version } => {
                if self.knows_version(version) {
                    self.get_arrived(cx, (from, round), &spot, digest, durable);
                }
            }
            Body::Mend { target: _, state } => {
                if state.is_sound(self.kind(&spot)) {
                    self.take_in(cx, &spot, &state);
                    cx.send_synced(from, self.signed(round, Body::Done { durable: true }));
                }
            }
            Body::Propose { target: _, ask } => self.proposed(cx, (from, round), &spot, ask),
            Body::Done { .. }
            | Body::Behind
            | Body::Held { .. }
            | Body::Agreed { .. }
            | Body::Stand { .. }
            | Body::Stood { .. }
            | Body::Fenced { .. }
            | Body::NotBelieved { .. }
            | Body::Compare { .. } => {}
        }
    }

    fn put_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        (from, round): (NodeId, Round),
        spot: &Spot,
        (delta, after): (Delta<AnyCell>, Context),
        (volatile, offered): (bool, bool),
    ) {
        let alone = State { cell: delta.cell, context: delta.context };
        if !alone.is_sound(self.kind(spot)) {
            return;
        }
        if let Err(far) = self.believe(cx, &alone.cell) {
            return cx.send(from, self.signed(round, far.into()));
        }
        if !self.knows_all(cx, spot, &after) {
            return cx.send(from, self.signed(round, Body::Behind));
        }
        let record = self.record(cx, spot);
        let refusal = if offered { self.refusal(cx, spot, &record, &alone.context) } else { None };
        if let Some(State { cell, context }) = refusal {
            return cx.send(from, self.signed(round, Body::Held { cell: Some(cell), context }));
        }
        self.join_delta(cx, spot, record, &Delta { cell: alone.cell, context: alone.context });
        let body = Body::Done { durable: !volatile };
        if volatile {
            cx.send(from, self.signed(round, body));
        } else {
            cx.send_synced(from, self.signed(round, body));
        }
    }

    fn get_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        (from, round): (NodeId, Round),
        spot: &Spot,
        digest: u64,
        durable: bool,
    ) {
        let stored = cx.get(&record::cell_key(spot.place, &spot.key));
        let (cell, context) = match stored {
            // Mostly the two are the same: then it need not be decoded.
            Some(stored) if record::is_just(&stored, digest) => (None, self.context(cx, spot.place).clone()),
            stored => {
                let record = stored.map_or_else(|| Record::new(self.kind(spot)), |stored| Record::decode(&stored));
                let State { cell, context } = self.known(cx, spot, &record);
                ((digest_of(&cell) != digest).then_some(cell), context)
            }
        };
        let message = self.signed(round, Body::Held { cell, context });
        if durable {
            cx.send_synced(from, message);
        } else {
            cx.send(from, message);
        }
    }

    /// Refuses stamps that are too far ahead of the clock here, and lets the own clock follow the others.
    pub(super) fn believe(&mut self, cx: &Cx<'_>, cell: &AnyCell) -> Result<(), crate::clock::TooFarAhead> {
        let AnyCell::Leaf(Leaf::Latest(cell)) = cell else { return Ok(()) };
        let Some(shown) = cell.read() else { return Ok(()) };
        if self.config.mutants.has(Mutant::FarFutureStampAdopted) {
            return Ok(());
        }
        self.clock.observe(shown.stamp, cx.now().wall.latest_ms)
    }

    /// The record of a key, or that of nothing.
    pub(super) fn record(&self, cx: &Cx<'_>, spot: &Spot) -> Record {
        let bytes = cx.get(&record::cell_key(spot.place, &spot.key));
        bytes.map_or_else(|| Record::new(self.kind(spot)), |bytes| Record::decode(&bytes))
    }

    /// What this replica knows of a key.
    pub(super) fn state(&mut self, cx: &Cx<'_>, spot: &Spot) -> State {
        let record = self.record(cx, spot);
        self.known(cx, spot, &record)
    }

    /// What this replica knows of a key with this record.
    pub(super) fn known(&mut self, cx: &Cx<'_>, spot: &Spot, record: &Record) -> State {
        let context = knows(self.context(cx, spot.place), &record.extra).into_owned();
        State { cell: record.cell.clone(), context }
    }

    /// Does this replica know all these events of a key?
    fn knows_all(&mut self, cx: &Cx<'_>, spot: &Spot, events: &Context) -> bool {
        if self.config.mutants.has(Mutant::ChangeTakenAlone) || self.context(cx, spot.place).covers(events) {
            return true;
        }
        let extra = self.record(cx, spot).extra;
        knows(self.context(cx, spot.place), &extra).covers(events)
    }

    /// What this replica knows of a range.
    pub(super) fn context(&mut self, cx: &Cx<'_>, place: Place) -> &Context {
        &self.range(cx, place).context
    }

    /// Joins the change that one operation made. Its context names events of this key alone, so the range knows them from now on.
    pub(super) fn join_delta(&mut self, cx: &mut Cx<'_>, spot: &Spot, record: Record, delta: &Delta<AnyCell>) {
        let (mut record, mutants) = (record, self.config.mutants);
        let held = &self.range(cx, spot.place).context;
        if held.covers(&delta.context) {
            return;
        }
        let mine = knows(held, &record.extra);
        record.cell.join(&mine, &delta.cell, &delta.context);
        let mut context = held.clone();
        if !(mutants.has(Mutant::RemovalForgotten) && delta.cell.is_bottom()) {
            context.join(&delta.context);
        }
        if mutants.has(Mutant::SiblingDropped) {
            drop_sibling(&mut record.cell);
        }
        self.keep(cx, spot, record, Some(context));
    }

    /// Joins the state of one key, as another replica holds it. What that knows of the range is known here of this key only.
    /// True if it brought something.
    pub(super) fn take_in(&mut self, cx: &mut Cx<'_>, spot: &Spot, state: &State) -> bool {
        let (mut record, mutants) = (self.record(cx, spot), self.config.mutants);
        let held = &self.range(cx, spot.place).context;
        let before = record.clone();
        let mine = knows(held, &record.extra);
        record.cell.join(&mine, &state.cell, &state.context);
        if record.cell == before.cell && mine.covers(&state.context) {
            return false;
        }
        if mutants.has(Mutant::MendReplaces) {
            record.cell = state.cell.clone();
        }
        if mutants.has(Mutant::StateTakenForRange) {
            let mut context = held.clone();
            context.join(&state.context);
            self.keep(cx, spot, record, Some(context));
            return true;
        }
        if !(mutants.has(Mutant::RemovalForgotten) && state.cell.is_bottom()) {
            record.extra.join(&state.context);
        }
        self.keep(cx, spot, record, None);
        true
    }

    /// Writes a record, and the context of its range if that changed.
    pub(super) fn keep(&mut self, cx: &mut Cx<'_>, spot: &Spot, record: Record, context: Option<Context>) {
        let (mut record, mutants) = (record, self.config.mutants);
        self.touch(spot);
        let held = self.range_mut(cx, spot.place);
        if let Some(context) = context {
            cx.put(&record::context_key(spot.place), &record::encode_context(&context));
            held.context = context;
        }
        if held.context.covers(&record.extra) {
            record.extra = Context::default();
        }
        let key = record::cell_key(spot.place, &spot.key);
        let stored = (!record.is_empty()).then(|| record.encode());
        let stored = stored.as_deref();
        if let Some(sums) = &mut held.sums {
            sums.change(&spot.key, cx.get(&key).as_deref(), stored, mutants);
        }
        match stored {
            Some(stored) => cx.put(&key, stored),
            None => cx.delete(&key),
        }
    }

    /// Writes the context of a range.
    pub(super) fn keep_context(&mut self, cx: &mut Cx<'_>, place: Place, context: Context) {
        cx.put(&record::context_key(place), &record::encode_context(&context));
        self.range_mut(cx, place).context = context;
    }

    pub(super) fn kind(&self, spot: &Spot) -> crate::crdt::Kind {
        self.tables.get(&spot.place.table).expect("the table of a spot is known").spec.kind
    }
}

/// All that is known of a key: that of its range, and what is known of the key alone.
fn knows<'a>(range: &'a Context, extra: &Context) -> Cow<'a, Context> {
    if extra.is_empty() {
        return Cow::Borrowed(range);
    }
    let mut both = range.clone();
    both.join(extra);
    Cow::Owned(both)
}

/// With a broken rule: of values that were written concurrently, only one is kept.
fn drop_sibling(cell: &mut AnyCell) {
    let AnyCell::Leaf(Leaf::Register(register)) = cell else { return };
    let mut dots = alloc::vec::Vec::new();
    register.dots(&mut |dot| dots.push(dot));
    dots.pop();
    let removed = register.remove(&dots.into_iter().collect());
    debug_assert!(removed.is_ok(), "registers are not refused");
}

impl Table {
    /// Where a key is.
    pub(super) fn place(&self, table: crate::operation::TableId, key: &[u8]) -> Place {
        Place { table, range: self.spec.division.range_of(key) }
    }
    /// The nodes that hold a key, or will when they have caught up.
    pub(super) fn replicas(&self, key: &[u8]) -> &[NodeId] {
        self.placement.replicas(self.spec.division.range_of(key))
    }
}
