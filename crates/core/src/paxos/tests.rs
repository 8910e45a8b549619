//! Every way that messages can be lost, doubled, delayed and reordered, for few proposers: what was sent may be delivered at
//! any time, any number of times, or never. A value is the list of the changes that made it.

use super::proposer::Rules;
use super::*;
use crate::guarantee::NodeSet;
use crate::machine::NodeId;
use crate::random::Random;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

type Line = Vec<u8>;

#[derive(Clone, Copy, Debug)]
struct World {
    rules: Rules,
    replicas: u16,
    /// An acceptor may forget what it promised, as if that had not been durable.
    forgets: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Message {
    Ask(u16, Ask<Line>),
    Tell(u8, u16, Tell<Line>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    acceptors: Vec<Acceptor<Line>>,
    proposers: Vec<Proposer<Line>>,
    sent: BTreeSet<Message>,
    /// What each acceptor accepted, ever.
    accepted: BTreeSet<(Ballot, Line, u16)>,
    /// What each proposer was told to have made.
    told: BTreeSet<(Ballot, Line)>,
}

fn ballot(number: u64) -> Ballot {
    Ballot { number, actor: Actor { node: NodeId(number as u16), incarnation: 1 } }
}

impl World {
    fn start(self, attempts: u8) -> State {
        let replicas: NodeSet = (0..self.replicas).map(NodeId).collect();
        let proposers: Vec<Proposer<Line>> =
            (1..=attempts).map(|number| Proposer::new(ballot(number.into()), replicas)).collect();
        let first =
            |proposer: &Proposer<Line>| (0..self.replicas).map(|to| Message::Ask(to, proposer.first())).collect();
        State {
            acceptors: (0..self.replicas).map(|_| Acceptor::default()).collect(),
            sent: proposers.iter().flat_map(|proposer| -> Vec<Message> { first(proposer) }).collect(),
            proposers,
            accepted: BTreeSet::new(),
            told: BTreeSet::new(),
        }
    }

    fn deliver(self, state: &mut State, message: &Message) {
        match message.clone() {
            Message::Ask(to, ask) => {
                let (by, value) = match &ask {
                    Ask::Prepare(ballot) => (*ballot, None),
                    Ask::Accept(ballot, value) => (*ballot, Some(value.clone())),
                };
                let acceptor = &mut state.acceptors[usize::from(to)];
                let tell = acceptor.hear(ask);
                if let (Some(value), Tell::Accepted(_)) = (value, &tell) {
                    state.accepted.insert((by, value, to));
                }
                state.sent.insert(Message::Tell(by.number as u8 - 1, to, tell));
            }
            Message::Tell(to, from, tell) => {
                let change = |value: Option<&Line>| {
                    let mut line = value.cloned().unwrap_or_default();
                    line.push(to);
                    Given::Next(line)
                };
                let proposer = &mut state.proposers[usize::from(to)];
                match proposer.hear_by(self.rules, NodeId(from), tell, change) {
                    Verdict::Ask(ask) => {
                        state.sent.extend((0..self.replicas).map(|to| Message::Ask(to, ask.clone())));
                    }
                    Verdict::Chosen(value) => {
                        state.told.insert((ballot(u64::from(to) + 1), value.expect("every change makes a value")));
                    }
                    Verdict::Open | Verdict::Overtaken { .. } => {}
                }
            }
        }
    }

    /// Forgets messages whose delivery cannot change anything any more, so that fewer states differ. A refusal only makes a proposer
    /// give up, as does silence.
    fn prune(self, state: &mut State) {
        let mut kept = BTreeSet::new();
        for message in &state.sent {
            let refusal = matches!(message, Message::Tell(_, _, Tell::Refused { .. }));
            let mut next = state.clone();
            self.deliver(&mut next, message);
            next.sent.retain(|message| !matches!(message, Message::Tell(_, _, Tell::Refused { .. })));
            if !refusal && next != *state {
                kept.insert(message.clone());
            }
        }
        state.sent = kept;
    }

    /// What is wrong, if anything.
    fn judge(self, state: &State) -> Option<&'static str> {
        let mut chosen: Vec<(Ballot, &Line)> = Vec::new();
        for (ballot, line, _) in &state.accepted {
            let by = state.accepted.iter().filter(|(other, same, _)| (other, same) == (ballot, line)).count();
            if 2 * by > usize::from(self.replicas) {
                chosen.push((*ballot, line));
            }
        }
        if chosen.windows(2).any(|pair| !pair[1].1.starts_with(pair[0].1)) {
            return Some("two chosen values are of different lines");
        }
        let is_chosen = |told: &(Ballot, Line)| chosen.contains(&(told.0, &told.1));
        (!state.told.iter().all(is_chosen)).then_some("a change was told that was not chosen")
    }
}

/// Every state that can be reached. Answers how many there are, and what is wrong in one.
fn explore(world: World, attempts: u8) -> (usize, Option<&'static str>) {
    let start = world.start(attempts);
    let mut seen = BTreeSet::from([start.clone()]);
    let mut todo = alloc::vec![start];
    while let Some(state) = todo.pop() {
        if let Some(wrong) = world.judge(&state) {
            return (seen.len(), Some(wrong));
        }
        let mut reach = |next: State| {
            if seen.insert(next.clone()) {
                todo.push(next);
            }
        };
        for message in &state.sent {
            let mut next = state.clone();
            world.deliver(&mut next, message);
            next.sent.retain(|message| !matches!(message, Message::Tell(_, _, Tell::Refused { .. })));
            if !world.forgets {
                world.prune(&mut next);
            }
            reach(next);
        }
        if world.forgets {
            for at in 0..state.acceptors.len() {
                let mut next = state.clone();
                next.acceptors[at].forget_promise();
                reach(next);
            }
        }
    }
    (seen.len(), None)
}

/// One way of many, with more proposers.
fn walk(world: World, attempts: u8, seed: u64) -> (usize, Option<&'static str>) {
    let mut random = Random::new(seed);
    let mut state = world.start(attempts);
    // Attempts begin one after the other, at times that overlap.
    let mut late = core::mem::take(&mut state.sent);
    for step in 0..160 {
        let begins = |message: &Message| match message {
            Message::Ask(_, Ask::Prepare(ballot)) => (ballot.number - 1) * 25 <= step,
            Message::Ask(..) | Message::Tell(..) => true,
        };
        state.sent.extend(late.iter().filter(|message| begins(message)).cloned());
        late.retain(|message| !begins(message));
        let at = (random.next() % state.sent.len() as u64) as usize;
        let message = state.sent.iter().nth(at).expect("below the length").clone();
        world.deliver(&mut state, &message);
        if let Some(wrong) = world.judge(&state) {
            return (0, Some(wrong));
        }
    }
    (state.told.len(), None)
}

const WORLD: World = World { rules: Rules::TRUE, replicas: 3, forgets: false };

#[test]
fn changes_form_one_line() {
    let (states, wrong) = explore(WORLD, 2);
    assert_eq!(wrong, None);
    assert!(states > 5_000, "{states}");
    let mut told = [0; 6];
    for seed in 0..4_000 {
        let attempts = 2 + (seed % 4) as u8;
        let world = World { replicas: [3, 4, 5][seed as usize % 3], ..WORLD };
        let (count, wrong) = walk(world, attempts, seed);
        assert_eq!(wrong, None, "seed {seed}");
        told[count] += 1;
    }
    assert!(told[1] > 100 && told[2] > 100, "changes were told too seldom to compare: {told:?}");
}

#[test]
fn every_broken_rule_is_noticed() {
    for (name, world) in [
        ("takes a majority of half", World { rules: Rules { majority: false, ..Rules::TRUE }, replicas: 4, ..WORLD }),
        ("ignores the highest ballot", World { rules: Rules { highest: false, ..Rules::TRUE }, ..WORLD }),
    ] {
        let noticed = (0..40_000).any(|seed| walk(world, 2 + (seed % 4) as u8, seed).1.is_some());
        assert!(noticed, "nobody notices a proposer that {name}");
    }
    assert!(
        explore(World { forgets: true, ..WORLD }, 2).1.is_some(),
        "nobody notices an acceptor that forgets its promise"
    );
}

#[test]
fn a_given_up_change_may_surface() {
    let mut acceptors: Vec<Acceptor<Line>> = (0..3).map(|_| Acceptor::default()).collect();
    let replicas: NodeSet = (0..3).map(NodeId).collect();
    let mut first = Proposer::new(ballot(1), replicas);
    let mut ask = None;
    for (at, acceptor) in acceptors.iter_mut().enumerate().take(2) {
        let tell = acceptor.hear(first.first());
        if let Verdict::Ask(next) = first.hear(NodeId(at as u16), tell, |_| Given::Next(alloc::vec![1])) {
            ask = Some(next);
        }
    }
    // One of three accepts, then the proposer gives up.
    acceptors[0].hear(ask.expect("two promised"));
    assert!(first.is_unknown());
    // A read that asks the other two does not see it; one that asks the first does, and makes it last.
    let mut read = |number: u64, asked: [usize; 2]| {
        let mut proposer = Proposer::new(ballot(number), replicas);
        let mut ask = None;
        for at in asked {
            let tell = acceptors[at].hear(proposer.first());
            match proposer.hear(NodeId(at as u16), tell, |_| Given::Same) {
                Verdict::Ask(next) => ask = Some(next),
                Verdict::Chosen(value) => return value,
                Verdict::Open | Verdict::Overtaken { .. } => {}
            }
        }
        let ask = ask.expect("a majority promised");
        for at in asked {
            let tell = acceptors[at].hear(ask.clone());
            if let Verdict::Chosen(value) = proposer.hear(NodeId(at as u16), tell, |_| Given::Same) {
                return value;
            }
        }
        None
    };
    assert_eq!(read(2, [1, 2]), None);
    assert_eq!(read(3, [0, 1]), Some(alloc::vec![1]));
    assert_eq!(read(4, [1, 2]), Some(alloc::vec![1]));
}

#[test]
fn an_attempt_ends_when_it_is_overtaken() {
    let mut acceptor: Acceptor<Line> = Acceptor::default();
    let replicas: NodeSet = (0..3).map(NodeId).collect();
    acceptor.hear(Ask::Prepare(ballot(9)));
    let mut proposer = Proposer::new(ballot(5), replicas);
    let tell = acceptor.hear(proposer.first());
    let verdict = proposer.hear(NodeId(0), tell.clone(), |_| Given::Next(Vec::new()));
    assert_eq!(verdict, Verdict::Overtaken { by: ballot(9), unknown: false });
    // Nothing wakes it again.
    assert_eq!(proposer.hear(NodeId(0), tell, |_| Given::Next(Vec::new())), Verdict::Open);
    let stranger = Tell::Promised(ballot(5), None);
    let mut proposer: Proposer<Line> = Proposer::new(ballot(5), replicas);
    for node in [7, 8, 9] {
        let heard = proposer.hear(NodeId(node), stranger.clone(), |_| Given::Next(Vec::new()));
        assert_eq!(heard, Verdict::Open, "node {node} is no replica");
    }
}
