//! Health: what this node knows of the others by their beats. How suspicious a silence is, how long a round trip takes, and how
//! far the wall clocks are apart.
//!
//! A beat is sent to every member once each heartbeat, whatever else is said: other messages come in bursts, and their
//! rhythm is that of the load. It carries the sender's clocks and gives back those of the newest beat that the sender got,
//! so that each beat that arrives also ends a round trip.
//!
//! Suspicion is never a verdict, clocks of others decide no safety, and nothing here is stored.

use super::{Config, Cx, Message, Node};
use crate::clock::{ClockOut, Clocks, Offset};
use crate::detector::{Phi, TO_HAND_OVER};
use crate::limits;
use crate::machine::{Mono, NodeId, Now};
use crate::mutant::Mutant;
use crate::operation::PeerStatus;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use serde::{Deserialize, Serialize};

/// A sign of life. Lost: the next one comes soon; that it stays away is what is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Beat {
    /// The life of the sender.
    pub incarnation: u64,
    /// The sender's monotonic time in microseconds. It means nothing to others, who give it back.
    pub sent_us: u64,
    /// What the sender's wall clock shows, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The newest beat of the receiver that the sender got.
    pub echo: Option<Echo>,
    /// The version of the catalogue that the sender knows.
    pub catalogue: u64,
    /// The groups that the sender leads, and in which terms: nodes outside of a group send their calls there.
    pub leads: Vec<(u16, u64)>,
}

/// A beat that is given back to its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Echo {
    /// The life in which it was sent.
    pub incarnation: u64,
    /// When it was sent, by the monotonic time of that life.
    pub sent_us: u64,
    /// How long it was held before it was given back, in microseconds.
    pub held_us: u64,
}

/// A measured offset counts for so many heartbeats: the clock may have been set meanwhile.
const FRESH_HEARTBEATS: u64 = 10;
/// A round trip counts for one part in so many of the smoothed one (as in RFC 6298).
const SMOOTHING: u64 = 8;
/// Leadership is handed over because of the clock at most once in so many election timeouts: writes wait for up to one of
/// them when it fails.
const HAND_OVER_TIMEOUTS: u64 = 10;

/// What this node knows of one other.
#[derive(Clone, Debug)]
struct Peer {
    phi: Phi,
    /// The newest beat and when it came.
    heard: Option<(Mono, Beat)>,
    /// The newest own beat that was given back: each measures once.
    echoed_us: u64,
    /// Smoothed.
    round_trip_us: Option<u64>,
    /// When it was measured, and the offset.
    offset: Option<(Mono, Offset)>,
}

/// What this node knows of the others.
#[derive(Clone, Debug)]
pub(super) struct Health {
    node: NodeId,
    incarnation: u64,
    heartbeat_ms: u64,
    election_ms: u64,
    peers: BTreeMap<NodeId, Peer>,
    beat_at: Mono,
    /// Who was not heard at all is silent since then.
    since: Mono,
    /// The own wall clock is out, as it was seen at the last beat.
    clock_out: Option<ClockOut>,
    /// Leadership is not handed over again before that.
    hand_over_at: Mono,
}

impl Health {
    pub(super) fn new(config: &Config, now: Mono) -> Health {
        let heartbeat_ms = config.timing.heartbeat_ms;
        let others = config.members.iter().filter(|&&member| member != config.node);
        Health {
            node: config.node,
            incarnation: config.incarnation,
            heartbeat_ms,
            election_ms: config.timing.election_ms,
            peers: others.map(|&peer| (peer, Peer::new(heartbeat_ms))).collect(),
            beat_at: now,
            since: now,
            clock_out: None,
            hand_over_at: now,
        }
    }

    /// When the next beat is due. A node without peers has none.
    pub(super) fn beat_at(&self) -> Option<Mono> {
        (!self.peers.is_empty()).then_some(self.beat_at)
    }

    /// The next beats, one for each peer.
    fn beats(&mut self, now: Now, catalogue: u64, leads: &[(u16, u64)]) -> Vec<(NodeId, Beat)> {
        if self.was_away(now.mono) {
            // The others spoke while nobody listened here.
            self.peers.values_mut().for_each(|peer| peer.phi.pardon(now.mono));
            self.since = now.mono;
            self.beat_at = now.mono;
        }
        self.beat_at = self.beat_at.after_ms(self.heartbeat_ms);
        let beat = |(&node, peer): (&NodeId, &Peer)| {
            let echo = peer.heard.as_ref().map(|(at, beat)| Echo {
                incarnation: beat.incarnation,
                sent_us: beat.sent_us,
                held_us: now.mono.0.saturating_sub(at.0),
            });
            let (sent_us, wall_ms) = (now.mono.0, now.wall.shown_ms());
            let leads = leads.to_vec();
            (node, Beat { incarnation: self.incarnation, sent_us, wall_ms, echo, catalogue, leads })
        };
        self.peers.iter().map(beat).collect()
    }

    /// A peer gave a sign of life.
    pub(super) fn heard(&mut self, from: NodeId, beat: Beat, now: Now) {
        let (away, incarnation) = (self.was_away(now.mono), self.incarnation);
        // The life of a disk that was replaced has a lower number. It is believed once the other one is silent.
        let silent = self.suspects(from, TO_HAND_OVER, now.mono);
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if let Some((_, last)) = &peer.heard {
            let newer_life = beat.incarnation > last.incarnation || (beat.incarnation < last.incarnation && silent);
            if newer_life {
                *peer = Peer::new(self.heartbeat_ms);
            } else if (beat.incarnation, beat.sent_us) <= (last.incarnation, last.sent_us) {
                return;
            }
        }
        // What waited while this node was away comes in one burst, which is not the rhythm of the peer.
        if away {
            peer.phi.pardon(now.mono);
        } else {
            peer.phi.heard(now.mono);
        }
        if let Some(echo) = beat.echo.filter(|echo| echo.incarnation == incarnation && echo.sent_us > peer.echoed_us) {
            peer.measure(beat.wall_ms, echo, now);
        }
        peer.heard = Some((now.mono, beat));
    }

    /// The members changed: those that are no more are not beaten to, and new ones are.
    pub(super) fn meet(&mut self, members: impl Iterator<Item = NodeId>) {
        let others: BTreeSet<NodeId> = members.filter(|&node| node != self.node).collect();
        self.peers.retain(|peer, _| others.contains(peer));
        for peer in others {
            self.peers.entry(peer).or_insert_with(|| Peer::new(self.heartbeat_ms));
        }
    }

    /// The peer that knows the newest catalogue, if that is newer than this version.
    pub(super) fn knows_newer(&self, version: u64) -> Option<NodeId> {
        let known = |(&node, peer): (&NodeId, &Peer)| Some((peer.heard.as_ref()?.1.catalogue, Reverse(node)));
        let newest = self.peers.iter().filter_map(known).max();
        newest.filter(|&(newest, _)| newest > version).map(|(_, Reverse(node))| node)
    }

    /// Who leads a group, and in which term, by what the others say.
    pub(super) fn leader_of(&self, group: u16) -> Option<(NodeId, u64)> {
        let led = self.peers.iter().filter_map(|(&node, peer)| {
            let (_, beat) = peer.heard.as_ref()?;
            let &(_, term) = beat.leads.iter().find(|&&(led, _)| led == group)?;
            Some((term, node))
        });
        led.max().map(|(term, node)| (node, term))
    }

    /// Is a peer's silence more suspicious than a level? One that was never heard is, after an election timeout.
    pub(super) fn suspects(&self, peer: NodeId, level: f64, now: Mono) -> bool {
        let Some(known) = self.peers.get(&peer).filter(|_| !self.was_away(now)) else { return false };
        match known.phi.level(now) {
            Some(suspicion) => suspicion > level,
            None => now > self.since.after_ms(self.election_ms),
        }
    }

    /// The own beat is late by more than a heartbeat, so this node was not there to hear the others.
    fn was_away(&self, now: Mono) -> bool {
        now > self.beat_at.after_ms(self.heartbeat_ms)
    }

    fn clocks(&self, now: Mono) -> Clocks {
        let measured = self.peers.iter().filter_map(|(&node, peer)| Some((node, self.fresh_offset(peer, now)?)));
        Clocks::new(self.node, measured, self.peers.len() + 1, limits::CLOCK_OFF_MS)
    }

    fn fresh_offset(&self, peer: &Peer, now: Mono) -> Option<Offset> {
        let (at, offset) = peer.offset?;
        (now <= at.after_ms(self.heartbeat_ms * FRESH_HEARTBEATS)).then_some(offset)
    }

    /// Compares the own wall clock with the others. If it is out: those who should rather lead, since they live and their clocks
    /// agree with a majority.
    fn compare_clocks(&mut self, now: Mono) -> Vec<NodeId> {
        let clocks = self.clocks(now);
        self.clock_out = clocks.own_is_out();
        let mut better = if self.clock_out.is_some() { clocks.others_in() } else { Vec::new() };
        better.retain(|&peer| !self.suspects(peer, TO_HAND_OVER, now));
        better
    }

    /// Is the own wall clock out? Known at each beat.
    pub(super) fn clock_out(&self) -> Option<&ClockOut> {
        self.clock_out.as_ref()
    }

    pub(super) fn status(&self, now: Mono) -> Vec<PeerStatus> {
        let status = |(&node, peer): (&NodeId, &Peer)| PeerStatus {
            node,
            incarnation: peer.heard.as_ref().map(|(_, beat)| beat.incarnation),
            heard_ms: peer.heard.as_ref().map(|(at, _)| now.0.saturating_sub(at.0) / 1_000),
            level_hundredths: peer.phi.level(now).map(|level| (level * 100.0) as u32),
            round_trip_us: peer.round_trip_us,
            clock: self.fresh_offset(peer, now),
        };
        self.peers.iter().map(status).collect()
    }
}

impl Peer {
    fn new(heartbeat_ms: u64) -> Peer {
        let phi = Phi::expecting(heartbeat_ms.saturating_mul(1_000));
        Peer { phi, heard: None, echoed_us: 0, round_trip_us: None, offset: None }
    }

    /// A round trip ended, with what the peer's wall clock showed in between.
    fn measure(&mut self, theirs_ms: u64, echo: Echo, now: Now) {
        let Some(passed_us) = now.mono.0.checked_sub(echo.sent_us) else { return };
        let took_us = passed_us.saturating_sub(echo.held_us);
        self.echoed_us = echo.sent_us;
        let smoothed =
            self.round_trip_us.map_or(took_us, |before_us| before_us - before_us / SMOOTHING + took_us / SMOOTHING);
        self.round_trip_us = Some(smoothed);
        self.offset = Some((now.mono, Offset::measured(theirs_ms, now.wall.shown_ms(), took_us)));
    }
}

impl Node {
    /// Is a peer's silence more suspicious than a level of [`crate::detector`]? Each user has a threshold of its own.
    pub fn suspects(&self, peer: NodeId, level: f64, now: Mono) -> bool {
        self.health.suspects(peer, level, now)
    }

    /// Tells every peer that this node lives, if that is due.
    pub(super) fn beat(&mut self, cx: &mut Cx<'_>) {
        if self.health.beat_at().is_none_or(|at| cx.now().mono < at) {
            return;
        }
        let led = self.seats.iter().filter(|(_, seat)| seat.group.leads());
        let leads: Vec<(u16, u64)> = led.map(|(&id, seat)| (id, seat.group.term())).collect();
        for (peer, beat) in self.health.beats(cx.now(), self.tables.catalogue.version(), &leads) {
            cx.send(peer, Message::Beat(beat));
        }
        self.ask_for_catalogue(cx);
        self.follow_votes(cx);
        self.step_back(cx);
    }

    /// A node whose clock is out leaves leading to others: what it stamps on entries makes keys expire at wrong times. It
    /// hands over what it leads, and is in no hurry to lead again. Where nobody is better it leads as before.
    fn step_back(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now().mono;
        let mut better = self.health.compare_clocks(now);
        if self.config.mutants.has(Mutant::BadClockLeadsOn) {
            better.clear();
        }
        let may_hand_over = !better.is_empty() && now >= self.health.hand_over_at;
        let mut targets = Vec::new();
        for (&id, seat) in &mut self.seats {
            seat.group.hold_back(!better.is_empty());
            if may_hand_over {
                let members = seat.group.members();
                let fit = |&(node, _, suspected): &(NodeId, u64, bool)| {
                    !suspected && better.contains(&node) && members.is_voter(node)
                };
                let followers = seat.group.followers(now).into_iter().filter(fit);
                // Who holds the most takes over the soonest.
                let target = followers.max_by_key(|&(node, matched, _)| (matched, Reverse(node)));
                targets.extend(target.map(|(node, ..)| (id, node)));
            }
        }
        if !targets.is_empty() {
            self.health.hand_over_at = now.after_ms(self.config.timing.election_ms * HAND_OVER_TIMEOUTS);
        }
        for (id, to) in targets {
            // A group that cannot be handed over now is tried again next time.
            let _ = self.transfer(cx, id, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::TO_ROUTE_AROUND;
    use crate::machine::Wall;
    use alloc::vec;

    const HEARTBEAT_MS: u64 = 100;
    const OTHER: NodeId = NodeId(2);

    fn health() -> Health {
        Health::new(&Config::new(7, NodeId(1), vec![NodeId(1), OTHER], 1), at(0).mono)
    }
    fn at(ms: u64) -> Now {
        Now { mono: Mono(ms * 1_000), wall: Wall { earliest_ms: 50_000 + ms, latest_ms: 50_000 + ms } }
    }
    fn beat(incarnation: u64, sent_ms: u64) -> Beat {
        Beat {
            incarnation,
            sent_us: sent_ms * 1_000,
            wall_ms: 50_000 + sent_ms,
            echo: None,
            catalogue: 0,
            leads: vec![],
        }
    }
    fn life(health: &Health) -> Option<u64> {
        health.peers[&OTHER].heard.as_ref().map(|(_, beat)| beat.incarnation)
    }
    /// Both beat in time for so long.
    fn live(health: &mut Health, incarnation: u64, from_ms: u64, to_ms: u64) {
        for ms in (from_ms..to_ms).step_by(HEARTBEAT_MS as usize) {
            health.beats(at(ms), 0, &[]);
            health.heard(OTHER, beat(incarnation, ms), at(ms));
        }
    }
    /// Only this node beats.
    fn wait(health: &mut Health, from_ms: u64, to_ms: u64) {
        (from_ms..to_ms).step_by(HEARTBEAT_MS as usize).for_each(|ms| drop(health.beats(at(ms), 0, &[])));
    }

    #[test]
    fn who_falls_silent_is_suspected_and_who_never_spoke_too() {
        let mut health = health();
        wait(&mut health, 0, 700);
        assert!(!health.suspects(OTHER, TO_HAND_OVER, at(700).mono));
        wait(&mut health, 700, 900);
        assert!(health.suspects(OTHER, TO_HAND_OVER, at(800).mono));
        live(&mut health, 1, 900, 5_000);
        assert!(!health.suspects(OTHER, TO_ROUTE_AROUND, at(5_000).mono));
        wait(&mut health, 5_000, 5_200);
        assert!(health.suspects(OTHER, TO_HAND_OVER, at(5_200).mono));
        // And of strangers nothing is said.
        health.heard(NodeId(9), beat(1, 5_200), at(5_200));
        assert!(!health.suspects(NodeId(9), TO_ROUTE_AROUND, at(5_200).mono));
    }

    #[test]
    fn a_node_that_was_away_suspects_nobody_for_it() {
        let mut health = health();
        live(&mut health, 1, 0, 3_000);
        let before = health.peers[&OTHER].phi.clone();
        assert!(!health.suspects(OTHER, TO_ROUTE_AROUND, at(8_000).mono));
        // What waited meanwhile comes at once, and is not taken for a rhythm.
        (3_000..8_000).step_by(100).for_each(|ms| health.heard(OTHER, beat(1, ms), at(8_000)));
        health.beats(at(8_000), 0, &[]);
        let after = &health.peers[&OTHER].phi;
        assert_eq!(after.level(at(8_100).mono), before.level(at(3_000).mono));
        assert!(!health.suspects(OTHER, TO_ROUTE_AROUND, at(8_100).mono));
    }

    #[test]
    fn a_copy_and_an_earlier_life_are_no_signs_of_life() {
        let mut health = health();
        live(&mut health, 5, 0, 3_000);
        let before = health.peers[&OTHER].phi.clone();
        health.heard(OTHER, beat(5, 2_900), at(2_950));
        health.heard(OTHER, beat(5, 2_800), at(2_950));
        health.heard(OTHER, beat(4, 9_000), at(2_950));
        assert_eq!((health.peers[&OTHER].phi.clone(), life(&health)), (before, Some(5)));
        // A new life has a new rhythm.
        health.heard(OTHER, beat(6, 0), at(2_950));
        assert_eq!(life(&health), Some(6));
        let mut fresh = Phi::expecting(HEARTBEAT_MS * 1_000);
        fresh.heard(at(2_950).mono);
        assert_eq!(health.peers[&OTHER].phi, fresh);
        // A node that came back with another disk counts its lives anew.
        wait(&mut health, 3_000, 4_100);
        health.heard(OTHER, beat(1, 0), at(4_000));
        assert_eq!(life(&health), Some(1));
    }

    /// 30 ms there, 10 ms back, 40 ms held, and a wall clock that is 7,000 ms ahead.
    #[test]
    fn a_beat_that_comes_back_measures_the_round_trip_and_the_clock() {
        let mut health = health();
        let Some((_, own)) = health.beats(at(200), 0, &[]).pop() else { panic!("there is a peer") };
        let echo = Echo { incarnation: own.incarnation, sent_us: own.sent_us, held_us: 40_000 };
        let answer = |sent_ms: u64, echo| Beat { wall_ms: 57_000 + 270, echo: Some(echo), ..beat(1, sent_ms) };
        // Given back to another life: it measures nothing.
        health.heard(OTHER, answer(1, Echo { incarnation: 9, ..echo }), at(280));
        assert_eq!(health.status(at(280).mono)[0].clock, None);
        health.heard(OTHER, answer(2, echo), at(280));
        let status = &health.status(at(280).mono)[0];
        assert_eq!(status.round_trip_us, Some(40_000));
        assert_eq!(status.clock, Some(Offset { ahead_ms: 7_010, give_or_take_ms: 21 }));
        // Given back again later: it measured once.
        health.heard(OTHER, answer(3, Echo { held_us: 0, ..echo }), at(290));
        assert_eq!(health.status(at(290).mono)[0].round_trip_us, Some(40_000));
        // What was measured long ago counts no more.
        assert_eq!(health.status(at(2_000).mono)[0].clock, None);
    }
}
