//! Operations over several groups: one part per group, replies put together.

use super::plan::{Gathering, Join};
use super::seat::{Call, Origin};
use super::{Cx, Node};
use crate::guarantee::{Receipt, Session};
use crate::operation::{Operate, Outcome, Value};
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

#[derive(Clone, Copy, Debug)]
enum How {
    Join(Join),
    Scan { first: u16, groups: u16, group: u16 },
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
            self.route(cx, Call { origin, operate, until: call.until, pinned: Some(group) });
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
            let outcome = join(gather.how, gather.parts.into_iter().flatten());
            self.answer(cx, gather.origin, outcome, gather.session);
        }
    }
}

/// The first part that was not done speaks for all; otherwise the values become one, under the receipt of the last.
fn join(how: How, parts: impl Iterator<Item = Outcome>) -> Outcome {
    let mut values: Vec<Value> = Vec::new();
    let mut last: Option<Receipt> = None;
    for part in parts {
        match part {
            Outcome::Done { value, receipt } => {
                values.push(value);
                last = Some(receipt);
            }
            Outcome::Refused(_) | Outcome::Short { .. } | Outcome::Unknown(_) => return part,
        }
    }
    let receipt = last.expect("a gathering has at least one part");
    if let Some(error) = values.iter().find(|value| value.is_error()) {
        return Outcome::Done { value: error.clone(), receipt };
    }
    Outcome::Done { value: join_values(how, values), receipt }
}

fn join_values(how: How, values: Vec<Value>) -> Value {
    match how {
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
        How::Scan { first, groups, group } => scan_reply((first, groups), group, values),
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
