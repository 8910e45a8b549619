//! The node's own endpoints, and who may ask.

#![allow(clippy::unwrap_used)]

mod http_support;

use http_support::Node;
use serde_json::json;

#[test]
fn health_tells_life_from_readiness() {
    let node = Node::plain();
    assert_eq!(node.ask("GET", "/livez", &[], b"").text(), "ok\n");
    let ready = node.ask("GET", "/readyz", &[], b"").json();
    assert_eq!((&ready["ready"], &ready["groups"]), (&json!(true), &json!(1)));
    // A clock that is out is said; the node serves all the same.
    assert!(ready["warning"].as_str().is_some_and(|text| text.contains("900 ms behind")), "{ready}");
    node.scene.lock().unwrap().leader = None;
    assert_eq!(node.ask("GET", "/livez", &[], b"").status, 200);
    let problem = node.ask("GET", "/readyz", &[], b"").is_problem(503, "unavailable", "no");
    assert_eq!(problem["groups_without_leader"], json!([0]));
}

#[test]
fn status_shows_groups_and_counters() {
    let node = Node::start(|settings| settings.cluster_name = "orders".to_string());
    let status = node.ask("GET", "/v1/status", &[], b"").json();
    assert_eq!((&status["node"], &status["cluster"], &status["incarnation"]), (&json!(1), &json!("orders"), &json!(5)));
    assert_eq!(status["groups"][0]["role"], "leader");
    assert_eq!(status["groups"][0]["followers"][1], json!({ "node": 3, "matched": 4, "suspected": true }));
    let members = ["voters", "outgoing", "learners"].map(|part| &status["groups"][0][part]);
    assert_eq!(members, [&json!([1, 2]), &json!([1, 3]), &json!([4])]);
    assert_eq!(status["metrics"]["steps"], 7);
    let tables = node.ask("GET", "/v1/tables", &[], b"").json();
    assert_eq!(tables["tables"][1], json!({ "id": 1, "name": "db1", "shape": "consensus" }));
}

#[test]
fn metrics_are_open_metrics() {
    let node = Node::plain();
    let reply = node.ask("GET", "/metrics", &[], b"");
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = reply.text();
    for line in [
        "quorate_steps_total 7",
        "quorate_journal_sync_seconds_total 1.5",
        "quorate_calls_in_flight 2",
        "quorate_group_term{group=\"0\"} 3",
        "quorate_group_leader{group=\"0\"} 1",
        "quorate_group_apply_lag{group=\"0\"} 1",
        "quorate_group_followers_suspected{group=\"0\"} 1",
        "quorate_group_role{group=\"0\",role=\"leader\"} 1",
        "quorate_group_role{group=\"0\",role=\"follower\"} 0",
        "quorate_follower_lag{group=\"0\",follower=\"3\"} 8",
        "quorate_peer_phi{peer=\"2\"} 0.42",
        "quorate_peer_round_trip_seconds{peer=\"2\"} 0.00031",
        "quorate_peer_clock_ahead_seconds{peer=\"2\"} 0.903",
        "quorate_clock_out 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let families: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let mut distinct = families.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(families.len(), distinct.len());
}

#[test]
fn the_busiest_keys_are_shown_with_their_bounds() {
    let hot = Node::plain().ask("GET", "/v1/hot", &[], b"").json();
    let key = json!({ "key": "cart:7", "bytes": 6, "most": 90, "error": 4 });
    let table = json!({ "table": 0, "name": "default", "operations": 120, "missed": 4, "keys": [key] });
    assert_eq!(hot, json!({ "node": 1, "window_ms": 15_000, "tables": [table] }));
}

#[test]
fn leadership_can_be_asked_to_move() {
    let node = Node::plain();
    let ask = |body: &str| node.ask("POST", "/v1/transfer", &[], body.as_bytes());
    assert_eq!(ask(r#"{"group": 0, "to": 2}"#).json(), json!({ "group": 0, "to": 2, "begun": true }));
    assert_eq!(node.scene.lock().unwrap().transfers, [(0, 2)]);
    ask(r#"{"group": 0, "to": 9}"#).is_problem(404, "no-such-target", "no");
    ask(r#"{"group": 0}"#).is_problem(400, "malformed", "no");
    ask(r#"{"group": 70000, "to": 1}"#).is_problem(400, "malformed", "no");
    node.scene.lock().unwrap().leader = Some(2);
    ask(r#"{"group": 0, "to": 3}"#).is_problem(409, "not-leader", "no");
}

#[test]
fn faults_are_for_test_clusters() {
    let node = Node::plain();
    node.ask("PUT", "/v1/faults", &[], b"{}").is_problem(403, "forbidden", "no");
    assert!(node.scene.lock().unwrap().rules.is_none());
    let node = Node::start(|settings| settings.faults_allowed = true);
    let ask = |body: &str| node.ask("PUT", "/v1/faults", &[], body.as_bytes());
    let done = ask(r#"{"2": {"cut": true}, "3": {"drop_per_mille": 100, "delay_ms": 5}}"#);
    assert_eq!(done.status, 200, "{done:?}");
    let rules = node.scene.lock().unwrap().rules.clone().unwrap();
    assert!(rules.0[&2].cut && !rules.0[&3].cut);
    assert_eq!((rules.0[&3].drop_per_mille, rules.0[&3].delay_ms), (100, 5));
    assert_eq!(ask("{}").status, 200);
    assert!(node.scene.lock().unwrap().rules.clone().unwrap().0.is_empty());
    ask(r#"{"1": {"cut": true}}"#).is_problem(404, "no-such-target", "no");
    ask(r#"{"9": {"cut": true}}"#).is_problem(404, "no-such-target", "no");
    ask(r#"{"2": {"drop_per_mille": 1001}}"#).is_problem(400, "malformed", "no");
    ask(r#"{"2": {"lose": 1}}"#).is_problem(400, "malformed", "no");
    ask(r#"{"two": {}}"#).is_problem(400, "malformed", "no");
}

#[test]
fn everything_in_the_document_is_there_and_nothing_else_is_taken() {
    let node = Node::start(|settings| settings.faults_allowed = true);
    let document = node.ask("GET", "/v1/openapi.json", &[], b"").json();
    let page = node.ask("GET", "/", &[], b"").text();
    let methods = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"];
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 15);
    for (path, operations) in paths {
        let real = path.replace("{table}", "default").replace("{key}", "k");
        assert!(page.contains(path.as_str()), "{path} is not on the page");
        for method in methods {
            let reply = node.ask(method, &real, &[], b"");
            let kind = serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap_or_default()["type"].clone();
            let described = operations.get(method.to_ascii_lowercase()).is_some();
            if described {
                assert!(reply.status != 405 && kind != "urn:quorate:unknown-path", "{method} {path}: {reply:?}");
            } else if !path.contains(':') {
                let allowed = reply.header("allow").map(str::to_string);
                let posted = method == "POST" && kind == "urn:quorate:unknown-path";
                assert!(posted || (reply.status == 405 && allowed.is_some()), "{method} {path}: {reply:?}");
            }
        }
    }
    node.ask("PATCH", "/v1/keys/k", &[], b"").is_problem(405, "method", "no");
    for path in ["/v2/keys/k", "/v1", "/v1/", "/v1/keys/", "/v1/nothing", "//", "/livez/"] {
        node.ask("GET", path, &[], b"").is_problem(404, "unknown-path", "no");
    }
}

#[test]
fn a_password_is_asked_for_everywhere_but_at_livez() {
    let node = Node::start(|settings| settings.password = Some("s3cret".to_string()));
    assert_eq!(node.ask("GET", "/livez", &[], b"").status, 200);
    for (method, path) in [
        ("GET", "/readyz"),
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/v1/status"),
        ("PUT", "/v1/keys/k"),
        ("POST", "/v1/commands"),
        ("PUT", "/v1/faults"),
        ("GET", "/nowhere"),
        ("PATCH", "/v1/keys/k"),
    ] {
        let reply = node.ask(method, path, &[], b"");
        reply.is_problem(401, "unauthorized", "no");
        assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"), "{path}");
    }
    for wrong in ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret5", "Basic s3cret", "s3cret"] {
        node.ask("PUT", "/v1/keys/k", &[("Authorization", wrong)], b"v").is_problem(401, "unauthorized", "no");
    }
    assert_eq!(node.operations(), 0);
    for right in ["Bearer s3cret", "bearer s3cret"] {
        assert_eq!(node.ask("PUT", "/v1/keys/k", &[("Authorization", right)], b"v").status, 204);
    }
}

#[test]
fn without_a_password_pages_of_other_sites_are_refused() {
    let node = Node::plain();
    let port = node.address.port();
    let get = |headers: &[(&str, &str)]| node.ask("GET", "/v1/status", headers, b"");
    get(&[("Origin", "https://example.org")]).is_problem(403, "forbidden", "no");
    get(&[("Origin", "null")]).is_problem(403, "forbidden", "no");
    get(&[("Sec-Fetch-Site", "cross-site")]).is_problem(403, "forbidden", "no");
    get(&[("Sec-Fetch-Site", "same-site")]).is_problem(403, "forbidden", "no");
    assert_eq!(get(&[("Origin", "http://localhost"), ("Sec-Fetch-Site", "same-origin")]).status, 200);
    let mut client = node.connect();
    client.say(format!("GET /v1/status HTTP/1.1\r\nHost: rebound.example.org:{port}\r\n\r\n").as_bytes());
    client.hear(false).is_problem(421, "misdirected", "no");
    client.say(format!("GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes());
    assert_eq!(client.hear(false).status, 200);
}

#[test]
fn a_stop_ends_idle_connections_and_the_port_is_free() {
    let mut node = Node::plain();
    let mut idle = node.connect();
    assert_eq!(idle.ask("GET", "/livez", &[], b"").status, 200);
    node.stop_http();
    assert!(idle.is_closed());
    assert!(std::net::TcpStream::connect(node.address).is_err());
}
