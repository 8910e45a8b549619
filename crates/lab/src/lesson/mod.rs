//! Small machines of their own: lessons, and the proof that the simulator and its judges catch what they should.

pub mod register;
pub mod silence;
pub mod trial;
