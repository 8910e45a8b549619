//! A rule that can be broken without a judge noticing is a rule that nobody guards.

use quorate_core::mutant::Mutant;
use quorate_lab::mutant::{run_mutants, target};
use quorate_lab::vopr;

#[test]
fn every_mutant_is_caught_and_the_correct_node_is_not() {
    let table = run_mutants(120);
    println!("{table}");
    assert!(table.survivors().is_empty(), "survivors: {:?}\n{table}", table.survivors());
    assert!(table.accusations().is_empty(), "the correct node is accused\n{table}");
}

#[test]
fn the_correct_node_passes_the_swarms_of_all_mutants() {
    let seeds = std::env::var("VOPR_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    for (mutant, name, _) in Mutant::ALL {
        for seed in 1_000..1_000 + seeds {
            let report = vopr::run_plan(&target(*mutant, seed), false);
            assert!(report.failure.is_none(), "the swarm of {name}: {report}");
        }
    }
}
