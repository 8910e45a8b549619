//! The configuration file of a node.

mod check;
mod example;

use crate::disk::Options;
use crate::driver::engine::SyncMode;
use quorate_core::machine::NodeId;
use quorate_core::node;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};

pub use example::EXAMPLE;

/// Everything that a node is told at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node's number among the members.
    pub node: u16,
    /// The name of the cluster, the same on all members. Data, sessions and peers are bound to it.
    pub cluster: String,
    /// The directory for data, which belongs to this node alone.
    pub data: PathBuf,
    /// Where this node listens.
    #[serde(default)]
    pub listen: Listen,
    /// All members, this node included.
    pub members: Vec<Member>,
    /// This node begins without a vote and without data, and waits until MEMBER.SET at another lets it in: so does one that is added, and
    /// one whose disk was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub join: bool,
    /// Consensus groups that share the keys of the sixteen databases. The same on all members, for ever.
    #[serde(default = "one")]
    pub groups: u16,
    /// Tables beyond the sixteen databases, each with groups of its own. The same on all members, for ever.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// Who may talk to this node.
    #[serde(default)]
    pub security: Security,
    /// Timeouts.
    #[serde(default)]
    pub timing: Timing,
    /// The disk.
    #[serde(default)]
    pub disk: Disk,
    /// How replicas of leaderless tables become equal again.
    #[serde(default)]
    pub repair: Repair,
    /// Bounds on what clients may use.
    #[serde(default)]
    pub limits: Limits,
    /// Clients may injure the links to other nodes: for test clusters only.
    #[serde(default)]
    pub faults_allowed: bool,
}

/// Addresses as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// For the Redis protocol.
    pub resp: String,
    /// For HTTP.
    pub http: String,
    /// For the other members.
    pub peer: String,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            resp: "127.0.0.1:7379".to_string(),
            http: "127.0.0.1:7070".to_string(),
            peer: "127.0.0.1:7479".to_string(),
        }
    }
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its number.
    pub node: u16,
    /// Where the other members reach it, as `host:port`.
    pub peer: String,
    /// Where clients of the Redis protocol reach it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resp: Option<String>,
    /// Where HTTP reaches it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
}

/// A table beyond the sixteen databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// How many consensus groups share its keys.
    #[serde(default = "one")]
    pub groups: u16,
}

/// Who may talk to this node.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// What clients must give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What members must prove that they know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_secret: Option<String>,
    /// Listen beyond this machine without the two above.
    pub insecure: bool,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("peer_secret", &self.peer_secret.as_ref().map(|_| "…"))
            .field("insecure", &self.insecure)
            .finish()
    }
}

/// Timeouts, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// A leader that has nothing to say says so this often.
    pub heartbeat_ms: u64,
    /// A follower that hears nothing for this long, and a random part of it more, asks for votes.
    pub election_ms: u64,
    /// The wall clock may be wrong by so much, to either side.
    pub clock_uncertainty_ms: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        let node::Timing { heartbeat_ms, election_ms } = node::Timing::default();
        Timing { heartbeat_ms, election_ms, clock_uncertainty_ms: 250 }
    }
}

/// The disk, sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    /// How syncs run: on a `thread` beside the event loop, or `inline`.
    pub sync: SyncMode,
    /// Writes that are kept in memory before they move to the base.
    pub overlay_bytes: usize,
    /// The journal is cut when it is larger.
    pub journal_bytes: u64,
    /// Memory for caching the base.
    pub cache_bytes: u64,
}

impl Default for Disk {
    fn default() -> Disk {
        let options = Options::default();
        Disk {
            sync: SyncMode::default(),
            overlay_bytes: options.overlay_bytes,
            journal_bytes: options.journal_bytes,
            cache_bytes: options.cache_bytes,
        }
    }
}

impl Disk {
    /// As the disk takes them.
    pub fn options(&self) -> Options {
        let Disk { sync: _, overlay_bytes, journal_bytes, cache_bytes } = *self;
        Options { overlay_bytes, journal_bytes, cache_bytes, ..Options::default() }
    }
}

/// How replicas of leaderless tables become equal again, and data move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Repair {
    /// One table is compared with one other node this often, in milliseconds; 0 is never.
    pub compare_ms: u64,
    /// What is compared, moved or deleted takes no more than this share of the time of disk and network while clients are served, in
    /// percent; 1 to 100.
    pub share_percent: u8,
}

impl Default for Repair {
    fn default() -> Repair {
        let node::Repair { compare_ms, share_percent, .. } = node::Repair::default();
        Repair { compare_ms, share_percent }
    }
}

/// Bounds on what clients may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of clients.
    pub connections: usize,
    /// Unanswered commands of one connection; beyond it the socket is not read.
    pub pipeline: usize,
    /// Bytes of replies that a client has not read; beyond it the connection is closed.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        let crate::front::Bounds { connections, pipeline, output_bytes } = crate::front::Bounds::default();
        Limits { connections, pipeline, output_bytes }
    }
}

fn one() -> u16 {
    1
}

/// What is wrong with a configuration, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("{} cannot be read: {error}", path.display())))?;
        let wrong = |error: ConfigError| ConfigError(format!("{}: {error}", path.display()));
        let config = Config::parse(&text).map_err(wrong)?;
        config.check().map_err(wrong)?;
        Ok(config)
    }

    /// Reads a text. The error names the line and the key.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError(error.to_string().trim_end().to_string()))
    }

    /// The configuration as text.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("strings, numbers and lists of tables become TOML")
    }

    /// A commented example that parses.
    pub fn example() -> &'static str {
        EXAMPLE
    }

    /// The number that stands for the cluster's name on disk and between nodes: the head of its SHA-256.
    pub fn cluster_id(&self) -> u64 {
        let digest = Sha256::digest(self.cluster.as_bytes());
        digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte))
    }

    /// The members that began the cluster, in order: a node that joins is none of them.
    pub fn founders(&self) -> Vec<NodeId> {
        let founders = self.members.iter().map(|member| member.node).filter(|&node| !self.join || node != self.node);
        let mut founders: Vec<NodeId> = founders.map(NodeId).collect();
        founders.sort_unstable();
        founders
    }

    /// How many databases SELECT reaches: the sixteen, then the tables.
    pub fn databases(&self) -> u16 {
        16 + self.tables.len() as u16
    }

    /// What the machine is told.
    pub fn node_config(&self, incarnation: u64) -> node::Config {
        let mut config = node::Config::new(self.cluster_id(), NodeId(self.node), self.founders(), self.groups);
        config.incarnation = incarnation;
        config.timing = node::Timing { heartbeat_ms: self.timing.heartbeat_ms, election_ms: self.timing.election_ms };
        let Repair { compare_ms, share_percent } = self.repair;
        config.repair = node::Repair { compare_ms, share_percent, ..node::Repair::default() };
        let mut first_group = self.groups;
        for table in &self.tables {
            config.tables.push(node::Table { name: table.name.clone(), first_group, groups: table.groups });
            first_group += table.groups;
        }
        config
    }
}
