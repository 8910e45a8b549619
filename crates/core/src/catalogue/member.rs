//! Who holds data of leaderless tables, and who votes in the groups of the others.

use super::{Catalogue, Shape};
use crate::limits;
use crate::machine::NodeId;
use crate::placement::Member;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Bytes of an address.
const ADDRESS_BYTES: usize = 255;
/// The highest weight: points on the ring are bounded by it.
const WEIGHT_MAX: u16 = 64;

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemberSpec {
    /// How much data of leaderless tables it should hold, compared with the others; 0 is none.
    pub weight: u16,
    /// Nodes of one zone fail together.
    pub zone: u16,
    /// It is a voter of every consensus group, or is to become one.
    pub votes: bool,
    /// Where other nodes reach it; empty if the configuration says so.
    pub address: String,
}

/// What is to change of a member. What is not named stays, or is as for a new member: weight 1, a zone of its own, a vote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberChange {
    /// See [`MemberSpec`].
    pub weight: Option<u16>,
    /// See [`MemberSpec`].
    pub zone: Option<u16>,
    /// See [`MemberSpec`].
    pub votes: Option<bool>,
    /// See [`MemberSpec`].
    pub address: Option<String>,
    /// Its disk is gone for good: no movement counts on what it held.
    pub lost: bool,
}

/// Who the members are as long as only the configuration says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Founders {
    /// Those that hold data.
    pub members: Vec<NodeId>,
    /// Those that vote.
    pub voters: Vec<NodeId>,
}

/// Why the members cannot be changed so. Nothing was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberError {
    /// No such node.
    Unknown,
    /// As many as there can be.
    TooMany,
    /// A weight is 0 to 64.
    Weight,
    /// Too long.
    Address,
    /// A table would have fewer nodes than replicas.
    TooFew {
        /// The table.
        table: String,
        /// Its replicas.
        replicas: u8,
        /// Nodes that would hold data.
        left: usize,
    },
    /// Nobody would vote.
    NoVoter,
    /// It still has a vote, or data are still placed on it.
    InUse,
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberError::Unknown => f.write_str("there is no such node"),
            MemberError::TooMany => write!(f, "a cluster has at most {} nodes", limits::NODE_ID_MAX),
            MemberError::Weight => write!(f, "a weight is 0 to {WEIGHT_MAX}"),
            MemberError::Address => write!(f, "an address has at most {ADDRESS_BYTES} bytes"),
            MemberError::TooFew { table, replicas, left } => {
                write!(f, "table {table} has {replicas} replicas, and {left} nodes would be left to hold them")
            }
            MemberError::NoVoter => f.write_str("a cluster needs a node that votes"),
            MemberError::InUse => f.write_str("the node still votes or holds data; remove it first and wait"),
        }
    }
}

impl Catalogue {
    /// The nodes of the cluster; none as long as only the configuration says who they are.
    pub fn members(&self) -> &BTreeMap<NodeId, MemberSpec> {
        &self.members
    }
    /// Who is to vote in every consensus group, if that was ever said here.
    pub fn voters(&self) -> Option<impl Iterator<Item = NodeId> + '_> {
        let voters = || self.members.iter().filter(|(_, member)| member.votes).map(|(&node, _)| node);
        self.votes_named.then(voters)
    }
    /// Those who are to hold data.
    pub fn placing(&self) -> Vec<Member> {
        placing(&self.members)
    }

    /// Says who the members are, once: later calls change nothing.
    pub fn found(&mut self, founders: &Founders) {
        if !self.members.is_empty() {
            return;
        }
        for &node in founders.members.iter().chain(&founders.voters) {
            let weight = u16::from(founders.members.contains(&node));
            let votes = founders.voters.contains(&node);
            self.members.insert(node, MemberSpec { weight, zone: node.0, votes, address: String::new() });
        }
        self.version += 1;
        let placing = self.placing();
        for spec in self.tables.values_mut().filter(|spec| spec.shape.leaderless().is_some()) {
            spec.placed.members.clone_from(&placing);
        }
    }

    /// Adds a member or changes it; leaderless tables move to where the members say then.
    ///
    /// # Errors
    /// If there would be too few nodes, or a bound is passed.
    pub fn set_member(&mut self, node: NodeId, change: MemberChange) -> Result<(), MemberError> {
        if !(1..=limits::NODE_ID_MAX).contains(&node.0) {
            return Err(MemberError::TooMany);
        }
        let fresh = || MemberSpec { weight: 1, zone: node.0, votes: true, address: String::new() };
        let old = self.members.get(&node);
        let mut member = old.cloned().unwrap_or_else(fresh);
        let MemberChange { weight, zone, votes, address, lost } = change;
        member.weight = weight.unwrap_or(member.weight);
        member.zone = zone.unwrap_or(member.zone);
        member.votes = votes.unwrap_or(member.votes);
        member.address = address.unwrap_or(member.address);
        if member.weight > WEIGHT_MAX {
            return Err(MemberError::Weight);
        }
        if member.address.len() > ADDRESS_BYTES {
            return Err(MemberError::Address);
        }
        if old == Some(&member) && !lost {
            return Ok(());
        }
        let votes_change = old.is_none_or(|old| old.votes != member.votes);
        let mut members = self.members.clone();
        members.insert(node, member);
        self.check_members(&members)?;
        self.members = members;
        self.votes_named |= votes_change;
        self.version += 1;
        self.move_tables();
        if lost {
            self.lose_disk(node);
        }
        Ok(())
    }

    /// What a node holds of leaderless tables is not to be counted on.
    pub(super) fn lose_disk(&mut self, node: NodeId) {
        for spec in self.tables.values_mut() {
            if let Shape::Leaderless(policy) = &spec.shape
                && spec.placed.lost(&policy.division, policy.rule, node)
            {
                spec.epoch = self.version;
            }
        }
    }

    /// Forgets a member that neither votes nor holds data.
    ///
    /// # Errors
    /// If it does, or is none.
    pub fn forget_member(&mut self, node: NodeId) -> Result<(), MemberError> {
        let member = self.members.get(&node).ok_or(MemberError::Unknown)?;
        let moving = self.tables.values().filter_map(|spec| spec.placed.moving.as_ref());
        let holds = moving.flat_map(|moving| &moving.from.members).any(|member| member.node == node);
        if member.votes || member.weight > 0 || holds {
            return Err(MemberError::InUse);
        }
        self.members.remove(&node);
        self.version += 1;
        Ok(())
    }

    fn check_members(&self, members: &BTreeMap<NodeId, MemberSpec>) -> Result<(), MemberError> {
        if !members.values().any(|member| member.votes) {
            return Err(MemberError::NoVoter);
        }
        let left = placing(members).len();
        for spec in self.tables.values() {
            if let Shape::Leaderless(policy) = &spec.shape
                && left < usize::from(policy.rule.replicas())
                && left < self.placing().len()
            {
                return Err(MemberError::TooFew { table: spec.name.clone(), replicas: policy.rule.replicas(), left });
            }
        }
        Ok(())
    }

    /// All leaderless tables go where the members say.
    fn move_tables(&mut self) {
        let placing = self.placing();
        for spec in self.tables.values_mut() {
            let Shape::Leaderless(policy) = &spec.shape else { continue };
            if spec.placed.members != placing
                && spec.placed.aim(&policy.division, (policy.rule, policy.rule), placing.clone())
            {
                spec.epoch = self.version;
            }
        }
    }
}

fn placing(members: &BTreeMap<NodeId, MemberSpec>) -> Vec<Member> {
    let holds = members.iter().filter(|(_, member)| member.weight > 0);
    holds.map(|(&node, member)| Member { node, weight: member.weight, zone: member.zone }).collect()
}
