//! The search for an order of transactions where the order of versions is not seen.
//!
//! Whether an order exists is NP-complete (Papadimitriou, 1979; Biswas and Enea, 2019), but most of it is forced. The search
//! keeps one order that respects all edges so far, executes it, and takes up only what goes wrong: a transaction r reads x
//! from w1 and finds x overwritten by w2, so that w2 must move before w1 or behind r. If one of these would close a circle, the
//! other is forced, and the circle is its reason; if neither, one is tried. A contradiction is traced back to the
//! attempts that it rests on, and the latest of these is turned round (backjumping, as in Marques-Silva and Sakallah, *GRASP*, 1996). A
//! contradiction that rests on none is a proof. This is the polygraph of Cobra (Tan et al., 2020) and PolySI (Huang et al., 2023)
//! without listing its pairs.

use super::Rules;
use super::graph::{Arc, Graph, Kind, Link};
use super::log::{INITIAL, Log, NONE, Rows};
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
    /// Added edges from which it follows.
    reason: Vec<u32>,
    /// Transactions from which it follows.
    support: Vec<u32>,
    /// Added edges that follow from it, or did.
    followers: Vec<u32>,
    is_alive: bool,
    /// In which trace it was seen.
    seen: u32,
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

/// What a transaction does with a key.
#[derive(Clone, Copy, Debug)]
struct Access {
    transaction: u32,
    from: Option<u32>,
    writes: bool,
}

struct Search<'a, 'm, 'w> {
    log: &'a Log<'a>,
    /// By key.
    accesses: Rows<Access>,
    /// Keys where something may go wrong.
    dirty: Vec<u32>,
    is_dirty: Vec<bool>,
    graph: &'a Graph,
    meter: &'m mut Meter<'w>,
    /// Are snapshots and commits apart?
    is_split: bool,
    rules: Rules,
    order: Vec<u32>,
    place: Vec<u32>,
    added: Vec<Added>,
    out: Vec<Vec<u32>>,
    /// How each node was reached, and in which search: the node before, and the edge: of the graph, or added.
    reached: Vec<(u32, u32, Option<u32>, u32)>,
    searches: u32,
    traces: u32,
    stack: Vec<u32>,
}

/// Looks for an order of all nodes that respects the graph, and in which every read reads the latest write (before its
/// snapshot, and without overlapping writers of a key, if the graph is split). The graph must have no circle.
pub(super) fn find_order(
    log: &Log<'_>,
    graph: &Graph,
    is_split: bool,
    rules: Rules,
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
    let keys = log.history.counts().1;
    let mut search = Search {
        log,
        accesses: accesses(log),
        dirty: (0..keys as u32).collect(),
        is_dirty: vec![true; keys],
        graph,
        meter,
        is_split,
        rules,
        order,
        place,
        added: Vec::new(),
        out: vec![Vec::new(); nodes],
        reached: vec![(0, 0, None, 0); nodes],
        searches: 0,
        traces: 0,
        stack: Vec::new(),
    };
    search.run()
}

fn accesses(log: &Log<'_>) -> Rows<Access> {
    let mut all: Vec<(u32, Access)> = Vec::new();
    for transaction in (0..log.history.len() as u32).filter(|&transaction| log.present[transaction as usize]) {
        let start = all.len();
        for read in log.reads.of(transaction) {
            let writes = log.wrote(transaction, read.key);
            all.push((read.key, Access { transaction, from: Some(read.from), writes }));
        }
        // A key that is read twice is read from one writer.
        all[start..].sort_unstable_by_key(|&(key, _)| key);
        let mut kept = start;
        for at in start..all.len() {
            if at == start || all[at].0 != all[kept - 1].0 {
                all[kept] = all[at];
                kept += 1;
            }
        }
        all.truncate(kept);
        for &key in log.writes(transaction) {
            if all[start..kept].binary_search_by_key(&key, |&(key, _)| key).is_err() {
                all.push((key, Access { transaction, from: None, writes: true }));
            }
        }
    }
    all.sort_by_key(|&(key, _)| key);
    let mut rows = Rows::with_capacity(log.history.counts().1, all.len());
    let mut all = all.into_iter().peekable();
    for key in 0..log.history.counts().1 as u32 {
        while let Some((_, access)) = all.next_if(|&(of, _)| of == key) {
            rows.push(access);
        }
        rows.close();
    }
    rows
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
                self.soil(clause[0].arc.key);
                if let Err(conflict) = self.satisfy(clause)?
                    && let Some(proof) = self.turn_back(conflict)?
                {
                    return Ok(Some(proof));
                }
            }
        }
    }

    /// What goes wrong in the order, at the keys where something can have changed.
    fn execute(&mut self) -> Result<Vec<Clause>, Spent> {
        let mut wrong = Vec::new();
        let mut events = Vec::new();
        for key in std::mem::take(&mut self.dirty) {
            self.is_dirty[key as usize] = false;
            events.clear();
            for &access in self.accesses.of(key) {
                let nodes = if self.is_split { 2 } else { 1 };
                let node = access.transaction * nodes;
                events.extend((node..node + nodes).map(|node| (self.place[node as usize], node, access)));
            }
            events.sort_unstable_by_key(|&(place, _, _)| place);
            self.meter.step(2 * events.len() as u64)?;
            self.execute_key(key, &events, &mut wrong);
        }
        wrong.sort_by_key(|clause| self.place[clause[0].from as usize]);
        Ok(wrong)
    }

    fn execute_key(&self, key: u32, events: &[(u32, u32, Access)], wrong: &mut Vec<Clause>) {
        let mut last = INITIAL;
        let mut writing = NONE;
        for &(_, node, Access { transaction, from, writes }) in events {
            let (reads, commits) = if self.is_split { (node % 2 == 0, node % 2 == 1) } else { (true, true) };
            if let Some(from) = from.filter(|&from| reads && from != last) {
                wrong.push(self.misread(transaction, from, last, key));
            }
            if !writes {
                continue;
            }
            if self.is_split && reads && self.rules.conflicts {
                let other = std::mem::replace(&mut writing, transaction);
                if other != NONE {
                    wrong.push([self.write(other, transaction, key, NONE), self.write(transaction, other, key, NONE)]);
                }
            }
            if commits {
                last = transaction;
                if writing == transaction {
                    writing = NONE;
                }
            }
        }
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

    /// Something may go wrong at a key.
    fn soil(&mut self, key: u32) {
        if !std::mem::replace(&mut self.is_dirty[key as usize], true) {
            self.dirty.push(key);
        }
    }

    /// A node moved.
    fn soil_all_of(&mut self, node: u32) {
        let Some(transaction) = self.graph.transaction(node) else { return };
        let log = self.log;
        for &key in log.writes(transaction) {
            self.soil(key);
        }
        for read in log.reads.of(transaction) {
            self.soil(read.key);
        }
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
                self.soil_all_of(node);
                self.order[at] = node;
                self.place[node as usize] = at as u32;
                at += 1;
            }
        }
        self.meter.hold(64 + 4 * (reason.len() + support.len()) as u64)?;
        let number = self.added.len() as u32;
        for &edge in &reason {
            self.added[edge as usize].followers.push(number);
        }
        self.out[literal.from as usize].push(number);
        self.added.push(Added { literal, other, reason, support, followers: Vec::new(), is_alive: true, seen: 0 });
        Ok(())
    }

    /// Takes back the latest attempt that a contradiction rests on, and what follows from it, and turns it round. Other attempts stay
    /// (dynamic backtracking: Ginsberg, 1993).
    fn turn_back(&mut self, mut conflict: Conflict) -> Result<Option<Proof>, Spent> {
        loop {
            let (mut reason, mut support) = self.trace(&conflict);
            support.sort_unstable();
            support.dedup();
            let mut attempts = reason.iter().copied().filter(|&edge| self.added[edge as usize].other.is_some());
            let Some(latest) = attempts.next_back() else {
                return Ok(Some(Proof { circle: self.graph.links(&conflict.circle), support }));
            };
            let other = self.added[latest as usize].other.expect("it was an attempt");
            self.take_back(latest)?;
            reason.retain(|&edge| self.added[edge as usize].is_alive);
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

    /// Removes an edge and all that follow from it.
    fn take_back(&mut self, first: u32) -> Result<(), Spent> {
        let mut open = vec![first];
        while let Some(edge) = open.pop() {
            let added = &mut self.added[edge as usize];
            if !std::mem::replace(&mut added.is_alive, false) {
                continue;
            }
            let from = added.literal.from as usize;
            self.meter.step(1 + (added.followers.len() + self.out[from].len()) as u64)?;
            self.meter.release(4 * (added.reason.len() + added.support.len()) as u64);
            (added.reason, added.support) = (Vec::new(), Vec::new());
            open.append(&mut added.followers);
            self.out[from].retain(|&other| other != edge);
        }
        Ok(())
    }

    /// All added edges, and all transactions, that a contradiction rests on.
    fn trace(&mut self, conflict: &Conflict) -> (Vec<u32>, Vec<u32>) {
        self.traces += 1;
        let mut open = conflict.edges.clone();
        let mut edges = Vec::new();
        let mut support = conflict.support.clone();
        while let Some(edge) = open.pop() {
            let added = &mut self.added[edge as usize];
            if std::mem::replace(&mut added.seen, self.traces) == self.traces {
                continue;
            }
            edges.push(edge);
            open.extend(&added.reason);
            support.extend(&added.support);
            support.extend((added.literal.arc.by != NONE).then_some(added.literal.arc.by));
        }
        edges.sort_unstable();
        (edges, support)
    }
}
