//! What all connections of one node share.

use crate::fault::LinkRules;
use crate::metrics::Metrics;
use quorate_core::catalogue::Catalogue;
use quorate_core::operation::Request;

/// Bounds of the front end; the configuration sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Open connections. One more is told so and closed.
    pub connections: usize,
    /// Unanswered commands of one connection. Beyond it the socket is not read.
    pub pipeline: usize,
    /// Bytes of replies that wait for a client to read them. Beyond it the connection is closed.
    pub output_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { connections: 10_000, pipeline: 1_024, output_bytes: 64 * 1024 * 1024 }
    }
}

/// What all connections of one node share.
#[derive(Debug)]
pub struct Shared {
    /// The cluster, which session tokens are bound to.
    pub cluster: u64,
    /// The cluster's name for people.
    pub cluster_name: String,
    /// The node.
    pub node: u16,
    /// Clients must give this first.
    pub password: Option<String>,
    /// Databases that SELECT can reach.
    pub databases: u16,
    /// Names of the configured tables, in the order of their numbers.
    pub tables: Vec<String>,
    /// The tables that were made at run time, as far as this node has heard.
    pub catalogue: Catalogue,
    /// Port of the Redis protocol.
    pub port: u16,
    /// May clients injure the links?
    pub faults_allowed: bool,
    /// Bounds.
    pub bounds: Bounds,
    /// Counters.
    pub metrics: Metrics,
    /// The moment of the current iteration, in microseconds since the start.
    pub now_us: u64,
}

impl Shared {
    /// For a node of a cluster; everything else as in an empty configuration.
    pub fn new(cluster: u64, node: u16) -> Shared {
        Shared {
            cluster,
            cluster_name: String::new(),
            node,
            password: None,
            databases: 16,
            tables: Vec::new(),
            catalogue: Catalogue::default(),
            port: 0,
            faults_allowed: false,
            bounds: Bounds::default(),
            metrics: Metrics::default(),
            now_us: 0,
        }
    }
}

/// Something that a connection cannot answer by itself.
#[derive(Debug)]
pub struct Issue {
    /// The connection's name for the place of the answer among its replies.
    pub slot: u64,
    /// What is asked.
    pub question: Question,
}

/// What a connection cannot answer by itself.
#[derive(Debug)]
pub enum Question {
    /// The machine answers.
    Machine(Request),
    /// The table of connections answers with `CLIENT LIST`.
    Clients,
    /// The links answer when these faults are in force.
    Faults(LinkRules),
}
