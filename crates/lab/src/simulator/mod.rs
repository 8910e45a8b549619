//! A cluster of any machine in simulated time: every event, fault and choice follows from one seed.
//!
//! [`Simulator::advance`] does the next event and says what happened; whoever drives it looks at the hosts between two
//! events, gives clients their replies, and judges.

mod clock;
mod disk;
mod faults;
mod host;
mod network;
mod queue;

pub use clock::{Clock, EPOCH_MS};
pub use disk::{Disk, KeyLaw, Recorder, Survivor};
pub use network::{LinkRule, Network, Weather};

use crate::digest::Digest;
use crate::fault::Fault;
use host::Host;
use queue::Queue;
use quorate_core::machine::{CallId, Input, Leave, Machine, Mono, NodeId, Step, Turn};
use quorate_core::random::Random;
use quorate_core::store::Seq;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

/// A machine that the simulator can hold.
pub trait Subject:
    Machine<Config: Clone, Request: Clone + Hash + Debug, Reply: Clone + Hash + Debug, Message: Clone + Hash + Debug>
{
    /// The configuration of the next life of a host.
    fn reborn(config: &Self::Config, incarnation: u64) -> Self::Config;
    /// Why a key must not be written, if so (law L8).
    fn key_law(key: &[u8]) -> Option<String> {
        let _ = key;
        None
    }
}

/// How hosts behave when no fault says otherwise. Times in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Habits {
    /// The network.
    pub weather: Weather,
    /// The least time of a sync.
    pub sync_us: u64,
    /// Up to this much more, evenly.
    pub sync_jitter_us: u64,
    /// How often writes that nobody waits for are synced; 0 for never.
    pub background_sync_us: u64,
    /// This many of a thousand wakes come late.
    pub late_wake_per_mille: u64,
    /// Up to this much late.
    pub late_wake_us: u64,
    /// After this many of a thousand steps a wake comes that nobody asked for.
    pub spurious_wake_per_mille: u64,
    /// When a process ends, this many of a thousand peers hear of it.
    pub lost_hint_per_mille: u64,
    /// The most messages and replies that one step may cause (law L7).
    pub effects_bound: usize,
}

impl Default for Habits {
    fn default() -> Habits {
        Habits {
            weather: Weather::default(),
            sync_us: 500,
            sync_jitter_us: 1_500,
            background_sync_us: 500_000,
            late_wake_per_mille: 20,
            late_wake_us: 20_000,
            spurious_wake_per_mille: 5,
            lost_hint_per_mille: 500,
            effects_bound: 10_000,
        }
    }
}

/// What [`Simulator::advance`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A node consumed an input.
    Stepped(NodeId),
    /// More writes of a node survive power loss, and it heard so.
    Synced(NodeId),
    /// A node started from its disk.
    Booted(NodeId),
    /// The power of a node went.
    Crashed(NodeId),
    /// Another fault struck or was mended.
    Faulted,
    /// Nothing that a judge could see.
    Nothing,
}

/// A reply that reached its client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answered<Reply> {
    /// When, in microseconds.
    pub at_us: u64,
    /// The node that answered.
    pub node: NodeId,
    /// Its life.
    pub incarnation: u64,
    /// The call.
    pub call: CallId,
    /// What the client hears.
    pub reply: Reply,
}

enum Event<M: Machine> {
    Deliver { from: NodeId, to: NodeId, message: M::Message },
    Call { to: NodeId, call: CallId, request: M::Request },
    Lost { to: NodeId, peer: NodeId },
    Wake { node: NodeId, life: u64, spurious: bool },
    SyncEnds { node: NodeId, life: u64, upto: Seq },
    BackgroundSync { node: NodeId, life: u64 },
    Fault(Fault),
}

/// The cluster and its world.
pub struct Simulator<M: Subject> {
    /// How hosts behave when no fault says otherwise; the network has its own copy of the weather.
    pub habits: Habits,
    /// The links.
    pub network: Network,
    /// Replies that nobody has taken yet.
    pub answers: Vec<Answered<M::Reply>>,
    /// Laws that were broken, in the order in which it was noticed.
    pub violations: Vec<String>,
    /// The faults that struck, and when, in microseconds.
    pub struck: Vec<(u64, Fault)>,
    /// The nodes whose disks were lost or set back, and when, in microseconds.
    pub replaced: Vec<(u64, NodeId)>,
    /// What happened, one line each, when a trace was asked for.
    pub trace: Option<Vec<String>>,
    seed: u64,
    now_us: u64,
    queue: Queue<Event<M>>,
    hosts: BTreeMap<NodeId, Host<M>>,
    world: Random,
    digest: Digest,
    steps: u64,
    open_calls: BTreeMap<NodeId, BTreeSet<CallId>>,
    turn: Turn<M::Reply, M::Message>,
}

impl<M: Subject> Simulator<M> {
    /// Starts a cluster with empty disks.
    pub fn new(seed: u64, habits: Habits, configs: Vec<(NodeId, M::Config)>) -> Simulator<M> {
        let mut root = Random::new(seed);
        let network = Network::new(root.fork(), habits.weather.clone());
        let mut simulator = Simulator {
            habits,
            network,
            answers: Vec::new(),
            violations: Vec::new(),
            struck: Vec::new(),
            replaced: Vec::new(),
            trace: None,
            seed,
            now_us: 0,
            queue: Queue::default(),
            hosts: BTreeMap::new(),
            world: root.fork(),
            digest: Digest::default(),
            steps: 0,
            open_calls: BTreeMap::new(),
            turn: Turn::default(),
        };
        for (node, config) in configs {
            let random = Random::new(Digest::of(&(seed, node, "disk")));
            let mono_us = simulator.world.below(1 << 40);
            simulator.hosts.insert(node, Host::new(config, Clock::new(0, mono_us), random));
            simulator.boot(node);
        }
        simulator
    }

    /// True time since the start, in microseconds.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }
    /// When the next event is due.
    pub fn next_at(&self) -> Option<u64> {
        self.queue.next_at()
    }
    /// Steps so far, of all nodes together.
    pub fn steps(&self) -> u64 {
        self.steps
    }
    /// A hash of every turn so far: its writes, messages, replies and haste.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }
    /// The nodes, up or down.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.hosts.keys().copied()
    }
    /// The machine of a node, unless it is down.
    pub fn machine(&self, node: NodeId) -> Option<&M> {
        self.host(node).life.as_ref().map(|life| &life.machine)
    }
    /// The disk of a node.
    pub fn disk(&self, node: NodeId) -> &Disk {
        &self.host(node).disk
    }
    /// How many times a node has started.
    pub fn incarnation(&self, node: NodeId) -> u64 {
        self.host(node).incarnation
    }
    /// When a node last consumed an input.
    pub fn stepped_us(&self, node: NodeId) -> Option<u64> {
        self.host(node).stepped_us
    }
    /// Is the node stopped by a pause?
    pub fn is_paused(&self, node: NodeId) -> bool {
        self.host(node).paused
    }
    /// The clocks of a node, as they stand.
    pub fn clock(&self, node: NodeId) -> &Clock {
        &self.host(node).clock
    }

    /// A client asks a node at a time. Call ids must not repeat. If the node is down then, nothing answers.
    pub fn call(&mut self, at_us: u64, to: NodeId, call: CallId, request: M::Request) {
        self.queue.push(at_us.max(self.now_us), Event::Call { to, call, request });
    }
    /// A fault strikes at a time.
    pub fn schedule(&mut self, at_us: u64, fault: Fault) {
        self.queue.push(at_us.max(self.now_us), Event::Fault(fault));
    }
    /// Time passes until a moment without an event before it.
    pub fn idle_until(&mut self, at_us: u64) {
        debug_assert!(self.next_at().is_none_or(|next| next >= at_us));
        self.now_us = self.now_us.max(at_us);
    }
    /// Does all events up to a time, the last instant included.
    pub fn run_until(&mut self, at_us: u64) {
        while self.next_at().is_some_and(|next| next <= at_us) {
            self.advance();
        }
        self.now_us = self.now_us.max(at_us);
    }

    /// Does the next event.
    pub fn advance(&mut self) -> Happening {
        let Some((at_us, event)) = self.queue.pop() else { return Happening::Nothing };
        self.now_us = at_us;
        match event {
            Event::Deliver { from, to, message } => self.offer(to, Input::Message { from, message }),
            Event::Call { to, call, request } => {
                if self.host(to).life.is_none() {
                    return Happening::Nothing;
                }
                self.open_calls.entry(to).or_default().insert(call);
                self.offer(to, Input::Request { call, request })
            }
            Event::Lost { to, peer } => self.offer(to, Input::Lost { peer }),
            Event::Wake { node, life, spurious } => self.wake(node, life, spurious),
            Event::SyncEnds { node, life, upto } => self.sync_ends(node, life, upto),
            Event::BackgroundSync { node, life } => {
                if self.is_life(node, life) {
                    self.begin_sync(node);
                    let again = self.now_us + self.habits.background_sync_us;
                    self.queue.push(again, Event::BackgroundSync { node, life });
                }
                Happening::Nothing
            }
            Event::Fault(fault) => self.inject(&fault),
        }
    }

    /// Gives an input to a node that may be down (it is lost) or paused (it waits).
    fn offer(&mut self, node: NodeId, input: Input<M::Request, M::Message>) -> Happening {
        let host = self.host_mut(node);
        if host.life.is_none() {
            return Happening::Nothing;
        }
        if host.paused {
            host.waiting.push(input);
            return Happening::Nothing;
        }
        self.step(node, input);
        Happening::Stepped(node)
    }

    fn wake(&mut self, node: NodeId, life: u64, spurious: bool) -> Happening {
        if !self.is_life(node, life) || self.host(node).paused {
            return Happening::Nothing;
        }
        let now_us = self.now_us;
        if spurious {
            self.step(node, Input::Wake);
            return Happening::Stepped(node);
        }
        let host = self.host_mut(node);
        let shown = host.clock.now(now_us).mono;
        let life = host.life.as_mut().expect("this life goes on");
        if life.wake_at != Some(now_us) {
            return Happening::Nothing;
        }
        life.wake_at = None;
        if life.machine.wake_at().is_some_and(|wake| wake.at <= shown) {
            self.step(node, Input::Wake);
            Happening::Stepped(node)
        } else {
            self.arrange_wake(node, now_us);
            Happening::Nothing
        }
    }

    fn sync_ends(&mut self, node: NodeId, life: u64, upto: Seq) -> Happening {
        if !self.is_life(node, life) {
            return Happening::Nothing;
        }
        let now_us = self.now_us;
        let host = self.host_mut(node);
        if host.stalled_until > now_us {
            let at = host.stalled_until;
            self.queue.push(at, Event::SyncEnds { node, life, upto });
            return Happening::Nothing;
        }
        if host.paused {
            // The kernel goes on without the process, which hears of it late.
            host.disk.sync(upto);
            host.waiting.push(Input::Synced { upto });
            host.life.as_mut().expect("this life goes on").syncing = false;
            return Happening::Nothing;
        }
        host.disk.sync(upto);
        let life = host.life.as_mut().expect("this life goes on");
        life.syncing = false;
        self.step(node, Input::Synced { upto });
        Happening::Synced(node)
    }

    fn begin_sync(&mut self, node: NodeId) {
        let (now_us, habits) = (self.now_us, &self.habits);
        let (least, jitter) = (habits.sync_us, habits.sync_jitter_us);
        let host = self.host_mut(node);
        let upto = host.disk.written();
        if upto <= host.disk.synced() {
            return;
        }
        let more = if jitter == 0 { 0 } else { host.random.below(jitter) };
        let ends = now_us.max(host.stalled_until) + least + more + host.slow_us;
        let life = host.incarnation;
        let state = host.life.as_mut().expect("only a node that is up syncs");
        if state.syncing {
            state.hurry_again = true;
            return;
        }
        state.syncing = true;
        self.queue.push(ends, Event::SyncEnds { node, life, upto });
    }

    /// One step of a node that is up: the driver's part of the contract is kept and the machine's is checked.
    fn step(&mut self, node: NodeId, input: Input<M::Request, M::Message>) {
        if self.trace.is_some() && !matches!(input, Input::Wake) {
            self.note(|| format!("{} <- {input:?}", node.0));
        }
        let again = match input {
            Input::Synced { upto } => {
                self.release(node, upto);
                self.host_mut(node).life.as_mut().is_some_and(|life| std::mem::take(&mut life.hurry_again))
            }
            Input::Request { .. } | Input::Message { .. } | Input::Lost { .. } | Input::Wake => false,
        };
        let now_us = self.now_us;
        let mut turn = std::mem::take(&mut self.turn);
        let host = self.hosts.get_mut(&node).expect("a known node");
        let life = host.life.as_mut().expect("only a node that is up steps");
        let spins = life.count_wake(matches!(input, Input::Wake), now_us);
        let written = host.disk.written();
        let now = host.clock.now(now_us);
        self.steps += 1;
        host.stepped_us = Some(now_us);
        self.digest.write_u16(node.0);
        let mut recorder = host.disk.record(&mut self.digest).under(Some(M::key_law));
        life.machine.step(&mut Step::open(now, written, &mut recorder, &mut life.random, &mut turn), input);
        let (undo, refused) = recorder.finish();
        turn.hash(&mut self.digest);
        let wrote = !undo.is_empty();
        let expected = if turn.wrote { host.disk.close(undo) } else { written };
        let turn_wrote = turn.wrote;
        if spins {
            self.violations.push(format!("L7: node {} wakes for ever without an input between", node.0));
        }
        if let Some(why) = refused {
            self.violations.push(format!("L8: node {}: {why}", node.0));
        }
        if turn.after != expected || (wrote && !turn_wrote) {
            self.violations
                .push(format!("L5: node {}: effects wait for {:?} instead of {expected:?}", node.0, turn.after));
        }
        if turn.sends.len() + turn.answers.len() > self.habits.effects_bound {
            let count = turn.sends.len() + turn.answers.len();
            self.violations.push(format!("L7: node {}: {count} effects in one step", node.0));
        }
        self.dispatch(node, &mut turn);
        if turn.hurry || again {
            self.begin_sync(node);
        }
        self.turn = turn;
        self.arrange_wake(node, now_us);
        if self.world.chance(self.habits.spurious_wake_per_mille) {
            let at = now_us + self.world.below(5_000);
            let life = self.host(node).incarnation;
            self.queue.push(at, Event::Wake { node, life, spurious: true });
        }
    }

    fn dispatch(&mut self, node: NodeId, turn: &mut Turn<M::Reply, M::Message>) {
        let after = turn.after;
        let synced = self.host(node).disk.synced();
        for send in turn.sends.drain(..) {
            if send.to == node || !self.hosts.contains_key(&send.to) {
                let (to, message) = (send.to.0, &send.message);
                self.violations.push(format!("L8: node {} sends to {to}, which is no peer: {message:?}", node.0));
            } else if send.leave == Leave::Now || after <= synced {
                self.transmit(node, send.to, send.message);
            } else if let Some(life) = &mut self.host_mut(node).life {
                life.held_sends.push_back((after, send.to, send.message));
            }
        }
        for answer in turn.answers.drain(..) {
            if answer.leave == Leave::Now || after <= synced {
                self.deliver_answer(node, answer.call, answer.reply);
            } else if let Some(life) = &mut self.host_mut(node).life {
                life.held_answers.push_back((after, answer.call, answer.reply));
            }
        }
    }

    fn release(&mut self, node: NodeId, upto: Seq) {
        loop {
            let life = self.host_mut(node).life.as_mut().expect("a node that is up");
            if life.held_sends.front().is_none_or(|(after, ..)| *after > upto) {
                break;
            }
            let (_, to, message) = life.held_sends.pop_front().expect("just seen");
            self.transmit(node, to, message);
        }
        loop {
            let life = self.host_mut(node).life.as_mut().expect("a node that is up");
            if life.held_answers.front().is_none_or(|(after, ..)| *after > upto) {
                break;
            }
            let (_, call, reply) = life.held_answers.pop_front().expect("just seen");
            self.deliver_answer(node, call, reply);
        }
    }

    fn transmit(&mut self, from: NodeId, to: NodeId, message: M::Message) {
        let [first, second] = self.network.carry(self.now_us, from, to);
        if first.is_none() {
            self.note(|| format!("{} -> {} lost: {message:?}", from.0, to.0));
        }
        if let Some(at) = second {
            self.queue.push(at, Event::Deliver { from, to, message: message.clone() });
        }
        if let Some(at) = first {
            self.queue.push(at, Event::Deliver { from, to, message });
        }
    }

    fn deliver_answer(&mut self, node: NodeId, call: CallId, reply: M::Reply) {
        if !self.open_calls.get_mut(&node).is_some_and(|open| open.remove(&call)) {
            self.violations.push(format!("node {} answers call {}, which is not open", node.0, call.0));
        }
        self.note(|| format!("{} answers call {}: {reply:?}", node.0, call.0));
        let incarnation = self.host(node).incarnation;
        self.answers.push(Answered { at_us: self.now_us, node, incarnation, call, reply });
    }

    fn arrange_wake(&mut self, node: NodeId, from_us: u64) {
        let late = if self.world.chance(self.habits.late_wake_per_mille) {
            self.world.below(self.habits.late_wake_us.max(1))
        } else {
            0
        };
        let host = self.host_mut(node);
        let incarnation = host.incarnation;
        let Some(life) = &mut host.life else { return };
        let Some(wake) = life.machine.wake_at() else { return };
        let shown: Mono = host.clock.now(from_us).mono;
        let due = if wake.at <= shown {
            from_us + u64::from(life.wakes_in_a_row > 0)
        } else {
            let Some(due) = host.clock.when(wake.at) else { return };
            due.max(from_us)
        };
        let at = due + late;
        if life.wake_at.is_none_or(|planned| at < planned) {
            life.wake_at = Some(at);
            self.queue.push(at, Event::Wake { node, life: incarnation, spurious: false });
        }
    }

    fn rearrange_wake(&mut self, node: NodeId) {
        let now_us = self.now_us;
        if let Some(life) = &mut self.host_mut(node).life {
            life.wake_at = None;
        }
        self.arrange_wake(node, now_us);
    }

    fn is_life(&self, node: NodeId, life: u64) -> bool {
        let host = self.host(node);
        host.life.is_some() && host.incarnation == life
    }
    fn host(&self, node: NodeId) -> &Host<M> {
        self.hosts.get(&node).expect("a known node")
    }
    fn host_mut(&mut self, node: NodeId) -> &mut Host<M> {
        self.hosts.get_mut(&node).expect("a known node")
    }
    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9}.{:03} {}", self.now_us / 1000, self.now_us % 1000, line()));
        }
    }
}
