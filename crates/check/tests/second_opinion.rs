//! Each witness is confirmed by the second opinion, none is refuted, and what shows nothing is never confirmed.

mod brute_linear;
mod made;

use brute_linear::{Kind, Random, print, simulate};
use made::{names_or_digests, transactions};
use quorate_check::witness::{Checked, verify};
use quorate_check::{
    Anomaly, Budget, Edge, History, Id, Meter, Model, Object, Outcome, Staleness, Step, Verdict, Why, Witness, applies,
    check,
};
use std::collections::BTreeMap;

/// Of a thousand witnesses of a model, no more may stay undecided.
const MOST_UNDECIDED: u64 = 10;

/// Of a thousand histories, no more may get no verdict.
const MOST_UNKNOWN: u64 = 30;

#[derive(Default)]
struct Count {
    valid: u64,
    confirmed: u64,
    undecided: u64,
    made_up: u64,
    unknown: u64,
}

type Counts = BTreeMap<Model, Count>;

/// A witness of nothing: some operations in some circle.
fn made_up(history: &History, random: &mut Random, round: u64) -> Witness {
    let mut operations: Vec<Id> =
        history.ids().filter(|_| round == 0 || random.percent([70, 40][round as usize % 2])).collect();
    if operations.is_empty() {
        operations.push(Id(random.below(history.len() as u64) as u32));
    }
    let length = 2 + random.below(2) as usize;
    let circle: Vec<Id> = (0..length).map(|_| operations[random.below(operations.len() as u64) as usize]).collect();
    let mut edge = |at: usize| {
        let key = |random: &mut Random| {
            let keys: Vec<_> = history.steps(circle[at]).iter().filter_map(Step::key).collect();
            if keys.is_empty() { None } else { Some(keys[random.below(keys.len() as u64) as usize]) }
        };
        let why = match (random.below(6), key(random)) {
            (0, _) | (_, None) => Why::Session,
            (1, _) => Why::RealTime,
            (2, Some(key)) => Why::ReadsFrom(key),
            (3, Some(key)) => Why::Overwrites(key),
            (4, Some(key)) => Why::Overtaken(key),
            (_, Some(key)) => Why::Forced(key),
        };
        Edge { from: circle[at], to: circle[(at + 1) % length], why }
    };
    let edges = (0..length).map(&mut edge).collect();
    Witness { anomaly: Anomaly::NotLinearizable, operations, edges }
}

fn judge(history: &History, random: &mut Random, counts: &mut Counts) {
    let models = Model::ALL.into_iter().chain([Model::BoundedStaleness(Staleness::Moments(4))]);
    for model in models.filter(|model| applies(history, *model).is_ok()) {
        let count = counts.entry(model).or_default();
        match check(history, model, &mut Meter::new(Budget::DEFAULT)).expect("it applies") {
            Verdict::Unknown(_) => count.unknown += 1,
            Verdict::Valid => {
                count.valid += 1;
                for round in 0..2 {
                    let witness = made_up(history, random, round);
                    count.made_up += 1;
                    let said = verify(history, model, &witness);
                    assert!(said != Checked::Confirmed, "{model:?} {witness:?} of\n{}", print(history));
                }
            }
            Verdict::Invalid(witness) => match verify(history, model, &witness) {
                Checked::Confirmed => count.confirmed += 1,
                Checked::Undecided(_) => count.undecided += 1,
                Checked::Refuted(why) => panic!("{model:?} {why}: {witness:?} of\n{}", print(history)),
            },
        }
    }
}

fn report(name: &str, counts: &Counts) {
    for (model, Count { valid, confirmed, undecided, made_up, unknown }) in counts {
        println!(
            "{name} {model:?}: {valid} valid, {confirmed} confirmed, {undecided} undecided, {made_up} made up, {unknown} unknown"
        );
        // Operations of several steps and texts that can be read in many ways are not always decided.
        let all = valid + confirmed + undecided + unknown;
        assert!(unknown * 1_000 <= MOST_UNKNOWN * all, "{name} {model:?}: {unknown} of {all} unknown");
        assert!(
            undecided * 1_000 <= MOST_UNDECIDED * (confirmed + undecided),
            "{name} {model:?}: {undecided} undecided"
        );
    }
}

#[test]
fn witnesses_of_objects_are_confirmed() {
    for (object, number) in [
        (Object::Register, 3_000),
        (Object::CasRegister, 2_000),
        (Object::Kv, 2_000),
        (Object::Counter, 5_000),
        (Object::Bank, 3_000),
        (Object::Set, 5_000),
        (Object::Queue, 5_000),
        (Object::Stack, 5_000),
        (Object::Mutex, 5_000),
        (Object::FencedLock, 5_000),
    ] {
        let mut counts = Counts::new();
        let mut random = Random(0x5EC0_0D0F ^ (object as u64) << 9);
        for round in 0..number {
            let keys = if object == Object::Bank { 2 } else { 1 + round % 2 };
            let values = if matches!(object, Object::Mutex | Object::FencedLock) { 1 } else { round % 3 };
            let kind = Kind { values, keys, ..Kind::new(object) };
            judge(&simulate(kind, &mut random), &mut random, &mut counts);
        }
        report(object.word(), &counts);
    }
}

#[test]
fn witnesses_about_times_are_confirmed() {
    let (mut random, mut confirmed) = (Random(0xC10C4), 0);
    for round in 0..3_000 {
        let object = [Object::Register, Object::CasRegister, Object::Kv][round as usize % 3];
        let kind = Kind { values: round % 4, clock: 1 + round % 9, wrong: 90, length: 4, ..Kind::new(object) };
        let history = simulate(kind, &mut random);
        let model = Model::BoundedStaleness(Staleness::Nanoseconds(round % 7));
        match check(&history, model, &mut Meter::new(Budget::DEFAULT)).expect("all times are told") {
            Verdict::Valid => {
                let witness = made_up(&history, &mut random, 0);
                assert!(verify(&history, model, &witness) != Checked::Confirmed, "{witness:?} of\n{}", print(&history));
            }
            Verdict::Invalid(witness) => {
                confirmed += 1;
                assert_eq!(
                    verify(&history, model, &witness),
                    Checked::Confirmed,
                    "{witness:?} of\n{}",
                    print(&history)
                );
            }
            Verdict::Unknown(spent) => panic!("{spent}"),
        }
    }
    assert!(confirmed > 300, "{confirmed}");
}

#[test]
fn witnesses_of_registers_with_sums_are_confirmed() {
    let mut counts = Counts::new();
    let mut random = Random(0x50_5175);
    for round in 0..4_000 {
        let object = if round % 2 == 0 { Object::Register } else { Object::CasRegister };
        let kind = Kind { values: 2 + round % 3, keys: 1 + round / 2 % 2, steps: true, open: 15, ..Kind::new(object) };
        judge(&simulate(kind, &mut random), &mut random, &mut counts);
    }
    report("registers with sums", &counts);
}

#[test]
fn witnesses_of_transactions_are_confirmed() {
    for object in [Object::ListAppend, Object::RwRegister] {
        let mut counts = Counts::new();
        let mut random = Random(0x7A45_0000 ^ object as u64);
        for _ in 0..6_000 {
            judge(&transactions(object, &mut random), &mut random, &mut counts);
        }
        report(object.word(), &counts);
    }
}

#[test]
fn witnesses_of_names_and_replicas_are_confirmed() {
    let mut random = Random(0x1D5);
    for object in [Object::UniqueId, Object::Replica] {
        let mut counts = Counts::new();
        for _ in 0..3_000 {
            let history = names_or_digests(object, &mut random);
            assert!(history.operations().iter().all(|operation| operation.outcome != Outcome::Refused));
            judge(&history, &mut random, &mut counts);
        }
        report(object.word(), &counts);
    }
}
