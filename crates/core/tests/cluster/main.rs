//! A few nodes on a small network in memory: the shortest proof that the node works at all. The lab does the rest.
#![allow(clippy::unwrap_used)]

mod net;
mod split;
mod tables;

use bytes::Bytes;
use net::Net;
use quorate_core::consensus::{Body, Members, Point};
use quorate_core::guarantee::{Ack, Level, Met, Session, Want};
use quorate_core::machine::*;
use quorate_core::node::Message;
use quorate_core::operation::*;
use quorate_core::store::MemoryStore;

#[test]
fn any_node_takes_writes_and_reads() {
    for nodes in [1, 2, 3, 5] {
        let mut net = Net::new(nodes, 1, 1);
        for id in 1..=nodes {
            assert_eq!(net.value(id, &["SET", "k", &id.to_string()]), Value::OK);
            assert_eq!(net.value(nodes + 1 - id, &["GET", "k"]), Value::bulk(id.to_string().as_bytes()));
        }
        assert_eq!(net.value(1, &["INCR", "k"]), Value::Int(i64::from(nodes) + 1));
    }
}

#[test]
fn receipts_name_who_answered() {
    let mut net = Net::new(5, 1, 2);
    for (ack, met) in
        [(Ack::Leader, Ack::Leader), (Ack::One, Ack::One), (Ack::Majority, Ack::Majority), (Ack::All, Ack::All)]
    {
        let outcome = net.ask(1, Want::of_ack(ack), &["SET", "k", "v"]);
        let Outcome::Done { value, receipt } = outcome else { panic!("{outcome:?}") };
        assert_eq!(value, Value::OK);
        let Met::Write(Some(really)) = receipt.met() else { panic!("{receipt:?}") };
        assert!(really >= met, "{receipt:?}");
    }
    let outcome = net.ask(2, Want::of_level(Level::Eventual), &["GET", "k"]);
    let Outcome::Done { receipt, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((receipt.met(), receipt.served_by()), (Met::Read(Level::Eventual), NodeId(2)));
    assert_eq!(net.ask(2, Want::of_ack(Ack::One), &["INCR", "n"]), Outcome::Refused(Refusal::AckNeedsBlindWrite));
}

#[test]
fn losing_the_leader_loses_no_acknowledged_write() {
    let mut net = Net::new(3, 1, 3);
    for round in 0..6 {
        assert_eq!(net.value(1 + round % 3, &["SET", "k", &round.to_string()]), Value::OK);
        let leader = net.leader(0);
        net.hosts.get_mut(&NodeId(leader)).unwrap().node = None;
        let other = 1 + leader % 3;
        net.hosts
            .keys()
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|id| net.step(id, Input::Lost { peer: NodeId(leader) }));
        assert_eq!(net.value(other, &["GET", "k"]), Value::bulk(round.to_string().as_bytes()));
        assert_eq!(net.value(other, &["SET", "other", &round.to_string()]), Value::OK);
        net.boot(leader);
        net.run(100);
    }
}

#[test]
fn a_follower_that_missed_the_log_gets_the_state() {
    let mut net = Net::new(3, 1, 4);
    net.keep = 20;
    (1..=3).for_each(|id| net.boot(id));
    net.run(1500);
    let cut = 1 + net.leader(0) % 3;
    net.cut = Some(NodeId(cut));
    let through = net.leader(0);
    for n in 0..100 {
        assert_eq!(net.value(through, &["SET", &format!("key{n}"), &"x".repeat(5000)]), Value::OK);
        assert_eq!(net.value(through, &["INCR", "n"]), Value::Int(n + 1));
    }
    net.cut = None;
    net.run(2000);
    let outcome = net.ask(cut, Want::of_level(Level::Eventual), &["GET", "n"]);
    assert!(matches!(outcome, Outcome::Done { value, .. } if value == Value::bulk(b"100")));
    let state = |net: &Net, id: u16| {
        let host = &net.hosts[&NodeId(id)];
        let space = host.node.as_ref().unwrap().group(0).unwrap().space();
        let pairs = host.store.0.iter().filter(|(key, _)| key.starts_with(&space));
        pairs.map(|(key, value)| (key.slice(7..), value.clone())).collect::<Vec<_>>()
    };
    assert_eq!(state(&net, cut), state(&net, through));
    assert!(net.hosts[&NodeId(cut)].node.as_ref().unwrap().group(0).unwrap().applied().generation > 0);
}

#[test]
fn a_lossy_network_only_slows_it_down() {
    for seed in 0..20 {
        let mut net = Net::new(3, 2, seed);
        net.drop_per_mille = 50;
        net.run(2000);
        for n in 0..20u16 {
            let outcome = net.ask(1 + n % 3, Want::default(), &["INCR", &format!("k{}", n % 4)]);
            assert!(!matches!(outcome, Outcome::Short { .. }), "{outcome:?}");
        }
        net.drop_per_mille = 0;
        net.run(1000);
        assert!(matches!(net.value(1, &["DBSIZE"]), Value::Int(4)));
    }
}

#[test]
fn leadership_moves_when_asked() {
    let mut net = Net::new(3, 1, 5);
    net.value(1, &["SET", "k", "v"]);
    let (from, to) = (net.leader(0), 1 + net.leader(0) % 3);
    net.transfer(from, to);
    net.run(100);
    assert_eq!(net.leader(0), to);
    assert_eq!(net.value(from, &["GET", "k"]), Value::bulk(b"v"));
}

#[test]
fn keys_expire_by_log_time() {
    let mut net = Net::new(3, 1, 6);
    net.value(1, &["SET", "k", "v", "PX", "500"]);
    assert_eq!(net.value(2, &["GET", "k"]), Value::bulk(b"v"));
    net.run(600);
    assert_eq!(net.value(2, &["GET", "k"]), Value::Nil);
    assert_eq!(net.value(2, &["DBSIZE"]), Value::Int(0));
}

#[test]
fn a_scan_walks_all_groups_and_tells_each_key_once() {
    let mut net = Net::new(3, 4, 7);
    let keys: Vec<String> = (0..50).map(|n| format!("key{n}")).collect();
    for key in &keys {
        assert_eq!(net.value(1, &["SET", key, "v"]), Value::OK);
    }
    assert_eq!(net.value(2, &["DBSIZE"]), Value::Int(50));
    let (mut cursor, mut told) = ("0".to_string(), Vec::new());
    loop {
        let Value::Array(reply) = net.value(3, &["SCAN", &cursor, "COUNT", "7"]) else { panic!("not a scan") };
        let [Value::Bulk(next), Value::Array(page)] = &reply[..] else { panic!("{reply:?}") };
        for item in page {
            let Value::Bulk(key) = item else { panic!("{item:?}") };
            told.push(String::from_utf8(key.to_vec()).unwrap());
        }
        cursor = String::from_utf8(next.to_vec()).unwrap();
        if cursor == "0" {
            break;
        }
    }
    told.sort();
    let mut expected = keys.clone();
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(
        net.ask(1, Want::default(), &["MSET", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5"]),
        Outcome::Refused(Refusal::CrossGroup)
    );
    assert_eq!(net.value(1, &["MSET", "{t}a", "1", "{t}b", "2"]), Value::OK);
    assert_eq!(net.value(1, &["FLUSHALL"]), Value::OK);
    assert_eq!(net.value(2, &["DBSIZE"]), Value::Int(0));
}

#[test]
fn a_late_copy_of_a_forwarded_call_does_not_make_it_run_twice() {
    for restarts in [false, true] {
        let mut net = Net::new(3, 1, 8);
        net.value(1, &["SET", "warm", "v"]);
        let leader = net.leader(0);
        let (asker, next) = (1 + leader % 3, 1 + (leader + 1) % 3);
        let call = net.call(asker, Want::default(), Session::default(), &["INCR", "n"]);
        let forward = |(_, _, message): &&(NodeId, NodeId, Message)| matches!(message, Message::Forward { .. });
        let (from, to, message) = net.queue.iter().find(forward).unwrap().clone();
        net.mute = true;
        net.run(50);
        if restarts {
            net.boot(leader);
        } else {
            net.transfer(leader, next);
            net.run(50);
        }
        net.mute = false;
        net.step(to, Input::Message { from, message });
        net.run(4000);
        assert!(matches!(net.replies[&call], Reply::Operated { outcome: Outcome::Unknown(_), .. }));
        assert_eq!(net.value(asker, &["GET", "n"]), Value::bulk(b"1"), "restarts: {restarts}");
    }
}

#[test]
fn a_pipeline_of_writes_keeps_its_order_while_leadership_is_handed_over() {
    for through_leader in [false, true] {
        let mut net = Net::new(3, 1, 9);
        net.value(1, &["SET", "k", "v"]);
        let leader = net.leader(0);
        let (follower, away) = (1 + leader % 3, 1 + (leader + 1) % 3);
        let client = if through_leader { leader } else { follower };
        net.cut = Some(NodeId(away));
        net.call(leader, Want::default(), Session::default(), &["SET", "k", "behind"]);
        net.run(5);
        net.transfer(leader, away);
        for n in 0..900 {
            net.call(client, Want::default(), Session::default(), &["SET", "k", &n.to_string()]);
            net.run(1);
        }
        net.run(3000);
        let index = |reply: &Reply| match reply {
            Reply::Operated { outcome: Outcome::Done { receipt, .. }, .. } => Some(receipt.position().index),
            Reply::Operated { .. }
            | Reply::Status(_)
            | Reply::Transferred(_)
            | Reply::ChangeBegun(_)
            | Reply::Hot(_)
            | Reply::Repair(_) => None,
        };
        let places: Vec<u64> = net.replies.values().filter_map(index).collect();
        assert!(places.len() > 900);
        assert!(places.is_sorted(), "through the leader: {through_leader}");
    }
}

#[test]
fn a_tick_that_was_lost_with_its_leader_does_not_stop_expiry() {
    let mut net = Net::new(3, 1, 10);
    net.value(1, &["SET", "k", "v", "PX", "100"]);
    let leader = net.leader(0);
    net.cut = Some(NodeId(leader));
    for n in 0..200 {
        net.call(leader, Want::default(), Session::default(), &["SET", "lost", &n.to_string()]);
    }
    net.run(3000);
    net.cut = None;
    net.run(500);
    let between = net.leader(0);
    assert_ne!(between, leader);
    net.transfer(between, leader);
    net.run(100);
    assert_eq!(net.leader(0), leader);
    assert_eq!(net.value(leader, &["SET", "short", "v", "PX", "200"]), Value::OK);
    net.run(500);
    assert_eq!(net.value(leader, &["GET", "short"]), Value::Nil);
}

/// It must be noticed by people; until then it must not keep the leader busy.
#[test]
fn a_follower_whose_disk_was_lost_is_not_asked_without_a_pause() {
    let mut net = Net::new(3, 1, 5);
    net.run(3000);
    let leader = net.leader(0);
    for at in 0..20 {
        assert!(matches!(net.ask(leader, Want::default(), &["SET", "k", &at.to_string()]), Outcome::Done { .. }));
    }
    let wiped = if leader == 1 { 2 } else { 1 };
    net.run(200);
    net.hosts.get_mut(&NodeId(wiped)).unwrap().store = MemoryStore::default();
    net.boot(wiped);
    assert!(matches!(net.ask(leader, Want::default(), &["SET", "k", "after"]), Outcome::Done { .. }));
    net.run(500);
    net.sent.clear();
    net.run(1000);
    let sent = net.sent[&NodeId(wiped)];
    assert!(sent < 60, "{sent} messages in a second");
    assert!(matches!(net.ask(leader, Want::default(), &["SET", "k", "v"]), Outcome::Done { .. }));
}

fn consensus(term: u64, body: Body) -> Message {
    Message::Consensus { group: 0, message: quorate_core::consensus::Message { term, body } }
}

#[test]
fn a_grant_for_an_earlier_term_does_not_count() {
    let mut net = Net::new(3, 1, 11);
    let (node, peer, other) = (NodeId(1), NodeId(2), NodeId(3));
    let wait = |net: &mut Net| {
        net.now_us += 5_000_000;
        net.step(node, Input::Wake);
        assert_eq!(net.hosts[&node].node.as_ref().unwrap().group(0).unwrap().role(), Role::PreCandidate);
    };
    wait(&mut net);
    let message = consensus(1, Body::Heartbeat { commit: 0, round: 0, reply: true });
    net.step(node, Input::Message { from: peer, message });
    wait(&mut net);
    // Asked for when the node wanted term 1; now it wants term 2.
    let late = consensus(1, Body::PreVoteReply { granted: true });
    net.step(node, Input::Message { from: other, message: late });
    let group = |net: &Net| {
        let group = net.hosts[&node].node.as_ref().unwrap().group(0).unwrap();
        (group.role(), group.term())
    };
    assert_eq!(group(&net), (Role::PreCandidate, 1));
    let message = consensus(2, Body::PreVoteReply { granted: true });
    net.step(node, Input::Message { from: other, message });
    assert_eq!(group(&net), (Role::Candidate, 2));
}

#[test]
fn a_snapshot_whose_sender_no_longer_leads_leaves_nothing_behind() {
    let mut net = Net::new(3, 1, 12);
    let (node, sender, next) = (NodeId(1), NodeId(2), NodeId(3));
    let pairs = vec![(Bytes::from_static(b"key"), Bytes::from_static(b"value"))];
    let (at, members) = (Point { term: 1, index: 9 }, Members::of([node, sender, next]));
    let body = Body::Snapshot { at, times_ms: (5, 5), attempt: 1, piece: 0, pairs, done: false, members };
    net.step(node, Input::Message { from: sender, message: consensus(1, body) });
    let pieces = |net: &Net| net.hosts[&node].store.0.keys().filter(|key| key[0] == 2).count();
    assert_eq!(pieces(&net), 1);
    let message = consensus(2, Body::Heartbeat { commit: 0, round: 0, reply: true });
    net.step(node, Input::Message { from: next, message });
    net.step(node, Input::Wake);
    assert_eq!(pieces(&net), 0);
}

#[test]
fn a_learner_is_caught_up_once_it_holds_what_is_committed() {
    let mut net = Net::new(4, 1, 21);
    net.value(1, &["SET", "k", "v1"]);
    let leader = net.leader(0);
    let others: Vec<u16> = (1..=4).filter(|node| *node != leader).collect();
    let (voters, learner) = ([leader, others[0], others[1]], others[2]);
    assert_eq!(net.change_members(leader, &voters, &[learner]), Ok(()));
    net.run(500);
    let caught_up = |net: &Net, node| net.node(leader).group(0).unwrap().caught_up(NodeId(node));
    assert!(caught_up(&net, learner) && caught_up(&net, leader));
    net.cut = Some(NodeId(learner));
    net.value(leader, &["SET", "k", "v2"]);
    assert!(!caught_up(&net, learner));
    net.cut = None;
    net.run(500);
    assert!(caught_up(&net, learner) && !caught_up(&net, 9));
    let status = net.node(leader).status(net.now().mono);
    assert_eq!((status.groups[0].voters.len(), &status.groups[0].learners[..]), (3, &[NodeId(learner)][..]));
    assert!(status.groups[0].outgoing.is_empty());
    // A learner leads nothing, and its answer does not count.
    net.next_call += 1;
    let (call, request) = (CallId(net.next_call), Request::Transfer { group: 0, to: NodeId(learner) });
    net.step(NodeId(leader), Input::Request { call, request });
    assert_eq!(net.replies[&call], Reply::Transferred(Err(Refusal::NoSuchTarget)));
    let Outcome::Done { receipt, .. } = net.ask(leader, Want::of_ack(Ack::All), &["SET", "k", "v3"]) else { panic!() };
    assert_eq!((receipt.members(), receipt.durable().contains(NodeId(learner))), (3, false));
}

#[test]
fn a_change_of_members_that_cannot_be_is_refused() {
    let mut net = Net::new(3, 1, 22);
    net.value(1, &["SET", "k", "v1"]);
    let leader = net.leader(0);
    let follower = if leader == 1 { 2 } else { 1 };
    assert_eq!(net.change_members(follower, &[1, 2], &[]), Err(Refusal::NoLeader));
    for (voters, learners) in [(&[][..], &[1][..]), (&[1, 2], &[2])] {
        assert!(matches!(net.change_members(leader, voters, learners), Err(Refusal::Impossible(_))));
    }
    for (voters, learners) in [(&[1, 64][..], &[][..]), (&[0, 1], &[]), (&[1], &[1000])] {
        assert_eq!(net.change_members(leader, voters, learners), Err(Refusal::NoSuchTarget));
    }
    assert_eq!(net.change_members(leader, &[1, 2, 3, 4], &[]), Ok(()));
    assert_eq!(net.change_members(leader, &[1, 2, 3], &[]), Err(Refusal::ChangeOnItsWay));
}
