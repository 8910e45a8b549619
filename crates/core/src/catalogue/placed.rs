//! Where the data of a leaderless table are, and where they are going.
//!
//! Data move in three steps, each of which is an epoch. First the new place is named: from then on a write needs its quorum in both places,
//! and reads stay where all data are. Every node that must then compares what it holds with so many of the old replicas that it meets each
//! write that they acknowledged. When the last of them has said so, the new place alone counts. The target may change on the way: all
//! data are still where they come from. A replica whose disk was lost is such a movement, too, from a place to the same: until it has compared, no read
//! asks it.

use crate::machine::NodeId;
use crate::placement::{Division, Member, POINTS, Placement, Ring};
use crate::quorum::Rule;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A rule on members: this decides who holds which range.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Layout {
    /// How many replicas there are, and how many must answer.
    pub rule: Rule,
    /// Those that hold data, in order; none as long as only the configuration says who they are.
    pub members: Vec<Member>,
}

/// A movement that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Moving {
    /// Where all data are.
    pub from: Layout,
    /// Replicas of the new place that may lack data. The movement ends with the last of them.
    pub awaited: BTreeSet<NodeId>,
    /// Replicas of the old place that lost their disk, and so hold nothing to count on.
    pub blank: BTreeSet<NodeId>,
}

/// Where the data of a leaderless table are. The rule that goes with it is that of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Placed {
    /// Those that hold data, or will; none as long as only the configuration says who they are.
    pub members: Vec<Member>,
    /// They come from elsewhere.
    pub moving: Option<Moving>,
}

impl Layout {
    /// Who holds which range.
    pub fn place(&self, division: &Division) -> Placement {
        Placement::new(&Ring::new(&self.members, POINTS), division, usize::from(self.rule.replicas()))
    }
}

impl Placed {
    /// Sends the data of a table to other members, or to another number of replicas. True if that changes who must answer.
    pub(super) fn aim(&mut self, division: &Division, rules: (Rule, Rule), members: Vec<Member>) -> bool {
        let before = self.clone();
        let (from, blank) = match self.moving.take() {
            Some(Moving { from, blank, .. }) => (from, blank),
            None => (Layout { rule: rules.0, members: self.members.clone() }, BTreeSet::new()),
        };
        let next = Layout { rule: rules.1, members };
        let (old, new) = (from.place(division), next.place(division));
        let lost = blank.iter().filter(|node| new.iter().any(|(_, nodes)| nodes.contains(node)));
        let awaited: BTreeSet<NodeId> = awaited((&old, from.rule), (&new, next.rule)).chain(lost.copied()).collect();
        // Where nobody may lack data the same nodes hold each range, perhaps in another order.
        let stays = awaited.is_empty();
        self.members = next.members;
        self.moving = (!stays).then_some(Moving { from, awaited, blank });
        before.moving.is_some() || self.moving.is_some() || old != new
    }

    /// A replica lost its disk. True if it is one.
    pub(super) fn lost(&mut self, division: &Division, rule: Rule, node: NodeId) -> bool {
        let mut moving = self.moving.clone().unwrap_or_else(|| Moving {
            from: Layout { rule, members: self.members.clone() },
            awaited: BTreeSet::new(),
            blank: BTreeSet::new(),
        });
        let holds = |layout: &Layout| layout.place(division).iter().any(|(_, nodes)| nodes.contains(&node));
        let (held, will_hold) = (holds(&moving.from), holds(&Layout { rule, members: self.members.clone() }));
        if held {
            moving.blank.insert(node);
        }
        if will_hold {
            moving.awaited.insert(node);
        }
        if held || will_hold {
            self.moving = Some(moving);
        }
        held || will_hold
    }

    /// A replica that was awaited holds all now. True if it was the last.
    pub(super) fn caught_up(&mut self, node: NodeId) -> bool {
        let Some(moving) = &mut self.moving else { return false };
        moving.awaited.remove(&node);
        moving.blank.remove(&node);
        let over = moving.awaited.is_empty();
        if over {
            self.moving = None;
        }
        over
    }
}

/// Those who must compare before the new place may count alone. A replica that is new to a range holds nothing of it. The others hold what
/// they held: as W of them had each write and only those left who are replaced, W of the new place have it then. Unless the numbers
/// change: then nobody is known to hold enough, or who reads by the old numbers could miss what is written by the new.
fn awaited(old: (&Placement, Rule), new: (&Placement, Rule)) -> impl Iterator<Item = NodeId> {
    let all = old.1.replicas() != new.1.replicas() || old.1.write() != new.1.write();
    let gained = new.0.iter().flat_map(move |(range, nodes)| {
        let before = old.0.replicas(range);
        nodes.iter().copied().filter(move |node| all || !before.contains(node))
    });
    gained.collect::<BTreeSet<NodeId>>().into_iter()
}
