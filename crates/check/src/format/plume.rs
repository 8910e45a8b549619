//! Transactions as PolySI and Plume write them: `r(key,value,session,transaction)` and `w(...)`, one step a line.

use super::interpret::set_initial;
use super::source::Source;
use super::{Options, Problem, limits};
use crate::{Datum, History, Object, Recorder, Step, Ticket};
use rustc_hash::FxHashMap;
use std::io::Read;

/// The transaction of steps that were aborted.
const ABORTED: i64 = -1;

struct Row {
    is_write: bool,
    key: Datum,
    value: Datum,
    session: Datum,
    transaction: i64,
}

struct Transaction {
    session: Datum,
    line: u32,
    steps: u32,
    aborted: bool,
}

/// Reads a history. Lines of one transaction may stand apart; it begins with its first line.
pub(super) fn read<R: Read>(mut source: Source<R>, options: &Options) -> Result<History, Problem> {
    if let Some(object) = options.object.filter(|object| *object != Object::RwRegister) {
        return Err(Problem::at(1, format!("plume tells transactions of rw-register, not {}", object.word())));
    }
    let mut recorder = Recorder::new(Object::RwRegister);
    recorder.without_real_time();
    set_initial(&mut recorder, options.initial.as_ref().unwrap_or(&Datum::Integer(0)));
    let mut transactions: Vec<Transaction> = Vec::new();
    let mut numbers: FxHashMap<i64, u32> = FxHashMap::default();
    let mut steps: Vec<(u32, Step)> = Vec::new();
    let mut text = Vec::new();
    let mut last = None;
    while let Some(line) = source.line_into(&mut text) {
        source.failure()?;
        if text.trim_ascii().is_empty() {
            continue;
        }
        let row = row(&text, line)?;
        let at = match last {
            Some((number, at)) if number == row.transaction && number != ABORTED => at,
            _ if row.transaction == ABORTED => u32::MAX,
            _ => numbers.get(&row.transaction).copied().unwrap_or(u32::MAX),
        };
        let at = if at == u32::MAX {
            let at = transactions.len() as u32;
            let aborted = row.transaction == ABORTED;
            transactions.push(Transaction { session: row.session, line, steps: 0, aborted });
            if !aborted {
                numbers.insert(row.transaction, at);
            }
            at
        } else if transactions[at as usize].session != row.session {
            let Transaction { session, line: began, .. } = &transactions[at as usize];
            let (number, other) = (row.transaction, row.session);
            let why =
                format!("transaction {number} is of session {session} in line {began}, but of session {other} here");
            return Err(Problem::at(line, why));
        } else {
            at
        };
        last = Some((row.transaction, at));
        let (key, value) = (recorder.key(&row.key), recorder.value(&row.value));
        let step = if row.is_write { Step::Write { key, value } } else { Step::Read { key, value: Some(value) } };
        steps.push((at, step));
        transactions[at as usize].steps += 1;
        if steps.len() as u64 >= limits::STEPS {
            return Err(Problem::at(line, "the history is too large: its numbers do not fit into 32 bits"));
        }
    }
    source.failure()?;
    if transactions.is_empty() {
        return Err(Problem::at(source.line(), "there is no operation in the file"));
    }
    // Mostly sorted already; the sort is stable, so the order within a transaction stays.
    steps.sort_by_key(|(at, _)| *at);
    record(&mut recorder, &transactions, &steps);
    Ok(recorder.finish())
}

fn record(recorder: &mut Recorder, transactions: &[Transaction], steps: &[(u32, Step)]) {
    let mut from = 0;
    let mut own = Vec::new();
    for (at, transaction) in transactions.iter().enumerate() {
        let to = from + transaction.steps as usize;
        own.clear();
        own.extend(steps[from..to].iter().map(|(_, step)| *step));
        from = to;
        let session = recorder.session(&transaction.session);
        let begin = 2 * at as u64;
        let ticket: Ticket = recorder.begin(session, begin, transaction.line, &own);
        if transaction.aborted {
            recorder.refuse(ticket, begin + 1);
        } else {
            recorder.end(ticket, begin + 1, &own);
        }
    }
}

fn row(text: &[u8], line: u32) -> Result<Row, Problem> {
    parse(text.trim_ascii()).ok_or_else(|| {
        let shown: String = String::from_utf8_lossy(text).chars().take(60).collect();
        Problem::at(line, format!("r(key,value,session,transaction) or w(...) was expected, not {shown:?}"))
    })
}

fn parse(text: &[u8]) -> Option<Row> {
    let (is_write, rest) = match text {
        [b'r', b'(', rest @ .., b')'] => (false, rest),
        [b'w', b'(', rest @ .., b')'] => (true, rest),
        _ => return None,
    };
    let mut parts = rest.split(|&byte| byte == b',').map(|part| super::edn::whole(part.trim_ascii()));
    let row = Row {
        is_write,
        key: parts.next()??,
        value: parts.next()??,
        session: parts.next()??,
        transaction: parts.next()??.integer()?,
    };
    parts.next().is_none().then_some(row)
}
