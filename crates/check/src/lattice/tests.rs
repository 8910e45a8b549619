//! Every edge has its history, the verdicts are right, and nothing smaller tells the models apart.

use super::*;
use crate::{Budget, Datum, Key, Meter, Object, Outcome, Recorder, Step, Value, Verdict, check, second};

#[allow(clippy::duplicate_mod, reason = "the tests of sessions use it too")]
#[path = "../../tests/oracle/small.rs"]
mod small;

fn is_of_sessions(model: Model) -> bool {
    Model::of_sessions().any(|known| known == model)
}

const TIMED: [(Model, Model); 4] = [
    (Model::Linearizable, Model::Sequential),
    (Model::Linearizable, Model::Regular),
    (Model::Linearizable, Model::EventualConvergence),
    (Model::Regular, Model::Safe),
];

/// The first history in which nothing is read before it is written, by number of operations, sessions, keys and place in the search.
fn search(stronger: Model, weaker: Model) -> History {
    let mut first = None;
    for operations in 1..=5 {
        let mut look = |history: &History| {
            let fits = |history: &History| {
                second::session::reads_what_was_written(history)
                    && second::holds(history, weaker) == Some(true)
                    && second::holds(history, stronger) == Some(false)
            };
            if first.is_none() && fits(history) {
                first = Some(history.clone());
            }
        };
        if TIMED.contains(&(stronger, weaker)) {
            small::each_timed(operations, &mut look);
        } else {
            for sessions in 1..=operations {
                for keys in 1..=2.min(operations) {
                    small::each(operations, sessions, keys, &mut look);
                }
            }
        }
        if first.is_some() {
            break;
        }
    }
    first.expect("five operations are enough")
}

fn show(history: &History, step: &Step) -> String {
    let key = history.key(step.key().expect("all that is searched has a key"));
    let value = |value: Value| history.value(value);
    match *step {
        Step::Read { value: Some(seen), .. } => format!("r {key} {}", value(seen)),
        Step::Write { value: new, .. } => format!("w {key} {}", value(new)),
        Step::ReadList { list: Some(list), .. } => {
            let all: Vec<String> = history.list(list).iter().map(|&one| value(one).to_string()).collect();
            format!("r {key} [{}]", all.join(" "))
        }
        Step::Insert { value: new, .. } => format!("insert {key} {}", value(new)),
        Step::Remove { value: old, .. } => format!("remove {key} {}", value(old)),
        Step::Contains { value: asked, there: Some(true), .. } => format!("has {key} {}", value(asked)),
        Step::Contains { value: asked, there: Some(false), .. } => format!("lacks {key} {}", value(asked)),
        Step::Take { value: Some(taken), .. } => format!("take {key} {}", value(taken)),
        Step::Add { by, .. } => format!("add {key} {by}"),
        Step::Count { number: Some(number), .. } => format!("count {key} {number}"),
        Step::Acquire { token: Some(token), .. } => format!("acquire {key} {token}"),
        Step::Acquire { token: None, .. } => format!("acquire {key}"),
        Step::Release { .. } => format!("release {key}"),
        Step::Guarded { token, .. } => format!("guarded {key} {token}"),
        _ => panic!("no such step is searched"),
    }
}

/// In the notation of the file.
fn write(history: &History) -> String {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for id in history.ids() {
        let operation = history.operation(id);
        let name = history.session(operation.session).to_string();
        let steps: Vec<String> = history.steps(id).iter().map(|step| show(history, step)).collect();
        let mut text = steps.join(", ");
        if history.has_real_time() {
            text.push_str(&format!(" @{}-{}", operation.begin, operation.end));
        }
        if operation.outcome == Outcome::Refused {
            text.push_str(" !");
        }
        match lines.iter_mut().find(|(session, _)| *session == name) {
            Some((_, operations)) => operations.push(text),
            None => lines.push((name, vec![text])),
        }
    }
    let line = |(session, operations): &(String, Vec<String>)| format!("{session}: {}", operations.join(" | "));
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_edge_has_its_history() {
    for (stronger, weaker, separation) in edges() {
        if let Separation::History { history, .. } = separation {
            assert!(!history.is_empty());
            for model in [stronger, weaker] {
                assert!(model.applies_to(history.object()), "{model:?} of {}", history.object().word());
            }
        }
    }
    let rendered = render();
    assert!(rendered.lines().count() > 100);
    for line in rendered.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert_eq!(GOLDEN.matches("\n# ").count() + usize::from(GOLDEN.starts_with("# ")), Model::EDGES.len());
}

#[test]
fn nothing_smaller_tells_registers_apart() {
    let mut wrong = String::new();
    for &(stronger, weaker) in Model::EDGES {
        let session = is_of_sessions(stronger) && is_of_sessions(weaker);
        if session || TIMED.contains(&(stronger, weaker)) {
            let found = write(&search(stronger, weaker));
            let golden = section(stronger, weaker).unwrap_or("").trim_end();
            if golden != format!("register\n{found}") {
                wrong.push_str(&format!("# {} > {}\nregister\n{found}\n\n", stronger.word(), weaker.word()));
            }
        }
    }
    assert!(wrong.is_empty(), "the search finds\n{wrong}");
}

fn keeps(history: &History, model: Model) -> bool {
    check(history, model, &mut Meter::new(Budget::DEFAULT)).expect("applies") == Verdict::Valid
}

#[test]
fn the_checkers_of_sessions_tell_them_apart() {
    for (stronger, weaker, separation) in edges() {
        let Separation::History { history, .. } = separation else { continue };
        if is_of_sessions(stronger) {
            assert!(!keeps(&history, stronger), "{stronger:?} > {weaker:?}");
        }
        if is_of_sessions(weaker) {
            assert!(keeps(&history, weaker), "{stronger:?} > {weaker:?}");
        }
    }
}

/// What tells two models apart is told apart by the checkers and by the second opinion, which shares nothing with them.
#[test]
fn checkers_and_definitions_tell_them_apart() {
    let mut wrong = String::new();
    let mut told = 0;
    for (stronger, weaker, separation) in edges() {
        let Separation::History { history, .. } = separation else { continue };
        for (model, expected) in [(stronger, false), (weaker, true)] {
            if keeps(&history, model) != expected {
                wrong.push_str(&format!("{stronger:?} > {weaker:?}: {model:?} is not {expected}\n"));
            }
            let second = crate::second::holds(&history, model);
            told += usize::from(second.is_some());
            if second.is_some_and(|second| second != expected) {
                wrong.push_str(&format!("{stronger:?} > {weaker:?}: {model:?} is not {expected} by definition\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(told >= 30, "the second opinion spoke only {told} times");
}

/// A step of a transaction: the key, and the value that is read, 0 for nothing; none for a write.
type Small = (usize, Option<usize>);

/// Calls with every history of one or two transactions of one or two steps over two keys, in every order of time, with sessions that
/// bind and that do not, and transactions that were refused. The n-th write writes n. Nothing is read before it is written.
fn each_of_transactions(found: &mut dyn FnMut(&History, [usize; 5])) {
    let steps: Vec<Small> =
        (0..2).flat_map(|key| [None, Some(0), Some(1), Some(2), Some(3)].map(|read| (key, read))).collect();
    let mut plans: Vec<Vec<Small>> = steps.iter().map(|&step| vec![step]).collect();
    plans.extend(steps.iter().flat_map(|&one| steps.iter().map(move |&two| vec![one, two])));
    // Places in time and sessions: none, one after the other, overlapping.
    let times: [Option<[(u64, u64); 2]>; 3] = [None, Some([(1, 2), (3, 4)]), Some([(1, 3), (2, 4)])];
    for first in plans.iter().filter(|plan| plan[0].0 == 0) {
        let alone = std::slice::from_ref(first);
        each_fate(alone, 1, times[0], found);
        each_fate(alone, 1, times[1], found);
        for second in &plans {
            let both = [first.clone(), second.clone()];
            for (sessions, times) in [(1, times[0]), (1, times[1]), (2, times[0]), (2, times[1]), (2, times[2])] {
                each_fate(&both, sessions, times, found);
            }
        }
    }
}

fn each_fate(
    plans: &[Vec<Small>],
    sessions: usize,
    times: Option<[(u64, u64); 2]>,
    found: &mut dyn FnMut(&History, [usize; 5]),
) {
    // By value, its key and the transaction that writes it.
    let all = || plans.iter().enumerate().flat_map(|(at, plan)| plan.iter().map(move |step| (at, step)));
    let written: Vec<(usize, usize)> =
        all().filter(|(_, step)| step.1.is_none()).map(|(at, step)| (step.0, at)).collect();
    let may_read = |at: usize, &(key, read): &Small| {
        let Some(value) = read.filter(|&value| value > 0) else { return true };
        let overlap = sessions == 2 && times.is_none_or(|times| times[0].1 > times[1].0);
        written.get(value - 1).is_some_and(|&(of, by)| of == key && (by <= at || overlap))
    };
    if !all().all(|(at, step)| may_read(at, step)) {
        return;
    }
    for refused in 0..1usize << plans.len() {
        let mut recorder = Recorder::new(Object::RwRegister);
        if times.is_none() {
            recorder.without_real_time();
        }
        let mut next = 0;
        for (at, plan) in plans.iter().enumerate() {
            let session = recorder.session(&Datum::text(["a", "b"][at.min(sessions - 1)]));
            let (begin, end) = times.unwrap_or([(1, 2), (3, 4)])[at];
            let mut steps = Vec::new();
            for &(key, read) in plan {
                let key = recorder.key(&Datum::text(["x", "y"][key]));
                steps.push(match read {
                    Some(0) => Step::Read { key, value: Some(Value::NIL) },
                    Some(value) => Step::Read { key, value: Some(recorder.value(&Datum::Integer(value as i64))) },
                    None => {
                        next += 1;
                        Step::Write { key, value: recorder.value(&Datum::Integer(next)) }
                    }
                });
            }
            let ticket = recorder.begin(session, begin, 0, &steps);
            if refused >> at & 1 == 1 { recorder.refuse(ticket, end) } else { recorder.end(ticket, end, &steps) }
        }
        let keys = all().map(|(_, step)| step.0).max().map_or(0, |key| key + 1);
        // What is simpler to read comes first: nothing refused, no times.
        let plain = refused.count_ones() as usize * 2 + usize::from(times.is_some());
        let steps = all().count();
        found(&recorder.finish(), [plans.len(), sessions, keys, steps, plain]);
    }
}

#[test]
fn nothing_smaller_tells_transactions_apart() {
    let edges: Vec<(Model, Model)> = Model::EDGES
        .iter()
        .copied()
        .filter(|&(stronger, weaker)| {
            let text = section(stronger, weaker).unwrap_or("");
            text.starts_with("rw-register") || (text.is_empty() && stronger.applies_to(Object::RwRegister))
        })
        .collect();
    assert_eq!(edges.len(), 9);
    let mut smallest: Vec<Option<([usize; 5], String)>> = vec![None; edges.len()];
    each_of_transactions(&mut |history, size| {
        let mut known = std::collections::BTreeMap::new();
        let mut holds = |model: Model| {
            *known.entry(model).or_insert_with(|| crate::second::holds(history, model).expect("it is small enough"))
        };
        for (&(stronger, weaker), smallest) in edges.iter().zip(&mut smallest) {
            if smallest.as_ref().is_none_or(|known| size < known.0) && holds(weaker) && !holds(stronger) {
                *smallest = Some((size, write(history)));
            }
        }
    });
    let mut wrong = String::new();
    for ((stronger, weaker), smallest) in edges.into_iter().zip(smallest) {
        let (_, found) = smallest.expect("two transactions are enough");
        if section(stronger, weaker).unwrap_or("").trim_end() != format!("rw-register\n{found}") {
            wrong.push_str(&format!("# {} > {}\nrw-register\n{found}\n\n", stronger.word(), weaker.word()));
        }
    }
    assert!(wrong.is_empty(), "the search finds\n{wrong}");
}

/// What an operation of an object asks and hears.
type Ask = fn(&mut Recorder) -> Step;

const X: Key = Key(0);

fn value(recorder: &mut Recorder, number: i64) -> Value {
    recorder.value(&Datum::Integer(number))
}

fn list(recorder: &mut Recorder, numbers: &[i64]) -> Step {
    let values: Vec<Value> = numbers.iter().map(|&number| value(recorder, number)).collect();
    Step::ReadList { key: X, list: Some(recorder.list(&values)) }
}

/// Does no session release more than it acquired?
fn releases_what_it_holds(history: &History) -> bool {
    let mut held = [0; 4];
    history.ids().all(|id| {
        let held = &mut held[history.operation(id).session.0 as usize];
        match history.steps(id)[0] {
            Step::Acquire { .. } => *held += 1,
            Step::Release { .. } => *held -= 1,
            _ => {}
        }
        *held >= 0
    })
}

/// The first history that keeps a model of an object but is not linearizable, by number of operations, sessions, and place
/// in the search: every order in time, every choice of what is asked.
fn search_object(object: Object, weaker: Model, asks: &[Ask]) -> String {
    let mut first = None;
    for operations in 1..=4 {
        small::each_timed_shape(operations, &mut |sessions, times| {
            for choice in 0..asks.len().pow(operations as u32) {
                if first.is_some() {
                    return;
                }
                let mut recorder = Recorder::new(object);
                recorder.key(&Datum::text("x"));
                for (at, &(begin, end)) in times.iter().enumerate() {
                    let session = recorder.session(&Datum::text(["a", "b", "c", "d"][sessions[at]]));
                    let place = (operations - 1 - at) as u32;
                    let step = [asks[choice / asks.len().pow(place) % asks.len()](&mut recorder)];
                    let ticket = recorder.begin(session, begin as u64 + 1, 0, &step);
                    recorder.end(ticket, end as u64 + 1, &step);
                }
                let history = recorder.finish();
                let holds = |model: Model| crate::second::holds(&history, model).expect("it is small");
                if releases_what_it_holds(&history) && holds(weaker) && !holds(Model::Linearizable) {
                    first = Some(write(&history));
                }
            }
        });
        if first.is_some() {
            break;
        }
    }
    format!("{}\n{}", object.word(), first.expect("four operations are enough"))
}

#[test]
fn nothing_smaller_tells_objects_apart() {
    let sets: &[Ask] = &[
        |r| Step::Insert { key: X, value: value(r, 1) },
        |r| Step::Insert { key: X, value: value(r, 2) },
        |r| Step::Remove { key: X, value: value(r, 1) },
        |r| list(r, &[]),
        |r| list(r, &[1]),
        |r| list(r, &[2]),
        |r| list(r, &[1, 2]),
        |r| Step::Contains { key: X, value: value(r, 1), there: Some(true) },
        |r| Step::Contains { key: X, value: value(r, 1), there: Some(false) },
    ];
    let lines: &[Ask] = &[
        |r| Step::Insert { key: X, value: value(r, 1) },
        |r| Step::Insert { key: X, value: value(r, 2) },
        |r| Step::Take { key: X, value: Some(value(r, 1)) },
        |r| Step::Take { key: X, value: Some(value(r, 2)) },
        |_| Step::Take { key: X, value: Some(Value::NIL) },
    ];
    let counters: &[Ask] = &[
        |_| Step::Add { key: X, by: 1 },
        |_| Step::Count { key: X, number: Some(0) },
        |_| Step::Count { key: X, number: Some(1) },
        |_| Step::Count { key: X, number: Some(2) },
    ];
    let mutexes: &[Ask] = &[|_| Step::Acquire { key: X, token: None }, |_| Step::Release { key: X, token: None }];
    let locks: &[Ask] = &[
        |_| Step::Acquire { key: X, token: Some(1) },
        |_| Step::Acquire { key: X, token: Some(2) },
        |_| Step::Release { key: X, token: None },
        |_| Step::Guarded { key: X, token: 1 },
        |_| Step::Guarded { key: X, token: 2 },
    ];
    let mut wrong = String::new();
    for (object, weaker, asks) in [
        (Object::Set, Model::SetIntegrity, sets),
        (Object::Queue, Model::Delivery, lines),
        (Object::Counter, Model::CounterBounds, counters),
        (Object::Mutex, Model::MutualExclusion, mutexes),
        (Object::FencedLock, Model::Fencing, locks),
    ] {
        let found = search_object(object, weaker, asks);
        if section(Model::Linearizable, weaker).unwrap_or("").trim_end() != found {
            wrong.push_str(&format!("# linearizable > {}\n{found}\n\n", weaker.word()));
        }
    }
    assert!(wrong.is_empty(), "the search finds\n{wrong}");
}
