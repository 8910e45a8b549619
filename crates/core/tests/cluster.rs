//! A few nodes on a small network in memory: the shortest proof that the node works at all. The lab does the rest.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use quorate_core::consensus::{Body, Members, Point};
use quorate_core::guarantee::{Ack, Level, Met, Session, Want};
use quorate_core::machine::*;
use quorate_core::node::{Config, Message, Node};
use quorate_core::operation::*;
use quorate_core::random::Random;
use quorate_core::store::{MemoryStore, Seq};
use std::collections::{BTreeMap, VecDeque};

struct Host {
    node: Option<Node>,
    store: MemoryStore,
    written: Seq,
    random: Random,
    held: Vec<(Seq, NodeId, Message)>,
}

struct Net {
    now_us: u64,
    hosts: BTreeMap<NodeId, Host>,
    queue: VecDeque<(NodeId, NodeId, Message)>,
    replies: BTreeMap<CallId, Reply>,
    next_call: u64,
    random: Random,
    drop_per_mille: u64,
    cut: Option<NodeId>,
    /// Answers to forwarded calls are lost.
    mute: bool,
    /// The consensus messages of this group are lost.
    silent: Option<u16>,
    groups: u16,
    keep: u64,
    /// Messages sent to each node.
    sent: BTreeMap<NodeId, u64>,
}

impl Net {
    fn new(nodes: u16, groups: u16, seed: u64) -> Net {
        let mut net = Net {
            now_us: 0,
            hosts: BTreeMap::new(),
            queue: VecDeque::new(),
            replies: BTreeMap::new(),
            next_call: 0,
            random: Random::new(seed),
            drop_per_mille: 0,
            cut: None,
            mute: false,
            silent: None,
            groups,
            keep: 1000,
            sent: BTreeMap::new(),
        };
        for id in 1..=nodes {
            let random = net.random.fork();
            let (store, written) = (MemoryStore::default(), Seq(0));
            net.hosts.insert(NodeId(id), Host { node: None, store, written, random, held: Vec::new() });
        }
        (1..=nodes).for_each(|id| net.boot(id));
        net
    }

    fn boot(&mut self, id: u16) {
        let members: Vec<NodeId> = self.hosts.keys().copied().collect();
        let mut config = Config::new(9, NodeId(id), members, self.groups);
        config.incarnation = self.now_us + 1;
        config.keep.entries = self.keep;
        let now = self.now();
        let host = self.hosts.get_mut(&NodeId(id)).unwrap();
        host.node = Some(Node::boot(&config, now, &host.store));
    }

    fn now(&self) -> Now {
        let ms = 1_000_000 + self.now_us / 1000;
        Now { mono: Mono(self.now_us), wall: Wall { earliest_ms: ms, latest_ms: ms } }
    }

    fn step(&mut self, id: NodeId, input: Input<Request, Message>) {
        let now = self.now();
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Some(node) = &mut host.node else { return };
        let mut turn = Turn::default();
        let mut cx = Step::open(now, host.written, &mut host.store, &mut host.random, &mut turn);
        node.step(&mut cx, input);
        if turn.wrote {
            host.written = Seq(host.written.0 + 1);
        }
        for send in turn.sends {
            assert_ne!(send.to, id);
            *self.sent.entry(send.to).or_default() += 1;
            match send.leave {
                Leave::Now => self.queue.push_back((id, send.to, send.message)),
                Leave::AfterSync => host.held.push((turn.after, send.to, send.message)),
            }
        }
        for answer in turn.answers {
            assert!(self.replies.insert(answer.call, answer.reply).is_none(), "answered twice");
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms * 4 {
            self.now_us += 250;
            let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
            for &id in &ids {
                let host = self.hosts.get_mut(&id).unwrap();
                let written = host.written;
                for (_, to, message) in std::mem::take(&mut host.held) {
                    self.queue.push_back((id, to, message));
                }
                if self.hosts[&id].node.is_some() {
                    self.step(id, Input::Synced { upto: written });
                }
            }
            for _ in 0..self.queue.len() {
                let (from, to, message) = self.queue.pop_front().unwrap();
                let cut = self.cut.is_some_and(|cut| cut == from || cut == to)
                    || self.mute && matches!(message, Message::Answer { .. })
                    || matches!(message, Message::Consensus { group, .. } if self.silent == Some(group));
                if !cut && !self.random.chance(self.drop_per_mille) {
                    self.step(to, Input::Message { from, message });
                }
            }
            for &id in &ids {
                let due = |net: &Net| {
                    let node = net.hosts[&id].node.as_ref();
                    node.and_then(|node| node.wake_at()).is_some_and(|wake| wake.at.0 <= net.now_us)
                };
                for _ in 0..4 {
                    if due(self) {
                        self.step(id, Input::Wake);
                    }
                }
            }
        }
    }

    fn call(&mut self, to: u16, want: Want, session: Session, words: &[&str]) -> CallId {
        self.call_on(TableId(0), to, want, session, words)
    }

    fn call_on(&mut self, table: TableId, to: u16, want: Want, session: Session, words: &[&str]) -> CallId {
        self.next_call += 1;
        let call = CallId(self.next_call);
        let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let batch = Batch { table, guards: vec![], idempotency: None, commands: vec![words], transaction: false };
        let operate = Operate { batch, want, session, seen: None, after_own_writes: false, deadline_ms: 3000 };
        self.step(NodeId(to), Input::Request { call, request: Request::Operate(operate) });
        call
    }

    fn ask(&mut self, to: u16, want: Want, words: &[&str]) -> Outcome {
        let call = self.call(to, want, Session::default(), words);
        self.outcome(call)
    }

    fn outcome(&mut self, call: CallId) -> Outcome {
        for _ in 0..80 {
            if let Some(Reply::Operated { outcome, .. }) = self.replies.get(&call) {
                return outcome.clone();
            }
            self.run(50);
        }
        panic!("no reply");
    }

    fn value(&mut self, to: u16, words: &[&str]) -> Value {
        match self.ask(to, Want::default(), words) {
            Outcome::Done { value, .. } => value,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    /// As `value`, on a table that was made at run time.
    fn value_on(&mut self, table: TableId, to: u16, words: &[&str]) -> Value {
        let call = self.call_on(table, to, Want::default(), Session::default(), words);
        match self.outcome(call) {
            Outcome::Done { value, .. } => value,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    fn node(&self, id: u16) -> &Node {
        self.hosts[&NodeId(id)].node.as_ref().unwrap()
    }

    fn transfer(&mut self, from: u16, to: u16) {
        self.next_call += 1;
        let (call, request) = (CallId(self.next_call), Request::Transfer { group: 0, to: NodeId(to) });
        self.step(NodeId(from), Input::Request { call, request });
        assert_eq!(self.replies[&call], Reply::Transferred(Ok(())));
    }

    fn change_members(&mut self, at: u16, voters: &[u16], learners: &[u16]) -> Result<(), Refusal> {
        self.next_call += 1;
        let ids = |nodes: &[u16]| nodes.iter().copied().map(NodeId).collect();
        let (call, voters, learners) = (CallId(self.next_call), ids(voters), ids(learners));
        self.step(NodeId(at), Input::Request { call, request: Request::ChangeMembers { group: 0, voters, learners } });
        let Reply::ChangeBegun(result) = self.replies[&call].clone() else { panic!("another reply") };
        result
    }

    fn leader(&self, group: u16) -> u16 {
        let leads = |host: &&Host| host.node.as_ref().is_some_and(|node| node.group(group).unwrap().leads());
        self.hosts.values().find(leads).unwrap().node.as_ref().unwrap().config().node.0
    }
}

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
