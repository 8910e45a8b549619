//! The fast test for keys that are only read and written, each value written once: Gibbons and Korach (1997).
//!
//! A write and the reads of its value stand together in every legal order. Of two such clusters the first must come
//! before the second when one of its operations ends before one of the second begins. An order exists when no two
//! clusters must come before each other.

use super::history::{Action, Answer, Operation, Outcome, Value};
use std::collections::BTreeMap;

/// A write with its reads. Times are one later than in the history, so that 0 is before everything.
#[derive(Clone, Copy)]
struct Cluster {
    first_end: u64,
    last_start: u64,
    write: Option<usize>,
    /// The operations that end first and start last.
    ends: Option<usize>,
    starts: Option<usize>,
}

/// `None` if the operations are not of the simple kind; otherwise the operations that contradict each other, if any.
/// Reads of values that nobody wrote must have been sorted out before.
pub(super) fn contradiction(operations: &[Operation]) -> Option<Option<Vec<usize>>> {
    let mut clusters: BTreeMap<Value, Cluster> = BTreeMap::new();
    clusters.insert(None, Cluster { first_end: 0, last_start: 0, write: None, ends: None, starts: None });
    for (at, operation) in operations.iter().enumerate() {
        match &operation.action {
            Action::Read => {}
            Action::Write(value) => {
                let end = if operation.outcome == Outcome::Unknown { u64::MAX } else { operation.end + 1 };
                let start = operation.start + 1;
                let cluster =
                    Cluster { first_end: end, last_start: start, write: Some(at), ends: Some(at), starts: Some(at) };
                if clusters.insert(Some(value.clone()), cluster).is_some() {
                    return None;
                }
            }
            Action::Delete | Action::Swap(_) | Action::Add(_) | Action::Cas(..) => return None,
        }
    }
    for (at, operation) in operations.iter().enumerate().filter(|(_, operation)| operation.action == Action::Read) {
        let Outcome::Done(Answer::Value(value)) = &operation.outcome else { continue };
        let cluster = clusters.get_mut(value)?;
        if operation.end + 1 < cluster.first_end {
            (cluster.first_end, cluster.ends) = (operation.end + 1, Some(at));
        }
        if operation.start + 1 > cluster.last_start {
            (cluster.last_start, cluster.starts) = (operation.start + 1, Some(at));
        }
    }
    Some(conflict(clusters.into_values().collect()).map(|(a, b)| {
        let mut witness: Vec<usize> =
            [a.write, a.ends, a.starts, b.write, b.ends, b.starts].into_iter().flatten().collect();
        witness.sort_unstable();
        witness.dedup();
        witness
    }))
}

/// Two clusters that must come before each other.
fn conflict(clusters: Vec<Cluster>) -> Option<(Cluster, Cluster)> {
    let (mut forward, backward): (Vec<Cluster>, Vec<Cluster>) =
        clusters.into_iter().partition(|cluster| cluster.first_end < cluster.last_start);
    forward.sort_by_key(|cluster| cluster.first_end);
    for pair in forward.windows(2) {
        if pair[1].first_end < pair[0].last_start {
            return Some((pair[0], pair[1]));
        }
    }
    for cluster in backward {
        let after = forward.partition_point(|other| other.first_end < cluster.last_start);
        if let Some(other) = after.checked_sub(1).map(|at| forward[at])
            && cluster.first_end < other.last_start
        {
            return Some((other, cluster));
        }
    }
    None
}
