//! The systems that are compared: processes on loopback, with data in a directory that goes away.

use super::etcd;
use crate::run;
use quorate_client::{Client, Command as Words, Options};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Processes that end when the value is dropped.
pub struct Processes {
    children: Vec<Child>,
    directory: PathBuf,
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // `up` ends its nodes when it is told to stop.
            let _ = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
        }
        let deadline = Instant::now() + Duration::from_secs(15);
        for child in &mut self.children {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A fresh directory on the disk that holds the workspace, since that is what is measured.
fn fresh(name: &str) -> Result<PathBuf, String> {
    let directory = run::root().join("target").join("bench").join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    Ok(directory)
}

fn spawn(command: &mut Command, log: &Path) -> Result<Child, String> {
    let file = File::create(log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let copy = file.try_clone().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(copy).stderr(file);
    command.spawn().map_err(|error| format!("cannot start {}: {error}", run::line(command)))
}

/// Is a program installed?
pub fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn wait(what: &str, mut ready: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        if Instant::now() >= deadline {
            return Err(format!("waited a minute in vain: {what}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Quorate under `quorate up`.
pub struct Quorate {
    _processes: Processes,
    data: PathBuf,
    ports: u16,
    nodes: u16,
    /// From the start of the program to the first acknowledged write.
    pub first_write: Duration,
}

impl Quorate {
    /// A fresh cluster whose ports begin at `ports`.
    pub fn start(nodes: u16, groups: u16, ports: u16) -> Result<Quorate, String> {
        let directory = fresh("quorate")?;
        let data = directory.join("data");
        let mut command = Command::new(binary());
        command.arg("up").arg("--data").arg(&data);
        for (option, value) in [
            ("--nodes", nodes),
            ("--groups", groups),
            ("--resp-port", ports),
            ("--http-port", ports + 20),
            ("--peer-port", ports + 40),
        ] {
            command.arg(option).arg(value.to_string());
        }
        let start = Instant::now();
        let child = spawn(&mut command, &directory.join("log"))?;
        let processes = Processes { children: vec![child], directory };
        let mut quorate = Quorate { _processes: processes, data, ports, nodes, first_write: Duration::ZERO };
        wait("quorate serves", || quorate.client(1, 500).call(&Words::new(["SET", "first", "1"])).is_ok())?;
        quorate.first_write = start.elapsed();
        wait("quorate elects", || quorate.leader().is_some())?;
        Ok(quorate)
    }

    /// Where a node speaks the Redis protocol.
    pub fn address(&self, node: u16) -> String {
        format!("127.0.0.1:{}", self.ports + node - 1)
    }
    /// A client of one node, which repeats nothing.
    pub fn client(&self, node: u16, deadline_ms: u64) -> Client {
        let options = Options { deadline: Duration::from_millis(deadline_ms), retry: false, ..Options::default() };
        Client::new([self.address(node)], options)
    }
    /// The leader of the first group, as the nodes that answer agree.
    pub fn leader(&self) -> Option<u16> {
        (1..=self.nodes).find(|node| self.status(*node).is_some_and(|status| status["groups"][0]["role"] == "leader"))
    }
    /// A node that does not lead.
    pub fn follower(&self) -> Option<u16> {
        let leader = self.leader()?;
        (1..=self.nodes).find(|node| *node != leader)
    }
    fn status(&self, node: u16) -> Option<Value> {
        let reply = self.client(node, 500).call(&Words::new(["QUORATE", "STATUS"])).ok()?;
        serde_json::from_slice(reply.bytes()?).ok()
    }
    /// Waits until all nodes have applied the same, so that a kill finds the cluster whole.
    pub fn settle(&self) -> Result<(), String> {
        wait("quorate settles", || {
            let applied: Vec<Option<u64>> =
                (1..=self.nodes).map(|node| self.status(node)?["groups"][0]["applied"].as_u64()).collect();
            self.leader().is_some() && applied.iter().all(|position| position.is_some() && *position == applied[0])
        })
    }
    /// The process ids of the nodes that answer.
    pub fn processes(&self) -> Vec<u32> {
        let process = |node| {
            let info = self.client(node, 2_000).call(&Words::new(["INFO", "server"])).ok()?.text()?;
            info.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()
        };
        (1..=self.nodes).filter_map(process).collect()
    }
    /// Breaks something.
    pub fn fault(&self, words: &[&str]) -> Result<(), String> {
        let output = Command::new(binary()).arg("fault").args(words).arg("--data").arg(&self.data).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

pub fn binary() -> PathBuf {
    run::root().join("target/release/quorate")
}

/// Three nodes of etcd, as Debian has it, with its own defaults for durability.
pub struct Etcd {
    processes: Processes,
    ports: u16,
    /// From the start of the programs to the first acknowledged write.
    pub first_write: Duration,
}

impl Etcd {
    /// A fresh cluster whose ports begin at `ports`.
    pub fn start(ports: u16) -> Result<Etcd, String> {
        let directory = fresh("etcd")?;
        let peer = |node: u16| format!("http://127.0.0.1:{}", ports + 10 + node);
        let members: Vec<String> = (1..=3).map(|node| format!("n{node}={}", peer(node))).collect();
        let start = Instant::now();
        let mut processes = Processes { children: Vec::new(), directory: directory.clone() };
        for node in 1..=3u16 {
            let client = format!("http://127.0.0.1:{}", ports + node);
            let mut command = Command::new("etcd");
            command.arg("--name").arg(format!("n{node}")).arg("--data-dir").arg(directory.join(format!("n{node}")));
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--listen-peer-urls", &peer(node), "--initial-advertise-peer-urls", &peer(node)]);
            command.args(["--initial-cluster", &members.join(","), "--initial-cluster-state", "new"]);
            command.env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH);
            processes.children.push(spawn(&mut command, &directory.join(format!("log{node}")))?);
        }
        let mut etcd = Etcd { processes, ports, first_write: Duration::ZERO };
        wait("etcd serves", || etcd::put_once(&etcd.address(1)).is_ok())?;
        etcd.first_write = start.elapsed();
        Ok(etcd)
    }
    /// Where a node takes gRPC.
    pub fn address(&self, node: u16) -> String {
        format!("127.0.0.1:{}", self.ports + node)
    }
    /// The node that leads, so that its followers' forwarding is not measured.
    pub fn leader(&self) -> Result<u16, String> {
        let endpoints: Vec<String> = (1..=3).map(|node| self.address(node)).collect();
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &endpoints.join(","), "endpoint", "status", "-w", "json"]);
        let output = command.output().map_err(|error| format!("cannot run etcdctl: {error}"))?;
        let json: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let leads = |status: &Value| status["Status"]["leader"] == status["Status"]["header"]["member_id"];
        let list = json.as_array().ok_or("etcdctl told no list")?;
        let leader = list.iter().find(|status| leads(status)).ok_or("etcd has no leader")?;
        let endpoint = leader["Endpoint"].as_str().unwrap_or_default().to_owned();
        (1..=3).find(|node| self.address(*node) == endpoint).ok_or_else(|| format!("{endpoint} is none of ours"))
    }
    /// The process ids.
    pub fn processes(&self) -> Vec<u32> {
        self.processes.children.iter().map(Child::id).collect()
    }
}

/// One redis-server that syncs before it answers.
pub struct Redis {
    processes: Processes,
    port: u16,
}

impl Redis {
    /// A fresh server.
    pub fn start(port: u16) -> Result<Redis, String> {
        let directory = fresh("redis")?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]).arg(&directory);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        let child = spawn(&mut command, &directory.join("log"))?;
        let redis = Redis { processes: Processes { children: vec![child], directory }, port };
        wait("redis serves", || {
            Client::new([redis.address()], Options::default()).call(&Words::new(["PING"])).is_ok()
        })?;
        Ok(redis)
    }
    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
    /// The process id.
    pub fn processes(&self) -> Vec<u32> {
        self.processes.children.iter().map(Child::id).collect()
    }
}
