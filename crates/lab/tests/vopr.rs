//! A swarm over the real node. `VOPR_FROM` and `VOPR_SEEDS` choose the seeds.

use quorate_lab::vopr;

#[test]
fn every_seed_holds() {
    let from = std::env::var("VOPR_FROM").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = std::env::var("VOPR_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let mut memberships = 0;
    let summary = vopr::swarm(from..from + count, |report| {
        memberships += report.memberships as u64;
        if report.failure.is_some() {
            println!("{report}");
        }
        true
    });
    let failed: Vec<u64> = summary.failures.iter().map(|report| report.seed).collect();
    assert!(failed.is_empty(), "seeds {failed:?} failed; the first: {}", summary.failures[0]);
    assert!(count < 50 || memberships > count * 2, "nodes went by {memberships} memberships in {count} runs");
    assert!(summary.done as u64 > count * 20, "the clients got {} operations done in {count} runs", summary.done);
}
