//! Counters to which always the same is added: only how many additions came before each read matters.
//!
//! A read that saw `k` additions needs at least `k` of them by its end and at most `k` before its begin. Additions are made as
//! late as possible: at their own end, or when a read that ends needs more of them, and then those that must end first.
//! No other choice has fewer additions at any moment.

use super::Fast;
use super::item::Item;
use super::zone::Contradiction;
use crate::{Datum, History, Key, Step};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Judges the operations of one counter, if the same is added each time and nothing else is asked.
pub(super) fn judge(history: &History, key: Key, items: &[Item]) -> Fast {
    let initial = match history.value(history.initial(key)) {
        Datum::Nil => 0,
        Datum::Integer(number) => *number,
        _ => return Fast::Unfit,
    };
    let mut by = None;
    for item in items {
        match *history.steps(item.id) {
            [Step::Add { by: more, .. }] if more != 0 && by.is_none_or(|by| by == more) => by = Some(more),
            [Step::Count { .. }] => {}
            _ => return Fast::Unfit,
        }
    }
    let by = i128::from(by.unwrap_or(1));
    // Ends of additions and reads, and begins of reads, in order of time; at one moment begins of reads come first.
    let mut marks: Vec<(u64, u8, u32)> = Vec::with_capacity(items.len() * 2);
    let mut needs = vec![0_i128; items.len()];
    for (at, item) in items.iter().enumerate() {
        match *history.steps(item.id) {
            [Step::Count { number: Some(number), .. }] if !item.open => {
                let more = i128::from(number) - i128::from(initial);
                needs[at] = more / by;
                if more % by != 0 || needs[at] < 0 {
                    return invalid(items, item.end);
                }
                marks.push((item.begin, 0, at as u32));
                marks.push((item.end, 2, at as u32));
            }
            [Step::Add { .. }] if !item.open => marks.push((item.end, 1, at as u32)),
            _ => {}
        }
    }
    marks.sort_unstable();
    let mut waiting: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let mut next = 0;
    let mut is_made = vec![false; items.len()];
    let mut made = 0_i128;
    for (moment, kind, at) in marks {
        match kind {
            0 if made > needs[at as usize] => return invalid(items, moment),
            1 if !is_made[at as usize] => {
                is_made[at as usize] = true;
                made += 1;
            }
            2 => {
                while next < items.len() && items[next].begin <= moment {
                    if matches!(history.steps(items[next].id), [Step::Add { .. }]) {
                        waiting.push(Reverse((items[next].end, next as u32)));
                    }
                    next += 1;
                }
                while made < needs[at as usize] {
                    let Some(Reverse((_, add))) = waiting.pop() else { return invalid(items, moment) };
                    if !std::mem::replace(&mut is_made[add as usize], true) {
                        made += 1;
                    }
                }
            }
            _ => {}
        }
    }
    Fast::Valid
}

/// What had begun by this moment contradicts itself.
fn invalid(items: &[Item], moment: u64) -> Fast {
    let begun = items.partition_point(|item| item.begin <= moment);
    Fast::Invalid(Contradiction { places: (0..begun as u32).collect(), edges: Vec::new() })
}
