//! AUTH, HELLO, RESET: who a client is and what it speaks.

use super::codec::{Protocol, number};
use super::connection::Connection;
use super::failure::{error, shown};
use super::shared::Shared;
use super::transaction::Watches;
use bytes::Bytes;
use quorate_core::operation::{Value, Words};
use subtle::ConstantTimeEq;

/// The version of Redis whose behaviour the front follows: clients decide by it what they may ask.
pub const REDIS_VERSION: &str = "7.0.0";

const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const HELLO_FIRST: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";

/// `AUTH [user] password`.
pub(super) fn auth(connection: &mut Connection, words: &Words, shared: &Shared) {
    let result = match &words[1..] {
        [_] if shared.password.is_none() => Err(NO_PASSWORD),
        [password] => check(b"default", password, shared),
        [user, password] => check(user, password, shared),
        _ => Err("ERR syntax error"),
    };
    match result {
        Ok(()) => {
            connection.authenticated = true;
            connection.reply(Value::OK);
        }
        Err(text) => connection.reply_error(text),
    }
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`.
pub(super) fn hello(connection: &mut Connection, words: &Words, shared: &Shared) {
    match read_hello(connection, words, shared) {
        Ok(()) => {
            let value = greeting(connection, shared);
            connection.reply(value);
        }
        Err(value) => connection.reply(value),
    }
}

fn read_hello(connection: &mut Connection, words: &Words, shared: &Shared) -> Result<(), Value> {
    let protocol = match words.get(1).map(|word| number(word)) {
        None => connection.protocol,
        Some(Some(2)) => Protocol::Two,
        Some(Some(3)) => Protocol::Three,
        Some(Some(_)) => return Err(Value::error("NOPROTO unsupported protocol version")),
        Some(None) => return Err(Value::error("ERR Protocol version is not an integer or out of range")),
    };
    let (mut known, mut name) = (connection.authenticated, None);
    let mut rest = words.get(2..).unwrap_or_default();
    while let Some((option, after)) = rest.split_first() {
        rest = match after {
            [user, password, after @ ..] if option.eq_ignore_ascii_case(b"AUTH") => {
                check(user, password, shared).map_err(Value::error)?;
                known = true;
                after
            }
            [wanted, after @ ..] if option.eq_ignore_ascii_case(b"SETNAME") => {
                check_name(wanted)?;
                name = Some(Bytes::copy_from_slice(wanted));
                after
            }
            _ => return Err(error(format!("ERR Syntax error in HELLO option '{}'", shown(option, 128)))),
        };
    }
    if !known {
        return Err(Value::error(HELLO_FIRST));
    }
    connection.authenticated = true;
    connection.protocol = protocol;
    if let Some(name) = name {
        connection.name = name;
    }
    Ok(())
}

fn greeting(connection: &Connection, shared: &Shared) -> Value {
    let word = |word: &'static str| Value::Bulk(Bytes::from_static(word.as_bytes()));
    let protocol = match connection.protocol {
        Protocol::Two => 2,
        Protocol::Three => 3,
    };
    Value::Map(vec![
        (word("server"), word("redis")),
        (word("version"), word(REDIS_VERSION)),
        (word("proto"), Value::Int(protocol)),
        (word("id"), Value::Int(connection.id as i64)),
        (word("mode"), word("standalone")),
        (word("role"), word("master")),
        (word("modules"), Value::Array(Vec::new())),
        (word("quorate"), word(env!("CARGO_PKG_VERSION"))),
        (word("node"), Value::Int(i64::from(shared.node))),
    ])
}

/// `RESET`: as if the client had just connected, apart from what its session has seen.
pub(super) fn reset(connection: &mut Connection, shared: &Shared) {
    connection.transaction = None;
    connection.watches = Watches::default();
    connection.table = 0;
    connection.protocol = Protocol::Two;
    connection.name = Bytes::new();
    connection.authenticated = shared.password.is_none();
    connection.reply(Value::Status(Bytes::from_static(b"RESET")));
}

/// May a client have this name? As in Redis: no spaces, no line ends.
pub(super) fn check_name(name: &[u8]) -> Result<(), Value> {
    if name.len() <= 1024 && name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        Ok(())
    } else {
        Err(Value::error("ERR Client names cannot contain spaces, newlines or special characters."))
    }
}

/// Compares in constant time. Until users come there is one, named `default`.
fn check(user: &[u8], password: &[u8], shared: &Shared) -> Result<(), &'static str> {
    let right = match &shared.password {
        None => true,
        Some(expected) => bool::from(expected.as_bytes().ct_eq(password)),
    };
    if right && user == b"default" { Ok(()) } else { Err(WRONG_PASSWORD) }
}
