//! A register that keeps concurrent writes as siblings (*mv-register*), as riak does with dotted version vectors.

use super::{Cell, Delta, DotFun, Refused};
use crate::clock::{Context, Dot};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The values that no write replaced which saw them. More than one if they were written concurrently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Register(DotFun<Bytes>);

impl Register {
    /// Writes a value in place of what was seen; what was not seen stays beside it.
    pub fn write(&mut self, dot: Dot, seen: &Context, value: Bytes) -> Delta<Register> {
        self.0.replace(dot, seen, value).map(Register)
    }
    /// The siblings, in the order of their dots. The next write hands back [`Cell::seen`] of this read.
    pub fn siblings(&self) -> impl Iterator<Item = &Bytes> + '_ {
        self.0.iter().map(|(_, value)| value)
    }
}

impl Cell for Register {
    type Seen = Context;

    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context) {
        self.0.join(mine, &other.0, theirs);
    }
    fn seen(&self) -> Context {
        self.0.seen()
    }
    fn remove(&mut self, seen: &Context) -> Result<Delta<Self>, Refused> {
        Ok(self.0.remove(seen)?.map(Register))
    }
    fn is_bottom(&self) -> bool {
        self.0.is_bottom()
    }
    fn dots(&self, each: &mut dyn FnMut(Dot)) {
        self.0.dots(each);
    }
}
