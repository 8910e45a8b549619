//! Linearizability against a naive second opinion.

mod brute_linear;

use brute_linear::{Kind, Random, linearizable, print, record, simulate};
use quorate_check::second::order;
use quorate_check::{
    Budget, Datum, History, Id, Key, Meter, Model, Object, Outcome, Recorder, Staleness, Step, Verdict, check,
};
use std::collections::BTreeSet;

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
                edges_hold(&history, model, &witness.edges, text);
            }
            Verdict::Unknown(spent) => panic!("{kind:?}: {spent}"),
        }
        *(if expected { &mut valid } else { &mut invalid }) += 1;
    }
    assert!(valid > count / 20 && invalid > count / 20, "{kind:?}: {valid} valid, {invalid} invalid");
}

fn edges_hold(history: &History, model: Model, edges: &[quorate_check::Edge], text: impl Fn() -> String) {
    let precedes = |from: Id, to: Id| match model {
        Model::BoundedStaleness(Staleness::Nanoseconds(_)) => {
            let time = |id| history.time_ns(id).expect("times are told");
            time(from).1 < time(to).0
        }
        _ => history.operation(from).precedes(history.operation(to)),
    };
    for (at, edge) in edges.iter().enumerate() {
        assert_eq!(edge.to, edges[(at + 1) % edges.len()].from, "{}", text());
        let (from, to): (Id, Id) = (edge.from, edge.to);
        if edge.why == quorate_check::Why::RealTime {
            assert!(precedes(from, to), "{}", text());
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
        (Object::CasRegister, 3, 1, true),
        (Object::Kv, 0, 1, false),
        (Object::Kv, 0, 2, false),
        (Object::Kv, 4, 1, false),
    ] {
        let kind = Kind { values, keys, steps, ..Kind::new(object) };
        compare(kind, 12_000, Model::Linearizable, |history| linearizable(history, 0));
    }
}

/// What was there at first is written once more: a read of it may stand before everything or behind that write.
#[test]
fn registers_that_return_to_the_first_value_agree_with_every_order_tried() {
    for object in [Object::Register, Object::CasRegister] {
        let kind = Kind { first: 100, length: 12, open: 20, ..Kind::new(object) };
        compare(kind, 60_000, Model::Linearizable, |history| linearizable(history, 0));
    }
}

#[test]
fn other_objects_agree_with_every_order_tried() {
    for (object, values, keys, steps) in [
        (Object::Counter, 0, 1, false),
        (Object::Counter, 2, 1, true),
        (Object::Bank, 2, 1, false),
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

/// Every first balance of an account that some read could have found, if some of the additions came before it.
fn possible_balances(history: &History, of: Key) -> BTreeSet<i64> {
    let steps = || {
        let took_place = history.ids().filter(|id| history.operation(*id).outcome != Outcome::Refused);
        took_place.flat_map(|id| history.steps(id)).filter(|step| step.key() == Some(of))
    };
    let mut sums = BTreeSet::from([0]);
    for step in steps() {
        if let Step::Add { by, .. } = *step {
            sums.extend(sums.clone().into_iter().map(|sum| sum + by));
        }
    }
    let found = steps().filter_map(|step| if let Step::Count { number, .. } = *step { number } else { None });
    let possible: BTreeSet<i64> = found.flat_map(|found| sums.iter().map(move |sum| found - sum)).collect();
    // Of an account that nobody looked at, any.
    if possible.is_empty() { BTreeSet::from([0]) } else { possible }
}

/// Is there a first balance of each of these accounts with which the history is linearizable?
fn linearizable_from_some(recorder: &Recorder, accounts: &[Key]) -> bool {
    let Some((&account, others)) = accounts.split_first() else { return linearizable(&recorder.clone().finish(), 0) };
    possible_balances(&recorder.clone().finish(), account).into_iter().any(|balance| {
        let mut recorder = recorder.clone();
        let value = recorder.value(&Datum::Integer(balance));
        recorder.initial(account, value);
        linearizable_from_some(&recorder, others)
    })
}

#[test]
fn unknown_first_balances_agree_with_every_balance_tried() {
    let mut random = Random(0xBA_4C5);
    let (mut valid, mut invalid) = (0, 0);
    for round in 0..6_000 {
        let keys = 1 + round % 2;
        let kind = Kind { values: 2, keys, first: 25, wrong: 60, length: 5, open: 20, ..Kind::new(Object::Bank) };
        let recorder = record(kind, &mut random);
        let history = recorder.clone().finish();
        let is_unknown = |key: &Key| *history.value(history.initial(*key)) == Datum::Nil;
        let unknown: Vec<Key> = (0..history.counts().1 as u32).map(Key).filter(is_unknown).collect();
        let expected = linearizable_from_some(&recorder, &unknown);
        assert_eq!(linearizable(&history, 0), expected, "the second opinion on\n{}", print(&history));
        let is = verdict(&history, Model::Linearizable) == Verdict::Valid;
        assert_eq!(is, expected, "{} unknown in\n{}", unknown.len(), print(&history));
        if !unknown.is_empty() {
            *(if expected { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert!(valid > 500 && invalid > 500, "{valid} valid, {invalid} invalid");
}

/// Where only sessions are known, a history is judged by one order that respects these.
#[test]
fn unknown_first_balances_stay_unknown_without_times() {
    let mut random = Random(0x5E55_1045);
    let (mut valid, mut invalid) = (0, 0);
    for _ in 0..6_000 {
        let mut recorder = Recorder::new(Object::Bank);
        recorder.without_real_time();
        let key = recorder.key(&"x".into());
        for at in 0..2 + random.below(6) {
            let session = recorder.session(&(random.below(3) as i64).into());
            let step = match random.below(2) {
                0 => Step::Add { key, by: random.below(5) as i64 - 2 },
                _ => Step::Count { key, number: Some(random.below(4) as i64) },
            };
            let ticket = recorder.begin(session, at * 2, 0, &[step]);
            if random.percent(85) {
                recorder.end(ticket, at * 2 + 1, &[step]);
            }
        }
        let expected = linearizable_from_some(&recorder, &[key]);
        let history = recorder.finish();
        assert_eq!(linearizable(&history, 0), expected, "the second opinion on\n{}", print(&history));
        assert_eq!(verdict(&history, Model::Linearizable) == Verdict::Valid, expected, "{}", print(&history));
        *(if expected { &mut valid } else { &mut invalid }) += 1;
    }
    assert!(valid > 500 && invalid > 500, "{valid} valid, {invalid} invalid");
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
        compare(kind, 5_000, Model::BoundedStaleness(Staleness::Moments(4)), |history| linearizable(history, 4));
    }
}

/// A bound in time is judged on the times of the history, whatever the order of its rows.
#[test]
fn staleness_in_time_agrees_with_every_order_tried() {
    for (object, values, steps) in [
        (Object::Register, 0, false),
        (Object::Register, 3, true),
        (Object::CasRegister, 0, false),
        (Object::CasRegister, 2, false),
        (Object::Kv, 0, false),
    ] {
        for (clock, bound) in [(1, 3), (8, 6), (40, 120), (8, 0)] {
            let kind = Kind { values, steps, clock, length: 4, wrong: 90, ..Kind::new(object) };
            let by_time = |history: &History| order::linearizable_by_time(history, bound).expect("it is small");
            compare(kind, 2_000, Model::BoundedStaleness(Staleness::Nanoseconds(bound)), by_time);
        }
    }
}

/// A write of 1, one of 2 that ends at 3 ms, other work in between, and a read of 1 that begins at so many nanoseconds.
fn stale_read(begin_ns: u64, rows_between: u64, timed: bool) -> History {
    let mut recorder = Recorder::new(Object::Register);
    let (x, other) = (recorder.key(&"x".into()), recorder.key(&"other".into()));
    let session = recorder.session(&0.into());
    let [one, two] = [1, 2].map(|number: i64| recorder.value(&number.into()));
    let between = (0..rows_between).map(|_| (Step::Read { key: other, value: None }, 3_000_000, 3_000_000));
    let all = [
        (Step::Write { key: x, value: one }, 0, 1_000_000),
        (Step::Write { key: x, value: two }, 2_000_000, 3_000_000),
    ];
    let read = (Step::Read { key: x, value: Some(one) }, begin_ns, begin_ns + 1);
    for (at, (step, begin, end)) in all.into_iter().chain(between).chain([read]).enumerate() {
        let ticket = recorder.begin(session, at as u64 * 2, 0, &[step]);
        recorder.end(ticket, at as u64 * 2 + 1, &[step]);
        if timed {
            recorder.time_ns(ticket, begin, end);
        }
    }
    recorder.finish()
}

#[test]
fn rows_and_times_are_two_bounds() {
    let is = |history: &History, bound| verdict(history, Model::BoundedStaleness(bound)) == Verdict::Valid;
    // Near in rows, far in time.
    let near = stale_read(20_000_000, 0, true);
    assert!(is(&near, Staleness::Moments(2)) && !is(&near, Staleness::Moments(0)));
    assert!(is(&near, Staleness::Nanoseconds(17_000_000)) && !is(&near, Staleness::Nanoseconds(16_999_999)));
    // Far in rows, near in time.
    let far = stale_read(3_005_000, 50, true);
    assert!(is(&far, Staleness::Nanoseconds(5_000)) && !is(&far, Staleness::Nanoseconds(4_999)));
    assert!(!is(&far, Staleness::Moments(100)) && is(&far, Staleness::Moments(101)));
}

#[test]
fn a_bound_in_time_needs_the_times_of_all_operations() {
    let asked = |history: &History| {
        check(history, Model::BoundedStaleness(Staleness::Nanoseconds(10_000_000)), &mut Meter::new(Budget::DEFAULT))
    };
    let problem = asked(&stale_read(0, 0, false)).expect_err("there are no times").to_string();
    assert!(problem.starts_with("bounded-staleness of 10 ms needs the times of all operations"), "{problem}");
    // Only one has times, or one has no end.
    for times in [[None, Some((5, 6))], [Some((5, 6)), Some((7, u64::MAX))]] {
        let mut recorder = Recorder::new(Object::Register);
        let (key, session) = (recorder.key(&"x".into()), recorder.session(&0.into()));
        for (at, time) in times.into_iter().enumerate() {
            let step = Step::Read { key, value: None };
            let ticket = recorder.begin(session, at as u64 * 2, at as u32 + 1, &[step]);
            recorder.end(ticket, at as u64 * 2 + 1, &[step]);
            if let Some((begin, end)) = time {
                recorder.time_ns(ticket, begin, end);
            }
        }
        let problem = asked(&recorder.finish()).expect_err("times are missing").to_string();
        let line = if times[0].is_none() { "line 1" } else { "line 2" };
        assert!(problem.contains(line), "{problem}");
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

/// All histories of so many operations: every way that they can lie in time, and every choice of what they are.
fn all_histories(object: Object, count: usize, asks: &[Ask], mut each: impl FnMut(&History)) {
    let mut orders = Vec::new();
    time_orders(count, &mut vec![], 0, &mut orders);
    let mut choice = vec![0; count];
    loop {
        for order in &orders {
            each(&build(object, asks, &choice, order));
        }
        let Some(at) = (0..count).find(|&at| choice[at] + 1 < asks.len()) else { return };
        choice[..at].fill(0);
        choice[at] += 1;
    }
}

/// What an operation is, whether its outcome is unknown, and what it asks.
type Ask = (bool, fn(&mut quorate_check::Recorder) -> quorate_check::Step);

/// Every order of begins (by number) and ends: positive numbers are begins.
fn time_orders(count: usize, order: &mut Vec<(usize, bool)>, begun: usize, orders: &mut Vec<Vec<(usize, bool)>>) {
    if order.len() == count * 2 {
        orders.push(order.clone());
        return;
    }
    if begun < count {
        order.push((begun, true));
        time_orders(count, order, begun + 1, orders);
        order.pop();
    }
    for at in 0..begun {
        if !order.contains(&(at, false)) {
            order.push((at, false));
            time_orders(count, order, begun, orders);
            order.pop();
        }
    }
}

fn build(object: Object, asks: &[Ask], choice: &[usize], order: &[(usize, bool)]) -> History {
    let mut recorder = quorate_check::Recorder::new(object);
    recorder.key(&"x".into());
    let mut tickets = Vec::new();
    for (moment, &(at, begins)) in order.iter().enumerate() {
        let (open, ask) = asks[choice[at]];
        let step = ask(&mut recorder);
        if begins {
            let session = recorder.session(&(at as i64).into());
            tickets.push(recorder.begin(session, moment as u64, 0, &[step]));
        } else if !open {
            recorder.end(tickets[at], moment as u64, &[step]);
        }
    }
    recorder.finish()
}

#[test]
fn all_small_histories_get_their_verdict() {
    use quorate_check::Value;
    const X: Key = Key(0);
    fn one(recorder: &mut Recorder) -> Value {
        recorder.value(&1.into())
    }
    fn two(recorder: &mut Recorder) -> Value {
        recorder.value(&2.into())
    }
    let register: &[Ask] = &[
        (false, |r| Step::Write { key: X, value: one(r) }),
        (false, |r| Step::Write { key: X, value: two(r) }),
        (true, |r| Step::Write { key: X, value: one(r) }),
        (false, |_| Step::Read { key: X, value: Some(Value::NIL) }),
        (false, |r| Step::Read { key: X, value: Some(one(r)) }),
        (false, |r| Step::Read { key: X, value: Some(two(r)) }),
        (false, |r| Step::Cas { key: X, from: one(r), to: two(r), took: Some(true) }),
        (false, |r| Step::Cas { key: X, from: one(r), to: two(r), took: Some(false) }),
    ];
    let line: &[Ask] = &[
        (false, |r| Step::Insert { key: X, value: one(r) }),
        (false, |r| Step::Insert { key: X, value: two(r) }),
        (true, |r| Step::Insert { key: X, value: one(r) }),
        (false, |_| Step::Take { key: X, value: Some(Value::NIL) }),
        (false, |r| Step::Take { key: X, value: Some(one(r)) }),
        (false, |r| Step::Take { key: X, value: Some(two(r)) }),
        (true, |_| Step::Take { key: X, value: None }),
    ];
    let set: &[Ask] = &[
        (false, |r| Step::Insert { key: X, value: one(r) }),
        (false, |r| Step::Insert { key: X, value: two(r) }),
        (false, |r| Step::Remove { key: X, value: one(r) }),
        (false, |r| Step::ReadList { key: X, list: Some(r.list(&[])) }),
        (false, |r| {
            let all = [one(r)];
            Step::ReadList { key: X, list: Some(r.list(&all)) }
        }),
        (false, |r| {
            let all = [one(r), two(r)];
            Step::ReadList { key: X, list: Some(r.list(&all)) }
        }),
        (false, |r| Step::Contains { key: X, value: one(r), there: Some(true) }),
    ];
    let counter: &[Ask] = &[
        (false, |_| Step::Add { key: X, by: 1 }),
        (true, |_| Step::Add { key: X, by: 1 }),
        (false, |_| Step::Count { key: X, number: Some(0) }),
        (false, |_| Step::Count { key: X, number: Some(1) }),
        (false, |_| Step::Count { key: X, number: Some(2) }),
    ];
    let (mut valid, mut invalid) = (0, 0);
    for (object, asks) in [
        (Object::CasRegister, register),
        (Object::Queue, line),
        (Object::Stack, line),
        (Object::Set, set),
        (Object::Counter, counter),
    ] {
        for count in 1..=4 {
            all_histories(object, count, asks, |history| {
                let expected = linearizable(history, 0);
                let is = verdict(history, Model::Linearizable);
                assert_eq!(is == Verdict::Valid, expected, "{object:?}\n{}", print(history));
                *(if expected { &mut valid } else { &mut invalid }) += 1;
            });
        }
    }
    println!("{valid} valid, {invalid} invalid");
    assert!(valid > 50_000 && invalid > 50_000);
}

/// An operation without an end may have heard anything, whatever the recorder was told when it began.
#[test]
fn an_answer_of_an_open_operation_says_nothing() {
    for more in [&[][..], &[5]] {
        let mut recorder = quorate_check::Recorder::new(Object::Queue);
        let key = recorder.key(&"x".into());
        let mut moment = 0;
        for number in [7, 5].iter().chain(more) {
            let session = recorder.session(&0.into());
            let step = [quorate_check::Step::Insert { key, value: recorder.value(&(*number).into()) }];
            let ticket = recorder.begin(session, moment, 0, &step);
            recorder.end(ticket, moment + 1, &step);
            moment += 2;
        }
        let five = [quorate_check::Step::Take { key, value: Some(recorder.value(&5.into())) }];
        let (open, done) = (recorder.session(&1.into()), recorder.session(&2.into()));
        recorder.begin(open, moment, 0, &five);
        let ticket = recorder.begin(done, moment + 1, 0, &five);
        recorder.end(ticket, moment + 2, &five);
        let history = recorder.finish();
        assert!(linearizable(&history, 0));
        assert_eq!(verdict(&history, Model::Linearizable), Verdict::Valid, "{}", print(&history));
    }
}

/// Where a history falls quiet again and again, a search of ten times the length takes about ten times the steps.
#[test]
fn a_search_grows_with_the_history_where_it_falls_quiet() {
    let steps = |count: u64| {
        let mut meter = Meter::new(Budget::DEFAULT);
        let mut random = Random(0x0DD_5EED);
        // Bursts of six operations, one behind the other; the values repeat.
        let mut recorder = quorate_check::Recorder::new(Object::CasRegister);
        let key = recorder.key(&"x".into());
        let mut now = 0;
        for burst in 0..count / 6 {
            let values: Vec<quorate_check::Value> =
                (0..6).map(|_| recorder.value(&(random.below(3) as i64).into())).collect();
            let mut tickets = Vec::new();
            for (at, &value) in values.iter().enumerate() {
                let session = recorder.session(&(at as i64).into());
                let step = quorate_check::Step::Write { key, value };
                tickets.push((recorder.begin(session, now + at as u64, 0, &[step]), step));
            }
            tickets.into_iter().for_each(|(ticket, step)| recorder.end(ticket, now + 10, &[step]));
            // All writes overlap: any of them may be the last.
            let seen = values[random.below(6) as usize];
            let session = recorder.session(&7.into());
            let read = [quorate_check::Step::Read { key, value: Some(seen) }];
            let ticket = recorder.begin(session, now + 11, 0, &read);
            recorder.end(ticket, now + 12, &read);
            now = 20 * (burst + 1);
        }
        let found = check(&recorder.finish(), Model::Linearizable, &mut meter);
        assert_eq!(found, Ok(Verdict::Valid));
        meter.progress().steps
    };
    let (short, long) = (steps(600), steps(6_000));
    assert!(long < 12 * short, "{short} steps, then {long}");
}
