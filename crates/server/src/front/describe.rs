//! COMMAND: the commands as clients ask for them, made from the registry.

use super::connection::Connection;
use super::failure::unknown_subcommand;
use super::name::Name;
use super::own::{OWN, Own};
use bytes::Bytes;
use quorate_core::operation::{Value, Words};
use quorate_core::state::command::{self, COMMANDS, Spec};

/// `COMMAND [COUNT | INFO … | DOCS … | LIST | GETKEYS …]`.
pub(super) fn command(connection: &mut Connection, words: &Words) {
    let sub = words.get(1).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    let value = match (&sub[..], words.get(2..).unwrap_or_default()) {
        (b"", _) => Value::Array(everything().map(|each| each.entry()).collect()),
        (b"COUNT", []) => Value::Int((COMMANDS.len() + OWN.len()) as i64),
        (b"LIST", []) => Value::Array(everything().map(|each| each.lower()).collect()),
        (b"INFO", []) => Value::Array(everything().map(|each| each.entry()).collect()),
        (b"INFO", names) => {
            let entry = |name: &Bytes| lookup(name).map_or(Value::Nil, |each| each.entry());
            Value::Array(names.iter().map(entry).collect())
        }
        (b"DOCS", []) => Value::Map(everything().map(|each| (each.lower(), each.docs())).collect()),
        (b"DOCS", names) => {
            let docs = |name: &Bytes| lookup(name).map(|each| (each.lower(), each.docs()));
            Value::Map(names.iter().filter_map(docs).collect())
        }
        (b"GETKEYS", [name, ..]) => keys(name, words[2..].to_vec()),
        _ => unknown_subcommand("COMMAND", &words[1]),
    };
    connection.reply(value);
}

fn keys(name: &[u8], words: Words) -> Value {
    let Some(spec) = command::find(Name::of(name).as_bytes()) else {
        return Value::error("ERR Invalid command specified");
    };
    if !spec.takes(words.len()) {
        return Value::error("ERR Invalid number of arguments specified for command");
    }
    let keys: Vec<Value> = command::keys(spec, &words).cloned().map(Value::Bulk).collect();
    if keys.is_empty() { Value::error("ERR The command has no key arguments") } else { Value::Array(keys) }
}

enum Each {
    Machine(&'static Spec),
    Own(&'static Own),
}

fn everything() -> impl Iterator<Item = Each> {
    COMMANDS.iter().map(Each::Machine).chain(OWN.iter().map(Each::Own))
}

fn lookup(name: &[u8]) -> Option<Each> {
    let name = Name::of(name);
    let machine = command::find(name.as_bytes()).map(Each::Machine);
    machine.or_else(|| super::own::find(name.as_bytes()).map(Each::Own))
}

impl Each {
    fn lower(&self) -> Value {
        let name = match self {
            Each::Machine(spec) => spec.name,
            Each::Own(own) => own.name,
        };
        Value::Bulk(Bytes::from(name.to_ascii_lowercase()))
    }

    fn family(&self) -> &'static str {
        match self {
            Each::Machine(spec) => spec.family,
            Each::Own(own) => own.family,
        }
    }

    /// Name, arity, flags, first key, last key, step, access categories, tips, key specifications, subcommands.
    fn entry(&self) -> Value {
        let status = |text: &'static str| Value::Status(Bytes::from_static(text.as_bytes()));
        let (arity, flag, first, last, step) = match self {
            Each::Machine(spec) => {
                let flag = if spec.write { "write" } else { "readonly" };
                (spec.arity, flag, spec.first_key, spec.last_key, spec.key_step)
            }
            Each::Own(own) => (own.arity, "fast", 0, 0, 0),
        };
        let none = || Value::Array(Vec::new());
        Value::Array(vec![
            self.lower(),
            Value::Int(i64::from(arity)),
            Value::Set(vec![status(flag)]),
            Value::Int(i64::from(first)),
            Value::Int(i64::from(last)),
            Value::Int(i64::from(step)),
            Value::Set(vec![Value::Status(Bytes::from(format!("@{}", self.family())))]),
            none(),
            none(),
            none(),
        ])
    }

    fn docs(&self) -> Value {
        let word = |word: &'static str| Value::Bulk(Bytes::from_static(word.as_bytes()));
        let arity = match self {
            Each::Machine(spec) => spec.arity,
            Each::Own(own) => own.arity,
        };
        Value::Map(vec![(word("group"), word(self.family())), (word("arity"), Value::Int(i64::from(arity)))])
    }
}
