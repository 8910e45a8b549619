//! The four session guarantees of Terry, Demers, Petersen, Spreitzer, Theimer and Welch (PDIS 1994), each alone.

use super::core::Core;
use super::graph::{self, Arc};
use super::plain::{Act, INITIAL, NONE, Plain, Shown};
use crate::{Key, Meter, Spent, Value, Why};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// What the reads of one operation may show.
fn options(plain: &Plain<'_>, read: u32) -> Vec<Shown> {
    let shown = plain.shown[read as usize];
    if shown.is_open() { plain.options(read) } else { vec![shown] }
}

/// The operations that see something.
fn reads<'p>(plain: &'p Plain<'_>) -> impl Iterator<Item = u32> + 'p {
    (0..plain.acts.len() as u32).filter(|&id| plain.acts[id as usize].sees())
}

/// A read that shows the state before everything although its session had written the key.
pub(super) fn read_your_writes(plain: &Plain<'_>, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    // For each session and key its writes so far.
    let mut own: FxHashMap<(u32, u32), Vec<u32>> = FxHashMap::default();
    for id in 0..plain.acts.len() as u32 {
        let at = (plain.sessions[id as usize], plain.keys[id as usize]);
        let act = plain.acts[id as usize];
        meter.step(1)?;
        if act.sees()
            && plain.rules.sessions
            && let Some(written) = own.get(&at)
        {
            let unseen = |shown: Shown| written.iter().copied().find(|&write| !plain.shows(shown, write));
            let fits = |shown: &Shown| shown.base != INITIAL || unseen(*shown).is_none();
            // Any one of several writers will do: the first that is not the beginning decides.
            if !options(plain, id).iter().any(fits) {
                let shown = options(plain, id).first().copied().unwrap_or(Shown::write(INITIAL));
                let missed = unseen(shown).unwrap_or(id);
                let why = Why::Overtaken(Key(at.1));
                let arcs = [
                    Arc { from: missed, to: id, why: Why::Session, read: NONE },
                    Arc { from: id, to: missed, why, read: NONE },
                ];
                return Ok(Some(Core::of_arcs(&arcs)));
            }
        }
        if act.written().is_some() && plain.sure[id as usize] {
            own.entry(at).or_default().push(id);
        }
    }
    Ok(None)
}

/// A read, alone, with all writes in an order that respects each session.
pub(super) fn monotonic_writes(plain: &Plain<'_>, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    let before = |first: u32, second: u32| {
        let same = plain.sessions[first as usize] == plain.sessions[second as usize];
        plain.rules.sessions && same && plain.sure[first as usize] && first < second
    };
    for read in reads(plain) {
        let swaps = matches!(plain.acts[read as usize], Act::Swapped(..));
        if !swaps && !plain.has_appends {
            continue;
        }
        // Each way to explain it has its own reason not to.
        let mut reasons = Core::default();
        let mut fits = false;
        for option in options(plain, read) {
            match explained(plain, read, option, &before, meter)? {
                None => {
                    fits = true;
                    break;
                }
                Some(core) => reasons.operations.extend(core.operations),
            }
        }
        if !fits {
            return Ok(Some(reasons));
        }
    }
    Ok(None)
}

/// Can a read be explained when writes have to be in this (transitive) order? If not, why.
fn explained(
    plain: &Plain<'_>,
    read: u32,
    shown: Shown,
    before: &dyn Fn(u32, u32) -> bool,
    meter: &mut Meter<'_>,
) -> Result<Option<Core>, Spent> {
    let sources: Vec<u32> = plain.sources(shown).collect();
    let swaps = matches!(plain.acts[read as usize], Act::Swapped(..));
    for (at, &first) in sources.iter().enumerate() {
        meter.step(1 + (sources.len() - at) as u64)?;
        let late = sources[at + 1..].iter().copied().find(|&second| before(second, first));
        if let Some(second) = late {
            return Ok(Some(Core::of(&[first, second, read])));
        }
        if swaps && before(read, first) {
            return Ok(Some(Core::of(&[first, read])));
        }
    }
    for &write in plain.writes_of(plain.keys[read as usize]) {
        meter.step(1 + sources.len() as u64)?;
        if write == read || sources.contains(&write) {
            continue;
        }
        let needed = swaps && before(write, read) || sources.iter().any(|&source| before(write, source));
        if needed && shown.base == INITIAL && plain.rules.initial {
            return Ok(Some(Core { operations: [&sources[..], &[write, read]].concat(), arcs: Vec::new() }));
        }
        if needed && let Some(&older) = sources.iter().find(|&&source| before(source, write)) {
            return Ok(Some(Core { operations: [&sources[..], &[write, older, read]].concat(), arcs: Vec::new() }));
        }
    }
    Ok(None)
}

/// Writes come after what their session had read before; each read alone.
pub(super) fn writes_follow_reads(
    plain: &Plain<'_>,
    shown: &[Shown],
    meter: &mut Meter<'_>,
) -> Result<Option<Core>, Spent> {
    let count = plain.acts.len() as u32;
    let follows = Follows::new(plain, shown);
    meter.step(u64::from(count))?;
    if let Err(nodes) = graph::visit(2 * count as usize, |node, next| follows.before(node, next), |_| Ok(()))? {
        let into = |to: u32| follows.arcs(to);
        let circle = graph::circle(2 * count as usize, &into, &nodes, meter)?.unwrap_or_default();
        let arcs: Vec<Arc> = circle.iter().filter_map(|arc| follows.plain_arc(arc)).collect();
        return Ok(Some(Core::of_arcs(&arcs)));
    }
    for read in reads(plain) {
        let act = plain.acts[read as usize];
        if shown[read as usize].is_open() || !matches!(act, Act::Swapped(..)) && !plain.has_appends {
            continue;
        }
        if let Some(core) = follows.explained(read, meter)? {
            return Ok(Some(core));
        }
    }
    Ok(None)
}

/// Which writes have to follow which. Each read has a second node, after what it read and before later writes.
struct Follows<'a, 'h> {
    plain: &'a Plain<'h>,
    shown: &'a [Shown],
    /// For each operation the last one of its session, itself included, that saw something.
    seen: Vec<u32>,
    count: u32,
}

impl<'a, 'h> Follows<'a, 'h> {
    fn new(plain: &'a Plain<'h>, shown: &'a [Shown]) -> Follows<'a, 'h> {
        let count = plain.acts.len() as u32;
        let mut seen = vec![NONE; count as usize];
        for id in 0..count as usize {
            let previous = plain.previous[id];
            let before = if previous == NONE { NONE } else { seen[previous as usize] };
            // A failed compare-and-set names no value that it saw.
            let names = matches!(plain.acts[id], Act::Saw(_) | Act::Swapped(..));
            seen[id] = if names { id as u32 } else { before };
        }
        Follows { plain, shown, seen, count }
    }

    fn before(&self, node: u32, next: u32) -> Option<u32> {
        if node < self.count {
            let seen = self.seen[node as usize];
            let writes = self.plain.acts[node as usize].written().is_some();
            return (next == 0 && seen != NONE && writes).then(|| seen + self.count);
        }
        let id = node - self.count;
        let previous = self.plain.previous[id as usize];
        let earlier = if previous == NONE { NONE } else { self.seen[previous as usize] };
        let has = u32::from(earlier != NONE);
        if next < has {
            return Some(earlier + self.count);
        }
        if self.plain.rules.reads { self.plain.source(self.shown[id as usize], next - has) } else { None }
    }

    fn arcs(&self, to: u32) -> Vec<Arc> {
        let key = Key(self.plain.keys[(to % self.count) as usize]);
        let all = (0..).map_while(|next| self.before(to, next));
        let why = |from: u32| if from >= self.count { Why::Session } else { Why::ReadsFrom(key) };
        all.map(|from| Arc { from, to, why: why(from), read: NONE }).collect()
    }

    /// The same between operations; none if it is within one.
    fn plain_arc(&self, arc: &Arc) -> Option<Arc> {
        let (from, to) = (arc.from % self.count, arc.to % self.count);
        (from != to).then_some(Arc { from, to, ..*arc })
    }

    /// The read alone, with all writes in this order.
    fn explained(&self, read: u32, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
        let plain = self.plain;
        let key = plain.keys[read as usize];
        let shown = self.shown[read as usize];
        let swaps = matches!(plain.acts[read as usize], Act::Swapped(..));
        let sources: Vec<u32> = plain.sources(shown).collect();
        let last = if swaps { vec![read] } else { sources.clone() };
        let past = self.past(&last, meter)?;
        let inside = |write: &u32| past[*write as usize] && *write != read;
        for &write in plain.writes_of(key).iter().filter(|write| inside(write)) {
            let shows = sources.contains(&write);
            if !shows && shown.base == INITIAL && plain.rules.initial {
                return Ok(Some(Core { operations: self.all_of(&past, read), arcs: Vec::new() }));
            }
            let before = self.past(&[write], meter)?;
            let from =
                if shows { sources.iter().position(|&source| source == write).map_or(0, |at| at + 1) } else { 0 };
            if sources[from..].iter().any(|&source| before[source as usize]) {
                return Ok(Some(Core { operations: self.all_of(&past, read), arcs: Vec::new() }));
            }
        }
        Ok(None)
    }

    /// What comes before any of these writes.
    fn past(&self, of: &[u32], meter: &mut Meter<'_>) -> Result<Vec<bool>, Spent> {
        let mut past = vec![false; 2 * self.count as usize];
        meter.step(u64::from(self.count) / 32)?;
        let mut todo = of.to_vec();
        while let Some(node) = todo.pop() {
            meter.step(1)?;
            for from in (0..).map_while(|next| self.before(node, next)) {
                if !std::mem::replace(&mut past[from as usize], true) {
                    todo.push(from);
                }
            }
        }
        // What is shown is in the past of the read, also where it is the last of all.
        for &write in of {
            past[write as usize] = true;
        }
        Ok(past)
    }

    fn all_of(&self, past: &[bool], read: u32) -> Vec<u32> {
        let mut all: Vec<u32> =
            (0..2 * self.count).filter(|&node| past[node as usize]).map(|node| node % self.count).collect();
        all.push(read);
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What a session reads of a key never goes back to what it had read before something else.
pub(super) fn monotonic_reads(plain: &Plain<'_>, meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    if !plain.rules.sessions {
        return Ok(None);
    }
    if plain.ambiguous.is_empty() {
        return settled_reads(plain, &plain.shown, meter);
    }
    let mut of: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    for read in reads(plain) {
        of.entry((plain.sessions[read as usize], plain.keys[read as usize])).or_default().push(read);
    }
    for ((_, key), reads) in of {
        let mut sequence = Sequence::new(plain, key, &reads);
        if sequence.exists(meter)? {
            continue;
        }
        if !sequence.doubtful {
            return Ok(Some(Core::of(&reads)));
        }
        let mut one = |shown: &[Shown], meter: &mut Meter<'_>| settled_reads(plain, shown, meter);
        return super::choice::any(plain, &plain.ambiguous, &mut one, meter);
    }
    Ok(None)
}

/// Every read has one writer: it must not come back.
fn settled_reads(plain: &Plain<'_>, shown: &[Shown], meter: &mut Meter<'_>) -> Result<Option<Core>, Spent> {
    // For each session and key: the last read. For each session and write: the last read that showed it.
    let mut last: FxHashMap<(u32, u32), u32> = FxHashMap::default();
    let mut showed: FxHashMap<(u32, u32, u32), u32> = FxHashMap::default();
    for read in reads(plain).filter(|&read| !shown[read as usize].is_open()) {
        meter.step(1)?;
        let (session, key, base) =
            (plain.sessions[read as usize], plain.keys[read as usize], shown[read as usize].base);
        let before = last.insert((session, key), read);
        let again = showed.insert((session, key, base), read);
        let Some(before) = before else { continue };
        let other = shown[before as usize].base;
        // The first state is older than all, whether it was shown or not.
        let back = again.is_some() || base == INITIAL;
        if other != base && back {
            let first = again.unwrap_or(before);
            return Ok(Some(Core::of(&[first, before, read])));
        }
    }
    Ok(None)
}

/// The reads of one key by one session, when values repeat: is there a writer for each, none of which comes back?
struct Sequence<'a, 'h> {
    plain: &'a Plain<'h>,
    reads: &'a [u32],
    initial: Value,
    /// How many writers each value has.
    spare: BTreeMap<Value, u32>,
    /// Values whose writer may be the very read that needs it.
    doubtful: bool,
}

impl<'a, 'h> Sequence<'a, 'h> {
    fn new(plain: &'a Plain<'h>, key: u32, reads: &'a [u32]) -> Sequence<'a, 'h> {
        let mut spare: BTreeMap<Value, u32> = BTreeMap::new();
        let mut doubtful = false;
        for &id in plain.writes_of(key) {
            if let Some(value) = plain.acts[id as usize].written() {
                let to_itself = plain.acts[id as usize] == Act::Swapped(value, value);
                doubtful |= to_itself;
                *spare.entry(value).or_default() += u32::from(!to_itself);
            }
        }
        Sequence { plain, reads, initial: plain.initial(key), spare, doubtful }
    }

    /// Staying is best where it fits; a value that is needed has to be moved to; only a failed compare-and-set has a choice.
    fn exists(&mut self, meter: &mut Meter<'_>) -> Result<bool, Spent> {
        let mut tries: Vec<Try> = Vec::new();
        let (mut at, mut now) = (0, self.initial);
        loop {
            meter.step(1)?;
            let Some(&read) = self.reads.get(at) else { return Ok(true) };
            let choices: Vec<Value> = match self.plain.acts[read as usize] {
                Act::Saw(value) | Act::Swapped(value, _) if value != now => vec![value],
                Act::SawOther(value) if value == now => {
                    self.spare.keys().copied().filter(|&value| value != now).collect()
                }
                _ => {
                    at += 1;
                    continue;
                }
            };
            tries.push(Try { at, choices, next: 0, taken: None });
            match self.next_choice(&mut tries, meter)? {
                Some(place) => (at, now) = place,
                None => return Ok(false),
            }
        }
    }

    /// The next choice of the last try that has one left: where to go on, and with which value.
    fn next_choice(&mut self, tries: &mut Vec<Try>, meter: &mut Meter<'_>) -> Result<Option<(usize, Value)>, Spent> {
        while let Some(last) = tries.last_mut() {
            meter.step(1)?;
            if let Some(taken) = last.taken.take() {
                *self.spare.entry(taken).or_default() += 1;
            }
            let Some(&value) = last.choices.get(last.next) else {
                tries.pop();
                continue;
            };
            last.next += 1;
            let left = self.spare.entry(value).or_default();
            if *left > 0 {
                *left -= 1;
                last.taken = Some(value);
                return Ok(Some((last.at + 1, value)));
            }
        }
        Ok(None)
    }
}

/// A read whose value has to change before it, to one of these.
struct Try {
    at: usize,
    choices: Vec<Value>,
    next: usize,
    taken: Option<Value>,
}

/// The same for texts: one order of the writes of a key explains every read of it by one session from what is known by
/// then, which only grows.
pub(super) fn monotonic_texts(
    plain: &Plain<'_>,
    shown: &[Shown],
    meter: &mut Meter<'_>,
) -> Result<Option<Core>, Spent> {
    let mut of: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    for read in reads(plain).filter(|&read| !shown[read as usize].is_open()) {
        of.entry((plain.sessions[read as usize], plain.keys[read as usize])).or_default().push(read);
    }
    for reads in of.into_values() {
        // Which writes come before which, by a number of their own.
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for &read in &reads {
            let what = shown[read as usize];
            let sources: Vec<u32> = plain.sources(what).collect();
            meter.step(1 + (sources.len() + numbers.len()) as u64)?;
            for &source in &sources {
                let next = numbers.len() as u32;
                numbers.entry(source).or_insert(next);
            }
            pairs.extend(sources.windows(2).map(|pair| (numbers[&pair[0]], numbers[&pair[1]])));
            for (&known, &number) in &numbers {
                if !sources.contains(&known) {
                    if what.base == INITIAL {
                        return Ok(Some(Core::of(&reads)));
                    }
                    pairs.push((number, numbers[&what.base]));
                }
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        let arc = |&(from, to): &(u32, u32)| Arc { from, to, why: Why::Session, read: NONE };
        let arcs = graph::Arcs::new(numbers.len(), &pairs.iter().map(arc).collect::<Vec<Arc>>());
        let before = |node: u32, next: u32| arcs.towards(node).get(next as usize).map(|arc| arc.from);
        if graph::visit(numbers.len(), before, |_| Ok(()))?.is_err() {
            return Ok(Some(Core::of(&reads)));
        }
    }
    Ok(None)
}
