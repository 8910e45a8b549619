//! Writing in one round where that is enough (decision 0022). A value for a register is *offered*: who holds nothing that it neither replaces nor knows
//! takes it, and who does refuses and tells what it holds. One who took it and the coordinator are the two that a write reads with R = 2:
//! so there is nothing more to replace, and the value is made here too. If all refuse, nobody has it: what they told is a read, and the write
//! goes on from there under the same name.
//!
//! Until somebody took it, the value is nowhere to be seen, not even here. So no reader meets it before it is known what it replaces.

use super::change::{self, Author, Change};
use super::command::Action;
use super::message::Body;
use super::record::{Place, Record, State};
use super::replica::Spot;
use super::round::{Phase, Reading, Round, Writing};
use super::{Cx, Leaderless};
use crate::clock::{Actor, Context, Dot, Stamp};
use crate::crdt::{Cell, Kind};
use crate::guarantee::{NodeSet, Tally};
use crate::machine::NodeId;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A value that nobody is known to have taken.
#[derive(Debug)]
pub(super) struct Offering {
    writing: Writing,
    asked: NodeSet,
    /// Those who refused, and what they hold.
    told: BTreeMap<NodeId, State>,
}

impl Offering {
    /// Those who did not answer.
    pub(super) fn awaited(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.asked.iter().filter(|node| !self.told.contains_key(node))
    }
}

impl Leaderless {
    /// To whom a value can be offered. If somebody is silent, it is not asked: whether it took the value nobody would know. Nobody is, if the
    /// write must read first: then it can still be refused.
    pub(super) fn takers(&self, round: &Round) -> NodeSet {
        let kind = self.kind(&round.spot);
        let sets = matches!(&round.action, Action::Change(Change::Set(_)));
        let offered = sets && matches!(kind, Kind::Register | Kind::Latest) && round.seen.is_none();
        if !offered || round.rules.read != 2 || round.rules.sloppy || round.parts.from.is_some() {
            return NodeSet::default();
        }
        let here = self.config.node;
        round.parts.readers.iter().filter(|&node| node != here && !self.silent.contains(node)).collect()
    }

    /// Offers a value. The record is that of the key.
    pub(super) fn offer_value(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        mut round: Box<Round>,
        record: &Record,
        asked: NodeSet,
    ) {
        let (Some(actor), Action::Change(change)) = (self.actor, &round.action) else { return };
        let dot = self.name(cx, round.spot.place, actor);
        let stamp = self.stamp(cx, record);
        let mut context = self.context(cx, round.spot.place).clone();
        let mut author = Author { actor, stamp, context: &mut context, last: None, fixed: Some(dot), once: None };
        let wrote = match change::write(change, &mut record.cell.clone(), &mut author, None, round.bound) {
            Ok(wrote) => wrote,
            Err(error) => return self.finish_failed(round, error, Vec::new()),
        };
        round.offered = Some((dot, stamp));
        let writing = Writing::new(wrote, false);
        round.phase = Phase::Offering(Offering { writing, asked, told: BTreeMap::new() });
        self.hold(cx, number, round);
        self.say_offer(cx, number, asked);
    }

    /// The name of the next event. Names that were given to offers are not given again.
    pub(super) fn name(&mut self, cx: &Cx<'_>, place: Place, actor: Actor) -> Dot {
        let held = self.range_mut(cx, place);
        let given = held.given.filter(|dot| dot.actor == actor).map_or(0, |dot| dot.count);
        let next = held.context.next(actor);
        let dot = Dot { count: next.count.max(given + 1), ..next };
        held.given = Some(dot);
        dot
    }

    /// The name and the stamp of a write: those that were offered, or new ones. The name is none where no names were given to offers.
    pub(super) fn identity(
        &mut self,
        cx: &Cx<'_>,
        round: &Round,
        record: &Record,
        actor: Actor,
    ) -> (Option<Dot>, Stamp) {
        if let Some((dot, stamp)) = round.offered {
            return (Some(dot), stamp);
        }
        let offers = self.range(cx, round.spot.place).given.is_some();
        (offers.then(|| self.name(cx, round.spot.place, actor)), self.stamp(cx, record))
    }

    fn stamp(&mut self, cx: &Cx<'_>, record: &Record) -> Stamp {
        // What is replaced is older than what replaces it, whatever the clocks say; unless its stamp is not believed.
        let _ = self.believe(cx, &record.cell);
        self.clock.tick(cx.now().wall.shown_ms())
    }

    fn say_offer(&self, cx: &mut Cx<'_>, number: u64, to: NodeSet) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Offering(Offering { writing, told, .. }) = &round.phase else { return };
        for node in to.iter().filter(|node| !told.contains_key(node)) {
            let (target, delta, after) = (round.target(), writing.delta.clone(), writing.after.clone());
            self.say(cx, node, number, Body::Offer { target, delta, after, volatile: round.rules.volatile });
        }
    }

    /// Nobody took it so far: all are asked that did not refuse.
    pub(super) fn offer_again(&mut self, cx: &mut Cx<'_>, number: u64) {
        let here = self.config.node;
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let Phase::Offering(offering) = &mut round.phase else { return };
        offering.asked = round.parts.readers.iter().filter(|&node| node != here).collect();
        let asked = offering.asked;
        self.say_offer(cx, number, asked);
    }

    /// A replica answered an offer.
    pub(super) fn offer_answered(&mut self, cx: &mut Cx<'_>, number: u64, from: NodeId, body: Body) {
        match body {
            Body::Done { durable } => self.offer_taken(cx, number, from, durable),
            Body::Held { cell: Some(cell), context } => self.offer_refused(cx, number, from, State { cell, context }),
            Body::Behind => self.offer_to_one_behind(cx, number, from),
            // It did nothing. It is asked again.
            Body::Fenced { .. } | Body::NotBelieved { .. } => {}
            Body::Held { cell: None, .. }
            | Body::Agreed { .. }
            | Body::Stood { .. }
            | Body::Put { .. }
            | Body::Get { .. }
            | Body::Mend { .. }
            | Body::Propose { .. }
            | Body::Offer { .. }
            | Body::Stand { .. }
            | Body::Compare { .. } => {}
        }
    }

    /// A replica lacks what the value replaces: it is brought that, and asked again.
    fn offer_to_one_behind(&mut self, cx: &mut Cx<'_>, number: u64, from: NodeId) {
        let Some(round) = self.rounds.get(&number) else { return };
        let (spot, target) = (round.spot.clone(), round.target());
        let state = self.state(cx, &spot);
        // Nobody waits for the first of the two: its confirmation would say nothing of the value.
        self.say_mend(cx, from, 0, target, &state);
        self.say_offer(cx, number, NodeSet::only(from));
    }

    /// A replica took it.
    fn offer_taken(&mut self, cx: &mut Cx<'_>, number: u64, from: NodeId, durable: bool) {
        let Some(refused) = self.make_offered(cx, number, Some((from, durable))) else { return };
        self.say_put(cx, number, |node| refused.contains(node));
        self.write_on(cx, number);
    }

    /// Makes what was offered here, too. From now on it is a write like any other. Gives those who were not asked or refused.
    pub(super) fn make_offered(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        taken: Option<(NodeId, bool)>,
    ) -> Option<NodeSet> {
        let mut round = self.end(number)?;
        let Phase::Offering(Offering { mut writing, asked, told }) = round.phase else { return None };
        let lacks = |node: &NodeId| !asked.contains(*node) || told.contains_key(node);
        let lacking = round.parts.replicas.iter().copied().filter(lacks).collect();
        if let Some((from, durable)) = taken {
            writing.confirmed(from, durable);
        }
        if self.takes_part(&round.spot) {
            let record = self.record(cx, &round.spot);
            self.join_delta(cx, &round.spot, record, &writing.delta);
            if round.rules.volatile {
                writing.tally.answered(self.config.node);
            }
            let after = cx.after();
            if after <= self.synced {
                writing.tally.durable(self.config.node);
            } else {
                cx.hurry();
                self.unsynced.push_back((after, number));
            }
        }
        round.phase = Phase::Writing(writing);
        self.hold(cx, number, round);
        Some(lacking)
    }

    /// A replica holds more, and did not take it. If nobody did, it is known what the value is to replace.
    fn offer_refused(&mut self, cx: &mut Cx<'_>, number: u64, from: NodeId, state: State) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let Phase::Offering(offering) = &mut round.phase else { return };
        if offering.asked.contains(from) && state.is_sound(offering.writing.delta.cell.kind()) {
            offering.told.insert(from, state);
        }
        if offering.told.len() < offering.asked.len() {
            return;
        }
        let Some(mut round) = self.end(number) else { return };
        let Phase::Offering(Offering { asked, mut told, .. }) = round.phase else { return };
        let here = self.config.node;
        let own = self.state(cx, &round.spot);
        let (mut merged, mut tally) = (own.clone(), Tally::default());
        told.values().for_each(|state| merged.join(state));
        told.insert(here, own);
        told.keys().for_each(|&node| tally.answered(node));
        round.phase = Phase::Reading(Reading { merged, tally, asked, told });
        // Under another number: what is still said of the offer says nothing of what becomes of it.
        self.next_round += 1;
        let number = self.next_round;
        self.hold(cx, number, round);
        self.read_on(cx, number);
    }

    /// What this replica holds, if that is something that a change neither replaces nor knows. Who has taken the change before does not refuse it.
    pub(super) fn refusal(&mut self, cx: &Cx<'_>, spot: &Spot, record: &Record, change: &Context) -> Option<State> {
        let mut more = false;
        record.cell.dots(&mut |dot| more |= !change.contains(dot));
        if !more {
            return None;
        }
        let state = self.known(cx, spot, record);
        (!state.context.covers(change)).then_some(state)
    }

    fn takes_part(&self, spot: &Spot) -> bool {
        let table = self.tables.get(&spot.place.table);
        table.is_some_and(|table| table.takes_part(spot.place.range, self.config.node)) && !self.is_doomed(spot.place)
    }
}
