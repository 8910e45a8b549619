//! Models that respect the order within sessions: the four session guarantees, PRAM, the causal models, sequential consistency, convergence.

use crate::{History, Judged, Meter};

pub(crate) fn sequential(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn read_your_writes(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn monotonic_reads(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn monotonic_writes(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn writes_follow_reads(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn pram(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn weak_causal(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn causal_memory(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn causal_convergence(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn eventual_convergence(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn strong_eventual(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}
