//! The two clocks of a host, as wrong as a schedule wants them.

use quorate_core::machine::{Mono, Now, Wall};

/// Wall-clock time at the start of every run: a fixed moment in 2026, in milliseconds since 1970.
pub const EPOCH_MS: u64 = 1_780_000_000_000;

/// A monotonic clock with its own start and rate, and a wall clock with an offset on top of it.
#[derive(Clone, Debug)]
pub struct Clock {
    mono_us: u64,
    since_us: u64,
    rate_ppm: i64,
    wall_ms: i128,
    error_ms: u64,
}

const MILLION: i64 = 1_000_000;

impl Clock {
    /// A clock that shows `mono_us` at the true time `at_us`, and the true wall time.
    pub fn new(at_us: u64, mono_us: u64) -> Clock {
        let wall_ms = i128::from(EPOCH_MS) + i128::from(at_us / 1000);
        Clock { mono_us, since_us: at_us, rate_ppm: 0, wall_ms, error_ms: 1 }
    }
    /// The clocks at a true time.
    pub fn now(&self, at_us: u64) -> Now {
        let passed = self.passed_us(at_us);
        let wall = self.wall_ms + i128::from(passed / 1000);
        let wall = wall.clamp(0, i128::from(u64::MAX >> 1)) as u64;
        Now {
            mono: Mono(self.mono_us.saturating_add(passed)),
            wall: Wall {
                earliest_ms: wall.saturating_sub(self.error_ms),
                latest_ms: wall.saturating_add(self.error_ms),
            },
        }
    }
    /// The first true time at which the monotonic clock shows at least `mono`. `None` if that is beyond the end of time.
    pub fn when(&self, mono: Mono) -> Option<u64> {
        let Some(ahead) = mono.0.checked_sub(self.mono_us) else { return Some(self.since_us) };
        let rate = (MILLION + self.rate_ppm) as u128;
        let passed = (u128::from(ahead) * MILLION as u128).div_ceil(rate);
        u64::try_from(u128::from(self.since_us) + passed).ok()
    }
    /// Both clocks run this many parts in a million too fast from now on; at least -900 000.
    pub fn drift(&mut self, at_us: u64, ppm: i64) {
        self.rebase(at_us);
        self.rate_ppm = ppm.max(-900_000);
    }
    /// The wall clock jumps.
    pub fn jump(&mut self, at_us: u64, ms: i64) {
        self.rebase(at_us);
        self.wall_ms += i128::from(ms);
    }
    /// A new life of the host: the monotonic clock starts somewhere else, the wall clock goes on.
    pub fn reboot(&mut self, at_us: u64, mono_us: u64) {
        self.rebase(at_us);
        self.mono_us = mono_us;
    }
    /// Both clocks run at the true rate and the wall clock is true again.
    pub fn calm(&mut self, at_us: u64) {
        let mono_us = self.now(at_us).mono.0;
        *self = Clock::new(at_us, mono_us);
    }

    fn passed_us(&self, at_us: u64) -> u64 {
        let true_us = u128::from(at_us.saturating_sub(self.since_us));
        (true_us * (MILLION + self.rate_ppm) as u128 / MILLION as u128) as u64
    }
    fn rebase(&mut self, at_us: u64) {
        let passed = self.passed_us(at_us);
        self.mono_us = self.mono_us.saturating_add(passed);
        self.wall_ms += i128::from(passed / 1000);
        self.since_us = at_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_is_the_inverse_of_now() {
        for ppm in [-500_000, -7, 0, 13, 900_000] {
            let mut clock = Clock::new(1_000, 77);
            clock.drift(5_000, ppm);
            for ahead in [0, 1, 999, 1_000_003] {
                let target = Mono(clock.now(5_000).mono.0 + ahead);
                let at = clock.when(target).expect("near");
                assert!(clock.now(at).mono >= target);
                assert!(ahead == 0 || clock.now(at - 1).mono < target);
            }
        }
    }

    #[test]
    fn the_wall_clock_jumps_and_the_other_does_not() {
        let mut clock = Clock::new(0, 5);
        clock.jump(2_000, -60_000);
        assert_eq!(clock.now(3_000).mono, Mono(3_005));
        assert_eq!(clock.now(3_000).wall.latest_ms, EPOCH_MS + 3 - 60_000 + 1);
    }

    #[test]
    fn the_end_of_time_is_not_reached() {
        assert_eq!(Clock::new(10, 0).when(Mono(u64::MAX)), None);
    }
}
