//! The edges between transactions that the values show (Adya, 1999): wr, ww and rw.

use super::Rules;
use super::graph::{Builder, Kind};
use super::log::{INITIAL, Log, NONE, Read, following};

/// Who read from whom.
pub(super) fn add_reads(log: &Log<'_>, to: &mut Builder) {
    for reader in 0..log.history.len() as u32 {
        for read in log.reads.of(reader).iter().filter(|read| read.from != INITIAL) {
            to.add(read.from, reader, Kind::ReadsFrom, read.key);
        }
    }
}

/// Who overwrote whom, as far as it is known.
pub(super) fn add_writes(log: &Log<'_>, to: &mut Builder) {
    for (key, versions) in log.versions.iter().enumerate() {
        for pair in versions.order.windows(2) {
            to.add(pair[0], pair[1], Kind::Overwrites, key as u32);
        }
        let Some(&last) = versions.order.last() else { continue };
        for &writer in &versions.tail {
            to.add(last, writer, Kind::Overwrites, key as u32);
        }
    }
    for follower in log.followers.iter().filter(|follower| follower.from != INITIAL) {
        to.add(follower.from, follower.by, Kind::Overwrites, follower.key);
    }
}

/// Who overwrote what somebody had read, as far as it is known.
pub(super) fn add_overtakings(log: &Log<'_>, rules: Rules, to: &mut Builder) {
    if !rules.anti_dependencies {
        return;
    }
    let mut at_end: Vec<(u32, u32)> = Vec::new();
    for reader in 0..log.history.len() as u32 {
        for &Read { key, from, version } in log.reads.of(reader) {
            if version == NONE {
                for follower in following(&log.followers, key, from).iter().take(3) {
                    to.add(reader, follower.by, Kind::Overtaken, key);
                }
                continue;
            }
            match log.versions[key as usize].order.get(version as usize) {
                Some(&next) => to.add(reader, next, Kind::Overtaken, key),
                None => at_end.push((key, reader)),
            }
        }
    }
    at_end.sort_unstable();
    at_end.dedup();
    for readers in at_end.chunk_by(|one, other| one.0 == other.0) {
        add_tail(log, readers, to);
    }
}

/// Whoever read the last known version of a key was overtaken by all writers behind it, itself excepted. Two chains of
/// helper nodes, one forwards and one backwards, lead to all writers but one with few edges.
fn add_tail(log: &Log<'_>, readers: &[(u32, u32)], to: &mut Builder) {
    let key = readers[0].0;
    let tail = &log.versions[key as usize].tail;
    if tail.len() <= 2 || readers.len() <= 2 {
        for &(_, reader) in readers {
            for &writer in tail {
                to.add(reader, writer, Kind::Overtaken, key);
            }
        }
        return;
    }
    let forwards: Vec<u32> = tail.iter().map(|_| to.helper()).collect();
    let backwards: Vec<u32> = tail.iter().map(|_| to.helper()).collect();
    for (at, &writer) in tail.iter().enumerate() {
        to.add(forwards[at], writer, Kind::PassOvertaken, key);
        to.add(backwards[at], writer, Kind::PassOvertaken, key);
        if at > 0 {
            to.add(forwards[at - 1], forwards[at], Kind::PassOvertaken, key);
            to.add(backwards[at], backwards[at - 1], Kind::PassOvertaken, key);
        }
    }
    for &(_, reader) in readers {
        // The tail is in the order of the operations' places.
        match tail.binary_search(&reader) {
            Err(_) => to.add(reader, forwards[0], Kind::Overtaken, key),
            Ok(at) => {
                if at > 0 {
                    to.add(reader, backwards[at - 1], Kind::Overtaken, key);
                }
                if at + 1 < tail.len() {
                    to.add(reader, forwards[at + 1], Kind::Overtaken, key);
                }
            }
        }
    }
}
