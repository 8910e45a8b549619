//! Rows that do not name their process.

use crate::Datum;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Gives each operation that overlaps others a process of its own, and finds the operation that a row ends: the only open
/// one of its function.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    free: Vec<u32>,
    count: u32,
    open: FxHashMap<Arc<str>, Vec<u32>>,
}

impl Lanes {
    /// The process for an operation that begins.
    pub(super) fn begin(&mut self, function: &Arc<str>) -> Datum {
        let lane = self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        });
        self.open.entry(function.clone()).or_default().push(lane);
        name(lane)
    }

    /// The process of the operation that ends.
    pub(super) fn end(&mut self, function: &str) -> Result<Datum, String> {
        let open = self.open.get_mut(function).filter(|open| !open.is_empty());
        let Some(open) = open else {
            return Err(format!("an operation {function:?} ends here that did not begin (no row names its process)"));
        };
        if open.len() > 1 {
            return Err(format!(
                "{} operations {function:?} have begun; without a process nobody knows which ends",
                open.len()
            ));
        }
        let lane = open.remove(0);
        self.free.push(lane);
        Ok(name(lane))
    }
}

/// The first has no name, as in the file.
fn name(lane: u32) -> Datum {
    match lane {
        0 => Datum::Nil,
        lane => Datum::List(vec![Datum::Nil, "lane".into(), i64::from(lane).into()]),
    }
}
