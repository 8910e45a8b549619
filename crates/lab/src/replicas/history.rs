//! What the judges of histories say of leaderless tables.

use super::{Asked, Clients, Record, Shown, Table, Told, shown};
use crate::check::register::{self, Verdict};
use crate::check::{Action, Answer, Operation, Outcome};
use crate::failure::Kind as Broken;
use crate::judge::Judge;
use crate::judge::replicas::{Fate, Read, Rule, Write, elements, equal, siblings, sums, swaps};
use crate::simulator::Simulator;
use bytes::Bytes;
use quorate_core::crdt::Kind;
use quorate_core::guarantee::{Level, Met, NodeSet, Path};
use quorate_core::machine::NodeId;
use quorate_core::node::Node;
use std::collections::BTreeMap;

impl Clients {
    /// Judges the history of every key, and what is there at the end if all replicas are equal by now.
    pub fn judge_history(&self, judge: &mut Judge, simulator: &Simulator<Node>, ended: bool) {
        let mut keys: BTreeMap<(usize, &Bytes), Vec<&Record>> = BTreeMap::new();
        for record in &self.records {
            keys.entry((record.table, &record.key)).or_default().push(record);
        }
        for ((at, key), records) in keys {
            let Some((id, table)) = self.tables().nth(at) else { continue };
            let part = |key: &Bytes| {
                let states = equal::states(simulator, id, key);
                states.first().and_then(|(_, state)| shown(&state.cell, table.bound))
            };
            let parts = table.kept(key).iter().map(part).collect::<Option<Vec<Shown>>>().filter(|_| ended);
            let end = parts.and_then(|parts| parts.into_iter().reduce(Shown::with));
            let replaced = &simulator.replaced[..];
            let history = History { table, records: &records, replaced, end };
            if let Some((kind, detail)) = history.check() {
                let name = String::from_utf8_lossy(key);
                let detail = format!("{} {name} of table {}, {table:?}: {detail}", table.cell, id.0);
                judge.accuse(simulator.now_us(), kind, detail);
            }
        }
    }
}

/// The operations on one key.
struct History<'a> {
    table: &'a Table,
    records: &'a [&'a Record],
    /// Disks that were lost or set back, and when.
    replaced: &'a [(u64, NodeId)],
    end: Option<Shown>,
}

impl History<'_> {
    fn check(&self) -> Option<(Broken, String)> {
        let named = |kind: Broken, detail: Option<String>| detail.map(|detail| (kind, detail));
        match self.table.kind() {
            // Of one replica nothing is left when its disk goes.
            Kind::Register | Kind::Latest
                if self.table.swaps && self.table.replicas < 2 && !self.replaced.is_empty() =>
            {
                None
            }
            Kind::Register | Kind::Latest if self.table.swaps => {
                named(Broken::WrongSwap, swaps::check(&self.swaps(), self.rule())).or_else(|| self.order_of_swaps())
            }
            Kind::Register => named(Broken::WrongSiblings, siblings::check(&self.siblings(), self.rule())),
            Kind::Latest if self.table.is_majority() => self.order(),
            Kind::Counter | Kind::Bounded => named(Broken::WrongSum, sums::check(&self.sums(), self.rule())),
            Kind::Set | Kind::Text => named(Broken::WrongElements, elements::check(&self.elements(), self.rule())),
            Kind::Map => named(Broken::WrongSum, sums::check(&self.sums(), self.rule()))
                .or_else(|| named(Broken::WrongElements, elements::check(&self.elements(), self.rule()))),
            Kind::Latest | Kind::Flag | Kind::DisableWinsFlag | Kind::RemoveWinsSet => None,
        }
    }

    fn rule(&self) -> Rule<'_> {
        Rule { replicas: self.table.replicas.into(), write: self.table.write.into(), replaced: self.replaced }
    }

    fn writes<T>(&self, what: impl Fn(&Record) -> Option<T>) -> Vec<Write<T>> {
        self.records.iter().filter_map(|record| Some(self.write(record, what(record)?))).collect()
    }

    fn write<T>(&self, record: &Record, what: T) -> Write<T> {
        let durable = record.receipt.map(|receipt| receipt.durable()).unwrap_or_default();
        let survives = self.rule().survives(durable, record.start, record.end);
        let fate = match record.told {
            Told::Refused => Fate::Refused,
            Told::Changed | Told::Took(true) if record.want.quorum.volatile || !survives => Fate::Fleeting,
            Told::Changed | Told::Took(true) => Fate::Done,
            Told::Took(false) => Fate::Refused,
            Told::Unknown | Told::Shown(_) => Fate::Unknown,
        };
        let asked = record.receipt.map(|receipt| NodeSet::only(receipt.served_by())).unwrap_or_default();
        let asked = (asked, usize::from(self.table.read));
        Write { what, session: record.session, start: record.start, end: record.end, fate, durable, asked }
    }

    fn reads<T>(&self, what: impl Fn(Shown) -> Option<T>) -> Vec<Read<T>> {
        let read = |record: &&Record| {
            let (Told::Shown(shown), Some(receipt)) = (&record.told, record.receipt) else { return None };
            let Met::Read(met) = receipt.met() else { return None };
            let mut record = Record::clone(record);
            record.told = Told::Shown(shown.clone());
            record.reread(self.table.kind());
            let Told::Shown(shown) = record.told else { return None };
            // Who only took what was written back answered, too, and was not read. Of a key in parts the receipt names who answered for the
            // weakest, and of a joined read who answered before it began.
            let answered = match (self.table.split > 1, receipt.path()) {
                (true, _) | (false, Path::JoinedRead) => NodeSet::default(),
                (false, Path::WriteBack) => NodeSet::only(receipt.served_by()),
                (false, _) => receipt.answered(),
            };
            let (session, start, end) = (record.session, record.start, record.end);
            Some(Read { shown: what(shown)?, session, start, end, answered, met })
        };
        self.records.iter().filter_map(read).collect()
    }

    fn sums(&self) -> sums::History {
        let bounded = self.table.kind() == Kind::Bounded;
        let base = if bounded { self.table.bound } else { 0 };
        let sum = |shown| match shown {
            Shown::Sum(sum) | Shown::Fields(_, sum) => Some(sum.unwrap_or(base)),
            Shown::Values(_) | Shown::Elements(_) => None,
        };
        let amount = |record: &Record| match record.asked {
            Asked::Add(amount) => Some(amount),
            Asked::Read
            | Asked::Replace { .. }
            | Asked::Swap { .. }
            | Asked::Repeat
            | Asked::Give
            | Asked::Put(_)
            | Asked::Take(_) => None,
        };
        sums::History {
            base,
            bound: bounded.then_some(base),
            writes: self.writes(amount),
            reads: self.reads(sum),
            end: self.end.clone().and_then(sum),
        }
    }

    fn elements(&self) -> elements::History {
        let all = |shown| match shown {
            Shown::Elements(elements) | Shown::Fields(elements, _) => Some(elements),
            // An empty set is nothing.
            Shown::Values(values) => Some(values),
            Shown::Sum(_) => None,
        };
        let added = |record: &Record| record.asked.element().map(|element| (element.clone(), record.attempts == 1));
        let removed = |record: &Record| match &record.asked {
            Asked::Take(element) => Some(element.clone()),
            Asked::Read
            | Asked::Replace { .. }
            | Asked::Swap { .. }
            | Asked::Add(_)
            | Asked::Repeat
            | Asked::Give
            | Asked::Put(_) => None,
        };
        elements::History {
            adds: self.writes(added),
            removals: self.writes(removed),
            reads: self.reads(all),
            end: self.end.clone().and_then(all),
        }
    }

    fn siblings(&self) -> siblings::History {
        let replaced = |record: &Record| match &record.asked {
            Asked::Replace { by, saw } => Some(siblings::Replaced { by: by.clone(), saw: saw.clone() }),
            Asked::Read
            | Asked::Swap { .. }
            | Asked::Add(_)
            | Asked::Repeat
            | Asked::Give
            | Asked::Put(_)
            | Asked::Take(_) => None,
        };
        siblings::History {
            writes: self.writes(replaced),
            reads: self.reads(Shown::values),
            end: self.end.clone().and_then(Shown::values),
        }
    }

    fn swaps(&self) -> swaps::History {
        let swapped = |record: &Record| match &record.asked {
            Asked::Swap { expected, new } => Some(swaps::Swap { expected: expected.clone(), new: new.clone() }),
            Asked::Read
            | Asked::Replace { .. }
            | Asked::Add(_)
            | Asked::Repeat
            | Asked::Give
            | Asked::Put(_)
            | Asked::Take(_) => None,
        };
        swaps::History {
            swaps: self.writes(swapped),
            reads: self.reads(Shown::values),
            end: self.end.clone().and_then(Shown::values),
        }
    }

    /// Swaps and linearizable reads have one order, whatever W is: a majority agreed on each.
    fn order_of_swaps(&self) -> Option<(Broken, String)> {
        let operation = |record: &&Record| {
            let linearizable = record.receipt.is_some_and(|receipt| receipt.met() == Met::Read(Level::Linearizable));
            let (action, outcome) = match (&record.asked, &record.told) {
                (Asked::Read, Told::Shown(Shown::Values(values))) if linearizable => {
                    (Action::Read, Outcome::Done(Answer::Value(values.first().cloned())))
                }
                (Asked::Swap { expected, new }, told) => {
                    let outcome = match told {
                        Told::Took(took) => Outcome::Done(Answer::Took(*took)),
                        Told::Refused => Outcome::Refused,
                        Told::Changed | Told::Unknown | Told::Shown(_) => Outcome::Unknown,
                    };
                    (Action::Cas(expected.clone(), new.clone()), outcome)
                }
                _ => return None,
            };
            Some(of_record(record, action, outcome))
        };
        one_order(self.records.iter().filter_map(operation).collect())
    }

    /// Atomic reads, and writes that enough replicas hold, have one order.
    fn order(&self) -> Option<(Broken, String)> {
        let rule = self.rule();
        if rule.write < 2 && !rule.replaced.is_empty() {
            return None;
        }
        let operation = |record: &&Record| {
            let held = |nodes| rule.kept(nodes, record.start, record.end);
            let done = |answer| Outcome::Done(answer);
            let (action, outcome) = match (&record.asked, &record.told) {
                (Asked::Read, Told::Shown(Shown::Values(values))) => {
                    let atomic = record.receipt.is_some_and(|receipt| receipt.met() == Met::Read(Level::Atomic));
                    let answer = done(Answer::Value(values.first().cloned()));
                    // Nobody need find again what was told by a disk that went.
                    let told = record.receipt.is_some_and(|receipt| held(receipt.answered()) == receipt.answered());
                    (Action::Read, Some(answer).filter(|_| atomic && told)?)
                }
                (Asked::Replace { by: Some(value), .. }, told) => {
                    let held = record.receipt.map_or(0, |receipt| held(receipt.durable()).len());
                    let outcome = match told {
                        Told::Refused => Outcome::Refused,
                        Told::Changed if held >= usize::from(self.table.write) => done(Answer::Written),
                        Told::Changed | Told::Unknown | Told::Took(_) | Told::Shown(_) => Outcome::Unknown,
                    };
                    (Action::Write(value.clone()), outcome)
                }
                _ => return None,
            };
            Some(of_record(record, action, outcome))
        };
        one_order(self.records.iter().filter_map(operation).collect())
    }
}

fn of_record(record: &Record, action: Action, outcome: Outcome) -> Operation {
    let end = if outcome == Outcome::Unknown { u64::MAX } else { record.end };
    let (client, key, start) = (record.client, record.key.clone(), record.start);
    Operation { client, key, action, outcome, start, end }
}

fn one_order(operations: Vec<Operation>) -> Option<(Broken, String)> {
    match register::check(&operations, register::BUDGET) {
        Verdict::Valid => None,
        Verdict::Invalid(witness) => Some((Broken::NotLinearizable(witness.anomaly), witness.to_string())),
        Verdict::Unknown(_) => Some((Broken::Undecided, String::new())),
    }
}
