//! Models that respect the order within sessions: the four session guarantees, PRAM, the causal models, sequential consistency, convergence.
//!
//! # Definitions
//!
//! A compare-and-set that took is a read of `from` and a write of `to` in one; one that failed saw some value that is not
//! `from`; an append is a write, and a read of a text shows the write it goes back to and every append since. A session
//! is the order of begins of one client. An operation of unknown outcome comes after what its session did before it, but
//! not before what follows, since it may take effect at any time after its begin; it takes part if somebody saw what it
//! wrote, and may be left out otherwise, which can only help. Causality is the smallest order that has every session and
//! puts every write before the reads that show it. When values repeat, some choice of a write for each read must do.
//!
//! - *Read your writes*: for each read alone there is an order of all writes that explains it, with the earlier writes of its
//!   session before it. *Monotonic writes*: with the writes of every session in its order. *Writes follow reads*: with
//!   every write after what its session had read before (one order of causes for all, so it must not be a circle).
//!   These three speak of each read alone, as Terry et al. (1994) do: every read is answered by some server. So, of
//!   values that are only written and read, monotonic writes alone can never be broken: any write may be the last. It
//!   takes a compare-and-set, or texts, which show the order of writes.
//! - *Monotonic reads*: for each session there are one order of all writes and sets of known writes that only grow, so
//!   that each read is explained by what is known then. Of values: no return to a value that was left.
//! - *PRAM* (Lipton and Sandberg 1988): for each session there is one order of all writes and of its reads that
//!   explains these and respects every session. *Causal memory* (Ahamad et al. 1995): one that respects causality.
//! - *Weak causal* (CC of Bouajjani et al. 2017): for each read alone there is an order of its causes that respects
//!   causality and explains it. *Causal convergence* (CCv): the same order of all writes for all reads.
//! - *Sequential* (Lamport 1979): one order of all operations that respects every session. It does not compose: each key
//!   alone may be sequential when all together are not. (Nor do PRAM and the causal models.) It is the only one that is
//!   defined for every object, and for operations of several steps, which take place at once.
//! - *Eventual convergence* and *strong eventual*: see `converge`.
//!
//! Where a compare-and-set of another session is seen, it counts as the write that it was: what it read binds its own
//! session and causality, not the orders that others see.

mod causal;
mod choice;
mod converge;
mod core;
mod demand;
mod graph;
mod guarantee;
mod order;
mod plain;
mod saturate;
#[cfg(test)]
mod tests;
mod text;
mod view;

use self::core::{Bound, Core, Tries};
use crate::{Anomaly, Budget, Edge, History, Id, Judged, Meter, Model, Object, Outcome, Spent, Step, Why, Witness};
use causal::Causal;
use plain::{Plain, Rules, Shown};
use std::ops::Range;
use view::Base;

pub(crate) fn sequential(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::Sequential, meter)
}

pub(crate) fn read_your_writes(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::ReadYourWrites, meter)
}

pub(crate) fn monotonic_reads(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::MonotonicReads, meter)
}

pub(crate) fn monotonic_writes(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::MonotonicWrites, meter)
}

pub(crate) fn writes_follow_reads(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::WritesFollowReads, meter)
}

pub(crate) fn pram(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::Pram, meter)
}

pub(crate) fn weak_causal(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::WeakCausal, meter)
}

pub(crate) fn causal_memory(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::CausalMemory, meter)
}

pub(crate) fn causal_convergence(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::CausalConvergence, meter)
}

pub(crate) fn eventual_convergence(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::EventualConvergence, meter)
}

pub(crate) fn strong_eventual(history: &History, meter: &mut Meter<'_>) -> Judged {
    judge(history, Model::StrongEventual, meter)
}

/// The first operation that these models say nothing of, but for sequential consistency: one of several steps, or a sum. They
/// are defined by which write each read shows.
pub(crate) fn beyond(history: &History) -> Option<Id> {
    let said = |steps: &[Step]| !matches!(steps, [Step::Add { .. } | Step::Count { .. }] | [_, _, ..]);
    history.ids().find(|&id| history.operation(id).outcome != Outcome::Refused && !said(history.steps(id)))
}

/// Are these reads and writes of registers or texts, of which each operation is one?
fn is_plain(history: &History) -> bool {
    matches!(history.object(), Object::Register | Object::CasRegister | Object::Kv) && beyond(history).is_none()
}

fn plain(history: &History) -> Option<Plain<'_>> {
    if is_plain(history) { Plain::new(history, Rules::TRUE).ok() } else { None }
}

fn judge(history: &History, model: Model, meter: &mut Meter<'_>) -> Judged {
    let before = meter.progress().bytes;
    let found = find(history, model, Rules::TRUE, meter)?;
    // What the search remembered is gone.
    meter.release(meter.progress().bytes.saturating_sub(before));
    let Some(core) = found else { return Ok(None) };
    Ok(Some(witness(history, model, &core, &mut Tries::after_finding(meter))))
}

/// What breaks the model, if anything does.
fn find(history: &History, model: Model, rules: Rules, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    meter.step(history.len() as u64)?;
    match (model, history.object()) {
        (Model::EventualConvergence, Object::Replica) => return converge::last_digests_agree(history, meter),
        (Model::StrongEventual, _) => return converge::equal_updates_agree(history, meter),
        _ if is_plain(history) => {}
        (Model::Sequential, _) => return search(history, meter),
        _ => unreachable!("{model:?} says nothing of this history, so nobody asks"),
    }
    let plain = match Plain::new(history, rules) {
        // Texts that can be read in too many ways.
        Err(_) if model == Model::Sequential => return search(history, meter),
        made => made?,
    };
    if model == Model::EventualConvergence {
        return converge::reads_agree(&plain, meter);
    }
    if let Some(read) = plain.nowhere {
        return Ok(Some(Core::of(&[read])));
    }
    find_in(&plain, model, meter)
}

/// Is there one order of all operations?
fn search(history: &History, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    let all = || Core::of(&(0..history.len() as u32).collect::<Vec<u32>>());
    Ok((!order::exists(history, &[], meter)?).then(all))
}

fn find_in(plain: &Plain<'_>, model: Model, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    match model {
        Model::ReadYourWrites => return guarantee::read_your_writes(plain, meter),
        Model::MonotonicReads if !plain.has_appends => return guarantee::monotonic_reads(plain, meter),
        Model::MonotonicWrites => return guarantee::monotonic_writes(plain, meter),
        Model::Sequential => {
            for (model, causal) in [(Causal::Convergent, true), (Causal::Weak, false)] {
                let found = if causal {
                    causal::check(plain, &plain.shown, model, meter)?
                } else {
                    views(plain, &plain.shown, Base::Causes, meter)?
                };
                if found.is_some() {
                    return Ok(found);
                }
            }
            // What follows from some reads only binds as well: the others have to fit into the same order.
            let arcs = match plain.has_appends {
                true => Vec::new(),
                false => match saturate::arcs(plain, meter)? {
                    Ok(arcs) => arcs,
                    Err(core) => return Ok(Some(core)),
                },
            };
            let exists = order::exists(plain.history, &arcs, meter)?;
            return Ok((!exists).then(|| Core::all(plain)));
        }
        _ => {}
    }
    if !plain.ambiguous.is_empty() && is_plainly_sequential(plain, meter)? {
        return Ok(None);
    }
    if model == Model::Pram {
        // Each session is alone, and so are the choices for its reads.
        for (session, chain) in plain.chains().iter().enumerate() {
            let own: Vec<u32> =
                plain.ambiguous.iter().copied().filter(|&id| plain.sessions[id as usize] as usize == session).collect();
            let mut space = view::Space::default();
            let mut one = |shown: &[Shown], meter: &mut Meter<'_>| {
                let part = plain.taking_part(shown);
                view::check(plain, shown, &part, chain, Base::Sessions, &mut space, meter)
            };
            let found = choice::any(plain, &own, &mut one, meter)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        return Ok(None);
    }
    let mut one = |shown: &[Shown], meter: &mut Meter<'_>| match model {
        Model::MonotonicReads => guarantee::monotonic_texts(plain, shown, meter),
        Model::WritesFollowReads => guarantee::writes_follow_reads(plain, shown, meter),
        Model::WeakCausal => causal::check(plain, shown, Causal::Weak, meter),
        Model::CausalConvergence => causal::check(plain, shown, Causal::Convergent, meter),
        _ => views(plain, shown, Base::Causes, meter),
    };
    choice::any(plain, &plain.ambiguous, &mut one, meter)
}

/// The view of every session.
fn views(plain: &Plain<'_>, shown: &[Shown], base: Base, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    let part = plain.taking_part(shown);
    let mut space = view::Space::default();
    for chain in plain.chains() {
        let found = view::check(plain, shown, &part, &chain, base, &mut space, meter)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// A short search for one order of everything, which keeps every model of this module. `false` says nothing.
fn is_plainly_sequential(plain: &Plain<'_>, meter: &mut Meter<'_>) -> Result<bool, Spent> {
    let steps = 64 * plain.acts.len() as u64 + 10_000;
    let mut short = Meter::new(Budget { steps, bytes: 64 << 20 });
    let found = order::exists(plain.history, &[], &mut short);
    meter.step(short.progress().steps)?;
    Ok(plain.rules.sessions && found == Ok(true))
}

/// The fewest operations that show it.
fn witness(history: &History, model: Model, core: &Core, tries: &mut Tries<'_, '_>) -> Witness {
    let mut fails =
        |part: &History, meter: &mut Meter<'_>| find(part, model, Rules::TRUE, meter).map(|core| core.is_some());
    let mut kept = kept(history, model, core, tries);
    let registers = is_plain(history);
    let bound = match model {
        Model::ReadYourWrites | Model::MonotonicReads | Model::MonotonicWrites => Bound::None,
        Model::WritesFollowReads => Bound::Named,
        _ => Bound::All,
    };
    // Where one order explains all, a compare-and-set of equal values changes nothing for anybody.
    let is_idle =
        |id: Id| model == Model::Sequential && matches!(history.steps(id), [Step::Cas { from, to, .. }] if from == to);
    let without = |history: &History, kept: &[Id], some: Range<usize>| match registers {
        true if kept[some.clone()].iter().all(|&id| is_idle(id)) => [&kept[..some.start], &kept[some.end..]].concat(),
        true => self::core::without_readers(history, kept, some, bound),
        false => crate::linear::without(history, kept, some),
    };
    if !is_from_nowhere(history, &kept) && !matches!(model, Model::EventualConvergence | Model::StrongEventual) {
        kept = self::core::shrink(history, kept, &without, &mut fails, tries);
    }
    if !registers && let Some(shown) = crate::integrity::simplest(&history.restrict(&kept).untimed()) {
        kept = shown.into_iter().map(|id| kept[id.index()]).collect();
    }
    let (kept, edges) = without_sources(history, model, kept, tries);
    let part = history.restrict(&kept);
    let mut tries = tries.of_name();
    let found = tries.all(|meter| find(&part, model, Rules::TRUE, meter)).flatten().unwrap_or_default();
    Witness { anomaly: name(&part, model, &found, &mut tries), operations: kept, edges }
}

/// Leaves out what the circle does not need, if it rests on reads that have one explanation only in the whole history: that
/// explanation does not depend on who else is left out. The circle as well.
fn without_sources(
    history: &History,
    model: Model,
    mut kept: Vec<Id>,
    tries: &mut Tries<'_, '_>,
) -> (Vec<Id>, Vec<Edge>) {
    let mut find = |kept: &[Id]| tries.all(|meter| find(&history.restrict(kept), model, Rules::TRUE, meter)).flatten();
    let Some(found) = find(&kept) else { return (kept, Vec::new()) };
    let Some(plain) = plain(history) else {
        return (kept, Vec::new());
    };
    let edge = |edge: Edge| Edge { from: kept[edge.from.index()], to: kept[edge.to.index()], why: edge.why };
    let edges: Vec<Edge> = graph::edges(&found.arcs).into_iter().map(edge).collect();
    let is_decided = |id: Id| plain.ambiguous.binary_search(&id.0).is_err();
    let rests = |edge: &Edge| match edge.why {
        Why::Session => true,
        Why::ReadsFrom(_) => is_decided(edge.to),
        Why::Overtaken(_) => is_decided(edge.from),
        Why::RealTime | Why::Overwrites(_) | Why::Forced(_) => false,
    };
    if !edges.iter().all(rests) {
        return (kept, edges);
    }
    for id in kept.clone().into_iter().rev().filter(|_| !edges.is_empty()) {
        let fewer: Vec<Id> = kept.iter().copied().filter(|&other| other != id).collect();
        let in_circle = edges.iter().any(|edge| edge.from == id || edge.to == id);
        if !in_circle && !is_from_nowhere(history, &fewer) && find(&fewer).is_some() {
            kept = fewer;
        }
    }
    (kept, edges)
}

/// The operations of a core with all that they may have read, if these alone break the model; else all operations.
fn kept(history: &History, model: Model, core: &Core, tries: &mut Tries<'_, '_>) -> Vec<Id> {
    let plain = plain(history);
    let mut ids: Vec<Id> = match &plain {
        // Whether reads agree does not depend on who wrote what they saw.
        Some(_) if model == Model::EventualConvergence => core.operations.iter().map(|&id| Id(id)).collect(),
        Some(plain) => self::core::with_sources(plain, &core.operations),
        None => core.operations.iter().map(|&id| Id(id)).collect(),
    };
    if plain.is_none() {
        ids.retain(|&id| history.operation(id).outcome != Outcome::Refused);
    }
    if let (Some(plain), &[read]) = (&plain, &core.operations[..])
        && plain.nowhere == Some(read)
    {
        ids.extend(refused_writers(history, read));
    }
    ids.sort_unstable();
    ids.dedup();
    let fails = tries.all(|meter| Ok(find(&history.restrict(&ids), model, Rules::TRUE, meter)?.is_some()));
    debug_assert!(fails != Some(false), "{model:?}: {core:?} does not break it alone");
    if fails == Some(true) { ids } else { history.ids().collect() }
}

/// The operations that tried to write what a read saw, but did not take place.
fn refused_writers(history: &History, read: u32) -> Vec<Id> {
    let [Step::Read { key, value: Some(seen) } | Step::Cas { key, from: seen, .. }] = history.steps(Id(read)) else {
        return Vec::new();
    };
    let wrote = |id: &Id| {
        matches!(history.steps(*id), [Step::Write { key: of, value } | Step::Append { key: of, value } | Step::Cas { key: of, to: value, .. }]
            if of == key && value == seen)
    };
    history.ids().filter(|&id| history.operation(id).outcome == Outcome::Refused).filter(wrote).collect()
}

fn is_from_nowhere(history: &History, kept: &[Id]) -> bool {
    plain(&history.restrict(kept)).is_some_and(|plain| plain.nowhere.is_some())
}

/// The most specific name of what is wrong.
fn name(part: &History, model: Model, found: &Core, tries: &mut Tries<'_, '_>) -> Anomaly {
    let mut breaks = |weaker: Model| {
        model.implies(weaker) && tries.one(|meter| find(part, weaker, Rules::TRUE, meter)).flatten().is_some()
    };
    match model {
        Model::EventualConvergence => return Anomaly::Diverged,
        Model::StrongEventual => return Anomaly::DivergedOnEqualUpdates,
        _ => {}
    }
    if !is_plain(part) {
        return Anomaly::NotSequential;
    }
    if is_from_nowhere(part, &part.ids().collect::<Vec<Id>>()) {
        let refused = part.operations().iter().any(|operation| operation.outcome == Outcome::Refused);
        return if refused { Anomaly::AbortedRead } else { Anomaly::ReadFromNowhere };
    }
    let guarantees = [
        (Model::ReadYourWrites, Anomaly::ReadYourWrites),
        (Model::MonotonicReads, Anomaly::MonotonicReads),
        (Model::MonotonicWrites, Anomaly::MonotonicWrites),
        (Model::WritesFollowReads, Anomaly::WritesFollowReads),
    ];
    if let Some((_, anomaly)) = guarantees.into_iter().find(|&(weaker, _)| breaks(weaker)) {
        return anomaly;
    }
    if let Some(anomaly) = shape(part, found) {
        return anomaly;
    }
    let causes = |edge: &Edge| matches!(edge.why, Why::Session | Why::ReadsFrom(_));
    let edges = graph::edges(&found.arcs);
    let models = [
        (Model::WeakCausal, if edges.iter().all(causes) { Anomaly::CausalCycle } else { Anomaly::CausalViolation }),
        (Model::Pram, Anomaly::NotPram),
        (Model::CausalConvergence, Anomaly::NotConvergent),
        (Model::CausalMemory, Anomaly::NotCausalMemory),
    ];
    let first = models.into_iter().find(|&(weaker, _)| breaks(weaker));
    first.map_or(Anomaly::NotSequential, |(_, anomaly)| anomaly)
}

/// A read that was overtaken has a name by who wrote what it missed.
fn shape(part: &History, found: &Core) -> Option<Anomaly> {
    let first = found.arcs.iter().find(|arc| matches!(arc.why, Why::Overtaken(_) | Why::Forced(_)))?;
    let plain = plain(part)?;
    let (read, write) = match first.why {
        Why::Overtaken(_) => (first.from, first.to),
        _ => (first.read, first.from),
    };
    let older = plain.source(*plain.shown.get(read as usize)?, 0)?;
    let session = |id: u32| plain.sessions.get(id as usize).copied();
    let all_one = (0..part.len() as u32).all(|id| session(id) == session(0));
    if all_one {
        return Some(Anomaly::ReadYourWrites);
    }
    (older < plain::INITIAL && session(older) == session(write) && older < write && session(read) != session(write))
        .then_some(Anomaly::MonotonicWrites)
}
