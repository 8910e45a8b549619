//! The oracle: our consensus room and crate `raft` (TiKV) driven in lock step over the same random schedule.
//!
//! A schedule is a sequence of events: a node asks for votes, a client proposes, a message link is cut or healed, a
//! node restarts. After each event both clusters deliver messages until nothing moves. Then every node of the one must
//! have the same log, the same commit position and the same part and term as its twin. Timeouts are taken out of both:
//! whoever is to stand is told so.
//!
//! Members change, too, where both sides mean the same: in a connected cluster at rest. Elsewhere they differ on purpose,
//! as our room goes by a membership that is appended, and the crate by one that is applied. A leader that removes itself
//! is left out, as the crate then fails an assertion.
#![allow(clippy::unwrap_used)]

mod ours;
mod theirs;

use ours::Ours;
use quorate_core::consensus::Members;
use quorate_core::guarantee::NodeSet;
use quorate_core::machine::NodeId;
use quorate_core::mutant::{Mutant, Mutants};
use quorate_core::random::Random;
use std::collections::BTreeSet;
use theirs::Theirs;

/// What both sides show after each event.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    leads: bool,
    term: u64,
    /// Terms and payloads; nothing for the entry that opens a leadership.
    log: Vec<(u64, Vec<u8>)>,
    commit: u64,
}

impl Shown {
    /// The oracle's votes carry commit positions, ours do not: away from a leader with a majority it may know more.
    fn agrees(&self, oracle: &Shown, leads_a_majority: bool) -> bool {
        let commit = if leads_a_majority { self.commit == oracle.commit } else { self.commit <= oracle.commit };
        commit && (self.leads, self.term, &self.log) == (oracle.leads, oracle.term, &oracle.log)
    }
}

/// How both show an entry that changes members.
const MEMBERS: &[u8] = b"members";

/// The next members.
struct Change {
    voters: BTreeSet<u16>,
    learners: BTreeSet<u16>,
}

trait Cluster {
    fn stand(&mut self, node: u16);
    fn propose(&mut self, node: u16, payload: &[u8]);
    fn change(&mut self, node: u16, change: &Change);
    fn heartbeat(&mut self, node: u16);
    fn restart(&mut self, node: u16);
    fn deliver(&mut self, cut: &BTreeSet<(u16, u16)>);
    fn show(&self, node: u16) -> Shown;
}

/// Runs one schedule on both; tells what happened, or the first difference.
fn lock_step(seed: u64, events: usize, changes: bool, mutants: Mutants) -> Result<Seen, String> {
    let mut random = Random::new(seed);
    let nodes = [3, 5][random.below(2) as usize];
    let voters = if changes { 3 } else { nodes };
    let (mut ours, mut theirs) = (Ours::new(nodes, voters, mutants), Theirs::new(nodes, voters));
    let mut members = Members::of((1..=voters).map(NodeId));
    let mut cut: BTreeSet<(u16, u16)> = BTreeSet::new();
    let mut story = Vec::new();
    let mut seen = Seen::default();
    for event in 0..events {
        let node = 1 + random.below(u64::from(nodes)) as u16;
        let choice = random.below(100);
        let may_stand = members.is_voter(NodeId(node)) && !hangs_on_a_leader(&ours, node, members, &cut);
        let at_rest = leader_at_rest(&ours, members).filter(|_| changes && cut.is_empty());
        let mut both = |run: &mut dyn FnMut(&mut dyn Cluster)| {
            run(&mut ours);
            run(&mut theirs);
        };
        match choice {
            // Our leader never grants a pre-vote, the oracle's does unless it checks its quorum by a clock.
            0..18 if !may_stand => {}
            0..18 => {
                story.push(format!("{node} stands"));
                both(&mut |cluster| cluster.stand(node));
            }
            18..60 => {
                story.push(format!("{node} proposes {event}"));
                both(&mut |cluster| cluster.propose(node, &event.to_be_bytes()));
            }
            60..75 => {
                let other = 1 + random.below(u64::from(nodes)) as u16;
                story.push(format!("cut {node} to {other}"));
                if other != node {
                    cut.extend([(node, other), (other, node)]);
                }
            }
            75..82 => {
                story.push("heal".to_string());
                cut.clear();
            }
            82..90 => {
                story.push(format!("{node} restarts"));
                both(&mut |cluster| cluster.restart(node));
            }
            90..96 if at_rest.is_some() => {
                if let Some(leader) = at_rest
                    && let Some(next) = draw_change(&mut random, leader, nodes, members)
                {
                    story.push(format!("{leader} changes to {:?} learners {:?}", next.voters, next.learners));
                    both(&mut |cluster| cluster.change(leader, &next));
                    let set = |nodes: &BTreeSet<u16>| nodes.iter().copied().map(NodeId).collect();
                    members.voters = set(&next.voters);
                    members.learners = set(&next.learners);
                    seen.changes += 1;
                }
            }
            _ => story.push("heartbeats".to_string()),
        }
        both(&mut |cluster| cluster.deliver(&cut));
        // Heartbeats bring both to the same rest: what one side notices at once, the other notices then.
        for _ in 0..3 {
            for node in 1..=nodes {
                both(&mut |cluster| cluster.heartbeat(node));
                both(&mut |cluster| cluster.deliver(&cut));
            }
        }
        // A node outside gets what is still on its way to it, or not.
        for node in members.all().iter().map(|node| node.0) {
            if ours.members(node) != members && cut.is_empty() && leader_at_rest(&ours, members).is_some() {
                return Err(format!(
                    "seed {seed}, node {node} goes by {:?}\n  {}",
                    ours.members(node),
                    story.join(", ")
                ));
            }
            let (ours, theirs) = (ours.show(node), theirs.show(node));
            let linked = |other| !cut.contains(&(node, other)) && !cut.contains(&(other, node));
            let majority = is_majority(members.voters.iter().filter(|other| linked(other.0)), members);
            if !ours.agrees(&theirs, theirs.leads && majority) {
                return Err(format!(
                    "seed {seed}, node {node}\n  ours   {ours:?}\n  theirs {theirs:?}\n  {}",
                    story.join(", ")
                ));
            }
            seen.leaders += u64::from(ours.leads);
            seen.committed = seen.committed.max(ours.commit);
            seen.terms = seen.terms.max(ours.term);
        }
    }
    Ok(seen)
}

fn is_majority(nodes: impl Iterator<Item = NodeId>, members: Members) -> bool {
    nodes.count() * 2 > members.voters.len()
}

/// Would the candidate have a majority only together with nodes that lead?
fn hangs_on_a_leader(ours: &Ours, node: u16, members: Members, cut: &BTreeSet<(u16, u16)>) -> bool {
    let linked = |other: &NodeId| !cut.contains(&(node, other.0)) && !cut.contains(&(other.0, node));
    let follows = |other: &NodeId| !ours.show(other.0).leads;
    is_majority(members.voters.iter().filter(linked), members)
        && !is_majority(members.voters.iter().filter(linked).filter(follows), members)
}

/// The only leader, when it has committed all that it has, in its own term.
fn leader_at_rest(ours: &Ours, members: Members) -> Option<u16> {
    let leads: Vec<u16> = members.all().iter().map(|node| node.0).filter(|node| ours.show(*node).leads).collect();
    let [leader] = leads[..] else { return None };
    let shown = ours.show(leader);
    let own = shown.log.last().is_some_and(|(term, _)| *term == shown.term);
    (own && shown.commit == shown.log.len() as u64).then_some(leader)
}

/// Other voters, the leader among them, and learners. None when the draw is what there is.
fn draw_change(random: &mut Random, leader: u16, nodes: u16, members: Members) -> Option<Change> {
    let mut change = Change { voters: BTreeSet::from([leader]), learners: BTreeSet::new() };
    for node in (1..=nodes).filter(|node| *node != leader) {
        match random.below(10) {
            0..6 => change.voters.insert(node),
            6..8 => change.learners.insert(node),
            _ => false,
        };
    }
    let voters: NodeSet = change.voters.iter().copied().map(NodeId).collect();
    (voters != members.voters).then_some(change)
}

/// That the schedules were not empty.
#[derive(Debug, Default)]
struct Seen {
    leaders: u64,
    committed: u64,
    terms: u64,
    changes: u64,
}

#[test]
fn our_room_and_the_oracle_agree_after_every_event() {
    let mut total = Seen::default();
    for seed in 0..400 {
        let seen = lock_step(seed, 60, false, Mutants::none()).unwrap_or_else(|difference| panic!("{difference}"));
        total.leaders += seen.leaders;
        total.committed += seen.committed;
        total.terms += seen.terms;
    }
    assert!(total.leaders > 10_000 && total.committed > 4_000 && total.terms > 1_500, "{total:?}");
}

#[test]
fn the_oracle_notices_a_broken_rule() {
    for mutant in
        [Mutant::ElectionRestrictionOff, Mutant::FollowerDoesNotTruncate, Mutant::MajorityIsHalf, Mutant::LearnerCounts]
    {
        let changes = mutant == Mutant::LearnerCounts;
        let broken = |seed| {
            std::panic::catch_unwind(|| lock_step(seed, 60, changes, Mutants::only(mutant)).is_err()).unwrap_or(true)
        };
        assert!((0..400).any(broken), "{mutant:?} survived");
    }
}

#[test]
fn they_agree_while_members_change() {
    let mut total = Seen::default();
    for seed in 0..400 {
        let seen = lock_step(seed, 80, true, Mutants::none()).unwrap_or_else(|difference| panic!("{difference}"));
        total.leaders += seen.leaders;
        total.committed += seen.committed;
        total.changes += seen.changes;
    }
    assert!(total.leaders > 10_000 && total.committed > 4_000 && total.changes > 400, "{total:?}");
}
