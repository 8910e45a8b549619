//! The crate `redis` against real nodes, each of which takes any command.
#![allow(clippy::unwrap_used)]

mod support;

use redis::{Commands, Connection, ErrorKind, RedisError, RedisResult, pipe};
use std::collections::{BTreeMap, BTreeSet};
use support::cluster::Cluster;
use support::wait;

fn unknown_command(error: &RedisError) -> bool {
    error.to_string().to_lowercase().contains("unknown command")
}

#[test]
fn strings_hashes_and_sets_through_every_node() {
    let cluster = Cluster::start();
    for node in 1..=3 {
        let mut redis = cluster.redis(node);
        let key = |name: &str| format!("{{{node}}}{name}");
        let () = redis.set(key("s"), "value").unwrap();
        assert_eq!(redis.get::<_, String>(key("s")).unwrap(), "value");
        assert_eq!(redis.incr::<_, _, i64>(key("n"), 5).unwrap(), 5);
        assert_eq!(redis.append::<_, _, i64>(key("s"), "s").unwrap(), 6);
        assert!(redis.set_nx::<_, _, bool>(key("nx"), 1).unwrap());
        assert!(!redis.set_nx::<_, _, bool>(key("nx"), 2).unwrap());
        let () = redis.hset_multiple(key("h"), &[("a", 1), ("b", 2)]).unwrap();
        let map: BTreeMap<String, i64> = redis.hgetall(key("h")).unwrap();
        assert_eq!(map, BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
        assert_eq!(redis.sadd::<_, _, i64>(key("set"), &["x", "y", "x"]).unwrap(), 2);
        let members: BTreeSet<String> = redis.smembers(key("set")).unwrap();
        assert_eq!(members, BTreeSet::from(["x".to_owned(), "y".to_owned()]));
        let found: BTreeSet<String> =
            redis.scan_match::<_, String>(format!("{{{node}}}*")).unwrap().map(Result::unwrap).collect();
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(redis.del::<_, i64>(vec![key("s"), key("n"), key("gone")]).unwrap(), 2);
        let wrong: RedisResult<i64> = redis.incr(key("h"), 1);
        assert!(wrong.unwrap_err().to_string().contains("WRONGTYPE"));
    }
}

#[test]
fn a_transaction_is_all_or_nothing_and_a_watch_notices_other_writers() {
    let cluster = Cluster::start();
    let (mut one, mut two) = (cluster.redis(1), cluster.redis(2));
    let () = one.set("{t}a", 1).unwrap();
    let values: (i64, i64) = pipe().atomic().incr("{t}a", 1).incr("{t}b", 10).query(&mut one).unwrap();
    assert_eq!(values, (2, 10));
    // A command that fails in a transaction fails alone, as in Redis.
    let () = two.hset("{t}h", "f", 1).unwrap();
    let mixed: RedisResult<redis::Value> = pipe().atomic().incr("{t}h", 1).incr("{t}a", 1).query(&mut one);
    assert!(mixed.is_err());
    assert_eq!(two.get::<_, i64>("{t}a").unwrap(), 3);

    let () = redis::cmd("WATCH").arg("{t}a").query(&mut one).unwrap();
    let () = two.set("{t}a", 100).unwrap();
    let aborted: Option<Vec<i64>> = pipe().atomic().incr("{t}a", 1).query(&mut one).unwrap();
    assert_eq!(aborted, None);
    assert_eq!(two.get::<_, i64>("{t}a").unwrap(), 100);

    let () = redis::cmd("WATCH").arg("{t}a").query(&mut one).unwrap();
    let went: Option<Vec<i64>> = pipe().atomic().incr("{t}a", 1).query(&mut one).unwrap();
    assert_eq!(went, Some(vec![101]));
}

#[test]
fn transactions_from_many_clients_never_lose_an_update() {
    let cluster = Cluster::start();
    let add = |mut redis: Connection| {
        for _ in 0..20 {
            let () = redis::transaction(&mut redis, &["{c}n", "{c}log"], |redis, pipe| {
                let now: i64 = redis.get("{c}n").unwrap_or(0);
                pipe.set("{c}n", now + 1).ignore().incr("{c}log", 1).ignore().query(redis)
            })
            .unwrap();
        }
    };
    std::thread::scope(|scope| {
        for node in 1..=3 {
            let redis = cluster.redis(node);
            scope.spawn(move || add(redis));
        }
    });
    let mut redis = cluster.redis(1);
    assert_eq!(redis.get::<_, i64>("{c}n").unwrap(), 60);
    assert_eq!(redis.get::<_, i64>("{c}log").unwrap(), 60);
}

#[test]
fn keys_expire_on_every_node() {
    let cluster = Cluster::start();
    let mut redis = cluster.redis(1);
    let () = redis.pset_ex("short", "v", 300).unwrap();
    let () = redis.set_ex("long", "v", 1_000).unwrap();
    assert!(redis.ttl::<_, i64>("long").unwrap() > 900);
    assert!(redis.persist::<_, bool>("long").unwrap());
    assert_eq!(redis.ttl::<_, i64>("long").unwrap(), -1);
    for node in 1..=3 {
        let mut redis = cluster.redis(node);
        wait("the key expires", || redis.get::<_, Option<String>>("short").unwrap().is_none().then_some(()));
        assert_eq!(redis.get::<_, Option<String>>("long").unwrap().as_deref(), Some("v"));
        assert_eq!(redis.ttl::<_, i64>("short").unwrap(), -2);
    }
}

#[test]
fn a_pipeline_reads_its_own_writes_in_order() {
    let cluster = Cluster::start();
    for node in 1..=3 {
        let mut redis = cluster.redis(node);
        let key = format!("p{node}");
        let mut pipe = pipe();
        for at in 0..100 {
            pipe.set(&key, at).ignore().get(&key);
        }
        let seen: Vec<i64> = pipe.query(&mut redis).unwrap();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_not_there_says_so() {
    let cluster = Cluster::start();
    let mut redis = cluster.redis(2);
    for words in [&["PUBLISH", "c", "m"][..], &["LPUSH", "l", "v"], &["EVAL", "return 1", "0"], &["NOSUCH"]] {
        let error = redis::cmd(words[0]).arg(&words[1..]).query::<redis::Value>(&mut redis).unwrap_err();
        assert!(unknown_command(&error), "{words:?}: {error}");
    }
    let error = redis::cmd("GET").query::<redis::Value>(&mut redis).unwrap_err();
    assert!(error.to_string().contains("wrong number of arguments"), "{error}");
    let error = redis::cmd("SELECT").arg(99).query::<redis::Value>(&mut redis).unwrap_err();
    assert!(error.to_string().contains("out of range"), "{error}");
    assert_ne!(error.kind(), ErrorKind::Io);
    assert_eq!(redis::cmd("PING").query::<String>(&mut redis).unwrap(), "PONG");
}
