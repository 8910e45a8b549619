//! The checkers against a second opinion that tries every order, on small histories; and checkers with one rule broken.

use super::*;
use crate::witness::{Checked, verify};
use crate::{Datum, Recorder, Step, Value};
use brute_linear::{Kind, Random, simulate};

#[path = "../../tests/brute_linear/mod.rs"]
#[allow(clippy::duplicate_mod, clippy::unwrap_used, reason = "the integration tests use it too")]
mod brute_linear;

#[allow(clippy::duplicate_mod, reason = "the integration tests use it too")]
#[path = "../../tests/oracle/random.rs"]
mod random;
#[allow(clippy::duplicate_mod, reason = "the integration tests use it too")]
#[path = "../../tests/oracle/small.rs"]
mod small;

/// The models of this module that registers can be asked.
fn models() -> Vec<Model> {
    Model::of_sessions().chain([Model::EventualConvergence]).collect()
}

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
    let models = models();
    let mut counts = vec![[0; 2]; models.len()];
    for seed in seeds {
        let history = random::history(seed);
        let mut kept = Vec::new();
        for (at, &model) in models.iter().enumerate() {
            let valid = compare(&history, model);
            if !valid && seed % 16 == 0 {
                failures += usize::from(std::panic::catch_unwind(|| examine(&history, model)).is_err());
            }
            counts[at][usize::from(valid)] += 1;
            kept.push(valid);
        }
        for (_, model) in models.iter().enumerate().filter(|&(at, _)| kept[at]) {
            for (other, weaker) in models.iter().enumerate() {
                assert!(kept[other] || !model.implies(*weaker), "{model:?} but not {weaker:?}:\n{}", show(&history));
            }
        }
    }
    assert_eq!(failures, 0, "witnesses that do not hold");
    for (model, counts) in models.iter().zip(counts) {
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
            for model in Model::of_sessions() {
                compare(history, model);
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
            Model::of_sessions().skip(1).any(|model| {
                let found = find(&history, model, rules, &mut Meter::new(Budget::DEFAULT));
                found.is_ok_and(|found| found.is_none() != expected(&history, model))
            })
        };
        assert!((0..100_000).any(wrong), "nobody notices a checker that {what}");
    }
}

/// Operations of several steps on several keys, and sums, of every object.
#[test]
fn operations_of_several_steps_get_the_verdict_of_brute_force() {
    let objects = [
        (Object::Register, 8_000),
        (Object::CasRegister, 8_000),
        (Object::Kv, 4_000),
        (Object::Counter, 2_000),
        (Object::Bank, 2_000),
        (Object::Set, 2_000),
        (Object::Queue, 2_000),
        (Object::Stack, 2_000),
        (Object::Mutex, 2_000),
        (Object::FencedLock, 2_000),
    ];
    for (object, number) in objects {
        let mut random = Random(0x5E59_0000 ^ (object as u64) << 5);
        let mut counts = [0; 2];
        for round in 0..number {
            let values = if matches!(object, Object::Mutex | Object::FencedLock) { 1 } else { round % 4 };
            let (keys, parts) = (1 + round % 3, 1 + round / 3 % 3);
            let kind = Kind { values, keys, parts, steps: true, open: 15, wrong: 70, ..Kind::new(object) };
            let history = simulate(kind, &mut random);
            let expected = crate::second::order::sequential(&history).expect("it is small");
            let verdict = sequential(&history, &mut Meter::new(Budget::DEFAULT)).expect("in time");
            assert_eq!(verdict.is_none(), expected, "{} of\n{}", object.word(), show(&history));
            counts[usize::from(expected)] += 1;
            if let Some(witness) = verdict {
                let said = verify(&history, Model::Sequential, &witness);
                assert_eq!(said, Checked::Confirmed, "{witness:?} of\n{}", show(&history));
            }
        }
        println!("{}: {} invalid, {} valid", object.word(), counts[0], counts[1]);
        assert!(counts[0] >= 200 && counts[1] >= 200, "{} is hardly tested: {counts:?}", object.word());
    }
}

/// Nobody is told the value that an unknown write left, but what somebody is told rests on it.
#[test]
fn a_write_of_unknown_outcome_may_be_of_use_in_a_roundabout_way() {
    let mut recorder = Recorder::new(Object::CasRegister);
    let key = recorder.key(&"x".into());
    let values: Vec<Value> = (0..6).map(|number: i64| recorder.value(&number.into())).collect();
    let history = |plan: [(bool, Vec<Step>); 3]| {
        let mut recorder = recorder.clone();
        for (moment, (known, steps)) in plan.into_iter().enumerate() {
            let session = recorder.session(&(moment as i64).into());
            let ticket = recorder.begin(session, moment as u64, 0, &steps);
            if known {
                recorder.end(ticket, moment as u64, &steps);
            }
        }
        recorder.finish()
    };
    let cas = Step::Cas { key, from: values[1], to: values[2], took: None };
    let enables = history([
        (false, vec![Step::Write { key, value: values[1] }]),
        (false, vec![cas]),
        (true, vec![Step::Read { key, value: Some(values[2]) }]),
    ]);
    let prevents = history([
        (true, vec![Step::Write { key, value: values[1] }]),
        (false, vec![Step::Write { key, value: values[5] }]),
        (true, vec![cas, Step::Read { key, value: Some(values[5]) }]),
    ]);
    for history in [enables, prevents] {
        assert!(compare(&history, Model::Sequential), "{}", show(&history));
    }
}

/// One of several steps among operations of one, each of which could be judged alone.
fn with_two_steps(seen: i64) -> History {
    let mut recorder = Recorder::new(Object::Register);
    let [x, y] = ["x", "y"].map(|name| recorder.key(&name.into()));
    let [a, b] = ["a", "b"].map(|name| recorder.session(&name.into()));
    let [one, seen] = [1, seen].map(|number: i64| recorder.value(&number.into()));
    let plan = [
        (a, vec![Step::Write { key: x, value: one }, Step::Write { key: y, value: one }]),
        (b, vec![Step::Read { key: y, value: Some(one) }]),
        (b, vec![Step::Read { key: x, value: Some(seen) }]),
        (b, vec![Step::Write { key: y, value: seen }]),
    ];
    for (moment, (session, steps)) in plan.into_iter().enumerate() {
        let ticket = recorder.begin(session, moment as u64, 0, &steps);
        recorder.end(ticket, moment as u64, &steps);
    }
    recorder.finish()
}

#[test]
fn what_a_model_says_nothing_of_is_refused_with_the_reason() {
    let history = with_two_steps(1);
    let check = |model| crate::check(&history, model, &mut Meter::new(Budget::DEFAULT));
    assert_eq!(check(Model::Sequential), Ok(crate::Verdict::Valid));
    for model in models().into_iter().skip(1) {
        let inapplicable = check(model).expect_err("it has two steps");
        assert_eq!(inapplicable, crate::Inapplicable::Operation { model, first: Id(0) });
        let text = "says nothing about operations of several steps, nor about sums";
        assert_eq!(inapplicable.to_string(), format!("{} {text}", model.word()));
    }
    let findings = crate::classify(&history, |model| check(model).expect("only what applies is asked"));
    assert!(findings.iter().any(|finding| finding.model == Model::Sequential));
    assert!(!findings.iter().any(|finding| finding.model == Model::Pram), "{findings:?}");
    assert_eq!(crate::silent(&history).len(), 9);
    let rest: Vec<Id> = history.ids().skip(1).collect();
    assert_eq!(crate::applies(&history.restrict(&rest), Model::Pram), Ok(()));
    assert_eq!(crate::silent(&history.restrict(&rest)), []);
}

/// What does not matter is left out of a witness of several steps, and what was seen stays in.
#[test]
fn a_witness_of_several_steps_is_small() {
    let history = with_two_steps(2);
    let witness = sequential(&history, &mut Meter::new(Budget::DEFAULT)).expect("in time").expect("nobody wrote 2");
    assert_eq!(witness.operations, [Id(2)]);
    assert_eq!(verify(&history, Model::Sequential, &witness), Checked::Confirmed);
}

/// What an addition leaves is not a written value, so a read of a sum is no read from nowhere.
#[test]
fn a_sum_may_be_read() {
    let mut recorder = Recorder::new(Object::CasRegister);
    let (key, session) = (recorder.key(&"x".into()), recorder.session(&"a".into()));
    let add = [Step::Add { key, by: 1 }];
    let ticket = recorder.begin(session, 0, 0, &add);
    recorder.end(ticket, 1, &add);
    let read = [Step::Read { key, value: Some(recorder.value(&1.into())) }];
    let ticket = recorder.begin(session, 2, 0, &read);
    recorder.end(ticket, 3, &read);
    let history = recorder.finish();
    let judged = Model::ALL.into_iter().filter(|model| crate::applies(&history, *model).is_ok());
    for model in judged {
        let verdict = crate::check(&history, model, &mut Meter::new(Budget::DEFAULT)).expect("it applies");
        assert_eq!(verdict, crate::Verdict::Valid, "{model:?}");
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
        for model in models() {
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

#[test]
fn the_integrity_of_sets_says_nothing_of_several_steps() {
    let mut recorder = Recorder::new(Object::Set);
    let (key, session) = (recorder.key(&"x".into()), recorder.session(&"a".into()));
    let list = Some(recorder.list(&[]));
    let steps = [Step::ReadList { key, list }, Step::ReadList { key, list }];
    let ticket = recorder.begin(session, 0, 0, &steps);
    recorder.end(ticket, 1, &steps);
    let history = recorder.finish();
    let said = crate::check(&history, Model::SetIntegrity, &mut Meter::new(Budget::DEFAULT));
    assert_eq!(said, Err(crate::Inapplicable::Operation { model: Model::SetIntegrity, first: Id(0) }));
    assert!(crate::silent(&history).iter().any(|(model, _)| *model == Model::SetIntegrity));
}
