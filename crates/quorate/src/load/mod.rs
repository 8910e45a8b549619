//! The load generator of `quorate bench`: one thread that polls all connections and spends little on each operation.

mod histogram;
mod run;

pub use histogram::Histogram;
pub use run::{Operation, Plan, Report, run};
