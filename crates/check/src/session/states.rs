//! What each kind of object does, one operation after another. States are numbered; equal states have equal numbers.

use crate::{Datum, History, Key, Object, Step, Value};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// The states of all keys that were met so far.
pub(super) struct States<'h> {
    history: &'h History,
    contents: Vec<Content>,
    names: FxHashMap<Content, u32>,
    /// Are states of values the values themselves?
    direct: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Content {
    Value(Value),
    Text(Box<str>),
    Number(i64),
    /// What was added to a number that is not known.
    Added(i128),
    Set(BTreeSet<Value>),
    Line(Vec<Value>),
    Lock {
        holder: Option<u32>,
        token: Option<i64>,
        granted: Option<i64>,
        newest: Option<i64>,
    },
}

impl<'h> States<'h> {
    pub(super) fn new(history: &'h History) -> States<'h> {
        let direct = matches!(history.object(), Object::Register | Object::CasRegister);
        States { history, contents: Vec::new(), names: FxHashMap::default(), direct }
    }

    /// The state of a key before everything.
    pub(super) fn first(&mut self, key: Key) -> u32 {
        let content = match self.history.object() {
            Object::Set => Content::Set(BTreeSet::new()),
            Object::Queue | Object::Stack => Content::Line(Vec::new()),
            Object::Mutex | Object::FencedLock => {
                Content::Lock { holder: None, token: None, granted: None, newest: None }
            }
            Object::Counter => Content::Number(self.history.value(self.history.initial(key)).integer().unwrap_or(0)),
            Object::Bank => {
                let known = self.history.value(self.history.initial(key)).integer();
                known.map_or(Content::Added(0), Content::Number)
            }
            _ => self.of_value(self.history.initial(key)),
        };
        self.name(content)
    }

    /// About how many bytes a new state takes.
    pub(super) fn bytes(&self, state: u32) -> u64 {
        if self.direct {
            return 0;
        }
        64 + match &self.contents[state as usize] {
            Content::Text(text) => 2 * text.len() as u64,
            Content::Set(set) => 32 * set.len() as u64,
            Content::Line(line) => 8 * line.len() as u64,
            Content::Value(_) | Content::Number(_) | Content::Added(_) | Content::Lock { .. } => 64,
        }
    }

    /// Is it a number that is not known, so that an answer says what it is?
    pub(super) fn is_unknown(&self, state: u32) -> bool {
        !self.direct && matches!(self.contents[state as usize], Content::Added(_))
    }

    /// The number of different states so far.
    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    fn of_value(&self, value: Value) -> Content {
        match self.history.value(value) {
            Datum::Nil if self.history.object() == Object::Kv => Content::Text("".into()),
            Datum::Text(text) if self.history.object() == Object::Kv => Content::Text(text.clone()),
            _ => Content::Value(value),
        }
    }

    fn name(&mut self, content: Content) -> u32 {
        if let (true, Content::Value(value)) = (self.direct, &content) {
            return value.0;
        }
        if let Some(&name) = self.names.get(&content) {
            return name;
        }
        let name = self.contents.len() as u32;
        self.contents.push(content.clone());
        self.names.insert(content, name);
        name
    }

    /// The state after a step, if its answer fits. The answers of an `open` step are not known.
    pub(super) fn after(&mut self, state: u32, step: &Step, session: u32, open: bool) -> Option<u32> {
        let content = if self.direct { Content::Value(Value(state)) } else { self.contents[state as usize].clone() };
        let fits = |fits: bool| (open || fits).then_some(state);
        match (*step, content) {
            (Step::Read { value, .. }, content) => fits(value.is_none_or(|value| self.of_value(value) == content)),
            (Step::Write { value, .. }, _) => {
                let content = self.of_value(value);
                Some(self.name(content))
            }
            (Step::Cas { from, to, took, .. }, content) => {
                let takes = self.of_value(from) == content;
                if !open && took.is_some_and(|took| took != takes) {
                    return None;
                }
                let content = self.of_value(to);
                Some(if takes { self.name(content) } else { state })
            }
            (Step::Append { value, .. }, Content::Text(text)) => {
                let Content::Text(more) = self.of_value(value) else { return None };
                Some(self.name(Content::Text(format!("{text}{more}").into())))
            }
            (Step::Add { by, .. }, Content::Number(number)) => {
                Some(self.name(Content::Number(number.checked_add(by)?)))
            }
            (Step::Add { by, .. }, Content::Added(sum)) => Some(self.name(Content::Added(sum + i128::from(by)))),
            (Step::Count { number, .. }, Content::Added(_)) => match number.filter(|_| !open) {
                Some(number) => Some(self.name(Content::Number(number))),
                None => Some(state),
            },
            (Step::Count { number, .. }, Content::Number(now)) => fits(number.is_none_or(|number| number == now)),
            (Step::ReadList { list, .. }, Content::Set(set)) => {
                let all = |list| self.history.list(list).iter().copied().collect::<BTreeSet<Value>>();
                fits(list.is_none_or(|list| all(list) == set && self.history.list(list).len() == set.len()))
            }
            (Step::Contains { value, there, .. }, Content::Set(set)) => {
                fits(there.is_none_or(|there| there == set.contains(&value)))
            }
            (Step::Insert { value, .. }, Content::Set(mut set)) => {
                set.insert(value);
                Some(self.name(Content::Set(set)))
            }
            (Step::Remove { value, .. }, Content::Set(mut set)) => {
                set.remove(&value);
                Some(self.name(Content::Set(set)))
            }
            (Step::Insert { value, .. }, Content::Line(mut line)) => {
                line.push(value);
                Some(self.name(Content::Line(line)))
            }
            (Step::Take { value, .. }, Content::Line(mut line)) => {
                let taken = match self.history.object() {
                    Object::Stack => line.pop(),
                    _ if line.is_empty() => None,
                    _ => Some(line.remove(0)),
                };
                let taken = taken.unwrap_or(Value::NIL);
                if !open && value.is_some_and(|value| value != taken) {
                    return None;
                }
                Some(self.name(Content::Line(line)))
            }
            (step, Content::Lock { holder, token, granted, newest }) => {
                self.lock(step, (holder, token, granted, newest), session, open)
            }
            _ => None,
        }
    }

    #[allow(clippy::type_complexity, reason = "the four parts of a lock")]
    fn lock(
        &mut self,
        step: Step,
        (holder, held, granted, newest): (Option<u32>, Option<i64>, Option<i64>, Option<i64>),
        session: u32,
        open: bool,
    ) -> Option<u32> {
        let content = match step {
            Step::Acquire { token, .. } => {
                let token = token.filter(|_| !open);
                let greater = token.is_none_or(|token| granted.is_none_or(|granted| token > granted));
                if holder.is_some() || !greater {
                    return None;
                }
                let (granted, newest) = (token.or(granted), newest.max(token));
                Content::Lock { holder: Some(session), token, granted, newest }
            }
            Step::Release { token, .. } => {
                let same = held.is_none() || token.is_none() || held == token;
                if holder != Some(session) || !same {
                    return None;
                }
                Content::Lock { holder: None, token: None, granted, newest }
            }
            Step::Guarded { token, .. } => {
                if newest.is_some_and(|newest| token < newest) {
                    return None;
                }
                Content::Lock { holder, token: held, granted, newest: Some(token) }
            }
            _ => return None,
        };
        Some(self.name(content))
    }
}
