//! Do receipts of leaderless tables tell the truth? Each node that is said to hold a write must hold it on its disk at this moment,
//! and what was met must follow from who answered.

use crate::failure::Kind;
use crate::fault::Fault;
use crate::judge::{Claim, Judge};
use crate::simulator::Simulator;
use quorate_core::catalogue::LeaderlessSpec;
use quorate_core::crdt::{AnyCell, Cell, Leaf};
use quorate_core::guarantee::{Ack, Level, Met, Path, Receipt, Round, Want};
use quorate_core::leaderless::kept_at;
use quorate_core::limits::CLOCK_OFF_MS;
use quorate_core::machine::NodeId;
use quorate_core::node::Node;

impl Judge {
    /// Judges a reply of a leaderless table at the moment when the client gets it.
    pub(in crate::judge) fn judge_round(&mut self, simulator: &Simulator<Node>, claim: &Claim<'_>, round: Round) {
        let spec = simulator.nodes().find_map(|node| {
            let catalogue = simulator.machine(node)?.catalogue();
            catalogue.table(claim.operate.batch.table)?.shape.leaderless().cloned()
        });
        let Some(spec) = spec else { return };
        let lie = holder_lie(simulator, claim, round, &spec).or_else(|| rule_lie(claim, round, &spec));
        if let Some(detail) = far_stamp(simulator, claim, round) {
            self.accuse(simulator.now_us(), Kind::FarStamp, format!("{detail}\n  {:?}", claim.receipt));
        }
        if let Some(detail) = lie.filter(|_| !self.blind_to_receipts) {
            self.accuse(simulator.now_us(), Kind::ReceiptLies, format!("{detail}\n  {:?}", claim.receipt));
        }
    }
}

/// Somebody is named who does not hold the write.
fn holder_lie(simulator: &Simulator<Node>, claim: &Claim<'_>, round: Round, spec: &LeaderlessSpec) -> Option<String> {
    let dot = round.dot?;
    let batch = &claim.operate.batch;
    // Of a key in parts the receipt is about one.
    let mut kept = kept_at(spec, batch.commands.first()?.get(1)?).into_iter();
    let key = &kept.find(|key| spec.division.range_of(key).0 == round.range)?;
    // Any node that is up can read the disk of any other.
    let machines = simulator.nodes().filter_map(|node| simulator.machine(node));
    let newest = machines.max_by_key(|machine| machine.catalogue().version())?;
    let reader = newest.leaderless();
    // Who has handed the key on meanwhile need not hold it.
    let replicas = reader.replicas(batch.table, key);
    let knows = |node| reader.peek(&simulator.disk(node).survivor(), batch.table, key);
    let holds = |node| knows(node).is_none_or(|state| state.context.contains(dot));
    // Whose disk went while the call was on its way may have held it.
    let lost = |node| simulator.replaced.iter().any(|&(at, of)| of == node && at >= claim.start_us);
    let lying = claim.receipt.durable().iter().find(|&node| replicas.contains(&node) && !holds(node) && !lost(node))?;
    Some(format!("node {} does not hold the event {dot:?} durably", lying.0))
}

/// A replica whose clock was never wrong confirmed a stamp that it must not believe.
fn far_stamp(simulator: &Simulator<Node>, claim: &Claim<'_>, round: Round) -> Option<String> {
    // What a majority agreed on has an order of its own, whatever its stamp.
    let plain = claim.receipt.path() != Path::PaxosWrite;
    let (dot, batch) = (round.dot.filter(|_| plain)?, &claim.operate.batch);
    let key = batch.commands.first()?.get(1)?;
    let wrong = |node: NodeId| {
        let is = |fault: &Fault| matches!(fault, Fault::Skew(other, _) | Fault::Drift(other, _) if *other == node);
        simulator.struck.iter().any(|(_, fault)| is(fault))
    };
    let others = claim.receipt.durable().iter().filter(|&node| node != claim.receipt.served_by() && !wrong(node));
    others.into_iter().find_map(|node| {
        let state = simulator.machine(node)?.leaderless().peek(simulator.disk(node), batch.table, key)?;
        let AnyCell::Leaf(Leaf::Latest(cell)) = &state.cell else { return None };
        let mut alone = true;
        cell.dots(&mut |other| alone &= other == dot);
        let stamp = cell.read().filter(|_| alone)?.stamp;
        let now_ms = simulator.clock(node).now(simulator.now_us()).wall.latest_ms;
        let far = stamp.time_ms > now_ms + CLOCK_OFF_MS;
        far.then(|| format!("node {} confirmed a stamp that is {} ms ahead", node.0, stamp.time_ms - now_ms))
    })
}

/// The numbers are not those of the rule, or do not support what is said to be met.
fn rule_lie(claim: &Claim<'_>, round: Round, spec: &LeaderlessSpec) -> Option<String> {
    let (receipt, want) = (claim.receipt, claim.operate.want);
    if receipt.asked() != want {
        return Some(format!("asked {want:?}, and the receipt says {:?}", receipt.asked()));
    }
    let replicas = spec.rule.replicas();
    if receipt.members() != u16::from(replicas) {
        return Some(format!("there are {replicas} replicas, and the receipt says {}", receipt.members()));
    }
    let writes = matches!(receipt.path(), Path::QuorumWrite | Path::PaxosWrite);
    let (needed, opposite) = asked_for(want, receipt.path(), spec);
    // An error of a write is the result of a read, and was held to the rule of the table.
    let error = claim.value.is_error();
    if !error && (round.needed, round.opposite) != (needed, opposite) {
        return Some(format!("{needed} had to answer, against {opposite}, and the receipt says {round:?}"));
    }
    if !supported(receipt, round) {
        return Some(format!("{:?} is more than the nodes named support", receipt.met()));
    }
    let counted = if writes && !round.volatile { receipt.durable() } else { receipt.answered() };
    let enough = counted.len() + round.stand_ins.len() >= usize::from(round.needed);
    let level = match receipt.met() {
        Met::Read(met) => error || met >= want.level.unwrap_or(Level::Eventual),
        Met::Write(_) => true,
    };
    (!error && (enough && level) != claim.done).then(|| "done and met do not agree".to_string())
}

/// How many had to answer, and what the table asks of the other side.
fn asked_for(want: Want, path: Path, spec: &LeaderlessSpec) -> (u8, u8) {
    let rule = spec.rule;
    let (count, majority) = (rule.replicas(), rule.replicas() / 2 + 1);
    // What a majority agreed on it accepted, whatever the table says.
    if path == Path::PaxosRead {
        return (majority, rule.write());
    }
    if matches!(path, Path::QuorumWrite | Path::PaxosWrite) {
        let by_ack = match want.ack {
            None => rule.write(),
            Some(Ack::All) => count,
            Some(Ack::Majority) => majority,
            Some(Ack::Leader | Ack::One) => count.min(2),
        };
        return (if want.quorum.write > 0 { want.quorum.write } else { by_ack }, rule.read());
    }
    let meets_writes = count + 1 - rule.write();
    let by_level = match want.level {
        None => rule.read(),
        Some(Level::Eventual | Level::Session) => 1,
        Some(Level::Regular) => meets_writes,
        Some(Level::Atomic | Level::Linearizable) => meets_writes.max(majority),
    };
    (if want.quorum.read > 0 { want.quorum.read } else { by_level }, rule.write())
}

fn supported(receipt: &Receipt, round: Round) -> bool {
    let (answered, durable) = (receipt.answered().len(), receipt.durable().len());
    let members = usize::from(receipt.members());
    let meets_writes = round.covered && answered + usize::from(round.opposite) > members;
    match receipt.met() {
        Met::Read(Level::Eventual) | Met::Write(None) => true,
        Met::Read(Level::Session) => round.covered,
        Met::Read(Level::Regular) => meets_writes,
        Met::Read(Level::Atomic) => meets_writes && durable + usize::from(round.needed) > members,
        Met::Read(Level::Linearizable) => answered > members / 2,
        Met::Write(Some(Ack::Leader)) => durable > 0,
        Met::Write(Some(Ack::One)) => durable > 1 || members == 1,
        Met::Write(Some(Ack::Majority)) => durable > members / 2,
        Met::Write(Some(Ack::All)) => durable == members,
    }
}
