//! # Leaderless tables: R and W out of N, and no leader
//!
//! **The idea.** Every replica of a key takes writes. One of them coordinates an operation: it makes an event with a name of its own
//! (a dot), changes its cell, and sends the change to the others, which join it; a write is done when W distinct hosts said
//! that they have it. A read asks R hosts and joins what they hold. Cells are states with a join (`crdt/`), so it does not matter in which order
//! or how often changes arrive. Each replica keeps one context for a whole range of keys: the set of events that it has
//! received (decision 0014). What a read finds out of date at one of those asked is mended.
//!
//! **Promises.**
//! - L1 An operation counts distinct hosts that answered in the present epoch, and what they made durable. (`an_answer_counts_once_and_only_in_its_epoch`)
//! - L2 Replicas that know the same events hold the same cells, whatever was lost, doubled or late. (`replicas_that_know_the_same_hold_the_same`)
//! - L3 What an acknowledged write replaced or removed does not come back. (`what_was_removed_does_not_come_back`, `deletes_do_not_come_back_however_long_a_replica_was_away`)
//! - L4 A write that missed its quorum is told as unknown, and a read that missed it as refused. (`a_missed_quorum_is_unknown`)
//! - L5 What one atomic read saw no later one misses. (`what_one_atomic_read_saw_no_later_one_misses`)
//! - L6 Compare-and-set changes a key in one line, met by plain reads. (`no_number_is_reached_twice_by_compare_and_set`, `a_swap_that_somebody_else_made_is_not_told_as_missed`, `a_compare_and_set_is_met_by_plain_reads_and_meets_plain_writes`)
//! - L7 A name of an event is given once, though a disk lost its tail. (`a_lost_tail_does_not_give_its_names_to_the_next`)
//! - L8 A comparison brings all that another replica knew, and sends little where little differs. (`a_comparison_brings_all_and_closes_the_holes`, `a_comparison_sends_little_where_little_differs`, `what_comes_late_during_a_comparison_does_not_bring_back_what_was_removed`)
//! - L9 What a replica did not confirm is owed to it, across a restart. (`what_a_replica_did_not_confirm_is_owed_to_it`)
//! - L10 A stand-in is told as one, and brings the write home. (`a_stand_in_is_told_as_one_and_brings_the_write_home`, `what_a_stand_in_took_is_at_home_when_the_key_moves_there`)
//! - L11 An increment under a name counts once, whichever node repeats it. (`an_increment_under_a_name_counts_once`)
//! - L12 Nothing that was acknowledged is lost when data move, or a disk is lost, and nothing that was removed comes back. (`nothing_acknowledged_is_lost_when_data_move`, `a_write_needs_both_places_while_its_range_moves`, `a_replica_whose_disk_was_lost_is_not_read_before_it_has_compared`, `what_a_node_without_a_life_shows_is_told_as_eventual`, `a_doubled_answer_answers_no_other_question`)
//! - L13 What was agreed on by compare-and-set moves with its key. (`no_number_is_reached_twice_when_acceptors_move`, `what_acceptors_agreed_on_moves_with_the_key`)
//! - L14 The names of increments move with them. (`an_increment_under_a_name_counts_once_though_its_range_moved`)
//! - L15 A bounded counter is never below its bound, whatever crashed, was lost, wiped or set back; and what an earlier life of a node held is
//!   spent by the next. (`no_state_is_below_the_bound`, `what_an_earlier_life_held_is_spent_by_the_next`)
//! - L16 A replica that lacks rights knows who holds them. (`who_lacks_rights_names_those_that_hold_them`, `a_decrease_goes_where_the_rights_are`)
//! - L17 What several nodes write into one text is all there, once. (`nothing_is_lost_when_several_put_a_text_together`, `both_sides_of_a_cut_write_one_text`)
//! - L18 A read is served by the round of another only if that began after it, or if it may miss what was acknowledged meanwhile. (`a_read_goes_only_with_a_round_that_begins_after_it`)
//! - L19 A key in parts shows all that was acknowledged to any of them, and an increment under a name counts once, whichever node repeats it. (`a_key_in_parts_is_as_one_that_is_whole`, `core/tests/cluster/split.rs`)
//! - L20 A write that follows an acknowledged one replaces it, also where it does not read first; and those that do not know of each other do not
//!   make each other go. (`a_write_replaces_what_an_acknowledged_write_left`, `acknowledged_values_are_there_until_a_later_write`,
//!   `values_that_are_offered_at_once_are_siblings`)
//! - L21 A read that must miss no write misses none, though those who answer have not heard that data moved. (`who_has_not_heard_that_a_movement_is_over_reads_nothing_stale`, `who_has_not_heard_that_writes_wait_for_fewer_reads_nothing_stale`)
//! - L22 What is compared, moved or deleted takes its share of the time and no more while clients are served. (`what_is_compared_takes_no_more_than_its_share`)
//!
//! **Not here.** Who calls, and calls that belong to another node (`node`); which tables there are (`catalogue`).
//!
//! **Said and heard.** [`Message`].
//!
//! **On disk.** The tables at the top of `record.rs`, `kept.rs` and `leave.rs`.
//!
//! **What breaks it.** Answers of another epoch that count; a state of one key whose context is taken for that of the range; a quorum counted
//! from the plan (riak_kv #388).
//!
//! **Read next.** `coordinate.rs`, `round.rs`, `read.rs`, `join.rs`, `write.rs`, `offer.rs`, `replica.rs`, `record.rs`, `agree.rs`, `talk.rs`, `compare.rs`, `compared.rs`, `tell.rs`, `pace.rs`, `parts.rs`, `catch_up.rs`, `leave.rs`, `hint.rs`, `escrow.rs`, `split.rs`, `command.rs`, `look.rs`, `change.rs`; decisions 0018 and 0020 to 0022. DeCandia and others 2007 ("Dynamo"); Gonçalves and others 2017 ("DottedDB").

mod agree;
mod catch_up;
mod change;
mod command;
mod compare;
mod compared;
mod coordinate;
mod escrow;
mod hint;
mod join;
mod kept;
mod leave;
mod leftover;
mod look;
mod message;
mod offer;
mod pace;
mod parts;
mod read;
mod record;
mod repair;
mod replica;
mod round;
mod rule;
mod split;
mod stand_in;
mod sums;
mod talk;
mod tell;
#[cfg(test)]
mod tests;
mod write;

pub use catch_up::Told;
pub use coordinate::{Begun, Job, Settled};
pub use message::{Body, Message};
pub use record::{Place, State};
pub use split::{Split, Together, kept_at, part_key, split};
pub use talk::{Summary, Talk, ToldCell};

use crate::catalogue::{Catalogue, Layout, LeaderlessSpec};
use crate::clock::{Actor, Context, Dot, Hybrid};
use crate::guarantee::NodeSet;
use crate::limits;
use crate::machine::{Mono, NodeId, Step, Wake};
use crate::mutant::{Mutant, Mutants};
use crate::operation::{Progress, TableId};
use crate::paxos::Tell;
use crate::placement::{Member, Placement};
use crate::store::{Seq, View};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use kept::Kept;
use sums::Sums;

/// The context in which the room runs: a step of the node, with the room's own messages.
pub type Cx<'a> = Step<'a, (), Message>;

/// What does not change during one life of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who we are.
    pub node: NodeId,
    /// Rises with every start.
    pub incarnation: u64,
    /// What a read finds out of date is mended.
    pub mend_reads: bool,
    /// Writes that a replica did not confirm are owed to it.
    pub hints: bool,
    /// A table is compared with another node this often, in milliseconds; 0 is never.
    pub compare_ms: u64,
    /// What moves takes no more than this share of the time of disk and network while clients are served, in percent; 1 to 100.
    pub share_percent: u8,
    /// Rules that are broken.
    pub mutants: Mutants,
}

/// A leaderless table, and where its ranges are.
#[derive(Clone, Debug)]
struct Table {
    spec: LeaderlessSpec,
    epoch: u64,
    placement: Placement,
    /// The data come from elsewhere.
    moving: Option<parts::Moving>,
}

/// A range in memory.
#[derive(Clone, Debug, Default)]
struct Held {
    /// The events that are known of the whole range, as on disk.
    context: Context,
    /// Counted when a comparison first asks for them.
    sums: Option<Sums>,
    /// Events that this node proposed in this life.
    proposed: u64,
    /// The newest name of an event that was offered: the event need not be known here yet.
    given: Option<Dot>,
    /// It moved here in this life. Only a broken rule looks at it.
    moved_here: bool,
}

/// All leaderless tables, as one node sees them.
#[derive(Debug)]
pub struct Leaderless {
    config: Config,
    /// As whom this node makes events.
    actor: Option<Actor>,
    clock: Hybrid,
    tables: BTreeMap<TableId, Table>,
    /// The ranges that were used since the start.
    ranges: BTreeMap<Place, Held>,
    rounds: BTreeMap<u64, Box<round::Round>>,
    /// Reads that serve others of their key.
    flights: BTreeMap<join::Heading, join::Flight>,
    next_round: u64,
    /// When rounds want to be looked at.
    timers: BTreeSet<(Mono, u64)>,
    /// Those who let a round wait, and were not heard since.
    silent: NodeSet,
    /// Rounds that wait until an own write is durable.
    unsynced: VecDeque<(Seq, u64)>,
    /// The last own write that is durable.
    synced: Seq,
    settled: Vec<Settled>,
    /// What this node answered to its own proposals, until it is durable.
    own_answers: VecDeque<(Seq, u64, (Tell<State>, State))>,
    comparisons: BTreeMap<u64, compare::Comparison>,
    /// Clients are served until then, as far as is known.
    busy_until: Mono,
    /// Hints on their way.
    delivering: BTreeMap<u64, (NodeId, replica::Spot)>,
    compare_at: Mono,
    compare_turn: u64,
    hints_at: Mono,
    /// Hints on disk.
    debt: Kept,
    /// What repair did, without what is owed.
    progress: Progress,
    /// There may be data of tables that this catalogue says were removed.
    leftovers: bool,
    removed: Catalogue,
    /// All nodes.
    members: Vec<NodeId>,
    /// How many lives each node had, by the catalogue of this version.
    lives: BTreeMap<NodeId, u32>,
    version: u64,
    /// Members that ever had a life. Others hold nothing that counts.
    may_hold: NodeSet,
    /// States that this node holds for others, and those of them that are on their way back.
    standing: Kept,
    giving: BTreeMap<u64, stand_in::Giving>,
    repair: repair::Repair,
    /// What this node must compare before movements are over.
    catching_up: BTreeMap<TableId, catch_up::CatchingUp>,
    catch_up_at: Mono,
    leaving: leave::Leaving,
}

impl Leaderless {
    /// The room at the start of a node. It knows no table until it is told.
    pub fn boot(config: Config, now: Mono, disk: &dyn View) -> Leaderless {
        let nobody = Actor { node: config.node, incarnation: 0 };
        Leaderless {
            config,
            actor: None,
            clock: Hybrid::new(nobody, limits::CLOCK_OFF_MS),
            tables: BTreeMap::new(),
            ranges: BTreeMap::new(),
            rounds: BTreeMap::new(),
            flights: BTreeMap::new(),
            next_round: 0,
            timers: BTreeSet::new(),
            silent: NodeSet::default(),
            unsynced: VecDeque::new(),
            synced: Seq(0),
            settled: Vec::new(),
            own_answers: VecDeque::new(),
            comparisons: BTreeMap::new(),
            busy_until: now,
            delivering: BTreeMap::new(),
            compare_at: now.after_ms(config.compare_ms),
            compare_turn: 0,
            hints_at: now.after_ms(hint::EVERY_MS),
            leftovers: false,
            removed: Catalogue::default(),
            members: Vec::new(),
            lives: BTreeMap::new(),
            version: 0,
            may_hold: NodeSet::default(),
            standing: Kept::boot(disk, stand_in::STAND_IN),
            giving: BTreeMap::new(),
            progress: Progress::default(),
            debt: Kept::boot(disk, hint::HINT),
            repair: repair::Repair::default(),
            catching_up: BTreeMap::new(),
            catch_up_at: now,
            leaving: leave::Leaving::boot(disk),
        }
    }

    /// The catalogue changed, or the members did. Rounds of tables that moved or are gone begin anew at the node.
    pub fn learn(&mut self, now: Mono, catalogue: &Catalogue, members: &[Member], actor: Option<Actor>) {
        let actor = match actor {
            Some(actor) if self.config.mutants.has(Mutant::IdentityReused) => Some(Actor { incarnation: 1, ..actor }),
            actor => actor,
        };
        if self.actor != actor {
            self.actor = actor;
            if let Some(actor) = actor {
                self.clock = Hybrid::new(actor, limits::CLOCK_OFF_MS);
            }
        }
        self.members = members.iter().map(|member| member.node).collect();
        self.lives = catalogue.lives().collect();
        self.version = catalogue.version();
        let named = catalogue.members();
        let member = |node: &NodeId| named.is_empty() || named.contains_key(node);
        self.may_hold = self.lives.keys().copied().filter(member).collect();
        let mut tables = BTreeMap::new();
        let mut placed_anew = false;
        let counts = self.config.mutants.has(Mutant::BlankReplicaCounts);
        for (id, table) in catalogue.tables() {
            let Some(spec) = table.shape.leaderless() else { continue };
            let same = |old: &Table| old.epoch == table.epoch && old.spec.division == spec.division;
            let old = self.tables.remove(&id).filter(same);
            // A table of another epoch is one that was placed anew.
            placed_anew |= old.is_none();
            // As long as the catalogue does not say who holds data, the configuration does.
            let named = |named: &[Member]| if named.is_empty() { members.to_vec() } else { named.to_vec() };
            let place = |rule, nodes| Layout { rule, members: named(nodes) }.place(&spec.division);
            let moving = table.placed.moving.as_ref().map(|moving| parts::Moving {
                rule: moving.from.rule,
                placement: match old.as_ref().and_then(|old| old.moving.as_ref()) {
                    Some(old) => old.placement.clone(),
                    None => place(moving.from.rule, &moving.from.members),
                },
                blank: moving.blank.iter().copied().filter(|_| !counts).collect(),
                awaited: moving.awaited.clone(),
            });
            let placement = match old {
                Some(old) => old.placement,
                None => place(spec.rule, &table.placed.members),
            };
            tables.insert(id, Table { spec: spec.clone(), epoch: table.epoch, placement, moving });
        }
        placed_anew |= !self.tables.is_empty();
        self.tables = tables;
        self.ranges.retain(|place, _| self.tables.contains_key(&place.table));
        self.end_comparisons(now);
        self.look_for_leftovers(catalogue);
        self.look_what_to_catch_up(now);
        if placed_anew {
            self.look_what_to_leave(now);
        }
        self.go_on_in_other_epochs(now);
    }

    /// A peer spoke.
    pub fn message(&mut self, cx: &mut Cx<'_>, from: NodeId, message: Message) {
        let Message { life, round, body } = message;
        if life < self.life_of(from) && !self.config.mutants.has(Mutant::EndedLifeHeard) {
            return;
        }
        self.silent.remove(from);
        match &body {
            Body::Put { target, .. }
            | Body::Get { target, .. }
            | Body::Mend { target, .. }
            | Body::Offer { target, .. }
            | Body::Propose { target, .. } => {
                let target = target.clone();
                self.asked(cx, from, round, &target, body);
            }
            Body::Stand { .. } => {
                if let Body::Stand { target, missing, delta } = body {
                    self.stand_in(cx, (from, round), &target, missing, delta);
                }
            }
            Body::Compare { .. } => {
                if let Body::Compare { table, epoch, talk } = body {
                    self.talked(cx, (from, round), (table, epoch), talk);
                }
            }
            Body::Done { .. }
            | Body::Behind
            | Body::Held { .. }
            | Body::Agreed { .. }
            | Body::Stood { .. }
            | Body::Fenced { .. }
            | Body::NotBelieved { .. } => {
                if round.incarnation != self.config.incarnation
                    || self.hint_done(cx, from, round.number, &body)
                    || self.given_back(cx, from, round.number, &body)
                {
                    return;
                }
                if self.counts_as_heard((from, life), round.number) {
                    self.answered(cx, from, round.number, body);
                }
            }
        }
    }

    /// Own writes up to `upto` survive power loss.
    pub fn synced(&mut self, cx: &mut Cx<'_>, upto: Seq) {
        self.synced = self.synced.max(upto);
        while let Some(&(seq, number)) = self.unsynced.front() {
            if seq > upto {
                break;
            }
            self.unsynced.pop_front();
            self.own_write_synced(cx, number);
        }
        self.own_answers_synced(cx);
        self.pace_all(cx);
        self.delete_doomed(cx);
    }

    /// Time passed.
    pub fn wake(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        while let Some(&(at, number)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            self.look_at(cx, at, number);
        }
        self.delete_leftovers(cx);
        self.leave(cx);
        self.catch_up(cx);
        self.pace_all(cx);
        self.deliver_hints(cx);
        self.compare_in_turn(cx);
        self.repair_on(cx);
    }

    /// When [`Leaderless::wake`] is wanted next.
    pub fn wake_at(&self) -> Option<Wake> {
        if self.leftovers {
            return Some(Wake { at: Mono(0), why: "delete what removed tables left" });
        }
        if self.tables.is_empty() {
            return None;
        }
        let rounds = self.timers.first().map(|&(at, _)| Wake { at, why: "leaderless rounds" });
        let hints = (self.debt.total() + self.standing.total() > 0).then_some(Wake { at: self.hints_at, why: "hints" });
        let compare = (self.config.compare_ms > 0).then_some(Wake { at: self.compare_at, why: "comparison" });
        rounds
            .into_iter()
            .chain(hints)
            .chain(compare)
            .chain(self.repair_at())
            .chain(self.catch_up_wake())
            .chain(self.pace_wake())
            .chain(self.leave_wake())
            .min_by_key(|wake| wake.at)
    }

    /// The operations that ended since this was asked last.
    pub fn take_settled(&mut self) -> Vec<Settled> {
        core::mem::take(&mut self.settled)
    }

    /// The policy of a table, if it is known here.
    pub fn policy(&self, table: TableId) -> Option<&LeaderlessSpec> {
        self.tables.get(&table).map(|table| &table.spec)
    }

    /// The nodes that hold a key of a table, the nearest on the ring first.
    pub fn replicas(&self, table: TableId, key: &[u8]) -> &[NodeId] {
        self.tables.get(&table).map_or(&[], |table| table.replicas(key))
    }

    /// What this replica knows of a key, for judges.
    pub fn peek(&self, view: &dyn View, table: TableId, key: &[u8]) -> Option<State> {
        let known = self.tables.get(&table)?;
        let place = known.place(table, key);
        if self.is_doomed(place) {
            return None;
        }
        let record = view.get(&record::cell_key(place, key)).map(|bytes| record::Record::decode(&bytes));
        let record = record.unwrap_or_else(|| record::Record::new(known.spec.kind));
        let mut context = record::read_context(view, place);
        context.join(&record.extra);
        Some(State { cell: record.cell, context })
    }

    /// Says something in a round of this node.
    fn say(&self, cx: &mut Cx<'_>, to: NodeId, number: u64, body: Body) {
        let round = message::Round { incarnation: self.config.incarnation, number };
        cx.send(to, self.signed(round, body));
    }

    /// A message of this life.
    fn signed(&self, round: message::Round, body: Body) -> Message {
        Message { life: self.life_of(self.config.node), round, body }
    }

    /// How many lives a node had, as far as is known here.
    fn life_of(&self, node: NodeId) -> u32 {
        self.lives.get(&node).copied().unwrap_or(0)
    }

    fn range(&mut self, cx: &Cx<'_>, place: Place) -> &Held {
        self.range_mut(cx, place)
    }

    fn range_mut(&mut self, cx: &Cx<'_>, place: Place) -> &mut Held {
        self.ranges.entry(place).or_insert_with(|| Held {
            context: record::read_context(cx.view(), place),
            sums: None,
            proposed: 0,
            given: None,
            moved_here: false,
        })
    }
}
