//! What the README says of limits and statuses is what the code does.

#![allow(clippy::unwrap_used)]

use quorate_core::catalogue::PARTS;
use quorate_core::limits;
use quorate_core::quorum::Rule;
use quorate_server::front::Bounds;
use quorate_server::http::HttpBounds;

const README: &str = include_str!("../../../README.md");

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap());
    groups.collect::<Vec<_>>().join(",")
}

fn kib(bytes: usize) -> String {
    assert_eq!(bytes % 1024, 0);
    format!("{} KiB", bytes / 1024)
}

fn mib(bytes: usize) -> String {
    assert_eq!(bytes % (1 << 20), 0);
    format!("{} MiB", bytes >> 20)
}

/// The limit in the row of the table that begins so.
fn told(row: &str) -> String {
    let rows: Vec<&str> = README.lines().filter(|line| line.starts_with(&format!("| {row}"))).collect();
    assert_eq!(rows.len(), 1, "rows that begin with '{row}'");
    rows[0].split('|').nth(2).unwrap().trim().to_string()
}

#[test]
fn the_limits_in_the_readme_are_those_of_the_code() {
    let (front, http) = (Bounds::default(), HttpBounds::default());
    let seconds = |ms: u32| format!("{} s", ms / 1000);
    for (row, limit) in [
        ("key |", kib(limits::KEY_BYTES)),
        ("value, field or member", mib(limits::VALUE_BYTES)),
        ("request, all its arguments", mib(limits::REQUEST_BYTES)),
        ("commands in one batch", format!("{}; {}", thousands(limits::BATCH_COMMANDS), thousands(limits::ARGUMENTS))),
        (
            "idempotency key",
            format!(
                "{} bytes; at least {} hours",
                limits::IDEMPOTENCY_KEY_BYTES,
                limits::IDEMPOTENCY_KEEP_MS / 3_600_000
            ),
        ),
        ("deadline", format!("{}; {}", seconds(limits::DEADLINE_MS), seconds(limits::DEADLINE_MAX_MS))),
        ("calls in flight", thousands(limits::CALLS)),
        (
            "Redis connections",
            format!("{}; {}; {}", thousands(front.connections), thousands(front.pipeline), mib(front.output_bytes)),
        ),
        ("HTTP connections", format!("{}; 64 KiB; {}", thousands(http.connections), kib(http.head_bytes))),
        (
            "HTTP head",
            format!(
                "{} s, {} s, {} s",
                http.head_timeout.as_secs(),
                http.stall_timeout.as_secs(),
                http.body_timeout.as_secs()
            ),
        ),
        ("nodes; consensus groups", format!("{}; {}; {}", limits::NODE_ID_MAX, limits::GROUPS, limits::TABLES)),
        ("bytes of the updates of one text", format!("{}; {}", mib(limits::TEXT_BYTES), limits::TEXT_UPDATES)),
        ("tables made", format!("{}; 64 bytes; {}; {PARTS}", limits::TABLES_MADE, Rule::REPLICAS_MAX)),
    ] {
        assert_eq!(told(row), limit, "{row}");
    }
    assert_eq!(http.body_bytes, limits::REQUEST_BYTES);
}

#[test]
fn the_first_command_comes_early() {
    let line = README.lines().position(|line| line.starts_with("cargo run")).unwrap();
    assert!(line < 15, "line {}", line + 1);
}
