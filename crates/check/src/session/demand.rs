//! Which values are still to be found, and who may still bring them about.
//!
//! An operation *needs* a value of a key if it must find that there, and *brings* one if it may leave it. A value that
//! somebody still needs and that nobody can bring any more must not be replaced; and a write that nobody needs may take
//! place as soon as nobody needs what it replaces. This holds for values that repeat and for operations of several steps.

use super::plain::{Groups, NONE};
use crate::world::{State, World};
use crate::{History, Id, Object, Outcome, Step, Value};
use rustc_hash::FxHashMap;

/// The values of registers and texts that are needed, each with its number. Other objects have none.
pub(super) struct Demand {
    numbers: FxHashMap<(u32, State), u32>,
    /// How many operations that are still to come need each value.
    needed: Vec<u32>,
    /// How many that are still to come may bring it.
    brought: Vec<u32>,
    needs: Lists,
    brings: Lists,
    /// Operations that only write, keys of which nobody tells more than by plain reads.
    blind: Vec<bool>,
    /// Operations of unknown outcome that nobody can have any use for.
    useless: Vec<bool>,
}

/// The numbers of each operation.
#[derive(Default)]
struct Lists {
    groups: Groups,
    numbers: Vec<u32>,
}

/// What is asked of a key beyond reads of plain values.
#[derive(Clone, Copy, Default)]
struct Asked {
    /// Sums or texts that grow: any value may come about.
    grows: bool,
    /// It is told whether it had a value, or somebody acted on it depending on that.
    compared: bool,
    /// It is told that it had not some value, or that may follow.
    differs: bool,
}

impl Demand {
    pub(super) fn new(history: &History, world: &World<'_>) -> Demand {
        let count = history.len();
        let mut demand = Demand {
            numbers: FxHashMap::default(),
            needed: Vec::new(),
            brought: Vec::new(),
            needs: Lists::default(),
            brings: Lists::default(),
            blind: Vec::new(),
            useless: vec![false; count],
        };
        if !matches!(history.object(), Object::Register | Object::CasRegister | Object::Kv) {
            return demand;
        }
        let asked = asked(history);
        let mut found = Found::default();
        let mut needs: Vec<(u32, u32)> = Vec::new();
        for id in history.ids().filter(|&id| history.operation(id).outcome == Outcome::Done) {
            found.of(history, world, id);
            for &(key, value) in found.needs.iter().filter(|(key, _)| !asked[*key as usize].grows) {
                let next = demand.needed.len() as u32;
                let number = *demand.numbers.entry((key, value)).or_insert(next);
                if number == next {
                    demand.needed.push(0);
                }
                demand.needed[number as usize] += 1;
                needs.push((id.0, number));
            }
        }
        demand.brought = vec![0; demand.needed.len()];
        demand.blind = vec![false; count];
        let froms = froms(history, world);
        let mut brings: Vec<(u32, u32)> = Vec::new();
        for id in history.ids().filter(|&id| history.operation(id).outcome != Outcome::Refused) {
            let before = brings.len();
            found.of(history, world, id);
            for at in &found.brings {
                if let Some(&number) = demand.numbers.get(at) {
                    demand.brought[number as usize] += 1;
                    brings.push((id.0, number));
                }
            }
            let mut of_keys = history.steps(id).iter().filter_map(Step::key).map(|key| asked[key.0 as usize]);
            demand.useless[id.index()] = history.operation(id).outcome == Outcome::Unknown
                && history.object() != Object::Kv
                && brings.len() == before
                && !of_keys.clone().any(|asked| asked.grows || asked.differs)
                && !found.brings.iter().any(|at| froms.contains_key(at));
            demand.blind[id.index()] = history.steps(id).iter().all(|step| matches!(step, Step::Write { .. }))
                && !of_keys.any(|asked| asked.grows || asked.compared);
        }
        demand.needs = Lists::new(count, &needs);
        demand.brings = Lists::new(count, &brings);
        demand
    }

    /// The number of a value of a key, or [`NONE`] if nobody ever needs it.
    pub(super) fn number(&self, key: u32, state: State) -> u32 {
        if self.numbers.is_empty() { NONE } else { self.numbers.get(&(key, state)).copied().unwrap_or(NONE) }
    }

    /// Can nobody have any use for this operation of unknown outcome?
    pub(super) fn is_useless(&self, id: Id) -> bool {
        self.useless[id.index()]
    }

    /// Is a value lost for ever that somebody else needs, if this operation replaces it?
    pub(super) fn is_missed(&self, id: u32, number: u32) -> bool {
        let own = |lists: &Lists| lists.of(id).filter(|&own| own == number).count() as u32;
        number != NONE
            && self.needed[number as usize] > own(&self.needs)
            && self.brought[number as usize] <= own(&self.brings)
    }

    /// Does the operation only write what nobody needs, over values (by number) that nobody needs either?
    pub(super) fn is_idle(&self, id: u32, mut replaced: impl Iterator<Item = u32>) -> bool {
        self.blind.get(id as usize) == Some(&true)
            && self.brings.of(id).all(|number| self.needed[number as usize] == 0)
            && replaced.all(|number| number == NONE || self.needed[number as usize] == 0)
    }

    /// The operation takes place.
    pub(super) fn take(&mut self, id: u32) {
        self.needs.of(id).for_each(|number| self.needed[number as usize] -= 1);
        self.brings.of(id).for_each(|number| self.brought[number as usize] -= 1);
    }

    /// The operation is taken back.
    pub(super) fn take_back(&mut self, id: u32) {
        self.needs.of(id).for_each(|number| self.needed[number as usize] += 1);
        self.brings.of(id).for_each(|number| self.brought[number as usize] += 1);
    }
}

impl Lists {
    fn new(operations: usize, all: &[(u32, u32)]) -> Lists {
        let groups = Groups::new(operations, all.len(), |at| Some(all[at as usize].0));
        Lists { groups, numbers: all.iter().map(|&(_, number)| number).collect() }
    }
    fn of(&self, id: u32) -> impl Iterator<Item = u32> + '_ {
        let members = if self.numbers.is_empty() { &[] } else { self.groups.of(id) };
        members.iter().map(|&at| self.numbers[at as usize])
    }
}

/// What one operation needs and may bring, by key and value, without repetition.
#[derive(Default)]
struct Found {
    needs: Vec<(u32, State)>,
    brings: Vec<(u32, State)>,
}

impl Found {
    fn of(&mut self, history: &History, world: &World<'_>, id: Id) {
        self.needs.clear();
        self.brings.clear();
        let open = history.operation(id).outcome != Outcome::Done;
        let plain = |value: Value| world.plain(value).0;
        for step in history.steps(id) {
            match *step {
                Step::Read { key, value: Some(value) } => self.sees(key.0, plain(value)),
                Step::Write { key, value } => {
                    self.brings.retain(|&(of, _)| of != key.0);
                    self.brings.push((key.0, plain(value)));
                }
                Step::Cas { key, from, to, took: Some(true) } if !open => {
                    self.sees(key.0, plain(from));
                    self.brings.retain(|&(of, _)| of != key.0);
                    self.brings.push((key.0, plain(to)));
                }
                Step::Cas { took: Some(false), .. } if !open => {}
                Step::Cas { key, to, .. } if !self.brings.contains(&(key.0, plain(to))) => {
                    self.brings.push((key.0, plain(to)));
                }
                _ => {}
            }
        }
    }

    /// What an operation wrote itself it need not find.
    fn sees(&mut self, key: u32, value: State) {
        if !self.brings.iter().any(|&(of, _)| of == key) && !self.needs.contains(&(key, value)) {
            self.needs.push((key, value));
        }
    }
}

fn asked(history: &History) -> Vec<Asked> {
    let mut asked = vec![Asked::default(); history.counts().1];
    for id in history.ids() {
        let done = history.operation(id).outcome == Outcome::Done;
        for step in history.steps(id) {
            match *step {
                Step::Add { key, .. } | Step::Count { key, .. } | Step::Append { key, .. } => {
                    asked[key.0 as usize].grows = true;
                }
                Step::Cas { key, took, .. } => {
                    let known = done && took == Some(true);
                    asked[key.0 as usize].compared |= !known;
                    // What else its operation saw then rests on whether it took.
                    let rests = took.is_none() && history.steps(id).len() > 1;
                    asked[key.0 as usize].differs |= done && (took == Some(false) || rests);
                }
                _ => {}
            }
        }
    }
    asked
}

/// All that a compare-and-set, of whatever outcome, asks for.
fn froms(history: &History, world: &World<'_>) -> FxHashMap<(u32, State), ()> {
    let steps = history.ids().flat_map(|id| history.steps(id));
    let from = |step: &Step| match *step {
        Step::Cas { key, from, .. } => Some(((key.0, world.plain(from).0), ())),
        _ => None,
    };
    steps.filter_map(from).collect()
}
