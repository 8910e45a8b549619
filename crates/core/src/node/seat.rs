//! A group in its place at the node: what of it is in flight, and who waits for what.

use super::arrivals::Arrivals;
use crate::consensus::{Group, Point, ReadTicket};
use crate::guarantee::{Ack, NodeSet, Voters, Want};
use crate::machine::{CallId, Mono, NodeId};
use crate::mutant::{Mutant, Mutants};
use crate::operation::{Doubt, Operate, Value};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

/// Who waits for the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client of this node.
    Local(CallId),
    /// A client of another node that forwarded the call.
    Remote { node: NodeId, call: CallId, incarnation: u64 },
    /// A part of an operation over several groups.
    Part { gather: u64, part: u16 },
    /// The node itself: nobody is answered.
    Node,
}

/// A call on its way.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) origin: Origin,
    pub(super) operate: Operate,
    pub(super) until: Mono,
    /// Calls that wait for a leader go on in this order, so that a pipeline of writes keeps its own.
    pub(super) order: u64,
    /// The group that it is for, when that was decided elsewhere: by a gathering, or by the node that passed it on.
    pub(super) pinned: Option<u16>,
    /// An earlier attempt of this write may have been applied, and why that is not known: it can no longer be refused.
    pub(super) doubt: Option<Doubt>,
    /// It was passed on for want of rights of a bounded counter.
    pub(super) sought: bool,
}

/// A write whose entry is in the log.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) term: u64,
    pub(super) origin: Origin,
    pub(super) want: Want,
    pub(super) session: crate::guarantee::Session,
    pub(super) until: Mono,
    /// As in [`Call`].
    pub(super) doubt: Option<Doubt>,
}

/// A write that is applied and waits until every member holds it.
#[derive(Clone, Debug)]
pub(super) struct Settling {
    pub(super) write: Write,
    pub(super) value: Value,
    pub(super) time_ms: u64,
    pub(super) replay_of: Option<crate::guarantee::Position>,
}

/// Why a read that waits for an index may be served there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof {
    /// These nodes echoed the round, a majority of the voters of that moment.
    Round { answered: NodeSet, voters: Voters },
    /// The session saw no more than the index.
    Session,
}

/// A group and what is in flight on it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) group: Group,
    /// Own entries by index.
    pub(super) writes: BTreeMap<u64, Write>,
    /// Own entries that can be acknowledged before they are committed, by the ack that they wait for and their index.
    pub(super) early: BTreeSet<(Ack, u64)>,
    /// Applied writes that wait for all members.
    pub(super) settling: BTreeMap<u64, Settling>,
    /// Reads that wait for a round, in the order of their rounds.
    pub(super) rounds: VecDeque<(ReadTicket, Call)>,
    /// Reads that wait for an applied index.
    pub(super) waiting: BTreeMap<u64, Vec<(Proof, Call)>>,
    /// Calls that wait for a leader, by their order.
    pub(super) parked: VecDeque<Call>,
    /// Calls of pipelines that wait until writes which went to an earlier leader are answered or given up: one that
    /// comes back must go on before them.
    pub(super) held: VecDeque<Call>,
    /// Writes that were passed on and have no outcome, by the term in which they were.
    away: BTreeMap<u64, usize>,
    /// The newest call of a pipeline that went on its way. A write before it must not be repeated.
    pub(super) followed: u64,
    /// A node that was taken for the leader was not: parked calls wait for news, or for the next look at deadlines.
    pub(super) misled: bool,
    /// Outside of the group: the term of the leader of whom others told.
    pub(super) heard_term: u64,
    /// The leadership that was last seen, to notice a change.
    seen: (u64, Option<NodeId>),
    forwards: Forwards,
    pub(super) expiry: Expiry,
    /// There may be data of removed tables.
    pub(super) leftovers: bool,
    /// The applied position was not yet written; only with a broken rule.
    pub(super) unwritten: bool,
}

/// When something expires.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expiry {
    /// The state changed since the next expiry was looked up.
    pub(super) stale: bool,
    /// The next expiry may be looked up from this moment on.
    pub(super) look_at: Mono,
    /// When the next expiry is due.
    pub(super) due_at: Option<Mono>,
    /// The entry that will sweep, while the leadership lasts that made it.
    pub(super) tick: Point,
}

/// The forwarded calls of one term that arrived here.
#[derive(Debug)]
struct Forwards {
    /// Copies of calls of an earlier term may have been taken by an earlier life, or were forgotten.
    term: u64,
    seen: BTreeMap<(NodeId, u64), Arrivals>,
}

impl Seat {
    pub(super) fn new(group: Group) -> Seat {
        Seat {
            forwards: Forwards { term: group.term() + 1, seen: BTreeMap::new() },
            group,
            writes: BTreeMap::new(),
            early: BTreeSet::new(),
            settling: BTreeMap::new(),
            rounds: VecDeque::new(),
            waiting: BTreeMap::new(),
            parked: VecDeque::new(),
            held: VecDeque::new(),
            away: BTreeMap::new(),
            followed: 0,
            misled: false,
            heard_term: 0,
            seen: (0, None),
            expiry: Expiry { stale: true, ..Expiry::default() },
            leftovers: true,
            unwritten: false,
        }
    }

    /// An entry is acknowledged, or never will be before it is committed.
    pub(super) fn not_early(&mut self, index: u64) {
        self.early.remove(&(Ack::Leader, index));
        self.early.remove(&(Ack::One, index));
    }

    /// The next entry that as many members hold as its ack asks: first those that ask for the leader's word alone.
    pub(super) fn pop_early(&mut self) -> Option<(u64, Write)> {
        if self.early.is_empty() || !self.group.leads() {
            return None;
        }
        for (ack, members) in [(Ack::Leader, 1), (Ack::One, 2)] {
            let held = self.group.held_by(members);
            while let Some(&early) = self.early.range((ack, 0)..=(ack, held)).next() {
                self.early.remove(&early);
                // The term tells whether the entry is still in this log.
                let term = self.group.term();
                let waits = |write: &Write| write.term == term && write.want.ack() == ack;
                if self.writes.get(&early.1).is_some_and(waits) {
                    return self.writes.remove(&early.1).map(|write| (early.1, write));
                }
            }
        }
        None
    }

    /// Lets a call wait for a leader, in its order.
    pub(super) fn park(&mut self, call: Call) {
        let at = self.parked.partition_point(|parked| parked.order <= call.order);
        self.parked.insert(at, call);
    }

    /// Must this call wait, so that it does not overtake own calls before it? Within one term they go to one leader over
    /// one link, which keeps their order; what went to an earlier leader may come back.
    pub(super) fn keep_order(&mut self, call: Call, mutants: Mutants) -> Option<Call> {
        if mutants.has(Mutant::PipelineOvertakes) {
            return Some(call);
        }
        if matches!(call.origin, Origin::Remote { .. }) {
            // Its own node has put it in order; here it is only behind those that wait too.
            return if self.parked.is_empty() { Some(call) } else { self.park_behind(call) };
        }
        if !call.operate.after_own_writes {
            return Some(call);
        }
        if !self.parked.is_empty() {
            return self.park_behind(call);
        }
        if self.any_away_before(self.term()) {
            let at = self.held.partition_point(|held| held.order <= call.order);
            self.held.insert(at, call);
            return None;
        }
        self.followed = self.followed.max(call.order);
        Some(call)
    }

    fn park_behind(&mut self, call: Call) -> Option<Call> {
        self.park(call);
        None
    }

    /// The newest term in which calls go on their way.
    fn term(&self) -> u64 {
        self.group.term().max(self.heard_term)
    }

    fn any_away_before(&self, term: u64) -> bool {
        self.away.first_key_value().is_some_and(|(&first, _)| first < term)
    }

    /// A write was passed on.
    pub(super) fn goes_away(&mut self, term: u64) {
        *self.away.entry(term).or_default() += 1;
    }

    /// A write that was passed on has an outcome, or comes back. Calls that waited for it wait
    /// for a leader from now on.
    pub(super) fn comes_back(&mut self, term: u64) {
        if let Some(count) = self.away.get_mut(&term) {
            *count -= 1;
            if *count == 0 {
                self.away.remove(&term);
            }
        }
        if !self.held.is_empty() && !self.any_away_before(self.term()) {
            for call in core::mem::take(&mut self.held) {
                self.park(call);
            }
        }
    }

    /// Did the leadership change since the last time this was asked?
    pub(super) fn leader_changed(&mut self) -> bool {
        let now = (self.group.term(), self.group.leader());
        let changed = now != self.seen;
        self.seen = now;
        self.misled &= !changed;
        self.leftovers |= changed;
        changed
    }

    /// Is this for certain the first time that the call arrives which was forwarded to the leader of a term? Within a
    /// term the leader has one life, so what it remembers covers every copy of the message. It remembers on after its
    /// leadership ended: only of a call that never arrived before it may say that it did nothing.
    pub(super) fn first_arrival(&mut self, (from, incarnation): (NodeId, u64), term: u64, call: CallId) -> bool {
        if term < self.forwards.term {
            return false;
        }
        if term > self.forwards.term {
            self.forwards = Forwards { term, seen: BTreeMap::new() };
        }
        self.forwards.seen.entry((from, incarnation)).or_default().is_first(call.0)
    }
}
