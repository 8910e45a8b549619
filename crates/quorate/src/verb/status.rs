//! `quorate status`

use crate::access::Place;
use crate::cluster::each::{self, each, reachable};
use crate::cluster::hot;
use crate::cluster::observe::{Peer, Status as Report};
use crate::cluster::thousands;
use crate::exit::{Exit, Outcome};
use crate::paint;
use clap::Args;
use serde_json::{Value, json};
use std::time::Duration;

/// Show the nodes: roles, terms, positions, lag, suspicions, disk, clocks
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate status
  quorate status --addr 10.0.0.1:7379 --addr 10.0.0.2:7379
  quorate status --json
  quorate status --hot          the keys that clients ask for most, lately

Exits with 4 when no node answers. Positions are indices of the log; lag is how far a node is behind the furthest
commit position that any node told. A phi of 3 says that one silence in a thousand is that long and harmless, one of 8 that
one in a hundred million is. Clocks are compared with that of the node that tells. While the voters of a group change they
are shown as 1,2,3>3,4,5: those that are left behind and those that come, and both must agree. Learners get the log and do
not vote.")]
pub struct Status {
    #[command(flatten)]
    place: Place,
    /// Show the busiest keys of each table, and how exact the figures are
    #[arg(long)]
    hot: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

const PATIENCE: Duration = Duration::from_millis(1_000);

type Answer = each::Answer<(Report, Value)>;

impl Status {
    pub fn run(self) -> Outcome {
        if self.hot {
            return hot::show(&self.place, self.json);
        }
        let answers: Vec<Answer> = each(&self.place, |watcher| watcher.status(PATIENCE));
        reachable(&answers)?;
        if self.json {
            println!("{}", as_json(&answers));
        } else {
            print!("{}", as_table(&answers));
        }
        Ok(Exit::Done)
    }
}

fn as_json(answers: &[Answer]) -> Value {
    let node = |(address, answer): &Answer| match answer {
        Ok((_, json)) => json!({ "address": address, "status": json }),
        Err(error) => json!({ "address": address, "unreachable": error.message }),
    };
    json!({ "nodes": answers.iter().map(node).collect::<Vec<_>>() })
}

fn as_table(answers: &[Answer]) -> String {
    let reports: Vec<&Report> = answers.iter().filter_map(|(_, answer)| Some(&answer.as_ref().ok()?.0)).collect();
    let headings = [
        "node", "address", "group", "role", "term", "last", "durable", "commit", "applied", "lag", "suspects",
        "voters", "learners",
    ];
    let disk = ["node", "address", "clients", "answered", "journal", "syncs", "sync mean", "sync max"];
    let peer = ["node", "sees", "phi", "last heard", "round trip", "clock"];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    let mut peers = vec![peer.map(str::to_owned).to_vec()];
    let mut clocks = String::new();
    let mut disks = vec![disk.map(str::to_owned).to_vec()];
    for (address, answer) in answers {
        match answer {
            Ok((report, _)) => {
                rows.extend(group_rows(address, report, &reports));
                disks.push(disk_row(address, report));
                peers.extend(report.peers.iter().map(|peer| peer_row(report.node, peer)));
                if let Some(out) = &report.clock_out {
                    clocks += &format!("\nnode {}: {}\n", report.node, paint::bad(&out.sentence));
                }
            }
            Err(error) => {
                rows.push(vec!["?".into(), address.clone(), String::new(), paint::bad("unreachable")]);
                rows.last_mut().expect("pushed above").push(paint::dim(&error.message));
            }
        }
    }
    format!("{}\n{}\n{}{clocks}", paint::table(&rows), paint::table(&disks), paint::table(&peers))
}

/// From this level on a silence is painted.
const SUSPICIOUS: f64 = 3.0;

fn peer_row(node: u16, peer: &Peer) -> Vec<String> {
    let Peer { phi, heard_ms, round_trip_us, clock_ahead_ms, clock_give_or_take_ms, .. } = peer;
    let phi = phi.map_or("?".to_owned(), |phi| {
        let text = format!("{phi:.1}");
        if phi >= SUSPICIOUS { paint::bad(&text) } else { text }
    });
    let clock = clock_ahead_ms.map(|ms| format!("{ms:+} ms (give or take {})", clock_give_or_take_ms.unwrap_or(0)));
    vec![
        node.to_string(),
        peer.node.to_string(),
        phi,
        heard_ms.map_or("never".to_owned(), |ms| format!("{} ms ago", thousands(ms))),
        round_trip_us.map_or("?".to_owned(), |us| format!("{:.2} ms", us as f64 / 1e3)),
        clock.unwrap_or_else(|| "?".to_owned()),
    ]
}

fn group_rows(address: &str, report: &Report, all: &[&Report]) -> Vec<Vec<String>> {
    let row = |group: &crate::cluster::observe::Group| {
        let same = all.iter().flat_map(|report| &report.groups).filter(|other| other.group == group.group);
        let furthest = same.map(|other| other.commit).max().unwrap_or(0);
        let lag = furthest.saturating_sub(group.applied);
        let suspects: Vec<String> = group
            .followers
            .iter()
            .filter(|follower| follower.suspected)
            .map(|follower| follower.node.to_string())
            .collect();
        vec![
            report.node.to_string(),
            address.to_owned(),
            group.group.to_string(),
            if group.role == "leader" { paint::good(&group.role) } else { group.role.clone() },
            group.term.to_string(),
            group.last.to_string(),
            group.durable.to_string(),
            group.commit.to_string(),
            group.applied.to_string(),
            if lag == 0 { "0".into() } else { paint::bad(&lag.to_string()) },
            if suspects.is_empty() { "none".into() } else { paint::bad(&suspects.join(",")) },
            match group.outgoing.as_slice() {
                [] => list(&group.voters),
                outgoing => format!("{}>{}", list(outgoing), list(&group.voters)),
            },
            list(&group.learners),
        ]
    };
    report.groups.iter().map(row).collect()
}

fn list(nodes: &[u16]) -> String {
    if nodes.is_empty() {
        return "none".into();
    }
    nodes.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

fn disk_row(address: &str, report: &Report) -> Vec<String> {
    let counters = &report.metrics;
    let mean = counters.sync_us_total.checked_div(counters.syncs).unwrap_or(0);
    vec![
        report.node.to_string(),
        address.to_owned(),
        thousands(counters.connections),
        thousands(counters.answered),
        format!("{:.1} MB", counters.journal_bytes as f64 / 1e6),
        thousands(counters.syncs),
        format!("{:.2} ms", mean as f64 / 1e3),
        format!("{:.2} ms", counters.sync_us_max as f64 / 1e3),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::observe::{ClockOut, Follower, Group};
    use quorate_client::{Applied, Error, Kind};

    #[test]
    fn lag_suspicion_and_unreachable_nodes_are_shown() {
        let report = |node, role: &str, applied, followers| Report {
            node,
            groups: vec![Group {
                role: role.into(),
                commit: applied,
                applied,
                followers,
                voters: vec![1, 2],
                outgoing: if node == 1 { vec![1, 3] } else { vec![] },
                learners: if node == 1 { vec![] } else { vec![4] },
                ..Group::default()
            }],
            ..Report::default()
        };
        let suspected = vec![Follower { node: 3, suspected: true }];
        let answers: Vec<Answer> = vec![
            ("a:1".into(), Ok((report(1, "leader", 9, suspected), Value::Null))),
            ("a:2".into(), Ok((report(2, "follower", 7, vec![]), Value::Null))),
            ("a:3".into(), Err(Error::new(Kind::Unreachable, Applied::No, "cannot reach a:3"))),
        ];
        let table = as_table(&answers);
        let words = |at: usize| table.lines().nth(at).unwrap_or("").split_whitespace().collect::<Vec<_>>();
        assert_eq!(words(1)[9..], ["0", "3", "1,3>1,2", "none"], "{table}");
        assert_eq!(words(2)[9..], ["2", "none", "1,2", "4"], "{table}");
        assert_eq!(words(3)[..3], ["?", "a:3", "unreachable"], "{table}");
    }

    #[test]
    fn peers_and_a_clock_that_is_out_are_shown() {
        let heard = Peer {
            node: 2,
            phi: Some(0.42),
            heard_ms: Some(80),
            round_trip_us: Some(310),
            clock_ahead_ms: Some(3),
            clock_give_or_take_ms: Some(1),
        };
        let clock_out = Some(ClockOut { sentence: "the clock of this node is out".into() });
        let peers = vec![heard, Peer { node: 3, ..Peer::default() }];
        let report = Report { node: 1, peers, clock_out, ..Report::default() };
        let table = as_table(&[("a:1".into(), Ok((report, Value::Null)))]);
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        let line = |words: &str| lines.iter().any(|line| line.join(" ") == words);
        assert!(line("1 2 0.4 80 ms ago 0.31 ms +3 ms (give or take 1)"), "{table}");
        assert!(line("1 3 ? never ? ?"), "{table}");
        assert!(line("node 1: the clock of this node is out"), "{table}");
    }
}
