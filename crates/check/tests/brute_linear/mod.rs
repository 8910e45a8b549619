//! The second opinion on linearizability, which tries every order; and histories to compare on.
#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use quorate_check::second::order;
use quorate_check::{Datum, History, Id, Key, Object, Outcome, Recorder, Step, Ticket, Value};
use std::collections::BTreeMap;

/// Is there an order that respects time (with reads as begun so much earlier) and explains every answer?
pub fn linearizable(history: &History, reads_earlier: u64) -> bool {
    order::linearizable(history, reads_earlier).expect("it is small")
}

/// Lamport's two models of single reads.
pub fn regular(history: &History) -> bool {
    order::regular(history).expect("it is small")
}

/// The same for reads that overlap no update of their key.
pub fn safe(history: &History) -> bool {
    order::safe(history).expect("it is small")
}

fn number(datum: &Datum) -> Option<i64> {
    if *datum == Datum::Nil { Some(0) } else { datum.integer() }
}

/// A stream of numbers that looks random.
pub struct Random(pub u64);

impl Random {
    /// The next, below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
    /// True so many times out of a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What kinds of histories to make.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub object: Object,
    pub operations: u64,
    pub keys: u64,
    /// Values are drawn from so many; 0: each is new.
    pub values: u64,
    /// Of a hundred operations, so many have an unknown outcome.
    pub open: u64,
    pub refused: u64,
    /// Of a hundred histories, so many name what registers hold at first: the first value that is new. Of a hundred accounts,
    /// so many name their first balance; the others have one too.
    pub first: u64,
    /// Of a hundred histories, so many have a wrong answer.
    pub wrong: u64,
    /// Operations last up to this long.
    pub length: u64,
    /// All begins are below this.
    pub time: u64,
    /// Multi-step operations.
    pub steps: bool,
    /// Operations consist of up to so many requests, each of a key of its own.
    pub parts: u64,
    /// Times are told: of each moment, up to this many nanoseconds after the one before, and a little off now and then. 0: none.
    pub clock: u64,
}

impl Kind {
    pub fn new(object: Object) -> Kind {
        Kind {
            object,
            operations: 7,
            keys: 1,
            values: 0,
            open: 12,
            refused: 4,
            first: 15,
            wrong: 50,
            length: 8,
            time: 14,
            steps: false,
            parts: 1,
            clock: 0,
        }
    }
}

struct Plan {
    ticket: Ticket,
    steps: Vec<Step>,
    begin: u64,
    end: u64,
    point: u64,
    session: u32,
    fate: Outcome,
}

/// A history of a simulated object, perhaps with a wrong answer.
pub fn simulate(kind: Kind, random: &mut Random) -> History {
    record(kind, random).finish()
}

/// The same, to which first values can be added.
pub fn record(kind: Kind, random: &mut Random) -> Recorder {
    let mut recorder = Recorder::new(kind.object);
    let count = 1 + random.below(kind.operations);
    let mut plans = Vec::new();
    let mut fresh = 0;
    let mut first = Simulated::default();
    if random.percent(kind.first) && matches!(kind.object, Object::Register | Object::CasRegister) {
        let value = recorder.value(&Datum::Integer(1));
        recorder.initial_of_all(value);
        first.datum = random.percent(80).then_some(Datum::Integer(1));
    }
    for _ in 0..count {
        let begin = random.below(kind.time);
        let end = begin + random.below(kind.length);
        let session = random.below(3);
        let name = recorder.session(&Datum::Integer(session as i64));
        let more = if kind.parts > 1 { random.below(kind.parts) } else { 0 };
        let steps: Vec<Step> = (0..=more).flat_map(|_| ask(kind, &mut recorder, random, &mut fresh)).collect();
        let ticket = recorder.begin(name, begin, 0, &steps);
        let fate = if random.percent(kind.open) {
            Outcome::Unknown
        } else if random.percent(kind.refused) {
            Outcome::Refused
        } else {
            Outcome::Done
        };
        let late = if fate == Outcome::Unknown { 20 } else { end - begin + 1 };
        let point = begin + random.below(late);
        plans.push(Plan { ticket, steps, begin, end, point, session: name.0, fate });
    }
    let mut order: Vec<usize> = (0..plans.len()).collect();
    order.sort_by_key(|&at| plans[at].point);
    let mut world: BTreeMap<Key, Simulated> = BTreeMap::new();
    let accounts = if kind.object == Object::Bank { kind.keys as i64 } else { 0 };
    for account in 0..accounts {
        let key = recorder.key(&Datum::Integer(account));
        let balance = Datum::Integer(random.below(5) as i64 - 2);
        if random.percent(kind.first) {
            let value = recorder.value(&balance);
            recorder.initial(key, value);
        }
        world.insert(key, Simulated { datum: Some(balance), ..Simulated::default() });
    }
    for at in order {
        let takes = match plans[at].fate {
            Outcome::Done => true,
            Outcome::Unknown => random.percent(60),
            Outcome::Refused => false,
        };
        if takes {
            let session = plans[at].session;
            for step in &mut plans[at].steps {
                answer(&mut recorder, kind.object, &first, &mut world, step, session);
            }
        }
    }
    if random.percent(kind.wrong) {
        let at = random.below(plans.len() as u64) as usize;
        let step = random.below(plans[at].steps.len() as u64) as usize;
        corrupt(&mut recorder, random, &mut plans[at].steps[step]);
    }
    for plan in &plans {
        match plan.fate {
            Outcome::Done if plan.steps.iter().all(|step| !matches!(step, Step::Acquire { token: Some(-1), .. })) => {
                recorder.end(plan.ticket, plan.end, &plan.steps);
            }
            Outcome::Unknown => {}
            Outcome::Done | Outcome::Refused => recorder.refuse(plan.ticket, plan.end),
        }
    }
    if kind.clock > 0 {
        tell_times(kind, &mut recorder, random, &plans);
    }
    recorder
}

/// Time does not run evenly, may stand still from one moment to the next, and is not always read when a row is written.
fn tell_times(kind: Kind, recorder: &mut Recorder, random: &mut Random, plans: &[Plan]) {
    let mut now = 0;
    let mut tick = |_| {
        now += random.below(kind.clock + 1);
        now
    };
    let clock: Vec<u64> = (0..kind.time + kind.length).map(&mut tick).collect();
    for plan in plans {
        let begin = clock[plan.begin as usize];
        let mut end = clock[plan.end as usize];
        let begin = if random.percent(10) { begin.saturating_sub(random.below(kind.clock)) } else { begin };
        end += if random.percent(10) { random.below(kind.clock) } else { 0 };
        recorder.time_ns(plan.ticket, begin, if plan.fate == Outcome::Unknown { u64::MAX } else { end });
    }
}

#[derive(Clone, Debug, Default)]
struct Simulated {
    datum: Option<Datum>,
    line: Vec<Value>,
    holder: Option<u32>,
    token: i64,
}

fn ask(kind: Kind, recorder: &mut Recorder, random: &mut Random, fresh: &mut i64) -> Vec<Step> {
    let key = recorder.key(&Datum::Integer(random.below(kind.keys) as i64));
    let mut new = |recorder: &mut Recorder, random: &mut Random| {
        *fresh += 1;
        let number = if kind.values == 0 { *fresh } else { 1 + random.below(kind.values) as i64 };
        match kind.object {
            Object::Kv if kind.values == 0 => recorder.value(&Datum::text(&format!("{number};"))),
            Object::Kv => recorder.value(&Datum::text(["a", "b", "ab", ""][number as usize % 4])),
            _ => recorder.value(&Datum::Integer(number)),
        }
    };
    let choice = random.below(100);
    match kind.object {
        Object::Register | Object::CasRegister | Object::Kv => {
            let cas = kind.object == Object::CasRegister;
            let write = Step::Write { key, value: new(recorder, random) };
            let read = Step::Read { key, value: None };
            match choice {
                0..40 => vec![read],
                40..50 if kind.steps => vec![read, write],
                50..54 if kind.steps => vec![write, read],
                54..56 if kind.steps && kind.values > 0 => {
                    vec![Step::Add { key, by: 1 }, Step::Count { key, number: None }]
                }
                56..58 if kind.steps && kind.values > 0 => vec![Step::Add { key, by: 1 }],
                58..60 if kind.steps => vec![Step::Write { key, value: Value::NIL }],
                // A delete that tells whether something was there.
                60..62 if kind.steps => vec![
                    Step::Cas { key, from: Value::NIL, to: Value::NIL, took: None },
                    Step::Write { key, value: Value::NIL },
                ],
                62..80 if cas => {
                    let number = if kind.values == 0 {
                        1 + random.below(4) as i64
                    } else {
                        1 + random.below(kind.values) as i64
                    };
                    let from = if random.percent(20) { Value::NIL } else { recorder.value(&Datum::Integer(number)) };
                    vec![Step::Cas { key, from, to: new(recorder, random), took: None }]
                }
                62..85 if kind.object == Object::Kv => vec![Step::Append { key, value: new(recorder, random) }],
                _ => vec![write],
            }
        }
        Object::Counter | Object::Bank => {
            let by = if kind.values == 0 { 1 } else { random.below(kind.values * 2 + 1) as i64 - kind.values as i64 };
            let other = recorder.key(&Datum::Integer(random.below(kind.keys) as i64));
            match choice {
                0..45 if kind.object == Object::Bank => (0..kind.keys as i64)
                    .map(|key| Step::Count { key: recorder.key(&Datum::Integer(key)), number: None })
                    .collect(),
                _ if kind.object == Object::Bank => vec![Step::Add { key, by: -by }, Step::Add { key: other, by }],
                0..45 => vec![Step::Count { key, number: None }],
                45..60 if kind.steps => vec![Step::Add { key, by }, Step::Count { key, number: None }],
                _ => vec![Step::Add { key, by }],
            }
        }
        Object::Set => match choice {
            0..45 => vec![Step::Insert { key, value: new(recorder, random) }],
            45..70 if kind.steps => {
                let number =
                    if kind.values == 0 { 1 + random.below(4) as i64 } else { 1 + random.below(kind.values) as i64 };
                let value = recorder.value(&Datum::Integer(number));
                if choice < 55 {
                    vec![Step::Remove { key, value }]
                } else {
                    vec![Step::Contains { key, value, there: None }]
                }
            }
            _ => vec![Step::ReadList { key, list: None }],
        },
        Object::Queue | Object::Stack => match choice {
            0..50 => vec![Step::Insert { key, value: new(recorder, random) }],
            _ => vec![Step::Take { key, value: None }],
        },
        Object::Mutex => match choice {
            0..50 => vec![Step::Acquire { key, token: None }],
            _ => vec![Step::Release { key, token: None }],
        },
        Object::FencedLock => match choice {
            0..40 => vec![Step::Acquire { key, token: None }],
            40..70 => vec![Step::Release { key, token: None }],
            _ => vec![Step::Guarded { key, token: 1 + random.below(3) as i64 }],
        },
        Object::ListAppend | Object::RwRegister | Object::UniqueId | Object::Replica => unreachable!(),
    }
}

fn answer(
    recorder: &mut Recorder,
    object: Object,
    first: &Simulated,
    world: &mut BTreeMap<Key, Simulated>,
    step: &mut Step,
    session: u32,
) {
    let key = step.key().expect("all that is simulated has a key");
    let is = world.entry(key).or_insert_with(|| first.clone());
    let nil = Datum::Nil;
    match step {
        Step::Read { value, .. } => *value = Some(recorder.value(is.datum.as_ref().unwrap_or(&nil))),
        Step::Write { value, .. } => is.datum = Some(datum(recorder, *value)),
        Step::Cas { from, to, took, .. } => {
            let takes = recorder.value(is.datum.as_ref().unwrap_or(&nil)) == *from;
            *took = Some(takes);
            if takes {
                is.datum = Some(datum(recorder, *to));
            }
        }
        Step::Append { value, .. } => {
            let before = is.datum.clone().unwrap_or(Datum::Nil);
            let more = datum(recorder, *value);
            is.datum = Some(Datum::text(&format!("{}{}", before.name().unwrap_or(""), more.name().unwrap_or(""))));
        }
        Step::Add { by, .. } => {
            let sum = is.datum.as_ref().and_then(number).unwrap_or(0) + *by;
            is.datum = Some(Datum::Integer(sum));
        }
        Step::Count { number: what, .. } => *what = Some(is.datum.as_ref().and_then(number).unwrap_or(0)),
        Step::Insert { value, .. } if object == Object::Set => {
            if !is.line.contains(value) {
                is.line.push(*value);
            }
        }
        Step::Insert { value, .. } => is.line.push(*value),
        Step::Remove { value, .. } => is.line.retain(|other| other != value),
        Step::Contains { value, there, .. } => *there = Some(is.line.contains(value)),
        Step::ReadList { list, .. } => *list = Some(recorder.list(&is.line)),
        Step::Take { value, .. } => {
            let at = if object == Object::Stack { is.line.len().saturating_sub(1) } else { 0 };
            *value = Some(if is.line.is_empty() { Value::NIL } else { is.line.remove(at) });
        }
        Step::Acquire { token, .. } => {
            // A lock that is held refuses: the plan is told so by a token that cannot be.
            if is.holder.is_some() {
                *token = Some(-1);
                return;
            }
            is.holder = Some(session);
            is.token += 1;
            *token = (object == Object::FencedLock).then_some(is.token);
        }
        Step::Release { token, .. } => {
            is.holder = None;
            *token = (object == Object::FencedLock && is.token % 2 == 1).then_some(is.token);
        }
        Step::Guarded { .. } | Step::Generate { .. } | Step::Digest { .. } => {}
    }
}

/// What a value is: recorders do not tell, but numbering candidates again does.
fn datum(recorder: &mut Recorder, value: Value) -> Datum {
    for number in -20..40 {
        if recorder.value(&Datum::Integer(number)) == value {
            return Datum::Integer(number);
        }
    }
    for number in 1..40 {
        if recorder.value(&Datum::text(&format!("{number};"))) == value {
            return Datum::text(&format!("{number};"));
        }
    }
    for text in ["a", "b", "ab", ""] {
        if recorder.value(&Datum::text(text)) == value {
            return Datum::text(text);
        }
    }
    Datum::Nil
}

fn corrupt(recorder: &mut Recorder, random: &mut Random, step: &mut Step) {
    let other = match random.below(8) {
        0 => Value::NIL,
        1 => recorder.value(&Datum::text("1;2;")),
        _ => recorder.value(&Datum::Integer(1 + random.below(5) as i64)),
    };
    let by = random.below(3) as i64 - 1;
    match step {
        Step::Read { value, .. } | Step::Take { value, .. } => *value = Some(other),
        Step::Cas { took, .. } | Step::Contains { there: took, .. } => *took = took.map(|took| !took),
        Step::Count { number, .. } => *number = number.map(|number| number + by),
        Step::ReadList { list, .. } => {
            let second = recorder.value(&Datum::Integer(1 + random.below(3) as i64));
            let both = [other, second];
            *list = Some(recorder.list(&both[..random.below(3) as usize]));
        }
        Step::Acquire { token, .. } | Step::Release { token, .. } => {
            if let Some(token) = token.as_mut().filter(|token| **token > 0) {
                *token += by;
            }
        }
        Step::Insert { value, .. } if other != Value::NIL => *value = other,
        Step::Write { value, .. } => *value = other,
        Step::Add { by: is, .. } => *is += by,
        Step::Insert { .. }
        | Step::Append { .. }
        | Step::Remove { .. }
        | Step::Guarded { .. }
        | Step::Generate { .. }
        | Step::Digest { .. } => {}
    }
}

/// The history line by line, for messages.
pub fn print(history: &History) -> String {
    let line = |id: Id| {
        let operation = history.operation(id);
        let end = if operation.end == u64::MAX { "…".into() } else { operation.end.to_string() };
        format!("  s{} [{} {end}] {}\n", operation.session.0, operation.begin, history.describe(id))
    };
    history.ids().map(line).collect()
}
