//! Tables that are made at run time.

use super::net::Net;
use bytes::Bytes;
use quorate_core::guarantee::{Session, Want};
use quorate_core::machine::*;
use quorate_core::node::Message;
use quorate_core::operation::*;

fn find(net: &Net, node: u16, name: &str) -> Option<TableId> {
    net.node(node).catalogue().find(name).map(|(id, _)| id)
}

#[test]
fn a_table_made_on_one_node_is_known_to_all_and_survives() {
    let mut net = Net::new(3, 4, 21);
    assert_eq!(net.value(2, &["TABLE.CREATE", "notes"]), Value::OK);
    net.run(300);
    let notes = find(&net, 1, "notes").unwrap();
    assert!((1..=3).all(|id| find(&net, id, "notes") == Some(notes)));
    for key in ["a", "b", "c", "d", "e"] {
        assert_eq!(net.value_on(notes, 1, &["SET", key, "note"]), Value::OK);
    }
    assert_eq!(net.value_on(notes, 3, &["DBSIZE"]), Value::Int(5));
    assert_eq!(net.value(3, &["DBSIZE"]), Value::Int(0), "its keys are its own");

    (1..=3).for_each(|id| net.boot(id));
    assert!((1..=3).all(|id| find(&net, id, "notes") == Some(notes)), "read at boot");
    assert_eq!(net.value_on(notes, 2, &["GET", "c"]), Value::bulk(b"note"));
}

#[test]
fn a_node_that_lags_waits_until_it_has_heard_of_the_table() {
    let mut net = Net::new(3, 1, 22);
    net.value(1, &["SET", "k", "v"]);
    let away = if net.leader(0) == 1 { 2 } else { 1 };
    let near = (1..=3).find(|&id| id != away && id != net.leader(0)).unwrap();
    net.keep = 5;
    (1..=3).for_each(|id| net.boot(id));
    net.run(3000);
    net.cut = Some(NodeId(away));
    net.run(1500);
    assert_eq!(net.value(near, &["TABLE.CREATE", "notes"]), Value::OK);
    let notes = find(&net, net.leader(0), "notes").unwrap();
    for number in 0..40 {
        net.value(near, &["SET", "k", &number.to_string()]);
    }
    assert_eq!(net.value_on(notes, near, &["SET", "k", "note"]), Value::OK);
    assert_eq!(find(&net, away, "notes"), None);
    let call = net.call_on(notes, away, Want::default(), Session::default(), &["GET", "k"]);
    net.run(100);
    assert_eq!(net.replies.get(&call), None, "it waits");
    net.cut = None;
    let Outcome::Done { value, .. } = net.outcome(call) else { panic!("it is served once the node knows") };
    assert_eq!(value, Value::bulk(b"note"));
    assert!(net.node(away).group(0).unwrap().applied().generation > 0, "a snapshot brought the table");

    let unknown = TableId(notes.0 + 9);
    let call = net.call_on(unknown, near, Want::default(), Session::default(), &["GET", "k"]);
    assert_eq!(net.outcome(call), Outcome::Refused(Refusal::Behind), "at its deadline");
}

#[test]
fn what_a_removed_table_held_is_freed_at_last() {
    let cells = |net: &Net, id: u16| {
        // The keys of cells: drawer, group, generation, 2, then the table.
        let of_made = |key: &&Bytes| key[0] == 2 && key[7] == 2 && key[8..10] >= [1, 0][..];
        net.hosts[&NodeId(id)].store.0.keys().filter(of_made).count()
    };
    let mut net = Net::new(3, 2, 23);
    net.value(1, &["TABLE.CREATE", "notes"]);
    net.run(300);
    let notes = find(&net, 1, "notes").unwrap();
    for key in 0..50 {
        net.value_on(notes, 1, &["SET", &key.to_string(), "note"]);
    }
    net.run(300);
    assert!((1..=3).all(|id| cells(&net, id) == 50));
    // Whoever leads the second group hears that the table is gone, and does not get it through; then all nodes stop, and
    // that one does not return.
    let first = net.leader(1);
    net.silent = Some(1);
    assert_eq!(net.value(1, &["TABLE.DROP", "notes"]), Value::OK);
    net.run(300);
    assert!((1..=3).all(|id| find(&net, id, "notes").is_none()));
    net.silent = None;
    (1..=3).for_each(|id| net.boot(id));
    net.hosts.get_mut(&NodeId(first)).unwrap().node = None;
    assert!((1..=3).all(|id| cells(&net, id) > 0));
    net.run(5000);
    assert!((1..=3).all(|id| id == first || cells(&net, id) == 0));
    net.boot(first);
    net.run(5000);
    assert_eq!(cells(&net, first), 0);
    let call = net.call_on(notes, 1, Want::default(), Session::default(), &["GET", "1"]);
    assert_eq!(net.outcome(call), Outcome::Refused(Refusal::UnknownTable));
    assert_eq!(net.value(2, &["TABLE.CREATE", "notes"]), Value::OK);
    net.run(300);
    assert!(find(&net, 1, "notes").unwrap() > notes, "a number is not used again");
}

#[test]
fn a_node_asks_for_one_life_at_each_start_while_it_needs_one() {
    let mut net = Net::new(3, 1, 24);
    net.value(1, &["TABLE.CREATE", "notes"]);
    net.run(2000);
    assert_eq!(net.node(1).catalogue().life(NodeId(1)), None, "nobody needs one");
    net.value(1, &["TABLE.CREATE", "carts", "shape", "leaderless"]);
    net.run(3000);
    let lives = |net: &Net| (1..=3).map(|id| net.node(id).actor().map(|actor| actor.incarnation)).collect::<Vec<_>>();
    assert_eq!(lives(&net), [Some(1), Some(1), Some(1)]);
    net.run(3000);
    assert_eq!(lives(&net), [Some(1), Some(1), Some(1)], "once given, it is not asked for again");
    net.boot(2);
    assert_eq!(lives(&net)[1], None, "the life that the disk remembers is over");
    // The life is given, and node 2 does not hear of it before it asks again.
    while net.node(net.leader(0)).catalogue().life(NodeId(2)) != Some(2) {
        net.run(1);
    }
    assert_eq!(lives(&net)[1], None);
    net.cut = Some(NodeId(2));
    net.run(2500);
    net.cut = None;
    net.run(3000);
    assert_eq!(lives(&net), [Some(1), Some(2), Some(1)]);
    let call = net.call(1, Want::default(), Session::default(), &["TABLE.LIFE", "2", "7"]);
    assert_eq!(net.outcome(call), Outcome::Refused(Refusal::UnknownCommand), "clients have no lives to give");
}

/// Every node serves every key, whether it holds it or passes the call on; a crash of one node loses nothing that was acknowledged.
#[test]
fn a_leaderless_table_is_served_by_every_node() {
    let mut net = Net::new(5, 1, 25);
    net.value(1, &["TABLE.CREATE", "carts", "shape", "leaderless", "cell", "set"]);
    net.value(1, &["TABLE.CREATE", "hits", "shape", "leaderless", "cell", "counter"]);
    net.run(3000);
    let (carts, hits) = (find(&net, 1, "carts").unwrap(), find(&net, 1, "hits").unwrap());
    for number in 0..10u16 {
        let (key, node) = (format!("k{number}"), 1 + number % 5);
        assert_eq!(net.value_on(carts, node, &["SADD", &key, "a", "b"]), Value::Int(2));
        assert_eq!(net.value_on(carts, 5 - number % 5, &["SREM", &key, "b"]), Value::Int(1));
        assert_eq!(net.value_on(carts, 1 + (number + 2) % 5, &["SMEMBERS", &key]), Value::Set(vec![Value::bulk(b"a")]));
        for by in 1..=5 {
            net.value_on(hits, by, &["INCRBY", "hits", "2"]);
        }
    }
    net.hosts.get_mut(&NodeId(2)).unwrap().node = None;
    net.run(2000);
    for (node, left) in [(1, "100"), (3, "99"), (4, "98"), (5, "97")] {
        assert_eq!(net.value_on(hits, node, &["GET", "hits"]), Value::bulk(left.as_bytes()));
        net.value_on(hits, node, &["DECR", "hits"]);
    }
    net.boot(2);
    net.run(3000);
    assert_eq!(net.value_on(hits, 2, &["GET", "hits"]), Value::bulk(b"96"));
    let call = net.call_on(hits, 1, Want::default(), Session::default(), &["SET", "hits", "1"]);
    assert!(matches!(net.outcome(call), Outcome::Refused(Refusal::Impossible(_))), "a counter is not set");
    // Removed: nothing is served any more, and a table of the same name is another.
    net.value(1, &["TABLE.DROP", "hits"]);
    net.value(1, &["TABLE.CREATE", "hits", "shape", "leaderless", "cell", "counter"]);
    net.run(300);
    let call = net.call_on(hits, 1, Want::default(), Session::default(), &["GET", "hits"]);
    assert_eq!(net.outcome(call), Outcome::Refused(Refusal::UnknownTable));
    let hits = find(&net, 1, "hits").unwrap();
    assert_eq!(net.value_on(hits, 3, &["GET", "hits"]), Value::Nil);
}

/// A session may know thousands of ranges: another node is told what the one operation needs, and tells what that one saw.
#[test]
fn an_operation_takes_along_and_brings_back_what_its_session_needs() {
    let mut net = Net::new(5, 1, 26);
    net.value(1, &["TABLE.CREATE", "carts", "shape", "leaderless", "cell", "mv-register"]);
    net.run(3000);
    let carts = find(&net, 1, "carts").unwrap();
    let ask = |net: &mut Net, table, node, session: &mut Session, words: &[&str]| {
        let call = net.call_on(table, node, Want::default(), session.clone(), words);
        let told = net.queue.iter().find_map(|(_, _, message)| match message {
            Message::Pass { operate, .. } | Message::Forward { operate, .. } => Some(operate.session.clone()),
            Message::Consensus { .. }
            | Message::Answer { .. }
            | Message::Beat(_)
            | Message::Leaderless(_)
            | Message::AskCatalogue
            | Message::Catalogue(_) => None,
        });
        net.outcome(call);
        let Reply::Operated { session: saw, .. } = &net.replies[&call] else { panic!("another reply") };
        session.merge(saw);
        told
    };
    let (mut session, mut passed) = (Session::default(), 0);
    for number in 0..40u16 {
        let (key, node) = (format!("k{number}"), 1 + number % 5);
        ask(&mut net, carts, node, &mut session, &["SET", &key, "v"]);
        if let Some(told) = ask(&mut net, carts, node, &mut session, &["GET", &key]) {
            passed += 1;
            assert!(!told.is_empty() && told.of_groups().is_empty() && told.token(9).len() < 200, "{told:?}");
        }
        if let Some(told) = ask(&mut net, TableId(0), node, &mut session, &["SET", &key, "v"]) {
            assert_eq!(told, told.of_groups(), "ranges of leaderless tables do not go to the leader");
        }
    }
    let (length, position) = (session.token(9).len(), session.position(0));
    assert!(passed > 5 && length > 500 && position > 0, "{passed} {length} {position}");
}

/// Every node takes every decrease that some replica has the rights for, and passes it on at most twice: to a replica, and to one that
/// holds enough.
#[test]
fn a_decrease_goes_where_the_rights_are() {
    let mut net = Net::new(5, 1, 26);
    net.value(1, &["TABLE.CREATE", "stock", "shape", "leaderless", "cell", "bounded-counter"]);
    net.run(3000);
    let stock = find(&net, 1, "stock").unwrap();
    let replicas = net.node(1).leaderless().replicas(stock, b"k").to_vec();
    let others = (1..=5).filter(|&id| !replicas.contains(&NodeId(id)));
    let [first, second, third] = [replicas[0].0, replicas[1].0, replicas[2].0];
    assert_eq!(net.value_on(stock, second, &["INCRBY", "k", "20"]), Value::Int(20));
    net.run(100);
    for (asked, left) in [first, second, third].into_iter().chain(others).zip([18, 16, 14, 12, 10]) {
        assert_eq!(net.value_on(stock, asked, &["DECRBY", "k", "2"]), Value::Int(left), "asked {asked}");
    }
    // Whoever wants rights asks for them anywhere.
    assert_eq!(net.value_on(stock, third, &["ESCROW.GIVE", "k", "4", &third.to_string()]), Value::Int(6));
    let rights = net.value_on(stock, first, &["ESCROW.RIGHTS", "k"]);
    let mut expected = [(second, 6), (third, 4)];
    expected.sort();
    let pairs = expected.iter().map(|&(node, rights)| (Value::Int(node.into()), Value::Int(rights)));
    assert_eq!(rights, Value::Map(pairs.collect()));
    // Together there is enough, and nobody alone has it.
    for asked in 1..=5 {
        let Value::Error(text) = net.value_on(stock, asked, &["DECRBY", "k", "7"]) else { panic!("refused") };
        assert!(text.ends_with(b"of the 10 rights to decrease the counter that it knows of; nothing was applied; ask for less, or move rights with ESCROW.GIVE"), "{text:?}");
    }
    // A node that starts again has the rights that it had.
    net.boot(second);
    net.run(3000);
    assert_eq!(net.value_on(stock, second, &["DECRBY", "k", "6"]), Value::Int(4));
    let error = net.value(1, &["ESCROW.RIGHTS", "k"]);
    assert!(matches!(error, Value::Error(_)), "a table in a log has none: {error:?}");
}
