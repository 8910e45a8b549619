//! The register checker on histories whose verdict is known, and against brute force.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;
use quorate_lab::check::quorate_check::Anomaly;
use quorate_lab::check::register::{BUDGET, Verdict, check};
use quorate_lab::check::{Action, Answer, Operation, Outcome, Value};

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn value(word: &str) -> Value {
    (word != "nothing").then(|| bytes(word))
}

/// `START END ACTION … -> ANSWER`, one operation per line, all on key `k`.
fn history(text: &str) -> Vec<Operation> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.enumerate().map(|(client, line)| operation(client as u32, line)).collect()
}

fn operation(client: u32, line: &str) -> Operation {
    let (left, answer) = line.split_once(" -> ").unwrap();
    let words: Vec<&str> = left.split_whitespace().collect();
    let action = match words[2..] {
        ["get"] => Action::Read,
        ["put", v] => Action::Write(bytes(v)),
        ["del"] => Action::Delete,
        ["swap", v] => Action::Swap(bytes(v)),
        ["incr", by] => Action::Add(by.parse().unwrap()),
        ["cas", from, to] => Action::Cas(value(from), bytes(to)),
        _ => panic!("{line}"),
    };
    let outcome = match (&action, answer) {
        (_, "unknown") => Outcome::Unknown,
        (_, "refused") => Outcome::Refused,
        (Action::Read | Action::Swap(_), word) => Outcome::Done(Answer::Value(value(word))),
        (Action::Write(_), _) => Outcome::Done(Answer::Written),
        (Action::Add(_), number) => Outcome::Done(Answer::Number(number.parse().unwrap())),
        (Action::Delete | Action::Cas(..), took) => Outcome::Done(Answer::Took(took == "yes")),
    };
    let (start, end) = (words[0].parse().unwrap(), words[1].parse().unwrap());
    Operation { client, key: bytes("k"), action, outcome, start, end }
}

#[test]
fn good_histories_pass() {
    for text in [
        "",
        "0 10 get -> nothing",
        "0 10 put a -> ok\n5 6 get -> a\n5 6 get -> nothing",
        // Concurrent reads may disagree with the order of their starts.
        "0 100 put a -> ok\n10 50 get -> a\n20 60 get -> nothing",
        // A write of unknown outcome may take effect late, or never.
        "0 10 put a -> unknown\n20 30 get -> nothing\n40 50 get -> a",
        "0 10 put a -> unknown\n20 30 get -> nothing\n40 50 get -> nothing",
        "0 10 put a -> refused\n20 30 get -> nothing",
        "0 10 incr 1 -> 1\n0 10 incr 1 -> 2\n20 30 get -> 2",
        "0 10 incr 1 -> unknown\n20 30 incr 1 -> 2\n40 50 get -> 2",
        "0 10 incr 1 -> unknown\n0 10 incr 2 -> unknown\n20 30 incr 1 -> 4",
        "0 10 put a -> ok\n20 30 cas a b -> yes\n20 30 cas a c -> no\n40 50 get -> b",
        "0 10 put 5 -> unknown\n0 10 incr 3 -> unknown\n20 30 get -> 8",
        "0 10 put a -> ok\n20 30 del -> yes\n40 50 del -> no\n60 70 cas nothing b -> yes\n80 90 swap c -> b",
        // Touching at one instant is overlapping.
        "0 10 put a -> ok\n10 20 get -> nothing",
    ] {
        assert_eq!(check(&history(text), BUDGET), Verdict::Valid, "{text}");
    }
}

#[test]
fn bad_histories_fail_by_name() {
    for (anomaly, text) in [
        (Anomaly::StaleRead, "0 10 put a -> ok\n20 30 get -> nothing"),
        (Anomaly::StaleRead, "0 10 put a -> ok\n20 30 put b -> ok\n40 50 get -> a"),
        (Anomaly::StaleRead, "0 10 put a -> ok\n20 30 put b -> ok\n40 50 get -> a\n60 70 cas b c -> yes"),
        (Anomaly::NewThenOld, "0 100 put a -> ok\n10 20 get -> a\n30 40 get -> nothing"),
        (Anomaly::NewThenOld, "0 5 put a -> ok\n10 100 put b -> unknown\n20 30 get -> b\n40 50 get -> a"),
        (Anomaly::LostUpdate, "0 10 incr 1 -> 1\n5 15 incr 1 -> 1"),
        (Anomaly::LostUpdate, "0 10 put a -> ok\n20 30 cas a b -> yes\n20 30 cas a c -> yes"),
        (Anomaly::LostUpdate, "0 10 put a -> ok\n20 30 swap b -> a\n20 30 swap c -> a"),
        (Anomaly::AbortedRead, "0 10 put a -> refused\n20 30 get -> a"),
        (Anomaly::ReadFromNowhere, "0 10 put a -> ok\n20 30 get -> x"),
        (Anomaly::ReadFromFuture, "0 10 get -> a\n20 30 put a -> ok"),
        (Anomaly::ReadFromFuture, "0 0 get -> 1\n0 0 incr -1 -> refused\n1 1 put 1 -> ok"),
        (Anomaly::ReadFromNowhere, "0 10 put a -> ok\n20 30 cas x b -> yes"),
        (Anomaly::StaleRead, "0 10 put a -> ok\n20 30 del -> no"),
        (Anomaly::NotLinearizable, "0 10 incr 1 -> 1\n20 30 incr 1 -> 3"),
        (Anomaly::NotLinearizable, "0 10 incr 1 -> 1\n20 30 get -> 5"),
        (Anomaly::NotLinearizable, "0 10 get -> 2\n20 30 put 2 -> ok\n40 50 incr 1 -> 3"),
        (Anomaly::NotLinearizable, "0 10 put 3 -> ok\n20 30 incr 1 -> unknown\n40 50 get -> 5"),
    ] {
        match check(&history(text), BUDGET) {
            Verdict::Invalid(witness) => assert_eq!(witness.anomaly, anomaly, "{text}\n{witness}"),
            verdict => panic!("{verdict:?} for {text}"),
        }
    }
}

#[test]
fn the_witness_is_small_and_invalid_by_itself() {
    let mut text = String::new();
    for i in 0..40 {
        text += &format!("{} {} put v{i} -> ok\n{} {} get -> v{i}\n", i * 10, i * 10 + 3, i * 10 + 4, i * 10 + 6);
    }
    for bad in ["500 501 get -> v7", "500 501 get -> v7\n600 601 cas v39 x -> yes"] {
        let Verdict::Invalid(witness) = check(&history(&(text.clone() + bad)), BUDGET) else { panic!("{bad}") };
        assert_eq!(witness.anomaly, Anomaly::StaleRead);
        assert!(matches!(check(&witness.operations, BUDGET), Verdict::Invalid(_)));
        if !bad.contains("cas") {
            assert!(witness.operations.len() <= 5, "{witness}");
        }
    }
}

#[test]
fn the_budget_gives_an_honest_unknown() {
    let mut text = String::from("200 210 get -> 4096\n");
    for i in 0..24 {
        text += &format!("0 100 incr {} -> unknown\n", 1 << (i % 11));
    }
    assert!(matches!(check(&history(&text), 100), Verdict::Unknown(_)));
}

/// Tries every order of every choice of the operations that may have been left out.
fn brute_force(operations: &[Operation]) -> bool {
    fn legal(state: &Value, operation: &Operation) -> Option<Value> {
        let number = |state: &Value| match state {
            None => Some(0),
            Some(bytes) => String::from_utf8_lossy(bytes).parse::<i64>().ok(),
        };
        let (truth, next) = match &operation.action {
            Action::Read => (Answer::Value(state.clone()), state.clone()),
            Action::Write(value) => (Answer::Written, Some(value.clone())),
            Action::Delete => (Answer::Took(state.is_some()), None),
            Action::Swap(value) => (Answer::Value(state.clone()), Some(value.clone())),
            Action::Add(by) => {
                let sum = number(state)? + by;
                (Answer::Number(sum), Some(bytes(&sum.to_string())))
            }
            Action::Cas(expected, value) if state == expected => (Answer::Took(true), Some(value.clone())),
            Action::Cas(..) => (Answer::Took(false), state.clone()),
        };
        match &operation.outcome {
            Outcome::Done(answer) => (*answer == truth).then_some(next),
            Outcome::Unknown => Some(next),
            Outcome::Refused => None,
        }
    }
    fn extend(operations: &[Operation], rest: u32, state: &Value) -> bool {
        let open = |at: usize| rest & 1 << at != 0;
        let must = |at: usize| matches!(operations[at].outcome, Outcome::Done(_));
        let all = 0..operations.len();
        if !all.clone().any(|at| open(at) && must(at)) {
            return true;
        }
        all.clone().filter(|&at| open(at) && operations[at].outcome != Outcome::Refused).any(|at| {
            let first =
                !all.clone().any(|other| open(other) && must(other) && operations[other].end < operations[at].start);
            first && legal(state, &operations[at]).is_some_and(|next| extend(operations, rest & !(1 << at), &next))
        })
    }
    extend(operations, (1 << operations.len()) - 1, &None)
}

fn any_operation(plain: bool) -> impl Strategy<Value = Operation> {
    let word = |small: u8| -> Value { (small > 0).then(|| bytes(&small.to_string())) };
    let kinds = if plain { 2 } else { 7u8 };
    (0..kinds, 0..4u8, 0..4u8, 0..8u8, 0..30u64, 0..15u64).prop_map(move |(kind, a, b, known, start, length)| {
        let (action, answer) = match kind {
            0 => (Action::Read, Answer::Value(word(a))),
            1 => (Action::Write(bytes(&(a + 1).to_string())), Answer::Written),
            2 => (Action::Delete, Answer::Took(a > 1)),
            3 => (Action::Swap(bytes(&(a + 1).to_string())), Answer::Value(word(b))),
            4 => (Action::Add(i64::from(a) - 1), Answer::Number(i64::from(b))),
            _ => (Action::Cas(word(a), bytes(&(b + 1).to_string())), Answer::Took(known.is_multiple_of(2))),
        };
        let outcome = match known {
            0 => Outcome::Unknown,
            1 => Outcome::Refused,
            _ => Outcome::Done(answer),
        };
        Operation { client: 0, key: bytes("k"), action, outcome, start, end: start + length }
    })
}

fn verdict(history: &[Operation]) -> bool {
    match check(history, BUDGET) {
        Verdict::Valid => true,
        Verdict::Invalid(witness) => {
            assert!(!brute_force(&witness.operations), "the witness is valid:\n{witness}");
            false
        }
        Verdict::Unknown(_) => panic!("seven operations are within the budget"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn agrees_with_brute_force(history in prop::collection::vec(any_operation(false), 0..8)) {
        prop_assert_eq!(verdict(&history), brute_force(&history));
    }

    #[test]
    fn agrees_with_brute_force_on_plain_registers(mut history in prop::collection::vec(any_operation(true), 0..8)) {
        let mut written = 0u32;
        for operation in &mut history {
            if let Action::Write(value) = &mut operation.action {
                written += 1;
                *value = bytes(&written.to_string());
            }
        }
        let truth = brute_force(&history);
        prop_assert_eq!(verdict(&history), truth);
    }
}

/// What an atomic register answers, and its next state.
fn truth(state: &Value, action: &Action) -> (Answer, Value) {
    let number = state.as_ref().map_or(0, |bytes| String::from_utf8_lossy(bytes).parse::<i64>().unwrap());
    match action {
        Action::Read => (Answer::Value(state.clone()), state.clone()),
        Action::Write(value) => (Answer::Written, Some(value.clone())),
        Action::Delete => (Answer::Took(state.is_some()), None),
        Action::Swap(value) => (Answer::Value(state.clone()), Some(value.clone())),
        Action::Add(by) => (Answer::Number(number + by), Some(bytes(&(number + by).to_string()))),
        Action::Cas(expected, value) if state == expected => (Answer::Took(true), Some(value.clone())),
        Action::Cas(..) => (Answer::Took(false), state.clone()),
    }
}

/// A history of a real register: each operation takes place at a moment between its start and its end. One of unknown
/// outcome takes place late, or never.
fn real_history(mut drawn: Vec<(Operation, u64, u64)>) -> Vec<Operation> {
    for (operation, _, late) in &mut drawn {
        if *late < 3 {
            operation.outcome = Outcome::Unknown;
        }
    }
    let moment = |(operation, share, late): &(Operation, u64, u64)| match late {
        0 => u64::MAX,
        1 => operation.end + share * 3,
        _ => operation.start + (operation.end - operation.start) * share / 10,
    };
    drawn.sort_by_key(moment);
    let mut state: Value = None;
    for drawn in &mut drawn {
        if moment(drawn) == u64::MAX {
            continue;
        }
        let (answer, next) = truth(&state, &drawn.0.action);
        state = next;
        if drawn.0.outcome != Outcome::Unknown {
            drawn.0.outcome = Outcome::Done(answer);
        }
    }
    drawn.into_iter().map(|(operation, ..)| operation).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn a_real_history_is_never_accused(
        drawn in prop::collection::vec((any_operation(false), 0..=10u64, 0..12u64), 0..16),
        scale in 1..6u64,
    ) {
        let mut history = real_history(drawn);
        for operation in &mut history {
            operation.start *= scale;
            operation.end *= scale;
        }
        match check(&history, BUDGET) {
            Verdict::Valid | Verdict::Unknown(_) => {}
            Verdict::Invalid(witness) => prop_assert!(false, "accused:\n{}", witness),
        }
    }
}
