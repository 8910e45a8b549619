//! Stores of texts whose pieces are written once: every text that was read tells which appends made it, in which order.
//!
//! If no piece is the beginning of another one, a text falls into pieces in one way only. Then an append that was seen is
//! an update that needs the state before it, and one that was not seen is like a write whose value nobody read: it can
//! stand at the end of any block, where the next one begins with a write.

use super::Fast;
use super::item::{Item, Rules};
use super::register::by_zones;
use super::zone::{Contradiction, Form, NONE};
use crate::world::World;
use crate::{Datum, History, Key, Step, Value};

/// A write or append.
struct Piece<'h> {
    text: &'h str,
    place: u32,
    is_write: bool,
}

/// Judges the operations of one key, if every text that was read falls into pieces in one way only.
pub(super) fn judge(history: &History, world: &World<'_>, key: Key, items: &[Item], rules: Rules) -> Fast {
    let Some(pieces) = pieces(history, world, key, items) else { return Fast::Unfit };
    // State 0 is nothing; the piece that stands at n leaves state n + 1.
    let blank = Form { needs: NONE, leaves: NONE };
    let mut forms = vec![blank; items.len()];
    let mut number_of = vec![NONE; items.len()];
    for (number, piece) in pieces.iter().enumerate() {
        forms[piece.place as usize].leaves = number as u32 + 1;
        number_of[piece.place as usize] = number as u32;
    }
    // Appends with a known predecessor, and who told of it.
    let mut told_by = vec![NONE; pieces.len()];
    let mut parsed: rustc_hash::FxHashMap<Value, u32> = rustc_hash::FxHashMap::default();
    for (place, item) in items.iter().enumerate() {
        let [Step::Read { value: Some(value), .. }] = *history.steps(item.id) else { continue };
        if item.open {
            continue;
        }
        let value = world.plain(value);
        if let Some(&state) = parsed.get(&value) {
            forms[place].needs = state;
            continue;
        }
        let state = match parse(history, value, &pieces) {
            Ok(order) => {
                let mut state = 0;
                for (depth, &number) in order.iter().enumerate() {
                    let piece = &pieces[number as usize];
                    if piece.is_write && depth == 0 {
                        state = number + 1;
                        continue;
                    }
                    let form = &mut forms[piece.place as usize];
                    if piece.is_write || (form.needs != NONE && form.needs != state) {
                        let mut places: Vec<u32> = order.iter().map(|&at| pieces[at as usize].place).collect();
                        places.push(place as u32);
                        let other = told_by[number as usize];
                        if !piece.is_write && other != NONE {
                            places.push(other);
                            let [Step::Read { value: Some(value), .. }] = *history.steps(items[other as usize].id)
                            else {
                                return Fast::Unfit;
                            };
                            let others = parse(history, world.plain(value), &pieces).unwrap_or_default();
                            places.extend(others.iter().map(|&at| pieces[at as usize].place));
                        }
                        return Fast::Invalid(Contradiction { places, edges: Vec::new() });
                    }
                    form.needs = state;
                    told_by[number as usize] = place as u32;
                    state = number + 1;
                }
                state
            }
            Err(()) => return Fast::Invalid(Contradiction { places: vec![place as u32], edges: Vec::new() }),
        };
        parsed.insert(value, state);
        forms[place].needs = state;
    }
    let optional: Vec<u32> = (0..items.len() as u32).filter(|&at| items[at as usize].open).collect();
    let mut judged = by_zones(key, items, forms, pieces.len() + 1, &optional, rules);
    if let Fast::Invalid(found) = &mut judged {
        // Who told of an append's predecessor belongs to the proof, and so do the pieces of what was read.
        for at in 0..found.places.len() {
            let number = number_of[found.places[at] as usize];
            let teller = if number == NONE { NONE } else { told_by[number as usize] };
            if teller != NONE {
                found.places.push(teller);
                let [Step::Read { value: Some(value), .. }] = *history.steps(items[teller as usize].id) else {
                    continue;
                };
                let read = parse(history, world.plain(value), &pieces).unwrap_or_default();
                found.places.extend(read.iter().map(|&at| pieces[at as usize].place));
            }
        }
    }
    judged
}

/// What was written and appended, sorted by text, if no text is the beginning of another one.
fn pieces<'h>(history: &'h History, world: &World<'_>, key: Key, items: &[Item]) -> Option<Vec<Piece<'h>>> {
    if world.plain(history.initial(key)) != Value::NIL {
        return None;
    }
    let mut pieces = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let (value, is_write) = match *history.steps(item.id) {
            [Step::Read { .. }] => continue,
            [Step::Write { value, .. }] => (value, true),
            [Step::Append { value, .. }] => (value, false),
            _ => return None,
        };
        let Datum::Text(text) = history.value(value) else { return None };
        pieces.push(Piece { text, place: place as u32, is_write });
    }
    pieces.sort_unstable_by_key(|piece| piece.text);
    let apart = pieces.windows(2).all(|pair| !pair[1].text.starts_with(pair[0].text));
    let some = pieces.first().is_none_or(|first| !first.text.is_empty());
    (apart && some).then_some(pieces)
}

/// The numbers of the pieces that a text is made of.
fn parse(history: &History, value: Value, pieces: &[Piece<'_>]) -> Result<Vec<u32>, ()> {
    let mut rest = match history.value(value) {
        Datum::Nil => "",
        Datum::Text(text) => text,
        Datum::Bool(_) | Datum::Integer(_) | Datum::Number(_) | Datum::List(_) | Datum::Map(_) => return Err(()),
    };
    let mut order = Vec::new();
    while !rest.is_empty() {
        let after = pieces.partition_point(|piece| piece.text <= rest);
        let number = after.checked_sub(1).ok_or(())?;
        rest = rest.strip_prefix(pieces[number].text).ok_or(())?;
        order.push(number as u32);
    }
    Ok(order)
}
