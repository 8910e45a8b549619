//! A cluster of real nodes, its clients and its judge, moving together.

use crate::judge::Judge;
use crate::replicas::Clients;
use crate::simulator::{Happening, Simulator};
use crate::workload::Workload;
use quorate_core::machine::NodeId;
use quorate_core::node::Node;

/// Everything that happens in one run.
pub struct World {
    /// The cluster.
    pub simulator: Simulator<Node>,
    /// The clients.
    pub workload: Workload,
    /// The clients of leaderless tables, if there are such tables.
    pub replicas: Option<Clients>,
    /// The judge.
    pub judge: Judge,
    observed: u64,
}

/// The judge compares all logs and states once in so many events.
const CHECKPOINT_EVENTS: u64 = 4_000;

impl World {
    /// Puts the three together.
    pub fn new(simulator: Simulator<Node>, workload: Workload) -> World {
        World { simulator, workload, replicas: None, judge: Judge::default(), observed: 0 }
    }

    /// Runs until a time, or until a promise is broken. True if none was.
    pub fn run_until(&mut self, until_us: u64) -> bool {
        loop {
            let replicas_at = self.replicas.as_ref().and_then(Clients::next_at).unwrap_or(u64::MAX);
            let client_at = self.workload.next_at().unwrap_or(u64::MAX).min(replicas_at);
            let event_at = self.simulator.next_at().unwrap_or(u64::MAX);
            if client_at.min(event_at) > until_us {
                self.simulator.idle_until(until_us);
                return self.judge.failure().is_none();
            }
            if event_at <= client_at {
                let happening = self.simulator.advance();
                self.note(happening);
            } else {
                self.simulator.idle_until(client_at);
                self.workload.act(&mut self.simulator);
                if let Some(replicas) = &mut self.replicas {
                    replicas.act(&mut self.simulator);
                }
            }
            if self.judge.failure().is_some() {
                return false;
            }
        }
    }

    /// Lets the judge and the clients see what an event did.
    pub fn note(&mut self, happening: Happening) {
        self.judge.observe(&self.simulator, happening);
        if let Happening::Crashed(node) = happening {
            self.workload.crashed(self.simulator.now_us(), node);
            if let Some(replicas) = &mut self.replicas {
                replicas.crashed(self.simulator.now_us(), node);
            }
        }
        if !self.simulator.answers.is_empty() {
            self.hear();
        }
        self.observed += 1;
        if self.observed.is_multiple_of(CHECKPOINT_EVENTS) {
            self.checkpoint();
        }
    }

    fn hear(&mut self) {
        if let Some(replicas) = &mut self.replicas {
            let answers = std::mem::take(&mut self.simulator.answers);
            let (simulator, judge) = (&self.simulator, &mut self.judge);
            let others =
                answers.into_iter().filter(|it| !replicas.hear(it.call, &it.reply, simulator, judge)).collect();
            self.simulator.answers = others;
        }
        self.workload.hear(&mut self.simulator, &mut self.judge);
    }

    /// The judge compares all logs, states and replicas.
    pub fn checkpoint(&mut self) {
        self.judge.checkpoint(&self.simulator);
        for (table, key) in self.replicas.iter().flat_map(Clients::keys) {
            self.judge.judge_replicas(&self.simulator, table, &key);
        }
    }

    /// Is nothing under way that a client asked for?
    pub fn is_idle(&self) -> bool {
        self.workload.is_idle() && self.replicas.as_ref().is_none_or(Clients::is_idle)
    }

    /// Has every group on these nodes applied the same index, and nothing open?
    pub fn is_level(&self, nodes: &[NodeId]) -> bool {
        let positions = |node: &NodeId| -> Option<Vec<(u64, u64)>> {
            let machine = self.simulator.machine(*node)?;
            Some(machine.groups().map(|(_, group)| (group.log().last().index, group.applied().at.index)).collect())
        };
        let Some(first) = nodes.first().and_then(positions) else { return false };
        first.iter().all(|(last, applied)| last == applied)
            && nodes.iter().all(|node| positions(node).as_ref() == Some(&first))
    }
}
