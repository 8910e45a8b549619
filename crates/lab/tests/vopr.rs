//! A swarm over the real node. `VOPR_FROM` and `VOPR_SEEDS` choose the seeds.

use quorate_lab::vopr;

#[test]
fn every_seed_holds() {
    let from = std::env::var("VOPR_FROM").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = std::env::var("VOPR_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let summary = vopr::swarm(from..from + count, |report| {
        if report.failure.is_some() {
            println!("{report}");
        }
        true
    });
    let failed: Vec<u64> = summary.failures.iter().map(|report| report.seed).collect();
    assert!(failed.is_empty(), "seeds {failed:?} failed; the first: {}", summary.failures[0]);
    assert!(summary.done as u64 > count * 20, "the clients got {} operations done in {count} runs", summary.done);
}
