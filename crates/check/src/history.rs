//! A history: who did what, between which moments, and what they heard.

use crate::{Datum, Object};
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::Arc;

/// A key of a history, by number of first appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u32);

/// A value of a history, by number of first appearance; equal values have equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u32);

impl Value {
    /// Nothing: the key is absent.
    pub const NIL: Value = Value(0);
}

/// Several values in order, kept by the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct List {
    first: u32,
    length: u32,
}

/// A client whose operations are in order, by number of first appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub u32);

/// An operation by its place in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u32);

impl Id {
    /// The place.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An operation that is being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u32);

/// One step of an operation. Operations of single objects have one step, transactions have any number.
///
/// `None` in an answer means that it is not known, which nothing is concluded from.
#[allow(missing_docs, reason = "the fields are named by the sentence of their step")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The value of a key; [`Value::NIL`] if it was absent.
    Read { key: Key, value: Option<Value> },
    /// The key has this value from now on; absent from now on if it is [`Value::NIL`].
    Write { key: Key, value: Value },
    /// If the key has the value `from`, it becomes `to`; did it?
    Cas { key: Key, from: Value, to: Value, took: Option<bool> },
    /// Puts an element behind the list (or text) of a key.
    Append { key: Key, value: Value },
    /// The whole list or set of a key.
    ReadList { key: Key, list: Option<List> },
    /// The number of a key rises by this.
    Add { key: Key, by: i64 },
    /// The number of a key.
    Count { key: Key, number: Option<i64> },
    /// An element goes into a set, queue or stack.
    Insert { key: Key, value: Value },
    /// An element leaves a set.
    Remove { key: Key, value: Value },
    /// Is the element in the set?
    Contains { key: Key, value: Value, there: Option<bool> },
    /// The next element leaves a queue or stack; [`Value::NIL`] if it was empty.
    Take { key: Key, value: Option<Value> },
    /// The lock is taken, with this fencing token if it has one.
    Acquire { key: Key, token: Option<i64> },
    /// The lock is given back.
    Release { key: Key, token: Option<i64> },
    /// A write under the lock, carrying this fencing token.
    Guarded { key: Key, token: i64 },
    /// A name that must be nobody else's.
    Generate { value: Option<Value> },
    /// The session, a replica, tells the digest of its state and the digest of the set of updates that it has.
    Digest { key: Key, updates: Value, state: Value },
}

impl Step {
    /// The key that it acts on, if it acts on one.
    pub const fn key(&self) -> Option<Key> {
        match *self {
            Step::Read { key, .. }
            | Step::Write { key, .. }
            | Step::Cas { key, .. }
            | Step::Append { key, .. }
            | Step::ReadList { key, .. }
            | Step::Add { key, .. }
            | Step::Count { key, .. }
            | Step::Insert { key, .. }
            | Step::Remove { key, .. }
            | Step::Contains { key, .. }
            | Step::Take { key, .. }
            | Step::Acquire { key, .. }
            | Step::Release { key, .. }
            | Step::Guarded { key, .. }
            | Step::Digest { key, .. } => Some(key),
            Step::Generate { .. } => None,
        }
    }

    /// Does it tell an answer?
    pub const fn is_answered(&self) -> bool {
        match self {
            Step::Read { value, .. } | Step::Take { value, .. } | Step::Generate { value, .. } => value.is_some(),
            Step::Cas { took, .. } => took.is_some(),
            Step::ReadList { list, .. } => list.is_some(),
            Step::Count { number, .. } => number.is_some(),
            Step::Contains { there, .. } => there.is_some(),
            Step::Acquire { token, .. } => token.is_some(),
            Step::Write { .. }
            | Step::Append { .. }
            | Step::Add { .. }
            | Step::Insert { .. }
            | Step::Remove { .. }
            | Step::Release { .. }
            | Step::Guarded { .. }
            | Step::Digest { .. } => false,
        }
    }

    /// Can it only look?
    pub const fn is_read(&self) -> bool {
        matches!(
            self,
            Step::Read { .. }
                | Step::ReadList { .. }
                | Step::Count { .. }
                | Step::Contains { .. }
                | Step::Cas { took: Some(false), .. }
                | Step::Digest { .. }
        )
    }
}

/// What is known about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It took place between its begin and its end.
    Done,
    /// It may take place at any time after its begin, or never.
    Unknown,
    /// It did not and will not take place; a transaction was aborted.
    Refused,
}

/// One operation of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub session: Session,
    /// What is known.
    pub outcome: Outcome,
    /// When it began.
    pub begin: u64,
    /// When the outcome was heard; [`Operation::NEVER`] if that never was.
    pub end: u64,
    /// The line of the file where it began; 0 if there is none.
    pub line: u32,
    first: u32,
    count: u32,
}

impl Operation {
    /// The end of an operation that never ended.
    pub const NEVER: u64 = u64::MAX;

    /// Had it ended before the other began?
    pub const fn precedes(&self, other: &Operation) -> bool {
        self.end < other.begin
    }
}

/// The time of an operation of which none is told.
const UNTOLD: (u64, u64) = (Operation::NEVER, Operation::NEVER);

/// A time during which something was done to the system: a partition, a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// What was done.
    pub what: String,
    /// From this moment.
    pub from: u64,
    /// To this moment.
    pub to: u64,
}

/// A recorded history. Operations are sorted by begin.
#[derive(Clone, Debug)]
pub struct History {
    operations: Vec<Operation>,
    times: Option<Vec<(u64, u64)>>,
    shared: Arc<Shared>,
}

/// What a restriction shares with the whole.
#[derive(Clone, Debug)]
struct Shared {
    object: Object,
    steps: Vec<Step>,
    lists: Vec<Value>,
    values: Table,
    keys: Table,
    sessions: Table,
    initial: FxHashMap<Key, Value>,
    initial_of_all: Value,
    real_time: bool,
    sessions_bind: bool,
    bands: Vec<Band>,
}

impl History {
    /// What it is about.
    pub fn object(&self) -> Object {
        self.shared.object
    }
    /// All operations, refused ones too, by begin.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
    /// Their number.
    pub fn len(&self) -> usize {
        self.operations.len()
    }
    /// Has it no operation?
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
    /// All places.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = Id> + ExactSizeIterator + Clone + use<> {
        (0..self.operations.len() as u32).map(Id)
    }
    /// One operation.
    pub fn operation(&self, id: Id) -> &Operation {
        &self.operations[id.index()]
    }
    /// Its steps, in program order.
    pub fn steps(&self, id: Id) -> &[Step] {
        let operation = self.operation(id);
        &self.shared.steps[operation.first as usize..(operation.first + operation.count) as usize]
    }
    /// The values of a list.
    pub fn list(&self, list: List) -> &[Value] {
        &self.shared.lists[list.first as usize..(list.first + list.length) as usize]
    }
    /// The value of a key before anything took place; [`Value::NIL`] if it was absent, or is an account whose balance nobody
    /// told.
    pub fn initial(&self, key: Key) -> Value {
        self.shared.initial.get(&key).copied().unwrap_or(self.shared.initial_of_all)
    }
    /// Do begin and end tell which operation came before which? If not, only the order within sessions is known.
    pub fn has_real_time(&self) -> bool {
        self.shared.real_time
    }
    /// Does the order within sessions bind every transactional model, as Biswas and Enea (2019) have it, or only those
    /// that name sessions or time, as Adya (1999) has it?
    pub fn sessions_bind(&self) -> bool {
        self.shared.sessions_bind
    }
    /// Begin and end of an operation in nanoseconds, if the file told them; [`Operation::NEVER`] is an end that it did not tell.
    pub fn time_ns(&self, id: Id) -> Option<(u64, u64)> {
        self.times.as_ref().map(|times| times[id.index()]).filter(|time| *time != UNTOLD)
    }
    /// What was done to the system meanwhile, for the picture only.
    pub fn bands(&self) -> &[Band] {
        &self.shared.bands
    }
    /// What a value is.
    pub fn value(&self, value: Value) -> &Datum {
        self.shared.values.datum(value.0)
    }
    /// What a key is called.
    pub fn key(&self, key: Key) -> &Datum {
        self.shared.keys.datum(key.0)
    }
    /// What a session is called.
    pub fn session(&self, session: Session) -> &Datum {
        self.shared.sessions.datum(session.0)
    }
    /// The numbers of distinct values, keys and sessions: all ids are below them.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.shared.values.data.len(), self.shared.keys.data.len(), self.shared.sessions.data.len())
    }
    /// The history of these operations alone (by begin, without repetition). Ids of keys, values and sessions keep their meaning.
    pub fn restrict(&self, ids: &[Id]) -> History {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let operations = ids.iter().map(|&id| *self.operation(id)).collect();
        let times = self.times.as_ref().map(|times| ids.iter().map(|id| times[id.index()]).collect());
        History { operations, times, shared: self.shared.clone() }
    }
    /// The same without times: only the order within sessions is known.
    pub(crate) fn untimed(&self) -> History {
        let shared = Shared { real_time: false, ..(*self.shared).clone() };
        History { operations: self.operations.clone(), times: None, shared: Arc::new(shared) }
    }
    /// The same with times in nanoseconds as moments, which then order the operations; places stay, so that they need
    /// not be sorted by begin. Or an operation that may have taken place and whose times are not all told.
    pub(crate) fn by_the_clock(&self) -> Result<History, Id> {
        let mut operations = self.operations.clone();
        for (id, operation) in self.ids().zip(&mut operations) {
            let time = self.time_ns(id).filter(|_| self.has_real_time());
            let (begin, end) = match (operation.outcome, time) {
                (Outcome::Done, Some((_, Operation::NEVER))) if operation.end != Operation::NEVER => return Err(id),
                (_, Some((begin, end))) => (begin, end),
                (Outcome::Refused, None) => UNTOLD,
                (Outcome::Done | Outcome::Unknown, None) => return Err(id),
            };
            *operation = Operation { begin, end, ..*operation };
        }
        Ok(History { operations, ..self.clone() })
    }
    /// An operation in words, as pictures and witnesses print it: `write x 1`, `read x → 1`.
    pub fn describe(&self, id: Id) -> String {
        let mut text = String::new();
        for (at, step) in self.steps(id).iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "; " });
            text.push_str(&Said { history: self, step: *step }.to_string());
        }
        match self.operation(id).outcome {
            Outcome::Done => {}
            Outcome::Unknown => text.push_str(" (unknown)"),
            Outcome::Refused => text.push_str(" (refused)"),
        }
        text
    }
}

struct Said<'a> {
    history: &'a History,
    step: Step,
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: Value| self.history.value(value);
        let key = |key: Key| match self.history.key(key) {
            Datum::Nil => String::new(),
            name => format!("{name} "),
        };
        let known = |value: Option<Value>| value.map_or("?".to_string(), |value| self.history.value(value).to_string());
        let number = |number: Option<i64>| number.map_or("?".to_string(), |number| number.to_string());
        let with = |token: Option<i64>| token.map_or(String::new(), |token| format!(" token {token}"));
        let lock = |of: Key| match self.history.key(of) {
            Datum::Nil => String::new(),
            name => format!(" {name}"),
        };
        match self.step {
            Step::Read { key: of, value } => write!(f, "read {}→ {}", key(of), known(value)),
            Step::Write { key: of, value: what } => write!(f, "write {}{}", key(of), value(what)),
            Step::Cas { key: of, from, to, took } => {
                let took = took.map_or("?", |took| if took { "yes" } else { "no" });
                write!(f, "cas {}{} {} → {took}", key(of), value(from), value(to))
            }
            Step::Append { key: of, value: what } => write!(f, "append {}{}", key(of), value(what)),
            Step::ReadList { key: of, list } => {
                write!(f, "read {}→ ", key(of))?;
                let Some(list) = list else { return write!(f, "?") };
                write!(f, "[")?;
                for (at, item) in self.history.list(list).iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { " " }, value(*item))?;
                }
                write!(f, "]")
            }
            Step::Add { key: of, by } => write!(f, "add {}{by}", key(of)),
            Step::Count { key: of, number: what } => write!(f, "read {}→ {}", key(of), number(what)),
            Step::Insert { key: of, value: what } => match self.history.object() {
                Object::Queue => write!(f, "enqueue {}{}", key(of), value(what)),
                Object::Stack => write!(f, "push {}{}", key(of), value(what)),
                _ => write!(f, "add {}{}", key(of), value(what)),
            },
            Step::Remove { key: of, value: what } => write!(f, "remove {}{}", key(of), value(what)),
            Step::Contains { key: of, value: what, there } => {
                let there = there.map_or("?", |there| if there { "yes" } else { "no" });
                write!(f, "contains {}{} → {there}", key(of), value(what))
            }
            Step::Take { key: of, value: what } => {
                let verb = if self.history.object() == Object::Stack { "pop" } else { "dequeue" };
                write!(f, "{verb} {}→ {}", key(of), if what == Some(Value::NIL) { "empty".into() } else { known(what) })
            }
            Step::Acquire { key: of, token } => write!(f, "acquire{}{}", lock(of), with(token)),
            Step::Release { key: of, token } => write!(f, "release{}{}", lock(of), with(token)),
            Step::Guarded { key: of, token } => write!(f, "write{}{}", lock(of), with(Some(token))),
            Step::Generate { value: what } => write!(f, "generate → {}", known(what)),
            Step::Digest { key: of, updates, state } => {
                write!(f, "digest {}updates {} state {}", key(of), value(updates), value(state))
            }
        }
    }
}

/// Records a history. Moments may be of any unit; operations that share a moment overlap.
#[derive(Clone, Debug)]
pub struct Recorder {
    operations: Vec<Operation>,
    times: Option<Vec<(u64, u64)>>,
    shared: Shared,
}

impl Recorder {
    /// A history of this kind of object, whose keys are absent at first; the balances of accounts are unknown.
    pub fn new(object: Object) -> Recorder {
        let mut values = Table::default();
        values.id(&Datum::Nil);
        let shared = Shared {
            object,
            steps: Vec::new(),
            lists: Vec::new(),
            values,
            keys: Table::default(),
            sessions: Table::default(),
            initial: FxHashMap::default(),
            initial_of_all: Value::NIL,
            real_time: true,
            sessions_bind: false,
            bands: Vec::new(),
        };
        Recorder { operations: Vec::new(), times: None, shared }
    }
    /// The history is of this kind of object after all, because of an operation that the one before does not have.
    pub fn becomes(&mut self, object: Object) {
        self.shared.object = object;
    }
    /// The number of a value.
    pub fn value(&mut self, value: &Datum) -> Value {
        Value(self.shared.values.id(value))
    }
    /// The number of a key.
    pub fn key(&mut self, key: &Datum) -> Key {
        Key(self.shared.keys.id(key))
    }
    /// The number of a session.
    pub fn session(&mut self, session: &Datum) -> Session {
        Session(self.shared.sessions.id(session))
    }
    /// Keeps a list.
    pub fn list(&mut self, values: &[Value]) -> List {
        let first = self.shared.lists.len() as u32;
        self.shared.lists.extend_from_slice(values);
        List { first, length: values.len() as u32 }
    }
    /// Every key has this value at first.
    pub fn initial_of_all(&mut self, value: Value) {
        self.shared.initial_of_all = value;
    }
    /// This key has this value at first.
    pub fn initial(&mut self, key: Key, value: Value) {
        self.shared.initial.insert(key, value);
    }
    /// Begins and ends tell nothing about what came before what, except within a session; and that order binds every
    /// transactional model ([`History::sessions_bind`]).
    pub fn without_real_time(&mut self) {
        self.shared.real_time = false;
        self.shared.sessions_bind = true;
    }
    /// An operation begins. Until it ends its outcome is unknown.
    pub fn begin(&mut self, session: Session, begin: u64, line: u32, steps: &[Step]) -> Ticket {
        let (first, count) = self.keep(steps);
        let (outcome, end) = (Outcome::Unknown, Operation::NEVER);
        self.operations.push(Operation { session, outcome, begin, end, line, first, count });
        if let Some(times) = &mut self.times {
            times.push(UNTOLD);
        }
        Ticket(self.operations.len() as u32 - 1)
    }
    /// It has ended, with these steps and their answers.
    pub fn end(&mut self, ticket: Ticket, end: u64, steps: &[Step]) {
        let Operation { first, count, .. } = self.operations[ticket.0 as usize];
        let (first, count) = if count as usize == steps.len() {
            self.shared.steps[first as usize..(first + count) as usize].copy_from_slice(steps);
            (first, count)
        } else {
            self.keep(steps)
        };
        let operation = &mut self.operations[ticket.0 as usize];
        *operation = Operation { outcome: Outcome::Done, end, first, count, ..*operation };
    }
    /// It did not and will not take place.
    pub fn refuse(&mut self, ticket: Ticket, end: u64) {
        let operation = &mut self.operations[ticket.0 as usize];
        *operation = Operation { outcome: Outcome::Refused, end, ..*operation };
    }
    /// When it began and ended, in nanoseconds of one clock; the end is [`Operation::NEVER`] as long as it is not known, and never
    /// before the begin.
    pub fn time_ns(&mut self, ticket: Ticket, begin: u64, end: u64) {
        let count = self.operations.len();
        let times = self.times.get_or_insert_with(Vec::new);
        times.resize(count, UNTOLD);
        times[ticket.0 as usize] = (begin, end);
    }
    /// Something was done to the system.
    pub fn band(&mut self, band: Band) {
        self.shared.bands.push(band);
    }
    /// The steps of an operation as recorded so far.
    pub fn steps(&self, ticket: Ticket) -> &[Step] {
        let Operation { first, count, .. } = self.operations[ticket.0 as usize];
        &self.shared.steps[first as usize..(first + count) as usize]
    }
    /// The history.
    pub fn finish(self) -> History {
        let Recorder { mut operations, mut times, shared } = self;
        if !operations.is_sorted_by_key(|operation| operation.begin) {
            let mut order: Vec<usize> = (0..operations.len()).collect();
            order.sort_by_key(|&at| operations[at].begin);
            times = times.map(|times| order.iter().map(|&at| times[at]).collect());
            operations = order.iter().map(|&at| operations[at]).collect();
        }
        History { operations, times, shared: Arc::new(shared) }
    }

    fn keep(&mut self, steps: &[Step]) -> (u32, u32) {
        let first = self.shared.steps.len() as u32;
        self.shared.steps.extend_from_slice(steps);
        (first, steps.len() as u32)
    }
}

/// Data by number of first appearance.
#[derive(Clone, Debug, Default)]
struct Table {
    data: Vec<Datum>,
    ids: FxHashMap<Datum, u32>,
}

impl Table {
    fn id(&mut self, datum: &Datum) -> u32 {
        if let Some(&id) = self.ids.get(datum) {
            return id;
        }
        let id = self.data.len() as u32;
        self.data.push(datum.clone());
        self.ids.insert(datum.clone(), id);
        id
    }
    fn datum(&self, id: u32) -> &Datum {
        &self.data[id as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_in_words() {
        let mut recorder = Recorder::new(Object::Register);
        let (x, one) = (recorder.key(&"x".into()), recorder.value(&1.into()));
        let (a, b) = (recorder.session(&"a".into()), recorder.session(&"b".into()));
        let write = recorder.begin(a, 1, 1, &[Step::Write { key: x, value: one }]);
        let read = recorder.begin(b, 2, 2, &[Step::Read { key: x, value: None }]);
        recorder.end(read, 3, &[Step::Read { key: x, value: Some(one) }]);
        let history = recorder.finish();
        assert_eq!(history.operation(Id(write.0)).outcome, Outcome::Unknown);
        let words: Vec<String> = history.ids().map(|id| history.describe(id)).collect();
        assert_eq!(words, ["write x 1 (unknown)", "read x → 1"]);
    }

    #[test]
    fn a_restriction_keeps_numbers() {
        let mut recorder = Recorder::new(Object::Register);
        let (x, session) = (recorder.key(&"x".into()), recorder.session(&Datum::Nil));
        for number in 0..3 {
            let value = recorder.value(&number.into());
            let ticket = recorder.begin(session, number as u64 * 2, 0, &[]);
            recorder.end(ticket, number as u64 * 2 + 1, &[Step::Write { key: x, value }]);
        }
        let history = recorder.finish().restrict(&[Id(2), Id(0), Id(2)]);
        assert_eq!(history.len(), 2);
        assert_eq!(history.describe(Id(1)), "write x 2");
    }
}
