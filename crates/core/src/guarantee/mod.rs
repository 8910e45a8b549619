//! What an operation asks for, what was really met, and the evidence between the two.

mod events;
mod evidence;
mod level;
mod session;

pub use evidence::{Evidence, Met, NodeSet, Path, Position, Receipt, Round, Tally, Voters};
pub use level::{Ack, Level, Quorum, Want};
pub use session::{Session, SessionError};
