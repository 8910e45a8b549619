//! Requests that are almost right: mutated at random bytes, cut off, glued together. Nothing may panic, nothing may hang.

#![allow(clippy::unwrap_used)]

mod http_support;

use http_support::Node;
use quorate_core::random::Random;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ROUNDS: u64 = 8_000;

static PANICS: AtomicUsize = AtomicUsize::new(0);

const SEEDS: &[&str] = &[
    "GET /v1/keys/a%2Fb HTTP/1.1\r\nHost: localhost\r\nQuorate-Level: session\r\nIf-None-Match: \"1\"\r\n\r\n",
    "PUT /v1/tables/db1/keys/k?ttl_ms=5 HTTP/1.1\r\nHost: localhost\r\nIf-Match: \"3\"\r\nContent-Length: 3\r\n\r\nabc",
    "PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /v1/keys/n:incr HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: x\r\nContent-Length: 8\r\n\r\n{\"by\":1}",
    "POST /v1/keys/c:cas HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n{\"expected\":null,\"new\":{\"base64\":\"Zg==\"}}",
    "GET /v1/keys?prefix=a*&count=3&cursor=0 HTTP/1.1\r\nHost: localhost\r\nQuorate-Receipt: true\r\n\r\n",
    "POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Length: 75\r\n\r\n{\"commands\":[[\"SET\",\"a\",1],[\"GET\",\"a\"]],\"guards\":[{\"key\":\"z\",\"absent\":true}]}",
    "DELETE /v1/keys/k HTTP/1.0\r\nQuorate-Session: 0100000000000000c10000000000000002\r\n\r\n",
    "PUT /v1/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n{\"2\":{\"cut\":true}}",
];

#[test]
fn almost_right_requests_neither_panic_nor_hang() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
    let node = Node::start(|settings| settings.faults_allowed = true);
    let mut random = Random::new(7);
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let bytes = mutate(&mut random);
        let mut stream = TcpStream::connect(node.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The server may answer and close before all is sent.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut reply = Vec::new();
        match stream.read_to_end(&mut reply) {
            Ok(_) => {}
            Err(why) if why.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(why) => panic!("{why} after {:?}", String::from_utf8_lossy(&bytes)),
        }
        if !reply.is_empty() {
            assert!(reply.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&reply));
            answered += 1;
            refused += usize::from(reply[9] == b'4');
        }
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    assert!(answered > ROUNDS as usize / 4 && refused > 100, "{answered} answered, {refused} refused: too blunt");
    assert_eq!(node.ask("GET", "/livez", &[], b"").status, 200);
}

/// One or two of the seeds, with a few bytes changed, doubled, lost, or everything behind one lost.
fn mutate(random: &mut Random) -> Vec<u8> {
    let mut below = |bound: usize| (random.next() % bound.max(1) as u64) as usize;
    let mut bytes = SEEDS[below(SEEDS.len())].as_bytes().to_vec();
    if below(4) == 0 {
        bytes.extend_from_slice(SEEDS[below(SEEDS.len())].as_bytes());
    }
    for _ in 0..below(4) {
        let at = below(bytes.len());
        match below(5) {
            0 => bytes[at] = below(256) as u8,
            1 => bytes.insert(at, b"\r\n\0%:/\"{[ ,9"[below(12)]),
            2 => drop(bytes.remove(at)),
            3 => bytes[at] ^= 1 << below(8),
            _ => {
                let end = (at + below(16)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    if below(5) == 0 {
        bytes.truncate(below(bytes.len()));
    }
    bytes
}
