//! Sets: members without order. Every member is a pair of its own in the store.

use super::cells::{Reader, Writer};
use super::failure::{Failure, NOT_AN_INTEGER, Ran, SYNTAX};
use super::layout::{Body, Collection, Kind};
use super::number;
use super::sample::{Element, Source};
use super::scan::{self, Page};
use crate::operation::Value;
use crate::random::Random;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// Members that SRANDMEMBER and HRANDFIELD repeat at most: a bound on the reply.
pub const DRAWN_MOST: i64 = 1_000_000;

fn find(reader: Reader<'_>, key: &[u8]) -> Result<Option<Collection>, Failure> {
    reader.collection(key, Kind::Set)
}

pub fn sadd(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    let set = slot.collection(Kind::Set)?;
    let mut set = set.unwrap_or_else(|| writer.new_collection(Kind::Set));
    let added = words[2..].iter().filter(|member| writer.put_element(&mut set, member, b"")).count();
    if added > 0 {
        writer.put_collection(slot, set);
    }
    Ok(Value::Int(added as i64))
}

pub fn srem(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let slot = writer.open(&words[1]);
    let Some(mut set) = slot.collection(Kind::Set)? else { return Ok(Value::Int(0)) };
    let removed = words[2..].iter().filter(|member| writer.remove_element(&mut set, member)).count();
    if removed > 0 {
        writer.put_collection(slot, set);
    }
    Ok(Value::Int(removed as i64))
}

pub fn scard(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    Ok(Value::Int(find(reader, &words[1])?.map_or(0, |set| set.count as i64)))
}

fn holds(reader: Reader<'_>, set: Option<&Collection>, member: &[u8]) -> bool {
    set.is_some_and(|set| reader.element(set, member).is_some())
}

pub fn sismember(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let set = find(reader, &words[1])?;
    Ok(Value::Int(holds(reader, set.as_ref(), &words[2]).into()))
}

pub fn smismember(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let set = find(reader, &words[1])?;
    Ok(Value::Array(words[2..].iter().map(|member| Value::Int(holds(reader, set.as_ref(), member).into())).collect()))
}

/// Moves a member from one set to another.
pub fn smove(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let (from, to, member) = (&words[1], &words[2], &words[3]);
    let source = writer.open(from);
    if source.cell().is_none() {
        return Ok(Value::Int(0));
    }
    let Some(mut set) = source.collection(Kind::Set)? else { return Ok(Value::Int(0)) };
    let target = writer.open(to);
    let other = target.collection(Kind::Set)?;
    if from == to {
        return Ok(Value::Int(holds(writer.reader(), Some(&set), member).into()));
    }
    if !writer.remove_element(&mut set, member) {
        return Ok(Value::Int(0));
    }
    writer.put_collection(source, set);
    let mut other = other.unwrap_or_else(|| writer.new_collection(Kind::Set));
    if writer.put_element(&mut other, member, b"") {
        writer.put_collection(target, other);
    }
    Ok(Value::Int(1))
}

pub fn smembers(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let mut members = Vec::new();
    if let Some(set) = find(reader, &words[1])? {
        reader.elements(&set, 0, &mut |_, member, _| {
            members.push(Value::bulk(member));
            true
        });
    }
    Ok(Value::Set(members))
}

pub fn sscan(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let from = scan::cursor(&words[2])?;
    let Some(set) = find(reader, &words[1])? else { return Ok(Page::new(1).reply()) };
    let options = scan::Options::parse(&words[3..], false)?;
    let mut page = Page::new(options.count);
    reader.elements(&set, from, &mut |hash, member, _| {
        let takes = page.takes(hash);
        if takes && options.asks_for(member) {
            page.items.push(Value::bulk(member));
        }
        takes
    });
    Ok(page.reply())
}

/// The count of SRANDMEMBER and HRANDFIELD.
pub fn draw_count(word: &[u8]) -> Result<i64, Failure> {
    let count = number::integer(word).ok_or(NOT_AN_INTEGER)?;
    if count == i64::MIN {
        return Err(Failure::new(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    Ok(count)
}

/// Distinct elements for a positive count, independent draws for a negative one.
pub fn draw(source: Source<'_>, count: i64, random: &mut Random) -> Vec<Element> {
    if count < 0 {
        source.repeated(count.unsigned_abs(), random)
    } else {
        source.distinct(count.unsigned_abs(), random)
    }
}

/// `SRANDMEMBER key [count]`.
pub fn srandmember(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let random = &mut reader.random();
    match &words[2..] {
        [] => {
            let drawn = find(reader, &words[1])?.and_then(|set| Source::elements(reader, &set).one(random));
            Ok(drawn.map_or(Value::Nil, |(member, _)| Value::Bulk(member)))
        }
        [count] => {
            let count = draw_count(count)?;
            let Some(set) = find(reader, &words[1])? else { return Ok(Value::Array(vec![])) };
            if count < -DRAWN_MOST {
                return Err(Failure::new("ERR value is out of range"));
            }
            let drawn = draw(Source::elements(reader, &set), count, random);
            Ok(Value::Array(drawn.into_iter().map(|(member, _)| Value::Bulk(member)).collect()))
        }
        _ => Err(SYNTAX),
    }
}

/// `SPOP key [count]`.
pub fn spop(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let count = match &words[2..] {
        [] => None,
        [count] => Some(at_least(count, 0, "ERR value is out of range, must be positive")?),
        _ => return Err(SYNTAX),
    };
    let slot = writer.open(&words[1]);
    let Some(mut set) = slot.collection(Kind::Set)? else {
        return Ok(if count.is_some() { Value::Set(vec![]) } else { Value::Nil });
    };
    let mut random = writer.reader().random();
    let drawn = Source::elements(writer.reader(), &set).distinct(count.unwrap_or(1), &mut random);
    let mut members = Vec::new();
    for (member, _) in drawn {
        writer.remove_element(&mut set, &member);
        members.push(Value::Bulk(member));
    }
    if !members.is_empty() {
        writer.put_collection(slot, set);
    }
    Ok(match count {
        Some(_) => Value::Set(members),
        None => members.pop().unwrap_or(Value::Nil),
    })
}

fn at_least(word: &[u8], least: i64, text: &'static str) -> Result<u64, Failure> {
    number::integer(word).filter(|number| *number >= least).map(i64::unsigned_abs).ok_or(Failure::new(text))
}

/// The sets at these keys, all of which must be sets or absent.
fn sets(reader: Reader<'_>, keys: &[Bytes]) -> Result<Vec<Option<Collection>>, Failure> {
    keys.iter().map(|key| find(reader, key)).collect()
}

fn members(reader: Reader<'_>, set: &Collection, visit: &mut dyn FnMut(&[u8]) -> bool) {
    reader.elements(set, 0, &mut |_, member, _| visit(member));
}

fn intersection(reader: Reader<'_>, keys: &[Bytes], limit: u64) -> Result<Vec<Bytes>, Failure> {
    let sets = sets(reader, keys)?;
    let mut common = Vec::new();
    let Some(mut sets) = sets.into_iter().collect::<Option<Vec<_>>>() else { return Ok(common) };
    sets.sort_by_key(|set| set.count);
    let Some((smallest, others)) = sets.split_first() else { return Ok(common) };
    members(reader, smallest, &mut |member| {
        if others.iter().all(|other| reader.element(other, member).is_some()) {
            common.push(Bytes::copy_from_slice(member));
        }
        (common.len() as u64) < limit
    });
    Ok(common)
}

fn union(reader: Reader<'_>, keys: &[Bytes]) -> Result<Vec<Bytes>, Failure> {
    let mut all = BTreeSet::new();
    for set in sets(reader, keys)?.iter().flatten() {
        members(reader, set, &mut |member| {
            all.insert(Bytes::copy_from_slice(member));
            true
        });
    }
    Ok(all.into_iter().collect())
}

fn subtraction(reader: Reader<'_>, keys: &[Bytes]) -> Result<Vec<Bytes>, Failure> {
    let sets = sets(reader, keys)?;
    let mut left = Vec::new();
    let Some((Some(first), others)) = sets.split_first() else { return Ok(left) };
    members(reader, first, &mut |member| {
        if !others.iter().any(|other| holds(reader, other.as_ref(), member)) {
            left.push(Bytes::copy_from_slice(member));
        }
        true
    });
    Ok(left)
}

fn told(members: Vec<Bytes>) -> Value {
    Value::Set(members.into_iter().map(Value::Bulk).collect())
}

/// Replaces whatever a key holds with a set; an empty one removes it.
fn store(writer: &mut Writer<'_>, key: &[u8], members: &[Bytes]) -> Value {
    let slot = writer.open(key);
    if members.is_empty() {
        if slot.cell().is_some() {
            writer.remove(slot);
        }
        return Value::Int(0);
    }
    let mut set = writer.new_collection(Kind::Set);
    for member in members {
        writer.put_element(&mut set, member, b"");
    }
    writer.put(slot, Body::Collection(set), None);
    Value::Int(members.len() as i64)
}

pub fn sinter(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    intersection(reader, &words[1..], u64::MAX).map(told)
}

pub fn sunion(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    union(reader, &words[1..]).map(told)
}

pub fn sdiff(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    subtraction(reader, &words[1..]).map(told)
}

pub fn sinterstore(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let members = intersection(writer.reader(), &words[2..], u64::MAX)?;
    Ok(store(writer, &words[1], &members))
}

pub fn sunionstore(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let members = union(writer.reader(), &words[2..])?;
    Ok(store(writer, &words[1], &members))
}

pub fn sdiffstore(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let members = subtraction(writer.reader(), &words[2..])?;
    Ok(store(writer, &words[1], &members))
}

/// `SINTERCARD numkeys key … [LIMIT n]`.
pub fn sintercard(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let count = at_least(&words[1], 1, "ERR numkeys should be greater than 0")?;
    if count > words.len() as u64 - 2 {
        return Err(Failure::new("ERR Number of keys can't be greater than number of args"));
    }
    let (keys, options) = words[2..].split_at(count as usize);
    let mut limit = 0;
    for pair in options.chunks(2) {
        match pair {
            [option, value] if option.eq_ignore_ascii_case(b"LIMIT") => {
                limit = at_least(value, 0, "ERR LIMIT can't be negative")?;
            }
            _ => return Err(SYNTAX),
        }
    }
    let limit = if limit == 0 { u64::MAX } else { limit };
    Ok(Value::Int(intersection(reader, keys, limit)?.len() as i64))
}
