//! Do receipts tell the truth, and does an idempotency key have one outcome?

use super::Judge;
use crate::digest::Digest;
use crate::failure::Kind;
use crate::simulator::Simulator;
use crate::subject::{base_on_disk, entry_on_disk};
use bytes::Bytes;
use quorate_core::consensus::Payload;
use quorate_core::guarantee::{Ack, Met, NodeSet, Path, Position, Receipt};
use quorate_core::machine::NodeId;
use quorate_core::node::Node;
use quorate_core::operation::{Operate, Value};

/// A reply that a client got.
pub struct Claim<'a> {
    /// What was asked in the attempt that was answered.
    pub operate: &'a Operate,
    /// When that attempt began, in microseconds.
    pub start_us: u64,
    /// The result.
    pub value: &'a Value,
    /// The receipt.
    pub receipt: &'a Receipt,
    /// The reply claims that the guarantee asked for was met.
    pub done: bool,
}

/// The first reply under an idempotency key.
#[derive(Clone, Debug)]
pub(super) struct FirstReply {
    value: Value,
    position: Position,
}

impl Judge {
    /// Judges a reply at the moment when the client gets it.
    pub fn judge_reply(&mut self, simulator: &Simulator<Node>, claim: &Claim<'_>) {
        let broken = match claim.receipt.path() {
            Path::Log => self.write_lie(simulator, claim),
            Path::LeaderRound
            | Path::SessionReplica
            | Path::Replica
            | Path::QuorumRead
            | Path::WriteBack
            | Path::PaxosRead => read_lie(simulator, claim),
            // It says that they answered an earlier read.
            Path::QuorumWrite | Path::PaxosWrite | Path::JoinedRead => None,
        };
        if let Some(round) = claim.receipt.round() {
            self.judge_round(simulator, claim, round);
        }
        let in_log = claim.receipt.round().is_none();
        let broken = broken.or_else(|| self.asked_lie(claim).filter(|_| in_log)).filter(|_| !self.blind_to_receipts);
        if let Some((kind, detail)) = broken.or_else(|| if in_log { self.second_outcome(claim) } else { None }) {
            self.accuse(simulator.now_us(), kind, format!("{detail}\n  {:?}", claim.receipt));
        }
    }

    fn write_lie(&self, simulator: &Simulator<Node>, claim: &Claim<'_>) -> Option<(Kind, String)> {
        let receipt = claim.receipt;
        let Position { group, term, index } = receipt.position();
        let strong = matches!(receipt.met(), Met::Write(ack) if ack >= Some(Ack::Majority));
        let committed = self.records.get(&group).and_then(|record| record.committed.get(&index));
        if strong && committed.is_none_or(|committed| committed.term != term) {
            let found = committed.map(|committed| committed.term);
            let detail = format!("the log of group {group} holds term {found:?} at {index}, not {term}");
            return Some((Kind::AcknowledgedLost, detail));
        }
        if strong && !receipt.replayed() && !self.carries(receipt.position(), claim.operate) {
            return Some((Kind::ReceiptLies, format!("entry {index} of group {group} is another operation")));
        }
        if receipt.replayed() {
            // The holders are those of the entry that repeated the key, which the receipt does not name.
            return None;
        }
        let held = |node: &NodeId| self.records.get(&group).is_some_and(|it| it.held.contains(&(*node, index, term)));
        let lying = receipt.durable().iter().find(|node| !holds(simulator, *node, receipt.position()) && !held(node));
        lying.map(|node| {
            (Kind::ReceiptLies, format!("node {} does not hold entry {index} of group {group} durably", node.0))
        })
    }

    /// Does the entry at a position carry this operation?
    fn carries(&self, position: Position, operate: &Operate) -> bool {
        let Ok(batch) = postcard::to_allocvec(&operate.batch) else { return false };
        let known = self.records.get(&position.group).and_then(|it| it.known.get(&(position.index, position.term)));
        known.is_some_and(|(_, carried)| *carried == Digest::of(&Payload::Batch(Bytes::from(batch))))
    }

    /// Replays of one idempotency key give the first value and position.
    fn second_outcome(&mut self, claim: &Claim<'_>) -> Option<(Kind, String)> {
        let batch = &claim.operate.batch;
        // A key that is used with another command hears an error, and that is no outcome of the first.
        let key: (Bytes, u64) = (batch.idempotency.as_ref()?.0.clone(), Digest::of(&batch.commands));
        let position = claim.receipt.position();
        let Some(first) = self.replies.get(&key) else {
            self.replies.insert(key, FirstReply { value: claim.value.clone(), position });
            return None;
        };
        (first.value != *claim.value || first.position != position).then(|| {
            let detail = format!(
                "key {}: first {:?} at {:?}, then {:?} at {position:?}",
                String::from_utf8_lossy(&key.0),
                first.value,
                first.position,
                claim.value
            );
            (Kind::TwoOutcomes, detail)
        })
    }

    /// What was asked is what the receipt says was asked, and a reply that is done met it.
    fn asked_lie(&self, claim: &Claim<'_>) -> Option<(Kind, String)> {
        let (receipt, want) = (claim.receipt, claim.operate.want);
        if receipt.asked() != want {
            return Some((Kind::ReceiptLies, format!("asked {want:?}, and the receipt says {:?}", receipt.asked())));
        }
        let majority =
            |nodes: NodeSet| self.some_membership(receipt, |half| 2 * nodes.intersection(half).len() > half.len());
        let all = |nodes: NodeSet| self.some_membership(receipt, |half| nodes.intersection(half) == half);
        let supported = match receipt.met() {
            Met::Write(None) => true,
            Met::Write(Some(Ack::Leader)) => !receipt.durable().is_empty(),
            Met::Write(Some(Ack::One)) => receipt.durable().len() > 1 || receipt.members() == 1,
            Met::Write(Some(Ack::Majority)) => majority(receipt.durable()),
            Met::Write(Some(Ack::All)) => all(receipt.durable()),
            Met::Read(quorate_core::guarantee::Level::Linearizable) => majority(receipt.answered()),
            Met::Read(_) => true,
        };
        if !supported {
            return Some((Kind::ReceiptLies, format!("{:?} is more than the nodes named support", receipt.met())));
        }
        let met = match receipt.met() {
            Met::Write(ack) => ack >= Some(want.ack()),
            Met::Read(level) => level >= want.level(),
        };
        (met != claim.done).then(|| (Kind::ReceiptLies, "done and met do not agree".to_string()))
    }

    /// Is there a membership with as many voters as the receipt says, each half of which passes?
    fn some_membership(&self, receipt: &Receipt, passes: impl Fn(NodeSet) -> bool) -> bool {
        let known = self.records.get(&receipt.position().group).map(|record| &record.members.known);
        known.into_iter().flatten().any(|members| {
            let halves = [members.voters, members.outgoing];
            let voters = halves[0].union(halves[1]).len();
            voters == usize::from(receipt.members()) && halves.into_iter().filter(|half| !half.is_empty()).all(&passes)
        })
    }
}

fn read_lie(simulator: &Simulator<Node>, claim: &Claim<'_>) -> Option<(Kind, String)> {
    let receipt = claim.receipt;
    let idle = |node: &NodeId| simulator.stepped_us(*node).is_none_or(|at_us| at_us < claim.start_us);
    if let Some(node) = receipt.answered().iter().find(idle) {
        let detail = format!("node {} consumed nothing since the read began, so it did not answer", node.0);
        return Some((Kind::ReceiptLies, detail));
    }
    // A proposer is not one of those that it needs.
    (receipt.path() != Path::PaxosRead && !receipt.answered().contains(receipt.served_by()))
        .then(|| (Kind::ReceiptLies, "the node that served is not among those that answered".to_string()))
}

/// Would the entry survive on the node if the power went now? An entry that a later leader's entry replaced, or that is
/// compacted, was there. One that was cut off while the answer was on its way is in the judge's record.
fn holds(simulator: &Simulator<Node>, node: NodeId, position: Position) -> bool {
    let disk = simulator.disk(node).survivor();
    match entry_on_disk(&disk, position.group, position.index) {
        Some(entry) => entry.term >= position.term,
        None => base_on_disk(&disk, position.group) >= position.index,
    }
}
