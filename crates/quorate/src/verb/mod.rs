//! One file per verb.

pub mod bench;
pub mod cas;
pub mod completions;
pub mod del;
pub mod get;
pub mod incr;
pub mod put;
pub mod scan;
