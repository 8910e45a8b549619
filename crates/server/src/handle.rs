//! The way into the event loop for other threads: HTTP, signals, tests.

use crate::fault::LinkRules;
use crate::metrics::Metrics;
use quorate_core::operation::{Reply, Request};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tokio::sync::oneshot;

/// What other threads ask of the event loop.
#[derive(Debug)]
pub enum Ask {
    /// A client call.
    Call {
        /// What is asked.
        request: Request,
        /// Where the reply goes. A dropped receiver is no error.
        answer: oneshot::Sender<Reply>,
    },
    /// A copy of the counters.
    Metrics {
        /// Where it goes.
        answer: oneshot::Sender<Metrics>,
    },
    /// Replaces the faults on this node's outgoing links.
    Faults {
        /// The rules.
        rules: LinkRules,
        /// Told when they are in force.
        answer: oneshot::Sender<()>,
    },
    /// Syncs, closes and ends.
    Stop,
}

/// A cheap copy of the way in.
#[derive(Clone, Debug)]
pub struct Handle {
    asks: Sender<Ask>,
    waker: Arc<mio::Waker>,
}

/// The event loop has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this node is stopping")
    }
}

impl std::error::Error for Stopped {}

impl Handle {
    /// A way into the loop that owns the other end of `asks` and polls `waker`.
    pub fn new(asks: Sender<Ask>, waker: Arc<mio::Waker>) -> Handle {
        Handle { asks, waker }
    }
    /// Makes a call and waits for its reply.
    pub async fn call(&self, request: Request) -> Result<Reply, Stopped> {
        self.ask(|answer| Ask::Call { request, answer }).await
    }
    /// Takes a copy of the counters.
    pub async fn metrics(&self) -> Result<Metrics, Stopped> {
        self.ask(|answer| Ask::Metrics { answer }).await
    }
    /// Replaces the faults on this node's outgoing links.
    pub async fn set_faults(&self, rules: LinkRules) -> Result<(), Stopped> {
        self.ask(|answer| Ask::Faults { rules, answer }).await
    }
    /// Asks the loop to sync, close and end.
    pub fn stop(&self) {
        let _ = self.asks.send(Ask::Stop);
        let _ = self.waker.wake();
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Stopped> {
        let (answer, reply) = oneshot::channel();
        self.asks.send(make(answer)).map_err(|_| Stopped)?;
        self.waker.wake().map_err(|_| Stopped)?;
        reply.await.map_err(|_| Stopped)
    }
}
