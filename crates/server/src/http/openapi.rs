//! The interface as an OpenAPI 3.1 document, made from the table of routes.

use super::operate;
use super::problem::Kind;
use super::routes::{Content, Family, ROUTES, Route};
use quorate_core::catalogue::PARTS;
use quorate_core::crdt::Kind as Cell;
use quorate_core::guarantee::{Ack, Level};
use quorate_core::limits;
use quorate_core::quorum::{Preset, Rule};
use serde_json::{Map, Value as Json, json};

/// The document.
pub fn document() -> Json {
    let mut paths = Map::new();
    for route in ROUTES {
        for template in route.templates {
            let path = paths.entry(route.path(template)).or_insert_with(|| json!({}));
            path[route.method.to_ascii_lowercase()] = operation(route, template);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quorate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A replicated key-value store in which any operation can name its guarantee. Bytes in JSON are a string if they are UTF-8, otherwise {\"base64\": \"…\"}. Every failure says in `applied` whether the operation took effect.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": { "password": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "password": [] }, {}],
    })
}

fn operation(route: &Route, template: &str) -> Json {
    let (status, content) = route.gives;
    let mut success = json!({ "description": route.summary });
    if let Some(content) = body(content) {
        success["content"] = content;
    }
    if route.family != Family::Node {
        success["headers"] = json!({
            operate::SESSION.as_str(): {
                "description": "What this session has seen now; send it with the next request",
                "schema": { "type": "string" },
            },
        });
    }
    // An operation's name stands once in a document.
    let id = if route.templates.len() > 1 && template.contains("{table}") {
        format!("{}InTable", route.id)
    } else {
        route.id.to_string()
    };
    let mut operation = json!({
        "operationId": id,
        "summary": route.summary,
        "parameters": parameters(route, template),
        "responses": {
            status.to_string(): success,
            "default": {
                "description": "A problem document",
                "content": { "application/problem+json": { "schema": reference("Problem") } },
            },
        },
    });
    if let Some(content) = body(route.takes) {
        operation["requestBody"] = json!({ "content": content, "required": route.id != "incrementKey" });
    }
    if matches!(route.family, Family::Write | Family::Batch) {
        operation["responses"]["202"] = json!({
            "description": "Applied, but the ack that was asked for was not reached before the deadline; do not repeat it",
            "content": { "application/problem+json": { "schema": reference("Problem") } },
        });
    }
    if route.open {
        operation["security"] = json!([{}]);
    }
    operation
}

fn body(content: Content) -> Option<Json> {
    Some(match content {
        Content::Nothing => return None,
        Content::Bytes => json!({ "application/octet-stream": {} }),
        Content::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
        Content::Json(schema) => json!({ "application/json": { "schema": reference(schema) } }),
    })
}

fn reference(schema: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn parameters(route: &Route, template: &str) -> Vec<Json> {
    let parameter = |place: &str, name: &str, schema: Json, about: &str| json!({ "in": place, "name": name, "required": place == "path", "schema": schema, "description": about });
    let text = || json!({ "type": "string" });
    let mut out = Vec::new();
    if template.contains("{table}") {
        out.push(parameter("path", "table", text(), "Name or number of a table"));
    }
    if template.contains("{node}") {
        let numbers = json!({ "type": "integer", "minimum": 1, "maximum": limits::NODE_ID_MAX });
        out.push(parameter("path", "node", numbers, "Number of a node"));
    }
    if template.contains("{key}") {
        out.push(parameter("path", "key", text(), "The key, percent-encoded; any bytes"));
    }
    for (name, kind, about) in route.query {
        out.push(parameter("query", name, json!({ "type": kind }), about));
    }
    if route.family != Family::Node {
        let most = limits::DEADLINE_MAX_MS;
        let deadline = json!({ "type": "integer", "minimum": 1, "maximum": most, "default": limits::DEADLINE_MS });
        out.push(parameter("header", "Quorate-Deadline-Ms", deadline, "How long the caller waits"));
        out.push(parameter("header", "Quorate-Session", text(), "What this session has seen, from an earlier reply"));
        let about = "Adds the receipt: to the body if it is JSON, otherwise in the header of this name";
        out.push(parameter("header", "Quorate-Receipt", json!({ "type": "boolean" }), about));
    }
    let of_catalogue = |template: &&str| *template == "/v1/tables" || template.starts_with("/v1/members");
    if route.family != Family::Node && !route.templates.iter().any(of_catalogue) {
        let replicas = || json!({ "type": "integer", "minimum": 1, "maximum": Rule::REPLICAS_MAX });
        let about = "On a leaderless table: how many replicas a read waits for, in place of what the table says";
        out.push(parameter("header", "Quorate-R", replicas(), about));
        let about = "On a leaderless table: how many replicas a write waits for, in place of what the table says";
        out.push(parameter("header", "Quorate-W", replicas(), about));
        let about = "On a leaderless table: other nodes may take a write in place of replicas that do not answer";
        out.push(parameter("header", "Quorate-Sloppy", json!({ "type": "boolean" }), about));
        let about = "On a leaderless table: an answer counts before it is durable";
        out.push(parameter("header", "Quorate-Volatile", json!({ "type": "boolean" }), about));
        let about =
            "On a leaderless table: what a read of the key gave in this header; the write replaces exactly that";
        out.push(parameter("header", "Quorate-Seen", text(), about));
    }
    if matches!(route.family, Family::Read | Family::Batch) {
        let levels = json!({ "enum": Level::ALL.map(Level::word), "default": Level::default().word() });
        out.push(parameter("header", "Quorate-Level", levels, "What a read must not miss"));
    }
    if matches!(route.family, Family::Write | Family::Batch) {
        let acks = json!({ "enum": Ack::ALL.map(Ack::word), "default": Ack::default().word() });
        out.push(parameter("header", "Quorate-Ack", acks, "Who must hold a write durably before it is answered"));
        let key = json!({ "type": "string", "minLength": 1, "maxLength": limits::IDEMPOTENCY_KEY_BYTES });
        let about = "A name under which this write is applied at most once; a repeat hears the first reply";
        out.push(parameter("header", "Idempotency-Key", key, about));
    }
    if route.conditional {
        if route.family == Family::Write {
            out.push(parameter(
                "header",
                "If-Match",
                text(),
                "The version that the key must have, as ETag gave it; * if it must only exist",
            ));
        }
        out.push(parameter(
            "header",
            "If-None-Match",
            text(),
            "In a write, *: the key must not exist. In a read, a version that is known already",
        ));
    }
    out
}

fn object(required: &[&str], properties: Json) -> Json {
    json!({ "type": "object", "required": required, "properties": properties })
}

fn schemas() -> Json {
    let word = reference("Word");
    let integer = || json!({ "type": "integer" });
    let boolean = || json!({ "type": "boolean" });
    let list = |items: Json| json!({ "type": "array", "items": items });
    json!({
        "Any": {},
        "Word": { "oneOf": [
            { "type": "string" },
            { "type": "integer", "description": "Its decimal digits" },
            object(&["base64"], json!({ "base64": { "type": "string", "contentEncoding": "base64" } })),
        ] },
        "Value": { "description": "null, a number, a string, a list, {\"base64\": …}, {\"map\": [[key, value], …]}, or {\"error\": …}" },
        "Removed": object(&["removed"], json!({ "removed": boolean(), "receipt": reference("Receipt") })),
        "Increment": object(&["by"], json!({ "by": integer() })),
        "Incremented": object(&["value", "version"], json!({ "value": { "type": ["integer", "null"], "description": "null for a key in parts" }, "version": { "type": ["integer", "null"] }, "receipt": reference("Receipt") })),
        "Swap": object(&["expected", "new"], json!({ "expected": { "oneOf": [word.clone(), { "type": "null" }] }, "new": word.clone() })),
        "Swapped": object(&["swapped", "version"], json!({ "swapped": boolean(), "version": { "type": ["integer", "null"] }, "receipt": reference("Receipt") })),
        "Page": object(&["keys", "cursor"], json!({ "keys": list(word.clone()), "cursor": { "type": ["string", "null"] }, "receipt": reference("Receipt") })),
        "Guard": { "oneOf": [
            object(&["key", "version"], json!({ "key": word.clone(), "version": integer() })),
            object(&["key", "absent"], json!({ "key": word.clone(), "absent": { "const": true } })),
        ] },
        "Commands": object(&["commands"], json!({
            "commands": { "type": "array", "maxItems": limits::BATCH_COMMANDS, "items": list(word) },
            "transaction": boolean(),
            "guards": list(reference("Guard")),
        })),
        "Results": object(&["results"], json!({ "results": list(reference("Value")), "receipt": reference("Receipt") })),
        "Tables": object(&["tables"], json!({ "tables": list(reference("Table")), "receipt": reference("Receipt") })),
        "Table": table(),
        "NewTable": { "allOf": [reference("Policy"), object(&["name"], json!({ "name": { "type": "string" } }))] },
        "Policy": { "type": "object", "properties": policy() },
        "Members": object(&["members"], json!({ "members": list(reference("Member")), "receipt": reference("Receipt") })),
        "Member": object(&["node"], member()),
        "MemberChange": { "type": "object", "properties": member_change() },
        "Status": { "type": "object" },
        "Hot": hot(),
        "Repair": repair(),
        "Ready": object(&["ready"], json!({ "ready": boolean(), "groups": integer(), "warning": { "type": "string", "description": "What to see to, such as a clock that is out" } })),
        "Transfer": object(&["group", "to"], json!({ "group": integer(), "to": integer() })),
        "Transferring": object(&["begun"], json!({ "group": integer(), "to": integer(), "begun": boolean() })),
        "Rules": { "type": "object", "description": "By peer; a peer that is missing has a healthy link", "additionalProperties": {
            "type": "object",
            "properties": { "cut": boolean(), "drop_per_mille": integer(), "delay_ms": integer() },
        } },
        "Faults": object(&["faults"], json!({ "faults": reference("Rules") })),
        "Receipt": receipt(),
        "Problem": problem(),
    })
}

/// What can be said of a table.
fn policy() -> Json {
    let replicas = json!({ "type": "integer", "minimum": 1, "maximum": Rule::REPLICAS_MAX });
    json!({
        "shape": { "enum": ["consensus", "leaderless"] },
        "replicas": replicas, "read": replicas, "write": replicas,
        "preset": { "enum": Preset::ALL.map(Preset::word) },
        "cell": { "enum": Cell::ALL.map(|(_, word)| word) },
        "bound": { "type": "integer", "description": "What a bounded counter never falls below" },
        "split": { "type": "integer", "minimum": 1, "maximum": PARTS, "description": "In so many parts is each key" },
        "ranges": { "type": "array", "items": reference("Word"), "description": "The first key of each range but the first" },
    })
}

fn table() -> Json {
    let mut members = policy();
    if let Some(members) = members.as_object_mut() {
        members.remove("preset");
        members.extend([
            ("id".to_string(), json!({ "type": "integer" })),
            ("name".to_string(), json!({ "type": "string" })),
            (
                "epoch".to_string(),
                json!({ "type": "integer", "description": "When the places of its data changed last" }),
            ),
            ("warning".to_string(), json!({ "type": "string", "description": "What such a table loses" })),
            ("receipt".to_string(), reference("Receipt")),
        ]);
    }
    object(&["id", "name", "shape"], members)
}

/// What can be said of a member.
fn member_change() -> Json {
    let integer = |about: &str| json!({ "type": "integer", "minimum": 0, "description": about });
    json!({
        "weight": integer("How much data of leaderless tables it should hold, compared with the others; 0 is none, 64 the most"),
        "zone": integer("Nodes of one zone fail together; at first each has a zone of its own"),
        "votes": { "type": "boolean", "description": "It votes in every consensus group, or is to" },
        "address": { "type": "string", "description": "Where other nodes reach it, as host:port; empty if their configuration says so" },
    })
}

fn member() -> Json {
    let mut fields = member_change();
    fields["node"] = json!({ "type": "integer" });
    fields["receipt"] = reference("Receipt");
    fields
}

fn hot() -> Json {
    let integer = || json!({ "type": "integer" });
    let list = |items: Json| json!({ "type": "array", "items": items });
    let key = json!({
        "key": { "allOf": [reference("Word")], "description": "The key, or the beginning of a long one" },
        "bytes": integer(), "most": integer(),
        "error": { "type": "integer", "description": "So much may `most` be too large" },
    });
    let table = json!({
        "table": integer(), "name": { "type": "string" }, "operations": integer(),
        "missed": { "type": "integer", "description": "No key that is not named was asked for more often" },
        "keys": list(object(&["key", "bytes", "most", "error"], key)),
    });
    object(
        &["node", "window_ms", "tables"],
        json!({
            "node": integer(),
            "window_ms": { "type": "integer", "description": "The time that the counts are about; what is older counts less" },
            "tables": list(object(&["table", "name", "operations", "missed", "keys"], table)),
        }),
    )
}

fn repair() -> Json {
    let integer = || json!({ "type": "integer" });
    let list = |items: Json| json!({ "type": "array", "items": items });
    let pair = json!({
        "table": integer(), "name": { "type": "string" }, "with": integer(),
        "stage": { "enum": ["idle", "queued", "underway"] },
        "ranges_done": integer(), "ranges": integer(),
        "compared_ms": { "type": ["integer", "null"], "description": "Since a comparison came to its end in this life of the node" },
        "given_up": { "type": "boolean", "description": "The last comparison was given up" },
    });
    let moving = json!({
        "table": integer(), "name": { "type": "string" },
        "awaited": { "type": "array", "items": integer(), "description": "Nodes that may lack data; the movement is over when all have compared" },
        "compared": integer(),
        "to_compare": { "type": "integer", "description": "Ranges that this node must compare; `compared` of them it has" },
        "leaving": { "type": "integer", "description": "Ranges that this node hands over before it deletes them" },
    });
    object(
        &["node", "catalogue", "waits_for_life", "every_ms", "progress", "pairs", "owed", "moving"],
        json!({
            "node": integer(),
            "every_ms": { "type": "integer", "description": "A comparison is begun this often; 0 is only when it is asked for" },
            "progress": { "type": "object", "additionalProperties": integer() },
            "pairs": list(object(&["table", "name", "with", "stage", "compared_ms", "given_up"], pair)),
            "owed": list(object(&["node", "hints"], json!({ "node": integer(), "hints": integer() }))),
            "waits_for_life": { "type": "boolean", "description": "It does not know yet whether its disk was lost" },
            "catalogue": { "type": "integer", "description": "The version of the catalogue that this node knows" },
            "moving": list(object(&["table", "name", "awaited", "compared", "to_compare", "leaving"], moving)),
        }),
    )
}

fn receipt() -> Json {
    let (integer, nodes) = (json!({ "type": "integer" }), json!({ "type": "array", "items": { "type": "integer" } }));
    object(
        &["asked", "met", "path", "answered", "durable", "members", "served_by", "replayed"],
        json!({
            "asked": { "type": "string" },
            "met": { "type": "string", "description": "Computed from who answered, never copied from what was asked" },
            "path": { "type": "string", "description": "How it was served, such as log, leader-round or quorum-write" },
            "group": integer, "term": integer, "index": integer,
            "range": integer, "epoch": integer, "needed": integer, "siblings": integer, "stand_ins": nodes,
            "dot": { "type": "string", "description": "The event that a write to a leaderless table was" },
            "seen": { "type": "string" },
            "answered": nodes, "durable": nodes,
            "members": integer, "served_by": integer, "log_time_ms": integer,
            "replayed": { "type": "boolean", "description": "An idempotency key replayed an earlier reply" },
            "session": { "type": "string" },
        }),
    )
}

fn problem() -> Json {
    let names: Vec<String> = Kind::ALL.iter().map(|kind| format!("urn:quorate:{}", kind.spec().1)).collect();
    object(
        &["type", "title", "status", "detail", "applied"],
        json!({
            "type": { "enum": names },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What happened and what to do" },
            "applied": { "enum": ["no", "yes", "unknown"], "description": "Did the operation take effect?" },
            "retry_after_ms": { "type": "integer", "description": "There if the same request may succeed later" },
            "receipt": reference("Receipt"),
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn references(json: &Json, out: &mut BTreeSet<String>) {
        match json {
            Json::Object(members) => {
                if let Some(Json::String(target)) = members.get("$ref") {
                    out.insert(target.clone());
                }
                members.values().for_each(|member| references(member, out));
            }
            Json::Array(items) => items.iter().for_each(|item| references(item, out)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }

    #[test]
    fn every_route_is_in_the_document_and_the_reverse() {
        let document = document();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(path, methods)| {
                methods
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(move |(method, _)| (method.to_ascii_uppercase(), path.clone()))
            })
            .collect();
        let routes: BTreeSet<(String, String)> = ROUTES
            .iter()
            .flat_map(|route| route.templates.iter().map(|template| (route.method.to_string(), route.path(template))))
            .collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn names_are_used_once_and_references_lead_somewhere() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for target in &found {
            assert!(document.pointer(&target[1..]).is_some(), "{target}");
        }
        let paths = document["paths"].as_object().expect("paths");
        let ids: Vec<&Json> = paths
            .values()
            .flat_map(|path| path.as_object().into_iter().flatten())
            .map(|(_, operation)| &operation["operationId"])
            .collect();
        let distinct: BTreeSet<String> = ids.iter().map(|id| id.to_string()).collect();
        assert_eq!(ids.len(), distinct.len());
    }
}
