//! All histories of small scope against the second opinion, and checkers with one rule broken.

use super::make::{Dice, Shape, random, wild};
use super::random::compare;
use crate::second::transaction::{MODELS, verdicts};
use crate::transaction::{Base, Level, Rules, judge};
use crate::{Budget, Datum, History, Meter, Model, Object, Recorder, Step, Value};

/// The key, and whether it is written.
type Plan = Vec<(usize, bool)>;

/// All plans of one or two steps over two keys.
fn plans() -> Vec<Plan> {
    let steps = [(0, true), (1, true), (0, false), (1, false)];
    let mut plans: Vec<Plan> = steps.iter().map(|&step| vec![step]).collect();
    plans.extend(steps.iter().flat_map(|&one| steps.iter().map(move |&other| vec![one, other])));
    plans
}

/// A step's value is its place, from 1.
fn values(plans: &[&Plan], key: usize, except: usize) -> Vec<i64> {
    let mut values = Vec::new();
    let mut next = 0;
    for (at, plan) in plans.iter().enumerate() {
        for &(of, writes) in plan.iter() {
            next += 1;
            if writes && of == key && at != except {
                values.push(next);
            }
        }
    }
    values
}

/// What a read can give: registers one value, lists any order of some values.
fn answers(object: Object, values: &[i64]) -> Vec<Vec<i64>> {
    let mut answers = vec![Vec::new()];
    let mut at = 0;
    while at < answers.len() {
        for &value in values {
            if !answers[at].contains(&value) && (object == Object::ListAppend || answers[at].is_empty()) {
                let mut longer = answers[at].clone();
                longer.push(value);
                answers.push(longer);
            }
        }
        at += 1;
    }
    answers
}

/// Calls with every history of these plans.
fn every(object: Object, plans: &[&Plan], sessions: &[i64], binds: bool, visit: &mut dyn FnMut(&History)) {
    let mut reads: Vec<Vec<Vec<i64>>> = Vec::new();
    for (at, plan) in plans.iter().enumerate() {
        for &(key, _) in plan.iter().filter(|step| !step.1) {
            reads.push(answers(object, &values(plans, key, at)));
        }
    }
    let mut picks = vec![0; reads.len()];
    loop {
        let chosen: Vec<&Vec<i64>> = reads.iter().zip(&picks).map(|(answers, &pick)| &answers[pick]).collect();
        visit(&history(object, plans, sessions, binds, &chosen));
        let Some(at) = (0..picks.len()).rev().find(|&at| picks[at] + 1 < reads[at].len()) else { return };
        picks[at] += 1;
        picks[at + 1..].fill(0);
    }
}

fn history(object: Object, plans: &[&Plan], sessions: &[i64], binds: bool, reads: &[&Vec<i64>]) -> History {
    let mut recorder = Recorder::new(object);
    if binds {
        recorder.without_real_time();
    }
    let mut reads = reads.iter();
    let mut next = 0;
    for (at, plan) in plans.iter().enumerate() {
        let mut own: Vec<(usize, Value)> = Vec::new();
        let mut steps = Vec::new();
        for &(key, writes) in plan.iter() {
            next += 1;
            let name = recorder.key(&Datum::Integer(key as i64));
            if writes {
                let value = recorder.value(&Datum::Integer(next));
                own.push((key, value));
                steps.push(match object {
                    Object::ListAppend => Step::Append { key: name, value },
                    _ => Step::Write { key: name, value },
                });
                continue;
            }
            let read = reads.next().unwrap();
            let mut seen: Vec<Value> = read.iter().map(|&value| recorder.value(&Datum::Integer(value))).collect();
            seen.extend(own.iter().filter(|(of, _)| *of == key).map(|(_, value)| *value));
            steps.push(match object {
                Object::ListAppend => Step::ReadList { key: name, list: Some(recorder.list(&seen)) },
                _ => Step::Read { key: name, value: Some(seen.last().copied().unwrap_or(Value::NIL)) },
            });
        }
        let session = recorder.session(&Datum::Integer(sessions[at]));
        // The first and second overlap, and so do the second and third.
        let ticket = recorder.begin(session, 2 * at as u64 + 1, 0, &steps);
        recorder.end(ticket, 2 * at as u64 + 4, &steps);
    }
    recorder.finish()
}

fn all_of_small_scope(object: Object, steps: usize) {
    let plans = plans();
    let mut count = 0;
    for first in &plans {
        for second in &plans {
            for third in &plans {
                if first.len() + second.len() + third.len() > steps || first[0].0 != 0 {
                    continue; // The keys are alike: the first is the one that is used first.
                }
                for (sessions, binds) in [([0, 1, 2], false), ([0, 0, 1], true), ([0, 1, 0], false)] {
                    every(object, &[first, second, third], &sessions, binds, &mut |history| {
                        compare(history, count);
                        count += 1;
                    });
                }
            }
        }
    }
    println!("{object:?}: {count} histories");
    assert!(count > 30_000);
}

#[test]
fn all_small_histories_of_registers_get_the_verdicts_of_the_definitions() {
    all_of_small_scope(Object::RwRegister, 6);
}

#[test]
fn all_small_histories_of_lists_get_the_verdicts_of_the_definitions() {
    all_of_small_scope(Object::ListAppend, 5);
}

/// Four transactions of two steps, which are all alike but for what they do: one order of them is enough.
#[test]
fn all_histories_of_eight_steps_get_the_verdicts_of_the_definitions() {
    let plans: Vec<Plan> = plans().into_iter().filter(|plan| plan.len() == 2).collect();
    let mut count = 0;
    for a in 0..plans.len() {
        for b in a..plans.len() {
            for c in b..plans.len() {
                for d in c..plans.len() {
                    let four = [a, b, c, d].map(|at| &plans[at]);
                    every(Object::RwRegister, &four, &[0, 1, 2, 3], false, &mut |history| {
                        compare(history, count);
                        count += 1;
                    });
                }
            }
        }
    }
    println!("{count} histories");
}

fn level(model: Model) -> (Level, Base) {
    match model {
        Model::ReadAtomic => (Level::Atomic, Base::Nothing),
        Model::MonotonicAtomicView => (Level::AtomicView, Base::Nothing),
        Model::CausalTransactions => (Level::Causal, Base::Sessions),
        Model::SnapshotIsolation => (Level::Snapshot, Base::Nothing),
        Model::Serializable => (Level::Serializable, Base::Nothing),
        Model::StrongSessionSerializable => (Level::Serializable, Base::Sessions),
        Model::StrictSerializable => (Level::Serializable, Base::Time),
        _ => panic!("not asked of mutants: {model:?}"),
    }
}

/// Is a verdict of a checker with these rules wrong, for one of many random histories?
fn is_noticed(model: Model, rules: Rules) -> bool {
    let (level, base) = level(model);
    let place = MODELS.iter().position(|&other| other == model).unwrap();
    (0..6000).any(|seed| {
        let mut dice = Dice(seed);
        let shape = Shape {
            object: [Object::ListAppend, Object::RwRegister][dice.below(2)],
            transactions: 2 + dice.below(3),
            keys: 1 + dice.below(3),
            sessions: 1 + dice.below(3),
            steps: 1 + dice.below(4),
            wrong: 3,
            again: 0,
            lost: 3,
            binds: dice.one_in(3),
        };
        let history = if dice.one_in(2) { random(&mut dice, shape) } else { wild(&mut dice, shape) };
        let verdict = judge(&history, level, base, rules, &mut Meter::new(Budget::DEFAULT)).unwrap();
        verdict.is_none() != verdicts(&history)[place]
    })
}

#[test]
fn every_broken_rule_is_noticed() {
    let strict = Model::StrictSerializable;
    assert!(!is_noticed(strict, Rules::TRUE));
    assert!(is_noticed(strict, Rules { real_time: false, ..Rules::TRUE }));
    assert!(is_noticed(strict, Rules { unknown_writes: false, ..Rules::TRUE }));
    assert!(is_noticed(Model::StrongSessionSerializable, Rules { sessions: false, ..Rules::TRUE }));
    assert!(is_noticed(Model::CausalTransactions, Rules { sessions: false, ..Rules::TRUE }));
    assert!(is_noticed(Model::ReadAtomic, Rules { sessions: false, ..Rules::TRUE }));
    assert!(is_noticed(Model::Serializable, Rules { anti_dependencies: false, ..Rules::TRUE }));
    assert!(is_noticed(Model::SnapshotIsolation, Rules { snapshots: false, ..Rules::TRUE }));
    assert!(is_noticed(Model::SnapshotIsolation, Rules { conflicts: false, ..Rules::TRUE }));
    assert!(is_noticed(Model::ReadAtomic, Rules { intermediate: false, ..Rules::TRUE }));
    assert!(is_noticed(Model::MonotonicAtomicView, Rules { aborted: false, ..Rules::TRUE }));
}
