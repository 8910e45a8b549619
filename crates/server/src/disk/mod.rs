//! The data directory: identity, lock, journal, overlay and base.
