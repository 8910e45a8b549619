//! `WITH <words> <command…>` and `IDEM <key> <command…>`: what one operation asks beyond its command.

use super::codec::number;
use super::failure::{error, shown, wrong_arity};
use super::name::Name;
use super::shared::Shared;
use crate::receipt::from_hex;
use bytes::Bytes;
use quorate_core::guarantee::{Ack, Level, Want};
use quorate_core::limits;
use quorate_core::operation::{Value, Words};
use quorate_core::quorum::Rule;
use quorate_core::state::command;

/// What a command asks beyond itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The guarantee.
    pub want: Want,
    /// Give the receipt with the value.
    pub receipt: bool,
    /// How long the caller waits, in milliseconds.
    pub deadline_ms: u32,
    /// The command's first key must have this version.
    pub if_version: Option<u64>,
    /// The command's first key must not exist.
    pub if_absent: bool,
    /// The table, if it is another than the connection's.
    pub table: Option<u16>,
    /// What a read of the key on a leaderless table handed out.
    pub seen: Option<Bytes>,
    /// Apply at most once under this name.
    pub idempotency: Option<Bytes>,
}

impl Default for Wish {
    fn default() -> Wish {
        Wish {
            want: Want::default(),
            receipt: false,
            deadline_ms: limits::DEADLINE_MS,
            if_version: None,
            if_absent: false,
            table: None,
            seen: None,
            idempotency: None,
        }
    }
}

impl Wish {
    /// Asks nothing beyond the command?
    pub fn is_plain(&self) -> bool {
        *self == Wish::default()
    }
}

/// The words that WITH knows, for its error.
const KNOWN: &str = "linearizable, atomic, regular, session, eventual, leader, one, majority, all, receipt, \
    deadline=MS, if-version=N, if-absent, table=NAME, r=N, w=N, sloppy, volatile, seen=HEX";

/// Takes `WITH …` and `IDEM …` off the front of a command, in any order, and leaves the command.
pub fn take(words: Words, shared: &Shared) -> Result<(Wish, Words), Value> {
    let mut wish = Wish::default();
    let mut at = 0;
    loop {
        let Some(word) = words.get(at) else {
            return Err(wrong_arity(&words[0]));
        };
        match Name::of(word).as_bytes() {
            b"WITH" => {
                at += 1;
                at += with(&words[at..], &mut wish, shared)?;
            }
            b"IDEM" => {
                let key = words.get(at + 1).ok_or_else(|| wrong_arity(b"idem"))?;
                if key.is_empty() || key.len() > limits::IDEMPOTENCY_KEY_BYTES {
                    return Err(error(format!(
                        "ERR applied: no; an idempotency key has 1 to {} bytes",
                        limits::IDEMPOTENCY_KEY_BYTES
                    )));
                }
                if wish.idempotency.replace(key.clone()).is_some() {
                    return Err(Value::error("ERR applied: no; one operation has one idempotency key"));
                }
                at += 2;
            }
            _ => return Ok((wish, words[at..].to_vec())),
        }
    }
}

/// Reads words of WITH until a command begins; gives how many there were.
fn with(words: &[Bytes], wish: &mut Wish, shared: &Shared) -> Result<usize, Value> {
    for (at, word) in words.iter().enumerate() {
        if !one(word, wish)? && !of_table(word, wish, shared)? {
            if is_command(word) {
                return Ok(at);
            }
            return Err(error(format!("ERR unknown word '{}' after WITH; known words are {KNOWN}", shown(word, 128))));
        }
    }
    Err(wrong_arity(b"with"))
}

/// Is the word one of WITH's? Then the wish is told.
fn one(word: &[u8], wish: &mut Wish) -> Result<bool, Value> {
    if let Some(level) = Level::parse(word) {
        wish.want.level = Some(level);
    } else if let Some(ack) = Ack::parse(word) {
        wish.want.ack = Some(ack);
    } else if word.eq_ignore_ascii_case(b"receipt") {
        wish.receipt = true;
    } else if word.eq_ignore_ascii_case(b"if-absent") {
        wish.if_absent = true;
    } else if let Some(text) = after(word, b"deadline=") {
        let most = limits::DEADLINE_MAX_MS;
        wish.deadline_ms = number(text)
            .and_then(|ms| u32::try_from(ms).ok())
            .filter(|ms| (1..=most).contains(ms))
            .ok_or_else(|| error(format!("ERR applied: no; deadline= takes milliseconds from 1 to {most}")))?;
    } else if let Some(text) = after(word, b"if-version=") {
        let version = number(text).and_then(|version| u64::try_from(version).ok());
        wish.if_version =
            Some(version.ok_or(Value::error("ERR applied: no; if-version= takes a version, 0 for a missing key"))?);
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Is the word one of WITH's that are about tables? Then the wish is told.
fn of_table(word: &[u8], wish: &mut Wish, shared: &Shared) -> Result<bool, Value> {
    if word.eq_ignore_ascii_case(b"sloppy") {
        wish.want.quorum.sloppy = true;
    } else if word.eq_ignore_ascii_case(b"volatile") {
        wish.want.quorum.volatile = true;
    } else if let Some(text) = after(word, b"r=") {
        wish.want.quorum.read = replicas(text)?;
    } else if let Some(text) = after(word, b"w=") {
        wish.want.quorum.write = replicas(text)?;
    } else if let Some(name) = after(word, b"table=") {
        wish.table = Some(super::tables::named(name, shared)?);
    } else if let Some(digits) = after(word, b"seen=") {
        let seen = from_hex(digits).ok_or(Value::error("ERR applied: no; seen= takes what a receipt calls seen"))?;
        wish.seen = Some(Bytes::from(seen));
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn replicas(text: &[u8]) -> Result<u8, Value> {
    let most = Rule::REPLICAS_MAX;
    let number = number(text).and_then(|number| u8::try_from(number).ok()).filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| error(format!("ERR applied: no; r= and w= take a number of replicas, 1 to {most}")))
}

fn after<'a>(word: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = word.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

fn is_command(word: &[u8]) -> bool {
    let name = Name::of(word);
    matches!(name.as_bytes(), b"IDEM" | b"WITH")
        || super::own::is_own(name.as_bytes())
        || command::find(name.as_bytes()).is_some()
}
