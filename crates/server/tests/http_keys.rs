//! Single keys, lists and batches over HTTP.

#![allow(clippy::unwrap_used)]

mod http_support;

use http_support::{CLUSTER, Mood, Node};
use quorate_core::guarantee::{Ack, Level, Session};
use quorate_core::limits;
use quorate_core::operation::{Guard, Refusal, TableId};
use serde_json::{Value as Json, json};

#[test]
fn a_value_is_the_body_and_its_version_is_the_tag() {
    let node = Node::plain();
    let mut client = node.connect();
    client.ask("GET", "/v1/keys/a", &[], b"").is_problem(404, "key-absent", "no");
    let value: Vec<u8> = (0..=255).collect();
    let put = client.ask("PUT", "/v1/keys/a", &[], &value);
    assert_eq!((put.status, put.header("etag"), &put.body[..]), (204, Some("\"1\""), &b""[..]));
    let got = client.ask("GET", "/v1/keys/a", &[], b"");
    assert_eq!((got.status, got.header("etag"), &got.body), (200, Some("\"1\""), &value));
    assert_eq!(got.header("content-type"), Some("application/octet-stream"));
    // Value and version come from one state.
    assert_eq!(node.last().batch.commands.len(), 2);
    assert!(node.last().batch.transaction);
    let known = client.ask("GET", "/v1/keys/a", &[("If-None-Match", "\"7\", W/\"1\"")], b"");
    assert_eq!((known.status, known.body.len()), (304, 0));
    let head = client.ask("HEAD", "/v1/keys/a", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("256")));
    assert_eq!(client.ask("DELETE", "/v1/keys/a", &[], b"").json(), json!({ "removed": true }));
    assert_eq!(client.ask("DELETE", "/v1/keys/a", &[], b"").json(), json!({ "removed": false }));
    client.ask("GET", "/v1/keys/a", &[], b"").is_problem(404, "key-absent", "no");
}

#[test]
fn any_bytes_name_a_key_and_a_table_has_a_name_and_a_number() {
    let node = Node::plain();
    for (path, key) in [
        ("/v1/keys/user:1", &b"user:1"[..]),
        ("/v1/keys/a%2Fb%3F", b"a/b?"),
        ("/v1/keys/%00%ff", b"\0\xFF"),
        ("/v1/keys/a+b", b"a+b"),
        ("/v1/keys/a:incr", b"a:incr"),
    ] {
        assert_eq!(node.ask("PUT", path, &[], path.as_bytes()).status, 204, "{path}");
        assert_eq!(node.last().batch.commands[0][1], key, "{path}");
        assert_eq!(node.ask("GET", path, &[], b"").body, path.as_bytes());
    }
    for (path, table) in [("/v1/tables/default/keys/k", 0), ("/v1/tables/db1/keys/k", 1), ("/v1/tables/1/keys/k", 1)] {
        assert_eq!(node.ask("PUT", path, &[], b"v").status, 204, "{path}");
        assert_eq!(node.last().batch.table, TableId(table), "{path}");
    }
    for path in ["/v1/tables/db2/keys/k", "/v1/tables/2/keys/k", "/v1/tables/%ff/keys/k", "/v1/tables/-1/keys"] {
        let problem = node.ask("GET", path, &[], b"").is_problem(404, "unknown-table", "no");
        assert!(problem["detail"].as_str().unwrap().contains("/v1/tables"));
    }
    node.ask("GET", "/v1/keys/a%2", &[], b"").is_problem(400, "malformed", "no");
    node.ask("GET", "/v1/keys/a/b", &[], b"").is_problem(404, "unknown-path", "no");
}

#[test]
fn writes_can_depend_on_versions() {
    let node = Node::plain();
    let put = |headers: &[(&str, &str)], value: &str| node.ask("PUT", "/v1/keys/k", headers, value.as_bytes());
    put(&[("If-Match", "*")], "0").is_problem(412, "precondition", "no");
    assert_eq!(put(&[("If-None-Match", "*")], "1").status, 204);
    let problem = put(&[("If-None-Match", "*")], "2").is_problem(412, "precondition", "no");
    assert!(problem["detail"].as_str().unwrap().starts_with("GUARD"), "{problem}");
    let tag = node.ask("GET", "/v1/keys/k", &[], b"").header("etag").unwrap().to_string();
    let next = put(&[("If-Match", &tag)], "3");
    assert_eq!(next.status, 204);
    put(&[("If-Match", &tag)], "4").is_problem(412, "precondition", "no");
    assert_eq!(put(&[("If-Match", "*")], "5").status, 204);
    assert_eq!(node.ask("GET", "/v1/keys/k", &[], b"").body, b"5");
    for (name, value) in
        [("If-Match", "5"), ("If-Match", "\"a\""), ("If-Match", "\"1\", \"2\""), ("If-None-Match", "\"1\"")]
    {
        put(&[(name, value)], "6").is_problem(400, "malformed", "no");
    }
    node.ask("DELETE", "/v1/keys/k", &[("If-Match", &tag)], b"").is_problem(412, "precondition", "no");
    assert_eq!(node.ask("GET", "/v1/keys/k", &[], b"").body, b"5");
    // The tag that a write gives is the one that a read gives.
    let put = node.ask("PUT", "/v1/keys/k", &[], b"7");
    assert_eq!(put.header("etag"), node.ask("GET", "/v1/keys/k", &[], b"").header("etag"));
}

#[test]
fn keys_expire_if_told_so() {
    let node = Node::plain();
    assert_eq!(node.ask("PUT", "/v1/keys/k?ttl_ms=5", &[], b"v").status, 204);
    assert_eq!(node.last().batch.commands[0][3..], ["PX", "5"]);
    for query in ["ttl_ms=0", "ttl_ms=-1", "ttl_ms=", "ttl_ms=1.5", "ttl=5", "ttl_ms=5&ttl_ms=6", "ttl_ms=%"] {
        node.ask("PUT", &format!("/v1/keys/k?{query}"), &[], b"v").is_problem(400, "malformed", "no");
    }
    let most = "ttl_ms=18446744073709551615";
    let far = node.ask("PUT", &format!("/v1/keys/k?{most}"), &[], b"v");
    assert!((400..500).contains(&far.status), "{far:?}");
}

#[test]
fn numbers_rise_and_values_are_swapped() {
    let node = Node::plain();
    let incr = |body: &str| node.ask("POST", "/v1/keys/n:incr", &[], body.as_bytes());
    assert_eq!(incr("").json(), json!({ "value": 1, "version": 1 }));
    assert_eq!(incr("{\"by\": -11}").json(), json!({ "value": -10, "version": 2 }));
    for bad in
        ["{", "{\"by\": 1.5}", "{\"by\": \"1\"}", "{\"by\": 1, \"of\": 2}", "[]", "{}", "{\"by\": 9223372036854775808}"]
    {
        incr(bad).is_problem(400, "malformed", "no");
    }
    let problem = incr("{\"by\": 9223372036854775807}\n").json();
    assert_eq!(problem["value"], 9_223_372_036_854_775_797_i64);
    incr("{\"by\": 100}").is_problem(422, "command-failed", "no");

    let cas = |body: &str| node.ask("POST", "/v1/tables/0/keys/c:cas", &[], body.as_bytes()).json();
    assert_eq!(cas(r#"{"expected": null, "new": "a"}"#)["swapped"], true);
    assert_eq!(cas(r#"{"expected": null, "new": "b"}"#), json!({ "swapped": false, "version": null }));
    assert_eq!(cas(r#"{"expected": "a", "new": {"base64": "/w=="}}"#)["swapped"], true);
    assert_eq!(cas(r#"{"expected": "a", "new": "c"}"#)["swapped"], false);
    assert_eq!(node.ask("GET", "/v1/keys/c", &[], b"").body, b"\xFF");
    assert_eq!(cas(r#"{"new": "c"}"#)["type"], "urn:quorate:malformed");
    node.ask("POST", "/v1/keys/c", &[], b"{}").is_problem(404, "unknown-path", "no");
    node.ask("POST", "/v1/keys/c:drop", &[], b"{}").is_problem(404, "unknown-path", "no");
}

#[test]
fn keys_are_listed_page_by_page() {
    let node = Node::plain();
    for number in 0..25 {
        node.ask("PUT", &format!("/v1/keys/p*{number}"), &[], b"v");
        node.ask("PUT", &format!("/v1/keys/px{number}"), &[], b"v");
    }
    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let more = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
        let page = node.ask("GET", &format!("/v1/keys?prefix=p*&count=10{more}"), &[], b"").json();
        found.extend(page["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_string()));
        pages += 1;
        match &page["cursor"] {
            Json::String(next) => cursor = next.clone(),
            other => {
                assert!(other.is_null(), "{other}");
                break;
            }
        }
    }
    found.sort();
    let mut expected: Vec<String> = (0..25).map(|number| format!("p*{number}")).collect();
    expected.sort();
    assert_eq!(found, expected);
    assert!(pages > 1);
    for query in ["count=0", "count=10001", "count=x", "limit=1", "cursor=x", "cursor="] {
        node.ask("GET", &format!("/v1/keys?{query}"), &[], b"").is_problem(400, "malformed", "no");
    }
}

#[test]
fn a_batch_runs_any_commands_atomically() {
    let node = Node::plain();
    let run = |body: &str| node.ask("POST", "/v1/commands", &[], body.as_bytes());
    let results = |body: &str| run(body).json()["results"].clone();
    assert_eq!(
        results(
            r#"{"commands": [["set", "a", "1"], ["INCRBY", "a", 41], ["HSET", "h", "base64", {"base64": "/w=="}], ["GET", "a"]]}"#
        ),
        json!(["OK", 42, 1, "42"])
    );
    assert_eq!(results(r#"{"commands": [["HGETALL", "h"]]}"#), json!([{ "map": [["base64", { "base64": "/w==" }]] }]));
    assert_eq!(results(r#"{"commands": [["GET", "a"]], "transaction": true}"#), json!(["42"]));
    assert_eq!(results(r#"{"commands": [["MGET", "a", "b"]]}"#), json!([["42", null]]));
    // An error of one command is its result; alone it is a problem.
    let mixed = results(r#"{"commands": [["GET", "a"], ["INCR", "h"]]}"#);
    assert!(mixed[1]["error"].as_str().unwrap().starts_with("WRONGTYPE"), "{mixed}");
    run(r#"{"commands": [["INCR", "h"]]}"#).is_problem(409, "wrong-type", "no");
    run(r#"{"commands": [["GET"]]}"#).is_problem(400, "malformed", "no");
    node.ask("GET", "/v1/keys/h", &[], b"").is_problem(409, "wrong-type", "no");
    let guarded =
        r#"{"commands": [["SET", "a", "x"]], "guards": [{"key": "a", "version": 9}, {"key": "z", "absent": true}]}"#;
    let problem = run(guarded).is_problem(409, "guard", "no");
    assert!(problem["detail"].as_str().unwrap().starts_with("GUARD"));
    let absent = Guard::Absent { key: "z".into() };
    assert_eq!(node.last().batch.guards, [Guard::Version { key: "a".into(), version: 9 }, absent]);
    assert_eq!(node.ask("GET", "/v1/keys/a", &[], b"").body, b"42");
    run(r#"{"commands": [["NOSUCH", "a"]]}"#).is_problem(400, "unknown-command", "no");
    for bad in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"commands": []}"#,
        r#"{"commands": [[]]}"#,
        r#"{"commands": [["GET", 1.5]]}"#,
        r#"{"commands": [["GET", null]]}"#,
        r#"{"commands": ["GET a"]}"#,
        r#"{"commands": [["GET", "a"]], "atomic": true}"#,
        r#"{"commands": [["SET", "a", "b"]], "guards": [{"key": "a"}]}"#,
        r#"{"commands": [["SET", "a", "b"]], "guards": [{"key": "a", "absent": false}]}"#,
        r#"{"commands": [["SET", "a", "b"]], "guards": [{"key": "a", "absent": true, "version": 1}]}"#,
        r#"{"commands": [["SET", "a", "b"]], "guards": [{"key": "a", "version": -1}]}"#,
        "{\"commands\": [[\"GET\", \"\\ud800\"]]}",
        "{\"commands\": [[\"GET\", \"a\"]]} x",
    ] {
        run(bad).is_problem(400, "malformed", "no");
    }
    let problem = run("{\"commands\":\n  [[\"GET\" \"a\"]]}").is_problem(400, "malformed", "no");
    assert!(problem["detail"].as_str().unwrap().contains("line 2 column"), "{problem}");
}

#[test]
fn headers_name_the_guarantee() {
    let node = Node::plain();
    node.ask("GET", "/v1/keys/k", &[], b"");
    let plain = node.last();
    assert_eq!(
        (plain.want.level(), plain.want.ack(), plain.deadline_ms),
        (Level::Linearizable, Ack::Majority, limits::DEADLINE_MS)
    );
    let headers = [("Quorate-Level", "Session"), ("Quorate-Ack", "ALL"), ("Quorate-Deadline-Ms", "1234")];
    node.ask("GET", "/v1/keys/k", &headers, b"");
    let asked = node.last();
    assert_eq!((asked.want.level(), asked.want.ack(), asked.deadline_ms), (Level::Session, Ack::All, 1234));
    let before = node.operations();
    let too_long = (limits::DEADLINE_MAX_MS + 1).to_string();
    for (name, value, told) in [
        ("Quorate-Level", "strong", "eventual, session, regular, atomic, linearizable"),
        ("Quorate-Ack", "two", "leader, one, majority, all"),
        ("Quorate-Receipt", "yes", "true, false"),
        ("Quorate-Deadline-Ms", "0", "60000"),
        ("Quorate-Deadline-Ms", "-1", "60000"),
        ("Quorate-Deadline-Ms", &too_long, "60000"),
        ("Quorate-Session", "zz", "malformed"),
        ("Quorate-Session", &Session::default().token(CLUSTER + 1), "another cluster"),
        ("Idempotency-Key", "", "255"),
    ] {
        let problem = node.ask("GET", "/v1/keys/k", &[(name, value)], b"").is_problem(400, "malformed", "no");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    }
    let twice = [("Quorate-Level", "session"), ("Quorate-Level", "eventual")];
    node.ask("GET", "/v1/keys/k", &twice, b"").is_problem(400, "malformed", "no");
    assert_eq!(node.operations(), before);
}

#[test]
fn a_session_goes_on_from_its_token() {
    let node = Node::plain();
    let put = node.ask("PUT", "/v1/keys/k", &[], b"v");
    let token = put.header("quorate-session").unwrap().to_string();
    assert_eq!(Session::from_token(&token, CLUSTER).unwrap().position(0), 1);
    let got = node.ask("GET", "/v1/keys/k", &[("Quorate-Session", &token), ("Quorate-Level", "session")], b"");
    assert_eq!(node.last().session.position(0), 1);
    assert!(got.header("quorate-session").is_some());
    // What failed after the node was asked tells what the session has seen, too.
    let absent = node.ask("GET", "/v1/keys/none", &[("Quorate-Session", &token)], b"");
    assert_eq!(absent.header("quorate-session"), Some(&token[..]));
    node.mood(Mood::Refuse(Refusal::Behind));
    let refused = node.ask("GET", "/v1/keys/k", &[("Quorate-Session", &token)], b"");
    assert_eq!(refused.header("quorate-session"), Some(&token[..]));
}

#[test]
fn receipts_travel_in_the_body_or_in_a_header() {
    let node = Node::plain();
    let wish = [("Quorate-Receipt", "true")];
    let put = node.ask("PUT", "/v1/keys/k", &wish, b"v");
    let receipt: Json = serde_json::from_str(put.header("quorate-receipt").unwrap()).unwrap();
    assert_eq!(receipt["met"], "majority");
    assert_eq!(receipt["durable"], json!([1, 2]));
    assert_eq!((&receipt["path"], &receipt["term"], &receipt["index"]), (&json!("log"), &json!(3), &json!(1)));
    let got = node.ask("GET", "/v1/keys/k", &wish, b"");
    let receipt: Json = serde_json::from_str(got.header("quorate-receipt").unwrap()).unwrap();
    assert_eq!((&receipt["met"], &receipt["answered"]), (&json!("linearizable"), &json!([1, 3])));
    let deleted = node.ask("DELETE", "/v1/keys/k", &wish, b"").json();
    assert_eq!((&deleted["removed"], &deleted["receipt"]["met"]), (&json!(true), &json!("majority")));
    let absent = node.ask("GET", "/v1/keys/k", &wish, b"").is_problem(404, "key-absent", "no");
    assert_eq!(absent["receipt"]["path"], "leader-round");
    assert!(node.ask("PUT", "/v1/keys/k", &[], b"v").header("quorate-receipt").is_none());
}

#[test]
fn an_idempotency_key_applies_once() {
    let node = Node::plain();
    let incr = |key: &str, by: i64| {
        let body = json!({ "by": by }).to_string();
        let headers = [("Idempotency-Key", key), ("Quorate-Receipt", "true")];
        node.ask("POST", "/v1/keys/n:incr", &headers, body.as_bytes())
    };
    let first = incr("order-1", 5).json();
    let again = incr("order-1", 5).json();
    assert_eq!((&first["value"], &again["value"]), (&json!(5), &json!(5)));
    assert_eq!((&first["receipt"]["replayed"], &again["receipt"]["replayed"]), (&json!(false), &json!(true)));
    assert_eq!(first["receipt"]["index"], again["receipt"]["index"]);
    assert_eq!(incr("order-2", 5).json()["value"], 10);
    incr("order-1", 6).is_problem(422, "idempotency-reused", "no");
    node.ask("POST", "/v1/keys/n:incr", &[("Idempotency-Key", &"k".repeat(256))], b"").is_problem(
        400,
        "malformed",
        "no",
    );
}

#[test]
fn every_outcome_says_whether_it_was_applied() {
    let node = Node::plain();
    let put = || node.ask("PUT", "/v1/keys/k", &[], b"v");
    for (refusal, status, name) in [
        (Refusal::NoLeader, 503, "unavailable"),
        (Refusal::NoQuorum, 503, "unavailable"),
        (Refusal::Behind, 503, "unavailable"),
        (Refusal::TooFewReplicas { answered: 1, needed: 2 }, 503, "unavailable"),
        (Refusal::Superseded, 503, "unavailable"),
        (Refusal::Overloaded, 503, "overloaded"),
        (Refusal::CrossGroup, 422, "impossible"),
        (Refusal::AckNeedsBlindWrite, 422, "impossible"),
        (Refusal::Impossible("because".to_string()), 422, "impossible"),
        (Refusal::UnknownTable, 404, "unknown-table"),
        (Refusal::UnknownCommand, 400, "unknown-command"),
        (Refusal::TooLarge("large".to_string()), 413, "too-large"),
    ] {
        node.mood(Mood::Refuse(refusal.clone()));
        let problem = put().is_problem(status, name, "no");
        assert_eq!(!problem["retry_after_ms"].is_null(), refusal.may_retry(), "{problem}");
        assert_eq!(problem["detail"], refusal.sentence());
    }
    node.mood(Mood::Unknown);
    put().is_problem(504, "unknown", "unknown");
    node.mood(Mood::Short);
    let short = put().is_problem(202, "short", "yes");
    assert_eq!((&short["receipt"]["asked"], &short["receipt"]["met"]), (&json!("majority"), &json!("leader")));
    node.mood(Mood::Gone);
    put().is_problem(504, "unknown", "unknown");
    node.ask("GET", "/v1/keys/k", &[], b"").is_problem(503, "unavailable", "no");
}

#[test]
fn a_loop_that_does_not_answer_is_not_waited_for_for_ever() {
    let node = Node::plain();
    node.mood(Mood::Silent);
    let soon = [("Quorate-Deadline-Ms", "1")];
    node.ask("PUT", "/v1/keys/k", &soon, b"v").is_problem(504, "unknown", "unknown");
    node.ask("GET", "/livez", &[], b"").is_problem(503, "unavailable", "no");
}
