//! The bound of bounded staleness: how much earlier a read may count as begun.

use std::fmt;

/// How stale a read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Staleness {
    /// So many of the moments that order the history: rows of a log, or the unit in which the history counts.
    Moments(u64),
    /// So much time by the clock of the history ([`History::time_ns`](crate::History::time_ns)).
    Nanoseconds(u64),
}

/// Units of time with their nanoseconds, the longest first.
const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

impl Staleness {
    /// The bound of that text: `4` is in moments, `10ms` in time; the units are ns, us, ms and s. `None` if it is no bound
    /// or is longer than 2^64 ns.
    pub fn of_word(word: &str) -> Option<Staleness> {
        let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        let number: u64 = word[..digits].parse().ok()?;
        if digits == word.len() {
            return Some(Staleness::Moments(number));
        }
        let (_, unit) = UNITS.into_iter().find(|(unit, _)| *unit == &word[digits..])?;
        number.checked_mul(unit).map(Staleness::Nanoseconds)
    }
}

impl fmt::Display for Staleness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Staleness::Moments(1) => f.write_str("1 moment"),
            Staleness::Moments(number) => write!(f, "{number} moments"),
            Staleness::Nanoseconds(number) => {
                let whole = UNITS.into_iter().find(|(_, unit)| number >= *unit && number.is_multiple_of(*unit));
                let (name, unit) = whole.unwrap_or(("ns", 1));
                write!(f, "{} {name}", number / unit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_says_its_unit() {
        let said = |word: &str| Staleness::of_word(word).map(|bound| bound.to_string());
        for (word, expected) in [
            ("0", "0 moments"),
            ("1", "1 moment"),
            ("0ms", "0 ns"),
            ("10ms", "10 ms"),
            ("1500us", "1500 us"),
            ("3000us", "3 ms"),
            ("2s", "2 s"),
            ("7ns", "7 ns"),
        ] {
            assert_eq!(said(word).as_deref(), Some(expected), "{word}");
        }
        for word in ["", "ms", "-1", "1.5s", "3 ms", "3m", "18446744073709551616", "18446744074s"] {
            assert_eq!(said(word), None, "{word}");
        }
    }
}
