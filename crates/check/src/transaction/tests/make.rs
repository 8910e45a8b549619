//! Makes histories: random ones, and those of a store that is right or slightly wrong.

use crate::{Datum, History, Key, Object, Recorder, Step, Value};

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % count as u64) as usize
    }
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A transaction in words: `("a", begin, end, "wx1 rx0")`; end 0 is an unknown outcome, and -1 refused.
pub type Told<'a> = (&'a str, i64, i64, &'a str);

/// Steps are `wx1`, `rx1`, `ax1`, `lx123` (the list 1 2 3), with `-` for nothing and `?` for an unknown answer.
pub fn told(object: Object, binds: bool, transactions: &[Told<'_>]) -> History {
    let mut recorder = Recorder::new(object);
    if binds {
        recorder.without_real_time();
    }
    for &(session, begin, end, text) in transactions {
        let session = recorder.session(&session.into());
        let steps: Vec<Step> = text.split_whitespace().map(|word| step(&mut recorder, word)).collect();
        let ticket = recorder.begin(session, begin as u64, 0, &steps);
        match end {
            0 => {}
            -1 => recorder.refuse(ticket, begin as u64 + 1),
            end => recorder.end(ticket, end as u64, &steps),
        }
    }
    recorder.finish()
}

fn step(recorder: &mut Recorder, word: &str) -> Step {
    let mut letters = word.chars();
    let kind = letters.next().expect("a kind");
    let key = recorder.key(&letters.next().expect("a key").to_string().as_str().into());
    let rest: Vec<char> = letters.collect();
    let mut value = |letter: &char| match letter {
        '-' => Value::NIL,
        letter => recorder.value(&Datum::Integer(letter.to_digit(36).expect("a digit").into())),
    };
    match (kind, rest.as_slice()) {
        ('w', [letter]) => Step::Write { key, value: value(letter) },
        ('a', [letter]) => Step::Append { key, value: value(letter) },
        ('r', ['?']) => Step::Read { key, value: None },
        ('r', [letter]) => Step::Read { key, value: Some(value(letter)) },
        ('l', ['?']) => Step::ReadList { key, list: None },
        ('l', letters) => {
            let values: Vec<Value> = letters.iter().map(&mut value).collect();
            Step::ReadList { key, list: Some(recorder.list(&values)) }
        }
        _ => panic!("not a step: {word}"),
    }
}

/// How a random history is made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub object: Object,
    pub transactions: usize,
    pub keys: usize,
    pub sessions: usize,
    pub steps: usize,
    /// One read in so many reads something else than the store has; 0: none.
    pub wrong: usize,
    /// One write in so many writes a value that was written before; 0: none.
    pub again: usize,
    /// One transaction in so many has an unknown outcome or is refused; 0: none.
    pub lost: usize,
    pub binds: bool,
}

/// A history of a store that executes one transaction after the other, except where the dice make it wrong.
pub fn random(dice: &mut Dice, shape: Shape) -> History {
    let mut recorder = Recorder::new(shape.object);
    if shape.binds {
        recorder.without_real_time();
    }
    let keys: Vec<Key> = (0..shape.keys).map(|key| recorder.key(&Datum::Integer(key as i64))).collect();
    let is_list = shape.object == Object::ListAppend;
    let mut log: Vec<Vec<Value>> = vec![Vec::new(); shape.keys];
    let mut next = 0;
    let mut busy_to = vec![0u64; shape.sessions];
    for at in 0..shape.transactions {
        let session = dice.below(shape.sessions);
        let name = recorder.session(&Datum::Integer(session as i64));
        let middle = 10 * (at as u64 + 1);
        let begin = (middle - dice.below(25).min(middle as usize - 1) as u64).max(busy_to[session] + 1);
        let end = begin.max(middle) + 1 + dice.below(25) as u64;
        busy_to[session] = if dice.one_in(8) { begin } else { end };
        let fate = if shape.lost > 0 && dice.one_in(shape.lost) { 1 + dice.below(3) } else { 0 };
        let before = log.clone();
        let mut steps = Vec::new();
        for _ in 0..1 + dice.below(shape.steps) {
            let key = dice.below(shape.keys);
            if dice.one_in(2) {
                let old = shape.again > 0 && dice.one_in(shape.again);
                next += i64::from(!old);
                let number = if old { dice.below(next as usize + 1) as i64 } else { next };
                let value = recorder.value(&Datum::Integer(number));
                log[key].push(value);
                let (key, value) = (keys[key], value);
                steps.push(if is_list { Step::Append { key, value } } else { Step::Write { key, value } });
                continue;
            }
            let mut seen = log[key].clone();
            if shape.wrong > 0 && dice.one_in(shape.wrong) {
                match dice.below(6) {
                    0..4 => seen.truncate(dice.below(seen.len() + 1)),
                    4 => seen = before[key].clone(),
                    _ if seen.len() > 1 => {
                        let at = dice.below(seen.len() - 1);
                        seen.swap(at, at + 1);
                    }
                    _ => {}
                }
            }
            let key = keys[key];
            steps.push(if is_list {
                Step::ReadList { key, list: Some(recorder.list(&seen)) }
            } else {
                Step::Read { key, value: Some(seen.last().copied().unwrap_or(Value::NIL)) }
            });
        }
        let ticket = recorder.begin(name, begin, 0, &steps);
        match fate {
            0 => recorder.end(ticket, end, &steps),
            1 => {
                recorder.refuse(ticket, end);
                log = if dice.one_in(4) { log } else { before };
            }
            _ => log = if dice.one_in(2) { log } else { before },
        }
    }
    recorder.finish()
}

/// A history whose reads give any versions at all: each key has an order of versions, and each read a random one of them,
/// neither aborted nor intermediate.
pub fn wild(dice: &mut Dice, shape: Shape) -> History {
    let mut recorder = Recorder::new(shape.object);
    if shape.binds {
        recorder.without_real_time();
    }
    let is_list = shape.object == Object::ListAppend;
    let keys: Vec<Key> = (0..shape.keys).map(|key| recorder.key(&Datum::Integer(key as i64))).collect();
    // The key of each step, and whether it writes.
    let plans: Vec<Vec<(usize, bool)>> = (0..shape.transactions)
        .map(|_| (0..1 + dice.below(shape.steps)).map(|_| (dice.below(shape.keys), dice.one_in(2))).collect())
        .collect();
    let mut next = 0;
    let mut written: Vec<Vec<Value>> = Vec::new();
    for plan in &plans {
        written.push(Vec::new());
        for _ in plan {
            next += i64::from(!(shape.again > 0 && next > 0 && dice.one_in(shape.again)));
            written.last_mut().expect("one was pushed").push(recorder.value(&Datum::Integer(next)));
        }
    }
    let own = |at: usize, key: usize, before: usize| -> Vec<Value> {
        let steps = plans[at].iter().zip(&written[at]).take(before);
        steps.filter(|((of, writes), _)| *of == key && *writes).map(|(_, value)| *value).collect()
    };
    // The order of versions: mostly the same for all keys.
    let orders: Vec<Vec<usize>> = (0..shape.keys)
        .map(|_| {
            let mut order: Vec<usize> = (0..shape.transactions).collect();
            for _ in 0..dice.below(3) {
                order.swap(dice.below(shape.transactions), dice.below(shape.transactions));
            }
            order
        })
        .collect();
    for (at, plan) in plans.iter().enumerate() {
        let session = recorder.session(&Datum::Integer(dice.below(shape.sessions) as i64));
        let mut steps = Vec::new();
        let mut seen: Vec<Option<Vec<usize>>> = vec![None; shape.keys];
        for (step, &(key, writes)) in plan.iter().enumerate() {
            if writes {
                let (key, value) = (keys[key], written[at][step]);
                steps.push(if is_list { Step::Append { key, value } } else { Step::Write { key, value } });
                continue;
            }
            let place = orders[key].iter().position(|&other| other == at).expect("all are in order");
            let mine = own(at, key, step);
            let again = seen[key].clone().filter(|_| !dice.one_in(8));
            let from = again.unwrap_or_else(|| {
                let to = if is_list && !mine.is_empty() { place } else { dice.below(shape.transactions + 1) };
                orders[key][..to].iter().copied().filter(|&other| other != at).collect()
            });
            let mut list: Vec<Value> = from.iter().flat_map(|&other| own(other, key, usize::MAX)).collect();
            seen[key] = Some(from);
            list.extend(&mine);
            let key = keys[key];
            steps.push(if is_list {
                Step::ReadList { key, list: Some(recorder.list(&list)) }
            } else {
                Step::Read { key, value: Some(list.last().copied().unwrap_or(Value::NIL)) }
            });
        }
        let begin = 1 + 4 * at as u64 + dice.below(4) as u64;
        let ticket = recorder.begin(session, begin, 0, &steps);
        if shape.lost == 0 || !dice.one_in(shape.lost) {
            recorder.end(ticket, begin + 1 + dice.below(12) as u64, &steps);
        }
    }
    recorder.finish()
}
