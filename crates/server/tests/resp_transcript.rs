//! Byte transcripts of the Redis protocol: what is sent, and what must come back.
//!
//! In a transcript, `> words` sends one command, `>> bytes` sends raw bytes with the escapes of Rust, and the lines that
//! begin with `<` are the reply, without line ends; `< (closed)` is the end of the connection. `--- name` goes on with
//! a new connection. The files under `redis` were taken from Redis 7.0: set `TRANSCRIPT_FROM=host:port` to take them
//! again from a Redis. Those under `quorate` are taken from our own node with `TRANSCRIPT_FROM=self`; read the difference.
#![allow(clippy::unwrap_used)]

mod common;

use common::{One, command};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long nothing must come before a reply that is being taken counts as whole.
const QUIET: Duration = Duration::from_millis(60);

struct Exchange {
    lines: Vec<String>,
    sent: Vec<u8>,
    expected: Vec<String>,
    fresh: bool,
}

fn parse(text: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    let (mut lines, mut fresh) = (Vec::new(), true);
    for line in text.lines() {
        if let Some(reply) = line.strip_prefix('<') {
            let reply = reply.strip_prefix(' ').unwrap_or(reply).to_string();
            exchanges.last_mut().expect("a reply follows something sent").expected.push(reply);
            continue;
        }
        lines.push(line.to_string());
        let sent = match line.strip_prefix('>') {
            None => {
                fresh |= line.starts_with("---");
                continue;
            }
            Some(rest) => match rest.strip_prefix("> ") {
                Some(raw) => unescape(raw),
                None => command(&shell_words(rest).iter().map(String::as_str).collect::<Vec<_>>()),
            },
        };
        exchanges.push(Exchange { lines: std::mem::take(&mut lines), sent, expected: Vec::new(), fresh });
        fresh = false;
    }
    exchanges
}

fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("quotes close"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_string());
        rest = after.trim_start();
    }
    words
}

fn unescape(raw: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            bytes.extend(letter.to_string().bytes());
            continue;
        }
        match letters.next() {
            Some('r') => bytes.push(b'\r'),
            Some('n') => bytes.push(b'\n'),
            Some('x') => {
                let digits: String = letters.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            Some('*') => {
                // \*N,c: N times the letter c.
                let count: String = letters.by_ref().take_while(|letter| *letter != ',').collect();
                let what = letters.next().unwrap().to_string();
                bytes.extend(what.repeat(count.parse().unwrap()).bytes());
            }
            other => bytes.extend(other.into_iter().collect::<String>().bytes()),
        }
    }
    bytes
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// Reads until `enough` bytes are here, or nothing comes for so long. Gives the lines, and `(closed)` at the end.
fn read(socket: &mut TcpStream, enough: usize, patience: Duration) -> Vec<String> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let (mut bytes, mut closed) = (Vec::new(), false);
    let mut room = [0; 64 * 1024];
    while bytes.len() < enough {
        match socket.read(&mut room) {
            Ok(0) => {
                closed = true;
                break;
            }
            Ok(count) => bytes.extend_from_slice(&room[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(_) => {
                closed = true;
                break;
            }
        }
    }
    let text: String = bytes.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"");
    let mut lines: Vec<String> = text.split("\\r\\n").map(str::to_string).collect();
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    if closed {
        lines.push("(closed)".to_string());
    }
    lines
}

fn length(expected: &[String]) -> usize {
    let text = |line: &String| if line == "(closed)" { usize::MAX / 2 } else { unescape(line).len() + 2 };
    expected.iter().map(text).fold(0, usize::saturating_add)
}

fn play(path: &Path, address: SocketAddr, take: bool) {
    let exchanges = parse(&std::fs::read_to_string(path).unwrap());
    let mut socket = connect(address);
    let mut taken = String::new();
    for exchange in exchanges {
        if exchange.fresh {
            socket = connect(address);
        }
        let _ = socket.write_all(&exchange.sent);
        let lines = match take {
            true => read(&mut socket, usize::MAX, QUIET),
            false => read(&mut socket, length(&exchange.expected), common::PATIENCE),
        };
        exchange.lines.iter().for_each(|line| taken.push_str(&format!("{line}\n")));
        lines.iter().for_each(|line| taken.push_str(&format!("< {line}\n")));
        if !take {
            assert_eq!(lines, exchange.expected, "{}: after {:?}", path.display(), exchange.lines.last());
        }
    }
    if take {
        std::fs::write(path, taken).unwrap();
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn as_redis_would() {
    let from = std::env::var("TRANSCRIPT_FROM").unwrap_or_default();
    for file in files("redis") {
        let one = One::start(|_| {});
        match from.parse() {
            Ok(address) => {
                command_at(address, "FLUSHALL");
                play(&file, address, true);
            }
            Err(_) => play(&file, one.resp, false),
        }
    }
}

fn command_at(address: SocketAddr, word: &str) {
    let mut socket = connect(address);
    socket.write_all(&command(&[word])).unwrap();
    read(&mut socket, 5, common::PATIENCE);
}

#[test]
fn as_only_quorate_does() {
    let take = std::env::var("TRANSCRIPT_FROM").is_ok_and(|from| from == "self");
    for file in files("quorate") {
        let password = file.ends_with("password.txt").then(|| "secret".to_string());
        let one = One::start(|config| {
            config.security.password = password;
            config.faults_allowed = !file.ends_with("node.txt");
        });
        play(&file, one.resp, take);
    }
}
