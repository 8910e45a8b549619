//! How the node sees itself and the others.

use super::Node;
use crate::machine::Mono;
use crate::operation::{FollowerStatus, GroupStatus, Status};

impl Node {
    /// A picture of this node.
    pub fn status(&self, now: Mono) -> Status {
        let groups = self.groups().map(|(id, group)| {
            let follower = |(node, matched, suspected)| FollowerStatus { node, matched, suspected };
            GroupStatus {
                group: id,
                role: group.role(),
                term: group.term(),
                leader: group.leader(),
                first: group.log().base().index + 1,
                last: group.log().last().index,
                durable: group.durable(),
                commit: group.commit(),
                applied: group.applied().at.index,
                log_time_ms: group.applied().time_ms,
                followers: group.followers(now).into_iter().map(follower).collect(),
                voters: group.members().voters.iter().collect(),
                outgoing: group.members().outgoing.iter().collect(),
                learners: group.members().learners.iter().collect(),
            }
        });
        Status {
            node: self.config.node,
            incarnation: self.config.incarnation,
            members: self.config.members.clone(),
            calls: self.calls as u64,
            groups: groups.collect(),
            peers: self.health.status(now),
            clock_out: self.health.clock_out().cloned(),
        }
    }
}
