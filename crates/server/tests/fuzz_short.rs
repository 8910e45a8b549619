//! The fuzz targets for a short while, from the seeds in `corpus/resp`, those of `fuzz::peer_seeds` and what Yjs said.
//! `FUZZ_SECONDS` sets another time.
#![allow(clippy::unwrap_used)]

use quorate_server::fuzz;
use std::path::Path;
use std::time::Duration;

fn resp_seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/resp");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn fuzz(seeds: &[Vec<u8>], target: fn(&[u8])) {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let mut last = Vec::new();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fuzz::run(target, seeds, 1, Duration::from_secs(seconds), &mut last)
    }));
    match result {
        Ok(tried) => assert!(tried > 1_000, "only {tried} inputs were tried"),
        Err(_) => panic!("this input does it: {}", last.escape_ascii()),
    }
}

#[test]
fn requests() {
    fuzz(&resp_seeds(), fuzz::fuzz_resp);
}

#[test]
fn peers() {
    fuzz(&fuzz::peer_seeds(), fuzz::fuzz_peer);
}

/// Updates recorded from Yjs.
fn text_seeds() -> Vec<Vec<u8>> {
    let recorded = include_str!("../../core/src/crdt/text/recorded/sessions.txt");
    let byte = |hex: &str, at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes = |hex: &str| (0..hex.len()).step_by(2).map(|at| byte(hex, at)).collect();
    recorded.lines().filter_map(|line| line.strip_prefix("u ")).map(bytes).collect()
}

#[test]
fn texts() {
    fuzz(&text_seeds(), fuzz::fuzz_text);
}

#[test]
fn the_runner_finds_a_planted_defect() {
    fn planted(data: &[u8]) {
        assert!(!data.windows(4).any(|four| four == b"SET\n"), "planted");
    }
    let seeds = vec![b"*1\r\n$3\r\nSET\r\n".to_vec()];
    let mut last = Vec::new();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fuzz::run(planted, &seeds, 1, Duration::from_secs(20), &mut last)
    }));
    assert!(found.is_err() && last.windows(4).any(|four| four == b"SET\n"));
}
