// Small random histories of registers, compare-and-set registers and texts: from one store, from replicas that lag, and
// from nothing but chance.

use super::{Datum, History, Object, Recorder, Step, Value};

pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub fn history(seed: u64) -> History {
    let mut dice = Dice(seed.wrapping_mul(0xD134_2543_DE82_EF95));
    let object = [Object::Register, Object::Register, Object::CasRegister, Object::Kv][dice.below(4) as usize];
    let count = 2 + dice.below(if object == Object::Register { 7 } else { 5 });
    of(object, count, &mut dice)
}

/// What a replica has: for each key the writes in its order.
type Replica = Vec<Vec<(u64, Datum, bool)>>;

fn value_of(object: Object, writes: &[(u64, Datum, bool)]) -> Datum {
    let mut text = Datum::Nil;
    for (_, value, appends) in writes {
        text = match (&text, appends) {
            (Datum::Text(old), true) => Datum::text(&format!("{old}{}", value.name().unwrap_or(""))),
            _ => value.clone(),
        };
    }
    let _ = object;
    text
}

pub fn of(object: Object, count: u64, dice: &mut Dice) -> History {
    let mut recorder = Recorder::new(object);
    let (sessions, keys) = (2 + dice.below(2), 1 + dice.below(2));
    let repeat = dice.chance(25);
    let lag = [0, 0, 30, 60][dice.below(4) as usize];
    let insert = dice.chance(40);
    let chance = [0, 0, 10, 50][dice.below(4) as usize];
    let unknown = [0, 0, 20][dice.below(3) as usize];
    let mut replicas: Vec<Replica> = vec![vec![Vec::new(); keys as usize]; sessions as usize];
    #[allow(clippy::type_complexity, reason = "the key, and the moment, value and kind of the update")]
    let mut waiting: Vec<Vec<(usize, (u64, Datum, bool))>> = vec![Vec::new(); sessions as usize];
    let mut written: Vec<Datum> = vec![Datum::Nil];
    let mut free_at = vec![0; sessions as usize];
    for moment in 1..=count {
        let session = dice.below(sessions) as usize;
        let key_at = dice.below(keys) as usize;
        for replica in 0..sessions as usize {
            while !waiting[replica].is_empty() && !dice.chance(lag) {
                let in_order = dice.chance(70);
                let at = if in_order { 0 } else { dice.below(waiting[replica].len() as u64) as usize };
                let (key, write) = waiting[replica].remove(at);
                let list = &mut replicas[replica][key];
                let place = if insert {
                    list.iter().position(|(at, ..)| *at > write.0).unwrap_or(list.len())
                } else {
                    list.len()
                };
                list.insert(place, write);
            }
        }
        let mut seen = value_of(object, &replicas[session][key_at]);
        if dice.chance(chance) {
            seen = written[dice.below(written.len() as u64) as usize].clone();
        }
        let fresh = match object {
            Object::Kv => Datum::text(["a", "b", "c", "d", "e", "f", "g", "h"][moment as usize % 8]),
            _ => Datum::Integer(moment as i64),
        };
        let new =
            if repeat && dice.chance(60) { written[dice.below(written.len() as u64) as usize].clone() } else { fresh };
        let (key, s) =
            (recorder.key(&Datum::text(["x", "y"][key_at])), recorder.session(&Datum::text(["a", "b", "c"][session])));
        let what = dice.below(100);
        let (mut done, mut appends) = (true, false);
        let step = match object {
            _ if what < 50 => {
                done = false;
                Step::Read { key, value: if dice.chance(2) { None } else { Some(recorder.value(&seen)) } }
            }
            Object::CasRegister if what < 80 => {
                let from = if dice.chance(70) {
                    seen.clone()
                } else {
                    written[dice.below(written.len() as u64) as usize].clone()
                };
                let took = from == seen;
                done = took;
                let took = if dice.chance(4) { None } else { Some(took) };
                Step::Cas { key, from: recorder.value(&from), to: recorder.value(&new), took }
            }
            Object::Kv if what < 85 && new != Datum::Nil && new.name().is_some_and(|text| text.len() == 1) => {
                appends = true;
                Step::Append { key, value: recorder.value(&new) }
            }
            _ => Step::Write { key, value: recorder.value(&new) },
        };
        let (begin, length) = (moment * 4, dice.below(9));
        let begin = begin.max(if dice.chance(90) { free_at[session] } else { 0 });
        let ticket = recorder.begin(s, begin, 0, &[step]);
        free_at[session] = begin + length + 1;
        let lost = dice.chance(unknown);
        if !lost {
            recorder.end(ticket, begin + length, &[step]);
        } else if dice.chance(15) {
            recorder.refuse(ticket, begin + length);
            done = done && dice.chance(10);
        }
        if done && (!lost || dice.chance(60)) {
            written.push(new.clone());
            let write = (moment, new, appends);
            for replica in 0..sessions as usize {
                if replica == session && !lost {
                    replicas[replica][key_at].push(write.clone());
                } else {
                    waiting[replica].push((key_at, write.clone()));
                }
            }
        }
    }
    recorder.finish()
}

#[allow(dead_code, reason = "each user needs another part of it")]
pub const NIL: Value = Value::NIL;
