use super::*;

#[test]
fn tables_are_made_changed_and_removed() {
    script(
        r#"
        TABLE.LIST -> []
        TABLE.CREATE notes -> OK
        TABLE.SHOW notes -> {"epoch" 1 "id" 256 "name" "notes" "shape" "consensus"}
        TABLE.CREATE carts shape leaderless -> OK
        TABLE.SHOW carts -> {"cell" "mv-register" "epoch" 2 "id" 257 "name" "carts" "read" 2 "replicas" 3 "shape" "leaderless" "write" 2}
        TABLE.ALTER carts PRESET fast-reads -> OK
        TABLE.SHOW carts -> {"cell" "mv-register" "epoch" 2 "id" 257 "name" "carts" "read" 1 "replicas" 3 "shape" "leaderless" "write" 3}
        TABLE.ALTER carts write 2 read 2 -> OK
        TABLE.CREATE stock SHAPE Leaderless REPLICAS 5 CELL bounded-counter BOUND -3 RANGES f p -> OK
        TABLE.SHOW stock -> {"bound" -3 "cell" "bounded-counter" "epoch" 5 "id" 258 "name" "stock" "ranges" ["f" "p"] "read" 3 "replicas" 5 "shape" "leaderless" "write" 3}
        TABLE.DROP notes -> OK
        TABLE.SHOW notes -> !ERR applied: no; there is no table of this name
        TABLE.CREATE notes -> OK
        TABLE.SHOW notes -> {"epoch" 7 "id" 259 "name" "notes" "shape" "consensus"}
        TABLE.ALTER notes shape consensus -> OK
        "#,
    );
}

#[test]
fn a_table_whose_reads_or_writes_lose_something_says_so() {
    let mut replica = Replica::new();
    let dropped = "of concurrent writes of a key all but one are dropped; mv-register keeps them";
    let reply = replica.told("TABLE.CREATE users shape leaderless cell lww-register");
    assert_eq!(reply, format!("OK, but {dropped}"));
    assert!(replica.told("TABLE.SHOW users").contains(&format!("\"warning\" \"{dropped}\"")));
    let reply = replica.told("TABLE.CREATE clicks shape leaderless cell counter read 1 write 1");
    assert!(reply.starts_with("OK, but a read may miss a write"), "{reply}");
    assert!(replica.told("TABLE.LIST").contains("may miss"));
}

#[test]
fn what_is_no_table_is_refused_in_words() {
    let mut replica = Replica::new();
    replica.run("TABLE.CREATE notes");
    replica.run("TABLE.CREATE carts shape leaderless");
    let before = replica.store.clone();
    for (words, why) in [
        ("CREATE notes", "there is a table of this name already"),
        ("CREATE 1", "the name of a table is 1 to 64 letters"),
        ("ALTER none read 1", "there is no table of this name"),
        ("DROP none", "there is no table of this name"),
        ("CREATE a shape round", "a shape is consensus or leaderless"),
        ("CREATE a replicas 3", "a consensus table has no replicas; a table of 'shape leaderless' has"),
        ("ALTER notes cell set", "a consensus table has no cell; "),
        ("CREATE a colour red", "'colour' is no word of a table"),
        ("CREATE a shape", "'shape' needs a value, or is no word of a table"),
        ("CREATE a shape leaderless replicas 16", "a table has 1 to 15 replicas"),
        ("CREATE a shape leaderless replicas 300", "a table has 1 to 15 replicas"),
        ("CREATE a shape leaderless replicas -1", "a table has 1 to 15 replicas"),
        ("CREATE a shape leaderless read 4", "a read waits for at least 1 replica"),
        ("CREATE a shape leaderless write 0", "a write waits for at least 1 replica"),
        ("CREATE a shape leaderless write x", "'write' needs an integer of 64 bits"),
        ("CREATE a shape leaderless preset quick", "a preset is fast-reads, fast-writes or balanced"),
        ("CREATE a shape leaderless preset balanced read 1", "a preset says what read and write are; "),
        ("CREATE a shape leaderless read 1 read 1", "'read' is said twice"),
        ("CREATE a shape leaderless cell list", "a cell is one of mv-register, lww-register, flag, "),
        ("CREATE a shape leaderless bound 1", "only a table of bounded counters has a bound"),
        ("CREATE a shape leaderless ranges b a", "the bounds of ranges must be different keys in order"),
        ("ALTER carts shape consensus", "the shape of a table cannot be changed; "),
        ("ALTER carts cell set", "the cell of a table cannot be changed; "),
        ("ALTER carts bound 1", "only a table of bounded counters has a bound"),
        ("ALTER carts ranges m", "the division of a table cannot be changed; "),
        ("LIFE 0 1 0", "a node is a number from 1 to 63"),
        ("LIFE 64 1 0", "a node is a number from 1 to 63"),
        ("LIFE 1 x 0", "a life takes a node, a number, and the life before"),
        ("LIFE 1 1 -1", "a life takes a node, a number, and the life before"),
        ("CREATE a shape leaderless founders 1,x 1", "a node is a number from 1 to 63"),
        ("CAUGHT 1 x 1", "who has compared says a table, an epoch and a node"),
    ] {
        let reply = replica.told(&format!("TABLE.{words}"));
        assert!(reply.starts_with(&format!("!ERR applied: no; {why}")), "{words}: {reply}");
        assert_eq!(replica.store, before, "{words}");
    }
}

#[test]
fn a_life_that_is_claimed_twice_is_given_once() {
    script(
        r#"
        TABLE.LIFE 2 70 0 -> 1
        TABLE.LIFE 2 70 0 -> 1
        TABLE.LIFE 3 70 0 -> 1
        TABLE.LIFE 2 18446744073709551615 1 -> 2
        "#,
    );
}

#[test]
fn a_table_is_made_once_under_an_idempotency_key() {
    let mut replica = Replica::new();
    let create = with_idempotency("once", batch(&["TABLE.CREATE notes"]));
    replica.apply(&create);
    let before = replica.store.clone();
    let again = replica.apply(&create);
    assert_eq!((again.value, again.replay_of.is_some()), (Value::OK, true));
    assert_eq!(replica.store, before);
}

#[test]
fn no_flush_touches_the_catalogue() {
    script(
        r#"
        TABLE.CREATE notes -> OK
        SET k v -> OK
        FLUSHALL -> OK
        FLUSHDB -> OK
        DBSIZE -> 0
        TABLE.CREATE notes -> !ERR applied: no; there is a table of this name already
        "#,
    );
}

#[test]
fn tables_that_hold_keys_are_found_by_their_number() {
    let mut replica = Replica::new();
    for id in [0, 255, 256, 300] {
        replica.apply(&Batch { table: TableId(id), ..batch(&["SET k v"]) });
    }
    replica.apply(&Batch { table: TableId(300), ..batch(&["FLUSHDB"]) });
    let found = tables_with_keys(&replica.store, SPACE, TableId(255));
    assert_eq!(found, [TableId(255), TableId(256)]);
}

#[test]
fn members_are_set_and_listed() {
    let mut replica = Replica::new();
    assert_eq!(replica.told("MEMBER.LIST"), "[]");
    for (words, reply) in [("SET 4 weight 2 zone 7 address host:1", "OK"), ("SET 4 votes no", "OK"), ("SET 4", "OK")] {
        assert_eq!(replica.told(&format!("MEMBER.{words} founders 1,2,3 1,2,3")), reply, "{words}");
    }
    let shown = replica.told("MEMBER.LIST");
    assert!(shown.contains("host:1"), "{shown}");
    assert_eq!(shown.matches("votes").count(), 4, "{shown}");
    let before = replica.store.clone();
    for (words, why) in [
        ("SET 5", "the node did not say who the members are"),
        ("SET x founders 1 1", "a node is a number from 1 to 63"),
        ("SET 5 weight 65 founders 1 1", "a weight is 0 to 64"),
        ("SET 5 weight founders 1 1", "'weight' needs a value, or is no word of a member"),
        ("SET 5 rack 1 founders 1 1", "'rack' is no word of a member"),
        ("SET 5 votes perhaps founders 1 1", "votes are yes or no"),
        ("SET 5 zone 1 zone 2 founders 1 1", "'zone' is said twice"),
        ("FORGET 4 founders 1 1", "the node still votes or holds data; remove it first and wait"),
        ("FORGET 9 founders 1 1", "there is no such node"),
    ] {
        let reply = replica.told(&format!("MEMBER.{words}"));
        assert!(reply.starts_with(&format!("!ERR applied: no; {why}")), "{words}: {reply}");
        assert_eq!(replica.store, before, "{words}");
    }
}
