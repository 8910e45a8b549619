//! Locks: who surely holds one, and which tokens were accepted.
//!
//! The holder of a lock is a session. It surely holds the lock from the end of its acquire to the begin of its next
//! release, whatever came of that release; an acquire of unknown outcome proves nothing.

use super::{Event, Rules, events, found};
use crate::{Anomaly, History, Id, Judged, Key, Meter, Operation, Step};

struct Grant {
    event: Event,
    /// The begin of the first release that may have ended it.
    until: u64,
}

/// At most one session holds the lock. Two findings: an acquire that took place wholly while another session surely held
/// the lock, or while two surely did; and a release by a session that has fewer acquires than releases.
pub(super) fn mutual_exclusion(history: &History, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    meter.step(history.len() as u64)?;
    let mut locks: Vec<(Key, Event, bool)> = Vec::new();
    for event in events(history, rules) {
        for step in history.steps(event.id) {
            match *step {
                Step::Acquire { key, .. } => locks.push((key, event, true)),
                Step::Release { key, .. } => locks.push((key, event, false)),
                _ => {}
            }
        }
    }
    locks.sort_by_key(|(key, event, _)| (*key, event.session));
    let mut grants: Vec<Grant> = Vec::new();
    for of_key in locks.chunk_by(|a, b| a.0 == b.0) {
        grants.clear();
        for of_session in of_key.chunk_by(|a, b| a.1.session == b.1.session) {
            let part = |which: bool| -> Vec<Event> {
                of_session.iter().filter(|(_, _, is)| *is == which).map(|(_, event, _)| *event).collect()
            };
            let (acquires, releases) = (part(true), part(false));
            if let Some(operations) = released_too_often(&acquires, &releases).filter(|_| rules.own_releases) {
                return found(Anomaly::NotTheHolder, operations);
            }
            let ends = if rules.releases { &releases[..] } else { &[] };
            grants.extend(sure_grants(&acquires, ends));
        }
        if let Some(both) = two_holders(&grants) {
            return found(Anomaly::TwoHolders, both);
        }
    }
    Ok(None)
}

fn sure_grants(acquires: &[Event], releases: &[Event]) -> Vec<Grant> {
    // Of the releases that end at some moment or later, the one that begins first.
    let mut by_end: Vec<Event> = releases.to_vec();
    by_end.sort_by_key(|event| event.end);
    let mut earliest = vec![Operation::NEVER; by_end.len() + 1];
    for at in (0..by_end.len()).rev() {
        earliest[at] = earliest[at + 1].min(by_end[at].begin);
    }
    let until = |acquire: &Event| earliest[by_end.partition_point(|release| release.end < acquire.begin)];
    let done = acquires.iter().filter(|acquire| acquire.is_done);
    done.map(|acquire| Grant { event: *acquire, until: until(acquire) }).collect()
}

/// A release that had no acquire left, with the acquires and releases that show it.
fn released_too_often(acquires: &[Event], releases: &[Event]) -> Option<Vec<Id>> {
    let mut ends: Vec<&Event> = releases.iter().filter(|release| release.is_done).collect();
    ends.sort_by_key(|release| release.end);
    for release in releases.iter().filter(|release| release.is_done) {
        let possible = acquires.partition_point(|acquire| acquire.begin <= release.end);
        let sure = ends.partition_point(|other| other.end < release.begin);
        if possible < sure + 1 {
            // Which acquires they used is not known: all are shown, and one release more than these.
            let others = ends[sure - possible..sure].iter().map(|other| other.id);
            let acquires = acquires[..possible].iter().map(|acquire| acquire.id);
            return Some(others.chain(acquires).chain([release.id]).collect());
        }
    }
    None
}

/// The longest grants so far, of two different sessions.
#[derive(Default)]
struct Longest<'g> {
    first: Option<&'g Grant>,
    second: Option<&'g Grant>,
}

impl<'g> Longest<'g> {
    fn add(&mut self, grant: &'g Grant) {
        if self.first.is_none_or(|first| first.until < grant.until) {
            if self.first.is_some_and(|first| first.event.session != grant.event.session) {
                self.second = self.first;
            }
            self.first = Some(grant);
        } else if self.first.is_some_and(|first| first.event.session != grant.event.session)
            && self.second.is_none_or(|second| second.until < grant.until)
        {
            self.second = Some(grant);
        }
    }
    fn of_another(&self, session: u32) -> Option<&'g Grant> {
        [self.first, self.second].into_iter().flatten().find(|grant| grant.event.session != session)
    }
}

fn two_holders(grants: &[Grant]) -> Option<[Id; 2]> {
    let mut by_end: Vec<&Grant> = grants.iter().collect();
    by_end.sort_by_key(|grant| grant.event.end);
    let mut by_begin = by_end.clone();
    by_begin.sort_by_key(|grant| grant.event.begin);
    // Both surely hold at one moment.
    let mut longest = Longest::default();
    for grant in &by_end {
        if let Some(other) = longest.of_another(grant.event.session)
            && grant.event.end < other.until.min(grant.until)
        {
            return Some([other.event.id, grant.event.id]);
        }
        longest.add(grant);
    }
    // The acquire lies within the other's time.
    let (mut longest, mut next) = (Longest::default(), 0);
    for grant in by_begin {
        while next < by_end.len() && by_end[next].event.end < grant.event.begin {
            longest.add(by_end[next]);
            next += 1;
        }
        if let Some(other) = longest.of_another(grant.event.session)
            && grant.event.end < other.until
        {
            return Some([other.event.id, grant.event.id]);
        }
    }
    None
}

/// Per lock: no write is accepted after one with a newer token was (the rule of a resource that keeps the greatest token
/// that it saw); and of two grants the later one has the greater token. A grant to the same session may repeat its token.
///
/// A resource that follows this rule still accepts an old token between a newer grant and its first write. Whether that
/// happened too is what linearizability of a fenced lock asks.
pub(super) fn fencing(history: &History, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    meter.step(history.len() as u64)?;
    let keys = history.counts().1;
    let (mut grants, mut writes) = (vec![Vec::new(); keys], vec![Vec::new(); keys]);
    for event in events(history, rules).filter(|event| event.is_done) {
        for step in history.steps(event.id) {
            match *step {
                Step::Acquire { key, token: Some(token) } => grants[key.0 as usize].push((event, token)),
                Step::Guarded { key, token } => writes[key.0 as usize].push((event, token)),
                _ => {}
            }
        }
    }
    for (grants, writes) in grants.iter().zip(&writes) {
        if let Some(both) = same_token(grants, rules).or_else(|| not_rising(grants)) {
            return found(Anomaly::TokenNotGreater, both);
        }
        if let Some(both) = not_rising(writes).filter(|_| rules.writes) {
            return found(Anomaly::OldTokenAccepted, both);
        }
    }
    Ok(None)
}

fn same_token(grants: &[(Event, i64)], rules: Rules) -> Option<[Id; 2]> {
    let mut sorted = grants.to_vec();
    sorted.sort_by_key(|(event, token)| (*token, event.session));
    let pair = sorted
        .windows(2)
        .find(|pair| pair[0].1 == pair[1].1 && (pair[0].0.session != pair[1].0.session || !rules.own_tokens))?;
    Some([pair[0].0.id, pair[1].0.id])
}

/// Two of which the later one has the smaller token.
fn not_rising(tokens: &[(Event, i64)]) -> Option<[Id; 2]> {
    let mut by_end: Vec<&(Event, i64)> = tokens.iter().collect();
    by_end.sort_by_key(|(event, _)| event.end);
    let mut greatest: Option<&(Event, i64)> = None;
    let mut next = 0;
    for later in tokens {
        while next < by_end.len() && by_end[next].0.end < later.0.begin {
            if greatest.is_none_or(|greatest| greatest.1 < by_end[next].1) {
                greatest = Some(by_end[next]);
            }
            next += 1;
        }
        if let Some(earlier) = greatest.filter(|greatest| greatest.1 > later.1) {
            return Some([earlier.0.id, later.0.id]);
        }
    }
    None
}
