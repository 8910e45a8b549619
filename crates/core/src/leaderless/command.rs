//! What a command does to a cell. The words are those of the Redis protocol; which of them a table takes depends on its cell.

use super::record::State;
use crate::catalogue::LeaderlessSpec;
use crate::clock::{Actor, Context, Dot, Stamp};
use crate::crdt::{AnyCell, Cell, Delta, Field, Flag, Kind, Leaf, Refused, Seen, SeenLeaf};
use crate::operation::{Refusal, Value, Words};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;

/// A command on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Get,
    Exists,
    Type,
    Length,
    Set(Bytes),
    /// Sets a register if it is as expected.
    Swap {
        expected: Option<Bytes>,
        new: Bytes,
    },
    Remove,
    Add(i64),
    AddMembers(Vec<Bytes>),
    TakeMembers(Vec<Bytes>),
    Members,
    HasMembers {
        members: Vec<Bytes>,
        single: bool,
    },
    Count,
    SetFields {
        fields: Vec<(Bytes, Bytes)>,
        count: bool,
    },
    AddField {
        field: Bytes,
        amount: i64,
    },
    RemoveFields(Vec<Bytes>),
    Fields(Vec<Bytes>),
    Field(Bytes),
    HasField(Bytes),
    AllFields(Parts),
}

/// What of the fields is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    Names,
    Values,
    Both,
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
    /// The events that it replaces or removes.
    pub(super) after: Context,
    /// The event that stands for the whole write: the last of those that it made.
    pub(super) dot: Dot,
    pub(super) value: Value,
}

impl Action {
    pub(super) fn writes(&self) -> bool {
        match self {
            Action::Set(_)
            | Action::Swap { .. }
            | Action::Remove
            | Action::Add(_)
            | Action::AddMembers(_)
            | Action::TakeMembers(_)
            | Action::SetFields { .. }
            | Action::AddField { .. }
            | Action::RemoveFields(_) => true,
            Action::Get
            | Action::Exists
            | Action::Type
            | Action::Length
            | Action::Members
            | Action::HasMembers { .. }
            | Action::Count
            | Action::Fields(_)
            | Action::Field(_)
            | Action::HasField(_)
            | Action::AllFields(_) => false,
        }
    }
    /// Does the write replace or remove what is there? Then it must see it first. Increments and adds need not.
    pub(super) fn replaces(&self) -> bool {
        self.writes() && !matches!(self, Action::Add(_) | Action::AddMembers(_) | Action::AddField { .. })
    }
}

fn refused(why: alloc::string::String) -> Refusal {
    Refusal::Impossible(why)
}

/// Reads the words of a command for a table of this kind of cell.
pub(super) fn parse(spec: &LeaderlessSpec, words: &Words) -> Result<(Bytes, Action), Refusal> {
    let name = core::str::from_utf8(words.first().map_or(b"", |name| name)).unwrap_or("");
    let key = words.get(1).cloned();
    let rest = words.get(2..).unwrap_or(&[]);
    let action = action(spec.kind, name, rest)?;
    let Some(key) = key else {
        return Err(refused(format!("{name} names no single key, and a leaderless table serves one key at a time")));
    };
    Ok((key, action))
}

fn action(kind: Kind, name: &str, rest: &[Bytes]) -> Result<Action, Refusal> {
    let one = |action: Action| if rest.is_empty() { Ok(action) } else { Err(one_key(name)) };
    let register = matches!(kind, Kind::Register | Kind::Latest);
    let flag = matches!(kind, Kind::Flag | Kind::DisableWinsFlag);
    let counter = matches!(kind, Kind::Counter | Kind::Bounded);
    let set = matches!(kind, Kind::Set | Kind::RemoveWinsSet);
    let map = kind == Kind::Map;
    match name {
        "EXISTS" => one(Action::Exists),
        "TYPE" => one(Action::Type),
        "DEL" | "UNLINK" => one(Action::Remove),
        "GET" if register || flag || counter => one(Action::Get),
        "STRLEN" if register => one(Action::Length),
        "SET" if register || flag => match rest {
            [value] => Ok(Action::Set(value.clone())),
            _ => Err(refused(
                "SET takes no options on a leaderless table: they need one order of all writes".to_string(),
            )),
        },
        "CAS" | "SETNX" if register => super::agree::swap(name, rest).ok_or_else(|| {
            refused(format!(
                "{name} takes a key, {}",
                if name == "CAS" { "what is expected and what is new" } else { "and a value" }
            ))
        }),
        "INCR" if counter => one(Action::Add(1)),
        "DECR" if counter => one(Action::Add(-1)),
        "INCRBY" if counter => Ok(Action::Add(amount(rest)?)),
        "DECRBY" if counter => {
            let amount = amount(rest)?;
            amount.checked_neg().map(Action::Add).ok_or_else(|| refused("the decrement would overflow".to_string()))
        }
        "SADD" if set => some(name, rest).map(Action::AddMembers),
        "SREM" if set => some(name, rest).map(Action::TakeMembers),
        "SMEMBERS" if set => one(Action::Members),
        "SCARD" if set => one(Action::Count),
        "SISMEMBER" if set && rest.len() == 1 => Ok(Action::HasMembers { members: rest.to_vec(), single: true }),
        "SMISMEMBER" if set => some(name, rest).map(|members| Action::HasMembers { members, single: false }),
        "HSET" | "HMSET" if map => match rest.chunks_exact(2) {
            pairs if !rest.is_empty() && pairs.remainder().is_empty() => Ok(Action::SetFields {
                fields: pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
                count: name == "HSET",
            }),
            _ => Err(refused(format!("{name} takes pairs of a field and its value"))),
        },
        "HINCRBY" if map && rest.len() == 2 => {
            Ok(Action::AddField { field: rest[0].clone(), amount: amount(&rest[1..])? })
        }
        "HDEL" if map => some(name, rest).map(Action::RemoveFields),
        "HGET" if map && rest.len() == 1 => Ok(Action::Field(rest[0].clone())),
        "HEXISTS" if map && rest.len() == 1 => Ok(Action::HasField(rest[0].clone())),
        "HMGET" if map => some(name, rest).map(Action::Fields),
        "HGETALL" if map => one(Action::AllFields(Parts::Both)),
        "HKEYS" if map => one(Action::AllFields(Parts::Names)),
        "HVALS" if map => one(Action::AllFields(Parts::Values)),
        "HLEN" if map => one(Action::Count),
        _ => Err(refused(format!("{name} is no command on cells of kind {}; {}", kind.word(), commands_of(kind)))),
    }
}

/// The commands on a kind of cell, for people.
fn commands_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Register | Kind::Latest => "it has GET, SET, CAS, SETNX, STRLEN, DEL, EXISTS and TYPE",
        Kind::Flag | Kind::DisableWinsFlag => "it has GET, SET to 1 or 0, DEL, EXISTS and TYPE",
        Kind::Counter => "it has GET, INCR, DECR, INCRBY, DECRBY, DEL, EXISTS and TYPE",
        Kind::Bounded => "it has GET, INCR, DECR, INCRBY, DECRBY, EXISTS and TYPE",
        Kind::Set | Kind::RemoveWinsSet => {
            "it has SADD, SREM, SMEMBERS, SISMEMBER, SMISMEMBER, SCARD, DEL, EXISTS and TYPE"
        }
        Kind::Map => {
            "it has HSET, HINCRBY, HGET, HMGET, HGETALL, HKEYS, HVALS, HLEN, HEXISTS, HDEL, DEL, EXISTS and TYPE"
        }
    }
}

fn one_key(name: &str) -> Refusal {
    refused(format!("{name} takes one key and nothing more on a leaderless table"))
}

fn some(name: &str, rest: &[Bytes]) -> Result<Vec<Bytes>, Refusal> {
    if rest.is_empty() {
        Err(refused(format!("{name} takes at least one word after its key")))
    } else {
        Ok(rest.to_vec())
    }
}

fn amount(rest: &[Bytes]) -> Result<i64, Refusal> {
    let number = match rest {
        [word] => core::str::from_utf8(word).ok().and_then(|word| word.parse().ok()),
        _ => None,
    };
    number.ok_or_else(|| refused("value is not an integer or out of range".to_string()))
}

/// What a reader finds. The number of concurrent values that it shows or hides beyond the first comes with it.
pub(super) fn read(action: &Action, cell: &AnyCell, bound: i64) -> (Value, u16) {
    let leaf = match cell {
        AnyCell::Map(_) => None,
        AnyCell::Leaf(leaf) => Some(leaf),
    };
    let siblings = leaf.map_or(0, siblings);
    let value = match action {
        Action::Exists => Value::Int((!cell.is_absent()).into()),
        Action::Type => Value::Status(Bytes::from_static(type_name(cell).as_bytes())),
        Action::Length => Value::Int(leaf.map_or(0, |leaf| match shown(leaf, bound) {
            Value::Bulk(bytes) => bytes.len() as i64,
            _ => 0,
        })),
        Action::Get => leaf.map_or(Value::Nil, |leaf| shown(leaf, bound)),
        Action::Members => Value::Set(members(cell).cloned().map(Value::Bulk).collect()),
        Action::HasMembers { members, single } => {
            let held: BTreeSet<&Bytes> = self::members(cell).collect();
            let answers: Vec<Value> = members.iter().map(|member| Value::Int(held.contains(member).into())).collect();
            match (single, answers.first()) {
                (true, Some(answer)) => answer.clone(),
                _ => Value::Array(answers),
            }
        }
        Action::Count => Value::Int(match cell {
            AnyCell::Map(_) => names(cell).len() as i64,
            AnyCell::Leaf(_) => members(cell).count() as i64,
        }),
        Action::Field(field) => field_value(cell, field),
        Action::HasField(field) => Value::Int(names(cell).contains(field).into()),
        Action::Fields(fields) => Value::Array(fields.iter().map(|field| field_value(cell, field)).collect()),
        Action::AllFields(parts) => {
            let names = names(cell);
            match parts {
                Parts::Names => Value::Array(names.into_iter().map(Value::Bulk).collect()),
                Parts::Values => Value::Array(names.iter().map(|name| field_value(cell, name)).collect()),
                Parts::Both => {
                    Value::Map(names.iter().map(|name| (Value::Bulk(name.clone()), field_value(cell, name))).collect())
                }
            }
        }
        Action::Set(_)
        | Action::Swap { .. }
        | Action::Remove
        | Action::Add(_)
        | Action::AddMembers(_)
        | Action::TakeMembers(_)
        | Action::SetFields { .. }
        | Action::AddField { .. }
        | Action::RemoveFields(_) => Value::Nil,
    };
    (value, siblings)
}

fn siblings(leaf: &Leaf) -> u16 {
    let more = match leaf {
        Leaf::Register(cell) => cell.siblings().count().saturating_sub(1),
        Leaf::Latest(cell) => cell.read().map_or(0, |shown| shown.dropped),
        Leaf::Flag(_)
        | Leaf::DisableWinsFlag(_)
        | Leaf::Set(_)
        | Leaf::RemoveWinsSet(_)
        | Leaf::Counter(_)
        | Leaf::Bounded(_) => 0,
    };
    u16::try_from(more).unwrap_or(u16::MAX)
}

/// The value of a leaf other than a set: siblings as an array.
fn shown(leaf: &Leaf, bound: i64) -> Value {
    let number = |number: i128| Value::Bulk(Bytes::from(number.to_string()));
    match leaf {
        Leaf::Register(cell) => {
            let mut values: Vec<Value> = cell.siblings().cloned().map(Value::Bulk).collect();
            match values.len() {
                0 => Value::Nil,
                1 => values.remove(0),
                _ => Value::Array(values),
            }
        }
        Leaf::Latest(cell) => cell.read().map_or(Value::Nil, |shown| Value::Bulk(shown.value.clone())),
        Leaf::Flag(cell) => on(cell.is_bottom(), cell.is_enabled()),
        Leaf::DisableWinsFlag(cell) => on(cell.is_bottom(), cell.is_enabled()),
        Leaf::Counter(cell) if cell.is_absent() => Value::Nil,
        Leaf::Counter(cell) => number(cell.value()),
        Leaf::Bounded(cell) if cell.is_bottom() => Value::Nil,
        Leaf::Bounded(cell) => number(cell.value(bound)),
        Leaf::Set(_) | Leaf::RemoveWinsSet(_) => Value::Nil,
    }
}

fn on(absent: bool, enabled: bool) -> Value {
    if absent { Value::Nil } else { Value::Bulk(Bytes::from_static(if enabled { b"1" } else { b"0" })) }
}

fn type_name(cell: &AnyCell) -> &'static str {
    if cell.is_absent() { "none" } else { cell.kind().word() }
}

fn members(cell: &AnyCell) -> impl Iterator<Item = &Bytes> {
    let (adds, removes) = match cell {
        AnyCell::Leaf(Leaf::Set(set)) => (Some(set), None),
        AnyCell::Leaf(Leaf::RemoveWinsSet(set)) => (None, Some(set)),
        _ => (None, None),
    };
    adds.into_iter().flat_map(|set| set.members()).chain(removes.into_iter().flat_map(|set| set.members()))
}

/// The names of the fields in which a reader finds something, in order.
fn names(cell: &AnyCell) -> BTreeSet<Bytes> {
    let AnyCell::Map(map) = cell else { return BTreeSet::new() };
    map.fields().map(|(field, _)| field.name.clone()).collect()
}

/// The kinds that commands make fields of.
const FIELDS: [Kind; 2] = [Kind::Register, Kind::Counter];

/// What stands in a field. Cells of two kinds that were made concurrently are shown as siblings are.
fn field_value(cell: &AnyCell, name: &Bytes) -> Value {
    let AnyCell::Map(map) = cell else { return Value::Nil };
    let mut values = Vec::new();
    for kind in FIELDS {
        if let Some(leaf) = map.get(&Field { name: name.clone(), kind }) {
            match shown(leaf, 0) {
                Value::Array(siblings) => values.extend(siblings),
                value => values.push(value),
            }
        }
    }
    match values.len() {
        0 => Value::Nil,
        1 => values.remove(0),
        _ => Value::Array(values),
    }
}

/// Changes a cell.
///
/// # Errors
/// The text of the reply. The cell and the context may have been changed in part: they are to be dropped.
pub(super) fn write(
    action: &Action,
    cell: &mut AnyCell,
    author: &mut Author<'_>,
    seen: Option<&Seen>,
    bound: i64,
) -> Result<Wrote, Value> {
    let first = author.fixed.unwrap_or_else(|| author.context.next(author.actor));
    let (mut delta, value) = change(action, cell, author, seen, bound)?;
    let after = delta.context.before(first);
    // Every write is an event, also one that leaves no data: sessions and comparisons go by events.
    let dot = author.last.unwrap_or_else(|| author.dot());
    delta.context.insert(dot);
    Ok(Wrote { delta, after, dot, value })
}

fn change(
    action: &Action,
    cell: &mut AnyCell,
    author: &mut Author<'_>,
    seen: Option<&Seen>,
    bound: i64,
) -> Result<(Delta<AnyCell>, Value), Value> {
    match (action, &mut *cell) {
        (Action::Set(value), AnyCell::Leaf(leaf)) => {
            let delta = set(leaf, value, author, seen)?;
            Ok((delta.map(AnyCell::Leaf), Value::OK))
        }
        (Action::Remove, cell) => {
            let there = !cell.is_absent();
            let seen = seen.cloned().unwrap_or_else(|| cell.seen());
            let delta = cell.remove(&seen).map_err(failed)?;
            Ok((delta, Value::Int(there.into())))
        }
        (Action::Add(amount), AnyCell::Leaf(leaf)) => {
            let delta = add(leaf, *amount, author, bound)?;
            let value = shown_number(leaf, bound);
            Ok((delta.map(AnyCell::Leaf), value))
        }
        (Action::AddMembers(members) | Action::TakeMembers(members), AnyCell::Leaf(leaf)) => {
            let take = matches!(action, Action::TakeMembers(_));
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
        (_, AnyCell::Map(_)) => fields(action, cell, author),
        _ => Err(misfit()),
    }
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
        Leaf::Set(_) | Leaf::RemoveWinsSet(_) | Leaf::Counter(_) | Leaf::Bounded(_) => return Err(misfit()),
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
        | Leaf::RemoveWinsSet(_) => {
            return Err(misfit());
        }
    }
    .map_err(failed)
}

fn count(
    counter: &mut crate::crdt::Counter,
    amount: i64,
    author: &Author<'_>,
) -> Result<Delta<crate::crdt::Counter>, Refused> {
    match author.once {
        Some(name) => counter.add_once(name, amount),
        None => counter.add(author.actor, amount),
    }
}

/// Can this be done under an idempotency key? Only what the cell itself counts once.
pub(super) fn takes_a_name(kind: Kind, action: &Action) -> bool {
    match action {
        Action::Add(_) => kind == Kind::Counter,
        Action::AddField { .. } => true,
        _ => false,
    }
}

/// Was the change of this name made in this cell before?
pub(super) fn knows_name(action: &Action, cell: &AnyCell, name: &Bytes) -> bool {
    match (action, cell) {
        (Action::Add(_), AnyCell::Leaf(Leaf::Counter(counter))) => counter.knows(name),
        (Action::AddField { field, .. }, AnyCell::Map(map)) => {
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
    set: &mut crate::crdt::Set<F>,
    members: &[Bytes],
    take: bool,
    author: &mut Author<'_>,
    seen: Option<&crate::crdt::SeenMembers>,
) -> (Delta<crate::crdt::Set<F>>, i64) {
    let mut all = Delta { cell: crate::crdt::Set::default(), context: Context::default() };
    let mut changed = 0;
    let distinct: BTreeSet<&Bytes> = members.iter().collect();
    for member in distinct {
        let there = set.contains(member);
        let seen = seen.cloned().unwrap_or_else(|| set.seen_of(member));
        let delta = {
            // A name for each member: a removal of one must not be taken for one of the others.
            let dot = author.dot();
            if take { set.take(dot, &seen, member) } else { set.add(dot, &seen, member) }
        };
        changed += i64::from(there == take);
        all.cell.join(&all.context, &delta.cell, &delta.context);
        all.context.join(&delta.context);
    }
    (all, changed)
}

fn fields(action: &Action, cell: &mut AnyCell, author: &mut Author<'_>) -> Result<(Delta<AnyCell>, Value), Value> {
    let AnyCell::Map(map) = cell else { return Err(misfit()) };
    let mut all: Delta<AnyCell> = Delta { cell: AnyCell::new(Kind::Map), context: Context::default() };
    let mut take_in = |delta: Delta<crate::crdt::Map>| {
        let delta = delta.map(AnyCell::Map);
        all.cell.join(&all.context, &delta.cell, &delta.context);
        all.context.join(&delta.context);
    };
    let value = match action {
        Action::SetFields { fields, count } => {
            // The last of several values for one field counts.
            let last: alloc::collections::BTreeMap<&Bytes, &Bytes> =
                fields.iter().map(|(name, value)| (name, value)).collect();
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
        Action::AddField { field, amount } => {
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
        Action::RemoveFields(names) => {
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
        _ => return Err(misfit()),
    };
    Ok((all, value))
}

/// What was seen, as clients carry it: bound to the key.
pub(super) fn seen_token(table: u16, key: &[u8], state: &State) -> Bytes {
    let bytes = postcard::to_allocvec(&(table, crate::placement::hash_of(key), key.len() as u32, state.cell.seen()));
    Bytes::from(bytes.expect("what was seen always encodes"))
}

/// Reads what a client hands back.
///
/// # Errors
/// If it is no token, or one of another key.
pub(super) fn seen_of_token(table: u16, key: &[u8], token: &[u8]) -> Result<Seen, Refusal> {
    let wrong =
        || refused("what was seen is not a token of this key; read the key and hand back what that gave".to_string());
    let decoded: Result<(u16, u64, u32, Seen), _> = postcard::from_bytes(token);
    let (of_table, hash, length, seen) = decoded.map_err(|_| wrong())?;
    let same = of_table == table && hash == crate::placement::hash_of(key) && length as usize == key.len();
    if same && seen.is_sound() { Ok(seen) } else { Err(wrong()) }
}
