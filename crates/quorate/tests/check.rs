//! `quorate check`, as a person or a script uses it.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const STALE: &str = "\
{:process 0, :type :invoke, :f :write, :value 1}
{:process 0, :type :ok, :f :write, :value 1}
{:process 0, :type :invoke, :f :write, :value 2}
{:process 0, :type :ok, :f :write, :value 2}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value 1}
";

fn check(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate")).arg("check").args(words).stdin(Stdio::null()).output().unwrap()
}

fn file(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_broken_history_is_told_drawn_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let history = file(folder.path(), "stale.edn", STALE);
    let history = history.to_str().unwrap();
    let told = check(&[history]);
    assert_eq!(told.status.code(), Some(1), "{}", error(&told));
    for part in ["linearizable", "invalid", "stale read", "session 1: read → 1", "line 5"] {
        assert!(out(&told).contains(part), "{part:?} is not in {}", out(&told));
    }
    for (end, mark) in [("svg", "<svg"), ("html", "<!doctype html>"), ("txt", "stale read")] {
        let picture = folder.path().join(format!("why.{end}"));
        let drawn = check(&[history, "--witness", picture.to_str().unwrap()]);
        assert_eq!(drawn.status.code(), Some(1));
        let text = std::fs::read_to_string(&picture).unwrap();
        assert!(text.contains(mark) && text.contains("write 2"), "{text}");
    }
    let json: Value = serde_json::from_str(&out(&check(&[history, "--json"]))).unwrap();
    assert_eq!(json["verdicts"][0]["verdict"], "invalid");
    assert_eq!(json["verdicts"][0]["anomaly"], "stale read");
    assert_eq!(json["verdicts"][0]["witness"].as_array().unwrap().len(), 3, "{json}");
}

#[test]
fn weaker_models_keep_what_stronger_ones_lose() {
    let folder = tempfile::tempdir().unwrap();
    let history = file(folder.path(), "stale.edn", STALE);
    let history = history.to_str().unwrap();
    assert_eq!(check(&[history, "--model", "sequential"]).status.code(), Some(0));
    assert_eq!(check(&[history, "--model", "sequential", "--model", "linearizable"]).status.code(), Some(1));
    let all = check(&[history, "--all"]);
    assert_eq!(all.status.code(), Some(1), "{}", error(&all));
    let lines = out(&all);
    let verdict = |model: &str| lines.lines().find(|line| line.starts_with(model)).unwrap().to_owned();
    assert!(verdict("linearizable").contains("invalid") && verdict("sequential").contains(" valid"), "{lines}");
}

#[test]
fn a_history_comes_from_standard_input_too() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    let mut child = command.args(["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(STALE.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_small_budget_is_an_honest_unknown() {
    let folder = tempfile::tempdir().unwrap();
    // Many writes of the same two values at once, and reads between: only the search can tell.
    let mut text = String::new();
    for process in 0..40 {
        text.push_str(&format!(
            "{{:process {process}, :type :invoke, :f :cas, :value [{} {}]}}\n",
            process % 7,
            process % 5
        ));
    }
    for process in 0..39 {
        text.push_str(&format!(
            "{{:process {process}, :type :ok, :f :cas, :value [{} {}]}}\n",
            process % 7,
            process % 5
        ));
    }
    let history = file(folder.path(), "hard.edn", text);
    let judged = check(&[history.to_str().unwrap(), "--budget", "10m,0MiB"]);
    assert_eq!(judged.status.code(), Some(2), "{}{}", out(&judged), error(&judged));
    assert!(out(&judged).contains("unknown") && out(&judged).contains("memory"), "{}", out(&judged));
}

#[test]
fn wrong_input_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |name: &str, text: &[u8], parts: &[&str]| {
        let history = file(folder.path(), name, text);
        let judged = check(&[history.to_str().unwrap()]);
        assert_eq!(judged.status.code(), Some(3), "{name}: {}{}", out(&judged), error(&judged));
        parts.iter().for_each(|part| assert!(error(&judged).contains(part), "{part:?} is not in {}", error(&judged)));
    };
    wrong("empty.edn", b"", &["empty"]);
    wrong("cut.edn", &STALE.as_bytes()[..STALE.len() - 12], &["line 6"]);
    wrong("bytes.edn", b"{:process 0, :type :invoke, :f :write, :value \"\xff\xfe\"}", &["line 1"]);
    wrong("answer.edn", b"{:process 0, :type :ok, :f :write, :value 1}", &["line 1"]);
    assert_eq!(check(&["no-such-file"]).status.code(), Some(3));
    let folder_itself = check(&[folder.path().to_str().unwrap()]);
    assert_eq!(folder_itself.status.code(), Some(3), "{}", error(&folder_itself));
    let history = file(folder.path(), "stale.edn", STALE);
    for words in [
        &["--model", "strong"][..],
        &["--object", "tree"],
        &["--budget", "7 days"],
        &["--witness", "a.png"],
        &["--what"],
    ] {
        let judged = check(&[&[history.to_str().unwrap()], words].concat());
        assert_eq!(judged.status.code(), Some(3), "{words:?}: {}", error(&judged));
    }
    let mislabelled = check(&[history.to_str().unwrap(), "--format", "plume"]);
    assert_eq!(mislabelled.status.code(), Some(3));
    assert!(error(&mislabelled).contains("line 1"), "{}", error(&mislabelled));
    let inapplicable = check(&[history.to_str().unwrap(), "--model", "bank-total"]);
    assert_eq!(inapplicable.status.code(), Some(3));
}

/// Rows with their times: a write of 1, one of 2 that ends after 3 ms, and a read of 1 that begins after 20 ms.
const LATE: &str = "\
{:process 0, :type :invoke, :f :write, :value 1, :time 0}
{:process 0, :type :ok, :f :write, :value 1, :time 1000000}
{:process 0, :type :invoke, :f :write, :value 2, :time 2000000}
{:process 0, :type :ok, :f :write, :value 2, :time 3000000}
{:process 1, :type :invoke, :f :read, :value nil, :time 20000000}
{:process 1, :type :ok, :f :read, :value 1, :time 20000001}
";

#[test]
fn a_bound_of_staleness_is_in_rows_or_in_time_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let late = file(folder.path(), "late.edn", LATE);
    let judge = |bound: &str| {
        let judged = check(&[late.to_str().unwrap(), "--model", &format!("bounded-staleness{bound}")]);
        (judged.status.code(), out(&judged))
    };
    for (bound, code, said) in [
        (":10ms", 1, "breaks bounded-staleness of 10 ms"),
        ("=10ms", 1, "(20000000 to 20000001 ns)"),
        (":16999us", 1, "bounded-staleness of 16999 us  invalid"),
        (":17ms", 0, "bounded-staleness of 17 ms  valid"),
        (":1s", 0, "bounded-staleness of 1 s  valid"),
        (":0", 1, "breaks bounded-staleness of 0 moments"),
        (":1", 0, "bounded-staleness of 1 moment  valid"),
    ] {
        let (judged, text) = judge(bound);
        assert_eq!(judged, Some(code), "{bound}: {text}");
        let plain: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(&said), "{bound}: {said:?} is not in {text}");
    }
    let json = check(&[late.to_str().unwrap(), "--model", "bounded-staleness:10ms", "--json"]);
    let json: Value = serde_json::from_str(&out(&json)).unwrap();
    let verdict = &json["verdicts"][0];
    assert_eq!((&verdict["model"], &verdict["bound"]), (&"bounded-staleness".into(), &"10 ms".into()));
    assert_eq!(verdict["witness"][2]["begin_ns"], 20_000_000);
    // A history without times has no bound in time; it still has moments.
    let rows = file(folder.path(), "rows.edn", STALE);
    let untimed = check(&[rows.to_str().unwrap(), "--model", "bounded-staleness:10ms"]);
    assert_eq!(untimed.status.code(), Some(3), "{}", error(&untimed));
    assert_eq!(error(&untimed).trim_end().lines().count(), 1, "{}", error(&untimed));
    assert!(error(&untimed).contains("line 1") && error(&untimed).contains("10 ms"), "{}", error(&untimed));
    assert_eq!(check(&[rows.to_str().unwrap(), "--model", "bounded-staleness:1"]).status.code(), Some(0));
    assert_eq!(check(&[rows.to_str().unwrap(), "--model", "bounded-staleness:1h"]).status.code(), Some(3));
}

#[test]
fn the_map_of_models_shows_every_step() {
    let map = check(&["--lattice"]);
    assert_eq!(map.status.code(), Some(0));
    for word in ["linearizable", "sequential", "causal-memory", "serializable", "read-uncommitted"] {
        assert!(out(&map).contains(word), "{word} is not on the map");
    }
}

/// Models that say nothing about an operation are not asked about the history, and it is told which and why.
#[test]
fn models_that_say_nothing_are_told_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"quorate-history\":1,\"object\":\"register\"}
{\"session\":1,\"begin\":1,\"end\":2,\"steps\":[[\"read\",\"x\",null],[\"write\",\"x\",1]]}
{\"session\":2,\"begin\":3,\"end\":4,\"steps\":[[\"read\",\"x\",null]]}
{\"session\":2,\"begin\":5,\"end\":6,\"steps\":[[\"read\",\"x\",1]]}
";
    let history = file(folder.path(), "swap.json", text);
    let history = history.to_str().unwrap();
    assert_eq!(check(&[history, "--model", "sequential"]).status.code(), Some(0));
    let pram = check(&[history, "--model", "pram"]);
    assert_eq!(pram.status.code(), Some(3));
    for part in ["pram says nothing about operations of several steps", "line 2", "ask for sequential"] {
        assert!(error(&pram).contains(part), "{}", error(&pram));
    }
    let all = check(&[history, "--all"]);
    assert_eq!(all.status.code(), Some(1), "it is not linearizable: {}", error(&all));
    assert!(!out(&all).contains("unknown"), "{}", out(&all));
    assert!(
        out(&all).contains("Not asked") && out(&all).contains("pram") && out(&all).contains("line 2"),
        "{}",
        out(&all)
    );
    let json: Value = serde_json::from_str(&out(&check(&[history, "--all", "--json"]))).unwrap();
    assert_eq!(json["silent"]["models"].as_array().unwrap().len(), 9, "{json}");
    assert_eq!(json["silent"]["first"]["line"], 2);
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["check", "--lattice"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), error(&output)), (Some(141), String::new()));
}
