//! Leaving out elements of a stack until none is left, in n log n.

use super::line::Life;
use super::zone::{Contradiction, NONE};

/// The elements that cannot be left out, if there are any.
pub(super) fn stuck(lives: &[Life]) -> Option<Contradiction> {
    // An element that is put in and taken within one moment changes nothing.
    let lives: Vec<Life> = lives.iter().filter(|life| life.is_sure()).copied().collect();
    let mut moments: Vec<u64> =
        lives.iter().flat_map(|life| [life.insert_begin, life.insert_end, life.take_begin, life.take_end]).collect();
    moments.sort_unstable();
    moments.dedup();
    let place = |moment: u64| moments.binary_search(&moment).expect("every begin and end is a moment");
    let mut cover = Cover::new(moments.len());
    // Inserts and takes by begin; even numbers are inserts.
    let mut bars: Vec<Bar> = Vec::with_capacity(lives.len() * 2);
    for (at, life) in lives.iter().enumerate() {
        cover.add(place(life.insert_end) + 1, place(life.take_begin), 1);
        let at = at as u32 * 2;
        bars.push(Bar { begin: place(life.insert_begin), end: place(life.insert_end), operation: at });
        bars.push(Bar { begin: place(life.take_begin), end: place(life.take_end), operation: at + 1 });
    }
    bars.sort_unstable_by_key(|bar| (bar.begin, bar.operation));
    let mut open = Stab::new(&bars);
    let mut freed = vec![0_u8; lives.len()];
    let mut left = lives.len();
    while let Some(moment) = cover.take_zero() {
        let begun = bars.partition_point(|bar| bar.begin <= moment);
        while let Some(at) = open.take(begun, moment) {
            let operation = bars[at].operation as usize;
            freed[operation / 2] |= 1 << (operation % 2);
            if freed[operation / 2] == 3 {
                let life = &lives[operation / 2];
                cover.add(place(life.insert_end) + 1, place(life.take_begin), -1);
                left -= 1;
            }
        }
    }
    let stuck = lives.iter().zip(&freed).filter(|(_, freed)| **freed != 3);
    let places = stuck.flat_map(|(life, _)| [life.insert, life.take]).filter(|&place| place != NONE).collect();
    (left > 0).then_some(Contradiction { places, edges: Vec::new() })
}

/// An insert or take, by numbers of moments.
#[derive(Clone, Copy)]
struct Bar {
    begin: usize,
    end: usize,
    operation: u32,
}

/// How many elements surely are in at each moment: a tree of sums over ranges and least counts.
struct Cover {
    size: usize,
    count: usize,
    least: Vec<i32>,
    added: Vec<i32>,
}

const GONE: i32 = 1 << 29;

impl Cover {
    fn new(count: usize) -> Cover {
        let size = count.next_power_of_two();
        let mut least = vec![0; size * 2];
        least[size + count..].fill(GONE);
        for at in (1..size).rev() {
            least[at] = least[at * 2].min(least[at * 2 + 1]);
        }
        Cover { size, count, least, added: vec![0; size * 2] }
    }
    /// Adds to the moments from one to before another.
    fn add(&mut self, from: usize, before: usize, what: i32) {
        if from >= before {
            return;
        }
        let (mut low, mut high) = (from + self.size, before + self.size);
        let (first, last) = (low, high - 1);
        while low < high {
            if low & 1 == 1 {
                self.add_at(low, what);
                low += 1;
            }
            if high & 1 == 1 {
                high -= 1;
                self.add_at(high, what);
            }
            low /= 2;
            high /= 2;
        }
        self.repair(first);
        self.repair(last);
    }
    fn add_at(&mut self, at: usize, what: i32) {
        self.least[at] += what;
        self.added[at] += what;
    }
    fn repair(&mut self, leaf: usize) {
        let mut at = leaf / 2;
        while at > 0 {
            self.least[at] = self.least[at * 2].min(self.least[at * 2 + 1]) + self.added[at];
            at /= 2;
        }
    }
    /// A moment at which nothing surely is in, each once.
    fn take_zero(&mut self) -> Option<usize> {
        if self.count == 0 || self.least[1] != 0 {
            return None;
        }
        let mut at = 1;
        while at < self.size {
            at = if self.least[at * 2] + self.added[at] == self.least[at] { at * 2 } else { at * 2 + 1 };
        }
        self.least[at] += GONE;
        self.repair(at);
        Some(at - self.size)
    }
}

/// Bars by begin, with the greatest end over ranges: finds bars that contain a moment.
struct Stab {
    size: usize,
    /// One more than the end; 0 for bars that were taken.
    ends: Vec<usize>,
}

impl Stab {
    fn new(bars: &[Bar]) -> Stab {
        let size = bars.len().next_power_of_two();
        let mut ends = vec![0; size * 2];
        for (at, bar) in bars.iter().enumerate() {
            ends[size + at] = bar.end + 1;
        }
        for at in (1..size).rev() {
            ends[at] = ends[at * 2].max(ends[at * 2 + 1]);
        }
        Stab { size, ends }
    }
    /// One of the first so many bars that ends at this moment or later, each once.
    fn take(&mut self, begun: usize, moment: usize) -> Option<usize> {
        let (mut low, mut high) = (self.size, self.size + begun);
        let mut found = None;
        while low < high && found.is_none() {
            if low & 1 == 1 {
                found = Some(low).filter(|&at| self.ends[at] > moment);
                low += 1;
            }
            if high & 1 == 1 && found.is_none() {
                high -= 1;
                found = Some(high).filter(|&at| self.ends[at] > moment);
            }
            low /= 2;
            high /= 2;
        }
        let mut at = found?;
        while at < self.size {
            at = if self.ends[at * 2] > moment { at * 2 } else { at * 2 + 1 };
        }
        self.ends[at] = 0;
        let leaf = at;
        while at > 1 {
            at /= 2;
            self.ends[at] = self.ends[at * 2].max(self.ends[at * 2 + 1]);
        }
        Some(leaf - self.size)
    }
}
