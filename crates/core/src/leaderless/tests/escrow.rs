//! Bounded counters: no state is below the bound, and rights come back, move, and are found.

use super::*;
use alloc::format;
use alloc::vec::Vec;

/// The value of a bounded counter whose bound is 0.
fn value(cell: &AnyCell) -> i128 {
    let AnyCell::Leaf(Leaf::Bounded(cell)) = cell else { panic!("a bounded counter") };
    cell.value(0)
}

fn is_overdrawn(cell: &AnyCell) -> bool {
    matches!(cell, AnyCell::Leaf(Leaf::Bounded(cell)) if cell.overdrawn().is_some())
}

fn refused(value: &Value, why: &str) {
    let Value::Error(text) = value else { panic!("{value:?}") };
    let text = core::str::from_utf8(text).expect("a sentence");
    assert!(text.starts_with("ERR applied: no; ") && text.contains(why), "{text}");
}

/// Three nodes, all of which know the lives of all.
fn told() -> Net {
    let mut net = net(Kind::Bounded);
    (1..=3).for_each(|node| net.tell_catalogue(node));
    net
}

/// A new life of a node, of which all hear.
fn start_again(net: &mut Net, node: u16) {
    net.crash(node);
    net.start(node);
    (1..=3).for_each(|node| net.tell_catalogue(node));
}

#[test]
fn what_an_earlier_life_held_is_spent_by_the_next() {
    let mut net = net(Kind::Bounded);
    net.done(1, "INCRBY k 10");
    net.done(1, "DECRBY k 3");
    start_again(&mut net, 1);
    // Not all can be heard: what the disk here tells is not enough.
    net.isolate(3);
    refused(&net.get(1, "DECRBY k 5"), "holds 0 of the 7 rights");
    net.heal();
    assert_eq!(net.get(1, "DECRBY k 5"), Value::Int(2));
    refused(&net.get(1, "DECRBY k 3"), "holds 2 of the 2 rights");
    // Once taken back they are its own: nobody need be heard.
    net.isolate(3);
    assert_eq!(net.get(1, "DECRBY k 1"), Value::Int(1));
    net.heal();
    start_again(&mut net, 1);
    start_again(&mut net, 1);
    assert_eq!(net.get(1, "DECRBY k 1"), Value::Int(0), "over several lives");
}

/// A decrease leaves, and the disk of the node that made it loses it.
#[test]
fn what_an_earlier_life_spent_is_not_spent_again() {
    let run = |mutants: Mutants, late: bool| {
        let mut net = Net::new(3, Kind::Bounded, (3, 2, 2), mutants, 1);
        net.done(1, "INCRBY k 10");
        net.begin(1, with(2, 1), &Session::default(), "DECRBY k 8", None).expect("a replica");
        // Late: it is on its way until the next life has taken what it found.
        let on_its_way = core::mem::take(&mut net.messages);
        let deliver = |net: &mut Net| {
            net.messages.extend(on_its_way.iter().cloned());
            net.calm();
        };
        net.crash(1);
        if !late {
            deliver(&mut net);
        }
        net.start(1);
        (1..=3).for_each(|node| net.tell_catalogue(node));
        let _ = net.get(1, "DECRBY k 7");
        net.calm();
        deliver(&mut net);
        net.compare();
        [1, 2, 3].map(|node| value(&net.state(node, b"k").cell))
    };
    assert_eq!(run(Mutants::none(), false), [2; 3], "the others knew of it");
    assert_eq!(run(Mutants::none(), true), [3; 3], "nobody knew of it, and nobody will");
    assert_eq!(run(Mutants::only(Mutant::EscrowTakenUnheard), false), [-5; 3]);
    assert_eq!(run(Mutants::only(Mutant::EndedLifeHeard), true), [-5; 3]);
}

/// A read has heard of a decrease that the node which made it lost, and still waits for somebody else. It must be told already.
#[test]
fn what_a_read_heard_is_told_before_it_ends() {
    let mut net = told();
    net.done(1, "INCRBY k 10");
    net.begin(1, with(2, 1), &Session::default(), "DECRBY k 8", None).expect("a replica");
    net.messages.clear();
    net.begin(2, with(3, 0), &Session::default(), "GET k", None).expect("a replica");
    let (late, now) = core::mem::take(&mut net.messages).into_iter().partition(|(_, to, _)| *to == NodeId(3));
    net.messages = now;
    while !net.messages.is_empty() {
        net.deliver(0, true);
    }
    start_again(&mut net, 1);
    refused(&net.get(1, "DECRBY k 7"), "holds 0 of the 2 rights");
    net.messages.extend::<Vec<_>>(late);
    net.calm();
    net.compare();
    assert_eq!([1, 2, 3].map(|node| value(&net.state(node, b"k").cell)), [2; 3]);
}

/// A node that leaves a range holds a decrease that nobody else has, of a life that is over. It is heard, too.
#[test]
fn who_leaves_a_range_is_heard_before_rights_are_taken() {
    let mut net = movement::moving_net(Kind::Bounded, Mutants::none(), 1);
    net.tell_all();
    net.done(3, "INCRBY k 10");
    net.begin(3, with(2, 1), &Session::default(), "DECRBY k 8", None).expect("a replica");
    net.messages.retain(|(_, to, _)| *to == NodeId(1));
    net.crash(3);
    while !net.messages.is_empty() {
        net.deliver(0, true);
    }
    net.sync(1);
    net.start(3);
    net.cut_between(&[1], &[2, 3, 4, 5]);
    net.send_away();
    while net.moves() {
        net.calm();
        net.pass(500);
        net.hear_caught_up();
        net.tell_all();
    }
    refused(&net.get(3, "DECRBY k 7"), "holds 0 of the 10 rights");
    net.arrive();
    refused(&net.get(3, "DECRBY k 7"), "holds 0 of the 2 rights");
    assert_eq!(net.get(3, "DECRBY k 2"), Value::Int(0));
    assert_eq!([3, 4, 5].map(|node| value(&net.state(node, b"k").cell)), [0; 3]);
}

/// Three nodes whose disks lose what was not synced, and are set back to what they were some time ago; and who hear of the lives of each other
/// when they hear of them.
struct World {
    net: Net,
    /// All versions of the catalogue.
    history: Vec<Catalogue>,
    /// The version that each node knows, and that its disk does.
    knows: [usize; 3],
    durable: [usize; 3],
    /// What each disk was at some time. What is lost for ever is no longer among it.
    backups: [Vec<(MemoryStore, usize)>; 3],
    set_back: bool,
    /// On their way for long.
    late: Vec<(NodeId, NodeId, Message)>,
    random: Random,
}

impl World {
    fn new(seed: u64, set_back: bool, mutants: Mutants) -> World {
        let net = Net::new(3, Kind::Bounded, (3, 2, 2), mutants, seed);
        let history = vec![net.catalogue.clone()];
        let backups = [0; 3].map(|_| vec![(MemoryStore::default(), 0)]);
        let random = Random::new(seed ^ 0xE5C0);
        let mut world =
            World { net, history, knows: [0; 3], durable: [0; 3], backups, set_back, late: Vec::new(), random };
        (1..=3).for_each(|node| world.learn(node));
        world
    }

    fn learn(&mut self, node: u16) {
        let catalogue = self.history[self.knows[usize::from(node) - 1]].clone();
        self.net.step(node, |room, cx, claim| {
            let actor = catalogue.actor(NodeId(node), claim);
            room.learn(cx.now().mono, &catalogue, &net::members(3), actor);
        });
    }

    /// The node asks for a life if it has none, and hears of some of what happened.
    fn hear(&mut self, node: u16) {
        let at = usize::from(node) - 1;
        let mut newest = self.history.last().expect("the first is there").clone();
        if newest.actor(NodeId(node), self.net.hosts[at].incarnation).is_none() {
            let last = newest.life(NodeId(node)).unwrap_or(0);
            newest.begin_life(NodeId(node), self.net.hosts[at].incarnation, last);
            self.history.push(newest);
        }
        let unknown = (self.history.len() - 1 - self.knows[at]) as u64;
        self.knows[at] += self.random.below(unknown + 1) as usize;
        self.learn(node);
    }

    fn crash(&mut self, node: u16) {
        let at = usize::from(node) - 1;
        self.net.crash(node);
        if self.set_back && self.random.below(3) == 0 {
            let left = 1 + self.random.below(self.backups[at].len() as u64) as usize;
            self.backups[at].truncate(left);
            let (disk, knows) = self.backups[at].last().expect("the empty one is there").clone();
            (self.net.hosts[at].durable, self.durable[at]) = (disk, knows);
        }
        self.net.hosts[at].store = self.net.hosts[at].durable.clone();
    }

    fn start(&mut self, node: u16) {
        let at = usize::from(node) - 1;
        let (mutants, now_ms) = (self.net.mutants, self.net.now_ms);
        let host = &mut self.net.hosts[at];
        (host.incarnation, host.up) = (host.incarnation + 1, true);
        host.held.clear();
        host.room = net::boot(node, host.incarnation, now_ms, mutants, &host.store);
        self.knows[at] = self.durable[at];
        self.learn(node);
    }

    fn sync(&mut self, node: u16) {
        let at = usize::from(node) - 1;
        if self.net.hosts[at].up {
            self.net.sync(node);
            self.durable[at] = self.knows[at];
            self.backups[at].push((self.net.hosts[at].durable.clone(), self.durable[at]));
        }
    }

    fn operate(&mut self, node: u16) {
        let amount = 1 + self.random.below(4);
        let (words, want) = match self.random.below(10) {
            0..=2 => (format!("INCRBY k {amount}"), with(0, 1)),
            3..=6 => (format!("DECRBY k {amount}"), with(0, 1)),
            7 => (format!("ESCROW.GIVE k {amount} {}", 1 + self.random.below(3)), with(0, 1)),
            8 => ("GET k".into(), Want::of_level(Level::Linearizable)),
            _ => ("GET k".into(), with(3, 0)),
        };
        let _ = self.net.begin(node, want, &Session::default(), &words, None);
    }

    /// Nodes work, crash and start, and some of what they say comes much later.
    fn go_on(&mut self) {
        let node = 1 + self.random.below(3) as u16;
        let up = self.net.hosts[usize::from(node) - 1].up;
        match self.random.below(16) {
            0..=3 if up => self.operate(node),
            4..=8 => {
                for _ in 0..self.random.below(6) {
                    if self.net.messages.is_empty() {
                        break;
                    }
                    let which = self.random.below(self.net.messages.len() as u64) as usize;
                    match self.random.below(4) {
                        0 => self.late.push(self.net.messages.swap_remove(which)),
                        1 => {
                            self.late.push(self.net.messages[which].clone());
                            self.net.deliver(which, true);
                        }
                        _ => self.net.deliver(which, true),
                    }
                }
            }
            9 | 10 => self.sync(node),
            11 => self.net.pass(40),
            12 if up => self.crash(node),
            12 | 13 if !up => self.start(node),
            13..=15 if up => self.hear(node),
            _ => {}
        }
    }

    /// All are up and in a life of their own, and hear of each other what is said from now on; they spend what they can.
    fn spend(&mut self) {
        for node in 1..=3 {
            if !self.net.hosts[usize::from(node) - 1].up {
                self.start(node);
            }
            self.hear(node);
        }
        for node in 1..=3 {
            // Most hear of all lives.
            if self.random.below(6) > 0 {
                self.knows[usize::from(node) - 1] = self.history.len() - 1;
                self.learn(node);
            }
        }
        self.late.append(&mut self.net.messages);
        for _ in 0..6 {
            let (node, amount) = (1 + self.random.below(3) as u16, 1 + self.random.below(8));
            let _ = self.net.begin(node, with(0, 1), &Session::default(), &format!("DECRBY k {amount}"), None);
            self.net.calm();
            self.net.pass(110);
            self.net.calm();
        }
        (1..=3).for_each(|node| self.sync(node));
    }

    /// What was on its way comes at last, perhaps to a node that has just started.
    fn come_late(&mut self) {
        let node = 1 + self.random.below(3) as u16;
        if self.random.below(2) == 0 {
            self.crash(node);
            self.start(node);
        }
        let late = core::mem::take(&mut self.late);
        self.net.messages.extend(late);
        self.net.calm();
    }

    /// Is the value of any replica, or of all together, below the bound, or was more spent than somebody held?
    fn is_wrong(&self) -> bool {
        let states = [1, 2, 3].map(|node| self.net.state(node, b"k"));
        let mut all = states[0].clone();
        states.iter().for_each(|state| all.join(state));
        let wrong = |state: &State| value(&state.cell) < 0 || is_overdrawn(&state.cell);
        states.iter().chain([&all]).any(wrong)
    }
}

/// Runs in which some state is below the bound, of those of so many seeds; and how many rights were taken back in all.
fn runs_below(mutants: Mutants, set_back: bool, seeds: u64) -> (u64, u64) {
    let (mut below, mut taken) = (0, 0);
    for seed in 0..seeds {
        let mut world = World::new(seed, set_back, mutants);
        let mut wrong = false;
        for _ in 0..4 {
            for _ in 0..50 {
                world.go_on();
                wrong |= world.is_wrong();
            }
            world.spend();
            wrong |= world.is_wrong();
            world.come_late();
            wrong |= world.is_wrong();
        }
        below += u64::from(wrong);
        let taken_back = |node| matches!(world.net.state(node, b"k").cell, AnyCell::Leaf(Leaf::Bounded(cell)) if cell.was_taken_back());
        taken += u64::from((1..=3).any(taken_back));
    }
    (below, taken)
}

#[test]
fn no_state_is_below_the_bound() {
    for set_back in [false, true] {
        let (below, taken) = runs_below(Mutants::none(), set_back, 150);
        assert_eq!(below, 0, "set back: {set_back}");
        assert!(taken > 100, "{taken} runs in which rights were taken back");
    }
    for (broken, seeds) in
        [(Mutant::EscrowTakenUnheard, 60), (Mutant::EscrowGiftKept, 60), (Mutant::EndedLifeHeard, 300)]
    {
        assert!(runs_below(Mutants::only(broken), true, seeds).0 > 0, "{broken:?}");
    }
}

#[test]
fn rights_are_given_to_whom_they_are_wanted_and_seen() {
    let mut net = told();
    net.done(1, "INCRBY k 10");
    assert_eq!(net.get(1, "ESCROW.GIVE k 4 2"), Value::Int(6));
    let pair = |node, rights| (Value::Int(node), Value::Int(rights));
    assert_eq!(net.get(3, "ESCROW.RIGHTS k"), Value::Map(vec![pair(1, 6), pair(2, 4)]));
    assert_eq!(net.get(2, "GET k"), bulk("10"), "a gift changes no value");
    // Both sides of a cut spend what they hold, and no more.
    net.isolate(1);
    let alone = |net: &mut Net, node, words| match net.ask(node, with(1, 1), &mut Session::default(), words) {
        Outcome::Done { value, .. } => value,
        other => panic!("{other:?}"),
    };
    refused(&alone(&mut net, 1, "DECRBY k 7"), "holds 6 of the 10 rights");
    alone(&mut net, 1, "DECRBY k 6");
    alone(&mut net, 2, "DECRBY k 4");
    net.heal();
    net.compare();
    assert_eq!([1, 2, 3].map(|node| value(&net.state(node, b"k").cell)), [0; 3]);
    refused(&net.get(1, "ESCROW.GIVE k 1 2"), "holds 0 of the 0 rights");

    let mut begin = |words: &str| net.begin(1, Want::default(), &Session::default(), words, None);
    for words in
        ["ESCROW.GIVE k 0 2", "ESCROW.GIVE k -1 2", "ESCROW.GIVE k 1 9", "ESCROW.GIVE k 1", "ESCROW.RIGHTS k 1"]
    {
        assert_eq!(begin(words), None, "{words}");
    }
    let sloppy = Want { quorum: Quorum { sloppy: true, ..Quorum::default() }, ..Want::default() };
    assert!(net.begin(1, sloppy, &Session::default(), "INCRBY k 1", None).is_some());
    assert_eq!(net.begin(1, sloppy, &Session::default(), "DECRBY k 1", None), None);
}

/// Who lacks rights says who holds them, as far as it knows once it asked.
#[test]
fn who_lacks_rights_names_those_that_hold_them() {
    let mut net = told();
    net.done(1, "INCRBY k 5");
    net.done(2, "INCRBY k 9");
    let mut holders = |words: &str| {
        let token = net.begin(3, Want::default(), &Session::default(), words, None).expect("a replica");
        net.calm();
        let settled = net.outcome(token).expect("all answer");
        assert!(matches!(settled.outcome, Some(Outcome::Done { value: Value::Error(_), .. })));
        settled.holders
    };
    assert_eq!(holders("DECRBY k 3"), [NodeId(2), NodeId(1)]);
    assert_eq!(holders("DECRBY k 6"), [NodeId(2)]);
    assert_eq!(holders("DECRBY k 10"), []);
    assert_eq!(holders("ESCROW.GIVE k 4 2"), [NodeId(1)], "nobody gives to itself");
    assert_eq!(holders("ESCROW.GIVE k 4 3"), [NodeId(2), NodeId(1)], "and who wants rights may ask for them");
}
