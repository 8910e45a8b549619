//! Sloppy quorums, where an operation asks for them: a node that is no replica takes a write in place of one that does not answer, and gives
//! it to that one when it can. No read asks a stand-in, so its answer counts for the acknowledgement and for nothing else.
//!
//! | key | value |
//! |---|---|
//! | `[3, 5, target u16, table u16, range u16, key…]` | the state to give, all of it changes that were taken here |

use super::message::{Body, Round as RoundId, Target};
use super::record::State;
use super::replica::Spot;
use super::{Cx, Leaderless};
use crate::crdt::{AnyCell, Delta};
use crate::limits;
use crate::machine::NodeId;
use alloc::vec::Vec;

pub(super) const STAND_IN: u8 = 5;

/// A state that was taken in place of a replica, on its way.
#[derive(Clone, Debug)]
pub(super) struct Giving {
    /// Who is given it.
    to: NodeId,
    /// In place of whom it was taken.
    target: NodeId,
    spot: Spot,
    state: State,
}

impl Leaderless {
    /// The nodes that could stand in: those that hold no replica of the key, the nearest first.
    pub(super) fn stand_ins_for(&self, replicas: &[NodeId]) -> Vec<NodeId> {
        let first = replicas.first().map_or(0, |node| node.0);
        let free = |node: &NodeId| *node != self.config.node && !replicas.contains(node);
        let mut others: Vec<NodeId> = self.members.iter().copied().filter(free).collect();
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
        if table.epoch != target.epoch || self.standing.total() >= limits::HINTS {
            return cx.send(from, self.signed(round, Body::Fenced { epoch: table.epoch }));
        }
        let spot = Spot { place: table.place(target.table, &target.key), key: target.key.clone() };
        let alone = State { cell: delta.cell, context: delta.context };
        if !alone.is_sound(self.kind(&spot)) {
            return;
        }
        let key = self.standing.key(missing, &spot);
        let mut held = match cx.get(&key) {
            Some(bytes) => postcard::from_bytes(&bytes).expect("a state on disk decodes"),
            None => {
                self.standing.add(missing);
                State::nothing(self.kind(&spot))
            }
        };
        held.join(&alone);
        cx.put(&key, &postcard::to_allocvec(&held).expect("states always encode"));
        cx.send_synced(from, self.signed(round, Body::Stood { missing }));
    }

    /// Gives what was taken in place of others to them, a few states at a time.
    pub(super) fn give_back(&mut self, cx: &mut Cx<'_>) {
        for (target, spot, value) in self.standing.first(cx.view()) {
            let Some(table) = self.tables.get(&spot.place.table) else { continue };
            let (epoch, replicas) = (table.epoch, table.replicas(&spot.key));
            // Who does not hold the key any more needs nothing; those who hold it now do.
            let holds = table.takes_part(spot.place.range, target);
            let to = if holds { Some(target) } else { replicas.first().copied() };
            let Some(to) = to else { continue };
            self.next_round += 1;
            let number = self.next_round;
            let key = Target { table: spot.place.table, epoch, key: spot.key.clone() };
            let state: State = postcard::from_bytes(&value).expect("a state on disk decodes");
            self.giving.insert(number, Giving { to, target, spot, state: state.clone() });
            self.say(cx, to, number, Body::Mend { target: key, state });
        }
    }

    /// What was given has arrived. False if the number is none of those.
    pub(super) fn given_back(&mut self, cx: &mut Cx<'_>, from: NodeId, number: u64, body: &Body) -> bool {
        let Some(Giving { to, target, spot, state }) = self.giving.get(&number).cloned() else { return false };
        if to == from && matches!(body, Body::Done { durable: true }) {
            self.giving.remove(&number);
            let key = self.standing.key(target, &spot);
            // More may have been taken meanwhile.
            let same = cx.get(&key).is_some_and(|bytes| postcard::from_bytes(&bytes) == Ok(state));
            if same {
                cx.delete(&key);
                self.standing.remove(target);
            }
        }
        true
    }
}
