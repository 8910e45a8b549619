//! Flags: on or off, and which of the two wins when both are said concurrently.

use super::dots::cell_of_dots;
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

cell_of_dots!(EnableWins);

cell_of_dots!(DisableWins);
