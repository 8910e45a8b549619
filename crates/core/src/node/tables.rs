//! What the node knows of tables that were made at run time: the catalogue, read again whenever it may have changed.

use super::seat::{Call, Origin, Seat};
use super::{Cx, Message, Node, wrap};
use crate::catalogue::{CATALOGUE_GROUP, Catalogue, FIRST_TABLE};
use crate::clock::Actor;
use crate::consensus::Payload;
use crate::guarantee::{Session, Want};
use crate::machine::{Mono, NodeId};
use crate::operation::{Batch, Operate, Refusal, TableId};
use crate::state::{self, Space, command};
use crate::store::{View, drawer};
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;

/// A node that was not yet given what it asks of the log asks again after this, in milliseconds.
const AGAIN_MS: u32 = 1_000;
/// On disk: the number of the life that this node was given last, u32.
const LIFE: [u8; 2] = [drawer::NODE, 1];
/// On disk: the newest catalogue that another node told, for a node whose own log is behind or is none.
const HEARD: [u8; 2] = [drawer::NODE, 2];

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
    /// The life that the disk knows; 0 if none.
    last: u32,
    /// When the log is told next that this node has compared what a movement asks of it.
    tell_at: Mono,
}

impl Tables {
    pub(super) fn boot(seat: Option<&Seat>, disk: &dyn View) -> Tables {
        let space = seat.map(|seat| seat.group.space());
        let applied = space.map_or_else(Catalogue::default, |space| state::catalogue(disk, space));
        let heard = disk.get(&HEARD).and_then(|bytes| Catalogue::decode(&bytes)).unwrap_or_default();
        let last = disk.get(&LIFE).and_then(|bytes| (*bytes).try_into().ok()).map_or(0, u32::from_be_bytes);
        Tables {
            catalogue: if heard.version() > applied.version() { heard } else { applied },
            changed: false,
            space,
            unheard: Vec::new(),
            claim: None,
            ask_at: Mono::default(),
            last,
            tell_at: Mono::default(),
        }
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
        let applied = state::catalogue(cx.view(), space);
        // Another node may have told a newer one.
        if applied.version() >= self.tables.catalogue.version() {
            self.take_catalogue(cx, applied);
        }
    }

    /// Another node tells the catalogue. It was committed, so it is true here, too.
    pub(super) fn catalogue_arrived(&mut self, cx: &mut Cx<'_>, bytes: &Bytes) {
        let Some(heard) = Catalogue::decode(bytes) else { return };
        if heard.version() > self.tables.catalogue.version() {
            cx.put(&HEARD, bytes);
            self.take_catalogue(cx, heard);
        }
    }

    /// Asks a node that knows a newer catalogue for it. Those whose log holds it hear of most changes before they could ask.
    pub(super) fn ask_for_catalogue(&mut self, cx: &mut Cx<'_>) {
        if let Some(node) = self.health.knows_newer(self.tables.catalogue.version()) {
            cx.send(node, Message::AskCatalogue);
        }
    }

    fn take_catalogue(&mut self, cx: &mut Cx<'_>, catalogue: Catalogue) {
        self.tables.catalogue = catalogue;
        let members: Vec<NodeId> = self.tables.catalogue.members().keys().copied().collect();
        self.health.meet(members.into_iter().chain(self.config.members.iter().copied()));
        if let Some(actor) = self.actor().filter(|actor| actor.incarnation != self.tables.last) {
            self.tables.last = actor.incarnation;
            cx.put(&LIFE, &actor.incarnation.to_be_bytes());
            cx.hurry();
        }
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
        self.tables.ask_at = now.after_ms(AGAIN_MS.into());
        let claim = *self.tables.claim.get_or_insert_with(|| cx.random());
        let number = |number: u64| Bytes::from(number.to_string());
        let (node, last) = (number(self.config.node.0.into()), number(self.tables.last.into()));
        self.say_in_log(cx, &[Bytes::from_static(b"TABLE.LIFE"), node, number(claim), last]);
    }

    /// Tells the log of the tables for which this node has compared what a movement asks of it, again until that is known.
    pub(super) fn tell_caught_up(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        if now < self.tables.tell_at {
            return;
        }
        let caught = self.leaderless.caught_up();
        if caught.is_empty() {
            return;
        }
        self.tables.tell_at = now.after_ms(AGAIN_MS.into());
        for (table, epoch) in caught {
            let number = |number: u64| Bytes::from(number.to_string());
            let (table, node) = (number(table.0.into()), number(self.config.node.0.into()));
            self.say_in_log(cx, &[Bytes::from_static(b"TABLE.CAUGHT"), table, number(epoch), node]);
        }
    }

    /// When the log is told next that this node has compared.
    pub(super) fn telling_due(&self) -> Option<Mono> {
        (!self.leaderless.caught_up().is_empty()).then_some(self.tables.tell_at)
    }

    fn say_in_log(&mut self, cx: &mut Cx<'_>, words: &[Bytes]) {
        let operate = Operate {
            batch: batch(TableId::default(), words),
            want: Want::default(),
            session: Session::default(),
            seen: None,
            after_own_writes: false,
            deadline_ms: AGAIN_MS,
        };
        self.accept(cx, Origin::Node, operate, Some(CATALOGUE_GROUP));
    }

    /// Who the members and the voters are by the configuration, as words.
    fn founders(&self) -> [Bytes; 2] {
        [state::nodes_word(&self.config.members), state::nodes_word(&self.config.voters)]
    }

    /// Adds to a command that makes a table or is about members who they are by the configuration.
    pub(super) fn say_founders(&self, batch: &mut Batch) {
        let [words] = &mut batch.commands[..] else { return };
        let Some(spec) = words.first().and_then(|name| command::find(name)) else { return };
        if matches!(spec.name, "TABLE.CREATE" | "MEMBER.SET" | "MEMBER.FORGET") {
            words.push(Bytes::from_static(state::FOUNDERS));
            words.extend(self.founders());
        }
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
