//! Against the second opinion.

use super::make::{Dice, Shape, random, wild};
use crate::second::transaction::{MODELS, verdicts};
use crate::transaction::{Base, Rules, state};
use crate::witness::{Checked, verify};
use crate::{Budget, Datum, History, Key, Meter, Model, Object, Recorder, Step, Value, Verdict, check, second};

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

/// Transactions of few steps over few values, nearly all of which repeat.
fn repeated(dice: &mut Dice, transactions: usize) -> History {
    let object = [Object::RwRegister, Object::RwRegister, Object::ListAppend][dice.below(3)];
    let binds = dice.one_in(4);
    let mut recorder = Recorder::new(object);
    if binds {
        recorder.without_real_time();
    }
    let keys: Vec<Key> = (0..1 + dice.below(2)).map(|key| recorder.key(&Datum::Integer(key as i64))).collect();
    let values: Vec<Value> = (0..2).map(|value| recorder.value(&Datum::Integer(value))).collect();
    let initial = [Value::NIL, values[0]][dice.below(2)];
    recorder.initial_of_all(initial);
    let mut store = vec![Vec::new(); keys.len()];
    let (sessions, lost, wrong) = (1 + dice.below(3), [9, 3][dice.below(2)], [1, 2, 4][dice.below(3)]);
    for at in 0..transactions {
        let session = recorder.session(&Datum::Integer(dice.below(sessions) as i64));
        let before = store.clone();
        let mut steps = Vec::new();
        for _ in 0..1 + dice.below(3) {
            let key = dice.below(keys.len());
            if dice.one_in(2) {
                let value = values[dice.below(2)];
                store[key].push(value);
                let key = keys[key];
                let write = Step::Write { key, value };
                steps.push(if object == Object::ListAppend { Step::Append { key, value } } else { write });
                continue;
            }
            let mut seen = store[key].clone();
            if dice.one_in(wrong) && !seen.is_empty() {
                seen.truncate(dice.below(seen.len()));
            }
            let key = keys[key];
            steps.push(match (object, seen.last()) {
                (Object::ListAppend, _) => Step::ReadList { key, list: Some(recorder.list(&seen)) },
                (_, Some(&value)) => Step::Read { key, value: Some(value) },
                (_, None) => Step::Read { key, value: Some(initial) },
            });
        }
        let begin = 1 + 4 * at as u64 + dice.below(4) as u64;
        let ticket = recorder.begin(session, begin, 0, &steps);
        if dice.one_in(lost) {
            store = if dice.one_in(2) { store } else { before };
        } else {
            recorder.end(ticket, begin + 1 + dice.below(12) as u64, &steps);
        }
    }
    recorder.finish()
}

/// Both ways of looking for one order give the verdicts of the definition, each alone; and the few transactions left are invalid.
#[test]
fn executing_gives_the_verdicts_of_the_definitions() {
    let bases = [(Model::Serializable, Base::Nothing), (Model::StrongSessionSerializable, Base::Sessions)];
    let bases = [bases[0], bases[1], (Model::StrictSerializable, Base::Time)];
    let mut valid = [0; 3];
    let count = 100_000;
    for seed in 0..count {
        let mut dice = Dice(seed);
        let transactions = 2 + dice.below(4);
        let history = repeated(&mut dice, transactions);
        for (sum, (model, base)) in valid.iter_mut().zip(bases) {
            let base = if history.sessions_bind() { base.max(Base::Sessions) } else { base };
            let expected = second::holds(&history, model).unwrap();
            let meter = &mut Meter::new(Budget::DEFAULT);
            let found = state::has_order(&history, base, Rules::TRUE, meter).unwrap();
            assert_eq!(found, expected, "seed {seed}: {model:?}\n{}", show(&history));
            assert_eq!(ask(&history, model) == Verdict::Valid, expected, "seed {seed}: {model:?}\n{}", show(&history));
            *sum += u64::from(found);
            if !found {
                let witness = state::witness(&history, base, Rules::TRUE, 10_000, meter);
                let few = history.restrict(&witness.operations);
                assert_eq!(second::holds(&few, model), Some(false), "seed {seed}: {witness:?}\n{}", show(&history));
                let checked = verify(&history, model, &witness);
                assert_eq!(checked, Checked::Confirmed, "seed {seed}: {witness:?}\n{}", show(&history));
            }
        }
    }
    println!("valid of {count}: {valid:?}");
    assert!(valid.iter().all(|valid| (count / 5..count * 4 / 5).contains(valid)), "{valid:?}");
}

/// The second opinion on transactions itself, which tries all orders and all choices of writers.
#[test]
fn executing_gives_the_verdicts_of_all_choices_of_writers() {
    for seed in 0..4000 {
        let mut dice = Dice(seed);
        let transactions = 2 + dice.below(3);
        compare(&repeated(&mut dice, transactions), seed);
    }
}

#[test]
fn broken_rules_are_noticed_by_executing() {
    let is_noticed = |model, base: Base, rules: Rules| {
        (0..5000).any(|seed| {
            let mut dice = Dice(seed);
            let history = repeated(&mut dice, 4);
            let base = if history.sessions_bind() { base.max(Base::Sessions) } else { base };
            let found = state::has_order(&history, base, rules, &mut Meter::new(Budget::DEFAULT));
            found != Ok(second::holds(&history, model).unwrap())
        })
    };
    let strict = (Model::StrictSerializable, Base::Time);
    let session = (Model::StrongSessionSerializable, Base::Sessions);
    assert!(!is_noticed(strict.0, strict.1, Rules::TRUE));
    assert!(is_noticed(strict.0, strict.1, Rules { real_time: false, ..Rules::TRUE }));
    assert!(is_noticed(strict.0, strict.1, Rules { unknown_writes: false, ..Rules::TRUE }));
    assert!(is_noticed(session.0, session.1, Rules { sessions: false, ..Rules::TRUE }));
}

#[test]
fn work_that_is_worth_less_than_an_answer_is_unknown() {
    let history = repeated(&mut Dice(3), 60);
    for steps in [0, 100, 300] {
        let verdict = check(&history, Model::Serializable, &mut Meter::new(Budget { steps, bytes: 1 << 20 })).unwrap();
        assert_eq!(verdict, Verdict::Unknown(crate::Spent::Steps));
    }
}
