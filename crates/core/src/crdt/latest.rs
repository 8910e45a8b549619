//! A register that shows the latest of concurrent writes (*lww-register*), and says how many it does not show.

use super::dots::cell_of_dots;
use super::{Cell, Delta, DotFun, Refused};
use crate::clock::{Context, Dot, Stamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The values that no write replaced which saw them; only the one with the greatest stamp is shown.
///
/// The stamp decides between concurrent writes only: a write that saw another replaces it, whatever the clocks said. The
/// others are held until a write or a removal that saw them, because the one that is shown may be removed by somebody who
/// did not see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Latest(DotFun<(Stamp, Bytes)>);

/// What a [`Latest`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shown<'a> {
    /// The value with the greatest stamp.
    pub value: &'a Bytes,
    /// When it was written.
    pub stamp: Stamp,
    /// How many concurrent writes lost to it. No read shows them, unless somebody who did not see them removes this one.
    pub dropped: usize,
}

impl Latest {
    /// Writes a value in place of what was seen. The stamp is of the writer's hybrid clock, once that observed what was seen.
    pub fn write(&mut self, dot: Dot, seen: &Context, stamp: Stamp, value: Bytes) -> Delta<Latest> {
        self.0.replace(dot, seen, (stamp, value)).map(Latest)
    }
    /// The value with the greatest stamp.
    pub fn read(&self) -> Option<Shown<'_>> {
        let (_, (stamp, value)) = self.0.iter().max_by_key(|&(dot, (stamp, _))| (*stamp, dot))?;
        Some(Shown { value, stamp: *stamp, dropped: self.0.len() - 1 })
    }
}

cell_of_dots!(Latest);
