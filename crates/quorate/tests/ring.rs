//! Who holds what of the tables of a cluster.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::cluster::{Cluster, binary, text};

#[test]
fn the_ring_of_a_cluster_is_drawn_and_changes_are_previewed() {
    let cluster = Cluster::start();
    let succeeds = |words: &[&str]| {
        let output = cluster.quorate(words);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    succeeds(&["table", "create", "notes"]);
    succeeds(&["table", "create", "carts", "--shape", "leaderless", "--replicas", "2"]);
    succeeds(&["table", "create", "names", "--shape", "leaderless", "--replicas", "1", "--ranges", "g", "p"]);

    let json = |words: &[&str]| serde_json::from_str::<Value>(&succeeds(words)).unwrap();
    let ring = json(&["ring", "--table", "carts", "--add", "4", "--json"]);
    assert_eq!((&ring["ranges"], &ring["members"]), (&1024.into(), &3.into()));
    let held = |nodes: &Value| {
        nodes.as_array().unwrap().iter().map(|node| node["holds_ranges"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(held(&ring["nodes"]), 2 * 1024, "two replicas of each range");
    assert_eq!(ring["after"]["nodes"].as_array().unwrap().len(), 4);
    // The same as the calculator says of such nodes.
    let words = ["ring", "--nodes", "1-3", "--replicas", "2", "--add", "4", "--json"];
    let drawn: Value = serde_json::from_slice(&binary().args(words).output().unwrap().stdout).unwrap();
    assert_eq!(ring, drawn);

    // What is drawn is where keys are: one that a write names holds it.
    let put: Value =
        json(&["put", "k", "v", "--table", "carts", "--w", "2", "--receipt", "--json", "--deadline-ms", "20000"]);
    let place = json(&["ring", "--table", "carts", "--key", "k", "--json"]);
    let sorted = |nodes: &Value| {
        let mut nodes: Vec<u64> = nodes.as_array().unwrap().iter().filter_map(Value::as_u64).collect();
        nodes.sort_unstable();
        nodes
    };
    assert_eq!(sorted(&place["key"]["nodes"]), sorted(&put["receipt"]["durable"]), "{place} {put}");

    assert_eq!(json(&["ring", "--table", "names", "--key", "h", "--json"])["key"]["range"], 1);
    let heavy = succeeds(&["ring", "--weigh", "1x3"]);
    assert!(heavy.contains("After the change") && heavy.contains("would be copied"), "{heavy}");
    let refused = cluster.quorate(&["ring", "--table", "notes"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("every member holds all of it"), "{}", text(&refused.stderr));
    assert_eq!(cluster.quorate(&["ring", "--table", "letters"]).status.code(), Some(1));
}
