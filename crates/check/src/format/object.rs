//! What the functions of a log mean, and what a log is about.

use crate::event::{Event, Kind, Process};
use crate::{Datum, Object};

/// What a function does, apart from the object that it does it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Transaction,
    Read,
    Write,
    Cas,
    Append,
    Delete,
    Add,
    Remove,
    Contains,
    Insert,
    Take,
    Drain,
    Acquire,
    Release,
    Guarded,
    Transfer,
    Generate,
    Digest,
}

impl Verb {
    /// The verb of a function with this value.
    pub(super) fn of(function: &str, value: &Datum) -> Option<Verb> {
        Some(match function {
            "read" | "write" | "" if is_transaction(value) => Verb::Transaction,
            "txn" => Verb::Transaction,
            "read" | "get" => Verb::Read,
            "write" | "put" => Verb::Write,
            "cas" => Verb::Cas,
            "append" => Verb::Append,
            "delete" => Verb::Delete,
            "add" => Verb::Add,
            "remove" => Verb::Remove,
            "contains" => Verb::Contains,
            "enqueue" | "push" => Verb::Insert,
            "dequeue" | "pop" => Verb::Take,
            "drain" => Verb::Drain,
            "acquire" | "lock" => Verb::Acquire,
            "release" | "unlock" => Verb::Release,
            "guarded" => Verb::Guarded,
            "transfer" => Verb::Transfer,
            "generate" => Verb::Generate,
            "digest" => Verb::Digest,
            _ => return None,
        })
    }

    /// Does its value, when it is invoked, say all that it does? If not, the answer matters.
    pub(super) const fn is_request(self) -> bool {
        match self {
            Verb::Write
            | Verb::Cas
            | Verb::Append
            | Verb::Delete
            | Verb::Add
            | Verb::Remove
            | Verb::Insert
            | Verb::Guarded
            | Verb::Transfer => true,
            Verb::Transaction
            | Verb::Read
            | Verb::Contains
            | Verb::Take
            | Verb::Drain
            | Verb::Acquire
            | Verb::Release
            | Verb::Generate
            | Verb::Digest => false,
        }
    }
}

/// Is it a list of steps such as `[:r 1 nil]`?
fn is_transaction(value: &Datum) -> bool {
    let is_step = |step: &Datum| {
        let list = step.list().unwrap_or_default();
        let name = list.first().and_then(Datum::name);
        matches!(list.len(), 2 | 3) && matches!(name, Some("r" | "w" | "read" | "write" | "append"))
    };
    value.list().is_some_and(|steps| !steps.is_empty() && steps.iter().all(is_step))
}

/// Does a history of this object have such operations?
pub(super) fn admits(object: Object, verb: Verb) -> bool {
    match object {
        Object::Register => matches!(verb, Verb::Read | Verb::Write | Verb::Delete),
        Object::CasRegister => matches!(verb, Verb::Read | Verb::Write | Verb::Delete | Verb::Cas),
        Object::Kv => matches!(verb, Verb::Read | Verb::Write | Verb::Delete | Verb::Append),
        Object::Counter => matches!(verb, Verb::Add | Verb::Read),
        Object::Set => matches!(verb, Verb::Add | Verb::Remove | Verb::Contains | Verb::Read),
        Object::Queue | Object::Stack => matches!(verb, Verb::Insert | Verb::Take | Verb::Drain),
        Object::Mutex => matches!(verb, Verb::Acquire | Verb::Release),
        Object::FencedLock => matches!(verb, Verb::Acquire | Verb::Release | Verb::Guarded | Verb::Write),
        Object::Bank => matches!(verb, Verb::Transfer | Verb::Read),
        Object::ListAppend | Object::RwRegister => matches!(verb, Verb::Transaction),
        Object::UniqueId => matches!(verb, Verb::Generate),
        Object::Replica => matches!(verb, Verb::Digest),
    }
}

/// The object with this verb too, if a history that looked like the one can turn out to be the other.
pub(super) fn widened(object: Object, verb: Verb) -> Option<Object> {
    match (object, verb) {
        (Object::Register, Verb::Cas) => Some(Object::CasRegister),
        (Object::Register, Verb::Append) => Some(Object::Kv),
        (Object::Mutex, Verb::Guarded | Verb::Write) => Some(Object::FencedLock),
        _ => None,
    }
}

/// Gathers what tells the object, and whether values are pairs of key and value, as Jepsen writes independent keys.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// What the history is about, once that is clear.
    pub(super) object: Option<Object>,
    /// Are values pairs of key and value? Known once that is clear.
    pub(super) pairs: Option<bool>,
    maybe_pairs: bool,
    adds: bool,
    counts: bool,
    only_transactions: bool,
}

impl Evidence {
    /// The caller may have said the object.
    pub(super) fn new(object: Option<Object>) -> Evidence {
        Evidence { object, ..Evidence::default() }
    }

    /// Looks whether values are pairs.
    pub(super) fn look_for_pairs(&mut self, event: &Event) {
        let Process::Client(_) = event.process else { return };
        if self.pairs.is_some() || event.kind != Kind::Invoke {
            return;
        }
        let verb = Verb::of(&event.function, &event.value);
        let pair = match event.value.list() {
            Some([Datum::List(_) | Datum::Map(_), _]) => None,
            Some([_, value]) if event.key.is_none() => Some(value),
            Some(_) | None => None,
        };
        self.pairs = match (verb, pair) {
            (Some(Verb::Transaction | Verb::Transfer | Verb::Digest), _) | (_, None) => Some(false),
            (Some(Verb::Cas), Some(value)) => Some(value.list().is_some()),
            (
                Some(Verb::Read | Verb::Take | Verb::Drain | Verb::Acquire | Verb::Release | Verb::Generate),
                Some(Datum::Nil),
            ) => Some(true),
            (_, Some(_)) => None,
        };
        self.maybe_pairs |= self.pairs.is_none();
    }

    /// Looks what the history is about.
    pub(super) fn look_for_object(&mut self, event: &Event) {
        let (Process::Client(_), None) = (&event.process, self.object) else { return };
        let value = match (self.pairs, event.value.list()) {
            (Some(true), Some([_, value])) => value,
            _ => &event.value,
        };
        let Some(verb) = Verb::of(&event.function, value) else { return };
        self.object = match verb {
            Verb::Transaction => {
                self.only_transactions = true;
                of_steps(value, event.kind)
            }
            Verb::Write | Verb::Delete => Some(Object::Register),
            Verb::Cas => Some(Object::CasRegister),
            Verb::Append => Some(Object::Kv),
            Verb::Remove | Verb::Contains => Some(Object::Set),
            Verb::Insert | Verb::Take | Verb::Drain => {
                let stack = matches!(&*event.function, "push" | "pop");
                Some(if stack { Object::Stack } else { Object::Queue })
            }
            Verb::Acquire | Verb::Release => Some(Object::Mutex),
            Verb::Guarded => Some(Object::FencedLock),
            Verb::Transfer => Some(Object::Bank),
            Verb::Generate => Some(Object::UniqueId),
            Verb::Digest => Some(Object::Replica),
            Verb::Add => {
                self.adds = true;
                match value {
                    Datum::Integer(_) => self.counts.then_some(Object::Counter),
                    _ => Some(Object::Set),
                }
            }
            Verb::Read => match (value, event.kind) {
                (Datum::List(_), Kind::Ok) => Some(Object::Set),
                (Datum::Map(_), Kind::Ok) => Some(Object::Bank),
                (Datum::Integer(_), Kind::Ok) => {
                    self.counts = true;
                    self.adds.then_some(Object::Counter)
                }
                (_, _) => None,
            },
        };
    }

    /// Nothing more will come: are values pairs?
    pub(super) fn settle_pairs(&mut self) -> bool {
        *self.pairs.get_or_insert(self.maybe_pairs)
    }

    /// Nothing more will come: what is it about?
    pub(super) fn settle_object(&mut self) -> Object {
        let guess = match (self.only_transactions, self.adds) {
            (true, _) => Object::RwRegister,
            (false, true) => Object::Set,
            (false, false) => Object::Register,
        };
        *self.object.get_or_insert(guess)
    }
}

/// What the steps of a transaction tell.
fn of_steps(value: &Datum, kind: Kind) -> Option<Object> {
    value.list().unwrap_or_default().iter().find_map(|step| {
        let step = step.list().unwrap_or_default();
        match (step.first().and_then(Datum::name), step.get(2)) {
            (Some("append"), _) => Some(Object::ListAppend),
            (Some("w" | "write"), _) => Some(Object::RwRegister),
            (Some("r" | "read"), Some(Datum::List(_))) if kind == Kind::Ok => Some(Object::ListAppend),
            (Some("r" | "read"), Some(Datum::Nil) | None) => None,
            (Some("r" | "read"), Some(_)) if kind == Kind::Ok => Some(Object::RwRegister),
            (_, _) => None,
        }
    })
}
