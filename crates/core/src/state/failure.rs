//! Errors of commands, with the texts that Redis 7.0 gives them.

use crate::limits;
use crate::operation::Value;
use alloc::format;
use alloc::string::String;
use bytes::Bytes;

/// Why a command changed nothing: the text of its error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Bytes);

/// What running a command gives.
pub type Ran = Result<Value, Failure>;

impl Failure {
    /// An error with a fixed text.
    pub const fn new(text: &'static str) -> Failure {
        Failure(Bytes::from_static(text.as_bytes()))
    }
    /// An error whose text depends on the command.
    pub fn told(text: String) -> Failure {
        Failure(Bytes::from(text.into_bytes()))
    }
    /// The wrong number of words.
    pub fn arity(name: &[u8]) -> Failure {
        Failure::told(format!("ERR wrong number of arguments for '{}' command", lower(name)))
    }
    /// An expiry that is not positive or too far away.
    pub fn expire_time(name: &[u8]) -> Failure {
        Failure::told(format!("ERR invalid expire time in '{}' command", lower(name)))
    }
    /// A string that would grow over the limit.
    pub fn too_long() -> Failure {
        Failure::told(format!("ERR string exceeds maximum allowed size ({} bytes)", limits::VALUE_BYTES))
    }
    /// No command has this name.
    pub fn unknown_command(words: &[Bytes]) -> Failure {
        let name = words.first().map_or(&b""[..], |name| name);
        let mut text = format!("ERR unknown command '{}', with args beginning with: ", shown(name));
        for word in words.iter().skip(1) {
            if text.len() >= 128 {
                break;
            }
            text.push_str(&format!("'{}' ", shown(word)));
        }
        Failure::told(text)
    }
}

impl From<Failure> for Value {
    fn from(failure: Failure) -> Value {
        Value::Error(failure.0)
    }
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// A word as part of an error: one line, not too long.
fn shown(word: &[u8]) -> String {
    let word = &word[..word.len().min(128)];
    String::from_utf8_lossy(word).replace(['\r', '\n'], " ")
}

/// The key holds another type.
pub const WRONG_TYPE: Failure = Failure::new("WRONGTYPE Operation against a key holding the wrong kind of value");
/// An option that is unknown, doubled or misplaced.
pub const SYNTAX: Failure = Failure::new("ERR syntax error");
/// A word that is not a number of 64 bits.
pub const NOT_AN_INTEGER: Failure = Failure::new("ERR value is not an integer or out of range");
/// A word that is not a decimal number.
pub const NOT_A_FLOAT: Failure = Failure::new("ERR value is not a valid float");
/// A sum over 64 bits.
pub const OVERFLOW: Failure = Failure::new("ERR increment or decrement would overflow");
/// A sum that is not a finite number.
pub const NOT_FINITE: Failure = Failure::new("ERR increment would produce NaN or Infinity");
/// A key that must exist and does not.
pub const NO_SUCH_KEY: Failure = Failure::new("ERR no such key");
/// A cursor that no scan gave.
pub const INVALID_CURSOR: Failure = Failure::new("ERR invalid cursor");
