//! Nodes for tests: real ones, on loopback and on free ports.
#![allow(dead_code, clippy::unwrap_used)]

use quorate_server::config::{Config, Member};
use quorate_server::server::Server;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The configurations of a cluster of so many nodes, with data below a directory.
pub fn configs(nodes: u16, data: &Path) -> Vec<Config> {
    let mut base = Config::parse(Config::example()).unwrap();
    base.cluster = "test".to_string();
    base.members = (1..=nodes)
        .map(|node| Member { node, peer: format!("127.0.0.1:{}", free_port()), resp: None, http: None })
        .collect();
    let one = |node: u16| {
        let mut config = base.clone();
        config.node = node;
        config.data = data.join(node.to_string());
        config.listen.resp = "127.0.0.1:0".to_string();
        config.listen.http = "127.0.0.1:0".to_string();
        config.listen.peer = base.members[usize::from(node) - 1].peer.clone();
        config.timing.heartbeat_ms = 50;
        config.timing.election_ms = 300;
        config
    };
    (1..=nodes).map(one).collect()
}

/// One node that is its own cluster, ready for writes.
pub struct One {
    pub server: Option<Server>,
    pub resp: SocketAddr,
    pub directory: tempfile::TempDir,
}

impl One {
    pub fn start(change: impl FnOnce(&mut Config)) -> One {
        let directory = tempfile::tempdir().unwrap();
        let mut config = configs(1, directory.path()).remove(0);
        change(&mut config);
        let server = Server::start(&config).unwrap();
        let resp = server.resp;
        One { server: Some(server), resp, directory }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.resp)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.handle.stop();
            server.join().unwrap();
        }
    }
}

/// A connection that sends and receives bytes.
pub struct Client {
    pub socket: TcpStream,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { socket }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends a command and gives the bytes of its reply, line ends as `|`.
    pub fn ask(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        self.send(&command(&words));
        self.reply()
    }

    /// One reply, line ends as `|`.
    pub fn reply(&mut self) -> String {
        let mut bytes = Vec::new();
        self.element(&mut bytes);
        String::from_utf8_lossy(&bytes).replace("\r\n", "|")
    }

    fn element(&mut self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        self.line(bytes);
        let line = String::from_utf8_lossy(&bytes[start..]).trim_end().to_string();
        let count: i64 = line[1..].parse().unwrap_or(0);
        match line.as_bytes()[0] {
            b'$' if count >= 0 => {
                let mut body = vec![0; count as usize + 2];
                self.socket.read_exact(&mut body).unwrap();
                bytes.extend(body);
            }
            b'*' | b'~' => (0..count).for_each(|_| self.element(bytes)),
            b'%' => (0..count * 2).for_each(|_| self.element(bytes)),
            _ => {}
        }
    }

    fn line(&mut self, bytes: &mut Vec<u8>) {
        let mut byte = [0];
        loop {
            self.socket.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
            if bytes.ends_with(b"\r\n") {
                return;
            }
        }
    }

    /// Everything until the other side closes.
    pub fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.socket.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).replace("\r\n", "|")
    }
}

/// A command as an array of bulks.
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}
