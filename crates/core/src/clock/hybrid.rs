//! Hybrid logical clocks (Kulkarni, Demirbas, Madappa, Avva and Leone 2014), with a bound on what they adopt.

use super::version::Actor;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A moment of hybrid time. The actor breaks ties, so that the order is total; the order says nothing about concurrency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Milliseconds since 1970 by the clock that was furthest ahead of all that led here.
    pub time_ms: u64,
    /// Tells moments of the same millisecond apart.
    pub count: u32,
    /// Who made it.
    pub actor: Actor,
}

/// A stamp was too far ahead of the clock here. It was not adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TooFarAhead {
    /// By so many milliseconds.
    pub ahead_ms: u64,
    /// More than this is not believed.
    pub bound_ms: u64,
}

impl fmt::Display for TooFarAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooFarAhead { ahead_ms, bound_ms } = self;
        write!(f, "the stamp is {ahead_ms} ms ahead of the clock here; at most {bound_ms} ms are believed")
    }
}

/// The hybrid clock of one actor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hybrid {
    actor: Actor,
    bound_ms: u64,
    time_ms: u64,
    count: u32,
}

impl Hybrid {
    /// The clock of an actor, which does not believe stamps that are further ahead than the bound.
    pub const fn new(actor: Actor, bound_ms: u64) -> Hybrid {
        Hybrid { actor, bound_ms, time_ms: 0, count: 0 }
    }

    /// The moment of a new event, by the wall clock here: later than all that this clock gave or adopted.
    pub fn tick(&mut self, wall_ms: u64) -> Stamp {
        if wall_ms > self.time_ms {
            (self.time_ms, self.count) = (wall_ms, 0);
        } else {
            // The millisecond is full after 2³² events: the next one is borrowed.
            (self.time_ms, self.count) = match self.count.checked_add(1) {
                Some(count) => (self.time_ms, count),
                None => (self.time_ms + 1, 0),
            };
        }
        Stamp { time_ms: self.time_ms, count: self.count, actor: self.actor }
    }

    /// All later moments of this clock are after that stamp.
    ///
    /// # Errors
    /// If it is further ahead of the wall clock here than the bound; then nothing changes.
    pub fn observe(&mut self, stamp: Stamp, wall_ms: u64) -> Result<(), TooFarAhead> {
        let ahead_ms = stamp.time_ms.saturating_sub(wall_ms);
        if ahead_ms > self.bound_ms {
            return Err(TooFarAhead { ahead_ms, bound_ms: self.bound_ms });
        }
        (self.time_ms, self.count) = (self.time_ms, self.count).max((stamp.time_ms, stamp.count));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::executions::each;
    use crate::machine::NodeId;
    use crate::random::Random;
    use alloc::vec::Vec;

    fn clock(node: u16, bound_ms: u64) -> Hybrid {
        Hybrid::new(Actor { node: NodeId(node), incarnation: 1 }, bound_ms)
    }

    /// In every small execution, with clocks that are off by up to 50 ms in every way that is drawn.
    #[test]
    fn stamps_grow_along_every_cause_and_stay_near_the_clocks() {
        const OFF_MS: u64 = 50;
        let mut random = Random::new(7);
        let mut wall_would_be_wrong = 0;
        each(5, &mut |execution| {
            let offsets = [0; 3].map(|_: u64| random.next() % (2 * OFF_MS + 1));
            let mut clocks = [1, 2, 3].map(|node| clock(node, 2 * OFF_MS));
            let mut stamps: Vec<Stamp> = Vec::new();
            let mut walls = Vec::new();
            let mut truth = 1_000;
            for event in &execution.events {
                truth += random.next() % 20;
                let wall = truth + offsets[event.node] - OFF_MS;
                if let Some(from) = event.heard {
                    clocks[event.node].observe(stamps[from], wall).expect("within the bound");
                }
                let stamp = clocks[event.node].tick(wall);
                let furthest = walls.iter().copied().max().unwrap_or(0).max(wall);
                assert!(stamp.time_ms <= furthest, "no clock is ahead so far");
                walls.push(wall);
                stamps.push(stamp);
            }
            for (cause, effect) in execution.causes() {
                assert!(stamps[cause] < stamps[effect], "{execution:?}");
                wall_would_be_wrong += u32::from(walls[cause] >= walls[effect]);
            }
        });
        assert!(wall_would_be_wrong > 1_000, "wall clocks alone keep the order too often to compare");
    }

    #[test]
    fn a_stamp_from_the_far_future_changes_nothing() {
        let mut honest = clock(1, 500);
        let far = Stamp { time_ms: 10_000, count: 0, actor: clock(2, 0).actor };
        let before = honest.clone();
        assert_eq!(honest.observe(far, 1_000), Err(TooFarAhead { ahead_ms: 9_000, bound_ms: 500 }));
        assert_eq!(honest, before);
        assert_eq!(honest.tick(1_000).time_ms, 1_000);
        assert_eq!(honest.observe(far, 9_500), Ok(()));
        assert!(honest.tick(9_500) > far);
    }

    #[test]
    fn a_clock_that_is_set_back_still_goes_on() {
        let mut clock = clock(1, 500);
        let stamps: Vec<Stamp> = [100, 50, 50, 101, 3].map(|wall| clock.tick(wall)).to_vec();
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]), "{stamps:?}");
    }

    #[test]
    fn a_full_millisecond_borrows_the_next() {
        let mut clock = clock(1, 500);
        clock.tick(100);
        clock.count = u32::MAX;
        let stamp = clock.tick(100);
        assert_eq!((stamp.time_ms, stamp.count), (101, 0));
    }
}
