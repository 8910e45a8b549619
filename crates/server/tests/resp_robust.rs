//! Clients that are slow, endless, greedy or many: each hurts only itself.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, One, PATIENCE, command, until};
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

#[test]
fn a_pipeline_is_answered_in_order_whatever_the_chunks() {
    let one = One::start(|config| config.limits.pipeline = 16);
    let mut client = one.client();
    let (mut bytes, mut expected) = (Vec::new(), String::new());
    for turn in 0..2_000 {
        let value = turn.to_string();
        bytes.extend(command(&["SET", "k", &value]));
        bytes.extend(command(&["GET", "k"]));
        bytes.extend(command(&["WITH", "session", "GET", "k"]));
        bytes.extend(command(&["PING", &value]));
        let bulk = format!("${}|{value}|", value.len());
        expected.push_str(&format!("+OK|{bulk}{bulk}{bulk}"));
    }
    let mut writer = client.socket.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for (at, chunk) in bytes.chunks(1_013).enumerate() {
            writer.write_all(chunk).unwrap();
            if at % 40 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let mut got = String::new();
    while got.len() < expected.len() {
        got.push_str(&client.reply());
    }
    sender.join().unwrap();
    assert!(got == expected);
}

#[test]
fn a_client_that_never_reads_is_closed_and_others_are_not() {
    let one = One::start(|config| config.limits.output_bytes = 4 * 1024 * 1024);
    let mut other = one.client();
    let big = "x".repeat(1_000_000);
    assert_eq!(other.ask(&format!("SET big {big}")), "+OK|");
    let mut greedy = one.client();
    greedy.socket.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let ask = command(&["GET", "big"]);
    let begin = Instant::now();
    let closed = loop {
        match greedy.socket.write(&ask) {
            Ok(_) => {}
            // Back-pressure comes first: the socket is not read while replies wait.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break true,
        }
        assert_eq!(other.ask("PING"), "+PONG|");
        if begin.elapsed() > PATIENCE {
            break false;
        }
    };
    assert!(closed, "a client that reads nothing is closed");
    assert_eq!(other.ask("STRLEN big"), ":1000000|");
    assert!(other.ask("INFO clients").contains("connected_clients:1|"));
}

#[test]
fn the_last_reply_reaches_a_client_that_is_still_sending() {
    let one = One::start(|_| {});
    let mut client = one.client();
    // Nine megabytes are announced, and sent although the announcement is refused.
    let mut bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\n".to_vec();
    bytes.resize(3_000_000, b'x');
    let _ = client.socket.write_all(&bytes);
    let rest = client.rest();
    assert_eq!(rest, "-ERR Protocol error: invalid bulk length (at most 8388608 bytes in one argument)|");
}

#[test]
fn an_endless_line_ends() {
    let one = One::start(|_| {});
    let mut client = one.client();
    let mut sent = 0;
    while sent < 64 * 1024 {
        client.send(&[b'a'; 1024]);
        sent += 1024;
    }
    assert_eq!(client.rest(), "-ERR Protocol error: too big inline request|");
}

#[test]
fn one_client_too_many_is_told_so() {
    let one = One::start(|config| config.limits.connections = 3);
    let mut clients: Vec<Client> = (0..3).map(|_| one.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("PING"), "+PONG|"));
    let mut fourth = one.client();
    assert_eq!(fourth.rest(), "-ERR max number of clients reached|");
    clients.pop();
    until("a place is free again", || {
        let mut client = one.client();
        let _ = client.socket.write_all(b"PING\r\n");
        let mut reply = [0; 5];
        client.socket.read_exact(&mut reply).is_ok_and(|()| &reply == b"+PONG")
    });
}

#[test]
fn half_a_command_holds_nobody_up() {
    let one = One::start(|_| {});
    let mut half = one.client();
    half.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\nabc");
    let mut client = one.client();
    for _ in 0..100 {
        assert_eq!(client.ask("INCR n").as_bytes()[0], b':');
    }
    let rest = "x".repeat(8_388_605);
    half.send(rest.as_bytes());
    half.send(b"\r\n");
    assert_eq!(half.reply(), "+OK|");
    assert_eq!(client.ask("STRLEN k"), ":8388608|");
}

#[test]
fn a_client_that_stops_sending_hears_all_replies() {
    let one = One::start(|_| {});
    let mut client = one.client();
    client.send(b"SET k 1\r\nINCR k\r\nGET k\r\n");
    client.socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), "+OK|:2|$1|2|");
}

#[test]
fn many_idle_clients_cost_little() {
    let one = One::start(|_| {});
    let memory = |client: &mut Client| {
        let info = client.ask("INFO memory");
        let line = info.split('|').find_map(|line| line.strip_prefix("used_memory:").map(str::to_string));
        line.unwrap().parse::<usize>().unwrap()
    };
    let mut watcher = one.client();
    watcher.ask("PING");
    let before = memory(&mut watcher);
    let mut idle: Vec<Client> = (0..400).map(|_| one.client()).collect();
    idle.iter_mut().for_each(|client| assert_eq!(client.ask("PING"), "+PONG|"));
    let after = memory(&mut watcher);
    let each = after.saturating_sub(before) / idle.len();
    assert!(each < 16 * 1024, "an idle client costs {each} bytes");
}

#[test]
fn info_list_and_status_tell_the_truth() {
    let one = One::start(|_| {});
    let mut client = one.client();
    client.ask("CLIENT SETNAME watcher");
    let list = client.ask("CLIENT LIST");
    assert!(list.contains(" name=watcher ") && list.contains(" resp=2 "), "{list}");
    assert_eq!(client.ask("SET k v"), "+OK|");
    let info = client.ask("INFO");
    for part in
        ["# Server|", "redis_version:7", "# Quorate|", "role:master|", "group0:role=leader,", "connected_clients:1|"]
    {
        assert!(info.contains(part), "{part} is not in {info}");
    }
    assert!(!client.ask("INFO stats").contains("# Server"));
    let keyspace = client.ask("INFO keyspace");
    assert!(keyspace.ends_with("|# Keyspace|db0:keys=1||"), "{keyspace}");
    let status = client.ask("QUORATE STATUS");
    let json: serde_json::Value = serde_json::from_str(status.split('|').nth(1).unwrap()).unwrap();
    assert_eq!(json["groups"][0]["role"], "leader");
    assert!(json["metrics"]["syncs"].as_u64().unwrap() > 0, "{json}");
    let commands = client.ask("COMMAND");
    assert!(commands.contains("$3|get|:2|") && commands.contains("$4|with|"), "{commands}");
    let count: usize = client.ask("COMMAND COUNT")[1..].trim_end_matches('|').parse().unwrap();
    assert_eq!(client.ask("COMMAND LIST").matches('$').count(), count);
}

#[test]
fn a_receipt_comes_with_the_value() {
    let one = One::start(|_| {});
    let mut client = one.client();
    let written = client.ask("WITH receipt SET k v");
    for part in ["$5|value|+OK|", "$5|asked|$8|majority|", "$3|met|$3|all|", "$4|path|$3|log|", "$7|durable|*1|:1|"] {
        assert!(written.contains(part), "{part} is not in {written}");
    }
    let read = client.ask("WITH receipt GET k");
    for part in ["$5|value|$1|v|", "$3|met|$12|linearizable|", "$4|path|$12|leader-round|"] {
        assert!(read.contains(part), "{part} is not in {read}");
    }
    let session = client.ask("WITH session receipt GET k");
    assert!(session.contains("$3|met|$7|session|"), "{session}");
    let token = client.ask("QUORATE SESSION");
    let token = token.split('|').nth(1).unwrap().to_string();
    assert_eq!(one.client().ask(&format!("QUORATE SESSION {token}")), "+OK|");
}

#[test]
fn scans_have_numeric_cursors() {
    let one = One::start(|config| config.groups = 3);
    let mut client = one.client();
    for key in 0..50 {
        client.ask(&format!("SET key{key} v"));
    }
    let (mut cursor, mut found) = ("0".to_string(), std::collections::BTreeSet::new());
    loop {
        let reply = client.ask(&format!("SCAN {cursor} COUNT 7"));
        let mut parts = reply.split('|').skip(2);
        cursor = parts.next().unwrap().to_string();
        assert!(cursor.parse::<u64>().is_ok(), "{reply}");
        found.extend(parts.filter(|part| part.starts_with("key")).map(str::to_string));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), 50);
    assert!(client.ask("SCAN x").ends_with(" invalid cursor|"));
}
