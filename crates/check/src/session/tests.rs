//! The checkers against a second opinion that tries every order, on small histories; and checkers with one rule broken.

use super::*;
use crate::{Datum, Recorder, Step, Value};

#[allow(clippy::duplicate_mod, reason = "the integration tests use it too")]
#[path = "../../tests/oracle/random.rs"]
mod random;
#[allow(clippy::duplicate_mod, reason = "the integration tests use it too")]
#[path = "../../tests/oracle/small.rs"]
mod small;

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

fn expected(history: &History, model: Model) -> bool {
    crate::second::holds(history, model).expect("it is small")
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
    let expected = expected(history, model);
    let got = holds(history, model, Rules::TRUE);
    assert_eq!(got, expected, "{model:?} of\n{}", show(history));
    expected
}

/// A witness breaks the model by itself, none of it can be left out, and its edges are true and close.
fn examine(history: &History, model: Model) {
    let witness = judge(history, model, &mut Meter::new(Budget::DEFAULT)).expect("in time").expect("invalid");
    let part = history.restrict(&witness.operations);
    let shown = || format!("{model:?} {witness:?} of\n{}\nall:\n{}", show(&part), show(history));
    assert!(witness.operations.is_sorted() && !witness.operations.is_empty(), "{}", shown());
    assert!(!expected(&part, model), "{}", shown());
    for edge in &witness.edges {
        assert!(witness.operations.contains(&edge.from) && witness.operations.contains(&edge.to), "{}", shown());
        let (from, to) = (history.operation(edge.from), history.operation(edge.to));
        if edge.why == Why::Session {
            assert!(from.session == to.session && edge.from < edge.to, "{}", shown());
        }
    }
    let closes = witness.edges.iter().zip(witness.edges.iter().cycle().skip(1)).all(|(one, next)| one.to == next.from);
    assert!(closes, "{}", shown());
}

fn compare_random(seeds: std::ops::Range<u64>) {
    let mut failures = 0;
    let mut counts = [[0; 2]; MODELS.len()];
    for seed in seeds {
        let history = random::history(seed);
        let mut kept = Vec::new();
        for (at, model) in MODELS.into_iter().enumerate() {
            let valid = compare(&history, model);
            if !valid && seed % 16 == 0 {
                failures += usize::from(std::panic::catch_unwind(|| examine(&history, model)).is_err());
            }
            counts[at][usize::from(valid)] += 1;
            kept.push(valid);
        }
        for (_, model) in MODELS.into_iter().enumerate().filter(|&(at, _)| kept[at]) {
            for (other, weaker) in MODELS.into_iter().enumerate() {
                assert!(kept[other] || !model.implies(weaker), "{model:?} but not {weaker:?}:\n{}", show(&history));
            }
        }
    }
    assert_eq!(failures, 0, "witnesses that do not hold");
    for (model, counts) in MODELS.into_iter().zip(counts) {
        assert!(counts[0] >= 100 && counts[1] >= 100, "{model:?} is hardly tested: {counts:?}");
    }
}

#[test]
fn random_histories_get_the_verdict_of_brute_force() {
    compare_random(0..50_000);
}

#[test]
fn more_random_histories_get_the_verdict_of_brute_force() {
    compare_random(50_000..100_000);
}

fn compare_all(scopes: &[(usize, usize, usize)]) {
    let mut checked = 0;
    for &(operations, sessions, keys) in scopes {
        small::each(operations, sessions, keys, &mut |history| {
            checked += 1;
            for model in &MODELS[..9] {
                compare(history, *model);
            }
        });
    }
    println!("{checked} histories");
    assert!(checked > 10_000, "only {checked}");
}

#[test]
fn all_small_histories_get_the_verdict_of_brute_force() {
    compare_all(&[(4, 3, 2), (5, 2, 2), (6, 2, 1), (6, 3, 1), (7, 2, 1)]);
}

#[test]
fn all_histories_of_eight_operations_in_two_sessions_get_the_verdict_of_brute_force() {
    compare_all(&[(8, 2, 1)]);
}

/// Each checker with one rule broken says something else than brute force about some history of few.
#[test]
fn every_broken_rule_is_noticed() {
    let broken = [
        ("forgets the order of sessions", Rules { sessions: false, ..Rules::TRUE }),
        ("drops pending operations", Rules { pending: false, ..Rules::TRUE }),
        ("forgets who read from whom", Rules { reads: false, ..Rules::TRUE }),
        ("takes the first state for a late one", Rules { initial: false, ..Rules::TRUE }),
        ("draws no conclusion from what was placed before", Rules { saturate: false, ..Rules::TRUE }),
        ("binds unknown operations before later ones", Rules { late: false, ..Rules::TRUE }),
    ];
    for (what, rules) in broken {
        let wrong = |seed: u64| {
            let history = random::history(seed);
            MODELS[1..9].iter().any(|&model| {
                let found = find(&history, model, rules, &mut Meter::new(Budget::DEFAULT));
                found.is_ok_and(|found| found.is_none() != expected(&history, model))
            })
        };
        assert!((0..100_000).any(wrong), "nobody notices a checker that {what}");
    }
}

/// What an addition leaves is not a written value, so a read of a sum is no read from nowhere.
#[test]
fn of_sums_nothing_is_said() {
    let mut recorder = Recorder::new(Object::CasRegister);
    let (key, session) = (recorder.key(&"x".into()), recorder.session(&"a".into()));
    let add = [Step::Add { key, by: 1 }];
    let ticket = recorder.begin(session, 0, 0, &add);
    recorder.end(ticket, 1, &add);
    let read = [Step::Read { key, value: Some(recorder.value(&1.into())) }];
    let ticket = recorder.begin(session, 2, 0, &read);
    recorder.end(ticket, 3, &read);
    let history = recorder.finish();
    for model in Model::ALL.into_iter().filter(|model| model.applies_to(Object::CasRegister)) {
        let verdict = crate::check(&history, model, &mut Meter::new(Budget::DEFAULT)).expect("it applies");
        assert!(!matches!(verdict, crate::Verdict::Invalid(_)), "{model:?}: {verdict:?}");
    }
}

/// The work on a witness is in proportion to that of finding it, and whoever pays for the one pays for the other.
#[test]
fn making_a_witness_small_is_charged_and_bounded() {
    let mut dice = random::Dice(0x5_4A11);
    let mut invalid = 0;
    for round in 0..400 {
        let object = [Object::Register, Object::CasRegister, Object::Kv][round % 3];
        let history = random::of(object, 40, &mut dice);
        for model in MODELS {
            let worth = Budget { steps: 100_000, ..Budget::DEFAULT };
            let meter = &mut Meter::new(worth);
            let Ok(Some(_)) = find(&history, model, Rules::TRUE, meter) else { continue };
            let finding = meter.progress().steps;
            invalid += 1;
            let meter = &mut Meter::new(Budget::DEFAULT);
            let witness = judge(&history, model, meter).expect("in time").expect("invalid");
            let all = meter.progress().steps;
            assert!(all > finding, "{model:?}: the work on {witness:?} is not charged");
            assert!(all <= 5 * finding + (2 << 20), "{model:?}: {finding} to find it, {all} in all");
            // Without steps left there is a witness still, a large one perhaps.
            let meter = &mut Meter::new(Budget { steps: finding, ..Budget::DEFAULT });
            let witness = judge(&history, model, meter).expect("it was found in time").expect("invalid");
            assert!(meter.progress().steps <= finding, "{model:?}: {finding} steps do not do");
            let part = history.restrict(&witness.operations);
            assert!(!holds(&part, model, Rules::TRUE), "{model:?} {witness:?} of\n{}", show(&history));
        }
    }
    assert!(invalid > 500, "{invalid}");
}
