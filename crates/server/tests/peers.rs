//! Nodes that meet, and strangers that knock.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, configs, until};
use quorate_server::config::Config;
use quorate_server::server::{Server, ServerError};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

struct Cluster {
    configs: Vec<Config>,
    servers: Vec<Option<Server>>,
    _directory: tempfile::TempDir,
}

impl Cluster {
    fn start(nodes: u16, change: impl Fn(&mut Config)) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let mut configs = configs(nodes, directory.path());
        configs.iter_mut().for_each(&change);
        let servers = configs.iter().map(|config| Some(Server::start(config).unwrap())).collect();
        Cluster { configs, servers, _directory: directory }
    }

    fn client(&self, node: usize) -> Client {
        Client::connect(self.servers[node - 1].as_ref().unwrap().resp)
    }

    fn stop(&mut self, node: usize) {
        let server = self.servers[node - 1].take().unwrap();
        server.handle.stop();
        server.join().unwrap();
    }

    fn start_again(&mut self, node: usize) {
        self.servers[node - 1] = Some(Server::start(&self.configs[node - 1]).unwrap());
    }

    /// The node that leads group 0, as a node sees it.
    fn leader(&self, node: usize) -> Option<usize> {
        let status = self.client(node).ask("QUORATE STATUS");
        let json: serde_json::Value = serde_json::from_str(status.split('|').nth(1).unwrap()).unwrap();
        json["groups"][0]["leader"].as_u64().map(|leader| leader as usize)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in self.servers.iter_mut().filter_map(Option::take) {
            server.handle.stop();
            let _ = server.join();
        }
    }
}

#[test]
fn three_nodes_serve_through_the_loss_of_one() {
    let mut cluster = Cluster::start(3, |_| {});
    for node in 1..=3 {
        assert_eq!(cluster.client(node).ask(&format!("SET k{node} {node}")), "+OK|");
    }
    for node in 1..=3 {
        let mut client = cluster.client(node);
        assert_eq!(client.ask("MGET k1 k2 k3"), "*3|$1|1|$1|2|$1|3|");
        assert_eq!(client.ask("WITH all SET everywhere 1"), "+OK|");
        assert_eq!(client.ask("WITH session GET everywhere"), "$1|1|");
    }
    let leader = cluster.leader(1).unwrap();
    cluster.stop(leader);
    let other = leader % 3 + 1;
    let begin = Instant::now();
    assert_eq!(cluster.client(other).ask("SET after 1"), "+OK|");
    assert!(begin.elapsed() < Duration::from_secs(3), "a closed socket makes a new leader soon");
    cluster.start_again(leader);
    let mut back = cluster.client(leader);
    assert_eq!(back.ask("GET after"), "$1|1|");
    assert_eq!(back.ask("WITH all SET everywhere 2"), "+OK|");
}

#[test]
fn everything_is_there_after_a_restart_of_all() {
    let mut cluster = Cluster::start(3, |config| config.groups = 4);
    let mut client = cluster.client(2);
    for key in 0..200 {
        assert_eq!(client.ask(&format!("SET key{key} {key}")), "+OK|");
    }
    (1..=3).for_each(|node| cluster.stop(node));
    (1..=3).for_each(|node| cluster.start_again(node));
    let mut client = cluster.client(3);
    for key in 0..200 {
        let value = key.to_string();
        assert_eq!(client.ask(&format!("GET key{key}")), format!("${}|{value}|", value.len()));
    }
}

#[test]
fn strangers_at_the_peer_port_hold_nobody_up() {
    let cluster = Cluster::start(3, |config| config.security.peer_secret = Some("secret".to_string()));
    let mut client = cluster.client(1);
    assert_eq!(client.ask("SET k 0"), "+OK|");
    let mut strangers = Vec::new();
    for config in &cluster.configs {
        let garbage: [&[u8]; 5] = [b"GET / HTTP/1.1\r\n\r\n", b"QRTP\x63", b"QRTP\x01", &[0xFF; 100], b""];
        for bytes in garbage {
            let mut socket = TcpStream::connect(&config.listen.peer).unwrap();
            let _ = socket.write_all(bytes);
            strangers.push(socket);
        }
    }
    for turn in 0..50 {
        assert_eq!(client.ask(&format!("WITH all SET k {turn}")), "+OK|");
    }
    // Those that were recognized are closed at once, those that say nothing when their time is over.
    for mut socket in strangers {
        socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes);
        assert!(bytes.len() <= 74, "a stranger learns no more than a hello");
    }
}

/// Starts a third node that differs, and shows that it never joins while the other two go on.
fn outsider(change: impl Fn(&mut Config)) {
    let directory = tempfile::tempdir().unwrap();
    let mut configs = configs(3, directory.path());
    configs.iter_mut().for_each(|config| config.security.peer_secret = Some("secret".to_string()));
    change(&mut configs[2]);
    let servers: Vec<Server> = configs.iter().map(|config| Server::start(config).unwrap()).collect();
    assert_eq!(Client::connect(servers[0].resp).ask("SET k v"), "+OK|");
    std::thread::sleep(Duration::from_millis(300));
    assert!(Client::connect(servers[2].resp).ask("WITH deadline=200 GET k").starts_with("-CLUSTERDOWN applied: no; "));
    assert!(Client::connect(servers[2].resp).ask("INFO quorate").contains("peers_connected:0|"));
    assert!(Client::connect(servers[0].resp).ask("INFO quorate").contains("peers_connected:1|"));
    for server in servers {
        server.handle.stop();
        server.join().unwrap();
    }
}

#[test]
fn a_node_with_another_secret_never_joins() {
    outsider(|config| config.security.peer_secret = Some("other".to_string()));
}

#[test]
fn a_node_of_another_cluster_never_joins() {
    outsider(|config| config.cluster = "other".to_string());
}

#[test]
fn a_cut_link_is_cut_and_heals() {
    let cluster = Cluster::start(3, |config| config.faults_allowed = true);
    let mut client = cluster.client(1);
    assert_eq!(client.ask("SET k 1"), "+OK|");
    let cut = r#"{"cut":true,"drop_per_mille":0,"delay_ms":0}"#;
    let faults = |node: usize, rules: &str| {
        assert_eq!(cluster.client(node).ask(&format!("QUORATE FAULTS {rules}")), "+OK|");
    };
    // Node 3 is alone, in both directions.
    faults(1, &format!(r#"{{"3":{cut}}}"#));
    faults(2, &format!(r#"{{"3":{cut}}}"#));
    faults(3, &format!(r#"{{"1":{cut},"2":{cut}}}"#));
    until("the others go on", || cluster.client(1).ask("WITH deadline=1000 SET k 2") == "+OK|");
    let alone = cluster.client(3).ask("WITH deadline=300 SET k 3");
    assert!(alone.starts_with("-CLUSTERDOWN applied: no") || alone.starts_with("-UNKNOWN applied: unknown"), "{alone}");
    until("a write for all falls short", || {
        cluster.client(1).ask("WITH all deadline=500 SET k 2").starts_with("-SHORT applied: yes; asked for ack all")
    });
    (1..=3).for_each(|node| faults(node, "{}"));
    until("node 3 is back", || cluster.client(3).ask("GET k") == "$1|2|");
    // A delay is felt.
    let delay = r#"{"cut":false,"drop_per_mille":0,"delay_ms":40}"#;
    let leader = cluster.leader(1).unwrap();
    let others: Vec<String> =
        (1..=3).filter(|node| *node != leader).map(|node| format!(r#""{node}":{delay}"#)).collect();
    faults(leader, &format!("{{{}}}", others.join(",")));
    let begin = Instant::now();
    assert_eq!(cluster.client(leader).ask("SET k 4"), "+OK|");
    assert!(begin.elapsed() >= Duration::from_millis(40));
}

#[test]
fn a_port_in_use_and_a_directory_in_use_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let config = configs(1, directory.path()).remove(0);
    let first = Server::start(&config).unwrap();
    let mut second = config.clone();
    second.listen.resp = first.resp.to_string();
    let refused = |config: &Config| match Server::start(config) {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    };
    let error = refused(&second);
    assert!(matches!(error, ServerError::Listen { option: "listen.resp", .. }));
    assert!(error.to_string().contains(&first.resp.to_string()), "{error}");
    let mut third = config.clone();
    third.listen.peer = "127.0.0.1:0".to_string();
    let error = refused(&third).to_string();
    assert!(error.contains("in use by another process"), "{error}");
    first.handle.stop();
    first.join().unwrap();
}

#[test]
fn a_node_that_joins_is_linked_let_in_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut configs = configs(4, directory.path());
    configs[..3].iter_mut().for_each(|config| config.members.truncate(3));
    configs[3].join = true;
    let servers = configs.iter().map(|config| Some(Server::start(config).unwrap())).collect();
    let cluster = Cluster { configs, servers, _directory: directory };
    let connected =
        |node, count| cluster.client(node).ask("INFO quorate").contains(&format!("peers_connected:{count}|"));
    assert_eq!(cluster.client(1).ask("SET k 1"), "+OK|");
    until("it dials those that its configuration names", || connected(4, 3) && connected(1, 3));
    assert!(cluster.client(4).ask("WITH deadline=200 GET k").starts_with("-CLUSTERDOWN applied: no; "), "it waits");

    let address = cluster.configs[3].listen.peer.clone();
    assert_eq!(cluster.client(2).ask(&format!("QMEMBER SET 4 address {address}")), "+OK|");
    let voters = |node: usize| {
        let status = cluster.client(node).ask("QUORATE STATUS");
        let json: serde_json::Value = serde_json::from_str(status.split('|').nth(1).unwrap()).unwrap();
        json["groups"][0]["voters"].clone()
    };
    until("it votes", || (1..=4).all(|node| voters(node) == serde_json::json!([1, 2, 3, 4])));
    assert_eq!(cluster.client(4).ask("WITH all SET k 2"), "+OK|");
    assert!(cluster.client(3).ask("QMEMBER LIST").contains(&address));
    assert!((1..=4).all(|node| connected(node, 3)), "there is one link between two nodes, though both may dial");

    assert!(cluster.client(1).ask("QMEMBER FORGET 4").starts_with("-ERR applied: no; the node still votes"));
    assert_eq!(cluster.client(1).ask("QMEMBER SET 4 weight 0 votes no"), "+OK|");
    until("it votes no more", || (1..=3).all(|node| voters(node) == serde_json::json!([1, 2, 3])));
    assert_eq!(cluster.client(1).ask("WITH all SET k 3"), "+OK|");
    cluster.servers[3].as_ref().unwrap().handle.stop();
    assert_eq!(cluster.client(1).ask("QMEMBER FORGET 4"), "+OK|");
    until("the others have no link to it", || (1..=3).all(|node| connected(node, 2)));
}
