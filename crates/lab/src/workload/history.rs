//! What the judges of histories say of what the clients heard.

use super::meaning::Shape;
use super::{Record, Workload};
use crate::check::register::{self, Verdict};
use crate::check::session::{self, Did, Event};
use crate::check::{Action, Answer, Operation, Outcome};
use crate::failure::Kind;
use crate::judge::Judge;
use crate::judge::elements::{self, Asked, Told};
use crate::judge::pipeline::{self, Sent};
use bytes::Bytes;
use quorate_core::guarantee::{Ack, Level, Met, Position, Receipt};
use std::collections::{BTreeMap, BTreeSet};

impl Record {
    /// The write that it is may be lost, as less than a majority held it when it was acknowledged.
    pub(super) fn may_be_lost(&self) -> bool {
        matches!(self.receipt.map(|receipt| receipt.met()), Some(Met::Write(ack)) if ack < Some(Ack::Majority))
    }
    /// No other operation has an entry that carries the same.
    fn is_one_of_a_kind(&self) -> bool {
        self.idempotent || matches!(self.operation.action, Action::Write(_) | Action::Swap(_) | Action::Cas(..))
    }
    fn is_element(&self) -> bool {
        matches!(self.shape, Shape::Table(_))
    }
}

impl Workload {
    /// What the checkers of histories say.
    pub fn judge_history(&self, judge: &mut Judge, at_us: u64) {
        if let Some(lost) = self.read_from_nowhere() {
            judge.accuse(at_us, Kind::ReadFromNowhere, lost);
        }
        if let Some(detail) = self.version_lie() {
            judge.accuse(at_us, Kind::VersionLies, detail);
        }
        let history = self.elements();
        if let Some((at, why)) = elements::check(&history) {
            judge.accuse(at_us, Kind::GatheredWrong, format!("{why}\n  {:?}", history[at]));
        }
        if self.links_keep_order {
            self.judge_pipelines(judge, at_us);
        }
        let events = self.session_events();
        if let Some((broken, at)) = session::check(&events) {
            let session = events[at].session;
            let seen = events[..=at].iter().filter(|event| event.session == session && event.key == events[at].key);
            let tail: Vec<String> = seen.map(|event| format!("  {event:?}")).collect();
            let from = tail.len().saturating_sub(6);
            judge.accuse(at_us, Kind::Session(broken), tail[from..].join("\n"));
        }
        match self.judge_registers(judge) {
            Verdict::Valid => {}
            Verdict::Invalid(witness) => {
                judge.accuse(at_us, Kind::NotLinearizable(witness.anomaly), witness.to_string());
            }
            Verdict::Unknown(key) => {
                judge.accuse(at_us, Kind::Undecided, format!("key {}", String::from_utf8_lossy(&key)));
            }
        }
    }

    /// Tries the order of the log first: the search for it is short. An order within narrower times is one within the
    /// true times; if there is none, whatever order there is counts.
    fn judge_registers(&self, judge: &Judge) -> Verdict {
        let places = judge.places();
        let (mut history, mut narrow) = (Vec::new(), Vec::new());
        for record in self.registers(Level::Linearizable) {
            let operation = settled(record, &places);
            narrow.push(narrowed(record, &operation, &places, judge));
            history.push(operation);
        }
        match register::check(&narrow, register::BUDGET) {
            Verdict::Valid => Verdict::Valid,
            Verdict::Invalid(_) | Verdict::Unknown(_) => register::check(&history, register::BUDGET),
        }
    }

    /// What clients did and heard of registers and numbers, without reads of weaker levels. A write that may be lost counts
    /// as one of unknown outcome.
    pub fn history(&self, least: Level) -> Vec<Operation> {
        self.registers(least).map(told).collect()
    }

    /// The operations on registers and numbers that do not expire, without reads of weaker levels.
    fn registers(&self, least: Level) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| {
            let weak_read = record.operation.action == Action::Read && record.want.level() < least;
            !record.is_element() && !record.operation.key.starts_with(b"e") && !weak_read
        })
    }

    fn session_events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let never_absent_again = |record: &&Record| matches!(record.operation.key.first(), Some(b'r' | b't'));
        let ordered = |record: &&Record| record.pipeline.is_none() || self.links_keep_order;
        for record in self.records.iter().filter(never_absent_again).filter(ordered) {
            let (Some(receipt), Outcome::Done(answer)) = (record.receipt, &record.operation.outcome) else { continue };
            let did = match (receipt.met(), record.want.level()) {
                (Met::Write(_), _) if record.may_be_lost() => continue,
                (Met::Write(_), _) => Did::Write(receipt.position().index),
                (Met::Read(_), Level::Eventual) => Did::Glance,
                (Met::Read(_), Level::Session | Level::Regular | Level::Atomic | Level::Linearizable) => Did::Read,
            };
            let value = match (&record.operation.action, answer) {
                (Action::Read, Answer::Value(value)) => value.clone(),
                (Action::Write(value) | Action::Swap(value), _) => Some(value.clone()),
                (Action::Cas(_, value), Answer::Took(true)) => Some(value.clone()),
                _ => continue,
            };
            let event = Event { session: record.operation.client, key: record.operation.key.clone(), did, value };
            events.push((record.pipeline, receipt, event));
        }
        // Reads that are in flight together see states in any order, each none older than the writes before it.
        let together = |a: &(Option<u64>, Receipt, Event), b: &(Option<u64>, Receipt, Event)| {
            let reads = !matches!(a.2.did, Did::Write(_)) && !matches!(b.2.did, Did::Write(_));
            a.0.is_some() && a.0 == b.0 && reads
        };
        for reads in events.chunk_by_mut(together) {
            reads.sort_by_key(|(_, receipt, _)| receipt.position());
        }
        events.into_iter().map(|(_, _, event)| event).collect()
    }

    fn elements(&self) -> Vec<elements::Event> {
        let event = |record: &Record| {
            let Shape::Table(asked) = &record.shape else { return None };
            let weak = matches!(asked, Asked::Add(_) | Asked::Empty) && record.may_be_lost();
            let told = if weak { Told::Unknown } else { record.told.clone() };
            let (start, end) = (record.operation.start, record.operation.end);
            let fresh = record.want.level() == Level::Linearizable;
            Some(elements::Event { asked: asked.clone(), told, fresh, start, end })
        };
        self.records.iter().filter_map(event).collect()
    }

    /// Where the operations of pipelines took effect. The position of one whose outcome the client does not know is that
    /// of the entry that carries it, if one was committed.
    fn judge_pipelines(&self, judge: &mut Judge, at_us: u64) {
        let places = judge.places();
        let mut sent = Vec::new();
        let mut records = Vec::new();
        for record in self.records.iter().filter(|record| !record.is_element()) {
            let Some(pipeline) = record.pipeline else { continue };
            let operation = &record.operation;
            let write = operation.action != Action::Read;
            let told: Option<Position> = record.receipt.filter(|_| !record.may_be_lost()).map(|it| it.position());
            let found = || places.get(&record.carried).filter(|_| record.is_one_of_a_kind()).map(|(at, _)| *at);
            if let Some(position) = told.or_else(found) {
                sent.push(Sent { pipeline, write, position });
                records.push(record);
            }
        }
        if let Some((earlier, later)) = pipeline::check(&sent) {
            let line = |at: usize| format!("  {} at {:?}", records[at].operation, sent[at].position);
            judge.accuse(at_us, Kind::PipelineOrder, format!("{}\n{}", line(earlier), line(later)));
        }
    }

    /// A version of a key names one value, and a value that was written once has one version.
    fn version_lie(&self) -> Option<String> {
        let mut values: BTreeMap<(&Bytes, u64), &Bytes> = BTreeMap::new();
        let mut versions: BTreeMap<(&Bytes, &Bytes), u64> = BTreeMap::new();
        for record in &self.records {
            let Some((version, value)) = record.version() else { continue };
            let key = &record.operation.key;
            let other = *values.entry((key, version)).or_insert(value);
            let elsewhere = *versions.entry((key, value)).or_insert(version);
            if other != value || elsewhere != version {
                return Some(format!("{} at version {version}; before {other:?}, {elsewhere}", record.operation));
            }
        }
        None
    }

    /// Every read, of any level, gives a value that somebody wrote by then.
    fn read_from_nowhere(&self) -> Option<String> {
        let operations = || self.records.iter().map(|record| &record.operation);
        let mut written: BTreeSet<(&Bytes, &Bytes)> = BTreeSet::new();
        for operation in operations().filter(|operation| operation.outcome != Outcome::Refused) {
            match &operation.action {
                Action::Write(value) | Action::Swap(value) | Action::Cas(_, value) => {
                    written.insert((&operation.key, value));
                }
                Action::Read | Action::Delete | Action::Add(_) => {}
            }
        }
        let lost = operations().find(|operation| match &operation.outcome {
            Outcome::Done(Answer::Value(Some(value))) => {
                !operation.key.starts_with(b"n") && !written.contains(&(&operation.key, value))
            }
            _ => false,
        });
        lost.map(|operation| operation.to_string())
    }
}

/// Times of the judge are so much finer than those of the clients, to tell entries apart that one message committed.
const FINER: u64 = 1 << 20;

type Places = BTreeMap<u64, (Position, u64)>;

/// The operation as its client knows it, but unknown if it was acknowledged by less than a majority: it may be lost, or may
/// take effect later.
fn told(record: &Record) -> Operation {
    let mut operation = record.operation.clone();
    if record.may_be_lost() {
        operation.outcome = Outcome::Unknown;
    }
    operation
}

/// What its client does not know of an operation is taken from the log, once all nodes have the same: without an entry
/// it took no place, and a write with one took place by its commit.
fn settled(record: &Record, places: &Places) -> Operation {
    let mut operation = told(record);
    if operation.outcome == Outcome::Unknown && record.is_one_of_a_kind() {
        match (places.get(&record.carried), &operation.action) {
            (None, _) => operation.outcome = Outcome::Refused,
            (Some((_, at_us)), Action::Write(_)) => {
                (operation.outcome, operation.end) = (Outcome::Done(Answer::Written), *at_us);
            }
            (Some(_), _) => {}
        }
    }
    operation
}

/// The operation in finer times; one that changes something, at the moment of its commit.
fn narrowed(record: &Record, operation: &Operation, places: &Places, judge: &Judge) -> Operation {
    let (start, end) = (operation.start.saturating_mul(FINER), operation.end.saturating_mul(FINER));
    let mut narrow = Operation { start, end: end.saturating_add(FINER - 1), ..operation.clone() };
    let log = |receipt: &Receipt| matches!(receipt.met(), Met::Write(_)).then(|| receipt.position());
    let told = record.receipt.as_ref().filter(|_| !record.may_be_lost()).and_then(log);
    let found = || places.get(&record.carried).filter(|_| record.is_one_of_a_kind()).map(|(at, _)| *at);
    if let Some(position) = told.or_else(found)
        && let Some(at_us) = judge.committed_at(position)
        && matches!(operation.outcome, Outcome::Done(_))
        && (operation.start..=operation.end).contains(&at_us)
    {
        narrow.start = at_us * FINER + position.index.min(FINER - 1);
        narrow.end = narrow.start;
    }
    narrow
}
