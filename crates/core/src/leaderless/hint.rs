//! Hints: a write that a replica did not confirm is owed to it. What is kept is the name of the key and for whom; what is delivered is the
//! state of that moment, so that an old hint never brings an old value.
//!
//! | key | value |
//! |---|---|
//! | `[3, 3, target u16, table u16, range u16, key…]` | the epoch of the table, u64 |
//!
//! Hints are bounded in number, and delivered a few at a time. One whose table moved is delivered only if its target still holds the key: a
//! node that no longer does would keep what nobody repairs.

use super::message::{Body, Target};
use super::replica::Spot;
use super::{Cx, Leaderless};
use crate::limits;
use crate::machine::NodeId;
use crate::mutant::Mutant;

pub(super) const HINT: u8 = 3;
/// Hints are looked at this often, in milliseconds.
pub(super) const EVERY_MS: u64 = 1_000;

impl Leaderless {
    /// A replica did not confirm a write: it is owed to it.
    pub(super) fn owe(&mut self, cx: &mut Cx<'_>, target: NodeId, spot: &Spot, epoch: u64) {
        if !self.config.hints {
            return;
        }
        let key = self.debt.key(target, spot);
        // What is on its way is older than this.
        self.delivering.retain(|_, (to, on_its_way)| *to != target || on_its_way != spot);
        if cx.get(&key).is_none() {
            if self.debt.total() >= limits::HINTS {
                self.progress.hints_dropped += 1;
                return;
            }
            self.debt.add(target);
        }
        cx.put(&key, &epoch.to_be_bytes());
    }

    /// Delivers some hints to each node that is owed something, if it is time.
    pub(super) fn deliver_hints(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        if now < self.hints_at {
            return;
        }
        self.hints_at = now.after_ms(EVERY_MS);
        self.giving.clear();
        self.give_back(cx);
        self.delivering.clear();
        for (target, spot, value) in self.debt.first(cx.view()) {
            self.deliver(cx, target, spot, &value);
        }
    }

    fn deliver(&mut self, cx: &mut Cx<'_>, target: NodeId, spot: Spot, value: &[u8]) {
        let table = self.tables.get(&spot.place.table);
        let holds = table.is_some_and(|table| table.takes_part(spot.place.range, target));
        let ours = table.is_some_and(|table| table.takes_part(spot.place.range, self.config.node));
        let replayed = self.config.mutants.has(Mutant::HintReplayed);
        let Some(now) = table.map(|table| table.epoch).filter(|_| ours && (holds || replayed)) else {
            return self.paid(cx, target, &spot);
        };
        let owed_at = value.try_into().map_or(0, u64::from_be_bytes);
        let epoch = if replayed { owed_at } else { now };
        let state = self.state(cx, &spot);
        self.next_round += 1;
        let number = self.next_round;
        let key = Target { table: spot.place.table, epoch, key: spot.key.clone() };
        self.delivering.insert(number, (target, spot));
        self.say(cx, target, number, Body::Mend { target: key, state });
    }

    /// The target has it, or nobody is owed it any more.
    fn paid(&mut self, cx: &mut Cx<'_>, target: NodeId, spot: &Spot) {
        let key = self.debt.key(target, spot);
        if cx.get(&key).is_some() {
            cx.delete(&key);
            self.debt.remove(target);
        }
    }

    /// A hint arrived. False if the number is none of a hint.
    pub(super) fn hint_done(&mut self, cx: &mut Cx<'_>, from: NodeId, number: u64, body: &Body) -> bool {
        let Some((target, spot)) = self.delivering.get(&number).cloned() else { return false };
        if target == from && matches!(body, Body::Done { durable: true }) {
            self.delivering.remove(&number);
            self.paid(cx, target, &spot);
            self.progress.hints_delivered += 1;
        }
        true
    }
}
