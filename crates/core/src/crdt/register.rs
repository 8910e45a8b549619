//! A register that keeps concurrent writes as siblings (*mv-register*), as riak does with dotted version vectors.

use super::dots::cell_of_dots;
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

cell_of_dots!(Register);
