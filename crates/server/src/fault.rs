//! Faults injected on this node's outgoing links, for test clusters only.

use quorate_core::machine::NodeId;
use std::collections::BTreeMap;

/// What happens to messages to one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LinkRule {
    /// Nothing gets through.
    pub cut: bool,
    /// This many of a thousand messages are lost.
    pub drop_per_mille: u16,
    /// Messages leave this much later, in milliseconds.
    pub delay_ms: u32,
}

/// The rules by peer. A peer that is missing has a healthy link.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LinkRules(pub BTreeMap<u16, LinkRule>);

impl LinkRules {
    /// The rule for a peer.
    pub fn to(&self, peer: NodeId) -> LinkRule {
        self.0.get(&peer.0).copied().unwrap_or_default()
    }
}
