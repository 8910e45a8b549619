//! Sets: a flag for each member, so the flag decides who wins.

use super::flag::{DisableWins, EnableWins, Flag};
use super::{Cell, Delta, DotMap, Refused};
use crate::clock::{Context, Dot};
use alloc::collections::BTreeMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A set whose members are in while their flags are on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Set<F>(DotMap<Bytes, F>);

/// An add wins over a removal that did not see it (*or-set*). What was removed leaves nothing behind.
pub type AddWins = Set<EnableWins>;
/// A removal wins over an add that did not see it. A removed member leaves the dot of its removal behind.
pub type RemoveWins = Set<DisableWins>;

/// What was seen of each member.
pub type SeenMembers = BTreeMap<Bytes, Context>;

impl<F: Flag> Set<F> {
    /// Adds a member, in place of what was seen of it.
    pub fn add(&mut self, dot: Dot, seen: &SeenMembers, member: &Bytes) -> Delta<Set<F>> {
        let delta = self.0.update(member, |flag| flag.enable(dot, &of(seen, member)));
        delta.map(|flag| Set(DotMap::only(member.clone(), flag)))
    }
    /// Takes a member out, as far as it was seen.
    pub fn take(&mut self, dot: Dot, seen: &SeenMembers, member: &Bytes) -> Delta<Set<F>> {
        let delta = self.0.update(member, |flag| flag.disable(dot, &of(seen, member)));
        delta.map(|flag| Set(DotMap::only(member.clone(), flag)))
    }
    /// Is it in?
    pub fn contains(&self, member: &Bytes) -> bool {
        self.0.get(member).is_some_and(Flag::is_enabled)
    }
    /// The members, in order.
    pub fn members(&self) -> impl Iterator<Item = &Bytes> + '_ {
        self.0.iter().filter(|(_, flag)| flag.is_enabled()).map(|(member, _)| member)
    }
    /// What is to be seen of one member: what a read of it alone hands out.
    pub fn seen_of(&self, member: &Bytes) -> SeenMembers {
        self.0.get(member).map(|flag| (member.clone(), flag.seen())).into_iter().collect()
    }
}

/// Nothing was seen of a member that is not named.
fn of(seen: &SeenMembers, member: &Bytes) -> Context {
    seen.get(member).cloned().unwrap_or_default()
}

impl<F: Flag> Cell for Set<F> {
    type Seen = SeenMembers;

    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
        self.0.join(mine, &other.0, theirs);
    }
    fn seen(&self) -> SeenMembers {
        self.0.seen()
    }
    fn remove(&mut self, seen: &SeenMembers) -> Result<Delta<Self>, Refused> {
        Ok(self.0.remove(seen)?.map(Set))
    }
    fn is_bottom(&self) -> bool {
        self.0.is_bottom()
    }
    fn is_absent(&self) -> bool {
        self.members().next().is_none()
    }
    fn dots(&self, each: &mut dyn FnMut(Dot)) {
        self.0.dots(each);
    }
}
