//! Repair of leaderless tables, as a person asks for it.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::cluster::{Cluster, text};
use support::wait;

fn json(cluster: &Cluster, words: &[&str]) -> (i32, Value) {
    let output = cluster.quorate(words);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output.status.code().unwrap(), json)
}

#[test]
fn a_repair_brings_what_a_node_missed_and_says_so() {
    let cluster = Cluster::start();
    let create = ["table", "create", "carts", "--shape", "leaderless", "--replicas", "3"];
    assert!(cluster.quorate(&create).status.success());
    wait("a write is taken", || cluster.quorate(&["put", "k", "v", "--table", "carts"]).status.success().then_some(()));
    let shown = text(&cluster.quorate(&["repair", "status"]).stdout);
    assert!(shown.contains("pairs of a table and a node were not compared"), "{shown}");

    let (code, done) = json(&cluster, &["repair", "run", "--wait", "--json"]);
    assert_eq!(code, 0, "{done}");
    let pairs: Vec<&Value> =
        done["nodes"].as_array().unwrap().iter().flat_map(|node| node["repair"]["pairs"].as_array().unwrap()).collect();
    assert_eq!(pairs.len(), 6, "each of three nodes with two others: {done}");
    assert!(pairs.iter().all(|pair| pair["name"] == "carts" && pair["compared_ms"].is_u64()), "{done}");
    let shown = text(&cluster.quorate(&["repair", "status"]).stdout);
    assert!(shown.contains("All 6 pairs"), "{shown}");

    cluster.fault("crash 3");
    let (code, given_up) = json(&cluster, &["repair", "run", "--wait", "--json"]);
    assert_eq!(code, 4, "{given_up}");
    assert!(given_up["nodes"][2]["unreachable"].is_string(), "{given_up}");
    let with_3 = &given_up["nodes"][0]["repair"]["pairs"][1];
    assert_eq!((&with_3["with"], &with_3["given_up"]), (&3.into(), &true.into()), "{given_up}");
}
