//! R and W out of N.

use core::fmt;
use serde::{Deserialize, Serialize};

/// How many replicas there are, and how many must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    replicas: u8,
    read: u8,
    write: u8,
}

/// Why there is no such rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleError {
    /// There are 1 to [`Rule::REPLICAS_MAX`] replicas.
    Replicas,
    /// A read waits for 1 to all replicas.
    Read,
    /// A write waits for 1 to all replicas.
    Write,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleError::Replicas => write!(f, "a table has 1 to {} replicas", Rule::REPLICAS_MAX),
            RuleError::Read => f.write_str("a read waits for at least 1 replica and at most all of them"),
            RuleError::Write => f.write_str("a write waits for at least 1 replica and at most all of them"),
        }
    }
}

/// Rules that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// R = 1, W = N: the nearest replica answers a read; one that is down stops writes.
    FastReads,
    /// R = N, W = 1: one replica takes a write; one that is down stops reads. Two writes need not meet.
    FastWrites,
    /// R and W a majority each.
    Balanced,
}

impl Preset {
    /// All of them.
    pub const ALL: [Preset; 3] = [Preset::FastReads, Preset::FastWrites, Preset::Balanced];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Preset::FastReads => "fast-reads",
            Preset::FastWrites => "fast-writes",
            Preset::Balanced => "balanced",
        }
    }

    /// The rule of that name for so many replicas.
    ///
    /// # Errors
    /// If there are too few or too many replicas.
    pub const fn rule(self, replicas: u8) -> Result<Rule, RuleError> {
        let majority = replicas / 2 + 1;
        match self {
            Preset::FastReads => Rule::new(replicas, 1, replicas),
            Preset::FastWrites => Rule::new(replicas, replicas, 1),
            Preset::Balanced => Rule::new(replicas, majority, majority),
        }
    }
}

impl Rule {
    /// The most replicas of a table.
    pub const REPLICAS_MAX: u8 = 15;

    /// Reads wait for `read`, writes for `write` of so many replicas.
    ///
    /// # Errors
    /// If a number is 0 or too great.
    pub const fn new(replicas: u8, read: u8, write: u8) -> Result<Rule, RuleError> {
        if replicas == 0 || replicas > Rule::REPLICAS_MAX {
            Err(RuleError::Replicas)
        } else if read == 0 || read > replicas {
            Err(RuleError::Read)
        } else if write == 0 || write > replicas {
            Err(RuleError::Write)
        } else {
            Ok(Rule { replicas, read, write })
        }
    }

    /// N.
    pub const fn replicas(self) -> u8 {
        self.replicas
    }
    /// R.
    pub const fn read(self) -> u8 {
        self.read
    }
    /// W.
    pub const fn write(self) -> u8 {
        self.write
    }
    /// Every read asks at least so many replicas that have the last acknowledged write: R + W − N.
    pub const fn overlap(self) -> u8 {
        (self.read + self.write).saturating_sub(self.replicas)
    }
    /// Every two writes have at least so many replicas in common: 2W − N.
    pub const fn write_overlap(self) -> u8 {
        (2 * self.write).saturating_sub(self.replicas)
    }
    /// So many replicas may be down, and reads go on.
    pub const fn reads_survive(self) -> u8 {
        self.replicas - self.read
    }
    /// So many replicas may be down, and writes go on.
    pub const fn writes_survive(self) -> u8 {
        self.replicas - self.write
    }
    /// Of all sets of R replicas, how many hold nobody of the W that have the last acknowledged write, and how many sets there are: the chance
    /// that a read is stale, if no more than W have the write and each set is as likely (7.02 of the claims; Bailis and others 2012).
    pub const fn stale_reads(self) -> (u64, u64) {
        (choose(self.replicas - self.write, self.read), choose(self.replicas, self.read))
    }
}

const fn choose(of: u8, count: u8) -> u64 {
    if count > of {
        return 0;
    }
    let (mut result, mut at) = (1, 0);
    while at < count as u64 {
        // Divides without rest: this many consecutive numbers were multiplied.
        result = result * (of as u64 - at) / (at + 1);
        at += 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn sets(of: u8, size: u8) -> Vec<u32> {
        (0..1u32 << of).filter(|set| set.count_ones() == u32::from(size)).collect()
    }

    fn rules(most: u8) -> impl Iterator<Item = Rule> {
        (1..=most).flat_map(|replicas| {
            let pairs = (1..=replicas).flat_map(move |read| (1..=replicas).map(move |write| (read, write)));
            pairs.map(move |(read, write)| Rule::new(replicas, read, write).expect("in bounds"))
        })
    }

    #[test]
    fn the_rule_is_true_of_all_sets() {
        for rule in rules(7) {
            let (reads, writes) = (sets(rule.replicas, rule.read), sets(rule.replicas, rule.write));
            let least = |one: &[u32], other: &[u32]| {
                one.iter().flat_map(|a| other.iter().map(move |b| (a & b).count_ones())).min()
            };
            assert_eq!(least(&reads, &writes), Some(rule.overlap().into()), "{rule:?}");
            assert_eq!(least(&writes, &writes), Some(rule.write_overlap().into()), "{rule:?}");
        }
    }

    #[test]
    fn the_chance_is_counted() {
        for rule in rules(7) {
            let written = (1u32 << rule.write) - 1;
            let reads = sets(rule.replicas, rule.read);
            let stale = reads.iter().filter(|&&read| read & written == 0).count() as u64;
            assert_eq!(rule.stale_reads(), (stale, reads.len() as u64), "{rule:?}");
            assert_eq!(stale == 0, rule.overlap() > 0, "{rule:?}");
        }
        let chance = |replicas, read, write| Rule::new(replicas, read, write).map(Rule::stale_reads);
        assert_eq!(chance(3, 1, 1), Ok((2, 3)));
        assert_eq!(chance(5, 2, 2), Ok((3, 10)));
        assert_eq!(chance(15, 7, 1), Ok((3432, 6435)));
    }

    #[test]
    fn rules_out_of_bounds_are_refused() {
        for (rule, error) in [
            ((0, 1, 1), RuleError::Replicas),
            ((16, 1, 1), RuleError::Replicas),
            ((3, 0, 1), RuleError::Read),
            ((3, 4, 1), RuleError::Read),
            ((3, 1, 0), RuleError::Write),
            ((3, 1, 4), RuleError::Write),
        ] {
            assert_eq!(Rule::new(rule.0, rule.1, rule.2), Err(error));
        }
    }

    #[test]
    fn presets_overlap() {
        for replicas in 1..=Rule::REPLICAS_MAX {
            for preset in Preset::ALL {
                let rule = preset.rule(replicas).expect("in bounds");
                assert!(rule.overlap() > 0, "{preset:?} of {replicas}");
                assert_eq!(rule.write_overlap() > 0, preset != Preset::FastWrites || replicas == 1);
            }
        }
    }
}
