//! The clocks of this host.

use quorate_core::machine::{Mono, Now, Wall};
use std::time::{Instant, SystemTime};

/// Monotonic time begins here, so that a moment before the start can be named.
pub const BEGIN_US: u64 = 1_000_000;

/// Reads both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    uncertainty_ms: u64,
}

impl Clock {
    /// Monotonic time counts from here. The wall clock may be wrong by so much, to either side.
    pub fn start(uncertainty_ms: u64) -> Clock {
        Clock { start: Instant::now(), uncertainty_ms }
    }

    /// Monotonic time.
    pub fn mono(&self) -> Mono {
        Mono(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX) + BEGIN_US)
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Now {
            mono: self.mono(),
            wall: Wall {
                earliest_ms: ms.saturating_sub(self.uncertainty_ms),
                latest_ms: ms.saturating_add(self.uncertainty_ms),
            },
        }
    }
}
