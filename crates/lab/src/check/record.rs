//! What clients did, as a history of registers for `quorate-check`.

use super::history::{Action, Answer, Operation, Outcome, Value};
use quorate_check::{Datum, Object, Recorder, Session, Step};
use std::collections::BTreeMap;

/// The operations as a history of registers with compare-and-sets and sums, in their order. It may be given bands before it
/// is finished. Each client is a session; of operations that a client had under way at once, each is a session of its
/// own, since no model of sessions promises them an order.
///
/// # Panics
/// If an answer cannot be one to its action.
pub fn recorder(operations: &[Operation]) -> Recorder {
    let mut recorder = Recorder::new(Object::CasRegister);
    let mut lanes = Lanes::default();
    for operation in operations {
        let session = lanes.session(operation, &mut recorder);
        let steps = steps(operation, &mut recorder);
        let ticket = recorder.begin(session, operation.start, 0, &steps);
        match operation.outcome {
            Outcome::Done(_) => recorder.end(ticket, operation.end, &steps),
            Outcome::Unknown => {}
            Outcome::Refused => recorder.refuse(ticket, operation.end),
        }
    }
    recorder
}

/// When the operations of each client that follow each other ended last.
#[derive(Default)]
struct Lanes(BTreeMap<u32, Vec<u64>>);

impl Lanes {
    fn session(&mut self, operation: &Operation, recorder: &mut Recorder) -> Session {
        let lanes = self.0.entry(operation.client).or_default();
        let free = lanes.iter().position(|end| *end <= operation.start);
        let lane = free.unwrap_or(lanes.len());
        if lane == lanes.len() {
            lanes.push(0);
        }
        lanes[lane] = operation.end;
        recorder.session(&match lane {
            0 => Datum::from(i64::from(operation.client)),
            lane => Datum::from(&*format!("{}.{lane}", operation.client)),
        })
    }
}

/// What an operation does to its key, with what was heard of it.
fn steps(operation: &Operation, recorder: &mut Recorder) -> Vec<Step> {
    let key = recorder.key(&datum(&operation.key));
    let mut value = |value: &Value| recorder.value(&value.as_ref().map_or(Datum::Nil, |value| datum(value)));
    let nothing = quorate_check::Value::NIL;
    let answer = match &operation.outcome {
        Outcome::Done(answer) => Some(answer),
        Outcome::Unknown | Outcome::Refused => None,
    };
    match (&operation.action, answer) {
        (Action::Read, None) => vec![Step::Read { key, value: None }],
        (Action::Read, Some(Answer::Value(seen))) => vec![Step::Read { key, value: Some(value(seen)) }],
        (Action::Write(new) | Action::Swap(new), None) | (Action::Write(new), Some(Answer::Written)) => {
            vec![Step::Write { key, value: value(&Some(new.clone())) }]
        }
        // A swap that gave this old value is a compare-and-set of it that took place.
        (Action::Swap(new), Some(Answer::Value(old))) => {
            vec![Step::Cas { key, from: value(old), to: value(&Some(new.clone())), took: Some(true) }]
        }
        (Action::Delete, None) => vec![Step::Write { key, value: nothing }],
        (Action::Delete, Some(Answer::Took(false))) => vec![Step::Read { key, value: Some(nothing) }],
        // Something was there: a compare-and-set of nothing does not take place.
        (Action::Delete, Some(Answer::Took(true))) => {
            vec![Step::Cas { key, from: nothing, to: nothing, took: Some(false) }, Step::Write { key, value: nothing }]
        }
        (Action::Add(by), None) => vec![Step::Add { key, by: *by }],
        (Action::Add(by), Some(Answer::Number(sum))) => {
            vec![Step::Add { key, by: *by }, Step::Count { key, number: Some(*sum) }]
        }
        (Action::Cas(from, to), None) => {
            vec![Step::Cas { key, from: value(from), to: value(&Some(to.clone())), took: None }]
        }
        (Action::Cas(from, to), Some(Answer::Took(took))) => {
            vec![Step::Cas { key, from: value(from), to: value(&Some(to.clone())), took: Some(*took) }]
        }
        (action, Some(answer)) => panic!("{action:?} cannot be answered by {answer:?}"),
    }
}

/// Bytes as people and sums read them; different bytes are different data.
fn datum(bytes: &[u8]) -> Datum {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Datum::List(bytes.iter().map(|&byte| Datum::from(i64::from(byte))).collect());
    };
    match text.parse::<i64>() {
        // `007` and `+7` are texts, to which nothing can be added.
        Ok(number) if number.to_string() == text => Datum::from(number),
        Ok(_) | Err(_) => Datum::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use quorate_check::Id;

    fn read(client: u32, start: u64, end: u64) -> Operation {
        let outcome = Outcome::Done(Answer::Value(None));
        Operation { client, key: Bytes::from_static(b"k"), action: Action::Read, outcome, start, end }
    }

    #[test]
    fn what_a_client_has_under_way_at_once_is_in_no_session() {
        let operations = [read(1, 0, 9), read(1, 0, 5), read(2, 0, 5), read(1, 5, 7), read(1, 9, 10)];
        let history = recorder(&operations).finish();
        let sessions: Vec<String> =
            history.operations().iter().map(|operation| history.session(operation.session).to_string()).collect();
        assert_eq!(sessions, ["1", "\"1.1\"", "2", "\"1.1\"", "1"]);
    }

    #[test]
    fn every_action_has_its_steps() {
        let value = |text: &'static str| Bytes::from_static(text.as_bytes());
        let done = |action: Action, answer: Option<Answer>| Operation {
            action,
            outcome: answer.map_or(Outcome::Unknown, Outcome::Done),
            ..read(0, 0, 1)
        };
        for (action, answer, said) in [
            (Action::Read, Some(Answer::Value(Some(value("v")))), "read k → v"),
            (Action::Write(value("5")), Some(Answer::Written), "write k 5"),
            (Action::Write(value("05")), None, "write k \"05\" (unknown)"),
            (Action::Write(Bytes::from_static(&[0xFF, 1])), None, "write k [255 1] (unknown)"),
            (Action::Delete, Some(Answer::Took(true)), "cas k nil nil → no; write k nil"),
            (Action::Delete, Some(Answer::Took(false)), "read k → nil"),
            (Action::Swap(value("w")), Some(Answer::Value(None)), "cas k nil w → yes"),
            (Action::Swap(value("w")), None, "write k w (unknown)"),
            (Action::Add(-2), Some(Answer::Number(3)), "add k -2; read k → 3"),
            (Action::Add(1), None, "add k 1 (unknown)"),
            (Action::Cas(None, value("w")), Some(Answer::Took(false)), "cas k nil w → no"),
        ] {
            let history = recorder(&[done(action, answer)]).finish();
            assert_eq!(history.describe(Id(0)), said);
        }
    }
}
