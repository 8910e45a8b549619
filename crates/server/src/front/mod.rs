//! What clients speak: the Redis protocol.

mod auth;
mod client;
pub mod codec;
mod connection;
mod cursor;
mod describe;
mod failure;
mod info;
mod own;
mod quorate;
mod receipt;
mod registry;
mod render;
mod settings;
mod shared;
mod slot;
mod transaction;
mod wish;

pub use connection::Connection;
pub use info::status_json;
pub use registry::Registry;
pub use shared::{Bounds, Issue, Question, Shared};
