//! Histories that are made at random: transactions, names and digests. Those of other objects are simulated in `brute_linear`.
#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use super::brute_linear::Random;
use quorate_check::{History, Object, Recorder, Step, Value};

/// Transactions whose reads show what was there, or anything.
pub fn transactions(object: Object, random: &mut Random) -> History {
    let mut recorder = Recorder::new(object);
    if random.percent(30) {
        recorder.without_real_time();
    }
    let wrong = [5, 40][random.below(2) as usize];
    let mut states: Vec<Vec<Value>> = vec![Vec::new(); 2];
    for at in 0..2 + random.below(4) {
        let session = recorder.session(&(random.below(3) as i64).into());
        let mut steps = Vec::new();
        let fate = random.below(100);
        for part in 0..1 + random.below(3) {
            let place = random.below(2) as usize;
            let key = recorder.key(&(place as i64).into());
            let fresh = recorder.value(&((at * 8 + part + 1) as i64).into());
            let cut = if random.percent(wrong) { random.below(states[place].len() as u64 + 1) } else { 0 };
            let seen = states[place][..states[place].len() - cut as usize].to_vec();
            let lists = object == Object::ListAppend;
            steps.push(match (random.percent(50), lists) {
                (true, true) => Step::ReadList { key, list: Some(recorder.list(&seen)) },
                (true, false) => Step::Read { key, value: Some(seen.last().copied().unwrap_or(Value::NIL)) },
                (false, true) => Step::Append { key, value: fresh },
                (false, false) => Step::Write { key, value: fresh },
            });
            if matches!(steps.last(), Some(Step::Append { .. } | Step::Write { .. })) && !(90..96).contains(&fate) {
                states[place].push(fresh);
            }
        }
        let ticket = recorder.begin(session, at * 3, 0, &steps);
        match fate {
            0..90 => recorder.end(ticket, at * 3 + random.below(7), &steps),
            90..95 => recorder.refuse(ticket, at * 3 + 1),
            _ => {}
        }
    }
    recorder.finish()
}

/// Names given out, or digests of replicas; few enough that some are the same.
pub fn names_or_digests(object: Object, random: &mut Random) -> History {
    let mut recorder = Recorder::new(object);
    for at in 0..2 + random.below(5) {
        let session = recorder.session(&(random.below(3) as i64).into());
        let [first, second] = [8, 3].map(|bound| recorder.value(&(random.below(bound) as i64).into()));
        let key = recorder.key(&(random.below(2) as i64).into());
        let step = match object {
            Object::UniqueId => Step::Generate { value: Some(first) },
            _ => Step::Digest { key, updates: first, state: second },
        };
        let ticket = recorder.begin(session, at * 2, 0, &[step]);
        if random.percent(90) {
            recorder.end(ticket, at * 2 + 1, &[step]);
        }
    }
    recorder.finish()
}
