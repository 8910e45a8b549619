//! A small blocking client: several addresses, deadlines, pipelining, sessions, and retries only where they are safe.
//!
//! ```no_run
//! use quorate_client::{Client, Command, Options};
//! let mut client = Client::new(["127.0.0.1:7379", "127.0.0.1:7380"], Options::default());
//! let reply = client.call(&Command::new(["GET", "greeting"]))?;
//! println!("{reply}");
//! # Ok::<(), quorate_client::Error>(())
//! ```
//!
//! Every [`Error`] says whether the operation was applied. Nothing is retried unless it is a read, was certainly not
//! applied, or carries an idempotency key, so a retry never doubles an effect.

mod client;
mod command;
mod connection;
mod error;
mod reply;

pub use client::{Client, Options};
pub use command::Command;
pub use connection::Connection;
pub use error::{Error, Kind};
pub use quorate_core::operation::Applied;
pub use reply::{DEPTH, Malformed, Reply, frame, parse};
