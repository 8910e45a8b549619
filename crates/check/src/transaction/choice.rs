//! Which writer a read read from, where more than one wrote its value: one possibility after the other.
//!
//! A contradiction says which choices it rests on; those made after the latest of these are not varied (conflict-directed
//! backjumping: Prosser, 1993).

/// A choice that was made.
#[derive(Clone, Debug)]
struct Pick {
    pick: u32,
    count: u32,
    /// The transaction whose read it is about; `None` if anything may depend on it.
    reader: Option<u32>,
    /// Earlier choices that contradictions with this one rest on, sorted.
    blamed: Vec<u32>,
}

/// One possibility out of all. Choices are made in order, and later ones may depend on earlier ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    picks: Vec<Pick>,
    at: usize,
}

impl Choice {
    /// One of so many, for a read of this transaction.
    pub fn among(&mut self, count: usize, reader: Option<u32>) -> usize {
        if count < 2 {
            return 0;
        }
        if self.at == self.picks.len() {
            self.picks.push(Pick { pick: 0, count: count as u32, reader, blamed: Vec::new() });
        }
        self.at += 1;
        self.picks[self.at - 1].pick as usize
    }

    /// Was there nothing to choose?
    pub fn is_forced(&self) -> bool {
        self.picks.is_empty()
    }

    /// Goes on to the next possibility after a contradiction that rests on reads of these transactions; false if there is none.
    pub fn advance(&mut self, rests_on: impl Fn(u32) -> bool) -> bool {
        self.at = 0;
        let picks = self.picks.iter().enumerate();
        let mut blamed: Vec<u32> =
            picks.filter(|(_, pick)| pick.reader.is_none_or(&rests_on)).map(|(at, _)| at as u32).collect();
        while let Some(latest) = blamed.pop() {
            self.picks.truncate(latest as usize + 1);
            let pick = self.picks.last_mut().expect("it was made");
            pick.blamed.append(&mut blamed);
            pick.blamed.sort_unstable();
            pick.blamed.dedup();
            pick.pick += 1;
            if pick.pick < pick.count {
                return true;
            }
            blamed = std::mem::take(&mut pick.blamed);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_through_all_possibilities() {
        let mut choice = Choice::default();
        let mut seen = Vec::new();
        loop {
            let first = choice.among(2, None);
            let second = choice.among(1, None);
            let third = if first == 0 { choice.among(3, None) } else { 9 };
            seen.push((first, second, third));
            if !choice.advance(|_| false) {
                break;
            }
        }
        assert_eq!(seen, [(0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 0, 9)]);
    }

    #[test]
    fn does_not_vary_what_nothing_rests_on() {
        let mut choice = Choice::default();
        let mut seen = Vec::new();
        loop {
            let picks: Vec<usize> = (0..30).map(|reader| choice.among(2, Some(reader))).collect();
            seen.push((picks[3], picks[20]));
            if !choice.advance(|reader| reader == 3 || reader == 20) {
                break;
            }
        }
        assert_eq!(seen, [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert!(!Choice::default().advance(|_| true));
    }
}
