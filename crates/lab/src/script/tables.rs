//! Tables in a script: `table N WORDS` asks node N, `tables` says what each node knows.

use super::stage::{Stage, node_id, told};
use bytes::Bytes;
use quorate_core::catalogue::{Catalogue, Shape};
use quorate_core::guarantee::{Session, Want};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::operation::{Batch, Operate, Reply, Request, TableId, Words};
use std::collections::BTreeMap;

/// The patience of a command about tables, in milliseconds.
const DEADLINE_MS: u32 = 2_000;

impl Stage {
    /// `table 2 create carts shape leaderless`, `member 2 set 4 weight 0`.
    pub(super) fn ask_catalogue(&mut self, node: &str, name: &str, rest: &[&str]) -> Result<Vec<String>, String> {
        let node = node_id(node)?;
        let name = Bytes::from(name.to_ascii_uppercase());
        let rest = rest.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
        let words: Words = std::iter::once(name).chain(rest).collect();
        let table = TableId::default();
        let batch = Batch { table, guards: Vec::new(), idempotency: None, commands: vec![words], transaction: false };
        let (want, session) = (Want::default(), Session::default());
        let operate = Operate { batch, want, session, seen: None, after_own_writes: false, deadline_ms: DEADLINE_MS };
        self.next_call += 1;
        let call = CallId(self.next_call);
        let world = self.world()?;
        if world.simulator.machine(node).is_none() {
            return Ok(vec!["the node is down".to_string()]);
        }
        let start = world.simulator.now_us() + 1;
        world.simulator.call(start, node, call, Request::Operate(operate));
        self.about_tables.insert(call, None);
        let until = self.patience()?;
        let said = |stage: &Stage| stage.about_tables.get(&call).cloned().flatten();
        self.play_until(until, |stage| said(stage).is_some())?;
        Ok(vec![said(self).unwrap_or_else(|| "no answer".to_string())])
    }

    /// The tables whose data move, as the nodes see it.
    pub(super) fn moves(&mut self) -> Result<Vec<String>, String> {
        let simulator = &self.world()?.simulator;
        let mut lines = Vec::new();
        for node in simulator.nodes() {
            for table in simulator.machine(node).map(|machine| machine.moves()).unwrap_or_default() {
                let awaited: Vec<String> = table.awaited.iter().map(|node| node.0.to_string()).collect();
                let (done, of) = table.compared;
                lines.push(format!(
                    "{}: {} waits for {}; compared {done} of {of}, leaving {}",
                    node.0,
                    table.name,
                    if awaited.is_empty() { "nobody".to_string() } else { awaited.join(",") },
                    table.leaving
                ));
            }
        }
        Ok(if lines.is_empty() { vec!["nothing moves".to_string()] } else { lines })
    }

    /// What each node knows of tables and lives.
    pub(super) fn tables(&mut self) -> Result<Vec<String>, String> {
        let world = self.world()?;
        let nodes: Vec<NodeId> = world.simulator.nodes().collect();
        let line = |node: NodeId| match world.simulator.machine(node) {
            None => format!("{} down", node.0),
            Some(machine) => {
                let own = machine.actor().map_or_else(|| "nobody".to_string(), |actor| actor.to_string());
                format!("{} writes as {own}, knows {}", node.0, shown(machine.catalogue()))
            }
        };
        Ok(nodes.iter().map(|&node| line(node)).collect())
    }
}

/// A call that may have been about tables is answered. The histories of keys have no part in it.
pub(super) fn answered(asked: &mut BTreeMap<CallId, Option<String>>, call: CallId, reply: &Reply) {
    if let (Some(said), Reply::Operated { outcome, .. }) = (asked.get_mut(&call), reply) {
        *said = Some(told(outcome));
    }
}

fn shown(catalogue: &Catalogue) -> String {
    let table = |(id, spec): (TableId, &quorate_core::catalogue::TableSpec)| match &spec.shape {
        Shape::Consensus => format!("{}={} consensus", id.0, spec.name),
        Shape::Leaderless(policy) => {
            let rule = policy.rule;
            format!("{}={} {} of {}/{}", id.0, spec.name, policy.kind.word(), rule.read(), rule.write())
        }
    };
    let tables: Vec<String> = catalogue.tables().map(table).collect();
    if tables.is_empty() { "no tables".to_string() } else { tables.join(", ") }
}
