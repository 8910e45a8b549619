//! What the node knows of tables that were made at run time: the catalogue, read again whenever it may have changed.

use super::seat::{Call, Origin, Seat};
use super::{Cx, Node, wrap};
use crate::catalogue::{CATALOGUE_GROUP, Catalogue, FIRST_TABLE};
use crate::clock::Actor;
use crate::consensus::Payload;
use crate::guarantee::{Session, Want};
use crate::machine::Mono;
use crate::operation::{Batch, Operate, Refusal, TableId};
use crate::state::{self, Space, command};
use crate::store::View;
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;

/// A node that was not yet given its life asks again after this, in milliseconds.
const LIFE_AGAIN_MS: u32 = 1_000;

/// What this node knows of the catalogue.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) catalogue: Catalogue,
    /// The record was changed since it was read.
    changed: bool,
    /// The space from which it was read: a snapshot that is installed brings another.
    space: Option<Space>,
    /// Calls for tables that this node has not heard of yet. The numbers come from the catalogue, so it will.
    pub(super) unheard: Vec<Call>,
    /// What this node says when it asks for a life.
    claim: Option<u64>,
    /// When it asks next.
    ask_at: Mono,
}

impl Tables {
    pub(super) fn boot(seat: Option<&Seat>, disk: &dyn View) -> Tables {
        let space = seat.map(|seat| seat.group.space());
        let catalogue = space.map_or_else(Catalogue::default, |space| state::catalogue(disk, space));
        Tables { catalogue, changed: false, space, unheard: Vec::new(), claim: None, ask_at: Mono::default() }
    }

    /// A batch was applied.
    pub(super) fn applied(&mut self, batch: &Batch) {
        // Commands about tables come alone.
        if let [words] = &batch.commands[..] {
            let spec = words.first().and_then(|name| command::find(name));
            self.changed |= spec.is_some_and(|spec| spec.family == state::TABLE_FAMILY);
        }
    }

    fn any_leaderless(&self) -> bool {
        self.catalogue.tables().any(|(_, spec)| spec.shape.leaderless().is_some())
    }
}

impl Node {
    /// The tables that were made at run time and the lives of the nodes, as far as this node has applied them.
    pub fn catalogue(&self) -> &Catalogue {
        &self.tables.catalogue
    }

    /// As whom this node writes to leaderless tables. `None` until it was given a life, which is only asked for while
    /// there is a leaderless table.
    pub fn actor(&self) -> Option<Actor> {
        self.tables.catalogue.actor(self.config.node, self.tables.claim?)
    }

    /// Group `id` moved on: reads the catalogue again if it may be another.
    pub(super) fn heed_catalogue(&mut self, cx: &mut Cx<'_>, id: u16) {
        let Some(seat) = self.seats.get(&id).filter(|_| id == CATALOGUE_GROUP) else { return };
        let space = seat.group.space();
        if !self.tables.changed && self.tables.space == Some(space) {
            return;
        }
        self.tables.changed = false;
        self.tables.space = Some(space);
        self.tables.catalogue = state::catalogue(cx.view(), space);
        self.tell_leaderless(cx.now().mono);
        self.settle_replicas(cx);
        for call in core::mem::take(&mut self.tables.unheard) {
            self.route(cx, call);
        }
        for id in self.seats.keys().copied().collect::<Vec<_>>() {
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.leftovers = true;
            }
            self.free_leftovers(cx, id);
        }
    }

    /// Frees what removed tables left in a group that this node leads. The leader of each group does that when the table
    /// is removed, when it begins to lead, and when a write arrives that was on its way; so no crash loses it.
    pub(super) fn free_leftovers(&mut self, cx: &mut Cx<'_>, id: u16) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        if !seat.leftovers || !seat.group.accepts() {
            return;
        }
        seat.leftovers = false;
        let tables = state::tables_with_keys(cx.view(), seat.group.space(), TableId(FIRST_TABLE));
        for table in tables.into_iter().filter(|&table| self.tables.catalogue.was_removed(table)) {
            let batch = batch(table, &[Bytes::from_static(b"FLUSHDB")]);
            let proposed =
                cx.within(wrap(id), |cx| seat.group.propose(cx, Payload::Batch(Bytes::from(batch.encode()))));
            seat.leftovers |= proposed.is_none();
        }
    }

    /// When this node asks for a life next: only while it needs one.
    pub(super) fn life_due(&self) -> Option<Mono> {
        (self.tables.any_leaderless() && self.actor().is_none()).then_some(self.tables.ask_at)
    }

    /// Asks the log for a new life, again until it is given. Twice asked is once given.
    pub(super) fn ask_for_life(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        if self.life_due().is_none_or(|at| at > now) {
            return;
        }
        self.tables.ask_at = now.after_ms(LIFE_AGAIN_MS.into());
        let claim = *self.tables.claim.get_or_insert_with(|| cx.random());
        let node = Bytes::from(self.config.node.0.to_string());
        let words = [Bytes::from_static(b"TABLE.LIFE"), node, Bytes::from(claim.to_string())];
        let operate = Operate {
            batch: batch(TableId::default(), &words),
            want: Want::default(),
            session: Session::default(),
            seen: None,
            after_own_writes: false,
            deadline_ms: LIFE_AGAIN_MS,
        };
        self.accept(cx, Origin::Node, operate, Some(CATALOGUE_GROUP));
    }

    /// Answers the calls whose deadline passed while this node had not heard of their table.
    pub(super) fn sweep_unheard(&mut self, cx: &mut Cx<'_>, now: Mono) {
        let (late, waiting): (Vec<Call>, Vec<Call>) =
            core::mem::take(&mut self.tables.unheard).into_iter().partition(|call| call.until <= now);
        self.tables.unheard = waiting;
        for call in late {
            self.refuse(cx, call, Refusal::Behind);
        }
    }
}

fn batch(table: TableId, words: &[Bytes]) -> Batch {
    Batch { table, guards: Vec::new(), idempotency: None, commands: alloc::vec![words.to_vec()], transaction: false }
}
