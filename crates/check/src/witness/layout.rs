//! Where operations stand in a space-time picture: sessions from top to bottom, time from left to right.

use crate::{History, Id, Operation, Outcome, Session, Step, Witness};

/// Units between two moments next to each other.
const GAP: usize = 2;
/// Units that a bar needs beside its label.
const FRAME: usize = 4;
/// Labels longer than this are cut; the list below the picture has them whole.
pub(super) const LABEL_MAX: usize = 44;

/// One operation in the picture. Places are in units of one letter.
pub(super) struct Bar {
    pub id: Id,
    /// The number that text and picture use for it, from 1.
    pub number: usize,
    pub lane: usize,
    pub from: usize,
    /// `None` if it never ended.
    pub to: Option<usize>,
    pub label: String,
    /// Is it part of the offending order, or the answer that completes the contradiction?
    pub bad: bool,
}

/// A time during which something was done to the system.
pub(super) struct Stripe {
    pub what: String,
    pub from: usize,
    pub to: usize,
}

pub(super) struct Layout {
    pub lanes: Vec<Session>,
    pub bars: Vec<Bar>,
    pub stripes: Vec<Stripe>,
    pub width: usize,
}

/// Places the operations so that every label fits into its bar and time keeps its order.
pub(super) fn layout(history: &History, witness: &Witness) -> Layout {
    let ids = &witness.operations[..];
    let mut lanes: Vec<Session> = ids.iter().map(|&id| history.operation(id).session).collect();
    lanes.sort_unstable();
    lanes.dedup();
    let spans: Vec<(u64, u64)> = spans(history, ids);
    let ends = spans.iter().map(|&(_, to)| to).filter(|&to| to != Operation::NEVER);
    let mut moments: Vec<u64> = spans.iter().map(|&(from, _)| from).chain(ends).collect();
    moments.sort_unstable();
    moments.dedup();
    let place = |moment: u64| moments.partition_point(|&at| at < moment);
    let labels: Vec<String> = ids.iter().map(|&id| cut(&history.describe(id))).collect();
    let mut places = vec![0usize; moments.len() + 1];
    for at in 0..places.len() {
        let moment = moments.get(at).copied().unwrap_or(Operation::NEVER);
        let ended = spans.iter().zip(&labels).filter(|((_, to), _)| *to == moment);
        let fits = ended.map(|((from, _), label)| places[place(*from)] + label.chars().count() + FRAME);
        let after = if at == 0 { 0 } else { places[at - 1] + GAP };
        places[at] = fits.max().unwrap_or(0).max(after);
        clear_the_lane(&spans, &labels, history, ids, (at, moment), &mut places, &place);
    }
    let width = places[moments.len()].max(places[moments.len().saturating_sub(1)]);
    let bad = blamed(history, witness);
    let bars = ids.iter().zip(&spans).zip(labels).enumerate().map(|(at, ((&id, &(from, to)), label))| Bar {
        id,
        number: at + 1,
        lane: lanes.partition_point(|&lane| lane < history.operation(id).session),
        from: places[place(from)],
        to: (to != Operation::NEVER).then(|| places[place(to)]),
        label,
        bad: bad.contains(&id),
    });
    let bars: Vec<Bar> = bars.collect();
    let stripes = if history.has_real_time() { stripes(history, &moments, &places) } else { Vec::new() };
    Layout { lanes, bars, stripes, width }
}

/// The operations of the offending order; without one, the operation whose answer completes the contradiction: the last
/// that told something.
pub(super) fn blamed(history: &History, witness: &Witness) -> Vec<Id> {
    if !witness.edges.is_empty() {
        return witness.edges.iter().flat_map(|edge| [edge.from, edge.to]).collect();
    }
    let done = witness.operations.iter().filter(|id| history.operation(**id).outcome == Outcome::Done);
    let tells = |id: Id| history.steps(id).iter().any(|step| step.is_read() || matches!(step, Step::Take { .. }));
    done.max_by_key(|id| (tells(**id), history.operation(**id).end, **id)).copied().into_iter().collect()
}

/// An operation of unknown outcome has no end to make room for its label: the next one in its lane waits for it.
fn clear_the_lane(
    spans: &[(u64, u64)],
    labels: &[String],
    history: &History,
    ids: &[Id],
    (at, moment): (usize, u64),
    places: &mut [usize],
    place: &dyn Fn(u64) -> usize,
) {
    let beginning = (0..ids.len()).filter(|&other| spans[other].0 == moment);
    let lanes: Vec<Session> = beginning.map(|other| history.operation(ids[other]).session).collect();
    for (other, &(from, to)) in spans.iter().enumerate() {
        let in_lane = lanes.contains(&history.operation(ids[other]).session);
        if to == Operation::NEVER && from < moment && in_lane {
            places[at] = places[at].max(places[place(from)] + labels[other].chars().count() + FRAME + GAP);
        }
    }
}

/// A moment in halves: what begins in it comes before what ends in it, so that what takes no time has a place of its own.
fn half(moment: u64, ends: bool) -> u64 {
    if moment == Operation::NEVER { moment } else { moment.saturating_mul(2).saturating_add(ends.into()) }
}

/// Begin and end of each in halves of moments; without real time, the place within its session.
fn spans(history: &History, ids: &[Id]) -> Vec<(u64, u64)> {
    if history.has_real_time() {
        let span = |&id: &Id| (half(history.operation(id).begin, false), half(history.operation(id).end, true));
        return ids.iter().map(span).collect();
    }
    let before = |at: usize| {
        let session = history.operation(ids[at]).session;
        ids[..at].iter().filter(|&&other| history.operation(other).session == session).count() as u64
    };
    (0..ids.len()).map(|at| (before(at) * 2, before(at) * 2 + 1)).collect()
}

fn stripes(history: &History, moments: &[u64], places: &[usize]) -> Vec<Stripe> {
    let (Some(&first), Some(&last)) = (moments.first(), moments.last()) else { return Vec::new() };
    let place = |moment: u64| {
        let at = moments.partition_point(|&known| known < moment);
        if moments.get(at) == Some(&moment) || at == 0 {
            return places[at];
        }
        let (from, to) = (places[at - 1], places[at.min(moments.len())]);
        from + (to - from) / 2
    };
    let halves = history.bands().iter().map(|band| (band, half(band.from, false), half(band.to, true)));
    let seen = halves.filter(|&(_, from, to)| from <= last && to >= first);
    let stripe = |(band, from, to): (&crate::Band, u64, u64)| Stripe {
        what: band.what.clone(),
        from: place(from.max(first)),
        to: if to > last { places[moments.len()] } else { place(to) },
    };
    seen.map(stripe).collect()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LABEL_MAX {
        return text.to_string();
    }
    text.chars().take(LABEL_MAX - 1).chain(['…']).collect()
}
