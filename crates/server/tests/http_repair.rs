//! Repair over HTTP.

#![allow(clippy::unwrap_used)]

mod http_support;

use http_support::Node;
use serde_json::json;

#[test]
fn repair_is_shown_and_begun() {
    let node = Node::plain();
    let status = node.ask("GET", "/v1/repair", &[], b"").json();
    assert_eq!((&status["node"], &status["every_ms"]), (&json!(1), &json!(10_000)));
    assert_eq!((&status["progress"]["compared"], &status["progress"]["hints"]), (&json!(7), &json!(3)));
    assert_eq!(
        status["pairs"],
        json!([
            { "table": 256, "name": "carts", "with": 2, "stage": "idle", "compared_ms": 1_500, "given_up": false },
            {
                "table": 256, "name": "carts", "with": 3, "stage": "underway", "ranges_done": 12, "ranges": 256,
                "compared_ms": null, "given_up": true,
            },
        ])
    );
    let carts =
        json!({ "table": 256, "name": "carts", "awaited": [4], "compared": 3, "to_compare": 256, "leaving": 12 });
    assert_eq!(status["waits_for_life"], json!(false));
    assert_eq!((&status["catalogue"], &status["moving"]), (&json!(9), &json!([carts])));
    assert_eq!(status["owed"], json!([{ "node": 3, "hints": 3 }]));
    assert_eq!(node.scene.lock().unwrap().repairs, 0, "to ask is not to begin");

    assert_eq!(node.ask("POST", "/v1/repair/run", &[], b"").json(), status);
    assert_eq!(node.scene.lock().unwrap().repairs, 1);
    node.ask("GET", "/v1/repair?run=1", &[], b"").is_problem(400, "malformed", "no");
    node.ask("GET", "/v1/repair/run", &[], b"").is_problem(405, "method", "no");
}

#[test]
fn repair_is_in_the_metrics() {
    let text = Node::plain().ask("GET", "/metrics", &[], b"").text();
    for line in [
        "quorate_repair_comparisons_total 7",
        "quorate_repair_comparisons_given_up_total 2",
        "quorate_repair_keys_taken_total 5",
        "quorate_repair_comparisons_underway 1",
        "quorate_hints 3",
        "quorate_hints_owed{peer=\"3\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
