//! Hashes: fields with values. Every field is a pair of its own in the store.

use super::cells::{Reader, Slot, Writer};
use super::failure::{Failure, NOT_A_FLOAT, NOT_AN_INTEGER, NOT_FINITE, OVERFLOW, Ran, SYNTAX};
use super::layout::{Collection, Kind};
use super::number::{self, Decimal};
use super::sample::Source;
use super::scan::{self, Page};
use super::set::DRAWN_MOST;
use crate::operation::Value;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

fn find(reader: Reader<'_>, key: &[u8]) -> Result<Option<Collection>, Failure> {
    reader.collection(key, Kind::Hash)
}

fn open(writer: &mut Writer<'_>, key: &[u8]) -> Result<(Slot, Collection), Failure> {
    let slot = writer.open(key);
    let hash = slot.collection(Kind::Hash)?;
    let hash = hash.unwrap_or_else(|| writer.new_collection(Kind::Hash));
    Ok((slot, hash))
}

fn field(reader: Reader<'_>, key: &[u8], field: &[u8]) -> Result<Option<Bytes>, Failure> {
    Ok(find(reader, key)?.and_then(|hash| reader.element(&hash, field)))
}

fn put_pairs(writer: &mut Writer<'_>, words: &[Bytes]) -> Result<i64, Failure> {
    if !words.len().is_multiple_of(2) {
        return Err(Failure::arity(&words[0]));
    }
    let (slot, mut hash) = open(writer, &words[1])?;
    let mut added = 0;
    for pair in words[2..].chunks_exact(2) {
        added += i64::from(writer.put_element(&mut hash, &pair[0], &pair[1]));
    }
    writer.put_collection(slot, hash);
    Ok(added)
}

pub fn hset(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    put_pairs(writer, words).map(Value::Int)
}

pub fn hmset(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    put_pairs(writer, words).map(|_| Value::OK)
}

pub fn hsetnx(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let (slot, mut hash) = open(writer, &words[1])?;
    if writer.reader().element(&hash, &words[2]).is_some() {
        return Ok(Value::Int(0));
    }
    writer.put_element(&mut hash, &words[2], &words[3]);
    writer.put_collection(slot, hash);
    Ok(Value::Int(1))
}

pub fn hget(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    Ok(field(reader, &words[1], &words[2])?.map_or(Value::Nil, Value::Bulk))
}

pub fn hmget(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let hash = find(reader, &words[1])?;
    let get =
        |field: &Bytes| hash.as_ref().and_then(|hash| reader.element(hash, field)).map_or(Value::Nil, Value::Bulk);
    Ok(Value::Array(words[2..].iter().map(get).collect()))
}

pub fn hexists(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    Ok(Value::Int(field(reader, &words[1], &words[2])?.is_some().into()))
}

pub fn hstrlen(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    Ok(Value::Int(field(reader, &words[1], &words[2])?.map_or(0, |value| value.len() as i64)))
}

pub fn hlen(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    Ok(Value::Int(find(reader, &words[1])?.map_or(0, |hash| hash.count as i64)))
}

pub fn hdel(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    let Some(mut hash) = slot.collection(Kind::Hash)? else { return Ok(Value::Int(0)) };
    let removed = words[2..].iter().filter(|field| writer.remove_element(&mut hash, field)).count();
    if removed > 0 {
        writer.put_collection(slot, hash);
    }
    Ok(Value::Int(removed as i64))
}

fn all<T>(reader: Reader<'_>, key: &[u8], tell: impl Fn(&[u8], &[u8]) -> T) -> Result<Vec<T>, Failure> {
    let mut told = Vec::new();
    if let Some(hash) = find(reader, key)? {
        reader.elements(&hash, 0, &mut |_, field, value| {
            told.push(tell(field, value));
            true
        });
    }
    Ok(told)
}

pub fn hgetall(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    all(reader, &words[1], |field, value| (Value::bulk(field), Value::bulk(value))).map(Value::Map)
}

pub fn hkeys(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    all(reader, &words[1], |field, _| Value::bulk(field)).map(Value::Array)
}

pub fn hvals(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    all(reader, &words[1], |_, value| Value::bulk(value)).map(Value::Array)
}

pub fn hincrby(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let by = number::integer(&words[3]).ok_or(NOT_AN_INTEGER)?;
    let (slot, mut hash) = open(writer, &words[1])?;
    let old = match writer.reader().element(&hash, &words[2]) {
        None => 0,
        Some(old) => number::integer(&old).ok_or(Failure::new("ERR hash value is not an integer"))?,
    };
    let sum = old.checked_add(by).ok_or(OVERFLOW)?;
    writer.put_element(&mut hash, &words[2], &number::text(sum));
    writer.put_collection(slot, hash);
    Ok(Value::Int(sum))
}

pub fn hincrbyfloat(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let by = Decimal::parse(&words[3]).ok_or(NOT_A_FLOAT)?;
    if by == Decimal::Infinite {
        return Err(Failure::new("ERR value is NaN or Infinity"));
    }
    let (slot, mut hash) = open(writer, &words[1])?;
    let old = writer.reader().element(&hash, &words[2]).unwrap_or(Bytes::from_static(b"0"));
    let old = Decimal::parse(&old).ok_or(Failure::new("ERR hash value is not a float"))?;
    let sum = old.plus(&by).and_then(|sum| sum.text()).ok_or(NOT_FINITE)?;
    writer.put_element(&mut hash, &words[2], &sum);
    writer.put_collection(slot, hash);
    Ok(Value::Bulk(sum))
}

/// `HRANDFIELD key [count [WITHVALUES]]`.
pub fn hrandfield(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let Some(word) = words.get(2) else {
        let hash = find(reader, &words[1])?;
        let drawn = hash.and_then(|hash| Source::elements(reader, &hash).one(&mut reader.random()));
        return Ok(drawn.map_or(Value::Nil, |(field, _)| Value::Bulk(field)));
    };
    let count = super::set::draw_count(word)?;
    let with_values = match &words[3..] {
        [] => false,
        [option] if option.eq_ignore_ascii_case(b"WITHVALUES") => true,
        _ => return Err(SYNTAX),
    };
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Failure::new("ERR value is out of range"));
    }
    let Some(hash) = find(reader, &words[1])? else { return Ok(Value::Array(vec![])) };
    if count < -DRAWN_MOST {
        return Err(Failure::new("ERR value is out of range"));
    }
    let drawn = super::set::draw(Source::elements(reader, &hash), count, &mut reader.random()).into_iter();
    Ok(if with_values {
        Value::Pairs(drawn.map(|(field, value)| (Value::Bulk(field), Value::Bulk(value))).collect())
    } else {
        Value::Array(drawn.map(|(field, _)| Value::Bulk(field)).collect())
    })
}

pub fn hscan(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let from = scan::cursor(&words[2])?;
    let Some(hash) = find(reader, &words[1])? else { return Ok(Page::new(1).reply()) };
    let options = scan::Options::parse(&words[3..], false)?;
    let mut page = Page::new(options.count);
    reader.elements(&hash, from, &mut |at, field, value| {
        let takes = page.takes(at);
        if takes && options.asks_for(field) {
            page.items.extend([Value::bulk(field), Value::bulk(value)]);
        }
        takes
    });
    Ok(page.reply())
}
