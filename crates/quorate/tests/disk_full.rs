//! A node whose disk is full stops for good and says why; the others go on, and nothing is lost.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Child, Command, Stdio};
use support::cluster::Cluster;
use support::recorder::Load;
use support::wait;

/// Starts one node directly. With a limit, in blocks of 512 bytes, no file of it can grow beyond that; the signal that
/// would kill it is ignored, so that its writes fail as they do on a full disk.
fn node(cluster: &Cluster, id: u16, blocks: Option<u64>) -> Child {
    let directory = cluster.data().join(format!("node-{id}"));
    let limit = blocks.map_or(String::new(), |blocks| format!("trap '' XFSZ; ulimit -f {blocks}; "));
    let script = format!("{limit}exec \"$0\" node --config \"$1\"");
    let log = std::fs::File::options().append(true).create(true).open(directory.join("log")).unwrap();
    Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_quorate")])
        .arg(directory.join("quorate.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

struct Nodes(Vec<Child>);

impl Drop for Nodes {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|child| drop(child.kill()));
        self.0.iter_mut().for_each(|child| drop(child.wait()));
    }
}

#[test]
fn a_full_disk_stops_one_node_and_loses_nothing() {
    let mut cluster = Cluster::start();
    cluster.down();
    // 16 MiB: enough to start, too little for the second segment of the journal.
    let mut nodes = Nodes(vec![node(&cluster, 1, None), node(&cluster, 2, None), node(&cluster, 3, Some(32_768))]);
    let load = Load::start(&cluster, 6);
    load.progress(20);
    cluster.caught_up(3);
    // Values that fill the limited node soon.
    let mut client = cluster.client(1);
    let big = "x".repeat(100_000);
    let status = wait("the full node stops", || {
        let set = quorate_client::Command::new(["SET".to_owned(), "big".to_owned(), big.clone()]);
        let _ = client.call(&set);
        nodes.0[2].try_wait().unwrap()
    });
    assert!(!status.success(), "a node that stops because its disk is full must say so by its exit code");
    let log = cluster.log(3);
    assert!(log.contains("File too large") && log.contains("stops for good"), "it must say why: {log}");
    assert_eq!(log.matches("has stopped using its disk").count(), 1, "and it must say so once: {log}");
    load.progress(50);
    nodes.0[2] = node(&cluster, 3, None);
    cluster.caught_up(3);
    load.progress(20);
    load.judge(&cluster);
}
