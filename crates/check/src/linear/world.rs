//! The sequential meaning of every kind of object: which state an operation leaves, and whether its answers fit.
//!
//! States are numbered, so that a search can copy and compare them in constant time. Equal states have equal numbers.

use crate::{Datum, History, Id, Key, Object, Step, Value};
use rustc_hash::{FxHashMap, FxHashSet};

/// The number of a state.
pub(crate) type State = u32;

/// Gives states their numbers and applies operations to them.
pub(crate) struct World<'h> {
    history: &'h History,
    /// The keys that are judged together; a state of several keys is a list of states of one key.
    keys: Vec<Key>,
    values: u32,
    empty_text: Option<Value>,
    numbers: Option<FxHashMap<Number, State>>,
    number_of: Vec<Option<Number>>,
    texts: Option<FxHashMap<Text, State>>,
    text_of: Vec<Option<Text>>,
    beginnings: FxHashMap<Value, FxHashSet<[u64; 2]>>,
    /// Every beginning of a text that somebody asks for, if all that is done to texts is known to be that or to make them.
    asked: Option<FxHashSet<[u64; 2]>>,
    /// The state of all texts that are no beginning of one that somebody asks for: no answer tells them apart.
    lost: Option<State>,
    derived: u32,
    chains: Chains,
    queues: Vec<QueueState>,
    queue_names: FxHashMap<QueueState, State>,
    sets: Vec<Box<[u64]>>,
    set_names: FxHashMap<Box<[u64]>, State>,
    elements: FxHashMap<Value, u32>,
    locks: Vec<Lock>,
    lock_names: FxHashMap<Lock, State>,
    products: Vec<Box<[State]>>,
    product_names: FxHashMap<Box<[State]>, State>,
}

/// A number, or how far it is from where it was at first, if that is not known: the balance of an account of which nothing
/// is said. The first answer that shows it binds it; each number that it could show is possible until then.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Number {
    Known(i64),
    Unknown { added: i128 },
}

/// A text by its length and two hashes of 61 bits: what it says is never needed, only whether it is the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Text {
    hash: [u64; 2],
    /// The bases to the power of the length.
    shift: [u64; 2],
}

/// What is in a queue: everything that was ever put in, as a chain, without the first so many of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct QueueState {
    hash: [u64; 2],
    length: u32,
    last: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Lock {
    holder: Option<u32>,
    /// The token of the holder, if it is known.
    token: Option<i64>,
    /// The newest token that was granted.
    granted: Option<i64>,
    /// The newest token that was granted or accepted.
    newest: Option<i64>,
}

const MODULUS: u64 = (1 << 61) - 1;
const BASES: [u64; 2] = [0x0ABC_DEF1_2345_6789, 0x1357_9BDF_0246_8ACE];

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let sum = (product as u64 & MODULUS) + (product >> 61) as u64;
    if sum >= MODULUS { sum - MODULUS } else { sum }
}

fn plus(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= MODULUS { sum - MODULUS } else { sum }
}

impl Text {
    const EMPTY: Text = Text { hash: [0, 0], shift: [1, 1] };

    fn of(text: &str) -> Text {
        Text::of_bytes(text.as_bytes())
    }
    fn of_bytes(text: &[u8]) -> Text {
        let mut made = Text::EMPTY;
        for &byte in text {
            for (lane, base) in BASES.into_iter().enumerate() {
                made.hash[lane] = plus(times(made.hash[lane], base), u64::from(byte) + 1);
                made.shift[lane] = times(made.shift[lane], base);
            }
        }
        made
    }
    fn followed_by(self, other: Text) -> Text {
        let lane = |at: usize| plus(times(self.hash[at], other.shift[at]), other.hash[at]);
        let shift = |at: usize| times(self.shift[at], other.shift[at]);
        Text { hash: [lane(0), lane(1)], shift: [shift(0), shift(1)] }
    }
}

impl<'h> World<'h> {
    /// The world of these keys of a history.
    pub(crate) fn new(history: &'h History, keys: &[Key], empty_text: Option<Value>) -> World<'h> {
        let values = history.counts().0 as u32;
        World {
            history,
            keys: keys.to_vec(),
            values,
            empty_text,
            numbers: None,
            number_of: Vec::new(),
            texts: None,
            text_of: Vec::new(),
            beginnings: FxHashMap::default(),
            asked: None,
            lost: None,
            derived: values,
            chains: Chains::new(),
            queues: Vec::new(),
            queue_names: FxHashMap::default(),
            sets: Vec::new(),
            set_names: FxHashMap::default(),
            elements: FxHashMap::default(),
            locks: Vec::new(),
            lock_names: FxHashMap::default(),
            products: Vec::new(),
            product_names: FxHashMap::default(),
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
        let words = self.sets.first().map_or(0, |set| set.len() * 16);
        let products = self.products.len() * (self.keys.len() * 8 + 64);
        let derived = (self.derived - self.values) as usize * 96;
        let others = self.queues.len() * 80 + self.locks.len() * 128 + self.chains.len() * 48;
        (derived + others + products + self.sets.len() * (words + 64)) as u64
    }

    /// The state before everything. All elements of sets are among the operations given.
    pub(crate) fn first(&mut self, operations: &mut dyn Iterator<Item = Id>) -> State {
        if self.history.object() == Object::Set {
            self.elements.clear();
            self.sets.clear();
            self.set_names.clear();
            self.number_elements(operations);
        }
        if self.history.object() == Object::Kv {
            self.gather_asked(operations);
        }
        if let [key] = self.keys[..] {
            return self.first_of(key);
        }
        let states = self.keys.clone().into_iter().map(|key| self.first_of(key)).collect();
        self.name_product(states)
    }

    /// The state that an operation leaves, if its answers fit. Of an `open` one no answer is known.
    pub(crate) fn after(&mut self, state: State, steps: &[Step], session: u32, open: bool) -> Option<State> {
        if self.keys.len() == 1 {
            return steps.iter().try_fold(state, |state, step| self.step(state, step, session, open));
        }
        let mut states = self.products[state as usize].clone();
        for step in steps {
            let Some(key) = step.key() else { continue };
            let at = self.keys.iter().position(|&other| other == key)?;
            states[at] = self.step(states[at], step, session, open)?;
        }
        Some(self.name_product(states))
    }

    /// The value itself, or nothing if it is a text that says nothing, which is the same to a store of texts.
    pub(crate) fn plain(&self, value: Value) -> Value {
        if Some(value) == self.empty_text { Value::NIL } else { value }
    }

    fn first_of(&mut self, key: Key) -> State {
        match self.history.object() {
            Object::Register
            | Object::CasRegister
            | Object::Kv
            | Object::Counter
            | Object::ListAppend
            | Object::RwRegister
            | Object::UniqueId
            | Object::Replica => self.plain(self.history.initial(key)).0,
            Object::Bank => {
                let known = self.history.value(self.history.initial(key)).integer();
                self.name_number(known.map_or(Number::Unknown { added: 0 }, Number::Known))
            }
            Object::Set => {
                let words = self.elements.len().div_ceil(64);
                self.name_set(vec![0; words].into())
            }
            Object::Queue => self.name_queue(QueueState { hash: [0, 0], length: 0, last: Chains::ROOT }),
            Object::Stack => Chains::ROOT,
            Object::Mutex | Object::FencedLock => self.name_lock(Lock::default()),
        }
    }

    fn step(&mut self, state: State, step: &Step, session: u32, open: bool) -> Option<State> {
        let agrees = |fits: bool| (open || fits).then_some(state);
        match *step {
            Step::Read { value, .. } => agrees(value.is_none_or(|value| self.plain(value).0 == state)),
            Step::Write { value, .. } => Some(self.write(value)),
            Step::Cas { from, to, took, .. } => {
                let takes = self.plain(from).0 == state;
                let fits = open || took.is_none_or(|took| took == takes);
                fits.then(|| if takes { self.plain(to).0 } else { state })
            }
            Step::Append { value, .. } => self.append(state, value),
            Step::Add { by, .. } => {
                let sum = match self.number(state)? {
                    Number::Known(number) => Number::Known(number.checked_add(by)?),
                    Number::Unknown { added } => Number::Unknown { added: added + i128::from(by) },
                };
                Some(self.name_number(sum))
            }
            Step::Count { number, .. } => {
                let Some(number) = number.filter(|_| !open) else { return Some(state) };
                match self.number(state)? {
                    Number::Known(is) => agrees(is == number),
                    Number::Unknown { .. } => Some(self.name_number(Number::Known(number))),
                }
            }
            Step::ReadList { list, .. } => {
                let Some(list) = list.filter(|_| !open) else { return Some(state) };
                let mut bits = vec![0; self.elements.len().div_ceil(64)];
                for value in self.history.list(list) {
                    let element = *self.elements.get(value)? as usize;
                    if bits[element / 64] >> (element % 64) & 1 == 1 {
                        return None;
                    }
                    bits[element / 64] |= 1 << (element % 64);
                }
                agrees(*self.sets[state as usize] == *bits)
            }
            Step::Insert { value, .. } => match self.history.object() {
                Object::Stack => Some(self.chains.push(state, value.0)),
                Object::Queue => Some(self.enqueue(state, value.0)),
                _ => self.change_set(state, value, true),
            },
            Step::Remove { value, .. } => self.change_set(state, value, false),
            Step::Contains { value, there, .. } => {
                let element = self.elements.get(&value).copied().unwrap_or(u32::MAX) as usize;
                let is =
                    self.sets[state as usize].get(element / 64).is_some_and(|word| word >> (element % 64) & 1 == 1);
                agrees(there.is_none_or(|there| there == is))
            }
            Step::Take { value, .. } => {
                let (taken, next) =
                    if self.history.object() == Object::Stack { self.chains.pop(state) } else { self.dequeue(state) };
                (open || value.is_none_or(|value| value.0 == taken)).then_some(next)
            }
            Step::Acquire { token, .. } => self.acquire(state, token.filter(|_| !open), session),
            Step::Release { token, .. } => self.release(state, token, session),
            Step::Guarded { token, .. } => self.guarded(state, token),
            Step::Generate { .. } | Step::Digest { .. } => Some(state),
        }
    }

    fn name_product(&mut self, states: Box<[State]>) -> State {
        name(&mut self.products, &mut self.product_names, states)
    }
}

/// The number of a state that is kept in a table.
fn name<T: Clone + std::hash::Hash + Eq>(table: &mut Vec<T>, names: &mut FxHashMap<T, State>, made: T) -> State {
    if let Some(&name) = names.get(&made) {
        return name;
    }
    table.push(made.clone());
    names.insert(made, table.len() as u32 - 1);
    table.len() as u32 - 1
}

/// Numbers and texts. A state below the number of values is that value.
impl World<'_> {
    fn number(&self, state: State) -> Option<Number> {
        if state == Value::NIL.0 {
            Some(Number::Known(0))
        } else if state < self.values {
            self.history.value(Value(state)).integer().map(Number::Known)
        } else {
            self.number_of.get((state - self.values) as usize).copied().flatten()
        }
    }
    fn name_number(&mut self, number: Number) -> State {
        if self.numbers.is_none() {
            let counter = matches!(self.history.object(), Object::Counter | Object::Bank);
            let named = |value: u32| Some((Number::Known(self.history.value(Value(value)).integer()?), value));
            // A counter that was never added to is 0, and its numbers are not read as values.
            let numbers = if counter {
                FxHashMap::from_iter([(Number::Known(0), Value::NIL.0)])
            } else {
                (0..self.values).filter_map(named).collect()
            };
            self.numbers = Some(numbers);
        }
        let numbers = self.numbers.as_mut().expect("made above");
        if let Some(&state) = numbers.get(&number) {
            return state;
        }
        let state = self.derived;
        self.derived += 1;
        numbers.insert(number, state);
        self.number_of.resize((state - self.values) as usize + 1, None);
        self.number_of[(state - self.values) as usize] = Some(number);
        state
    }
    fn write(&mut self, value: Value) -> State {
        let state = self.plain(value).0;
        if self.asked.is_none() {
            return state;
        }
        self.prepare_texts();
        self.text_of[state as usize].and_then(|text| self.lose(text)).unwrap_or(state)
    }
    fn append(&mut self, state: State, value: Value) -> Option<State> {
        if self.lost == Some(state) {
            return Some(state);
        }
        self.prepare_texts();
        let made = self.text_of.get(state as usize).copied().flatten()?.followed_by(self.text_of[value.0 as usize]?);
        if let Some(lost) = self.lose(made) {
            return Some(lost);
        }
        let texts = self.texts.as_mut().expect("prepared above");
        if let Some(&state) = texts.get(&made) {
            return Some(state);
        }
        let state = self.derived;
        self.derived += 1;
        texts.insert(made, state);
        self.text_of.resize(state as usize + 1, None);
        self.text_of[state as usize] = Some(made);
        Some(state)
    }
    /// The common state of the texts that nobody asks for, if this is one.
    fn lose(&mut self, text: Text) -> Option<State> {
        if self.asked.as_ref().is_none_or(|asked| asked.contains(&text.hash)) {
            return None;
        }
        let next = &mut self.derived;
        Some(*self.lost.get_or_insert_with(|| {
            *next += 1;
            *next - 1
        }))
    }
    fn gather_asked(&mut self, operations: &mut dyn Iterator<Item = Id>) {
        let mut asked = FxHashSet::default();
        for step in operations.flat_map(|id| self.history.steps(id)) {
            match *step {
                Step::Read { value: Some(value), .. } | Step::Cas { from: value, .. } => {
                    let value = self.plain(value);
                    asked.extend(self.beginnings_of(value));
                }
                Step::Read { .. } | Step::Write { .. } | Step::Append { .. } => {}
                // What counts wants to know more of a text.
                _ => return,
            }
        }
        self.asked = Some(asked);
    }
    /// Is the state the value, or can it become so by appends alone?
    pub(crate) fn leads_to(&mut self, state: State, value: Value) -> bool {
        let value = self.plain(value);
        if state == value.0 {
            return true;
        }
        if self.history.object() != Object::Kv {
            return false;
        }
        self.prepare_texts();
        let Some(text) = self.text_of.get(state as usize).copied().flatten() else { return false };
        self.beginnings_of(value).contains(&text.hash)
    }
    /// Does one of these steps write the value, or a text that can become it by appends alone?
    pub(crate) fn brings(&mut self, steps: &[Step], value: Value) -> bool {
        steps.iter().any(|step| match *step {
            Step::Write { value: left, .. } => self.leads_to(self.plain(left).0, value),
            Step::Cas { to, took, .. } => took != Some(false) && self.leads_to(self.plain(to).0, value),
            _ => false,
        })
    }
    /// The hashes of all texts that a text begins with.
    fn beginnings_of(&mut self, value: Value) -> &FxHashSet<[u64; 2]> {
        let history = self.history;
        self.beginnings.entry(value).or_insert_with(|| {
            let text = history.value(value).name().unwrap_or("");
            let mut beginning = Text::EMPTY;
            let mut all = FxHashSet::from_iter([beginning.hash]);
            for byte in text.bytes() {
                beginning = beginning.followed_by(Text::of_bytes(&[byte]));
                all.insert(beginning.hash);
            }
            all
        })
    }
    fn prepare_texts(&mut self) {
        if self.texts.is_some() {
            return;
        }
        let text = |value: u32| match self.history.value(Value(value)) {
            Datum::Nil => Some(Text::EMPTY),
            Datum::Text(text) => Some(Text::of(text)),
            Datum::Bool(_) | Datum::Integer(_) | Datum::Number(_) | Datum::List(_) | Datum::Map(_) => None,
        };
        self.text_of = (0..self.values).map(text).collect();
        let mut texts = FxHashMap::default();
        for value in (0..self.values).rev() {
            if let Some(text) = self.text_of[value as usize] {
                texts.insert(text, self.plain(Value(value)).0);
            }
        }
        self.texts = Some(texts);
    }
}

/// Sets, queues and locks.
impl World<'_> {
    fn number_elements(&mut self, operations: &mut dyn Iterator<Item = Id>) {
        for id in operations {
            for step in self.history.steps(id) {
                if let Step::Insert { value, .. } | Step::Remove { value, .. } = *step {
                    let next = self.elements.len() as u32;
                    self.elements.entry(value).or_insert(next);
                }
            }
        }
    }
    fn name_set(&mut self, set: Box<[u64]>) -> State {
        name(&mut self.sets, &mut self.set_names, set)
    }
    fn change_set(&mut self, state: State, value: Value, there: bool) -> Option<State> {
        let element = *self.elements.get(&value)? as usize;
        let (word, bit) = (element / 64, 1 << (element % 64));
        if (self.sets[state as usize][word] & bit != 0) == there {
            return Some(state);
        }
        let mut set = self.sets[state as usize].clone();
        set[word] ^= bit;
        Some(self.name_set(set))
    }
    fn name_queue(&mut self, queue: QueueState) -> State {
        // Chains that differ only in what has left have the same content: only content names a state.
        let content = QueueState { last: 0, ..queue };
        if let Some(&name) = self.queue_names.get(&content) {
            return name;
        }
        self.queues.push(queue);
        self.queue_names.insert(content, self.queues.len() as u32 - 1);
        self.queues.len() as u32 - 1
    }
    fn enqueue(&mut self, state: State, value: u32) -> State {
        let QueueState { mut hash, length, last } = self.queues[state as usize];
        for (lane, base) in BASES.into_iter().enumerate() {
            hash[lane] = plus(times(hash[lane], base), u64::from(value) + 1);
        }
        let last = self.chains.push(last, value);
        self.name_queue(QueueState { hash, length: length + 1, last })
    }
    fn dequeue(&mut self, state: State) -> (u32, State) {
        let QueueState { mut hash, length, last } = self.queues[state as usize];
        if length == 0 {
            return (Value::NIL.0, state);
        }
        let value = self.chains.back(last, length - 1);
        for (lane, base) in BASES.into_iter().enumerate() {
            let gone = times(power(base, length - 1), u64::from(value) + 1);
            hash[lane] = plus(hash[lane], MODULUS - gone);
        }
        (value, self.name_queue(QueueState { hash, length: length - 1, last }))
    }
    fn name_lock(&mut self, lock: Lock) -> State {
        name(&mut self.locks, &mut self.lock_names, lock)
    }
    fn acquire(&mut self, state: State, token: Option<i64>, session: u32) -> Option<State> {
        let lock = self.locks[state as usize];
        let greater = token.is_none_or(|token| lock.granted.is_none_or(|granted| token > granted));
        if lock.holder.is_some() || !greater {
            return None;
        }
        let (granted, newest) = (token.or(lock.granted), lock.newest.max(token));
        Some(self.name_lock(Lock { holder: Some(session), token, granted, newest }))
    }
    fn release(&mut self, state: State, token: Option<i64>, session: u32) -> Option<State> {
        let lock = self.locks[state as usize];
        let same = lock.token.is_none() || token.is_none() || lock.token == token;
        let gone = Lock { holder: None, token: None, ..lock };
        (lock.holder == Some(session) && same).then(|| self.name_lock(gone))
    }
    fn guarded(&mut self, state: State, token: i64) -> Option<State> {
        let lock = self.locks[state as usize];
        let current = lock.newest.is_none_or(|newest| token >= newest);
        current.then(|| self.name_lock(Lock { newest: Some(token), ..lock }))
    }
}

fn power(base: u64, mut exponent: u32) -> u64 {
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

/// Lists that share their beginnings. Each knows an earlier place to jump to, so that going back is logarithmic.
struct Chains {
    nodes: Vec<Link>,
    names: FxHashMap<(u32, u32), u32>,
}

#[derive(Clone, Copy)]
struct Link {
    before: u32,
    jump: u32,
    depth: u32,
    value: u32,
}

impl Chains {
    const ROOT: u32 = 0;

    fn new() -> Chains {
        let root = Link { before: 0, jump: 0, depth: 0, value: Value::NIL.0 };
        Chains { nodes: vec![root], names: FxHashMap::default() }
    }
    fn len(&self) -> usize {
        self.nodes.len()
    }
    fn push(&mut self, before: u32, value: u32) -> u32 {
        if let Some(&name) = self.names.get(&(before, value)) {
            return name;
        }
        let parent = self.nodes[before as usize];
        let far = self.nodes[parent.jump as usize];
        let even = parent.depth - far.depth == far.depth - self.nodes[far.jump as usize].depth;
        let jump = if even && parent.depth > 0 { far.jump } else { before };
        let name = self.nodes.len() as u32;
        self.nodes.push(Link { before, jump, depth: parent.depth + 1, value });
        self.names.insert((before, value), name);
        name
    }
    /// The value at the end and the list without it.
    fn pop(&self, chain: u32) -> (u32, u32) {
        let link = self.nodes[chain as usize];
        (link.value, link.before)
    }
    /// The value so many places before the end.
    fn back(&self, chain: u32, places: u32) -> u32 {
        let depth = self.nodes[chain as usize].depth - places;
        let mut at = chain;
        while self.nodes[at as usize].depth > depth {
            let link = self.nodes[at as usize];
            at = if self.nodes[link.jump as usize].depth >= depth { link.jump } else { link.before };
        }
        self.nodes[at as usize].value
    }
}
