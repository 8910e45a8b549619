//! Reads of one key at the same moment: one round for several of them.
//!
//! One round of a key flies, and those that want the same of the key wait for the next, which sets out when that lands, with all that wait
//! aboard. A read may not go with a round that flies: a replica that has answered it already need not have the writes that were acknowledged
//! since, before the read began. Only reads that may miss those may, and their receipts say so ([`Path::JoinedRead`]).

use super::command::Action;
use super::parts::Need;
use super::record::{Place, State};
use super::round::Round;
use super::rule::Rules;
use super::{Cx, Leaderless, look};
use crate::guarantee::{Level, Path, Tally};
use crate::mutant::Mutant;
use alloc::boxed::Box;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use bytes::Bytes;

/// What a round asks: one answer serves all that ask the same of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Manner {
    /// A majority agrees on what is read.
    agrees: bool,
    /// R.
    read: u8,
    write_back: Option<Need>,
    fence: u8,
}

/// Which rounds can serve each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Heading {
    place: Place,
    key: Bytes,
    manner: Manner,
}

/// A round that flies, and those that go with it. All are kept as rounds of their own, so each has its own deadline.
#[derive(Debug, Default)]
pub(super) struct Flight {
    carrier: u64,
    /// Somebody did not answer in time.
    slow: bool,
    /// They were asked before it set out.
    aboard: Vec<u64>,
    /// They were asked later, and what was acknowledged meanwhile they may miss.
    late: Vec<u64>,
    /// They wait for the next.
    waiting: Vec<u64>,
}

/// What a round found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) tally: Tally,
    pub(super) path: Path,
    pub(super) merged: &'a State,
}

impl Heading {
    pub(super) fn of(round: &Round) -> Heading {
        let Rules { read, write_back, fence, .. } = round.rules;
        let manner = Manner { agrees: round.agrees(), read, write_back, fence };
        Heading { place: round.spot.place, key: round.spot.key.clone(), manner }
    }
}

impl Round {
    /// Must others answer it, whatever is held here?
    pub(super) fn needs_others(&self) -> bool {
        self.agrees() || self.rules.read > 1 || self.rules.fence > 0 || self.rules.write_back.is_some()
    }
    /// May it miss what was acknowledged before it began?
    fn may_miss(&self) -> bool {
        matches!(self.rules.level, Some(Level::Eventual | Level::Session))
    }
    fn is_served_by(&self, found: &Found<'_>) -> bool {
        let covered = !self.rules.waits_for_session() || self.covered_by(found.merged);
        covered && self.parts.read_enough(found.tally.answers(), &self.rules)
    }
}

impl Leaderless {
    /// Lets a read go with others of its key, and keeps it until they land. Otherwise it comes back, to set out: others may go with it.
    pub(super) fn share(&mut self, number: u64, mut round: Box<Round>) -> Option<Box<Round>> {
        let heading = Heading::of(&round);
        let earlier = if round.may_miss() { self.flight_of_more(&heading) } else { None };
        if let Some(flight) = earlier {
            flight.late.push(number);
        } else {
            match self.flights.entry(heading) {
                Entry::Vacant(entry) => {
                    entry.insert(Flight { carrier: number, ..Flight::default() });
                    return Some(round);
                }
                Entry::Occupied(entry) if self.config.mutants.has(Mutant::JoinsEarlierRead) => {
                    entry.into_mut().aboard.push(number);
                }
                Entry::Occupied(entry) => entry.into_mut().waiting.push(number),
            }
        }
        round.look_at = round.until;
        self.timers.insert((round.look_at, number));
        self.rounds.insert(number, round);
        None
    }

    /// A flight of the same key that asks as much, or more.
    fn flight_of_more(&mut self, heading: &Heading) -> Option<&mut Flight> {
        let same = |other: &Heading| other.place == heading.place && other.key == heading.key && !other.manner.agrees;
        let (_, flight) = self.flights.range_mut(heading..).next().filter(|(other, _)| same(other))?;
        Some(flight)
    }

    /// A round found what it looked for: it serves those aboard, and the next sets out.
    pub(super) fn landed(&mut self, cx: &mut Cx<'_>, number: u64, heading: Heading, found: Found<'_>) {
        let Some((heading, flight)) = self.take_flight(number, heading) else { return };
        let mut alone = Vec::new();
        let late = Found { path: Path::JoinedRead, ..found };
        let aboard = flight.aboard.into_iter().map(|other| (other, found));
        for (other, found) in aboard.chain(flight.late.into_iter().map(|other| (other, late))) {
            match self.end(other) {
                Some(round) if round.is_served_by(&found) => self.serve(round, found),
                // Its session saw more: it asks until that is found.
                Some(round) => alone.push((other, round)),
                None => {}
            }
        }
        self.take_off(cx, heading, flight.waiting, flight.slow);
        for (other, round) in alone {
            self.set_out(cx, other, round, false);
        }
    }

    /// A round ends without an answer for those who go with it, or goes on for its own session alone: they begin anew.
    pub(super) fn left_alone(&mut self, cx: &mut Cx<'_>, number: u64, heading: Heading) {
        let Some((heading, flight)) = self.take_flight(number, heading) else { return };
        self.take_off(cx, heading, [flight.aboard, flight.waiting].concat(), flight.slow);
        for other in flight.late {
            if let Some(round) = self.end(other) {
                self.set_out(cx, other, round, false);
            }
        }
    }

    /// Somebody does not answer a round: the next asks all at once.
    pub(super) fn is_slow(&mut self, number: u64, heading: &Heading) {
        if let Some(flight) = self.flights.get_mut(heading).filter(|flight| flight.carrier == number) {
            flight.slow = true;
        }
    }

    /// Tables moved or are gone: who flew there begins anew at the node.
    pub(super) fn forget_flights(&mut self) {
        self.flights.retain(|_, flight| self.rounds.contains_key(&flight.carrier));
    }

    fn take_flight(&mut self, number: u64, heading: Heading) -> Option<(Heading, Flight)> {
        match self.flights.entry(heading) {
            Entry::Occupied(entry) if entry.get().carrier == number => Some(entry.remove_entry()),
            Entry::Occupied(_) | Entry::Vacant(_) => None,
        }
    }

    /// Those who wait set out together.
    fn take_off(&mut self, cx: &mut Cx<'_>, heading: Heading, waiting: Vec<u64>, all: bool) {
        let mut waiting = waiting.into_iter();
        // The deadline of some may have passed.
        let first = waiting.find_map(|number| Some((number, self.end(number)?)));
        let Some((carrier, round)) = first else { return };
        let flight = Flight { carrier, aboard: waiting.collect(), ..Flight::default() };
        self.flights.insert(heading, flight);
        self.set_out(cx, carrier, round, all);
    }

    fn serve(&mut self, round: Box<Round>, found: Found<'_>) {
        let Found { tally, path, merged } = found;
        match (&round.action, path) {
            (Action::Look(look), Path::PaxosRead) => {
                let (value, _) = look::read(look, &merged.cell, round.bound);
                self.finish_agreed(round, tally, path, value, None, merged);
            }
            _ => self.finish_read(round, tally, path, merged),
        }
    }
}
