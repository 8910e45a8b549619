//! Writing: the event is made here and now, and goes to the others until enough of them have it.

use super::change::{self, Author, Change};
use super::command::Action;
use super::coordinate::Settled;
use super::escrow::take_back;
use super::message::Body;
use super::record::{Record, State};
use super::round::{LINGER_MS, Phase, Round, Writing, done};
use super::{Cx, Leaderless};
use crate::crdt::Delta;
use crate::guarantee::{NodeSet, Path, Round as Evident, Tally};
use crate::machine::NodeId;
use crate::mutant::Mutant;
use crate::operation::{Outcome, Value};
use alloc::boxed::Box;
use alloc::vec::Vec;

impl Leaderless {
    /// Makes the event, here and now, and sends it to the others. The record is that of the key.
    pub(super) fn write(&mut self, cx: &mut Cx<'_>, number: u64, mut round: Box<Round>, record: Record) {
        let (Some(actor), Action::Change(change)) = (self.actor, &round.action) else { return };
        if self.config.mutants.has(Mutant::OperationForgotten) && self.range(cx, round.spot.place).moved_here {
            round.once = None;
        }
        let replayed = round.once.as_ref().is_some_and(|name| change::knows_name(change, &record.cell, name));
        let mut context = self.context(cx, round.spot.place).clone();
        let (fixed, stamp) = self.identity(cx, &round, &record, actor);
        let mut author = Author { actor, stamp, context: &mut context, last: None, fixed, once: round.once.as_ref() };
        let mut cell = record.cell.clone();
        take_back(&round, &mut cell, actor);
        let wrote = match change::write(change, &mut cell, &mut author, round.seen.as_ref(), round.bound) {
            Ok(wrote) => wrote,
            Err(error) => {
                let holders = self.holders(&round, &cell);
                return self.finish_failed(round, error, holders);
            }
        };
        if self.config.mutants.has(Mutant::EscrowGiftKept) && matches!(change, Change::Give { .. }) {
            cell = record.cell.clone();
        }
        context.join(&wrote.delta.context);
        self.keep(cx, &round.spot, Record { cell, ..record }, Some(context));
        cx.hurry();
        self.unsynced.push_back((cx.seq(), number));
        let mut writing = Writing::new(wrote, replayed);
        if round.rules.volatile {
            writing.tally.answered(self.config.node);
        }
        round.phase = Phase::Writing(writing);
        self.hold(cx, number, round);
        self.say_put(cx, number, |_| true);
        self.write_on(cx, number);
    }

    /// Asks those of the others to join the change that did not confirm it.
    pub(super) fn say_put(&self, cx: &mut Cx<'_>, number: u64, whom: impl Fn(NodeId) -> bool) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Writing(writing) = &round.phase else { return };
        for &node in &round.parts.replicas {
            if node != self.config.node && !writing.tally.held().contains(node) && whom(node) {
                let (target, delta, after) = (round.target(), writing.delta.clone(), writing.after.clone());
                let body = Body::Put { target, delta, after, volatile: round.rules.volatile };
                self.say(cx, node, number, body);
            }
        }
    }

    /// Asks others to take the write in place of replicas that do not answer, where the operation wants that.
    pub(super) fn say_stand(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Writing(writing) = &round.phase else { return };
        if !round.rules.sloppy || writing.answered.is_some() {
            return;
        }
        let silent = round.parts.replicas.iter().filter(|&&node| !writing.tally.answers().contains(node));
        let silent = silent.filter(|&&node| node != self.config.node && !writing.stands.contains_key(&node));
        let free = self.stand_ins_for(&round.parts.replicas);
        let free = free.into_iter().filter(|node| !writing.stands.values().any(|busy| busy == node));
        let pairs: Vec<(NodeId, NodeId)> = silent.copied().zip(free).collect();
        let (target, spot, mut delta) = (round.target(), round.spot.clone(), writing.delta.clone());
        if !writing.after.is_empty() && !pairs.is_empty() {
            // Who is given it later may not know what it replaces.
            let State { cell, context } = self.state(cx, &spot);
            delta = Delta { cell, context };
        }
        for (missing, node) in pairs {
            let body = Body::Stand { target: target.clone(), missing, delta: delta.clone() };
            self.say(cx, node, number, body);
        }
    }

    pub(super) fn own_write_synced(&mut self, cx: &mut Cx<'_>, number: u64) {
        let node = self.config.node;
        let Some(round) = self.rounds.get_mut(&number) else { return };
        match &mut round.phase {
            Phase::Writing(writing) => {
                writing.tally.durable(node);
                self.write_on(cx, number);
            }
            Phase::Back(back) => {
                back.tally.durable(node);
                self.back_on(cx, number);
            }
            Phase::Waiting | Phase::Reading(_) | Phase::Offering(_) | Phase::Agreeing(_) => {}
        }
    }

    /// Enough confirmations of a write?
    pub(super) fn write_on(&mut self, cx: &mut Cx<'_>, number: u64) {
        let mutants = self.config.mutants;
        let served_by = self.config.node;
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let Phase::Writing(writing) = &mut round.phase else { return };
        if writing.answered.is_none() {
            let mut tally = writing.tally;
            if mutants.has(Mutant::QuorumFromPlan) {
                round.parts.replicas.iter().for_each(|&node| tally.durable(node));
            }
            if mutants.has(Mutant::AnswerCountedTwice)
                && writing.confirmations + 1 >= usize::from(round.rules.write.now)
            {
                round.parts.replicas.iter().for_each(|&node| tally.durable(node));
            }
            let dot = Some(writing.dot);
            // A replica that confirmed after all needs nobody in its place.
            let missing = |(replica, _): &(&NodeId, &NodeId)| !writing.tally.answers().contains(**replica);
            let stand_ins: NodeSet = writing.stands.iter().filter(missing).map(|(_, &node)| node).collect();
            if mutants.has(Mutant::SloppyCountsAsStrict) {
                stand_ins.iter().for_each(|node| tally.durable(node));
            }
            let weakest = round.parts.weakest(tally, round.rules.write, mutants);
            let evident = Evident {
                dot,
                stand_ins,
                volatile: round.rules.volatile,
                ..round.evident(weakest.needed, weakest.side.rule.read())
            };
            let Phase::Writing(writing) = &mut round.phase else { return };
            let (tally, replicas) = (weakest.tally, weakest.side.replicas());
            let evidence = tally.settle_round(Path::QuorumWrite, evident, served_by, replicas);
            if !evidence.meets(round.want) {
                return;
            }
            writing.answered = Some(cx.now().mono.after_ms(LINGER_MS));
            let (value, replayed) = (writing.value.clone(), writing.replayed);
            let mut session = core::mem::take(&mut round.session);
            session.observe_events(round.spot.place.table, round.spot.place.range, &writing.delta.context);
            let (token, want) = (round.token, round.want);
            let mut outcome = done(evidence, want, value);
            if let Outcome::Done { receipt, .. } = &mut outcome
                && replayed
            {
                *receipt = receipt.repeated();
            }
            self.settle(token, outcome, session, None);
        }
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Writing(writing) = &round.phase else { return };
        if writing.tally.held().len() == round.parts.replicas.len() {
            self.end(number);
        }
    }

    /// The command was evaluated and refused by the cell: nothing was changed.
    pub(super) fn finish_failed(&mut self, round: Box<Round>, error: Value, holders: Vec<NodeId>) {
        let tally = match &round.phase {
            Phase::Reading(reading) if !reading.tally.answers().is_empty() => reading.tally,
            _ => {
                let mut tally = Tally::default();
                tally.answered(self.config.node);
                tally
            }
        };
        let (evident, full) = (round.evident_read(), round.parts.full());
        let tally = tally.within(round.parts.readers);
        let evidence = tally.settle_round(Path::QuorumRead, evident, self.config.node, full.replicas());
        let Round { token, want, session, .. } = *round;
        let outcome = Some(Outcome::Done { value: error, receipt: evidence.receipt(want, 0) });
        self.settled.push(Settled { token, outcome, session, seen: None, holders });
    }

    /// A write is over, and some replicas did not confirm it.
    pub(super) fn owe_the_missing(&mut self, cx: &mut Cx<'_>, round: &Round) {
        let Phase::Writing(writing) = &round.phase else { return };
        let missing = round.parts.replicas.iter().filter(|&&node| !writing.tally.held().contains(node));
        let here = self.config.node;
        for &node in missing.filter(|&&node| node != here) {
            self.owe(cx, node, &round.spot, round.epoch);
        }
    }
}
