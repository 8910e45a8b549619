//! Comparison in the background: a replica asks another what it holds of their common ranges, and takes in what differs.
//!
//! The one who asks sends the sums of its ranges; the other answers where its own differ (`tell.rs`). Of a range that differs the sums of buckets are
//! compared, then the digests of keys in those buckets, then the keys that differ are read. At the end the context that the other had
//! at the beginning is joined: whatever it knew then is here now, as data or as their absence. So events that
//! left no data are learned as well, and holes close. A replica that catches up asks for Paxos acceptors, too. But for it nothing waits for a comparison; one that is not answered is given up.
//! One thing is asked at a time, small enough for one step, and then the node rests (`pace.rs`).

use super::message::{Body, Round as RoundId};
use super::pace::Pace;
use super::record::Place;
use super::sums::{self, Sums};
use super::talk::{Summary, Talk};
use super::{Cx, Leaderless};
use crate::clock::Context;
use crate::limits;
use crate::machine::{Mono, NodeId};
use crate::mutant::Mutant;
use crate::operation::TableId;
use crate::placement::Range;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// Ranges whose sums travel in one message.
const RANGES_TOLD: usize = 128;
/// A comparison that was not answered for this long is given up, in milliseconds.
const PATIENCE_MS: u64 = 2_000;
/// Keys that are read at the same time.
const KEYS_AT_ONCE: usize = 64;

/// A comparison on its way: this node asks.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) table: TableId,
    pub(super) epoch: u64,
    pub(super) with: NodeId,
    /// Ranges that both hold.
    of: usize,
    /// Ranges that were not asked about.
    pub(super) ranges: VecDeque<Range>,
    /// Ranges that differ.
    pub(super) differ: VecDeque<Range>,
    /// The range that is looked into.
    pub(super) now: Option<Inside>,
    /// Where the list of acceptors goes on, if they are wanted.
    pub(super) acceptors: Option<(Range, Bytes)>,
    /// The other leaves these ranges, and waits for them to be taken.
    leaves: Vec<Range>,
    /// The question that is open, and when it is given up.
    pub(super) asked: Option<(u64, Asked)>,
    until: Mono,
    pub(super) pace: Pace,
}

/// A question that is open.
#[derive(Debug)]
pub(super) enum Asked {
    /// Of so many ranges.
    Sums(usize),
    Buckets(Range),
    Keys(Bytes),
    Read(Vec<Bytes>),
    Acceptors,
}

/// Looking into one range.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) range: Range,
    /// What the other knew when it told the sums of the buckets: known here once all that differs was read.
    pub(super) context: Context,
    pub(super) buckets: Vec<u8>,
    /// Keys that differ and are still to be read.
    pub(super) keys: VecDeque<Bytes>,
    /// Where the list of keys goes on.
    pub(super) from: Option<Bytes>,
    /// Keys whose state the other told: what changes them later is joined with that knowledge.
    pub(super) told: BTreeSet<Bytes>,
    /// Other keys that changed here since the sums were compared. The other may have known that what came late was removed.
    pub(super) touched: BTreeSet<Bytes>,
}

/// What a comparison does next.
enum Next {
    Ask(Asked, Talk),
    /// Own sums are still to be counted.
    Count,
    End,
}

impl Comparison {
    /// Does the other leave what is compared?
    pub(super) fn handed_over(&self) -> bool {
        !self.leaves.is_empty()
    }

    /// Ranges that are done, of all that both hold.
    pub(super) fn ranges_done(&self) -> (u32, u32) {
        let asked = match &self.asked {
            Some((_, Asked::Sums(ranges))) => *ranges,
            Some((_, Asked::Buckets(_))) => 1,
            Some((_, Asked::Keys(_) | Asked::Read(_) | Asked::Acceptors)) | None => 0,
        };
        let left = self.ranges.len() + asked + self.differ.len() + usize::from(self.now.is_some());
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
            differ: VecDeque::new(),
            now: None,
            asked: None,
            until: Mono(0),
            pace: Pace::Works { since: cx.now().mono },
        };
        self.next_round += 1;
        let number = self.next_round;
        self.comparisons.insert(number, comparison);
        self.compare_on(cx, number);
    }

    /// Asks the next thing of a comparison, or ends it.
    pub(super) fn compare_on(&mut self, cx: &mut Cx<'_>, number: u64) {
        let next = self.next_of(cx, number);
        let now = cx.now().mono;
        let Some(comparison) = self.comparisons.get_mut(&number) else { return };
        match next {
            Next::End => self.compared_all(cx, number),
            Next::Count => comparison.pace = Pace::Counts { since: now },
            Next::Ask(asked, talk) => {
                self.next_round += 1;
                comparison.asked = Some((self.next_round, asked));
                comparison.until = now.after_ms(PATIENCE_MS);
                comparison.pace = Pace::Works { since: now };
                let (table, epoch, with) = (comparison.table, comparison.epoch, comparison.with);
                self.say(cx, with, self.next_round, Body::Compare { table, epoch, talk });
            }
        }
    }

    fn next_of(&mut self, cx: &mut Cx<'_>, number: u64) -> Next {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return Next::End };
        let table = comparison.table;
        if let Some(inside) = &mut comparison.now {
            let range = inside.range;
            if inside.keys.is_empty()
                && let Some(from) = inside.from.take()
            {
                let talk = Talk::Keys { range, buckets: inside.buckets.clone(), from: from.clone() };
                return Next::Ask(Asked::Keys(from), talk);
            }
            if inside.keys.is_empty() {
                inside.keys.extend(core::mem::take(&mut inside.touched));
            }
            let keys: Vec<Bytes> = inside.keys.drain(..inside.keys.len().min(KEYS_AT_ONCE)).collect();
            if !keys.is_empty() {
                return Next::Ask(Asked::Read(keys.clone()), Talk::Read { range, keys });
            }
            let context = core::mem::take(&mut inside.context);
            comparison.now = None;
            self.learn_context(cx, Place { table, range }, &context);
        }
        let Some(comparison) = self.comparisons.get_mut(&number) else { return Next::End };
        if let Some(range) = comparison.differ.pop_front() {
            return Next::Ask(Asked::Buckets(range), Talk::Buckets(range));
        }
        let mut told = Vec::new();
        let mut most = limits::COMPARE_KEYS;
        while let Some(&range) = self.comparisons.get(&number).and_then(|comparison| comparison.ranges.front())
            && told.len() < RANGES_TOLD
        {
            let Some(summary) = self.summary(cx, Place { table, range }, &mut most) else { break };
            told.push((range, summary));
            if let Some(comparison) = self.comparisons.get_mut(&number) {
                comparison.ranges.pop_front();
            }
        }
        let Some(comparison) = self.comparisons.get_mut(&number) else { return Next::End };
        if !told.is_empty() {
            return Next::Ask(Asked::Sums(told.len()), Talk::Sums(told));
        }
        if !comparison.ranges.is_empty() {
            return Next::Count;
        }
        match comparison.acceptors.take() {
            Some(from) => Next::Ask(Asked::Acceptors, Talk::Acceptors { from }),
            None => Next::End,
        }
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

    /// What tells a range apart; none as long as its sums are not counted. So many keys may be counted for it in this step.
    pub(super) fn summary(&mut self, cx: &Cx<'_>, place: Place, most: &mut usize) -> Option<Summary> {
        let sum = self.sums(cx, place, most)?.total();
        Some(Summary { sum, context: sums::of_context(self.context(cx, place)) })
    }

    /// As [`Leaderless::summary`].
    pub(super) fn sums(&mut self, cx: &Cx<'_>, place: Place, most: &mut usize) -> Option<&Sums> {
        let mutants = self.config.mutants;
        let sums = self.range_mut(cx, place).sums.get_or_insert_with(Sums::begin);
        *most -= sums.count(cx.view(), place, *most, mutants);
        sums.is_counted().then_some(sums)
    }

    /// Gives up comparisons that nobody answers, or whose table moved.
    pub(super) fn end_comparisons(&mut self, now: Mono) {
        let tables = &self.tables;
        let mut ended = Vec::new();
        self.comparisons.retain(|_, comparison| {
            let same = tables.get(&comparison.table).is_some_and(|table| table.epoch == comparison.epoch);
            let goes_on = same && (comparison.asked.is_none() || comparison.until > now);
            ended.extend((!goes_on).then_some((comparison.table, comparison.with)));
            goes_on
        });
        for (table, with) in ended {
            self.gave_up(table, with);
        }
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
