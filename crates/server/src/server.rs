//! From a configuration to a running node.

use crate::config::{Config, ConfigError};
use crate::disk::{DataDir, Disk, DiskError, Identity as DiskIdentity, OpenError};
use crate::driver::clock::Clock;
use crate::driver::engine::Engine;
use crate::driver::storage::{Storage, StorageFailed};
use crate::driver::{Driver, Parts};
use crate::front::{Bounds, Clients, Shared};
use crate::handle::{Ask, Handle};
use crate::http::{self, HttpSettings, Serving};
use crate::metrics::Metrics;
use crate::peer::Peers;
use crate::peer::handshake::Identity;
use crate::token::Source;
use mio::{Poll, Waker};
use quorate_core::machine::NodeId;
use quorate_core::node::{self, Node};
use quorate_core::random::Random;
use quorate_core::store::Seq;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 1_024;

/// Why a node does not start, or has ended.
#[derive(Debug)]
pub enum ServerError {
    /// The configuration contradicts itself.
    Config(ConfigError),
    /// An address cannot be listened on.
    Listen {
        /// The option that names it.
        option: &'static str,
        /// The address.
        address: String,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The data directory cannot be opened.
    Open(OpenError),
    /// The operating system refused something else.
    System {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        error: std::io::Error,
    },
    /// The disk has failed.
    Disk(StorageFailed),
    /// A defect of the program ended the loop.
    Defect,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Config(error) => error.fmt(f),
            ServerError::Listen { option, address, error } if error.kind() == std::io::ErrorKind::AddrInUse => {
                write!(f, "{address} is in use by another program: stop it, or name another port with {option}")
            }
            ServerError::Listen { option, address, error } => {
                write!(f, "{address} cannot be listened on: {error} (the option is {option})")
            }
            ServerError::Open(error) => error.fmt(f),
            ServerError::System { doing, error } => write!(f, "{doing} failed: {error}"),
            ServerError::Disk(error) => error.fmt(f),
            ServerError::Defect => f.write_str("this node has stopped because of a defect; the log says where"),
        }
    }
}

impl std::error::Error for ServerError {}

/// A running node.
pub struct Server {
    /// The way into the event loop.
    pub handle: Handle,
    /// Where clients of the Redis protocol are served.
    pub resp: SocketAddr,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where peers are served.
    pub peer: SocketAddr,
    serving: Serving,
    thread: JoinHandle<Result<(), StorageFailed>>,
}

impl Server {
    /// Starts a node: checks the configuration, takes the ports, opens the data directory, and begins.
    pub fn start(config: &Config) -> Result<Server, ServerError> {
        config.check().map_err(ServerError::Config)?;
        let resp = listen("listen.resp", &config.listen.resp)?;
        let http = listen("listen.http", &config.listen.http)?;
        let peer = listen("listen.peer", &config.listen.peer)?;
        let poll = system("making a poll", Poll::new())?;
        let waker = Arc::new(system("making a waker", Waker::new(poll.registry(), Source::Waker.token()))?);
        let identity = DiskIdentity { cluster: config.cluster_id(), node: config.node };
        let directory = DataDir::open(&config.data, &identity).map_err(ServerError::Open)?;
        let incarnation = directory.incarnation();
        let wake = waker.clone();
        let wake = Arc::new(move || {
            let _ = wake.wake();
        });
        let disk = Disk::open(directory, config.disk.options(), wake).map_err(ServerError::Open)?;
        start_with(config, incarnation, disk, Listeners { resp, http, peer }, (poll, waker))
    }

    /// Waits until the node has ended.
    pub fn join(self) -> Result<(), ServerError> {
        let ended = self.thread.join();
        if let Err(error) = self.serving.stop() {
            tracing::warn!("HTTP did not end in order: {error}");
        }
        match ended {
            Ok(result) => result.map_err(ServerError::Disk),
            Err(_) => Err(ServerError::Defect),
        }
    }

    /// Has the node ended?
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

struct Listeners {
    resp: TcpListener,
    http: TcpListener,
    peer: TcpListener,
}

fn start_with<S: Storage + Send + 'static>(
    config: &Config,
    incarnation: u64,
    store: S,
    listeners: Listeners,
    (poll, waker): (Poll, Arc<Waker>),
) -> Result<Server, ServerError> {
    let mut random = Random::new(seed()?);
    let address = |listener: &TcpListener| system("asking for an address", listener.local_addr());
    let Listeners { resp, http, peer } = listeners;
    let (resp_address, http_address, peer_address) = (address(&resp)?, address(&http)?, address(&peer)?);
    let (asks_in, asks) = channel();
    let handle = Handle::new(asks_in, waker.clone());
    let registry = || system("watching sockets", poll.registry().try_clone());
    let clients = system("watching for clients", Clients::new(resp, registry()?))?;
    let identity = Identity {
        cluster: config.cluster_id(),
        node: NodeId(config.node),
        incarnation,
        secret: config.security.peer_secret.clone().unwrap_or_default().into_bytes(),
    };
    let addresses = config.members.iter().map(|member| (NodeId(member.node), member.peer.clone())).collect();
    let peers = Peers::new(identity, (addresses, config.join), Some(peer), registry()?, waker, random.next());
    let peers = system("watching for peers", peers)?;
    let shared = shared(config, resp_address.port());
    let node = NodeConfig { config: config.node_config(incarnation), seed: random.next() };
    let clock = Clock::start(config.timing.clock_uncertainty_ms);
    let sync = config.disk.sync;
    let begin = move || run(node, store, Rest { poll, clients, peers, shared, asks, clock, sync });
    let thread = std::thread::Builder::new().name("quorate-loop".into()).spawn(begin);
    let thread = system("starting a thread", thread)?;
    let serving = system("starting HTTP", http::spawn(http, handle.clone(), http_settings(config)))?;
    Ok(Server { handle, resp: resp_address, http: http_address, peer: peer_address, serving, thread })
}

struct NodeConfig {
    config: node::Config,
    seed: u64,
}

struct Rest {
    poll: Poll,
    clients: Clients,
    peers: Peers,
    shared: Shared,
    asks: Receiver<Ask>,
    clock: Clock,
    sync: crate::driver::engine::SyncMode,
}

fn run<S: Storage>(node: NodeConfig, store: S, rest: Rest) -> Result<(), StorageFailed> {
    let Rest { poll, clients, peers, shared, asks, clock, sync } = rest;
    let engine = Engine::<Node, S>::boot(&node.config, clock.now(), store, node.seed);
    tracing::info!("node {} of cluster {:016x} runs", node.config.node.0, node.config.cluster);
    let result =
        Driver::new(Parts { poll, engine, clients, peers, shared, asks, clock, sync, catalogue: Node::catalogue })
            .run();
    match &result {
        Ok(()) => tracing::info!("node {} has ended in order", node.config.node.0),
        Err(error) => tracing::error!("node {} stops for good: {error}", node.config.node.0),
    }
    result
}

fn shared(config: &Config, port: u16) -> Shared {
    let mut shared = Shared::new(config.cluster_id(), config.node);
    shared.cluster_name = config.cluster.clone();
    shared.password = config.security.password.clone();
    shared.databases = config.databases();
    shared.tables = table_names(config);
    shared.port = port;
    shared.faults_allowed = config.faults_allowed;
    shared.bounds = Bounds {
        connections: config.limits.connections,
        pipeline: config.limits.pipeline,
        output_bytes: config.limits.output_bytes,
    };
    shared
}

fn http_settings(config: &Config) -> HttpSettings {
    let tables = table_names(config);
    HttpSettings {
        cluster_name: config.cluster.clone(),
        password: config.security.password.clone(),
        faults_allowed: config.faults_allowed,
        ..HttpSettings::new(config.cluster_id(), config.node, tables)
    }
}

fn table_names(config: &Config) -> Vec<String> {
    config.node_config(0).tables.into_iter().map(|table| table.name).collect()
}

fn listen(option: &'static str, address: &str) -> Result<TcpListener, ServerError> {
    let failed = |error| ServerError::Listen { option, address: address.to_string(), error };
    let listener = TcpListener::bind(address).map_err(failed)?;
    // A burst of clients must not be turned away because the queue is as short as it is by default.
    rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
    Ok(listener)
}

fn seed() -> Result<u64, ServerError> {
    let failed = |error: getrandom::Error| ServerError::System {
        doing: "asking for random numbers",
        error: std::io::Error::other(error.to_string()),
    };
    getrandom::u64().map_err(failed)
}

fn system<T>(doing: &'static str, result: std::io::Result<T>) -> Result<T, ServerError> {
    result.map_err(|error| ServerError::System { doing, error })
}

fn failed(error: DiskError) -> StorageFailed {
    StorageFailed(error.to_string())
}

impl Storage for Disk {
    fn written(&self) -> Seq {
        Disk::written(self)
    }
    fn end_turn(&mut self, seq: Seq) -> Result<(), StorageFailed> {
        Disk::end_turn(self, seq, true).map_err(failed)
    }
    fn write_out(&mut self) -> Result<(), StorageFailed> {
        self.flush_frames().map_err(failed)
    }
    fn request_sync(&mut self, upto: Seq) -> Result<(), StorageFailed> {
        Disk::request_sync(self, upto).map_err(failed)
    }
    fn poll_synced(&mut self) -> Result<Seq, StorageFailed> {
        Disk::poll_synced(self).map_err(failed)
    }
    fn sync_now(&mut self) -> Result<Seq, StorageFailed> {
        Disk::sync_now(self).map_err(failed)
    }
    fn count(&self, metrics: &mut Metrics) {
        let disk = self.metrics();
        metrics.journal_bytes = disk.journal_bytes;
        metrics.overlay_bytes = disk.overlay_bytes + disk.frozen_bytes;
        metrics.syncs = disk.syncs;
        metrics.sync_us_total = disk.sync_us_total;
        metrics.sync_us_max = disk.sync_us_max;
    }
    fn close(self) -> Result<(), StorageFailed> {
        Disk::close(self).map_err(failed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::driver::engine::SyncMode;
    use crate::driver::storage::MemoryDisk;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn start(disk: MemoryDisk, sync: SyncMode) -> Server {
        let mut config = Config::parse(Config::example()).unwrap();
        config.members.truncate(1);
        config.disk.sync = sync;
        let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Source::Waker.token()).unwrap());
        start_with(&config, 1, disk, Listeners { resp: listener(), http: listener(), peer: listener() }, (poll, waker))
            .unwrap()
    }

    #[test]
    fn an_inline_sync_serves() {
        let server = start(MemoryDisk::default(), SyncMode::Inline);
        let mut socket = TcpStream::connect(server.resp).unwrap();
        socket.write_all(b"SET k v\r\nGET k\r\nINCR n\r\n").unwrap();
        let mut reply = [0; 16];
        socket.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"+OK\r\n$1\r\nv\r\n:1\r\n");
        server.handle.stop();
        server.join().unwrap();
    }

    #[test]
    fn a_failed_disk_ends_the_node_and_nothing_is_acknowledged() {
        let server = start(MemoryDisk::with(false, true), SyncMode::Inline);
        let mut reply = Vec::new();
        // The node may be gone before the connection is made: even becoming leader is a write.
        if let Ok(mut socket) = TcpStream::connect(server.resp) {
            let _ = socket.write_all(b"SET k v\r\n");
            let _ = socket.read_to_end(&mut reply);
        }
        assert!(reply.is_empty());
        let error = server.join().unwrap_err();
        assert!(matches!(&error, ServerError::Disk(_)), "{error}");
    }
}
