//! The side that asks: one round for each operation, from the first message to the last answer.
//!
//! A write that replaces or removes something reads first, so that it replaces what an acknowledged write left, or it is offered (`offer.rs`);
//! increments and adds need not. Who coordinates is always a replica of the key, so its own answer is the first.

use super::command::{self, Action};
use super::escrow::spends;
use super::join::Heading;
use super::message::Body;
use super::record::{Place, State};
use super::replica::Spot;
use super::round::{LINGER_MS, Phase, Reading, Round};
use super::rule;
use super::{Cx, Leaderless};
use crate::crdt::Kind;
use crate::guarantee::{Level, NodeSet, Path, Session, Tally, Want};
use crate::limits;
use crate::machine::{Mono, NodeId};
use crate::operation::{Doubt, Outcome, Refusal, TableId, Words};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;

/// Who has not answered is asked again after this long, and so is everybody who was not asked before, in milliseconds.
const AGAIN_MS: u64 = 100;

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
    /// Another node must coordinate it.
    Pass {
        /// Where the key is.
        place: Place,
        /// These hold it, or hold it and may write.
        nodes: Vec<NodeId>,
    },
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
    /// What the session has seen of the range now.
    pub session: Session,
    /// What a read found, for the next write.
    pub seen: Option<Bytes>,
    /// It was refused for want of rights that these nodes hold, as far as is known here; those that hold most come first.
    pub holders: Vec<NodeId>,
}

impl Leaderless {
    /// Begins an operation. A node whose clock is out makes no stamps.
    pub fn begin(&mut self, cx: &mut Cx<'_>, job: Job, clock_out: bool) -> Begun {
        match self.prepare(job, clock_out) {
            Err(begun) => begun,
            Ok(round) => {
                self.next_round += 1;
                self.start(cx, self.next_round, Box::new(round));
                Begun::Here
            }
        }
    }

    /// The round of a job, if this node can coordinate it.
    fn prepare(&self, job: Job, clock_out: bool) -> Result<Round, Begun> {
        let Some(table) = self.tables.get(&job.table) else { return Err(Begun::Refused(Refusal::UnknownTable)) };
        let (key, action) = command::parse(&table.spec, &job.words).map_err(Begun::Refused)?;
        let spot = Spot { place: table.place(job.table, &key), key };
        let parts = table.parts(spot.place.range);
        let rules = rule::resolve(&parts, job.want, action.writes()).map_err(Begun::Refused)?;
        let here = self.config.node;
        let others = || parts.replicas.iter().copied().filter(|&node| node != here && parts.readers.contains(node));
        let stamps = table.spec.kind == Kind::Latest && clock_out;
        // Before it has its life a node does not know whether its disk is the one that it had.
        let weak = !action.writes() && rules.level == Some(Level::Eventual) && rules.read == 1;
        let weak = weak && table.spec.kind != Kind::Bounded;
        if !parts.readers.contains(here) || (self.actor.is_none() && !weak) || (action.writes() && stamps) {
            return Err(Begun::Pass { place: spot.place, nodes: others().collect() });
        }
        if self.rounds.len() >= limits::LEADERLESS_ROUNDS {
            return Err(Begun::Refused(Refusal::Overloaded));
        }
        if rules.sloppy && spends(&action, table.spec.kind) {
            let why =
                "rights of a bounded counter are spent at its replicas: no other node takes a decrease in place of one";
            return Err(Begun::Refused(Refusal::Impossible(why.to_string())));
        }
        let action = self.aim(action, &parts.replicas).map_err(Begun::Refused)?;
        let takes_a_name = matches!(&action, Action::Change(change) if change.takes_a_name(table.spec.kind));
        if job.once.is_some() && !takes_a_name {
            let why = "on leaderless tables idempotency keys go with increments of counters alone: what else is done there may be \
                       repeated as it is, or compared and set; an edit of a text by position may not, and an update of it may";
            return Err(Begun::Refused(Refusal::Impossible(why.to_string())));
        }
        let seen = job.seen.map(|token| command::seen_of_token(job.table.0, &spot.key, &token)).transpose();
        let session = job.session.of_range(spot.place.table, spot.place.range);
        Ok(Round {
            token: job.token,
            spot,
            epoch: table.epoch,
            action,
            rules,
            want: job.want,
            session,
            seen: seen.map_err(Begun::Refused)?,
            once: job.once,
            bound: table.spec.bound,
            offered: None,
            seek: None,
            until: job.until,
            look_at: job.until,
            phase: Phase::Waiting,
            parts,
        })
    }

    fn start(&mut self, cx: &mut Cx<'_>, number: u64, round: Box<Round>) {
        let reads = !round.action.writes();
        let lacks = |room: &mut Leaderless| {
            round.rules.waits_for_session() && !round.is_seen_by(room.context(cx, round.spot.place))
        };
        let shares = reads && (round.needs_others() || lacks(self));
        let round = if shares { self.share(number, round) } else { Some(round) };
        if let Some(round) = round {
            self.set_out(cx, number, round, false);
        }
    }

    /// Begins a round; `all` replicas are asked at once, or as many as must answer.
    pub(super) fn set_out(&mut self, cx: &mut Cx<'_>, number: u64, mut round: Box<Round>, all: bool) {
        if round.agrees() {
            return self.agree(cx, number, round);
        }
        let record = self.record(cx, &round.spot);
        let own = self.known(cx, &round.spot, &record);
        let covered = round.covered_by(&own);
        let enough = !round.action.replaces() || ((round.seen.is_some() || round.rules.read == 1) && covered);
        round.seek = self.seek(cx, &round, &own.cell);
        let alone = enough && round.knows_seen(&own) && round.seek.is_none_or(|seek| seek.over);
        if round.action.writes() && alone {
            return self.write(cx, number, round, record);
        }
        let takers = if covered { self.takers(&round) } else { NodeSet::default() };
        if !takers.is_empty() {
            return self.offer_value(cx, number, round, &record, takers);
        }
        let mut tally = Tally::default();
        tally.answered(self.config.node);
        if round.needs_no_other(covered) {
            return self.finish_read(round, tally, Path::QuorumRead, &own);
        }
        let (merged, told) = (own.clone(), BTreeMap::from([(self.config.node, own)]));
        round.phase = Phase::Reading(Reading { merged, tally, asked: NodeSet::default(), told });
        let seek = round.seek;
        self.hold(cx, number, round);
        if let Some(seek) = seek {
            self.look_sooner(number, seek.until);
        }
        self.ask_more(cx, number, all);
        self.read_on(cx, number);
    }

    /// Keeps a round, and looks at it again after a while.
    pub(super) fn hold(&mut self, cx: &Cx<'_>, number: u64, mut round: Box<Round>) {
        let (now, again) = (cx.now().mono, cx.now().mono.after_ms(AGAIN_MS));
        // The caller's deadline counts until it is behind.
        round.look_at = if round.until > now { again.min(round.until) } else { again };
        self.timers.insert((round.look_at, number));
        self.rounds.insert(number, round);
    }

    /// A round is over, or goes on in another way.
    pub(super) fn end(&mut self, number: u64) -> Option<Box<Round>> {
        let round = self.rounds.remove(&number)?;
        self.timers.remove(&(round.look_at, number));
        Some(round)
    }

    /// A replica answered.
    pub(super) fn answered(&mut self, cx: &mut Cx<'_>, from: NodeId, number: u64, body: Body) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        if let (Body::Stood { missing }, Phase::Writing(writing)) = (&body, &mut round.phase) {
            writing.stands.insert(*missing, from);
            return self.write_on(cx, number);
        }
        if round.seek.is_some() {
            self.rights_heard(cx, from, number, &body);
        }
        let Some(round) = self.rounds.get_mut(&number).filter(|round| round.parts.replicas.contains(&from)) else {
            return;
        };
        match (body, &mut round.phase) {
            (Body::Held { cell, context }, Phase::Reading(reading)) if reading.asked.contains(from) => {
                let Some(own) = reading.told.get(&self.config.node) else { return };
                let state = State { cell: cell.unwrap_or_else(|| own.cell.clone()), context };
                let kind = own.cell.kind();
                if state.is_sound(kind) {
                    reading.tally.answered(from);
                    reading.merged.join(&state);
                    reading.told.insert(from, state.clone());
                    let spot = round.spot.clone();
                    self.take_in_at_once(cx, &spot, &state);
                    self.read_on(cx, number);
                }
            }
            (body, Phase::Offering(_)) => self.offer_answered(cx, number, from, body),
            // It refused after another had taken it.
            (Body::Held { .. }, Phase::Writing(_)) if round.offered.is_some() => {
                self.say_put(cx, number, |node| node == from);
            }
            (Body::Agreed { tell, held }, Phase::Agreeing(_)) => self.agree_on(cx, number, from, tell, &held),
            (Body::Done { durable }, Phase::Writing(writing)) => {
                writing.confirmed(from, durable);
                self.write_on(cx, number);
            }
            (Body::Behind, Phase::Writing(_)) => {
                let (spot, target) = (round.spot.clone(), round.target());
                let state = self.state(cx, &spot);
                self.say_mend(cx, from, number, target, &state);
            }
            (Body::Done { durable: true }, Phase::Back(back)) => {
                back.tally.durable(from);
                self.back_on(cx, number);
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
                | Body::Offer { .. }
                | Body::Stand { .. }
                | Body::Compare { .. },
                _,
            ) => {}
        }
    }

    /// A timer of a round went off.
    pub(super) fn look_at(&mut self, cx: &mut Cx<'_>, at: Mono, number: u64) {
        let now = cx.now().mono;
        let Some(round) = self.rounds.get(&number).filter(|round| round.look_at == at) else { return };
        let over = match &round.phase {
            Phase::Writing(writing) => writing.answered.is_some_and(|until| now >= until),
            // What was offered may have been taken: it goes to all.
            Phase::Offering(_) => false,
            Phase::Waiting | Phase::Reading(_) | Phase::Back(_) | Phase::Agreeing(_) => now >= round.until,
        };
        self.silent = self.silent.union(round.awaited());
        if now >= round.until {
            if matches!(round.phase, Phase::Offering(_)) {
                self.make_offered(cx, number, None);
            }
            self.give_up(now, number);
        }
        let Some(round) = self.rounds.remove(&number) else { return };
        if over {
            self.owe_the_missing(cx, &round);
            return self.left_alone(cx, number, Heading::of(&round));
        }
        self.hold(cx, number, round);
        let Some(round) = self.rounds.get(&number) else { return };
        match &round.phase {
            Phase::Reading(_) if round.seek.is_some() => self.seek_on(cx, number),
            Phase::Reading(_) => {
                let heading = Heading::of(round);
                self.is_slow(number, &heading);
                self.ask_more(cx, number, true);
            }
            Phase::Waiting => {}
            Phase::Offering(_) => self.offer_again(cx, number),
            Phase::Writing(_) => {
                self.say_put(cx, number, |_| true);
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
            self.timers.remove(&(round.look_at, number));
            round.look_at = at;
            self.timers.insert((at, number));
        }
    }

    /// The caller's deadline passed.
    fn give_up(&mut self, now: Mono, number: u64) {
        let mutants = self.config.mutants;
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let outcome = match &mut round.phase {
            // The round that it was to go with did not end.
            Phase::Waiting => Outcome::Refused(Refusal::TooFewReplicas { answered: 0, needed: round.rules.read }),
            Phase::Reading(reading) => {
                let (read, ahead) = (round.parts.readers, round.parts.now.nodes);
                let among = |nodes: NodeSet| reading.tally.answers().intersection(nodes).len() as u8;
                let (answered, needed) = match (among(read), round.rules.read) {
                    (answered, needed) if answered >= needed => {
                        (among(ahead).min(round.rules.fence), round.rules.fence)
                    }
                    fewer => fewer,
                };
                Outcome::Refused(if answered < needed {
                    Refusal::TooFewReplicas { answered, needed }
                } else {
                    Refusal::Behind
                })
            }
            Phase::Back(back) => {
                let weakest = round.parts.weakest(back.tally, back.needed, mutants);
                let (answered, needed) = (weakest.tally.held().len() as u8, weakest.needed);
                match back.swapped {
                    // It was chosen: it is made, and only too few cells have it.
                    Some(_) => Outcome::Unknown(Doubt::MissedQuorum { answered, needed }),
                    None => Outcome::Refused(Refusal::TooFewReplicas { answered, needed }),
                }
            }
            Phase::Agreeing(agreeing) => {
                let (answered, needed) = round.parts.agreed(agreeing.answers());
                if agreeing.is_unknown() {
                    Outcome::Unknown(Doubt::MissedQuorum { answered, needed })
                } else {
                    Outcome::Refused(Refusal::TooFewReplicas { answered, needed })
                }
            }
            Phase::Offering(_) => Outcome::Unknown(Doubt::MissedQuorum { answered: 0, needed: round.rules.write.now }),
            Phase::Writing(writing) => {
                if writing.answered.is_some() {
                    return;
                }
                writing.answered = Some(now.after_ms(LINGER_MS));
                let weakest = round.parts.weakest(writing.tally, round.rules.write, mutants);
                let (answered, needed) = (weakest.tally.held().len() as u8, weakest.needed);
                Outcome::Unknown(Doubt::MissedQuorum { answered, needed })
            }
        };
        let (token, session) = (round.token, round.session.clone());
        self.settle(token, outcome, session, None);
    }

    /// Tables moved or are gone. What did not write anything begins anew at the node. What wrote goes on by the new places: who has said that it
    /// holds the write holds it. Of a table that is gone the rest is in doubt.
    pub(super) fn go_on_in_other_epochs(&mut self, now: Mono) {
        let tables = &self.tables;
        let other = |round: &Round| tables.get(&round.spot.place.table).is_none_or(|table| table.epoch != round.epoch);
        let moved: Vec<u64> = self.rounds.iter().filter(|(_, round)| other(round)).map(|(&number, _)| number).collect();
        for number in moved {
            let Some(mut round) = self.rounds.remove(&number) else { continue };
            let begins_anew = match &round.phase {
                Phase::Waiting | Phase::Reading(_) => true,
                Phase::Back(back) => back.swapped.is_none(),
                Phase::Agreeing(agreeing) => !agreeing.is_unknown(),
                // Somebody may have taken it.
                Phase::Offering(_) | Phase::Writing(_) => false,
            };
            if begins_anew {
                let Round { token, session, .. } = *round;
                self.settled.push(Settled { token, outcome: None, session, seen: None, holders: Vec::new() });
            } else if self.moves_on(&mut round) {
                if matches!(round.phase, Phase::Offering(_)) {
                    round.until = now;
                }
                self.rounds.insert(number, round);
                self.look_sooner(number, now);
            } else {
                self.rounds.insert(number, round);
                self.give_up(now, number);
                self.rounds.remove(&number);
            }
        }
        self.forget_flights();
    }

    /// Takes a round that wrote to the places of this epoch. False if it cannot go on there.
    fn moves_on(&self, round: &mut Round) -> bool {
        let Some(table) = self.tables.get(&round.spot.place.table) else { return false };
        let parts = table.parts(round.spot.place.range);
        let Ok(rules) = rule::resolve(&parts, round.want, true) else { return false };
        match &mut round.phase {
            Phase::Waiting | Phase::Reading(_) => return false,
            Phase::Offering(_) | Phase::Writing(_) => {}
            Phase::Back(back) => back.needed = rules.write,
            Phase::Agreeing(agreeing) => {
                if !parts.readers.contains(self.config.node) {
                    return false;
                }
                agreeing.begin_again();
            }
        }
        (round.epoch, round.rules, round.parts) = (table.epoch, rules, parts);
        true
    }

    pub(super) fn settle(&mut self, token: u64, outcome: Outcome, session: Session, seen: Option<Bytes>) {
        self.settled.push(Settled { token, outcome: Some(outcome), session, seen, holders: Vec::new() });
    }
}
