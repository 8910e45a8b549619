//! The files and ports of a cluster on this machine.

use crate::exit::Failure;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// The ports that a cluster starts from: node i, counted from 0, listens on each plus i.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The Redis protocol.
    pub resp: u16,
    /// HTTP.
    pub http: u16,
    /// Between nodes.
    pub peer: u16,
}

/// One node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number, from 1.
    pub id: u16,
    /// Its directory.
    pub directory: PathBuf,
    /// The Redis protocol.
    pub resp: u16,
    /// HTTP.
    pub http: u16,
    /// Between nodes.
    pub peer: u16,
}

/// A cluster and where it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The data directory of the cluster.
    pub directory: PathBuf,
    /// The nodes.
    pub members: Vec<Member>,
}

impl Layout {
    /// The layout of a cluster of so many nodes.
    ///
    /// # Errors
    /// When ports would run beyond 65535 or into each other.
    pub fn new(directory: &Path, nodes: u16, ports: Ports) -> Result<Layout, Failure> {
        for (port, option) in [(ports.resp, "--resp-port"), (ports.http, "--http-port"), (ports.peer, "--peer-port")] {
            if port == 0 || port.checked_add(nodes - 1).is_none() {
                return Err(Failure::usage(format!(
                    "{nodes} ports from {port} on do not exist; choose another {option}"
                )));
            }
        }
        let member = |at: u16| Member {
            id: at + 1,
            directory: directory.join(format!("node-{}", at + 1)),
            resp: ports.resp + at,
            http: ports.http + at,
            peer: ports.peer + at,
        };
        let layout = Layout { directory: directory.to_owned(), members: (0..nodes).map(member).collect() };
        let mut taken = std::collections::BTreeMap::new();
        for (port, option, id) in layout.ports() {
            if let Some((other, who)) = taken.insert(port, (option, id)) {
                let what = format!("port {port} is wanted twice: by node {who} ({other}) and by node {id} ({option})");
                return Err(Failure::usage(what).hint("choose port options that are further apart"));
            }
        }
        Ok(layout)
    }

    /// Tries every port, so that nothing is started when one is in use.
    pub fn check_ports(&self) -> Result<(), Failure> {
        for (port, option, id) in self.ports() {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                let what = format!("node {id} cannot listen on 127.0.0.1:{port}: {error}; nothing was started");
                return Err(Failure::machine(what)
                    .hint(format!("stop what listens there (is another cluster up?), or choose another {option}")));
            }
        }
        Ok(())
    }

    /// The lock that says that a cluster is up here.
    pub fn lock(&self) -> PathBuf {
        self.directory.join("up.lock")
    }

    /// Every port with the option that moves it and the node that wants it.
    fn ports(&self) -> impl Iterator<Item = (u16, &'static str, u16)> + '_ {
        self.members.iter().flat_map(|member| {
            [(member.resp, "--resp-port"), (member.http, "--http-port"), (member.peer, "--peer-port")]
                .map(|(port, option)| (port, option, member.id))
        })
    }
}

/// The name of a node's configuration in its directory.
pub const CONFIG: &str = "quorate.toml";

/// Where `fault` finds the cluster.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("up.sock")
}

impl Member {
    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.directory.join(CONFIG)
    }
    /// What it prints.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
    /// Where the Redis protocol is spoken.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.resp)
    }
}

/// Writes a file whole or not at all.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let draft = path.with_extension("draft");
    fs::write(&draft, text)
        .and_then(|()| fs::rename(&draft, path))
        .map_err(|error| Failure::machine(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_do_not_exist_or_collide_are_refused() {
        let layout = |nodes, resp, http, peer| Layout::new(Path::new("x"), nodes, Ports { resp, http, peer });
        assert_eq!(layout(3, 7379, 7070, 8379).map(|layout| layout.members[2].http), Ok(7072));
        assert!(layout(3, 65534, 7070, 8379).is_err_and(|failure| failure.what.contains("--resp-port")));
        assert!(layout(3, 0, 7070, 8379).is_err());
        assert!(layout(3, 7379, 7381, 8379).is_err_and(|failure| failure.what.contains("7381 is wanted twice")));
    }

    #[test]
    fn a_port_in_use_is_named_with_its_option() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let far = if port < 30_000 { 40_000 } else { 20_000 };
        let layout = Layout::new(Path::new("x"), 1, Ports { resp: far, http: port, peer: far + 1 }).expect("valid");
        let failure = layout.check_ports().expect_err("the port is in use");
        assert!(failure.what.contains(&port.to_string()), "{}", failure.what);
        assert!(failure.hint.is_some_and(|hint| hint.contains("--http-port")));
    }
}
