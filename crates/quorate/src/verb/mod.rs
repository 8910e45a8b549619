//! One file per verb.

pub mod bench;
pub mod calc;
pub mod cas;
pub mod check;
pub mod completions;
pub mod del;
pub mod fault;
pub mod get;
pub mod incr;
#[cfg(feature = "lab")]
pub mod lab;
pub mod member;
pub mod node;
pub mod put;
pub mod repair;
pub mod ring;
pub mod scan;
pub mod status;
pub mod table;
pub mod up;
