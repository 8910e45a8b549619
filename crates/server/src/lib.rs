//! The real node: one event loop around the pure machine, its disk, its peers and its clients.

pub mod config;
pub mod disk;
pub mod driver;
pub mod fault;
pub mod front;
pub mod fuzz;
pub mod handle;
pub mod http;
pub mod metrics;
pub mod peer;
mod receipt;
pub mod server;
mod slab;
mod token;
