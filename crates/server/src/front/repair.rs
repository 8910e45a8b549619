//! How repair stands, as JSON.

use quorate_core::operation::{MoveStatus, PairStatus, RepairStage, RepairStatus};
use serde_json::{Value as Json, json};

/// As `QUORATE REPAIR` and the HTTP interface give it.
pub fn repair_json(status: &RepairStatus) -> Json {
    let owed = status.owed.iter().map(|(node, hints)| json!({ "node": node.0, "hints": hints }));
    json!({
        "node": status.node.0,
        "catalogue": status.catalogue,
        "waits_for_life": status.waits_for_life,
        "every_ms": status.every_ms,
        "progress": status.progress,
        "pairs": status.pairs.iter().map(pair_json).collect::<Vec<_>>(),
        "owed": owed.collect::<Vec<_>>(),
        "moving": status.moving.iter().map(move_json).collect::<Vec<_>>(),
    })
}

fn move_json(moving: &MoveStatus) -> Json {
    let (compared, to_compare) = moving.compared;
    json!({
        "table": moving.table.0,
        "name": moving.name,
        "awaited": moving.awaited.iter().map(|node| node.0).collect::<Vec<_>>(),
        "compared": compared,
        "to_compare": to_compare,
        "leaving": moving.leaving,
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
