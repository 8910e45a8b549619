//! The command line at a cluster whose first node is of no use: it turns to the others in time, and applies once.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::process::Output;
use support::cluster::{Cluster, text};

/// The default deadline ends each of these in a failure, so success is success before it.
#[track_caller]
fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_first_node_that_is_cut_off_or_stands_still_does_not_cost_the_deadline() {
    let cluster = Cluster::start();
    let mut sum = 0;
    for fault in ["partition 1/2,3", "pause 1"] {
        for leader in [1, 2] {
            cluster.fault("heal");
            cluster.caught_up(1);
            cluster.make_leader(leader);
            cluster.fault(fault);
            sum += 1;
            let reply = json(&cluster.quorate(&["incr", "n", "--json"]));
            assert_eq!(reply["value"], sum, "{fault} of a leader {leader}: {reply}");
            assert_ne!(reply["node"], cluster.address(1), "{reply}");
            assert_eq!(reply["idempotency_key"].as_str().unwrap().len(), 32, "{reply}");
            assert_eq!(json(&cluster.quorate(&["get", "n", "--json"]))["value"], sum.to_string());
        }
    }
    cluster.fault("heal");
    cluster.caught_up(1);
    assert_eq!(json(&cluster.quorate(&["get", "n", "--json"]))["value"], sum.to_string());
}

#[test]
fn a_write_whose_answer_was_lost_is_applied_once() {
    let cluster = Cluster::start();
    cluster.make_leader(2);
    // What node 1 passes on to the leader arrives, and the leader's answer does not.
    cluster.fault("oneway 2/1");
    let reply = json(&cluster.quorate(&["incr", "n", "--json", "--receipt"]));
    assert_eq!(reply["value"], 1, "{reply}");
    cluster.fault("heal");
    cluster.caught_up(1);
    assert_eq!(json(&cluster.quorate(&["get", "n", "--json"]))["value"], "1", "after {reply}");
}

#[test]
fn a_write_of_unknown_outcome_names_the_key_that_makes_a_repeat_safe() {
    let cluster = Cluster::start();
    cluster.make_leader(1);
    cluster.fault("partition 1/2/3");
    let failed = cluster.quorate(&["incr", "n", "--json", "--deadline-ms", "600"]);
    assert_eq!(failed.status.code(), Some(3), "{}", text(&failed.stderr));
    let failure: Value = serde_json::from_slice(&failed.stderr).unwrap();
    let key = failure["idempotency_key"].as_str().unwrap();
    assert!(failure["hint"].as_str().unwrap().contains(key), "{failure}");
    cluster.fault("heal");
    cluster.leader();
    for _ in 0..2 {
        let repeat = cluster.quorate(&["incr", "n", "--json", "--idempotency-key", key]);
        assert_eq!(json(&repeat)["value"], 1);
    }
}

#[test]
fn acks_below_majority_take_no_key() {
    let cluster = Cluster::start();
    for ack in ["leader", "one"] {
        let reply = json(&cluster.quorate(&["put", "k", "v", "--ack", ack, "--json"]));
        assert!(reply["idempotency_key"].is_null(), "{reply}");
    }
}
