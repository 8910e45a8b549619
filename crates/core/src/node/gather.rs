//! Operations over several groups: one part per group, replies put together.

use super::plan::{Gathering, Join};
use super::seat::{Call, Origin};
use super::{Cx, Node};
use crate::guarantee::{Met, Receipt, Session};
use crate::leaderless::{Split, Together};
use crate::mutant::Mutant;
use crate::operation::{Doubt, Operate, Outcome, Value};
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;

/// An operation over several groups that is on its way.
#[derive(Debug)]
pub(super) struct Gather {
    origin: Origin,
    session: Session,
    how: How,
    parts: Vec<Option<Outcome>>,
}

#[derive(Clone, Debug)]
enum How {
    Join(Join),
    /// Parts of one key.
    Together(Together),
    Scan {
        first: u16,
        groups: u16,
        group: u16,
    },
}

impl Node {
    pub(super) fn gather(&mut self, cx: &mut Cx<'_>, gathering: Gathering, call: Call) {
        let (how, groups, operate) = match gathering {
            Gathering::All { first, groups, join } => {
                (How::Join(join), (first..first + groups).collect::<Vec<u16>>(), call.operate)
            }
            Gathering::Scan { first, groups, group, cursor } => {
                let mut operate = call.operate;
                operate.batch.commands[0][1] = Bytes::from(cursor.to_string());
                (How::Scan { first, groups, group }, alloc::vec![group], operate)
            }
        };
        let id = self.next_gather;
        self.next_gather += 1;
        let parts = groups.iter().map(|_| None).collect();
        self.gathers.insert(id, Gather { origin: call.origin, session: operate.session.clone(), how, parts });
        for (part, &group) in groups.iter().enumerate() {
            let origin = Origin::Part { gather: id, part: part as u16 };
            self.calls += 1;
            let operate = Operate::clone(&operate);
            self.route(
                cx,
                Call {
                    origin,
                    operate,
                    until: call.until,
                    order: call.order,
                    pinned: Some(group),
                    doubt: None,
                    sought: false,
                },
            );
        }
    }

    /// Asks the parts of a key that a command concerns.
    pub(super) fn gather_parts(&mut self, cx: &mut Cx<'_>, Split { commands, together }: Split, call: Call) {
        let id = self.next_gather;
        self.next_gather += 1;
        let (parts, session) = (commands.iter().map(|_| None).collect(), call.operate.session.clone());
        self.gathers.insert(id, Gather { origin: call.origin, session, how: How::Together(together), parts });
        for (part, words) in commands.into_iter().enumerate() {
            let mut part = Call { origin: Origin::Part { gather: id, part: part as u16 }, ..call.clone() };
            part.operate.batch.commands = alloc::vec![words];
            self.calls += 1;
            self.route(cx, part);
        }
    }

    pub(super) fn part_answered(&mut self, cx: &mut Cx<'_>, id: u64, part: u16, outcome: Outcome, session: Session) {
        let Some(gather) = self.gathers.get_mut(&id) else { return };
        gather.session.merge(&session);
        gather.parts[usize::from(part)] = Some(outcome);
        if gather.parts.iter().any(Option::is_none) {
            return;
        }
        if let Some(gather) = self.gathers.remove(&id) {
            let mut parts: Vec<Outcome> = gather.parts.into_iter().flatten().collect();
            if self.config.mutants.has(Mutant::GatherWithoutAPart)
                && parts.iter().any(|part| matches!(part, Outcome::Done { .. }))
            {
                parts.retain(|part| matches!(part, Outcome::Done { .. }));
            }
            let outcome = join(&gather.how, parts);
            self.answer(cx, gather.origin, outcome, gather.session);
        }
    }
}

/// The part of which least is known speaks for all; otherwise the values become one, under the weakest receipt.
fn join(how: &How, parts: Vec<Outcome>) -> Outcome {
    let refused = |part: &Outcome| matches!(part, Outcome::Refused(_));
    let wrote = |part: &Outcome| match part {
        Outcome::Done { receipt, .. } | Outcome::Short { receipt, .. } => matches!(receipt.met(), Met::Write(_)),
        Outcome::Unknown(_) => true,
        Outcome::Refused(_) => false,
    };
    if let Some(unknown) = parts.iter().find(|part| matches!(part, Outcome::Unknown(_))) {
        return unknown.clone();
    }
    if let Some(refusal) = parts.iter().find(|part| refused(part)) {
        // Refused is only what was applied nowhere.
        let partly = parts.iter().any(wrote);
        return if partly { Outcome::Unknown(Doubt::Deadline) } else { refusal.clone() };
    }
    if let Some(short) = parts.iter().find(|part| matches!(part, Outcome::Short { .. })) {
        return short.clone();
    }
    let mut values: Vec<Value> = Vec::new();
    let mut weakest: Option<Receipt> = None;
    for part in parts {
        if let Outcome::Done { value, receipt } = part {
            values.push(value);
            let weaker = |than: Receipt| strength(&receipt) < strength(&than);
            if weakest.is_none_or(weaker) {
                weakest = Some(receipt);
            }
        }
    }
    let receipt = weakest.expect("a gathering has at least one part");
    if let Some(error) = values.iter().find(|value| value.is_error()) {
        return Outcome::Done { value: error.clone(), receipt };
    }
    Outcome::Done { value: join_values(how, values), receipt }
}

/// What was met, and then by how many.
fn strength(receipt: &Receipt) -> (u8, usize) {
    let met = match receipt.met() {
        Met::Read(level) => level as u8,
        Met::Write(ack) => ack.map_or(0, |ack| 1 + ack as u8),
    };
    (met, receipt.answered().len())
}

fn join_values(how: &How, values: Vec<Value>) -> Value {
    match how {
        How::Together(together) => together.join(values),
        How::Join(Join::Sum) => {
            Value::Int(values.iter().map(|value| if let Value::Int(number) = value { *number } else { 0 }).sum())
        }
        How::Join(Join::Concatenate) => {
            let items = values.into_iter().flat_map(|value| match value {
                Value::Array(items) => items,
                other => alloc::vec![other],
            });
            Value::Array(items.collect())
        }
        How::Join(Join::AnyOf) => values.into_iter().find(|value| *value != Value::Nil).unwrap_or(Value::Nil),
        How::Join(Join::Same) => values.into_iter().next().unwrap_or(Value::Nil),
        &How::Scan { first, groups, group } => scan_reply((first, groups), group, values),
    }
}

fn scan_reply((first, groups): (u16, u16), group: u16, values: Vec<Value>) -> Value {
    let Some(Value::Array(mut reply)) = values.into_iter().next() else { return Value::Nil };
    if let Some(Value::Bulk(cursor)) = reply.first_mut() {
        let inner: u64 = core::str::from_utf8(cursor).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let place = u64::from(group - first);
        let next = match inner {
            // This group is done: on to the next, if there is one.
            0 if place + 1 < u64::from(groups) => place + 1,
            0 => 0,
            inner => inner * u64::from(groups) + place,
        };
        *cursor = Bytes::from(next.to_string());
    }
    Value::Array(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guarantee::{Ack, NodeSet, Path, Position, Tally, Want};
    use crate::machine::NodeId;
    use crate::operation::Refusal;

    fn receipt(durable: &[u16], ack: Ack) -> Receipt {
        let mut tally = Tally::default();
        durable.iter().for_each(|&node| tally.durable(NodeId(node)));
        let voters = [1, 2, 3].map(NodeId).into_iter().collect::<NodeSet>().into();
        let evidence = tally.settle(Path::Log, Position::default(), NodeId(1), voters);
        evidence.receipt(Want::of_ack(ack), 0)
    }

    /// A write that one group applied and another did not was neither refused nor done.
    #[test]
    fn the_part_of_which_least_is_known_speaks_for_all() {
        let done = |durable: &[u16]| Outcome::Done { value: Value::OK, receipt: receipt(durable, Ack::Majority) };
        let short = Outcome::Short { value: Value::OK, receipt: receipt(&[1, 2], Ack::All) };
        let refused = Outcome::Refused(Refusal::NoLeader);
        let unknown = Outcome::Unknown(Doubt::LeaderLost);
        let join = |parts: &[&Outcome]| join(&How::Join(Join::Same), parts.iter().copied().cloned().collect());
        let (two, three) = (done(&[1, 2]), done(&[1, 2, 3]));
        assert_eq!(join(&[&two, &three]), two);
        assert_eq!(join(&[&three, &two]), two);
        assert_eq!(join(&[&three, &short]), short);
        assert_eq!(join(&[&short, &unknown, &refused]), unknown);
        assert_eq!(join(&[&refused, &refused]), refused);
        assert_eq!(join(&[&refused, &two]), Outcome::Unknown(Doubt::Deadline));
        assert_eq!(join(&[&short, &refused]), Outcome::Unknown(Doubt::Deadline));
    }
}
