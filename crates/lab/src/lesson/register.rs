//! A register per key without a leader, kept by a majority (Attiya, Bar-Noy, Dolev 1995).
//!
//! A put asks a majority for its newest version, then stores a newer one at a majority. A get asks a majority, then
//! writes the newest version that it saw back to a majority before it answers. Each rule can be left out, to see what
//! it is for.

use crate::simulator::Subject;
use bytes::Bytes;
use quorate_core::guarantee::NodeSet;
use quorate_core::machine::{CallId, Input, Machine, Mono, NodeId, Now, Step, Wake};
use quorate_core::store::{Seq, View};
use std::collections::BTreeMap;

/// Which rule is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// None.
    Correct,
    /// A replica acknowledges a value before it survives power loss.
    EagerAck,
    /// A get answers without writing back what it saw.
    NoWriteBack,
    /// One answer less than a majority is enough.
    HalfIsEnough,
}

/// What does not change during one life.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub node: NodeId,
    /// All members, ourselves included.
    pub members: Vec<NodeId>,
    /// Our life.
    pub incarnation: u64,
    /// How long a call may take, in milliseconds.
    pub deadline_ms: u64,
    /// Which rule is left out.
    pub variant: Variant,
}

/// Orders the values of a key. No two puts make the same version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    count: u64,
    node: u16,
    life: u64,
    operation: u64,
}

/// What clients ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// The value of a key.
    Get(Bytes),
    /// A key has a value from now on.
    Put(Bytes, Bytes),
}

/// What clients hear.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The value read or written.
    Done(Option<Bytes>),
    /// The deadline passed first: a put may have happened, or may yet.
    Unknown,
}

/// What replicas tell each other. Each message names the operation of the node that began it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Asks for the newest version of a key.
    Query {
        /// The operation.
        operation: u64,
        /// The life of the node that began it.
        life: u64,
        /// The key.
        key: Bytes,
    },
    /// Answers with it.
    Newest {
        /// The operation.
        operation: u64,
        /// The life of the node that began it.
        life: u64,
        /// The version.
        version: Version,
        /// The value.
        value: Option<Bytes>,
    },
    /// Asks to keep a version, unless a newer one is there.
    Keep {
        /// The operation.
        operation: u64,
        /// The life of the node that began it.
        life: u64,
        /// The key.
        key: Bytes,
        /// The version.
        version: Version,
        /// The value.
        value: Bytes,
    },
    /// The sender holds that version or a newer one.
    Kept {
        /// The operation.
        operation: u64,
        /// The life of the node that began it.
        life: u64,
    },
}

#[derive(Clone, Debug)]
enum Phase {
    Ask,
    /// Our own copy counts once this write survives.
    Store {
        own: Option<Seq>,
    },
}

#[derive(Clone, Debug)]
struct Operation {
    call: CallId,
    key: Bytes,
    /// The value of a put that has no version yet.
    put: Option<Bytes>,
    version: Version,
    value: Option<Bytes>,
    phase: Phase,
    answered: NodeSet,
    until: Mono,
}

type Context<'a> = Step<'a, Reply, Message>;

/// One replica.
pub struct Register {
    config: Config,
    begun: u64,
    synced: Seq,
    operations: BTreeMap<u64, Operation>,
}

const DRAWER: u8 = b'r';

fn drawer_key(key: &[u8]) -> Vec<u8> {
    [&[DRAWER], key].concat()
}

fn newest(view: &dyn View, key: &[u8]) -> (Version, Option<Bytes>) {
    let Some(record) = view.get(&drawer_key(key)) else { return (Version::default(), None) };
    let number =
        |at: usize| u64::from_be_bytes(record[at..at + 8].try_into().expect("a record has a head of 32 bytes"));
    let version = Version { count: number(0), node: number(8) as u16, life: number(16), operation: number(24) };
    (version, Some(record.slice(32..)))
}

fn keep(cx: &mut Context<'_>, key: &[u8], version: Version, value: &Bytes) {
    if newest(cx.view(), key).0 < version {
        let head = [version.count, u64::from(version.node), version.life, version.operation];
        let mut record: Vec<u8> = head.iter().flat_map(|number| number.to_be_bytes()).collect();
        record.extend_from_slice(value);
        cx.put(&drawer_key(key), &record);
    }
}

impl Register {
    fn enough(&self) -> usize {
        match self.config.variant {
            Variant::HalfIsEnough => self.config.members.len() / 2,
            Variant::Correct | Variant::EagerAck | Variant::NoWriteBack => self.config.members.len() / 2 + 1,
        }
    }
    fn tell_others(&self, cx: &mut Context<'_>, message: &Message) {
        for &peer in self.config.members.iter().filter(|peer| **peer != self.config.node) {
            cx.send(peer, message.clone());
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>, call: CallId, request: Request) {
        self.begun += 1;
        let (key, put) = match request {
            Request::Get(key) => (key, None),
            Request::Put(key, value) => (key, Some(value)),
        };
        let (version, value) = newest(cx.view(), &key);
        let until = cx.now().mono.after_ms(self.config.deadline_ms);
        let query = Message::Query { operation: self.begun, life: self.config.incarnation, key: key.clone() };
        self.tell_others(cx, &query);
        let operation =
            Operation { call, key, put, version, value, phase: Phase::Ask, answered: NodeSet::default(), until };
        self.operations.insert(self.begun, operation);
        self.count_answer(cx, self.begun, self.config.node, Version::default(), None);
    }

    fn count_answer(&mut self, cx: &mut Context<'_>, id: u64, from: NodeId, version: Version, value: Option<Bytes>) {
        let enough = self.enough();
        let Some(operation) = self.operations.get_mut(&id) else { return };
        if !matches!(operation.phase, Phase::Ask) {
            return;
        }
        if version > operation.version {
            (operation.version, operation.value) = (version, value);
        }
        operation.answered.insert(from);
        if operation.answered.len() >= enough {
            self.begin_store(cx, id);
        }
    }

    fn begin_store(&mut self, cx: &mut Context<'_>, id: u64) {
        let config = &self.config;
        let operation = self.operations.get_mut(&id).expect("the caller has seen it");
        let is_put = operation.put.is_some();
        if let Some(value) = operation.put.take() {
            let count = operation.version.count + 1;
            operation.version = Version { count, node: config.node.0, life: config.incarnation, operation: id };
            operation.value = Some(value);
        }
        let Some(value) = operation.value.clone().filter(|_| is_put || config.variant != Variant::NoWriteBack) else {
            let operation = self.operations.remove(&id).expect("just seen");
            return cx.answer(operation.call, Reply::Done(operation.value));
        };
        keep(cx, &operation.key, operation.version, &value);
        operation.answered = NodeSet::default();
        let message = Message::Keep {
            operation: id,
            life: config.incarnation,
            key: operation.key.clone(),
            version: operation.version,
            value,
        };
        operation.phase = Phase::Store { own: Some(cx.after()) };
        let safe = cx.after() <= self.synced || config.variant == Variant::EagerAck;
        self.tell_others(cx, &message);
        cx.hurry();
        if safe {
            self.count_kept(cx, id, self.config.node);
        }
    }

    fn count_kept(&mut self, cx: &mut Context<'_>, id: u64, from: NodeId) {
        let enough = self.enough();
        let Some(operation) = self.operations.get_mut(&id) else { return };
        if !matches!(operation.phase, Phase::Store { .. }) {
            return;
        }
        operation.answered.insert(from);
        if operation.answered.len() >= enough {
            let operation = self.operations.remove(&id).expect("just seen");
            cx.answer(operation.call, Reply::Done(operation.value));
        }
    }

    fn hear(&mut self, cx: &mut Context<'_>, from: NodeId, message: Message) {
        match message {
            Message::Query { operation, life, key } => {
                let (version, value) = newest(cx.view(), &key);
                cx.send(from, Message::Newest { operation, life, version, value });
            }
            Message::Keep { operation, life, key, version, value } => {
                keep(cx, &key, version, &value);
                let kept = Message::Kept { operation, life };
                match self.config.variant {
                    Variant::EagerAck => cx.send(from, kept),
                    Variant::Correct | Variant::NoWriteBack | Variant::HalfIsEnough => cx.send_synced(from, kept),
                }
            }
            Message::Newest { operation, life, version, value } => {
                if life == self.config.incarnation {
                    self.count_answer(cx, operation, from, version, value);
                }
            }
            Message::Kept { operation, life } => {
                if life == self.config.incarnation {
                    self.count_kept(cx, operation, from);
                }
            }
        }
    }

    fn heard_synced(&mut self, cx: &mut Context<'_>, upto: Seq) {
        self.synced = upto;
        let due = |operation: &Operation| matches!(operation.phase, Phase::Store { own: Some(own) } if own <= upto);
        let due: Vec<u64> = self.operations.iter().filter(|(_, op)| due(op)).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(operation) = self.operations.get_mut(&id) {
                operation.phase = Phase::Store { own: None };
            }
            self.count_kept(cx, id, self.config.node);
        }
    }

    fn give_up(&mut self, cx: &mut Context<'_>) {
        let now = cx.now().mono;
        let late: Vec<u64> = self.operations.iter().filter(|(_, op)| op.until <= now).map(|(id, _)| *id).collect();
        for id in late {
            let operation = self.operations.remove(&id).expect("just seen");
            cx.answer(operation.call, Reply::Unknown);
        }
    }
}

impl Machine for Register {
    type Config = Config;
    type Request = Request;
    type Reply = Reply;
    type Message = Message;

    fn boot(config: &Config, _now: Now, _disk: &dyn View) -> Register {
        Register { config: config.clone(), begun: 0, synced: Seq(0), operations: BTreeMap::new() }
    }

    fn step(&mut self, cx: &mut Context<'_>, input: Input<Request, Message>) {
        match input {
            Input::Request { call, request } => self.begin(cx, call, request),
            Input::Message { from, message } => self.hear(cx, from, message),
            Input::Synced { upto } => self.heard_synced(cx, upto),
            Input::Lost { .. } => {}
            Input::Wake => self.give_up(cx),
        }
    }

    fn wake_at(&self) -> Option<Wake> {
        let at = self.operations.values().map(|operation| operation.until).min()?;
        Some(Wake { at, why: "the deadline of a call" })
    }
}

impl Subject for Register {
    fn reborn(config: &Config, incarnation: u64) -> Config {
        Config { incarnation, ..config.clone() }
    }
    fn key_law(key: &[u8]) -> Option<String> {
        (key.first() != Some(&DRAWER)).then(|| format!("the key {key:?} is outside the drawer"))
    }
}
