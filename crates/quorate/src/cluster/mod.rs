//! Clusters that `quorate up` starts on this machine.

pub mod fault;
