//! The injected stream of randomness: xoshiro256++ seeded by splitmix64 (Blackman and Vigna, 2019).
//!
//! Our own twenty lines, because a seed must replay for years and libraries may change their sampling.

/// A stream of random numbers that is a pure function of its seed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Random([u64; 4]);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Random {
        let mut state = seed;
        let mut split = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        };
        Random([split(), split(), split(), split()])
    }

    /// The next number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `bound`, which must not be 0. The bias is below 2^-32 for the bounds used here.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// A stream of its own, split off this one.
    pub fn fork(&mut self) -> Random {
        Random::new(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream_for_ever() {
        let mut random = Random::new(7);
        let first: alloc::vec::Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, GOLDEN);
    }
    const GOLDEN: [u64; 3] = [1021219803524665661, 3174977118032272916, 13236943193235544178];
}
