//! Models of transactions, from read uncommitted to strict serializable.

use crate::{History, Judged, Meter};

pub(crate) fn read_uncommitted(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn read_committed(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn read_atomic(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn monotonic_atomic_view(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn causal(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn snapshot_isolation(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn repeatable_read(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn serializable(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn strong_session_serializable(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn strict_serializable(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}
