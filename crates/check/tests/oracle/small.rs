// All small histories of registers whose writes have distinct values, one for each up to names.

use super::{Datum, History, Object, Recorder, Step};

/// An operation: the key, and what a read shows: 0 for the start, else the n-th write of the key; none for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Small {
    pub key: usize,
    pub read: Option<usize>,
}

/// Calls `found` with every history of exactly so many operations, sessions and keys, in a fixed order.
pub fn each(operations: usize, sessions: usize, keys: usize, found: &mut dyn FnMut(&History)) {
    for sizes in splits(operations, sessions) {
        each_shape(operations, keys, &mut |shape| found(&history(&sizes, shape)));
    }
}

/// The lengths of the sessions, longest first.
pub fn splits(operations: usize, sessions: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..sessions {
        let mut next = Vec::new();
        for begun in &all {
            for length in 1..=operations {
                if begun.last().is_none_or(|&last| length <= last) {
                    next.push([&begun[..], &[length]].concat());
                }
            }
        }
        all = next;
    }
    all.retain(|sizes| sizes.iter().sum::<usize>() == operations);
    all
}

/// All operations in a row, keys named in the order of their first appearance.
pub fn each_shape(operations: usize, keys: usize, found: &mut dyn FnMut(&[Small])) {
    // First which are writes, and the keys; then what each read shows.
    for kinds in 0..(2 * keys as u64).pow(operations as u32) {
        let kind = |at: usize| (kinds / (2 * keys as u64).pow(at as u32)) as usize % (2 * keys);
        let key = |at: usize| kind(at) / 2;
        let mut highest = 0;
        let named = (0..operations).all(|at| {
            let fits = key(at) <= highest;
            highest = highest.max(key(at) + 1);
            fits
        });
        if !named || highest != keys {
            continue;
        }
        let writes = |of: usize| (0..operations).filter(|&at| key(at) == of && kind(at) % 2 == 0).count();
        let bounds: Vec<usize> =
            (0..operations).map(|at| if kind(at) % 2 == 0 { 1 } else { writes(key(at)) + 1 }).collect();
        let mut shape = vec![Small { key: 0, read: None }; operations];
        for choice in 0..bounds.iter().product::<usize>() {
            let mut rest = choice;
            for at in 0..operations {
                let read = (kind(at) % 2 == 1).then_some(rest % bounds[at]);
                rest /= bounds[at];
                shape[at] = Small { key: key(at), read };
            }
            found(&shape);
        }
    }
}

/// The history of these sessions, whose operations overlap those of others.
pub fn history(sizes: &[usize], shape: &[Small]) -> History {
    let mut recorder = Recorder::new(Object::Register);
    recorder.without_real_time();
    let keys = ["x", "y", "z"].map(|name| recorder.key(&Datum::text(name)));
    let nil = recorder.value(&Datum::Nil);
    let mut written = [0; 3];
    let mut at = 0;
    for (session, &size) in sizes.iter().enumerate() {
        let session = recorder.session(&Datum::text(["a", "b", "c", "d", "e"][session]));
        for _ in 0..size {
            let Small { key, read } = shape[at];
            let step = match read {
                Some(0) => Step::Read { key: keys[key], value: Some(nil) },
                Some(number) => {
                    Step::Read { key: keys[key], value: Some(recorder.value(&Datum::Integer(number as i64))) }
                }
                None => {
                    written[key] += 1;
                    Step::Write { key: keys[key], value: recorder.value(&Datum::Integer(written[key])) }
                }
            };
            let ticket = recorder.begin(session, at as u64 * 2, 0, &[step]);
            recorder.end(ticket, at as u64 * 2 + 1, &[step]);
            at += 1;
        }
    }
    recorder.finish()
}

/// Calls `found` with every history of one key of so many operations in every order of begins and ends, in a fixed order:
/// few sessions first. Reads may also show a value that nobody writes.
#[allow(dead_code, reason = "only the lattice needs it")]
pub fn each_timed(operations: usize, found: &mut dyn FnMut(&History)) {
    each_timed_shape(operations, &mut |sessions, times| {
        for choice in 0..(operations + 3).pow(operations as u32) {
            let kind = |at: usize| choice / (operations + 3).pow(at as u32) % (operations + 3);
            let writes = (0..operations).filter(|&at| kind(at) == 0).count();
            // 0 writes, 1 reads the start, others the writes, the one after those nothing that was written.
            if (0..operations).all(|at| kind(at) <= writes + 2) {
                let shape: Vec<Option<usize>> = (0..operations).map(|at| kind(at).checked_sub(1)).collect();
                found(&timed(sessions, times, &shape));
            }
        }
    });
}

/// Calls `found` with the sessions and the times of so many operations, in every order of begins and ends: few sessions first.
#[allow(dead_code, reason = "only the lattice needs it")]
#[allow(clippy::type_complexity, reason = "the sessions and the spans of the operations")]
pub fn each_timed_shape(operations: usize, found: &mut dyn FnMut(&[usize], &[(usize, usize)])) {
    let mut times: Vec<Vec<(usize, usize)>> = vec![Vec::new()];
    for at in 0..operations {
        // Each operation begins after the one before it; its end goes anywhere after its begin.
        let mut next = Vec::new();
        for begun in &times {
            let events = 2 * at;
            let last = begun.last().map_or(0, |&(begin, _)| begin + 1);
            for begin in last..=events {
                for end in begin + 1..=events + 1 {
                    let moved = |time: usize| {
                        let time = if time >= begin { time + 1 } else { time };
                        if time >= end { time + 1 } else { time }
                    };
                    let mut all: Vec<(usize, usize)> = begun.iter().map(|&(b, e)| (moved(b), moved(e))).collect();
                    all.push((begin, end));
                    next.push(all);
                }
            }
        }
        times = next;
    }
    let mut partitions: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..operations {
        let grown = |begun: &Vec<usize>| {
            let count = begun.iter().max().map_or(0, |&last| last + 1);
            (0..=count).map(|session| [&begun[..], &[session]].concat()).collect::<Vec<_>>()
        };
        partitions = partitions.iter().flat_map(grown).collect();
    }
    partitions.sort_by_key(|sessions| sessions.iter().max().copied());
    for sessions in &partitions {
        for times in &times {
            let overlap = (0..operations)
                .any(|a| (a + 1..operations).any(|b| sessions[a] == sessions[b] && times[a].1 > times[b].0));
            if overlap {
                continue;
            }
            found(sessions, times);
        }
    }
}

#[allow(dead_code, reason = "only the lattice needs it")]
fn timed(sessions: &[usize], times: &[(usize, usize)], shape: &[Option<usize>]) -> History {
    let mut recorder = Recorder::new(Object::Register);
    let key = recorder.key(&Datum::text("x"));
    let mut written = 0;
    for (at, &(begin, end)) in times.iter().enumerate() {
        let session = recorder.session(&Datum::text(["a", "b", "c", "d", "e"][sessions[at]]));
        let step = match shape[at] {
            Some(0) => Step::Read { key, value: Some(recorder.value(&Datum::Nil)) },
            Some(number) => Step::Read { key, value: Some(recorder.value(&Datum::Integer(number as i64))) },
            None => {
                written += 1;
                Step::Write { key, value: recorder.value(&Datum::Integer(written)) }
            }
        };
        let ticket = recorder.begin(session, begin as u64 + 1, 0, &[step]);
        recorder.end(ticket, end as u64 + 1, &[step]);
    }
    recorder.finish()
}
