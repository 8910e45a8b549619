//! What clients speak: the Redis protocol.
pub mod codec;
