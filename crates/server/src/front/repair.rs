//! How repair stands, as JSON.

use quorate_core::operation::{PairStatus, RepairStage, RepairStatus};
use serde_json::{Value as Json, json};

/// As `QUORATE REPAIR` and the HTTP interface give it.
pub fn repair_json(status: &RepairStatus) -> Json {
    let owed = status.owed.iter().map(|(node, hints)| json!({ "node": node.0, "hints": hints }));
    json!({
        "node": status.node.0,
        "every_ms": status.every_ms,
        "progress": status.progress,
        "pairs": status.pairs.iter().map(pair_json).collect::<Vec<_>>(),
        "owed": owed.collect::<Vec<_>>(),
    })
}

fn pair_json(pair: &PairStatus) -> Json {
    let (stage, ranges) = match pair.stage {
        RepairStage::Idle => ("idle", None),
        RepairStage::Queued => ("queued", None),
        RepairStage::Underway { done, of } => ("underway", Some((done, of))),
    };
    let mut json = json!({
        "table": pair.table.0,
        "name": pair.name,
        "with": pair.with.0,
        "stage": stage,
        "compared_ms": pair.compared_ms,
        "given_up": pair.given_up,
    });
    if let Some((done, of)) = ranges {
        json["ranges_done"] = json!(done);
        json["ranges"] = json!(of);
    }
    json
}
