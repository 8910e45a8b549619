//! Elections: pre-vote, vote, terms.

use super::message::{Body, Message, Point};
use super::{Cx, Group, Hard, Part, replicate};
use crate::guarantee::NodeSet;
use crate::machine::NodeId;
use crate::mutant::Mutant;

impl Group {
    /// Asks whether an election could be won. A node that was cut off therefore does not disturb the others with ever
    /// higher terms when it comes back (thesis §9.6).
    pub(super) fn campaign(&mut self, cx: &mut Cx<'_>) {
        if !self.is_needed() {
            // It still votes, as others may hold a membership that its log lacks.
            self.rest(cx, None);
            return;
        }
        self.leader = None;
        self.draw_election(cx);
        self.part = Part::PreCandidate { granted: NodeSet::only(self.config.node) };
        let message = Message { term: self.hard.term + 1, body: Body::PreVote { last: self.log.last() } };
        for peer in self.peers() {
            cx.send(peer, message.clone());
        }
        self.count_pre_votes(cx);
    }

    fn stand(&mut self, cx: &mut Cx<'_>, transfer: bool) {
        self.leader = None;
        self.draw_election(cx);
        self.write_hard(cx, Hard { term: self.hard.term + 1, vote: Some(self.config.node) });
        self.part = Part::Candidate { granted: NodeSet::default(), own: cx.seq() };
        let message = self.say(Body::Vote { last: self.log.last(), transfer });
        for peer in self.peers() {
            cx.send_synced(peer, message.clone());
        }
        if self.config.mutants.has(Mutant::VoteNotDurable)
            && let Part::Candidate { granted, .. } = &mut self.part
        {
            granted.insert(self.config.node);
        }
    }

    /// A message of a newer term: follow it, unless it only asks for votes that we would not give. False if the
    /// message needs no further care.
    pub(super) fn follow_newer_term(&mut self, cx: &mut Cx<'_>, from: NodeId, message: &Message) -> bool {
        match &message.body {
            Body::PreVote { last } => {
                self.on_pre_vote(cx, from, message.term, *last);
                false
            }
            Body::PreVoteReply { granted: true } => {
                // The term of a grant is the one asked for.
                if message.term == self.hard.term + 1 {
                    self.on_pre_vote_grant(cx, from);
                }
                false
            }
            Body::Vote { transfer: false, .. } if self.hears_leader(cx) => false,
            Body::Vote { .. } | Body::VoteReply { .. } | Body::PreVoteReply { granted: false } => {
                self.follow(cx, message.term, None);
                true
            }
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot { .. } | Body::TakeOver => {
                self.follow(cx, message.term, Some(from));
                true
            }
            Body::Appended { .. }
            | Body::Rejected { .. }
            | Body::HeartbeatReply { .. }
            | Body::SnapshotReply { .. } => {
                self.follow(cx, message.term, None);
                true
            }
        }
    }

    /// A message of an older term: tell a leader or candidate of the past which term it is.
    pub(super) fn answer_older_term(&mut self, cx: &mut Cx<'_>, from: NodeId, message: &Message) {
        match &message.body {
            Body::PreVote { .. } => cx.send_synced(from, self.say(Body::PreVoteReply { granted: false })),
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot { .. } => {
                cx.send_synced(from, self.say(Body::HeartbeatReply { round: 0 }));
            }
            Body::PreVoteReply { .. }
            | Body::Vote { .. }
            | Body::VoteReply { .. }
            | Body::Appended { .. }
            | Body::Rejected { .. }
            | Body::HeartbeatReply { .. }
            | Body::SnapshotReply { .. }
            | Body::TakeOver => {}
        }
    }

    fn follow(&mut self, cx: &mut Cx<'_>, term: u64, leader: Option<NodeId>) {
        self.write_hard(cx, Hard { term, vote: None });
        self.rest(cx, leader);
    }

    /// Becomes a follower in the same term.
    pub(super) fn rest(&mut self, cx: &mut Cx<'_>, leader: Option<NodeId>) {
        self.part = Part::Follower;
        self.leader = leader;
        self.heard = leader.map(|_| cx.now().mono);
        self.draw_election(cx);
    }

    pub(super) fn heard_leader(&mut self, cx: &mut Cx<'_>, from: NodeId) {
        match self.part {
            Part::Follower => {
                self.leader = Some(from);
                self.heard = Some(cx.now().mono);
                self.draw_election(cx);
            }
            Part::PreCandidate { .. } | Part::Candidate { .. } => self.rest(cx, Some(from)),
            // Two leaders in one term: only with a broken rule, and then the judge speaks.
            Part::Leader(_) => {}
        }
    }

    pub(super) fn on_pre_vote(&mut self, cx: &mut Cx<'_>, from: NodeId, term: u64, last: Point) {
        let granted = term > self.hard.term && self.may_lead(last) && !self.hears_leader(cx);
        let term = if granted { term } else { self.hard.term };
        cx.send_synced(from, Message { term, body: Body::PreVoteReply { granted } });
    }

    fn on_pre_vote_grant(&mut self, cx: &mut Cx<'_>, from: NodeId) {
        if let Part::PreCandidate { granted } = &mut self.part {
            granted.insert(from);
            self.count_pre_votes(cx);
        }
    }

    pub(super) fn on_vote(&mut self, cx: &mut Cx<'_>, from: NodeId, last: Point) {
        let free = match self.hard.vote {
            None => matches!(self.part, Part::Follower | Part::PreCandidate { .. }) && self.leader.is_none(),
            Some(vote) => vote == from,
        };
        let granted = free && self.may_lead(last);
        if granted {
            if self.hard.vote.is_none() {
                self.write_hard(cx, Hard { term: self.hard.term, vote: Some(from) });
            }
            self.rest(cx, None);
        }
        let reply = self.say(Body::VoteReply { granted });
        if self.config.mutants.has(Mutant::VoteNotDurable) { cx.send(from, reply) } else { cx.send_synced(from, reply) }
    }

    pub(super) fn on_vote_reply(&mut self, cx: &mut Cx<'_>, from: NodeId, yes: bool) {
        if let Part::Candidate { granted, .. } = &mut self.part
            && yes
        {
            granted.insert(from);
            self.count_votes(cx);
        }
    }

    /// Leadership is handed to us: stand at once, without asking first.
    pub(super) fn on_take_over(&mut self, cx: &mut Cx<'_>, from: NodeId) {
        let voter = self.log.members().is_voter(self.config.node);
        if self.leader == Some(from) && voter && matches!(self.part, Part::Follower) {
            self.stand(cx, true);
        }
    }

    fn count_pre_votes(&mut self, cx: &mut Cx<'_>) {
        if let Part::PreCandidate { granted } = &self.part
            && self.log.members().has_majority(*granted, self.config.mutants)
        {
            self.stand(cx, false);
        }
    }

    pub(super) fn count_votes(&mut self, cx: &mut Cx<'_>) {
        if let Part::Candidate { granted, .. } = &self.part
            && self.log.members().has_majority(*granted, self.config.mutants)
        {
            self.part = Part::Leader(replicate::Leading::new(self.log.last().index, cx.now().mono));
            self.leader = Some(self.config.node);
            self.heard = None;
            self.begin_leading(cx);
        }
    }

    /// The election restriction (Raft §5.4.1): only a log that is not behind ours may lead, so that a leader holds
    /// every committed entry.
    fn may_lead(&self, last: Point) -> bool {
        last >= self.log.last() || self.config.mutants.has(Mutant::ElectionRestrictionOff)
    }

    /// Heard a leader so recently that there must still be one; or leads.
    fn hears_leader(&self, cx: &Cx<'_>) -> bool {
        match self.part {
            Part::Leader(_) => true,
            Part::Follower | Part::PreCandidate { .. } | Part::Candidate { .. } => {
                self.heard.is_some_and(|heard| cx.now().mono < heard.after_ms(self.config.election_ms))
            }
        }
    }

    /// Sets the next election timeout: the base and a random two thirds of it more.
    fn draw_election(&mut self, cx: &mut Cx<'_>) {
        let base_us = self.config.election_ms * 1000;
        let spread_us = cx.random() % (base_us * 2 / 3).max(1);
        self.election_at = cx.now().mono.after_us(base_us + spread_us).after_ms(self.holding_back_ms());
    }

    /// Others should rather lead, or need not any more. A node that holds back is the last to ask for votes, and asks all
    /// the same where nobody else does.
    pub fn hold_back(&mut self, others_lead: bool) {
        self.holds_back = others_lead;
    }

    /// One election timeout more: that is longer than any that others draw.
    pub(super) fn holding_back_ms(&self) -> u64 {
        if self.holds_back { self.config.election_ms } else { 0 }
    }
}
