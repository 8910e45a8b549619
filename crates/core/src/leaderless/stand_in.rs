//! Sloppy quorums, where an operation asks for them: a node that is no replica takes a write in place of one that does not answer, and gives
//! it to that one when it can. No read asks a stand-in, so its answer counts for the acknowledgement and for nothing else.
//!
//! | key | value |
//! |---|---|
//! | `[3, 5, target u16, table u16, range u16, key…]` | the state to give, all of it changes that were taken here |

use super::message::{Body, Message, Round as RoundId, Target};
use super::record::State;
use super::replica::Spot;
use super::{Cx, Leaderless, hint};
use crate::crdt::{AnyCell, Delta};
use crate::limits;
use crate::machine::NodeId;
use crate::store::{View, after_prefix, drawer};
use alloc::vec::Vec;

pub(super) const STAND_IN: u8 = 5;
/// States that are given to one node at the same time.
const AT_ONCE: usize = 32;

impl Leaderless {
    /// The nodes that could stand in: those that hold no replica of the key, the nearest first.
    pub(super) fn stand_ins_for(&self, replicas: &[NodeId]) -> Vec<NodeId> {
        let first = replicas.first().map_or(0, |node| node.0);
        let mut others: Vec<NodeId> = self.members.iter().copied().filter(|node| !replicas.contains(node)).collect();
        // Each owner begins at another one, so that one node is not the stand-in of all.
        others.sort_by_key(|node| (node.0 < first, node.0));
        others
    }

    /// This node takes a write in place of a replica.
    pub(super) fn stand_in(
        &mut self,
        cx: &mut Cx<'_>,
        (from, round): (NodeId, RoundId),
        target: &Target,
        missing: NodeId,
        delta: Delta<AnyCell>,
    ) {
        let Some(table) = self.tables.get(&target.table) else { return };
        if table.epoch != target.epoch || self.standing >= limits::HINTS {
            return cx.send(from, Message { round, body: Body::Fenced { epoch: table.epoch } });
        }
        let spot = Spot { place: table.place(target.table, &target.key), key: target.key.clone() };
        let alone = State { cell: delta.cell, context: delta.context };
        if !alone.is_sound(self.kind(&spot)) {
            return;
        }
        let key = hint::key_of(STAND_IN, missing, &spot);
        let mut held = match cx.get(&key) {
            Some(bytes) => postcard::from_bytes(&bytes).expect("a state on disk decodes"),
            None => {
                self.standing += 1;
                State::nothing(self.kind(&spot))
            }
        };
        held.join(&alone);
        cx.put(&key, &postcard::to_allocvec(&held).expect("states always encode"));
        cx.send_synced(from, Message { round, body: Body::Stood { missing } });
    }

    /// Gives what was taken in place of others to them, a few states at a time.
    pub(super) fn give_back(&mut self, cx: &mut Cx<'_>) {
        if self.standing == 0 {
            return;
        }
        let prefix = [drawer::LEADERLESS, STAND_IN];
        let mut some: Vec<(NodeId, Spot, State)> = Vec::new();
        cx.view().scan(&prefix, &after_prefix(&prefix), &mut |key, value| {
            if let Some((target, spot)) = hint::spot_of(key) {
                let many = some.iter().filter(|(other, ..)| *other == target).count() >= AT_ONCE;
                if !many {
                    some.push((target, spot, postcard::from_bytes(value).expect("a state on disk decodes")));
                }
            }
            true
        });
        for (target, spot, state) in some {
            let Some(epoch) = self.tables.get(&spot.place.table).map(|table| table.epoch) else { continue };
            self.next_round += 1;
            let number = self.next_round;
            let key = Target { table: spot.place.table, epoch, key: spot.key.clone() };
            self.giving.insert(number, (target, spot, state.clone()));
            let round = RoundId { incarnation: self.config.incarnation, number };
            cx.send(target, Message { round, body: Body::Mend { target: key, state } });
        }
    }

    /// What was given has arrived. False if the number is none of those.
    pub(super) fn given_back(&mut self, cx: &mut Cx<'_>, from: NodeId, number: u64, body: &Body) -> bool {
        let Some((target, spot, state)) = self.giving.get(&number).cloned() else { return false };
        if target == from && matches!(body, Body::Done { durable: true }) {
            self.giving.remove(&number);
            let key = hint::key_of(STAND_IN, target, &spot);
            // More may have been taken meanwhile.
            let same = cx.get(&key).is_some_and(|bytes| postcard::from_bytes(&bytes) == Ok(state));
            if same {
                cx.delete(&key);
                self.standing = self.standing.saturating_sub(1);
            }
        }
        true
    }
}

/// How many states this node holds for others.
pub(super) fn count(view: &dyn View) -> u64 {
    hint::count_of(view, STAND_IN)
}
