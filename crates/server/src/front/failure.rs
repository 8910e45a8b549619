//! How outcomes that are not `Done` sound in the Redis protocol: the one place that chooses first words.
//!
//! Clients act on the first word of an error. Where the operation was certainly not applied and may succeed later, we
//! say a word that cluster-aware clients retry; where it may have been applied, a word that no client retries.
//!
//! | first word | applied | when |
//! |---|---|---|
//! | `CLUSTERDOWN` | no | no leader, or no majority, before the deadline |
//! | `TRYAGAIN` | no | the replica is behind the session, the leader changed, or too much is in flight |
//! | `CROSSSLOT` | no | the keys belong to different groups |
//! | `REFUSED` | no | the operation cannot be given as asked; repeating it does not help |
//! | `SHORT` | yes | applied, but fewer nodes than asked hold it durably |
//! | `UNKNOWN` | unknown | the outcome was not known before the deadline |
//!
//! An error of the command itself (`WRONGTYPE …`, `ERR …`) is a value: the command was evaluated and changed nothing.

use crate::receipt::shortfall;
use bytes::Bytes;
use quorate_core::guarantee::Receipt;
use quorate_core::operation::{Doubt, Refusal, Value};

/// The error for an operation that was certainly not applied.
pub fn refused(refusal: &Refusal) -> Value {
    let word = match refusal {
        Refusal::NoLeader | Refusal::NoQuorum | Refusal::TooFewReplicas { .. } | Refusal::NoLife => "CLUSTERDOWN",
        Refusal::Behind
        | Refusal::Superseded
        | Refusal::Overloaded
        | Refusal::ClockAhead(_)
        | Refusal::ChangeOnItsWay => "TRYAGAIN",
        Refusal::CrossGroup => "CROSSSLOT",
        Refusal::UnknownTable
        | Refusal::UnknownCommand
        | Refusal::AckNeedsBlindWrite
        | Refusal::Impossible(_)
        | Refusal::TooLarge(_)
        | Refusal::NoSuchTarget => "REFUSED",
    };
    error(format!("{word} applied: no; {}", refusal.sentence()))
}

/// The error for an operation that was applied with less than was asked.
pub fn short(receipt: &Receipt) -> Value {
    error(format!("SHORT applied: yes; {}; do not repeat it", shortfall(receipt)))
}

/// The error for an operation whose outcome is not known.
pub fn unknown(doubt: &Doubt) -> Value {
    error(format!("UNKNOWN applied: unknown; {}", doubt.sentence()))
}

/// An error with a text made at run time.
pub fn error(text: String) -> Value {
    Value::Error(Bytes::from(text))
}

/// Redis' answer to a name that is no command.
pub fn unknown_command(words: &[Bytes]) -> Value {
    let name = words.first().map_or(&b""[..], |name| &name[..]);
    let mut text = format!("ERR unknown command '{}', with args beginning with: ", shown(name, 128));
    let mut room = 128usize;
    for argument in words.iter().skip(1) {
        if room == 0 {
            break;
        }
        let argument = shown(argument, room);
        room -= argument.len().min(room);
        text.push_str(&format!("'{argument}' "));
    }
    error(text)
}

/// Redis' answer to a wrong number of arguments.
pub fn wrong_arity(name: &[u8]) -> Value {
    error(format!("ERR wrong number of arguments for '{}' command", shown(&name.to_ascii_lowercase(), 128)))
}

/// Redis' answer to a subcommand that is unknown or has a wrong number of arguments.
pub fn unknown_subcommand(name: &str, sub: &[u8]) -> Value {
    error(format!("ERR unknown subcommand or wrong number of arguments for '{}'. Try {name} HELP.", shown(sub, 128)))
}

/// At most so many bytes of a word, for people.
pub fn shown(word: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&word[..word.len().min(most)]).into_owned()
}
