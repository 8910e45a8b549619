//! Witnesses: the circle, what it is called, and the transactions without which it would not be one.

use super::graph::{Builder, Kind, Link, Ways};
use super::log::{Fault, Log, NONE};
use super::{Base, Level, Rules, base, dependency};
use crate::{Anomaly, Id, Object, Operation, Witness};

pub(super) fn of_fault(log: &Log<'_>, fault: &Fault) -> Witness {
    Witness { anomaly: fault.anomaly, operations: log.closure(&fault.operations), edges: fault.edges.clone() }
}

/// Of a circle, and other transactions from which its edges follow.
pub(super) fn of_circle(log: &Log<'_>, level: Level, links: &[Link], support: &[u32]) -> Witness {
    let links = joined(log, links);
    let mut operations = support.to_vec();
    operations.extend(links.iter().map(|link| link.from));
    for &link in &links {
        operations.extend((link.by != NONE).then_some(link.by));
        if link.kind == Kind::Overwrites && log.history.object() == Object::ListAppend {
            operations.push(shower(log, link));
        }
        match link.kind {
            Kind::ForcedWrite if level == Level::Causal => operations.extend(causes(log, link.from, link.by)),
            Kind::Overtaken if level == Level::Causal => operations.extend(causes(log, link.to, link.from)),
            _ => {}
        }
    }
    let edges = links.iter().map(|link| link.edge()).collect();
    Witness { anomaly: name(log, level, &links), operations: log.closure(&operations), edges }
}

/// Neighbouring edges of session or time as one, if they are.
fn joined(log: &Log<'_>, links: &[Link]) -> Vec<Link> {
    let operation = |transaction: u32| -> &Operation { log.history.operation(Id(transaction)) };
    let mut joined: Vec<Link> = Vec::new();
    let start = links.iter().position(|link| !matches!(link.kind, Kind::Session | Kind::RealTime)).unwrap_or(0);
    for &link in links[start..].iter().chain(&links[..start]) {
        let Some(last) = joined.last_mut() else {
            joined.push(link);
            continue;
        };
        let are_base = |link: &Link| matches!(link.kind, Kind::Session | Kind::RealTime);
        let (from, to) = (operation(last.from), operation(link.to));
        if last.kind == Kind::Session && link.kind == Kind::Session {
            last.to = link.to;
        } else if are_base(last) && are_base(&link) && from.precedes(to) {
            (last.to, last.kind) = (link.to, Kind::RealTime);
        } else {
            joined.push(link);
        }
    }
    joined
}

/// A reader that shows that one writer came before the next.
fn shower(log: &Log<'_>, link: Link) -> u32 {
    let versions = &log.versions[link.key as usize];
    let at = versions.order.windows(2).position(|pair| pair == [link.from, link.to]);
    let length = match at {
        Some(at) => versions.lengths[at] + 1,
        None => versions.lengths.last().copied().unwrap_or(0),
    };
    log.shower(link.key, length)
}

/// The transactions on the way from a cause to its effect.
fn causes(log: &Log<'_>, from: u32, to: u32) -> Vec<u32> {
    let mut causes = Builder::new(log.history.len());
    base::add(log, Base::Sessions, Rules::TRUE, &mut causes);
    dependency::add_reads(log, &mut causes);
    let causes = causes.finish();
    let way = Ways::new(&causes).shortest(from, to, u32::MAX);
    way.map_or(Vec::new(), |(_, walk)| walk.into_iter().map(|(node, _)| node).collect())
}

/// The most specific name of a circle.
fn name(log: &Log<'_>, level: Level, links: &[Link]) -> Anomaly {
    let has = |kind: Kind| links.iter().any(|link| link.kind == kind);
    let overtakings = links.iter().filter(|link| link.kind.is_overtaking()).count();
    let is_forced = has(Kind::ForcedWrite) || overtakings > 0;
    let flow = if has(Kind::ReadsFrom) { Anomaly::CircularInformationFlow } else { Anomaly::DirtyWrite };
    match level {
        Level::Uncommitted | Level::Committed => flow,
        Level::AtomicView | Level::Atomic if is_forced => Anomaly::FracturedRead,
        Level::AtomicView | Level::Atomic => flow,
        Level::Causal if is_forced => Anomaly::CausalViolation,
        Level::Causal if has(Kind::Session) && !has(Kind::Overwrites) => Anomaly::CausalCycle,
        Level::Causal if has(Kind::Session) => Anomaly::CausalViolation,
        Level::Causal => flow,
        Level::Snapshot | Level::Serializable => match overtakings {
            0 if links.len() == 2 && has(Kind::RealTime) && has(Kind::ReadsFrom) => Anomaly::ReadFromFuture,
            0 if is_seen(log, links) => flow,
            0 if has(Kind::Session) && !has(Kind::RealTime) && !has(Kind::ForcedWrite) && !has(Kind::Overwrites) => {
                Anomaly::CausalCycle
            }
            0 if level == Level::Snapshot => Anomaly::NotSnapshotIsolated,
            0 => Anomaly::NotSerializable,
            1 if links.len() == 2 && has(Kind::RealTime) => Anomaly::StaleRead,
            1 if is_lost_update(log, links) => Anomaly::LostUpdate,
            1 => Anomaly::GSingle,
            _ if is_lost_update(log, links) => Anomaly::LostUpdate,
            _ if are_adjacent(links) => Anomaly::G2Item,
            _ if is_long_fork(links) => Anomaly::LongFork,
            _ => Anomaly::GNonadjacent,
        },
    }
}

/// Do the values show the circle by themselves, whatever the model?
fn is_seen(log: &Log<'_>, links: &[Link]) -> bool {
    let is_list = log.history.object() == Object::ListAppend;
    links.iter().all(|link| match link.kind {
        Kind::ReadsFrom => true,
        Kind::Overwrites => is_list,
        Kind::Session => log.history.sessions_bind(),
        Kind::RealTime | Kind::Overtaken | Kind::ForcedWrite | Kind::ForcedRead | Kind::Pass | Kind::PassOvertaken => {
            false
        }
    })
}

/// Two that read one version of a key and both wrote it.
fn is_lost_update(log: &Log<'_>, links: &[Link]) -> bool {
    let [one, other] = links else { return false };
    let key = one.key;
    let is_write = |link: &Link| matches!(link.kind, Kind::Overwrites | Kind::ForcedWrite) || link.kind.is_overtaking();
    let read = |transaction: u32| log.reads.of(transaction).iter().find(|read| read.key == key).map(|read| read.from);
    is_write(one)
        && is_write(other)
        && other.key == key
        && log.wrote(one.from, key)
        && log.wrote(other.from, key)
        && read(one.from).is_some()
        && read(one.from) == read(other.from)
}

fn are_adjacent(links: &[Link]) -> bool {
    let next = links.iter().cycle().skip(1);
    links.iter().zip(next).any(|(one, next)| one.kind.is_overtaking() && next.kind.is_overtaking())
}

/// Two readers, of which each saw a write that the other missed.
fn is_long_fork(links: &[Link]) -> bool {
    let kinds = |at: usize| links.iter().skip(at).step_by(2);
    links.len() == 4
        && (0..2).any(|at| {
            kinds(at).all(|link| link.kind.is_overtaking()) && kinds(1 - at).all(|link| link.kind == Kind::ReadsFrom)
        })
}
