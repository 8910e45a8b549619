//! What has to come before what in any one order of all operations, as far as it follows without a choice.
//!
//! If a write comes before a read of its key that shows another write, it comes before that one; and if it comes after
//! what the read shows, it comes after the read. Repeated until nothing new follows or something has to come before itself
//! (Gibbons and Korach 1997; Biswas and Enea 2019). A circle proves that there is no order; no circle proves nothing.

use super::causal::{self, Past};
use super::core::Core;
use super::graph::{self, Arc, Arcs};
use super::plain::{INITIAL, NONE, Plain};
use crate::{Key, Meter, Spent, Why};
use rustc_hash::FxHashSet;

/// Arcs beyond sessions and reads, or the circle that they lead to.
pub(super) fn arcs(plain: &Plain<'_>, meter: &mut Meter<'_>) -> Result<Result<Vec<Arc>, Core>, Spent> {
    let count = plain.acts.len();
    let mut arcs: Vec<Arc> = Vec::new();
    // How many arcs there were before each round: an arc follows from those of the rounds before.
    let mut rounds: Vec<usize> = Vec::new();
    let mut known: FxHashSet<(u32, u32)> = FxHashSet::default();
    loop {
        let sorted = Arcs::new(count, &arcs);
        let past = match Past::new(plain, &plain.shown, &sorted, meter)? {
            Ok(past) => past,
            Err(nodes) => return explain(plain, &arcs, &rounds, &nodes, meter).map(Err),
        };
        rounds.push(arcs.len());
        let runs = causal::runs(plain, &plain.shown, &past);
        for read in 0..count as u32 {
            let shown = plain.shown[read as usize];
            if !plain.acts[read as usize].sees() || shown.is_open() {
                continue;
            }
            let key = plain.keys[read as usize];
            let (forced, overtaken) = (Why::Forced(Key(key)), Why::Overtaken(Key(key)));
            let runs = &runs[key as usize];
            for run in runs.lanes.windows(2) {
                meter.step(1)?;
                let run = (run[0].0, &runs.writes[run[0].1 as usize..run[1].1 as usize]);
                let limit = past.up_to(read, run.0);
                let seen = run.1.partition_point(|&(_, place, _)| place <= limit);
                let last = run.1[..seen].iter().rev().map(|&(.., id)| id).find(|&id| id != shown.base);
                if let Some(write) = last
                    && shown.base != INITIAL
                    && !past.causes(write, shown.base)
                    && known.insert((write, shown.base))
                {
                    arcs.push(Arc { from: write, to: shown.base, why: forced, read });
                }
                let after = |&(.., id): &(u32, u32, u32)| {
                    shown.base == INITIAL || id != shown.base && past.causes(shown.base, id)
                };
                let first = run.1.partition_point(|write| !after(write));
                let next = run.1[first..].iter().map(|&(.., id)| id).find(|&id| id != read);
                if let Some(write) = next
                    && !past.causes(read, write)
                    && known.insert((read, write))
                {
                    arcs.push(Arc { from: read, to: write, why: overtaken, read: NONE });
                }
            }
        }
        meter.hold((arcs.len() - rounds[rounds.len() - 1]) as u64 * 48)?;
        if arcs.len() == rounds[rounds.len() - 1] {
            return Ok(Ok(arcs));
        }
    }
}

/// A circle, with all reasons of its arcs.
fn explain(
    plain: &Plain<'_>,
    arcs: &[Arc],
    rounds: &[usize],
    nodes: &[u32],
    meter: &mut Meter<'_>,
) -> Result<Core, Spent> {
    let count = plain.acts.len();
    let all: Vec<Arcs> = rounds.iter().map(|&round| Arcs::new(count, &arcs[..round])).collect();
    let sorted = Arcs::new(count, arcs);
    let towards = |sorted: &Arcs, to: u32| {
        let mut known = causal::causes(plain, &plain.shown, to);
        known.extend_from_slice(sorted.towards(to));
        known
    };
    let circle = graph::circle(count, &|to| towards(&sorted, to), nodes, meter)?.unwrap_or_default();
    let mut core = Core::of_arcs(&circle);
    core.operations.extend(if circle.is_empty() { nodes } else { &[] });
    let mut todo = circle;
    let mut done: FxHashSet<(u32, u32)> = FxHashSet::default();
    while let Some(arc) = todo.pop() {
        let Some(at) = arcs.iter().position(|known| *known == arc) else { continue };
        if !done.insert((arc.from, arc.to)) {
            continue;
        }
        // It follows from what was known before its round.
        let round = rounds.iter().rposition(|&before| before <= at).unwrap_or(0);
        let read = if arc.read == NONE { arc.from } else { arc.read };
        let source = plain.shown[read as usize].base;
        core.operations.push(read);
        core.operations.extend(plain.sources(plain.shown[read as usize]));
        let (from, to) = if arc.read == NONE { (source, arc.to) } else { (arc.from, read) };
        if from == INITIAL {
            continue;
        }
        if let Some(way) = graph::way(count, &|to| towards(&all[round], to), from, to, meter)? {
            core.operations.extend(Core::of_arcs(&way).operations);
            todo.extend(way);
        }
    }
    Ok(core)
}
