//! Changes of membership: how a leader takes a group from one to the next, and how it leaves.

use super::message::{Body, Message, Payload, Point};
use super::replicate::Follower;
use super::{Change, Cx, Group, Members, Part};
use crate::machine::NodeId;

/// Why a change of members did not begin. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// This node does not lead.
    NotLeading,
    /// Another change is on its way, the leader has not yet committed an entry of its own term, or it takes no entries
    /// now. The same change may begin later.
    Busy,
    /// No voters, or a node that would be both voter and learner.
    Impossible,
}

impl Group {
    /// Begins a change of members: appends the joint membership, and, once that is committed, the final one. Says where
    /// the first of the two stands. A new voter counts from the first on, so it should be a learner until it is
    /// [caught up](Group::caught_up). A leader that is no voter of the final membership leads until that is committed,
    /// then hands over.
    pub fn change_members(&mut self, cx: &mut Cx<'_>, change: Change) -> Result<Point, ChangeError> {
        let Part::Leader(leading) = &self.part else { return Err(ChangeError::NotLeading) };
        if !change.is_possible() {
            return Err(ChangeError::Impossible);
        }
        let members = self.log.members();
        if members.is_joint() || !self.members_applied() || self.commit < leading.first || !self.accepts() {
            return Err(ChangeError::Busy);
        }
        Ok(self.append_members(cx, members.toward(change)))
    }

    /// For a leader: does the node hold all that is committed?
    pub fn caught_up(&self, node: NodeId) -> bool {
        match &self.part {
            Part::Leader(leading) => {
                node == self.config.node
                    || leading.followers.get(&node).is_some_and(|follower| follower.matched >= self.commit)
            }
            Part::Follower | Part::PreCandidate { .. } | Part::Candidate { .. } => false,
        }
    }

    /// Takes the next step of a change once the one before is committed.
    pub(super) fn go_on_changing(&mut self, cx: &mut Cx<'_>) {
        let Part::Leader(leading) = &self.part else { return };
        if !self.members_applied() || leading.transfer.is_some() {
            return;
        }
        let members = self.log.members();
        if members.is_joint() {
            self.append_members(cx, members.settled());
        } else if self.has_left() {
            // Who holds most is ready first, so that no election timeout is lost.
            let matched = |voter: &NodeId| leading.followers.get(voter).map_or(0, |follower| follower.matched);
            if let Some(next) = members.voters.iter().max_by_key(matched) {
                self.transfer(cx, next);
            }
        }
    }

    /// Is the latest membership committed, and all that is committed applied? Only then may the next one come: what was
    /// committed under one membership is answered under it.
    fn members_applied(&self) -> bool {
        self.log.members_index() <= self.commit && self.commit == self.applied.at.index
    }

    /// May an election need this node as a candidate? One that its latest membership leaves out is needed until that is
    /// committed (thesis §4.2.2): the voters may all lack the entry, and so lose to those that hold it.
    pub(super) fn is_needed(&self) -> bool {
        let index = self.log.members_index();
        let left_out_by_a_proposal =
            || index > self.commit && self.log.members_at(index - 1).is_voter(self.config.node);
        self.log.members().is_voter(self.config.node) || left_out_by_a_proposal()
    }

    /// Is it committed that this node is no voter?
    pub(super) fn has_left(&self) -> bool {
        !self.log.members().is_voter(self.config.node) && self.log.members_index() <= self.commit
    }

    /// A node outside of the membership asks for votes, so it does not know that it is outside. A leader lets it follow
    /// until it does.
    pub(super) fn inform(&mut self, cx: &Cx<'_>, from: NodeId, message: &Message) {
        let asks = matches!(message.body, Body::PreVote { .. });
        if let Part::Leader(leading) = &mut self.part
            && asks
            && !self.log.members().contains(from)
        {
            let follower = || Follower::new(self.log.last().index + 1, cx.now().mono);
            leading.followers.entry(from).or_insert_with(follower);
        }
    }

    fn append_members(&mut self, cx: &mut Cx<'_>, members: Members) -> Point {
        let point = self.append_own(cx, Payload::Members(members));
        self.meet(cx, point.index);
        // Without those that are left behind, more may be committed than a moment ago.
        self.advance_commit();
        point
    }

    /// A leader sends its log to all members, at first from this index on.
    pub(super) fn meet(&mut self, cx: &Cx<'_>, next: u64) {
        let (members, now) = (self.log.members().all(), cx.now().mono);
        let Part::Leader(leading) = &mut self.part else { return };
        for node in members.iter().filter(|node| *node != self.config.node) {
            leading.followers.entry(node).or_insert_with(|| Follower::new(next, now));
        }
    }

    /// A leader forgets those that left, once they know that the membership without them is committed, or do not answer.
    pub(super) fn forget_those_that_left(&mut self, cx: &Cx<'_>) {
        let (members, index) = (self.log.members(), self.log.members_index());
        let (now, heartbeat_ms) = (cx.now().mono, self.config.heartbeat_ms);
        let Part::Leader(leading) = &mut self.part else { return };
        leading.followers.retain(|node, follower| {
            members.contains(*node) || !(follower.was_told(index) || follower.is_suspected(now, heartbeat_ms))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use crate::guarantee::NodeSet;
    use crate::machine::{Mono, Now, Turn, Wall};
    use crate::mutant::Mutants;
    use crate::random::Random;
    use crate::store::{MemoryStore, Seq};
    use alloc::vec::Vec;

    /// Node 1 of a group, whose disk is instant; the test speaks for the others.
    struct One {
        group: Group,
        store: MemoryStore,
        written: Seq,
        now: Now,
    }

    impl One {
        fn leads(voters: u16) -> One {
            let members: Vec<NodeId> = (1..=voters).map(NodeId).collect();
            let (heartbeat_ms, election_ms, keep_bytes) = (10, 100, usize::MAX);
            let (group, node, mutants) = (0, NodeId(1), Mutants::none());
            let config =
                Config { group, node, members, heartbeat_ms, election_ms, keep_entries: 100, keep_bytes, mutants };
            let now = Now { mono: Mono(1_000_000), wall: Wall::default() };
            let group = Group::boot(config, Now::default(), &MemoryStore::default());
            let mut one = One { group, store: MemoryStore::default(), written: Seq(0), now };
            one.step(|group, cx| group.wake(cx));
            one.hear(2, Body::PreVoteReply { granted: true });
            one.hear(2, Body::VoteReply { granted: true });
            assert!(one.group.leads());
            one
        }

        fn step<T>(&mut self, run: impl FnOnce(&mut Group, &mut Cx<'_>) -> T) -> T {
            let (result, mut wrote) = self.step_unsynced(run);
            while wrote {
                let upto = self.written;
                ((), wrote) = self.step_unsynced(|group, cx| group.synced(cx, upto));
            }
            result
        }

        fn step_unsynced<T>(&mut self, run: impl FnOnce(&mut Group, &mut Cx<'_>) -> T) -> (T, bool) {
            let (mut turn, mut random) = (Turn::default(), Random::new(1));
            let mut cx = Cx::open(self.now, self.written, &mut self.store, &mut random, &mut turn);
            let result = run(&mut self.group, &mut cx);
            self.written.0 += u64::from(turn.wrote);
            (result, turn.wrote)
        }

        fn hear(&mut self, from: u16, body: Body) {
            let message = Message { term: 1, body };
            self.step(|group, cx| group.message(cx, NodeId(from), message));
        }

        fn apply(&mut self) {
            while let Some((index, entry)) = self.group.next_to_apply() {
                let (term, time_ms) = (entry.term, entry.time_ms);
                self.group.mark_applied(index, term, time_ms);
            }
        }

        fn change(&mut self, voters: &[u16]) -> Result<Point, ChangeError> {
            let voters = voters.iter().copied().map(NodeId).collect();
            self.step(|group, cx| group.change_members(cx, Change { voters, learners: NodeSet::default() }))
        }
    }

    #[test]
    fn a_change_begins_when_what_was_committed_before_is_applied() {
        let mut one = One::leads(1);
        assert_eq!((one.group.commit(), one.change(&[1, 2])), (1, Err(ChangeError::Busy)));
        one.apply();
        assert_eq!(one.change(&[1, 2]), Ok(Point { term: 1, index: 2 }));
        // Joint, and not yet committed: node 2 has not answered.
        assert_eq!((one.group.commit(), one.change(&[1])), (1, Err(ChangeError::Busy)));
        one.hear(2, Body::Appended { matched: 2 });
        one.step(|group, cx| group.wake(cx));
        assert!(one.group.members().is_joint(), "committed and not applied");
        one.apply();
        one.step(|group, cx| group.wake(cx));
        assert_eq!((one.group.members(), one.change(&[1])), (Members::of([1, 2].map(NodeId)), Err(ChangeError::Busy)));
    }

    #[test]
    fn a_leader_that_has_committed_nothing_of_its_term_changes_nothing() {
        let mut one = One::leads(3);
        assert_eq!((one.group.commit(), one.change(&[1, 2])), (0, Err(ChangeError::Busy)));
        one.hear(2, Body::Appended { matched: 1 });
        one.apply();
        assert!(one.change(&[1, 2]).is_ok());
    }

    #[test]
    fn without_those_that_are_left_behind_more_is_committed_at_once() {
        let mut one = One::leads(3);
        one.hear(2, Body::Appended { matched: 1 });
        one.apply();
        assert!(one.change(&[1]).is_ok());
        one.step(|group, cx| group.propose(cx, Payload::Tick));
        one.hear(2, Body::Appended { matched: 2 });
        assert_eq!(one.group.commit(), 2);
        one.apply();
        // Even before the membership without them is durable anywhere.
        one.step_unsynced(|group, cx| group.wake(cx));
        assert_eq!((one.group.members(), one.group.commit()), (Members::of([NodeId(1)]), 3));
    }
}
