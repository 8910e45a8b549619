//! What clients speak: the Redis protocol.
