//! The cells under the laws, each with its oracle.

use super::super::*;
use super::{Subject, Update, Updates, draw, each, exhaust};
use crate::clock::{Actor, Context, Dot, Stamp};
use crate::machine::NodeId;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use core::marker::PhantomData;
use proptest::prelude::*;

/// A replica of a range with one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At<C> {
    pub cell: C,
    pub context: Context,
}

impl<C: Cell> At<C> {
    pub fn operate(&mut self, actor: Actor, operation: impl FnOnce(&mut C, Dot) -> Delta<C>) -> At<C> {
        let dot = self.context.advance(actor);
        let delta = operation(&mut self.cell, dot);
        self.known(delta)
    }
    pub fn remove(&mut self, seen: &C::Seen) -> Option<At<C>> {
        let delta = self.cell.remove(seen).ok()?;
        Some(self.known(delta))
    }
    pub fn known(&mut self, delta: Delta<C>) -> At<C> {
        self.context.join(&delta.context);
        At { cell: delta.cell, context: delta.context }
    }
    pub fn join(&mut self, other: &At<C>) {
        self.cell.join(&self.context, &other.cell, &other.context);
        self.context.join(&other.context);
        self.cell.dots(&mut |dot| assert!(self.context.contains(dot), "a dot is held and not known"));
    }
}

pub fn value(serial: usize) -> Bytes {
    Bytes::copy_from_slice(serial.to_string().as_bytes())
}

fn told<'a>(values: impl Iterator<Item = &'a Bytes>) -> BTreeSet<String> {
    values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

fn serials(standing: Updates) -> BTreeSet<String> {
    each(standing).map(|at| at.to_string()).collect()
}

/// The law of the cell, on all scripts of so many steps, and on longer ones that are drawn.
pub fn obeys<S: Subject + Sync>(subject: &S, steps: usize, at_least: usize) {
    let scripts = exhaust(subject, steps).expect("every law holds");
    assert!(scripts >= at_least, "{scripts} scripts were tried");
    let config = ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let drawn = runner.run(&proptest::collection::vec(any::<u32>(), 0..20), |draws| {
        draw(subject, &draws).map_err(|breach| TestCaseError::fail(format!("{breach:?}")))
    });
    drawn.expect("every law holds");
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Write {
    At(u64),
    Remove,
}

pub struct Registers;

impl Subject for Registers {
    type State = At<Register>;
    type Op = Write;
    fn ops(&self) -> Vec<Write> {
        vec![Write::At(0), Write::Remove]
    }
    fn act(
        &self,
        at: &mut At<Register>,
        by: (Actor, usize),
        op: Write,
        observed: &At<Register>,
    ) -> Option<At<Register>> {
        let seen = observed.cell.seen();
        match op {
            Write::At(_) => Some(at.operate(by.0, |cell, dot| cell.write(dot, &seen, value(by.1)))),
            Write::Remove => at.remove(&seen),
        }
    }
    fn join(&self, at: &mut At<Register>, other: &At<Register>) {
        at.join(other);
    }
    fn read(&self, at: &At<Register>) -> String {
        format!("{:?}", told(at.cell.siblings()))
    }
    fn expect(&self, _: &[Update<Write>], standing: Updates) -> String {
        format!("{:?}", serials(standing))
    }
    fn stands(&self, op: Write) -> bool {
        op != Write::Remove
    }
    fn ends(&self, _: Write, _: Write) -> bool {
        true
    }
}

#[test]
fn siblings_are_exactly_what_was_written_concurrently() {
    obeys(&Registers, 5, 290_000);
}

pub struct Latests;

impl Subject for Latests {
    type State = At<Latest>;
    type Op = Write;
    fn ops(&self) -> Vec<Write> {
        vec![Write::At(1), Write::At(2), Write::Remove]
    }
    fn act(&self, at: &mut At<Latest>, by: (Actor, usize), op: Write, observed: &At<Latest>) -> Option<At<Latest>> {
        let seen = observed.cell.seen();
        match op {
            Write::At(time_ms) => {
                let stamp = Stamp { time_ms, count: by.1 as u32, actor: by.0 };
                Some(at.operate(by.0, |cell, dot| cell.write(dot, &seen, stamp, value(by.1))))
            }
            Write::Remove => at.remove(&seen),
        }
    }
    fn join(&self, at: &mut At<Latest>, other: &At<Latest>) {
        at.join(other);
    }
    fn read(&self, at: &At<Latest>) -> String {
        format!("{:?}", at.cell.read().map(|shown| (String::from_utf8_lossy(shown.value).into_owned(), shown.dropped)))
    }
    fn expect(&self, history: &[Update<Write>], standing: Updates) -> String {
        let time = |at: usize| match history[at].op {
            Write::At(time) => time,
            Write::Remove => 0,
        };
        let latest = each(standing).max_by_key(|&at| (time(at), at));
        format!("{:?}", latest.map(|at| (at.to_string(), standing.count_ones() as usize - 1)))
    }
    fn stands(&self, op: Write) -> bool {
        op != Write::Remove
    }
    fn ends(&self, _: Write, _: Write) -> bool {
        true
    }
}

#[test]
fn the_latest_of_concurrent_writes_is_shown_and_the_others_are_counted() {
    obeys(&Latests, 4, 38_000);
}

/// A member is in or out; a flag is a set of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Say {
    Add(u8),
    Take(u8),
    Clear,
}

pub trait Wins: Flag + core::fmt::Debug + Eq {
    const ADD: bool;
}
impl Wins for EnableWins {
    const ADD: bool = true;
}
impl Wins for DisableWins {
    const ADD: bool = false;
}

/// The members that are in, where these updates stand.
pub fn members(add_wins: bool, history: &[Update<Say>], standing: Updates) -> BTreeSet<u8> {
    let said = |what: Say| each(standing).any(|at| history[at].op == what);
    (0..2).filter(|&member| said(Say::Add(member)) && (add_wins || !said(Say::Take(member)))).collect()
}

pub fn is_about_the_same(a: Say, b: Say) -> bool {
    let member = |say| match say {
        Say::Add(member) | Say::Take(member) => Some(member),
        Say::Clear => None,
    };
    member(a).is_none() || member(a) == member(b)
}

struct Flags<F>(PhantomData<F>);

impl<F: Wins> Subject for Flags<F> {
    type State = At<F>;
    type Op = Say;
    fn ops(&self) -> Vec<Say> {
        vec![Say::Add(0), Say::Take(0), Say::Clear]
    }
    fn act(&self, at: &mut At<F>, by: (Actor, usize), op: Say, observed: &At<F>) -> Option<At<F>> {
        let seen = observed.cell.seen();
        match op {
            Say::Add(_) => Some(at.operate(by.0, |cell, dot| cell.enable(dot, &seen))),
            Say::Take(_) => Some(at.operate(by.0, |cell, dot| cell.disable(dot, &seen))),
            Say::Clear => at.remove(&seen),
        }
    }
    fn join(&self, at: &mut At<F>, other: &At<F>) {
        at.join(other);
    }
    fn read(&self, at: &At<F>) -> String {
        format!("{}", at.cell.is_enabled())
    }
    fn expect(&self, history: &[Update<Say>], standing: Updates) -> String {
        format!("{}", members(F::ADD, history, standing).contains(&0))
    }
    fn stands(&self, op: Say) -> bool {
        matches!(op, Say::Add(_)) || (op != Say::Clear && !F::ADD)
    }
    fn ends(&self, _: Say, _: Say) -> bool {
        true
    }
}

#[test]
fn a_flag_that_is_turned_both_ways_at_once_goes_the_way_that_wins() {
    obeys(&Flags::<EnableWins>(PhantomData), 4, 38_000);
    obeys(&Flags::<DisableWins>(PhantomData), 4, 38_000);
}

pub struct Sets<F>(pub PhantomData<F>);

impl<F: Wins> Subject for Sets<F> {
    type State = At<Set<F>>;
    type Op = Say;
    fn ops(&self) -> Vec<Say> {
        vec![Say::Add(0), Say::Take(0), Say::Add(1), Say::Clear]
    }
    fn act(&self, at: &mut At<Set<F>>, by: (Actor, usize), op: Say, observed: &At<Set<F>>) -> Option<At<Set<F>>> {
        // What was seen of all members: the operation takes its part of it.
        let seen = observed.cell.seen();
        match op {
            Say::Add(member) => Some(at.operate(by.0, |cell, dot| cell.add(dot, &seen, &value(member.into())))),
            Say::Take(member) => Some(at.operate(by.0, |cell, dot| cell.take(dot, &seen, &value(member.into())))),
            Say::Clear => at.remove(&seen),
        }
    }
    fn join(&self, at: &mut At<Set<F>>, other: &At<Set<F>>) {
        at.join(other);
    }
    fn read(&self, at: &At<Set<F>>) -> String {
        format!("{:?}", told(at.cell.members()))
    }
    fn expect(&self, history: &[Update<Say>], standing: Updates) -> String {
        let members: BTreeSet<_> = members(F::ADD, history, standing).iter().map(u8::to_string).collect();
        format!("{members:?}")
    }
    fn stands(&self, op: Say) -> bool {
        matches!(op, Say::Add(_)) || (op != Say::Clear && !F::ADD)
    }
    fn ends(&self, op: Say, other: Say) -> bool {
        is_about_the_same(op, other)
    }
}

#[test]
fn an_add_wins_over_a_removal_that_did_not_see_it() {
    obeys(&Sets::<EnableWins>(PhantomData), 4, 100_000);
}

#[test]
fn a_removal_wins_over_an_add_that_did_not_see_it() {
    obeys(&Sets::<DisableWins>(PhantomData), 4, 100_000);
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Count {
    Add(i64),
    Reset,
}

pub struct Counters;

impl Subject for Counters {
    type State = At<Counter>;
    type Op = Count;
    fn ops(&self) -> Vec<Count> {
        vec![Count::Add(2), Count::Add(-3), Count::Reset]
    }
    fn act(&self, at: &mut At<Counter>, by: (Actor, usize), op: Count, observed: &At<Counter>) -> Option<At<Counter>> {
        match op {
            Count::Add(amount) => {
                let delta = at.cell.add(by.0, amount).ok()?;
                Some(at.known(delta))
            }
            Count::Reset => at.remove(&observed.cell.seen()),
        }
    }
    fn join(&self, at: &mut At<Counter>, other: &At<Counter>) {
        at.join(other);
    }
    fn read(&self, at: &At<Counter>) -> String {
        at.cell.value().to_string()
    }
    fn holds(&self, at: &At<Counter>) -> bool {
        !at.cell.is_absent() || at.cell.value() == 0
    }
    fn expect(&self, history: &[Update<Count>], standing: Updates) -> String {
        let amount = |at: usize| match history[at].op {
            Count::Add(amount) => amount,
            Count::Reset => 0,
        };
        each(standing).map(amount).sum::<i64>().to_string()
    }
    fn stands(&self, op: Count) -> bool {
        op != Count::Reset
    }
    fn ends(&self, op: Count, _: Count) -> bool {
        op == Count::Reset
    }
    /// A reset observes also what others had reset.
    fn saw(&self, update: &Update<Count>, other: (usize, Count)) -> bool {
        super::has(update.past, other.0)
    }
    /// Totals say all that their actor did before; a reset says what it observed.
    fn implied(&self, history: &[Update<Count>], at: usize) -> Updates {
        let is_implied = |&before: &usize| match (history[at].op, history[before].op) {
            (Count::Add(a), Count::Add(b)) => history[at].actor == history[before].actor && (a < 0) == (b < 0),
            (Count::Reset, Count::Add(_)) => super::has(history[at].past, before),
            (_, Count::Reset) => false,
        };
        (0..at).filter(is_implied).fold(0, |all, before| all | 1 << before)
    }
}

#[test]
fn a_counter_is_the_sum_of_what_no_reset_observed() {
    obeys(&Counters, 4, 37_000);
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Escrow {
    Increase(u64),
    Decrease(u64),
    /// To the node after this one.
    Give(u64),
}

pub fn next(actor: Actor) -> Actor {
    Actor { node: NodeId(actor.node.0 % super::REPLICAS as u16 + 1), incarnation: 1 }
}

pub const BOUND: i64 = -5;

pub struct Escrows;

impl Subject for Escrows {
    type State = At<Bounded>;
    type Op = Escrow;
    fn ops(&self) -> Vec<Escrow> {
        vec![Escrow::Increase(3), Escrow::Decrease(2), Escrow::Give(2)]
    }
    fn act(&self, at: &mut At<Bounded>, by: (Actor, usize), op: Escrow, _: &At<Bounded>) -> Option<At<Bounded>> {
        let there = at.cell.rights(by.0);
        let delta = match op {
            Escrow::Increase(amount) => at.cell.increase(by.0, amount, BOUND),
            Escrow::Decrease(amount) => at.cell.decrease(by.0, amount),
            Escrow::Give(amount) => at.cell.transfer(by.0, next(by.0), amount),
        };
        if let Err(refused) = delta {
            assert!(matches!(refused, Refused::Rights { there: told, .. } if told == there), "{refused:?}");
        }
        Some(at.known(delta.ok()?))
    }
    fn join(&self, at: &mut At<Bounded>, other: &At<Bounded>) {
        at.join(other);
    }
    fn read(&self, at: &At<Bounded>) -> String {
        at.cell.value(BOUND).to_string()
    }
    fn holds(&self, at: &At<Bounded>) -> bool {
        at.cell.value(BOUND) >= BOUND.into() && at.cell.overdrawn().is_none()
    }
    fn expect(&self, history: &[Update<Escrow>], standing: Updates) -> String {
        let change = |at: usize| match history[at].op {
            Escrow::Increase(amount) => amount as i64,
            Escrow::Decrease(amount) => -(amount as i64),
            Escrow::Give(_) => 0,
        };
        (BOUND + each(standing).map(change).sum::<i64>()).to_string()
    }
    fn stands(&self, _: Escrow) -> bool {
        true
    }
    fn ends(&self, _: Escrow, _: Escrow) -> bool {
        false
    }
    /// A total of increases says those before it; the others are sent with all that was known.
    fn implied(&self, history: &[Update<Escrow>], at: usize) -> Updates {
        let same = |&before: &usize| {
            history[before].actor == history[at].actor && matches!(history[before].op, Escrow::Increase(_))
        };
        match history[at].op {
            Escrow::Increase(_) => (0..at).filter(same).fold(0, |all, before| all | 1 << before),
            Escrow::Decrease(_) | Escrow::Give(_) => history[at].here,
        }
    }
    fn may(&self, history: &[Update<Escrow>], known: Updates, actor: Actor, op: Escrow) -> bool {
        let mut rights = 0;
        for update in each(known).map(|at| &history[at]) {
            match update.op {
                Escrow::Increase(amount) if update.actor == actor => rights += amount,
                Escrow::Give(amount) if next(update.actor) == actor => rights += amount,
                _ => {}
            }
        }
        for update in each(known).map(|at| &history[at]).filter(|update| update.actor == actor) {
            match update.op {
                Escrow::Increase(_) => {}
                Escrow::Decrease(amount) | Escrow::Give(amount) => rights -= amount,
            }
        }
        match op {
            Escrow::Increase(_) => true,
            Escrow::Decrease(amount) | Escrow::Give(amount) => rights >= amount,
        }
    }
}

#[test]
fn a_bounded_counter_never_falls_below_its_bound() {
    obeys(&Escrows, 5, 250_000);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Write,
    Add,
    Remove(Kind),
    Clear,
}

struct Maps;

fn field(kind: Kind) -> Field {
    Field { name: Bytes::from_static(b"f"), kind }
}

impl Subject for Maps {
    type State = At<Map>;
    type Op = Change;
    fn ops(&self) -> Vec<Change> {
        vec![Change::Write, Change::Add, Change::Remove(Kind::Register), Change::Remove(Kind::Counter), Change::Clear]
    }
    fn act(&self, at: &mut At<Map>, by: (Actor, usize), op: Change, observed: &At<Map>) -> Option<At<Map>> {
        match op {
            Change::Write => {
                let seen = match observed.cell.get(&field(Kind::Register)) {
                    Some(Leaf::Register(cell)) => cell.seen(),
                    _ => Context::default(),
                };
                Some(at.operate(by.0, |map, dot| {
                    let write = |leaf: &mut Leaf| match leaf {
                        Leaf::Register(cell) => Ok(cell.write(dot, &seen, value(by.1)).map(Leaf::Register)),
                        _ => panic!("the field is a register"),
                    };
                    map.update(&field(Kind::Register), write).expect("writes are not refused")
                }))
            }
            Change::Add => {
                let add = |leaf: &mut Leaf| match leaf {
                    Leaf::Counter(cell) => Ok(cell.add(by.0, 1)?.map(Leaf::Counter)),
                    _ => panic!("the field is a counter"),
                };
                let delta = at.cell.update(&field(Kind::Counter), add).ok()?;
                Some(at.known(delta))
            }
            Change::Remove(kind) => at.remove(&observed.cell.seen_of(&field(kind))),
            Change::Clear => at.remove(&observed.cell.seen()),
        }
    }
    fn join(&self, at: &mut At<Map>, other: &At<Map>) {
        at.join(other);
    }
    fn read(&self, at: &At<Map>) -> String {
        let mut told_fields = BTreeMap::new();
        for (field, leaf) in at.cell.fields() {
            let text = match leaf {
                Leaf::Register(cell) => format!("{:?}", told(cell.siblings())),
                Leaf::Counter(cell) => cell.value().to_string(),
                _ => panic!("there is no such field"),
            };
            told_fields.insert(field.kind, text);
        }
        format!("{told_fields:?}")
    }
    fn expect(&self, history: &[Update<Change>], standing: Updates) -> String {
        let of = |op: Change| each(standing).filter(|&at| history[at].op == op).fold(0, |all, at| all | 1 << at);
        let (written, added) = (of(Change::Write), of(Change::Add));
        let mut fields = BTreeMap::new();
        if written != 0 {
            fields.insert(Kind::Register, format!("{:?}", serials(written)));
        }
        if added != 0 {
            fields.insert(Kind::Counter, added.count_ones().to_string());
        }
        format!("{fields:?}")
    }
    fn stands(&self, op: Change) -> bool {
        matches!(op, Change::Write | Change::Add)
    }
    fn ends(&self, op: Change, other: Change) -> bool {
        match op {
            Change::Write | Change::Remove(Kind::Register) => other == Change::Write,
            Change::Remove(_) => other == Change::Add,
            Change::Add => false,
            Change::Clear => true,
        }
    }
    fn saw(&self, update: &Update<Change>, (at, op): (usize, Change)) -> bool {
        super::has(if op == Change::Add { update.past } else { update.seen }, at)
    }
    fn implied(&self, history: &[Update<Change>], at: usize) -> Updates {
        let Update { op, actor, past, .. } = history[at];
        let is_implied = |&before: &usize| match (op, history[before].op) {
            (Change::Add, Change::Add) => history[before].actor == actor,
            (Change::Remove(Kind::Counter) | Change::Clear, Change::Add) => super::has(past, before),
            _ => false,
        };
        (0..at).filter(is_implied).fold(0, |all, before| all | 1 << before)
    }
}

#[test]
fn fields_of_one_name_and_two_kinds_stand_beside_each_other() {
    obeys(&Maps, 4, 220_000);
}

/// A range of two keys that share one context.
struct Ranges;

impl Subject for Ranges {
    type State = At<DotMap<Bytes, Register>>;
    type Op = Say;
    fn ops(&self) -> Vec<Say> {
        vec![Say::Add(0), Say::Add(1), Say::Take(0)]
    }
    fn act(&self, at: &mut Self::State, by: (Actor, usize), op: Say, observed: &Self::State) -> Option<Self::State> {
        let seen = |key: &Bytes| observed.cell.get(key).map(Cell::seen).unwrap_or_default();
        match op {
            Say::Add(key) => Some(at.operate(by.0, |range, dot| {
                let key = value(key.into());
                let delta = range.update(&key, |cell| cell.write(dot, &seen(&key), value(by.1)));
                delta.map(|cell| DotMap::only(key.clone(), cell))
            })),
            Say::Take(key) => at.remove(&BTreeMap::from([(value(key.into()), seen(&value(key.into())))])),
            Say::Clear => None,
        }
    }
    fn join(&self, at: &mut Self::State, other: &Self::State) {
        at.join(other);
    }
    fn read(&self, at: &Self::State) -> String {
        let keys: BTreeMap<_, _> = at.cell.iter().map(|(key, cell)| (key[0] - b'0', told(cell.siblings()))).collect();
        format!("{keys:?}")
    }
    fn expect(&self, history: &[Update<Say>], standing: Updates) -> String {
        let mut keys: BTreeMap<u8, BTreeSet<String>> = BTreeMap::new();
        for at in each(standing) {
            if let Say::Add(key) = history[at].op {
                keys.entry(key).or_default().insert(at.to_string());
            }
        }
        format!("{keys:?}")
    }
    fn stands(&self, op: Say) -> bool {
        matches!(op, Say::Add(_))
    }
    fn ends(&self, op: Say, other: Say) -> bool {
        is_about_the_same(op, other)
    }
}

#[test]
fn cells_share_a_context_and_nothing_else() {
    obeys(&Ranges, 4, 38_000);
}
