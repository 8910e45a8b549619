//! The client against a server that answers from a script.
#![allow(clippy::unwrap_used)]

use quorate_client::{Applied, Client, Command, Kind, Options, Reply};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with one command.
enum Act {
    Say(&'static str),
    HangUp,
    Stay,
}

/// A server that greets every connection and then takes one act per command, over all connections.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

fn server(acts: Vec<Act>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut acts = acts.into_iter();
        let mut parked = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            'connection: loop {
                let mut chunk = [0; 4096];
                let count = stream.read(&mut chunk).unwrap_or(0);
                if count == 0 {
                    break;
                }
                bytes.extend_from_slice(&chunk[..count]);
                while let Ok(Some((Reply::Array(words), length))) = quorate_client::parse(&bytes) {
                    bytes.drain(..length);
                    let line: Vec<String> = words.iter().filter_map(Reply::text).collect();
                    let line = line.join(" ");
                    if line.starts_with("HELLO") {
                        stream.write_all(b"%1\r\n$5\r\nproto\r\n:3\r\n").unwrap();
                        continue;
                    }
                    notes.lock().unwrap().push(line);
                    match acts.next() {
                        Some(Act::Say(text)) => stream.write_all(text.as_bytes()).unwrap(),
                        Some(Act::HangUp) | None => break 'connection,
                        Some(Act::Stay) => {}
                    }
                }
            }
            parked.push(stream.shutdown(std::net::Shutdown::Both));
        }
    });
    Server { address, heard }
}

impl Server {
    /// What it was told, without deadlines.
    fn heard(&self) -> Vec<String> {
        timeless(&self.heard.lock().unwrap())
    }

    /// The deadlines that it was told, in milliseconds.
    fn deadlines(&self) -> Vec<u64> {
        let lines = self.heard.lock().unwrap();
        let words = lines.iter().flat_map(|line| line.split(' '));
        words.filter_map(|word| word.strip_prefix("deadline=")?.parse().ok()).collect()
    }
}

fn client(addresses: &[SocketAddr], options: Options) -> Client {
    Client::new(addresses.iter().map(SocketAddr::to_string), options)
}

/// Takes connections as a node does that stands still: nobody ever reads.
fn black_hole() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The lines without the time that each was given.
fn timeless(lines: &[String]) -> Vec<String> {
    let timeless = |line: &String| {
        let words = line.split(' ').filter(|word| !word.starts_with("deadline=")).collect::<Vec<_>>().join(" ");
        words.strip_prefix("WITH ").map_or(words.clone(), str::to_owned)
    };
    lines.iter().map(timeless).collect()
}

fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn the_next_address_is_tried_when_one_is_closed() {
    let server = server(vec![Act::Say("$1\r\nv\r\n")]);
    let mut client = client(&[closed_port(), server.address], Options::default());
    assert_eq!(client.call(&Command::new(["GET", "k"])).unwrap().text().as_deref(), Some("v"));
    assert_eq!(server.heard(), ["GET k"]);
}

#[test]
fn nothing_reachable_is_certainly_not_applied() {
    let options = Options { deadline: Duration::from_millis(100), ..Options::default() };
    let error = client(&[closed_port(), closed_port()], options).call(&Command::new(["GET", "k"])).unwrap_err();
    assert_eq!((error.kind, error.applied), (Kind::Unreachable, Applied::No));
}

#[test]
fn a_connection_lost_after_sending_is_unknown_and_not_repeated() {
    let server = server(vec![Act::HangUp, Act::Say(":2\r\n")]);
    let error = client(&[server.address], Options::default()).call(&Command::new(["INCR", "k"])).unwrap_err();
    assert_eq!((error.kind, error.applied), (Kind::Lost, Applied::Unknown));
    assert_eq!(server.heard(), ["INCR k"]);
}

#[test]
fn an_idempotency_key_makes_it_safe_to_repeat() {
    let server = server(vec![Act::HangUp, Act::Say(":1\r\n")]);
    let command = Command::new(["INCR", "k"]).idempotency_key("once");
    assert_eq!(client(&[server.address], Options::default()).call(&command).unwrap(), Reply::Int(1));
    assert_eq!(server.heard(), ["IDEM once INCR k", "IDEM once INCR k"]);
}

/// A deadline that no test reaches, so that reaching it fails the test as a hang, and shares that end soon.
fn patient() -> Options {
    Options { deadline: Duration::from_secs(60), ..Options::default() }
}

#[test]
fn an_address_that_takes_calls_and_never_answers_is_left_in_time() {
    let (_hole, hole) = black_hole();
    let server = server(vec![Act::Say("+OK\r\n")]);
    let mut client = client(&[hole, server.address], patient());
    // Nothing was sent before the greeting was answered, so no key is needed.
    assert!(client.call(&Command::new(["SET", "k", "v"])).is_ok());
    assert_eq!(server.heard(), ["SET k v"]);
}

#[test]
fn what_may_be_repeated_turns_to_the_next_address_when_the_first_stands_still() {
    for (command, line) in [
        (Command::new(["GET", "k"]), "GET k"),
        (Command::new(["INCR", "k"]).idempotency_key("once"), "IDEM once INCR k"),
    ] {
        let still = server(vec![Act::Stay]);
        let other = server(vec![Act::Say(":1\r\n")]);
        let mut client = client(&[still.address, other.address], patient());
        assert_eq!(client.call(&command).unwrap(), Reply::Int(1));
        assert_eq!((still.heard(), other.heard()), (vec![line.to_owned()], vec![line.to_owned()]));
        // The first was told its share, the second what is left.
        assert!(still.deadlines()[0] <= 1_000 && other.deadlines()[0] > 50_000);
    }
}

#[test]
fn what_may_not_be_repeated_has_the_whole_deadline_at_one_address() {
    let still = server(vec![Act::Stay]);
    let other = server(vec![Act::Say(":1\r\n")]);
    let options = Options { deadline: Duration::from_millis(300), ..Options::default() };
    let error = client(&[still.address, other.address], options).call(&Command::new(["INCR", "k"])).unwrap_err();
    assert_eq!((error.kind, error.applied), (Kind::Deadline, Applied::Unknown));
    assert!(still.deadlines()[0] > 150, "not a share of it");
    assert!(other.heard().is_empty());
}

#[test]
fn a_read_that_nobody_answered_changed_nothing() {
    let servers = [server(vec![Act::Stay]), server(vec![Act::Stay])];
    let options = Options { deadline: Duration::from_secs(1), ..Options::default() };
    let addresses = [servers[0].address, servers[1].address];
    let error = client(&addresses, options).call(&Command::new(["GET", "k"])).unwrap_err();
    assert_eq!((error.kind, error.applied), (Kind::Deadline, Applied::No));
    assert_eq!(servers.map(|server| server.heard()), [["GET k"], ["GET k"]]);
}

#[test]
fn a_node_that_refuses_for_now_is_left_for_the_next() {
    let cut_off = server(vec![Act::Say("-CLUSTERDOWN applied: no; no leader was reachable\r\n")]);
    let other = server(vec![Act::Say("+OK\r\n")]);
    let mut client = client(&[cut_off.address, other.address], patient());
    assert!(client.call(&Command::new(["SET", "k", "v"])).is_ok());
    assert_eq!((cut_off.heard().len(), other.heard().len()), (1, 1));
}

#[test]
fn a_doubt_of_the_server_is_repeated_under_a_key_and_never_without() {
    const UNKNOWN: &str = "-UNKNOWN applied: unknown; the leader was lost\r\n";
    let unsure = server(vec![Act::Say(UNKNOWN), Act::Say(UNKNOWN)]);
    let other = server(vec![Act::Say(":1\r\n")]);
    let command = Command::new(["INCR", "k"]);
    let addresses = [unsure.address, other.address];
    let error = client(&addresses, patient()).call(&command).unwrap_err();
    assert_eq!((error.kind, error.applied), (Kind::Doubt, Applied::Unknown));
    assert!(other.heard().is_empty());
    assert!(client(&addresses, patient()).call(&command.idempotency_key("once")).is_ok());
    assert_eq!(other.heard(), ["IDEM once INCR k"]);
}

#[test]
fn a_weaker_ack_than_asked_is_no_final_word_while_there_is_time() {
    const SHORT: &str = "-SHORT applied: yes; two of three\r\n";
    let command = Command::new(["SET", "k", "v"]).idempotency_key("once");
    let first = server(vec![Act::Say(SHORT)]);
    let other = server(vec![Act::Say("+OK\r\n")]);
    assert!(client(&[first.address, other.address], patient()).call(&command).is_ok());
    let first = server(vec![Act::Say(SHORT)]);
    let options = Options { deadline: Duration::from_millis(60), ..Options::default() };
    let error = client(&[first.address, closed_port()], options).call(&command).unwrap_err();
    assert_eq!(error.applied, Applied::Yes, "{error}");
}

#[test]
fn a_refusal_after_a_doubt_leaves_the_doubt() {
    let unsure = server(vec![Act::HangUp]);
    let options = Options { deadline: Duration::from_millis(60), ..Options::default() };
    let command = Command::new(["INCR", "k"]).idempotency_key("once");
    let error = client(&[unsure.address, closed_port()], options).call(&command).unwrap_err();
    assert_eq!(error.applied, Applied::Unknown, "{error}");
}

#[test]
fn what_was_refused_for_now_is_repeated_and_what_is_wrong_is_not() {
    let server = server(vec![
        Act::Say("-CLUSTERDOWN applied: no; no leader was reachable\r\n"),
        Act::Say("+OK\r\n"),
        Act::Say("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ]);
    let mut client = client(&[server.address], Options::default());
    assert!(client.call(&Command::new(["SET", "k", "v"])).is_ok());
    let error = client.call(&Command::new(["INCR", "k"])).unwrap_err();
    assert_eq!((error.kind, error.applied), (Kind::Rejected, Applied::No));
    assert_eq!(server.heard(), ["SET k v", "SET k v", "INCR k"]);
}

#[test]
fn a_deadline_ends_the_wait_with_an_unknown_outcome() {
    let server = server(vec![Act::Stay]);
    let options = Options { deadline: Duration::from_millis(60), ..Options::default() };
    let error = client(&[server.address], options).call(&Command::new(["INCR", "k"])).unwrap_err();
    assert_eq!((error.kind, error.applied), (Kind::Deadline, Applied::Unknown));
}

#[test]
fn a_pipeline_has_its_replies_in_order() {
    let server = server(vec![Act::Say("+OK\r\n"), Act::Say("-ERR no\r\n"), Act::Say(":3\r\n")]);
    let commands = [Command::new(["A"]), Command::new(["B"]), Command::new(["C"])];
    let replies = client(&[server.address], Options::default()).pipeline(&commands).unwrap();
    assert!(matches!(replies[..], [Reply::Status(_), Reply::Error(_), Reply::Int(3)]), "{replies:?}");
}

#[test]
fn a_session_moves_with_the_client_to_another_node() {
    let first = server(vec![Act::Say("+OK\r\n"), Act::Say("$4\r\nbeef\r\n"), Act::HangUp]);
    let second = server(vec![Act::Say("+OK\r\n"), Act::Say("$1\r\nv\r\n"), Act::Say("$4\r\ncafe\r\n")]);
    let options = Options { carry_session: true, ..Options::default() };
    let mut client = client(&[first.address, second.address], options);
    client.call(&Command::new(["SET", "k", "v"])).unwrap();
    assert_eq!(client.session(), Some("beef"));
    client.call(&Command::new(["GET", "k"])).unwrap();
    assert_eq!(client.session(), Some("cafe"));
    assert_eq!(second.heard(), ["QUORATE SESSION beef", "GET k", "QUORATE SESSION"]);
}

#[test]
fn a_server_that_speaks_something_else_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = stream.read(&mut [0; 512]);
        }
    });
    let error = client(&[address], Options::default()).call(&Command::new(["PING"])).unwrap_err();
    assert_eq!((error.kind, error.applied), (Kind::Protocol, Applied::No));
}
