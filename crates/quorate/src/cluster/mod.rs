//! Clusters that `quorate up` starts on this machine, and what is known of any cluster.

mod child;
pub mod control;
pub mod each;
pub mod fault;
pub mod hot;
pub mod layout;
pub mod movement;
pub mod observe;
mod show;
pub mod supervise;

pub use show::thousands;
