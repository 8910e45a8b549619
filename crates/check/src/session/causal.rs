//! Weak causal consistency and causal convergence, by the bad patterns of Bouajjani, Enea, Guerraoui and Hamza (POPL
//! 2017), found with one vector of places per operation that learns something new, as in AWDIT (Møldrup and Pavlogiannis,
//! PLDI 2025).

use super::core::Core;
use super::graph::{self, Arc, Arcs};
use super::plain::{INITIAL, NONE, Plain, Shown};
use crate::{Key, Meter, Spent, Why};

/// Which of the two is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Causal {
    /// Each read alone.
    Weak,
    /// One order of all writes.
    Convergent,
}

/// What breaks the model under this choice of writes, if something does.
pub(super) fn check(
    plain: &Plain<'_>,
    shown: &[Shown],
    model: Causal,
    meter: &mut Meter<'_>,
) -> Result<Option<Core>, Spent> {
    let past = match Past::new(plain, shown, &Arcs::new(plain.acts.len(), &[]), meter)? {
        Ok(past) => past,
        Err(circle) => return circle_of_causes(plain, shown, &circle, meter).map(Some),
    };
    let writes = runs(plain, shown, &past);
    let mut finder = Finder { plain, shown, past, model, forced: Vec::new(), writes };
    for read in 0..plain.acts.len() as u32 {
        if plain.acts[read as usize].sees()
            && !shown[read as usize].is_open()
            && let Some(core) = finder.judge(read, meter)?
        {
            return Ok(Some(core));
        }
    }
    if model == Causal::Weak {
        return Ok(None);
    }
    finder.one_order(meter)
}

/// The n-th of the operations that come directly before one: in its session, and what it reads from.
fn before(plain: &Plain<'_>, shown: &[Shown], node: u32, next: u32) -> Option<u32> {
    let previous = plain.previous[node as usize];
    let has = u32::from(previous != NONE);
    if next < has {
        return Some(previous);
    }
    if plain.rules.reads { plain.source(shown[node as usize], next - has) } else { None }
}

/// The same, and then those of some more arcs.
pub(super) fn before_with(plain: &Plain<'_>, shown: &[Shown], more: &Arcs, node: u32, next: u32) -> Option<u32> {
    let earlier = before(plain, shown, node, next);
    earlier.or_else(|| {
        let more = more.towards(node);
        if more.is_empty() {
            return None;
        }
        more.get((next - degree(plain, shown, node)) as usize).map(|arc| arc.from)
    })
}

/// How many there are.
fn degree(plain: &Plain<'_>, shown: &[Shown], node: u32) -> u32 {
    let sources = if plain.rules.reads { plain.sources(shown[node as usize]).count() as u32 } else { 0 };
    u32::from(plain.previous[node as usize] != NONE) + sources
}

/// The same with reasons.
pub(super) fn causes(plain: &Plain<'_>, shown: &[Shown], to: u32) -> Vec<Arc> {
    let key = Key(plain.keys[to as usize]);
    let mut arcs = Vec::new();
    let previous = plain.previous[to as usize];
    if previous != NONE {
        arcs.push(Arc { from: previous, to, why: Why::Session, read: NONE });
    }
    let sources = plain.sources(shown[to as usize]);
    arcs.extend(sources.map(|from| Arc { from, to, why: Why::ReadsFrom(key), read: NONE }));
    arcs
}

fn circle_of_causes(plain: &Plain<'_>, shown: &[Shown], nodes: &[u32], meter: &mut Meter<'_>) -> Result<Core, Spent> {
    let into = |to: u32| causes(plain, shown, to);
    let arcs = graph::circle(plain.acts.len(), &into, nodes, meter)?.unwrap_or_default();
    let mut core = Core::of_arcs(&arcs);
    core.operations.extend(if arcs.is_empty() { nodes } else { &[] });
    Ok(core)
}

/// For each operation the place up to which it depends on each lane: a session, or a chain of unknown operations.
pub(super) struct Past {
    lane: Vec<u32>,
    /// The place in its lane, from 1.
    place: Vec<u32>,
    row: Vec<u32>,
    rows: Vec<(u32, u32)>,
    cells: Vec<u32>,
}

impl Past {
    #[allow(clippy::type_complexity, reason = "a past, or the circle that rules one out, or no budget")]
    pub(super) fn new(
        plain: &Plain<'_>,
        shown: &[Shown],
        more: &Arcs,
        meter: &mut Meter<'_>,
    ) -> Result<Result<Past, Vec<u32>>, Spent> {
        let count = plain.acts.len();
        let sessions = plain.history.counts().2;
        let mut past = Past {
            lane: plain.sessions.clone(),
            place: vec![0; count],
            row: vec![0; count],
            rows: vec![(0, 0)],
            cells: Vec::new(),
        };
        let mut length = vec![0; sessions];
        for at in 0..count {
            if plain.sure[at] {
                length[plain.sessions[at] as usize] += 1;
                past.place[at] = length[plain.sessions[at] as usize];
            }
        }
        let part = plain.taking_part(shown);
        let mut lanes = sessions as u32;
        // How many operations each lane beyond the sessions has.
        let mut filled: Vec<u32> = Vec::new();
        let visited = graph::visit(
            count,
            |node, next| before_with(plain, shown, more, node, next),
            |node| {
                past.learn(plain, shown, more, node, meter)?;
                if !plain.sure[node as usize] && part[node as usize] {
                    let row = past.row[node as usize];
                    let free = (0..filled.len()).find(|&at| past.cell(row, (sessions + at) as u32) >= filled[at]);
                    let lane = free.unwrap_or_else(|| {
                        filled.push(0);
                        lanes += 1;
                        filled.len() - 1
                    });
                    filled[lane] += 1;
                    past.lane[node as usize] = (sessions + lane) as u32;
                    past.place[node as usize] = filled[lane];
                    meter.step(filled.len() as u64)?;
                }
                Ok(())
            },
        )?;
        Ok(visited.map(|()| past))
    }

    fn cell(&self, row: u32, lane: u32) -> u32 {
        let (start, length) = self.rows[row as usize];
        if lane < length { self.cells[(start + lane) as usize] } else { 0 }
    }

    /// Up to which place of a lane does the operation depend on it?
    pub(super) fn up_to(&self, node: u32, lane: u32) -> u32 {
        if self.lane[node as usize] == lane {
            return self.place[node as usize] - 1;
        }
        self.cell(self.row[node as usize], lane)
    }

    /// Is the first among the causes of the second?
    pub(super) fn causes(&self, first: u32, second: u32) -> bool {
        first != second && self.up_to(second, self.lane[first as usize]) >= self.place[first as usize]
    }

    /// The row of an operation, from those before it.
    fn learn(
        &mut self,
        plain: &Plain<'_>,
        shown: &[Shown],
        more: &Arcs,
        node: u32,
        meter: &mut Meter<'_>,
    ) -> Result<(), Spent> {
        let previous = plain.previous[node as usize];
        let mut row = if previous == NONE { 0 } else { self.row[previous as usize] };
        let lane = plain.sessions[node as usize];
        let mut own = false;
        let unknown = !plain.sure[node as usize];
        if unknown && previous != NONE {
            row = self.joined(row, own, 0, lane, self.place[previous as usize], meter)?;
            own = true;
        }
        let sources = plain.rules.reads.then(|| plain.sources(shown[node as usize]));
        let more = more.towards(node).iter().map(|arc| arc.from);
        {
            for source in sources.into_iter().flatten().chain(more) {
                let at = self.lane[source as usize];
                let known = if at == lane && !unknown { NONE } else { self.cell(row, at) };
                if known < self.place[source as usize] {
                    row = self.joined(row, own, self.row[source as usize], at, self.place[source as usize], meter)?;
                    own = true;
                }
            }
        }
        self.row[node as usize] = row;
        Ok(())
    }

    /// A row that has both, and a lane up to a place; written over the first one if that is `own`.
    fn joined(
        &mut self,
        row: u32,
        own: bool,
        with: u32,
        lane: u32,
        place: u32,
        meter: &mut Meter<'_>,
    ) -> Result<u32, Spent> {
        let ((start, length), (other, more)) = (self.rows[row as usize], self.rows[with as usize]);
        let wide = length.max(more).max(lane + 1);
        meter.step(1 + u64::from(wide) / 8)?;
        meter.hold(4 * u64::from(wide))?;
        let first = self.cells.len();
        if u32::try_from(first + wide as usize).is_err() {
            return Err(Spent::Bytes);
        }
        self.cells.extend_from_within(start as usize..(start + length) as usize);
        self.cells.resize(first + wide as usize, 0);
        let (old, new) = self.cells.split_at_mut(first);
        for (cell, &seen) in new.iter_mut().zip(&old[other as usize..(other + more) as usize]) {
            *cell = (*cell).max(seen);
        }
        new[lane as usize] = new[lane as usize].max(place);
        if own {
            self.rows[row as usize] = (first as u32, wide);
            return Ok(row);
        }
        self.rows.push((first as u32, wide));
        Ok(self.rows.len() as u32 - 1)
    }
}

struct Finder<'a, 'h> {
    plain: &'a Plain<'h>,
    shown: &'a [Shown],
    past: Past,
    model: Causal,
    forced: Vec<Arc>,
    /// For each key its writes by lane and place, cut into runs of one lane.
    writes: Vec<Runs>,
}

#[derive(Default)]
pub(super) struct Runs {
    /// Lane and place of each write, sorted.
    pub(super) writes: Vec<(u32, u32, u32)>,
    /// Lane, and where its run begins.
    pub(super) lanes: Vec<(u32, u32)>,
}

/// For each key its writes by lane.
pub(super) fn runs(plain: &Plain<'_>, shown: &[Shown], past: &Past) -> Vec<Runs> {
    let part = plain.taking_part(shown);
    let of_key = |key: u32| {
        let taking_part = plain.writes_of(key).iter().filter(|&&id| part[id as usize]);
        let mut writes: Vec<(u32, u32, u32)> =
            taking_part.map(|&id| (past.lane[id as usize], past.place[id as usize], id)).collect();
        writes.sort_unstable();
        let mut lanes: Vec<(u32, u32)> = Vec::new();
        for (at, &(lane, ..)) in writes.iter().enumerate() {
            if lanes.last().is_none_or(|&(last, _)| last != lane) {
                lanes.push((lane, at as u32));
            }
        }
        lanes.push((NONE, writes.len() as u32));
        Runs { writes, lanes }
    };
    (0..plain.history.counts().1 as u32).map(of_key).collect()
}

impl Finder<'_, '_> {
    /// Every write of the key among the causes of a read that it does not show is older than what it shows.
    fn judge(&mut self, read: u32, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
        let (plain, shown) = (self.plain, self.shown[read as usize]);
        let key = plain.keys[read as usize];
        if let Some(core) = self.order_shown(read, meter)? {
            return Ok(Some(core));
        }
        let runs = std::mem::take(&mut self.writes[key as usize]);
        let mut found = None;
        for run in runs.lanes.windows(2) {
            meter.step(1)?;
            let (lane, from, to) = (run[0].0, run[0].1 as usize, run[1].1 as usize);
            let limit = self.past.up_to(read, lane);
            let run = &runs.writes[from..to];
            let seen = run.partition_point(|&(_, place, _)| place <= limit);
            let unshown = run[..seen].iter().rev().find(|&&(_, _, id)| !plain.shows(shown, id));
            let Some(&(_, _, write)) = unshown else { continue };
            if shown.base == INITIAL {
                if plain.rules.initial {
                    found = Some(self.missed(read, NONE, write, meter)?);
                    break;
                }
                continue;
            }
            if let Some(older) = plain.sources(shown).find(|&older| self.past.causes(older, write)) {
                found = Some(self.missed(read, older, write, meter)?);
                break;
            }
            if self.model == Causal::Convergent && !self.past.causes(write, shown.base) {
                self.force(write, shown.base, read, meter)?;
            }
        }
        self.writes[key as usize] = runs;
        Ok(found)
    }

    /// The writes that a text shows, in its order.
    fn order_shown(&mut self, read: u32, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
        let (plain, shown) = (self.plain, self.shown[read as usize]);
        let appended = plain.appended(shown);
        if appended.is_empty() {
            return Ok(None);
        }
        let all: Vec<u32> = plain.sources(shown).collect();
        for (at, &first) in all.iter().enumerate() {
            meter.step(1 + (all.len() - at) as u64 / 4)?;
            if let Some(&second) = all[at + 1..].iter().find(|&&second| self.past.causes(second, first)) {
                let into = |to: u32| causes(plain, self.shown, to);
                let way = graph::way(plain.acts.len(), &into, second, first, meter)?.unwrap_or_default();
                let mut core = Core::of_arcs(&way);
                let why = Why::Overwrites(Key(plain.keys[read as usize]));
                core.arcs.push(Arc { from: first, to: second, why, read });
                core.operations.push(read);
                return Ok(Some(core));
            }
        }
        if self.model == Causal::Convergent {
            for pair in all.windows(2) {
                self.force(pair[0], pair[1], read, meter)?;
            }
        }
        Ok(None)
    }

    fn force(&mut self, from: u32, to: u32, read: u32, meter: &mut Meter<'_>) -> Result<(), Spent> {
        meter.hold(size_of::<Arc>() as u64)?;
        let key = Key(self.plain.keys[read as usize]);
        self.forced.push(Arc { from, to, why: Why::Forced(key), read });
        Ok(())
    }

    /// The read has the write among its causes, and what it shows is older.
    fn missed(&self, read: u32, older: u32, write: u32, meter: &mut Meter<'_>) -> Result<Core, Spent> {
        let (plain, shown) = (self.plain, self.shown);
        let into = |to: u32| causes(plain, shown, to);
        let count = plain.acts.len();
        let mut arcs = graph::way(count, &into, write, read, meter)?.unwrap_or_default();
        let mut core = Core::of_arcs(&arcs);
        let key = Key(plain.keys[read as usize]);
        arcs.insert(0, Arc { from: read, to: write, why: Why::Overtaken(key), read: NONE });
        core.arcs = arcs;
        if older != NONE {
            let way = graph::way(count, &into, older, write, meter)?.unwrap_or_default();
            core.operations.extend(Core::of_arcs(&way).operations);
            core.operations.push(older);
        }
        core.operations.extend([read, write]);
        Ok(core)
    }

    /// Is there one order of all writes that respects causes and what is forced?
    fn one_order(&mut self, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
        let (plain, shown) = (self.plain, self.shown);
        let count = plain.acts.len();
        let forced = Arcs::new(count, &self.forced);
        let with_forced = |node: u32, next: u32| before_with(plain, shown, &forced, node, next);
        let Err(nodes) = graph::visit(count, with_forced, |_| Ok(()))? else { return Ok(None) };
        let into = |to: u32| {
            let mut arcs = causes(plain, shown, to);
            arcs.extend_from_slice(forced.towards(to));
            arcs
        };
        let arcs = graph::circle(count, &into, &nodes, meter)?.unwrap_or_default();
        let mut core = Core::of_arcs(&arcs);
        core.operations.extend(if arcs.is_empty() { &nodes[..] } else { &[] });
        let by_causes = |to: u32| causes(plain, shown, to);
        for arc in arcs.iter().filter(|arc| arc.read != NONE) {
            core.operations.push(arc.read);
            core.operations.extend(plain.sources(shown[arc.read as usize]));
            if let Some(way) = graph::way(count, &by_causes, arc.from, arc.read, meter)? {
                core.operations.extend(Core::of_arcs(&way).operations);
            }
        }
        Ok(Some(core))
    }
}
