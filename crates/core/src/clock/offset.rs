//! How far the wall clocks of others are from the one here, and what a majority of them says of a clock.

use crate::machine::NodeId;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How far another clock is ahead of the one here, by a message there and one back (Cristian 1989).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offset {
    /// Milliseconds that it is ahead; below 0 if it is behind.
    pub ahead_ms: i64,
    /// The truth is at most so many milliseconds away from that, as long as neither clock jumps.
    pub give_or_take_ms: u64,
}

impl Offset {
    /// The offset of a clock that showed `theirs_ms` at some moment of a round trip, at whose end the clock here shows `ours_ms`. How
    /// the round trip is divided between the two ways is unknown, so half of it is the uncertainty.
    pub fn measured(theirs_ms: u64, ours_ms: u64, round_trip_us: u64) -> Offset {
        let half_ms = round_trip_us.div_ceil(2_000);
        let ahead_ms = i128::from(theirs_ms) + i128::from(half_ms) - i128::from(ours_ms);
        // Each clock shows whole milliseconds.
        Offset { ahead_ms: clamped(ahead_ms), give_or_take_ms: half_ms.saturating_add(1) }
    }

    /// Are two clocks further apart than this for certain?
    fn apart(self, other: Offset, bound_ms: u64) -> bool {
        let doubt_ms = self.give_or_take_ms.saturating_add(other.give_or_take_ms);
        self.ahead_ms.abs_diff(other.ahead_ms) > bound_ms.saturating_add(doubt_ms)
    }
}

fn clamped(ms: i128) -> i64 {
    ms.clamp(i128::from(i64::MIN + 1), i128::from(i64::MAX)) as i64
}

/// A wall clock is out: a majority of the members has clocks that are certainly further away from it than the bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClockOut {
    /// Milliseconds that it is ahead of the middle one of them; below 0 if it is behind.
    pub ahead_ms: i64,
    /// Whose clocks they are.
    pub against: Vec<NodeId>,
    /// The bound, in milliseconds.
    pub bound_ms: u64,
}

impl ClockOut {
    /// What is wrong, what it does and what to do, for people.
    pub fn sentence(&self) -> String {
        let (way, size) = (if self.ahead_ms < 0 { "behind" } else { "ahead of" }, self.ahead_ms.unsigned_abs());
        let nodes: Vec<String> = self.against.iter().map(|node| alloc::format!("{}", node.0)).collect();
        alloc::format!(
            "the clock of this node is {size} ms {way} those of a majority (nodes {}); more than {} ms is too much, as keys \
             would expire at wrong times, so it leaves leading to others while there are any whose clocks agree; set the \
             clock right, and see whether its time service runs",
            nodes.join(", "),
            self.bound_ms
        )
    }
}

/// All clocks that one member knows, as it sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Its own is the first, ahead of itself by nothing.
    offsets: Vec<(NodeId, Offset)>,
    members: usize,
    bound_ms: u64,
}

impl Clocks {
    /// The clocks that a member measured, of so many members in all. Those that differ by no more than the bound agree.
    pub fn new(own: NodeId, measured: impl Iterator<Item = (NodeId, Offset)>, members: usize, bound_ms: u64) -> Clocks {
        let offsets = core::iter::once((own, Offset::default())).chain(measured).collect();
        Clocks { offsets, members, bound_ms }
    }

    /// Is the own clock out? An unknown clock speaks for it, so a member that knows few clocks is never told so.
    pub fn own_is_out(&self) -> Option<ClockOut> {
        let (_, own) = self.offsets[0];
        let mut apart: Vec<(NodeId, Offset)> = self.offsets[1..].to_vec();
        apart.retain(|(_, other)| other.apart(own, self.bound_ms));
        if !self.is_majority(apart.len()) {
            return None;
        }
        let against = apart.iter().map(|(node, _)| *node).collect();
        apart.sort_unstable_by_key(|(_, other)| other.ahead_ms);
        let ahead_ms = -apart[apart.len() / 2].1.ahead_ms;
        Some(ClockOut { ahead_ms, against, bound_ms: self.bound_ms })
    }

    /// The others whose clock agrees with a majority, as far as is known.
    pub fn others_in(&self) -> Vec<NodeId> {
        let agree = |a: Offset, b: Offset| a.ahead_ms.abs_diff(b.ahead_ms) <= self.bound_ms;
        let agreeing = |one: Offset| self.offsets.iter().filter(|(_, other)| agree(one, *other)).count();
        let others = self.offsets[1..].iter().filter(|(_, one)| self.is_majority(agreeing(*one)));
        others.map(|(node, _)| *node).collect()
    }

    fn is_majority(&self, count: usize) -> bool {
        count > self.members / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn clocks(members: usize, ahead_ms: &[i64]) -> Clocks {
        let offset = |(at, &ahead_ms): (usize, &i64)| (NodeId(at as u16 + 2), Offset { ahead_ms, give_or_take_ms: 3 });
        Clocks::new(NodeId(1), ahead_ms.iter().enumerate().map(offset), members, 500)
    }
    fn nodes(ids: &[u16]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    /// However a round trip is divided between its two ways.
    #[test]
    fn the_true_offset_is_within_what_is_given() {
        let mut random = Random::new(7);
        for _ in 0..20_000 {
            let (back_us, there_us) = (random.below(900_000), random.below(900_000));
            let (truth_us, end_us) = (random.below(4_000_000) as i64 - 2_000_000, 10_000_000 + random.below(1_000_000));
            let theirs_us = (end_us - back_us) as i64 + truth_us;
            let offset = Offset::measured(theirs_us as u64 / 1_000, end_us / 1_000, there_us + back_us);
            let wrong_us = (offset.ahead_ms * 1_000).abs_diff(truth_us);
            assert!(wrong_us <= offset.give_or_take_ms * 1_000, "{offset:?}, in truth {truth_us} us");
        }
        // And no number from outside is too great.
        assert_eq!(Offset::measured(u64::MAX, 0, u64::MAX).ahead_ms, i64::MAX);
        assert!(Offset::measured(0, u64::MAX, 0).ahead_ms < 0);
    }

    #[test]
    fn only_a_majority_calls_a_clock_out() {
        for (members, ahead_ms, expected) in [
            (3, &[9_000, 9_010][..], Some((-9_010, nodes(&[2, 3])))),
            (3, &[-800, -700], Some((700, nodes(&[2, 3])))),
            // One that agrees, one that is unknown: together with itself they are the majority.
            (3, &[9_000, 10], None),
            (3, &[9_000], None),
            (5, &[9_000, 9_000, 20], None),
            (5, &[9_000, 0, 9_020, 9_040], Some((-9_020, nodes(&[2, 4, 5])))),
            (2, &[9_000], None),
            (1, &[], None),
        ] {
            let out = clocks(members, ahead_ms).own_is_out();
            assert_eq!(out.map(|out| (out.ahead_ms, out.against)), expected, "{ahead_ms:?} of {members}");
        }
    }

    /// The bound must be passed by more than the uncertainty of the measurement.
    #[test]
    fn a_clock_within_the_bound_is_never_called_out() {
        assert_eq!(clocks(3, &[503, 503]).own_is_out(), None);
        assert!(clocks(3, &[504, 504]).own_is_out().is_some());
    }

    #[test]
    fn a_clock_is_in_if_it_agrees_with_a_majority() {
        assert_eq!(clocks(3, &[9_000, 9_010]).others_in(), nodes(&[2, 3]));
        assert_eq!(clocks(3, &[9_000, 10]).others_in(), nodes(&[3]));
        // Three clocks, three times: nobody can tell who is right.
        assert_eq!(clocks(3, &[9_000, -9_000]).others_in(), nodes(&[]));
        assert!(clocks(3, &[9_000, -9_000]).own_is_out().is_some());
        assert_eq!(clocks(5, &[9_000, 9_000, -4]).others_in(), nodes(&[]));
    }

    #[test]
    fn the_sentence_says_what_to_do() {
        let out = clocks(3, &[-9_000, -9_010]).own_is_out().expect("both are far away");
        let sentence = out.sentence();
        assert!(
            sentence.starts_with("the clock of this node is 9000 ms ahead of those of a majority (nodes 2, 3)"),
            "{sentence}"
        );
        assert!(sentence.contains("set the clock right"), "{sentence}");
    }
}
