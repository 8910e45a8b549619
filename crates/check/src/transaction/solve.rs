//! The search for an order of transactions where the order of versions is not seen.
//!
//! Whether an order exists is NP-complete (Papadimitriou, 1979; Biswas and Enea, 2019), but most of it is forced. The search
//! keeps one order that respects all edges so far, executes it, and takes up only what goes wrong: a transaction r reads x
//! from w1 and finds x overwritten by w2, so that w2 must move before w1 or behind r. If one of these would close a circle, the
//! other is forced, and the circle is its reason; if neither, one is tried. A contradiction is traced back to the
//! attempts that it rests on, and the latest of these is turned round (backjumping, as in Marques-Silva and Sakallah, *GRASP*, 1996). A
//! contradiction that rests on none is a proof. This is the polygraph of Cobra (Tan et al., 2020) and PolySI (Huang et al., 2023)
//! without listing its pairs.

use super::graph::{Arc, Graph, Kind, Link};
use super::log::{INITIAL, Log, NONE};
use crate::{Meter, Operation, Spent};

/// An edge that may be demanded.
#[derive(Clone, Copy, Debug)]
struct Literal {
    from: u32,
    arc: Arc,
}

/// One of two edges is demanded.
type Clause = [Literal; 2];

/// An edge that was added.
#[derive(Clone, Debug)]
struct Added {
    literal: Literal,
    /// The other one, if this was an attempt.
    other: Option<Literal>,
    /// The number of attempts that it rests on or is behind.
    level: u32,
    /// Added edges from which it follows.
    reason: Vec<u32>,
    /// Transactions from which it follows.
    support: Vec<u32>,
}

/// Why there is no order.
pub(super) struct Proof {
    pub circle: Vec<Link>,
    /// All transactions that it rests on.
    pub support: Vec<u32>,
}

/// A contradiction.
struct Conflict {
    circle: Vec<(u32, Arc)>,
    edges: Vec<u32>,
    support: Vec<u32>,
}

struct Search<'a, 'm, 'w> {
    log: &'a Log<'a>,
    graph: &'a Graph,
    meter: &'m mut Meter<'w>,
    /// Are snapshots and commits apart?
    is_split: bool,
    order: Vec<u32>,
    place: Vec<u32>,
    added: Vec<Added>,
    out: Vec<Vec<u32>>,
    level: u32,
    /// How each node was reached, and in which search: the node before, and the edge: of the graph, or added.
    reached: Vec<(u32, u32, Option<u32>, u32)>,
    searches: u32,
    stack: Vec<u32>,
}

/// Looks for an order of all nodes that respects the graph, and in which every read reads the latest write (before its
/// snapshot, and without overlapping writers of a key, if the graph is split). The graph must have no circle.
pub(super) fn find_order(
    log: &Log<'_>,
    graph: &Graph,
    is_split: bool,
    meter: &mut Meter<'_>,
) -> Result<Option<Proof>, Spent> {
    let nodes = graph.nodes() as usize;
    meter.step(graph.size())?;
    let hints = hints(log);
    let hint = |node: u32| match graph.transaction(node) {
        None => 0,
        Some(transaction) => hints[transaction as usize],
    };
    let order = graph.sorted(hint).expect("the graph has no circle");
    let mut place = vec![0; nodes];
    for (at, &node) in order.iter().enumerate() {
        place[node as usize] = at as u32;
    }
    let mut search = Search {
        log,
        graph,
        meter,
        is_split,
        order,
        place,
        added: Vec::new(),
        out: vec![Vec::new(); nodes],
        level: 0,
        reached: vec![(0, 0, None, 0); nodes],
        searches: 0,
        stack: Vec::new(),
    };
    search.run()
}

/// Where a transaction probably took place: before its end, or as far into its session as it is.
fn hints(log: &Log<'_>) -> Vec<u64> {
    let mut count = vec![0u64; log.history.counts().2];
    let operations = log.history.operations().iter();
    operations
        .map(|operation| match log.history.has_real_time() {
            true if operation.end == Operation::NEVER => operation.begin,
            true => operation.end,
            false => {
                count[operation.session.0 as usize] += 1;
                count[operation.session.0 as usize]
            }
        })
        .collect()
}

impl Search<'_, '_, '_> {
    fn run(&mut self) -> Result<Option<Proof>, Spent> {
        loop {
            let wrong = self.execute()?;
            if wrong.is_empty() {
                return Ok(None);
            }
            for clause in wrong {
                if let Err(conflict) = self.satisfy(clause)? {
                    match self.turn_back(conflict)? {
                        Some(proof) => return Ok(Some(proof)),
                        None => break,
                    }
                }
            }
        }
    }

    /// What goes wrong in the order.
    fn execute(&mut self) -> Result<Vec<Clause>, Spent> {
        self.meter.step(self.order.len() as u64)?;
        let keys = self.log.history.counts().1;
        let mut last = vec![INITIAL; keys];
        let mut writing = vec![NONE; if self.is_split { keys } else { 0 }];
        let mut wrong = Vec::new();
        for &node in &self.order {
            let Some(transaction) = self.graph.transaction(node) else { continue };
            if !self.log.present[transaction as usize] {
                continue;
            }
            let (reads, commits) = if self.is_split { (node % 2 == 0, node % 2 == 1) } else { (true, true) };
            if reads {
                for read in self.log.reads.of(transaction) {
                    let found = last[read.key as usize];
                    if found != read.from {
                        wrong.push(self.misread(transaction, read.from, found, read.key));
                    }
                }
            }
            for &key in self.log.writes(transaction) {
                if self.is_split && reads {
                    let other = std::mem::replace(&mut writing[key as usize], transaction);
                    if other != NONE {
                        let first = self.write(other, transaction, key, NONE);
                        wrong.push([first, self.write(transaction, other, key, NONE)]);
                    }
                }
                if commits {
                    last[key as usize] = transaction;
                    if self.is_split && writing[key as usize] == transaction {
                        writing[key as usize] = NONE;
                    }
                }
            }
        }
        Ok(wrong)
    }

    /// The reader read from a writer and would find another: what can be done.
    fn misread(&self, reader: u32, from: u32, found: u32, key: u32) -> Clause {
        if found == INITIAL {
            unreachable!("a reader comes behind the writer that it read from");
        }
        let behind = Literal {
            from: if self.is_split { 2 * reader } else { reader },
            arc: Arc { to: if self.is_split { 2 * found + 1 } else { found }, kind: Kind::ForcedRead, key, by: reader },
        };
        if from == INITIAL { [behind, behind] } else { [behind, self.write(found, from, key, reader)] }
    }

    /// One writer comes before another.
    fn write(&self, first: u32, second: u32, key: u32, by: u32) -> Literal {
        let (from, to) = if self.is_split { (2 * first + 1, 2 * second) } else { (first, second) };
        Literal { from, arc: Arc { to, kind: Kind::ForcedWrite, key, by } }
    }

    fn holds(&self, literal: Literal) -> bool {
        self.place[literal.from as usize] < self.place[literal.arc.to as usize]
    }

    /// Adds an edge if none of the clause is respected by the order.
    fn satisfy(&mut self, clause: Clause) -> Result<Result<(), Conflict>, Spent> {
        if clause.into_iter().any(|literal| self.holds(literal)) {
            return Ok(Ok(()));
        }
        let refuted = [self.refute(clause[0])?, self.refute(clause[1])?];
        match refuted {
            [Some(one), Some(other)] => {
                let (shorter, longer) =
                    if one.circle.len() <= other.circle.len() { (one, other) } else { (other, one) };
                let edges = [shorter.edges, longer.edges].concat();
                let support = [shorter.support, longer.support].concat();
                Ok(Err(Conflict { circle: shorter.circle, edges, support }))
            }
            [Some(reason), None] => self.add(clause[1], None, reason.edges, reason.support).map(Ok),
            [None, Some(reason)] => self.add(clause[0], None, reason.edges, reason.support).map(Ok),
            [None, None] => {
                // The smaller move is the likelier one.
                let far = |literal: Literal| self.place[literal.from as usize] - self.place[literal.arc.to as usize];
                let (try_it, other) =
                    if far(clause[0]) <= far(clause[1]) { (clause[0], clause[1]) } else { (clause[1], clause[0]) };
                self.level += 1;
                self.add(try_it, Some(other), Vec::new(), Vec::new()).map(Ok)
            }
        }
    }

    /// The circle that an edge would close.
    fn refute(&mut self, literal: Literal) -> Result<Option<Conflict>, Spent> {
        let (target, start) = (literal.from, literal.arc.to);
        if !self.reach(start, target)? {
            return Ok(None);
        }
        let mut circle = vec![(literal.from, literal.arc)];
        let mut edges = Vec::new();
        let mut support: Vec<u32> = Vec::new();
        support.extend((literal.arc.by != NONE).then_some(literal.arc.by));
        let mut at = target;
        while at != start {
            let (before, arc, added, _) = self.reached[at as usize];
            let arc = match added {
                None => self.graph.arcs(before)[arc as usize],
                Some(added) => {
                    edges.push(added);
                    self.added[added as usize].literal.arc
                }
            };
            circle.push((before, arc));
            at = before;
        }
        circle[1..].reverse();
        support.extend(circle.iter().filter_map(|&(node, _)| self.graph.transaction(node)));
        Ok(Some(Conflict { circle, edges, support }))
    }

    /// Is there a way from one node to another? Leaves the nodes that were reached on the stack.
    fn reach(&mut self, start: u32, target: u32) -> Result<bool, Spent> {
        self.searches += 1;
        self.stack.clear();
        self.stack.push(start);
        self.reached[start as usize] = (start, 0, None, self.searches);
        let limit = self.place[target as usize];
        let mut at = 0;
        while let Some(&node) = self.stack.get(at) {
            at += 1;
            let arcs = self.graph.arcs(node);
            let added = &self.out[node as usize];
            self.meter.step(1 + (arcs.len() + added.len()) as u64)?;
            let known = arcs.iter().enumerate().map(|(at, arc)| (arc.to, at as u32, None));
            let forced = added.iter().map(|&at| (self.added[at as usize].literal.arc.to, 0, Some(at)));
            for (to, arc, added) in known.chain(forced) {
                let slot = &mut self.reached[to as usize];
                if slot.3 == self.searches || self.place[to as usize] > limit {
                    continue;
                }
                *slot = (node, arc, added, self.searches);
                if to == target {
                    return Ok(true);
                }
                self.stack.push(to);
            }
        }
        Ok(start == target)
    }

    /// Adds an edge that closes no circle, and moves what lies behind it (Marchetti-Spaccamela et al., 1996).
    fn add(
        &mut self,
        literal: Literal,
        other: Option<Literal>,
        reason: Vec<u32>,
        support: Vec<u32>,
    ) -> Result<(), Spent> {
        let (first, last) = (self.place[literal.arc.to as usize] as usize, self.place[literal.from as usize] as usize);
        if first < last {
            self.reach(literal.arc.to, literal.from)?;
            self.meter.step((last - first) as u64 / 8)?;
            let mut behind = Vec::with_capacity(self.stack.len());
            let mut at = first;
            for from in first..=last {
                let node = self.order[from];
                if self.reached[node as usize].3 == self.searches {
                    behind.push(node);
                } else {
                    self.order[at] = node;
                    self.place[node as usize] = at as u32;
                    at += 1;
                }
            }
            for node in behind {
                self.order[at] = node;
                self.place[node as usize] = at as u32;
                at += 1;
            }
        }
        self.meter.hold(64 + 4 * (reason.len() + support.len()) as u64)?;
        self.out[literal.from as usize].push(self.added.len() as u32);
        self.added.push(Added { literal, other, level: self.level, reason, support });
        Ok(())
    }

    /// Takes back attempts until the contradiction is gone, and turns the latest that it rests on round.
    fn turn_back(&mut self, mut conflict: Conflict) -> Result<Option<Proof>, Spent> {
        loop {
            let (rests_on, mut support) = self.trace(&conflict);
            let attempts = rests_on.iter().copied().filter(|&edge| self.added[edge as usize].other.is_some());
            let Some(latest) = attempts.clone().max() else {
                support.sort_unstable();
                support.dedup();
                return Ok(Some(Proof { circle: self.graph.links(&conflict.circle), support }));
            };
            let level = attempts.filter(|&edge| edge != latest).map(|edge| self.added[edge as usize].level).max();
            let other = self.added[latest as usize].other.expect("it was an attempt");
            self.level = level.unwrap_or(0);
            while self.added.last().is_some_and(|added| added.level > self.level) {
                let added = self.added.pop().expect("there is a last one");
                self.out[added.literal.from as usize].pop();
                self.meter.release(64 + 4 * (added.reason.len() + added.support.len()) as u64);
            }
            let mut reason = rests_on;
            reason.retain(|&edge| (edge as usize) < self.added.len());
            support.sort_unstable();
            support.dedup();
            match self.refute(other)? {
                None => {
                    self.add(other, None, reason, support)?;
                    return Ok(None);
                }
                Some(next) => {
                    let edges = [next.edges, reason].concat();
                    conflict = Conflict { circle: next.circle, edges, support: [next.support, support].concat() };
                }
            }
        }
    }

    /// All added edges, and all transactions, that a contradiction rests on.
    fn trace(&self, conflict: &Conflict) -> (Vec<u32>, Vec<u32>) {
        let mut seen = vec![false; self.added.len()];
        let mut open = conflict.edges.clone();
        let mut edges = Vec::new();
        let mut support = conflict.support.clone();
        while let Some(edge) = open.pop() {
            if std::mem::replace(&mut seen[edge as usize], true) {
                continue;
            }
            let added = &self.added[edge as usize];
            edges.push(edge);
            open.extend(&added.reason);
            support.extend(&added.support);
            support.extend((added.literal.arc.by != NONE).then_some(added.literal.arc.by));
        }
        edges.sort_unstable();
        (edges, support)
    }
}
