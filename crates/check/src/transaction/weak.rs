//! Read committed, read atomic and causal: what each read says of the order of two writers, saturated as by
//! Møldrup and Pavlogiannis (*AWDIT*, 2025). If a transaction read x from T1 although it had (in the sense of the model) seen T2,
//! which wrote x too, then T2 comes before T1. The history is valid if these edges and the known ones form no circle.

use super::base;
use super::graph::{Builder, Kind};
use super::log::{INITIAL, Log, NONE, Read};
use super::{Base, Level, Rules};
use crate::{Meter, Spent};

/// Adds the edges that the axiom of the level demands.
pub(super) fn add(
    log: &Log<'_>,
    level: Level,
    base: Base,
    rules: Rules,
    meter: &mut Meter<'_>,
    to: &mut Builder,
) -> Result<(), Spent> {
    match level {
        Level::AtomicView => add_atomic_view(log, meter, to),
        Level::Atomic => add_atomic(log, base, rules, meter, to),
        Level::Causal => add_causal(log, rules, meter, to),
        Level::Uncommitted | Level::Committed | Level::Snapshot | Level::Serializable => Ok(()),
    }
}

/// The reader read `read` and had seen the writer.
fn demand(to: &mut Builder, reader: u32, seen: u32, read: Read) {
    if read.from == INITIAL {
        to.add(reader, seen, Kind::Overtaken, read.key);
    } else if read.from != seen {
        to.add_by(seen, read.from, Kind::ForcedWrite, read.key, reader);
    }
}

/// After reading from T2, a later read of what T2 wrote too. Only the next such read counts; those after it are
/// later than it by the same rule.
fn add_atomic_view(log: &Log<'_>, meter: &mut Meter<'_>, to: &mut Builder) -> Result<(), Spent> {
    let keys = log.history.counts().1;
    // The next read of a key behind the place where we are, and of which transaction it is.
    let mut next: Vec<(u32, u32)> = vec![(NONE, 0); keys];
    let mut first_of = vec![(NONE, 0); log.history.len()];
    let mut read_keys: Vec<u32> = Vec::new();
    for reader in 0..log.history.len() as u32 {
        let reads = log.reads.of(reader);
        read_keys.clear();
        for (at, read) in reads.iter().enumerate() {
            if read.from != INITIAL && first_of[read.from as usize].0 != reader {
                first_of[read.from as usize] = (reader, at);
            }
        }
        for (at, &read) in reads.iter().enumerate().rev() {
            if read.from != INITIAL {
                let (holder, place) = next[read.key as usize];
                if holder == reader {
                    demand(to, reader, read.from, reads[place as usize]);
                }
                if first_of[read.from as usize] == (reader, at) {
                    let writes = log.writes(read.from);
                    meter.step(writes.len().min(read_keys.len()) as u64 + 1)?;
                    let mut look = |key: u32| {
                        let (holder, place) = next[key as usize];
                        if holder == reader {
                            demand(to, reader, read.from, reads[place as usize]);
                        }
                    };
                    if writes.len() <= read_keys.len() {
                        writes.iter().for_each(|&key| look(key));
                    } else {
                        read_keys.iter().filter(|&&key| log.wrote(read.from, key)).for_each(|&key| look(key));
                    }
                }
            }
            if next[read.key as usize].0 != reader {
                read_keys.push(read.key);
            }
            next[read.key as usize] = (reader, at as u32);
        }
    }
    Ok(())
}

/// Whoever read from T2, or follows it in its session, has seen all of T2.
fn add_atomic(log: &Log<'_>, base: Base, rules: Rules, meter: &mut Meter<'_>, to: &mut Builder) -> Result<(), Spent> {
    let (_, keys, sessions) = log.history.counts();
    let mut of_key: Vec<(u32, u32)> = vec![(NONE, 0); keys];
    let mut handled = vec![NONE; log.history.len()];
    let mut mine: Vec<Read> = Vec::new();
    for reader in 0..log.history.len() as u32 {
        mine.clear();
        for &read in log.reads.of(reader) {
            if of_key[read.key as usize].0 != reader {
                of_key[read.key as usize] = (reader, mine.len() as u32);
                mine.push(read);
            }
        }
        for seen in mine.iter().map(|read| read.from).filter(|&from| from != INITIAL) {
            if std::mem::replace(&mut handled[seen as usize], reader) == reader {
                continue;
            }
            let writes = log.writes(seen);
            meter.step(writes.len().min(mine.len()) as u64 + 1)?;
            if writes.len() <= mine.len() {
                for &key in writes {
                    let (holder, place) = of_key[key as usize];
                    if holder == reader {
                        demand(to, reader, seen, mine[place as usize]);
                    }
                }
            } else {
                mine.iter().filter(|read| log.wrote(seen, read.key)).for_each(|&read| demand(to, reader, seen, read));
            }
        }
    }
    if base != Base::Nothing && rules.sessions {
        add_own_session(log, sessions, to);
    }
    Ok(())
}

/// The last writer of a key before a reader in its own session.
fn add_own_session(log: &Log<'_>, sessions: usize, to: &mut Builder) {
    let mut chains: Vec<Vec<u32>> = vec![Vec::new(); sessions];
    for (at, operation) in log.history.operations().iter().enumerate() {
        if log.is_done(at as u32) {
            chains[operation.session.0 as usize].push(at as u32);
        }
    }
    let mut last = vec![(NONE, 0); log.history.counts().1];
    for (session, chain) in chains.iter().enumerate() {
        for &transaction in chain {
            for &read in log.reads.of(transaction) {
                let (holder, writer) = last[read.key as usize];
                if holder == session as u32 {
                    demand(to, transaction, writer, read);
                }
            }
            for &key in log.writes(transaction) {
                last[key as usize] = (session as u32, transaction);
            }
        }
    }
}

/// The writes to a key by one chain, in its order: places in the chain and transactions.
struct Writers {
    chain: u32,
    of: Vec<(u32, u32)>,
}

/// A chain is a session; a transaction of unknown outcome, which nothing of its session follows, is one of its own.
struct Chains {
    count: usize,
    /// Chain and place in it from 1, of each transaction.
    place: Vec<(u32, u32)>,
}

fn chains(log: &Log<'_>) -> Chains {
    let mut of_session = vec![(NONE, 0); log.history.counts().2];
    let mut count = 0;
    let mut place = vec![(NONE, 0); log.history.len()];
    for (at, operation) in log.history.operations().iter().enumerate().filter(|&(at, _)| log.present[at]) {
        if !log.is_done(at as u32) {
            place[at] = (count, 1);
            count += 1;
            continue;
        }
        let slot = &mut of_session[operation.session.0 as usize];
        if slot.0 == NONE {
            *slot = (count, 0);
            count += 1;
        }
        slot.1 += 1;
        place[at] = *slot;
    }
    Chains { count: count as usize, place }
}

/// Whoever reads has seen all causes: what came before in its session, what was read from, and their causes.
/// Vector clocks tell, of each chain, how much of it is among the causes.
fn add_causal(log: &Log<'_>, rules: Rules, meter: &mut Meter<'_>, to: &mut Builder) -> Result<(), Spent> {
    let mut causes = Builder::new(log.history.len());
    base::add(log, Base::Sessions, rules, &mut causes);
    super::dependency::add_reads(log, &mut causes);
    let causes = causes.finish();
    let Some(sorted) = causes.sorted(u64::from) else {
        return Ok(()); // The circle is found without more edges.
    };
    let Chains { count, place } = chains(log);
    let bytes = 4 * (count * log.history.len()) as u64;
    meter.hold(bytes)?;
    meter.step((count * log.history.len()) as u64 / 8)?;
    let mut clocks = vec![0u32; count * log.history.len()];
    let row = |transaction: u32| transaction as usize * count..(transaction as usize + 1) * count;
    let mut before = vec![0u32; count];
    for &transaction in sorted.iter().filter(|&&transaction| log.present[transaction as usize]) {
        before.copy_from_slice(&clocks[row(transaction)]);
        let (chain, at) = place[transaction as usize];
        before[chain as usize] = before[chain as usize].max(at);
        for arc in causes.arcs(transaction) {
            for (clock, &before) in clocks[row(arc.to)].iter_mut().zip(&before) {
                *clock = (*clock).max(before);
            }
        }
    }
    let writers = writers(log, &place);
    for reader in 0..log.history.len() as u32 {
        let clock = &clocks[row(reader)];
        for &read in log.reads.of(reader) {
            let of_key = &writers[read.key as usize];
            meter.step(of_key.len() as u64)?;
            for Writers { chain, of } in of_key {
                let known = clock[*chain as usize];
                if known == 0 {
                    continue;
                }
                let Some(&(at, seen)) = of[..of.partition_point(|&(at, _)| at <= known)].last() else { continue };
                let is_known = read.from != INITIAL
                    && (clocks[read.from as usize * count + *chain as usize] >= at || read.from == seen);
                if !is_known && seen != reader {
                    demand(to, reader, seen, read);
                }
            }
        }
    }
    meter.release(bytes);
    Ok(())
}

/// By key, the chains that wrote it.
fn writers(log: &Log<'_>, place: &[(u32, u32)]) -> Vec<Vec<Writers>> {
    let mut all: Vec<(u32, u32, u32, u32)> = Vec::new();
    for transaction in (0..log.history.len() as u32).filter(|&transaction| log.present[transaction as usize]) {
        let (chain, at) = place[transaction as usize];
        all.extend(log.writes(transaction).iter().map(|&key| (key, chain, at, transaction)));
    }
    all.sort_unstable();
    let mut writers: Vec<Vec<Writers>> = (0..log.history.counts().1).map(|_| Vec::new()).collect();
    for group in all.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        let of = group.iter().map(|&(_, _, at, transaction)| (at, transaction)).collect();
        writers[group[0].0 as usize].push(Writers { chain: group[0].1, of });
    }
    writers
}
