//! Which writer a read read from, where more than one wrote its value: all possibilities, one after the other.

/// One possibility out of all. Choices are made in order, and later ones may depend on earlier ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    picks: Vec<(u32, u32)>,
    at: usize,
}

impl Choice {
    /// One of so many.
    pub fn among(&mut self, count: usize) -> usize {
        if count < 2 {
            return 0;
        }
        if self.at == self.picks.len() {
            self.picks.push((0, count as u32));
        }
        self.at += 1;
        self.picks[self.at - 1].0 as usize
    }

    /// The next possibility; false if there is none.
    pub fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((pick, count)) = self.picks.last_mut() {
            *pick += 1;
            if pick < count {
                return true;
            }
            self.picks.pop();
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
            let first = choice.among(2);
            let second = choice.among(1);
            let third = if first == 0 { choice.among(3) } else { 9 };
            seen.push((first, second, third));
            if !choice.advance() {
                break;
            }
        }
        assert_eq!(seen, [(0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 0, 9)]);
    }
}
