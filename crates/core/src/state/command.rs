//! The registry of commands: one table drives lookup, planning, `COMMAND` and the tests.

use super::cells::{Reader, Writer};
use super::failure::Ran;
use super::{escrow, expiry, hash, key, member, server, set, string, table, text};
use crate::operation::Words;
use bytes::Bytes;

/// What a command is.
#[derive(Debug)]
pub struct Spec {
    /// Its name in upper case.
    pub name: &'static str,
    /// Number of words, the name included; negative means at least that many (as in Redis).
    pub arity: i32,
    /// True if it can change state.
    pub write: bool,
    /// True if its reply is `OK` whatever the state is, so that it can be acknowledged before it is committed. A
    /// command that is blind only without options says so in [`is_blind`].
    pub blind: bool,
    /// First key among the words, 0 for none (as in Redis).
    pub first_key: i32,
    /// Last key; negative counts from the end.
    pub last_key: i32,
    /// Distance between keys.
    pub key_step: i32,
    /// The word that says how many keys follow it, 0 if there is none (as in Redis, `first_key` is then 0).
    pub key_count_at: usize,
    /// Its family: the file that implements it, for `COMMAND` and `--help`.
    pub family: &'static str,
    /// What it does.
    pub(super) run: Run,
}

/// The function that runs a command, whose words have the right arity.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run {
    Read(fn(Reader<'_>, &[Bytes]) -> Ran),
    Write(fn(&mut Writer<'_>, &[Bytes]) -> Ran),
}

use Run::{Read, Write};

/// Positions of keys: first, last, step.
type Keys = (i32, i32, i32);
const NONE: Keys = (0, 0, 0);
const ONE: Keys = (1, 1, 1);
const TWO: Keys = (1, 2, 1);
const ALL: Keys = (1, -1, 1);
const PAIRS: Keys = (1, -1, 2);

const fn spec(family: &'static str, name: &'static str, arity: i32, keys: Keys, run: Run) -> Spec {
    let (first_key, last_key, key_step) = keys;
    let write = matches!(run, Write(_));
    Spec { name, arity, write, blind: false, first_key, last_key, key_step, key_count_at: 0, family, run }
}

impl Spec {
    const fn blind(mut self) -> Spec {
        self.blind = true;
        self
    }
    const fn counted_keys(mut self, at: usize) -> Spec {
        self.key_count_at = at;
        self
    }
}

/// All commands, sorted by name.
const TABLE: &[Spec] = &[
    spec("string", "APPEND", 3, ONE, Write(string::append)),
    spec("string", "CAS", 4, ONE, Write(string::cas)),
    spec("key", "COPY", -3, TWO, Write(key::copy)),
    spec("server", "DBSIZE", 1, NONE, Read(server::dbsize)),
    spec("string", "DECR", 2, ONE, Write(string::decr)),
    spec("string", "DECRBY", 3, ONE, Write(string::decrby)),
    spec("key", "DEL", -2, ALL, Write(key::del)),
    spec("escrow", "ESCROW.GIVE", 4, ONE, Write(escrow::give)),
    spec("escrow", "ESCROW.RIGHTS", 2, ONE, Read(escrow::rights)),
    spec("key", "EXISTS", -2, ALL, Read(key::exists)),
    spec("expiry", "EXPIRE", -3, ONE, Write(expiry::expire)),
    spec("expiry", "EXPIREAT", -3, ONE, Write(expiry::expireat)),
    spec("expiry", "EXPIRETIME", 2, ONE, Read(expiry::expiretime)),
    spec("server", "FLUSHALL", -1, NONE, Write(server::flushall)).blind(),
    spec("server", "FLUSHDB", -1, NONE, Write(server::flushdb)).blind(),
    spec("string", "GET", 2, ONE, Read(string::get)),
    spec("string", "GETDEL", 2, ONE, Write(string::getdel)),
    spec("string", "GETEX", -2, ONE, Write(string::getex)),
    spec("string", "GETRANGE", 4, ONE, Read(string::getrange)),
    spec("string", "GETSET", 3, ONE, Write(string::getset)),
    spec("hash", "HDEL", -3, ONE, Write(hash::hdel)),
    spec("hash", "HEXISTS", 3, ONE, Read(hash::hexists)),
    spec("hash", "HGET", 3, ONE, Read(hash::hget)),
    spec("hash", "HGETALL", 2, ONE, Read(hash::hgetall)),
    spec("hash", "HINCRBY", 4, ONE, Write(hash::hincrby)),
    spec("hash", "HINCRBYFLOAT", 4, ONE, Write(hash::hincrbyfloat)),
    spec("hash", "HKEYS", 2, ONE, Read(hash::hkeys)),
    spec("hash", "HLEN", 2, ONE, Read(hash::hlen)),
    spec("hash", "HMGET", -3, ONE, Read(hash::hmget)),
    spec("hash", "HMSET", -4, ONE, Write(hash::hmset)),
    spec("hash", "HRANDFIELD", -2, ONE, Read(hash::hrandfield)),
    spec("hash", "HSCAN", -3, ONE, Read(hash::hscan)),
    spec("hash", "HSET", -4, ONE, Write(hash::hset)),
    spec("hash", "HSETNX", 4, ONE, Write(hash::hsetnx)),
    spec("hash", "HSTRLEN", 3, ONE, Read(hash::hstrlen)),
    spec("hash", "HVALS", 2, ONE, Read(hash::hvals)),
    spec("string", "INCR", 2, ONE, Write(string::incr)),
    spec("string", "INCRBY", 3, ONE, Write(string::incrby)),
    spec("string", "INCRBYFLOAT", 3, ONE, Write(string::incrbyfloat)),
    spec("key", "KEYS", 2, NONE, Read(key::keys)),
    spec(table::FAMILY, "MEMBER.FORGET", -2, NONE, Write(member::forget)),
    spec(table::FAMILY, "MEMBER.LIST", 1, NONE, Read(member::list)),
    spec(table::FAMILY, "MEMBER.SET", -2, NONE, Write(member::set)),
    spec("string", "MGET", -2, ALL, Read(string::mget)),
    spec("string", "MSET", -3, PAIRS, Write(string::mset)).blind(),
    spec("string", "MSETNX", -3, PAIRS, Write(string::msetnx)),
    spec("expiry", "PERSIST", 2, ONE, Write(expiry::persist)),
    spec("expiry", "PEXPIRE", -3, ONE, Write(expiry::pexpire)),
    spec("expiry", "PEXPIREAT", -3, ONE, Write(expiry::pexpireat)),
    spec("expiry", "PEXPIRETIME", 2, ONE, Read(expiry::pexpiretime)),
    spec("string", "PSETEX", 4, ONE, Write(string::psetex)).blind(),
    spec("expiry", "PTTL", 2, ONE, Read(expiry::pttl)),
    spec("key", "RANDOMKEY", 1, NONE, Read(key::randomkey)),
    spec("key", "RENAME", 3, TWO, Write(key::rename)),
    spec("key", "RENAMENX", 3, TWO, Write(key::renamenx)),
    spec("set", "SADD", -3, ONE, Write(set::sadd)),
    spec("key", "SCAN", -2, NONE, Read(key::scan)),
    spec("set", "SCARD", 2, ONE, Read(set::scard)),
    spec("set", "SDIFF", -2, ALL, Read(set::sdiff)),
    spec("set", "SDIFFSTORE", -3, ALL, Write(set::sdiffstore)),
    spec("string", "SET", -3, ONE, Write(string::set)).blind(),
    spec("string", "SETEX", 4, ONE, Write(string::setex)).blind(),
    spec("string", "SETNX", 3, ONE, Write(string::setnx)),
    spec("string", "SETRANGE", 4, ONE, Write(string::setrange)),
    spec("set", "SINTER", -2, ALL, Read(set::sinter)),
    spec("set", "SINTERCARD", -3, NONE, Read(set::sintercard)).counted_keys(1),
    spec("set", "SINTERSTORE", -3, ALL, Write(set::sinterstore)),
    spec("set", "SISMEMBER", 3, ONE, Read(set::sismember)),
    spec("set", "SMEMBERS", 2, ONE, Read(set::smembers)),
    spec("set", "SMISMEMBER", -3, ONE, Read(set::smismember)),
    spec("set", "SMOVE", 4, TWO, Write(set::smove)),
    spec("set", "SPOP", -2, ONE, Write(set::spop)),
    spec("set", "SRANDMEMBER", -2, ONE, Read(set::srandmember)),
    spec("set", "SREM", -3, ONE, Write(set::srem)),
    spec("set", "SSCAN", -3, ONE, Read(set::sscan)),
    spec("string", "STRLEN", 2, ONE, Read(string::strlen)),
    spec("string", "SUBSTR", 4, ONE, Read(string::getrange)),
    spec("set", "SUNION", -2, ALL, Read(set::sunion)),
    spec("set", "SUNIONSTORE", -3, ALL, Write(set::sunionstore)),
    spec(table::FAMILY, "TABLE.ALTER", -2, NONE, Write(table::alter)),
    spec(table::FAMILY, "TABLE.CAUGHT", 4, NONE, Write(member::caught)),
    spec(table::FAMILY, "TABLE.CREATE", -2, NONE, Write(table::create)),
    spec(table::FAMILY, "TABLE.DROP", 2, NONE, Write(table::drop)),
    spec(table::FAMILY, "TABLE.LIFE", 4, NONE, Write(member::life)),
    spec(table::FAMILY, "TABLE.LIST", 1, NONE, Read(table::list)),
    spec(table::FAMILY, "TABLE.SHOW", 2, NONE, Read(table::show)),
    spec(text::FAMILY, "TEXT.DELETE", 4, ONE, Write(text::write)),
    spec(text::FAMILY, "TEXT.INSERT", 4, ONE, Write(text::write)),
    spec(text::FAMILY, "TEXT.LENGTH", 2, ONE, Read(text::read)),
    spec(text::FAMILY, "TEXT.STATE", -2, ONE, Read(text::read)),
    spec(text::FAMILY, "TEXT.UPDATE", 3, ONE, Write(text::write)),
    spec(text::FAMILY, "TEXT.VECTOR", 2, ONE, Read(text::read)),
    spec("key", "TOUCH", -2, ALL, Read(key::exists)),
    spec("expiry", "TTL", 2, ONE, Read(expiry::ttl)),
    spec("key", "TYPE", 2, ONE, Read(key::type_of)),
    spec("key", "UNLINK", -2, ALL, Write(key::del)),
    spec("key", "VERSION", 2, ONE, Read(key::version)),
];

/// All commands, sorted by name.
pub static COMMANDS: &[Spec] = TABLE;

/// Where the commands of each first letter begin, so that a lookup compares few names.
const STARTS: [u8; 27] = starts();

const fn starts() -> [u8; 27] {
    let mut starts = [TABLE.len() as u8; 27];
    let mut letter = 0;
    while letter < 27 {
        let mut at = 0;
        while at < TABLE.len() && TABLE[at].name.as_bytes()[0] < b'A' + letter as u8 {
            at += 1;
        }
        starts[letter] = at as u8;
        letter += 1;
    }
    starts
}

/// The spec of a command, by its name in upper case.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    let letter = usize::from(name.first()?.wrapping_sub(b'A'));
    let starts = STARTS.get(letter..letter + 2)?;
    COMMANDS[starts[0] as usize..starts[1] as usize].iter().find(|spec| spec.name.as_bytes() == name)
}

impl Spec {
    /// Has a command of this many words the right number of them?
    pub fn takes(&self, words: usize) -> bool {
        let least = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { words >= least } else { words == least }
    }
}

/// Can these words be acknowledged with `OK` before they are committed? (`SET` with `NX`, `XX` or `GET` cannot, nor can
/// words that are wrong whatever the state is.)
pub fn is_blind(spec: &Spec, words: &Words) -> bool {
    spec.blind
        && spec.takes(words.len())
        && match spec.name {
            "SET" => string::set_is_blind(words),
            "SETEX" | "PSETEX" => string::expiry_is_safe(&words[2]),
            "FLUSHDB" | "FLUSHALL" => server::flush_is_blind(words),
            "MSET" => !words.len().is_multiple_of(2),
            _ => true,
        }
}

/// The keys of a command. The words have the right arity.
pub fn keys<'a>(spec: &Spec, words: &'a Words) -> impl Iterator<Item = &'a Bytes> {
    let counted = spec.key_count_at;
    let (range, step) = if counted > 0 {
        let claimed = super::number::integer(words.get(counted).map_or(b"", |word| word)).unwrap_or(0);
        let rest = words.len().saturating_sub(counted + 1);
        let count = usize::try_from(claimed).unwrap_or(0).min(rest);
        (counted + 1..counted + 1 + count, 1)
    } else if spec.first_key <= 0 {
        (0..0, 1)
    } else {
        let last = if spec.last_key < 0 { words.len() as i32 + spec.last_key } else { spec.last_key };
        (spec.first_key as usize..(last + 1).max(0) as usize, spec.key_step.max(1) as usize)
    };
    range.step_by(step).filter_map(|at| words.get(at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn words(line: &str) -> Words {
        line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[test]
    fn the_table_is_sorted_and_every_command_is_found() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        assert!(COMMANDS.len() < 256);
        for spec in COMMANDS {
            assert_eq!(find(spec.name.as_bytes()).map(|found| found.name), Some(spec.name));
        }
        for unknown in ["", "A", "GE", "GETX", "get", "Z", "ZZZ", "[", "\u{ff}"] {
            assert!(find(unknown.as_bytes()).is_none(), "{unknown}");
        }
    }

    #[test]
    fn only_words_that_say_ok_in_every_state_are_blind() {
        for blind in ["SET k v", "SET k v EX 10", "SET k v KEEPTTL", "MSET a 1 b 2", "SETEX k 1 v"] {
            let words = words(blind);
            assert!(is_blind(find(&words[0]).unwrap(), &words), "{blind}");
        }
        for not in [
            "SET k v NX",
            "SET k v GET",
            "SET k v EX 0",
            "SET k v XX",
            "SET k v EX",
            "SET k",
            "MSET a 1 b",
            "SETEX k 0 v",
            "INCR k",
            "SETNX k v",
            "SET k v PX 9223372036854775807",
        ] {
            let words = words(not);
            assert!(!is_blind(find(&words[0]).unwrap(), &words), "{not}");
        }
    }

    #[test]
    fn keys_are_found_among_the_words() {
        for (line, expected) in
            [("GET a", "a"), ("DEL a b c", "a b c"), ("MSET a 1 b 2", "a b"), ("SET a b EX 10", "a")]
        {
            let words = words(line);
            let keys: Vec<_> = keys(find(&words[0]).unwrap(), &words).cloned().collect();
            assert_eq!(keys, self::words(expected), "{line}");
        }
    }
}
