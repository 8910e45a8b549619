//! Data that move: nothing that was acknowledged is lost, and nothing that was removed comes back.

use super::*;
use crate::catalogue::{Founders, MemberChange};
use crate::store::after_prefix;

const NODES: u16 = 5;

/// Five nodes, of which three hold data at first.
pub(super) fn moving_net(kind: Kind, mutants: Mutants, seed: u64) -> Net {
    let mut catalogue = Catalogue::default();
    let members: Vec<NodeId> = (1..=3).map(NodeId).collect();
    catalogue.found(&Founders { voters: members.clone(), members });
    catalogue.create(TABLE, shape(kind, (3, 2, 2))).expect("it can be given");
    Net::of(NODES, catalogue, mutants, seed)
}

fn shape(kind: Kind, (replicas, read, write): (u8, u8, u8)) -> Shape {
    let rule = Rule::new(replicas, read, write).expect("it is one");
    Shape::Leaderless(LeaderlessSpec { rule, kind, bound: 0, division: Division::Hash, parts: 1 })
}

/// A set on such replicas, and all know it.
fn net_by(rule: (u8, u8, u8)) -> Net {
    let mut net = moving_net(Kind::Set, Mutants::none(), 3);
    net.catalogue.alter(TABLE, shape(Kind::Set, rule)).expect("it can be given");
    net.tell_all();
    net.arrive();
    net
}

impl Net {
    fn up(&self, node: u16) -> bool {
        self.hosts[usize::from(node) - 1].up
    }

    pub(super) fn tell_all(&mut self) {
        (1..=NODES)
            .filter(|&node| self.up(node))
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|node| self.tell_catalogue(node));
    }

    pub(super) fn set_weight(&mut self, node: u16, weight: u16) {
        let change = MemberChange { weight: Some(weight), votes: Some(true), ..MemberChange::default() };
        // Too few would be left: refused.
        let _ = self.catalogue.set_member(NodeId(node), change);
    }

    /// The log hears who has caught up.
    pub(super) fn hear_caught_up(&mut self) {
        for node in 1..=NODES {
            if self.up(node) {
                for (table, epoch) in self.hosts[usize::from(node) - 1].room.caught_up() {
                    self.catalogue.caught_up(table, epoch, NodeId(node));
                }
            }
        }
    }

    pub(super) fn moves(&self) -> bool {
        self.catalogue.find(TABLE).expect("it was made").1.placed.moving.is_some()
    }

    fn leaves(&self) -> bool {
        self.hosts.iter().any(|host| host.room.leaving_of(self.table()) > 0)
    }

    /// All data are to go from nodes 1, 2 and 3 to 3, 4 and 5.
    pub(super) fn send_away(&mut self) {
        (4..=5).for_each(|node| self.set_weight(node, 1));
        (1..=2).for_each(|node| self.set_weight(node, 0));
        self.tell_all();
    }

    pub(super) fn cut_between(&mut self, some: &[u16], others: &[u16]) {
        for &one in some {
            for &other in others {
                self.cut.extend([(one, other), (other, one)]);
            }
        }
    }

    /// Time enough for a movement, whatever is cut.
    fn move_on(&mut self) {
        for _ in 0..12 {
            self.calm();
            self.pass(500);
            self.hear_caught_up();
            self.tell_all();
        }
    }

    /// Until all that moves has arrived.
    pub(super) fn arrive(&mut self) {
        self.recover();
        self.arrive_as_it_is();
    }

    /// The same with links that are cut.
    pub(super) fn arrive_as_it_is(&mut self) {
        for _ in 0..60 {
            self.calm();
            self.pass(500);
            self.calm();
            // What moved away is looked for when the node is woken next.
            if !self.moves() && !self.leaves() {
                return;
            }
            self.hear_caught_up();
            self.tell_all();
            self.pass(1);
        }
        panic!("the movement does not end: {:?}", self.catalogue.find(TABLE).map(|(_, spec)| &spec.placed));
    }

    /// Nodes whose disk has something of a key's range.
    fn on_disk(&self, key: &[u8]) -> BTreeSet<NodeId> {
        let place = self.hosts[0].room.tables[&self.table()].place(self.table(), key);
        let has = |host: &&net::Host| {
            [record::CONTEXT, record::CELL, record::ACCEPTOR].iter().any(|&kind| {
                let (first, mut found) = (record::place_key(kind, place), false);
                host.store.as_view().scan(&first, &after_prefix(&first), &mut |_, _| {
                    found = true;
                    false
                });
                found
            })
        };
        let nodes = self.hosts.iter().filter(has).map(|host| host.room.config.node);
        nodes.collect()
    }

    pub(super) fn reader(&self, key: &[u8]) -> u16 {
        self.hosts[0].room.replicas(self.table(), key)[0].0
    }

    /// One moment of disorder in which data move.
    pub(super) fn disorder(&mut self, random: &mut Random) {
        let node = 1 + random.below(u64::from(NODES)) as u16;
        match random.below(24) {
            0..=11 => {
                self.deliver_some(random, 16, (8, 16));
                (1..=NODES).filter(|_| random.below(3) > 0).for_each(|node| self.sync(node));
            }
            12..=15 => self.pass(40 + random.below(300)),
            16..=18 => {
                self.hear_caught_up();
                if self.up(node) {
                    self.tell_catalogue(node);
                }
            }
            19 => self.set_weight(node, random.below(3) as u16),
            20 | 21 if random.below(3) == 0 => {
                if !self.up(node) {
                    self.start(node);
                } else if random.below(3) == 0 && !self.moves() && self.hosts.iter().all(|host| host.up) {
                    self.wipe(node);
                } else {
                    self.crash(node);
                }
            }
            _ => {
                if random.below(2) == 0 {
                    self.isolate(node)
                } else {
                    self.heal()
                }
            }
        }
    }
}

/// Elements are added once each, and some are removed, while data move. What was acknowledged before a read began must be in what it finds, and what was
/// removed must not.
fn adds_while_moving(mutants: Mutants, seed: u64) -> Result<usize, String> {
    let mut net = moving_net(Kind::Set, mutants, seed);
    let mut random = Random::new(seed ^ 5);
    let (mut added, mut removed): (BTreeSet<String>, BTreeSet<String>) = Default::default();
    let mut waiting: BTreeMap<u64, (String, BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    let mut reads = 0;
    let judge = |value: &Value, added: &BTreeSet<String>, gone: &BTreeSet<String>, maybe: &BTreeSet<String>| {
        let Value::Set(found) = value else { return Err(alloc::format!("{value:?}")) };
        let found: BTreeSet<String> = found.iter().map(shown).collect();
        let lost: Vec<&String> = added.iter().filter(|one| !found.contains(*one) && !maybe.contains(*one)).collect();
        let back: Vec<&String> = gone.iter().filter(|one| found.contains(*one)).collect();
        if lost.is_empty() && back.is_empty() { Ok(()) } else { Err(alloc::format!("lost {lost:?}, back {back:?}")) }
    };
    // Elements whose removal was begun: they may be there or not.
    let mut going: BTreeSet<String> = BTreeSet::new();
    for at in 0..500 {
        let node = 1 + random.below(u64::from(NODES)) as u16;
        if random.below(3) > 0 || !net.up(node) {
            net.disorder(&mut random);
        } else {
            let words = match random.below(4) {
                0 | 1 => alloc::format!("SADD k m{at}"),
                2 => String::from("SMEMBERS k"),
                _ => match added.iter().find(|one| !going.contains(*one)).cloned() {
                    Some(one) => {
                        going.insert(one.clone());
                        alloc::format!("SREM k {one}")
                    }
                    None => continue,
                },
            };
            if let Some(token) = net.begin(node, Want::default(), &Session::default(), &words, None) {
                waiting.insert(token, (words, added.clone(), removed.clone()));
            }
        }
        for settled in core::mem::take(&mut net.settled) {
            let Some((words, before, gone)) = waiting.remove(&settled.token) else { continue };
            let Some(Outcome::Done { value, .. }) = settled.outcome else { continue };
            match words.split(' ').collect::<Vec<_>>()[..] {
                ["SADD", _, one] => drop(added.insert(String::from(one))),
                ["SREM", _, one] if value == Value::Int(1) => drop(removed.insert(String::from(one))),
                ["SREM", ..] => return Err(alloc::format!("{words} found nothing")),
                _ => {
                    reads += 1;
                    judge(&value, &before, &gone, &going)?;
                }
            }
        }
    }
    net.arrive();
    let reader = net.reader(b"k");
    judge(&net.get(reader, "SMEMBERS k"), &added, &removed, &going)?;
    let (nodes, holders) = (net.on_disk(b"k"), net.hosts[0].room.replicas(net.table(), b"k"));
    if !added.is_empty() && nodes != holders.iter().copied().collect() {
        return Err(alloc::format!("{nodes:?} hold what {holders:?} should"));
    }
    Ok(reads + added.len())
}

fn shown(value: &Value) -> String {
    let Value::Bulk(bytes) = value else { panic!("{value:?}") };
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn nothing_acknowledged_is_lost_when_data_move() {
    let mut done = 0;
    for seed in 0..120 {
        done += adds_while_moving(Mutants::none(), seed).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    assert!(done > 1_200, "only {done} reads and adds were acknowledged");
    let broken = Mutants::only(Mutant::MovesWithoutComparing);
    assert!((0..240).any(|seed| adds_while_moving(broken, seed).is_err()), "nobody notices");
}

/// Each of the last three replicas took the range from node 1 for another place, and one of them had to leave it in between.
#[test]
fn a_range_is_offered_anew_when_its_place_changes() {
    let mut net = moving_net(Kind::Set, Mutants::none(), 3);
    net.done(1, "SADD k a");
    net.cut_between(&[1], &[3]);
    net.send_away();
    net.move_on();
    assert_eq!(net.on_disk(b"k"), [1, 3, 4, 5].map(NodeId).into(), "one of three has not taken it");
    for (comes, goes) in [(2, 5), (5, 3)] {
        net.set_weight(comes, 1);
        net.set_weight(goes, 0);
        net.tell_all();
        net.move_on();
        assert!(!net.moves());
    }
    assert_eq!(net.on_disk(b"k"), [2, 4, 5].map(NodeId).into());
}

#[test]
fn an_answer_to_a_comparison_of_a_table_that_is_gone_is_dropped() {
    let mut net = moving_net(Kind::Set, Mutants::none(), 3);
    net.isolate(3);
    net.done(1, "SADD k a");
    net.heal();
    let table = net.table();
    net.step(3, |room, cx, _| room.compare(cx, table, NodeId(1)));
    let cells = |body: &Body| matches!(body, Body::Compare { talk: Talk::Cells { .. }, .. });
    let told = |(.., message): &(NodeId, NodeId, Message)| cells(&message.body);
    while !net.messages.iter().any(told) {
        net.count_on();
        net.deliver(0, true);
    }
    net.catalogue.remove(TABLE).expect("it is there");
    net.tell_all();
    while !net.messages.is_empty() {
        net.deliver(0, true);
    }
    assert!(net.hosts[2].room.comparisons.is_empty());
}

#[test]
fn an_increment_under_a_name_counts_once_though_its_range_moved() {
    let run = |mutants| {
        let mut net = moving_net(Kind::Counter, mutants, 3);
        let first = once(&mut net, 1, "a");
        net.calm();
        assert!(net.outcome(first).is_some());
        net.send_away();
        net.arrive();
        assert_eq!(net.on_disk(b"k"), [3, 4, 5].map(NodeId).into());
        let again = once(&mut net, 4, "a");
        net.calm();
        assert!(net.outcome(again).is_some());
        net.get(5, "GET k")
    };
    assert_eq!(run(Mutants::none()), bulk("5"));
    assert_eq!(run(Mutants::only(Mutant::OperationForgotten)), bulk("10"));
}

/// The new replicas have compared and nobody knows yet, when a write reaches the old ones alone.
#[test]
fn a_write_needs_both_places_while_its_range_moves() {
    let run = |mutants| {
        let mut net = moving_net(Kind::Set, mutants, 3);
        net.done(1, "SADD k a");
        net.send_away();
        for _ in 0..4 {
            net.calm();
            net.pass(500);
        }
        net.cut_between(&[1, 2], &[3, 4, 5]);
        let token = net.begin(1, Want::default(), &Session::default(), "SADD k b", None).expect("it holds the key");
        net.calm();
        let acknowledged = net.outcome(token).is_some();
        net.hear_caught_up();
        assert!(!net.moves(), "all new replicas had compared");
        // What the old ones said does not count in the new place.
        net.tell_all();
        net.calm();
        let acknowledged = acknowledged || net.outcome(token).is_some();
        let both = Value::Set(vec![bulk("a"), bulk("b")]);
        let found = net.get(4, "SMEMBERS k") == both;
        net.heal();
        net.pass(100);
        net.calm();
        (acknowledged, found, net.outcome(token).is_some(), net.get(4, "SMEMBERS k") == both)
    };
    assert_eq!(run(Mutants::none()), (false, false, true, true), "it goes on to the new ones");
    let (acknowledged, found, ..) = run(Mutants::only(Mutant::MovingWriteCountsOnce));
    assert!(acknowledged && !found);
}

/// The movement is over, and two of the old replicas have not heard of it; by themselves they are as many as a read asks.
#[test]
fn who_has_not_heard_that_a_movement_is_over_reads_nothing_stale() {
    for (rule, level) in [((3, 2, 2), None), ((3, 2, 2), Some(Level::Atomic)), ((3, 1, 3), None)] {
        let mut net = net_by(rule);
        net.done(1, "SADD k a");
        net.send_away();
        for _ in 0..4 {
            net.calm();
            net.pass(500);
        }
        net.cut_between(&[1, 2], &[3, 4, 5]);
        net.hear_caught_up();
        assert!(!net.moves(), "all new replicas had compared");
        (3..=5).for_each(|node| net.tell_catalogue(node));
        net.done(4, "SADD k b");
        let want = Want { level, ..Want::default() };
        let outcome = net.ask(1, want, &mut Session::default(), "SMEMBERS k");
        assert!(matches!(outcome, Outcome::Refused(Refusal::TooFewReplicas { .. })), "{level:?}: {outcome:?}");
        let weak = Want { level: Some(Level::Eventual), ..Want::default() };
        let outcome = net.ask(1, weak, &mut Session::default(), "SMEMBERS k");
        assert!(matches!(outcome, Outcome::Done { .. }), "who may miss it is answered: {outcome:?}");
    }
}

/// A read that one replica answers, of a table whose writes are on all: an old replica that has not heard that the range moves away holds the movement up.
#[test]
fn a_movement_hears_so_many_that_no_others_are_enough_for_a_read() {
    let mut net = net_by((3, 1, 3));
    net.done(1, "SADD k a");
    net.isolate(2);
    (4..=5).for_each(|node| net.set_weight(node, 1));
    (1..=2).for_each(|node| net.set_weight(node, 0));
    [1, 3, 4, 5].iter().for_each(|&node| net.tell_catalogue(node));
    for _ in 0..12 {
        net.calm();
        net.pass(500);
        net.hear_caught_up();
        [1, 3, 4, 5].iter().for_each(|&node| net.tell_catalogue(node));
    }
    assert!(net.moves());
    assert_eq!(net.get(2, "SMEMBERS k"), Value::Set(vec![bulk("a")]), "it may answer still, and misses nothing");
}

/// From now on a write is on one replica. Two that have not heard of it read two of three, as before.
#[test]
fn who_has_not_heard_that_writes_wait_for_fewer_reads_nothing_stale() {
    let mut net = moving_net(Kind::Set, Mutants::none(), 3);
    net.done(1, "SADD k a");
    net.isolate(3);
    net.catalogue.alter(TABLE, shape(Kind::Set, (3, 3, 1))).expect("it can be given");
    net.tell_catalogue(3);
    let token = net.begin(3, Want::default(), &Session::default(), "SADD k b", None).expect("it holds the key");
    net.calm();
    assert!(net.outcome(token).is_none(), "two may read still that know nothing of it");
    assert_eq!(net.get(1, "SMEMBERS k"), Value::Set(vec![bulk("a")]));
    net.arrive();
    net.isolate(3);
    net.done(3, "SADD k c");
}

#[test]
fn a_replica_whose_disk_was_lost_is_not_read_before_it_has_compared() {
    let run = |mutants| {
        let mut net = moving_net(Kind::Set, mutants, 3);
        net.isolate(3);
        net.done(1, "SADD k a");
        net.heal();
        net.wipe(1);
        net.start(1);
        net.isolate(2);
        net.tell_all();
        let token = net.begin(3, Want::default(), &Session::default(), "SMEMBERS k", None).expect("it holds the key");
        net.calm();
        let at_once = net.outcome(token).and_then(|settled| settled.outcome).is_some();
        net.arrive();
        (at_once, net.get(1, "SMEMBERS k") == Value::Set(vec![bulk("a")]))
    };
    assert_eq!(run(Mutants::none()), (false, true));
    assert!(run(Mutants::only(Mutant::BlankReplicaCounts)).0, "answered from what is empty");
}

/// Each write is on one replica, so a new one compares with all of three; one of them is gone for good.
#[test]
fn a_movement_goes_on_without_a_disk_that_is_gone_for_good() {
    let mut net = net_by((3, 3, 1));
    net.done(1, "SADD k a");
    net.crash(2);
    let remove = |net: &mut Net, lost| {
        let change = MemberChange { weight: Some(0), votes: Some(false), lost, ..MemberChange::default() };
        net.catalogue.set_member(NodeId(2), change).expect("three are left");
        net.tell_all();
        net.move_on();
        net.moves()
    };
    net.set_weight(4, 1);
    assert!(remove(&mut net, false), "it may hold what nobody else does");
    assert!(!remove(&mut net, true));
    assert_eq!(net.get(4, "SMEMBERS k"), Value::Set(vec![bulk("a")]));
}

/// What was taken in place of a node that holds the key no longer goes to the nearest that holds it; and that may be the stand-in itself.
#[test]
fn what_a_stand_in_took_is_at_home_when_the_key_moves_there() {
    let mut other = moving_net(Kind::Set, Mutants::none(), 1);
    other.done(1, "SADD k a");
    let State { cell, context } = other.state(1, b"k");
    let mut net = moving_net(Kind::Set, Mutants::none(), 1);
    let (first, table) = (net.reader(b"k"), net.table());
    let round = message::Round { incarnation: 1, number: 1 };
    let delta = crate::crdt::Delta { cell, context };
    let epoch = net.catalogue.table(table).expect("it was made").epoch;
    let target = message::Target { table, epoch, key: Bytes::from_static(b"k") };
    net.step(first, |room, cx, _| room.stand_in(cx, (NodeId(5), round), &target, NodeId(4), delta));
    assert_eq!(net.hosts[usize::from(first) - 1].room.standing.total(), 1);
    for _ in 0..30 {
        net.pass(100);
        net.calm();
    }
    assert_eq!(net.hosts[usize::from(first) - 1].room.standing.total(), 0, "it is at home nowhere");
    assert_eq!(net.get(first, "SMEMBERS k"), Value::Set(vec![bulk("a")]));
}

/// Who coordinates a write may hold the key no longer when others are asked to stand in.
#[test]
fn nobody_is_asked_to_stand_in_for_itself() {
    let net = moving_net(Kind::Set, Mutants::none(), 1);
    let room = &net.hosts[3].room;
    assert!(!room.stand_ins_for(&[1, 2, 3].map(NodeId)).contains(&NodeId(4)));
}

/// A node that starts does not know whether its disk was set back: what it shows until it has its life is told as eventual.
#[test]
fn what_a_node_without_a_life_shows_is_told_as_eventual() {
    let mut net = Net::new(3, Kind::Set, (3, 1, 3), Mutants::none(), 1);
    net.done(1, "SADD k a");
    let met = |net: &mut Net| {
        let want = Want { level: Some(Level::Eventual), ..Want::default() };
        let outcome = net.ask(2, want, &mut Session::default(), "SMEMBERS k");
        let Outcome::Done { receipt, .. } = outcome else { panic!("{outcome:?}") };
        receipt.met()
    };
    assert_eq!(met(&mut net), Met::Read(Level::Regular));
    let catalogue = net.catalogue.clone();
    net.step(2, |room, cx, _| room.learn(cx.now().mono, &catalogue, &net::members(3), None));
    assert_eq!(met(&mut net), Met::Read(Level::Eventual));
}

/// The range moves away from a node whose write waits for stand-ins: it is none itself.
#[test]
fn a_coordinator_is_not_its_own_stand_in() {
    let mut net = moving_net(Kind::Set, Mutants::none(), 5);
    net.cut_between(&[1], &[2, 3, 4, 5]);
    let sloppy = Want { quorum: Quorum { sloppy: true, write: 3, ..Quorum::default() }, ..Want::default() };
    net.begin(1, sloppy, &Session::default(), "SADD k a", None).expect("a replica");
    net.send_away();
    for _ in 0..8 {
        net.calm();
        net.pass(100);
        net.hear_caught_up();
        net.tell_all();
    }
    assert!(!net.moves());
}
