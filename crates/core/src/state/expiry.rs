//! When keys expire: the EXPIRE and TTL families. Relative times count from log time.

use super::cells::{Reader, Writer};
use super::failure::{Failure, NOT_AN_INTEGER, Ran};
use super::number;
use crate::operation::Value;
use alloc::format;
use alloc::string::String;
use bytes::Bytes;

/// How a time is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// From now.
    Seconds,
    /// From now.
    Milliseconds,
    /// Since 1970.
    AtSeconds,
    /// Since 1970.
    AtMilliseconds,
}

impl Unit {
    /// The unit of an option of SET and GETEX.
    pub fn of_option(word: &[u8]) -> Option<Unit> {
        [
            (&b"EX"[..], Unit::Seconds),
            (b"PX", Unit::Milliseconds),
            (b"EXAT", Unit::AtSeconds),
            (b"PXAT", Unit::AtMilliseconds),
        ]
        .into_iter()
        .find_map(|(option, unit)| word.eq_ignore_ascii_case(option).then_some(unit))
    }
    fn in_seconds(self) -> bool {
        matches!(self, Unit::Seconds | Unit::AtSeconds)
    }
    fn base(self, time_ms: u64) -> i64 {
        match self {
            Unit::Seconds | Unit::Milliseconds => i64::try_from(time_ms).unwrap_or(i64::MAX),
            Unit::AtSeconds | Unit::AtMilliseconds => 0,
        }
    }
}

/// The moment that a positive time names, in milliseconds since 1970.
pub fn positive(time_ms: u64, unit: Unit, word: &[u8], name: &[u8]) -> Result<u64, Failure> {
    let time = number::integer(word).ok_or(NOT_AN_INTEGER)?;
    let scaled = if unit.in_seconds() { time.checked_mul(1000) } else { Some(time) };
    let moment = scaled.filter(|scaled| *scaled > 0).and_then(|scaled| scaled.checked_add(unit.base(time_ms)));
    moment.map(i64::unsigned_abs).ok_or_else(|| Failure::expire_time(name))
}

/// The conditions of the EXPIRE family.
#[derive(Default)]
struct Conditions {
    unless_expiring: bool,
    if_expiring: bool,
    if_later: bool,
    if_earlier: bool,
}

impl Conditions {
    fn parse(words: &[Bytes]) -> Result<Conditions, Failure> {
        let mut conditions = Conditions::default();
        for word in words {
            match &word.to_ascii_uppercase()[..] {
                b"NX" => conditions.unless_expiring = true,
                b"XX" => conditions.if_expiring = true,
                b"GT" => conditions.if_later = true,
                b"LT" => conditions.if_earlier = true,
                _ => {
                    let shown = String::from_utf8_lossy(word).replace(['\r', '\n'], " ");
                    return Err(Failure::told(format!("ERR Unsupported option {shown}")));
                }
            }
        }
        if conditions.unless_expiring && (conditions.if_expiring || conditions.if_later || conditions.if_earlier) {
            return Err(Failure::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if conditions.if_later && conditions.if_earlier {
            return Err(Failure::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }
    fn hold(&self, before: Option<u64>, when: i64) -> bool {
        let before = before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
        !(self.unless_expiring && before.is_some()
            || self.if_expiring && before.is_none()
            || self.if_later && before.is_none_or(|before| when <= before)
            || self.if_earlier && before.is_some_and(|before| when >= before))
    }
}

fn expire_in(writer: &mut Writer<'_>, words: &[Bytes], unit: Unit) -> Ran {
    let conditions = Conditions::parse(&words[3..])?;
    let time = number::integer(&words[2]).ok_or(NOT_AN_INTEGER)?;
    let scaled = if unit.in_seconds() { time.checked_mul(1000) } else { Some(time) };
    let when = scaled.and_then(|scaled| scaled.checked_add(unit.base(writer.scope.time_ms)));
    let when = when.ok_or_else(|| Failure::expire_time(&words[0]))?;
    let slot = writer.open(&words[1]);
    if slot.cell().is_none() || !conditions.hold(slot.expiry(), when) {
        return Ok(Value::Int(0));
    }
    writer.set_expiry(slot, Some(u64::try_from(when).unwrap_or(0)));
    Ok(Value::Int(1))
}

pub fn expire(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    expire_in(writer, words, Unit::Seconds)
}

pub fn pexpire(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    expire_in(writer, words, Unit::Milliseconds)
}

pub fn expireat(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    expire_in(writer, words, Unit::AtSeconds)
}

pub fn pexpireat(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    expire_in(writer, words, Unit::AtMilliseconds)
}

pub fn persist(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    if slot.expiry().is_none() {
        return Ok(Value::Int(0));
    }
    writer.set_expiry(slot, None);
    Ok(Value::Int(1))
}

/// -2 if the key is absent, -1 if it does not expire, else what `tell` makes of its expiry.
fn expiry_told(reader: Reader<'_>, key: &[u8], tell: impl Fn(u64) -> u64) -> Ran {
    let told = match reader.cell(key) {
        None => -2,
        Some(cell) => cell.expiry.map_or(-1, |expiry| i64::try_from(tell(expiry)).unwrap_or(i64::MAX)),
    };
    Ok(Value::Int(told))
}

fn remaining(reader: Reader<'_>) -> impl Fn(u64) -> u64 {
    let now = reader.scope.time_ms.max(reader.scope.display_ms);
    move |expiry| expiry.saturating_sub(now)
}

fn seconds(milliseconds: u64) -> u64 {
    milliseconds.saturating_add(500) / 1000
}

pub fn ttl(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let remaining = remaining(reader);
    expiry_told(reader, &words[1], |expiry| seconds(remaining(expiry)))
}

pub fn pttl(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    expiry_told(reader, &words[1], remaining(reader))
}

pub fn expiretime(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    expiry_told(reader, &words[1], seconds)
}

pub fn pexpiretime(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    expiry_told(reader, &words[1], |expiry| expiry)
}
