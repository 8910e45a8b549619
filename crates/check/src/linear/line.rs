//! Queues and stacks whose elements are put in once.
//!
//! An element is surely in between the end of its insert and the begin of its take. A take that found nothing needs
//! a moment at which no element surely was in; it then splits the history in two halves that need not know of each other.
//!
//! *Queue*: besides that, no element may surely be put in before another one and surely be taken after it. Longer circles
//! contain such a pair, because intervals of time have no two separate pairs that are in order. (The proof lets an insert
//! end when its element is taken, at the latest, and a take begin with its insert; no pair depends on it. Lee and Mathur
//! 2025, Abdulla et al. 2025.)
//!
//! *Stack*: an element whose insert and whose take each contain a moment at which no other element surely is in can be
//! put in and taken alone there, so that it can be left out. If none is left after leaving out all that can be, there is an
//! order, otherwise none: in an order, the element that is first at the bottom always has such moments (decrease and
//! conquer, Lee and Mathur 2025).

use super::Fast;
use super::item::{Item, Rules};
use super::zone::{Contradiction, NONE};
use super::{Scratch, stack};
use crate::{Edge, History, Key, Operation, Step, Value, Why};

/// An element between its insert and its take, by place among the items.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub insert: u32,
    /// [`NONE`] if nobody is known to have taken it.
    pub take: u32,
    pub insert_begin: u64,
    pub insert_end: u64,
    pub take_begin: u64,
    pub take_end: u64,
}

impl Life {
    /// Is it surely in at some moment?
    pub(super) const fn is_sure(&self) -> bool {
        self.insert_end < self.take_begin
    }
}

/// Judges the operations of one queue or stack.
pub(super) fn judge(
    history: &History,
    key: Key,
    items: &[Item],
    is_stack: bool,
    rules: Rules,
    scratch: &mut Scratch,
) -> Fast {
    let mut line = match Line::read(history, items, scratch) {
        Ok(line) => line,
        Err(fast) => return fast,
    };
    line.key = Some(key);
    let strict = line.judge(items, Operation::NEVER, is_stack, rules);
    let Some(first) = line.free.iter().map(|&at| items[at as usize].begin).min() else { return strict };
    // Takes of unknown outcome may have taken what nobody else took, but need not.
    match (strict, line.judge(items, first, is_stack, rules)) {
        (Fast::Valid, _) => Fast::Valid,
        (_, Fast::Invalid(mut found)) => {
            found.places.extend(&line.free);
            Fast::Invalid(found)
        }
        (_, Fast::Valid | Fast::Unfit) => Fast::Unfit,
    }
}

struct Line {
    key: Option<Key>,
    lives: Vec<Life>,
    /// Takes that found nothing.
    empty: Vec<u32>,
    /// Takes of unknown outcome.
    free: Vec<u32>,
}

impl Line {
    fn read(history: &History, items: &[Item], scratch: &mut Scratch) -> Result<Line, Fast> {
        let mut line = Line { key: None, lives: Vec::new(), empty: Vec::new(), free: Vec::new() };
        let read = line.fill(history, items, scratch);
        for item in items {
            for step in history.steps(item.id) {
                if let Step::Insert { value, .. } | Step::Take { value: Some(value), .. } = *step {
                    scratch.number[value.0 as usize] = NONE;
                }
            }
        }
        read.map(|()| line)
    }

    fn fill(&mut self, history: &History, items: &[Item], scratch: &mut Scratch) -> Result<(), Fast> {
        let invalid = |places: Vec<u32>| Err(Fast::Invalid(Contradiction { places, edges: Vec::new() }));
        for (at, item) in items.iter().enumerate() {
            match *history.steps(item.id) {
                [Step::Insert { value: Value::NIL, .. }] => return Err(Fast::Unfit),
                [Step::Insert { value, .. }] => {
                    let number = &mut scratch.number[value.0 as usize];
                    if *number != NONE {
                        return Err(Fast::Unfit);
                    }
                    *number = self.lives.len() as u32;
                    self.lives.push(Life {
                        insert: at as u32,
                        take: NONE,
                        insert_begin: item.begin,
                        insert_end: item.end,
                        take_begin: Operation::NEVER,
                        take_end: Operation::NEVER,
                    });
                }
                [Step::Take { .. }] => {}
                _ => return Err(Fast::Unfit),
            }
        }
        let mut early = None;
        for (at, item) in items.iter().enumerate() {
            let [Step::Take { value, .. }] = *history.steps(item.id) else { continue };
            let at = at as u32;
            match value {
                _ if item.open => self.free.push(at),
                None => return Err(Fast::Unfit),
                Some(Value::NIL) => self.empty.push(at),
                Some(value) => {
                    let number = scratch.number[value.0 as usize];
                    let Some(life) = self.lives.get_mut(number as usize) else {
                        early = early.or(Some(vec![at]));
                        continue;
                    };
                    if life.take != NONE {
                        early = early.or(Some(vec![life.insert, life.take, at]));
                    } else if item.end < life.insert_begin {
                        early = early.or(Some(vec![life.insert, at]));
                    }
                    life.take = at;
                    (life.take_begin, life.take_end) = (item.begin, item.end);
                }
            }
        }
        early.map_or(Ok(()), invalid)
    }

    /// Judges it, if what nobody is known to have taken may be taken from this moment on.
    fn judge(&self, items: &[Item], untaken_from: u64, is_stack: bool, rules: Rules) -> Fast {
        let tighten = |life: &Life| {
            let mut life = *life;
            if life.take == NONE {
                life.take_begin = untaken_from;
            }
            life
        };
        // An insert of unknown outcome that nobody saw is not needed.
        let took_place = |life: &&Life| life.take != NONE || !items[life.insert as usize].open;
        let lives: Vec<Life> = self.lives.iter().filter(took_place).map(tighten).collect();
        if rules.empty_takes
            && let Some(found) = self.wrongly_empty(items, &lives)
        {
            return Fast::Invalid(found);
        }
        let found = if is_stack { stack::stuck(&lives) } else { self.overtaken(&lives, items) };
        found.map_or(Fast::Valid, Fast::Invalid)
    }

    /// A take that found nothing although all the time some element surely was in, with elements enough to show that.
    fn wrongly_empty(&self, items: &[Item], lives: &[Life]) -> Option<Contradiction> {
        let mut sure: Vec<&Life> = lives.iter().filter(|life| life.is_sure()).collect();
        sure.sort_unstable_by_key(|life| life.insert_end);
        // Stretches of moments at which something surely is in: open intervals, joined where one begins before another ends
        // with a moment in between.
        let mut stretches: Vec<(u64, u64)> = Vec::new();
        for life in &sure {
            match stretches.last_mut() {
                Some((_, end)) if life.insert_end < *end => *end = (*end).max(life.take_begin),
                _ => stretches.push((life.insert_end, life.take_begin)),
            }
        }
        for &empty in &self.empty {
            let Item { begin, end, .. } = items[empty as usize];
            let after = stretches.partition_point(|&(from, _)| from < begin);
            if after.checked_sub(1).is_none_or(|at| stretches[at].1 <= end) {
                continue;
            }
            let mut places = vec![empty];
            let (mut at, mut next) = (begin, 0);
            while at <= end {
                // Of those that are in at this moment, the one that stays longest.
                let mut longest: Option<&Life> = None;
                while next < sure.len() && sure[next].insert_end < at {
                    if longest.is_none_or(|other| other.take_begin < sure[next].take_begin) {
                        longest = Some(sure[next]);
                    }
                    next += 1;
                }
                let longest = longest.filter(|life| life.take_begin > at)?;
                places.push(longest.insert);
                places.extend(Some(longest.take).filter(|&take| take != NONE));
                at = longest.take_begin;
            }
            return Some(Contradiction { places, edges: Vec::new() });
        }
        None
    }

    /// Two elements that surely went in in one order and came out in the other.
    fn overtaken(&self, lives: &[Life], items: &[Item]) -> Option<Contradiction> {
        let mut by_end: Vec<&Life> = lives.iter().collect();
        by_end.sort_unstable_by_key(|life| life.insert_end);
        let mut by_begin = by_end.clone();
        by_begin.sort_unstable_by_key(|life| life.insert_begin);
        let mut latest: Option<&Life> = None;
        let mut next = 0;
        for life in by_begin {
            while next < by_end.len() && by_end[next].insert_end < life.insert_begin {
                if latest.is_none_or(|other| other.take_begin < by_end[next].take_begin) {
                    latest = Some(by_end[next]);
                }
                next += 1;
            }
            let Some(first) = latest.filter(|first| first.take_begin > life.take_end) else { continue };
            let places = [first.insert, first.take, life.insert, life.take];
            let places: Vec<u32> = places.into_iter().filter(|&place| place != NONE).collect();
            return Some(Contradiction { places, edges: self.edges(first, life, items) });
        }
        None
    }

    fn edges(&self, first: &Life, second: &Life, items: &[Item]) -> Vec<Edge> {
        let (Some(key), true) = (self.key, first.take != NONE) else { return Vec::new() };
        let (from, to) = (&items[second.take as usize], &items[first.take as usize]);
        if !from.precedes(to) {
            return Vec::new();
        }
        vec![
            Edge { from: from.id, to: to.id, why: Why::RealTime },
            Edge { from: to.id, to: from.id, why: Why::Forced(key) },
        ]
    }
}
