//! Models of transactions, from read uncommitted to strict serializable.
//!
//! A *transaction* is an operation of any number of steps over keys. Refused ones were aborted. Those of unknown outcome took
//! place if a transaction that took place read from them; else they are left out, which a valid history stays valid by; their
//! own answers say nothing. A read behind an own write of its transaction must give that write, and every read must give
//! what somebody wrote: these are conditions of a history in every model (Adya, *Weak Consistency*, 1999, section 3.1). All other
//! reads are from outside.
//!
//! T1 →wr T2 if T2 read from outside what T1 wrote last, T1 →ww T2 if T2 wrote the next version of a key behind that of T1, and
//! T1 →rw T2 if T1 read the version before that of T2. B is what is known beforehand: if the format binds sessions to
//! all models ([`crate::History::sessions_bind`]), the order within sessions; else nothing, except in those models that name it.
//!
//! | model | definition |
//! |---|---|
//! | read uncommitted | there is an order of versions such that ww ∪ B has no circle (no G0) |
//! | read committed | and none of wr ∪ ww ∪ B (no G1c), nothing aborted or intermediate was read (no G1a, G1b) (Adya); if sessions bind, monotonic atomic view, which Biswas and Enea call read committed |
//! | monotonic atomic view | there is a total order ⊇ wr ∪ ww ∪ B in which T2 < T1 whenever a transaction reads x from T1 after it read anything from T2, which wrote x (Biswas and Enea, *On the Complexity of Checking Transactional Consistency*, 2019, read committed; no G1a, G1b) |
//! | read atomic | the same whenever T2 →(wr ∪ B) the reader |
//! | causal | the same whenever T2 →(wr ∪ sessions)⁺ the reader |
//! | snapshot isolation | there is an order of versions such that no circle of wr ∪ ww ∪ rw ∪ B lacks two adjacent rw (Cerone and Gotsman, *Analysing Snapshot Isolation*, 2016; with B it is strong session snapshot isolation) |
//! | serializable, repeatable read | no circle of wr ∪ ww ∪ rw ∪ B at all (no G2-item; over items the two are the same) |
//! | strong session serializable | B is the order within sessions |
//! | strict serializable | B is that and the order in time |
//!
//! In read atomic and stronger models, a transaction that sees two versions of a key is non-repeatable.

mod base;
mod choice;
mod dependency;
mod fewest;
mod graph;
mod list;
mod log;
mod register;
mod solve;
mod state;
mod strong;
mod weak;
mod witness;

#[cfg(test)]
mod tests;

use crate::{Anomaly, Edge, History, Id, Judged, Meter, Object, Spent, Witness};
use choice::Choice;
use graph::Builder;
use log::{Breaks, Fault, Log, Table};

/// How much is forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Uncommitted,
    Committed,
    AtomicView,
    Atomic,
    Causal,
    Snapshot,
    Serializable,
}

/// What is known beforehand of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Base {
    Nothing,
    Sessions,
    Time,
}

/// The rules of the checker; tests break one at a time to see that it is noticed.
#[derive(Clone, Copy, Debug)]
struct Rules {
    sessions: bool,
    real_time: bool,
    unknown_writes: bool,
    anti_dependencies: bool,
    snapshots: bool,
    conflicts: bool,
    aborted: bool,
    intermediate: bool,
}

impl Rules {
    const TRUE: Rules = Rules {
        sessions: true,
        real_time: true,
        unknown_writes: true,
        anti_dependencies: true,
        snapshots: true,
        conflicts: true,
        aborted: true,
        intermediate: true,
    };
}

pub(crate) fn read_uncommitted(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Level::Uncommitted, Base::Nothing, Rules::TRUE, meter)
}

pub(crate) fn read_committed(history: &History, meter: &mut Meter<'_>) -> Judged {
    let level = if history.sessions_bind() { Level::AtomicView } else { Level::Committed };
    judge(history, level, Base::Nothing, Rules::TRUE, meter)
}

pub(crate) fn read_atomic(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Level::Atomic, Base::Nothing, Rules::TRUE, meter)
}

pub(crate) fn monotonic_atomic_view(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Level::AtomicView, Base::Nothing, Rules::TRUE, meter)
}

pub(crate) fn causal(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Level::Causal, Base::Sessions, Rules::TRUE, meter)
}

pub(crate) fn snapshot_isolation(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Level::Snapshot, Base::Nothing, Rules::TRUE, meter)
}

pub(crate) fn repeatable_read(history: &History, meter: &mut Meter<'_>) -> Judged {
    serializable(history, meter)
}

pub(crate) fn serializable(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Level::Serializable, Base::Nothing, Rules::TRUE, meter)
}

pub(crate) fn strong_session_serializable(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Level::Serializable, Base::Sessions, Rules::TRUE, meter)
}

pub(crate) fn strict_serializable(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Level::Serializable, Base::Time, Rules::TRUE, meter)
}

fn judge(history: &History, level: Level, base: Base, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    let base = if base == Base::Nothing && history.sessions_bind() { Base::Sessions } else { base };
    let before = meter.progress().steps;
    let Some(witness) = find(history, level, base, rules, meter)? else { return Ok(None) };
    let steps = SHRINKING * (meter.progress().steps - before) + FIRST_TURN;
    Ok(Some(fewest_of(history, witness, level, base, rules, steps, meter)))
}

/// What is wrong, if something is.
fn find(history: &History, level: Level, base: Base, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    let table = Table::new(history);
    if level == Level::Serializable {
        let mut choice = Choice::default();
        meter.step(history.len() as u64)?;
        let log = Log::new(history, &table, &mut choice, rules);
        if choice.is_forced() {
            return judge_one(&log, level, base, rules, meter);
        }
        return judge_by_turns(history, &table, base, rules, meter);
    }
    judge_choices(history, &table, level, base, rules, meter)
}

/// Making a witness smaller may take so many times the steps that finding it took, and those of a first turn.
const SHRINKING: u64 = 4;

/// What is wrong with as few of the operations as possible.
fn fewest_of(
    history: &History,
    witness: Witness,
    level: Level,
    base: Base,
    rules: Rules,
    steps: u64,
    meter: &mut Meter<'_>,
) -> Witness {
    let operations = witness.operations.clone();
    let mut best = witness;
    let mut fails = |fewer: &[Id], meter: &mut Meter<'_>| {
        let found = find(&history.restrict(fewer), level, base, rules, meter)?;
        Ok(found.map(|found| {
            best = of_part(fewer, found);
            best.operations.clone()
        }))
    };
    fewest::fewest(history, operations, steps, &mut fails, meter);
    best
}

/// A witness from a history of these operations alone, in numbers of the whole.
fn of_part(part: &[Id], found: Witness) -> Witness {
    let whole = |id: Id| part[id.index()];
    let edge = |edge: Edge| Edge { from: whole(edge.from), to: whole(edge.to), ..edge };
    Witness {
        anomaly: found.anomaly,
        operations: found.operations.into_iter().map(whole).collect(),
        edges: found.edges.into_iter().map(edge).collect(),
    }
}

/// Where values repeat and one order is asked for: choices of writers and executing the transactions take turns, each time with a
/// greater part of the budget. Either may be much faster than the other.
fn judge_by_turns(history: &History, table: &Table, base: Base, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    let mut steps = FIRST_TURN + 16 * history.len() as u64;
    let (mut chooses, mut executes) = (true, true);
    // An order that respects more is good too, and is found sooner.
    for stronger in [Base::Time, Base::Sessions].into_iter().filter(|&stronger| stronger > base) {
        if meter.within(steps, |meter| state::has_order(history, stronger, rules, meter)).0 == Ok(true) {
            return Ok(None);
        }
    }
    loop {
        let before = meter.progress().steps;
        if executes {
            match meter.within(steps, |meter| state::has_order(history, base, rules, meter)) {
                (Ok(true), _) => return Ok(None),
                (Ok(false), took) => {
                    let steps = 16 * took + FIRST_TURN;
                    let witness = state::witness(history, base, rules, steps, meter);
                    return Ok(Some(with_a_name(history, witness, base, rules, meter)));
                }
                (Err(Spent::Stopped), _) => return Err(Spent::Stopped),
                (Err(Spent::Bytes), _) => executes = false,
                (Err(Spent::Steps), _) => {}
            }
        }
        if chooses {
            match meter.within(steps, |meter| judge_choices(history, table, Level::Serializable, base, rules, meter)).0
            {
                Ok(found) => return Ok(found),
                Err(Spent::Stopped) => return Err(Spent::Stopped),
                Err(Spent::Bytes) => chooses = false,
                Err(Spent::Steps) => {}
            }
        }
        if !chooses && !executes {
            return Err(Spent::Bytes);
        }
        // Nothing was done if the whole budget is spent.
        if meter.progress().steps == before {
            return Err(Spent::Steps);
        }
        steps = steps.saturating_mul(4);
    }
}

/// What was found by executing says only that there is no order. If the choices of writers, on the few transactions that are
/// left, find a circle, that says why.
fn with_a_name(history: &History, witness: Witness, base: Base, rules: Rules, meter: &mut Meter<'_>) -> Witness {
    let few = history.restrict(&witness.operations);
    let table = Table::new(&few);
    let named =
        meter.within(FIRST_TURN, |meter| judge_choices(&few, &table, Level::Serializable, base, rules, meter)).0;
    match named {
        Ok(Some(named)) => of_part(&witness.operations, named),
        Ok(None) | Err(_) => witness,
    }
}

/// The steps of the first turns.
const FIRST_TURN: u64 = 1 << 14;

/// Tries every choice of writers, of which there is one if the values of a key are distinct.
fn judge_choices(
    history: &History,
    table: &Table,
    level: Level,
    base: Base,
    rules: Rules,
    meter: &mut Meter<'_>,
) -> Judged {
    let mut choice = Choice::default();
    let mut all: Option<Witness> = None;
    loop {
        meter.step(history.len() as u64)?;
        let log = Log::new(history, table, &mut choice, rules);
        let Some(found) = judge_one(&log, level, base, rules, meter)? else { return Ok(None) };
        let is_more = choice.advance(|reader| found.operations.binary_search(&Id(reader)).is_ok());
        all = Some(match all {
            None => found,
            Some(all) => join(all, found),
        });
        if !is_more {
            return Ok(all);
        }
    }
}

/// No choice of writers explains these operations: all that contradicts one choice or the other.
fn join(all: Witness, found: Witness) -> Witness {
    let mut operations: Vec<Id> = all.operations.into_iter().chain(found.operations).collect();
    operations.sort_unstable();
    operations.dedup();
    let edges: Vec<Edge> = if all.edges == found.edges { all.edges } else { Vec::new() };
    Witness { anomaly: all.anomaly.min(found.anomaly), operations, edges }
}

fn judge_one(log: &Log<'_>, level: Level, base: Base, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    let forbidden = match level {
        Level::Uncommitted => Breaks::Everything,
        Level::Committed | Level::AtomicView => Breaks::Committed,
        Level::Atomic | Level::Causal | Level::Snapshot | Level::Serializable => Breaks::Atomic,
    };
    let is_ignored = |fault: &&Fault| match fault.anomaly {
        Anomaly::AbortedRead => !rules.aborted,
        Anomaly::IntermediateRead => !rules.intermediate,
        _ => false,
    };
    if let Some(fault) = log.worst(forbidden).filter(|fault| !is_ignored(fault)) {
        return Ok(Some(witness::of_fault(log, fault)));
    }
    if matches!(level, Level::Snapshot | Level::Serializable) {
        return strong::judge(log, level, base, rules, meter);
    }
    let mut edges = Builder::new(log.history.len());
    base::add(log, base, rules, &mut edges);
    if log.history.object() == Object::ListAppend {
        dependency::add_writes(log, &mut edges);
    }
    if level != Level::Uncommitted {
        dependency::add_reads(log, &mut edges);
        weak::add(log, level, base, rules, meter, &mut edges)?;
    }
    let graph = edges.finish();
    meter.step(graph.size())?;
    let circle = graph::short_circle(&graph);
    Ok(circle.map(|links| witness::of_circle(log, level, &links, &[])))
}
