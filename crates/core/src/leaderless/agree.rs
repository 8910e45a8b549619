//! Compare-and-set and linearizable reads: one Paxos register for each key (`paxos/`), on the same replicas.
//!
//! The value that is agreed on is the whole state of the key. A replica that promises tells, too, what its cell holds; the proposer joins
//! that with the value that was accepted last, evaluates the operation on it, and proposes the result. So each chosen state has all those
//! chosen before it, and every plain write that W replicas held, as W and a majority meet. A chosen change is brought to the cells of W
//! replicas before it is acknowledged. To a plain write that it does not see, a compare-and-set is concurrent, like any other.

use super::change::{self, Author, Change};
use super::command::Action;
use super::join::{Found, Heading};
use super::look::{self, Look};
use super::message::{Body, Round as RoundId};
use super::record::{self, State};
use super::replica::Spot;
use super::round::{Phase, Round};
use super::{Cx, Leaderless};
use crate::clock::{Actor, Dot};
use crate::guarantee::{NodeSet, Path, Tally};
use crate::machine::{Mono, NodeId};
use crate::mutant::Mutant;
use crate::operation::Value;
use crate::paxos::{Acceptor, Ask, Ballot, Given, Proposer, Quorum, Tell, Verdict};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Names of proposed events are of an actor of their own: a proposal that is given up must not stand in a context as an event that was removed.
const PROPOSES: u32 = 1 << 31;
/// The longest first pause before an attempt that was overtaken is repeated, in milliseconds. It doubles with each attempt, so that one
/// of several proposers gets through.
const PAUSE_MS: u64 = 8;
/// It doubles so often at most.
const DOUBLINGS: u32 = 6;

/// An operation that a majority must agree on.
#[derive(Debug)]
pub(super) struct Agreeing {
    proposer: Proposer<State>,
    /// What the cells of those that promised hold.
    merged: State,
    /// Those that accepted.
    accepted: NodeSet,
    /// The question that is open, and those who answered it.
    ask: Ask<State>,
    answered: NodeSet,
    /// What the operation gave, once it was evaluated; and the event, if it changes something.
    result: Option<(Value, Option<Dot>)>,
    /// The events of earlier attempts. Somebody may have gone on with any of them, also with one before the last.
    perhaps: Vec<Dot>,
    attempts: u32,
    /// Overtaken: the next attempt begins then, above this ballot.
    pause: Option<(Mono, u64)>,
}

impl Agreeing {
    /// Might the change be made although nobody goes on with it?
    pub(super) fn is_unknown(&self) -> bool {
        !self.perhaps.is_empty()
            || (self.proposer.is_unknown() && self.result.as_ref().is_some_and(|(_, dot)| dot.is_some()))
    }
    /// The replicas are others from now on: what was asked is asked anew, with a higher ballot.
    pub(super) fn begin_again(&mut self) {
        self.doubt_result();
        let number = match &self.ask {
            Ask::Prepare(ballot) | Ask::Accept(ballot, _) => ballot.number,
        };
        self.pause = Some((Mono(0), self.pause.map_or(number, |(_, above)| above.max(number))));
    }
    /// What this attempt proposed may be made by somebody else.
    fn doubt_result(&mut self) {
        let dot = self.result.take().and_then(|(_, dot)| dot).filter(|dot| !self.perhaps.contains(dot));
        self.perhaps.extend(dot);
    }
    /// Who answered the question that is open.
    pub(super) fn answers(&self) -> NodeSet {
        self.answered
    }
}

impl Leaderless {
    /// Begins an operation that a majority must agree on.
    pub(super) fn agree(&mut self, cx: &mut Cx<'_>, number: u64, mut round: Box<Round>) {
        let kind = self.kind(&round.spot);
        let agreeing = self.attempt(cx, &round.spot, round.parts.quorum(), State::nothing(kind), 0);
        round.phase = Phase::Agreeing(Box::new(agreeing));
        self.hold(cx, number, round);
        self.say_ask(cx, number);
    }

    fn attempt(&mut self, cx: &mut Cx<'_>, spot: &Spot, quorum: Quorum, merged: State, above: u64) -> Agreeing {
        let here = self.acceptor(cx, spot).promised().map_or(0, |ballot| ballot.number);
        let actor = self.actor.unwrap_or(Actor { node: self.config.node, incarnation: 0 });
        let ballot = Ballot { number: here.max(above) + 1, actor };
        Agreeing::new(Proposer::new(ballot, quorum), merged)
    }

    /// Asks all replicas that have not answered, this one first.
    pub(super) fn say_ask(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Agreeing(agreeing) = &round.phase else { return };
        if agreeing.pause.is_some() {
            return;
        }
        let (target, ask, answered) = (round.target(), agreeing.ask.clone(), agreeing.answered);
        let others: Vec<NodeId> =
            round.parts.replicas.iter().copied().filter(|&node| !answered.contains(node)).collect();
        let here = self.config.node;
        for &node in others.iter().filter(|&&node| node != here) {
            self.say(cx, node, number, Body::Propose { target: target.clone(), ask: ask.clone() });
        }
        if others.contains(&here) {
            // The own answer counts once it is durable.
            let spot = round.spot.clone();
            let told = self.hear_ask(cx, &spot, ask);
            cx.hurry();
            self.own_answers.push_back((cx.after(), number, told));
            self.own_answers_synced(cx);
        }
    }

    /// What this node answered to itself counts now.
    pub(super) fn own_answers_synced(&mut self, cx: &mut Cx<'_>) {
        while self.own_answers.front().is_some_and(|(seq, ..)| *seq <= self.synced) {
            let Some((_, number, (tell, held))) = self.own_answers.pop_front() else { return };
            self.agree_on(cx, number, self.config.node, tell, &held);
        }
    }

    /// A replica is asked to promise or to accept.
    pub(super) fn proposed(&mut self, cx: &mut Cx<'_>, (from, round): (NodeId, RoundId), spot: &Spot, ask: Ask<State>) {
        let sound = match &ask {
            Ask::Prepare(_) => true,
            Ask::Accept(_, state) => state.is_sound(self.kind(spot)),
        };
        if sound {
            if let Ask::Accept(_, state) = &ask {
                self.take_in_at_once(cx, spot, state);
            }
            let (tell, held) = self.hear_ask(cx, spot, ask);
            cx.send_synced(from, self.signed(round, Body::Agreed { tell, held }));
        }
    }

    fn hear_ask(&mut self, cx: &mut Cx<'_>, spot: &Spot, ask: Ask<State>) -> (Tell<State>, State) {
        let before = self.acceptor(cx, spot);
        let mut acceptor = before.clone();
        let tell = acceptor.hear(ask);
        if acceptor != before {
            self.keep_acceptor(cx, spot, &acceptor);
        }
        (tell, self.state(cx, spot))
    }

    pub(super) fn keep_acceptor(&self, cx: &mut Cx<'_>, spot: &Spot, acceptor: &Acceptor<State>) {
        let bytes = postcard::to_allocvec(acceptor).expect("acceptors always encode");
        cx.put(&record::acceptor_key(spot.place, &spot.key), &bytes);
    }

    pub(super) fn acceptor(&self, cx: &Cx<'_>, spot: &Spot) -> Acceptor<State> {
        let bytes = cx.get(&record::acceptor_key(spot.place, &spot.key));
        bytes.map_or_else(Acceptor::default, |bytes| postcard::from_bytes(&bytes).expect("an acceptor on disk decodes"))
    }

    /// A replica told what it promised or accepted.
    pub(super) fn agree_on(&mut self, cx: &mut Cx<'_>, number: u64, from: NodeId, tell: Tell<State>, held: &State) {
        let Some(mut round) = self.rounds.remove(&number) else { return };
        let kind = self.kind(&round.spot);
        let told_soundly = match &tell {
            Tell::Promised(_, Some((_, state))) => state.is_sound(kind),
            Tell::Promised(_, None) | Tell::Accepted(_) | Tell::Refused { .. } => true,
        };
        let soundly = told_soundly && held.is_sound(kind);
        let verdict = match &mut round.phase {
            Phase::Agreeing(agreeing) if agreeing.pause.is_none() && soundly => {
                let mut agreeing = core::mem::replace(&mut **agreeing, Agreeing::over(kind));
                if matches!(&tell, Tell::Promised(ballot, _) if matches!(&agreeing.ask, Ask::Prepare(asked) if asked == ballot))
                {
                    agreeing.merged.join(held);
                }
                let (verdict, agreeing) = self.hear_tell(cx, &round, agreeing, from, tell);
                round.phase = Phase::Agreeing(Box::new(agreeing));
                verdict
            }
            Phase::Waiting
            | Phase::Agreeing(_)
            | Phase::Reading(_)
            | Phase::Offering(_)
            | Phase::Writing(_)
            | Phase::Back(_) => Verdict::Open,
        };
        let spot = round.spot.clone();
        self.rounds.insert(number, round);
        if soundly {
            self.take_in_at_once(cx, &spot, held);
        }
        self.judge(cx, number, verdict);
    }

    fn hear_tell(
        &mut self,
        cx: &mut Cx<'_>,
        round: &Round,
        mut agreeing: Agreeing,
        from: NodeId,
        tell: Tell<State>,
    ) -> (Verdict<State>, Agreeing) {
        let counts = match (&tell, &agreeing.ask) {
            (Tell::Promised(ballot, _), Ask::Prepare(asked)) => ballot == asked,
            (Tell::Accepted(ballot), Ask::Accept(asked, _)) => {
                if ballot == asked {
                    agreeing.accepted.insert(from);
                }
                ballot == asked
            }
            (Tell::Promised(..) | Tell::Accepted(_) | Tell::Refused { .. }, _) => false,
        };
        if counts {
            agreeing.answered.insert(from);
        }
        let Agreeing { proposer, merged, result, perhaps, .. } = &mut agreeing;
        let verdict = proposer.hear(from, tell, |before| {
            let ignores = self.config.mutants.has(Mutant::PaxosIgnoresHighest);
            if let Some(before) = before.filter(|_| !ignores) {
                merged.join(before);
            }
            let (next, value, dot) = self.evaluate(cx, round, merged, perhaps);
            *result = Some((value, dot));
            Given::Next(next)
        });
        (verdict, agreeing)
    }

    /// Evaluates the operation on what was agreed before. `perhaps` are the events of earlier attempts.
    fn evaluate(
        &mut self,
        cx: &mut Cx<'_>,
        round: &Round,
        merged: &State,
        perhaps: &[Dot],
    ) -> (State, Value, Option<Dot>) {
        let (expected, new) = match &round.action {
            Action::Swap { expected, new } => (expected, new),
            Action::Look(look) => return (merged.clone(), look::read(look, &merged.cell, round.bound).0, None),
            // Nobody agrees on a change: it needs no order.
            Action::Change(_) => return (merged.clone(), Value::Nil, None),
        };
        if let Some(&made) = perhaps.iter().find(|&&dot| merged.context.contains(dot)) {
            return (merged.clone(), Value::Int(1), Some(made));
        }
        let (found, _) = look::read(&Look::Get, &merged.cell, round.bound);
        let wanted = expected.clone().map_or(Value::Nil, Value::Bulk);
        if found != wanted {
            return (merged.clone(), Value::Int(0), None);
        }
        let actor = self.actor.unwrap_or(Actor { node: self.config.node, incarnation: 0 });
        let actor = Actor { incarnation: actor.incarnation | PROPOSES, ..actor };
        let held = self.range_mut(cx, round.spot.place);
        held.proposed += 1;
        let dot = Dot { actor, count: held.proposed };
        let wall = cx.now().wall;
        let stamp = self.clock.tick(wall.shown_ms());
        let mut next = merged.clone();
        let mut context = merged.context.clone();
        let mut author = Author { actor, stamp, context: &mut context, last: None, fixed: Some(dot), once: None };
        let wrote = change::write(&Change::Set(new.clone()), &mut next.cell, &mut author, None, round.bound);
        match wrote {
            Ok(_) => {
                next.context.insert(dot);
                (next, Value::Int(1), Some(dot))
            }
            Err(error) => (merged.clone(), error, None),
        }
    }

    fn judge(&mut self, cx: &mut Cx<'_>, number: u64, verdict: Verdict<State>) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let Phase::Agreeing(agreeing) = &mut round.phase else { return };
        match verdict {
            Verdict::Open => {}
            Verdict::Ask(ask) => {
                agreeing.ask = ask;
                agreeing.answered = NodeSet::default();
                self.say_ask(cx, number);
            }
            Verdict::Overtaken { by, unknown } => {
                if unknown {
                    agreeing.doubt_result();
                }
                agreeing.attempts += 1;
                let longest = PAUSE_MS << agreeing.attempts.min(DOUBLINGS);
                let at = cx.now().mono.after_us(cx.random() % (longest * 1_000));
                agreeing.pause = Some((at, by.number));
                self.look_sooner(number, at);
            }
            Verdict::Chosen(state) => self.chosen(cx, number, state),
        }
    }

    /// The next attempt of a round that was overtaken, if its pause is over.
    pub(super) fn attempt_again(&mut self, cx: &mut Cx<'_>, number: u64) {
        let now = cx.now().mono;
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Agreeing(agreeing) = &round.phase else { return };
        let Some((at, above)) = agreeing.pause else { return };
        if at > now {
            return self.look_sooner(number, at);
        }
        let (perhaps, attempts) = (agreeing.perhaps.clone(), agreeing.attempts);
        let (spot, quorum) = (round.spot.clone(), round.parts.quorum());
        let nothing = State::nothing(self.kind(&spot));
        let mut next = self.attempt(cx, &spot, quorum, nothing, above);
        (next.perhaps, next.attempts) = (perhaps, attempts);
        if let Some(round) = self.rounds.get_mut(&number) {
            round.phase = Phase::Agreeing(Box::new(next));
        }
        self.say_ask(cx, number);
    }

    fn chosen(&mut self, cx: &mut Cx<'_>, number: u64, state: Option<State>) {
        let Some(round) = self.end(number) else { return };
        let Phase::Agreeing(agreeing) = &round.phase else { return };
        let state = state.unwrap_or_else(|| agreeing.merged.clone());
        let (value, dot) = agreeing.result.clone().unwrap_or((Value::Nil, None));
        let mut tally = Tally::default();
        agreeing.accepted.iter().for_each(|node| tally.answered(node));
        self.take_in(cx, &round.spot, &state);
        match dot {
            None => {
                let (heading, path) = (Heading::of(&round), Path::PaxosRead);
                self.finish_agreed(round, tally, path, value, None, &state);
                self.landed(cx, number, heading, Found { tally, path, merged: &state });
            }
            // Plain reads must meet it, too.
            Some(dot) => self.bring(cx, number, round, tally, state, (value, dot)),
        }
    }
}

impl Agreeing {
    fn over(kind: crate::crdt::Kind) -> Agreeing {
        let nobody = Ballot { number: 0, actor: Actor { node: NodeId(0), incarnation: 0 } };
        Agreeing::new(Proposer::new(nobody, NodeSet::default()), State::nothing(kind))
    }

    fn new(proposer: Proposer<State>, merged: State) -> Agreeing {
        Agreeing {
            ask: proposer.first(),
            proposer,
            merged,
            accepted: NodeSet::default(),
            answered: NodeSet::default(),
            result: None,
            perhaps: Vec::new(),
            attempts: 0,
            pause: None,
        }
    }
}
