//! Rights to decrease bounded counters: where they are, and how those of ended lives come back (decision 0020).
//!
//! Rights belong to one life of a node. A decrease leaves before the own disk is synced, so a life that ended may have spent what its disk does
//! not tell, and more so if the disk was wiped or set back. The next life takes rights of an earlier one only when it has heard of the key from
//! *all* who may hold something of it (its replicas, and all members that may be leaving it), each in a life of its own and with the catalogue in which
//! the earlier life is over. From then on nobody can come to know of
//! a decrease or a gift of the earlier life that the next does not know:
//!
//! - What a life that is over said is not heard, so nothing that was on its way comes in any more (`Leaderless::message`).
//! - What is heard of a bounded counter is in the cell at once, so no round or proposal hides what an answer did not tell.
//! - A node without a life of its own takes no part: its catalogue may be an old one.
//! - No stand-in is given a decrease or a gift: it would be asked by nobody, and bring it home later.
//!
//! Where rights lack, the same round tells who has them; the node passes the call on to that one.

use super::change::Change;
use super::command::Action;
use super::message::Body;
use super::record::State;
use super::replica::Spot;
use super::round::{Phase, Round};
use super::{Cx, Leaderless};
use crate::clock::Actor;
use crate::crdt::{AnyCell, Bounded, Kind, Leaf};
use crate::guarantee::NodeSet;
use crate::machine::{Mono, NodeId};
use crate::mutant::Mutant;
use crate::operation::Refusal;
use alloc::format;
use alloc::vec::Vec;

/// Who lacks rights waits at most this long for what all replicas say, in milliseconds.
const SEEK_MS: u64 = 300;

/// A round that asks all replicas what they hold, for want of rights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seek {
    /// The catalogue that those who answer must know: by it their lives are told from earlier ones.
    pub(super) version: u64,
    /// Nobody is waited for after this.
    pub(super) until: Mono,
    /// It does without asking. Only a broken rule does.
    pub(super) over: bool,
    /// All have told.
    heard_all: bool,
    /// All who may hold something of the key: its replicas, and others that may have been that and leave it.
    asked: NodeSet,
    /// Those of them that told.
    told: NodeSet,
}

impl Seek {
    /// Those to be asked beside the ones that a read asks.
    pub(super) fn others(&self, round: &Round) -> NodeSet {
        self.asked.iter().filter(|&node| !self.told.contains(node) && !round.parts.readers.contains(node)).collect()
    }
}

/// What an operation does with rights.
struct Spend {
    amount: u64,
    /// Who gets them, if they are not used.
    to: Option<NodeId>,
}

/// Does it decrease a bounded counter, or give rights away?
pub(super) fn spends(action: &Action, kind: Kind) -> bool {
    kind == Kind::Bounded && spend(action).is_some()
}

fn spend(action: &Action) -> Option<Spend> {
    match action {
        Action::Change(Change::Add(amount)) if *amount < 0 => Some(Spend { amount: amount.unsigned_abs(), to: None }),
        Action::Change(Change::Give { amount, to }) => Some(Spend { amount: *amount, to: Some(to.node) }),
        Action::Change(
            Change::Set(_)
            | Change::Remove
            | Change::Add(_)
            | Change::AddMembers(_)
            | Change::TakeMembers(_)
            | Change::SetFields { .. }
            | Change::AddField { .. }
            | Change::RemoveFields(_)
            | Change::AddUpdate(_)
            | Change::EditText(_),
        )
        | Action::Look(_)
        | Action::Swap { .. } => None,
    }
}

fn bounded(cell: &AnyCell) -> Option<&Bounded> {
    match cell {
        AnyCell::Leaf(Leaf::Bounded(cell)) => Some(cell),
        AnyCell::Leaf(_) | AnyCell::Map(_) => None,
    }
}

/// Takes what earlier lives hold, if all replicas have told.
pub(super) fn take_back(round: &Round, cell: &mut AnyCell, actor: Actor) {
    if let (AnyCell::Leaf(Leaf::Bounded(cell)), Some(Seek { heard_all: true, .. })) = (cell, round.seek) {
        cell.take_back(actor);
    }
}

impl Leaderless {
    /// Names the life that is given rights.
    pub(super) fn aim(&self, action: Action, replicas: &[NodeId]) -> Result<Action, Refusal> {
        let Action::Change(Change::Give { amount, to }) = action else { return Ok(action) };
        match self.lives.get(&to.node) {
            Some(&incarnation) if replicas.contains(&to.node) => {
                Ok(Change::Give { amount, to: Actor { incarnation, ..to } }.into())
            }
            _ => Err(Refusal::Impossible(format!(
                "node {} holds no replica of the key, or was never given a life: it could not use the rights",
                to.node.0
            ))),
        }
    }

    /// What is to be asked of all replicas, if the operation spends more than this life holds.
    pub(super) fn seek(&self, cx: &Cx<'_>, round: &Round, cell: &AnyCell) -> Option<Seek> {
        let (spend, cell) = (spend(&round.action)?, bounded(cell)?);
        if spend.to != Some(self.config.node) && cell.rights(self.actor?) >= spend.amount {
            return None;
        }
        let now = cx.now().mono;
        let half = Mono(now.0 + round.until.0.saturating_sub(now.0) / 2);
        let over = self.config.mutants.has(Mutant::EscrowTakenUnheard);
        let here = self.config.node;
        let asked =
            round.parts.replicas.iter().copied().chain(self.may_hold.iter()).filter(|&node| node != here).collect();
        let until = now.after_ms(SEEK_MS).min(half);
        Some(Seek { version: self.version, until, over, heard_all: over, asked, told: NodeSet::default() })
    }

    /// Asks again, unless it took too long.
    pub(super) fn seek_on(&mut self, cx: &mut Cx<'_>, number: u64) {
        let (now, here, version) = (cx.now().mono, self.config.node, self.version);
        let round = self.rounds.get_mut(&number).map(|round| &mut **round);
        let Some(Round { seek: Some(seek), phase: Phase::Reading(reading), .. }) = round else {
            return;
        };
        let until = seek.until;
        if now >= until {
            return self.end_seek(cx, number, false);
        }
        if seek.version != version {
            // Lives may have ended since: all are asked anew.
            (seek.version, seek.told) = (version, NodeSet::default());
            reading.tally = Default::default();
            reading.tally.answered(here);
        }
        self.ask_more(cx, number, true);
        self.look_sooner(number, until);
    }

    /// Somebody tells what it holds of the key, or that it has no part in it.
    pub(super) fn rights_heard(&mut self, cx: &mut Cx<'_>, from: NodeId, number: u64, body: &Body) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let (epoch, readers, spot) = (round.epoch, round.parts.readers, round.spot.clone());
        let replica = round.parts.replicas.contains(&from);
        let (Some(seek), Phase::Reading(reading)) = (&mut round.seek, &mut round.phase) else { return };
        match body {
            Body::Held { cell, context } => {
                let Some(own) = reading.told.get(&self.config.node) else { return };
                let state = State { cell: cell.clone().unwrap_or_else(|| own.cell.clone()), context: context.clone() };
                if !state.is_sound(own.cell.kind()) {
                    return;
                }
                seek.told.insert(from);
                if readers.contains(from) {
                    return;
                }
                reading.merged.join(&state);
                self.take_in_at_once(cx, &spot, &state);
            }
            Body::Fenced { epoch: there } if *there == epoch && !replica => seek.told.insert(from),
            _ => return,
        }
        self.sought(cx, number);
    }

    /// Another replica told. Where taking rights back would not be enough, as many as a read asks will do.
    pub(super) fn sought(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let (Phase::Reading(reading), Some(spend), Some(seek)) = (&round.phase, spend(&round.action), round.seek)
        else {
            return;
        };
        let answered = reading.tally.answers().len();
        let own = |cell: &Bounded| cell.holders().get(&self.config.node).copied().unwrap_or(0);
        let enough_here = spend.to != Some(self.config.node)
            && bounded(&reading.merged.cell).is_some_and(|cell| own(cell) >= spend.amount);
        let all = seek.asked.iter().all(|node| seek.told.contains(node));
        if all || (!enough_here && answered >= usize::from(round.rules.read)) {
            self.end_seek(cx, number, all);
        }
    }

    fn end_seek(&mut self, cx: &mut Cx<'_>, number: u64, heard_all: bool) {
        let Some(mut round) = self.end(number) else { return };
        let Phase::Reading(reading) = &round.phase else { return };
        let merged = reading.merged.clone();
        self.mend(cx, &round, &merged);
        round.seek = round.seek.map(|seek| Seek { heard_all, ..seek });
        let record = self.record(cx, &round.spot);
        self.write(cx, number, round, record);
    }

    /// May this answer be counted? If rights are sought, only in the life that the catalogue of the question knows.
    pub(super) fn counts_as_heard(&self, (from, life): (NodeId, u32), number: u64) -> bool {
        let seek = self.rounds.get(&number).and_then(|round| round.seek);
        seek.is_none_or(|seek| seek.version == self.version && life == self.life_of(from))
    }

    /// May this node answer a question that asks for this version of the catalogue?
    pub(super) fn knows_version(&self, version: u64) -> bool {
        version == 0 || (self.actor.is_some() && self.version >= version)
    }

    /// Is nothing of a bounded counter to be taken from this node? A node without a life of its own takes nothing from anybody, as its
    /// catalogue may be an old one; and who is no member was not asked by those who took rights back.
    pub(super) fn is_stranger(&self, kind: Kind, with: NodeId) -> bool {
        kind == Kind::Bounded && (self.actor.is_none() || !self.may_hold.contains(with))
    }

    /// What was heard of a bounded counter is told by this node from now on.
    pub(super) fn take_in_at_once(&mut self, cx: &mut Cx<'_>, spot: &Spot, state: &State) {
        if self.kind(spot) == Kind::Bounded {
            self.take_in(cx, spot, state);
        }
    }

    /// The other replicas that hold enough for an operation that is refused here, as far as is known; those that hold most first.
    pub(super) fn holders(&self, round: &Round, cell: &AnyCell) -> Vec<NodeId> {
        let (Some(spend), Some(cell)) = (spend(&round.action), bounded(cell)) else { return Vec::new() };
        let may =
            |node: NodeId| node != self.config.node && Some(node) != spend.to && round.parts.readers.contains(node);
        let enough = |&(node, rights): &(NodeId, u64)| may(node) && rights >= spend.amount;
        let mut holders: Vec<(NodeId, u64)> = cell.holders().into_iter().filter(enough).collect();
        holders.sort_by_key(|&(node, rights)| (core::cmp::Reverse(rights), node));
        holders.into_iter().map(|(node, _)| node).collect()
    }
}
