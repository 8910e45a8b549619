//! Rights to decrease bounded counters. Tables in a log need none, so nothing is here: `leaderless/escrow.rs` has them.

use super::cells::{Reader, Writer};
use super::failure::{Failure, Ran};
use bytes::Bytes;

pub fn give(_: &mut Writer<'_>, _: &[Bytes]) -> Ran {
    Err(only_leaderless())
}

pub fn rights(_: Reader<'_>, _: &[Bytes]) -> Ran {
    Err(only_leaderless())
}

fn only_leaderless() -> Failure {
    Failure::told("ERR applied: no; rights belong to bounded counters of leaderless tables".into())
}
