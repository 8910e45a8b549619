//! What must hold for every cell, tried on all small executions of three replicas and on many longer ones.
//!
//! A replica acts on what a client saw, perhaps at another replica; it hears of single changes in any order, joins the whole
//! state of another, or loses its disk. Beside the replicas goes the set of updates that each knows. What a cell reads must be
//! a function of that set, written down independently: the oracle.

mod broken;
mod subjects;
mod text;

use crate::clock::Actor;
use crate::machine::NodeId;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

const REPLICAS: usize = 3;

/// A set of updates: a bit for each.
type Updates = u64;

fn has(updates: Updates, at: usize) -> bool {
    updates >> at & 1 == 1
}

fn each(updates: Updates) -> impl Iterator<Item = usize> {
    (0..64).filter(move |&at| has(updates, at))
}

/// One update that was made.
#[derive(Clone, Copy, Debug)]
struct Update<O> {
    actor: Actor,
    op: O,
    /// What was known where the client read.
    past: Updates,
    /// What of it was still standing, and so was seen.
    seen: Updates,
    /// What was known where it was made.
    here: Updates,
}

/// Something that is to obey the laws, and how it is to read.
trait Subject {
    type State: Clone + Eq + Debug + Default;
    type Op: Copy + Debug;
    /// The operations to try.
    fn ops(&self) -> Vec<Self::Op>;
    /// Acts on a state by what was observed, and gives the change. `None` if it was refused. The serial is the value.
    fn act(
        &self,
        at: &mut Self::State,
        by: (Actor, usize),
        op: Self::Op,
        observed: &Self::State,
    ) -> Option<Self::State>;
    fn join(&self, at: &mut Self::State, other: &Self::State);
    fn read(&self, at: &Self::State) -> String;
    /// What must hold in every state.
    fn holds(&self, _: &Self::State) -> bool {
        true
    }
    /// Does a replica that lost its disk come back as another actor?
    fn renames(&self) -> bool {
        true
    }

    /// The oracle: what is to be read where these updates stand, of those that are known.
    fn expect(&self, history: &[Update<Self::Op>], standing: Updates) -> String;
    /// Can this operation stand?
    fn stands(&self, op: Self::Op) -> bool;
    /// Does the one take away the other, if it saw it?
    fn ends(&self, op: Self::Op, other: Self::Op) -> bool;
    /// Did an update see that other? By default only what was standing is seen.
    fn saw(&self, update: &Update<Self::Op>, other: (usize, Self::Op)) -> bool {
        has(update.seen, other.0)
    }
    /// What is known with this update, because its change says it too.
    fn implied(&self, _: &[Update<Self::Op>], _: usize) -> Updates {
        0
    }
    /// May this be done where so much is known?
    fn may(&self, _: &[Update<Self::Op>], _: Updates, _: Actor, _: Self::Op) -> bool {
        true
    }
}

fn standing<S: Subject>(subject: &S, history: &[Update<S::Op>], known: Updates) -> Updates {
    let ended = |other: usize| {
        let op = history[other].op;
        each(known).any(|at| subject.ends(history[at].op, op) && subject.saw(&history[at], (other, op)))
    };
    each(known).filter(|&at| subject.stands(history[at].op) && !ended(at)).fold(0, |all, at| all | 1 << at)
}

/// The same from the definition by causes alone: not in the past of what ends it. Only where updates arrive after their causes.
fn standing_by_causes<S: Subject>(subject: &S, history: &[Update<S::Op>], known: Updates) -> Option<Updates> {
    let closed = |updates: Updates| each(updates).all(|at| history[at].past & !updates == 0);
    if !closed(known) || !each(known).all(|at| closed(history[at].past)) {
        return None;
    }
    let ended = |other: usize| {
        each(known).any(|at| subject.ends(history[at].op, history[other].op) && has(history[at].past, other))
    };
    Some(each(known).filter(|&at| subject.stands(history[at].op) && !ended(at)).fold(0, |all, at| all | 1 << at))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step<O> {
    /// A client that read at `seen` asks `at` to do something.
    Act { at: usize, seen: usize, op: O },
    /// The change of an update arrives.
    Hear { at: usize, update: usize },
    /// The whole state of another replica arrives.
    Join { at: usize, from: usize },
    /// The disk is lost.
    Lose { at: usize },
}

/// A law that did not hold.
#[derive(Debug)]
#[allow(dead_code, reason = "for the reader of a failure")]
struct Breach {
    law: &'static str,
    story: String,
}

#[derive(Clone, Debug, Default)]
struct Replica<T> {
    state: T,
    known: Updates,
    lives: u32,
}

struct World<'a, S: Subject> {
    subject: &'a S,
    replicas: [Replica<S::State>; REPLICAS],
    history: Vec<Update<S::Op>>,
    changes: Vec<S::State>,
    script: Vec<Step<S::Op>>,
    /// The one law that is looked at, or all.
    only: Option<&'static str>,
}

impl<'a, S: Subject> World<'a, S> {
    fn new(subject: &'a S, only: Option<&'static str>) -> World<'a, S> {
        let replicas = core::array::from_fn(|_| Replica::default());
        World { subject, replicas, history: Vec::new(), changes: Vec::new(), script: Vec::new(), only }
    }

    fn fork(&self) -> World<'a, S> {
        World {
            subject: self.subject,
            replicas: self.replicas.clone(),
            history: self.history.clone(),
            changes: self.changes.clone(),
            script: self.script.clone(),
            only: self.only,
        }
    }

    /// All steps that may tell something. Replicas that did nothing yet are alike: the first of them stands for all.
    fn steps(&self) -> Vec<Step<S::Op>> {
        let used = self.replicas.iter().rposition(|replica| replica.known != 0 || replica.lives != 0);
        let some = used.map_or(1, |last| (last + 2).min(REPLICAS));
        let mut steps = Vec::new();
        for at in 0..some {
            let here = &self.replicas[at];
            for seen in 0..some {
                let told = &self.replicas[seen];
                if seen == at || told.known != here.known {
                    steps.extend(self.subject.ops().into_iter().map(|op| Step::Act { at, seen, op }));
                }
                if told.known & !here.known != 0 {
                    steps.push(Step::Join { at, from: seen });
                }
            }
            let news = (0..self.changes.len()).filter(|&update| !has(here.known, update));
            steps.extend(news.map(|update| Step::Hear { at, update }));
            if here.known != 0 {
                steps.push(Step::Lose { at });
            }
        }
        steps
    }

    fn step(&mut self, step: Step<S::Op>) -> Result<(), Breach> {
        self.script.push(step);
        let changed = match step {
            Step::Act { at, seen, op } => {
                self.act(at, seen, op)?;
                at
            }
            Step::Hear { at, update } => {
                self.subject.join(&mut self.replicas[at].state, &self.changes[update]);
                self.replicas[at].known |= self.with_implied(update);
                at
            }
            Step::Join { at, from } => {
                let from = self.replicas[from].clone();
                self.subject.join(&mut self.replicas[at].state, &from.state);
                self.replicas[at].known |= from.known;
                at
            }
            Step::Lose { at } => {
                let lives = self.replicas[at].lives + 1;
                self.replicas[at] = Replica { lives, ..Replica::default() };
                at
            }
        };
        self.check(changed)
    }

    fn act(&mut self, at: usize, seen: usize, op: S::Op) -> Result<(), Breach> {
        let incarnation = if self.subject.renames() { 1 + self.replicas[at].lives } else { 1 };
        let actor = Actor { node: NodeId(at as u16 + 1), incarnation };
        let (serial, past, here) = (self.history.len(), self.replicas[seen].known, self.replicas[at].known);
        let observed = self.replicas[seen].state.clone();
        let change = self.subject.act(&mut self.replicas[at].state, (actor, serial), op, &observed);
        self.must("refuses what it must, no more", || {
            change.is_some() == self.subject.may(&self.history, here, actor, op)
        })?;
        if let Some(change) = change {
            let seen = standing(self.subject, &self.history, past);
            self.history.push(Update { actor, op, past, seen, here });
            self.changes.push(change);
            self.replicas[at].known |= self.with_implied(serial);
        }
        Ok(())
    }

    fn with_implied(&self, update: usize) -> Updates {
        1 << update | self.subject.implied(&self.history, update)
    }

    fn must(&self, law: &'static str, holds: impl FnOnce() -> bool) -> Result<(), Breach> {
        if self.only.is_some_and(|only| only != law) || holds() {
            return Ok(());
        }
        let states: Vec<_> = self.replicas.iter().map(|replica| self.subject.read(&replica.state)).collect();
        Err(Breach { law, story: format!("{:?}\n reads {states:?}\n states {:#?}", self.script, self.replicas) })
    }

    fn joined(&self, a: &S::State, b: &S::State) -> S::State {
        let mut a = a.clone();
        self.subject.join(&mut a, b);
        a
    }

    /// Looks at what a step may have changed: the one replica, and how it stands to the others.
    fn check(&self, at: usize) -> Result<(), Breach> {
        let here = &self.replicas[at];
        self.reads_as_expected(&here.state, here.known)?;
        for other in &self.replicas {
            let (a, b) = (&here.state, &other.state);
            let both = self.joined(a, b);
            self.must("idempotent", || self.joined(a, a) == *a)?;
            self.must("commutative", || both == self.joined(b, a))?;
            self.must("inflationary", || self.joined(&both, a) == both && self.joined(&both, b) == both)?;
            self.must("equal updates, equal states", || here.known != other.known || a == b)?;
            self.must("what is known changes nothing", || other.known & !here.known != 0 || both == *a)?;
            self.must("what is known changes nothing", || here.known & !other.known != 0 || both == *b)?;
        }
        for (update, change) in self.changes.iter().enumerate() {
            self.must("what is known changes nothing", || {
                self.with_implied(update) & !here.known != 0 || self.joined(&here.state, change) == here.state
            })?;
        }
        let [a, b, c] = [0, 1, 2].map(|at| &self.replicas[at].state);
        self.must("associative", || {
            self.joined(&self.joined(a, b), c) == self.joined(a, &self.joined(b, c))
                && self.joined(&self.joined(c, a), b) == self.joined(c, &self.joined(a, b))
        })?;
        self.changes_are_the_state()
    }

    /// All changes alone, in two orders and doubled, give what whole states and changes give.
    fn changes_are_the_state(&self) -> Result<(), Breach> {
        let all = |changes: &mut dyn Iterator<Item = &S::State>| {
            changes.fold(S::State::default(), |state, change| self.joined(&state, change))
        };
        let known = (0..self.changes.len()).fold(0, |known, at| known | self.with_implied(at));
        let forth = all(&mut self.changes.iter());
        let back = all(&mut self.changes.iter().rev().chain(&self.changes));
        self.must("changes in any order, equal states", || forth == back)?;
        for replica in &self.replicas {
            self.must("changes are the state", || replica.known != known || replica.state == forth)?;
            let whole = self.joined(&replica.state, &forth);
            self.must("changes are the state", || replica.known & !known != 0 || whole == forth)?;
        }
        self.reads_as_expected(&forth, known)
    }

    fn reads_as_expected(&self, state: &S::State, known: Updates) -> Result<(), Breach> {
        self.must("the invariant", || self.subject.holds(state))?;
        let read = self.subject.read(state);
        let standing = standing(self.subject, &self.history, known);
        self.must("reads as the oracle says", || read == self.subject.expect(&self.history, standing))?;
        if let Some(by_causes) = standing_by_causes(self.subject, &self.history, known) {
            self.must("reads as the causes say", || read == self.subject.expect(&self.history, by_causes))?;
        }
        Ok(())
    }
}

/// Tries all scripts of so many steps. Gives how many there were.
fn exhaust<S: Subject>(subject: &S, steps: usize) -> Result<usize, Breach> {
    grow(&World::new(subject, None), steps)
}

/// Does some script of so few steps break this law?
fn breaks<S: Subject>(subject: &S, law: &'static str, steps: usize) -> bool {
    grow(&World::new(subject, Some(law)), steps).is_err()
}

fn grow<S: Subject>(world: &World<'_, S>, left: usize) -> Result<usize, Breach> {
    if left == 0 {
        return Ok(1);
    }
    let mut scripts = 0;
    for step in world.steps() {
        let mut next = world.fork();
        next.step(step)?;
        scripts += grow(&next, left - 1)?;
    }
    Ok(scripts)
}

/// Runs the script that the numbers draw.
fn draw<S: Subject>(subject: &S, draws: &[u32]) -> Result<(), Breach> {
    let mut world = World::new(subject, None);
    for &draw in draws {
        let steps = world.steps();
        world.step(steps[draw as usize % steps.len()])?;
    }
    Ok(())
}
