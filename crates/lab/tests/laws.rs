//! The laws of machines on the register lesson and on the real node; and machines that break one law each.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use quorate_core::guarantee::{Session, Want};
use quorate_core::machine::{CallId, Input, Machine, NodeId, Now, Step, Wake};
use quorate_core::node::Node;
use quorate_core::operation::{Batch, Operate, Outcome as Heard, Reply, Request, TableId, Value};
use quorate_core::random::Random;
use quorate_core::store::View;
use quorate_lab::check::register::{BUDGET, Verdict, check};
use quorate_lab::check::{Action, Answer, Operation, Outcome};
use quorate_lab::laws::{self, Suspect};
use quorate_lab::lesson::register::{self, Register, Variant};
use quorate_lab::lesson::trial::replicas;
use quorate_lab::simulator::{Answered, Subject};
use quorate_lab::vopr::{self, Options};
use std::cell::Cell;
use std::collections::BTreeMap;

/// The history of one key: what every suspect here promises is that it is linearizable.
#[derive(Default)]
struct OneKey {
    operations: BTreeMap<CallId, Operation>,
    answered: usize,
}

impl OneKey {
    fn draw(&mut self, call: CallId, start: u64, random: &mut Random, numbers: bool) -> (NodeId, Action) {
        let action = match random.below(if numbers { 3 } else { 2 }) {
            0 => Action::Read,
            1 if !numbers => Action::Write(Bytes::from(format!("v{}", call.0))),
            _ => Action::Add(1),
        };
        let (key, outcome, client) = (Bytes::from_static(b"k"), Outcome::Unknown, call.0 as u32);
        let operation = Operation { client, key, action: action.clone(), outcome, start, end: u64::MAX };
        self.operations.insert(call, operation);
        (NodeId(1 + random.below(3) as u16), action)
    }
    fn heard(&mut self, call: CallId, at_us: u64, outcome: Outcome) {
        let operation = self.operations.get_mut(&call).unwrap();
        (operation.outcome, operation.end) = (outcome, at_us);
        self.answered += 1;
    }
    fn verdict(&self) -> Option<String> {
        let history: Vec<Operation> = self.operations.values().cloned().collect();
        match check(&history, BUDGET) {
            Verdict::Valid => None,
            Verdict::Invalid(witness) => Some(witness.to_string()),
            Verdict::Unknown(_) => Some("the checker gave up".to_string()),
        }
    }
}

struct Lesson(OneKey, Variant);

impl Suspect for Lesson {
    type Machine = Register;
    fn configs(&self) -> Vec<(NodeId, register::Config)> {
        replicas(self.1)
    }
    fn request(&mut self, call: CallId, at_us: u64, random: &mut Random) -> (NodeId, register::Request) {
        let key = Bytes::from_static(b"k");
        match self.0.draw(call, at_us, random, false) {
            (node, Action::Write(value)) => (node, register::Request::Put(key, value)),
            (node, _) => (node, register::Request::Get(key)),
        }
    }
    fn heard(&mut self, answered: Answered<register::Reply>) {
        let read = self.0.operations[&answered.call].action == Action::Read;
        let outcome = match answered.reply {
            register::Reply::Done(value) if read => Outcome::Done(Answer::Value(value)),
            register::Reply::Done(_) => Outcome::Done(Answer::Written),
            register::Reply::Unknown => Outcome::Unknown,
        };
        self.0.heard(answered.call, answered.at_us, outcome);
    }
    fn verdict(&self) -> Option<String> {
        self.0.verdict()
    }
    fn answered(&self) -> usize {
        self.0.answered
    }
}

struct Whole(OneKey);

impl Suspect for Whole {
    type Machine = Node;
    fn configs(&self) -> Vec<(NodeId, quorate_core::node::Config)> {
        let options = Options { election_ms: 40, heartbeat_ms: 10, keep_entries: 5, ..Options::default() };
        options.members().into_iter().map(|node| (node, vopr::config(&options, node))).collect()
    }
    fn request(&mut self, call: CallId, at_us: u64, random: &mut Random) -> (NodeId, Request) {
        let (node, action) = self.0.draw(call, at_us, random, true);
        let words = match action {
            Action::Add(by) => vec!["INCRBY".to_string(), "k".to_string(), by.to_string()],
            _ => vec!["GET".to_string(), "k".to_string()],
        };
        let commands = vec![words.into_iter().map(Bytes::from).collect()];
        let batch = Batch { table: TableId(0), guards: vec![], idempotency: None, commands, transaction: false };
        let (want, session) = (Want::default(), Session::default());
        (
            node,
            Request::Operate(Operate { batch, want, session, seen: None, after_own_writes: false, deadline_ms: 500 }),
        )
    }
    fn heard(&mut self, answered: Answered<Reply>) {
        let Reply::Operated { outcome, .. } = answered.reply else { panic!("an operation is answered by its outcome") };
        let outcome = match outcome {
            Heard::Done { value: Value::Int(sum), .. } => Outcome::Done(Answer::Number(sum)),
            Heard::Done { value: Value::Bulk(value), .. } => Outcome::Done(Answer::Value(Some(value))),
            Heard::Done { value: Value::Nil, .. } => Outcome::Done(Answer::Value(None)),
            Heard::Refused(_) => Outcome::Refused,
            Heard::Unknown(_) | Heard::Short { .. } => Outcome::Unknown,
            Heard::Done { value, .. } => panic!("{value:?}"),
        };
        self.0.heard(answered.call, answered.at_us, outcome);
    }
    fn verdict(&self) -> Option<String> {
        self.0.verdict()
    }
    fn answered(&self) -> usize {
        self.0.answered
    }
}

#[test]
fn the_register_keeps_the_laws() {
    assert_eq!(laws::check(|_| Lesson(OneKey::default(), Variant::Correct), 20, 20), vec![]);
}

#[test]
fn the_node_keeps_the_laws() {
    assert_eq!(laws::check(|_| Whole(OneKey::default()), 12, 30), vec![]);
}

#[test]
fn an_eager_register_breaks_a_law_when_the_power_goes() {
    let broken = laws::check(|_| Lesson(OneKey::default(), Variant::EagerAck), 60, 60);
    assert_eq!(broken.iter().map(|broken| broken.law).collect::<Vec<_>>(), ["L3"], "{broken:?}");
}

/// How a machine of one node breaks the laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crime {
    /// Answers by something that is not in its inputs.
    SecretState,
    /// Adds again what a wake or a doubled request did not ask for.
    CountsWakes,
    /// Keeps the sum in memory only.
    RemembersNothing,
    /// Writes outside its drawer.
    StrangeKey,
    /// Answers a call twice.
    AnswersTwice,
    /// Wants to be woken at once, for ever.
    Spins,
    /// Lets the wall clock decide.
    AsksTheClock,
}

thread_local! {
    static SECRET: Cell<u64> = const { Cell::new(0) };
}

/// A counter on one node.
struct Counter {
    crime: Crime,
    sum: i64,
}

fn stored(view: &dyn View) -> i64 {
    view.get(b"c").map_or(0, |bytes| i64::from_be_bytes(bytes[..].try_into().unwrap()))
}

impl Machine for Counter {
    type Config = Crime;
    type Request = i64;
    type Reply = i64;
    type Message = ();
    fn boot(config: &Crime, _now: Now, disk: &dyn View) -> Counter {
        Counter { crime: *config, sum: if *config == Crime::RemembersNothing { 0 } else { stored(disk) } }
    }
    fn step(&mut self, cx: &mut Step<'_, i64, ()>, input: Input<i64, ()>) {
        match input {
            Input::Request { call, request } => {
                self.sum += request;
                let late = cx.now().wall.latest_ms > quorate_lab::simulator::EPOCH_MS + 86_400_000;
                if self.crime == Crime::AsksTheClock && late {
                    self.sum += 1;
                }
                let key: &[u8] = if self.crime == Crime::StrangeKey { b"elsewhere" } else { b"c" };
                cx.put(key, &self.sum.to_be_bytes());
                if self.crime == Crime::SecretState {
                    SECRET.set(SECRET.get() + 1);
                    cx.put(b"c secret", &SECRET.get().to_be_bytes());
                }
                cx.answer_synced(call, self.sum);
                if self.crime == Crime::AnswersTwice {
                    cx.answer_synced(call, self.sum);
                }
            }
            Input::Wake if self.crime == Crime::CountsWakes => self.sum += 1,
            Input::Message { .. } | Input::Synced { .. } | Input::Lost { .. } | Input::Wake => {}
        }
    }
    fn wake_at(&self) -> Option<Wake> {
        (self.crime == Crime::Spins).then_some(Wake { at: quorate_core::machine::Mono(0), why: "spins" })
    }
}

impl Subject for Counter {
    fn reborn(config: &Crime, _incarnation: u64) -> Crime {
        *config
    }
    fn key_law(key: &[u8]) -> Option<String> {
        (key.first() != Some(&b'c')).then(|| "outside the drawer".to_string())
    }
}

struct Culprit(OneKey, Crime);

impl Suspect for Culprit {
    type Machine = Counter;
    fn configs(&self) -> Vec<(NodeId, Crime)> {
        vec![(NodeId(1), self.1)]
    }
    fn request(&mut self, call: CallId, at_us: u64, random: &mut Random) -> (NodeId, i64) {
        loop {
            if let (_, Action::Add(by)) = self.0.draw(call, at_us, random, true) {
                return (NodeId(1), by);
            }
        }
    }
    fn heard(&mut self, answered: Answered<i64>) {
        if self.0.operations[&answered.call].outcome == Outcome::Unknown {
            self.0.heard(answered.call, answered.at_us, Outcome::Done(Answer::Number(answered.reply)));
        }
    }
    fn verdict(&self) -> Option<String> {
        self.0.verdict()
    }
    fn answered(&self) -> usize {
        self.0.answered
    }
}

#[test]
fn each_crime_breaks_its_law() {
    for (crime, law, word) in [
        (Crime::SecretState, "L1", "differ"),
        (Crime::RemembersNothing, "L3", "incr"),
        (Crime::CountsWakes, "L4", "incr"),
        (Crime::Spins, "promise", "L7"),
        (Crime::StrangeKey, "promise", "L8"),
        (Crime::AsksTheClock, "L9", "incr"),
        (Crime::AnswersTwice, "promise", "not open"),
    ] {
        let broken = laws::check(|_| Culprit(OneKey::default(), crime), 6, 20);
        let found = broken.iter().find(|broken| broken.law == law);
        assert!(found.is_some_and(|broken| broken.what.contains(word)), "{crime:?}: {broken:?}");
    }
}
