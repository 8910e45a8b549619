//! Transactions of `Write` and `Read`: every read finds its writer by the value.
//!
//! The order of versions is not seen. What is known of it for free: a transaction that read a version and wrote the key
//! put its own version directly behind (Tan et al., *MTC*, 2025, call such transactions mini-transactions), so that
//! the chain of these from the initial version on is the beginning of the order of versions.

use super::Rules;
use super::choice::Choice;
use super::log::{Breaks, Follower, INITIAL, Log, NONE, Read, Versions, following};
use crate::{Anomaly, Key, Outcome, Step};

pub(super) fn resolve(log: &mut Log<'_>, choice: &mut Choice, rules: Rules) {
    let keys = log.history.counts().1;
    let mut own = vec![(NONE, 0); keys];
    let mut seen = vec![(NONE, 0); keys];
    for id in log.history.ids() {
        if log.history.operation(id).outcome == Outcome::Done {
            for step in log.history.steps(id) {
                match *step {
                    Step::Write { key, value } => own[key.0 as usize] = (id.0, value.0),
                    Step::Read { key, value: Some(value) } => {
                        let (writer, wrote) = own[key.0 as usize];
                        if writer != id.0 {
                            read(log, choice, id.0, key, value.0);
                        } else if wrote != value.0 {
                            log.fault(Breaks::Everything, Anomaly::Internal, &[id.0]);
                        }
                    }
                    _ => {}
                }
            }
        }
        log.reads.close();
        log.check_repeatable(id.0, &mut seen);
    }
    if rules.unknown_writes {
        mark_read(log);
    }
    find_chains(log);
}

fn read(log: &mut Log<'_>, choice: &mut Choice, reader: u32, key: Key, value: u32) {
    let table = log.table;
    let history = log.history;
    let outcome = |operation: u32| history.operations()[operation as usize].outcome;
    let is_initial = history.initial(key).0 == value;
    let (mut count, mut only) = (usize::from(is_initial), INITIAL);
    let mut others = None;
    for written in table.writers(key.0, value) {
        let candidate = if written.operation == reader {
            (Breaks::Everything, Anomaly::ReadFromFuture)
        } else if outcome(written.operation) == Outcome::Refused {
            (Breaks::Committed, Anomaly::AbortedRead)
        } else if !written.last {
            (Breaks::Committed, Anomaly::IntermediateRead)
        } else {
            count += 1;
            only = written.operation;
            continue;
        };
        if others.is_none_or(|(breaks, _)| candidate.0 > breaks) {
            others = Some(candidate);
        }
    }
    if count == 0 {
        let (breaks, anomaly) = others.unwrap_or((Breaks::Everything, Anomaly::ReadFromNowhere));
        log.fault(breaks, anomaly, &[reader]);
        return;
    }
    let from = if count == 1 {
        only
    } else {
        let mut candidates: Vec<u32> = table
            .writers(key.0, value)
            .filter(|written| {
                written.last && written.operation != reader && outcome(written.operation) != Outcome::Refused
            })
            .map(|written| written.operation)
            .collect();
        if is_initial {
            candidates.push(INITIAL);
        }
        // The latest that had begun when the reader ended is the likeliest.
        let end = history.operations()[reader as usize].end;
        let is_late = |&from: &u32| from != INITIAL && history.operations()[from as usize].begin > end;
        candidates.sort_by_key(is_late);
        candidates[choice.among(count, Some(reader))]
    };
    log.reads.push(Read { key: key.0, from, version: NONE });
}

/// A transaction of unknown outcome took place if somebody read from it.
fn mark_read(log: &mut Log<'_>) {
    for reader in 0..log.history.len() as u32 {
        for read in log.reads.of(reader) {
            if read.from != INITIAL {
                log.present[read.from as usize] = true;
            }
        }
    }
}

/// The chain of transactions that each read the version before their own, from the initial version on.
fn find_chains(log: &mut Log<'_>) {
    let keys = log.history.counts().1;
    let mut versions = vec![Versions::default(); keys];
    let mut followers: Vec<Follower> = Vec::new();
    for reader in 0..log.history.len() as u32 {
        if !log.present[reader as usize] {
            continue;
        }
        for &key in log.writes(reader) {
            versions[key as usize].tail.push(reader);
        }
        for read in log.reads.of(reader) {
            if log.wrote(reader, read.key) {
                followers.push(Follower { key: read.key, from: read.from, by: reader });
            }
        }
    }
    followers.sort_unstable();
    followers.dedup();
    // The place of a transaction in the chain of a key, beside the keys that it wrote.
    let mut places = vec![NONE; log.table.writes.len()];
    for (key, versions) in versions.iter_mut().enumerate() {
        let mut at = INITIAL;
        while let [Follower { by, .. }] = *following(&followers, key as u32, at) {
            let place = &mut places[log.table.place_of(by, key as u32).expect("it wrote the key")];
            if *place != NONE {
                break;
            }
            versions.order.push(by);
            *place = versions.order.len() as u32;
            at = by;
        }
        let is_placed = |&by: &u32| places[log.table.place_of(by, key as u32).expect("it wrote the key")] != NONE;
        versions.tail.retain(|by| !is_placed(by));
    }
    for read in log.reads.all_mut() {
        read.version = match read.from {
            INITIAL => 0,
            from => log.table.place_of(from, read.key).map_or(NONE, |place| places[place]),
        };
    }
    (log.versions, log.followers) = (versions, followers);
}
