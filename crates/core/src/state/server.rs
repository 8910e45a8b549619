//! Whole tables.

use super::cells::{Reader, Writer};
use super::failure::{Failure, Ran, SYNTAX};
use crate::operation::Value;
use bytes::Bytes;

pub fn dbsize(reader: Reader<'_>, _words: &[Bytes]) -> Ran {
    Ok(Value::Int(reader.count() as i64))
}

pub fn flushdb(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    flush_options(words)?;
    writer.flush(writer.scope.table.id);
    Ok(Value::OK)
}

pub fn flushall(writer: &mut Writer<'_>, words: &[Bytes]) -> Ran {
    flush_options(words)?;
    for table in writer.tables() {
        writer.flush(table);
    }
    Ok(Value::OK)
}

/// ASYNC and SYNC are the same here: keys are gone at once, and what they held is deleted in pieces.
fn flush_options(words: &[Bytes]) -> Result<(), Failure> {
    match &words[1..] {
        [] => Ok(()),
        [one] if one.eq_ignore_ascii_case(b"ASYNC") || one.eq_ignore_ascii_case(b"SYNC") => Ok(()),
        _ => Err(SYNTAX),
    }
}

/// Does a flush with these words say OK?
pub fn flush_is_blind(words: &[Bytes]) -> bool {
    flush_options(words).is_ok()
}
