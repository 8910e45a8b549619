//! Histories that others recorded and published. They are not part of this repository: the variable `QUORATE_HISTORIES`
//! names their folder, in which `MANIFEST.tsv` says what verdict each must get.
#![allow(clippy::unwrap_used)]

use quorate_check::format::{self, Format, Options};
use quorate_check::{Budget, History, Meter, Model, Object, Verdict, check};
use std::path::{Path, PathBuf};

struct Recorded {
    path: String,
    bytes: Vec<u8>,
    expected: String,
}

/// All that the manifest names, or nothing if the variable is not set.
fn recorded() -> Vec<Recorded> {
    let Some(folder) = std::env::var_os("QUORATE_HISTORIES").map(PathBuf::from) else {
        println!("skipped: QUORATE_HISTORIES does not name a folder of recorded histories");
        return Vec::new();
    };
    let manifest = folder.join("MANIFEST.tsv");
    let manifest = std::fs::read_to_string(&manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let mut lines = manifest.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let (path, size, expected) = (column("path"), column("bytes"), column("expected"));
    let all: Vec<Recorded> = lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let bytes = std::fs::read(folder.join(Path::new(fields[path]))).unwrap();
            assert_eq!(bytes.len().to_string(), fields[size], "{} is not the file of the manifest", fields[path]);
            Recorded { path: fields[path].to_string(), bytes, expected: fields[expected].to_string() }
        })
        .collect();
    assert!(all.len() > 100, "the manifest names only {} files", all.len());
    all
}

fn read(recorded: &Recorded, options: &Options) -> History {
    format::read(&recorded.bytes[..], options).unwrap_or_else(|problem| panic!("{}: {problem}", recorded.path))
}

/// What the folder says about format and object.
fn nature(path: &str) -> (Format, &'static [Object]) {
    let natures: [(&str, Format, &[Object]); 7] = [
        ("awdit/", Format::Awdit, &[Object::RwRegister]),
        ("elle/", Format::JepsenEdn, &[Object::ListAppend]),
        ("knossos/cas-register/", Format::JepsenEdn, &[Object::Register, Object::CasRegister]),
        ("knossos/multi-register/", Format::JepsenEdn, &[Object::RwRegister]),
        ("knossos/mutex/", Format::JepsenEdn, &[Object::Mutex]),
        ("porcupine/jepsen/", Format::JepsenLog, &[Object::CasRegister]),
        ("porcupine/kv/", Format::PorcupineKv, &[Object::Kv]),
    ];
    let found = natures.into_iter().find(|(folder, ..)| path.starts_with(folder));
    let (_, format, objects) = found.unwrap_or_else(|| panic!("{path} is in an unknown folder"));
    (format, objects)
}

#[test]
fn every_file_is_read_as_what_it_is() {
    for recorded in recorded() {
        let (format, objects) = nature(&recorded.path);
        assert_eq!(format::detect(&recorded.bytes), Ok(format), "{}", recorded.path);
        let history = read(&recorded, &Options::default());
        assert!(objects.contains(&history.object()), "{}: {}", recorded.path, history.object().word());
        let text = String::from_utf8(recorded.bytes.clone()).unwrap();
        let has_cas = text.contains(":cas");
        assert_eq!(has_cas, history.object() == Object::CasRegister, "{}", recorded.path);
        // One file holds nothing but rows of the nemesis.
        let has_operations = format == Format::Awdit || text.contains(":invoke");
        assert_eq!(has_operations, !history.is_empty(), "{}", recorded.path);
        if format != Format::Awdit {
            let invocations = text.matches(":invoke").count();
            assert_eq!(invocations, history.len(), "{}", recorded.path);
        }
    }
}

#[test]
fn every_file_comes_back_from_our_own_format() {
    for recorded in recorded() {
        let history = read(&recorded, &Options::default());
        let mut written = Vec::new();
        format::write(&history, &mut written).unwrap();
        let again = format::read(&written[..], &Options::default()).unwrap();
        let words = |history: &History| -> Vec<String> { history.ids().map(|id| history.describe(id)).collect() };
        assert_eq!(words(&history), words(&again), "{}", recorded.path);
    }
}

/// What is expected of a file, as models that must be valid or invalid.
fn expectations(recorded: &Recorded) -> Vec<(Model, bool)> {
    let model = |word: &str| match word {
        "lin" if recorded.path.starts_with("knossos/multi-register/") => Some(Model::StrictSerializable),
        "lin" => Some(Model::Linearizable),
        "strict-serializable" => Some(Model::StrictSerializable),
        "CC" => Some(Model::CausalTransactions),
        "RA" => Some(Model::ReadAtomic),
        "RC" => Some(Model::ReadCommitted),
        _ => None,
    };
    let pair = |word: &str| {
        let (name, verdict) = word.split_once('=')?;
        Some((model(name)?, matches!(verdict, "VALID" | "yes")))
    };
    match recorded.expected.as_str() {
        // Its huge component hangs together by time alone: dependencies and sessions close no circle.
        "INVALID (one huge SCC; perf case)" => {
            vec![
                (Model::StrictSerializable, false),
                (Model::StrongSessionSerializable, true),
                (Model::Serializable, true),
            ]
        }
        "list-append: G2-item present, not repeatable-read" => vec![(Model::RepeatableRead, false)],
        words => {
            let pairs = words.split(' ').map(|word| pair(word).unwrap_or_else(|| panic!("{word} is not understood")));
            pairs.collect()
        }
    }
}

/// The initial values that the README of the files tells.
fn told(path: &str) -> Option<&'static str> {
    if path.ends_with("rethink-fail-minimal.edn") {
        return Some("nil");
    }
    let told = [("knossos/cas-register/", "0"), ("knossos/multi-register/", "{:x 0, :y 0}")];
    told.iter().find(|(folder, _)| path.starts_with(folder)).map(|(_, initial)| *initial)
}

#[test]
fn every_file_gets_its_verdict() {
    for recorded in recorded() {
        let initial = told(&recorded.path).map(|text| format::value(text).unwrap());
        // The verdict is the same whether the caller knows what was there at first, or leaves it to the reader.
        for initial in [None, initial] {
            let history = read(&recorded, &Options { initial, ..Options::default() });
            for (model, valid) in expectations(&recorded) {
                let verdict = check(&history, model, &mut Meter::new(Budget::DEFAULT)).unwrap();
                let as_expected = match &verdict {
                    Verdict::Valid => valid,
                    Verdict::Invalid(witness) => {
                        let small = history.restrict(&witness.operations);
                        let again = check(&small, model, &mut Meter::new(Budget::DEFAULT)).unwrap();
                        assert!(matches!(again, Verdict::Invalid(_)), "{}: the witness is not invalid", recorded.path);
                        !valid
                    }
                    Verdict::Unknown(_) => false,
                };
                assert!(as_expected, "{}: {} is {verdict:?}", recorded.path, model.word());
            }
        }
    }
}
