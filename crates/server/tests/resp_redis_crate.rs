//! A Redis client that is not ours, against three real nodes.
#![allow(clippy::unwrap_used)]

mod common;

use common::configs;
use quorate_server::server::Server;
use redis::{Client, Commands, Connection, RedisResult, Value};
use std::collections::{BTreeMap, BTreeSet};

struct Nodes {
    servers: Vec<Server>,
    _directory: tempfile::TempDir,
}

impl Nodes {
    fn start() -> Nodes {
        let directory = tempfile::tempdir().unwrap();
        let mut configs = configs(3, directory.path());
        configs.iter_mut().for_each(|config| config.security.password = Some("secret".to_string()));
        let servers = configs.iter().map(|config| Server::start(config).unwrap()).collect();
        Nodes { servers, _directory: directory }
    }

    fn connect(&self, node: usize, options: &str) -> Connection {
        let address = self.servers[node].resp;
        Client::open(format!("redis://:secret@{address}/{options}")).unwrap().get_connection().unwrap()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for server in self.servers.drain(..) {
            server.handle.stop();
            server.join().unwrap();
        }
    }
}

#[test]
fn the_crate_works_with_both_protocols_and_any_node() {
    let nodes = Nodes::start();
    for (node, options) in [(0, "0"), (1, "0?protocol=resp3"), (2, "3?protocol=resp3")] {
        let mut client = nodes.connect(node, options);
        redis::cmd("FLUSHDB").exec(&mut client).unwrap();
        let _: () = client.set("k", "v").unwrap();
        let (value, absent): (String, Option<String>) =
            redis::pipe().get("k").get("absent").query(&mut client).unwrap();
        assert_eq!((value.as_str(), absent), ("v", None));
        assert_eq!(client.incr::<_, _, i64>("n", 5).unwrap(), 5);
        let _: () = client.hset_multiple("h", &[("a", 1), ("b", 2)]).unwrap();
        let hash: BTreeMap<String, i64> = client.hgetall("h").unwrap();
        assert_eq!(hash, BTreeMap::from([("a".to_string(), 1), ("b".to_string(), 2)]));
        let _: () = client.sadd("s", &["x", "y"]).unwrap();
        let set: BTreeSet<String> = client.smembers("s").unwrap();
        assert_eq!(set.len(), 2);
        let wrong: RedisResult<i64> = client.incr("h", 1);
        assert_eq!(wrong.unwrap_err().code(), Some("WRONGTYPE"));
        let keys: BTreeSet<String> = client.scan().unwrap().map(|key| key.unwrap()).collect();
        assert_eq!(keys, ["h", "k", "n", "s"].map(str::to_string).into());
    }
}

#[test]
fn transactions_of_the_crate_guard_what_they_watch() {
    let nodes = Nodes::start();
    let _: () = nodes.connect(0, "0").set("counter", 0).unwrap();
    let add = |node: usize| {
        let mut client = nodes.connect(node, "0");
        for _ in 0..20 {
            redis::transaction(&mut client, &["counter"], |client, pipe| {
                let old: i64 = client.get("counter")?;
                let result: Option<Value> = pipe.set("counter", old + 1).query(client)?;
                Ok(result)
            })
            .unwrap();
        }
    };
    std::thread::scope(|scope| (0..3).for_each(|node| drop(scope.spawn(move || add(node)))));
    assert_eq!(nodes.connect(1, "0").get::<_, i64>("counter").unwrap(), 60);
}

#[test]
fn a_wrong_password_is_refused() {
    let nodes = Nodes::start();
    let address = nodes.servers[0].resp;
    let refused = Client::open(format!("redis://:wrong@{address}/")).unwrap().get_connection();
    assert!(refused.is_err());
}
