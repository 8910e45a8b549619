use super::*;

#[test]
fn keys_move_and_expire() {
    script(
        r#"
        SET a 1 PX 1000 -> OK
        RENAME a b -> OK
        PTTL b -> 1000
        EXISTS a b b -> 2
        RENAME a b -> !ERR no such key
        RENAME b b -> OK
        RENAMENX b b -> 0
        SADD s x -> 1
        RENAMENX b s -> 0
        RENAME s b -> OK
        TYPE b -> set
        TTL b -> -1
        TYPE s -> none
        COPY b c -> 1
        SADD c y -> 1
        SMEMBERS b -> {"x"}
        SMEMBERS c -> {"x" "y"}
        COPY b c -> 0
        COPY b c REPLACE -> 1
        SMEMBERS c -> {"x"}
        COPY b b -> !ERR source and destination objects are the same
        COPY b b DB 3 -> 1
        DBSIZE -> 2
        EXPIRE c 10 -> 1
        EXPIRE c 20 NX -> 0
        EXPIRE c 20 GT -> 1
        EXPIRE c 30 LT -> 0
        EXPIRE b 10 GT -> 0
        EXPIRE b 10 LT -> 1
        TTL b -> 10
        PERSIST b -> 1
        PERSIST b -> 0
        EXPIRE b 10 NX XX -> !ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE b 10 FOO -> !ERR Unsupported option FOO
        EXPIREAT c 1003 -> 1
        EXPIRETIME c -> 1003
        PEXPIRETIME c -> 1003000
        +3000
        EXISTS c -> 0
        DBSIZE -> 1
        DEL b c -> 1
        DBSIZE -> 0
        EXPIRE b 1 -> 0
        SET b 1 -> OK
        PEXPIRE b 0 -> 1
        GET b -> nil
        "#,
    );
}

#[test]
fn a_key_that_expired_is_absent_for_every_command() {
    script(
        r#"
        SET a 5 PX 10 -> OK
        HSET h f 1 -> 1
        PEXPIRE h 10 -> 1
        SADD s m -> 1
        PEXPIRE s 10 -> 1
        +10
        INCR a -> 1
        TTL a -> -1
        HINCRBY h f 1 -> 1
        TTL h -> -1
        HGETALL h -> {"f" "1"}
        SADD s n -> 1
        SMEMBERS s -> {"n"}
        TTL s -> -1
        DBSIZE -> 3
        PEXPIRE a 10 -> 1
        +10
        SET a 1 XX -> nil
        RENAME a b -> !ERR no such key
        COPY a b -> 0
        DEL h -> 1
        RANDOMKEY -> "s"
        VERSION a -> 0
        APPEND a x -> 1
        "#,
    );
}

#[test]
fn hashes_hold_fields() {
    script(
        r#"
        HSET h a 1 b 2 -> 2
        HSET h a 3 c 4 -> 1
        HGETALL h -> {"a" "3" "b" "2" "c" "4"}
        HSET h a -> !ERR wrong number of arguments for 'hset' command
        HMSET h a 1 -> OK
        HSETNX h a 2 -> 0
        HSETNX h d 2 -> 1
        HGET h a -> "1"
        HGET h z -> nil
        HGET z z -> nil
        HMGET h a z -> ["1" nil]
        HEXISTS h a -> 1
        HSTRLEN h a -> 1
        HLEN h -> 4
        HINCRBY h a 5 -> 6
        HINCRBY h x -3 -> -3
        HINCRBY h x 1.5 -> !ERR value is not an integer or out of range
        HINCRBYFLOAT h a 0.5 -> "6.5"
        HINCRBY h a 1 -> !ERR hash value is not an integer
        HSET h s abc -> 1
        HINCRBYFLOAT h s 1 -> !ERR hash value is not a float
        HINCRBYFLOAT h s inf -> !ERR value is NaN or Infinity
        HDEL h b c x nope -> 3
        HDEL h a d s -> 3
        EXISTS h -> 0
        SET h 1 -> OK
        HGET h a -> !WRONGTYPE Operation against a key holding the wrong kind of value
        HSET h a 1 -> !WRONGTYPE Operation against a key holding the wrong kind of value
        HRANDFIELD nil -> nil
        HRANDFIELD nil 2 -> []
        HSET one f v -> 1
        HRANDFIELD one 2 WITHVALUES -> [["f" "v"]]
        HRANDFIELD one -2 WITHVALUES -> [["f" "v"] ["f" "v"]]
        HRANDFIELD one -2 -> ["f" "f"]
        HSCAN nil 0 -> ["0" []]
        "#,
    );
}

#[test]
fn sets_hold_members() {
    script(
        r#"
        SADD s a b c -> 3
        SADD s a -> 0
        SISMEMBER s a -> 1
        SMISMEMBER s a x -> [1 0]
        SCARD s -> 3
        SADD t b c d -> 3
        SINTER s t -> {"b" "c"}
        SUNION s t -> {"a" "b" "c" "d"}
        SDIFF s t -> {"a"}
        SINTERCARD 2 s t -> 2
        SINTERCARD 2 s t LIMIT 1 -> 1
        SINTERSTORE u s t -> 2
        SUNIONSTORE u s t nil -> 4
        SDIFFSTORE u s t -> 1
        SMEMBERS u -> {"a"}
        SINTERSTORE u s nil -> 0
        EXISTS u -> 0
        SMOVE s t a -> 1
        SMOVE s t a -> 0
        SMEMBERS t -> {"a" "b" "c" "d"}
        SREM s b x -> 1
        SPOP s -> "c"
        EXISTS s -> 0
        SPOP s -> nil
        SPOP s 3 -> {}
        SPOP t 9 -> {"a" "b" "c" "d"}
        SET k 1 -> OK
        SADD k a -> !WRONGTYPE Operation against a key holding the wrong kind of value
        SINTER k nil -> !WRONGTYPE Operation against a key holding the wrong kind of value
        SPOP k -1 -> !ERR value is out of range, must be positive
        "#,
    );
}

#[test]
fn a_version_rises_with_changes_only() {
    script(
        r#"
        SADD s a -> 1
        VERSION s -> 1
        SADD s a -> 0
        SREM s x -> 0
        SMOVE s t x -> 0
        EXPIRE s 10 XX -> 0
        PERSIST s -> 0
        COPY t s REPLACE -> 0
        VERSION s -> 1
        EXPIRE s 10 -> 1
        VERSION s -> 10
        HSET h f 1 -> 1
        HDEL h x -> 0
        HSETNX h f 2 -> 0
        VERSION h -> 12
        HSET h f 1 -> 0
        VERSION h -> 16
        SET k 1 -> OK
        SETNX k 2 -> 0
        SET k 2 NX -> nil
        CAS k 3 4 -> 0
        GETEX k -> "1"
        SETRANGE k 0 "" -> 1
        INCRBY k x -> !ERR value is not an integer or out of range
        VERSION k -> 18
        INCR k -> 2
        VERSION k -> 26
        RENAME k l -> OK
        VERSION l -> 28
        VERSION k -> 0
        "#,
    );
}

#[test]
fn a_flush_empties_its_table_only() {
    let mut replica = Replica::new();
    let in_table = |table: u16, line: &str| Batch { table: TableId(table), ..batch(&[line]) };
    for table in 0..3 {
        replica.apply(&in_table(table, "SET a 1"));
    }
    replica.apply(&in_table(1, "FLUSHDB"));
    let sizes = |replica: &mut Replica| [0, 1, 2].map(|table| shown(&replica.apply(&in_table(table, "DBSIZE")).value));
    assert_eq!(sizes(&mut replica), ["1", "0", "1"]);
    assert_eq!(next_expiry(&replica.store, SPACE), Some(0));
    replica.apply(&in_table(1, "SET a 2"));
    replica.sweep();
    assert_eq!(shown(&replica.apply(&in_table(1, "GET a")).value), "\"2\"");
    replica.apply(&in_table(1, "FLUSHALL ASYNC"));
    assert_eq!(sizes(&mut replica), ["0", "0", "0"]);
}

#[test]
fn groups_share_a_store_and_nothing_else() {
    let mut replica = Replica::new();
    let other: Space = [2, 0, 1, 0, 0, 0, 1];
    replica.run("SET a 1 PX 5");
    let before = replica.store.clone();
    let stamp = replica.stamp();
    apply(&mut replica.store, other, stamp, &batch(&["SET a 2", "SADD s x", "FLUSHALL"]), Mutants::none());
    while sweep(&mut replica.store, other, Stamp::new(stamp.position, u64::MAX, 0)) {}
    replica.store.0.retain(|key, _| !key.starts_with(&other));
    assert_eq!(replica.store, before);
}

#[test]
fn remaining_time_is_told_by_the_later_clock() {
    let mut replica = Replica::new();
    replica.run("SET a 1 PX 2600");
    let told = |line: &str, display| {
        shown(&read(&replica.store, SPACE, TableId(0), &[words(line)], false, replica.time_ms, display))
    };
    assert_eq!(told("PTTL a", 0), "2600");
    assert_eq!(told("TTL a", 0), "3");
    assert_eq!(told("PTTL a", replica.time_ms + 2500), "100");
    assert_eq!(told("PTTL a", replica.time_ms + 9999), "0");
    assert_eq!(told("TTL a", replica.time_ms + 9999), "0");
    assert_eq!(told("GET a", replica.time_ms + 9999), "\"1\"");
}

#[test]
fn random_commands_draw_from_the_position() {
    let draw = |index| {
        let mut replica = Replica::new();
        let members = (0..1000).map(|at| format!(" m{at}")).collect::<String>();
        replica.run(&format!("SADD s{members}"));
        replica.index = index;
        (replica.told("SPOP s"), replica.told("SPOP s 3"), replica.told("SCARD s"))
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert_eq!(draw(9).2, "996");
}

#[test]
fn idempotency_records_are_told_apart_from_the_rest() {
    let mut replica = Replica::new();
    replica.apply(&with_idempotency("a", batch(&["SET k v PX 10", "SADD s x"])));
    let records = replica.store.0.keys().filter(|key| is_idempotency_record(&key[layout::SPACE..])).count();
    assert_eq!((records, replica.store.0.len()), (2, 7));
}

#[cfg(feature = "lab")]
#[test]
fn a_wall_clock_in_apply_makes_replicas_differ() {
    let batches = [batch(&["SET a 1 PX 10"]), batch(&["SET a 2 XX"])];
    let run = |wall_ms: [u64; 2], mutants| {
        let mut store = MemoryStore::default();
        for (at, batch) in batches.iter().enumerate() {
            let position = Position { group: 0, term: 1, index: at as u64 + 1 };
            apply(&mut store, SPACE, Stamp::new(position, 1000, wall_ms[at]), batch, mutants);
        }
        store
    };
    let broken = Mutants::only(Mutant::WallClockInApply);
    assert_eq!(run([1000, 1000], Mutants::none()), run([1000, 2000], Mutants::none()));
    assert_ne!(run([1000, 1000], broken), run([1000, 2000], broken));
}
