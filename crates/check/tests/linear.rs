//! Linearizability against a naive second opinion.

mod brute_linear;

use brute_linear::{Kind, Random, linearizable, print, simulate};
use quorate_check::{Budget, Id, History, Meter, Model, Object, Verdict, check};

fn verdict(history: &History, model: Model) -> Verdict {
    check(history, model, &mut Meter::new(Budget::DEFAULT)).expect("the model applies")
}

/// Compares on random histories; both verdicts must occur often.
fn compare(kind: Kind, count: u64, model: Model, truth: impl Fn(&History) -> bool) {
    let mut random = Random(0x1234_5678_9ABC ^ kind.values << 20 ^ kind.keys << 30 ^ kind.object as u64);
    let (mut valid, mut invalid) = (0, 0);
    for number in 0..count {
        let history = simulate(kind, &mut random);
        let expected = truth(&history);
        match verdict(&history, model) {
            Verdict::Valid => assert!(expected, "{kind:?} {number}: valid, but not so:\n{}", print(&history)),
            Verdict::Invalid(witness) => {
                assert!(!expected, "{kind:?} {number}: invalid, but not so:\n{}", print(&history));
                let part = history.restrict(&witness.operations);
                let text = || format!("{:?}\n{}of\n{}", witness.anomaly, print(&part), print(&history));
                assert!(!truth(&part), "{kind:?} {number}: the witness proves nothing: {}", text());
                edges_hold(&history, &witness.edges, text);
            }
            Verdict::Unknown(spent) => panic!("{kind:?}: {spent}"),
        }
        *(if expected { &mut valid } else { &mut invalid }) += 1;
    }
    assert!(valid > count / 20 && invalid > count / 20, "{kind:?}: {valid} valid, {invalid} invalid");
}

fn edges_hold(history: &History, edges: &[quorate_check::Edge], text: impl Fn() -> String) {
    for (at, edge) in edges.iter().enumerate() {
        assert_eq!(edge.to, edges[(at + 1) % edges.len()].from, "{}", text());
        let (from, to): (Id, Id) = (edge.from, edge.to);
        if edge.why == quorate_check::Why::RealTime {
            assert!(history.operation(from).precedes(history.operation(to)), "{}", text());
        }
    }
}

#[test]
fn registers_agree_with_every_order_tried() {
    for (object, values, keys, steps) in [
        (Object::Register, 0, 1, false),
        (Object::Register, 0, 2, true),
        (Object::Register, 2, 1, false),
        (Object::Register, 3, 1, true),
        (Object::CasRegister, 0, 1, false),
        (Object::CasRegister, 0, 1, true),
        (Object::CasRegister, 3, 1, false),
        (Object::Kv, 0, 1, false),
        (Object::Kv, 0, 2, false),
        (Object::Kv, 4, 1, false),
    ] {
        let kind = Kind { values, keys, steps, ..Kind::new(object) };
        compare(kind, 12_000, Model::Linearizable, |history| linearizable(history, 0));
    }
}

#[test]
fn other_objects_agree_with_every_order_tried() {
    for (object, values, keys, steps) in [
        (Object::Counter, 0, 1, false),
        (Object::Counter, 2, 1, true),
        (Object::Bank, 2, 2, false),
        (Object::Set, 0, 1, false),
        (Object::Set, 3, 1, false),
        (Object::Set, 0, 1, true),
        (Object::Set, 2, 1, true),
        (Object::Queue, 0, 1, false),
        (Object::Queue, 2, 1, false),
        (Object::Stack, 0, 1, false),
        (Object::Stack, 2, 1, false),
        (Object::Mutex, 1, 1, false),
        (Object::FencedLock, 1, 1, false),
    ] {
        let kind = Kind { values, keys, steps, ..Kind::new(object) };
        compare(kind, 8_000, Model::Linearizable, |history| linearizable(history, 0));
    }
}

#[test]
fn models_of_single_reads_agree_with_every_order_tried() {
    for (object, values, keys, steps) in [
        (Object::Register, 0, 1, false),
        (Object::Register, 2, 2, false),
        (Object::Register, 3, 1, true),
        (Object::CasRegister, 0, 1, false),
        (Object::CasRegister, 2, 1, false),
        (Object::Kv, 0, 1, false),
    ] {
        let kind = Kind { values, keys, steps, wrong: 80, ..Kind::new(object) };
        compare(kind, 5_000, Model::Regular, brute_linear::regular);
        let kind = Kind { length: 3, open: 4, ..kind };
        compare(kind, 5_000, Model::Safe, brute_linear::safe);
        let kind = Kind { length: 4, wrong: 90, ..kind };
        compare(kind, 5_000, Model::BoundedStaleness(4), |history| linearizable(history, 4));
    }
}

/// What is linearizable has every property of its object, and each witness lacks it by itself.
#[test]
fn linearizable_histories_keep_their_integrity() {
    for (object, model, values, steps) in [
        (Object::Set, Model::SetIntegrity, 0, true),
        (Object::Set, Model::SetIntegrity, 2, true),
        (Object::Queue, Model::Delivery, 0, false),
        (Object::Stack, Model::Delivery, 2, false),
        (Object::Counter, Model::CounterBounds, 0, true),
        (Object::Counter, Model::CounterBounds, 2, true),
        (Object::Mutex, Model::MutualExclusion, 1, false),
        (Object::FencedLock, Model::MutualExclusion, 1, false),
        (Object::FencedLock, Model::Fencing, 1, false),
    ] {
        let kind = Kind { values, steps, wrong: 70, length: 4, ..Kind::new(object) };
        let mut random = Random(0xFEED_5EED ^ (object as u64) << 8 ^ kind.values);
        let (mut broken, mut invalid) = (0, 0);
        for _ in 0..6_000 {
            let history = simulate(kind, &mut random);
            let is = linearizable(&history, 0);
            invalid += u32::from(!is);
            match verdict(&history, model) {
                Verdict::Valid => {}
                Verdict::Invalid(witness) => {
                    broken += 1;
                    assert!(!is, "{model:?} {:?}\n{}", witness.anomaly, print(&history));
                    let part = history.restrict(&witness.operations);
                    let again = matches!(verdict(&part, model), Verdict::Invalid(_));
                    assert!(again, "{model:?} {:?}\n{}of\n{}", witness.anomaly, print(&part), print(&history));
                }
                Verdict::Unknown(spent) => panic!("{spent}"),
            }
        }
        println!("{model:?} of {object:?}: {broken} of {invalid} that are not linearizable");
        assert!(broken > 30, "{model:?} of {object:?}: {broken} of {invalid}");
    }
}
