//! Routing: where a call goes, and what happens when the place turns out to be another.

use super::plan::Plan;
use super::seat::{Call, Origin, Proof, Write};
use super::{Cx, Message, Node, wrap};
use crate::consensus::Payload;
use crate::guarantee::{Ack, Level, NodeSet};
use crate::machine::{CallId, Mono, NodeId};
use crate::mutant::Mutant;
use crate::operation::{Doubt, Operate, Outcome, Refusal, Reply};
use alloc::vec::Vec;
use bytes::Bytes;

/// How much earlier than the caller's deadline a leader decides on a call that was passed on to it, in microseconds:
/// one look at deadlines and the way back.
const DECIDE_EARLIER_US: u64 = 100_000;

/// A call that was passed on to a leader elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Forwarded {
    call: Call,
    to: NodeId,
    group: u16,
    term: u64,
    write: bool,
    /// May be sent again: it changes nothing, or at most once.
    repeatable: bool,
}

impl Node {
    pub(super) fn follow_plan(&mut self, cx: &mut Cx<'_>, plan: Plan, call: Call) {
        match plan {
            Plan::Write { group } => self.write(cx, group, call),
            Plan::Read { group, level: Level::Linearizable }
                if self.config.mutants.has(Mutant::GatherPartUnproven)
                    && matches!(call.origin, Origin::Part { .. }) =>
            {
                let answered: NodeSet = self.config.members.iter().copied().collect();
                let proof = Proof::Round { answered, voters: answered.into() };
                self.serve_read(cx, group, Some(proof), call);
            }
            // The leader's round gives more than these two ask, at the same price.
            Plan::Read { group, level: Level::Linearizable | Level::Atomic | Level::Regular } => {
                self.read_at_leader(cx, group, call);
            }
            Plan::Read { group, level: Level::Session } => self.read_after_session(cx, group, call),
            Plan::Read { group, level: Level::Eventual } => self.serve_read(cx, group, None, call),
            Plan::Gather(gathering) => self.gather(cx, gathering, call),
            Plan::Replicas => self.coordinate(cx, call),
        }
    }

    fn write(&mut self, cx: &mut Cx<'_>, id: u16, call: Call) {
        self.hear_term(id);
        let Some(seat) = self.seats.get_mut(&id) else { return self.refuse(cx, call, Refusal::UnknownTable) };
        let Some(call) = seat.keep_order(call, self.config.mutants) else { return };
        if !seat.group.leads() {
            return self.pass_on(cx, id, call, true);
        }
        let payload = call.operate.batch.encode();
        let point = cx.within(wrap(id), |cx| seat.group.propose(cx, Payload::Batch(Bytes::from(payload))));
        let Some(point) = point else {
            // Leadership is being handed over, or too much is on its way: it waits its turn.
            return seat.park(call);
        };
        let Call { origin, operate, until, order: _, pinned: _, doubt, sought: _ } = call;
        if operate.want.ack() < Ack::Majority {
            seat.early.insert((operate.want.ack(), point.index));
        }
        let write = Write { term: point.term, origin, want: operate.want, session: operate.session, until, doubt };
        if let Some(earlier) = seat.writes.insert(point.index, write) {
            // An entry of an earlier leadership of ours stood here. It is gone from this log, but perhaps not from others.
            self.answer(cx, earlier.origin, Outcome::Unknown(Doubt::LeaderChanged), earlier.session);
        }
    }

    fn read_at_leader(&mut self, cx: &mut Cx<'_>, id: u16, call: Call) {
        self.hear_term(id);
        let Some(seat) = self.seats.get_mut(&id) else { return self.refuse(cx, call, Refusal::UnknownTable) };
        let Some(call) = seat.keep_order(call, self.config.mutants) else { return };
        let after_all = call.operate.after_own_writes && !self.config.mutants.has(Mutant::OwnWritesIgnored);
        match seat.group.read(after_all) {
            None => self.pass_on(cx, id, call, false),
            Some(ticket) if ticket.round <= seat.group.confirmed_round() => {
                seat.rounds.push_back((ticket, call));
                self.settle(cx, id);
            }
            Some(ticket) => seat.rounds.push_back((ticket, call)),
        }
    }

    fn read_after_session(&mut self, cx: &mut Cx<'_>, id: u16, call: Call) {
        let Some(seat) = self.seats.get_mut(&id) else { return self.refuse(cx, call, Refusal::UnknownTable) };
        let seen = call.operate.session.position(id);
        if seen <= seat.group.applied().at.index || self.config.mutants.has(Mutant::SessionIgnored) {
            self.serve_read(cx, id, Some(Proof::Session), call);
        } else {
            seat.waiting.entry(seen).or_default().push((Proof::Session, call));
        }
    }

    /// Passes a call on to the leader, or parks it until there is one. A call that came from another node goes back:
    /// calls are passed on once.
    pub(super) fn pass_on(&mut self, cx: &mut Cx<'_>, id: u16, call: Call, write: bool) {
        if let Origin::Remote { node, call, incarnation } = call.origin {
            self.calls -= 1;
            cx.send(node, Message::Answer { call, incarnation, reply: None });
            return;
        }
        let leader = self.leader_elsewhere(id);
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let Some((leader, term)) = leader else { return seat.park(call) };
        self.next_forward += 1;
        let number = CallId(self.next_forward);
        let left_us = call.until.0.saturating_sub(cx.now().mono.0);
        // The leader decides earlier than this node gives up, so that its answer arrives in time to be passed on.
        let margin_us = (left_us / 8).min(DECIDE_EARLIER_US);
        let deadline_ms = (left_us - margin_us).div_ceil(1000).min(u64::from(u32::MAX)) as u32;
        let session = call.operate.session.of_groups();
        let operate = Operate { deadline_ms, session, ..call.operate.clone() };
        let incarnation = self.config.incarnation;
        cx.send(leader, Message::Forward { call: number, incarnation, group: id, term, operate });
        let repeatable = !write || call.operate.batch.idempotency.is_some();
        if write {
            seat.goes_away(term);
        }
        self.forwarded.insert(number, Forwarded { call, to: leader, group: id, term, write, repeatable });
    }

    /// Takes calls that waited for a leader, if there may be one now.
    pub(super) fn unpark(&mut self, cx: &mut Cx<'_>, id: u16) {
        let elsewhere = self.leader_elsewhere(id).is_some();
        let Some(seat) = self.seats.get_mut(&id) else { return };
        if seat.parked.is_empty() || seat.misled || !(seat.group.accepts() || elsewhere) {
            return;
        }
        for call in core::mem::take(&mut seat.parked) {
            self.route(cx, call);
        }
    }

    pub(super) fn route(&mut self, cx: &mut Cx<'_>, call: Call) {
        match super::plan::plan(&self.config, &self.tables.catalogue, &call.operate, call.pinned) {
            Ok(plan) => self.follow_plan(cx, plan, call),
            Err(Refusal::Behind) => self.tables.unheard.push(call),
            Err(refusal) => self.refuse(cx, call, refusal),
        }
    }

    pub(super) fn forward_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        from: NodeId,
        (call, incarnation): (CallId, u64),
        (group, term): (u16, u64),
        operate: Operate,
    ) {
        let Some(seat) = self.seats.get_mut(&group) else { return };
        // A call that is sent back is remembered too: its sender passes it on anew, so a late copy must not be taken.
        let first = seat.first_arrival((from, incarnation), term, call);
        if !first && !self.config.mutants.has(Mutant::ForwardedCopyTaken) {
            return;
        }
        // A leader that takes no entries now keeps the call: sent back, it would be overtaken by those behind it.
        if seat.group.leads() && seat.group.term() == term {
            self.accept(cx, Origin::Remote { node: from, call, incarnation }, operate, Some(group));
        } else {
            cx.send(from, Message::Answer { call, incarnation, reply: None });
        }
    }

    pub(super) fn answer_arrived(&mut self, cx: &mut Cx<'_>, number: CallId, reply: Option<Reply>) {
        if self.pass_answered(cx, number, &reply) {
            return;
        }
        let Some(forwarded) = self.take_forwarded(number) else { return };
        let group = forwarded.group;
        match reply {
            Some(Reply::Operated { outcome: Outcome::Refused(refusal), .. }) => {
                self.refuse(cx, forwarded.call, refusal);
            }
            Some(Reply::Operated { outcome, session, seen: _ }) => {
                self.answer(cx, forwarded.call.origin, outcome, session)
            }
            Some(
                Reply::Status(_) | Reply::Transferred(_) | Reply::ChangeBegun(_) | Reply::Hot(_) | Reply::Repair(_),
            ) => {}
            None => {
                // It did nothing there. Wait for this node to learn of the next leader.
                let outside = self.is_outside(forwarded.group);
                if let Some(seat) = self.seats.get_mut(&forwarded.group) {
                    seat.park(forwarded.call);
                    seat.misled |= outside || seat.group.term() == forwarded.term;
                }
            }
        }
        self.unpark(cx, group);
    }

    fn take_forwarded(&mut self, number: CallId) -> Option<Forwarded> {
        let forwarded = self.forwarded.remove(&number)?;
        if let Some(seat) = self.seats.get_mut(&forwarded.group)
            && forwarded.write
        {
            seat.comes_back(forwarded.term);
        }
        Some(forwarded)
    }

    /// A peer was lost, or no longer leads: what was passed on to it is passed on anew where that is safe.
    pub(super) fn forwarded_to_lost(&mut self, cx: &mut Cx<'_>, peer: NodeId) {
        let stale: Vec<CallId> =
            self.forwarded.iter().filter(|(_, forwarded)| forwarded.to == peer).map(|(&number, _)| number).collect();
        self.give_up_forwarded(cx, stale, Doubt::LeaderLost);
        self.unpark_all(cx);
    }

    /// The leader of a group changed: calls that went to an earlier one get one more election timeout.
    pub(super) fn forwarded_to_earlier(&mut self, cx: &mut Cx<'_>, id: u16) {
        let Some(term) = self.seats.get(&id).map(|seat| seat.group.term()) else { return };
        let patience = cx.now().mono.after_ms(self.config.timing.election_ms);
        let mut again = Vec::new();
        for (&number, forwarded) in &mut self.forwarded {
            if forwarded.group == id && forwarded.term < term {
                if forwarded.repeatable {
                    again.push(number);
                } else {
                    forwarded.call.until = forwarded.call.until.min(patience);
                }
            }
        }
        self.give_up_forwarded(cx, again, Doubt::LeaderChanged);
    }

    fn give_up_forwarded(&mut self, cx: &mut Cx<'_>, numbers: Vec<CallId>, doubt: Doubt) {
        for number in numbers {
            let Some(mut forwarded) = self.take_forwarded(number) else { continue };
            // Repeated behind a later call of its pipeline, a write would take effect out of order.
            let followed = self.seats.get(&forwarded.group).map_or(0, |seat| seat.followed);
            if forwarded.repeatable && (!forwarded.write || forwarded.call.order >= followed) {
                if forwarded.write {
                    forwarded.call.doubt = Some(doubt.clone());
                }
                if let Some(seat) = self.seats.get_mut(&forwarded.group) {
                    seat.park(forwarded.call);
                }
            } else {
                let session = forwarded.call.operate.session;
                self.answer(cx, forwarded.call.origin, Outcome::Unknown(doubt.clone()), session);
            }
        }
    }

    /// Answers forwarded calls whose deadline passed.
    pub(super) fn sweep_forwarded(&mut self, cx: &mut Cx<'_>, now: Mono) {
        let late: Vec<CallId> =
            self.forwarded.iter().filter(|(_, it)| it.call.until <= now).map(|(&number, _)| number).collect();
        for number in late {
            let Some(forwarded) = self.take_forwarded(number) else { continue };
            if forwarded.write {
                let session = forwarded.call.operate.session;
                self.answer(cx, forwarded.call.origin, Outcome::Unknown(Doubt::Deadline), session);
            } else {
                self.refuse(cx, forwarded.call, Refusal::NoQuorum);
            }
        }
        self.unpark_all(cx);
    }

    fn unpark_all(&mut self, cx: &mut Cx<'_>) {
        for id in self.seats.keys().copied().collect::<Vec<_>>() {
            self.unpark(cx, id);
        }
    }
}
