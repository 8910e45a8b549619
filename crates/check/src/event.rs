//! What a log says happened: an invocation, or how it ended.

use crate::Datum;
use std::sync::Arc;

/// One row of a log of invocations and completions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who.
    pub process: Process,
    /// Begin, or which end.
    pub kind: Kind,
    /// What was asked for: `read`, `write`, `txn`; empty if the row does not say.
    pub function: Arc<str>,
    /// On which key, if the row says it apart from the value.
    pub key: Option<Datum>,
    /// With which value, or which value came back.
    pub value: Datum,
    /// When, in nanoseconds.
    pub time_ns: Option<u64>,
    /// What went wrong.
    pub error: Option<Datum>,
    /// The line of the file where the row begins; 0 if there is none.
    pub line: u32,
}

impl Event {
    /// A row about a client, without key, time, error and line. What value means depends on the function: `write` has the
    /// value written, a `read` that is ok the value that came back.
    pub fn of(client: impl Into<Datum>, kind: Kind, function: &str, value: impl Into<Datum>) -> Event {
        Event {
            process: Process::Client(client.into()),
            kind,
            function: function.into(),
            key: None,
            value: value.into(),
            time_ns: None,
            error: None,
            line: 0,
        }
    }

    /// The same about this key.
    pub fn on(self, key: impl Into<Datum>) -> Event {
        Event { key: Some(key.into()), ..self }
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A client, which does one thing at a time.
    Client(Datum),
    /// The one that disturbs the system.
    Nemesis,
}

impl Process {
    /// The process of that name: `nemesis` and whatever begins so disturbs, everything else is a client.
    pub fn of(name: Datum) -> Process {
        match name.name() {
            Some(text) if text.starts_with("nemesis") => Process::Nemesis,
            _ => Process::Client(name),
        }
    }
}

/// Begin, or which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It took place.
    Ok,
    /// It did not take place.
    Fail,
    /// Nobody knows whether it took, or will take, place.
    Info,
}

impl Kind {
    /// The word for it in logs.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        }
    }

    /// The kind of that word.
    pub fn of_word(word: &str) -> Option<Kind> {
        [Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info].into_iter().find(|kind| kind.word() == word)
    }
}
