//! The side that asks: one round for each operation, from the first message to the last answer.
//!
//! A write that replaces or removes something reads first, so that it replaces what an acknowledged write left; increments and adds
//! need not. Who coordinates is always a replica of the key, so its own answer is the first.

use super::agree::Agreeing;
use super::command::{self, Action, Author};
use super::message::{Body, Target};
use super::record::State;
use super::replica::{Spot, digest};
use super::rule::{self, Rules};
use super::{Cx, Leaderless};
use crate::clock::{Context, Dot};
use crate::crdt::{AnyCell, Delta, Kind, Seen};
use crate::guarantee::{Evidence, Level, NodeSet, Path, Round as Evident, Session, Tally, Want};
use crate::limits;
use crate::machine::{Mono, NodeId};
use crate::mutant::Mutant;
use crate::operation::{Doubt, Outcome, Refusal, TableId, Value, Words};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;

/// Who has not answered is asked again after this long, and so is everybody who was not asked before, in milliseconds.
const AGAIN_MS: u64 = 100;
/// An answered write is said again for this long to replicas that did not confirm it, in milliseconds.
const LINGER_MS: u64 = 1_000;

/// An operation for the room.
#[derive(Clone, Debug)]
pub struct Job {
    /// How the node calls it.
    pub token: u64,
    /// The table.
    pub table: TableId,
    /// The command.
    pub words: Words,
    /// The guarantee asked for.
    pub want: Want,
    /// What the session has seen.
    pub session: Session,
    /// What a read of the key handed out.
    pub seen: Option<Bytes>,
    /// The name under which a write is made once.
    pub once: Option<Bytes>,
    /// When the caller gives up.
    pub until: Mono,
}

/// What became of a job at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is on its way, or settled already.
    Here,
    /// Another node must coordinate it: these hold the key, or hold it and may write.
    Pass(Vec<NodeId>),
    /// It cannot be done.
    Refused(Refusal),
}

/// An operation that ended.
#[derive(Clone, Debug)]
pub struct Settled {
    /// How the node calls it.
    pub token: u64,
    /// What became of it; none if the table moved meanwhile and nothing was applied: it may begin anew.
    pub outcome: Option<Outcome>,
    /// What the session has seen now.
    pub session: Session,
    /// What a read found, for the next write.
    pub seen: Option<Bytes>,
}

/// One operation on its way.
#[derive(Debug)]
pub(super) struct Round {
    token: u64,
    spot: Spot,
    epoch: u64,
    replicas: Vec<NodeId>,
    action: Action,
    rules: Rules,
    want: Want,
    session: Session,
    seen: Option<Seen>,
    once: Option<Bytes>,
    bound: i64,
    until: Mono,
    /// When it is looked at next; timers of other moments are of no account.
    look_at: Mono,
    phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// A majority must agree on it.
    Agreeing(Box<Agreeing>),
    Reading(Reading),
    Writing(Writing),
    /// What a read found is being written back.
    Back(Back),
}

/// Joins what replicas hold.
#[derive(Debug)]
pub(super) struct Reading {
    merged: State,
    tally: Tally,
    asked: NodeSet,
    /// What each told, to see afterwards who is behind.
    told: BTreeMap<NodeId, State>,
}

/// Waits until enough replicas have the change.
#[derive(Debug)]
pub(super) struct Writing {
    delta: Delta<AnyCell>,
    after: Context,
    dot: Dot,
    value: Value,
    tally: Tally,
    /// The caller has its answer; until this moment the round goes on for the replicas that are missing.
    answered: Option<Mono>,
    /// So many confirmations came, whoever they are from. Only a broken rule looks at it.
    confirmations: usize,
    /// The change was made before, under the same name.
    replayed: bool,
    /// Who stands in for whom.
    stands: BTreeMap<NodeId, NodeId>,
}

#[derive(Debug)]
pub(super) struct Back {
    merged: State,
    /// Who answered the read, and who holds durably what it found.
    tally: Tally,
    needed: usize,
    /// What is brought was agreed on: what the operation gave, and its event.
    swapped: Option<(Value, Dot)>,
}

impl Leaderless {
    /// Begins an operation. A node whose clock is out makes no stamps.
    pub fn begin(&mut self, cx: &mut Cx<'_>, job: Job, clock_out: bool) -> Begun {
        match self.prepare(job, clock_out) {
            Err(begun) => begun,
            Ok(round) => {
                self.next_round += 1;
                self.start(cx, self.next_round, round);
                Begun::Here
            }
        }
    }

    /// The round of a job, if this node can coordinate it.
    fn prepare(&self, job: Job, clock_out: bool) -> Result<Round, Begun> {
        let Some(table) = self.tables.get(&job.table) else { return Err(Begun::Refused(Refusal::UnknownTable)) };
        let (key, action) = command::parse(&table.spec, &job.words).map_err(Begun::Refused)?;
        let replicas = table.replicas(&key).to_vec();
        let rules = rule::resolve(table, replicas.len(), job.want, action.writes()).map_err(Begun::Refused)?;
        let others = || replicas.iter().copied().filter(|&node| node != self.config.node).collect();
        let stamps = table.spec.kind == Kind::Latest && clock_out;
        if !replicas.contains(&self.config.node) || (action.writes() && (self.actor.is_none() || stamps)) {
            return Err(Begun::Pass(others()));
        }
        if self.rounds.len() >= limits::LEADERLESS_ROUNDS {
            return Err(Begun::Refused(Refusal::Overloaded));
        }
        if job.once.is_some() && !command::takes_a_name(table.spec.kind, &action) {
            let why = "on leaderless tables idempotency keys go with increments of counters alone: what else is done there may be \
                       repeated as it is, or compared and set";
            return Err(Begun::Refused(Refusal::Impossible(why.to_string())));
        }
        let seen = job.seen.map(|token| command::seen_of_token(job.table.0, &key, &token)).transpose();
        let spot = Spot { place: table.place(job.table, &key), key };
        let reading = Reading {
            merged: State::nothing(table.spec.kind),
            tally: Tally::default(),
            asked: NodeSet::default(),
            told: BTreeMap::new(),
        };
        Ok(Round {
            token: job.token,
            spot,
            epoch: table.epoch,
            action,
            rules,
            want: job.want,
            session: job.session,
            seen: seen.map_err(Begun::Refused)?,
            once: job.once,
            bound: table.spec.bound,
            until: job.until,
            look_at: job.until,
            phase: Phase::Reading(reading),
            replicas,
        })
    }

    fn start(&mut self, cx: &mut Cx<'_>, number: u64, mut round: Round) {
        if round.agrees() {
            return self.agree(cx, number, round);
        }
        let own = self.state(cx, &round.spot);
        let covered = round.covered_by(&own);
        let enough = !round.action.replaces() || ((round.seen.is_some() || round.rules.read == 1) && covered);
        let alone = enough && round.knows_seen(&own);
        if round.action.writes() && alone {
            return self.write(cx, number, round);
        }
        let Phase::Reading(reading) = &mut round.phase else { return };
        reading.tally.answered(self.config.node);
        reading.merged = own.clone();
        reading.told.insert(self.config.node, own);
        self.hold(cx, number, round);
        self.ask_more(cx, number, false);
        self.read_on(cx, number);
    }

    /// Keeps a round, and looks at it again after a while.
    pub(super) fn hold(&mut self, cx: &Cx<'_>, number: u64, mut round: Round) {
        let (now, again) = (cx.now().mono, cx.now().mono.after_ms(AGAIN_MS));
        // The caller's deadline counts until it is behind.
        round.look_at = if round.until > now { again.min(round.until) } else { again };
        self.timers.insert((round.look_at, number));
        self.rounds.insert(number, round);
    }

    /// Asks replicas what they hold: as many as must answer, or all that have not.
    fn ask_more(&mut self, cx: &mut Cx<'_>, number: u64, all: bool) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let target = round.target();
        let durable = round.rules.write_back(round.replicas.len()).is_some();
        let Phase::Reading(reading) = &mut round.phase else { return };
        let at_most = if all { usize::MAX } else { usize::from(round.rules.read).saturating_sub(1) };
        let own = reading.told.get(&self.config.node).map_or(0, |state| digest(&state.cell));
        let here = self.config.node;
        let silent = |&node: &NodeId| node != here && !reading.tally.answers().contains(node);
        let asked: Vec<NodeId> = round.replicas.iter().copied().filter(silent).take(at_most).collect();
        asked.iter().for_each(|&node| reading.asked.insert(node));
        for node in asked {
            self.say(cx, node, number, Body::Get { target: target.clone(), digest: own, durable });
        }
    }

    /// A replica answered.
    pub(super) fn answered(&mut self, cx: &mut Cx<'_>, from: NodeId, number: u64, body: Body) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        if let (Body::Stood { missing }, Phase::Writing(writing)) = (&body, &mut round.phase) {
            writing.stands.insert(*missing, from);
            return self.write_on(cx, number);
        }
        if !round.replicas.contains(&from) {
            return;
        }
        match (body, &mut round.phase) {
            (Body::Held { cell, context }, Phase::Reading(reading)) => {
                let Some(own) = reading.told.get(&self.config.node) else { return };
                let state = State { cell: cell.unwrap_or_else(|| own.cell.clone()), context };
                let kind = own.cell.kind();
                if state.is_sound(kind) {
                    reading.tally.answered(from);
                    reading.merged.join(&state);
                    reading.told.insert(from, state);
                    self.read_on(cx, number);
                }
            }
            (Body::Agreed { tell, held }, Phase::Agreeing(_)) => self.agree_on(cx, number, from, tell, &held),
            (Body::Done { durable }, Phase::Writing(writing)) => {
                writing.confirmations += 1;
                if durable {
                    writing.tally.durable(from)
                } else {
                    writing.tally.answered(from)
                }
                self.write_on(cx, number);
            }
            (Body::Behind, Phase::Writing(_)) => {
                let (spot, target) = (round.spot.clone(), round.target());
                let state = self.state(cx, &spot);
                self.say_mend(cx, from, number, target, &state);
            }
            (Body::Done { durable: true }, Phase::Back(back)) => {
                back.tally.durable(from);
                self.back_on(number);
            }
            // Another epoch: the catalogue is on its way here or there. The next look asks again; so it does of one who does
            // not believe the clock here.
            (Body::Fenced { .. }, _)
            | (
                Body::Held { .. }
                | Body::Done { .. }
                | Body::Behind
                | Body::NotBelieved { .. }
                | Body::Agreed { .. }
                | Body::Stood { .. },
                _,
            ) => {}
            (
                Body::Put { .. }
                | Body::Get { .. }
                | Body::Mend { .. }
                | Body::Propose { .. }
                | Body::Stand { .. }
                | Body::Compare { .. },
                _,
            ) => {}
        }
    }

    /// Enough answers to go on with a read?
    fn read_on(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Reading(reading) = &round.phase else { return };
        let mut enough = reading.tally.answers().len() >= usize::from(round.rules.read);
        if self.config.mutants.has(Mutant::QuorumFromPlan) {
            enough = reading.asked.len() + 1 >= usize::from(round.rules.read);
        }
        if !enough {
            return;
        }
        let knows_seen = round.knows_seen(&reading.merged) || !round.action.writes();
        let covered = round.covered_by(&reading.merged) && knows_seen;
        if !covered && (round.action.writes() || round.rules.waits_for_session()) {
            let unasked = round.replicas.len() > reading.asked.len() + 1;
            if unasked {
                self.ask_more(cx, number, true);
            }
            return;
        }
        let Some(round) = self.rounds.remove(&number) else { return };
        let Phase::Reading(reading) = &round.phase else { return };
        let merged = reading.merged.clone();
        self.mend(cx, &round, &merged);
        if round.action.writes() {
            return self.write(cx, number, round);
        }
        match round.rules.write_back(round.replicas.len()) {
            Some(needed) if !self.config.mutants.has(Mutant::WriteBackSkipped) => {
                self.write_back(cx, number, round, needed);
            }
            Some(_) => {
                let mut tally = reading.tally;
                tally.answers().iter().for_each(|node| tally.durable(node));
                self.finish_read(round, tally, Path::WriteBack, &merged);
            }
            None => {
                let tally = reading.tally;
                self.finish_read(round, tally, Path::QuorumRead, &merged);
            }
        }
    }

    /// Brings what a read found to this replica, and to those of the asked that are behind it.
    fn mend(&mut self, cx: &mut Cx<'_>, round: &Round, merged: &State) {
        let Phase::Reading(reading) = &round.phase else { return };
        if !self.config.mend_reads && !round.action.writes() && round.rules.write_back(round.replicas.len()).is_none() {
            return;
        }
        if reading.told.len() > 1 {
            self.take_in(cx, &round.spot, merged);
        }
        if round.rules.write_back(round.replicas.len()).is_some() {
            return;
        }
        let here = self.config.node;
        let behind = reading.told.iter().filter(|&(&node, state)| node != here && state.cell != merged.cell);
        for (&node, _) in behind {
            self.progress.reads_mended += 1;
            // Nobody waits for it: the round is over when the answer arrives.
            self.say_mend(cx, node, 0, round.target(), merged);
        }
    }

    fn say_mend(&self, cx: &mut Cx<'_>, to: NodeId, number: u64, target: Target, state: &State) {
        self.say(cx, to, number, Body::Mend { target, state: state.clone() });
    }

    /// Writes back what a read found, unless enough replicas hold it.
    fn write_back(&mut self, cx: &mut Cx<'_>, number: u64, mut round: Round, needed: usize) {
        let Phase::Reading(reading) = round.phase else { return };
        let mut tally = reading.tally;
        for (&node, state) in &reading.told {
            if node != self.config.node && state.cell == reading.merged.cell {
                tally.durable(node);
            }
        }
        let after = cx.after();
        if after <= self.synced {
            tally.durable(self.config.node);
        } else {
            cx.hurry();
            self.unsynced.push_back((after, number));
        }
        round.phase = Phase::Back(Back { merged: reading.merged, tally, needed, swapped: None });
        self.hold(cx, number, round);
        self.say_back(cx, number);
        self.back_on(number);
    }

    /// Brings a state that was agreed on to the cells of enough replicas.
    pub(super) fn bring(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        mut round: Round,
        tally: Tally,
        merged: State,
        swapped: (Value, Dot),
    ) {
        cx.hurry();
        self.unsynced.push_back((cx.after(), number));
        let needed = usize::from(round.rules.write);
        round.phase = Phase::Back(Back { merged, tally, needed, swapped: Some(swapped) });
        self.hold(cx, number, round);
        self.say_back(cx, number);
    }

    /// Answers what a majority agreed on.
    pub(super) fn finish_agreed(
        &mut self,
        round: Round,
        tally: Tally,
        path: Path,
        value: Value,
        dot: Option<Dot>,
        state: &State,
    ) {
        let majority = (round.replicas.len() / 2 + 1) as u8;
        let needed = if path == Path::PaxosWrite { round.rules.write } else { majority };
        let evident = Evident { dot, covered: round.covered_by(state), ..round.evident(needed, round.rules.table.1) };
        let evidence = tally.settle_round(path, evident, self.config.node, round.replicas.len());
        let seen = command::seen_token(round.spot.place.table.0, &round.spot.key, state);
        let Round { token, want, mut session, spot, .. } = round;
        session.observe_events(spot.place.table, spot.place.range, &state.context);
        self.settle(token, done(evidence, want, value), session, Some(seen));
    }

    fn say_back(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Back(back) = &round.phase else { return };
        for &node in &round.replicas {
            if node != self.config.node && !back.tally.held().contains(node) {
                self.say_mend(cx, node, number, round.target(), &back.merged);
            }
        }
    }

    fn back_on(&mut self, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Back(back) = &round.phase else { return };
        if back.tally.held().len() < back.needed {
            return;
        }
        let Some(round) = self.rounds.remove(&number) else { return };
        let Phase::Back(Back { merged, tally, swapped, .. }) = &round.phase else { return };
        let (merged, tally) = (merged.clone(), *tally);
        if let Some((value, dot)) = swapped.clone() {
            return self.finish_agreed(round, tally, Path::PaxosWrite, value, Some(dot), &merged);
        }
        self.finish_read(round, tally, Path::WriteBack, &merged);
    }

    fn finish_read(&mut self, round: Round, tally: Tally, path: Path, merged: &State) {
        let (value, siblings) = command::read(&round.action, &merged.cell, round.bound);
        let evident = Evident {
            siblings,
            covered: round.covered_by(merged),
            ..round.evident(round.rules.read, round.rules.table.1)
        };
        let evidence = tally.settle_round(path, evident, self.config.node, round.replicas.len());
        let seen = command::seen_token(round.spot.place.table.0, &round.spot.key, merged);
        let Round { token, want, mut session, spot, .. } = round;
        session.observe_events(spot.place.table, spot.place.range, &merged.context);
        self.settle(token, done(evidence, want, value), session, Some(seen));
    }

    /// Makes the event, here and now, and sends it to the others.
    fn write(&mut self, cx: &mut Cx<'_>, number: u64, mut round: Round) {
        let Some(actor) = self.actor else { return };
        let record = self.record(cx, &round.spot);
        let replayed = round.once.as_ref().is_some_and(|name| command::knows_name(&round.action, &record.cell, name));
        let mut context = self.context(cx, round.spot.place).clone();
        let wall = cx.now().wall;
        // What is replaced is older than what replaces it, whatever the clocks say; unless its stamp is not believed.
        let _ = self.believe(cx, &record.cell);
        let stamp = self.clock.tick(wall.earliest_ms / 2 + wall.latest_ms / 2);
        let mut author =
            Author { actor, stamp, context: &mut context, last: None, fixed: None, once: round.once.as_ref() };
        let mut cell = record.cell.clone();
        let wrote = match command::write(&round.action, &mut cell, &mut author, round.seen.as_ref(), round.bound) {
            Ok(wrote) => wrote,
            Err(error) => return self.finish_failed(round, error),
        };
        context.join(&wrote.delta.context);
        self.keep(cx, &round.spot, super::record::Record { cell, ..record }, Some(context));
        cx.hurry();
        self.unsynced.push_back((cx.seq(), number));
        let mut tally = Tally::default();
        if round.rules.volatile {
            tally.answered(self.config.node);
        }
        round.phase = Phase::Writing(Writing {
            delta: wrote.delta,
            after: wrote.after,
            dot: wrote.dot,
            value: wrote.value,
            tally,
            answered: None,
            confirmations: 0,
            replayed,
            stands: BTreeMap::new(),
        });
        self.hold(cx, number, round);
        self.say_put(cx, number);
        self.write_on(cx, number);
    }

    fn say_put(&self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Writing(writing) = &round.phase else { return };
        for &node in &round.replicas {
            if node != self.config.node && !writing.tally.held().contains(node) {
                let (target, delta, after) = (round.target(), writing.delta.clone(), writing.after.clone());
                let body = Body::Put { target, delta, after, volatile: round.rules.volatile };
                self.say(cx, node, number, body);
            }
        }
    }

    /// Asks others to take the write in place of replicas that do not answer, where the operation wants that.
    fn say_stand(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Writing(writing) = &round.phase else { return };
        if !round.rules.sloppy || writing.answered.is_some() {
            return;
        }
        let silent = round.replicas.iter().filter(|&&node| !writing.tally.answers().contains(node));
        let silent = silent.filter(|&&node| node != self.config.node && !writing.stands.contains_key(&node));
        let free = self.stand_ins_for(&round.replicas);
        let free = free.into_iter().filter(|node| !writing.stands.values().any(|busy| busy == node));
        let pairs: Vec<(NodeId, NodeId)> = silent.copied().zip(free).collect();
        let (target, spot, mut delta) = (round.target(), round.spot.clone(), writing.delta.clone());
        if !writing.after.is_empty() && !pairs.is_empty() {
            // Who is given it later may not know what it replaces.
            let State { cell, context } = self.state(cx, &spot);
            delta = Delta { cell, context };
        }
        for (missing, node) in pairs {
            let body = Body::Stand { target: target.clone(), missing, delta: delta.clone() };
            self.say(cx, node, number, body);
        }
    }

    pub(super) fn own_write_synced(&mut self, cx: &mut Cx<'_>, number: u64) {
        let node = self.config.node;
        let Some(round) = self.rounds.get_mut(&number) else { return };
        match &mut round.phase {
            Phase::Writing(writing) => {
                writing.tally.durable(node);
                self.write_on(cx, number);
            }
            Phase::Back(back) => {
                back.tally.durable(node);
                self.back_on(number);
            }
            Phase::Reading(_) | Phase::Agreeing(_) => {}
        }
    }

    /// Enough confirmations of a write?
    fn write_on(&mut self, cx: &mut Cx<'_>, number: u64) {
        let mutants = self.config.mutants;
        let served_by = self.config.node;
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let Phase::Writing(writing) = &mut round.phase else { return };
        if writing.answered.is_none() {
            let mut tally = writing.tally;
            if mutants.has(Mutant::QuorumFromPlan) {
                round.replicas.iter().for_each(|&node| tally.durable(node));
            }
            if mutants.has(Mutant::AnswerCountedTwice) && writing.confirmations + 1 >= usize::from(round.rules.write) {
                round.replicas.iter().for_each(|&node| tally.durable(node));
            }
            let dot = Some(writing.dot);
            // A replica that confirmed after all needs nobody in its place.
            let missing = |(replica, _): &(&NodeId, &NodeId)| !writing.tally.answers().contains(**replica);
            let stand_ins: NodeSet = writing.stands.iter().filter(missing).map(|(_, &node)| node).collect();
            if mutants.has(Mutant::SloppyCountsAsStrict) {
                stand_ins.iter().for_each(|node| tally.durable(node));
            }
            let evident = Evident {
                dot,
                stand_ins,
                volatile: round.rules.volatile,
                ..round.evident(round.rules.write, round.rules.table.0)
            };
            let Phase::Writing(writing) = &mut round.phase else { return };
            let evidence = tally.settle_round(Path::QuorumWrite, evident, served_by, round.replicas.len());
            if !evidence.meets(round.want) {
                return;
            }
            writing.answered = Some(cx.now().mono.after_ms(LINGER_MS));
            let (value, replayed) = (writing.value.clone(), writing.replayed);
            let mut session = core::mem::take(&mut round.session);
            session.observe_events(round.spot.place.table, round.spot.place.range, &writing.delta.context);
            let (token, want) = (round.token, round.want);
            let mut outcome = done(evidence, want, value);
            if let Outcome::Done { receipt, .. } = &mut outcome
                && replayed
            {
                *receipt = receipt.repeated();
            }
            self.settle(token, outcome, session, None);
        }
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Writing(writing) = &round.phase else { return };
        if writing.tally.held().len() == round.replicas.len() {
            self.rounds.remove(&number);
        }
    }

    /// The command was evaluated and refused by the cell: nothing was changed.
    fn finish_failed(&mut self, round: Round, error: Value) {
        let tally = match &round.phase {
            Phase::Reading(reading) if !reading.tally.answers().is_empty() => reading.tally,
            _ => {
                let mut tally = Tally::default();
                tally.answered(self.config.node);
                tally
            }
        };
        let evident = round.evident(round.rules.read, round.rules.table.1);
        let evidence = tally.settle_round(Path::QuorumRead, evident, self.config.node, round.replicas.len());
        let Round { token, want, session, .. } = round;
        let outcome = Outcome::Done { value: error, receipt: evidence.receipt(want, 0) };
        self.settle(token, outcome, session, None);
    }

    /// A timer of a round went off.
    pub(super) fn look_at(&mut self, cx: &mut Cx<'_>, at: Mono, number: u64) {
        let now = cx.now().mono;
        let Some(round) = self.rounds.get(&number).filter(|round| round.look_at == at) else { return };
        let over = match &round.phase {
            Phase::Writing(writing) => writing.answered.is_some_and(|until| now >= until),
            Phase::Reading(_) | Phase::Back(_) | Phase::Agreeing(_) => now >= round.until,
        };
        if now >= round.until {
            self.give_up(now, number);
        }
        let Some(round) = self.rounds.remove(&number) else { return };
        if over {
            return self.owe_the_missing(cx, &round);
        }
        self.hold(cx, number, round);
        let Some(round) = self.rounds.get(&number) else { return };
        match &round.phase {
            Phase::Reading(_) => self.ask_more(cx, number, true),
            Phase::Writing(_) => {
                self.say_put(cx, number);
                self.say_stand(cx, number);
            }
            Phase::Back(_) => self.say_back(cx, number),
            Phase::Agreeing(_) => {
                self.attempt_again(cx, number);
                self.say_ask(cx, number);
            }
        }
    }

    /// Looks at a round at this moment, if it would be later.
    pub(super) fn look_sooner(&mut self, number: u64, at: Mono) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        if at < round.look_at {
            round.look_at = at;
            self.timers.insert((at, number));
        }
    }

    /// A write is over, and some replicas did not confirm it.
    fn owe_the_missing(&mut self, cx: &mut Cx<'_>, round: &Round) {
        let Phase::Writing(writing) = &round.phase else { return };
        let missing = round.replicas.iter().filter(|&&node| !writing.tally.held().contains(node));
        let here = self.config.node;
        for &node in missing.filter(|&&node| node != here) {
            self.owe(cx, node, &round.spot, round.epoch);
        }
    }

    /// The caller's deadline passed.
    fn give_up(&mut self, now: Mono, number: u64) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let outcome = match &mut round.phase {
            Phase::Reading(reading) => {
                let (answered, needed) = (reading.tally.answers().len() as u8, round.rules.read);
                Outcome::Refused(if answered < needed {
                    Refusal::TooFewReplicas { answered, needed }
                } else {
                    Refusal::Behind
                })
            }
            Phase::Back(back) => {
                let (answered, needed) = (back.tally.held().len() as u8, back.needed as u8);
                match back.swapped {
                    // It was chosen: it is made, and only too few cells have it.
                    Some(_) => Outcome::Unknown(Doubt::MissedQuorum { answered, needed }),
                    None => Outcome::Refused(Refusal::TooFewReplicas { answered, needed }),
                }
            }
            Phase::Agreeing(agreeing) => {
                let (answered, needed) = (agreeing.answers() as u8, (round.replicas.len() / 2 + 1) as u8);
                if agreeing.is_unknown() {
                    Outcome::Unknown(Doubt::MissedQuorum { answered, needed })
                } else {
                    Outcome::Refused(Refusal::TooFewReplicas { answered, needed })
                }
            }
            Phase::Writing(writing) => {
                if writing.answered.is_some() {
                    return;
                }
                writing.answered = Some(now.after_ms(LINGER_MS));
                let (answered, needed) = (writing.tally.held().len() as u8, round.rules.write);
                Outcome::Unknown(Doubt::MissedQuorum { answered, needed })
            }
        };
        let (token, session) = (round.token, round.session.clone());
        self.settle(token, outcome, session, None);
    }

    /// A table moved or is gone: what did not write anything may begin anew, the rest is in doubt.
    pub(super) fn end_rounds_of_other_epochs(&mut self, now: Mono) {
        let tables = &self.tables;
        let other = |round: &Round| tables.get(&round.spot.place.table).is_none_or(|table| table.epoch != round.epoch);
        let over: Vec<u64> = self.rounds.iter().filter(|(_, round)| other(round)).map(|(&number, _)| number).collect();
        for number in over {
            let Some(round) = self.rounds.get(&number) else { continue };
            let begins_anew = match &round.phase {
                Phase::Reading(_) => true,
                Phase::Back(back) => back.swapped.is_none(),
                Phase::Agreeing(agreeing) => !agreeing.is_unknown(),
                Phase::Writing(_) => false,
            };
            if begins_anew {
                let (token, session) = (round.token, round.session.clone());
                self.settled.push(Settled { token, outcome: None, session, seen: None });
            } else {
                self.give_up(now, number);
            }
            self.rounds.remove(&number);
        }
    }

    fn settle(&mut self, token: u64, outcome: Outcome, session: Session, seen: Option<Bytes>) {
        self.settled.push(Settled { token, outcome: Some(outcome), session, seen });
    }
}

impl Round {
    /// Must a majority agree on it?
    fn agrees(&self) -> bool {
        let reads = !self.action.writes() && self.rules.level == Some(Level::Linearizable);
        reads || matches!(self.action, Action::Swap { .. })
    }
    pub(super) fn spot(&self) -> &Spot {
        &self.spot
    }
    pub(super) fn replicas(&self) -> &[NodeId] {
        &self.replicas
    }
    pub(super) fn action(&self) -> &Action {
        &self.action
    }
    pub(super) fn bound(&self) -> i64 {
        self.bound
    }
    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }
    pub(super) fn phase_mut(&mut self) -> &mut Phase {
        &mut self.phase
    }
    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }
    pub(super) fn target(&self) -> Target {
        Target { table: self.spot.place.table, epoch: self.epoch, key: self.spot.key.clone() }
    }
    /// Does a state know all events that the caller hands back?
    fn knows_seen(&self, state: &State) -> bool {
        self.seen.as_ref().is_none_or(|seen| seen.is_known_to(&state.context))
    }
    /// Does a state hold all that the session saw of the range?
    fn covered_by(&self, state: &State) -> bool {
        let seen = self.session.events(self.spot.place.table, self.spot.place.range);
        seen.is_none_or(|seen| state.context.covers(seen))
    }
    fn evident(&self, needed: u8, opposite: u8) -> Evident {
        Evident { range: self.spot.place.range.0, epoch: self.epoch, needed, opposite, ..Evident::default() }
    }
}

fn done(evidence: Evidence, want: Want, value: Value) -> Outcome {
    let receipt = evidence.receipt(want, 0);
    if evidence.meets(want) { Outcome::Done { value, receipt } } else { Outcome::Short { value, receipt } }
}
