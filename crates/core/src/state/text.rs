//! Texts that several edit at once are cells of leaderless tables. On a table with a log their commands are refused in words.

use super::cells::{Reader, Writer};
use super::failure::{Failure, Ran};
use bytes::Bytes;

/// The family of these commands.
pub const FAMILY: &str = "text";

const ELSEWHERE: Failure = Failure::new(
    "ERR texts are cells of leaderless tables; make one with: TABLE.CREATE <name> shape leaderless cell text",
);

/// TEXT.LENGTH, TEXT.STATE, TEXT.VECTOR.
pub(super) fn read(_: Reader<'_>, _: &[Bytes]) -> Ran {
    Err(ELSEWHERE)
}

/// TEXT.DELETE, TEXT.INSERT, TEXT.UPDATE.
pub(super) fn write(_: &mut Writer<'_>, _: &[Bytes]) -> Ran {
    Err(ELSEWHERE)
}
