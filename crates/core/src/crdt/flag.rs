//! Flags: on or off, and which of the two wins when both are said concurrently.

use super::{Cell, Delta, DotFun, DotSet, Refused};
use crate::clock::{Context, Dot};
use serde::{Deserialize, Serialize};

/// A cell that is on or off. A new one is off.
pub trait Flag: Cell<Seen = Context> + Default {
    /// Turns it on, in place of what was seen.
    fn enable(&mut self, dot: Dot, seen: &Context) -> Delta<Self>;
    /// Turns it off, in place of what was seen.
    fn disable(&mut self, dot: Dot, seen: &Context) -> Delta<Self>;
    /// Is it on?
    fn is_enabled(&self) -> bool;
}

/// On if some enabling was not seen by any disabling. It is off by holding nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnableWins(DotSet);

/// Off if some disabling was not seen by any enabling. That it was turned off is held, until it is turned on or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DisableWins(DotFun<bool>);

impl Flag for EnableWins {
    fn enable(&mut self, dot: Dot, seen: &Context) -> Delta<Self> {
        self.0.replace(dot, seen, ()).map(EnableWins)
    }
    /// Nothing is held under the dot; it is known from then on.
    fn disable(&mut self, dot: Dot, seen: &Context) -> Delta<Self> {
        self.0.forget(seen);
        let mut context = seen.clone();
        context.insert(dot);
        Delta { cell: EnableWins::default(), context }
    }
    fn is_enabled(&self) -> bool {
        !self.0.is_empty()
    }
}

impl Flag for DisableWins {
    fn enable(&mut self, dot: Dot, seen: &Context) -> Delta<Self> {
        self.0.replace(dot, seen, true).map(DisableWins)
    }
    fn disable(&mut self, dot: Dot, seen: &Context) -> Delta<Self> {
        self.0.replace(dot, seen, false).map(DisableWins)
    }
    fn is_enabled(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, &on)| on)
    }
}

impl Cell for EnableWins {
    type Seen = Context;

    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
        self.0.join(mine, &other.0, theirs);
    }
    fn seen(&self) -> Context {
        self.0.seen()
    }
    fn remove(&mut self, seen: &Context) -> Result<Delta<Self>, Refused> {
        Ok(self.0.remove(seen)?.map(EnableWins))
    }
    fn is_bottom(&self) -> bool {
        self.0.is_bottom()
    }
    fn dots(&self, each: &mut dyn FnMut(Dot)) {
        self.0.dots(each);
    }
}

impl Cell for DisableWins {
    type Seen = Context;

    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
        self.0.join(mine, &other.0, theirs);
    }
    fn seen(&self) -> Context {
        self.0.seen()
    }
    fn remove(&mut self, seen: &Context) -> Result<Delta<Self>, Refused> {
        Ok(self.0.remove(seen)?.map(DisableWins))
    }
    fn is_bottom(&self) -> bool {
        self.0.is_bottom()
    }
    fn dots(&self, each: &mut dyn FnMut(Dot)) {
        self.0.dots(each);
    }
}
