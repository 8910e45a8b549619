//! The verbs against a real cluster, as a person or a script uses them.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use support::cluster::{Cluster, binary, free_ports, signal, text};
use support::wait;

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

#[track_caller]
fn fails(output: &Output, code: i32, parts: &[&str]) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
}

#[test]
fn data_goes_in_and_comes_out() {
    let cluster = Cluster::start();
    let quorate = |words: &[&str]| cluster.quorate(words);
    assert_eq!(succeeds(&quorate(&["put", "cart:7", "milk"])), "OK");
    assert_eq!(succeeds(&quorate(&["get", "cart:7"])), "milk");
    assert_eq!(quorate(&["get", "gone"]).status.code(), Some(1));
    assert_eq!(quorate(&["put", "cart:7", "eggs", "--if-absent"]).status.code(), Some(1));
    assert_eq!(succeeds(&quorate(&["incr", "n", "5"])), "5");
    assert_eq!(succeeds(&quorate(&["incr", "n", "-2", "--idempotency-key", "i"])), "3");
    assert_eq!(succeeds(&quorate(&["incr", "n", "-2", "--idempotency-key", "i"])), "3");
    assert_eq!(succeeds(&quorate(&["cas", "n", "3", "10"])), "1");
    assert_eq!(quorate(&["cas", "n", "3", "11"]).status.code(), Some(1));
    assert_eq!(succeeds(&quorate(&["scan", "cart:*", "--values"])), "cart:7\tmilk");
    assert_eq!(succeeds(&quorate(&["del", "cart:7", "n"])), "2");
    assert_eq!(succeeds(&quorate(&["put", "other", "1", "--table", "3"])), "OK");
    assert_eq!(quorate(&["get", "other"]).status.code(), Some(1));
    assert_eq!(succeeds(&quorate(&["get", "other", "--table", "3"])), "1");
    fails(&quorate(&["incr", "other", "--level", "session", "--table", "3", "--ack", "leader"]), 1, &["applied: no"]);
}

#[test]
fn tables_are_made_and_used_by_their_names() {
    let cluster = Cluster::start();
    let quorate = |words: &[&str]| cluster.quorate(words);
    assert_eq!(succeeds(&quorate(&["table", "create", "notes"])), "OK");
    assert_eq!(succeeds(&quorate(&["put", "k", "note", "--table", "notes"])), "OK");
    for node in 1..=3 {
        let address = cluster.address(node);
        assert_eq!(succeeds(&quorate(&["get", "k", "--table", "notes", "--addr", &address])), "note");
    }
    assert_eq!(quorate(&["get", "k"]).status.code(), Some(1), "its keys are its own");

    let words =
        ["table", "create", "users", "--shape", "leaderless", "--cell", "lww-register", "--preset", "fast-reads"];
    assert!(succeeds(&quorate(&words)).starts_with("OK, but of concurrent writes"));
    let shown: Value = serde_json::from_str(&succeeds(&quorate(&["table", "show", "users", "--json"]))).unwrap();
    assert_eq!((&shown["read"], &shown["write"], &shown["cell"]), (&1.into(), &3.into(), &"lww-register".into()));
    assert_eq!(
        succeeds(&quorate(&["table", "alter", "users", "--read", "2", "--write", "2"])),
        "OK, but of concurrent \
         writes of a key all but one are dropped; mv-register keeps them"
    );
    let listed = succeeds(&quorate(&["table", "list"]));
    let rows: Vec<&str> = listed.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(rows, ["notes", "users"]);
    fails(&quorate(&["table", "create", "notes"]), 1, &["applied: no", "there is a table of this name already"]);
    fails(&quorate(&["get", "k", "--table", "letters"]), 1, &["there is no table of this name"]);
    fails(&quorate(&["get", "k", "--r", "2"]), 1, &["belong to leaderless tables"]);
    assert_eq!(succeeds(&quorate(&["table", "drop", "users"])), "OK");
    fails(&quorate(&["table", "show", "users"]), 1, &["there is no table of this name"]);
}

#[test]
fn a_receipt_and_a_session_come_with_the_value() {
    let cluster = Cluster::start();
    let put: Value =
        serde_json::from_str(&succeeds(&cluster.quorate(&["put", "k", "v", "--receipt", "--json"]))).unwrap();
    assert_eq!(put["value"], "OK");
    assert!(["majority", "all"].contains(&put["receipt"]["met"].as_str().unwrap()), "{put}");
    assert!(put["receipt"]["durable"].as_array().unwrap().len() >= 2, "{put}");
    let token = put["session"].as_str().unwrap();
    for node in 1..=3 {
        let address = cluster.address(node);
        let words = ["get", "k", "--level", "session", "--session", token, "--addr", &address];
        assert_eq!(succeeds(&binary().args(words).output().unwrap()), "v");
    }
    let shown = succeeds(&cluster.quorate(&["get", "k", "--receipt"]));
    assert!(shown.starts_with("v\n") && shown.contains("linearizable") && shown.contains("leader-round"), "{shown}");
}

#[test]
fn status_shows_every_node_and_those_that_are_gone() {
    let cluster = Cluster::start();
    let table = succeeds(&cluster.quorate(&["status"]));
    assert_eq!(table.matches("leader").count(), 1, "{table}");
    assert_eq!(table.matches("follower").count(), 2, "{table}");
    cluster.fault("crash 2");
    let table = succeeds(&cluster.quorate(&["status"]));
    assert_eq!(table.matches("unreachable").count(), 1, "{table}");
    let json: Value = serde_json::from_str(&succeeds(&cluster.quorate(&["status", "--json"]))).unwrap();
    assert!(json["nodes"][1]["unreachable"].is_string(), "{json}");
    assert!(json["nodes"][0]["status"]["groups"][0]["term"].as_u64().unwrap() > 0, "{json}");
    wait("node 1 suspects node 2 and trusts node 3", || {
        let json: Value = serde_json::from_str(&succeeds(&cluster.quorate(&["status", "--json"]))).unwrap();
        let peers = &json["nodes"][0]["status"]["peers"];
        let known = peers[1]["round_trip_us"].is_u64() && peers[1]["clock_ahead_ms"].is_i64();
        (known && peers[0]["phi"].as_f64()? > 8.0 && peers[1]["phi"].as_f64()? < 8.0).then_some(())
    });
}

#[test]
fn the_busiest_keys_are_shown() {
    let cluster = Cluster::start();
    for (node, key, count) in [(1, "busy", 30), (2, "busy", 10), (2, "calm", 5)] {
        let mut client = cluster.client(node);
        (0..count).for_each(|_| drop(client.call(&quorate_client::Command::new(["GET", key])).unwrap()));
    }
    let shown = succeeds(&cluster.quorate(&["status", "--hot"]));
    let keys: Vec<&str> = shown.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).take(2).collect();
    assert_eq!(keys, ["busy", "calm"], "{shown}");
    let json: Value = serde_json::from_str(&succeeds(&cluster.quorate(&["status", "--hot", "--json"]))).unwrap();
    let of_node = |node: usize| &json["nodes"][node]["hot"]["tables"][0];
    assert_eq!((&of_node(0)["operations"], &of_node(1)["operations"]), (&30.into(), &15.into()), "{json}");
    assert_eq!((&of_node(0)["keys"][0]["key"], &of_node(0)["keys"][0]["error"]), (&"busy".into(), &0.into()), "{json}");
}

#[test]
fn the_lab_gives_verdicts_and_traces() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("story.txt");
    let lab = |words: &[&str]| binary().arg("lab").args(words).output().unwrap();
    let listed = succeeds(&lab(&["list"]));
    assert!(listed.contains("consensus/figure-8") && listed.contains("vopr"), "{listed}");
    let shown = succeeds(&lab(&["run", "consensus/figure-8", "--trace", trace.to_str().unwrap()]));
    assert!(shown.contains("Shown."), "{shown}");
    assert!(std::fs::read_to_string(&trace).unwrap().lines().count() > 10);
    let swarm = || succeeds(&lab(&["run", "vopr", "--seed", "7", "--seeds", "6", "--json"]));
    let (first, second) = (swarm(), swarm());
    assert!(first.contains("\"held\":true"), "{first}");
    assert_eq!(first, second, "the same seeds give the same run");
    // One seed is not enough to see what goes wrong: that is no verdict.
    let none = lab(&["run", "consensus/half-is-not-a-majority", "--seed", "0", "--json"]);
    let verdict: Value = serde_json::from_str(&text(&none.stdout)).unwrap();
    assert_eq!(none.status.code(), Some(if verdict["shown"] == true { 0 } else { 2 }));
}

#[test]
fn bench_measures_and_says_what_failed() {
    let cluster = Cluster::start();
    for op in ["set", "get", "incr"] {
        let words = ["bench", "--op", op, "--clients", "4", "--secs", "1", "--json"];
        let json: Value = serde_json::from_str(&succeeds(&cluster.quorate(&words))).unwrap();
        assert!(json["operations"].as_u64().unwrap() > 0, "{json}");
        assert!(json["errors"].as_object().unwrap().is_empty(), "{json}");
    }
}

#[test]
fn bench_measures_leaderless_tables() {
    let cluster = Cluster::start();
    let words = [("likes", "counter", "incr"), ("tags", "set", "sadd"), ("notes", "mv-register", "mixed")];
    for (table, cell, op) in words {
        let create = ["table", "create", table, "--shape", "leaderless", "--cell", cell];
        assert!(succeeds(&cluster.quorate(&create)).starts_with("OK"));
        wait("a node may write", || {
            let write = match cell {
                "counter" => ["incr", "k", "--table", table].to_vec(),
                "set" => return Some(()),
                _ => ["put", "k", "v", "--table", table].to_vec(),
            };
            cluster.quorate(&write).status.success().then_some(())
        });
        let words = ["bench", "--op", op, "--table", table, "--r", "1", "--w", "2", "--clients", "4", "--secs", "1"];
        let json: Value =
            serde_json::from_str(&succeeds(&cluster.quorate(&[&words[..], &["--json"]].concat()))).unwrap();
        assert!(json["operations"].as_u64().unwrap() > 0, "{json}");
        assert!(json["errors"].as_object().unwrap().is_empty(), "{json}");
        assert_eq!((&json["table"], &json["w"]), (&table.into(), &2.into()));
    }
    fails(&cluster.quorate(&["bench", "--table", "letters"]), 1, &["there is no table of this name"]);
    fails(&cluster.quorate(&["bench", "--op", "sadd", "--history", "h.json"]), 2, &["sadd"]);
}

#[test]
fn nonsense_gets_an_error_that_says_what_to_do() {
    let quorate = |words: &[&str]| binary().args(words).output().unwrap();
    fails(&quorate(&["get"]), 2, &["KEY"]);
    fails(&quorate(&["melt"]), 2, &["melt"]);
    fails(&quorate(&["get", "k", "--level", "strong"]), 2, &["linearizable, atomic, regular, session and eventual"]);
    fails(&quorate(&["put", "k", "v", "--ack", "two"]), 2, &["leader, one, majority and all"]);
    fails(&quorate(&["put", "k", "v", "--ttl", "5"]), 2, &["90s"]);
    fails(&quorate(&["put", "k", "v", "--table", "99"]), 2, &["a number from 0 to 15"]);
    fails(&quorate(&["incr", "k", "many"]), 2, &["many"]);
    fails(&quorate(&["bench", "--clients", "0"]), 2, &["1..=20000"]);
    fails(&quorate(&["up", "--nodes", "0"]), 2, &["1..=63"]);
    fails(&quorate(&["fault", "partition", "1,2"]), 2, &["one side"]);
    fails(&quorate(&["fault", "melt", "1"]), 2, &["no fault \"melt\""]);
    fails(&quorate(&["node"]), 2, &["--config"]);
    fails(&quorate(&["node", "--config", "/nowhere/at/all.toml"]), 2, &["/nowhere/at/all.toml"]);
    let empty = tempfile::tempdir().unwrap();
    let data = empty.path().to_str().unwrap();
    fails(&quorate(&["fault", "heal", "--data", data]), 4, &["no cluster is up", "quorate up"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    fails(&quorate(&["get", "k", "--addr", &closed, "--deadline-ms", "50"]), 4, &["applied: no", "quorate up"]);
    fails(&quorate(&["status", "--addr", &closed]), 4, &[&closed]);
    fails(&quorate(&["bench", "--addr", &closed]), 4, &[&closed]);
    fails(&quorate(&["bench", "--addr", "nonsense"]), 2, &["HOST:PORT"]);
    fails(&quorate(&["lab", "run", "nosuch"]), 2, &["nosuch", "quorate lab list"]);
    fails(&quorate(&["lab", "replay", "/nowhere/at/all"]), 2, &["/nowhere/at/all"]);
    fails(&quorate(&["lab", "run", "vopr", "--seeds", "0"]), 2, &["--seeds"]);
}

#[test]
fn a_node_refuses_a_configuration_that_makes_no_sense() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("quorate.toml");
    let run = |text: &str| {
        std::fs::write(&path, text).unwrap();
        binary().args(["node", "--config"]).arg(&path).output().unwrap()
    };
    fails(&run("this is no toml"), 2, &["quorate.toml"]);
    fails(&run("nonsense = 1"), 2, &["nonsense"]);
    let printed = binary().args(["node", "--print-config"]).output().unwrap();
    assert!(text(&printed.stdout).contains('#'), "the example has comments");
}

#[test]
fn up_refuses_what_would_collide() {
    let cluster = Cluster::start();
    fails(&cluster.up_command().output().unwrap(), 6, &["already up", "--data"]);

    let elsewhere = tempfile::tempdir().unwrap();
    let mut second = binary();
    second.arg("up").arg("--data").arg(elsewhere.path()).arg("--resp-port").arg(cluster.resp.to_string());
    fails(&second.output().unwrap(), 6, &[&cluster.resp.to_string(), "--resp-port", "nothing was started"]);
    assert!(!elsewhere.path().join("node-1").exists(), "nothing is written before the ports are known to be free");

    std::fs::write(elsewhere.path().join("thesis.tex"), "").unwrap();
    let foreign = binary().arg("up").arg("--data").arg(elsewhere.path()).output().unwrap();
    fails(&foreign, 2, &["thesis.tex"]);

    for wrong in ["pause 9", "partition 1/9"] {
        fails(&cluster.try_fault(wrong), 2, &["no node 9"]);
    }
    cluster.fault("crash 1");
    fails(&cluster.try_fault("pause 1"), 6, &["node 1 is down", "restart 1"]);
}

#[test]
fn another_number_of_nodes_on_the_same_data_is_refused() {
    let mut cluster = Cluster::of(1);
    assert_eq!(succeeds(&cluster.quorate(&["put", "k", "v"])), "OK");
    assert!(cluster.down().success());
    cluster.nodes = 3;
    fails(&cluster.up_command().output().unwrap(), 2, &["nodes: 1", "--nodes 3"]);
    cluster.nodes = 1;
    cluster.up();
    assert_eq!(succeeds(&cluster.quorate(&["get", "k"])), "v");
}

#[test]
fn nodes_end_when_up_is_killed() {
    let cluster = Cluster::start();
    let nodes: Vec<u32> = (1..=3).map(|node| cluster.process(node)).collect();
    signal(cluster.up_process(), "KILL");
    wait("the nodes end", || {
        let gone = |id: &u32| !std::path::Path::new(&format!("/proc/{id}")).exists();
        nodes.iter().all(gone).then_some(())
    });
}

/// Sends one request, and gives the status line's number and the body.
fn http(port: u16, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "{request}\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn http_and_the_command_line_see_the_same() {
    let cluster = Cluster::start();
    assert_eq!(succeeds(&cluster.quorate(&["put", "greeting", "hello"])), "OK");
    for node in 0..3 {
        let (status, body) = http(cluster.http + node, "GET /v1/keys/greeting HTTP/1.1");
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("hello"), "{body}");
        assert_eq!(http(cluster.http + node, "GET /readyz HTTP/1.1").0, 200);
        assert_eq!(http(cluster.http + node, "GET /v1/keys/gone HTTP/1.1").0, 404);
    }
    let (status, metrics) = http(cluster.http, "GET /metrics HTTP/1.1");
    assert!(status == 200 && metrics.contains("# TYPE"), "{metrics}");
}

#[test]
fn a_password_is_asked_for_and_taken() {
    let directory = tempfile::tempdir().unwrap();
    let first = free_ports();
    let [resp, http_port, peer] = [0, 1, 2].map(|at| format!("127.0.0.1:{}", first + at));
    let config = format!(
        "node = 1\ncluster = \"locked\"\ndata = {:?}\n[listen]\nresp = {resp:?}\nhttp = {http_port:?}\npeer = {peer:?}\n\
         [[members]]\nnode = 1\npeer = {peer:?}\n[security]\npassword = \"secret\"\n",
        directory.path().join("data")
    );
    let path = directory.path().join("quorate.toml");
    std::fs::write(&path, config).unwrap();
    let mut node = binary().args(["node", "--config"]).arg(&path).stderr(Stdio::null()).spawn().unwrap();
    let put = |words: &[&str], secret: Option<&str>| {
        let mut command = binary();
        command.args(["put", "k", "v", "--addr", &resp]).args(words);
        if let Some(secret) = secret {
            command.env("QUORATE_PASSWORD", secret);
        }
        command.output().unwrap()
    };
    wait("the node serves", || put(&[], Some("secret")).status.success().then_some(()));
    assert_eq!(succeeds(&put(&["--password", "secret"], None)), "OK");
    fails(&put(&[], None), 1, &["NOAUTH", "applied: no", "--password"]);
    fails(&put(&["--password", "wrong"], None), 1, &["WRONGPASS", "applied: no"]);
    assert_eq!(http(first + 1, "GET /v1/keys/k HTTP/1.1").0, 401);
    signal(node.id(), "TERM");
    assert!(wait("the node stops", || node.try_wait().unwrap()).success());
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = binary().args(["completions", shell]).output().unwrap();
        assert!(succeeds(&output).contains("idempotency-key"), "{shell}");
    }
}
