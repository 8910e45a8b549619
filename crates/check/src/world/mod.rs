//! The sequential meaning of every kind of object: which state an operation leaves, and whether its answers fit.
//!
//! States are numbered, so that a search can copy and compare them in constant time. Equal states of a key have equal
//! numbers; states of different keys are never compared.

mod line;
mod lock;
mod set;
mod text;
mod value;

use crate::{Datum, History, Id, Key, Object, Step, Value};
use line::Lines;
use lock::Locks;
use rustc_hash::FxHashMap;
use set::Sets;
use std::hash::Hash;
use value::Values;

/// The number of a state.
pub(crate) type State = u32;

/// What stands at a key: which part of the world knows its states.
#[derive(Clone, Copy)]
enum Content {
    Value,
    Set,
    Line,
    Lock,
}

impl Content {
    const fn of(object: Object) -> Content {
        match object {
            Object::Register
            | Object::CasRegister
            | Object::Kv
            | Object::Counter
            | Object::Bank
            | Object::ListAppend
            | Object::RwRegister
            | Object::UniqueId
            | Object::Replica => Content::Value,
            Object::Set => Content::Set,
            Object::Queue | Object::Stack => Content::Line,
            Object::Mutex | Object::FencedLock => Content::Lock,
        }
    }
}

/// Gives states their numbers and applies operations to them.
pub(crate) struct World<'h> {
    history: &'h History,
    /// The keys that are judged together; a state of several keys is a list of states of one key.
    keys: Vec<Key>,
    values: Values<'h>,
    sets: Sets,
    lines: Lines,
    locks: Locks,
    products: Table<Box<[State]>>,
}

impl<'h> World<'h> {
    /// The world of these keys of a history.
    pub(crate) fn new(history: &'h History, keys: &[Key], empty_text: Option<Value>) -> World<'h> {
        World {
            history,
            keys: keys.to_vec(),
            values: Values::new(history, empty_text),
            sets: Sets::default(),
            lines: Lines::new(history.object() == Object::Stack),
            locks: Locks::default(),
            products: Table::default(),
        }
    }

    /// The value that a store of texts takes for an absent one, if it occurs.
    pub(crate) fn empty_text(history: &History) -> Option<Value> {
        let is_empty = |value: &u32| matches!(history.value(Value(*value)), Datum::Text(text) if text.is_empty());
        let values = if history.object() == Object::Kv { history.counts().0 as u32 } else { 0 };
        (0..values).find(is_empty).map(Value)
    }

    /// About how many bytes the states take.
    pub(crate) fn bytes(&self) -> u64 {
        let products = self.products.len() * (self.keys.len() * 8 + 64);
        self.values.bytes() + self.sets.bytes() + self.lines.bytes() + self.locks.bytes() + products as u64
    }

    /// The state before everything, for these operations: no others are applied later.
    pub(crate) fn first(&mut self, operations: impl Iterator<Item = Id> + Clone) -> State {
        self.prepare(operations);
        if let [key] = self.keys[..] {
            return self.first_of(key);
        }
        let states = self.keys.clone().into_iter().map(|key| self.first_of(key)).collect();
        self.products.name(states)
    }

    /// Gets ready for these operations: no others are applied later. States from before have no meaning any more.
    pub(crate) fn prepare(&mut self, operations: impl Iterator<Item = Id> + Clone) {
        let history = self.history;
        let steps = operations.flat_map(|id| history.steps(id));
        match Content::of(history.object()) {
            Content::Value => self.values.prepare(steps),
            Content::Set => self.sets.prepare(steps),
            Content::Line | Content::Lock => {}
        }
    }

    /// The state of one key before everything.
    pub(crate) fn first_of(&mut self, key: Key) -> State {
        match Content::of(self.history.object()) {
            Content::Value => self.values.first_of(key),
            Content::Set => self.sets.first_of(key),
            Content::Line => self.lines.first(),
            Content::Lock => self.locks.first(),
        }
    }

    /// The state that an operation leaves, if its answers fit. Of an `open` one no answer is known.
    pub(crate) fn after(&mut self, state: State, steps: &[Step], session: u32, open: bool) -> Option<State> {
        if self.keys.len() == 1 {
            return steps.iter().try_fold(state, |state, step| self.step(state, step, session, open));
        }
        let mut states = self.products.of(state).clone();
        for step in steps {
            let Some(key) = step.key() else { continue };
            let at = self.keys.iter().position(|&other| other == key)?;
            states[at] = self.step(states[at], step, session, open)?;
        }
        Some(self.products.name(states))
    }

    /// The state of its key that a step leaves, if its answer fits. A step that the object does not have never fits.
    pub(crate) fn step(&mut self, state: State, step: &Step, session: u32, open: bool) -> Option<State> {
        match Content::of(self.history.object()) {
            Content::Value => self.values.step(state, step, open),
            Content::Set => self.sets.step(self.history, state, step, open),
            Content::Line => self.lines.step(state, step, open),
            Content::Lock => self.locks.step(state, step, session, open),
        }
    }

    /// The value itself, or nothing if it is a text that says nothing, which is the same to a store of texts.
    pub(crate) fn plain(&self, value: Value) -> Value {
        self.values.plain(value)
    }

    /// Is the state of a key a number that is not known, so that an answer says what it is?
    pub(crate) fn is_unknown(&self, state: State) -> bool {
        self.history.object() == Object::Bank && self.values.is_unknown(state)
    }

    /// Is the state the value, or can it become so by appends alone?
    pub(crate) fn leads_to(&mut self, state: State, value: Value) -> bool {
        self.values.leads_to(state, value)
    }

    /// Does one of these steps write the value, or a text that can become it by appends alone?
    pub(crate) fn brings(&mut self, steps: &[Step], value: Value) -> bool {
        self.values.brings(steps, value)
    }
}

/// States that are kept, by number.
struct Table<T> {
    states: Vec<T>,
    names: FxHashMap<T, State>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { states: Vec::new(), names: FxHashMap::default() }
    }
}

impl<T: Clone + Hash + Eq> Table<T> {
    fn len(&self) -> usize {
        self.states.len()
    }
    fn of(&self, state: State) -> &T {
        &self.states[state as usize]
    }
    fn name(&mut self, made: T) -> State {
        if let Some(&name) = self.names.get(&made) {
            return name;
        }
        self.states.push(made.clone());
        self.names.insert(made, self.states.len() as u32 - 1);
        self.states.len() as u32 - 1
    }
}

/// Remainders by a prime of 61 bits, of which hashes of sequences are made.
mod modular {
    pub(super) const MODULUS: u64 = (1 << 61) - 1;
    pub(super) const BASES: [u64; 2] = [0x0ABC_DEF1_2345_6789, 0x1357_9BDF_0246_8ACE];

    pub(super) fn times(a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        let sum = (product as u64 & MODULUS) + (product >> 61) as u64;
        if sum >= MODULUS { sum - MODULUS } else { sum }
    }

    pub(super) fn plus(a: u64, b: u64) -> u64 {
        let sum = a + b;
        if sum >= MODULUS { sum - MODULUS } else { sum }
    }

    pub(super) fn power(base: u64, mut exponent: u32) -> u64 {
        let (mut made, mut square) = (1, base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                made = times(made, square);
            }
            square = times(square, square);
            exponent >>= 1;
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recorder;

    /// A file may name any steps: none of them may be taken for one that the object has.
    #[test]
    fn a_step_that_the_object_does_not_have_never_fits() {
        for object in Object::ALL {
            let mut recorder = Recorder::new(object);
            let (key, value) = (recorder.key(&"x".into()), recorder.value(&Datum::text("a")));
            let list = Some(recorder.list(&[value]));
            let (line, lock) = (&[Object::Queue, Object::Stack][..], &[Object::Mutex, Object::FencedLock][..]);
            let steps = [
                (Step::Insert { key, value }, &[Object::Set, Object::Queue, Object::Stack][..]),
                (Step::Contains { key, value, there: Some(false) }, &[Object::Set]),
                (Step::ReadList { key, list }, &[Object::Set]),
                (Step::Take { key, value: Some(Value::NIL) }, line),
                (Step::Acquire { key, token: None }, lock),
                (Step::Guarded { key, token: 1 }, lock),
            ];
            let session = recorder.session(&"a".into());
            let all: Vec<Step> = steps.iter().map(|(step, _)| *step).collect();
            recorder.begin(session, 0, 0, &all);
            let history = recorder.finish();
            let mut world = World::new(&history, &[key], None);
            let first = world.first(history.ids());
            for (step, objects) in steps {
                let fits = world.step(first, &step, 0, true).is_some();
                assert_eq!(fits, objects.contains(&object), "{step:?} of {}", object.word());
            }
            let reads = world.step(first, &Step::Read { key, value: None }, 0, true).is_some();
            let structured = [&[Object::Set], line, lock].concat().contains(&object);
            assert_eq!(reads, !structured, "a read of {}", object.word());
        }
    }
}
