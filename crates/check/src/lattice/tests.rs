//! Every edge has its history, the verdicts are right, and nothing smaller tells the models apart.

use super::*;
use crate::{Budget, Datum, Meter, Object, Recorder, Step, Verdict, check, second};

#[allow(clippy::duplicate_mod, reason = "the tests of sessions use it too")]
#[path = "../../tests/oracle/small.rs"]
mod small;

const SESSIONS: [Model; 9] = [
    Model::Sequential,
    Model::CausalMemory,
    Model::CausalConvergence,
    Model::WeakCausal,
    Model::Pram,
    Model::ReadYourWrites,
    Model::MonotonicReads,
    Model::MonotonicWrites,
    Model::WritesFollowReads,
];

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

/// In the notation of the file.
fn write(history: &History) -> String {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for id in history.ids() {
        let operation = history.operation(id);
        let name = history.session(operation.session).to_string();
        let steps: Vec<String> = history
            .steps(id)
            .iter()
            .map(|step| match *step {
                Step::Read { key, value: Some(value) } => format!("r {} {}", history.key(key), history.value(value)),
                Step::Write { key, value } => format!("w {} {}", history.key(key), history.value(value)),
                _ => panic!("only registers are searched"),
            })
            .collect();
        let mut text = steps.join(", ");
        if history.has_real_time() {
            text.push_str(&format!(" @{}-{}", operation.begin, operation.end));
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
    assert!(render().lines().count() > 100);
    assert_eq!(GOLDEN.matches("\n# ").count() + usize::from(GOLDEN.starts_with("# ")), Model::EDGES.len());
}

#[test]
fn nothing_smaller_tells_registers_apart() {
    let mut wrong = String::new();
    for &(stronger, weaker) in Model::EDGES {
        let session = SESSIONS.contains(&stronger) && SESSIONS.contains(&weaker);
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
        if SESSIONS.contains(&stronger) {
            assert!(!keeps(&history, stronger), "{stronger:?} > {weaker:?}");
        }
        if SESSIONS.contains(&weaker) {
            assert!(keeps(&history, weaker), "{stronger:?} > {weaker:?}");
        }
    }
}

#[test]
#[ignore = "needs the checkers of every model"]
fn all_checkers_tell_them_apart() {
    let mut wrong = String::new();
    for (stronger, weaker, separation) in edges() {
        let Separation::History { history, .. } = separation else { continue };
        for (model, expected) in [(stronger, false), (weaker, true)] {
            if keeps(&history, model) != expected {
                wrong.push_str(&format!("{stronger:?} > {weaker:?}: {model:?} is not {expected}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
