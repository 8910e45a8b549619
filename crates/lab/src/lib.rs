//! The lab: a deterministic simulator around any machine, faults, judges outside the node, and mutants that prove that
//! the judges notice.
//!
//! Everything is a function of a seed. A seed is a bug report.

pub mod check;
pub mod digest;
pub mod experiment;
pub mod failure;
pub mod fault;
pub mod judge;
pub mod laws;
pub mod lesson;
pub mod mutant;
pub mod recording;
pub mod script;
pub mod simulator;
pub mod subject;
pub mod vopr;
pub mod workload;
pub mod world;
