//! `quorate up`

use crate::access::{HTTP_PORT, NODES, RESP_PORT};
use crate::cluster::control::{self, Asked};
use crate::cluster::layout::{self, Layout, Ports};
use crate::cluster::supervise::{Event, Supervisor};
use crate::exit::{Failure, Outcome};
use crate::paint;
use clap::Args;
use quorate_server::config::{self, Config, Listen};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

/// Start a cluster on this machine: several nodes, data on disk, until Ctrl-C
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate up
  quorate up --nodes 5 --data /tmp/five --resp-port 9000 --http-port 9100

Node i (from 0) listens on each port plus i, on loopback only. The first Ctrl-C or SIGTERM stops the nodes in order,
a second one kills them; what was acknowledged is on disk either way. A second `up` on the same data continues where
it stopped. Each node writes its log to DIR/node-N/log.")]
pub struct Up {
    /// How many nodes [default: 3, or as many as the data directory holds]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=quorate_core::limits::NODE_ID_MAX as i64))]
    nodes: Option<u16>,
    /// Consensus groups that share the keys; fixed for the life of the data [default: 1, or as before]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=quorate_core::limits::GROUPS as i64))]
    groups: Option<u16>,
    /// Where the data is, and the log of each node
    #[arg(long, value_name = "DIR", default_value = "./quorate-data")]
    data: PathBuf,
    /// The first port of the Redis protocol [default: 7379, or as last time]
    #[arg(long, value_name = "PORT")]
    resp_port: Option<u16>,
    /// The first port of HTTP [default: 7070, or as last time]
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// The first port between nodes [default: the first port of the Redis protocol plus 1000, or as last time]
    #[arg(long, value_name = "PORT")]
    peer_port: Option<u16>,
}

/// What `up` remembers in the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    cluster: String,
    nodes: u16,
    groups: u16,
    resp_port: u16,
    http_port: u16,
    peer_port: u16,
}

const MEMORY: &str = "up.toml";

impl Up {
    pub fn run(self) -> Outcome {
        let start = Instant::now();
        let before = self.remembered()?;
        let memory = self.decide(before.as_ref())?;
        let ports = Ports { resp: memory.resp_port, http: memory.http_port, peer: memory.peer_port };
        let layout = Layout::new(&self.data, memory.nodes, ports)?;
        // The lock lives in the directory, so that comes first; of the cluster nothing is written yet.
        let fail = |error: std::io::Error| Failure::machine(format!("cannot use {}: {error}", self.data.display()));
        fs::create_dir_all(&self.data).map_err(fail)?;
        let _lock = lock(&layout)?;
        layout.check_ports()?;
        for member in &layout.members {
            fs::create_dir_all(&member.directory).map_err(fail)?;
            layout::write(&member.config(), &configuration(&memory, &layout, member))?;
        }
        if before.as_ref() != Some(&memory) {
            let text = toml::to_string(&memory).expect("numbers and a name become TOML");
            layout::write(&self.data.join(MEMORY), &text)?;
        }

        let (events, received) = mpsc::channel();
        let stop = events.clone();
        ctrlc::set_handler(move || drop(stop.send(Event::Stop)))
            .map_err(|error| Failure::machine(format!("cannot wait for signals: {error}")))?;
        let supervisor = Supervisor::start(&layout, received)?;
        control::listen(&self.data, move |asked: Asked| events.send(Event::Asked(asked)).is_ok())?;
        greet(&layout, &supervisor, start);
        let exit = supervisor.run();
        let _ = fs::remove_file(layout::socket(&self.data));
        Ok(exit)
    }

    fn remembered(&self) -> Result<Option<Memory>, Failure> {
        let path = self.data.join(MEMORY);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return self.must_be_fresh().map(|()| None),
            Err(error) => return Err(Failure::machine(format!("cannot read {}: {error}", path.display()))),
        };
        let memory = toml::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is damaged: {}", path.display(), error.message()))
                .hint("put the file right, or start afresh with another --data DIR")
        })?;
        Ok(Some(memory))
    }

    /// A directory that holds something else is none of ours.
    fn must_be_fresh(&self) -> Result<(), Failure> {
        let entries = match fs::read_dir(&self.data) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Failure::machine(format!("cannot use {}: {error}", self.data.display()))),
        };
        let foreign = |name: &str| name != "up.lock" && name != "up.sock" && !name.starts_with("node-");
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        match names.into_iter().find(|name| foreign(name)) {
            None => Ok(()),
            Some(name) => {
                let what = format!("{} holds {name:?} and no cluster of `quorate up`", self.data.display());
                Err(Failure::usage(what).hint("name an empty or a new directory with --data DIR"))
            }
        }
    }

    fn decide(&self, before: Option<&Memory>) -> Result<Memory, Failure> {
        if let Some(before) = before {
            for (option, asked, held, what) in [
                ("--nodes", self.nodes, before.nodes, "nodes"),
                ("--groups", self.groups, before.groups, "consensus groups"),
            ] {
                if let Some(asked) = asked.filter(|asked| *asked != held) {
                    let what = format!(
                        "{} holds a cluster with {what}: {held}; that is fixed, and {option} {asked} cannot change it",
                        self.data.display(),
                    );
                    return Err(Failure::usage(what)
                        .hint(format!("leave {option} out, or start a new cluster with another --data DIR")));
                }
            }
        }
        let resp_port = self.resp_port.or(before.map(|before| before.resp_port)).unwrap_or(RESP_PORT);
        let beside = || resp_port.checked_add(1_000).or(resp_port.checked_sub(1_000)).unwrap_or(resp_port);
        // Peer ports follow the other ports when those move, unless they were chosen.
        let peer_port = match (self.peer_port, before) {
            (Some(port), _) => port,
            (None, Some(before)) if before.resp_port == resp_port => before.peer_port,
            (None, _) => beside(),
        };
        Ok(Memory {
            cluster: before.map_or_else(new_name, |before| before.cluster.clone()),
            nodes: self.nodes.or(before.map(|before| before.nodes)).unwrap_or(NODES),
            groups: self.groups.or(before.map(|before| before.groups)).unwrap_or(1),
            resp_port,
            http_port: self.http_port.or(before.map(|before| before.http_port)).unwrap_or(HTTP_PORT),
            peer_port,
        })
    }
}

/// A name that no other cluster has.
fn new_name() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("local-{random:016x}")
}

fn lock(layout: &Layout) -> Result<File, Failure> {
    let path = layout.lock();
    let fail = |error: std::io::Error| Failure::machine(format!("cannot lock {}: {error}", path.display()));
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let what = format!("a cluster is already up in {}", layout.directory.display());
            Err(Failure::machine(what).hint("use that one (`quorate status`), stop it, or name another --data DIR"))
        }
        Err(TryLockError::Error(error)) => Err(fail(error)),
    }
}

/// The configuration of one node, as text.
fn configuration(memory: &Memory, layout: &Layout, member: &layout::Member) -> String {
    let local = |port: u16| format!("127.0.0.1:{port}");
    let known = |member: &layout::Member| config::Member {
        node: member.id,
        peer: local(member.peer),
        resp: Some(local(member.resp)),
        http: Some(local(member.http)),
    };
    let config = Config {
        node: member.id,
        cluster: memory.cluster.clone(),
        data: member.directory.join("data"),
        listen: Listen { resp: local(member.resp), http: local(member.http), peer: local(member.peer) },
        members: layout.members.iter().map(known).collect(),
        join: false,
        groups: memory.groups,
        tables: Vec::new(),
        security: config::Security::default(),
        timing: config::Timing::default(),
        disk: config::Disk::default(),
        repair: config::Repair::default(),
        limits: config::Limits::default(),
        faults_allowed: true,
    };
    format!("# Written by `quorate up` at every start; changes are overwritten.\n{}", config.to_text())
}

fn greet(layout: &Layout, supervisor: &Supervisor, start: Instant) {
    let [first, ..] = &layout.members[..] else { return };
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} {} nodes, data in {}, ready after {seconds:.1} s\n",
        paint::bold("quorate is up:"),
        layout.members.len(),
        layout.directory.display(),
    );
    let mut rows = vec![["node", "redis protocol", "http", "process"].map(str::to_owned).to_vec()];
    for (member, process) in layout.members.iter().zip(supervisor.processes()) {
        rows.push(vec![
            member.id.to_string(),
            member.address(),
            format!("http://127.0.0.1:{}", member.http),
            process.map_or_else(String::new, |id| id.to_string()),
        ]);
    }
    print!("{}", paint::table(&rows));
    let place = if first.resp == RESP_PORT { String::new() } else { format!(" --addr {}", first.address()) };
    let data = if layout.directory == Path::new("./quorate-data") {
        String::new()
    } else {
        format!(" --data {}", layout.directory.display())
    };
    println!("\nTry:");
    for line in [
        format!("redis-cli -p {} SET greeting hello", first.resp),
        format!("curl http://127.0.0.1:{}/v1/keys/greeting", first.http),
        format!("quorate get greeting --receipt{place}"),
        format!("quorate fault partition 1/2,3{data}   and then   quorate fault heal{data}"),
    ] {
        println!("  {}", paint::bold(&line));
    }
    println!("\nCtrl-C stops the nodes; the data stays.\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(nodes: Option<u16>, resp_port: Option<u16>) -> Up {
        Up { nodes, groups: None, data: "d".into(), resp_port, http_port: None, peer_port: None }
    }

    #[test]
    fn what_was_decided_once_is_kept() {
        let first = up(Some(5), Some(9_000)).decide(None).expect("valid");
        assert_eq!((first.nodes, first.resp_port, first.http_port, first.peer_port), (5, 9_000, 7_070, 10_000));
        assert_eq!(up(None, None).decide(Some(&first)), Ok(first.clone()));
        let moved = up(None, Some(9_500)).decide(Some(&first)).expect("valid");
        assert_eq!((moved.cluster.as_str(), moved.resp_port, moved.peer_port), (first.cluster.as_str(), 9_500, 10_500));
    }

    #[test]
    fn another_number_of_nodes_is_refused() {
        let first = up(None, None).decide(None).expect("valid");
        let failure = up(Some(5), None).decide(Some(&first)).expect_err("5 is not 3");
        assert!(failure.what.contains("nodes: 3; that is fixed"), "{}", failure.what);
    }

    #[test]
    fn a_directory_with_something_else_in_it_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let up = Up { data: directory.path().to_owned(), ..up(None, None) };
        assert_eq!(up.remembered(), Ok(None));
        fs::write(directory.path().join("thesis.tex"), "").expect("written");
        assert!(up.remembered().is_err_and(|failure| failure.what.contains("thesis.tex")));
    }
}
