//! INFO and the status as JSON.

use super::auth::REDIS_VERSION;
use super::connection::Connection;
use super::shared::{Issue, Question, Shared};
use super::slot::{Kind, Render};
use crate::metrics::Metrics;
use bytes::Bytes;
use quorate_core::guarantee::{Level, Session, Want};
use quorate_core::limits;
use quorate_core::machine::NodeId;
use quorate_core::operation::{
    Batch, GroupStatus, Operate, Outcome, PeerStatus, Reply, Request, Role, Status, TableId, Value, Words,
};
use std::fmt::Write;

/// `INFO [section …]`.
pub(super) fn info(connection: &mut Connection, words: &Words, shared: &Shared, issues: &mut Vec<Issue>) {
    let sections: Vec<Bytes> = words[1..].iter().map(|word| Bytes::from(word.to_ascii_lowercase())).collect();
    let tables = if is_wanted(&sections, "keyspace") { shared.databases } else { 0 };
    let gathered = Gathered { sections, status: None, keys: Vec::new(), missing: 1 + usize::from(tables) };
    connection.ask(Question::Machine(Request::Status), Render::Info(Box::new(gathered)), Kind::Read, issues);
    for table in 0..tables {
        connection.ask_part(table + 1, Question::Machine(Request::Operate(size_of(TableId(table)))), issues);
    }
}

/// Asks how many keys a table has, as this node knows it.
fn size_of(table: TableId) -> Operate {
    let commands = vec![vec![Bytes::from_static(b"DBSIZE")]];
    Operate {
        batch: Batch { table, guards: Vec::new(), idempotency: None, commands, transaction: false },
        want: Want::of_level(Level::Eventual),
        session: Session::default(),
        seen: None,
        after_own_writes: false,
        deadline_ms: limits::DEADLINE_MS,
    }
}

/// The answers that INFO is made of.
#[derive(Debug)]
pub struct Gathered {
    sections: Vec<Bytes>,
    status: Option<Status>,
    /// Tables that have keys, with how many.
    keys: Vec<(u16, i64)>,
    missing: usize,
}

impl Gathered {
    /// Takes the answer to one part: 0 is the status, others are the sizes of tables.
    pub(super) fn add(&mut self, part: u16, reply: &Reply) {
        self.missing = self.missing.saturating_sub(1);
        match reply {
            Reply::Status(status) => self.status = Some(status.clone()),
            Reply::Operated { outcome: Outcome::Done { value: Value::Int(keys), .. }, .. } if *keys > 0 => {
                self.keys.push((part.saturating_sub(1), *keys));
            }
            Reply::Operated { .. }
            | Reply::Transferred(_)
            | Reply::ChangeBegun(_)
            | Reply::Hot(_)
            | Reply::Repair(_) => {}
        }
    }
    /// Are all answers here?
    pub(super) fn is_whole(&self) -> bool {
        self.missing == 0
    }
    /// The text of INFO.
    pub(super) fn text(mut self, shared: &Shared) -> String {
        let Some(status) = &self.status else { return String::new() };
        let mut out = text(&self.sections, status, shared);
        if is_wanted(&self.sections, "keyspace") {
            let gap = if out.is_empty() { "" } else { "\r\n" };
            let _ = write!(out, "{gap}# Keyspace\r\n");
            self.keys.sort_unstable();
            for (table, keys) in &self.keys {
                let _ = write!(out, "db{table}:keys={keys}\r\n");
            }
        }
        out
    }
}

fn is_wanted(sections: &[Bytes], name: &str) -> bool {
    let all = ["default", "all", "everything"];
    sections.is_empty() || sections.iter().any(|section| section == name || all.iter().any(|all| section == all))
}

/// Writes one section.
type Section = fn(&mut String, &Status, &Shared);

/// All sections but the keyspace.
fn text(sections: &[Bytes], status: &Status, shared: &Shared) -> String {
    let sections_known: [(&str, Section); 6] = [
        ("server", server),
        ("clients", clients),
        ("memory", memory),
        ("stats", stats),
        ("replication", replication),
        ("quorate", quorate),
    ];
    let mut out = String::new();
    for (name, section) in sections_known {
        if is_wanted(sections, name) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            let _ = write!(out, "# {}{}\r\n", name[..1].to_ascii_uppercase(), &name[1..]);
            section(&mut out, status, shared);
        }
    }
    out
}

/// Writes one `name:value` line.
macro_rules! field {
    ($out:expr, $name:literal, $value:expr) => {
        let _ = write!($out, concat!($name, ":{}\r\n"), $value);
    };
}

fn server(out: &mut String, status: &Status, shared: &Shared) {
    let seconds = shared.now_us / 1_000_000;
    field!(out, "redis_version", REDIS_VERSION);
    field!(out, "redis_mode", "standalone");
    field!(out, "quorate_version", env!("CARGO_PKG_VERSION"));
    field!(out, "os", std::env::consts::OS);
    field!(out, "arch_bits", usize::BITS);
    field!(out, "process_id", std::process::id());
    field!(out, "run_id", format!("{:016x}{:04x}{:020x}", shared.cluster, status.node.0, status.incarnation));
    field!(out, "tcp_port", shared.port);
    field!(out, "uptime_in_seconds", seconds);
    field!(out, "uptime_in_days", seconds / 86_400);
}

fn clients(out: &mut String, status: &Status, shared: &Shared) {
    field!(out, "connected_clients", shared.metrics.connections);
    field!(out, "maxclients", shared.bounds.connections);
    field!(out, "calls_in_flight", status.calls);
}

fn memory(out: &mut String, _status: &Status, _shared: &Shared) {
    field!(out, "used_memory", resident_bytes());
    field!(out, "used_memory_rss", resident_bytes());
    field!(out, "maxmemory", 0);
    field!(out, "maxmemory_policy", "noeviction");
}

fn stats(out: &mut String, _status: &Status, shared: &Shared) {
    let metrics = &shared.metrics;
    field!(out, "total_connections_received", metrics.connections_total);
    field!(out, "total_commands_processed", metrics.answered);
    field!(out, "total_net_input_bytes", metrics.client_bytes_in);
    field!(out, "total_net_output_bytes", metrics.client_bytes_out);
    field!(out, "rejected_connections", metrics.connections_refused);
    field!(out, "total_error_replies", metrics.refused + metrics.uncertain);
}

/// Clients read from `role` whether they may write. Every node takes writes, so every node says master.
fn replication(out: &mut String, status: &Status, _shared: &Shared) {
    field!(out, "role", "master");
    field!(out, "connected_slaves", status.members.len().saturating_sub(1));
    field!(out, "master_repl_offset", status.groups.first().map_or(0, |group| group.applied));
}

fn quorate(out: &mut String, status: &Status, shared: &Shared) {
    let metrics = &shared.metrics;
    let leads = status.groups.iter().filter(|group| matches!(group.role, Role::Leader)).count();
    field!(out, "cluster", shared.cluster_name);
    field!(out, "node", status.node.0);
    field!(out, "incarnation", status.incarnation);
    field!(out, "members", status.members.len());
    field!(out, "groups", status.groups.len());
    field!(out, "groups_led", leads);
    field!(out, "steps", metrics.steps);
    field!(out, "refused", metrics.refused);
    field!(out, "uncertain", metrics.uncertain);
    field!(out, "peers_connected", metrics.peers_connected);
    field!(out, "peer_messages_in", metrics.peer_messages_in);
    field!(out, "peer_messages_out", metrics.peer_messages_out);
    field!(out, "peer_messages_dropped", metrics.peer_messages_dropped);
    field!(out, "journal_bytes", metrics.journal_bytes);
    field!(out, "syncs", metrics.syncs);
    field!(out, "sync_us_total", metrics.sync_us_total);
    field!(out, "sync_us_max", metrics.sync_us_max);
    field!(out, "clock_out", u8::from(status.clock_out.is_some()));
    for peer in &status.peers {
        let tenths = peer.level_hundredths.map_or(-1, |level| i64::from(level / 10));
        let heard_ms = peer.heard_ms.map_or(-1, |ms| ms as i64);
        let (us, ahead_ms) = (peer.round_trip_us.unwrap_or(0), peer.clock.map_or(0, |clock| clock.ahead_ms));
        let _ = write!(
            out,
            "peer{}:phi_tenths={tenths},heard_ms={heard_ms},round_trip_us={us},clock_ahead_ms={ahead_ms}\r\n",
            peer.node.0
        );
    }
    for group in &status.groups {
        let _ = write!(
            out,
            "group{}:role={},term={},leader={},commit={},applied={}\r\n",
            group.group,
            group.role.word(),
            group.term,
            group.leader.map_or(0, |leader| leader.0),
            group.commit,
            group.applied
        );
    }
}

/// Resident memory of this process, 0 where it cannot be learned.
fn resident_bytes() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// The status of a node with its counters, as `QUORATE STATUS` and the HTTP interface give it.
pub fn status_json(status: &Status, metrics: &Metrics) -> serde_json::Value {
    serde_json::json!({
        "node": status.node.0,
        "incarnation": status.incarnation,
        "members": nodes(&status.members),
        "calls": status.calls,
        "groups": status.groups.iter().map(group_json).collect::<Vec<_>>(),
        "peers": status.peers.iter().map(peer_json).collect::<Vec<_>>(),
        "clock_out": status.clock_out.as_ref().map(|out| serde_json::json!({
            "ahead_ms": out.ahead_ms,
            "against": nodes(&out.against),
            "sentence": out.sentence(),
        })),
        "metrics": metrics,
    })
}

fn peer_json(peer: &PeerStatus) -> serde_json::Value {
    serde_json::json!({
        "node": peer.node.0,
        "incarnation": peer.incarnation,
        "heard_ms": peer.heard_ms,
        "phi": peer.level_hundredths.map(|level| f64::from(level) / 100.0),
        "round_trip_us": peer.round_trip_us,
        "clock_ahead_ms": peer.clock.map(|clock| clock.ahead_ms),
        "clock_give_or_take_ms": peer.clock.map(|clock| clock.give_or_take_ms),
        "text": peer.text(),
    })
}

fn nodes(nodes: &[NodeId]) -> Vec<u16> {
    nodes.iter().map(|node| node.0).collect()
}

fn group_json(group: &GroupStatus) -> serde_json::Value {
    let followers = group.followers.iter().map(|follower| {
        serde_json::json!({
            "node": follower.node.0,
            "matched": follower.matched,
            "suspected": follower.suspected,
        })
    });
    serde_json::json!({
        "group": group.group,
        "role": group.role.word(),
        "term": group.term,
        "leader": group.leader.map(|leader| leader.0),
        "first": group.first,
        "last": group.last,
        "durable": group.durable,
        "commit": group.commit,
        "applied": group.applied,
        "log_time_ms": group.log_time_ms,
        "followers": followers.collect::<Vec<_>>(),
        "voters": nodes(&group.voters),
        "outgoing": nodes(&group.outgoing),
        "learners": nodes(&group.learners),
    })
}
