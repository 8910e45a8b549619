//! What a write does to a cell.

use super::look::FIELDS;
use crate::clock::{Actor, Context, Dot, Stamp};
use crate::crdt::text::{Edit, Text};
use crate::crdt::{
    AnyCell, Cell, Counter, Delta, Field, Flag, Kind, Leaf, Map, Refused, Seen, SeenLeaf, SeenMembers, Set,
};
use crate::operation::Value;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;

/// What is done to a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Set(Bytes),
    Remove,
    Add(i64),
    /// Rights of a bounded counter to another node.
    Give {
        amount: u64,
        to: Actor,
    },
    AddMembers(Vec<Bytes>),
    TakeMembers(Vec<Bytes>),
    SetFields {
        fields: Vec<(Bytes, Bytes)>,
        count: bool,
    },
    AddField {
        field: Bytes,
        amount: i64,
    },
    RemoveFields(Vec<Bytes>),
    /// Takes an update of an editor into a text. It is sound.
    AddUpdate(Bytes),
    /// Edits a text by position.
    EditText(Edit),
}

impl Change {
    /// Does it replace or remove what is there? Then it must see it first. Increments and adds need not.
    pub(super) fn replaces(&self) -> bool {
        match self {
            Change::Set(_)
            | Change::Remove
            | Change::TakeMembers(_)
            | Change::SetFields { .. }
            | Change::RemoveFields(_)
            // A position means what it does in the text that acknowledged writes left.
            | Change::EditText(_) => true,
            Change::Add(_)
            | Change::Give { .. }
            | Change::AddMembers(_)
            | Change::AddField { .. }
            | Change::AddUpdate(_) => false,
        }
    }
    /// Can it be done under an idempotency key? Only what the cell itself counts once.
    pub(super) fn takes_a_name(&self, kind: Kind) -> bool {
        match self {
            Change::Add(_) => kind == Kind::Counter,
            Change::AddField { .. } => true,
            Change::Set(_)
            | Change::Remove
            | Change::Give { .. }
            | Change::AddMembers(_)
            | Change::TakeMembers(_)
            | Change::SetFields { .. }
            | Change::RemoveFields(_)
            | Change::AddUpdate(_)
            | Change::EditText(_) => false,
        }
    }
}

/// Who changes a cell, and when.
#[derive(Debug)]
pub(super) struct Author<'a> {
    pub(super) actor: Actor,
    pub(super) stamp: Stamp,
    /// The context of the range: it gives names to events.
    pub(super) context: &'a mut Context,
    /// The last name that was given.
    pub(super) last: Option<Dot>,
    /// The one name that there is to give, where it was chosen before.
    pub(super) fixed: Option<Dot>,
    /// A change under this name is made once.
    pub(super) once: Option<&'a Bytes>,
}

impl Author<'_> {
    /// The name of one more event.
    fn dot(&mut self) -> Dot {
        let dot = self.fixed.unwrap_or_else(|| self.context.advance(self.actor));
        self.last = Some(dot);
        dot
    }
}

/// What a write did.
#[derive(Debug)]
pub(super) struct Wrote {
    /// What the other replicas join.
    pub(super) delta: Delta<AnyCell>,
    /// The events that it replaces or removes, and those that an edit of a text builds on.
    pub(super) after: Context,
    /// The event that stands for the whole write: the last of those that it made.
    pub(super) dot: Dot,
    pub(super) value: Value,
}

/// Changes a cell.
///
/// # Errors
/// The text of the reply. The cell and the context may have been changed in part: they are to be dropped.
pub(super) fn write(
    change: &Change,
    cell: &mut AnyCell,
    author: &mut Author<'_>,
    seen: Option<&Seen>,
    bound: i64,
) -> Result<Wrote, Value> {
    let first = author.fixed.unwrap_or_else(|| author.context.next(author.actor));
    let base = match (change, &*cell) {
        (Change::EditText(_), AnyCell::Leaf(Leaf::Text(text))) => text.seen(),
        _ => Context::default(),
    };
    let (mut delta, value) = make(change, cell, author, seen, bound)?;
    // Every write is an event, also one that leaves no data: sessions and comparisons go by events.
    let dot = author.last.unwrap_or_else(|| author.dot());
    let mut after = delta.context.without(first, dot);
    after.join(&base);
    delta.context.insert(dot);
    Ok(Wrote { delta, after, dot, value })
}

fn make(
    change: &Change,
    cell: &mut AnyCell,
    author: &mut Author<'_>,
    seen: Option<&Seen>,
    bound: i64,
) -> Result<(Delta<AnyCell>, Value), Value> {
    match (change, &mut *cell) {
        (Change::Set(value), AnyCell::Leaf(leaf)) => {
            let delta = set(leaf, value, author, seen)?;
            Ok((delta.map(AnyCell::Leaf), Value::OK))
        }
        (Change::Remove, cell) => {
            let there = !cell.is_absent();
            let seen = seen.cloned().unwrap_or_else(|| cell.seen());
            let delta = cell.remove(&seen).map_err(failed)?;
            Ok((delta, Value::Int(there.into())))
        }
        (Change::Add(amount), AnyCell::Leaf(leaf)) => {
            let delta = add(leaf, *amount, author, bound)?;
            let value = shown_number(leaf, bound);
            Ok((delta.map(AnyCell::Leaf), value))
        }
        (Change::Give { amount, to }, AnyCell::Leaf(Leaf::Bounded(cell))) => {
            if to.node == author.actor.node {
                return Err(Value::error("ERR applied: no; no other replica is known to hold enough rights to give"));
            }
            let delta = cell.transfer(author.actor, *to, *amount).map_err(failed)?;
            let left = Value::Int(i64::try_from(cell.rights(author.actor)).unwrap_or(i64::MAX));
            Ok((delta.map(Leaf::Bounded).map(AnyCell::Leaf), left))
        }
        (Change::AddMembers(members) | Change::TakeMembers(members), AnyCell::Leaf(leaf)) => {
            let take = matches!(change, Change::TakeMembers(_));
            let seen = match seen {
                Some(Seen::Leaf(SeenLeaf::Members(seen))) => Some(seen),
                _ => None,
            };
            let (delta, changed) = match leaf {
                Leaf::Set(set) => {
                    let (delta, changed) = change_members(set, members, take, author, seen);
                    (delta.map(Leaf::Set), changed)
                }
                Leaf::RemoveWinsSet(set) => {
                    let (delta, changed) = change_members(set, members, take, author, seen);
                    (delta.map(Leaf::RemoveWinsSet), changed)
                }
                _ => return Err(misfit()),
            };
            Ok((delta.map(AnyCell::Leaf), Value::Int(changed)))
        }
        (Change::AddUpdate(update), AnyCell::Leaf(Leaf::Text(text))) => {
            let delta = text.add(author.dot(), update.clone()).map_err(failed)?;
            Ok((delta.map(Leaf::Text).map(AnyCell::Leaf), Value::OK))
        }
        (Change::EditText(edit), AnyCell::Leaf(Leaf::Text(text))) => {
            let (delta, length) = edit_text(text, edit, author)?;
            Ok((delta.map(Leaf::Text).map(AnyCell::Leaf), Value::Int(length as i64)))
        }
        (_, AnyCell::Map(_)) => fields(change, cell, author),
        _ => Err(misfit()),
    }
}

fn edit_text(text: &mut Text, edit: &Edit, author: &mut Author<'_>) -> Result<(Delta<Text>, u64), Value> {
    let dot = author.dot();
    let (update, length) =
        text.edit(dot, edit).map_err(|why| Value::Error(Bytes::from(format!("ERR applied: no; {why}"))))?;
    Ok((text.add(dot, update).map_err(failed)?, length))
}

fn misfit() -> Value {
    Value::error("ERR applied: no; the command does not fit the cell")
}

fn failed(refused: Refused) -> Value {
    Value::Error(Bytes::from(format!("ERR applied: no; {refused}")))
}

fn dots(seen: Option<&Seen>, there: Context) -> Context {
    match seen {
        Some(Seen::Leaf(SeenLeaf::Dots(seen))) => seen.clone(),
        Some(_) => Context::default(),
        None => there,
    }
}

fn set(leaf: &mut Leaf, value: &Bytes, author: &mut Author<'_>, seen: Option<&Seen>) -> Result<Delta<Leaf>, Value> {
    let (dot, stamp) = (author.dot(), author.stamp);
    Ok(match leaf {
        Leaf::Register(cell) => {
            let seen = dots(seen, cell.seen());
            cell.write(dot, &seen, value.clone()).map(Leaf::Register)
        }
        Leaf::Latest(cell) => {
            let seen = dots(seen, cell.seen());
            cell.write(dot, &seen, stamp, value.clone()).map(Leaf::Latest)
        }
        Leaf::Flag(cell) => {
            let seen = dots(seen, cell.seen());
            turn(cell, switch(value)?, dot, &seen).map(Leaf::Flag)
        }
        Leaf::DisableWinsFlag(cell) => {
            let seen = dots(seen, cell.seen());
            turn(cell, switch(value)?, dot, &seen).map(Leaf::DisableWinsFlag)
        }
        Leaf::Set(_) | Leaf::RemoveWinsSet(_) | Leaf::Counter(_) | Leaf::Bounded(_) | Leaf::Text(_) => {
            return Err(misfit());
        }
    })
}

fn switch(value: &Bytes) -> Result<bool, Value> {
    match &value[..] {
        b"1" => Ok(true),
        b"0" => Ok(false),
        _ => Err(Value::error("ERR applied: no; a flag is set to 1 or 0")),
    }
}

fn turn<F: Flag>(flag: &mut F, to: bool, dot: Dot, seen: &Context) -> Delta<F> {
    if to { flag.enable(dot, seen) } else { flag.disable(dot, seen) }
}

fn add(leaf: &mut Leaf, amount: i64, author: &Author<'_>, bound: i64) -> Result<Delta<Leaf>, Value> {
    let actor = author.actor;
    match leaf {
        Leaf::Counter(cell) => count(cell, amount, author).map(|delta| delta.map(Leaf::Counter)),
        Leaf::Bounded(cell) if amount < 0 => {
            cell.decrease(actor, amount.unsigned_abs()).map(|delta| delta.map(Leaf::Bounded))
        }
        Leaf::Bounded(cell) => cell.increase(actor, amount.unsigned_abs(), bound).map(|delta| delta.map(Leaf::Bounded)),
        Leaf::Register(_)
        | Leaf::Latest(_)
        | Leaf::Flag(_)
        | Leaf::DisableWinsFlag(_)
        | Leaf::Set(_)
        | Leaf::RemoveWinsSet(_)
        | Leaf::Text(_) => {
            return Err(misfit());
        }
    }
    .map_err(failed)
}

fn count(counter: &mut Counter, amount: i64, author: &Author<'_>) -> Result<Delta<Counter>, Refused> {
    match author.once {
        Some(name) => counter.add_once(name, amount),
        None => counter.add(author.actor, amount),
    }
}

/// Was the change of this name made in this cell before?
pub(super) fn knows_name(change: &Change, cell: &AnyCell, name: &Bytes) -> bool {
    match (change, cell) {
        (Change::Add(_), AnyCell::Leaf(Leaf::Counter(counter))) => counter.knows(name),
        (Change::AddField { field, .. }, AnyCell::Map(map)) => {
            let field = Field { name: field.clone(), kind: Kind::Counter };
            matches!(map.get(&field), Some(Leaf::Counter(counter)) if counter.knows(name))
        }
        _ => false,
    }
}

fn shown_number(leaf: &Leaf, bound: i64) -> Value {
    let number = match leaf {
        Leaf::Counter(cell) => cell.value(),
        Leaf::Bounded(cell) => cell.value(bound),
        _ => 0,
    };
    // Concurrent increments may add up to more than a reply can say: GET tells it in digits.
    Value::Int(number.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

fn change_members<F: Flag>(
    set: &mut Set<F>,
    members: &[Bytes],
    take: bool,
    author: &mut Author<'_>,
    seen: Option<&SeenMembers>,
) -> (Delta<Set<F>>, i64) {
    let mut all = Delta { cell: Set::default(), context: Context::default() };
    let mut changed = 0;
    let distinct: BTreeSet<&Bytes> = members.iter().collect();
    for member in distinct {
        let there = set.contains(member);
        let seen = seen.cloned().unwrap_or_else(|| set.seen_of(member));
        // A name for each member: a removal of one must not be taken for one of the others.
        let dot = author.dot();
        let delta = if take { set.take(dot, &seen, member) } else { set.add(dot, &seen, member) };
        changed += i64::from(there == take);
        all.join(&delta);
    }
    (all, changed)
}

fn fields(change: &Change, cell: &mut AnyCell, author: &mut Author<'_>) -> Result<(Delta<AnyCell>, Value), Value> {
    let AnyCell::Map(map) = cell else { return Err(misfit()) };
    let mut all: Delta<AnyCell> = Delta { cell: AnyCell::new(Kind::Map), context: Context::default() };
    let mut take_in = |delta: Delta<Map>| all.join(&delta.map(AnyCell::Map));
    let value = match change {
        Change::SetFields { fields, count } => {
            // The last of several values for one field counts.
            let last: BTreeMap<&Bytes, &Bytes> = fields.iter().map(|(name, value)| (name, value)).collect();
            let mut made = 0;
            for (name, value) in last {
                let known = FIELDS.map(|kind| Field { name: name.clone(), kind });
                made += i64::from(known.iter().all(|field| map.get(field).is_none()));
                // A field of another kind gives way.
                for field in known.iter().filter(|field| field.kind != Kind::Register) {
                    let seen = map.seen_of(field);
                    take_in(map.remove(&seen).map_err(failed)?);
                }
                let field = Field { name: name.clone(), kind: Kind::Register };
                let delta =
                    map.update(&field, |leaf| set(leaf, value, &mut *author, None).map_err(|_| Refused::Nested));
                take_in(delta.map_err(failed)?);
            }
            if *count { Value::Int(made) } else { Value::OK }
        }
        Change::AddField { field, amount } => {
            let text = Field { name: field.clone(), kind: Kind::Register };
            if map.get(&text).is_some() {
                return Err(Value::error("ERR applied: no; the field holds a text, not a counter; HDEL it first"));
            }
            let field = Field { name: field.clone(), kind: Kind::Counter };
            let mut sum = Value::Nil;
            let delta = map.update(&field, |leaf| {
                let Leaf::Counter(counter) = leaf else { return Err(Refused::Nested) };
                let delta = count(counter, *amount, author)?.map(Leaf::Counter);
                sum = shown_number(leaf, 0);
                Ok(delta)
            });
            take_in(delta.map_err(failed)?);
            sum
        }
        Change::RemoveFields(names) => {
            let mut removed = 0;
            for name in names.iter().collect::<BTreeSet<_>>() {
                let mut there = false;
                for kind in FIELDS {
                    let field = Field { name: name.clone(), kind };
                    there |= map.get(&field).is_some();
                    let seen = map.seen_of(&field);
                    take_in(map.remove(&seen).map_err(failed)?);
                }
                removed += i64::from(there);
            }
            Value::Int(removed)
        }
        Change::Set(_)
        | Change::Remove
        | Change::Add(_)
        | Change::Give { .. }
        | Change::AddMembers(_)
        | Change::TakeMembers(_)
        | Change::AddUpdate(_)
        | Change::EditText(_) => {
            return Err(misfit());
        }
    };
    Ok((all, value))
}
