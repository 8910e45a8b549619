//! The φ accrual failure detector.

use crate::machine::Mono;
use alloc::collections::VecDeque;

/// Above this level a request rather goes to another node: one silence in a thousand is that long and harmless.
pub const TO_ROUTE_AROUND: f64 = 3.0;
/// Above this level work is handed over: one silence in a hundred million is that long and harmless.
pub const TO_HAND_OVER: f64 = 8.0;

/// So many intervals are remembered.
const REMEMBERED: usize = 128;
/// Intervals are taken to differ by at least this part of their mean: a rhythm that was perfect so far proves nothing.
const LEAST_SPREAD: f64 = 0.1;
/// No level is higher: the chance is 0 as far as numbers can tell.
const HIGHEST: f64 = 300.0;

/// Signs of life of one node, and what their rhythm says of a silence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phi {
    last: Option<Mono>,
    /// In microseconds, the newest last.
    intervals: VecDeque<u64>,
    sum: u64,
    squares: u128,
}

impl Phi {
    /// A detector that was told what rhythm to expect, in microseconds, so that it has something to say from the first sign of life on. The
    /// rhythm is taken to be loose: one interval a quarter shorter, one a quarter longer.
    pub fn expecting(interval_us: u64) -> Phi {
        let mut phi = Phi::default();
        phi.remember(interval_us - interval_us / 4);
        phi.remember(interval_us.saturating_add(interval_us / 4));
        phi
    }

    /// The node was heard.
    pub fn heard(&mut self, now: Mono) {
        if let Some(last) = self.last {
            self.remember(now.0.saturating_sub(last.0));
        }
        self.last = self.last.max(Some(now));
    }

    /// The silence up to here says nothing: whoever listens was away itself.
    pub fn pardon(&mut self, now: Mono) {
        self.last = self.last.map(|last| last.max(now));
    }

    fn remember(&mut self, interval_us: u64) {
        if self.intervals.len() == REMEMBERED
            && let Some(oldest) = self.intervals.pop_front()
        {
            self.sum -= oldest;
            self.squares -= u128::from(oldest).pow(2);
        }
        self.intervals.push_back(interval_us);
        self.sum = self.sum.saturating_add(interval_us);
        self.squares += u128::from(interval_us).pow(2);
    }

    /// How suspicious the silence is by now: 1 if one in ten silences is that long, 2 if one in a hundred is. `None` as long as the node was
    /// not heard twice, or once if a rhythm was expected.
    pub fn level(&self, now: Mono) -> Option<f64> {
        let (mean, spread) = self.rhythm()?;
        let silence = now.0.saturating_sub(self.last?.0) as f64;
        Some(level_of((silence - mean) / spread))
    }

    /// When the level will be reached, if nothing is heard until then.
    pub fn reaches(&self, level: f64) -> Option<Mono> {
        let (mean, spread) = self.rhythm()?;
        // The level grows with the distance from the mean, and is 300 at 37 spreads.
        let (mut low, mut high) = (-40.0, 40.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if level_of(middle) < level { low = middle } else { high = middle }
        }
        let silence = libm::ceil((mean + high * spread).max(0.0));
        Some(self.last?.after_us(silence as u64))
    }

    /// Mean and spread of the intervals, in microseconds.
    fn rhythm(&self) -> Option<(f64, f64)> {
        let count = self.intervals.len() as u128;
        if count == 0 {
            return None;
        }
        let mean = self.sum as f64 / count as f64;
        // In whole numbers, so that nothing is lost when two great numbers are nearly the same.
        let scaled = (self.squares * count).saturating_sub(u128::from(self.sum).pow(2));
        let spread = libm::sqrt(scaled as f64) / count as f64;
        Some((mean, spread.max(mean * LEAST_SPREAD).max(1.0)))
    }
}

/// −log₁₀ of the chance that a normally distributed number is so many spreads above its mean, or more.
fn level_of(distance: f64) -> f64 {
    let chance = libm::erfc(distance / core::f64::consts::SQRT_2) / 2.0;
    if chance > 0.0 { (-libm::log10(chance)).clamp(0.0, HIGHEST) } else { HIGHEST }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use alloc::vec::Vec;

    const MS: u64 = 1_000;

    /// A detector that heard a node at intervals that are normally distributed about a mean, and when it heard last.
    fn trained(mean_ms: f64, spread_ms: f64, count: u64, seed: u64) -> (Phi, Mono) {
        let (mut phi, mut now) = (Phi::default(), Mono(0));
        train(&mut phi, &mut now, mean_ms, spread_ms, count, &mut Random::new(seed));
        (phi, now)
    }

    fn train(phi: &mut Phi, now: &mut Mono, mean_ms: f64, spread_ms: f64, count: u64, random: &mut Random) {
        if phi.last.is_none() {
            phi.heard(*now);
        }
        for _ in 0..count {
            // Twelve even numbers together are nearly a normal one.
            let sum: f64 = (0..12).map(|_| (random.next() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0;
            *now = now.after_us(((mean_ms + spread_ms * sum).max(1.0) * MS as f64) as u64);
            phi.heard(*now);
        }
    }

    #[test]
    fn the_level_is_that_of_the_distribution() {
        // Exactly 90 and 110 ms in turn: mean 100, spread 10.
        let (mut phi, mut now) = (Phi::default(), Mono(0));
        phi.heard(now);
        for at in 0..64 {
            now = now.after_ms(if at % 2 == 0 { 90 } else { 110 });
            phi.heard(now);
        }
        for (level, silence_ms) in [(1.0, 112.8), (3.0, 130.9), (8.0, 156.1)] {
            let at = now.after_us((silence_ms * MS as f64) as u64);
            let found = phi.level(at).expect("it was heard");
            assert!((found - level).abs() < 0.05, "{found} instead of {level}");
            let reached = phi.reaches(level).expect("it was heard");
            assert!(reached.0.abs_diff(at.0) < 200, "{reached:?} instead of {at:?}");
        }
        assert_eq!(phi.level(now.after_ms(100_000)), Some(HIGHEST));
    }

    #[test]
    fn the_detector_follows_a_change_of_rhythm() {
        let mut random = Random::new(5);
        let (mut phi, mut now) = (Phi::default(), Mono(0));
        train(&mut phi, &mut now, 100.0, 10.0, 300, &mut random);
        assert!(phi.level(now.after_ms(300)).expect("heard") > TO_HAND_OVER);
        train(&mut phi, &mut now, 300.0, 60.0, 300, &mut random);
        assert!(phi.level(now.after_ms(300)).expect("heard") < 1.0);
        assert!(phi.level(now.after_ms(800)).expect("heard") > TO_HAND_OVER);
    }

    #[test]
    fn a_lower_level_is_reached_earlier() {
        for seed in 0..50 {
            let (phi, last) = trained(100.0, 1.0 + seed as f64, 200, seed);
            let times: Vec<Mono> = [0.5, 1.0, TO_ROUTE_AROUND, TO_HAND_OVER, 16.0]
                .map(|level| phi.reaches(level).expect("heard"))
                .to_vec();
            assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
            for at in last.0 / MS..last.0 / MS + 400 {
                let (now, next) = (phi.level(Mono(at * MS)), phi.level(Mono((at + 1) * MS)));
                assert!(now <= next, "the level fell in a silence");
            }
        }
    }

    /// With 10 signs of life a second, the level 3 is reached by chance a few times in a thousand, the level 8 never.
    #[test]
    fn false_suspicions_are_as_rare_as_the_level_says() {
        let mut random = Random::new(11);
        let (mut phi, mut now) = (Phi::default(), Mono(0));
        train(&mut phi, &mut now, 100.0, 20.0, 200, &mut random);
        let mut wrong = [0; 2];
        for _ in 0..20_000 {
            let (before, limits) = (now, [TO_ROUTE_AROUND, TO_HAND_OVER].map(|level| phi.reaches(level)));
            train(&mut phi, &mut now, 100.0, 20.0, 1, &mut random);
            assert!(now > before);
            for (wrong, limit) in wrong.iter_mut().zip(limits) {
                *wrong += u32::from(limit.expect("heard") < now);
            }
        }
        assert!((2..120).contains(&wrong[0]) && wrong[1] == 0, "{wrong:?} of 20,000");
    }

    #[test]
    fn nothing_is_said_of_a_node_that_was_never_heard() {
        let mut phi = Phi::default();
        assert_eq!(phi.level(Mono(5)), None);
        phi.heard(Mono(5));
        assert_eq!((phi.level(Mono(10_000_000)), phi.reaches(1.0)), (None, None));
        phi.heard(Mono(5));
        assert!(phi.level(Mono(6)).is_some());
    }

    #[test]
    fn an_expected_rhythm_speaks_from_the_first_sign_of_life_on() {
        let mut phi = Phi::expecting(100 * MS);
        assert_eq!(phi.level(Mono(5_000 * MS)), None);
        phi.heard(Mono(0));
        assert!(phi.level(Mono(100 * MS)).expect("heard") < 1.0);
        assert!(phi.level(Mono(300 * MS)).expect("heard") > TO_HAND_OVER);
    }

    /// The silence of the others was that of the listener, which neither saw it nor learns it as their rhythm.
    #[test]
    fn a_pardoned_silence_leaves_no_trace() {
        let (mut phi, last) = trained(100.0, 10.0, 50, 3);
        let (back, next) = (last.after_ms(5_000), last.after_ms(5_100));
        assert!(phi.level(back).expect("heard") > TO_HAND_OVER);
        phi.pardon(back);
        assert!(phi.level(back).expect("heard") < 0.1);
        phi.heard(next);
        assert!(phi.level(next.after_ms(300)).expect("heard") > TO_HAND_OVER);
        let mut silent = Phi::expecting(100 * MS);
        silent.pardon(back);
        assert_eq!(silent.level(next), None);
    }

    #[test]
    fn a_clock_that_is_set_back_does_no_harm() {
        let mut phi = Phi::default();
        [100, 200, 50, 300].iter().for_each(|ms| phi.heard(Mono(ms * MS)));
        assert!(phi.level(Mono(320 * MS)).is_some());
    }
}
