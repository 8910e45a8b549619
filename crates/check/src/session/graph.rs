//! Orders that must hold together: finding a circle in them, and the shortest one.

use super::plain::NONE;
use crate::{Edge, Id, Meter, Spent, Why};
use std::collections::VecDeque;

/// One operation must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arc {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) why: Why,
    /// The read that forces it; [`NONE`] if it needs none.
    pub(super) read: u32,
}

/// Arcs by their later end.
pub(super) struct Arcs {
    starts: Vec<u32>,
    arcs: Vec<Arc>,
}

impl Arcs {
    pub(super) fn new(count: usize, arcs: &[Arc]) -> Arcs {
        let mut starts = vec![0u32; count + 1];
        for arc in arcs {
            starts[arc.to as usize] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut sorted = arcs.to_vec();
        for arc in arcs.iter().rev() {
            let place = &mut starts[arc.to as usize];
            *place -= 1;
            sorted[*place as usize] = *arc;
        }
        Arcs { starts, arcs: sorted }
    }
    pub(super) fn towards(&self, to: u32) -> &[Arc] {
        &self.arcs[self.starts[to as usize] as usize..self.starts[to as usize + 1] as usize]
    }
}

/// Visits every node after all that come before it. `before` gives the n-th of those. `Err` holds a node on a circle.
pub(super) fn visit(
    count: usize,
    before: impl Fn(u32, u32) -> Option<u32>,
    mut each: impl FnMut(u32) -> Result<(), Spent>,
) -> Result<Result<(), Vec<u32>>, Spent> {
    let mut state = vec![0u8; count];
    let mut stack: Vec<(u32, u32)> = Vec::new();
    for root in 0..count as u32 {
        if state[root as usize] != 0 {
            continue;
        }
        state[root as usize] = 1;
        stack.push((root, 0));
        while let Some((node, next)) = stack.last_mut() {
            match before(*node, *next) {
                Some(earlier) => {
                    *next += 1;
                    match state[earlier as usize] {
                        0 => {
                            state[earlier as usize] = 1;
                            stack.push((earlier, 0));
                        }
                        1 => {
                            let start = stack.iter().position(|&(node, _)| node == earlier).unwrap_or(0);
                            return Ok(Err(stack[start..].iter().map(|&(node, _)| node).collect()));
                        }
                        _ => {}
                    }
                }
                None => {
                    state[*node as usize] = 2;
                    each(*node)?;
                    stack.pop();
                }
            }
        }
    }
    Ok(Ok(()))
}

/// The shortest way (arcs in order) over `into` from one operation to another, counting a walk along one session once.
pub(super) fn way(
    count: usize,
    into: &dyn Fn(u32) -> Vec<Arc>,
    from: u32,
    to: u32,
    meter: &mut Meter<'_>,
) -> Result<Option<Vec<Arc>>, Spent> {
    // States: a node, and whether the arc after it is a step within a session, which is free to prolong.
    let mut next: Vec<Option<(Arc, bool)>> = vec![None; count * 2];
    let mut length = vec![NONE; count * 2];
    let mut queue = VecDeque::from([(to, false)]);
    length[to as usize * 2] = 0;
    while let Some((node, walks)) = queue.pop_front() {
        meter.step(1)?;
        let so_far = length[node as usize * 2 + usize::from(walks)];
        if node == from && (so_far > 0 || from != to) {
            return Ok(Some(follow(&next, (from, walks), to)));
        }
        for arc in into(node) {
            let session = arc.why == Why::Session;
            let free = session && walks;
            let place = arc.from as usize * 2 + usize::from(session);
            let cost = so_far + u32::from(!free);
            let closes = arc.from == to && from == to;
            if cost < length[place] || closes && next[place].is_none() {
                length[place] = cost.max(1);
                next[place] = Some((arc, walks));
                if free { queue.push_front((arc.from, session)) } else { queue.push_back((arc.from, session)) }
            }
        }
    }
    Ok(None)
}

fn follow(next: &[Option<(Arc, bool)>], start: (u32, bool), to: u32) -> Vec<Arc> {
    let (mut node, mut walks) = start;
    let mut way: Vec<Arc> = Vec::new();
    while let Some((arc, then)) = next[node as usize * 2 + usize::from(walks)] {
        match way.last_mut() {
            Some(last) if last.why == Why::Session && arc.why == Why::Session => last.to = arc.to,
            Some(_) | None => way.push(arc),
        }
        (node, walks) = (arc.to, then);
        if node == to || way.len() > next.len() {
            break;
        }
    }
    way
}

/// The shortest circle through any of these operations.
pub(super) fn circle(
    count: usize,
    into: &dyn Fn(u32) -> Vec<Arc>,
    through: &[u32],
    meter: &mut Meter<'_>,
) -> Result<Option<Vec<Arc>>, Spent> {
    const MOST_STARTS: usize = 32;
    let mut best: Option<Vec<Arc>> = None;
    let every = through.len().div_ceil(MOST_STARTS).max(1);
    for &start in through.iter().step_by(every) {
        if let Some(found) = way(count, into, start, start, meter)? {
            let found = joined(found);
            if best.as_ref().is_none_or(|best| found.len() < best.len()) {
                best = Some(found);
            }
        }
    }
    Ok(best)
}

/// A circle whose walk within a session goes over its seam is one arc shorter.
fn joined(mut circle: Vec<Arc>) -> Vec<Arc> {
    if let [first, .., last] = circle[..]
        && first.why == Why::Session
        && last.why == Why::Session
    {
        circle.pop();
        circle[0] = Arc { from: last.from, ..first };
    }
    circle
}

pub(super) fn edges(arcs: &[Arc]) -> Vec<Edge> {
    arcs.iter().map(|arc| Edge { from: Id(arc.from), to: Id(arc.to), why: arc.why }).collect()
}
