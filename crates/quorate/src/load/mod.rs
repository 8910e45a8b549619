//! The load generator of `quorate bench`: one thread that polls all connections and spends little on each operation.

mod histogram;
mod record;
mod run;

pub use histogram::Histogram;
pub use record::{OPERATIONS, Recorded, STAMP_DIGITS};
pub use run::{Operation, Plan, Report, run};
