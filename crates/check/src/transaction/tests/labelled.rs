//! Histories that other projects published with their verdicts. They are not part of this project: `QUORATE_HISTORIES` names
//! the folder, and without it there is nothing to see here.

use crate::{
    Anomaly, Budget, Datum, History, Meter, Model, Object, Recorder, Step, Ticket, Value, Verdict, Witness, check,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> Option<PathBuf> {
    std::env::var_os("QUORATE_HISTORIES").map(|folder| Path::new(&folder).join(name))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
    found.sort();
}

fn ask(history: &History, model: Model) -> Option<Witness> {
    match check(history, model, &mut Meter::new(Budget::DEFAULT)).unwrap() {
        Verdict::Valid => None,
        Verdict::Invalid(witness) => {
            let few = history.restrict(&witness.operations);
            let again = check(&few, model, &mut Meter::new(Budget::DEFAULT)).unwrap();
            assert!(matches!(again, Verdict::Invalid(_)), "the witness is valid: {witness:?}");
            Some(witness)
        }
        Verdict::Unknown(spent) => panic!("{spent:?}"),
    }
}

/// Lines `w key value` and `r key value`; `-----` between transactions, `=====` between sessions.
fn parse_plain(text: &str) -> History {
    let mut recorder = Recorder::new(Object::RwRegister);
    recorder.without_real_time();
    let mut moment = 0;
    for (session, text) in text.split("=====").enumerate() {
        let session = recorder.session(&Datum::Integer(session as i64));
        for text in text.split("-----") {
            let steps: Vec<Step> = text
                .lines()
                .filter_map(|line| {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    let [kind, key, value] = words[..] else { return None };
                    let key = recorder.key(&Datum::Integer(key.parse().unwrap()));
                    let value = recorder.value(&Datum::Integer(value.parse().unwrap()));
                    Some(if kind == "w" { Step::Write { key, value } } else { Step::Read { key, value: Some(value) } })
                })
                .collect();
            moment += 2;
            let ticket = recorder.begin(session, moment, 0, &steps);
            recorder.end(ticket, moment + 1, &steps);
        }
    }
    recorder.finish()
}

#[test]
fn labelled_weak_histories_get_their_verdicts() {
    let Some(folder) = folder("awdit") else { return };
    let mut found = Vec::new();
    files(&folder, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for path in found {
        let history = parse_plain(&std::fs::read_to_string(&path).unwrap());
        let label = path.strip_prefix(&folder).unwrap().iter().next().unwrap().to_str().unwrap();
        let strength =
            ["none", "read-committed", "read-atomic", "causal"].iter().position(|word| *word == label).unwrap();
        for (at, model) in [Model::ReadCommitted, Model::ReadAtomic, Model::CausalTransactions].into_iter().enumerate()
        {
            assert_eq!(ask(&history, model).is_none(), at < strength, "{path:?} {model:?}");
        }
        for model in [Model::SnapshotIsolation, Model::Serializable] {
            assert!(strength == 3 || ask(&history, model).is_some(), "{path:?} {model:?}");
        }
    }
}

/// The words of a line of EDN, brackets apart.
fn words(line: &str) -> Vec<String> {
    let line = line.split(';').next().unwrap_or("").replace(',', " ");
    let line = ["[", "]", "{", "}"].iter().fold(line, |line, bracket| line.replace(bracket, &format!(" {bracket} ")));
    line.split_whitespace().map(str::to_string).collect()
}

fn parse_lists(text: &str) -> History {
    let mut recorder = Recorder::new(Object::ListAppend);
    let mut open: BTreeMap<String, Ticket> = BTreeMap::new();
    let mut moment = 0;
    for line in text.lines() {
        let entry = words(line);
        if entry.is_empty() {
            continue;
        }
        let after = |name: &str| entry.iter().position(|word| word == name).map(|at| entry[at + 1].clone());
        let kind = after(":type").unwrap();
        let process = after(":process").unwrap_or_default();
        let value = entry.iter().position(|word| word == ":value").unwrap();
        let steps = parse_steps(&mut recorder, &entry[value + 2..]);
        moment += 1;
        match kind.as_str() {
            ":invoke" => {
                let session = recorder.session(&Datum::text(&process));
                open.insert(process, recorder.begin(session, moment, 0, &steps));
            }
            ":ok" => recorder.end(open.remove(&process).unwrap(), moment, &steps),
            ":fail" => recorder.refuse(open.remove(&process).unwrap(), moment),
            _ => {}
        }
    }
    recorder.finish()
}

fn parse_steps(recorder: &mut Recorder, words: &[String]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = 0;
    while words[at] == "[" {
        let key = recorder.key(&Datum::Integer(words[at + 2].parse().unwrap()));
        if words[at + 1] == ":append" {
            let value = recorder.value(&Datum::Integer(words[at + 3].parse().unwrap()));
            steps.push(Step::Append { key, value });
            at += 5;
        } else if words[at + 3] == "[" {
            let end = (at..words.len()).find(|&at| words[at] == "]").unwrap();
            let values: Vec<Value> =
                words[at + 4..end].iter().map(|word| recorder.value(&Datum::Integer(word.parse().unwrap()))).collect();
            steps.push(Step::ReadList { key, list: Some(recorder.list(&values)) });
            at = end + 2;
        } else {
            let list = Some(recorder.list(&[]));
            steps.push(Step::ReadList { key, list });
            at += 5;
        }
    }
    steps
}

#[test]
fn labelled_lists_get_their_verdicts() {
    let Some(folder) = folder("elle") else { return };
    let read = |name: &str| parse_lists(&std::fs::read_to_string(folder.join(name)).unwrap());
    let anomaly = |history: &History, model| ask(history, model).map(|witness| witness.anomaly);
    let paper = read("paper-example.edn");
    assert_eq!(anomaly(&paper, Model::StrictSerializable), Some(Anomaly::StaleRead));
    assert_eq!(anomaly(&paper, Model::Serializable), Some(Anomaly::GSingle));
    assert_eq!(anomaly(&paper, Model::ReadAtomic), None);
    let without = read("si-without-g-single.edn");
    assert_eq!(anomaly(&without, Model::RepeatableRead), Some(Anomaly::G2Item));
    let huge = read("huge-scc.edn");
    for model in crate::second::transaction::MODELS {
        let start = std::time::Instant::now();
        let verdict = check(&huge, model, &mut Meter::new(Budget::DEFAULT)).unwrap();
        println!("10,000 transactions in one circle, {}: {:?}", model.word(), start.elapsed());
        if let Verdict::Invalid(witness) = verdict {
            println!("{:?}, {} operations, {:?}", witness.anomaly, witness.operations.len(), witness.edges);
        }
    }
    assert!(huge.len() > 10_000);
    assert!(ask(&huge, Model::StrictSerializable).is_some());
}
