//! Logical clocks (Lamport 1978).

/// A number that grows with every event and along every message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lamport(u64);

impl Lamport {
    /// The number of a new event here.
    pub fn tick(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
    /// The number of the receipt of a message, which carries the number of its sending.
    pub fn observe(&mut self, sent: u64) -> u64 {
        self.0 = self.0.max(sent);
        self.tick()
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::executions::each;

    #[test]
    fn a_cause_has_a_smaller_number() {
        each(6, &mut |execution| {
            let numbers = execution.numbers();
            for (cause, effect) in execution.causes() {
                assert!(numbers[cause] < numbers[effect], "{execution:?}");
            }
        });
    }

    #[test]
    fn a_smaller_number_is_no_proof_of_a_cause() {
        let mut smallest = None;
        for events in 1..=6 {
            each(events, &mut |execution| {
                let numbers = execution.numbers();
                let pairs = (0..events).flat_map(|a| (0..events).map(move |b| (a, b)));
                let misled = pairs.into_iter().any(|(a, b)| numbers[a] < numbers[b] && !execution.is_before(a, b));
                if misled && smallest.is_none() {
                    smallest = Some(execution.clone());
                }
            });
        }
        assert_eq!(smallest.map(|execution| execution.events.len()), Some(3), "two nodes, three events");
    }
}
