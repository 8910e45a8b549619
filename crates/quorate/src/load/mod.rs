//! The load generator of `quorate bench`: one thread that polls all connections and spends little on each operation.

mod histogram;
mod record;
mod run;
mod template;

pub use histogram::Histogram;
pub use record::{OPERATIONS, Recorded, STAMP_DIGITS};
pub use run::{Plan, Report, run};
pub use template::Operation;
