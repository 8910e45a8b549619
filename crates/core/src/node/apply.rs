//! Applying: committed entries become state, and own entries become outcomes.

use super::seat::{Settling, Write};
use super::{Cx, Node, wrap};
use crate::consensus::{Entry, Payload};
use crate::guarantee::{Ack, Position};
use crate::limits;
use crate::machine::Mono;
use crate::mutant::Mutant;
use crate::operation::{Batch, Outcome, Refusal, Value};
use crate::state::{self, Applied, Stamp};

/// The next expiry is looked up at most this often, in milliseconds.
const EXPIRY_LOOK_MS: u64 = 10;
/// And at least this often while something will expire: a wall clock that was set right in between changes when.
const EXPIRY_LOOK_AGAIN_MS: u64 = 1_000;

impl Node {
    /// Applies committed entries, a bounded number per step.
    pub(super) fn apply(&mut self, cx: &mut Cx<'_>, id: u16) {
        let mut count = 0;
        while count < limits::APPLY_PER_STEP {
            let Some(seat) = self.seats.get_mut(&id) else { return };
            let Some((index, entry)) = seat.group.next_to_apply() else { break };
            let entry = entry.clone();
            count += 1;
            self.apply_entry(cx, id, index, &entry);
        }
        let Some(seat) = self.seats.get_mut(&id) else { return };
        if count > 0 {
            seat.expiry.stale = true;
            if self.config.mutants.has(Mutant::AppliedPositionNotAtomic) {
                seat.unwritten = true;
            } else {
                cx.within(wrap(id), |cx| seat.group.write_applied(cx));
            }
            if seat.group.next_to_apply().is_some() {
                seat.group.go_on();
            }
        }
    }

    fn apply_entry(&mut self, cx: &mut Cx<'_>, id: u16, index: u64, entry: &Entry) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let space = seat.group.space();
        let position = Position { group: id, term: entry.term, index };
        let stamp = Stamp::new(position, entry.time_ms, cx.now().wall.latest_ms)
            .with_steady(seat.group.steady_at(entry.time_ms));
        let applied = match &entry.payload {
            Payload::Nothing | Payload::Members(_) => None,
            Payload::Tick => {
                let own_ms = cx.now().wall.latest_ms;
                let own_clock = self.config.mutants.has(Mutant::SweepByOwnClock);
                let stamp = if own_clock { Stamp { time_ms: own_ms, ..stamp } } else { stamp };
                let more = state::sweep(&mut seat.group.holding(cx.store()), space, stamp);
                seat.expiry.due_at = more.then_some(cx.now().mono);
                None
            }
            Payload::Batch(bytes) => {
                let batch = Batch::decode(bytes).expect("a committed batch decodes");
                self.tables.applied(&batch);
                seat.leftovers |= self.tables.catalogue.was_removed(batch.table);
                Some(state::apply(&mut seat.group.holding(cx.store()), space, stamp, &batch, self.config.mutants))
            }
        };
        seat.group.mark_applied(index, entry.term, entry.time_ms);
        seat.not_early(index);
        if let Some(write) = seat.writes.remove(&index) {
            self.applied_own(cx, id, index, entry, write, applied);
        }
    }

    fn applied_own(
        &mut self,
        cx: &mut Cx<'_>,
        id: u16,
        index: u64,
        entry: &Entry,
        write: Write,
        applied: Option<Applied>,
    ) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let Some(Applied { value, replay_of }) = applied.filter(|_| write.term == entry.term) else {
            // Another leader's entry is committed in the place of ours, so ours never will be.
            let outcome = write.doubt.map_or(Outcome::Refused(Refusal::Superseded), Outcome::Unknown);
            return self.answer(cx, write.origin, outcome, write.session);
        };
        let held_by_all = seat.group.holders(index) == seat.group.members().counted().all();
        if write.want.ack() == Ack::All && !held_by_all && seat.group.leads() {
            seat.settling.insert(index, Settling { write, value, time_ms: entry.time_ms, replay_of });
        } else {
            self.finish_write(cx, id, index, write, value, entry.time_ms, replay_of);
        }
    }

    /// Proposes a tick when something expired, so that log time passes it.
    pub(super) fn expire(&mut self, cx: &mut Cx<'_>, id: u16) {
        let now = cx.now();
        let Some(seat) = self.seats.get_mut(&id) else { return };
        if !seat.group.leads() || seat.tick_on_its_way() {
            return;
        }
        let again = seat.expiry.due_at.is_some() && now.mono >= seat.expiry.look_at.after_ms(EXPIRY_LOOK_AGAIN_MS);
        if again || (seat.expiry.stale && now.mono >= seat.expiry.look_at) {
            seat.expiry.stale = false;
            seat.expiry.look_at = now.mono.after_ms(EXPIRY_LOOK_MS);
            let wall_ms = now.wall.shown_ms();
            let next = state::next_expiry(cx.view(), seat.group.space());
            seat.expiry.due_at = next.map(|at_ms| now.mono.after_ms(at_ms.saturating_sub(wall_ms)));
        }
        if seat.expiry.due_at.is_some_and(|at| now.mono >= at) && self.config.mutants.has(Mutant::ExpiryTickLost) {
            seat.expiry.due_at = None;
        }
        if seat.expiry.due_at.is_some_and(|at| now.mono >= at)
            && let Some(point) = cx.within(wrap(id), |cx| seat.group.propose(cx, Payload::Tick))
        {
            seat.expiry.tick = point;
            seat.expiry.due_at = None;
        }
    }
}

impl super::seat::Seat {
    /// When [`Node::expire`] has something to do.
    pub(super) fn expiry_at(&self) -> Option<Mono> {
        // A group that takes no entries now would only be woken again and again.
        if !self.group.accepts() || self.tick_on_its_way() {
            return None;
        }
        let look = self.expiry.stale.then_some(self.expiry.look_at);
        look.into_iter().chain(self.expiry.due_at).min()
    }

    /// A tick of an earlier leadership does not count: it may have been lost with that.
    fn tick_on_its_way(&self) -> bool {
        let tick = self.expiry.tick;
        tick.term == self.group.term() && tick.index > self.group.applied().at.index
    }
}

/// The reply of a command that is acknowledged before it is committed.
pub(super) const BLIND: Value = Value::OK;
