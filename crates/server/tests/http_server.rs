//! HTTP in front of a real node.

#![allow(clippy::unwrap_used)]

mod common;
mod http_support;

use common::{One, PATIENCE};
use http_support::Client;
use std::time::Instant;

#[test]
fn what_http_writes_the_redis_protocol_reads_and_the_reverse() {
    let node = One::start(|config| config.groups = 4);
    let http = node.server.as_ref().unwrap().http;
    let start = Instant::now();
    while Client::connect(http).ask("GET", "/readyz", &[], b"").status != 200 {
        assert!(start.elapsed() < PATIENCE, "no leader");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut client = Client::connect(http);
    let put = client.ask("PUT", "/v1/keys/a", &[("Quorate-Ack", "all"), ("Quorate-Receipt", "true")], b"1");
    assert_eq!(put.status, 204, "{put:?}");
    assert!(put.header("quorate-receipt").unwrap().contains("\"met\":\"all\""), "{put:?}");
    let mut redis = node.client();
    assert_eq!(redis.ask("GET a"), "$1|1|");
    assert_eq!(redis.ask("INCR a"), ":2|");
    let got = client.ask("GET", "/v1/keys/a", &[], b"");
    assert_eq!(got.body, b"2");
    // The tag of a read is the version that a conditional write takes.
    let tag = got.header("etag").unwrap().to_string();
    assert_eq!(client.ask("PUT", "/v1/keys/a", &[("If-Match", &tag)], b"3").status, 204);
    client.ask("PUT", "/v1/keys/a", &[("If-Match", &tag)], b"4").is_problem(412, "precondition", "no");
    // A list walks all groups of the table.
    for number in 0..40 {
        assert_eq!(client.ask("PUT", &format!("/v1/keys/k{number}"), &[], b"v").status, 204);
    }
    let (mut keys, mut cursor) = (0, String::from("0"));
    loop {
        let page = client.ask("GET", &format!("/v1/keys?prefix=k&count=7&cursor={cursor}"), &[], b"").json();
        keys += page["keys"].as_array().unwrap().len();
        match page["cursor"].as_str() {
            Some(next) => cursor = next.to_string(),
            None => break,
        }
    }
    assert_eq!(keys, 40);
    let crossing = br#"{"commands": [["SET", "a", "1"], ["SET", "b", "1"], ["SET", "c", "1"], ["SET", "d", "1"]]}"#;
    client.ask("POST", "/v1/commands", &[], crossing).is_problem(422, "impossible", "no");
    client.ask("PUT", "/v1/keys/a", &[("Quorate-Ack", "leader"), ("If-None-Match", "*")], b"v").is_problem(
        422,
        "impossible",
        "no",
    );
}
