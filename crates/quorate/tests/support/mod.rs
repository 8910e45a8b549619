//! Clusters of real processes for tests, and clients that write down what they did and heard.
#![allow(dead_code, clippy::unwrap_used)]

pub mod cluster;
pub mod ledger;
pub mod recorder;

use std::time::{Duration, Instant};

/// Nothing that is waited for may take longer. No verdict depends on it: a test that runs into it has hung.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
#[track_caller]
pub fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
