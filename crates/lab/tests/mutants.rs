//! A rule that can be broken without a judge noticing is a rule that nobody guards.

use quorate_lab::mutant::run_mutants;

#[test]
fn every_mutant_is_caught_and_the_correct_node_is_not() {
    let table = run_mutants(120);
    println!("{table}");
    assert!(table.survivors().is_empty(), "survivors: {:?}\n{table}", table.survivors());
    assert!(table.accusations().is_empty(), "the correct node is accused\n{table}");
}
