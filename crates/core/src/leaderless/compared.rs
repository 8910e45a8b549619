//! The answers of a comparison, as they are taken in. One that makes no sense ends it: what it says of a range must not count as if it had said it
//! rightly.

use super::catch_up::Told;
use super::compare::{Asked, Comparison, Inside};
use super::record::{Place, State};
use super::replica::Spot;
use super::sums::{self, Sums, bucket};
use super::talk::{Summary, Talk, ToldCell};
use super::{Cx, Leaderless};
use crate::clock::Context;
use crate::limits;
use crate::machine::NodeId;
use crate::placement::Range;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

impl Leaderless {
    /// The other answered the question of this number.
    pub(super) fn told(&mut self, cx: &mut Cx<'_>, from: NodeId, asked: u64, talk: Talk) {
        let answered = |comparison: &Comparison| {
            comparison.with == from && comparison.asked.as_ref().is_some_and(|(number, _)| *number == asked)
        };
        let Some((&number, comparison)) = self.comparisons.iter_mut().find(|(_, comparison)| answered(comparison))
        else {
            return;
        };
        let Some((_, asked)) = comparison.asked.take() else { return };
        let sound = match (asked, talk) {
            (Asked::Sums(_), Talk::Differ { ranges, later }) => self.differ_arrived(cx, number, ranges, later),
            (Asked::Buckets(range), Talk::BucketSums { sums, context }) => {
                self.buckets_arrived(cx, number, range, &sums, context)
            }
            (Asked::Keys(from), Talk::Digests { keys, next, context }) => {
                self.keys_arrived(cx, number, &from, keys, next, &context)
            }
            (Asked::Read(keys), Talk::Cells { cells, context }) => {
                self.cells_arrived(cx, number, keys, cells, &context)
            }
            (Asked::Acceptors, Talk::AcceptorsAre { list, next }) => self.acceptors_arrived(cx, number, list, next),
            (
                Asked::Sums(_) | Asked::Buckets(_) | Asked::Keys(_) | Asked::Read(_) | Asked::Acceptors,
                Talk::Sums(_)
                | Talk::Differ { .. }
                | Talk::Buckets(_)
                | Talk::BucketSums { .. }
                | Talk::Keys { .. }
                | Talk::Digests { .. }
                | Talk::Read { .. }
                | Talk::Cells { .. }
                | Talk::Acceptors { .. }
                | Talk::AcceptorsAre { .. }
                | Talk::Offer { .. }
                | Talk::Taken { .. },
            ) => false,
        };
        if sound {
            self.piece_done(cx, number);
        } else if let Some(comparison) = self.comparisons.remove(&number) {
            self.gave_up(comparison.table, comparison.with);
        }
    }

    // What follows takes in an answer; false if that makes no sense.

    fn acceptors_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        list: Vec<Told>,
        next: Option<(Range, Bytes)>,
    ) -> bool {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return false };
        comparison.acceptors = next;
        let table = comparison.table;
        self.take_over_acceptors(cx, table, list)
    }

    fn differ_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        ranges: Vec<(Range, Summary, Context)>,
        later: Vec<Range>,
    ) -> bool {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return false };
        let table = comparison.table;
        later.into_iter().rev().for_each(|range| comparison.ranges.push_front(range));
        let mut most = limits::COMPARE_KEYS;
        for (range, theirs, context) in ranges {
            if !context.is_sound() {
                return false;
            }
            let place = Place { table, range };
            if self.summary(cx, place, &mut most).is_some_and(|here| here.sum == theirs.sum) {
                // The cells are the same, so what is known beyond them is true here, too.
                self.learn_context(cx, place, &context);
            } else if let Some(comparison) = self.comparisons.get_mut(&number) {
                comparison.differ.push_back(range);
                self.progress.ranges_differed += 1;
            }
        }
        true
    }

    fn buckets_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        range: Range,
        theirs: &[u64],
        context: Context,
    ) -> bool {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return false };
        let (place, mut most) = (Place { table: comparison.table, range }, 0);
        // They were counted before it was asked for those of the other.
        let Some(here) = self.sums(cx, place, &mut most).map(Sums::buckets) else { return false };
        if theirs.len() != sums::BUCKETS || !context.is_sound() {
            return false;
        }
        let pairs = here.iter().zip(theirs).enumerate();
        let buckets: Vec<u8> = pairs.filter(|(_, (here, theirs))| here != theirs).map(|(at, _)| at as u8).collect();
        if buckets.is_empty() {
            self.learn_context(cx, place, &context);
        } else if let Some(comparison) = self.comparisons.get_mut(&number) {
            comparison.now = Some(Inside {
                range,
                context,
                buckets,
                keys: VecDeque::new(),
                from: Some(Bytes::new()),
                told: BTreeSet::new(),
                touched: BTreeSet::new(),
            });
        }
        true
    }

    fn keys_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        from: &Bytes,
        keys: Vec<(Bytes, u64)>,
        next: Option<Bytes>,
        context: &Context,
    ) -> bool {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return false };
        let Some(inside) = &mut comparison.now else { return false };
        let wanted = |key: &Bytes| key >= from && inside.buckets.contains(&(bucket(key) as u8));
        let goes_on = next.as_ref().is_none_or(|next| next > from);
        if !context.is_sound() || !goes_on || !keys.iter().all(|(key, _)| wanted(key)) {
            return false;
        }
        let place = Place { table: comparison.table, range: inside.range };
        let (own, own_next) = sums::digests(cx.view(), place, &inside.buckets, from, usize::MAX);
        // As far as both have looked.
        let next = [next, own_next].into_iter().flatten().min();
        let seen = |key: &Bytes| next.as_ref().is_none_or(|next| key < next);
        let own: BTreeMap<Bytes, u64> = own.into_iter().filter(|(key, _)| seen(key)).collect();
        let theirs: BTreeMap<Bytes, u64> = keys.into_iter().filter(|(key, _)| seen(key)).collect();
        let differ = theirs.iter().filter(|(key, digest)| own.get(*key) != Some(digest));
        inside.keys.extend(differ.map(|(key, _)| key.clone()));
        // What the other does not name, it does not hold.
        let absent: Vec<Bytes> = own.into_keys().filter(|key| !theirs.contains_key(key)).collect();
        inside.told.extend(absent.iter().cloned());
        inside.from = next;
        for key in absent {
            let spot = Spot { place, key };
            let state = State { context: context.clone(), ..State::nothing(self.kind(&spot)) };
            self.take(cx, &spot, &state);
        }
        true
    }

    /// Keys that differ were told, perhaps not all that were asked for.
    fn cells_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        asked: Vec<Bytes>,
        cells: Vec<ToldCell>,
        context: &Context,
    ) -> bool {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return false };
        let table = comparison.table;
        let Some(inside) = &mut comparison.now else { return false };
        let place = Place { table, range: inside.range };
        let told: BTreeSet<Bytes> = cells.iter().map(|told| told.key.clone()).collect();
        if told.is_empty() || !told.iter().all(|key| asked.contains(key)) {
            return false;
        }
        asked.iter().filter(|key| !told.contains(*key)).rev().for_each(|key| inside.keys.push_front(key.clone()));
        inside.told.extend(told);
        for ToldCell { key, cell, extra } in cells {
            let mut context = context.clone();
            context.join(&extra);
            let (spot, state) = (Spot { place, key }, State { cell, context });
            if !state.is_sound(self.kind(&spot)) {
                return false;
            }
            self.take(cx, &spot, &state);
        }
        true
    }

    /// A key changes here: comparisons that look into its range must hear of it from the other before they end.
    pub(super) fn touch(&mut self, spot: &Spot) {
        for comparison in self.comparisons.values_mut().filter(|comparison| comparison.table == spot.place.table) {
            if let Some(inside) = &mut comparison.now
                && inside.range == spot.place.range
                && !inside.told.contains(&spot.key)
            {
                inside.touched.insert(spot.key.clone());
            }
        }
    }

    fn take(&mut self, cx: &mut Cx<'_>, spot: &Spot, state: &State) {
        if self.take_in(cx, spot, state) {
            self.progress.keys_taken += 1;
        }
    }

    /// All that another replica knew of a range is known here.
    pub(super) fn learn_context(&mut self, cx: &mut Cx<'_>, place: Place, context: &Context) {
        let mut both = self.context(cx, place).clone();
        if both.covers(context) {
            return;
        }
        both.join(context);
        self.keep_context(cx, place, both);
    }
}
