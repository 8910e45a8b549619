//! Writes the format `quorate`.

use super::json;
use crate::{Datum, History, Id, Key, Operation, Outcome, Step, Value};
use std::fmt;
use std::io::{self, Write};

/// Writes a history in the format `quorate`, from which [`read`](super::read) makes the same history; only the numbers of keys,
/// values and sessions may differ, and the lines are those of the new file.
///
/// The file is JSON, one value a line. The first line is the header; each other line is an operation or a band.
///
/// ```text
/// {"quorate-history":1,"object":"register","operations":2,"initial":null,"initials":[["x",0]],"real-time":true}
/// {"session":"a","begin":1,"end":3,"steps":[["write","x",1]]}
/// {"session":"b","begin":2,"steps":[["read","x"]]}
/// {"band":"partition","from":1,"to":2}
/// ```
///
/// - Header: `object` as on the command line; `operations` how many follow, so that a truncated file is noticed (may be left out);
///   `initial` what every key holds at first (`null`, absent, if left out) and `initials` what some keys hold instead;
///   `real-time` is `false` if only the order within sessions is known (`true` if left out).
/// - Operation: `session` is any value. `begin` and `end` are moments, whole numbers from 0, of any unit; without `end` the
///   operation never ended. `outcome` is `"done"`, `"unknown"` or `"refused"`; if it is left out, what has ended is done, and
///   what never ended is unknown. `time` is `[begin, end]` in nanoseconds, with `null` for an end that never was. The order
///   of lines matters only for operations with the same begin.
/// - Steps: an answer that is left out is not known, and `null` in its place says that the key was absent.
///   `["read",key,value]`, `["write",key,value]`, `["cas",key,from,to,took]`, `["append",key,value]`, `["read-list",key,[values]]`,
///   `["add",key,by]`, `["count",key,number]`, `["insert",key,value]`, `["remove",key,value]`, `["contains",key,value,there]`,
///   `["take",key,value]` (`null`: it was empty), `["acquire",key,token]`, `["release",key,token]`, `["guarded",key,token]`,
///   `["generate",value]`, `["digest",key,updates,state]`.
/// - Values are those of JSON, but an object is `{"map":[[key,value],...]}`, since keys need not be texts, or `{"number":"1/3"}` for a number
///   that JSON cannot write. A single object without keys has the key `null`.
///
/// # Errors
/// If the output cannot be written.
pub fn write(history: &History, out: &mut impl Write) -> io::Result<()> {
    header(history, out)?;
    for id in history.ids() {
        operation(history, id, out)?;
    }
    for band in history.bands() {
        writeln!(out, "{{\"band\":{},\"from\":{},\"to\":{}}}", Quoted(&band.what), band.from, band.to)?;
    }
    Ok(())
}

fn header(history: &History, out: &mut impl Write) -> io::Result<()> {
    let (_, keys, _) = history.counts();
    // No key has this number, so this is what holds for all that are not named.
    let of_all = history.initial(Key(u32::MAX));
    let object = history.object().word();
    write!(out, "{{\"quorate-history\":1,\"object\":\"{object}\",\"operations\":{}", history.len())?;
    write!(out, ",\"initial\":{}", Said(history.value(of_all)))?;
    let mut before = ",\"initials\":[";
    for key in (0..keys as u32).map(Key).filter(|key| history.initial(*key) != of_all) {
        write!(out, "{before}[{},{}]", Said(history.key(key)), Said(history.value(history.initial(key))))?;
        before = ",";
    }
    let end = if before == "," { "]" } else { "" };
    writeln!(out, "{end},\"real-time\":{}}}", history.has_real_time())
}

fn operation(history: &History, id: Id, out: &mut impl Write) -> io::Result<()> {
    let Operation { session, outcome, begin, end, .. } = *history.operation(id);
    write!(out, "{{\"session\":{},\"begin\":{begin}", Said(history.session(session)))?;
    if end != Operation::NEVER {
        write!(out, ",\"end\":{end}")?;
    }
    match (outcome, end == Operation::NEVER) {
        (Outcome::Done, false) | (Outcome::Unknown, true) => {}
        (Outcome::Done, true) => write!(out, ",\"outcome\":\"done\"")?,
        (Outcome::Unknown, false) => write!(out, ",\"outcome\":\"unknown\"")?,
        (Outcome::Refused, _) => write!(out, ",\"outcome\":\"refused\"")?,
    }
    match history.time_ns(id) {
        None => {}
        Some((begin, Operation::NEVER)) => write!(out, ",\"time\":[{begin},null]")?,
        Some((begin, end)) => write!(out, ",\"time\":[{begin},{end}]")?,
    }
    write!(out, ",\"steps\":[")?;
    for (at, step) in history.steps(id).iter().enumerate() {
        if at > 0 {
            write!(out, ",")?;
        }
        write_step(history, *step, out)?;
    }
    writeln!(out, "]}}")
}

fn write_step(history: &History, step: Step, out: &mut impl Write) -> io::Result<()> {
    let key = |key: Key| Said(history.key(key));
    let value = |value: Value| Said(history.value(value));
    let known = |known: Option<Value>| Answer(known.map(value));
    let number = |number: Option<i64>| Answer(number);
    match step {
        Step::Read { key: of, value: what } => write!(out, "[\"read\",{}{}]", key(of), known(what)),
        Step::Write { key: of, value: what } => write!(out, "[\"write\",{},{}]", key(of), value(what)),
        Step::Cas { key: of, from, to, took } => {
            write!(out, "[\"cas\",{},{},{}{}]", key(of), value(from), value(to), Answer(took))
        }
        Step::Append { key: of, value: what } => write!(out, "[\"append\",{},{}]", key(of), value(what)),
        Step::ReadList { key: of, list } => {
            write!(out, "[\"read-list\",{}", key(of))?;
            let Some(list) = list else { return write!(out, "]") };
            write!(out, ",[")?;
            for (at, item) in history.list(list).iter().enumerate() {
                write!(out, "{}{}", if at == 0 { "" } else { "," }, value(*item))?;
            }
            write!(out, "]]")
        }
        Step::Add { key: of, by } => write!(out, "[\"add\",{},{by}]", key(of)),
        Step::Count { key: of, number: what } => write!(out, "[\"count\",{}{}]", key(of), number(what)),
        Step::Insert { key: of, value: what } => write!(out, "[\"insert\",{},{}]", key(of), value(what)),
        Step::Remove { key: of, value: what } => write!(out, "[\"remove\",{},{}]", key(of), value(what)),
        Step::Contains { key: of, value: what, there } => {
            write!(out, "[\"contains\",{},{}{}]", key(of), value(what), Answer(there))
        }
        Step::Take { key: of, value: what } => write!(out, "[\"take\",{}{}]", key(of), known(what)),
        Step::Acquire { key: of, token } => write!(out, "[\"acquire\",{}{}]", key(of), number(token)),
        Step::Release { key: of, token } => write!(out, "[\"release\",{}{}]", key(of), number(token)),
        Step::Guarded { key: of, token } => write!(out, "[\"guarded\",{},{token}]", key(of)),
        Step::Generate { value: what } => write!(out, "[\"generate\"{}]", known(what)),
        Step::Digest { key: of, updates, state } => {
            write!(out, "[\"digest\",{},{},{}]", key(of), value(updates), value(state))
        }
    }
}

/// An answer behind a comma, or nothing.
struct Answer<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(answer) => write!(f, ",{answer}"),
            None => Ok(()),
        }
    }
}

/// A text in the quotes and escapes of JSON.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        let mut rest = self.0;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (plain, special) = rest.split_at(at);
            write!(f, "{plain}\\u{:04x}", special.as_bytes()[0])?;
            rest = &special[1..];
        }
        write!(f, "{rest}\"")
    }
}

/// A value as JSON.
struct Said<'a>(&'a Datum);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Datum::Nil => f.write_str("null"),
            Datum::Bool(truth) => write!(f, "{truth}"),
            Datum::Integer(number) => write!(f, "{number}"),
            Datum::Number(text) => match json::number(text) {
                Some(Datum::Number(_)) => f.write_str(text),
                _ => write!(f, "{{\"number\":{}}}", Quoted(text)),
            },
            Datum::Text(text) => write!(f, "{}", Quoted(text)),
            Datum::List(list) => {
                f.write_str("[")?;
                for (at, item) in list.iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { "," }, Said(item))?;
                }
                f.write_str("]")
            }
            Datum::Map(pairs) => {
                f.write_str("{\"map\":[")?;
                for (at, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}[{},{}]", if at == 0 { "" } else { "," }, Said(key), Said(value))?;
                }
                f.write_str("]}")
            }
        }
    }
}
