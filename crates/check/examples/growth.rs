//! How long linearizability takes on histories of growing size, valid and with one wrong answer. Run with `--release`.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use quorate_check::{Budget, Datum, History, Id, Meter, Model, Object, Recorder, Step, Value, Verdict, check};
use std::collections::VecDeque;
use std::time::Instant;

/// Sessions that take turns; each operation overlaps about as many others as there are sessions.
const SESSIONS: u64 = 10;

fn main() {
    println!("{:<12} {:>9} {:>8} {:>12} {:>10} {:>8}", "object", "size", "verdict", "time", "ns each", "witness");
    for object in [
        Object::Register,
        Object::CasRegister,
        Object::Kv,
        Object::Queue,
        Object::Stack,
        Object::Set,
        Object::Counter,
        Object::Mutex,
    ] {
        for size in [1_000, 10_000, 100_000, 1_000_000] {
            if (object == Object::Set || object == Object::Kv) && size > 100_000 {
                continue;
            }
            for wrong in [false, true] {
                let history = history(object, size, wrong);
                let begin = Instant::now();
                let verdict = check(&history, Model::Linearizable, &mut Meter::new(Budget::DEFAULT));
                let time = begin.elapsed();
                let (word, witness) = match &verdict {
                    Ok(Verdict::Valid) => ("valid", 0),
                    Ok(Verdict::Invalid(witness)) => ("invalid", witness.operations.len()),
                    Ok(Verdict::Unknown(_)) | Err(_) => ("unknown", 0),
                };
                let each = time.as_nanos() / u128::from(size);
                println!("{:<12} {size:>9} {word:>8} {time:>12.2?} {each:>10} {witness:>8}", object.word());
            }
        }
    }
}

/// A correct object; if `wrong`, one answer in the middle is what another one was long before.
fn history(object: Object, size: u64, wrong: bool) -> History {
    let mut recorder = Recorder::new(object);
    let key = recorder.key(&Datum::text("x"));
    let sessions: Vec<_> = (0..SESSIONS).map(|number| recorder.session(&(number as i64).into())).collect();
    let mut seed = 7_u64;
    let mut random = |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 16) % bound
    };
    let (mut now, mut text, mut pieces) = (Value::NIL, String::new(), 0);
    let mut line: VecDeque<Value> = VecDeque::new();
    let (mut all, mut count, mut held) = (Vec::new(), 0_i64, false);
    let mut before = VecDeque::from([Value::NIL]);
    for number in 0..size {
        let point = number * 10 + 100;
        let fresh = recorder.value(&Datum::Integer(number as i64 + 1));
        let is_read = random(2) == 0;
        let spoil = wrong && number >= size / 2 && number < size / 2 + 20;
        let step = match object {
            Object::Register | Object::CasRegister if is_read => {
                Step::Read { key, value: Some(if spoil { before[0] } else { now }) }
            }
            Object::CasRegister if number % 16 > 1 => {
                let from = now;
                now = fresh;
                Step::Cas { key, from, to: fresh, took: Some(true) }
            }
            Object::Register | Object::CasRegister => {
                now = fresh;
                Step::Write { key, value: fresh }
            }
            Object::Kv if is_read => {
                let read = if spoil { text.chars().rev().collect() } else { text.clone() };
                Step::Read { key, value: Some(recorder.value(&Datum::text(&read))) }
            }
            Object::Kv => {
                let piece = format!("{number};");
                let value = recorder.value(&Datum::text(&piece));
                pieces += 1;
                if pieces % 16 == 0 {
                    text = piece;
                    Step::Write { key, value }
                } else {
                    text.push_str(&piece);
                    Step::Append { key, value }
                }
            }
            Object::Queue | Object::Stack if is_read => {
                let taken = if object == Object::Queue { line.pop_front() } else { line.pop_back() };
                let other = if spoil { line.pop_front().inspect(|_| line.extend(taken)) } else { taken };
                Step::Take { key, value: Some(other.unwrap_or(Value::NIL)) }
            }
            Object::Queue | Object::Stack => {
                line.push_back(fresh);
                Step::Insert { key, value: fresh }
            }
            Object::Set if number % (size / 50) == 0 => {
                let shown = if spoil { &all[1..] } else { &all[..] };
                Step::ReadList { key, list: Some(recorder.list(shown)) }
            }
            Object::Set => {
                all.push(fresh);
                Step::Insert { key, value: fresh }
            }
            Object::Counter if is_read => Step::Count { key, number: Some(count - if spoil { 40 } else { 0 }) },
            Object::Counter => {
                count += 1;
                Step::Add { key, by: 1 }
            }
            _ => {
                held = !held || spoil;
                if held { Step::Acquire { key, token: None } } else { Step::Release { key, token: None } }
            }
        };
        if number % 64 == 0 {
            before.push_back(now);
            if before.len() > 4 {
                before.pop_front();
            }
        }
        let session = if object == Object::Mutex { 0 } else { number % SESSIONS };
        let (begin, end) = (point - random(60), point + random(60));
        let ticket = recorder.begin(sessions[session as usize], begin, 0, &[step]);
        recorder.end(ticket, end, &[step]);
    }
    let history = recorder.finish();
    assert!(history.operation(Id(0)).end > 0);
    history
}
