//! Cursors as numbers. The node's cursors are opaque text, and Redis clients expect numbers, so the front keeps a
//! bounded table from one to the other. It is lost with the process; a number that is not in it is an error.

use bytes::Bytes;
use quorate_core::operation::Value;
use std::collections::BTreeMap;

/// Cursors that one process remembers; the oldest is forgotten first.
pub const CURSORS: usize = 10_000;

/// The table.
#[derive(Debug)]
pub struct Cursors {
    next: u64,
    known: BTreeMap<u64, Bytes>,
}

impl Cursors {
    /// A table whose numbers begin at a random place, so that a number of another process is unknown here.
    pub fn new(random: u64) -> Cursors {
        Cursors { next: (random >> 16) + 1, known: BTreeMap::new() }
    }

    /// The node's word for a number that a client gave.
    pub fn word(&self, number: &[u8]) -> Option<Bytes> {
        if number == b"0" {
            return Some(Bytes::from_static(b"0"));
        }
        let number: u64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        self.known.get(&number).cloned()
    }

    /// Replaces the cursor in the reply of a scan by its number.
    pub fn number_in(&mut self, reply: Value) -> Value {
        let Value::Array(mut parts) = reply else { return reply };
        if let Some(Value::Bulk(word)) = parts.first_mut()
            && word != "0"
        {
            let number = self.remember(word.clone());
            *word = Bytes::from(number.to_string());
        }
        Value::Array(parts)
    }

    fn remember(&mut self, word: Bytes) -> u64 {
        let number = self.next;
        self.next += 1;
        self.known.insert(number, Bytes::copy_from_slice(&word));
        if self.known.len() > CURSORS {
            self.known.pop_first();
        }
        number
    }
}

/// Which word of a command is a cursor.
pub fn position(name: &[u8]) -> Option<usize> {
    match name {
        b"SCAN" => Some(1),
        b"HSCAN" | b"SSCAN" | b"ZSCAN" => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(cursors: &mut Cursors, word: &str) -> Bytes {
        let reply = Value::Array(vec![Value::bulk(word.as_bytes()), Value::Array(vec![])]);
        match cursors.number_in(reply) {
            Value::Array(parts) => match &parts[0] {
                Value::Bulk(number) => number.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_number_leads_back_to_the_word_until_it_is_forgotten() {
        let mut cursors = Cursors::new(u64::MAX);
        assert_eq!(number(&mut cursors, "0"), "0");
        let first = number(&mut cursors, "k:17");
        assert_eq!(cursors.word(&first), Some(Bytes::from("k:17")));
        for turn in 0..CURSORS {
            number(&mut cursors, &format!("t{turn}"));
        }
        assert_eq!(cursors.word(&first), None);
        assert_eq!(cursors.word(b"0"), Some(Bytes::from("0")));
        assert_eq!(cursors.word(b"k:17"), None);
        assert_eq!(cursors.word(b"-1"), None);
    }
}
