//! Which messages of a peer arrived, so that a copy is not taken for another.

use alloc::collections::BTreeSet;

/// Numbers that are remembered of one peer.
const REMEMBERED: usize = 8_192;

/// The newest numbers that arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(BTreeSet<u64>);

impl Arrivals {
    /// Is this for certain the first time that the number arrives? One that is older than all that are remembered cannot be told from a copy.
    pub(super) fn is_first(&mut self, number: u64) -> bool {
        if self.0.len() >= REMEMBERED {
            if self.0.first().is_some_and(|&oldest| number < oldest) {
                return false;
            }
            self.0.pop_first();
        }
        self.0.insert(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_no_first_arrival_and_what_is_forgotten_is_taken_for_one() {
        let mut arrivals = Arrivals::default();
        assert!(arrivals.is_first(7) && !arrivals.is_first(7) && arrivals.is_first(3));
        for number in 10..10 + REMEMBERED as u64 {
            assert!(arrivals.is_first(number));
        }
        assert!(!arrivals.is_first(3) && !arrivals.is_first(1), "older than all that are remembered");
        assert!(!arrivals.is_first(9 + REMEMBERED as u64));
    }
}
