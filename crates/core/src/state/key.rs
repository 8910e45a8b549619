//! Keys, whatever they hold.

use super::cells::{Reader, Writer};
use super::failure::{Failure, NO_SUCH_KEY, NOT_AN_INTEGER, Ran, SYNTAX};
use super::layout::{Body, Cell, Collection};
use super::number;
use super::pattern;
use super::sample::Source;
use super::scan::{self, Page};
use crate::operation::{TableId, Value};
use alloc::vec::Vec;
use bytes::Bytes;

/// Tables that commands of the Redis protocol can name by number.
const DATABASES: i64 = 16;

pub fn del(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let mut removed = 0;
    for key in &words[1..] {
        let slot = writer.open(key);
        if slot.cell().is_some() {
            writer.remove(slot);
            removed += 1;
        }
    }
    Ok(Value::Int(removed))
}

pub fn exists(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    Ok(Value::Int(words[1..].iter().filter(|key| reader.cell(key).is_some()).count() as i64))
}

pub fn type_of(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let name = reader.cell(&words[1]).map_or("none", |cell| cell.type_name());
    Ok(Value::Status(Bytes::from_static(name.as_bytes())))
}

/// `VERSION key`: the log index of its last change, 0 if it is absent.
pub fn version(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    Ok(Value::Int(reader.cell(&words[1]).map_or(0, |cell| cell.version as i64)))
}

pub fn rename(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    move_key(writer, &words[1], &words[2], true)?;
    Ok(Value::OK)
}

pub fn renamenx(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    Ok(Value::Int(move_key(writer, &words[1], &words[2], false)?.into()))
}

fn move_key(writer: &mut Writer<'_>, from: &Bytes, to: &Bytes, replace: bool) -> Result<bool, Failure> {
    let source = writer.open(from);
    let Some(cell) = source.cell().cloned() else { return Err(NO_SUCH_KEY) };
    if from == to {
        return Ok(replace);
    }
    let target = writer.open(to);
    if !replace && target.cell().is_some() {
        return Ok(false);
    }
    writer.forget(source);
    writer.put(target, cell.body, cell.expiry);
    Ok(true)
}

/// `COPY source destination [DB n] [REPLACE]`.
pub fn copy(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    let mut table = writer.scope.table.id;
    let mut replace = false;
    let mut options = words[3..].iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
        } else if option.eq_ignore_ascii_case(b"DB") && !options.as_slice().is_empty() {
            table = database(options.next().ok_or(SYNTAX)?)?;
        } else {
            return Err(SYNTAX);
        }
    }
    if table == writer.scope.table.id && words[1] == words[2] {
        return Err(Failure::new("ERR source and destination objects are the same"));
    }
    let Some(Cell { body, expiry, .. }) = writer.reader().cell(&words[1]) else { return Ok(Value::Int(0)) };
    let target = writer.open_in(&writer.table(table), &words[2]);
    if !replace && target.cell().is_some() {
        return Ok(Value::Int(0));
    }
    let body = match body {
        Body::String(string) => Body::String(string),
        Body::Collection(collection) => Body::Collection(copy_collection(writer, &collection)),
    };
    writer.put(target, body, expiry);
    Ok(Value::Int(1))
}

fn database(word: &[u8]) -> Result<TableId, Failure> {
    let number = number::integer(word).ok_or(NOT_AN_INTEGER)?;
    if i32::try_from(number).is_err() {
        return Err(Failure::new("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    if !(0..DATABASES).contains(&number) {
        return Err(Failure::new("ERR DB index is out of range"));
    }
    Ok(TableId(number as u16))
}

fn copy_collection(writer: &mut Writer<'_>, collection: &Collection) -> Collection {
    let elements = Source::elements(writer.reader(), collection).all();
    let mut copy = writer.new_collection(collection.kind);
    for (element, value) in elements {
        writer.put_element(&mut copy, &element, &value);
    }
    copy
}

/// Visits the keys that are not expired.
fn each_key(reader: Reader<'_>, visit: &mut dyn FnMut(&[u8])) {
    reader.cells(0, &mut |_, key, value| {
        if Cell::decode_expiry(value).is_none_or(|expiry| expiry > reader.scope.time_ms) {
            visit(key);
        }
        true
    });
}

pub fn keys(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let asked = &words[1];
    if let Some(key) = pattern::literal(asked) {
        let found = reader.cell(key).map(|_| Value::bulk(key));
        return Ok(Value::Array(found.into_iter().collect()));
    }
    let mut keys = Vec::new();
    each_key(reader, &mut |key| {
        if pattern::matches(asked, key) {
            keys.push(Value::bulk(key));
        }
    });
    Ok(Value::Array(keys))
}

pub fn scan(reader: Reader<'_>, words: &[Bytes]) -> Ran {
    let from = scan::cursor(&words[1])?;
    let options = scan::Options::parse(&words[2..], true)?;
    let mut page = Page::new(options.count);
    reader.cells(from, &mut |hash, key, value| {
        // Expired keys do not fill pages, so that no page tells whether a sweep ran.
        if Cell::decode_expiry(value).is_some_and(|expiry| expiry <= reader.scope.time_ms) {
            return true;
        }
        if !page.takes(hash) {
            return false;
        }
        let typed = options.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(Cell::decode_type(value).as_bytes()));
        if typed && options.asks_for(key) {
            page.items.push(Value::bulk(key));
        }
        true
    });
    Ok(page.reply())
}

pub fn randomkey(reader: Reader<'_>, _words: &[Bytes]) -> Ran {
    let drawn = Source::keys(reader).one(&mut reader.random());
    Ok(drawn.map_or(Value::Nil, |(key, _)| Value::Bulk(key)))
}
