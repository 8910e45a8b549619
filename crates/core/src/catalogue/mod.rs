//! # The catalogue: which tables there are, and which life of a node may write
//!
//! **The idea.** What all nodes must agree on before they can serve anything, besides who they are: the tables with their shape and
//! policy, and for each node the number of its present life as a writer. It is replicated state like any other, in the log of the first
//! consensus group, so that every node reads the same catalogue in the same order of versions. Each table carries an epoch: the version
//! at which the places of its data changed last. Nodes say it with every message about the table, and do not count answers of another.
//! The members are there, too, as soon as somebody says more of them than the configuration did: how much each holds, in which zone it is,
//! whether it votes, where it is reached.
//!
//! **Promises.**
//! - T1 A table has a policy that its shape and its cell can give, or it is not made. (`what_a_shape_cannot_give_is_refused`)
//! - T2 Numbers of tables are never used again, and no two lives of a node have the same number. (`numbers_are_never_used_again`)
//! - T3 The same changes in the same order give the same bytes. (`the_catalogue_has_these_bytes`)
//! - T4 Data that move count where they come from until every replica that may lack some has compared; the target may change meanwhile. (`data_count_where_they_come_from_until_all_have_compared`)
//! - T5 A replica whose disk was lost or set back is not asked until it has compared. (`a_lost_disk_is_not_asked_until_it_has_compared`)
//!
//! **Not here.** The tables of the configuration file, whose numbers are lower. How the commands read (`state/table.rs`).
//!
//! **On disk.** One record in the state of the first group: a version byte, then what serde derives, in postcard.
//!
//! **What breaks it.** A life that chooses its number itself: a disk that was lost or set back chooses one that was used (riak_kv #1094).
//!
//! **Read next.** `table.rs`, `member.rs`, `placed.rs`; `state/table.rs`; decisions 0015 and 0021.

mod member;
mod placed;
mod table;

pub use member::{Founders, MemberChange, MemberError, MemberSpec};
pub use placed::{Layout, Moving, Placed};
pub use table::{LeaderlessSpec, PARTS, Shape, TableError, TableSpec};

use crate::clock::Actor;
use crate::limits;
use crate::machine::NodeId;
use crate::operation::TableId;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The consensus group whose state holds the catalogue.
pub const CATALOGUE_GROUP: u16 = 0;

/// The first number of a table that is made at run time: those below belong to the configuration.
pub const FIRST_TABLE: u16 = limits::TABLES as u16;

const FORMAT: u8 = 3;

/// A node as a writer of leaderless tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Life {
    /// How often the node was given a new life: the incarnation of its [`Actor`].
    pub number: u32,
    /// What the node said when it asked for this life, so that asking twice gives one.
    pub claim: u64,
}

/// All that nodes agree on before they serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Catalogue {
    /// Rises with every change.
    version: u64,
    tables: BTreeMap<TableId, TableSpec>,
    /// How many tables were ever made.
    made: u16,
    lives: BTreeMap<NodeId, Life>,
    members: BTreeMap<NodeId, MemberSpec>,
    /// Who votes was said here, not only by the configuration: the groups follow.
    votes_named: bool,
}

impl Catalogue {
    /// Rises with every change.
    pub fn version(&self) -> u64 {
        self.version
    }
    /// A table by its number.
    pub fn table(&self, id: TableId) -> Option<&TableSpec> {
        self.tables.get(&id)
    }
    /// A table by its name.
    pub fn find(&self, name: &str) -> Option<(TableId, &TableSpec)> {
        self.tables().find(|(_, spec)| spec.name == name)
    }
    /// Was this number ever given to a table, though that may be removed?
    pub fn was_made(&self, id: TableId) -> bool {
        id.0.checked_sub(FIRST_TABLE).is_some_and(|number| number < self.made)
    }
    /// Was a table of this number made and removed?
    pub fn was_removed(&self, id: TableId) -> bool {
        self.was_made(id) && !self.tables.contains_key(&id)
    }
    /// All tables, by number.
    pub fn tables(&self) -> impl Iterator<Item = (TableId, &TableSpec)> + '_ {
        self.tables.iter().map(|(&id, spec)| (id, spec))
    }
    /// The actor as which a node writes, if it was given the life that it claimed.
    pub fn actor(&self, node: NodeId, claim: u64) -> Option<Actor> {
        let life = self.lives.get(&node).filter(|life| life.claim == claim)?;
        Some(Actor { node, incarnation: life.number })
    }
    /// The number of the present life of a node, if it ever had one.
    pub fn life(&self, node: NodeId) -> Option<u32> {
        self.lives.get(&node).map(|life| life.number)
    }

    /// The number of the present life of each node that ever had one.
    pub fn lives(&self) -> impl Iterator<Item = (NodeId, u32)> + '_ {
        self.lives.iter().map(|(&node, life)| (node, life.number))
    }

    /// Makes a table.
    ///
    /// # Errors
    /// If the name is taken or none, there are too many tables, or the shape cannot give the policy.
    pub fn create(&mut self, name: &str, shape: Shape) -> Result<TableId, TableError> {
        table::check_name(name)?;
        shape.check()?;
        self.check_replicas(&shape)?;
        if self.find(name).is_some() {
            return Err(TableError::Exists);
        }
        if self.tables.len() >= limits::TABLES_MADE || self.made >= u16::MAX - FIRST_TABLE {
            return Err(TableError::TooMany);
        }
        let id = TableId(FIRST_TABLE + self.made);
        self.made += 1;
        self.version += 1;
        let members = if shape.leaderless().is_some() { self.placing() } else { Vec::new() };
        let placed = Placed { members, moving: None };
        self.tables.insert(id, TableSpec { name: String::from(name), epoch: self.version, shape, placed });
        Ok(id)
    }
    /// Changes the policy of a table. Data move if there are to be more or fewer replicas, or writes are to be on more of them.
    ///
    /// # Errors
    /// If there is no such table, or the change is none that its data can follow.
    pub fn alter(&mut self, name: &str, shape: Shape) -> Result<TableId, TableError> {
        shape.check()?;
        self.check_replicas(&shape)?;
        let (id, spec) = self.find(name).ok_or(TableError::Unknown)?;
        spec.shape.follows(&shape)?;
        self.version += 1;
        let spec = self.tables.get_mut(&id).ok_or(TableError::Unknown)?;
        let before = core::mem::replace(&mut spec.shape, shape);
        if let (Shape::Leaderless(old), Shape::Leaderless(new)) = (&before, &spec.shape)
            && spec.placed.aim(&new.division, (old.rule, new.rule), spec.placed.members.clone())
        {
            spec.epoch = self.version;
        }
        Ok(id)
    }
    fn check_replicas(&self, shape: &Shape) -> Result<(), TableError> {
        let (Some(policy), nodes) = (shape.leaderless(), self.placing().len()) else { return Ok(()) };
        let replicas = policy.rule.replicas();
        let few = nodes > 0 && nodes < usize::from(replicas);
        if few { Err(TableError::TooFewNodes { replicas, nodes }) } else { Ok(()) }
    }
    /// Removes a table.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn remove(&mut self, name: &str) -> Result<TableId, TableError> {
        let (id, _) = self.find(name).ok_or(TableError::Unknown)?;
        self.tables.remove(&id);
        self.version += 1;
        Ok(id)
    }
    /// Gives a node a new life as a writer, unless it has the one that it claims. `last` is the life that its disk knows, 0 if none: if that is
    /// not the one before, the disk was lost or set back, and what it holds does not count until it has compared.
    pub fn begin_life(&mut self, node: NodeId, claim: u64, last: u32) -> u32 {
        let life = self.lives.entry(node).or_default();
        if life.number > 0 && life.claim == claim {
            return life.number;
        }
        let before = life.number;
        *life = Life { number: before + 1, claim };
        self.version += 1;
        if before != last {
            self.lose_disk(node);
        }
        before + 1
    }
    /// A replica has compared what a movement asks of it. What was said in another epoch changes nothing.
    pub fn caught_up(&mut self, id: TableId, epoch: u64, node: NodeId) {
        let Some(spec) = self.tables.get_mut(&id).filter(|spec| spec.epoch == epoch) else { return };
        if spec.placed.moving.as_ref().is_some_and(|moving| moving.awaited.contains(&node)) {
            self.version += 1;
            if spec.placed.caught_up(node) {
                spec.epoch = self.version;
            }
        }
    }

    /// The record.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, alloc::vec![FORMAT]).expect("catalogues always encode")
    }
    /// Reads a record. `None` if the bytes are none of this format.
    pub fn decode(bytes: &[u8]) -> Option<Catalogue> {
        let (&format, body) = bytes.split_first()?;
        if format != FORMAT {
            return None;
        }
        postcard::from_bytes(body).ok()
    }
}

#[cfg(test)]
mod tests;
