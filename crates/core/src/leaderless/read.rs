//! Reading: what replicas hold is joined until enough of them answered; where that is asked, it is written back before the answer.

use super::command::{self, Action};
use super::join::{Found, Heading};
use super::look;
use super::message::{Body, Target};
use super::parts::{Need, Side, Weakest};
use super::record::{State, digest_of};
use super::round::{Back, Phase, Round, done};
use super::{Cx, Leaderless};
use crate::clock::Dot;
use crate::guarantee::{NodeSet, Path, Round as Evident, Tally};
use crate::machine::NodeId;
use crate::mutant::{Mutant, Mutants};
use crate::operation::Value;
use alloc::boxed::Box;
use alloc::vec::Vec;

impl Leaderless {
    /// Asks replicas what they hold: as many as must answer, or all that have not.
    pub(super) fn ask_more(&mut self, cx: &mut Cx<'_>, number: u64, all: bool) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let target = round.target();
        let (version, others) = round.seek.map_or((0, NodeSet::default()), |seek| (seek.version, seek.others(round)));
        let all = all || version > 0;
        let durable = version > 0 || round.rules.write_back.is_some();
        let Phase::Reading(reading) = &mut round.phase else { return };
        let own = reading.told.get(&self.config.node).map_or(0, |state| digest_of(&state.cell));
        let here = self.config.node;
        let ahead = if round.rules.fence > 0 { round.parts.now.nodes } else { NodeSet::default() };
        let readers = round.parts.readers.union(ahead);
        let silent = |&node: &NodeId| node != here && readers.contains(node) && !reading.tally.answers().contains(node);
        let mut asked: Vec<NodeId> = round.parts.replicas.iter().copied().filter(silent).collect();
        if !all {
            asked = round.parts.few_of(asked, here, &round.rules);
        }
        asked.iter().for_each(|&node| reading.asked.insert(node));
        for node in asked.into_iter().chain(others.iter()) {
            self.say(cx, node, number, Body::Get { target: target.clone(), digest: own, durable, version });
        }
    }

    /// Enough answers to go on with a read?
    pub(super) fn read_on(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Reading(reading) = &round.phase else { return };
        if round.seek.is_some() {
            return self.sought(cx, number);
        }
        let mut enough = round.parts.read_enough(reading.tally.answers(), &round.rules);
        if self.config.mutants.has(Mutant::QuorumFromPlan) {
            enough = reading.asked.len() + 1 >= usize::from(round.rules.read);
        }
        if !enough {
            return;
        }
        let knows_seen = round.knows_seen(&reading.merged) || !round.action.writes();
        let covered = round.covered_by(&reading.merged) && knows_seen;
        if !covered && (round.action.writes() || round.rules.waits_for_session()) {
            let unasked = round.parts.readers.len() > reading.asked.len() + 1;
            if unasked {
                self.ask_more(cx, number, true);
            }
            // The others need not wait for what its session saw.
            if let Some(heading) = self.rounds.get(&number).map(|round| Heading::of(round)) {
                self.left_alone(cx, number, heading);
            }
            return;
        }
        let Some(round) = self.end(number) else { return };
        let Phase::Reading(reading) = &round.phase else { return };
        let merged = reading.merged.clone();
        self.mend(cx, &round, &merged);
        if round.action.writes() {
            let record = self.record(cx, &round.spot);
            return self.write(cx, number, round, record);
        }
        match round.rules.write_back {
            Some(needed) if !self.config.mutants.has(Mutant::WriteBackSkipped) => {
                self.write_back(cx, number, round, needed);
            }
            Some(_) => {
                let mut tally = reading.tally;
                tally.answers().iter().for_each(|node| tally.durable(node));
                self.found(cx, number, round, Found { tally, path: Path::WriteBack, merged: &merged });
            }
            None => {
                let tally = reading.tally;
                self.found(cx, number, round, Found { tally, path: Path::QuorumRead, merged: &merged });
            }
        }
    }

    /// Brings what a read found to this replica, and to those of the asked that are behind it.
    pub(super) fn mend(&mut self, cx: &mut Cx<'_>, round: &Round, merged: &State) {
        let Phase::Reading(reading) = &round.phase else { return };
        if !self.config.mend_reads && !round.action.writes() && round.rules.write_back.is_none() {
            return;
        }
        let (here, writes_back) = (self.config.node, round.rules.write_back.is_some());
        // Where the cells are the same there is nothing to mend; only what is written back must be known here.
        let news = reading.told.get(&here).is_none_or(|own| own.cell != merged.cell);
        if reading.told.len() > 1 && (writes_back || news) {
            self.take_in(cx, &round.spot, merged);
        }
        if writes_back {
            return;
        }
        let behind = reading.told.iter().filter(|&(&node, state)| node != here && state.cell != merged.cell);
        for (&node, _) in behind {
            self.progress.reads_mended += 1;
            // Nobody waits for it: the round is over when the answer arrives.
            self.say_mend(cx, node, 0, round.target(), merged);
        }
    }

    pub(super) fn say_mend(&self, cx: &mut Cx<'_>, to: NodeId, number: u64, target: Target, state: &State) {
        self.say(cx, to, number, Body::Mend { target, state: state.clone() });
    }

    /// Writes back what a read found, unless enough replicas hold it.
    pub(super) fn write_back(&mut self, cx: &mut Cx<'_>, number: u64, mut round: Box<Round>, needed: Need) {
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
        self.back_on(cx, number);
    }

    pub(super) fn say_back(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Back(back) = &round.phase else { return };
        for &node in &round.parts.replicas {
            if node != self.config.node && !back.tally.held().contains(node) {
                self.say_mend(cx, node, number, round.target(), &back.merged);
            }
        }
    }

    /// Brings a state that was agreed on to the cells of enough replicas.
    pub(super) fn bring(
        &mut self,
        cx: &mut Cx<'_>,
        number: u64,
        mut round: Box<Round>,
        tally: Tally,
        merged: State,
        swapped: (Value, Dot),
    ) {
        cx.hurry();
        self.unsynced.push_back((cx.after(), number));
        let needed = round.rules.write;
        round.phase = Phase::Back(Back { merged, tally, needed, swapped: Some(swapped) });
        self.hold(cx, number, round);
        self.say_back(cx, number);
    }

    pub(super) fn back_on(&mut self, cx: &mut Cx<'_>, number: u64) {
        let Some(round) = self.rounds.get(&number) else { return };
        let Phase::Back(back) = &round.phase else { return };
        if !round.parts.enough(back.tally, back.needed, self.config.mutants) {
            return;
        }
        let Some(round) = self.end(number) else { return };
        let Phase::Back(Back { merged, tally, swapped, .. }) = &round.phase else { return };
        let (merged, tally) = (merged.clone(), *tally);
        if let Some((value, dot)) = swapped.clone() {
            return self.finish_agreed(round, tally, Path::PaxosWrite, value, Some(dot), &merged);
        }
        self.found(cx, number, round, Found { tally, path: Path::WriteBack, merged: &merged });
    }

    /// Answers a read, and those that went with it.
    fn found(&mut self, cx: &mut Cx<'_>, number: u64, round: Box<Round>, found: Found<'_>) {
        let heading = Heading::of(&round);
        self.finish_read(round, found.tally, found.path, found.merged);
        self.landed(cx, number, heading, found);
    }

    /// Answers what a majority agreed on.
    pub(super) fn finish_agreed(
        &mut self,
        round: Box<Round>,
        tally: Tally,
        path: Path,
        value: Value,
        dot: Option<Dot>,
        state: &State,
    ) {
        // A change is brought to W replicas of each place; what is only read a majority of each has accepted.
        let majority = |side: Side| side.rule.replicas() / 2 + 1;
        let majorities = Need { now: majority(round.parts.now), from: majority(round.parts.full()) };
        let need = if path == Path::PaxosWrite { round.rules.write } else { majorities };
        let Weakest { tally, needed, side } = round.parts.weakest(tally, need, Mutants::none());
        let opposite = if path == Path::PaxosWrite { side.rule.read() } else { side.rule.write() };
        let evident = Evident { dot, covered: round.covered_by(state), ..round.evident(needed, opposite) };
        let evidence = tally.settle_round(path, evident, self.config.node, side.replicas());
        let seen = command::seen_token(round.spot.place.table.0, &round.spot.key, state);
        let Round { token, want, mut session, spot, .. } = *round;
        session.observe_events(spot.place.table, spot.place.range, &state.context);
        self.settle(token, done(evidence, want, value), session, Some(seen));
    }

    pub(super) fn finish_read(&mut self, round: Box<Round>, tally: Tally, path: Path, merged: &State) {
        let Action::Look(look) = &round.action else { return };
        let (value, siblings) = look::read(look, &merged.cell, round.bound);
        // Without a life this node does not know whether its disk is the one that it had.
        let covered = self.actor.is_some() && round.covered_by(merged);
        let evident = Evident { siblings, covered, ..round.evident_read() };
        let full = round.parts.full();
        let evidence = tally.within(round.parts.readers).settle_round(path, evident, self.config.node, full.replicas());
        let seen = command::seen_token(round.spot.place.table.0, &round.spot.key, merged);
        let Round { token, want, mut session, spot, .. } = *round;
        session.observe_events(spot.place.table, spot.place.range, &merged.context);
        self.settle(token, done(evidence, want, value), session, Some(seen));
    }
}
