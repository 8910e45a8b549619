//! The node: the one place that knows all rooms. It translates and routes; no protocol logic lives here.

use crate::consensus;
use crate::machine::{CallId, Input, Machine, NodeId, Now, Step, Wake};
use crate::mutant::Mutants;
use crate::operation::{Operate, Reply, Request};
use crate::store::View;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

pub mod wire;

/// What does not change during one life of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Names the cluster; session tokens and peers of another are refused.
    pub cluster: u64,
    /// Who we are.
    pub node: NodeId,
    /// Our life: rises with every start.
    pub incarnation: u64,
    /// All members, ourselves included, in order.
    pub members: Vec<NodeId>,
    /// The tables. The first sixteen share the groups of table 0 unless they say otherwise.
    pub tables: Vec<Table>,
    /// Timeouts.
    pub timing: Timing,
    /// Rules that are broken; always none outside the lab.
    pub mutants: Mutants,
}

/// A table and the consensus groups that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name for people.
    pub name: String,
    /// Its first group.
    pub first_group: u16,
    /// How many groups its keys are spread over.
    pub groups: u16,
}

/// Timeouts of the consensus room, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A leader that has nothing to say says so this often.
    pub heartbeat_ms: u64,
    /// A follower that hears nothing for this long, and a random part of it more, asks for votes.
    pub election_ms: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing { heartbeat_ms: 100, election_ms: 750 }
    }
}

impl Config {
    /// A cluster whose sixteen databases share `groups` consensus groups.
    pub fn new(cluster: u64, node: NodeId, members: Vec<NodeId>, groups: u16) -> Config {
        let table = |id: u16| Table {
            name: if id == 0 { String::from("default") } else { alloc::format!("db{id}") },
            first_group: 0,
            groups,
        };
        Config {
            cluster,
            node,
            incarnation: 1,
            members,
            tables: (0..16).map(table).collect(),
            timing: Timing::default(),
            mutants: Mutants::none(),
        }
    }
}

/// What nodes tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// The consensus room of a group speaks.
    Consensus {
        /// The group.
        group: u16,
        /// What it says.
        message: consensus::Message,
    },
    /// A follower passes a call on to the leader. Lost: the caller hears `Unknown` at its deadline.
    Forward {
        /// The call, as the follower names it.
        call: CallId,
        /// The life of the follower, so that answers to an earlier life are dropped.
        incarnation: u64,
        /// The group whose leader is meant.
        group: u16,
        /// What is asked.
        operate: Operate,
    },
    /// The leader answers a forwarded call.
    Answer {
        /// The call, as the follower named it.
        call: CallId,
        /// The life of the follower that asked.
        incarnation: u64,
        /// What became of it; `None` means that the receiver was not the leader and did nothing.
        reply: Option<Reply>,
    },
}

/// The whole node.
pub struct Node {
    config: Config,
}

impl Machine for Node {
    type Config = Config;
    type Request = Request;
    type Reply = Reply;
    type Message = Message;

    fn boot(config: &Config, _now: Now, _disk: &dyn View) -> Node {
        Node { config: config.clone() }
    }

    fn step(&mut self, _cx: &mut Step<'_, Reply, Message>, _input: Input<Request, Message>) {
        let _ = &self.config;
    }

    fn wake_at(&self) -> Option<Wake> {
        None
    }
}
