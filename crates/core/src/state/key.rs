//! Keys, whatever they hold.

use super::cells::{Reader, Writer};
use super::failure::Ran;
use crate::operation::Value;
use bytes::Bytes;

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
