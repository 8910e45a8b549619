//! Members over HTTP.

#![allow(clippy::unwrap_used)]

mod http_support;

use bytes::Bytes;
use http_support::Node;
use serde_json::json;

#[test]
fn the_configuration_says_who_the_members_are_as_long_as_nobody_else_did() {
    let node = Node::plain();
    let listed = node.ask("GET", "/v1/members", &[], b"").json();
    let member = |node, votes| json!({ "node": node, "weight": 1, "zone": node, "votes": votes, "address": "" });
    assert_eq!(listed, json!({ "members": [member(1, true), member(2, true), member(3, false)] }));
}

#[test]
fn a_change_of_members_becomes_words_and_a_refusal_has_its_kind() {
    let node = Node::plain();
    // The state refuses what does not say who the founders are, which the machine adds: here is none.
    let body = br#"{"weight": 2, "zone": 7, "votes": false, "address": "10.0.0.4:7479"}"#;
    node.ask("PUT", "/v1/members/4", &[], body).is_problem(422, "impossible", "no");
    let words = ["MEMBER.SET", "4", "weight", "2", "zone", "7", "votes", "no", "address", "10.0.0.4:7479"];
    assert_eq!(node.last().batch.commands, [words.map(|word| Bytes::from_static(word.as_bytes())).to_vec()]);
    node.ask("DELETE", "/v1/members/4", &[], b"").is_problem(422, "impossible", "no");
    assert_eq!(
        node.last().batch.commands,
        [["MEMBER.FORGET", "4"].map(|word| Bytes::from_static(word.as_bytes())).to_vec()]
    );
    for (path, body) in
        [("/v1/members/four", &b"{}"[..]), ("/v1/members/4", b"{\"wait\": 1}"), ("/v1/members/4", b"{\"weight\": -1}")]
    {
        node.ask("PUT", path, &[], body).is_problem(400, "malformed", "no");
    }
}
