//! Plays all golden scripts. With `BLESS=1` their output is written instead of compared.
#![allow(clippy::unwrap_used)]

use quorate_lab::script;
use std::path::{Path, PathBuf};

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The first line that differs, with its number.
fn difference(expected: &str, got: &str) -> String {
    let lines = expected.lines().zip(got.lines()).enumerate();
    match lines.into_iter().find(|(_, (expected, got))| expected != got) {
        Some((number, (expected, got))) => format!("line {}:\n  expected: {expected}\n  got:      {got}", number + 1),
        None => "one is longer than the other".to_string(),
    }
}

#[test]
fn every_script_gives_its_golden_output() {
    let bless = std::env::var_os("BLESS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let all = scripts(&folder);
    assert!(all.len() >= 10, "only {} scripts were found", all.len());
    let mut failed = Vec::new();
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        let played = script::play(&text, None, false);
        assert_eq!(played.digest, script::play(&text, None, false).digest, "{} is not deterministic", path.display());
        if bless {
            std::fs::write(&path, &played.text).unwrap();
        } else if played.text != text {
            failed.push(format!("{}: {}", path.display(), difference(&text, &played.text)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
