//! Properties of single kinds of objects that need no order of all operations.

use crate::{History, Judged, Meter};

pub(crate) fn set(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn delivery(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn counter(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn bank(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn mutual_exclusion(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn fencing(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}

pub(crate) fn unique_ids(_history: &History, _meter: &mut Meter<'_>) -> Judged {
    todo!()
}
