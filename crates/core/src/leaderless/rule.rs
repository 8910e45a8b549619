//! Which answers an operation waits for: what it names, or else what its table says.

use super::parts::{Need, Parts, Side};
use crate::guarantee::{Ack, Level, Want};
use crate::operation::Refusal;
use alloc::format;
use alloc::string::ToString;

/// The rule that one operation is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// R of this operation.
    pub(super) read: u8,
    /// So many must answer a read where the data are going to, as it could not miss a write that is acknowledged there: who has not heard that
    /// the movement is over, hears of it from one of these. 0 if the range does not move, or the read may miss writes.
    pub(super) fence: u8,
    /// W of this operation.
    pub(super) write: Need,
    /// What a read found must be held by so many before it is answered, so that every later read meets it.
    pub(super) write_back: Option<Need>,
    /// The level of a read, if it names one.
    pub(super) level: Option<Level>,
    pub(super) volatile: bool,
    pub(super) sloppy: bool,
}

impl Rules {
    /// The session must be covered before a read is answered.
    pub(super) fn waits_for_session(&self) -> bool {
        self.level.is_some_and(|level| level >= Level::Session)
    }
}

/// Decides before anything starts.
///
/// # Errors
/// If the table cannot give what is asked; the sentence says why.
pub(super) fn resolve(parts: &Parts, want: Want, writes: bool) -> Result<Rules, Refusal> {
    let refuse = |why: alloc::string::String| Err(Refusal::Impossible(why));
    let count = parts.now.rule.replicas();
    let replicas = parts.now.nodes.len();
    if replicas < usize::from(count) {
        return refuse(format!("the table wants {count} replicas, and the cluster has {replicas} nodes"));
    }
    let quorum = want.quorum;
    for (name, number) in [("r", quorum.read), ("w", quorum.write)] {
        if number > count {
            return refuse(format!("{name}={number} is more than the {count} replicas of the table"));
        }
    }
    let now = resolve_side(parts.now, want, writes)?;
    let from = match parts.from {
        Some(side) => resolve_side(side, want, writes)?,
        None => now,
    };
    let strict = match want.level {
        None => from.read + parts.full().rule.write() > parts.full().rule.replicas(),
        Some(Level::Eventual | Level::Session) => false,
        Some(Level::Regular | Level::Atomic | Level::Linearizable) => true,
    };
    let fence = if parts.from.is_some() && strict && !writes { count + 1 - parts.now.rule.write() } else { 0 };
    // What a read finds is where all data are; what is written is to be found in both places.
    Ok(Rules {
        read: from.read,
        fence,
        write: Need { now: now.write, from: from.write },
        write_back: (want.level == Some(Level::Atomic)).then_some(Need {
            now: parts.now.rule.replicas() + 1 - now.read,
            from: parts.full().rule.replicas() + 1 - from.read,
        }),
        level: want.level,
        volatile: quorum.volatile,
        sloppy: quorum.sloppy,
    })
}

/// R and W of one place.
#[derive(Clone, Copy, Debug)]
struct Counts {
    read: u8,
    write: u8,
}

fn resolve_side(side: Side, want: Want, writes: bool) -> Result<Counts, Refusal> {
    let refuse = |why: alloc::string::String| Err(Refusal::Impossible(why));
    let (rule, quorum) = (side.rule, want.quorum);
    let count = rule.replicas();
    let named = |number: u8| (number > 0).then_some(number.min(count));
    let write = match (named(quorum.write), want.ack) {
        (Some(write), _) => write,
        (None, None) => rule.write(),
        (None, Some(Ack::All)) => count,
        (None, Some(Ack::Majority)) => count / 2 + 1,
        (None, Some(Ack::One)) => count.min(2),
        (None, Some(Ack::Leader)) => return refuse("a leaderless table has no leader; name w=1".to_string()),
    };
    let meets_writes = count + 1 - rule.write();
    let read = match (want.level, named(quorum.read)) {
        (None, read) => read.unwrap_or_else(|| rule.read()),
        (Some(Level::Eventual | Level::Session), read) => read.unwrap_or(1),
        (Some(level @ (Level::Regular | Level::Atomic)), Some(read)) if read < meets_writes => {
            return refuse(format!(
                "{} reads need R + W > N: the table writes to {} of {count}, so r must be at least {meets_writes}",
                level.word(),
                rule.write()
            ));
        }
        (Some(Level::Regular), read) => read.unwrap_or(meets_writes),
        // Two reads must meet, too: what one wrote back the next must find.
        (Some(Level::Atomic), read) => read.unwrap_or(meets_writes.max(count / 2 + 1)),
        // A write reads as its table says; a read is agreed on by a majority.
        (Some(Level::Linearizable), _) if writes => rule.read(),
        (Some(Level::Linearizable), _) => count / 2 + 1,
    };
    Ok(Counts { read, write })
}
