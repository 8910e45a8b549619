//! Answers: to whom an outcome goes, who is answered once a group moved on, and deadlines.

use super::apply::BLIND;
use super::seat::{Call, Origin, Proof, Settling, Write};
use super::{Cx, Message, Node};
use crate::guarantee::{Path, Position, Session, Tally};
use crate::machine::Mono;
use crate::mutant::Mutant;
use crate::operation::{Doubt, Outcome, Refusal, Reply, Value};
use crate::state;
use alloc::vec::Vec;

impl Node {
    pub(super) fn answer(&mut self, cx: &mut Cx<'_>, origin: Origin, outcome: Outcome, session: Session) {
        self.answer_seen(cx, origin, outcome, session, None);
    }

    /// Answers, with what a read of a leaderless table saw.
    pub(super) fn answer_seen(
        &mut self,
        cx: &mut Cx<'_>,
        origin: Origin,
        outcome: Outcome,
        session: Session,
        seen: Option<bytes::Bytes>,
    ) {
        self.calls -= 1;
        match origin {
            Origin::Local(call) => cx.answer(call, Reply::Operated { outcome, session, seen }),
            Origin::Remote { node, call, incarnation } => {
                let reply = Some(Reply::Operated { outcome, session, seen });
                cx.send(node, Message::Answer { call, incarnation, reply });
            }
            Origin::Part { gather, part } => self.part_answered(cx, gather, part, outcome, session),
            Origin::Node => {}
        }
    }

    /// Refuses a call; one that an earlier attempt may have applied stays in doubt.
    pub(super) fn refuse(&mut self, cx: &mut Cx<'_>, call: Call, refusal: Refusal) {
        let outcome = call.doubt.map_or(Outcome::Refused(refusal), Outcome::Unknown);
        self.answer(cx, call.origin, outcome, call.operate.session);
    }

    /// A group may have moved on: applies what is committed, then answers whoever waited for it.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>, id: u16) {
        self.apply(cx, id);
        self.heed_catalogue(cx, id);
        self.settle_early(cx, id);
        self.settle_all(cx, id);
        self.settle_reads(cx, id);
        if let Some(seat) = self.seats.get_mut(&id)
            && seat.leader_changed()
        {
            self.forwarded_to_earlier(cx, id);
        }
        self.free_leftovers(cx, id);
        self.unpark(cx, id);
    }

    /// Acks below majority, which need not wait for the commit.
    fn settle_early(&mut self, cx: &mut Cx<'_>, id: u16) {
        while let Some(seat) = self.seats.get_mut(&id)
            && let Some((index, write)) = seat.pop_early()
        {
            let time_ms = seat.group.log().entry(index).map_or(0, |entry| entry.time_ms);
            self.finish_write(cx, id, index, write, BLIND, time_ms, None);
        }
    }

    /// Writes that wait until all members hold them.
    fn settle_all(&mut self, cx: &mut Cx<'_>, id: u16) {
        while let Some(seat) = self.seats.get_mut(&id)
            && let Some(entry) = seat.settling.first_entry()
        {
            let index = *entry.key();
            if seat.group.holders(index) != seat.group.members().counted().all() {
                break;
            }
            let Settling { write, value, time_ms, replay_of } = entry.remove();
            self.finish_write(cx, id, index, write, value, time_ms, replay_of);
        }
    }

    /// An own entry is applied, or held by as many as its ack asks. Counts who really holds it.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn finish_write(
        &mut self,
        cx: &mut Cx<'_>,
        id: u16,
        index: u64,
        write: Write,
        value: Value,
        time_ms: u64,
        replay_of: Option<Position>,
    ) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let mut tally = Tally::default();
        if self.config.mutants.has(Mutant::ReceiptCountsThePlan) {
            self.config.members.iter().for_each(|&member| tally.durable(member));
        } else {
            seat.group.holders(index).iter().for_each(|holder| tally.durable(holder));
        }
        let position = Position { group: id, term: write.term, index };
        let evidence = tally.settle(Path::Log, position, self.config.node, seat.group.members().counted());
        let mut receipt = evidence.receipt(write.want, time_ms);
        if let Some(first) = replay_of {
            receipt = receipt.replay_of(first);
        }
        let mut session = write.session;
        session.observe(id, index);
        let outcome = if evidence.meets(write.want) {
            Outcome::Done { value, receipt }
        } else {
            Outcome::Short { value, receipt }
        };
        self.answer(cx, write.origin, outcome, session);
    }

    fn settle_reads(&mut self, cx: &mut Cx<'_>, id: u16) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let confirmed = seat.group.confirmed_round();
        let mut astray = Vec::new();
        while let Some((ticket, _)) = seat.rounds.front() {
            let ticket = *ticket;
            if seat.group.leads() && seat.group.term() == ticket.term && ticket.round > confirmed {
                break;
            }
            let Some((_, call)) = seat.rounds.pop_front() else { break };
            if seat.group.leads() && seat.group.term() == ticket.term {
                let voters = seat.group.members().counted();
                let proof = Proof::Round { answered: seat.group.echoed(ticket.round), voters };
                seat.waiting.entry(ticket.index).or_default().push((proof, call));
            } else {
                astray.push(call);
            }
        }
        let applied = seat.group.applied().at.index;
        let mut ready = Vec::new();
        while let Some(entry) = seat.waiting.first_entry() {
            if *entry.key() > applied {
                break;
            }
            ready.extend(entry.remove());
        }
        for (proof, call) in ready {
            self.serve_read(cx, id, Some(proof), call);
        }
        for call in astray {
            // A read changes nothing, so it may begin again at the next leader.
            self.route(cx, call);
        }
    }

    /// Evaluates a read on the applied state of this replica.
    pub(super) fn serve_read(&mut self, cx: &mut Cx<'_>, id: u16, proof: Option<Proof>, call: Call) {
        let Some(seat) = self.seats.get(&id) else { return self.refuse(cx, call, Refusal::UnknownTable) };
        let applied = seat.group.applied();
        let now = cx.now().wall;
        let Call { origin, operate, until: _, order: _, pinned: _, doubt: _, sought: _ } = call;
        let (batch, space) = (&operate.batch, seat.group.space());
        let display_ms = now.shown_ms();
        let value =
            state::read(cx.view(), space, batch.table, &batch.commands, batch.transaction, applied.time_ms, display_ms);
        let mut tally = Tally::default();
        let mut counted = seat.group.members().counted();
        let path = match proof {
            Some(Proof::Round { answered, voters }) => {
                counted = voters;
                answered.iter().for_each(|node| tally.answered(node));
                Path::LeaderRound
            }
            Some(Proof::Session) => {
                tally.answered(self.config.node);
                Path::SessionReplica
            }
            None => {
                tally.answered(self.config.node);
                Path::Replica
            }
        };
        let position = Position { group: id, term: applied.at.term, index: applied.at.index };
        let evidence = tally.settle(path, position, self.config.node, counted);
        let receipt = evidence.receipt(operate.want, applied.time_ms);
        let mut session = operate.session;
        session.observe(id, applied.at.index);
        self.answer(cx, origin, Outcome::Done { value, receipt }, session);
    }

    /// Answers the calls whose deadline passed.
    pub(super) fn sweep_deadlines(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        let ids: Vec<u16> = self.seats.keys().copied().collect();
        for id in ids {
            self.sweep_writes(cx, id, now);
            self.sweep_waiters(cx, id, now);
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.misled = false;
            }
        }
        self.sweep_forwarded(cx, now);
        self.sweep_unheard(cx, now);
        self.sweep_replicas(cx, now);
    }

    fn sweep_writes(&mut self, cx: &mut Cx<'_>, id: u16, now: Mono) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let late = |until: Mono| until <= now;
        let writes: Vec<u64> = seat.writes.iter().filter(|(_, it)| late(it.until)).map(|(&index, _)| index).collect();
        let settling: Vec<u64> =
            seat.settling.iter().filter(|(_, it)| late(it.write.until)).map(|(&index, _)| index).collect();
        for index in writes {
            let Some(seat) = self.seats.get_mut(&id) else { return };
            seat.not_early(index);
            if let Some(write) = seat.writes.remove(&index) {
                self.answer(cx, write.origin, Outcome::Unknown(Doubt::Deadline), write.session);
            }
        }
        for index in settling {
            let Some(seat) = self.seats.get_mut(&id) else { return };
            if let Some(Settling { write, value, time_ms, replay_of }) = seat.settling.remove(&index) {
                self.finish_write(cx, id, index, write, value, time_ms, replay_of);
            }
        }
    }

    fn sweep_waiters(&mut self, cx: &mut Cx<'_>, id: u16, now: Mono) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let mut late = Vec::new();
        let mut in_time = alloc::collections::VecDeque::new();
        for (ticket, call) in core::mem::take(&mut seat.rounds) {
            if call.until <= now { late.push((call, Refusal::NoQuorum)) } else { in_time.push_back((ticket, call)) }
        }
        seat.rounds = in_time;
        for waiters in seat.waiting.values_mut() {
            for (proof, call) in core::mem::take(waiters) {
                let refusal = match proof {
                    Proof::Round { .. } => Refusal::NoQuorum,
                    Proof::Session => Refusal::Behind,
                };
                if call.until <= now { late.push((call, refusal)) } else { waiters.push((proof, call)) }
            }
        }
        seat.waiting.retain(|_, waiters| !waiters.is_empty());
        for queue in [&mut seat.parked, &mut seat.held] {
            for call in core::mem::take(queue) {
                if call.until <= now { late.push((call, Refusal::NoLeader)) } else { queue.push_back(call) }
            }
        }
        for (call, refusal) in late {
            self.refuse(cx, call, refusal);
        }
    }
}
