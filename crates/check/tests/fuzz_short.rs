//! The readers against mutated histories, for a short while. `FUZZ_SECONDS` sets another time.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "only the texts are needed here")]
mod samples;

use quorate_check::fuzz::fuzz_formats;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

const PIECES: [&[u8]; 24] = [
    b"[",
    b"]",
    b"{",
    b"}",
    b"(",
    b")",
    b"#_",
    b"#{",
    b"\"",
    b"\\",
    b":",
    b"\n",
    b"\t",
    b"nil",
    b"-1",
    b"99999999999999999999",
    b"\xff",
    b"\\ud800",
    b":info",
    b":fail",
    b"=====\n",
    b"null",
    b"1e400",
    b"\xef\xbb\xbf",
];

/// A seed with a few changes.
fn mutate(seeds: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut data = seeds[random.below(seeds.len())].to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        match random.below(8) {
            0 => data.insert(at, random.next() as u8),
            1 if at < data.len() => data[at] = random.next() as u8,
            2 => data.truncate(at),
            3 => drop(data.drain(at..(at + random.below(16)).min(data.len()))),
            4 => {
                let other = seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                data.splice(at..at, other[from..].iter().copied());
            }
            5 => {
                // A line comes again, or somewhere else.
                let lines: Vec<&[u8]> = data.split_inclusive(|&byte| byte == b'\n').collect();
                let line = lines.get(random.below(lines.len().max(1))).map_or(Vec::new(), |line| line.to_vec());
                data.splice(at..at, line);
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                data.splice(at..at, piece.iter().copied());
            }
        }
        data.truncate(16 * 1024);
    }
    data
}

/// Feeds a target until the time is over; gives the input that makes it panic.
fn run(target: fn(&[u8]), seeds: &[&[u8]], seed: u64, time: Duration) -> Result<u64, Vec<u8>> {
    let mut random = Random(seed);
    let (begin, mut tried) = (Instant::now(), 0);
    let mut last = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        for seed in seeds {
            last = seed.to_vec();
            target(seed);
        }
        while begin.elapsed() < time {
            last = mutate(seeds, &mut random);
            target(&last);
            tried += 1;
        }
    }));
    result.map(|()| tried).map_err(|_| last)
}

#[test]
fn mutated_histories() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let seeds: Vec<&[u8]> = samples::ALL.iter().map(|sample| sample.text.as_bytes()).collect();
    match run(fuzz_formats, &seeds, 1, Duration::from_secs(seconds)) {
        Ok(tried) => assert!(tried > 1_000, "only {tried} inputs were tried"),
        Err(input) => panic!("this input does it: {}", input.escape_ascii()),
    }
}

#[test]
fn the_runner_finds_a_planted_defect() {
    fn planted(data: &[u8]) {
        assert!(!data.windows(4).any(|four| four == b":f]:"), "planted");
    }
    let found = run(planted, &[b"{:f :read}"], 1, Duration::from_secs(20));
    assert!(found.is_err_and(|input| input.windows(4).any(|four| four == b":f]:")));
}
