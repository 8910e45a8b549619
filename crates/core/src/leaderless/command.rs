//! From the words of a command to what is asked of a cell or done to it. The words are those of the Redis protocol; which of them a table takes depends on its cell.

use super::change::Change;
use super::look::{Look, Parts};
use super::record::State;
use crate::catalogue::LeaderlessSpec;
use crate::clock::Actor;
use crate::crdt::text::{self, Edit, Update};
use crate::crdt::{Cell, Kind, Seen};
use crate::machine::NodeId;
use crate::operation::{Refusal, Words};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;

/// A command on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Look(Look),
    Change(Change),
    /// Sets a register if it is as expected.
    Swap {
        expected: Option<Bytes>,
        new: Bytes,
    },
}

impl Action {
    pub(super) fn writes(&self) -> bool {
        match self {
            Action::Look(_) => false,
            Action::Change(_) | Action::Swap { .. } => true,
        }
    }
    /// Must it see what is there before it is done?
    pub(super) fn replaces(&self) -> bool {
        match self {
            Action::Look(_) => false,
            Action::Change(change) => change.replaces(),
            Action::Swap { .. } => true,
        }
    }
}

impl From<Look> for Action {
    fn from(look: Look) -> Action {
        Action::Look(look)
    }
}

impl From<Change> for Action {
    fn from(change: Change) -> Action {
        Action::Change(change)
    }
}

fn refused(why: alloc::string::String) -> Refusal {
    Refusal::Impossible(why)
}

/// Reads the words of a command for a table of this kind of cell.
pub(super) fn parse(spec: &LeaderlessSpec, words: &Words) -> Result<(Bytes, Action), Refusal> {
    let name = core::str::from_utf8(words.first().map_or(b"", |name| name)).unwrap_or("");
    let key = words.get(1).cloned();
    let rest = words.get(2..).unwrap_or(&[]);
    let action = action(spec.kind, name, rest)?;
    let Some(key) = key else {
        return Err(refused(format!("{name} names no single key, and a leaderless table serves one key at a time")));
    };
    Ok((key, action))
}

fn action(kind: Kind, name: &str, rest: &[Bytes]) -> Result<Action, Refusal> {
    let one = |action: Action| if rest.is_empty() { Ok(action) } else { Err(one_key(name)) };
    let register = matches!(kind, Kind::Register | Kind::Latest);
    let flag = matches!(kind, Kind::Flag | Kind::DisableWinsFlag);
    let counter = matches!(kind, Kind::Counter | Kind::Bounded);
    let set = matches!(kind, Kind::Set | Kind::RemoveWinsSet);
    let (map, text) = (kind == Kind::Map, kind == Kind::Text);
    match name {
        "EXISTS" => one(Look::Exists.into()),
        "TYPE" => one(Look::Type.into()),
        "DEL" | "UNLINK" => one(Change::Remove.into()),
        "GET" if register || flag || counter || text => one(Look::Get.into()),
        "STRLEN" if register => one(Look::Length.into()),
        "SET" if register || flag => match rest {
            [value] => Ok(Change::Set(value.clone()).into()),
            _ => Err(refused(
                "SET takes no options on a leaderless table: they need one order of all writes".to_string(),
            )),
        },
        "CAS" if register => match rest {
            [expected, new] => Ok(Action::Swap { expected: Some(expected.clone()), new: new.clone() }),
            _ => Err(refused("CAS takes a key, what is expected and what is new".to_string())),
        },
        "SETNX" if register => match rest {
            [new] => Ok(Action::Swap { expected: None, new: new.clone() }),
            _ => Err(refused("SETNX takes a key, and a value".to_string())),
        },
        "INCR" if counter => one(Change::Add(1).into()),
        "DECR" if counter => one(Change::Add(-1).into()),
        "INCRBY" if counter => Ok(Change::Add(amount(rest)?).into()),
        "DECRBY" if counter => {
            let amount = amount(rest)?;
            let negative = amount.checked_neg().ok_or_else(|| refused("the decrement would overflow".to_string()))?;
            Ok(Change::Add(negative).into())
        }
        "ESCROW.GIVE" if kind == Kind::Bounded => match rest {
            [amount, node] => give(amount, node),
            _ => Err(refused("ESCROW.GIVE takes a key, how many rights to give, and a node".to_string())),
        },
        "ESCROW.RIGHTS" if kind == Kind::Bounded => one(Look::Rights.into()),
        "SADD" if set => some(name, rest).map(|words| Change::AddMembers(words).into()),
        "SREM" if set => some(name, rest).map(|words| Change::TakeMembers(words).into()),
        "SMEMBERS" if set => one(Look::Members.into()),
        "SCARD" if set => one(Look::Count.into()),
        "SISMEMBER" if set && rest.len() == 1 => Ok(Look::HasMembers { members: rest.to_vec(), single: true }.into()),
        "SMISMEMBER" if set => some(name, rest).map(|members| Look::HasMembers { members, single: false }.into()),
        "HSET" | "HMSET" if map => match rest.chunks_exact(2) {
            pairs if !rest.is_empty() && pairs.remainder().is_empty() => Ok(Change::SetFields {
                fields: pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
                count: name == "HSET",
            }
            .into()),
            _ => Err(refused(format!("{name} takes pairs of a field and its value"))),
        },
        "HINCRBY" if map && rest.len() == 2 => {
            Ok(Change::AddField { field: rest[0].clone(), amount: amount(&rest[1..])? }.into())
        }
        "HDEL" if map => some(name, rest).map(|words| Change::RemoveFields(words).into()),
        "HGET" if map && rest.len() == 1 => Ok(Look::Field(rest[0].clone()).into()),
        "HEXISTS" if map && rest.len() == 1 => Ok(Look::HasField(rest[0].clone()).into()),
        "HMGET" if map => some(name, rest).map(|words| Look::Fields(words).into()),
        "HGETALL" if map => one(Look::AllFields(Parts::Both).into()),
        "HKEYS" if map => one(Look::AllFields(Parts::Names).into()),
        "HVALS" if map => one(Look::AllFields(Parts::Values).into()),
        "HLEN" if map => one(Look::Count.into()),
        name if text && name.starts_with("TEXT.") => of_text(name, rest),
        _ => Err(no_command(kind, name)),
    }
}

fn no_command(kind: Kind, name: &str) -> Refusal {
    refused(format!("{name} is no command on cells of kind {}; {}", kind.word(), commands_of(kind)))
}

/// A command on a text.
fn of_text(name: &str, rest: &[Bytes]) -> Result<Action, Refusal> {
    match (name, rest) {
        ("TEXT.LENGTH", []) => Ok(Look::Units.into()),
        ("TEXT.VECTOR", []) => Ok(Look::Vector.into()),
        ("TEXT.STATE", []) => Ok(Look::State(text::Vector::default()).into()),
        ("TEXT.STATE", [vector]) => match text::decode_vector(vector) {
            Ok(vector) => Ok(Look::State(vector).into()),
            Err(why) => Err(refused(text::malformed("state vector", why))),
        },
        ("TEXT.UPDATE", [update]) => match Update::decode(update) {
            Ok(_) => Ok(Change::AddUpdate(update.clone()).into()),
            Err(why) => Err(refused(text::malformed("update", why))),
        },
        ("TEXT.INSERT" | "TEXT.DELETE", [position, what]) => Ok(Change::EditText(edit(name, position, what)?).into()),
        ("TEXT.LENGTH" | "TEXT.VECTOR", _) => Err(one_key(name)),
        ("TEXT.STATE", _) => Err(refused("TEXT.STATE takes a key and at most one state vector".to_string())),
        ("TEXT.UPDATE", _) => Err(refused("TEXT.UPDATE takes a key and an update".to_string())),
        ("TEXT.INSERT" | "TEXT.DELETE", _) => {
            Err(refused(format!("{name} takes a key, a position, and a text or a length")))
        }
        _ => Err(no_command(Kind::Text, name)),
    }
}

/// An edit by position.
fn edit(name: &str, position: &Bytes, what: &Bytes) -> Result<Edit, Refusal> {
    let number = |word: &Bytes| core::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    let position = number(position).ok_or_else(|| refused(format!("the position of {name} is a number from 0")))?;
    if name == "TEXT.DELETE" {
        let length = number(what).filter(|length| *length > 0);
        let length = length.ok_or_else(|| refused("the length of TEXT.DELETE is a number from 1".to_string()))?;
        return Ok(Edit::Delete { position, length });
    }
    match core::str::from_utf8(what) {
        Ok(text) if !text.is_empty() => Ok(Edit::Insert { position, text: text.to_string() }),
        Ok(_) => Err(refused("TEXT.INSERT takes a text that is not empty".to_string())),
        Err(_) => Err(refused("TEXT.INSERT takes a text of UTF-8".to_string())),
    }
}

/// The commands on a kind of cell, for people.
fn commands_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Register | Kind::Latest => "it has GET, SET, CAS, SETNX, STRLEN, DEL, EXISTS and TYPE",
        Kind::Flag | Kind::DisableWinsFlag => "it has GET, SET to 1 or 0, DEL, EXISTS and TYPE",
        Kind::Counter => "it has GET, INCR, DECR, INCRBY, DECRBY, DEL, EXISTS and TYPE",
        Kind::Bounded => "it has GET, INCR, DECR, INCRBY, DECRBY, ESCROW.GIVE, ESCROW.RIGHTS, EXISTS and TYPE",
        Kind::Set | Kind::RemoveWinsSet => {
            "it has SADD, SREM, SMEMBERS, SISMEMBER, SMISMEMBER, SCARD, DEL, EXISTS and TYPE"
        }
        Kind::Text => {
            "it has GET, TEXT.INSERT, TEXT.DELETE, TEXT.LENGTH, TEXT.UPDATE, TEXT.STATE, TEXT.VECTOR, DEL, EXISTS and TYPE"
        }
        Kind::Map => {
            "it has HSET, HINCRBY, HGET, HMGET, HGETALL, HKEYS, HVALS, HLEN, HEXISTS, HDEL, DEL, EXISTS and TYPE"
        }
    }
}

fn one_key(name: &str) -> Refusal {
    refused(format!("{name} takes one key and nothing more on a leaderless table"))
}

fn some(name: &str, rest: &[Bytes]) -> Result<Vec<Bytes>, Refusal> {
    if rest.is_empty() {
        Err(refused(format!("{name} takes at least one word after its key")))
    } else {
        Ok(rest.to_vec())
    }
}

/// Which life of the node it is the catalogue says.
fn give(amount: &Bytes, node: &Bytes) -> Result<Action, Refusal> {
    let number = |word: &Bytes| core::str::from_utf8(word).ok().and_then(|word| word.parse::<u64>().ok());
    let (amount, node) = (number(amount).filter(|&amount| amount > 0), number(node).and_then(|it| it.try_into().ok()));
    let (Some(amount), Some(node)) = (amount, node) else {
        return Err(refused("rights are given in a number from 1, to a node by its number".to_string()));
    };
    Ok(Change::Give { amount, to: Actor { node: NodeId(node), incarnation: 0 } }.into())
}

fn amount(rest: &[Bytes]) -> Result<i64, Refusal> {
    let number = match rest {
        [word] => core::str::from_utf8(word).ok().and_then(|word| word.parse().ok()),
        _ => None,
    };
    number.ok_or_else(|| refused("value is not an integer or out of range".to_string()))
}

/// What was seen, as clients carry it: bound to the key.
pub(super) fn seen_token(table: u16, key: &[u8], state: &State) -> Bytes {
    let seen = (table, crate::placement::hash_of(key), key.len() as u32, state.cell.seen());
    Bytes::from(super::record::encode(&seen))
}

/// Reads what a client hands back.
///
/// # Errors
/// If it is no token, or one of another key.
pub(super) fn seen_of_token(table: u16, key: &[u8], token: &[u8]) -> Result<Seen, Refusal> {
    let wrong =
        || refused("what was seen is not a token of this key; read the key and hand back what that gave".to_string());
    let decoded: Result<(u16, u64, u32, Seen), _> = postcard::from_bytes(token);
    let (of_table, hash, length, seen) = decoded.map_err(|_| wrong())?;
    let same = of_table == table && hash == crate::placement::hash_of(key) && length as usize == key.len();
    if same && seen.is_sound() { Ok(seen) } else { Err(wrong()) }
}
