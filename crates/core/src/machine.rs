//! The boundary: what goes into a state machine, and what comes out.
//!
//! Laws, tested by one harness in the lab on every [`Machine`]:
//!
//! - **L1** The same config, disk and inputs give the same turns.
//! - **L2** One step is one atomic batch of writes.
//! - **L3** Memory is disposable: a `boot` after a crash between any two steps is legal.
//! - **L4** Spurious wakes and doubled messages change nothing that matters.
//! - **L5** `Synced` names a prefix of the writes; only a step that wrote takes a [`Seq`]; a `…_synced` effect of a
//!   step without writes waits for the last step that wrote.
//! - **L6** A step cannot fail: failed reads and failed syncs are the driver's, and crash the node.
//! - **L7** Effects per step and every table of things in flight are bounded (`limits`).
//! - **L8** A room stays in its drawer of the store and in its variant of the message.
//! - **L9** No safety argument uses the clock of another node.

use crate::random::Random;
use crate::store::{Seq, Store, View};
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A member of the cluster: 1 to [`crate::limits::NODE_ID_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u16);

/// Names one client call, so that its reply finds its way back. Chosen by the driver, unique within one life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u64);

/// Monotonic time of one host in microseconds. Never compared across nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// This moment and `us` microseconds.
    pub fn after_us(self, us: u64) -> Mono {
        Mono(self.0.saturating_add(us))
    }
    /// This moment and `ms` milliseconds.
    pub fn after_ms(self, ms: u64) -> Mono {
        self.after_us(ms.saturating_mul(1000))
    }
}

/// Wall-clock time as an interval, in milliseconds since 1970. It may lie; it never decides safety.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wall {
    /// No earlier than this, if the clock is right.
    pub earliest_ms: u64,
    /// No later than this, if the clock is right.
    pub latest_ms: u64,
}

impl Wall {
    /// The middle of the interval: what the clock shows.
    pub fn shown_ms(self) -> u64 {
        self.earliest_ms + self.latest_ms.saturating_sub(self.earliest_ms) / 2
    }
}

/// The two clocks of a host at the start of a step. The lab skews them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// For timeouts.
    pub mono: Mono,
    /// For log time and for people.
    pub wall: Wall,
}

/// Everything the world can tell a machine. Closed on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<Request, Message> {
    /// A client asks.
    Request {
        /// Where the reply goes.
        call: CallId,
        /// What is asked.
        request: Request,
    },
    /// A peer speaks. Messages may be lost, late, doubled or reordered.
    Message {
        /// Who speaks.
        from: NodeId,
        /// What is said.
        message: Message,
    },
    /// Every write up to here now survives power loss.
    Synced {
        /// The last such write.
        upto: Seq,
    },
    /// The transport believes that a peer's process has ended. Only a hint: it may be wrong, and safety never depends on it.
    Lost {
        /// The peer.
        peer: NodeId,
    },
    /// Time passed. A spurious wake is harmless.
    Wake,
}

/// When a machine next wants [`Input::Wake`], and why. A moment that is not in the future means: as soon as the inputs
/// that have already arrived were stepped. That is how a machine batches what a burst of inputs caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The moment.
    pub at: Mono,
    /// The reason, for people who watch.
    pub why: &'static str,
}

/// When an effect may leave the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leave {
    /// At the end of the step.
    Now,
    /// Once [`Turn::after`] is synced.
    AfterSync,
}

/// A message on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Send<Message> {
    /// The receiver, never the sender itself.
    pub to: NodeId,
    /// What is said.
    pub message: Message,
    /// When it may leave.
    pub leave: Leave,
}

/// A reply on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer<Reply> {
    /// The call that is answered. Each call is answered at most once.
    pub call: CallId,
    /// The reply.
    pub reply: Reply,
    /// When it may leave.
    pub leave: Leave,
}

/// What one step asks of the world. The writes went straight to the [`Store`]; the driver closes them into one batch
/// when the step ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turn<Reply, Message> {
    /// True when the step wrote, and so took the `Seq` that it was given.
    pub wrote: bool,
    /// The write that effects marked [`Leave::AfterSync`] wait for.
    pub after: Seq,
    /// True when the machine waits for [`Input::Synced`]. Writes of a turn that does not hurry may be synced later,
    /// with the next that does.
    pub hurry: bool,
    /// Messages, in the order of sending.
    pub sends: Vec<Send<Message>>,
    /// Replies, in the order of answering.
    pub answers: Vec<Answer<Reply>>,
}

impl<Reply, Message> Default for Turn<Reply, Message> {
    fn default() -> Self {
        Turn { wrote: false, after: Seq(0), hurry: false, sends: Vec::new(), answers: Vec::new() }
    }
}

/// Anything that lives on a node: the whole node, one protocol alone, or a naive variant in a lesson.
pub trait Machine: Sized {
    /// What does not change during one life: who we are, who the others are, timings.
    type Config;
    /// What clients ask.
    type Request;
    /// What clients hear.
    type Reply;
    /// What peers tell each other.
    type Message;
    /// Builds the machine from what survived. A crash is `drop`, then `boot`. Boot writes nothing.
    fn boot(config: &Self::Config, now: Now, disk: &dyn View) -> Self;
    /// Consumes one input. Never blocks, never fails.
    fn step(&mut self, cx: &mut Step<'_, Self::Reply, Self::Message>, input: Input<Self::Request, Self::Message>);
    /// When this machine next wants [`Input::Wake`].
    fn wake_at(&self) -> Option<Wake>;
}

/// One step of a machine: the few verbs it has, and nothing else to reach for.
pub struct Step<'a, Reply, Message> {
    now: Now,
    seq: Seq,
    written: Seq,
    store: &'a mut dyn Store,
    random: &'a mut Random,
    turn: &'a mut Turn<Reply, Message>,
}

impl<'a, Reply, Message> Step<'a, Reply, Message> {
    /// Opens a step. `written` is the `Seq` of the last step that wrote; this one takes the next if it writes.
    /// For drivers; the turn must be fresh.
    pub fn open(
        now: Now,
        written: Seq,
        store: &'a mut dyn Store,
        random: &'a mut Random,
        turn: &'a mut Turn<Reply, Message>,
    ) -> Self {
        turn.wrote = false;
        turn.hurry = false;
        turn.after = written;
        Step { now, seq: Seq(written.0 + 1), written, store, random, turn }
    }

    /// The clocks, the same during the whole step.
    pub fn now(&self) -> Now {
        self.now
    }
    /// The next number of the machine's own stream of randomness.
    pub fn random(&mut self) -> u64 {
        self.random.next()
    }
    /// The `Seq` that this step's writes have, if it writes.
    pub fn seq(&self) -> Seq {
        self.seq
    }
    /// The `Seq` that `…_synced` effects of this step wait for, as things stand.
    pub fn after(&self) -> Seq {
        self.turn.after
    }
    /// The last `Seq` taken before this step.
    pub fn written(&self) -> Seq {
        self.written
    }
    /// Reads, own writes of this step included.
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.store.get(key)
    }
    /// The store for reading.
    pub fn view(&self) -> &dyn View {
        self.store.as_view()
    }
    /// The store for writing: marks the step as one that wrote.
    pub fn store(&mut self) -> &mut dyn Store {
        self.mark();
        self.store
    }
    /// Writes a pair.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.mark();
        self.store.put(key, value);
    }
    /// Removes a pair, if it is there.
    pub fn delete(&mut self, key: &[u8]) {
        self.mark();
        self.store.delete(key);
    }
    /// Asks for [`Input::Synced`] soon.
    pub fn hurry(&mut self) {
        self.turn.hurry = true;
    }
    /// Says something to a peer when the step ends.
    pub fn send(&mut self, to: NodeId, message: Message) {
        self.turn.sends.push(Send { to, message, leave: Leave::Now });
    }
    /// Says something to a peer once this step's writes survive power loss.
    pub fn send_synced(&mut self, to: NodeId, message: Message) {
        self.turn.hurry = true;
        self.turn.sends.push(Send { to, message, leave: Leave::AfterSync });
    }
    /// Answers a call when the step ends.
    pub fn answer(&mut self, call: CallId, reply: Reply) {
        self.turn.answers.push(Answer { call, reply, leave: Leave::Now });
    }
    /// Answers a call once this step's writes survive power loss.
    pub fn answer_synced(&mut self, call: CallId, reply: Reply) {
        self.turn.hurry = true;
        self.turn.answers.push(Answer { call, reply, leave: Leave::AfterSync });
    }

    /// Runs a room inside this step. Its messages leave wrapped; a room has no callers of its own, so it answers nobody.
    pub fn within<RoomMessage, T>(
        &mut self,
        wrap: impl Fn(RoomMessage) -> Message,
        run: impl FnOnce(&mut Step<'_, (), RoomMessage>) -> T,
    ) -> T {
        let mut turn = Turn { wrote: self.turn.wrote, after: self.turn.after, ..Turn::default() };
        let result = {
            let mut inner = Step {
                now: self.now,
                seq: self.seq,
                written: self.written,
                store: &mut *self.store,
                random: &mut *self.random,
                turn: &mut turn,
            };
            run(&mut inner)
        };
        self.turn.wrote = turn.wrote;
        self.turn.after = turn.after;
        self.turn.hurry |= turn.hurry;
        let sends =
            turn.sends.into_iter().map(|send| Send { to: send.to, message: wrap(send.message), leave: send.leave });
        self.turn.sends.extend(sends);
        result
    }

    fn mark(&mut self) {
        self.turn.wrote = true;
        self.turn.after = self.seq;
    }
}
