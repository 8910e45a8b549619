//! Directed graphs of transactions: who must come before whom, and why; circles in them.

use crate::{Edge, Id, Key, Why};
use std::collections::VecDeque;

/// Why one node comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Session,
    RealTime,
    /// wr
    ReadsFrom,
    /// ww
    Overwrites,
    /// rw
    Overtaken,
    /// ww that follows from the model and other edges.
    ForcedWrite,
    /// rw that follows from the model and other edges.
    ForcedRead,
    /// Goes on as the edge that led here, on its way over helper nodes.
    Pass,
    /// The same, for an `Overtaken`.
    PassOvertaken,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u32);

impl Kinds {
    pub const WRITES: Kinds = Kinds(1 << Kind::Overwrites as u32);
    pub const READS: Kinds = Kinds(Kinds::WRITES.0 | 1 << Kind::ReadsFrom as u32);
    /// All but anti-dependencies.
    pub const DEPENDENCIES: Kinds = Kinds(
        Kinds::READS.0
            | 1 << Kind::Session as u32
            | 1 << Kind::RealTime as u32
            | 1 << Kind::ForcedWrite as u32
            | 1 << Kind::Pass as u32,
    );
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }
}

impl Kind {
    /// Is it an anti-dependency?
    pub const fn is_overtaking(self) -> bool {
        matches!(self, Kind::Overtaken | Kind::ForcedRead | Kind::PassOvertaken)
    }
    pub const fn is_pass(self) -> bool {
        matches!(self, Kind::Pass | Kind::PassOvertaken)
    }
    fn why(self, key: u32) -> Why {
        match self {
            Kind::Session => Why::Session,
            Kind::RealTime => Why::RealTime,
            Kind::ReadsFrom => Why::ReadsFrom(Key(key)),
            Kind::Overwrites => Why::Overwrites(Key(key)),
            Kind::Overtaken => Why::Overtaken(Key(key)),
            Kind::ForcedWrite | Kind::ForcedRead => Why::Forced(Key(key)),
            Kind::Pass | Kind::PassOvertaken => unreachable!("the edge that led to a helper node says why"),
        }
    }
}

/// An edge to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arc {
    pub to: u32,
    pub kind: Kind,
    pub key: u32,
    /// The reader from which a forced edge follows.
    pub by: u32,
}

/// An edge between transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub from: u32,
    pub to: u32,
    pub kind: Kind,
    pub key: u32,
    pub by: u32,
}

impl Link {
    pub fn edge(self) -> Edge {
        Edge { from: Id(self.from), to: Id(self.to), why: self.kind.why(self.key) }
    }
}

/// Collects edges. The first nodes are the transactions; helper nodes come behind them.
#[derive(Clone, Debug)]
pub(super) struct Builder {
    transactions: u32,
    nodes: u32,
    edges: Vec<(u32, Arc)>,
}

impl Builder {
    pub fn new(transactions: usize) -> Builder {
        Builder { transactions: transactions as u32, nodes: transactions as u32, edges: Vec::new() }
    }
    /// A node that only shortens what would be many edges.
    pub fn helper(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }
    pub fn add(&mut self, from: u32, to: u32, kind: Kind, key: u32) {
        self.add_by(from, to, kind, key, u32::MAX);
    }
    pub fn add_by(&mut self, from: u32, to: u32, kind: Kind, key: u32, by: u32) {
        if from != to {
            self.edges.push((from, Arc { to, kind, key, by }));
        }
    }
    pub fn finish(&self) -> Graph {
        Graph::new(self.transactions, self.nodes, 1, &self.edges)
    }
    /// Each transaction as two nodes, its snapshot and its commit. A dependency leads from commit to snapshot, an
    /// anti-dependency from snapshot to commit; a circle of these is a circle without two adjacent anti-dependencies.
    pub fn split(&self) -> Graph {
        let count = self.transactions;
        let mut edges: Vec<(u32, Arc)> = Vec::with_capacity(self.edges.len() + count as usize);
        for node in 0..count {
            edges.push((2 * node, Arc { to: 2 * node + 1, kind: Kind::Pass, key: 0, by: u32::MAX }));
        }
        for &(from, arc) in &self.edges {
            let out = if arc.kind.is_overtaking() { 0 } else { 1 };
            let from = if from < count { 2 * from + out } else { from + count };
            let to = if arc.to < count { 2 * arc.to + 1 - out } else { arc.to + count };
            edges.push((from, Arc { to, ..arc }));
        }
        Graph::new(count, self.nodes + count, 2, &edges)
    }
}

/// A graph, by node.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    starts: Vec<u32>,
    arcs: Vec<Arc>,
    transactions: u32,
    /// Nodes of each transaction.
    each: u32,
}

impl Graph {
    fn new(transactions: u32, nodes: u32, each: u32, edges: &[(u32, Arc)]) -> Graph {
        let mut starts = vec![0u32; nodes as usize + 1];
        for (from, _) in edges {
            starts[*from as usize + 1] += 1;
        }
        for node in 0..nodes as usize {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut arcs = vec![Arc { to: 0, kind: Kind::Pass, key: 0, by: 0 }; edges.len()];
        for &(from, arc) in edges {
            let at = &mut next[from as usize];
            arcs[*at as usize] = arc;
            *at += 1;
        }
        Graph { starts, arcs, transactions, each }
    }

    pub fn nodes(&self) -> u32 {
        self.starts.len() as u32 - 1
    }
    pub fn arcs(&self, node: u32) -> &[Arc] {
        &self.arcs[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }
    pub fn size(&self) -> u64 {
        (self.starts.len() + self.arcs.len()) as u64
    }
    /// The transaction of a node, if it is not a helper.
    pub fn transaction(&self, node: u32) -> Option<u32> {
        (node < self.transactions * self.each).then(|| node / self.each)
    }

    /// The edges of these kinds alone.
    pub fn only(&self, keep: impl Fn(&Arc) -> bool) -> Graph {
        let mut starts = vec![0];
        let mut arcs = Vec::new();
        for node in 0..self.nodes() {
            arcs.extend(self.arcs(node).iter().filter(|arc| keep(arc)));
            starts.push(arcs.len() as u32);
        }
        Graph { starts, arcs, ..*self }
    }

    /// The circle that a walk of arcs describes, as edges between transactions.
    pub fn links(&self, walk: &[(u32, Arc)]) -> Vec<Link> {
        let first = walk.iter().position(|&(from, arc)| self.transaction(from).is_some() && !arc.kind.is_pass());
        let first = first.expect("a circle leads through edges between transactions");
        let mut links: Vec<Link> = Vec::new();
        for at in 0..walk.len() {
            let (from, arc) = walk[(first + at) % walk.len()];
            match self.transaction(from) {
                Some(from) if !arc.kind.is_pass() => {
                    links.push(Link { from, to: from, kind: arc.kind, key: arc.key, by: arc.by });
                }
                _ => {}
            }
            if let (Some(to), Some(link)) = (self.transaction(arc.to), links.last_mut()) {
                link.to = to;
            }
        }
        links
    }

    /// The strongly connected components of more than one node (Tarjan, 1972, with a stack of its own).
    pub fn circles(&self) -> Vec<Vec<u32>> {
        let nodes = self.nodes() as usize;
        let mut number = vec![0u32; nodes]; // 0: not visited yet.
        let mut low = vec![0u32; nodes];
        let mut next = 0;
        let mut open: Vec<u32> = Vec::new();
        let mut path: Vec<(u32, u32)> = Vec::new();
        let mut found = Vec::new();
        for root in 0..nodes as u32 {
            if number[root as usize] != 0 {
                continue;
            }
            path.push((root, self.starts[root as usize]));
            while let Some((node, at)) = path.last_mut() {
                let here = *node as usize;
                if number[here] == 0 {
                    next += 1;
                    (number[here], low[here]) = (next, next);
                    open.push(*node);
                }
                if *at < self.starts[here + 1] {
                    let to = self.arcs[*at as usize].to;
                    *at += 1;
                    match number[to as usize] {
                        0 => path.push((to, self.starts[to as usize])),
                        visited => low[here] = low[here].min(if visited == u32::MAX { u32::MAX } else { visited }),
                    }
                    continue;
                }
                path.pop();
                if let Some(&(parent, _)) = path.last() {
                    low[parent as usize] = low[parent as usize].min(low[here]);
                }
                if low[here] != number[here] {
                    continue;
                }
                let start = open.iter().rposition(|&node| node as usize == here).expect("it is open");
                for &node in &open[start..] {
                    (number[node as usize], low[node as usize]) = (u32::MAX, u32::MAX);
                }
                if open.len() - start > 1 {
                    found.push(open[start..].to_vec());
                }
                open.truncate(start);
            }
        }
        found
    }

    /// The nodes in an order that all edges respect, small hints first where there is a choice; `None` if there is a circle.
    pub fn sorted(&self, hint: impl Fn(u32) -> u64) -> Option<Vec<u32>> {
        let mut before = vec![0u32; self.nodes() as usize];
        for arc in &self.arcs {
            before[arc.to as usize] += 1;
        }
        let mut ready: std::collections::BinaryHeap<_> = (0..self.nodes())
            .filter(|&node| before[node as usize] == 0)
            .map(|node| std::cmp::Reverse((hint(node), node)))
            .collect();
        let mut sorted = Vec::with_capacity(self.nodes() as usize);
        while let Some(std::cmp::Reverse((_, node))) = ready.pop() {
            sorted.push(node);
            for arc in self.arcs(node) {
                let before = &mut before[arc.to as usize];
                *before -= 1;
                if *before == 0 {
                    ready.push(std::cmp::Reverse((hint(arc.to), arc.to)));
                }
            }
        }
        (sorted.len() == self.nodes() as usize).then_some(sorted)
    }
}

/// Searches for shortest ways, with room of its own that it uses again.
pub(super) struct Ways<'a> {
    graph: &'a Graph,
    /// The node and arc by which each node was reached, in which search, and how far.
    reached: Vec<(u32, u32, u32, u32)>,
    search: u32,
    queue: VecDeque<u32>,
    /// Arcs looked at.
    pub work: u64,
}

impl<'a> Ways<'a> {
    pub fn new(graph: &'a Graph) -> Ways<'a> {
        let reached = vec![(0, 0, 0, 0); graph.nodes() as usize];
        Ways { graph, reached, search: 0, queue: VecDeque::new(), work: 0 }
    }

    /// A shortest way of at least one arc, shorter than `limit`; helper nodes do not count.
    pub fn shortest(&mut self, from: u32, to: u32, limit: u32) -> Option<(u32, Vec<(u32, Arc)>)> {
        let graph = self.graph;
        self.search += 1;
        self.queue.clear();
        self.queue.push_back(from);
        if from != to {
            self.reached[from as usize] = (0, 0, self.search, 0);
        }
        while let Some(node) = self.queue.pop_front() {
            let far = self.far(node).unwrap_or(0);
            if self.far(to).is_some_and(|end| end <= far) {
                break;
            }
            for (at, arc) in graph.arcs(node).iter().enumerate() {
                self.work += 1;
                let cost = far + u32::from(!arc.kind.is_pass());
                if cost >= limit || self.far(arc.to).is_some_and(|far| far <= cost) {
                    continue;
                }
                self.reached[arc.to as usize] = (node, at as u32, self.search, cost);
                if arc.kind.is_pass() {
                    self.queue.push_front(arc.to);
                } else {
                    self.queue.push_back(arc.to);
                }
            }
        }
        self.far(to).map(|far| (far, self.walk(from, to)))
    }

    /// How far a node is from the beginning of this search.
    fn far(&self, node: u32) -> Option<u32> {
        let (_, _, search, far) = self.reached[node as usize];
        (search == self.search).then_some(far)
    }

    fn walk(&self, from: u32, to: u32) -> Vec<(u32, Arc)> {
        let mut walk = Vec::new();
        let mut at = to;
        loop {
            let (node, arc, _, _) = self.reached[at as usize];
            walk.push((node, self.graph.arcs(node)[arc as usize]));
            at = node;
            if at == from {
                break;
            }
        }
        walk.reverse();
        walk
    }
}

/// Arcs that a search for a short circle may look at before it takes the shortest one so far.
const WORK: u64 = 8_000_000;

/// A shortest circle of the graph, or a short one if it is huge.
pub(super) fn short_circle(graph: &Graph) -> Option<Vec<Link>> {
    let circles = graph.circles();
    let mut ways = Ways::new(graph);
    let mut best: Option<(u32, Vec<(u32, Arc)>)> = None;
    'all: for circle in &circles {
        for &node in circle.iter().filter(|&&node| graph.transaction(node).is_some()) {
            let limit = best.as_ref().map_or(u32::MAX, |best| best.0);
            if limit <= 2 || (best.is_some() && ways.work > WORK) {
                break 'all;
            }
            best = ways.shortest(node, node, limit).or(best);
        }
    }
    best.map(|(_, walk)| graph.links(&walk))
}

/// The shortest circle with exactly one edge that `is_single` and else edges of the graph, found from these edges.
pub(super) fn circle_through(graph: &Graph, singles: &[(u32, Arc)]) -> Option<Vec<Link>> {
    let mut ways = Ways::new(graph);
    let mut best: Option<(u32, Vec<(u32, Arc)>)> = None;
    for &(from, arc) in singles {
        let limit = best.as_ref().map_or(u32::MAX, |best| best.0);
        if limit <= 1 || ways.work > WORK {
            break;
        }
        if let Some((far, mut walk)) = ways.shortest(arc.to, from, limit) {
            walk.push((from, arc));
            best = Some((far, walk));
        }
    }
    best.map(|(_, walk)| graph.links(&walk))
}
