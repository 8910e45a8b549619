//! How much of a node data on the move may take. What moves goes in small pieces: one question and its answer, or some deletions, until what was
//! written is durable. While clients are served, the node rests after each piece, the longer the longer the piece took: so all that
//! moves here takes no more than its share of the time of network and disk, however fast or busy these are.

use super::{Cx, Leaderless};
use crate::machine::{Mono, Wake};
use crate::store::Seq;

/// Clients count as served for this long after an operation, in milliseconds.
const BUSY_MS: u64 = 100;

/// Where work in pieces stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// A question is open since then.
    Works { since: Mono },
    /// What a step could count is counted; it goes on when the node is woken.
    Counts { since: Mono },
    /// What was found becomes durable.
    Syncs { since: Mono, upto: Seq },
    /// The next piece begins then.
    Rests { until: Mono },
}

impl Pace {
    /// A piece is done but for the disk.
    pub(super) fn done(self, cx: &mut Cx<'_>, synced: Seq) -> Pace {
        let now = cx.now().mono;
        let since = match self {
            Pace::Works { since } | Pace::Counts { since } | Pace::Syncs { since, .. } => since,
            Pace::Rests { .. } => now,
        };
        if cx.after() > synced {
            // Else it would be synced at leisure, and all that time would count.
            cx.hurry();
        }
        Pace::Syncs { since, upto: cx.after() }
    }

    /// When the node must be woken for it.
    pub(super) fn wake(self) -> Option<Mono> {
        match self {
            Pace::Works { .. } | Pace::Syncs { .. } => None,
            Pace::Counts { .. } => Some(Mono(0)),
            Pace::Rests { until } => Some(until),
        }
    }

    /// May the next piece begin?
    pub(super) fn is_rested(self, now: Mono) -> bool {
        match self {
            Pace::Rests { until } => until <= now,
            Pace::Works { .. } | Pace::Counts { .. } | Pace::Syncs { .. } => false,
        }
    }
}

impl Leaderless {
    /// A client is served by this node, whatever the table.
    pub fn serves(&mut self, now: Mono) {
        self.busy_until = now.after_ms(BUSY_MS);
    }

    /// Goes on with a piece that is durable now, or counted: a rest begins, or ends.
    pub(super) fn paced(&self, now: Mono, pace: Pace) -> Pace {
        let since = match pace {
            Pace::Counts { since } => since,
            Pace::Syncs { since, upto } if upto <= self.synced => since,
            Pace::Syncs { .. } | Pace::Works { .. } | Pace::Rests { .. } => return pace,
        };
        let share = u64::from(self.config.share_percent.clamp(1, 100));
        // All that moves at the same time shares it.
        let several = 100 * (self.comparisons.len() as u64).max(1);
        let took = now.0.saturating_sub(since.0);
        let rest = if now < self.busy_until { took * (several - share) / share } else { 0 };
        Pace::Rests { until: now.after_us(rest) }
    }

    /// The answer to a question of a comparison was taken in.
    pub(super) fn piece_done(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(comparison) = self.comparisons.get_mut(&number) else { return };
        comparison.pace = comparison.pace.done(cx, self.synced);
        self.pace_on(cx, number);
    }

    /// Goes on with a comparison unless it waits for something.
    fn pace_on(&mut self, cx: &mut Cx<'_>, number: u64) {
        let now = cx.now().mono;
        let Some(pace) = self.comparisons.get(&number).map(|comparison| self.paced(now, comparison.pace)) else {
            return;
        };
        if let Some(comparison) = self.comparisons.get_mut(&number) {
            comparison.pace = pace;
        }
        if pace.is_rested(now) {
            self.compare_on(cx, number);
        }
    }

    /// Time passed, or something became durable.
    pub(super) fn pace_all(&mut self, cx: &mut Cx<'_>) {
        let mut last = 0;
        while let Some((&number, _)) = self.comparisons.range(last + 1..).next() {
            last = number;
            self.pace_on(cx, number);
        }
    }

    /// When [`Leaderless::pace_all`] is wanted.
    pub(super) fn pace_wake(&self) -> Option<Wake> {
        let at = self.comparisons.values().filter_map(|comparison| comparison.pace.wake()).min();
        at.map(|at| Wake { at, why: "compare on" })
    }
}
