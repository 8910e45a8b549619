//! Against the second opinion.

use super::brute::{MODELS, verdicts};
use super::make::{Dice, Shape, random};
use crate::{Budget, History, Meter, Model, Object, Verdict, check};

fn show(history: &History) -> String {
    let mut text = format!("binds {}\n", history.sessions_bind());
    for id in history.ids() {
        let operation = history.operation(id);
        let times = (operation.begin, if operation.end == u64::MAX { -1 } else { operation.end as i64 });
        text += &format!("{} s{} {times:?}: {}\n", id.0, operation.session.0, history.describe(id));
    }
    text
}

fn ask(history: &History, model: Model) -> Verdict {
    check(history, model, &mut Meter::new(Budget::DEFAULT)).unwrap()
}

/// Compares all verdicts; gives how many models were valid.
fn compare(history: &History, seed: u64) -> [bool; 10] {
    let expected = verdicts(history);
    for (at, model) in MODELS.into_iter().enumerate() {
        let verdict = ask(history, model);
        let is_valid = match &verdict {
            Verdict::Valid => true,
            Verdict::Invalid(_) => false,
            Verdict::Unknown(spent) => panic!("seed {seed}: {model:?} {spent:?}\n{}", show(history)),
        };
        assert_eq!(is_valid, expected[at], "seed {seed}: {model:?} {verdict:?}\n{}", show(history));
        let Verdict::Invalid(witness) = verdict else { continue };
        let few = history.restrict(&witness.operations);
        assert!(!verdicts(&few)[at], "seed {seed}: {model:?}, the witness is valid: {witness:?}\n{}", show(history));
        for (edge, next) in witness.edges.iter().zip(witness.edges.iter().cycle().skip(1)) {
            assert_eq!(edge.to, next.from, "seed {seed}: {model:?}, not a circle: {witness:?}\n{}", show(history));
            assert!(witness.operations.contains(&edge.from));
        }
    }
    for (stronger, weaker) in Model::EDGES {
        let place = |model: &Model| MODELS.iter().position(|other| other == model);
        if let (Some(stronger), Some(weaker)) = (place(stronger), place(weaker)) {
            assert!(!expected[stronger] || expected[weaker], "seed {seed}\n{}", show(history));
        }
    }
    expected
}

fn shape(dice: &mut Dice, object: Object) -> Shape {
    Shape {
        object,
        transactions: 2 + dice.below(4),
        keys: 1 + dice.below(2),
        sessions: 1 + dice.below(3),
        steps: 1 + dice.below(4),
        wrong: [0, 2, 3, 5][dice.below(4)],
        again: if dice.one_in(6) { 4 } else { 0 },
        lost: [0, 0, 4, 2][dice.below(4)],
        binds: dice.one_in(3),
    }
}

fn run(object: Object, seeds: std::ops::Range<u64>) {
    let mut valid = [0u64; 10];
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let mut dice = Dice(seed);
        let shape = shape(&mut dice, object);
        let history = random(&mut dice, shape);
        for (sum, is_valid) in valid.iter_mut().zip(compare(&history, seed)) {
            *sum += u64::from(is_valid);
        }
    }
    for (model, valid) in MODELS.into_iter().zip(valid) {
        println!("{object:?} {model:?}: {valid} of {count} valid");
        assert!(valid * 5 > count, "{model:?} is hardly ever kept");
        assert!((count - valid) * 40 > count, "{model:?} is hardly ever broken");
    }
}

#[test]
fn random_lists_get_the_verdicts_of_the_definitions() {
    run(Object::ListAppend, 0..50_000);
}

#[test]
fn random_registers_get_the_verdicts_of_the_definitions() {
    run(Object::RwRegister, 0..60_000);
}
