//! The machine with its store: inputs in, effects out when they may leave. Knows no sockets.

use super::storage::{Storage, StorageFailed};
use quorate_core::machine::{CallId, Input, Leave, Machine, NodeId, Now, Step, Turn, Wake};
use quorate_core::random::Random;
use quorate_core::store::Seq;
use std::collections::VecDeque;

/// Something that may leave the node.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<Reply, Message> {
    /// A message to a peer.
    Send(NodeId, Message),
    /// A reply to a call.
    Answer(CallId, Reply),
}

/// How syncs run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// On a thread of their own, beside the event loop.
    #[default]
    Thread,
    /// On the event loop, which waits for them.
    Inline,
}

/// Effects with the turn that each waits for.
type Waiting<Reply, Message> = VecDeque<(Seq, Effect<Reply, Message>)>;

/// A machine, its store, and the effects that wait for the disk.
pub struct Engine<M: Machine, S> {
    machine: M,
    store: S,
    random: Random,
    turn: Turn<M::Reply, M::Message>,
    written: Seq,
    synced: Seq,
    /// Effects wait for syncs up to here.
    wanted: Seq,
    /// Syncs up to here were asked for.
    requested: Seq,
    dirty: bool,
    waiting: Waiting<M::Reply, M::Message>,
    leaving: Vec<Effect<M::Reply, M::Message>>,
    steps: u64,
}

impl<M: Machine, S: Storage> Engine<M, S> {
    /// Builds the machine from what survived.
    pub fn boot(config: &M::Config, now: Now, store: S, seed: u64) -> Engine<M, S> {
        let written = store.written();
        Engine {
            machine: M::boot(config, now, store.as_view()),
            store,
            random: Random::new(seed),
            turn: Turn::default(),
            written,
            synced: written,
            wanted: written,
            requested: written,
            dirty: false,
            waiting: VecDeque::new(),
            leaving: Vec::new(),
            steps: 0,
        }
    }

    /// Steps the machine once.
    pub fn step(&mut self, now: Now, input: Input<M::Request, M::Message>) -> Result<(), StorageFailed> {
        let mut step = Step::open(now, self.written, &mut self.store, &mut self.random, &mut self.turn);
        self.machine.step(&mut step, input);
        self.steps += 1;
        if self.turn.wrote {
            self.written = Seq(self.written.0 + 1);
            self.dirty = true;
            self.store.end_turn(self.written)?;
        }
        let after = self.turn.after;
        if self.turn.hurry {
            self.wanted = self.wanted.max(after);
        }
        for send in self.turn.sends.drain(..) {
            let effect = Effect::Send(send.to, send.message);
            match send.leave {
                Leave::AfterSync if after > self.synced => self.waiting.push_back((after, effect)),
                Leave::AfterSync | Leave::Now => self.leaving.push(effect),
            }
        }
        for answer in self.turn.answers.drain(..) {
            let effect = Effect::Answer(answer.call, answer.reply);
            match answer.leave {
                Leave::AfterSync if after > self.synced => self.waiting.push_back((after, effect)),
                Leave::AfterSync | Leave::Now => self.leaving.push(effect),
            }
        }
        Ok(())
    }

    /// Steps the machine while it is due, at most so many times.
    pub fn wake(&mut self, now: Now, rounds: usize) -> Result<(), StorageFailed> {
        for _ in 0..rounds {
            match self.machine.wake_at() {
                Some(wake) if wake.at <= now.mono => self.step(now, Input::Wake)?,
                Some(_) | None => break,
            }
        }
        Ok(())
    }

    /// When the machine wants to be woken.
    pub fn wake_at(&self) -> Option<Wake> {
        self.machine.wake_at()
    }

    /// Hands the writes of all steps so far to the operating system.
    pub fn write_out(&mut self) -> Result<(), StorageFailed> {
        if std::mem::take(&mut self.dirty) {
            self.store.write_out()?;
        }
        Ok(())
    }

    /// Does something wait for a sync that was not asked for?
    pub fn wants_sync(&self) -> bool {
        self.wanted > self.requested
    }

    /// Begins a sync if something waits for one. The writes were handed out before.
    pub fn request_sync(&mut self) -> Result<(), StorageFailed> {
        if self.wants_sync() {
            self.requested = self.written;
            self.store.request_sync(self.written)?;
        }
        Ok(())
    }

    /// Syncs if something waits for it, and tells the machine.
    pub fn sync_now(&mut self, now: Now) -> Result<(), StorageFailed> {
        if self.wants_sync() {
            self.requested = self.written;
            let upto = self.store.sync_now()?;
            self.synced_upto(now, upto)?;
        }
        Ok(())
    }

    /// Tells the machine how far the disk has come, if that is news.
    pub fn poll_synced(&mut self, now: Now) -> Result<(), StorageFailed> {
        let upto = self.store.poll_synced()?;
        self.synced_upto(now, upto)
    }

    fn synced_upto(&mut self, now: Now, upto: Seq) -> Result<(), StorageFailed> {
        if upto <= self.synced {
            return Ok(());
        }
        self.synced = upto;
        let free = self.waiting.iter().take_while(|waiting| waiting.0 <= upto).count();
        self.leaving.extend(self.waiting.drain(..free).map(|(_, effect)| effect));
        self.step(now, Input::Synced { upto })
    }

    /// Takes what may leave, into an empty vector whose room is used again.
    pub fn take_leaving(&mut self, into: &mut Vec<Effect<M::Reply, M::Message>>) {
        std::mem::swap(&mut self.leaving, into);
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }
    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }
    /// The store.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }
    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }
    /// Ends: syncs and closes the store.
    pub fn close(self) -> Result<(), StorageFailed> {
        self.store.close()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::storage::MemoryDisk;
    use super::*;
    use quorate_core::store::View;

    /// Writes a key for each request, tells node 2 now and node 3 after the sync, and answers after the sync.
    struct Toy {
        synced: Vec<u64>,
    }

    impl Machine for Toy {
        type Config = ();
        type Request = &'static str;
        type Reply = &'static str;
        type Message = &'static str;
        fn boot(_config: &(), _now: Now, _disk: &dyn View) -> Toy {
            Toy { synced: Vec::new() }
        }
        fn step(&mut self, cx: &mut Step<'_, &'static str, &'static str>, input: Input<&'static str, &'static str>) {
            match input {
                Input::Request { call, request } => {
                    if request == "write" {
                        cx.put(b"\x01k", b"v");
                    }
                    cx.send(NodeId(2), "now");
                    cx.send_synced(NodeId(3), "later");
                    cx.answer_synced(call, request);
                }
                Input::Synced { upto } => self.synced.push(upto.0),
                Input::Message { .. } | Input::Lost { .. } | Input::Wake => {}
            }
        }
        fn wake_at(&self) -> Option<Wake> {
            None
        }
    }

    fn leaving(engine: &mut Engine<Toy, MemoryDisk>) -> Vec<Effect<&'static str, &'static str>> {
        let mut effects = Vec::new();
        engine.take_leaving(&mut effects);
        effects
    }

    #[test]
    fn effects_leave_when_they_may() {
        let mut engine = Engine::<Toy, _>::boot(&(), Now::default(), MemoryDisk::with(true, false), 1);
        let call = |id, request| Input::Request { call: CallId(id), request };
        engine.step(Now::default(), call(1, "write")).unwrap();
        // A step without writes waits for those before it, so that it does not overtake them.
        engine.step(Now::default(), call(2, "read")).unwrap();
        engine.write_out().unwrap();
        assert_eq!(leaving(&mut engine), [Effect::Send(NodeId(2), "now"), Effect::Send(NodeId(2), "now")]);
        assert!(engine.wants_sync());
        engine.request_sync().unwrap();
        engine.poll_synced(Now::default()).unwrap();
        assert_eq!(leaving(&mut engine), []);
        engine.store_mut().holds = false;
        engine.step(Now::default(), call(3, "write")).unwrap();
        engine.request_sync().unwrap();
        engine.poll_synced(Now::default()).unwrap();
        let mut expected = vec![Effect::Send(NodeId(2), "now")];
        for (call, text) in [(1, "write"), (2, "read"), (3, "write")] {
            expected.extend([Effect::Send(NodeId(3), "later"), Effect::Answer(CallId(call), text)]);
        }
        assert_eq!(leaving(&mut engine), expected);
        assert_eq!(engine.machine().synced, [2]);
        // With everything synced nothing waits.
        engine.step(Now::default(), call(4, "read")).unwrap();
        assert_eq!(leaving(&mut engine).len(), 3);
    }

    #[test]
    fn a_failed_disk_is_told() {
        let mut engine = Engine::<Toy, _>::boot(&(), Now::default(), MemoryDisk::with(false, true), 1);
        assert!(engine.step(Now::default(), Input::Request { call: CallId(1), request: "write" }).is_err());
    }
}
