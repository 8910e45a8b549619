//! What a script asks of the beats: who suspects whom, and whose clock is out.

use super::{Said, Stage};
use quorate_core::detector::{TO_HAND_OVER, TO_ROUTE_AROUND};
use quorate_core::machine::{Mono, NodeId};
use quorate_core::node::Node;

impl Stage {
    fn node(&self, node: NodeId) -> Option<(&Node, Mono)> {
        let simulator = &self.world.as_ref()?.simulator;
        Some((simulator.machine(node)?, simulator.clock(node).now(simulator.now_us()).mono))
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.world.as_ref().map(|world| world.simulator.nodes().collect()).unwrap_or_default()
    }

    /// Waits until a node suspects another at a level, or no longer does, and says how long that took.
    pub(super) fn wait_suspects(&mut self, node: NodeId, peer: NodeId, level: &str, wanted: bool) -> Said {
        let level: f64 = level.parse().map_err(|_| format!("{level:?} is not a level"))?;
        let (from_us, until_us) = (self.world()?.simulator.now_us(), self.patience()?);
        let so = |stage: &Stage| stage.node(node).is_some_and(|(node, now)| node.suspects(peer, level, now) == wanted);
        let mut held = so(self);
        while !held && self.world()?.simulator.now_us() < until_us {
            // Suspicion grows while nothing happens, so it is looked at every millisecond.
            let soon = self.world()?.simulator.now_us() + 1_000;
            self.play_until(soon, |_| false)?;
            held = so(self);
        }
        let passed_ms = (self.world()?.simulator.now_us() - from_us) / 1_000;
        Ok(vec![if held { format!("after {passed_ms} ms") } else { "waited in vain".to_string() }])
    }

    /// Whom each node suspects, and at which of the levels that have a use.
    pub(super) fn suspects(&mut self) -> Said {
        let nodes = self.nodes();
        let line = |&node: &NodeId| {
            let Some((machine, now)) = self.node(node) else { return format!("{} down", node.0) };
            let suspected = nodes.iter().filter_map(|&peer| {
                let level =
                    [TO_HAND_OVER, TO_ROUTE_AROUND].into_iter().find(|&level| machine.suspects(peer, level, now));
                level.map(|level| format!("{} at {level:.0}", peer.0))
            });
            let suspected: Vec<String> = suspected.collect();
            format!("{} suspects {}", node.0, if suspected.is_empty() { "nobody".into() } else { suspected.join(", ") })
        };
        Ok(nodes.iter().map(line).collect())
    }

    /// What a node knows of the others.
    pub(super) fn peers(&mut self, node: NodeId) -> Said {
        let (machine, now) = self.node(node).ok_or("the node is down")?;
        Ok(machine.status(now).peers.iter().map(|peer| format!("{} {}", peer.node.0, peer.text())).collect())
    }

    /// Which nodes say that their clock is out.
    pub(super) fn clocks(&mut self) -> Said {
        let line = |node: NodeId| {
            let (machine, now) = self.node(node)?;
            Some(format!("{}: {}", node.0, machine.status(now).clock_out?.sentence()))
        };
        let lines: Vec<String> = self.nodes().into_iter().filter_map(line).collect();
        Ok(if lines.is_empty() { vec!["nobody calls its clock out".to_string()] } else { lines })
    }
}
