//! Replication: what a leader keeps of its followers, appends and their answers, and when an entry is committed.

use super::message::{Body, Entry, Message, Payload, Point};
use super::snapshot::Outgoing;
use super::{Cx, Followers, Group, Part};
use crate::limits;
use crate::machine::{Mono, NodeId};
use crate::mutant::Mutant;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// A leader that misses this many heartbeats of a follower suspects it.
const SUSPECT_AFTER_HEARTBEATS: u64 = 3;

/// What only a leader knows.
#[derive(Clone, Debug)]
pub(super) struct Leading {
    pub(super) followers: Followers,
    pub(super) heartbeat_at: Mono,
    /// The first entry of this leadership: reads wait for it.
    pub(super) first: u64,
    /// The newest read round that was sent.
    pub(super) round: u64,
    /// Reads wait for a round that was not yet sent.
    pub(super) round_wanted: bool,
    /// Bytes of own entries beyond the commit position.
    pub(super) uncommitted: usize,
    /// Leadership is being handed to a node, until then at most.
    pub(super) transfer: Option<(NodeId, Mono)>,
}

/// What a leader knows of one follower.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    /// The log agrees up to here, durably there.
    pub(super) matched: u64,
    /// The next entry to send.
    pub(super) next: u64,
    pub(super) mode: Mode,
    /// Last index and bytes of each append that is on the way.
    in_flight: VecDeque<(u64, usize)>,
    in_flight_bytes: usize,
    /// The newest read round it echoed.
    pub(super) round: u64,
    heard: Mono,
    /// It was lost by the transport and not heard since.
    lost: bool,
    /// The commit position it was told.
    commit_told: u64,
    /// What `matched` was at the last heartbeat, to notice appends that got lost.
    matched_at_heartbeat: u64,
}

/// How a leader sends to a follower.
#[derive(Clone, Debug)]
pub(super) enum Mode {
    /// Looks for the place where the logs agree, one append at a time.
    Probe { asked: bool },
    /// Streams.
    Pipeline,
    /// Sends the state, as the entries are gone.
    Snapshot(Box<Outgoing>),
}

impl Leading {
    pub(super) fn new(last: u64, now: Mono) -> Leading {
        Leading {
            followers: Followers::new(),
            heartbeat_at: now,
            first: last + 1,
            round: 0,
            round_wanted: false,
            uncommitted: 0,
            transfer: None,
        }
    }

    pub(super) fn followers(&self, now: Mono, heartbeat_ms: u64) -> Vec<(NodeId, u64, bool)> {
        let told = |(&node, it): (&NodeId, &Follower)| (node, it.matched, it.is_suspected(now, heartbeat_ms));
        self.followers.iter().map(told).collect()
    }

    pub(super) fn lost(&mut self, peer: NodeId) {
        if let Some(follower) = self.followers.get_mut(&peer) {
            follower.lost = true;
            follower.probe_from(follower.matched + 1);
        }
    }
}

impl Follower {
    pub(super) fn new(next: u64, now: Mono) -> Follower {
        Follower {
            matched: 0,
            next,
            mode: Mode::Probe { asked: false },
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            round: 0,
            heard: now,
            lost: false,
            commit_told: 0,
            matched_at_heartbeat: 0,
        }
    }

    pub(super) fn is_suspected(&self, now: Mono, heartbeat_ms: u64) -> bool {
        self.lost || now > self.heard.after_ms(heartbeat_ms * SUSPECT_AFTER_HEARTBEATS)
    }

    /// Does it hold an index, and was it told that it is committed?
    pub(super) fn was_told(&self, index: u64) -> bool {
        self.matched.min(self.commit_told) >= index
    }

    fn probe_from(&mut self, next: u64) {
        self.mode = Mode::Probe { asked: false };
        self.next = next;
        self.in_flight.clear();
        self.in_flight_bytes = 0;
    }

    fn hear(&mut self, now: Mono) {
        self.heard = now;
        self.lost = false;
    }

    /// The position of the snapshot that it is being sent.
    pub(super) fn snapshot_index(&self) -> Option<u64> {
        match &self.mode {
            Mode::Snapshot(outgoing) => Some(outgoing.index()),
            Mode::Probe { .. } | Mode::Pipeline => None,
        }
    }

    pub(super) fn stream_from(&mut self, next: u64) {
        self.probe_from(next);
        self.mode = Mode::Pipeline;
    }

    fn may_send(&self) -> bool {
        match &self.mode {
            Mode::Probe { asked } => !asked,
            Mode::Pipeline => {
                self.in_flight.len() < limits::APPENDS_IN_FLIGHT
                    && self.in_flight_bytes < limits::APPEND_BYTES_IN_FLIGHT
            }
            Mode::Snapshot(_) => false,
        }
    }

    fn sent(&mut self, last: u64, bytes: usize) {
        match &mut self.mode {
            Mode::Probe { asked } => *asked = true,
            Mode::Pipeline => {
                self.next = last + 1;
                self.in_flight.push_back((last, bytes));
                self.in_flight_bytes += bytes;
            }
            Mode::Snapshot(_) => {}
        }
    }
}

/// The leader's side.
impl Group {
    pub(super) fn begin_leading(&mut self, cx: &mut Cx<'_>) {
        self.meet(cx, self.log.last().index + 1);
        self.append_own(cx, Payload::Nothing);
    }

    /// What a leader does when it wakes: prove itself, say that it leads, send what followers miss.
    pub(super) fn lead(&mut self, cx: &mut Cx<'_>) {
        let Part::Leader(leading) = &self.part else { return };
        let heartbeat_due = cx.now().mono >= leading.heartbeat_at;
        if heartbeat_due && !self.at_heartbeat(cx) {
            self.rest(cx, None);
            return;
        }
        self.go_on_changing(cx);
        let Part::Leader(leading) = &self.part else { return };
        let round_due = leading.round_wanted && self.confirmed_round() >= self.read_round();
        self.send_heartbeats(cx, heartbeat_due, round_due);
        let Part::Leader(leading) = &self.part else { return };
        for follower in leading.followers.keys().copied().collect::<Vec<NodeId>>() {
            self.send_appends(cx, follower);
            self.send_snapshot(cx, follower, heartbeat_due);
        }
    }

    /// Looks after the followers. False if this node should no longer lead.
    fn at_heartbeat(&mut self, cx: &Cx<'_>) -> bool {
        let (now, patience, left) = (cx.now().mono, self.config.election_ms, self.has_left());
        let Part::Leader(leading) = &mut self.part else { return false };
        leading.heartbeat_at = now.after_ms(self.config.heartbeat_ms);
        let heard = leading.followers.iter().filter(|(_, follower)| now < follower.heard.after_ms(patience));
        let heard = heard.map(|(&node, _)| node).chain([self.config.node]).collect();
        if !self.log.members().has_majority(heard, self.config.mutants) {
            // Cut off from the majority: whatever it would say may already be wrong.
            return false;
        }
        if leading.transfer.is_some_and(|(_, until)| now >= until) {
            leading.transfer = None;
            if left {
                // Nobody took over in time: they will miss it.
                return false;
            }
        }
        leading.followers.values_mut().for_each(Follower::notice_losses);
        self.forget_those_that_left(cx);
        true
    }

    fn send_heartbeats(&mut self, cx: &mut Cx<'_>, heartbeat_due: bool, round_due: bool) {
        let (commit, term) = (self.commit, self.hard.term);
        let Part::Leader(leading) = &mut self.part else { return };
        if round_due {
            leading.round += 1;
            leading.round_wanted = false;
        }
        if heartbeat_due || round_due {
            let round = leading.round;
            for (&peer, follower) in &mut leading.followers {
                follower.commit_told = commit.min(follower.matched);
                let body = Body::Heartbeat { commit: follower.commit_told, round, reply: true };
                cx.send(peer, Message { term, body });
            }
        }
    }

    fn send_appends(&mut self, cx: &mut Cx<'_>, peer: NodeId) {
        let (commit, term, last) = (self.commit, self.hard.term, self.log.last().index);
        let Part::Leader(leading) = &mut self.part else { return };
        let round = leading.round;
        let Some(follower) = leading.followers.get_mut(&peer) else { return };
        while follower.may_send() {
            let probing = matches!(follower.mode, Mode::Probe { .. });
            if follower.next > last && !(probing && follower.matched < last) {
                break;
            }
            let Some(previous_term) = self.log.term_at(follower.next - 1) else {
                let attempt = cx.random();
                let members = self.log.members_at(self.applied.at.index);
                follower.mode = Mode::Snapshot(Box::new(Outgoing::new(self.applied, members, attempt)));
                return;
            };
            let previous = Point { term: previous_term, index: follower.next - 1 };
            let (entries, bytes) = take_entries(&self.log, follower.next);
            follower.commit_told = commit;
            follower.sent(previous.index + entries.len() as u64, bytes);
            cx.send(peer, Message { term, body: Body::Append { previous, entries, commit } });
        }
        let knows = commit.min(follower.matched);
        if follower.commit_told < knows && matches!(follower.mode, Mode::Pipeline) {
            follower.commit_told = knows;
            cx.send(peer, Message { term, body: Body::Heartbeat { commit: knows, round, reply: false } });
        }
    }

    pub(super) fn on_appended(&mut self, cx: &mut Cx<'_>, from: NodeId, matched: u64) {
        let last = self.log.last().index;
        let Part::Leader(leading) = &mut self.part else { return };
        let Some(follower) = leading.followers.get_mut(&from) else { return };
        follower.hear(cx.now().mono);
        while let Some(&(upto, bytes)) = follower.in_flight.front() {
            if upto > matched {
                break;
            }
            follower.in_flight.pop_front();
            follower.in_flight_bytes -= bytes;
        }
        if matched > follower.matched {
            follower.matched = matched;
        }
        match follower.mode {
            Mode::Probe { .. } => follower.stream_from(follower.matched + 1),
            Mode::Pipeline => follower.next = follower.next.max(follower.matched + 1),
            Mode::Snapshot(ref outgoing) if follower.matched >= outgoing.index() => {
                follower.stream_from(follower.matched + 1);
            }
            Mode::Snapshot(_) => {}
        }
        let hand_over = leading.transfer.is_some_and(|(to, _)| to == from) && matched == last;
        self.due = true;
        self.advance_commit();
        if hand_over {
            cx.send(from, self.say(Body::TakeOver));
        }
    }

    pub(super) fn on_rejected(&mut self, cx: &mut Cx<'_>, from: NodeId, previous: u64, hint: Point) {
        // What lies before the base is gone: from there on the follower needs a snapshot.
        let next = self.log.agreement(hint.index, hint.term).map_or(self.log.base().index, |point| point.index + 1);
        let Part::Leader(leading) = &mut self.part else { return };
        let Some(follower) = leading.followers.get_mut(&from) else { return };
        follower.hear(cx.now().mono);
        let stale = match follower.mode {
            Mode::Probe { .. } => previous != follower.next - 1,
            Mode::Pipeline => previous <= follower.matched,
            Mode::Snapshot(_) => true,
        };
        if stale {
            return;
        }
        let place = next.max(follower.matched + 1);
        if place <= previous {
            follower.probe_from(place);
            self.due = true;
        } else {
            // It lacks what it once held, as its disk was lost. It is asked again at the next heartbeat, not at once.
            follower.probe_from(place);
            follower.mode = Mode::Probe { asked: true };
        }
    }

    pub(super) fn on_heartbeat_reply(&mut self, cx: &mut Cx<'_>, from: NodeId, round: u64) {
        let Part::Leader(leading) = &mut self.part else { return };
        let Some(follower) = leading.followers.get_mut(&from) else { return };
        follower.hear(cx.now().mono);
        follower.round = follower.round.max(round);
        if leading.round_wanted {
            self.due = true;
        }
    }

    /// Commits what a majority holds durably. Only an entry of the own term counts; what came before it is committed
    /// with it (Raft §5.4.2, Figure 8).
    pub(super) fn advance_commit(&mut self) {
        if !self.leads() {
            return;
        }
        let reached = self.log.members().reached(|voter| self.held(voter), self.config.mutants);
        let Part::Leader(leading) = &mut self.part else { return };
        let own_term = self.log.term_at(reached) == Some(self.hard.term);
        if reached > self.commit && (own_term || self.config.mutants.has(Mutant::CommitOlderTermByCounting)) {
            for index in (self.commit + 1).max(leading.first)..=reached {
                leading.uncommitted -= self.log.entry(index).map_or(0, Entry::size);
            }
            self.commit = reached;
            self.due = true;
        }
    }

    /// Hands leadership over: no new entries are taken until the target stands, or an election timeout passed.
    /// False if this node does not lead, or the target is itself or no voter.
    pub fn transfer(&mut self, cx: &mut Cx<'_>, to: NodeId) -> bool {
        let until = cx.now().mono.after_ms(self.config.election_ms);
        let (last, voter) = (self.log.last().index, self.log.members().is_voter(to));
        let Part::Leader(leading) = &mut self.part else { return false };
        let Some(follower) = leading.followers.get(&to).filter(|_| voter) else { return false };
        let ready = follower.matched == last;
        leading.transfer = Some((to, until));
        if ready {
            cx.send(to, self.say(Body::TakeOver));
        }
        self.due = true;
        true
    }
}

impl Follower {
    /// At every heartbeat: asks a probed follower again, and probes one whose acknowledgements stay away.
    fn notice_losses(&mut self) {
        match &mut self.mode {
            Mode::Probe { asked } => *asked = false,
            Mode::Pipeline if !self.in_flight.is_empty() && self.matched == self.matched_at_heartbeat => {
                self.probe_from(self.matched + 1);
            }
            Mode::Pipeline | Mode::Snapshot(_) => {}
        }
        self.matched_at_heartbeat = self.matched;
    }
}

fn take_entries(log: &super::Log, from: u64) -> (Vec<Entry>, usize) {
    let mut entries = Vec::new();
    let mut bytes = 0;
    while let Some(entry) = log.entry(from + entries.len() as u64) {
        if !entries.is_empty() && bytes + entry.size() > limits::APPEND_BYTES {
            break;
        }
        bytes += entry.size();
        entries.push(entry.clone());
    }
    (entries, bytes)
}

/// The follower's side.
impl Group {
    pub(super) fn on_append(
        &mut self,
        cx: &mut Cx<'_>,
        from: NodeId,
        previous: Point,
        entries: Vec<Entry>,
        commit: u64,
    ) {
        let base = self.log.base().index;
        if previous.index < base {
            // What lies before the base is committed, so it agrees; the rest of this append may be new.
            let skip = (base - previous.index).min(entries.len() as u64);
            let previous = if skip == base - previous.index {
                self.log.base()
            } else {
                self.acknowledge(cx, from, base, commit);
                return;
            };
            let rest = entries.into_iter().skip(skip as usize).collect();
            self.on_append(cx, from, previous, rest, commit);
            return;
        }
        if self.log.term_at(previous.index) != Some(previous.term) {
            let hint = self.log.agreement(previous.index, previous.term).unwrap_or(self.log.base());
            cx.send_synced(from, self.say(Body::Rejected { previous: previous.index, hint }));
            return;
        }
        let mut matched = previous.index;
        for entry in entries {
            matched += 1;
            self.take_entry(cx, matched, entry);
        }
        self.acknowledge(cx, from, matched, commit);
    }

    fn take_entry(&mut self, cx: &mut Cx<'_>, index: u64, entry: Entry) {
        match self.log.term_at(index) {
            Some(term) if term == entry.term => return,
            Some(_) if self.config.mutants.has(Mutant::FollowerDoesNotTruncate) => return,
            Some(_) => {
                assert!(index > self.commit, "a committed entry would be overwritten");
                self.log.truncate(cx, index);
                self.durable = self.durable.min(index - 1);
                for (_, upto) in &mut self.appended {
                    *upto = (*upto).min(index - 1);
                }
            }
            None => {}
        }
        self.log.append(cx, entry);
        self.appended.push_back((cx.seq(), index));
    }

    fn acknowledge(&mut self, cx: &mut Cx<'_>, from: NodeId, matched: u64, commit: u64) {
        self.commit = self.commit.max(commit.min(matched));
        let reply = self.say(Body::Appended { matched });
        if self.config.mutants.has(Mutant::AckBeforeSync) { cx.send(from, reply) } else { cx.send_synced(from, reply) }
    }

    pub(super) fn on_heartbeat(&mut self, cx: &mut Cx<'_>, from: NodeId, commit: u64, round: u64, reply: bool) {
        self.commit = self.commit.max(commit.min(self.log.last().index));
        if reply {
            cx.send(from, self.say(Body::HeartbeatReply { round }));
        }
    }
}
