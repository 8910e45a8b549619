//! The consensus room.

use serde::{Deserialize, Serialize};

/// What members of a group tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {}
