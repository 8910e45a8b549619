//! The event loop: sockets and disk on one side, the machine on the other.
//!
//! One thread owns everything. A turn of the loop: wait for something; read what has arrived and step the machine with
//! it; wake the machine while it is due, which is how it batches what a burst caused; hand all writes to the operating
//! system at once; let the effects go that may leave now, one write for each socket; and sync if something waits for it.
//! Decision record 0003 tells why.

mod calls;
pub mod clock;
pub mod engine;
pub mod storage;
pub mod watch;

use crate::fault::LinkRules;
use crate::front::{Clients, Issue, Question, Raised, Shared};
use crate::handle::Ask;
use crate::metrics::Metrics;
use crate::peer::{Arrival, Peers};
use crate::token::Source;
use calls::{Calls, Owner};
use clock::Clock;
use engine::{Effect, Engine, SyncMode};
use mio::{Events, Poll};
use quorate_core::catalogue::Catalogue;
use quorate_core::machine::{Input, Machine, Mono, Now};
use quorate_core::node::Message;
use quorate_core::operation::{Outcome, Reply, Request, Value};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;
use storage::{Storage, StorageFailed};
use watch::Watch;

/// Events taken from the operating system at once.
const EVENTS: usize = 1_024;
/// How often a machine that is due is woken in one turn.
const WAKES: usize = 8;
/// The longest wait, so that a lost event cannot hold the loop up for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The parts that a loop is made of.
pub struct Parts<M: Machine, S> {
    /// Where events come from. Everything else is registered with it.
    pub poll: Poll,
    /// The machine and its store.
    pub engine: Engine<M, S>,
    /// The clients.
    pub clients: Clients,
    /// The peers.
    pub peers: Peers,
    /// What clients share.
    pub shared: Shared,
    /// What other threads ask.
    pub asks: Receiver<Ask>,
    /// The clocks.
    pub clock: Clock,
    /// How syncs run.
    pub sync: SyncMode,
    /// What the machine knows of tables that were made at run time.
    pub catalogue: fn(&M) -> &Catalogue,
}

/// The loop.
pub struct Driver<M: Machine, S> {
    parts: Parts<M, S>,
    calls: Calls,
    watch: Watch,
    now: Now,
    raised: Vec<Raised>,
    arrivals: Vec<Arrival>,
    effects: Vec<Effect<Reply, Message>>,
    /// More clients may be knocking than were let in.
    knocking: bool,
    /// Something was left for the next turn, which must not wait.
    busy: bool,
    stopping: bool,
}

impl<M, S> Driver<M, S>
where
    M: Machine<Request = Request, Reply = Reply, Message = Message>,
    S: Storage,
{
    /// A loop that has not begun.
    pub fn new(parts: Parts<M, S>) -> Driver<M, S> {
        let now = parts.clock.now();
        Driver {
            parts,
            calls: Calls::default(),
            watch: Watch::default(),
            now,
            raised: Vec::new(),
            arrivals: Vec::new(),
            effects: Vec::new(),
            knocking: false,
            busy: false,
            stopping: false,
        }
    }

    /// Runs until it is told to stop, or until the disk fails. After a failure nothing leaves the node any more.
    pub fn run(mut self) -> Result<(), StorageFailed> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.stopping {
            self.turn(&mut events)?;
        }
        self.parts.engine.write_out()?;
        self.parts.engine.close()
    }

    fn turn(&mut self, events: &mut Events) -> Result<(), StorageFailed> {
        let timeout = self.timeout();
        if let Err(error) = self.parts.poll.poll(events, Some(timeout))
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            panic!("waiting for events failed: {error}");
        }
        self.read_clocks();
        self.busy = false;
        let mut woken = false;
        for event in events.iter() {
            let closed = event.is_read_closed() || event.is_error();
            match Source::of(event.token()) {
                Source::Waker => woken = true,
                Source::ClientListener => self.knocking = true,
                Source::PeerListener => self.parts.peers.accept(self.now.mono),
                Source::Client(at) => {
                    let readable = event.is_readable() || closed;
                    self.parts.clients.ready(at, readable, closed, &mut self.parts.shared, &mut self.raised);
                    self.step_raised()?;
                }
                Source::Peer(at) => {
                    let metrics = &mut self.parts.shared.metrics;
                    self.parts.peers.ready(at, closed, self.now.mono, &mut self.arrivals, metrics);
                    self.step_arrivals()?;
                }
            }
        }
        self.go_on()?;
        if woken {
            self.answer_threads()?;
            self.parts.engine.poll_synced(self.now)?;
        }
        self.settle()
    }

    /// Does what earlier turns left.
    fn go_on(&mut self) -> Result<(), StorageFailed> {
        if self.knocking {
            self.knocking = self.parts.clients.accept(&mut self.parts.shared);
        }
        if self.parts.clients.has_unread() {
            self.parts.clients.read_on(&mut self.parts.shared, &mut self.raised);
            self.step_raised()?;
        }
        if self.parts.peers.has_unread() {
            self.parts.peers.read_on(self.now.mono, &mut self.arrivals, &mut self.parts.shared.metrics);
        }
        self.parts.peers.tick(self.now.mono, &mut self.arrivals);
        self.parts.clients.tick(self.now.mono, &mut self.parts.shared);
        self.step_arrivals()?;
        if self.watch.is_due(self.now.mono) {
            let call = self.calls.begin(Owner::Watch);
            self.parts.engine.step(self.now, Input::Request { call, request: Request::Status })?;
        }
        Ok(())
    }

    /// Wakes the machine, writes, lets effects go, and syncs.
    fn settle(&mut self) -> Result<(), StorageFailed> {
        loop {
            self.parts.engine.wake(self.now, WAKES)?;
            self.parts.engine.write_out()?;
            self.learn_tables();
            self.let_go();
            if self.raised.is_empty() {
                break;
            }
            self.step_raised()?;
        }
        match self.parts.sync {
            SyncMode::Thread => {
                self.parts.engine.request_sync()?;
                self.flush();
            }
            // The loop is about to wait for the disk, so what may leave leaves first.
            SyncMode::Inline => {
                self.flush();
                if self.parts.engine.wants_sync() {
                    self.parts.engine.sync_now(self.now)?;
                    self.busy = true;
                }
            }
        }
        // A link that broke while it was written to is told to the machine.
        self.busy |= !self.arrivals.is_empty();
        self.step_arrivals()
    }

    /// Tells clients the tables before they hear that one was made, and links to the members.
    fn learn_tables(&mut self) {
        let catalogue = (self.parts.catalogue)(self.parts.engine.machine());
        if catalogue.version() != self.parts.shared.catalogue.version() {
            self.parts.shared.catalogue = catalogue.clone();
            let members = catalogue.members().iter().map(|(&node, member)| (node, &*member.address));
            self.parts.peers.follow(members, self.now.mono, &mut self.arrivals);
        }
    }

    fn flush(&mut self) {
        self.parts.peers.flush(self.now.mono, &mut self.arrivals);
        self.parts.clients.flush(self.now.mono, &mut self.parts.shared);
    }

    /// Lets effects go that may leave.
    fn let_go(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        self.parts.engine.take_leaving(&mut effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(to, message) => {
                    let metrics = &mut self.parts.shared.metrics;
                    self.parts.peers.send(to, &message, self.now.mono, metrics);
                }
                Effect::Answer(call, reply) => match self.calls.end(call) {
                    Some(Owner::Client { client, id, slot }) => {
                        let place = (client, id, slot);
                        self.parts.clients.complete(place, reply, &mut self.parts.shared, &mut self.raised);
                    }
                    Some(Owner::Thread(answer)) => {
                        count(&reply, &mut self.parts.shared.metrics);
                        let _ = answer.send(reply);
                    }
                    Some(Owner::Watch) => {
                        if let Some(line) = self.watch.see(&reply) {
                            line.log();
                        }
                    }
                    None => {}
                },
            }
        }
        self.effects = effects;
    }

    /// Asks the machine what clients ask.
    fn step_raised(&mut self) -> Result<(), StorageFailed> {
        let mut raised = std::mem::take(&mut self.raised);
        for Raised { client, id, issue: Issue { slot, question } } in raised.drain(..) {
            match question {
                Question::Machine(request) => {
                    if matches!(request, Request::Status) {
                        self.parts.shared.metrics = self.metrics();
                    }
                    let call = self.calls.begin(Owner::Client { client, id, slot });
                    self.parts.engine.step(self.now, Input::Request { call, request })?;
                }
                Question::Clients => {
                    let value = self.parts.clients.list(self.parts.shared.now_us);
                    self.complete_value((client, id, slot), value);
                }
                Question::Faults(rules) => {
                    self.set_faults(rules);
                    self.complete_value((client, id, slot), Value::OK);
                }
            }
        }
        // What completing a value raised is kept for the next round.
        raised.append(&mut self.raised);
        self.raised = raised;
        Ok(())
    }

    fn complete_value(&mut self, place: (usize, u64, u64), value: Value) {
        self.parts.clients.complete_value(place, value, &mut self.parts.shared, &mut self.raised);
    }

    fn step_arrivals(&mut self) -> Result<(), StorageFailed> {
        for arrival in self.arrivals.drain(..) {
            let input = match arrival {
                Arrival::Message(from, message) => Input::Message { from, message },
                Arrival::Lost(peer) => Input::Lost { peer },
            };
            self.parts.engine.step(self.now, input)?;
        }
        Ok(())
    }

    fn answer_threads(&mut self) -> Result<(), StorageFailed> {
        loop {
            match self.parts.asks.try_recv() {
                Ok(Ask::Call { request, answer }) => {
                    let call = self.calls.begin(Owner::Thread(answer));
                    self.parts.engine.step(self.now, Input::Request { call, request })?;
                }
                Ok(Ask::Metrics { answer }) => {
                    let _ = answer.send(self.metrics());
                }
                Ok(Ask::Faults { rules, answer }) => {
                    self.set_faults(rules);
                    let _ = answer.send(());
                }
                Ok(Ask::Stop) => self.stopping = true,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn set_faults(&mut self, rules: LinkRules) {
        self.parts.peers.set_rules(rules);
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.parts.shared.metrics;
        metrics.steps = self.parts.engine.steps();
        metrics.peers_connected = self.parts.peers.connected() as u64;
        metrics.uptime_us = self.parts.shared.now_us;
        self.parts.engine.store().count(&mut metrics);
        metrics
    }

    fn read_clocks(&mut self) {
        self.now = self.parts.clock.now();
        self.parts.shared.now_us = self.now.mono.0.saturating_sub(clock::BEGIN_US);
    }

    /// How long the next turn may wait.
    fn timeout(&self) -> Duration {
        let left = self.busy || self.knocking || !self.raised.is_empty();
        if left || self.parts.clients.has_unread() || self.parts.peers.has_unread() {
            return Duration::ZERO;
        }
        let machine = self.parts.engine.wake_at().map(|wake| wake.at);
        let next = [machine, self.parts.peers.wake_at(), self.parts.clients.wake_at()].into_iter().flatten().min();
        let now = self.parts.clock.mono();
        next.map_or(LONGEST_WAIT, |Mono(at)| Duration::from_micros(at.saturating_sub(now.0))).min(LONGEST_WAIT)
    }
}

fn count(reply: &Reply, metrics: &mut Metrics) {
    metrics.answered += 1;
    if let Reply::Operated { outcome, .. } = reply {
        match outcome {
            Outcome::Done { .. } => {}
            Outcome::Refused(_) => metrics.refused += 1,
            Outcome::Short { .. } | Outcome::Unknown(_) => metrics.uncertain += 1,
        }
    }
}
