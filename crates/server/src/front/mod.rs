//! What clients speak: the Redis protocol.

mod auth;
mod client;
mod clients;
pub mod codec;
mod connection;
mod describe;
mod failure;
mod hot;
mod info;
mod members;
mod name;
mod own;
mod quorate;
mod receipt;
mod render;
mod repair;
mod settings;
mod shared;
mod slot;
mod tables;
mod transaction;
mod wish;

pub use clients::{Clients, Raised};
pub use connection::Connection;
pub use hot::hot_json;
pub use info::status_json;
pub use repair::repair_json;
pub use shared::{Bounds, Issue, Question, Shared};
