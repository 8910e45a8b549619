//! The order that is known before anything is read: within sessions, and in time.

use super::graph::{Builder, Kind};
use super::log::{Log, NONE};
use super::{Base, Rules};
use crate::{Operation, Outcome};

/// Adds the edges of the order that the model respects.
///
/// A transaction of unknown outcome may take place long after its session went on, so that nothing comes after it.
pub(super) fn add(log: &Log<'_>, base: Base, rules: Rules, to: &mut Builder) {
    if base != Base::Nothing && rules.sessions {
        add_sessions(log, to);
    }
    if base == Base::Time && rules.real_time && log.history.has_real_time() {
        add_time(log, to);
    }
}

/// Each transaction's predecessor in its session, or [`NONE`].
pub(super) fn predecessors(log: &Log<'_>) -> Vec<u32> {
    let mut last = vec![NONE; log.history.counts().2];
    let operations = log.history.operations().iter().enumerate();
    operations
        .map(|(at, operation)| {
            let last = &mut last[operation.session.0 as usize];
            let before = *last;
            if operation.outcome == Outcome::Done {
                *last = at as u32;
            }
            if log.present[at] { before } else { NONE }
        })
        .collect()
}

fn add_sessions(log: &Log<'_>, to: &mut Builder) {
    for (at, before) in predecessors(log).into_iter().enumerate() {
        if before != NONE {
            to.add(before, at as u32, Kind::Session, 0);
        }
    }
}

/// One helper node for each moment before which something ended and after which something began, in a chain:
/// a number of edges linear in the history says of all pairs which came first.
fn add_time(log: &Log<'_>, to: &mut Builder) {
    let operations = log.history.operations();
    let mut ends: Vec<(u64, u32)> = (0..operations.len() as u32)
        .filter(|&at| log.present[at as usize] && operations[at as usize].end != Operation::NEVER)
        .map(|at| (operations[at as usize].end, at))
        .collect();
    ends.sort_unstable();
    let mut ended = ends.into_iter().peekable();
    let mut moment = NONE;
    for (at, operation) in operations.iter().enumerate().filter(|&(at, _)| log.present[at]) {
        if ended.peek().is_some_and(|&(end, _)| end < operation.begin) {
            let next = to.helper();
            if moment != NONE {
                to.add(moment, next, Kind::Pass, 0);
            }
            moment = next;
        }
        while let Some((_, before)) = ended.next_if(|&(end, _)| end < operation.begin) {
            to.add(before, moment, Kind::RealTime, 0);
        }
        if moment != NONE {
            to.add(moment, at as u32, Kind::Pass, 0);
        }
    }
}
