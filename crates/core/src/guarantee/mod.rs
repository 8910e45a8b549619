//! What an operation asks for, what was really met, and the evidence between the two.

mod evidence;
mod level;
mod session;

pub use evidence::{Evidence, Met, NodeSet, Path, Position, Receipt, Tally};
pub use level::{Ack, Level, Want};
pub use session::{Session, SessionError};
