//! The Redis protocol as bytes: requests in, values out. Knows nothing of connections.

mod encode;
mod inline;
mod parse;

pub use encode::{Protocol, encode, null_array};
pub use parse::{Bounds, Parser, ProtocolError, number};
