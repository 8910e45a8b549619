//! Words of a client command in a script: `put 1 k v ack=all idem=x session=a as=first`.

use crate::check::Action;
use bytes::Bytes;
use quorate_core::guarantee::{Ack, Level, Want};
use quorate_core::machine::NodeId;
use quorate_core::operation::Words;

/// A client command.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub node: NodeId,
    pub key: Bytes,
    pub action: Action,
    pub words: Words,
    pub want: Want,
    pub idempotency: Option<Bytes>,
    pub session: Option<String>,
    /// The command is not waited for; this name is.
    pub alias: Option<String>,
    pub deadline_ms: u32,
    /// The key expires, so its history is not one of a plain register.
    pub expires: bool,
    /// Earlier writes of the same caller are unanswered.
    pub after_own_writes: bool,
}

/// `x*1000` is a thousand times x.
fn value(word: &str) -> Bytes {
    match word.split_once('*').and_then(|(text, times)| Some(text.repeat(times.parse().ok()?))) {
        Some(long) => Bytes::from(long),
        None => Bytes::copy_from_slice(word.as_bytes()),
    }
}

pub(super) fn parse(words: &[&str]) -> Result<Command, String> {
    let (options, plain): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.contains('='));
    let [verb, node, key, arguments @ ..] = plain.as_slice() else {
        return Err("a client command is a verb, a node, a key and arguments".into());
    };
    let node = node.parse().map(NodeId).map_err(|_| format!("{node:?} is not a node"))?;
    let key = Bytes::copy_from_slice(key.as_bytes());
    let (action, name) = match (*verb, arguments) {
        ("get", []) => (Action::Read, "GET"),
        ("put", [to]) => (Action::Write(value(to)), "SET"),
        ("del", []) => (Action::Delete, "DEL"),
        ("swap", [to]) => (Action::Swap(value(to)), "GETSET"),
        ("incr", []) => (Action::Add(1), "INCRBY"),
        ("incr", [by]) => (Action::Add(by.parse().map_err(|_| format!("{by:?} is not a number"))?), "INCRBY"),
        ("setnx", [to]) => (Action::Cas(None, value(to)), "SETNX"),
        ("cas", [from, to]) => (Action::Cas(Some(value(from)), value(to)), "CAS"),
        _ => return Err(format!("{verb:?} is no verb for these arguments")),
    };
    let mut words: Words = vec![Bytes::from_static(name.as_bytes()), key.clone()];
    match &action {
        Action::Read | Action::Delete => {}
        Action::Write(to) | Action::Swap(to) | Action::Cas(None, to) => words.push(to.clone()),
        Action::Add(by) => words.push(Bytes::from(by.to_string())),
        Action::Cas(Some(from), to) => words.extend([from.clone(), to.clone()]),
    }
    let mut command = Command {
        node,
        key,
        action,
        words,
        want: Want::default(),
        idempotency: None,
        session: None,
        alias: None,
        deadline_ms: 1_000,
        expires: false,
        after_own_writes: false,
    };
    options.iter().try_for_each(|option| command.option(option))?;
    Ok(command)
}

impl Command {
    fn option(&mut self, option: &str) -> Result<(), String> {
        let (name, word) = option.split_once('=').unwrap_or((option, ""));
        let wrong = || format!("{option:?} is not an option of a client command");
        match name {
            "level" => self.want.level = Some(Level::parse(word.as_bytes()).ok_or_else(wrong)?),
            "ack" => self.want.ack = Some(Ack::parse(word.as_bytes()).ok_or_else(wrong)?),
            "idem" => self.idempotency = Some(Bytes::copy_from_slice(word.as_bytes())),
            "session" => self.session = Some(word.to_string()),
            "after" if word == "own" => self.after_own_writes = true,
            "as" => self.alias = Some(word.to_string()),
            "deadline" => self.deadline_ms = (crate::fault::parse_time(word)? / 1000) as u32,
            "px" => {
                let ms = crate::fault::parse_time(word)? / 1000;
                self.words.extend([Bytes::from_static(b"PX"), Bytes::from(ms.to_string())]);
                self.expires = true;
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }
}
