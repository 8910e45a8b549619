//! An event whose fields come one by one.

use super::Problem;
use crate::Datum;
use crate::event::{Event, Kind, Process};
use std::sync::Arc;

/// The fields of an operation that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Process,
    Kind,
    Function,
    Value,
    Time,
    Key,
    Error,
    /// Whatever else logs write; it is left out.
    Other,
}

impl Field {
    /// The field of that name, with or without the colon of a keyword.
    pub(super) fn of(name: &[u8]) -> Field {
        match name.strip_prefix(b":").unwrap_or(name) {
            b"process" => Field::Process,
            b"type" => Field::Kind,
            b"f" => Field::Function,
            b"value" => Field::Value,
            b"time" => Field::Time,
            b"key" => Field::Key,
            b"error" => Field::Error,
            _ => Field::Other,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Field::Process => "process",
            Field::Kind => "type",
            Field::Function => "f",
            Field::Value => "value",
            Field::Time => "time",
            Field::Key => "key",
            Field::Error => "error",
            Field::Other => "other",
        }
    }
}

/// Names that come again and again, kept once each.
#[derive(Default)]
pub(super) struct Names {
    known: Vec<Arc<str>>,
}

/// How many names are kept; histories use a handful.
const KEPT: usize = 32;

impl Names {
    pub(super) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.iter().find(|known| known.as_ref() == name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        if self.known.len() < KEPT {
            self.known.push(new.clone());
        }
        new
    }
}

/// The fields so far.
pub(super) struct Draft {
    line: u32,
    process: Option<Process>,
    kind: Option<Kind>,
    function: Option<Arc<str>>,
    value: Option<Datum>,
    time_ns: Option<u64>,
    key: Option<Datum>,
    error: Option<Datum>,
}

impl Draft {
    pub(super) fn new(line: u32) -> Draft {
        Draft { line, process: None, kind: None, function: None, value: None, time_ns: None, key: None, error: None }
    }

    /// A field whose value is a name.
    pub(super) fn name(&mut self, field: Field, name: &str, names: &mut Names) -> Result<(), Problem> {
        match field {
            Field::Kind => {
                let name = name.strip_prefix(':').unwrap_or(name);
                let kind = Kind::of_word(name);
                let kind = kind.ok_or_else(|| {
                    self.problem(format!("the type of an operation is invoke, ok, fail or info, not {name:?}"))
                })?;
                once(&mut self.kind, kind, field, self.line)
            }
            Field::Function => {
                let name = name.strip_prefix(':').unwrap_or(name);
                once(&mut self.function, names.name(name), field, self.line)
            }
            Field::Process | Field::Value | Field::Time | Field::Key | Field::Error | Field::Other => {
                self.set(field, Datum::text(name), names)
            }
        }
    }

    /// A field with its value.
    pub(super) fn set(&mut self, field: Field, value: Datum, names: &mut Names) -> Result<(), Problem> {
        let line = self.line;
        match (field, value) {
            (Field::Kind | Field::Function, Datum::Text(name)) => self.name(field, &name, names),
            (Field::Kind | Field::Function, Datum::Nil) | (Field::Other, _) => Ok(()),
            (Field::Kind | Field::Function, other) => {
                Err(self.problem(format!("the field {} is a name, not {other}", field.word())))
            }
            (Field::Process, Datum::Text(name)) => {
                let name = name.strip_prefix(':').unwrap_or(&name);
                once(&mut self.process, Process::of(Datum::text(name)), field, line)
            }
            (Field::Process, value) => once(&mut self.process, Process::of(value), field, line),
            (Field::Value, value) => once(&mut self.value, value, field, line),
            (Field::Key, value) => once(&mut self.key, value, field, line),
            (Field::Error, value) => once(&mut self.error, value, field, line),
            (Field::Time, Datum::Integer(time)) => match u64::try_from(time) {
                Ok(time) => once(&mut self.time_ns, time, field, line),
                Err(_) => Ok(()),
            },
            (Field::Time, Datum::Nil | Datum::Number(_)) => Ok(()),
            (Field::Time, other) => Err(self.problem(format!("the time is a number of nanoseconds, not {other}"))),
        }
    }

    pub(super) fn finish(self) -> Result<Event, Problem> {
        let Some(kind) = self.kind else {
            return Err(self.problem("an operation has no type (invoke, ok, fail or info)"));
        };
        Ok(Event {
            process: self.process.unwrap_or(Process::Client(Datum::Nil)),
            kind,
            function: self.function.unwrap_or_default(),
            key: self.key,
            value: self.value.unwrap_or(Datum::Nil),
            time_ns: self.time_ns,
            error: self.error,
            line: self.line,
        })
    }

    fn problem(&self, why: impl Into<String>) -> Problem {
        Problem::at(self.line, why)
    }
}

fn once<T>(place: &mut Option<T>, value: T, field: Field, line: u32) -> Result<(), Problem> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Problem::at(line, format!("an operation has the field {} twice", field.word()))),
    }
}
