//! Tables over HTTP.

#![allow(clippy::unwrap_used)]

mod http_support;

use http_support::{Mood, Node};
use quorate_core::guarantee::{Level, Quorum};
use quorate_core::operation::{Refusal, TableId};
use serde_json::{Value as Json, json};

fn post(node: &Node, body: Json) -> http_support::Answer {
    node.ask("POST", "/v1/tables", &[], body.to_string().as_bytes())
}

#[test]
fn a_table_is_made_shown_changed_and_removed() {
    let node = Node::plain();
    let answer = post(&node, json!({ "name": "notes" }));
    let notes = json!({ "id": 256, "name": "notes", "shape": "consensus", "epoch": 1 });
    assert_eq!((answer.status, answer.json()), (201, notes.clone()));
    let policy = json!({ "name": "carts", "shape": "leaderless", "replicas": 5, "preset": "fast-reads",
        "cell": "bounded-counter", "bound": -3, "ranges": ["f", { "base64": "/w==" }] });
    let carts = json!({ "id": 257, "name": "carts", "shape": "leaderless", "epoch": 2, "replicas": 5, "read": 1, "write": 5,
        "cell": "bounded-counter", "bound": -3, "ranges": ["f", { "base64": "/w==" }] });
    assert_eq!(post(&node, policy).json(), carts);
    assert_eq!(node.ask("GET", "/v1/tables/carts", &[], b"").json(), carts);
    let listed = node.ask("GET", "/v1/tables", &[], b"").json();
    let of_configuration = json!({ "id": 1, "name": "db1", "shape": "consensus" });
    assert_eq!(listed["tables"].as_array().unwrap()[1..], [of_configuration.clone(), notes, carts]);
    assert_eq!(node.ask("GET", "/v1/tables/db1", &[], b"").json(), of_configuration);

    let answer = node.ask("PATCH", "/v1/tables/carts", &[("Quorate-Receipt", "true")], br#"{"read": 3, "write": 3}"#);
    let changed = answer.json();
    assert_eq!(
        (&changed["read"], &changed["write"], &changed["receipt"]["met"]),
        (&json!(3), &json!(3), &json!("majority"))
    );
    assert_eq!(node.ask("DELETE", "/v1/tables/carts", &[], b"").json(), json!({ "removed": true }));
    node.ask("GET", "/v1/tables/carts", &[], b"").is_problem(404, "unknown-table", "no");
}

#[test]
fn what_cannot_be_is_refused_with_its_kind() {
    let node = Node::plain();
    post(&node, json!({ "name": "notes" }));
    post(&node, json!({ "name": "notes" })).is_problem(409, "table-exists", "no");
    post(&node, json!({ "name": "a/b" })).is_problem(422, "impossible", "no");
    post(&node, json!({ "name": "a", "read": 1 })).is_problem(422, "impossible", "no");
    post(&node, json!({ "name": "a", "shape": "leaderless", "cell": "list" })).is_problem(422, "impossible", "no");
    post(&node, json!({})).is_problem(400, "malformed", "no");
    post(&node, json!({ "name": "a", "colour": "red" })).is_problem(400, "malformed", "no");
    post(&node, json!({ "name": "a", "shape": "leaderless", "ranges": [] })).is_problem(400, "malformed", "no");
    let split = |cell: &str, split: u16| json!({ "name": "b", "shape": "leaderless", "cell": cell, "split": split });
    post(&node, split("text", 16)).is_problem(422, "impossible", "no");
    post(&node, split("counter", 300)).is_problem(422, "impossible", "no");
    assert_eq!(post(&node, split("counter", 16)).json()["split"], json!(16));
    let patch = |name: &str, body: &[u8]| node.ask("PATCH", &format!("/v1/tables/{name}"), &[], body);
    patch("notes", br#"{"name": "letters"}"#).is_problem(400, "malformed", "no");
    patch("notes", br#"{"shape": "leaderless"}"#).is_problem(422, "impossible", "no");
    patch("b", br#"{"split": 8}"#).is_problem(422, "impossible", "no");
    patch("letters", b"{}").is_problem(404, "unknown-table", "no");
    patch("db1", b"{}").is_problem(422, "impossible", "no");
    for name in ["db1", "1", "default"] {
        node.ask("DELETE", &format!("/v1/tables/{name}"), &[], b"").is_problem(422, "impossible", "no");
    }
    node.ask("DELETE", "/v1/tables/letters", &[], b"").is_problem(404, "unknown-table", "no");
}

#[test]
fn keys_of_a_table_that_was_made_have_its_name_in_their_path() {
    let node = Node::plain();
    post(&node, json!({ "name": "notes" }));
    assert_eq!(node.ask("PUT", "/v1/tables/notes/keys/k", &[], b"note").status, 204);
    assert_eq!(node.last().batch.table, TableId(256));
    assert_eq!(node.ask("GET", "/v1/tables/notes/keys/k", &[], b"").text(), "note");
    node.ask("GET", "/v1/keys/k", &[], b"").is_problem(404, "key-absent", "no");
    node.ask("GET", "/v1/tables/256/keys/k", &[], b"").is_problem(404, "unknown-table", "no");

    let before = node.operations();
    node.ask("GET", "/v1/tables/letters/keys/k", &[], b"").is_problem(404, "unknown-table", "no");
    let levels: Vec<_> = node.scene.lock().unwrap().seen[before..].iter().map(|operate| operate.want.level).collect();
    assert_eq!(
        levels,
        [Some(Level::Session), Some(Level::Linearizable)],
        "the log is asked before it is said to be absent"
    );
    node.mood(Mood::Refuse(Refusal::NoLeader));
    node.ask("GET", "/v1/tables/letters/keys/k", &[], b"").is_problem(503, "unavailable", "no");
}

#[test]
fn headers_name_replicas_and_what_was_seen() {
    let node = Node::plain();
    post(&node, json!({ "name": "carts", "shape": "leaderless" }));
    let headers = [
        ("Quorate-R", "2"),
        ("Quorate-W", "3"),
        ("Quorate-Sloppy", "true"),
        ("Quorate-Volatile", "true"),
        ("Quorate-Seen", "00ff"),
    ];
    let answer = node.ask("PUT", "/v1/tables/carts/keys/k", &headers, b"v");
    assert_eq!(answer.status, 204);
    let heard = node.last();
    assert_eq!(heard.want.quorum, Quorum { read: 2, write: 3, sloppy: true, volatile: true });
    assert_eq!(heard.seen.as_deref(), Some(&[0, 0xFF][..]));
    node.ask("GET", "/v1/tables/carts/keys/k", &[], b"");
    assert_eq!(node.last().batch.commands.len(), 1, "there are no versions without a log");
    for (name, value) in [
        ("Quorate-R", "0"),
        ("Quorate-W", "16"),
        ("Quorate-W", "x"),
        ("Quorate-Sloppy", "1"),
        ("Quorate-Volatile", ""),
        ("Quorate-Seen", "0"),
    ] {
        node.ask("GET", "/v1/tables/carts/keys/k", &[(name, value)], b"").is_problem(400, "malformed", "no");
    }
}
