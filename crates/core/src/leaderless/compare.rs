//! Comparison in the background: a replica asks another what it holds of their common ranges, and takes in what differs.
//!
//! The one who asks sends the sums of its ranges; the other answers where its own differ. Of a range that differs the sums of buckets are
//! compared, then the digests of keys in those buckets, then the keys that differ are read. At the end the context that the other had
//! at the beginning is joined: whatever it knew then is here now, as data or as their absence. So events that
//! left no data are learned as well, and holes close. A replica that catches up asks for Paxos acceptors, too. But for it nothing waits for a comparison; one that is not answered is given up.

use super::catch_up::Told;
use super::message::{Body, Round as RoundId};
use super::record::{Place, State, digest_of};
use super::replica::Spot;
use super::sums::{self, Sums, bucket};
use super::{Cx, Leaderless};
use crate::clock::Context;
use crate::limits;
use crate::machine::{Mono, NodeId};
use crate::mutant::Mutant;
use crate::operation::TableId;
use crate::placement::Range;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Ranges whose sums travel in one message.
const RANGES_TOLD: usize = 128;
/// A comparison that was not answered for this long is given up, in milliseconds.
const PATIENCE_MS: u64 = 2_000;
/// Keys that are read at the same time.
const KEYS_AT_ONCE: usize = 64;

/// What is said in a comparison. All of it is about one epoch of one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Talk {
    /// Where do yours differ from these? Lost: the next comparison asks again; so it is for all that follow.
    Sums(Vec<(Range, Summary)>),
    /// These differ.
    Differ {
        /// The ranges.
        ranges: Vec<(Range, Summary, Context)>,
    },
    /// What are the sums of the buckets of this range?
    Buckets(Range),
    /// These.
    BucketSums {
        /// Of this range.
        range: Range,
        /// One for each bucket.
        sums: Vec<u64>,
        /// What was known of the range then.
        context: Context,
    },
    /// Which keys are in these buckets?
    Keys {
        /// Of this range.
        range: Range,
        /// The buckets.
        buckets: Vec<u8>,
        /// From this key on.
        from: Bytes,
    },
    /// These.
    Digests {
        /// Of this range.
        range: Range,
        /// Each key, and the digest of its cell.
        keys: Vec<(Bytes, u64)>,
        /// Are there more?
        more: bool,
        /// What was known of the range then.
        context: Context,
    },
    /// Which Paxos acceptors are there, from this key on?
    Acceptors {
        /// Its range, and the key.
        from: (Range, Bytes),
    },
    /// These.
    AcceptorsAre {
        /// Of keys whose range the asker holds, too.
        list: Vec<Told>,
        /// Where the list goes on.
        next: Option<(Range, Bytes)>,
    },
    /// The sender holds these ranges no longer: compare them with it. Lost: offered again.
    Offer {
        /// The ranges.
        ranges: Vec<Range>,
    },
    /// They are compared, and what was found is durable. Lost: offered again.
    Taken {
        /// The ranges.
        ranges: Vec<Range>,
    },
}

/// What tells two copies of a range apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Summary {
    /// Of all keys and cells.
    pub sum: u64,
    /// Of the context.
    pub context: u64,
}

/// A comparison on its way: this node asks.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) table: TableId,
    pub(super) epoch: u64,
    pub(super) with: NodeId,
    /// Ranges that both hold.
    of: usize,
    /// Ranges that were not asked about.
    ranges: VecDeque<Range>,
    /// Ranges that were asked about and not answered.
    asked: usize,
    /// Ranges that differ.
    differ: VecDeque<Range>,
    /// The range that is looked into.
    now: Option<Inside>,
    /// When it is given up.
    until: Mono,
    /// Where the list of acceptors goes on, if they are wanted.
    acceptors: Option<(Range, Bytes)>,
    /// The other leaves these ranges, and waits for them to be taken.
    leaves: Vec<Range>,
}

/// Looking into one range.
#[derive(Debug)]
struct Inside {
    range: Range,
    /// What the other knew when it told the sums of the buckets: known here once all that differs was read.
    context: Context,
    buckets: Vec<u8>,
    /// Keys that differ and are still to be read.
    keys: VecDeque<Bytes>,
    /// Keys that were asked for.
    asked: BTreeMap<u64, Bytes>,
    /// Where the list of keys goes on.
    more: Option<Bytes>,
    /// Own keys of the buckets that the other did not name yet.
    own: BTreeSet<Bytes>,
    /// Keys whose state the other told: what changes them later is joined with that knowledge.
    told: BTreeSet<Bytes>,
    /// Other keys that changed here since the sums were compared. The other may have known that what came late was removed.
    touched: BTreeSet<Bytes>,
}

impl Comparison {
    /// Ranges that are done, of all that both hold.
    /// Does the other leave what is compared?
    pub(super) fn handed_over(&self) -> bool {
        !self.leaves.is_empty()
    }
    pub(super) fn ranges_done(&self) -> (u32, u32) {
        let left = self.ranges.len() + self.asked + self.differ.len() + usize::from(self.now.is_some());
        (self.of.saturating_sub(left) as u32, self.of as u32)
    }
}

impl Leaderless {
    /// Compares all common ranges of a table with another replica. Nothing happens if that is on its way.
    pub fn compare(&mut self, cx: &mut Cx<'_>, table: TableId, with: NodeId) {
        let Some(known) = self.tables.get(&table) else { return };
        if self.comparisons.values().any(|other| other.table == table && other.with == with) {
            return;
        }
        let here = self.config.node;
        let common = |range: &Range| known.takes_part(*range, with) && known.takes_part(*range, here);
        let ranges = known.spec.division.ranges().filter(common).collect();
        self.compare_ranges(cx, table, with, ranges, false);
    }

    /// Compares some ranges of a table with another node, which may leave them.
    pub(super) fn compare_ranges(
        &mut self,
        cx: &mut Cx<'_>,
        table: TableId,
        with: NodeId,
        mut ranges: Vec<Range>,
        leaves: bool,
    ) {
        // One that nobody answers any more is in nobody's way.
        self.end_comparisons(cx.now().mono);
        let Some(known) = self.tables.get(&table) else { return };
        let underway = self.comparisons.values().any(|other| other.table == table && other.with == with);
        if underway || self.is_stranger(known.spec.kind, with) {
            return;
        }
        ranges.retain(|&range| !self.is_doomed(Place { table, range }));
        if ranges.is_empty() {
            return;
        }
        self.next_round += 1;
        let number = self.next_round;
        let until = cx.now().mono.after_ms(PATIENCE_MS);
        let stay = self.config.mutants.has(Mutant::AcceptorsStay);
        let wants_acceptors = !stay && (leaves || self.wants_acceptors(table, with));
        let comparison = Comparison {
            table,
            epoch: known.epoch,
            with,
            of: ranges.len(),
            acceptors: wants_acceptors.then(|| (Range(0), Bytes::new())),
            leaves: if leaves { ranges.clone() } else { Vec::new() },
            ranges: ranges.into(),
            asked: 0,
            differ: VecDeque::new(),
            now: None,
            until,
        };
        self.comparisons.insert(number, comparison);
        self.compare_on(cx, number);
    }

    /// Says the next thing of a comparison, or ends it.
    fn compare_on(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return };
        comparison.until = cx.now().mono.after_ms(PATIENCE_MS);
        let (table, epoch, with) = (comparison.table, comparison.epoch, comparison.with);
        let talk = if let Some(range) = comparison.differ.pop_front() {
            comparison.asked = 1;
            Talk::Buckets(range)
        } else {
            let some: Vec<Range> = comparison.ranges.drain(..comparison.ranges.len().min(RANGES_TOLD)).collect();
            if some.is_empty() {
                return match comparison.acceptors.take() {
                    Some(from) => self.ask_acceptors(cx, with, number, (table, epoch), from),
                    None => self.compared_all(cx, number),
                };
            }
            comparison.asked = some.len();
            let told = some.into_iter().map(|range| (range, self.summary(cx, Place { table, range })));
            Talk::Sums(told.collect())
        };
        self.say_talk(cx, with, number, (table, epoch), talk);
    }

    fn compared_all(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(comparison) = self.comparisons.remove(&number) else { return };
        let (table, with) = (comparison.table, comparison.with);
        self.caught_up_with(cx.now().mono, &comparison);
        self.compared(cx, table, with);
        if comparison.handed_over() {
            let round = RoundId { incarnation: self.config.incarnation, number };
            let talk = Talk::Taken { ranges: comparison.leaves };
            cx.hurry();
            let body = Body::Compare { table, epoch: comparison.epoch, talk };
            cx.send_synced(with, self.signed(round, body));
        }
    }

    fn say_talk(&self, cx: &mut Cx<'_>, to: NodeId, number: u64, (table, epoch): (TableId, u64), talk: Talk) {
        self.say(cx, to, number, Body::Compare { table, epoch, talk });
    }

    /// Another node says something in a comparison that it, or this node, began.
    pub(super) fn talked(
        &mut self,
        cx: &mut Cx<'_>,
        (from, round): (NodeId, RoundId),
        (table, epoch): (TableId, u64),
        talk: Talk,
    ) {
        if self.actor.is_none() || self.tables.get(&table).is_none_or(|known| known.epoch != epoch) {
            return;
        }
        match talk {
            Talk::Sums(_) | Talk::Buckets(_) | Talk::Keys { .. } | Talk::Acceptors { .. } => {
                if let Some(answer) = self.tell(cx, from, table, talk) {
                    let body = Body::Compare { table, epoch, talk: answer };
                    cx.send(from, self.signed(round, body));
                }
            }
            Talk::Offer { ranges } => self.offered(cx, from, table, ranges),
            Talk::Taken { ranges } => self.taken(cx, from, table, &ranges),
            Talk::Differ { .. } | Talk::BucketSums { .. } | Talk::Digests { .. } | Talk::AcceptorsAre { .. } => {
                let ours =
                    self.comparisons.get(&round.number).is_some_and(|ours| ours.with == from && ours.table == table);
                if ours && round.incarnation == self.config.incarnation {
                    self.told(cx, round.number, talk);
                }
            }
        }
    }

    /// Answers one who compares.
    fn tell(&mut self, cx: &mut Cx<'_>, to: NodeId, table: TableId, talk: Talk) -> Option<Talk> {
        if let Talk::Buckets(range) | Talk::Keys { range, .. } = &talk
            && self.is_doomed(Place { table, range: *range })
        {
            return None;
        }
        match talk {
            Talk::Sums(theirs) => {
                let mut ranges = Vec::new();
                for (range, theirs) in theirs {
                    let place = Place { table, range };
                    if self.is_doomed(place) {
                        continue;
                    }
                    let here = self.summary(cx, place);
                    if here != theirs {
                        ranges.push((range, here, self.context(cx, place).clone()));
                    }
                }
                Some(Talk::Differ { ranges })
            }
            Talk::Buckets(range) => {
                let place = Place { table, range };
                let sums = self.sums(cx, place).buckets();
                Some(Talk::BucketSums { range, sums, context: self.context(cx, place).clone() })
            }
            Talk::Keys { range, buckets, from } => {
                let place = Place { table, range };
                let (keys, all) = sums::digests(cx.view(), place, &buckets, &from, limits::COMPARE_BYTES);
                Some(Talk::Digests { range, keys, more: !all, context: self.context(cx, place).clone() })
            }
            Talk::Acceptors { from } => Some(self.tell_acceptors(cx.view(), table, to, &from)),
            Talk::Differ { .. }
            | Talk::BucketSums { .. }
            | Talk::Digests { .. }
            | Talk::AcceptorsAre { .. }
            | Talk::Offer { .. }
            | Talk::Taken { .. } => None,
        }
    }

    /// The other answered.
    fn told(&mut self, cx: &mut Cx<'_>, number: u64, talk: Talk) {
        match talk {
            Talk::Differ { ranges } => self.differ_arrived(cx, number, ranges),
            Talk::BucketSums { range, sums, context } => self.buckets_arrived(cx, number, range, &sums, context),
            Talk::Digests { range, keys, more, context } => self.keys_arrived(cx, number, range, keys, more, &context),
            Talk::AcceptorsAre { list, next } => self.acceptors_arrived(cx, number, list, next),
            Talk::Sums(_)
            | Talk::Buckets(_)
            | Talk::Keys { .. }
            | Talk::Acceptors { .. }
            | Talk::Offer { .. }
            | Talk::Taken { .. } => {}
        }
    }

    fn acceptors_arrived(&mut self, cx: &mut Cx<'_>, number: u64, list: Vec<Told>, next: Option<(Range, Bytes)>) {
        let Some(table) = self.comparisons.get(&number).map(|comparison| comparison.table) else { return };
        self.take_over_acceptors(cx, table, list);
        if let Some(comparison) = self.comparisons.get_mut(&number) {
            comparison.acceptors = next;
        }
        self.compare_on(cx, number);
    }

    fn differ_arrived(&mut self, cx: &mut Cx<'_>, number: u64, ranges: Vec<(Range, Summary, Context)>) {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return };
        comparison.asked = 0;
        let table = comparison.table;
        for (range, theirs, context) in ranges {
            if !context.is_sound() {
                continue;
            }
            let place = Place { table, range };
            if self.summary(cx, place).sum == theirs.sum {
                // The cells are the same, so what is known beyond them is true here, too.
                self.learn_context(cx, place, &context);
            } else if let Some(comparison) = self.comparisons.get_mut(&number) {
                comparison.differ.push_back(range);
                self.progress.ranges_differed += 1;
            }
        }
        self.compare_on(cx, number);
    }

    fn buckets_arrived(&mut self, cx: &mut Cx<'_>, number: u64, range: Range, theirs: &[u64], context: Context) {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return };
        let (table, epoch, with) = (comparison.table, comparison.epoch, comparison.with);
        if comparison.now.is_some() || theirs.len() != sums::BUCKETS || !context.is_sound() {
            return;
        }
        comparison.asked = 0;
        let place = Place { table, range };
        let here = self.sums(cx, place).buckets();
        let pairs = here.iter().zip(theirs).enumerate();
        let buckets: Vec<u8> = pairs.filter(|(_, (here, theirs))| here != theirs).map(|(at, _)| at as u8).collect();
        if buckets.is_empty() {
            self.learn_context(cx, place, &context);
            return self.compare_on(cx, number);
        }
        let own = sums::digests(cx.view(), place, &buckets, &[], usize::MAX).0.into_iter().map(|(key, _)| key);
        let inside = Inside {
            range,
            context,
            buckets: buckets.clone(),
            keys: VecDeque::new(),
            asked: BTreeMap::new(),
            more: None,
            own: own.collect(),
            told: BTreeSet::new(),
            touched: BTreeSet::new(),
        };
        if let Some(comparison) = self.comparisons.get_mut(&number) {
            comparison.now = Some(inside);
        }
        self.say_talk(cx, with, number, (table, epoch), Talk::Keys { range, buckets, from: Bytes::new() });
    }

    fn keys_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        range: Range,
        keys: Vec<(Bytes, u64)>,
        more: bool,
        context: &Context,
    ) {
        let Some(comparison) = self.comparisons.get(&number) else { return };
        let Some(inside) = comparison.now.as_ref().filter(|inside| inside.range == range) else { return };
        if !context.is_sound() || keys.iter().any(|(key, _)| !inside.buckets.contains(&(bucket(key) as u8))) {
            return;
        }
        let place = Place { table: comparison.table, range };
        let next = keys.last().map(|(key, _)| [&key[..], &[0]].concat()).filter(|_| more).map(Bytes::from);
        // What the other does not name, up to where its list goes on, it does not hold.
        let named: BTreeSet<&Bytes> = keys.iter().map(|(key, _)| key).collect();
        let in_list = |key: &&Bytes| next.as_ref().is_none_or(|next| *key < next);
        let absent: Vec<Bytes> =
            inside.own.iter().filter(in_list).filter(|key| !named.contains(key)).cloned().collect();
        self.told_of(number, &absent);
        for key in absent {
            let spot = Spot { place, key };
            let state = State { context: context.clone(), ..State::nothing(self.kind(&spot)) };
            self.take(cx, &spot, &state);
        }
        let mut differ = VecDeque::new();
        for (key, theirs) in keys {
            let spot = Spot { place, key };
            if digest_of(&self.record(cx, &spot).cell) != theirs {
                differ.push_back(spot.key);
            }
        }
        let Some(inside) = self.comparisons.get_mut(&number).and_then(|comparison| comparison.now.as_mut()) else {
            return;
        };
        inside.own.retain(|key| next.as_ref().is_some_and(|next| key >= next));
        inside.keys.extend(differ);
        inside.more = next;
        self.read_keys(cx, number);
    }

    /// Reads keys that differ; when none are left, asks for more of the list; at its end, the range is done.
    fn read_keys(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return };
        comparison.until = cx.now().mono.after_ms(PATIENCE_MS);
        let (table, epoch, with) = (comparison.table, comparison.epoch, comparison.with);
        let Some(inside) = &mut comparison.now else { return };
        let mut ask = Vec::new();
        while inside.asked.len() < KEYS_AT_ONCE
            && let Some(key) = inside.keys.pop_front()
        {
            self.next_round += 1;
            inside.asked.insert(self.next_round, key.clone());
            ask.push((self.next_round, key));
        }
        if ask.is_empty() && inside.asked.is_empty() && inside.more.is_none() && !inside.touched.is_empty() {
            inside.keys.extend(core::mem::take(&mut inside.touched));
            return self.read_keys(cx, number);
        }
        if ask.is_empty() && inside.asked.is_empty() {
            let range = inside.range;
            if let Some(from) = inside.more.take() {
                let talk = Talk::Keys { range, buckets: inside.buckets.clone(), from };
                return self.say_talk(cx, with, number, (table, epoch), talk);
            }
            let Some(inside) = comparison.now.take() else { return };
            self.learn_context(cx, Place { table, range }, &inside.context);
            return self.compare_on(cx, number);
        }
        for (round, key) in ask {
            self.fetching.insert(round, number);
            let target = super::message::Target { table, epoch, key };
            // No cell has this digest but by chance; then it is read by the next comparison.
            self.say(cx, with, round, Body::Get { target, digest: 0, durable: false, version: 0 });
        }
    }

    /// A key that differs was told. False if the number is none of a comparison.
    pub(super) fn fetched(&mut self, cx: &mut Cx<'_>, from: NodeId, round: u64, body: &Body) -> bool {
        let Some(&number) = self.fetching.get(&round) else { return false };
        let Body::Held { cell, context } = body else { return true };
        let Some(comparison) = self.comparisons.get_mut(&number).filter(|comparison| comparison.with == from) else {
            return true;
        };
        let Some(inside) = &mut comparison.now else { return true };
        let Some(key) = inside.asked.remove(&round) else { return true };
        self.fetching.remove(&round);
        inside.told.insert(key.clone());
        let spot = Spot { place: Place { table: comparison.table, range: inside.range }, key };
        if let Some(cell) = cell {
            let state = State { cell: cell.clone(), context: context.clone() };
            if state.is_sound(self.kind(&spot)) {
                self.take(cx, &spot, &state);
            }
        }
        self.read_keys(cx, number);
        true
    }

    fn told_of(&mut self, number: u64, keys: &[Bytes]) {
        if let Some(inside) = self.comparisons.get_mut(&number).and_then(|comparison| comparison.now.as_mut()) {
            inside.told.extend(keys.iter().cloned());
        }
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
    fn learn_context(&mut self, cx: &mut Cx<'_>, place: Place, context: &Context) {
        let mut both = self.context(cx, place).clone();
        if both.covers(context) {
            return;
        }
        both.join(context);
        self.keep_context(cx, place, both);
    }

    pub(super) fn summary(&mut self, cx: &Cx<'_>, place: Place) -> Summary {
        let sum = self.sums(cx, place).total();
        Summary { sum, context: sums::of_context(self.context(cx, place)) }
    }

    fn sums(&mut self, cx: &Cx<'_>, place: Place) -> &Sums {
        let mutants = self.config.mutants;
        let held = self.range_mut(cx, place);
        held.sums.get_or_insert_with(|| Sums::of(cx.view(), place, mutants))
    }

    /// Gives up comparisons that nobody answers, or whose table moved.
    pub(super) fn end_comparisons(&mut self, now: Mono) {
        let tables = &self.tables;
        let mut ended = Vec::new();
        self.comparisons.retain(|_, comparison| {
            let same = tables.get(&comparison.table).is_some_and(|table| table.epoch == comparison.epoch);
            let goes_on = same && comparison.until > now;
            ended.extend((!goes_on).then_some((comparison.table, comparison.with)));
            goes_on
        });
        for (table, with) in ended {
            self.gave_up(table, with);
        }
        let comparisons = &self.comparisons;
        self.fetching.retain(|_, number| comparisons.contains_key(number));
    }

    /// Begins the next comparison of the turn, if it is time.
    pub(super) fn compare_in_turn(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        if now < self.compare_at {
            return;
        }
        self.compare_at = now.after_ms(self.config.compare_ms);
        self.end_comparisons(now);
        if self.config.compare_ms == 0 || self.config.mutants.has(Mutant::NeverCompares) {
            return;
        }
        let pairs = self.pairs();
        if pairs.is_empty() {
            return;
        }
        let (table, with) = pairs[(self.compare_turn % pairs.len() as u64) as usize];
        self.compare_turn += 1;
        self.compare(cx, table, with);
    }
}
