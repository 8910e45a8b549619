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
