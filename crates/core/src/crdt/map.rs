//! A map of fields, each a cell of its own kind.

use super::any::{Kind, Leaf, SeenLeaf};
use super::{Cell, Delta, DotMap, Place, Refused};
use crate::clock::{Context, Dot};
use alloc::collections::BTreeMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Names a cell of a map. The kind is part of the name: fields of one name that were made concurrently with different kinds
/// stand beside each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Field {
    /// The name.
    pub name: Bytes,
    /// What stands there, anything but a map: a path of names makes what maps in maps would.
    pub kind: Kind,
}

/// Cells by field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Map(DotMap<Field, Leaf>);

/// What was seen of each field.
pub type SeenFields = BTreeMap<Field, SeenLeaf>;

impl Place<Leaf> for Field {
    /// # Panics
    /// If the kind is a map, which the caller refuses.
    fn bottom(&self) -> Leaf {
        Leaf::new(self.kind).expect("a field is no map")
    }
}

impl Map {
    /// Changes the cell of a field by an operation on it, which gives the change of the cell.
    ///
    /// # Errors
    /// [`Refused::Nested`] if the field would be a map, or what the operation answers; it must have changed nothing then.
    pub fn update(
        &mut self,
        field: &Field,
        operation: impl FnOnce(&mut Leaf) -> Result<Delta<Leaf>, Refused>,
    ) -> Result<Delta<Map>, Refused> {
        if field.kind == Kind::Map {
            return Err(Refused::Nested);
        }
        let delta = self.0.update(field, operation)?;
        Ok(delta.map(|cell| Map(DotMap::only(field.clone(), cell))))
    }
    /// The cell of a field, if a reader finds something in it.
    pub fn get(&self, field: &Field) -> Option<&Leaf> {
        self.0.get(field).filter(|cell| !cell.is_absent())
    }
    /// The fields in which a reader finds something, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&Field, &Leaf)> + '_ {
        self.0.iter().filter(|(_, cell)| !cell.is_absent())
    }
    /// What is to be seen of one field: handed to [`Cell::remove`], it removes that field and no other.
    pub fn seen_of(&self, field: &Field) -> SeenFields {
        self.0.get(field).map(|cell| (field.clone(), cell.seen())).into_iter().collect()
    }

    pub(super) fn is_sound(&self) -> bool {
        self.0.iter().all(|(field, cell)| cell.kind() == field.kind && !cell.is_bottom())
    }
}

impl Cell for Map {
    type Seen = SeenFields;

    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
        self.0.join(mine, &other.0, theirs);
    }
    fn seen(&self) -> SeenFields {
        self.0.seen()
    }
    fn remove(&mut self, seen: &SeenFields) -> Result<Delta<Self>, Refused> {
        if seen.keys().any(|field| field.kind == Kind::Map) {
            return Err(Refused::Nested);
        }
        Ok(self.0.remove(seen)?.map(Map))
    }
    fn is_bottom(&self) -> bool {
        self.0.is_bottom()
    }
    fn is_absent(&self) -> bool {
        self.0.is_absent()
    }
    fn dots(&self, each: &mut dyn FnMut(Dot)) {
        self.0.dots(each);
    }
}
