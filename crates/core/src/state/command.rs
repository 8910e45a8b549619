//! The registry of commands: one table drives lookup, planning, `COMMAND` and the tests.

use crate::operation::Words;

/// What a command is, apart from what it does.
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
    /// Its family: the file that implements it, for `COMMAND` and `--help`.
    pub family: &'static str,
}

/// The spec of a command, by its name in upper case.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    let _ = name;
    None
}

/// Can these words be acknowledged with `OK` before they are committed? (`SET` with `NX`, `XX` or `GET` cannot.)
pub fn is_blind(spec: &Spec, words: &Words) -> bool {
    let _ = words;
    spec.blind
}

/// The keys of a command. The words have the right arity.
pub fn keys<'a>(spec: &Spec, words: &'a Words) -> impl Iterator<Item = &'a bytes::Bytes> {
    let last = if spec.last_key < 0 { words.len() as i32 + spec.last_key } else { spec.last_key };
    let range = if spec.first_key <= 0 { 0..0 } else { spec.first_key..last + 1 };
    range.step_by(spec.key_step.max(1) as usize).filter_map(|at| words.get(at as usize))
}
