//! Members in a script: `members 1 1,2,4 learners 5` asks node 1 to change them, `members 1` tells how it sees them.

use super::stage::{Said, Stage, set_text};
use crate::fault::nodes;
use quorate_core::consensus::{Group, Members};
use quorate_core::guarantee::NodeSet;
use quorate_core::limits::NODE_ID_MAX;
use quorate_core::machine::NodeId;
use quorate_core::operation::Request;

impl Stage {
    pub(super) fn members(&mut self, node: NodeId) -> Said {
        let group = self.group(node).ok_or("the node is down")?;
        Ok(vec![text(group.members())])
    }

    pub(super) fn change_members(&mut self, node: NodeId, next: Members) -> Said {
        let (voters, learners) = (next.voters.iter().collect(), next.learners.iter().collect());
        self.errand(node, Request::ChangeMembers { group: 0, voters, learners })
    }
}

/// Members from `1,2,4 learners 5`.
pub(super) fn parse(words: &[&str]) -> Result<Members, String> {
    let set = |word: &str| -> Result<NodeSet, String> {
        let nodes = nodes(word)?;
        match nodes.iter().find(|node| !(1..=NODE_ID_MAX).contains(&node.0)) {
            Some(node) => Err(format!("{} is not a node", node.0)),
            None => Ok(nodes.into_iter().collect()),
        }
    };
    let (voters, learners) = match words {
        [voters] => (set(voters)?, NodeSet::default()),
        [voters, "learners", learners] => (set(voters)?, set(learners)?),
        _ => return Err("members are voters, then perhaps learners: 1,2,4 learners 5".into()),
    };
    Ok(Members { voters, learners, outgoing: NodeSet::default() })
}

/// The members, if no change is on its way as the node knows.
pub(super) fn settled(group: &Group) -> Option<Members> {
    let settled = !group.members().is_joint() && group.log().members_index() <= group.commit();
    settled.then(|| group.members())
}

pub(super) fn text(members: Members) -> String {
    let part = |name: &str, nodes| format!("{name} {}", set_text(nodes));
    let parts = [
        Some(part("voters", members.voters)),
        members.is_joint().then(|| part("outgoing", members.outgoing)),
        (!members.learners.is_empty()).then(|| part("learners", members.learners)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
