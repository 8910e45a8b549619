//! The checkers against a second opinion that tries every order, on small histories; and checkers with one rule broken.

use super::*;
use crate::{Datum, Key, Outcome, Recorder, Step, Value};

#[allow(clippy::duplicate_mod, reason = "the integration tests use it too")]
#[path = "../../tests/oracle/session.rs"]
mod oracle;
#[allow(clippy::duplicate_mod, reason = "the integration tests use it too")]
#[path = "../../tests/oracle/random.rs"]
mod random;

const MODELS: [Model; 10] = [
    Model::Sequential,
    Model::CausalMemory,
    Model::CausalConvergence,
    Model::WeakCausal,
    Model::Pram,
    Model::ReadYourWrites,
    Model::MonotonicReads,
    Model::MonotonicWrites,
    Model::WritesFollowReads,
    Model::EventualConvergence,
];

fn holds(history: &History, model: Model, rules: Rules) -> bool {
    let found = find(history, model, rules, &mut Meter::new(Budget { steps: 10_000_000, ..Budget::DEFAULT }));
    found.unwrap_or_else(|spent| panic!("{model:?}: {spent}:\n{}", show(history))).is_none()
}

fn show(history: &History) -> String {
    let line = |id: Id| {
        let operation = history.operation(id);
        format!(
            "{}: {} [{}, {}]\n",
            history.session(operation.session),
            history.describe(id),
            operation.begin,
            operation.end
        )
    };
    history.ids().map(line).collect()
}

fn compare(history: &History, model: Model) -> bool {
    let expected = oracle::valid(history, model);
    let got = holds(history, model, Rules::TRUE);
    assert_eq!(got, expected, "{model:?} of\n{}", show(history));
    expected
}

#[test]
fn random_histories_get_the_verdict_of_brute_force() {
    let mut counts = [[0; 2]; MODELS.len()];
    for seed in 0..6_000 {
        let history = random::history(seed);
        let mut kept = Vec::new();
        for (at, model) in MODELS.into_iter().enumerate() {
            let valid = compare(&history, model);
            counts[at][usize::from(valid)] += 1;
            kept.push(valid);
        }
        for (_, model) in MODELS.into_iter().enumerate().filter(|&(at, _)| kept[at]) {
            for (other, weaker) in MODELS.into_iter().enumerate() {
                assert!(kept[other] || !model.implies(weaker), "{model:?} but not {weaker:?}:\n{}", show(&history));
            }
        }
    }
    for (model, counts) in MODELS.into_iter().zip(counts) {
        println!("{model:?}: {counts:?}");
        assert!(counts[0] >= 20 && counts[1] >= 20, "{model:?} is hardly tested: {counts:?}");
    }
}
