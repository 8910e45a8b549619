//! Keys with one value each: what is written and read, numbers that are added to, texts that grow.
//!
//! A state below the number of values is that value. Sums and texts that are no values of the history have greater
//! numbers; and all texts that nobody can ask for have one number together, since no answer tells them apart.

use super::State;
use super::text::Text;
use crate::{Datum, History, Key, Object, Step, Value};
use rustc_hash::{FxHashMap, FxHashSet};

pub(super) struct Values<'h> {
    history: &'h History,
    empty_text: Option<Value>,
    /// The number of values of the history.
    count: u32,
    /// The next number of a state that is no value.
    next: State,
    sums: Option<Names<Number>>,
    texts: Option<Names<Text>>,
    /// Every beginning of a text that somebody asks for, if all that is done to texts is known to be that or to make them.
    asked: Option<FxHashSet<[u64; 2]>>,
    /// The state of all texts that are no beginning of one that somebody asks for.
    lost: Option<State>,
    beginnings: FxHashMap<Value, FxHashSet<[u64; 2]>>,
}

/// A number, or how far it is from where it was at first, if that is not known: the balance of an account of which nothing
/// is said. The first answer that shows it binds it; each number that it could show is possible until then.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Number {
    Known(i64),
    Unknown { added: i128 },
}

/// What states mean, both ways.
struct Names<T> {
    state: FxHashMap<T, State>,
    meaning: FxHashMap<State, T>,
}

impl<'h> Values<'h> {
    pub(super) fn new(history: &'h History, empty_text: Option<Value>) -> Values<'h> {
        let count = history.counts().0 as u32;
        Values {
            history,
            empty_text,
            count,
            next: count,
            sums: None,
            texts: None,
            asked: None,
            lost: None,
            beginnings: FxHashMap::default(),
        }
    }

    /// About how many bytes the states take.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.next - self.count) * 96
    }

    /// Learns which values are numbers and texts, as far as these steps may compare them with what they make.
    pub(super) fn prepare(&mut self, steps: impl Iterator<Item = &'h Step> + Clone) {
        *self = Values::new(self.history, self.empty_text);
        let of_texts = self.history.object() == Object::Kv;
        let adds = |step: &Step| matches!(step, Step::Add { .. } | Step::Count { .. });
        let appends = |step: &Step| matches!(step, Step::Append { .. });
        if steps.clone().any(adds) {
            self.sums = Some(Names::default());
        }
        if of_texts || steps.clone().any(appends) {
            self.texts = Some(Names::default());
        }
        if self.sums.is_none() && self.texts.is_none() {
            return;
        }
        for step in steps.clone() {
            match *step {
                Step::Read { value: Some(value), .. } | Step::Write { value, .. } | Step::Append { value, .. } => {
                    self.learn(value);
                }
                Step::Cas { from, to, .. } => {
                    self.learn(from);
                    self.learn(to);
                }
                _ => {}
            }
        }
        if of_texts {
            self.asked = self.asked_by(steps);
        }
    }

    /// The value itself, or nothing if it is a text that says nothing, which is the same to a store of texts.
    pub(super) fn plain(&self, value: Value) -> Value {
        if Some(value) == self.empty_text { Value::NIL } else { value }
    }

    pub(super) fn first_of(&mut self, key: Key) -> State {
        let initial = self.plain(self.history.initial(key));
        self.learn(initial);
        match (self.history.object(), self.history.value(initial).integer()) {
            (Object::Bank, None) => self.name_sum(Number::Unknown { added: 0 }),
            // A counter is asked for numbers only.
            (Object::Counter | Object::Bank, Some(number)) => self.name_sum(Number::Known(number)),
            _ => initial.0,
        }
    }

    pub(super) fn step(&mut self, state: State, step: &Step, open: bool) -> Option<State> {
        let agrees = |fits: bool| (open || fits).then_some(state);
        match *step {
            Step::Read { value, .. } => agrees(value.is_none_or(|value| self.plain(value).0 == state)),
            Step::Write { value, .. } => Some(self.write(value)),
            Step::Cas { from, to, took, .. } => {
                let takes = self.plain(from).0 == state;
                let fits = open || took.is_none_or(|took| took == takes);
                fits.then(|| if takes { self.write(to) } else { state })
            }
            Step::Append { value, .. } => self.append(state, value),
            Step::Add { by, .. } => {
                let sum = match self.number(state)? {
                    Number::Known(number) => Number::Known(number.checked_add(by)?),
                    Number::Unknown { added } => Number::Unknown { added: added + i128::from(by) },
                };
                Some(self.name_sum(sum))
            }
            Step::Count { number, .. } => {
                let Some(number) = number.filter(|_| !open) else { return Some(state) };
                match self.number(state)? {
                    Number::Known(is) => agrees(is == number),
                    Number::Unknown { .. } => Some(self.name_sum(Number::Known(number))),
                }
            }
            Step::Generate { .. } | Step::Digest { .. } => Some(state),
            _ => None,
        }
    }

    fn learn(&mut self, value: Value) {
        let state = self.plain(value).0;
        match self.history.value(Value(state)) {
            Datum::Nil => self.know_text(state, ""),
            Datum::Text(text) => self.know_text(state, text),
            Datum::Integer(number) => {
                if let Some(sums) = &mut self.sums {
                    sums.add(Number::Known(*number), state);
                }
            }
            Datum::Bool(_) | Datum::Number(_) | Datum::List(_) | Datum::Map(_) => {}
        }
    }

    fn know_text(&mut self, state: State, text: &str) {
        if let Some(texts) = &mut self.texts
            && !texts.meaning.contains_key(&state)
        {
            texts.add(Text::of(text), state);
        }
    }

    fn new_state(&mut self) -> State {
        self.next += 1;
        self.next - 1
    }
}

impl<T> Default for Names<T> {
    fn default() -> Names<T> {
        Names { state: FxHashMap::default(), meaning: FxHashMap::default() }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Names<T> {
    fn add(&mut self, meaning: T, state: State) {
        self.state.insert(meaning, state);
        self.meaning.insert(state, meaning);
    }
}

/// Numbers.
impl Values<'_> {
    /// Is it a number that is not known, so that an answer says what it is?
    pub(super) fn is_unknown(&self, state: State) -> bool {
        matches!(self.number(state), Some(Number::Unknown { .. }))
    }

    fn number(&self, state: State) -> Option<Number> {
        if state == Value::NIL.0 {
            return Some(Number::Known(0));
        }
        match &self.sums {
            Some(sums) => sums.meaning.get(&state).copied(),
            None if state < self.count => self.history.value(Value(state)).integer().map(Number::Known),
            None => None,
        }
    }

    fn name_sum(&mut self, number: Number) -> State {
        let counter = matches!(self.history.object(), Object::Counter | Object::Bank);
        if counter && number == Number::Known(0) {
            return Value::NIL.0;
        }
        if let Some(&state) = self.sums.as_ref().and_then(|sums| sums.state.get(&number)) {
            return state;
        }
        let state = self.new_state();
        self.sums.get_or_insert_default().add(number, state);
        state
    }
}

/// Texts.
impl<'h> Values<'h> {
    fn write(&mut self, value: Value) -> State {
        let state = self.plain(value).0;
        if self.asked.is_none() {
            return state;
        }
        let text = self.texts.as_ref().and_then(|texts| texts.meaning.get(&state).copied());
        text.and_then(|text| self.lose(text)).unwrap_or(state)
    }

    fn append(&mut self, state: State, value: Value) -> Option<State> {
        if self.lost == Some(state) {
            return Some(state);
        }
        let texts = self.texts.as_ref()?;
        let (before, more) = (texts.meaning.get(&state)?, texts.meaning.get(&self.plain(value).0)?);
        let made = before.followed_by(*more);
        if let Some(lost) = self.lose(made) {
            return Some(lost);
        }
        if let Some(&state) = self.texts.as_ref()?.state.get(&made) {
            return Some(state);
        }
        let state = self.new_state();
        self.texts.as_mut()?.add(made, state);
        Some(state)
    }

    /// The common state of the texts that nobody asks for, if this is one.
    fn lose(&mut self, text: Text) -> Option<State> {
        if self.asked.as_ref().is_none_or(|asked| asked.contains(&text.hash)) {
            return None;
        }
        let lost = self.lost.unwrap_or_else(|| self.new_state());
        self.lost = Some(lost);
        Some(lost)
    }

    fn asked_by(&self, steps: impl Iterator<Item = &'h Step>) -> Option<FxHashSet<[u64; 2]>> {
        let (mut asked, mut done) = (FxHashSet::default(), FxHashSet::default());
        for step in steps {
            match *step {
                Step::Read { value: Some(value), .. } | Step::Cas { from: value, .. } => {
                    if done.insert(value) {
                        asked.extend(Text::beginnings(self.text(value)));
                    }
                }
                Step::Read { .. } | Step::Write { .. } | Step::Append { .. } => {}
                // What counts wants to know more of a text.
                _ => return None,
            }
        }
        Some(asked)
    }

    pub(super) fn leads_to(&mut self, state: State, value: Value) -> bool {
        let value = self.plain(value);
        if state == value.0 {
            return true;
        }
        if self.history.object() != Object::Kv {
            return false;
        }
        let Some(text) = self.texts.as_ref().and_then(|texts| texts.meaning.get(&state)) else { return false };
        let whole = self.text(value);
        let beginnings = self.beginnings.entry(value).or_insert_with(|| Text::beginnings(whole).collect());
        beginnings.contains(&text.hash)
    }

    pub(super) fn brings(&mut self, steps: &[Step], value: Value) -> bool {
        steps.iter().any(|step| match *step {
            Step::Write { value: left, .. } => self.leads_to(self.plain(left).0, value),
            Step::Cas { to, took, .. } => took != Some(false) && self.leads_to(self.plain(to).0, value),
            _ => false,
        })
    }

    fn text(&self, value: Value) -> &'h str {
        self.history.value(value).name().unwrap_or("")
    }
}
