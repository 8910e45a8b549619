//! How long the models of sessions take on long histories; run with `--release -- --ignored --nocapture`.

use quorate_check::{Budget, Datum, History, Meter, Model, Object, Recorder, Step, Value, check};
use std::time::Instant;

/// One store, whose replies come a little late.
fn long(operations: u64, sessions: u64, keys: u64, stale: bool) -> History {
    let mut recorder = Recorder::new(Object::Register);
    recorder.without_real_time();
    let mut state = vec![Value::NIL; keys as usize];
    let mut older = state.clone();
    let mut dice = 7u64;
    let mut roll = |bound: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % bound
    };
    for moment in 0..operations {
        let session = recorder.session(&Datum::Integer(roll(sessions) as i64));
        let at = roll(keys) as usize;
        let key = recorder.key(&Datum::Integer(at as i64));
        let step = if roll(2) == 0 {
            let value = recorder.value(&Datum::Integer(moment as i64));
            older[at] = state[at];
            state[at] = value;
            Step::Write { key, value }
        } else {
            let old = stale && moment > operations / 2 && roll(100) == 0;
            Step::Read { key, value: Some(if old { older[at] } else { state[at] }) }
        };
        let ticket = recorder.begin(session, moment, 0, &[step]);
        recorder.end(ticket, moment, &[step]);
    }
    recorder.finish()
}

#[test]
#[ignore = "measures"]
fn long_histories() {
    for (operations, sessions, keys) in
        [(1_000, 20, 100), (75_000, 20, 100), (75_000, 50, 1_000), (1_000_000, 20, 1_000)]
    {
        for stale in [false, true] {
            let history = long(operations, sessions, keys, stale);
            for model in Model::of_sessions() {
                let begin = Instant::now();
                let mut meter = Meter::new(Budget::DEFAULT);
                let verdict = check(&history, model, &mut meter).expect("applies");
                let said = match verdict {
                    quorate_check::Verdict::Valid => "valid".into(),
                    quorate_check::Verdict::Invalid(witness) => {
                        format!(
                            "{} with {} operations, {} edges",
                            witness.anomaly.word(),
                            witness.operations.len(),
                            witness.edges.len()
                        )
                    }
                    quorate_check::Verdict::Unknown(spent) => format!("unknown: {spent}"),
                };
                println!(
                    "{operations} {sessions} {keys} {}: {:?} {said}, {:?}",
                    model.word(),
                    begin.elapsed(),
                    meter.progress()
                );
            }
        }
    }
}
