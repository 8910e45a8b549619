//! Calls for leaderless tables: a node that holds the key coordinates them, this one or another.

use super::arrivals::Arrivals;
use super::seat::{Call, Origin};
use super::{Cx, Message, Node};
use crate::detector::TO_ROUTE_AROUND;
use crate::guarantee::{NodeSet, Session};
use crate::leaderless::{self, Begun, Job, Place, Settled, Split, part_key};
use crate::machine::{CallId, Mono, NodeId};
use crate::mutant::Mutant;
use crate::operation::{Doubt, MoveStatus, Operate, Outcome, Refusal, Reply};
use crate::placement::Member;
use crate::state::command;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

/// A read that another node was asked to coordinate is passed on to the next one after this long, in milliseconds.
const PASS_AGAIN_MS: u64 = 200;

/// A call that another node coordinates.
#[derive(Debug)]
struct Passed {
    call: Call,
    to: NodeId,
    /// Nodes that were asked, this one included.
    tried: NodeSet,
    write: bool,
    /// A read goes on to the next node then.
    again_at: Mono,
}

/// Calls for leaderless tables that are on their way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Those that this node coordinates, by the token of their job.
    here: BTreeMap<u64, Call>,
    next_token: u64,
    /// Increments of keys in parts take turns from here.
    next_part: u64,
    /// Those that another coordinates, by the number of the message.
    passed: BTreeMap<CallId, Passed>,
    /// Those that nobody took: they are looked at again with the deadlines.
    stalled: Vec<Call>,
    /// The calls that peers passed on to this node in this life of theirs.
    arrived: BTreeMap<NodeId, (u64, Arrivals)>,
}

impl Node {
    /// A call for a leaderless table.
    pub(super) fn coordinate(&mut self, cx: &mut Cx<'_>, call: Call) {
        match self.split(&call) {
            None => self.coordinate_but(cx, call, NodeSet::only(self.config.node)),
            Some(Ok(split)) => self.gather_parts(cx, split, call),
            Some(Err(refusal)) => self.refuse(cx, call, refusal),
        }
    }

    /// What a call of a client asks of the parts of its key; none if the key is whole, or the call is for one part already.
    fn split(&mut self, call: &Call) -> Option<Result<Split, Refusal>> {
        let (operate, batch) = (&call.operate, &call.operate.batch);
        let spec = self.leaderless.policy(batch.table).filter(|spec| spec.parts > 1)?;
        let ([words], false, []) = (&batch.commands[..], batch.transaction, &batch.guards[..]) else { return None };
        match call.origin {
            Origin::Local(_) | Origin::Node => {}
            Origin::Remote { .. } | Origin::Part { .. } => return None,
        }
        if operate.seen.is_some() {
            return Some(Err(impossible("a key in parts hands out nothing to be handed back with a write")));
        }
        self.replica_calls.next_part = self.replica_calls.next_part.wrapping_add(1);
        let here = self.config.node;
        // An increment stays at this node, if it holds a part, and those parts take turns; other nodes are at other parts.
        let first = self.replica_calls.next_part.wrapping_add(u64::from(here.0));
        let near = |key: &[u8]| {
            let mut turns =
                (0..spec.parts).map(|turn| (first.wrapping_add(u64::from(turn)) % u64::from(spec.parts)) as u8);
            let holds = |&part: &u8| self.leaderless.replicas(batch.table, &part_key(key, part)).contains(&here);
            turns.find(holds).unwrap_or((first % u64::from(spec.parts)) as u8)
        };
        let anywhere = self.config.mutants.has(Mutant::NameOnAnyPart);
        let once = batch.idempotency.as_ref().map(|key| &key.0).filter(|_| !anywhere);
        Some(leaderless::split(spec, words, (operate.want, once), near))
    }

    fn coordinate_but(&mut self, cx: &mut Cx<'_>, call: Call, tried: NodeSet) {
        let batch = &call.operate.batch;
        let [words] = &batch.commands[..] else {
            return self.refuse(cx, call, impossible("a leaderless table serves one key at a time"));
        };
        if batch.transaction || !batch.guards.is_empty() {
            let why = "transactions and conditions need one order of all writes, and a leaderless table has none; CAS compares one key";
            return self.refuse(cx, call, impossible(why));
        }
        self.replica_calls.next_token += 1;
        let token = self.replica_calls.next_token;
        let operate = &call.operate;
        let job = Job {
            token,
            table: batch.table,
            words: words.clone(),
            want: operate.want,
            session: operate.session.clone(),
            seen: operate.seen.clone(),
            once: batch.idempotency.as_ref().map(|key| key.0.clone()),
            until: call.until,
        };
        self.replica_calls.here.insert(token, call);
        let clock_out = self.health.clock_out().is_some();
        let begun = cx.within(wrap, |cx| self.leaderless.begin(cx, job, clock_out));
        match begun {
            Begun::Here => {}
            Begun::Refused(refusal) => {
                if let Some(call) = self.replica_calls.here.remove(&token) {
                    self.refuse(cx, call, refusal);
                }
            }
            Begun::Pass { place, nodes } => {
                if let Some(call) = self.replica_calls.here.remove(&token) {
                    self.pass(cx, call, (place, &nodes), tried);
                }
            }
        }
        self.settle_replicas(cx);
    }

    /// Passes a call on to one of the nodes that could coordinate it. Calls are passed on once: one that came from another node
    /// goes back.
    fn pass(&mut self, cx: &mut Cx<'_>, call: Call, (place, nodes): (Place, &[NodeId]), tried: NodeSet) {
        if let Origin::Remote { node, call, incarnation } = call.origin {
            self.calls -= 1;
            cx.send(node, Message::Answer { call, incarnation, reply: None });
            return;
        }
        let now = cx.now().mono;
        let mut candidates = nodes.iter().filter(|&&node| !tried.contains(node));
        let lively = candidates.clone().find(|&&node| !self.suspects(node, TO_ROUTE_AROUND, now));
        let Some(&to) = lively.or_else(|| candidates.next()) else {
            return self.replica_calls.stalled.push(call);
        };
        let session = call.operate.session.of_range(place.table, place.range);
        self.pass_to(cx, call, (to, session), tried);
    }

    /// Who is asked in place of this node, for want of rights here. Once: the other may know of others in turn, but is not asked to pass on.
    fn holder_for(&self, cx: &Cx<'_>, call: &Call, holders: &[NodeId]) -> Option<NodeId> {
        let lively = |node: &&NodeId| !self.suspects(**node, TO_ROUTE_AROUND, cx.now().mono);
        holders.iter().find(lively).copied().filter(|_| !call.sought)
    }

    /// Passes a call on, with what matters there of its session.
    fn pass_to(&mut self, cx: &mut Cx<'_>, call: Call, (to, session): (NodeId, Session), tried: NodeSet) {
        let now = cx.now().mono;
        self.next_forward += 1;
        let number = CallId(self.next_forward);
        let left_us = call.until.0.saturating_sub(now.0);
        // The other decides earlier than this node gives up, so that its answer arrives in time.
        let deadline_ms = (left_us - left_us / 8).div_ceil(1000).min(u64::from(u32::MAX)) as u32;
        let operate = Operate { deadline_ms, session, ..call.operate.clone() };
        let life = self.tables.catalogue.life(to);
        let (incarnation, sought) = (self.config.incarnation, call.sought);
        cx.send(to, Message::Pass { call: number, incarnation, life, sought, operate });
        let name = call.operate.batch.commands.first().and_then(|words| words.first());
        let write = name.and_then(|name| command::find(name)).is_none_or(|spec| spec.write);
        let mut tried = tried;
        tried.insert(to);
        let again_at = now.after_ms(PASS_AGAIN_MS);
        self.replica_calls.passed.insert(number, Passed { call, to, tried, write, again_at });
    }

    /// A peer passed a call on to this node.
    pub(super) fn pass_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        from: NodeId,
        (call, incarnation): (CallId, u64),
        (life, sought): (Option<u32>, bool),
        operate: Operate,
    ) {
        let first = self.first_pass(from, incarnation, call);
        // A copy that arrives in another life of this node may have been taken by the one before.
        let same_life = self.actor().map(|actor| actor.incarnation) == life && life.is_some();
        if !first {
            return;
        }
        if same_life {
            let origin = Origin::Remote { node: from, call, incarnation };
            self.accept_passed(cx, origin, operate, None, sought);
        } else {
            cx.send(from, Message::Answer { call, incarnation, reply: None });
        }
    }

    /// Is this for certain the first time that the call arrives in this life?
    fn first_pass(&mut self, from: NodeId, incarnation: u64, call: CallId) -> bool {
        let (of, seen) = self.replica_calls.arrived.entry(from).or_insert((incarnation, Arrivals::default()));
        if *of < incarnation {
            (*of, *seen) = (incarnation, Arrivals::default());
        }
        *of == incarnation && seen.is_first(call.0)
    }

    /// An answer to a call that was passed on. False if the number is none of those.
    pub(super) fn pass_answered(&mut self, cx: &mut Cx<'_>, number: CallId, reply: &Option<Reply>) -> bool {
        let Some(Passed { call, tried, .. }) = self.replica_calls.passed.remove(&number) else { return false };
        match reply {
            Some(Reply::Operated { outcome: Outcome::Refused(refusal), .. }) => self.refuse(cx, call, refusal.clone()),
            Some(Reply::Operated { outcome, session, seen }) => {
                self.answer_seen(cx, call.origin, outcome.clone(), session.clone(), seen.clone());
            }
            Some(
                Reply::Status(_) | Reply::Transferred(_) | Reply::ChangeBegun(_) | Reply::Hot(_) | Reply::Repair(_),
            ) => {}
            None => self.coordinate_but(cx, call, tried),
        }
        true
    }

    /// Answers the operations that ended.
    pub(super) fn settle_replicas(&mut self, cx: &mut Cx<'_>) {
        loop {
            let settled = self.leaderless.take_settled();
            if settled.is_empty() {
                return;
            }
            for Settled { token, outcome, session, seen, holders } in settled {
                let Some(call) = self.replica_calls.here.remove(&token) else { continue };
                match (outcome, self.holder_for(cx, &call, &holders)) {
                    (Some(_), Some(to)) => {
                        let here = NodeSet::only(self.config.node);
                        let session = call.operate.session.clone();
                        self.pass_to(cx, Call { sought: true, ..call }, (to, session), here);
                    }
                    (Some(outcome), None) => self.answer_seen(cx, call.origin, outcome, session, seen),
                    (None, _) => self.route(cx, call),
                }
            }
        }
    }

    /// Looks at calls that wait: some are late, and some may find a coordinator now.
    pub(super) fn sweep_replicas(&mut self, cx: &mut Cx<'_>, now: Mono) {
        let passed = &self.replica_calls.passed;
        let due = |passed: &Passed| passed.call.until <= now || (!passed.write && passed.again_at <= now);
        let due: Vec<CallId> = passed.iter().filter(|(_, passed)| due(passed)).map(|(&number, _)| number).collect();
        for number in due {
            let Some(Passed { call, tried, write, .. }) = self.replica_calls.passed.remove(&number) else { continue };
            if call.until > now {
                self.coordinate_but(cx, call, tried);
            } else if write {
                let session = call.operate.session;
                self.answer(cx, call.origin, Outcome::Unknown(Doubt::Deadline), session);
            } else {
                self.refuse(cx, call, Refusal::NoQuorum);
            }
        }
        for call in core::mem::take(&mut self.replica_calls.stalled) {
            if call.until <= now {
                let out = self.health.clock_out().map(|out| Refusal::ClockAhead(out.sentence()));
                self.refuse(cx, call, out.unwrap_or(Refusal::NoLife));
            } else {
                self.coordinate(cx, call);
            }
        }
    }

    /// A peer was lost: reads go on to the next node; what became of writes is not known.
    pub(super) fn passed_to_lost(&mut self, cx: &mut Cx<'_>, peer: NodeId) {
        let passed = &self.replica_calls.passed;
        let lost: Vec<CallId> =
            passed.iter().filter(|(_, passed)| passed.to == peer).map(|(&number, _)| number).collect();
        for number in lost {
            let Some(Passed { call, tried, write, .. }) = self.replica_calls.passed.remove(&number) else { continue };
            if write {
                let session = call.operate.session;
                self.answer(cx, call.origin, Outcome::Unknown(Doubt::CoordinatorLost), session);
            } else {
                self.coordinate_but(cx, call, tried);
            }
        }
    }

    /// Tells the leaderless room what the catalogue says.
    pub(super) fn tell_leaderless(&mut self, now: Mono) {
        let member = |&node: &NodeId| Member { node, weight: 1, zone: node.0 };
        let mut members = self.tables.catalogue.placing();
        if members.is_empty() {
            members = self.config.members.iter().map(member).collect();
        }
        let actor = self.actor();
        self.leaderless.learn(now, &self.tables.catalogue, &members, actor);
    }

    /// The tables whose data move, as this node sees it, and those of which it still holds what moved away.
    pub fn moves(&self) -> Vec<MoveStatus> {
        self.leaderless.moves(&self.tables.catalogue)
    }

    /// The leaderless tables of this node, for those who judge and show.
    pub fn leaderless(&self) -> &crate::leaderless::Leaderless {
        &self.leaderless
    }
}

/// A message of the leaderless room as one of the node.
pub(super) fn wrap(message: leaderless::Message) -> Message {
    Message::Leaderless(Box::new(message))
}

fn impossible(why: &str) -> Refusal {
    Refusal::Impossible(why.to_string())
}
