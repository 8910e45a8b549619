//! The busiest keys, as JSON.

use quorate_core::operation::HotStatus;
use serde_json::{Value as Json, json};

/// As `QUORATE HOT` and the HTTP interface give them.
pub fn hot_json(status: &HotStatus) -> Json {
    let tables = status.tables.iter().map(|table| {
        let keys = table.keys.iter().map(|key| {
            json!({ "key": crate::http::bytes_json(&key.key), "bytes": key.bytes, "most": key.most, "error": key.error })
        });
        json!({
            "table": table.table.0,
            "name": table.name,
            "operations": table.operations,
            "missed": table.missed,
            "keys": keys.collect::<Vec<_>>(),
        })
    });
    json!({ "node": status.node.0, "window_ms": status.window_ms, "tables": tables.collect::<Vec<_>>() })
}
