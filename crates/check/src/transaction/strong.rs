//! Snapshot isolation and the serializable models: circles of dependencies, and a search where the values leave these open.

use super::graph::{Builder, Graph, Kind, Kinds, Link, circle_through, short_circle};
use super::log::Log;
use super::{Base, Level, Rules, base, dependency, solve, witness};
use crate::{Judged, Meter, Object, Spent};

pub(super) fn judge(log: &Log<'_>, level: Level, base: Base, rules: Rules, meter: &mut Meter<'_>) -> Judged {
    let mut edges = Builder::new(log.history.len());
    base::add(log, base, rules, &mut edges);
    dependency::add_writes(log, &mut edges);
    dependency::add_reads(log, &mut edges);
    dependency::add_overtakings(log, rules, &mut edges);
    let is_split = level == Level::Snapshot && rules.snapshots;
    let graph = if is_split { edges.split() } else { edges.finish() };
    meter.step(graph.size())?;
    if !graph.circles().is_empty() {
        let links = telling_circle(&edges, &graph, meter)?;
        return Ok(Some(witness::of_circle(log, level, &links, &[])));
    }
    // The order of versions that no list shows is free, unless overlapping writers conflict.
    let is_open = log.versions.iter().any(|versions| versions.tail.len() > 1);
    if !is_open || (log.history.object() == Object::ListAppend && !is_split) {
        return Ok(None);
    }
    let proof = solve::find_order(log, &graph, is_split, rules, meter)?;
    Ok(proof.map(|proof| witness::of_circle(log, level, &proof.circle, &proof.support)))
}

/// The circle that tells most: the fewest kinds of edges first (G0, G1c, G-single, G-nonadjacent, G2-item), then the shortest.
fn telling_circle(edges: &Builder, graph: &Graph, meter: &mut Meter<'_>) -> Result<Vec<Link>, Spent> {
    let whole = edges.finish();
    meter.step(4 * whole.size())?;
    for kinds in [Kinds::WRITES, Kinds::READS, Kinds::DEPENDENCIES] {
        if let Some(links) = short_circle(&whole.only(|arc| kinds.has(arc.kind))) {
            return Ok(links);
        }
    }
    let mut singles = Vec::new();
    for circle in whole.circles() {
        for from in circle {
            singles.extend(whole.arcs(from).iter().filter(|arc| arc.kind == Kind::Overtaken).map(|&arc| (from, arc)));
        }
    }
    let dependencies = whole.only(|arc| Kinds::DEPENDENCIES.has(arc.kind));
    if let Some(links) = circle_through(&dependencies, &singles) {
        return Ok(links);
    }
    let split = edges.split();
    Ok(short_circle(&split).or_else(|| short_circle(graph)).expect("the graph has a circle"))
}
