//! Histories that other projects recorded, with known verdicts. They are not part of this repository: the test wants their
//! folder in `QUORATE_HISTORIES`. Prints how long each kind takes.
#![allow(clippy::unwrap_used)]

use quorate_check::{Budget, Datum, History, Meter, Model, Object, Recorder, Step, Ticket, Verdict, check};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

type Open = HashMap<String, (Ticket, Vec<Step>)>;

fn integer(text: &str) -> Datum {
    text.parse().map_or(Datum::Nil, Datum::Integer)
}

fn etcd(text: &str) -> History {
    let mut recorder = Recorder::new(Object::CasRegister);
    let key = recorder.key(&Datum::Nil);
    let mut open: Open = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let Some(rest) = line.strip_prefix("INFO  jepsen.util - ") else { continue };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (process, kind, verb) = (words[0].to_string(), words[1], words[2]);
        let value: Vec<&str> = words[3..].iter().map(|word| word.trim_matches(['[', ']'])).collect();
        let now = number as u64;
        let session = recorder.session(&Datum::text(&process));
        if kind == ":invoke" {
            let datum = integer(value[0]);
            let step = match verb {
                ":read" => Step::Read { key, value: None },
                ":write" => Step::Write { key, value: recorder.value(&datum) },
                _ => {
                    let to = recorder.value(&integer(value[1]));
                    Step::Cas { key, from: recorder.value(&datum), to, took: None }
                }
            };
            let ticket = recorder.begin(session, now, 0, &[step]);
            open.insert(process, (ticket, vec![step]));
            continue;
        }
        let (ticket, steps) = open.remove(&process).unwrap();
        match (kind, steps[0]) {
            (":ok", Step::Read { .. }) => {
                let value = recorder.value(&integer(value[0]));
                recorder.end(ticket, now, &[Step::Read { key, value: Some(value) }]);
            }
            (":ok", Step::Cas { from, to, .. }) => {
                recorder.end(ticket, now, &[Step::Cas { key, from, to, took: Some(true) }]);
            }
            (":fail", Step::Cas { from, to, .. }) => {
                recorder.end(ticket, now, &[Step::Cas { key, from, to, took: Some(false) }]);
            }
            (":ok", step) => recorder.end(ticket, now, &[step]),
            (":fail", _) => recorder.refuse(ticket, now),
            _ => {}
        }
    }
    recorder.finish()
}

fn field<'t>(line: &'t str, name: &str) -> &'t str {
    let rest = &line[line.find(name).unwrap() + name.len()..];
    let rest = rest.trim_start();
    if let Some(rest) = rest.strip_prefix('"') {
        return &rest[..rest.find('"').unwrap()];
    }
    if rest.starts_with('[') {
        return &rest[..=rest.find(']').unwrap()];
    }
    rest[..rest.find([',', '}']).unwrap()].trim()
}

fn texts(text: &str) -> History {
    let mut recorder = Recorder::new(Object::Kv);
    let mut open: Open = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let process = field(line, ":process").to_string();
        let key = recorder.key(&Datum::text(field(line, ":key")));
        let verb = field(line, ":f");
        let value = recorder.value(&Datum::text(field(line, ":value")));
        let session = recorder.session(&Datum::text(&process));
        let step = match verb {
            ":get" => Step::Read { key, value: None },
            ":put" => Step::Write { key, value },
            _ => Step::Append { key, value },
        };
        if field(line, ":type") == ":invoke" {
            let ticket = recorder.begin(session, number as u64, 0, &[step]);
            open.insert(process, (ticket, vec![step]));
        } else {
            let (ticket, _) = open.remove(&process).unwrap();
            let step = if verb == ":get" { Step::Read { key, value: Some(value) } } else { step };
            recorder.end(ticket, number as u64, &[step]);
        }
    }
    recorder.finish()
}

fn knossos(text: &str, object: Object, initial: Datum) -> History {
    let mut recorder = Recorder::new(object);
    let key = recorder.key(&Datum::Nil);
    let initial = recorder.value(&initial);
    recorder.initial_of_all(initial);
    let mut open: Open = HashMap::new();
    let body: String = text.lines().map(|line| line.split(';').next().unwrap()).collect::<Vec<_>>().join(" ");
    for (number, line) in body.split_inclusive('}').filter(|line| line.contains(":process")).enumerate() {
        let process = field(line, ":process").to_string();
        if process == ":nemesis" {
            continue;
        }
        let value = if line.contains(":value") { field(line, ":value") } else { "nil" };
        let parts: Vec<Datum> = value.trim_matches(['[', ']']).split_whitespace().map(integer).collect();
        let session = recorder.session(&Datum::text(&process));
        let kind = field(line, ":type");
        let now = number as u64;
        if kind == ":invoke" {
            let step = match field(line, ":f") {
                ":read" => Step::Read { key, value: None },
                ":write" => Step::Write { key, value: recorder.value(&parts[0]) },
                ":cas" => {
                    let from = recorder.value(&parts[0]);
                    Step::Cas { key, from, to: recorder.value(&parts[1]), took: None }
                }
                ":acquire" => Step::Acquire { key, token: None },
                _ => Step::Release { key, token: None },
            };
            let ticket = recorder.begin(session, now, 0, &[step]);
            open.insert(process, (ticket, vec![step]));
            continue;
        }
        let Some((ticket, steps)) = open.remove(&process) else { continue };
        match (kind, steps[0]) {
            (":ok", Step::Read { .. }) => {
                let value = (parts[0] != Datum::Nil).then(|| recorder.value(&parts[0]));
                recorder.end(ticket, now, &[Step::Read { key, value }]);
            }
            (":ok", Step::Cas { from, to, .. }) => {
                recorder.end(ticket, now, &[Step::Cas { key, from, to, took: Some(true) }]);
            }
            (":ok", step) => recorder.end(ticket, now, &[step]),
            (":fail", _) => recorder.refuse(ticket, now),
            _ => {}
        }
    }
    recorder.finish()
}

#[test]
#[ignore = "wants the folder of recorded histories in QUORATE_HISTORIES"]
fn recorded_histories_get_their_verdicts() {
    let folder = std::env::var("QUORATE_HISTORIES").expect("the folder of recorded histories");
    let folder = Path::new(&folder);
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let mut times: HashMap<String, (u32, Duration, Duration, String)> = HashMap::new();
    for line in manifest.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (path, expected) = (fields[0], fields[3]);
        if std::env::var("ONLY").is_ok_and(|only| !path.contains(&only)) {
            continue;
        }
        if !expected.starts_with("lin=") || path.contains("multi-register") {
            continue;
        }
        let text = std::fs::read_to_string(folder.join(path)).unwrap();
        let history = if path.ends_with(".log") {
            etcd(&text)
        } else if path.contains("/kv/") {
            texts(&text)
        } else if path.contains("mutex") {
            knossos(&text, Object::Mutex, Datum::Nil)
        } else {
            let nil = path.contains("rethink-fail-minimal");
            knossos(&text, Object::CasRegister, if nil { Datum::Nil } else { Datum::Integer(0) })
        };
        let (mut best, mut verdict) = (Duration::MAX, Verdict::Valid);
        for _ in 0..3 {
            let mut meter = Meter::new(Budget {
                steps: std::env::var("STEPS").map_or(1 << 30, |steps| steps.parse().unwrap()),
                ..Budget::DEFAULT
            });
            let begin = Instant::now();
            verdict = check(&history, Model::Linearizable, &mut meter).unwrap();
            best = best.min(begin.elapsed());
        }
        let is = match &verdict {
            Verdict::Valid => "lin=VALID",
            Verdict::Invalid(_) => "lin=INVALID",
            Verdict::Unknown(_) => "unknown",
        };
        assert_eq!(is, expected, "{path}");
        let kind = path.rsplit_once('/').unwrap().0.to_string();
        let entry = times.entry(kind).or_default();
        entry.0 += 1;
        entry.1 += best;
        if best > entry.2 {
            (entry.2, entry.3) = (best, path.to_string());
        }
        if let Verdict::Invalid(witness) = verdict {
            println!(
                "{path}: {:?} {} operations of {}, {best:?}",
                witness.anomaly,
                witness.operations.len(),
                history.len()
            );
        } else if best > Duration::from_millis(1) {
            println!("{path}: {best:?}");
        }
    }
    for (kind, (count, sum, worst, path)) in times {
        println!("{kind}: {count} files, sum {sum:?}, worst {worst:?} ({path})");
    }
}
