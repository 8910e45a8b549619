//! A cluster that `quorate up` runs, on ports of its own.

use super::wait;
use quorate_client::{Client, Command as Words, Options};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A port block for each cluster of this test process, at a place that depends on the process.
static NEXT: AtomicU16 = AtomicU16::new(0);
const BLOCK: u16 = 24;

pub struct Cluster {
    pub directory: tempfile::TempDir,
    pub nodes: u16,
    pub resp: u16,
    pub http: u16,
    pub peer: u16,
    up: Option<Child>,
    said: Arc<Mutex<Vec<String>>>,
}

pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.env_remove("QUORATE_PASSWORD").stdin(Stdio::null());
    command
}

/// The first of a block of ports that are free now.
pub fn free_ports() -> u16 {
    let spread = (std::process::id() % 1_000) as u16 * BLOCK;
    loop {
        let offset = spread.wrapping_add(NEXT.fetch_add(BLOCK, Ordering::Relaxed)) % 20_000;
        let first = 12_000 + offset;
        if (first..first + BLOCK).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

impl Cluster {
    /// Three nodes that are ready.
    pub fn start() -> Cluster {
        Cluster::of(3)
    }

    pub fn of(nodes: u16) -> Cluster {
        let first = free_ports();
        let mut cluster = Cluster {
            directory: tempfile::tempdir().unwrap(),
            nodes,
            resp: first,
            http: first + BLOCK / 3,
            peer: first + 2 * BLOCK / 3,
            up: None,
            said: Arc::default(),
        };
        cluster.up();
        cluster
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The words that start it.
    pub fn up_command(&self) -> Command {
        let mut command = binary();
        command.arg("up").arg("--data").arg(self.data());
        for (option, value) in [
            ("--nodes", self.nodes),
            ("--resp-port", self.resp),
            ("--http-port", self.http),
            ("--peer-port", self.peer),
        ] {
            command.arg(option).arg(value.to_string());
        }
        command
    }

    /// Starts it, and waits until it says that it is ready.
    pub fn up(&mut self) {
        let mut child = self.up_command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    said.lock().unwrap().push(line);
                }
            });
        }
        self.said = said;
        self.up = Some(child);
        wait("the cluster is ready", || {
            let ended = self.up.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "`up` ended: {ended:?}: {:?}", self.said());
            self.said().iter().any(|line| line.contains("Ctrl-C")).then_some(())
        });
    }

    /// Every line that `up` printed.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    pub fn up_process(&self) -> u32 {
        self.up.as_ref().unwrap().id()
    }

    /// Asks it to stop, and waits.
    pub fn down(&mut self) -> ExitStatus {
        signal(self.up_process(), "TERM");
        self.ended()
    }

    /// Waits until it has stopped, and nothing of it is left.
    pub fn ended(&mut self) -> ExitStatus {
        let mut up = self.up.take().unwrap();
        let status = wait("the cluster stops", || up.try_wait().unwrap());
        for node in 1..=self.nodes {
            assert!(TcpListener::bind(("127.0.0.1", self.resp + node - 1)).is_ok(), "node {node} still listens");
        }
        status
    }

    pub fn address(&self, node: u16) -> String {
        format!("127.0.0.1:{}", self.resp + node - 1)
    }

    pub fn addresses(&self) -> Vec<String> {
        (1..=self.nodes).map(|node| self.address(node)).collect()
    }

    /// A client that begins with this node. It repeats nothing.
    pub fn client(&self, node: u16) -> Client {
        let mut addresses = self.addresses();
        addresses.rotate_left(usize::from(node - 1));
        Client::new(addresses, patient())
    }

    /// A client of this node alone.
    pub fn client_of(&self, node: u16) -> Client {
        Client::new([self.address(node)], patient())
    }

    pub fn redis(&self, node: u16) -> redis::Connection {
        let client = redis::Client::open(format!("redis://{}/", self.address(node))).unwrap();
        wait("a connection", || client.get_connection().ok())
    }

    /// Runs a verb of the command line on this cluster.
    pub fn quorate(&self, words: &[&str]) -> Output {
        let mut command = binary();
        command.args(words);
        for address in self.addresses() {
            command.arg("--addr").arg(address);
        }
        command.output().unwrap()
    }

    #[track_caller]
    pub fn fault(&self, words: &str) -> String {
        let output = self.try_fault(words);
        assert!(output.status.success(), "fault {words}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub fn try_fault(&self, words: &str) -> Output {
        let mut command = binary();
        command.arg("fault").args(words.split(' ')).arg("--data").arg(self.data()).output().unwrap()
    }

    /// What a node says of itself, if it answers.
    pub fn status(&self, node: u16) -> Option<Value> {
        let options = Options { deadline: Duration::from_millis(500), retry: false, ..Options::default() };
        let reply = Client::new([self.address(node)], options).call(&Words::new(["QUORATE", "STATUS"])).ok()?;
        serde_json::from_slice(reply.bytes()?).ok()
    }

    /// The leader that a majority of the nodes agrees on.
    pub fn leader(&self) -> u16 {
        wait("a leader", || self.leader_now())
    }

    pub fn leader_now(&self) -> Option<u16> {
        let seen: Vec<u64> = (1..=self.nodes)
            .filter_map(|node| self.status(node))
            .filter_map(|status| status["groups"][0]["leader"].as_u64())
            .collect();
        (1..=self.nodes).find(|node| {
            seen.iter().filter(|leader| **leader == u64::from(*node)).count() * 2 > usize::from(self.nodes)
        })
    }

    /// Moves leadership to a node.
    pub fn make_leader(&self, node: u16) {
        wait("leadership moves", || {
            let leader = self.leader_now()?;
            if leader == node {
                return Some(());
            }
            let words = ["QUORATE".to_owned(), "TRANSFER".to_owned(), "0".to_owned(), node.to_string()];
            let _ = self.client_of(leader).call(&Words::new(words));
            None
        });
    }

    /// Waits until a node has applied all that the others have.
    pub fn caught_up(&self, node: u16) {
        wait("a node catches up", || {
            let position = |node| self.status(node)?["groups"][0]["applied"].as_u64();
            let others = (1..=self.nodes).filter(|other| *other != node).filter_map(position).max()?;
            (position(node)? >= others).then_some(())
        });
    }

    pub fn process(&self, node: u16) -> u32 {
        let reply = self.client_of(node).call(&Words::new(["INFO", "server"])).unwrap();
        let info = reply.text().unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
        line.trim().parse().unwrap()
    }

    pub fn log(&self, node: u16) -> String {
        std::fs::read_to_string(self.data().join(format!("node-{node}/log"))).unwrap_or_default()
    }
}

fn patient() -> Options {
    Options { deadline: Duration::from_secs(5), retry: false, ..Options::default() }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(mut up) = self.up.take() else { return };
        signal(up.id(), "TERM");
        for _ in 0..1_000 {
            if matches!(up.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = up.kill();
        let _ = up.wait();
        if std::thread::panicking() {
            eprintln!("up said: {:#?}", self.said());
            for node in 1..=self.nodes {
                let log = self.log(node);
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("log of node {node}:\n  {}", tail.into_iter().rev().collect::<Vec<_>>().join("\n  "));
            }
        }
    }
}

pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().unwrap();
    assert!(sent.success(), "kill -{name} {process}");
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
