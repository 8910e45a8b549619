//! Three real processes, real faults, and afterwards: nothing that was acknowledged is missing, and the history is
//! linearizable.
#![allow(clippy::unwrap_used)]

mod support;

use quorate_client::{Applied, Command};
use support::cluster::{Cluster, signal};
use support::recorder::Load;
use support::wait;

const CLIENTS: u32 = 6;

#[test]
fn each_node_is_killed_while_it_leads() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster, CLIENTS);
    for node in 1..=3 {
        cluster.make_leader(node);
        load.progress(50);
        cluster.fault(&format!("crash {node}"));
        load.progress(50);
        assert_ne!(cluster.leader(), node);
        cluster.fault(&format!("restart {node}"));
        cluster.caught_up(node);
    }
    load.progress(50);
    load.judge(&cluster);
}

#[test]
fn the_leader_stands_still_and_goes_on() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster, CLIENTS);
    load.progress(50);
    let leader = cluster.leader();
    cluster.fault(&format!("pause {leader}"));
    load.progress(50);
    // A leader that slept through its successor's election must not serve what it no longer knows.
    let successor = wait("a successor", || cluster.leader_now().filter(|next| *next != leader));
    cluster.fault(&format!("resume {leader}"));
    load.progress(50);
    cluster.caught_up(leader);
    cluster.fault(&format!("pause {successor}"));
    load.progress(50);
    cluster.fault("heal");
    load.progress(50);
    load.judge(&cluster);
}

#[test]
fn the_leader_is_cut_off() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster, CLIENTS);
    load.progress(50);
    let leader = cluster.leader();
    let others: Vec<String> = (1..=3).filter(|node| *node != leader).map(|node| node.to_string()).collect();
    cluster.fault(&format!("partition {leader}/{}", others.join(",")));
    load.progress(100);
    // The cut-off side says that it cannot, and does not answer from memory.
    let error = cluster.client_of(leader).call(&Command::new(["GET", "register:0"])).unwrap_err();
    assert_ne!(error.applied, Applied::Yes, "{error}");
    let local = Command::new(["GET", "register:0"]).level(quorate_core::guarantee::Level::Eventual);
    cluster.client_of(leader).call(&local).unwrap();
    cluster.fault("heal");
    load.progress(50);
    cluster.caught_up(leader);
    load.judge(&cluster);
}

#[test]
fn links_that_lose_delay_and_go_one_way() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster, CLIENTS);
    for fault in ["drop 1/2,3 20%", "delay 2/3 30ms", "oneway 1/2", "oneway 3/1"] {
        cluster.fault(fault);
        load.progress(20);
    }
    cluster.fault("heal");
    load.progress(50);
    load.judge(&cluster);
}

#[test]
fn all_nodes_are_killed_at_once_and_start_again() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster, CLIENTS);
    load.progress(100);
    cluster.fault("crash 1,2,3");
    cluster.fault("restart 1,2,3");
    load.progress(50);
    load.judge(&cluster);
}

#[test]
fn a_second_up_continues_where_the_first_stopped() {
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster, CLIENTS);
    load.progress(100);
    let status = cluster.down();
    assert!(status.success(), "{status:?}");
    let said = cluster.said();
    for node in 1..=3 {
        assert!(said.contains(&format!("node {node} ended in order")), "{said:?}");
    }
    cluster.up();
    load.progress(50);
    load.judge(&cluster);
}

#[test]
fn a_second_signal_stops_the_nodes_at_once_and_loses_nothing() {
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster, CLIENTS);
    load.progress(100);
    // Two different signals that wait for a process that stands still reach it together.
    for name in ["STOP", "INT", "TERM", "CONT"] {
        signal(cluster.up_process(), name);
    }
    let status = cluster.ended();
    assert!(status.success(), "{status:?}");
    let said = cluster.said();
    assert!(said.iter().any(|line| line.starts_with("asked twice: killing node ")), "{said:?}");
    cluster.up();
    load.progress(50);
    load.judge(&cluster);
}

#[test]
fn a_restarted_node_has_its_broken_links_again() {
    let cluster = Cluster::start();
    cluster.fault("partition 3/1,2");
    cluster.fault("crash 3");
    let shown = cluster.fault("restart 3");
    assert!(shown.contains("3 -> 1: cut") && shown.contains("1 -> 3: cut"), "{shown}");
    let put = Command::new(["SET", "k", "v"]);
    wait("the majority serves", || cluster.client_of(1).call(&put).ok());
    let error = cluster.client_of(3).call(&Command::new(["GET", "k"])).unwrap_err();
    assert_eq!(error.applied, Applied::No, "{error}");
    assert_eq!(cluster.fault("heal").trim(), "nothing is broken");
    wait("the cut-off node serves again", || cluster.client_of(3).call(&Command::new(["GET", "k"])).ok());
}

#[test]
fn a_node_that_dies_by_itself_is_noticed_and_the_others_go_on() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster, CLIENTS);
    load.progress(20);
    signal(cluster.process(2), "KILL");
    wait("`up` says so", || {
        let said = cluster.said();
        said.iter().any(|line| line.starts_with("node 2 was ended by signal 9")).then_some(())
    });
    load.progress(50);
    cluster.fault("restart 2");
    cluster.caught_up(2);
    load.judge(&cluster);
}

#[test]
fn the_judge_notices_a_write_that_vanished_and_one_that_nobody_made() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster, CLIENTS);
    load.progress(50);
    let written = load.an_acknowledged_key();
    cluster.client(1).call(&Command::new(["DEL".to_owned(), written.clone()])).unwrap();
    let verdict = load.verdict(&cluster).unwrap_err();
    assert!(verdict.contains("missing") && verdict.contains(&written), "{verdict}");

    let load = Load::start(&cluster, CLIENTS);
    load.progress(50);
    cluster.client(1).call(&Command::new(["SET", "register:0", "from nowhere"])).unwrap();
    load.progress(10);
    let verdict = load.verdict(&cluster).unwrap_err();
    assert!(verdict.contains("not linearizable"), "{verdict}");
}
