//! The counters and the groups in the text format of OpenMetrics, which Prometheus reads.

use crate::metrics::Metrics;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use quorate_core::operation::{GroupStatus, PeerStatus, RepairStage, RepairStatus, Role, Status};
use std::fmt::Error;

/// What a counter of [`Metrics`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Microseconds that only rise, shown as seconds.
    CounterSeconds,
    /// Microseconds, shown as seconds.
    GaugeSeconds,
}

/// Field of [`Metrics`], name, sort, help. A test holds it against the fields.
const COUNTERS: &[(&str, &str, Sort, &str)] = &[
    ("steps", "steps", Sort::Counter, "Steps of the state machine"),
    ("answered", "calls_answered", Sort::Counter, "Client calls answered"),
    ("refused", "calls_refused", Sort::Counter, "Client calls answered with a refusal: certainly not applied"),
    (
        "uncertain",
        "calls_uncertain",
        Sort::Counter,
        "Client calls answered with an unknown outcome or less than was asked",
    ),
    ("connections", "connections_open", Sort::Gauge, "Client connections that are open"),
    ("connections_total", "connections", Sort::Counter, "Client connections since the start"),
    (
        "connections_refused",
        "connections_refused",
        Sort::Counter,
        "Client connections refused because there were too many",
    ),
    (
        "connections_slow",
        "connections_slow",
        Sort::Counter,
        "Client connections closed because the client did not read",
    ),
    ("client_bytes_in", "client_received_bytes", Sort::Counter, "Bytes received from clients"),
    ("client_bytes_out", "client_sent_bytes", Sort::Counter, "Bytes sent to clients"),
    ("peers_connected", "peers_connected", Sort::Gauge, "Peers with a working link"),
    ("peer_messages_in", "peer_messages_received", Sort::Counter, "Messages received from peers"),
    ("peer_messages_out", "peer_messages_sent", Sort::Counter, "Messages sent to peers"),
    ("peer_messages_dropped", "peer_messages_dropped", Sort::Counter, "Messages to peers that were dropped"),
    ("journal_bytes", "journal_bytes", Sort::Counter, "Bytes written to the journal"),
    ("overlay_bytes", "overlay_bytes", Sort::Gauge, "Bytes in memory that have not reached the base yet"),
    ("syncs", "journal_syncs", Sort::Counter, "Syncs of the journal"),
    ("sync_us_total", "journal_sync_seconds", Sort::CounterSeconds, "Time of all syncs of the journal"),
    ("sync_us_max", "journal_sync_max_seconds", Sort::GaugeSeconds, "The longest sync of the journal"),
    ("uptime_us", "uptime_seconds", Sort::GaugeSeconds, "Time since the start"),
];

/// The same of [`quorate_core::operation::Progress`].
const REPAIR: &[(&str, &str, Sort, &str)] = &[
    ("compared", "repair_comparisons", Sort::Counter, "Comparisons of a table with another node that were finished"),
    (
        "given_up",
        "repair_comparisons_given_up",
        Sort::Counter,
        "Comparisons that were given up, because the other did not answer or the table moved",
    ),
    ("ranges_differed", "repair_ranges_differed", Sort::Counter, "Ranges that differed in a comparison"),
    ("keys_taken", "repair_keys_taken", Sort::Counter, "Keys of which a comparison brought something"),
    ("reads_mended", "reads_mended", Sort::Counter, "States that a read brought to a replica that was behind"),
    ("hints", "hints", Sort::Gauge, "Writes that others did not confirm and that are kept for them"),
    ("hints_delivered", "hints_delivered", Sort::Counter, "Hints that were delivered"),
    ("hints_dropped", "hints_dropped", Sort::Counter, "Hints that there was no room for"),
];

/// What of a group is shown.
type GroupGauge = (&'static str, &'static str, fn(&GroupStatus) -> i64);

const GROUPS: &[GroupGauge] = &[
    ("group_term", "Term of the group", |group| group.term as i64),
    ("group_leader", "Node that leads the group, 0 if none is known", |group| {
        group.leader.map_or(0, |leader| i64::from(leader.0))
    }),
    ("group_last_index", "Last index in the log", |group| group.last as i64),
    ("group_durable_index", "Last index that survives power loss here", |group| group.durable as i64),
    ("group_commit_index", "Last index known to be committed", |group| group.commit as i64),
    ("group_applied_index", "Last index applied", |group| group.applied as i64),
    ("group_apply_lag", "Committed entries that are not applied here", |group| {
        group.commit.saturating_sub(group.applied) as i64
    }),
    ("group_followers_suspected", "Followers that have not answered for a while, as the leader sees it", |group| {
        group.followers.iter().filter(|follower| follower.suspected).count() as i64
    }),
];

const ROLES: [Role; 4] = [Role::Follower, Role::PreCandidate, Role::Candidate, Role::Leader];

/// The text.
pub fn text(status: &Status, repair: &RepairStatus, metrics: &Metrics) -> Result<String, Error> {
    let mut registry = prometheus_client::registry::Registry::with_prefix("quorate");
    registry.register_collector(Box::new(Picture {
        status: status.clone(),
        repair: repair.clone(),
        metrics: *metrics,
    }));
    let mut out = String::new();
    prometheus_client::encoding::text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Picture {
    status: Status,
    repair: RepairStatus,
    metrics: Metrics,
}

impl prometheus_client::collector::Collector for Picture {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let counters = serde_json::to_value(self.metrics).map_err(|_| Error)?;
        shown(&mut encoder, &counters, COUNTERS)?;
        self.repair(&mut encoder)?;
        self.calls(&mut encoder)?;
        self.groups(&mut encoder)?;
        self.roles(&mut encoder)?;
        self.followers(&mut encoder)?;
        self.peers(&mut encoder)
    }
}

impl Picture {
    fn repair(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let progress = serde_json::to_value(self.repair.progress).map_err(|_| Error)?;
        shown(encoder, &progress, REPAIR)?;
        let underway = |stage: RepairStage| matches!(stage, RepairStage::Underway { .. });
        let underway = self.repair.pairs.iter().filter(|pair| underway(pair.stage)).count();
        let underway = ConstGauge::new(underway as i64);
        one(encoder, "repair_comparisons_underway", "Comparisons on their way", &underway)?;
        let owed = self.repair.owed.iter().map(|(node, hints)| (vec![("peer", node.0.to_string())], *hints as i64));
        many(encoder, "hints_owed", "Writes that are kept for the peer, which did not confirm them", owed)
    }

    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        one(encoder, "calls_in_flight", "Client calls in flight", &ConstGauge::new(self.status.calls as i64))?;
        let incarnation = ConstGauge::new(self.status.incarnation as i64);
        one(encoder, "incarnation", "How often this node has started", &incarnation)
    }

    fn groups(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        for (name, help, value) in GROUPS {
            let samples =
                self.status.groups.iter().map(|group| (vec![("group", group.group.to_string())], value(group)));
            many(encoder, name, help, samples)?;
        }
        Ok(())
    }

    fn roles(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let samples = self.status.groups.iter().flat_map(|group| {
            ROLES.map(|role| {
                let labels = vec![("group", group.group.to_string()), ("role", role.word().to_string())];
                (labels, i64::from(group.role == role))
            })
        });
        many(encoder, "group_role", "1 for the part that this node plays in the group", samples)
    }

    fn followers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let lag = self.status.groups.iter().flat_map(|group| {
            group.followers.iter().map(|follower| {
                let labels = vec![("group", group.group.to_string()), ("follower", follower.node.0.to_string())];
                (labels, group.last.saturating_sub(follower.matched) as i64)
            })
        });
        many(encoder, "follower_lag", "Entries of the leader that the follower does not hold durably", lag)
    }
}

/// What of a peer is shown, where it is known.
type PeerGauge = (&'static str, &'static str, fn(&PeerStatus) -> Option<f64>);

const PEERS: &[PeerGauge] = &[
    (
        "peer_phi",
        "How suspicious the silence of the peer is: 1 if one in ten is that long, 2 if one in a hundred",
        |peer| peer.level_hundredths.map(|level| f64::from(level) / 100.0),
    ),
    ("peer_silence_seconds", "Time since the last beat of the peer", |peer| peer.heard_ms.map(|ms| ms as f64 / 1e3)),
    ("peer_round_trip_seconds", "Time of a message to the peer and back, smoothed", |peer| {
        peer.round_trip_us.map(|us| us as f64 / 1e6)
    }),
    ("peer_clock_ahead_seconds", "How far the wall clock of the peer is ahead of that of this node", |peer| {
        peer.clock.map(|clock| clock.ahead_ms as f64 / 1e3)
    }),
];

impl Picture {
    fn peers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        for (name, help, value) in PEERS {
            let sample = |peer: &PeerStatus| Some((vec![("peer", peer.node.0.to_string())], value(peer)?));
            many(encoder, name, help, self.status.peers.iter().filter_map(sample))?;
        }
        let out = ConstGauge::new(i64::from(self.status.clock_out.is_some()));
        one(encoder, "clock_out", "1 while the wall clock of this node is out against a majority", &out)
    }
}

/// The fields of a value that a table names.
fn shown(
    encoder: &mut DescriptorEncoder<'_>,
    fields: &serde_json::Value,
    table: &[(&str, &str, Sort, &str)],
) -> Result<(), Error> {
    for (field, name, sort, help) in table {
        let value = fields[field].as_u64().unwrap_or(0);
        let seconds = value as f64 / 1e6;
        match sort {
            Sort::Counter => one(encoder, name, help, &ConstCounter::new(value))?,
            Sort::Gauge => one(encoder, name, help, &ConstGauge::new(value as i64))?,
            Sort::CounterSeconds => one(encoder, name, help, &ConstCounter::new(seconds))?,
            Sort::GaugeSeconds => one(encoder, name, help, &ConstGauge::new(seconds))?,
        }
    }
    Ok(())
}

fn one(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, metric: &impl EncodeMetric) -> Result<(), Error> {
    let unit: Option<&Unit> = None;
    metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
}

fn many<N: Default>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Vec<(&'static str, String)>, N)>,
) -> Result<(), Error>
where
    ConstGauge<N>: EncodeMetric,
{
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    let unit: Option<&Unit> = None;
    let mut family = encoder.encode_descriptor(name, help, unit, ConstGauge::new(N::default()).metric_type())?;
    for (labels, value) in samples {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::operation::Progress;
    use std::collections::BTreeSet;

    #[test]
    fn every_counter_is_shown() {
        let metrics = serde_json::to_value(Metrics::default()).expect("counters are plain numbers");
        let progress = serde_json::to_value(Progress::default()).expect("so are these");
        for (fields, table) in [(metrics, COUNTERS), (progress, REPAIR)] {
            let kept: BTreeSet<&str> =
                fields.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            let shown: BTreeSet<&str> = table.iter().map(|counter| counter.0).collect();
            assert_eq!(shown, kept);
        }
        let all = COUNTERS.iter().chain(REPAIR);
        assert_eq!(all.map(|counter| counter.1).collect::<BTreeSet<_>>().len(), COUNTERS.len() + REPAIR.len());
    }
}
