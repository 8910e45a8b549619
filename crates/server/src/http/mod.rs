//! HTTP and JSON, for programs that speak no Redis protocol and for people with curl.
//!
//! One thread with a runtime of its own serves all of it and talks to the event loop through [`Handle`] only, so a slow
//! or hostile client costs the node's loop nothing but the calls that it makes.
//!
//! - Single keys carry raw bytes in the body; batches carry JSON (`json` says how bytes travel there).
//! - Every failure is `application/problem+json` and says whether the operation was applied ([`problem`]).
//! - [`routes::ROUTES`] is the one table behind the router, the OpenAPI document and the page at `/`.

mod admit;
mod base64;
mod batch;
mod body;
mod connection;
mod json;
mod keys;
mod members;
mod metrics;
mod node;
mod openapi;
mod operate;
mod percent;
mod problem;
mod repair;
mod routes;
mod tables;
mod texts;
mod wire;

pub use json::bytes as bytes_json;

use crate::handle::Handle;
use quorate_core::limits;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// What the HTTP side knows of its node.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The cluster, which session tokens are bound to.
    pub cluster: u64,
    /// The cluster's name for people.
    pub cluster_name: String,
    /// The node.
    pub node: u16,
    /// Clients must give this as `Authorization: Bearer …`.
    pub password: Option<String>,
    /// May clients injure the links?
    pub faults_allowed: bool,
    /// Names of the tables, in the order of their ids.
    pub tables: Vec<String>,
    /// Bounds.
    pub bounds: HttpBounds,
}

impl HttpSettings {
    /// For a node of a cluster; everything else as in an empty configuration.
    pub fn new(cluster: u64, node: u16, tables: Vec<String>) -> HttpSettings {
        HttpSettings {
            cluster,
            cluster_name: String::new(),
            node,
            password: None,
            faults_allowed: false,
            tables,
            bounds: HttpBounds::default(),
        }
    }
}

/// Bounds of the HTTP side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpBounds {
    /// Open connections. One more is told so and closed.
    pub connections: usize,
    /// Bytes of a request's line and headers.
    pub head_bytes: usize,
    /// Bytes of one request's body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are held at one time. Beyond it requests are refused.
    pub bodies_bytes: usize,
    /// The head of a request must be complete this long after the connection is ready for it; so an idle connection is
    /// closed after this long.
    pub head_timeout: Duration,
    /// A body in either direction must move this often.
    pub stall_timeout: Duration,
    /// The body of a request must be complete after this long.
    pub body_timeout: Duration,
}

impl Default for HttpBounds {
    fn default() -> HttpBounds {
        HttpBounds {
            connections: 1_024,
            head_bytes: 80 * 1024,
            body_bytes: limits::REQUEST_BYTES,
            bodies_bytes: 256 * 1024 * 1024,
            head_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
        }
    }
}

/// What all requests share.
#[derive(Debug)]
struct Site {
    handle: Handle,
    settings: HttpSettings,
    /// Reachable from this machine only.
    loopback: bool,
    bodies: Held,
}

/// Bytes of request bodies that are held in memory.
#[derive(Clone, Debug, Default)]
struct Held(Arc<AtomicUsize>);

/// Gives its bytes back when it is dropped.
#[derive(Debug)]
struct Share {
    held: Held,
    bytes: usize,
}

impl Held {
    fn share(&self) -> Share {
        Share { held: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Takes more, if all together stay within the bound.
    fn grow(&mut self, bytes: usize, bound: usize) -> bool {
        let before = self.held.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before + bytes <= bound
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Serves until `stop` says true or its sender is gone. Blocks the thread that calls it.
///
/// Fails if the runtime cannot start or the listener cannot be used.
pub fn serve(
    listener: TcpListener,
    handle: Handle,
    settings: HttpSettings,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    listener.set_nonblocking(true)?;
    let loopback = listener.local_addr()?.ip().is_loopback();
    let site = Arc::new(Site { handle, settings, loopback, bodies: Held::default() });
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        connection::accept(listener, site, stop).await;
        Ok(())
    })
}

/// A thread that serves.
#[derive(Debug)]
pub struct Serving {
    stop: watch::Sender<bool>,
    thread: std::thread::JoinHandle<std::io::Result<()>>,
}

/// Serves on a thread of its own.
pub fn spawn(listener: TcpListener, handle: Handle, settings: HttpSettings) -> std::io::Result<Serving> {
    let (stop, stopped) = watch::channel(false);
    let run = move || serve(listener, handle, settings, stopped);
    let thread = std::thread::Builder::new().name("http".to_string()).spawn(run)?;
    Ok(Serving { stop, thread })
}

impl Serving {
    /// Takes no more connections, gives requests in progress a moment, and ends.
    pub fn stop(self) -> std::io::Result<()> {
        let _ = self.stop.send(true);
        self.thread.join().map_err(|_| std::io::Error::other("the HTTP thread panicked"))?
    }
}
