//! Against the second opinion.

use super::make::{Dice, Shape, random, wild};
use crate::second::transaction::{MODELS, verdicts};
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
pub fn compare(history: &History, seed: u64) -> [bool; 10] {
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
    for &(stronger, weaker) in Model::EDGES {
        assert!(keeps(expected, stronger) != Some(true) || keeps(expected, weaker) != Some(false), "seed {seed}");
    }
    expected
}

fn keeps(kept: [bool; 10], model: Model) -> Option<bool> {
    MODELS.iter().position(|&other| other == model).map(|at| kept[at])
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
    let mut apart = vec![0u64; Model::EDGES.len()];
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let mut dice = Dice(seed);
        let mut shape = shape(&mut dice, object);
        if seed % 3 == 1 {
            (shape.keys, shape.steps, shape.lost) = (3, 4, 0);
        }
        let history = if seed % 3 == 0 { random(&mut dice, shape) } else { wild(&mut dice, shape) };
        let kept = compare(&history, seed);
        for (sum, is_valid) in valid.iter_mut().zip(kept) {
            *sum += u64::from(is_valid);
        }
        for (sum, &(stronger, weaker)) in apart.iter_mut().zip(Model::EDGES) {
            *sum += u64::from(keeps(kept, weaker) == Some(true) && keeps(kept, stronger) == Some(false));
        }
    }
    for (model, valid) in MODELS.into_iter().zip(valid) {
        println!("{object:?} {model:?}: {valid} of {count} valid");
        assert!(valid * 5 > count, "{model:?} is hardly ever kept");
        assert!((count - valid) * 50 > count, "{model:?} is hardly ever broken");
    }
    for (sum, (stronger, weaker)) in apart.into_iter().zip(Model::EDGES) {
        println!("{object:?}: {sum} keep {weaker:?} and not {stronger:?}");
        let is_one = matches!((stronger, weaker), (Model::Serializable, _) | (_, Model::Serializable));
        assert!(sum > 100 || is_one || !MODELS.contains(stronger) || !MODELS.contains(weaker));
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

#[test]
fn values_that_repeat_get_the_verdicts_of_the_definitions() {
    for seed in 0..6000 {
        let mut dice = Dice(seed);
        let object = [Object::ListAppend, Object::RwRegister][dice.below(2)];
        let transactions = 2 + dice.below(3);
        let shape = Shape { transactions, again: 2, lost: [0, 3][dice.below(2)], ..shape(&mut dice, object) };
        compare(&if dice.one_in(2) { random(&mut dice, shape) } else { wild(&mut dice, shape) }, seed);
    }
}

#[test]
fn more_transactions_get_the_verdicts_of_the_definitions() {
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let object = [Object::ListAppend, Object::RwRegister][dice.below(4).min(1)];
        let transactions = if seed % 20 == 0 { 7 } else { 6 };
        let shape = Shape { transactions, keys: 3, lost: 0, again: 0, wrong: 6, ..shape(&mut dice, object) };
        compare(&if dice.one_in(4) { random(&mut dice, shape) } else { wild(&mut dice, shape) }, seed);
    }
}
