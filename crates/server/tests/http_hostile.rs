//! Clients that are wrong, slow, large or hostile: each gets a clear reply or is closed, and holds nobody else up.

#![allow(clippy::unwrap_used)]

mod http_support;

use http_support::{Client, Node};
use quorate_core::limits;
use quorate_server::http::HttpBounds;
use std::time::Duration;

/// Bounds that a test can reach.
fn impatient(bounds: &mut HttpBounds) {
    bounds.head_timeout = Duration::from_millis(300);
    bounds.stall_timeout = Duration::from_millis(300);
    bounds.body_timeout = Duration::from_millis(900);
}

#[track_caller]
fn still_serves(node: &Node) {
    assert_eq!(node.ask("PUT", "/v1/keys/alive", &[], b"yes").status, 204);
    assert_eq!(node.ask("GET", "/v1/keys/alive", &[], b"").body, b"yes");
}

#[test]
fn what_is_no_http_is_told_so() {
    let node = Node::plain();
    for bytes in [
        &b"GARBAGE\r\n\r\n"[..],
        b"*1\r\n$4\r\nPING\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 client hello",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\na\0b: c\r\n\r\n",
        b"PUT /v1/keys/k HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v1/keys/k HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"PUT /v1/keys/k HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"PUT /v1/keys/k HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let mut client = node.connect();
        client.say(bytes);
        client.hear(false).is_problem(400, "malformed", "no");
        assert!(client.is_closed());
    }
    assert_eq!(node.operations(), 0);
    still_serves(&node);
}

#[test]
fn chunks_that_are_malformed_apply_nothing() {
    let node = Node::plain();
    for chunks in ["zz\r\nab\r\n", "2\r\nabc\r\n0\r\n\r\n", "ffffffffffffffffff\r\n"] {
        let mut client = node.connect();
        client.say(b"PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.say(chunks.as_bytes());
        client.hear(false).is_problem(400, "malformed", "no");
    }
    let mut client = node.connect();
    client.say(b"PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    assert_eq!(client.hear(false).status, 204);
    assert_eq!(node.operations(), 1);
    assert_eq!(node.ask("GET", "/v1/keys/k", &[], b"").body, b"abc");
}

#[test]
fn a_body_that_ends_early_applies_nothing() {
    let node = Node::plain();
    let mut client = node.connect();
    client.say(b"PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut rest);
    still_serves(&node);
    node.ask("GET", "/v1/keys/k", &[], b"").is_problem(404, "key-absent", "no");
}

#[test]
fn bodies_over_the_limit_are_refused_before_and_while_they_come() {
    let node = Node::plain();
    let over = limits::REQUEST_BYTES + 1;
    // Said beforehand: refused without a byte of it, even for a client that waits to be asked for it.
    let mut client = node.connect();
    client.say(
        format!("PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {over}\r\n\r\n")
            .as_bytes(),
    );
    let problem = client.hear(false).is_problem(413, "too-large", "no");
    assert!(problem["detail"].as_str().unwrap().contains(&limits::REQUEST_BYTES.to_string()));
    // Endless: refused at the limit, and the reply arrives although the client goes on for a while.
    let mut client = node.connect();
    client.say(b"PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut chunk = b"100000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10_0000, b'x');
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..20 {
        if client.say_some(&chunk) < chunk.len() {
            break;
        }
    }
    client.hear(false).is_problem(413, "too-large", "no");
    // A reset would lose the reply for a client that reads later.
    assert!(client.is_closed());
    assert_eq!(node.operations(), 0);
    still_serves(&node);
}

#[test]
fn the_largest_value_goes_in_and_out() {
    let node = Node::plain();
    let mut value = vec![b'v'; limits::VALUE_BYTES];
    value[limits::VALUE_BYTES - 1] = b'!';
    let mut client = node.connect();
    assert_eq!(client.ask("PUT", "/v1/keys/large", &[], &value).status, 204);
    assert_eq!(client.ask("GET", "/v1/keys/large", &[], b"").body, value);
}

#[test]
fn heads_over_the_limit_are_refused() {
    let node = Node::plain();
    let key = "k".repeat(limits::KEY_BYTES * 3);
    assert_eq!(node.ask("PUT", &format!("/v1/keys/{key}"), &[], b"v").status, 204);
    let mut client = node.connect();
    client.say_some(format!("GET /v1/keys/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "k".repeat(66_000)).as_bytes());
    client.hear(false).is_problem(414, "uri-too-long", "no");
    let mut client = node.connect();
    client.say_some(format!("GET / HTTP/1.1\r\nHost: localhost\r\nA: {}\r\n\r\n", "a".repeat(200_000)).as_bytes());
    client.hear(false).is_problem(431, "head-too-large", "no");
    let mut client = node.connect();
    client.say_some(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(1000)).as_bytes());
    client.hear(false).is_problem(431, "head-too-large", "no");
    still_serves(&node);
}

#[test]
fn a_head_that_does_not_come_is_given_up() {
    let node = Node::start(|settings| impatient(&mut settings.bounds));
    let mut silent = node.connect();
    let mut partial = node.connect();
    partial.say(b"GET /livez HTTP/1.1\r\nHost: loc");
    partial.hear(false).is_problem(408, "timeout", "no");
    assert!(partial.is_closed());
    assert!(silent.is_closed());
    // A byte now and then does not help.
    let mut drip = node.connect();
    let mut open = true;
    for byte in "GET /livez HTTP/1.1\r\nHost: localhost\r\nPadding: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n".bytes() {
        if drip.say_some(&[byte]) == 0 {
            open = false;
            break;
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    assert!(!open || drip.hear(false).status == 408);
    still_serves(&node);
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let node = Node::start(|settings| settings.bounds.stall_timeout = Duration::from_millis(300));
    let mut stalled = node.connect();
    stalled.say(b"PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
    still_serves(&node);
    stalled.hear(false).is_problem(408, "timeout", "no");
    let node = Node::start(|settings| impatient(&mut settings.bounds));
    let mut drip = node.connect();
    drip.say(b"PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
    let mut reader = Client::connect(node.address);
    std::mem::swap(&mut reader.stream, &mut drip.stream);
    let mut writer = reader.stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        while std::io::Write::write_all(&mut writer, b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    reader.hear(false).is_problem(408, "timeout", "no");
    drop(reader);
    dripping.join().unwrap();
    node.ask("GET", "/v1/keys/k", &[], b"").is_problem(404, "key-absent", "no");
}

#[test]
fn a_client_that_never_reads_is_closed_and_holds_nobody_up() {
    let node = Node::start(|settings| impatient(&mut settings.bounds));
    assert_eq!(node.ask("PUT", "/v1/keys/large", &[], &vec![b'v'; limits::VALUE_BYTES]).status, 204);
    let mut deaf = node.connect();
    // More replies than the buffers of both sides hold.
    let requests = b"GET /v1/keys/large HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20);
    deaf.say(&requests);
    still_serves(&node);
    std::thread::sleep(Duration::from_millis(3_000));
    still_serves(&node);
    let mut heard = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read) = std::io::Read::read(&mut deaf.stream, &mut buffer)
        && read > 0
    {
        heard += read;
    }
    assert!(heard < 20 * limits::VALUE_BYTES, "all replies were kept for a client that did not read");
}

#[test]
fn connections_are_bounded_and_one_more_is_told_so() {
    let node = Node::start(|settings| settings.bounds.connections = 3);
    let mut open: Vec<Client> = (0..3).map(|_| node.connect()).collect();
    for client in &mut open {
        assert_eq!(client.ask("GET", "/livez", &[], b"").status, 200);
    }
    let mut extra = node.connect();
    extra.hear(false).is_problem(503, "overloaded", "no");
    assert!(extra.is_closed());
    drop(open.pop());
    // The place is free once the server has seen the close.
    let freed = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        node.ask("GET", "/livez", &[], b"").status == 200
    });
    assert!(freed);
}

#[test]
fn all_bodies_together_are_bounded() {
    let node = Node::start(|settings| settings.bounds.bodies_bytes = 1_000_000);
    let mut first = node.connect();
    first.say(b"PUT /v1/keys/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n");
    first.say(&vec![b'a'; 899_999]);
    let mut second = node.connect();
    // The first body is on its way in; how far it is seen is up to the scheduler.
    let refused = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let reply = second.ask("PUT", "/v1/keys/b", &[], &vec![b'b'; 200_000]);
        if reply.status == 503 {
            reply.is_problem(503, "overloaded", "no");
            return true;
        }
        false
    });
    assert!(refused);
    first.say(b"a");
    assert_eq!(first.hear(false).status, 204);
    still_serves(&node);
    assert_eq!(node.ask("PUT", "/v1/keys/b", &[], &vec![b'b'; 200_000]).status, 204);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let node = Node::plain();
    let mut client = node.connect();
    let mut requests = Vec::new();
    for number in 0..50 {
        requests.extend_from_slice(
            format!("PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{number:02}").as_bytes(),
        );
        requests.extend_from_slice(b"GET /v1/keys/k HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    client.say(&requests);
    for number in 0..50 {
        assert_eq!(client.hear(false).status, 204);
        assert_eq!(client.hear(false).text(), format!("{number:02}"));
    }
    // An error of the library behind a good request: both are answered.
    client.say(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGARBAGE\r\n\r\n");
    assert_eq!(client.hear(false).status, 200);
    assert_eq!(client.hear(false).status, 400);
    assert!(client.is_closed());
}

#[test]
fn json_that_is_deep_or_wide_is_refused() {
    let node = Node::plain();
    let post = |body: String| node.ask("POST", "/v1/commands", &[], body.as_bytes());
    post("[".repeat(1_000_000)).is_problem(400, "malformed", "no");
    post(format!("{{\"commands\": {}", "[".repeat(1_000_000))).is_problem(400, "malformed", "no");
    post(format!("{{\"commands\": [[\"GET\", {{\"base64\": {}", "{\"a\":".repeat(100_000))).is_problem(
        400,
        "malformed",
        "no",
    );
    let guards = vec![r#"{"key":"k","version":1}"#; limits::BATCH_COMMANDS + 1].join(",");
    post(format!(r#"{{"commands":[["SET","a","b"]],"guards":[{guards}]}}"#)).is_problem(413, "too-large", "no");
    assert_eq!(node.operations(), 0);
}
