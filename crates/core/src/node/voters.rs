//! Groups follow the catalogue: it says who is to vote, and the leader of each group takes it there, step by step. Nothing is remembered
//! between the steps, so a new leader goes on where the last one was.

use super::{Cx, Node, wrap};
use crate::consensus::Change;
use crate::guarantee::NodeSet;
use crate::machine::NodeId;

impl Node {
    /// Takes the groups that this node leads a step towards the voters that the catalogue names.
    pub(super) fn follow_votes(&mut self, cx: &mut Cx<'_>) {
        let Some(voters) = self.tables.catalogue.voters().map(Iterator::collect::<NodeSet>) else { return };
        for (&id, seat) in &mut self.seats {
            let members = seat.group.members();
            if !seat.group.accepts() || members.is_joint() {
                continue;
            }
            let fresh: NodeSet = voters.iter().filter(|&node| !members.is_voter(node)).collect();
            let caught_up = fresh.iter().all(|node| members.learners.contains(node) && seat.group.caught_up(node));
            // Who is to vote learns first, so that no write ever waits for it.
            let change = match caught_up {
                true => Change { voters, learners: NodeSet::default() },
                false => Change { voters: members.voters, learners: fresh },
            };
            if (change.voters, change.learners) != (members.voters, members.learners) {
                // One that cannot begin now is tried again with the next beat.
                let _ = cx.within(wrap(id), |cx| seat.group.change_members(cx, change));
            }
        }
    }

    /// Where calls for a group go from here: to its leader, as the group knows it, or, outside of the group, as the others say. With the term.
    pub(super) fn leader_elsewhere(&self, id: u16) -> Option<(NodeId, u64)> {
        let group = &self.seats.get(&id)?.group;
        let known = group.leader().map(|leader| (leader, group.term()));
        let heard = if self.is_outside(id) { self.health.leader_of(id) } else { None };
        let newest = known.into_iter().chain(heard).max_by_key(|&(_, term)| term);
        newest.filter(|&(leader, _)| leader != self.config.node)
    }

    /// Calls to a leader of whom others told keep their order by its term.
    pub(super) fn hear_term(&mut self, id: u16) {
        let heard = if self.is_outside(id) { self.health.leader_of(id) } else { None };
        if let (Some((_, term)), Some(seat)) = (heard, self.seats.get_mut(&id)) {
            seat.heard_term = seat.heard_term.max(term);
        }
    }

    /// This node is no member of the group, so what it knows of its leader and its term may be old.
    pub(super) fn is_outside(&self, id: u16) -> bool {
        self.seats.get(&id).is_some_and(|seat| !seat.group.members().contains(self.config.node))
    }
}
