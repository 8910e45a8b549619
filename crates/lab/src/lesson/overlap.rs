//! Sets that meet: all writes to W and all reads of R of N replicas, tried one by one.

use super::{Run, actor, failed, per_mille, percent, row, table, unexpected};
use bytes::Bytes;
use quorate_core::clock::Context;
use quorate_core::crdt::{Cell, Register};
use quorate_core::quorum::Rule;

const REPLICAS_MAX: u8 = 7;

/// What replicas hold of a key, and what they know.
type Held = (Register, Context);

/// All sets of so many of the replicas, as bits.
fn sets(of: u8, size: u8) -> Vec<u32> {
    (0..1u32 << of).filter(|set| set.count_ones() == u32::from(size)).collect()
}

fn rules() -> impl Iterator<Item = Rule> {
    (1..=REPLICAS_MAX).flat_map(|replicas| {
        let pairs = (1..=replicas).flat_map(move |read| (1..=replicas).map(move |write| (read, write)));
        pairs.map(move |(read, write)| Rule::new(replicas, read, write).expect("in bounds"))
    })
}

/// The state after "old" was written everywhere, and that after "new" replaced it.
fn versions() -> [Held; 2] {
    let (mut cell, mut known) = Held::default();
    cell.write(known.advance(actor(1)), &Context::default(), Bytes::from_static(b"old"));
    let old = (cell.clone(), known.clone());
    let seen = cell.seen();
    cell.write(known.advance(actor(1)), &seen, Bytes::from_static(b"new"));
    [old, (cell, known)]
}

/// Does a read of these replicas find the newest value, when those hold it? It joins what they hold.
fn is_fresh(versions: &[Held; 2], read: u32, written: u32) -> bool {
    let mut merged = Held::default();
    for at in (0..u32::BITS).filter(|at| read >> at & 1 == 1) {
        let (cell, known) = &versions[(written >> at & 1) as usize];
        let mine = merged.1.clone();
        merged.0.join(&mine, cell, known);
        merged.1.join(known);
    }
    merged.0.siblings().eq(["new"])
}

/// Of all pairs of a set that is written and one that is read: how many reads miss the write, of how many, and the fewest replicas in both.
fn stale(versions: &[Held; 2], rule: Rule) -> (u64, u64, u32) {
    let (mut stale, mut all, mut least) = (0, 0, u32::MAX);
    for written in sets(rule.replicas(), rule.write()) {
        for read in sets(rule.replicas(), rule.read()) {
            all += 1;
            stale += u64::from(!is_fresh(versions, read, written));
            least = least.min((read & written).count_ones());
        }
    }
    (stale, all, least)
}

/// With the rule broken R + W ≤ N: the chance that a read is stale is the one that [`Rule::stale_reads`] counts. Else there is none.
pub(crate) fn run(_seed: u64, broken: bool, _trace: bool) -> Run {
    let versions = versions();
    let mut rows = vec![row(&["N", "R", "W", "stale reads", "in both, at least"])];
    let (mut cases, mut total, mut tried) = (0, 0, 0);
    for rule in rules().filter(|rule| (rule.overlap() == 0) == broken) {
        let (stale, all, least) = stale(&versions, rule);
        (cases, total, tried) = (cases + all, total + stale, tried + 1);
        let (misses, reads) = rule.stale_reads();
        if stale * reads != misses * all || least != u32::from(rule.overlap()) {
            let detail = format!("{rule:?}: {stale} of {all} reads are stale, at least {least} replicas in both");
            return Run::counted(cases, Some(unexpected(detail)), String::new());
        }
        let numbers = [rule.replicas(), rule.read(), rule.write()];
        if [[3, 1, 1], [3, 2, 1], [5, 2, 2], [5, 3, 2], [3, 2, 2], [5, 3, 3]].contains(&numbers) {
            let cells = numbers.iter().map(ToString::to_string);
            rows.push(cells.chain([percent(stale, all), least.to_string()]).collect());
        }
    }
    // The chances of the literature, in thousandths.
    for ((replicas, read, write), expected) in
        [((3, 1, 1), 667), ((3, 2, 1), 333), ((5, 2, 2), 300), ((5, 3, 2), 100), ((3, 2, 2), 0)]
    {
        let (misses, reads) = Rule::new(replicas, read, write).expect("in bounds").stale_reads();
        if per_mille(misses, reads) != expected {
            return Run::counted(
                cases,
                Some(unexpected(format!("{replicas} {read} {write}: {misses} of {reads}"))),
                String::new(),
            );
        }
    }
    let found = format!(
        "{tried} rules of up to {REPLICAS_MAX} replicas, {cases} pairs of a write and a read; some of them:\n{}",
        table(&rows)
    );
    let failure = (total > 0).then(|| {
        failed(
            "a read misses a write that was done",
            format!("{total} of {cases} reads meet none of the replicas that have the write"),
        )
    });
    Run::counted(cases, failure, found)
}

/// Every read meets every write. With the rule broken it gives the value that most of those asked hold, and the old one where as many hold either.
pub(crate) fn newest(_seed: u64, broken: bool, _trace: bool) -> Run {
    let versions = versions();
    let (mut cases, mut stale, mut example) = (0u64, 0u64, None);
    for rule in rules().filter(|rule| rule.overlap() > 0) {
        for written in sets(rule.replicas(), rule.write()) {
            for read in sets(rule.replicas(), rule.read()) {
                cases += 1;
                let have = (read & written).count_ones();
                let fresh = if broken { 2 * have > read.count_ones() } else { is_fresh(&versions, read, written) };
                if !fresh {
                    stale += 1;
                    example.get_or_insert(format!(
                        "N = {}, R = {}, W = {}: {have} of {} that answer have the new value",
                        rule.replicas(),
                        rule.read(),
                        rule.write(),
                        rule.read()
                    ));
                }
            }
        }
    }
    let found =
        format!("{cases} pairs of a write and a read that meet: {stale} reads are stale ({})", percent(stale, cases));
    let failure = example.map(|example| failed("a read misses a write that was done", example));
    Run::counted(cases, failure, found)
}
