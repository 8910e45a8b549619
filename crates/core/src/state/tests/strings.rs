use super::script;

#[test]
fn strings_are_set_and_read() {
    script(
        r#"
        GET a -> nil
        SET a 1 -> OK
        GET a -> "1"
        SET a 2 NX -> nil
        SET a 2 XX -> OK
        SET a 3 GET -> "2"
        SET b 1 XX -> nil
        SET b 1 NX GET -> nil
        SET b 2 NX GET -> "1"
        SET b 2 NX XX -> !ERR syntax error
        SET b 2 EX -> !ERR syntax error
        SET b 2 EX x -> !ERR value is not an integer or out of range
        SET b 2 EX 0 -> !ERR invalid expire time in 'set' command
        SET b 2 EX 10 PX 10 -> !ERR syntax error
        SET b 2 EX 10 KEEPTTL -> !ERR syntax error
        SET b 2 EX 10 -> OK
        TTL b -> 10
        SET b 3 KEEPTTL -> OK
        TTL b -> 10
        SET b 3 -> OK
        TTL b -> -1
        SET b 3 PX 100 -> OK
        +99
        GET b -> "3"
        PTTL b -> 1
        +1
        GET b -> nil
        TTL b -> -2
        SET b 4 XX -> nil
        SETNX b 5 -> 1
        SETNX b 6 -> 0
        TTL b -> -1
        GETSET b 7 -> "5"
        GETDEL b -> "7"
        GETDEL b -> nil
        MSET x 1 y 2 x 3 -> OK
        MGET x y z -> ["3" "2" nil]
        MSET x 1 y -> !ERR wrong number of arguments for 'mset' command
        MSETNX y 1 z 1 -> 0
        MSETNX v 1 w 1 -> 1
        SETEX k 10 v -> OK
        PSETEX k 0 v -> !ERR invalid expire time in 'psetex' command
        GETEX k PERSIST -> "v"
        TTL k -> -1
        GETEX k EX 100 -> "v"
        TTL k -> 100
        GETEX k PERSIST EX 1 -> !ERR syntax error
        GETEX k PXAT 1 -> "v"
        GET k -> nil
        "#,
    );
}

#[test]
fn strings_grow_and_are_cut() {
    script(
        r#"
        APPEND a hello -> 5
        APPEND a _world -> 11
        GETRANGE a 0 4 -> "hello"
        GETRANGE a -5 -1 -> "world"
        GETRANGE a 5 2 -> ""
        GETRANGE a 0 100 -> "hello_world"
        SUBSTR a 0 0 -> "h"
        SETRANGE a 6 there -> 11
        GET a -> "hello_there"
        SETRANGE b -1 x -> !ERR offset is out of range
        SETRANGE b 8388608 x -> !ERR string exceeds maximum allowed size (8388608 bytes)
        STRLEN b -> 0
        SETRANGE b 2 x -> 3
        STRLEN b -> 3
        STRLEN a -> 11
        "#,
    );
}

#[test]
fn counters_count() {
    script(
        r#"
        INCR n -> 1
        INCRBY n 9 -> 10
        DECR n -> 9
        DECRBY n 10 -> -1
        INCRBY n x -> !ERR value is not an integer or out of range
        SET n 9223372036854775807 -> OK
        INCR n -> !ERR increment or decrement would overflow
        DECRBY n -9223372036854775808 -> !ERR decrement would overflow
        SET n a -> OK
        INCR n -> !ERR value is not an integer or out of range
        SET f 0.1 EX 10 -> OK
        INCRBYFLOAT f 0.2 -> "0.3"
        TTL f -> 10
        INCRBYFLOAT f x -> !ERR value is not a valid float
        INCRBYFLOAT f inf -> !ERR increment would produce NaN or Infinity
        INCRBYFLOAT f -5e1 -> "-49.7"
        SET c 1 EX 10 -> OK
        CAS c 2 3 -> 0
        CAS c 1 3 -> 1
        GET c -> "3"
        TTL c -> 10
        CAS d 1 3 -> 0
        "#,
    );
}
