//! Latencies in buckets that grow with the value: at most 1/64 of a value is lost to rounding, in a fixed 30 KB.

/// Buckets per doubling, as a power of two.
const FINE_BITS: u32 = 6;
const FINE: usize = 1 << FINE_BITS;
const BUCKETS: usize = (64 - FINE_BITS as usize + 1) * FINE;

/// Counts of durations in nanoseconds.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.total
    }
    /// The longest, exactly.
    pub fn max(&self) -> u64 {
        self.max
    }
    /// The duration that this share (0 to 1) of all is no longer than; 0 if there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(at).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(value: u64) -> usize {
    if value < FINE as u64 {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - FINE_BITS;
    (shift as usize + 1) * FINE + ((value >> shift) as usize - FINE)
}

/// The largest value of a bucket.
fn highest(bucket: usize) -> u64 {
    if bucket < FINE {
        return bucket as u64;
    }
    let shift = (bucket / FINE - 1) as u32;
    let low = ((bucket % FINE + FINE) as u64) << shift;
    low + ((1u64 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_bucket_that_ends_at_or_after_it() {
        for value in (0..5_000).chain((6..63).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let at = bucket(value);
            assert!(at < BUCKETS && highest(at) >= value, "{value}");
            assert!(at == 0 || highest(at - 1) < value, "{value}");
            assert!(highest(at) - value <= value / FINE as u64, "{value}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        (1..=1_000u64).for_each(|value| histogram.record(value * 1_000));
        for (share, value) in [(0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let found = histogram.quantile(share);
            assert!(found >= value && found <= value + value / 64, "{share}: {found}");
        }
        assert_eq!(histogram.max(), 1_000_000);
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }
}
