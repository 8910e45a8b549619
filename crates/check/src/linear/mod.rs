//! Linearizability of every kind of object, and the models of single reads: regular, safe, bounded staleness.

use crate::{History, Judged, Meter};

pub(crate) fn linearizable(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn regular(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn safe(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn bounded_staleness(_history: &History, _bound: u64, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}
