//! Why a join must be commutative, associative and idempotent: replicas hear of each other in any order, in any grouping, and twice.

use super::{Run, actor, failed, unexpected};
use bytes::Bytes;
use quorate_core::clock::{Actor, Context, Hybrid};
use quorate_core::crdt::{AddWins, AnyCell, Cell, Counter, Delta, Latest, Leaf, Register};
use quorate_core::random::Random;
use std::fmt;

const CASES: u64 = 1_000;
const REPLICAS: usize = 3;

/// A cell and what its replica knows.
type Held = (AnyCell, Context);

/// `a ⊔ b = b ⊔ a`. With the rule broken a join subtracts.
pub(crate) fn commutative(seed: u64, broken: bool, _trace: bool) -> Run {
    let naive = |a: i64, b: i64| a - b;
    law(seed, broken, "a join that depends on the order", naive, &|[a, b, _], join| (join(a, b), join(b, a)))
}

/// `(a ⊔ b) ⊔ c = a ⊔ (b ⊔ c)`. With the rule broken a join takes the mean.
pub(crate) fn associative(seed: u64, broken: bool, _trace: bool) -> Run {
    let naive = |a: i64, b: i64| (a + b) / 2;
    law(seed, broken, "a join that depends on the grouping", naive, &|[a, b, c], join| {
        (join(&join(a, b), c), join(a, &join(b, c)))
    })
}

/// `a ⊔ b ⊔ b = a ⊔ b`. With the rule broken a join adds.
pub(crate) fn idempotent(seed: u64, broken: bool, _trace: bool) -> Run {
    let naive = |a: i64, b: i64| a + b;
    law(seed, broken, "a join that counts twice", naive, &|[a, b, _], join| (join(&join(a, b), b), join(a, b)))
}

/// What is compared: three states, joined in two ways.
type Ways = dyn Fn(&[State; 3], &dyn Fn(&State, &State) -> State) -> (State, State);

/// The state of a replica: a number that is joined by what the lesson says, or a cell of the core.
#[derive(Clone, Debug, PartialEq)]
enum State {
    Number(i64),
    Cell(Held),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Number(number) => write!(f, "{number}"),
            State::Cell((cell, _)) => write!(f, "{cell:?}"),
        }
    }
}

fn law(seed: u64, broken: bool, what: &'static str, naive: fn(i64, i64) -> i64, ways: &Ways) -> Run {
    let mut random = Random::new(seed);
    let join = |a: &State, b: &State| match (a, b) {
        (State::Number(a), State::Number(b)) => State::Number(naive(*a, *b)),
        (State::Cell(a), State::Cell(b)) => State::Cell(joined(a, b)),
        (State::Number(_) | State::Cell(_), _) => unreachable!("states of one kind are joined"),
    };
    for case in 0..CASES {
        let states = if broken {
            [(); 3].map(|()| State::Number(random.below(100) as i64))
        } else {
            drawn(&mut random, case as usize % CELLS).map(State::Cell)
        };
        let (one, other) = ways(&states, &join);
        if one != other {
            let [a, b, c] = &states;
            let detail = format!("{a}, {b} and {c} give {one} or {other}");
            let failure = if broken { failed(what, detail) } else { unexpected(detail) };
            return Run::counted(case + 1, Some(failure), String::new());
        }
    }
    let found = format!("{CASES} drawn states of registers, latest registers, sets and counters");
    Run::counted(CASES, None, found)
}

fn joined(a: &Held, b: &Held) -> Held {
    let mut both = a.clone();
    both.0.join(&a.1, &b.0, &b.1);
    both.1.join(&b.1);
    both
}

/// How many kinds of cells are drawn.
const CELLS: usize = 4;

/// Three replicas of one cell after some updates, of which they heard from each other now and then.
fn drawn(random: &mut Random, kind: usize) -> [Held; REPLICAS] {
    let cell = match kind {
        0 => Leaf::Register(Register::default()),
        1 => Leaf::Latest(Latest::default()),
        2 => Leaf::Set(AddWins::default()),
        _ => Leaf::Counter(Counter::default()),
    };
    let mut replicas = [(); REPLICAS].map(|()| (AnyCell::Leaf(cell.clone()), Context::default()));
    for number in 0..12 {
        let at = random.below(REPLICAS as u64) as usize;
        if random.chance(300) {
            let other = replicas[random.below(REPLICAS as u64) as usize].clone();
            replicas[at] = joined(&replicas[at], &other);
        } else {
            update(&mut replicas[at], actor(at as u16 + 1), number, random);
        }
    }
    replicas
}

/// One more update at a replica, and the change that it makes.
fn update(held: &mut Held, by: Actor, number: u64, random: &mut Random) -> Delta<AnyCell> {
    let (AnyCell::Leaf(leaf), known) = held else { unreachable!("only leaves are drawn") };
    let value = Bytes::from(format!("v{number}"));
    let mut clock = Hybrid::new(by, u64::MAX);
    let delta = match leaf {
        Leaf::Register(cell) => {
            let seen = cell.seen();
            cell.write(known.advance(by), &seen, value).map(Leaf::Register)
        }
        Leaf::Latest(cell) => {
            let (seen, stamp) = (cell.seen(), clock.tick(random.below(5)));
            cell.write(known.advance(by), &seen, stamp, value).map(Leaf::Latest)
        }
        Leaf::Set(cell) => {
            let (member, dot) = (Bytes::from(format!("m{}", random.below(3))), known.advance(by));
            let seen = cell.seen_of(&member);
            let change =
                if random.chance(600) { cell.add(dot, &seen, &member) } else { cell.take(dot, &seen, &member) };
            change.map(Leaf::Set)
        }
        Leaf::Counter(cell) => cell.add(by, random.below(9) as i64 - 4).expect("it fits").map(Leaf::Counter),
        Leaf::Flag(_) | Leaf::DisableWinsFlag(_) | Leaf::RemoveWinsSet(_) | Leaf::Bounded(_) | Leaf::Text(_) => {
            unreachable!("these kinds are not drawn")
        }
    };
    known.join(&delta.context);
    delta.map(AnyCell::Leaf)
}

const UPDATES: u64 = 30;

/// Changes arrive at two replicas in different orders, some of them twice. With the rule broken each keeps what arrived last.
pub(crate) fn any_order(seed: u64, broken: bool, _trace: bool) -> Run {
    let mut random = Random::new(seed);
    let mut writers = [(); REPLICAS].map(|()| (AnyCell::Leaf(Leaf::Latest(Latest::default())), Context::default()));
    let mut changes = Vec::new();
    for number in 0..UPDATES {
        let at = random.below(REPLICAS as u64) as usize;
        let Delta { cell, context } = update(&mut writers[at], actor(at as u16 + 1), number, &mut random);
        changes.push((cell, context));
    }
    let mut arrivals = 0;
    let readers = [(); 2].map(|()| {
        let mut order: Vec<usize> =
            (0..changes.len()).chain((0..changes.len()).filter(|_| random.chance(300))).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at as u64 + 1) as usize);
        }
        arrivals += order.len() as u64;
        order.iter().fold((AnyCell::Leaf(Leaf::Latest(Latest::default())), Context::default()), |held, &at| {
            if broken { changes[at].clone() } else { joined(&held, &changes[at]) }
        })
    });
    let show = |(cell, _): &Held| match cell {
        AnyCell::Leaf(Leaf::Latest(cell)) => {
            cell.read().map_or("nothing".into(), |shown| String::from_utf8_lossy(shown.value).into_owned())
        }
        AnyCell::Leaf(_) | AnyCell::Map(_) => "another kind".to_string(),
    };
    let found = format!(
        "{UPDATES} changes, {arrivals} arrivals at two replicas; they show {} and {}",
        show(&readers[0]),
        show(&readers[1])
    );
    let differ = readers[0] != readers[1];
    let detail = format!("each keeps what came last: {} and {}", show(&readers[0]), show(&readers[1]));
    let failure = differ.then(|| failed("the same updates, different states", detail));
    Run::counted(arrivals, failure, found)
}
