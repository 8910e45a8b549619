//! The event loop: sockets and disk on one side, the machine on the other.
