//! Leaving a range: what a node still holds of a range that moved away is handed over before it is deleted. All that the new replicas
//! need they have compared; what only this node holds, such as a write that nobody but it confirmed, would else be lost.
//!
//! | key | value |
//! |---|---|
//! | `[3, 6, table u16, range u16]` | nothing; the range is being deleted, and must be gone before this node may hold it again |

use super::message::Body;
use super::pace::Pace;
use super::record::{self, ACCEPTOR, CELL, Place};
use super::talk::Talk;
use super::{Cx, Held, Leaderless};
use crate::guarantee::NodeSet;
use crate::machine::{Mono, NodeId, Wake};
use crate::operation::TableId;
use crate::placement::Range;
use crate::store::{View, after_prefix};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;

pub(super) const DOOMED: u8 = 6;
/// Ranges are offered again to those who have not taken them after this, in milliseconds.
const OFFER_MS: u64 = 1_000;
/// Ranges in one offer.
const OFFERED: usize = 128;
/// Keys of a kind that are deleted at once.
const DELETED: usize = 256;

/// Ranges that this node holds and that are no longer its own.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// They are to be looked for on disk.
    look: bool,
    /// Who has taken each.
    ranges: BTreeMap<Place, NodeSet>,
    /// They are being deleted.
    doomed: BTreeSet<Place>,
    /// When the next keys are deleted.
    pace: Option<Pace>,
    offer_at: Mono,
}

impl Leaving {
    pub(super) fn boot(view: &dyn View) -> Leaving {
        let doomed = record::places(view, DOOMED, None).into_iter().collect();
        Leaving { look: true, doomed, ..Leaving::default() }
    }
}

impl Leaderless {
    pub(super) fn is_leaving(&self, place: Place) -> bool {
        self.leaving.ranges.contains_key(&place)
    }

    /// A range that is being deleted is not there.
    pub(super) fn is_doomed(&self, place: Place) -> bool {
        self.leaving.doomed.contains(&place)
    }

    /// Ranges of a table that are to be handed over.
    pub(super) fn leaving_of(&self, table: TableId) -> u32 {
        self.leaving.ranges.keys().chain(&self.leaving.doomed).filter(|place| place.table == table).count() as u32
    }

    /// It is not known yet what there is to hand over.
    pub(super) fn looks_what_to_leave(&self) -> bool {
        self.leaving.look
    }

    /// A table was placed anew, or is gone.
    pub(super) fn look_what_to_leave(&mut self, now: Mono) {
        self.leaving.look = true;
        self.leaving.offer_at = now;
    }

    pub(super) fn leave_wake(&self) -> Option<Wake> {
        let look = self.leaving.look.then_some(Mono(0));
        let delete = match self.leaving.pace {
            _ if self.leaving.doomed.is_empty() => None,
            None => Some(Mono(0)),
            Some(pace) => pace.wake(),
        };
        let offers = (!self.leaving.ranges.is_empty()).then_some(self.leaving.offer_at);
        [look, delete, offers].into_iter().flatten().min().map(|at| Wake { at, why: "leave ranges" })
    }

    /// Looks for ranges to leave, offers them, and deletes some of what was taken.
    pub(super) fn leave(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        if core::mem::take(&mut self.leaving.look) {
            self.find_what_to_leave(cx);
        }
        self.delete_doomed(cx);
        if !self.leaving.ranges.is_empty() && self.leaving.offer_at <= now {
            self.leaving.offer_at = now.after_ms(OFFER_MS);
            self.offer(cx);
        }
    }

    fn find_what_to_leave(&mut self, cx: &Cx<'_>) {
        let mut held: BTreeSet<Place> = BTreeSet::new();
        for &table in self.tables.keys() {
            for kind in [record::CONTEXT, CELL, ACCEPTOR] {
                held.extend(record::places(cx.view(), kind, Some(table)));
            }
        }
        held.retain(|place| !self.holds(*place) && !self.is_doomed(*place));
        // Who took a range for another place may have left it since, or lost its disk: the offer begins anew.
        let offered = held.into_iter().map(|place| (place, NodeSet::default()));
        self.leaving.ranges = offered.collect();
        self.leaving.doomed.retain(|place| self.tables.contains_key(&place.table));
    }

    fn holds(&self, place: Place) -> bool {
        self.tables.get(&place.table).is_some_and(|table| table.takes_part(place.range, self.config.node))
    }

    fn offer(&mut self, cx: &mut Cx<'_>) {
        let mut offers: BTreeMap<(TableId, NodeId), Vec<Range>> = BTreeMap::new();
        for (place, taken) in &self.leaving.ranges {
            let Some(table) = self.tables.get(&place.table) else { continue };
            for &node in table.placement.replicas(place.range).iter().filter(|&&node| !taken.contains(node)) {
                offers.entry((place.table, node)).or_default().push(place.range);
            }
        }
        for ((table, node), mut ranges) in offers {
            let Some(epoch) = self.tables.get(&table).map(|known| known.epoch) else { continue };
            ranges.truncate(OFFERED);
            self.next_round += 1;
            self.say(cx, node, self.next_round, Body::Compare { table, epoch, talk: Talk::Offer { ranges } });
        }
    }

    /// Another node leaves ranges that this one holds: compares them with it.
    pub(super) fn offered(&mut self, cx: &mut Cx<'_>, from: NodeId, table: TableId, ranges: Vec<Range>) {
        let mine = |range: &Range| self.holds(Place { table, range: *range });
        let ranges: Vec<Range> = ranges.into_iter().take(OFFERED).filter(mine).collect();
        self.compare_ranges(cx, table, from, ranges, true);
    }

    /// Another node has taken ranges that this one leaves. Those that all have taken are deleted.
    pub(super) fn taken(&mut self, cx: &mut Cx<'_>, from: NodeId, table: TableId, ranges: &[Range]) {
        let Some(known) = self.tables.get(&table) else { return };
        for &range in ranges {
            let place = Place { table, range };
            let Some(taken) = self.leaving.ranges.get_mut(&place) else { continue };
            taken.insert(from);
            if known.placement.replicas(range).iter().all(|&node| taken.contains(node)) {
                self.leaving.ranges.remove(&place);
                self.leaving.doomed.insert(place);
                cx.put(&record::place_key(DOOMED, place), &[]);
                // Without its context a cell tells nobody anything; so it goes first.
                cx.delete(&record::context_key(place));
                let held = self.ranges.entry(place).or_default();
                *held = Held { proposed: held.proposed, given: held.given, ..Held::default() };
            }
        }
        // What was offered in part goes on at once.
        self.leaving.offer_at = cx.now().mono;
    }

    /// Deletes some of what was taken, if it is time.
    pub(super) fn delete_doomed(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        let Some(&place) = self.leaving.doomed.first() else { return };
        if let Some(pace) = self.leaving.pace.map(|pace| self.paced(now, pace)) {
            self.leaving.pace = Some(pace);
            if !pace.is_rested(now) {
                return;
            }
        }
        let mut keys: Vec<Bytes> = Vec::new();
        for kind in [CELL, ACCEPTOR] {
            let from = record::place_key(kind, place);
            cx.view().scan(&from, &after_prefix(&from), &mut |key, _| {
                keys.push(Bytes::copy_from_slice(key));
                keys.len() < DELETED
            });
        }
        if keys.len() < DELETED {
            cx.delete(&record::place_key(DOOMED, place));
            self.leaving.doomed.remove(&place);
            // The node may be about to hold it again.
            self.catch_up_at = now;
        }
        for key in keys {
            cx.delete(&key);
        }
        self.leaving.pace = Some(Pace::Works { since: now }.done(cx, self.synced));
    }
}
