//! Strings and counters.

use super::cells::{Reader, Writer};
use super::expiry::{self, Unit};
use super::failure::{Failure, NOT_A_FLOAT, NOT_AN_INTEGER, NOT_FINITE, OVERFLOW, Ran, SYNTAX};
use super::layout::Body;
use super::number::{self, Decimal};
use crate::limits;
use crate::operation::Value;
use alloc::vec::Vec;
use bytes::Bytes;

const ZERO: Value = Value::Int(0);
const ONE: Value = Value::Int(1);

/// The value of a string, or nil.
fn told(string: Option<&Bytes>) -> Value {
    string.map_or(Value::Nil, |string| Value::Bulk(string.clone()))
}

/// What the options of SET and GETEX ask for.
#[derive(Clone, Copy, Debug, Default)]
struct Options<'a> {
    not_exists: bool,
    exists: bool,
    get: bool,
    keep_expiry: bool,
    persist: bool,
    expiry: Option<(Unit, &'a Bytes)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taker {
    Set,
    GetEx,
}

fn options(words: &[Bytes], taker: Taker) -> Result<Options<'_>, Failure> {
    let mut options = Options::default();
    let mut words = words.iter();
    let set = taker == Taker::Set;
    while let Some(word) = words.next() {
        let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
        let free = options.expiry.is_none();
        if set && is("NX") && !options.exists {
            options.not_exists = true;
        } else if set && is("XX") && !options.not_exists {
            options.exists = true;
        } else if set && is("GET") {
            options.get = true;
        } else if set && is("KEEPTTL") && free {
            options.keep_expiry = true;
        } else if !set && is("PERSIST") && free {
            options.persist = true;
        } else {
            let unit = Unit::of_option(word).ok_or(SYNTAX)?;
            let doubled = options.expiry.is_some_and(|(before, _)| before != unit);
            if doubled || options.keep_expiry || options.persist {
                return Err(SYNTAX);
            }
            options.expiry = Some((unit, words.next().ok_or(SYNTAX)?));
        }
    }
    Ok(options)
}

pub fn get(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    Ok(told(reader.string(&words[1])?.as_ref()))
}

pub fn set(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    if words.len() == 3 {
        let slot = writer.open_to_replace(&words[1]);
        writer.put(slot, Body::String(words[2].clone()), None);
        return Ok(Value::OK);
    }
    let options = options(&words[3..], Taker::Set)?;
    let expiry = expires(writer, options.expiry, &words[0])?;
    let slot = writer.open(&words[1]);
    let old = if options.get { told(slot.string()?) } else { Value::OK };
    let exists = slot.cell().is_some();
    if (options.not_exists && exists) || (options.exists && !exists) {
        return Ok(if options.get { old } else { Value::Nil });
    }
    let expiry = if options.keep_expiry { slot.expiry() } else { expiry };
    writer.put(slot, Body::String(words[2].clone()), expiry);
    Ok(old)
}

fn expires(writer: &Writer<'_>, option: Option<(Unit, &Bytes)>, name: &[u8]) -> Result<Option<u64>, Failure> {
    option.map(|(unit, word)| expiry::positive(writer.scope.time_ms, unit, word, name)).transpose()
}

/// Does SET with these words say OK in every state? (What a wrong option says does not depend on the state either,
/// but it is not OK.)
pub fn set_is_blind(words: &[Bytes]) -> bool {
    words.len() == 3
        || options(&words[3..], Taker::Set).is_ok_and(|options| {
            let plain = !options.not_exists && !options.exists && !options.get;
            // Far from any overflow, whatever the log time is.
            plain && options.expiry.is_none_or(|(_, word)| expiry_is_safe(word))
        })
}

/// Is this an expiry that SET, SETEX and PSETEX accept in every state?
pub fn expiry_is_safe(word: &[u8]) -> bool {
    number::integer(word).is_some_and(|number| (1..1 << 50).contains(&number))
}

pub fn setnx(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    if slot.cell().is_some() {
        return Ok(ZERO);
    }
    writer.put(slot, Body::String(words[2].clone()), None);
    Ok(ONE)
}

pub fn setex(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    set_expiring(writer, words, Unit::Seconds)
}

pub fn psetex(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    set_expiring(writer, words, Unit::Milliseconds)
}

fn set_expiring(writer: &mut Writer<'_>, words: &[Bytes], unit: Unit) -> Ran {
    let expiry = expiry::positive(writer.scope.time_ms, unit, &words[2], &words[0])?;
    let slot = writer.open_to_replace(&words[1]);
    writer.put(slot, Body::String(words[3].clone()), Some(expiry));
    Ok(Value::OK)
}

pub fn getset(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    let old = told(slot.string()?);
    writer.put(slot, Body::String(words[2].clone()), None);
    Ok(old)
}

pub fn getdel(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    let old = told(slot.string()?);
    if slot.cell().is_some() {
        writer.remove(slot);
    }
    Ok(old)
}

pub fn getex(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let options = options(&words[2..], Taker::GetEx)?;
    let slot = writer.open(&words[1]);
    let Some(string) = slot.string()?.cloned() else { return Ok(Value::Nil) };
    match expires(writer, options.expiry, &words[0])? {
        Some(expiry) => writer.set_expiry(slot, Some(expiry)),
        None if options.persist => writer.set_expiry(slot, None),
        None => {}
    }
    Ok(Value::Bulk(string))
}

pub fn mget(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let get = |key: &Bytes| reader.string(key).map_or(Value::Nil, |string| told(string.as_ref()));
    Ok(Value::Array(words[1..].iter().map(get).collect()))
}

pub fn mset(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    if words.len().is_multiple_of(2) {
        return Err(Failure::arity(&words[0]));
    }
    for pair in words[1..].chunks_exact(2) {
        let slot = writer.open_to_replace(&pair[0]);
        writer.put(slot, Body::String(pair[1].clone()), None);
    }
    Ok(Value::OK)
}

pub fn msetnx(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    if words.len().is_multiple_of(2) {
        return Err(Failure::arity(&words[0]));
    }
    if words[1..].iter().step_by(2).any(|key| writer.open(key).cell().is_some()) {
        return Ok(ZERO);
    }
    mset(writer, words)?;
    Ok(ONE)
}

pub fn strlen(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    Ok(Value::Int(reader.string(&words[1])?.map_or(0, |string| string.len() as i64)))
}

pub fn append(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    let old = slot.string()?.cloned().unwrap_or_default();
    let string = joined(&old, old.len(), &words[2])?;
    let length = string.len() as i64;
    writer.put_string(slot, string);
    Ok(Value::Int(length))
}

pub fn setrange(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let offset = number::integer(&words[2]).ok_or(NOT_AN_INTEGER)?;
    let offset = usize::try_from(offset).map_err(|_| Failure::new("ERR offset is out of range"))?;
    let slot = writer.open(&words[1]);
    let old = slot.string()?.cloned().unwrap_or_default();
    if words[3].is_empty() {
        return Ok(Value::Int(old.len() as i64));
    }
    let string = joined(&old, offset, &words[3])?;
    let length = string.len() as i64;
    writer.put_string(slot, string);
    Ok(Value::Int(length))
}

/// A string with `part` written over it at an offset; a gap is filled with zeros.
fn joined(old: &Bytes, offset: usize, part: &Bytes) -> Result<Bytes, Failure> {
    let end = offset.saturating_add(part.len());
    if end > limits::VALUE_BYTES {
        return Err(Failure::too_long());
    }
    let mut string = Vec::with_capacity(end.max(old.len()));
    string.extend_from_slice(old);
    string.resize(end.max(old.len()), 0);
    string[offset..end].copy_from_slice(part);
    Ok(Bytes::from(string))
}

pub fn getrange(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let start = number::integer(&words[2]).ok_or(NOT_AN_INTEGER)?;
    let end = number::integer(&words[3]).ok_or(NOT_AN_INTEGER)?;
    let string = reader.string(&words[1])?.unwrap_or_default();
    let length = string.len() as i64;
    let empty = Ok(Value::Bulk(Bytes::new()));
    if start < 0 && end < 0 && start > end {
        return empty;
    }
    let from_end = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(length - 1));
    if start > end || length == 0 {
        return empty;
    }
    Ok(Value::Bulk(string.slice(start as usize..=end as usize)))
}

pub fn incr(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    add(writer, &words[1], 1)
}

pub fn decr(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    add(writer, &words[1], -1)
}

pub fn incrby(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    add(writer, &words[1], number::integer(&words[2]).ok_or(NOT_AN_INTEGER)?)
}

pub fn decrby(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let by = number::integer(&words[2]).ok_or(NOT_AN_INTEGER)?;
    add(writer, &words[1], by.checked_neg().ok_or(Failure::new("ERR decrement would overflow"))?)
}

fn add(writer: &mut Writer<'_>, key: &[u8], by: i64) -> Ran {
    let slot = writer.open(key);
    let old = slot.string()?.map_or(Some(0), |string| number::integer(string)).ok_or(NOT_AN_INTEGER)?;
    let sum = old.checked_add(by).ok_or(OVERFLOW)?;
    writer.put_string(slot, number::text(sum));
    Ok(Value::Int(sum))
}

pub fn incrbyfloat(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    let old = slot.string()?.map_or(&b"0"[..], |string| string);
    let old = Decimal::parse(old).ok_or(NOT_A_FLOAT)?;
    let by = Decimal::parse(&words[2]).ok_or(NOT_A_FLOAT)?;
    let sum = old.plus(&by).and_then(|sum| sum.text()).ok_or(NOT_FINITE)?;
    writer.put_string(slot, sum.clone());
    Ok(Value::Bulk(sum))
}

/// `CAS key expected new`: 1 if the string was as expected and is now new, else 0. The expiry stays.
pub fn cas(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    if slot.string()? != Some(&words[2]) {
        return Ok(ZERO);
    }
    writer.put_string(slot, words[3].clone());
    Ok(ONE)
}
