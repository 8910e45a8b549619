//! Real clients against real nodes, and simulated ones against simulated nodes, write down what they did; `quorate check` judges it.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use support::cluster::{Cluster, binary, text};

fn check(history: &Path, words: &[&str]) -> Output {
    binary().arg("check").arg(history).args(words).output().unwrap()
}

#[track_caller]
fn ends_with(output: &Output, code: i32) -> String {
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// The lines of a history: its header, then its operations and bands.
fn lines(history: &Path) -> Vec<Value> {
    std::fs::read_to_string(history).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The history with another answer of the operation at this line.
fn change(history: &Path, line: usize, operation: &Value, to: &Path) {
    let text = std::fs::read_to_string(history).unwrap();
    let changed =
        |(at, old): (usize, &str)| format!("{}\n", if at == line { operation.to_string() } else { old.into() });
    std::fs::write(to, text.lines().enumerate().map(changed).collect::<String>()).unwrap();
}

/// The last read of a key that ended; its place among the lines, and the key.
fn last_read(lines: &[Value]) -> (usize, Value) {
    let read = |line: &Value| line["steps"][0][0] == "read" && line["steps"][0][2].is_i64();
    let at = lines.iter().rposition(read).unwrap();
    (at, lines[at]["steps"][0][1].clone())
}

fn bench(cluster: &Cluster, op: &str, secs: &str, history: &Path) -> Output {
    let history = history.to_str().unwrap();
    cluster.quorate(&["bench", "--op", op, "--clients", "8", "--keys", "5", "--secs", secs, "--history", history])
}

#[test]
fn what_real_nodes_answered_is_linearizable_and_a_changed_answer_is_not() {
    let cluster = Cluster::start();
    let path = cluster.directory.path().join("load.json");
    ends_with(&bench(&cluster, "mixed", "2", &path), 0);
    let said = ends_with(&check(&path, &[]), 0);
    assert!(said.contains("linearizable") && said.contains("valid"), "{said}");
    let lines = lines(&path);
    assert!(lines.len() > 500, "only {} operations", lines.len());

    let (read, key) = last_read(&lines);
    // A write that was over before another began, which was over before the read: no order lets the read see the first.
    let time = |line: &Value, name: &str| line[name].as_u64();
    let of_key = |line: &&Value| line["steps"][0][0] == "write" && line["steps"][0][1] == key;
    let before = |one: &Value, other: &Value| time(one, "end").is_some_and(|end| Some(end) < time(other, "begin"));
    let writes: Vec<&Value> = lines.iter().filter(of_key).filter(|write| before(write, &lines[read])).collect();
    let first = writes.iter().find(|write| writes.iter().any(|later| before(write, later)));
    let changed = |value: Value| {
        let mut operation = lines[read].clone();
        operation["steps"][0][2] = value;
        let to = cluster.directory.path().join("changed.json");
        change(&path, read, &operation, &to);
        ends_with(&check(&to, &[]), 1)
    };
    let stale = changed(first.unwrap()["steps"][0][2].clone());
    assert!(stale.contains("stale read"), "{stale}");
    let nowhere = changed(json!(999_999_999));
    assert!(nowhere.contains("read from nowhere"), "{nowhere}");

    ends_with(&bench(&cluster, "incr", "1", &path), 0);
    ends_with(&check(&path, &[]), 0);
}

#[test]
fn what_clients_heard_while_the_leader_fell_is_linearizable() {
    let cluster = Cluster::start();
    let path = cluster.directory.path().join("load.json");
    std::thread::scope(|scope| {
        let load = scope.spawn(|| bench(&cluster, "mixed", "6", &path));
        cluster.make_leader(1);
        cluster.fault("crash 1");
        assert_ne!(cluster.leader(), 1);
        cluster.fault("restart 1");
        let said = ends_with(&load.join().unwrap(), 0);
        assert!(said.contains("failed: "), "the fault struck nobody: {said}");
    });
    ends_with(&check(&path, &[]), 0);
}

#[test]
fn bench_refuses_a_history_of_values_that_cannot_differ() {
    let bench = binary().args(["bench", "--size", "3", "--history", "never.json"]).output().unwrap();
    let said = ends_with(&bench, 2);
    assert!(said.contains("--size 12"), "{said}");
}

#[test]
fn the_lab_leaves_a_history_that_shows_what_went_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| -> PathBuf { directory.path().join(name) };
    let lab = |words: &[&str], history: &Path| {
        ends_with(&binary().arg("lab").args(words).arg("--history").arg(history).output().unwrap(), 0)
    };

    let history = file("stale.json");
    lab(&["run", "consensus/stale-leader"], &history);
    let page = file("stale.html");
    let said = ends_with(&check(&history, &["--all", "--witness", page.to_str().unwrap()]), 1);
    assert!(said.contains("stale read"), "{said}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("partition 1/2,3"), "the fault is drawn: {page}");

    // A swarm and a plan that hold.
    let history = file("swarm.json");
    lab(&["run", "vopr", "--seed", "3"], &history);
    ends_with(&check(&history, &[]), 0);
    let plan = file("plan.txt");
    std::fs::write(&plan, quorate_lab::vopr::Plan::draw(3).to_string()).unwrap();
    let again = file("again.json");
    lab(&["replay", plan.to_str().unwrap()], &again);
    assert_eq!(std::fs::read(&history).unwrap(), std::fs::read(&again).unwrap(), "one seed, one history");
}
