//! One type over all cells, for tables, the wire and the disk.

use super::bounded::Bounded;
use super::counter::{Counter, Totals};
use super::flag::{DisableWins, EnableWins};
use super::latest::Latest;
use super::map::{Map, SeenFields};
use super::register::Register;
use super::set::{AddWins, RemoveWins, SeenMembers};
use super::text::Text;
use super::{Cell, Delta, Refused};
use crate::clock::{Context, Dot};
use serde::{Deserialize, Serialize};

/// The kind of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Kind {
    Register,
    Latest,
    Flag,
    DisableWinsFlag,
    Set,
    RemoveWinsSet,
    Counter,
    Bounded,
    Map,
    Text,
}

impl Kind {
    /// All kinds, each with its word.
    pub const ALL: [(Kind, &'static str); 10] = [
        (Kind::Register, "mv-register"),
        (Kind::Latest, "lww-register"),
        (Kind::Flag, "flag"),
        (Kind::DisableWinsFlag, "flag-disable-wins"),
        (Kind::Set, "set"),
        (Kind::RemoveWinsSet, "set-remove-wins"),
        (Kind::Counter, "counter"),
        (Kind::Bounded, "bounded-counter"),
        (Kind::Map, "map"),
        (Kind::Text, "text"),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        let (_, word) = Kind::ALL.iter().find(|(kind, _)| *kind == self).expect("all kinds are listed");
        word
    }
    /// The kind that a word names. `or-set` is `set`.
    pub fn from_word(word: &str) -> Option<Kind> {
        if word == "or-set" {
            return Some(Kind::Set);
        }
        Kind::ALL.iter().find(|(_, name)| *name == word).map(|(kind, _)| *kind)
    }
}

/// A cell of any kind but a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Leaf {
    Register(Register),
    Latest(Latest),
    Flag(EnableWins),
    DisableWinsFlag(DisableWins),
    Set(AddWins),
    RemoveWinsSet(RemoveWins),
    Counter(Counter),
    Bounded(Bounded),
    Text(Text),
}

/// A cell of any kind. Maps hold leaves only, so that no bytes make a reader recurse.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum AnyCell {
    Leaf(Leaf),
    Map(Map),
}

/// What was seen of a leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SeenLeaf {
    /// Nothing that can be removed.
    #[default]
    Nothing,
    /// The dots of a register, a flag or a text.
    Dots(Context),
    /// The dots of each member of a set.
    Members(SeenMembers),
    /// The totals of a counter.
    Totals(Totals),
}

/// What was seen of a cell: what a read hands out, and the next write or removal hands back. It is of this cell alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Seen {
    Leaf(SeenLeaf),
    Map(SeenFields),
}

impl Seen {
    /// Does somebody who knows this know all events in it?
    pub fn is_known_to(&self, context: &Context) -> bool {
        match self {
            Seen::Leaf(leaf) => leaf.is_known_to(context),
            Seen::Map(fields) => fields.values().all(|leaf| leaf.is_known_to(context)),
        }
    }
    /// Are the contexts in it sound? To be asked of what a client hands back.
    pub fn is_sound(&self) -> bool {
        match self {
            Seen::Leaf(leaf) => leaf.is_sound(),
            Seen::Map(fields) => fields.iter().all(|(field, leaf)| field.kind != Kind::Map && leaf.is_sound()),
        }
    }
}

impl SeenLeaf {
    fn is_known_to(&self, context: &Context) -> bool {
        match self {
            SeenLeaf::Nothing | SeenLeaf::Totals(_) => true,
            SeenLeaf::Dots(dots) => context.covers(dots),
            SeenLeaf::Members(members) => members.values().all(|dots| context.covers(dots)),
        }
    }
    fn is_sound(&self) -> bool {
        match self {
            SeenLeaf::Nothing | SeenLeaf::Totals(_) => true,
            SeenLeaf::Dots(context) => context.is_sound(),
            SeenLeaf::Members(members) => members.values().all(Context::is_sound),
        }
    }
}

impl Leaf {
    /// The empty leaf of a kind; there is none of a map.
    pub fn new(kind: Kind) -> Option<Leaf> {
        Some(match kind {
            Kind::Register => Leaf::Register(Register::default()),
            Kind::Latest => Leaf::Latest(Latest::default()),
            Kind::Flag => Leaf::Flag(EnableWins::default()),
            Kind::DisableWinsFlag => Leaf::DisableWinsFlag(DisableWins::default()),
            Kind::Set => Leaf::Set(AddWins::default()),
            Kind::RemoveWinsSet => Leaf::RemoveWinsSet(RemoveWins::default()),
            Kind::Counter => Leaf::Counter(Counter::default()),
            Kind::Bounded => Leaf::Bounded(Bounded::default()),
            Kind::Text => Leaf::Text(Text::default()),
            Kind::Map => return None,
        })
    }
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Leaf::Register(_) => Kind::Register,
            Leaf::Latest(_) => Kind::Latest,
            Leaf::Flag(_) => Kind::Flag,
            Leaf::DisableWinsFlag(_) => Kind::DisableWinsFlag,
            Leaf::Set(_) => Kind::Set,
            Leaf::RemoveWinsSet(_) => Kind::RemoveWinsSet,
            Leaf::Counter(_) => Kind::Counter,
            Leaf::Bounded(_) => Kind::Bounded,
            Leaf::Text(_) => Kind::Text,
        }
    }
}

impl AnyCell {
    /// The empty cell of a kind.
    pub fn new(kind: Kind) -> AnyCell {
        Leaf::new(kind).map_or_else(|| AnyCell::Map(Map::default()), AnyCell::Leaf)
    }
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            AnyCell::Leaf(leaf) => leaf.kind(),
            AnyCell::Map(_) => Kind::Map,
        }
    }
    /// Is it of this kind, and are its fields of theirs? To be asked of every cell that was decoded, before it is joined.
    pub fn is_sound(&self, kind: Kind) -> bool {
        self.kind() == kind
            && match self {
                AnyCell::Leaf(_) => true,
                AnyCell::Map(map) => map.is_sound(),
            }
    }
}

impl Cell for Leaf {
    type Seen = SeenLeaf;

    /// # Panics
    /// If the two are of different kinds.
    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
        match (self, other) {
            (Leaf::Register(cell), Leaf::Register(other)) => cell.join(mine, other, theirs),
            (Leaf::Latest(cell), Leaf::Latest(other)) => cell.join(mine, other, theirs),
            (Leaf::Flag(cell), Leaf::Flag(other)) => cell.join(mine, other, theirs),
            (Leaf::DisableWinsFlag(cell), Leaf::DisableWinsFlag(other)) => cell.join(mine, other, theirs),
            (Leaf::Set(cell), Leaf::Set(other)) => cell.join(mine, other, theirs),
            (Leaf::RemoveWinsSet(cell), Leaf::RemoveWinsSet(other)) => cell.join(mine, other, theirs),
            (Leaf::Counter(cell), Leaf::Counter(other)) => cell.join(mine, other, theirs),
            (Leaf::Bounded(cell), Leaf::Bounded(other)) => cell.join(mine, other, theirs),
            (Leaf::Text(cell), Leaf::Text(other)) => cell.join(mine, other, theirs),
            (cell, other) => panic!("a {} joins no {}", cell.kind().word(), other.kind().word()),
        }
    }
    fn seen(&self) -> SeenLeaf {
        match self {
            Leaf::Register(cell) => SeenLeaf::Dots(cell.seen()),
            Leaf::Latest(cell) => SeenLeaf::Dots(cell.seen()),
            Leaf::Flag(cell) => SeenLeaf::Dots(cell.seen()),
            Leaf::DisableWinsFlag(cell) => SeenLeaf::Dots(cell.seen()),
            Leaf::Set(cell) => SeenLeaf::Members(cell.seen()),
            Leaf::RemoveWinsSet(cell) => SeenLeaf::Members(cell.seen()),
            Leaf::Counter(cell) => SeenLeaf::Totals(cell.seen()),
            Leaf::Bounded(_) => SeenLeaf::Nothing,
            Leaf::Text(cell) => SeenLeaf::Dots(cell.seen()),
        }
    }
    /// What was seen of a cell of another kind removes nothing.
    fn remove(&mut self, seen: &SeenLeaf) -> Result<Delta<Self>, Refused> {
        Ok(match (&mut *self, seen) {
            (Leaf::Register(cell), SeenLeaf::Dots(seen)) => cell.remove(seen)?.map(Leaf::Register),
            (Leaf::Latest(cell), SeenLeaf::Dots(seen)) => cell.remove(seen)?.map(Leaf::Latest),
            (Leaf::Flag(cell), SeenLeaf::Dots(seen)) => cell.remove(seen)?.map(Leaf::Flag),
            (Leaf::DisableWinsFlag(cell), SeenLeaf::Dots(seen)) => cell.remove(seen)?.map(Leaf::DisableWinsFlag),
            (Leaf::Set(cell), SeenLeaf::Members(seen)) => cell.remove(seen)?.map(Leaf::Set),
            (Leaf::RemoveWinsSet(cell), SeenLeaf::Members(seen)) => cell.remove(seen)?.map(Leaf::RemoveWinsSet),
            (Leaf::Counter(cell), SeenLeaf::Totals(seen)) => cell.remove(seen)?.map(Leaf::Counter),
            (Leaf::Text(cell), SeenLeaf::Dots(seen)) => cell.remove(seen)?.map(Leaf::Text),
            (Leaf::Bounded(cell), _) => cell.remove(&())?.map(Leaf::Bounded),
            (leaf, _) => {
                let cell = Leaf::new(leaf.kind()).expect("a leaf is no map");
                Delta { cell, context: Context::default() }
            }
        })
    }
    fn is_bottom(&self) -> bool {
        match self {
            Leaf::Register(cell) => cell.is_bottom(),
            Leaf::Latest(cell) => cell.is_bottom(),
            Leaf::Flag(cell) => cell.is_bottom(),
            Leaf::DisableWinsFlag(cell) => cell.is_bottom(),
            Leaf::Set(cell) => cell.is_bottom(),
            Leaf::RemoveWinsSet(cell) => cell.is_bottom(),
            Leaf::Counter(cell) => cell.is_bottom(),
            Leaf::Bounded(cell) => cell.is_bottom(),
            Leaf::Text(cell) => cell.is_bottom(),
        }
    }
    fn is_absent(&self) -> bool {
        match self {
            Leaf::Register(cell) => cell.is_absent(),
            Leaf::Latest(cell) => cell.is_absent(),
            Leaf::Flag(cell) => cell.is_absent(),
            Leaf::DisableWinsFlag(cell) => cell.is_absent(),
            Leaf::Set(cell) => cell.is_absent(),
            Leaf::RemoveWinsSet(cell) => cell.is_absent(),
            Leaf::Counter(cell) => cell.is_absent(),
            Leaf::Bounded(cell) => cell.is_absent(),
            Leaf::Text(cell) => cell.is_absent(),
        }
    }
    fn dots(&self, each: &mut dyn FnMut(Dot)) {
        match self {
            Leaf::Register(cell) => cell.dots(each),
            Leaf::Latest(cell) => cell.dots(each),
            Leaf::Flag(cell) => cell.dots(each),
            Leaf::DisableWinsFlag(cell) => cell.dots(each),
            Leaf::Set(cell) => cell.dots(each),
            Leaf::RemoveWinsSet(cell) => cell.dots(each),
            Leaf::Text(cell) => cell.dots(each),
            Leaf::Counter(_) | Leaf::Bounded(_) => {}
        }
    }
}

impl Cell for AnyCell {
    type Seen = Seen;

    /// # Panics
    /// If the two are of different kinds, or one is not [`AnyCell::is_sound`].
    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
        match (self, other) {
            (AnyCell::Leaf(cell), AnyCell::Leaf(other)) => cell.join(mine, other, theirs),
            (AnyCell::Map(cell), AnyCell::Map(other)) => cell.join(mine, other, theirs),
            (cell, other) => panic!("a {} joins no {}", cell.kind().word(), other.kind().word()),
        }
    }
    fn seen(&self) -> Seen {
        match self {
            AnyCell::Leaf(cell) => Seen::Leaf(cell.seen()),
            AnyCell::Map(cell) => Seen::Map(cell.seen()),
        }
    }
    /// What was seen of a cell of another kind removes nothing.
    fn remove(&mut self, seen: &Seen) -> Result<Delta<Self>, Refused> {
        Ok(match (self, seen) {
            (AnyCell::Leaf(cell), Seen::Leaf(seen)) => cell.remove(seen)?.map(AnyCell::Leaf),
            (AnyCell::Map(cell), Seen::Map(seen)) => cell.remove(seen)?.map(AnyCell::Map),
            (AnyCell::Leaf(cell), Seen::Map(_)) => cell.remove(&SeenLeaf::Nothing)?.map(AnyCell::Leaf),
            (AnyCell::Map(cell), Seen::Leaf(_)) => cell.remove(&SeenFields::new())?.map(AnyCell::Map),
        })
    }
    fn is_bottom(&self) -> bool {
        match self {
            AnyCell::Leaf(cell) => cell.is_bottom(),
            AnyCell::Map(cell) => cell.is_bottom(),
        }
    }
    fn is_absent(&self) -> bool {
        match self {
            AnyCell::Leaf(cell) => cell.is_absent(),
            AnyCell::Map(cell) => cell.is_absent(),
        }
    }
    fn dots(&self, each: &mut dyn FnMut(Dot)) {
        match self {
            AnyCell::Leaf(cell) => cell.dots(each),
            AnyCell::Map(cell) => cell.dots(each),
        }
    }
}
