//! A node behind HTTP whose event loop is a thread of the test, and a raw client.

#![allow(dead_code, clippy::unwrap_used)]

use quorate_core::clock::{ClockOut, Offset};
use quorate_core::guarantee::{Level, NodeSet, Path, Position, Tally};
use quorate_core::machine::NodeId;
use quorate_core::mutant::Mutants;
use quorate_core::operation::{
    Doubt, FollowerStatus, GroupStatus, HotKey, HotStatus, HotTable, MoveStatus, Operate, Outcome, PairStatus,
    PeerStatus, Progress, Refusal, RepairStage, RepairStatus, Reply, Request, Role, Status, TableId,
};
use quorate_core::state::{self, Stamp, command};
use quorate_core::store::MemoryStore;
use quorate_server::fault::LinkRules;
use quorate_server::handle::{Ask, Handle};
use quorate_server::http::{self, HttpSettings, Serving};
use quorate_server::metrics::Metrics;
use serde_json::Value as Json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub const CLUSTER: u64 = 0xC1;
const SPACE: state::Space = [2, 0, 0, 0, 0, 0, 1];

/// What the loop does with operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    Normal,
    Refuse(Refusal),
    Unknown,
    /// Applies, but only the leader holds it.
    Short,
    /// Takes calls and never answers, not even about itself.
    Silent,
    /// Drops calls.
    Gone,
}

/// What the test and the loop share.
#[derive(Debug)]
pub struct Scene {
    pub mood: Mood,
    pub leader: Option<u16>,
    pub seen: Vec<Operate>,
    pub rules: Option<LinkRules>,
    pub transfers: Vec<(u16, u16)>,
    /// How often repair was begun.
    pub repairs: usize,
}

pub struct Node {
    pub address: SocketAddr,
    pub scene: Arc<Mutex<Scene>>,
    handle: Handle,
    serving: Option<Serving>,
    event_loop: Option<JoinHandle<()>>,
}

impl Node {
    pub fn start(change: impl FnOnce(&mut HttpSettings)) -> Node {
        let mut settings = HttpSettings::new(CLUSTER, 1, vec!["default".to_string(), "db1".to_string()]);
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asks, inbox) = channel();
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let handle = Handle::new(asks, waker);
        let scene = Arc::new(Mutex::new(Scene {
            mood: Mood::Normal,
            leader: Some(1),
            seen: Vec::new(),
            rules: None,
            transfers: Vec::new(),
            repairs: 0,
        }));
        let shared = scene.clone();
        let event_loop = std::thread::spawn(move || {
            let _poll = poll;
            event_loop(&inbox, &shared);
        });
        let serving = http::spawn(listener, handle.clone(), settings).unwrap();
        Node { address, scene, handle, serving: Some(serving), event_loop: Some(event_loop) }
    }

    pub fn plain() -> Node {
        Node::start(|_| {})
    }

    pub fn mood(&self, mood: Mood) {
        self.scene.lock().unwrap().mood = mood;
    }

    pub fn last(&self) -> Operate {
        self.scene.lock().unwrap().seen.last().cloned().expect("an operation arrived")
    }

    pub fn operations(&self) -> usize {
        self.scene.lock().unwrap().seen.len()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.connect().ask(method, path, headers, body)
    }

    pub fn stop_http(&mut self) {
        self.serving.take().unwrap().stop().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            let _ = serving.stop();
        }
        self.handle.stop();
        if let Some(event_loop) = self.event_loop.take() {
            let _ = event_loop.join();
        }
    }
}

fn event_loop(inbox: &Receiver<Ask>, scene: &Mutex<Scene>) {
    let mut store = MemoryStore::default();
    let mut index = 0;
    let mut held = Vec::new();
    for ask in inbox {
        let mut scene = scene.lock().unwrap();
        if scene.mood == Mood::Silent && !matches!(ask, Ask::Stop) {
            held.push(ask);
            continue;
        }
        match ask {
            Ask::Stop => return,
            Ask::Metrics { answer } => {
                let _ = answer.send(Metrics { steps: 7, sync_us_total: 1_500_000, ..Metrics::default() });
            }
            Ask::Faults { rules, answer } => {
                scene.rules = Some(rules);
                let _ = answer.send(());
            }
            Ask::Call { request: Request::Status, answer } => {
                let _ = answer.send(Reply::Status(status(scene.leader)));
            }
            Ask::Call { request: Request::Hot, answer } => {
                let key = HotKey { key: bytes::Bytes::from_static(b"cart:7"), bytes: 6, most: 90, error: 4 };
                let table = HotTable {
                    table: TableId(0),
                    name: "default".to_string(),
                    operations: 120,
                    missed: 4,
                    keys: vec![key],
                };
                let _ = answer.send(Reply::Hot(HotStatus { node: NodeId(1), window_ms: 15_000, tables: vec![table] }));
            }
            Ask::Call { request: Request::Repair { run }, answer } => {
                scene.repairs += usize::from(run);
                let _ = answer.send(Reply::Repair(repair()));
            }
            Ask::Call { request: Request::Transfer { group, to }, answer } => {
                let result = match (scene.leader, group, to.0) {
                    (Some(1), 0, 1..=3) => Ok(()),
                    (Some(1), _, _) => Err(Refusal::NoSuchTarget),
                    _ => Err(Refusal::NoLeader),
                };
                if result.is_ok() {
                    scene.transfers.push((group, to.0));
                }
                let _ = answer.send(Reply::Transferred(result));
            }
            Ask::Call { request: Request::ChangeMembers { .. }, answer } => {
                let _ = answer.send(Reply::ChangeBegun(Err(Refusal::NoLeader)));
            }
            Ask::Call { request: Request::Operate(operate), answer } => {
                scene.seen.push(operate.clone());
                if let Some(reply) = operated(&mut store, &mut index, &scene.mood, operate) {
                    let _ = answer.send(reply);
                }
            }
        }
    }
}

fn operated(store: &mut MemoryStore, index: &mut u64, mood: &Mood, operate: Operate) -> Option<Reply> {
    let mut session = operate.session.clone();
    let refuse = |outcome| Some(Reply::Operated { outcome, session: operate.session.clone(), seen: None });
    match mood {
        Mood::Refuse(refusal) => return refuse(Outcome::Refused(refusal.clone())),
        Mood::Unknown => return refuse(Outcome::Unknown(Doubt::Deadline)),
        Mood::Gone => return None,
        Mood::Normal | Mood::Short | Mood::Silent => {}
    }
    let batch = &operate.batch;
    let writes = batch.commands.iter().any(|words| command::find(&words[0]).is_some_and(|spec| spec.write));
    let mut tally = Tally::default();
    let (value, replay_of, path) = if writes {
        *index += 1;
        let stamp = Stamp::new(Position { group: 0, term: 3, index: *index }, 1_000 + *index, 0);
        let applied = state::apply(store, SPACE, stamp, batch, Mutants::none());
        tally.durable(NodeId(1));
        if *mood != Mood::Short {
            tally.durable(NodeId(2));
        }
        (applied.value, applied.replay_of, Path::Log)
    } else {
        tally.answered(NodeId(1));
        let path = match operate.want.level() {
            Level::Linearizable | Level::Atomic | Level::Regular => Path::LeaderRound,
            Level::Session => Path::SessionReplica,
            Level::Eventual => Path::Replica,
        };
        if path == Path::LeaderRound {
            tally.answered(NodeId(3));
        }
        (state::read(store, SPACE, batch.table, &batch.commands, batch.transaction, 1_000, 1_000), None, path)
    };
    let position = Position { group: 0, term: 3, index: *index };
    let evidence =
        tally.settle(path, position, NodeId(1), [1, 2, 3].map(NodeId).into_iter().collect::<NodeSet>().into());
    let receipt = evidence.receipt(operate.want, 1_000 + *index);
    let receipt = replay_of.map_or(receipt, |first| receipt.replay_of(first));
    session.observe(0, *index);
    let outcome =
        if evidence.meets(operate.want) { Outcome::Done { value, receipt } } else { Outcome::Short { value, receipt } };
    Some(Reply::Operated { outcome, session, seen: None })
}

fn repair() -> RepairStatus {
    let pair = |with, stage, compared_ms: Option<u64>| PairStatus {
        table: TableId(256),
        name: "carts".to_string(),
        with: NodeId(with),
        stage,
        compared_ms,
        given_up: compared_ms.is_none(),
    };
    RepairStatus {
        node: NodeId(1),
        catalogue: 9,
        waits_for_life: false,
        every_ms: 10_000,
        progress: Progress { compared: 7, given_up: 2, keys_taken: 5, hints: 3, ..Progress::default() },
        pairs: vec![
            pair(2, RepairStage::Idle, Some(1_500)),
            pair(3, RepairStage::Underway { done: 12, of: 256 }, None),
        ],
        owed: vec![(NodeId(3), 3)],
        moving: vec![MoveStatus {
            table: TableId(256),
            name: "carts".to_string(),
            awaited: vec![NodeId(4)],
            compared: (3, 256),
            leaving: 12,
        }],
    }
}

fn status(leader: Option<u16>) -> Status {
    let group = GroupStatus {
        group: 0,
        role: if leader == Some(1) { Role::Leader } else { Role::Follower },
        term: 3,
        leader: leader.map(NodeId),
        first: 1,
        last: 12,
        durable: 12,
        commit: 11,
        applied: 10,
        log_time_ms: 1_010,
        followers: vec![
            FollowerStatus { node: NodeId(2), matched: 12, suspected: false },
            FollowerStatus { node: NodeId(3), matched: 4, suspected: true },
        ],
        voters: vec![NodeId(1), NodeId(2)],
        outgoing: vec![NodeId(1), NodeId(3)],
        learners: vec![NodeId(4)],
    };
    let peer = PeerStatus {
        node: NodeId(2),
        incarnation: Some(4),
        heard_ms: Some(80),
        level_hundredths: Some(42),
        round_trip_us: Some(310),
        clock: Some(Offset { ahead_ms: 903, give_or_take_ms: 2 }),
    };
    Status {
        node: NodeId(1),
        incarnation: 5,
        members: vec![NodeId(1), NodeId(2), NodeId(3)],
        calls: 2,
        groups: vec![group],
        peers: vec![peer],
        clock_out: Some(ClockOut { ahead_ms: -900, against: vec![NodeId(2), NodeId(3)], bound_ms: 500 }),
    }
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
    /// Is it a problem document with this status, name and word on whether it was applied?
    #[track_caller]
    pub fn is_problem(&self, status: u16, name: &str, applied: &str) -> Json {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["type"], format!("urn:quorate:{name}"), "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["applied"], applied, "{body}");
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        assert_eq!(body["retry_after_ms"].is_null(), self.header("retry-after").is_none(), "{self:?}");
        body
    }
}

/// A connection.
pub struct Client {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { stream, unread: Vec::new() }
    }

    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method, "PUT" | "POST") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.say(head.as_bytes());
        self.say(body);
        self.hear(method == "HEAD")
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Says as much as the other side takes; gives how much that was.
    pub fn say_some(&mut self, bytes: &[u8]) -> usize {
        let mut said = 0;
        while said < bytes.len() {
            match self.stream.write(&bytes[said..]) {
                Ok(0) | Err(_) => break,
                Ok(written) => said += written,
            }
        }
        said
    }

    pub fn hear(&mut self, head_only: bool) -> Answer {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            assert!(self.more() > 0, "the connection ended in a head: {:?}", String::from_utf8_lossy(&self.unread));
        };
        let head = String::from_utf8(self.unread.drain(..end + 4).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_string()))
            .collect();
        let length =
            headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
        let length: usize = if head_only { 0 } else { length };
        while self.unread.len() < length {
            assert!(self.more() > 0, "the connection ended in a body");
        }
        let body = self.unread.drain(..length).collect();
        Answer { status, headers, body }
    }

    /// Has the other side closed?
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.more() == 0
    }

    fn more(&mut self) -> usize {
        let mut buffer = [0; 64 * 1024];
        let read = self.stream.read(&mut buffer).unwrap_or_else(|why| panic!("nothing was heard: {why}"));
        self.unread.extend_from_slice(&buffer[..read]);
        read
    }
}
