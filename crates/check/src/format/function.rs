//! The steps of an operation, from its function and value.

use super::object::Verb;
use crate::{Datum, Key, Object, Recorder, Step, Value};

/// What formats say differently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// A read of a register that gave nothing: is its answer unknown, or was the key absent?
    pub(super) nothing_is_unknown: bool,
    /// A read of a store that gave nothing saw the empty text.
    pub(super) nothing_is_empty: bool,
    /// A failed cas saw another value. If not, it did not happen.
    pub(super) failed_cas_saw: bool,
}

/// One operation to be put into steps.
pub(super) struct Phrase<'a> {
    pub(super) recorder: &'a mut Recorder,
    pub(super) object: Object,
    pub(super) style: Style,
    pub(super) key: &'a Datum,
    pub(super) value: &'a Datum,
    /// Is the value what came back?
    pub(super) answered: bool,
    pub(super) steps: &'a mut Vec<Step>,
    /// Elements of lists so far.
    pub(super) elements: &'a mut u64,
}

impl Phrase<'_> {
    /// Puts the steps behind `steps`.
    pub(super) fn say(&mut self, verb: Verb) -> Result<(), String> {
        let step = match verb {
            Verb::Transaction => return self.transaction(),
            Verb::Transfer => return self.transfer(),
            Verb::Read if self.object == Object::Bank => return self.balances(),
            Verb::Read => self.read()?,
            Verb::Write if self.object == Object::FencedLock => {
                Step::Guarded { key: self.key(), token: self.needed_token()? }
            }
            Verb::Guarded => Step::Guarded { key: self.key(), token: self.needed_token()? },
            Verb::Write if self.object == Object::Set => Step::Insert { key: self.key(), value: self.element()? },
            Verb::Write => Step::Write { key: self.key(), value: self.recorder.value(self.value) },
            Verb::Delete => Step::Write { key: self.key(), value: Value::NIL },
            Verb::Cas => {
                let Some([from, to]) = self.value.list() else {
                    return Err(format!("a cas has the value [from to], not {}", self.value));
                };
                let (from, to) = (self.recorder.value(from), self.recorder.value(to));
                Step::Cas { key: self.key(), from, to, took: self.answered.then_some(true) }
            }
            Verb::Append => Step::Append { key: self.key(), value: self.element()? },
            Verb::Add if self.object == Object::Counter => {
                let by = self.value.integer();
                let by = by.ok_or_else(|| format!("a counter rises by a whole number, not by {}", self.value))?;
                Step::Add { key: self.key(), by }
            }
            Verb::Add | Verb::Insert => Step::Insert { key: self.key(), value: self.element()? },
            Verb::Remove => Step::Remove { key: self.key(), value: self.element()? },
            Verb::Contains => self.contains()?,
            Verb::Take => Step::Take { key: self.key(), value: self.answered.then(|| self.recorder.value(self.value)) },
            Verb::Drain => return Err("a drain is many operations".to_string()),
            Verb::Acquire => Step::Acquire { key: self.key(), token: token(self.value) },
            Verb::Release => Step::Release { key: self.key(), token: token(self.value) },
            Verb::Generate => {
                let value = (self.answered && *self.value != Datum::Nil).then(|| self.recorder.value(self.value));
                Step::Generate { value }
            }
            Verb::Digest => return self.digest(),
        };
        self.steps.push(step);
        Ok(())
    }

    fn key(&mut self) -> Key {
        self.recorder.key(self.key)
    }

    fn element(&mut self) -> Result<Value, String> {
        match self.value {
            Datum::Nil => Err("nil cannot be an element".to_string()),
            value => Ok(self.recorder.value(value)),
        }
    }

    fn read(&mut self) -> Result<Step, String> {
        let key = self.key();
        match self.object {
            Object::Counter => {
                let number = match self.value {
                    Datum::Integer(number) => Some(*number),
                    Datum::Nil => None,
                    _ if !self.answered => None,
                    other => return Err(format!("a counter shows a whole number, not {other}")),
                };
                Ok(Step::Count { key, number: number.filter(|_| self.answered) })
            }
            Object::Set => Ok(Step::ReadList { key, list: self.list(self.value, false)? }),
            _ => Ok(Step::Read { key, value: self.seen(self.value, self.style.nothing_is_unknown) }),
        }
    }

    /// The value that a read gave.
    fn seen(&mut self, value: &Datum, nothing_is_unknown: bool) -> Option<Value> {
        let known = self.answered && (*value != Datum::Nil || self.object == Object::Kv || !nothing_is_unknown);
        known.then(|| match value {
            Datum::Nil if self.style.nothing_is_empty => self.recorder.value(&Datum::text("")),
            value => self.recorder.value(value),
        })
    }

    /// The list that a read gave. Nothing is the empty list, or unknown.
    fn list(&mut self, value: &Datum, nothing_is_empty: bool) -> Result<Option<crate::List>, String> {
        let items: &[Datum] = match value {
            _ if !self.answered => return Ok(None),
            Datum::Nil if !nothing_is_empty => return Ok(None),
            Datum::Nil => &[],
            Datum::List(items) => items,
            other => return Err(format!("a read gives a list, not {other}")),
        };
        *self.elements += items.len() as u64;
        let values: Vec<Value> = items.iter().map(|item| self.recorder.value(item)).collect();
        Ok(Some(self.recorder.list(&values)))
    }

    fn contains(&mut self) -> Result<Step, String> {
        let (value, there) = match self.value.list() {
            Some([value, Datum::Bool(there)]) => (value, Some(*there)),
            _ => (self.value, None),
        };
        let value = self.recorder.value(value);
        Ok(Step::Contains { key: self.key(), value, there: there.filter(|_| self.answered) })
    }

    fn needed_token(&self) -> Result<i64, String> {
        token(self.value).ok_or_else(|| format!("a write under a lock carries a token, which {} has not", self.value))
    }

    fn digest(&mut self) -> Result<(), String> {
        match (field(self.value, &["updates"]), field(self.value, &["state"])) {
            (Some(updates), Some(state)) => {
                let (updates, state) = (self.recorder.value(updates), self.recorder.value(state));
                let key = self.key();
                self.steps.push(Step::Digest { key, updates, state });
                Ok(())
            }
            // The invocation knows nothing.
            _ if !self.answered => Ok(()),
            _ => Err("a digest has the fields updates and state".to_string()),
        }
    }

    fn transfer(&mut self) -> Result<(), String> {
        let parts = (field(self.value, &["from"]), field(self.value, &["to"]), field(self.value, &["amount"]));
        let (Some(from), Some(to), Some(&Datum::Integer(amount))) = parts else {
            return Err(format!("a transfer has from, to and amount, not {}", self.value));
        };
        let Some(less) = amount.checked_neg() else { return Err(format!("{amount} cannot be transferred")) };
        let (from, to) = (self.account(from), self.account(to));
        self.steps.extend([Step::Add { key: from, by: less }, Step::Add { key: to, by: amount }]);
        Ok(())
    }

    /// JSON writes the accounts in balances as texts, elsewhere as numbers.
    fn account(&mut self, name: &Datum) -> Key {
        let number = name.name().and_then(|text| text.parse::<i64>().ok().filter(|number| number.to_string() == text));
        match number {
            Some(number) => self.recorder.key(&number.into()),
            None => self.recorder.key(name),
        }
    }

    fn balances(&mut self) -> Result<(), String> {
        let pairs = match self.value {
            _ if !self.answered => return Ok(()),
            Datum::Nil => return Ok(()),
            Datum::Map(pairs) => pairs,
            other => return Err(format!("a read of a bank gives a map of balances, not {other}")),
        };
        for (account, balance) in pairs {
            let number = match balance {
                Datum::Nil => None,
                Datum::Integer(number) => Some(*number),
                other => return Err(format!("a balance is a whole number, not {other}")),
            };
            let key = self.account(account);
            self.steps.push(Step::Count { key, number });
        }
        Ok(())
    }

    fn transaction(&mut self) -> Result<(), String> {
        let Some(list) = self.value.list() else {
            return Err(format!("a transaction is a list of steps, not {}", self.value));
        };
        for step in list {
            let (name, key, value) = match step.list() {
                Some([Datum::Text(name), key, value]) => (name, key, value),
                Some([Datum::Text(name), key]) => (name, key, &Datum::Nil),
                _ => return Err(format!("a step of a transaction is [what key value], not {step}")),
            };
            let key = self.recorder.key(key);
            let step = match (&**name, self.object) {
                ("append", Object::ListAppend) => match value {
                    Datum::Nil => return Err("nil cannot be an element".to_string()),
                    value => Step::Append { key, value: self.recorder.value(value) },
                },
                ("r" | "read", Object::ListAppend) => Step::ReadList { key, list: self.list(value, true)? },
                ("w" | "write", Object::RwRegister) => Step::Write { key, value: self.recorder.value(value) },
                ("r", _) => Step::Read { key, value: self.seen(value, false) },
                ("read", _) => Step::Read { key, value: self.seen(value, self.style.nothing_is_unknown) },
                (name, object) => return Err(format!("{} has no step {name:?}", object.word())),
            };
            self.steps.push(step);
        }
        Ok(())
    }
}

/// The fencing token in a value.
pub(super) fn token(value: &Datum) -> Option<i64> {
    match value {
        Datum::Integer(token) => Some(*token),
        other => field(other, &["token", "fence", "fencing-token"]).and_then(Datum::integer),
    }
}

/// The first of these fields that a map has.
fn field<'a>(value: &'a Datum, names: &[&str]) -> Option<&'a Datum> {
    let Datum::Map(pairs) = value else { return None };
    let named = |name: &str| pairs.iter().find(|(key, _)| key.name() == Some(name)).map(|(_, value)| value);
    names.iter().find_map(|name| named(name))
}

/// Is the second step the first with an answer? Writes must be the same, and keys everywhere.
pub(super) fn answers(request: &Step, answer: &Step) -> bool {
    if request.key() != answer.key() {
        return false;
    }
    match (*request, *answer) {
        (Step::Cas { from, to, .. }, Step::Cas { from: from_too, to: to_too, .. }) => (from, to) == (from_too, to_too),
        (Step::Contains { value, .. }, Step::Contains { value: too, .. }) => value == too,
        (Step::Read { .. }, Step::Read { .. })
        | (Step::ReadList { .. }, Step::ReadList { .. })
        | (Step::Count { .. }, Step::Count { .. })
        | (Step::Take { .. }, Step::Take { .. })
        | (Step::Acquire { .. }, Step::Acquire { .. })
        | (Step::Release { .. }, Step::Release { .. })
        | (Step::Generate { .. }, Step::Generate { .. }) => true,
        (one, other) => one == other,
    }
}
