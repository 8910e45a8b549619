//! How long transactions take to judge, printed: `cargo test --release -p quorate-check --test transactions_speed -- --ignored --nocapture`.

use quorate_check::{Budget, Datum, History, Key, Meter, Model, Object, Recorder, Step, Ticket, Value, Verdict, check};
use std::time::Instant;

struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % count as u64) as usize
    }
}

#[derive(Clone, Copy)]
struct Shape {
    object: Object,
    transactions: usize,
    /// Steps of each transaction.
    steps: usize,
    sessions: usize,
    /// Keys that are in use at a time; each is given up after some writes.
    keys: usize,
    writes_of_key: usize,
    /// One read in so many is stale; 0: none.
    stale: usize,
    binds: bool,
}

/// Overlapping transactions of a store that executes them one after the other, in the order of some moment of each.
fn make(shape: Shape) -> History {
    let mut dice = Dice(7);
    let mut recorder = Recorder::new(shape.object);
    if shape.binds {
        recorder.without_real_time();
    }
    let is_list = shape.object == Object::ListAppend;
    let mut names = 0;
    let mut fresh = |recorder: &mut Recorder| {
        names += 1;
        recorder.key(&Datum::Integer(names))
    };
    let mut keys: Vec<(Key, Vec<Value>)> = (0..shape.keys).map(|_| (fresh(&mut recorder), Vec::new())).collect();
    let mut number = 0;
    let mut open: Vec<(Ticket, Vec<Step>)> = Vec::new();
    let mut free: Vec<usize> = (0..shape.sessions).collect();
    let mut owner = Vec::new();
    let mut clock = 0;
    for _ in 0..shape.transactions {
        let session = free.swap_remove(dice.below(free.len()));
        let name = recorder.session(&Datum::Integer(session as i64));
        let mut steps = Vec::new();
        for _ in 0..shape.steps {
            let at = dice.below(keys.len());
            let (key, list) = &mut keys[at];
            if dice.below(2) == 0 {
                number += 1;
                let value = recorder.value(&Datum::Integer(number));
                list.push(value);
                steps.push(match is_list {
                    true => Step::Append { key: *key, value },
                    false => Step::Write { key: *key, value },
                });
                if list.len() >= shape.writes_of_key {
                    *list = Vec::new();
                    *key = fresh(&mut recorder);
                }
            } else {
                let is_own = steps.iter().any(
                    |step| matches!(step, Step::Append { key: of, .. } | Step::Write { key: of, .. } if of == key),
                );
                let is_stale = shape.stale > 0 && dice.below(shape.stale) == 0 && !is_own;
                let seen = &list[..list.len() - usize::from(is_stale && !list.is_empty())];
                steps.push(match is_list {
                    true => Step::ReadList { key: *key, list: Some(recorder.list(seen)) },
                    false => Step::Read { key: *key, value: Some(seen.last().copied().unwrap_or(Value::NIL)) },
                });
            }
        }
        clock += 1;
        open.push((recorder.begin(name, clock, 0, &steps), steps));
        owner.push(session);
        while free.is_empty() || (dice.below(3) > 0 && !open.is_empty()) {
            let at = dice.below(open.len());
            clock += 1;
            let (ticket, steps) = open.swap_remove(at);
            recorder.end(ticket, clock, &steps);
            free.push(owner.swap_remove(at));
        }
    }
    for (ticket, steps) in open {
        clock += 1;
        recorder.end(ticket, clock, &steps);
    }
    recorder.finish()
}

fn time(name: &str, history: &History, model: Model) {
    let start = Instant::now();
    let mut meter = Meter::new(Budget::DEFAULT);
    let verdict = check(history, model, &mut meter).expect("it applies");
    let taken = start.elapsed();
    let word = match verdict {
        Verdict::Valid => "valid".to_string(),
        Verdict::Invalid(witness) => format!(
            "{}, {} operations, circle of {}",
            witness.anomaly.word(),
            witness.operations.len(),
            witness.edges.len()
        ),
        Verdict::Unknown(spent) => spent.to_string(),
    };
    println!("{name:>40} {:>28} {taken:>10.1?} {:>12} steps  {word}", model.word(), meter.progress().steps);
}

#[test]
#[ignore = "prints times"]
fn growth() {
    let base = Shape {
        object: Object::ListAppend,
        transactions: 0,
        steps: 4,
        sessions: 20,
        keys: 10,
        writes_of_key: 32,
        stale: 0,
        binds: false,
    };
    for operations in [1_000, 10_000, 100_000, 1_000_000] {
        let transactions = operations / base.steps;
        for stale in [0, transactions] {
            for object in [Object::ListAppend, Object::RwRegister] {
                let history = make(Shape { object, transactions, stale, ..base });
                let name = format!("{} {operations} steps, stale {}", object.word(), u8::from(stale > 0));
                for model in [Model::ReadCommitted, Model::ReadAtomic, Model::CausalTransactions] {
                    time(&name, &history, model);
                }
                for model in [Model::SnapshotIsolation, Model::Serializable, Model::StrictSerializable] {
                    time(&name, &history, model);
                }
            }
            let history =
                make(Shape { object: Object::RwRegister, transactions, stale, binds: true, keys: 100, ..base });
            let name = format!("sessions bind, {operations} steps, stale {}", u8::from(stale > 0));
            for model in [Model::ReadCommitted, Model::ReadAtomic, Model::CausalTransactions] {
                time(&name, &history, model);
            }
            for model in [Model::SnapshotIsolation, Model::Serializable] {
                time(&name, &history, model);
            }
        }
    }
}

#[test]
#[ignore = "prints times"]
fn targets() {
    let base = Shape {
        object: Object::ListAppend,
        transactions: 100_000,
        steps: 4,
        sessions: 20,
        keys: 10,
        writes_of_key: 100,
        stale: 0,
        binds: false,
    };
    time("100,000 list transactions", &make(base), Model::StrictSerializable);
    let causal = Shape { object: Object::RwRegister, transactions: 5_000, steps: 15, keys: 1000, binds: true, ..base };
    time("75,000 operations", &make(causal), Model::CausalTransactions);
    let hot = Shape { object: Object::RwRegister, transactions: 10_000, keys: 5, writes_of_key: 100_000, ..base };
    time("five hot registers", &make(hot), Model::StrictSerializable);
    time("five hot registers", &make(hot), Model::Serializable);
    time("five hot registers", &make(hot), Model::SnapshotIsolation);
}

/// Each transaction reads a key before the next one writes it, all around.
#[test]
#[ignore = "prints times"]
fn one_circle_of_many() {
    for (object, count) in [(Object::ListAppend, 10_000), (Object::RwRegister, 10_000), (Object::ListAppend, 100_000)] {
        let mut recorder = Recorder::new(object);
        for at in 0..count {
            let session = recorder.session(&Datum::Integer(at));
            let (read, write) = (recorder.key(&Datum::Integer(at)), recorder.key(&Datum::Integer((at + 1) % count)));
            let value = recorder.value(&Datum::Integer(1));
            let steps = if object == Object::ListAppend {
                let list = Some(recorder.list(&[]));
                [Step::ReadList { key: read, list }, Step::Append { key: write, value }]
            } else {
                [Step::Read { key: read, value: Some(Value::NIL) }, Step::Write { key: write, value }]
            };
            let ticket = recorder.begin(session, at as u64, 0, &steps);
            recorder.end(ticket, (at + count) as u64, &steps);
        }
        let history = recorder.finish();
        time("a circle of anti-dependencies", &history, Model::SnapshotIsolation);
        time("a circle of anti-dependencies", &history, Model::Serializable);
    }
}
