//! The side that is asked in a comparison. It keeps nothing of it.

use super::message::{Body, Round};
use super::record::{self, Place, Record};
use super::sums::{self, Sums};
use super::talk::{Talk, ToldCell};
use super::{Cx, Leaderless};
use crate::limits;
use crate::machine::NodeId;
use crate::operation::TableId;
use alloc::vec::Vec;
use bytes::Bytes;

impl Leaderless {
    /// Another node says something in a comparison that it, or this node, began.
    pub(super) fn talked(
        &mut self,
        cx: &mut Cx<'_>,
        (from, round): (NodeId, Round),
        (table, epoch): (TableId, u64),
        talk: Talk,
    ) {
        if self.actor.is_none() || self.tables.get(&table).is_none_or(|known| known.epoch != epoch) {
            return;
        }
        match talk {
            Talk::Sums(_) | Talk::Buckets(_) | Talk::Keys { .. } | Talk::Read { .. } | Talk::Acceptors { .. } => {
                if let Some(answer) = self.tell(cx, from, table, talk) {
                    let body = Body::Compare { table, epoch, talk: answer };
                    cx.send(from, self.signed(round, body));
                }
            }
            Talk::Offer { ranges } => self.offered(cx, from, table, ranges),
            Talk::Taken { ranges } => self.taken(cx, from, table, &ranges),
            Talk::Differ { .. }
            | Talk::BucketSums { .. }
            | Talk::Digests { .. }
            | Talk::Cells { .. }
            | Talk::AcceptorsAre { .. } => {
                if round.incarnation == self.config.incarnation {
                    self.told(cx, from, round.number, talk);
                }
            }
        }
    }

    /// Answers one who compares; not at all about a range that is being deleted here.
    fn tell(&mut self, cx: &mut Cx<'_>, to: NodeId, table: TableId, talk: Talk) -> Option<Talk> {
        if let Talk::Buckets(range) | Talk::Keys { range, .. } | Talk::Read { range, .. } = &talk
            && self.is_doomed(Place { table, range: *range })
        {
            return None;
        }
        let mut most = limits::COMPARE_KEYS;
        match talk {
            Talk::Sums(theirs) => {
                let (mut ranges, mut later) = (Vec::new(), Vec::new());
                for (range, theirs) in theirs {
                    let place = Place { table, range };
                    if self.is_doomed(place) {
                        continue;
                    }
                    match self.summary(cx, place, &mut most) {
                        None => later.push(range),
                        Some(here) if here == theirs => {}
                        Some(here) => ranges.push((range, here, self.context(cx, place).clone())),
                    }
                }
                Some(Talk::Differ { ranges, later })
            }
            Talk::Buckets(range) => {
                let place = Place { table, range };
                let sums = self.sums(cx, place, &mut most).map(Sums::buckets)?;
                Some(Talk::BucketSums { sums, context: self.context(cx, place).clone() })
            }
            Talk::Keys { range, buckets, from } => {
                let place = Place { table, range };
                let (keys, next) = sums::digests(cx.view(), place, &buckets, &from, limits::COMPARE_BYTES);
                Some(Talk::Digests { keys, next, context: self.context(cx, place).clone() })
            }
            Talk::Read { range, keys } => {
                let place = Place { table, range };
                let cells = self.cells(cx, place, keys);
                Some(Talk::Cells { cells, context: self.context(cx, place).clone() })
            }
            Talk::Acceptors { from } => Some(self.tell_acceptors(cx.view(), table, to, &from)),
            Talk::Differ { .. }
            | Talk::BucketSums { .. }
            | Talk::Digests { .. }
            | Talk::Cells { .. }
            | Talk::AcceptorsAre { .. }
            | Talk::Offer { .. }
            | Talk::Taken { .. } => None,
        }
    }

    /// As many of these as fit, and one at least.
    fn cells(&self, cx: &Cx<'_>, place: Place, keys: Vec<Bytes>) -> Vec<ToldCell> {
        let kind = self.tables.get(&place.table).map(|known| known.spec.kind);
        let (mut cells, mut bytes) = (Vec::new(), 0);
        for key in keys {
            let stored = cx.get(&record::cell_key(place, &key));
            if bytes > limits::COMPARE_BYTES {
                break;
            }
            bytes += stored.as_ref().map_or(0, |stored| stored.len());
            let Some(record) = stored.map(|stored| Record::decode(&stored)).or(kind.map(Record::new)) else { break };
            cells.push(ToldCell { key, cell: record.cell, extra: record.extra });
        }
        cells
    }
}
