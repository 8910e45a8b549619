//! Majority arithmetic, used by elections, commits and read rounds alike.

use crate::mutant::{Mutant, Mutants};

/// How many of `members` nodes are a majority: more than half, so that any two majorities share a node.
pub fn needed(members: usize, mutants: Mutants) -> usize {
    if mutants.has(Mutant::MajorityIsHalf) { (members / 2).max(1) } else { members / 2 + 1 }
}

/// The greatest value that so many have reached, given what each has reached. They are one at least.
pub fn reached(values: &mut [u64], needed: usize) -> u64 {
    values.sort_unstable_by(|a, b| b.cmp(a));
    values.get(needed - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_majorities_share_a_node() {
        for members in 1..=9 {
            assert!(2 * needed(members, Mutants::none()) > members);
            assert!(needed(members, Mutants::none()) <= members);
        }
    }

    #[test]
    fn a_majority_has_reached_the_middle_value() {
        for (values, expected) in [
            (&mut [5][..], 5),
            (&mut [5, 9], 5),
            (&mut [1, 5, 9], 5),
            (&mut [1, 5, 9, 9], 5),
            (&mut [9, 1, 1, 7, 8], 7),
        ] {
            let needed = needed(values.len(), Mutants::none());
            assert_eq!(reached(values, needed), expected);
        }
    }
}
