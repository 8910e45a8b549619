//! Each experiment shows what it claims: the naive variant fails for the named reason, the fixed one holds.
#![allow(clippy::unwrap_used)]

use quorate_core::mutant::Mutant;
use quorate_lab::experiment;
use quorate_lab::failure::Kind;
use quorate_lab::mutant::target;
use quorate_lab::vopr::{self, Plan};

#[test]
fn every_experiment_shows_what_it_claims() {
    for experiment in experiment::list() {
        let verdict = experiment::run(experiment.name, 0..200, false).unwrap();
        assert!(verdict.shown, "{verdict}");
    }
}

/// What only counts has no digest to compare: the same seed gives the same text.
#[test]
fn a_claim_is_counted_the_same_twice() {
    let kinds = ["quorum/", "clock/", "crdt/", "placement/"];
    let claims = experiment::list().filter(|claim| kinds.iter().any(|kind| claim.name.starts_with(kind)));
    for claim in claims {
        let once = || experiment::run(claim.name, 3..5, true).unwrap();
        assert_eq!(once(), once(), "{}", claim.name);
    }
}

#[test]
fn a_call_that_makes_no_sense_is_refused() {
    assert!(experiment::run("consensus/no-such-thing", 0..1, false).is_err());
    assert!(experiment::run("consensus/figure-8", 5..5, false).is_err());
    assert!(experiment::replay("nonsense", false).is_err());
}

#[test]
fn a_failing_plan_shrinks_and_replays() {
    let kind = |plan: &Plan| vopr::run_plan(plan, false).failure.map(|failure| failure.kind);
    let broken = |seed| {
        let mut plan = target(Mutant::ElectionRestrictionOff, seed);
        plan.options.mutant = Some("election-restriction-off".to_string());
        plan
    };
    let plan = (0..100).map(broken).find(|plan| kind(plan) == Some(Kind::LeaderLacksCommitted)).expect("a seed fails");
    let shrunk = vopr::shrink(&plan, 400).expect("it fails again");
    assert_eq!(kind(&shrunk.plan), Some(Kind::LeaderLacksCommitted));
    assert!(
        shrunk.plan.faults.len() * 2 < plan.faults.len(),
        "{} of {} faults are left",
        shrunk.plan.faults.len(),
        plan.faults.len()
    );
    // No fault that is left can be left out.
    for at in 0..shrunk.plan.faults.len() {
        let mut fewer = shrunk.plan.clone();
        fewer.faults.remove(at);
        assert_ne!(kind(&fewer), Some(Kind::LeaderLacksCommitted), "fault {at} is not needed");
    }
    let report = experiment::replay(&shrunk.plan.to_string(), true).unwrap();
    assert_eq!(report.failure.map(|failure| failure.kind), Some(Kind::LeaderLacksCommitted));
    assert!(!report.trace.is_empty());
}

#[test]
fn a_correct_plan_does_not_shrink() {
    assert!(vopr::shrink(&Plan::draw(1), 10).is_none());
}
