//! Nodes come and go while clients write: real processes, real faults, a lost disk. Afterwards nothing that was acknowledged is missing.
#![allow(clippy::unwrap_used)]

mod support;

use quorate_client::Command;
use std::process::{Child, Stdio};
use support::cluster::{Cluster, binary, signal};
use support::ledger::{KEYS, Load, client, judge, make_tables, member};
use support::wait;

/// A cluster with a set and a counter on three replicas each.
fn cluster_of(nodes: u16) -> Cluster {
    let cluster = Cluster::of(nodes);
    make_tables(&cluster.addresses());
    cluster
}

/// A node that is not one of those that `quorate up` runs.
struct Single {
    process: Child,
}

impl Single {
    /// A node that joins: its configuration is that of node 1, with itself added.
    fn start(cluster: &Cluster, node: u16) -> Single {
        let directory = cluster.data().join(format!("single-{node}"));
        std::fs::create_dir_all(&directory).unwrap();
        let mut config: toml::Table = configuration(cluster, 1);
        let local = |port: u16| format!("127.0.0.1:{}", port + node - 1);
        let (resp, http, peer) = (local(cluster.resp), local(cluster.http), local(cluster.peer));
        config.insert("node".to_owned(), i64::from(node).into());
        config.insert("join".to_owned(), true.into());
        config.insert("data".to_owned(), directory.join("data").to_str().unwrap().into());
        let listen = [("resp", resp), ("http", http), ("peer", peer.clone())];
        config.insert("listen".to_owned(), table(listen.map(|(name, address)| (name, address.into()))));
        let own = table([("node", i64::from(node).into()), ("peer", peer.into())]);
        config["members"].as_array_mut().unwrap().push(own);
        let file = directory.join("config.toml");
        std::fs::write(&file, config.to_string()).unwrap();
        let log = std::fs::File::create(directory.join("log")).unwrap();
        let mut command = binary();
        command.arg("node").arg("--config").arg(file).stdout(Stdio::null()).stderr(log);
        Single { process: command.spawn().unwrap() }
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        signal(self.process.id(), "TERM");
        let _ = self.process.wait();
    }
}

fn table<const N: usize>(pairs: [(&str, toml::Value); N]) -> toml::Value {
    toml::Value::Table(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn configuration(cluster: &Cluster, node: u16) -> toml::Table {
    let file = cluster.data().join(format!("node-{node}/quorate.toml"));
    toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn nodes_come_and_go_and_nothing_acknowledged_is_missing() {
    let cluster = cluster_of(5);
    let mut addresses = cluster.addresses();
    addresses.push(cluster.address(6));
    let load = Load::start(&addresses[..5]);
    load.progress();

    cluster.fault("partition 5/1,2,3,4");
    load.progress();
    cluster.fault("heal");
    load.progress();

    // A node loses its disk.
    cluster.fault("crash 3");
    member(&addresses, "set 3 --votes no --wait");
    std::fs::remove_dir_all(cluster.data().join("node-3/data")).unwrap();
    let mut config = configuration(&cluster, 3);
    config.insert("join".to_owned(), true.into());
    std::fs::write(cluster.data().join("node-3/quorate.toml"), config.to_string()).unwrap();
    cluster.fault("restart 3");
    member(&addresses, "set 3 --votes yes --wait");
    load.progress();

    // A node is added, and one is removed.
    let sixth = Single::start(&cluster, 6);
    let added = member(&addresses, &format!("add 6 --address 127.0.0.1:{} --wait", cluster.peer + 5));
    assert_eq!((&added["over"], &added["members"][5]["groups_settled"]), (&true.into(), &1.into()), "{added}");
    load.progress();
    member(&addresses, "remove 2 --wait");
    cluster.fault("crash 2");
    addresses.remove(1);
    member(&addresses, "forget 2");
    load.progress();

    let listed = member(&addresses, "list --wait");
    let nodes: Vec<u64> =
        listed["members"].as_array().unwrap().iter().map(|member| member["node"].as_u64().unwrap()).collect();
    assert_eq!(nodes, [1, 3, 4, 5, 6], "{listed}");
    let ledger = load.end();
    assert!(ledger.members.len() as u64 == KEYS && ledger.increments.len() as u64 == 2 * KEYS);
    addresses.iter().for_each(|address| judge(&ledger, address).unwrap());
    drop(sixth);
}

#[test]
fn the_judge_notices_what_is_missing_and_what_counts_twice() {
    let cluster = cluster_of(3);
    let load = Load::start(&cluster.addresses());
    load.progress();
    let ledger = load.end();
    let address = cluster.address(2);
    judge(&ledger, &address).unwrap();
    let call = |table, words: [&str; 2]| {
        let command = Command::new(words.map(str::to_owned));
        wait("a write is acknowledged", || client(cluster.addresses(), table).call(&command).ok())
    };
    call("likes", ["INCR", "key1"]);
    let verdict = judge(&ledger, &address).unwrap_err();
    assert!(verdict.contains("likes key1"), "{verdict}");
    call("carts", ["DEL", "key1"]);
    let verdict = judge(&ledger, &address).unwrap_err();
    assert!(verdict.contains("key1 lacks"), "{verdict}");
}
