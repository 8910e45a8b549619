//! Batches: any commands of the registry, atomically, as JSON.

use super::operate::{Action, misfit, operate};
use super::problem::{Kind, Problem};
use super::routes::Asked;
use super::{body, json};
use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use quorate_core::limits;
use quorate_core::operation::{Guard, Value, Words};
use serde::Deserialize;
use serde_json::json;

/// What a request holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Commands {
    commands: Vec<Vec<json::Word>>,
    #[serde(default)]
    transaction: bool,
    #[serde(default)]
    guards: Vec<Condition>,
}

/// A guard: `{"key": …, "version": 42}` or `{"key": …, "absent": true}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    key: json::Word,
    version: Option<u64>,
    absent: Option<bool>,
}

/// Runs commands as one atomic batch and answers with one result for each.
pub async fn run(asked: Asked, content: Body) -> Result<Response<Body>, Problem> {
    asked.query(&[])?;
    let table = asked.table().await?.id;
    let (given, _share) = body::json::<Commands>(&asked, content, None).await?;
    if given.commands.is_empty() {
        return Err(Problem::malformed("a batch needs at least one command, such as [\"GET\", \"key\"]"));
    }
    if given.guards.len() > limits::BATCH_COMMANDS {
        return Err(Problem::new(Kind::TooLarge, format!("a batch has at most {} guards", limits::BATCH_COMMANDS)));
    }
    let commands = given.commands.into_iter().map(command).collect::<Result<Vec<_>, _>>()?;
    let guards = given.guards.into_iter().map(guard).collect::<Result<Vec<_>, _>>()?;
    let (count, transaction) = (commands.len(), given.transaction);
    let done = operate(&asked, Action { table, commands, guards, transaction }).await?;
    if let Some(problem) = done.failed(Kind::Guard) {
        return Err(problem);
    }
    let results = match &done.value {
        Value::Array(values) if count > 1 || transaction => values.iter().map(json::value).collect::<Vec<_>>(),
        single if count == 1 && !transaction => vec![json::value(single)],
        _ => return Err(misfit()),
    };
    Ok(done.json(json!({ "results": results })))
}

fn command(words: Vec<json::Word>) -> Result<Words, Problem> {
    let mut words: Words = words.into_iter().map(|word| word.0).collect();
    let name = words.first_mut().ok_or_else(|| Problem::malformed("a command needs at least its name"))?;
    *name = Bytes::from(name.to_ascii_uppercase());
    if quorate_core::state::command::find(name).is_none() {
        let shown = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
        return Err(Problem::new(Kind::UnknownCommand, format!("there is no command '{shown}'")));
    }
    Ok(words)
}

fn guard(condition: Condition) -> Result<Guard, Problem> {
    let key = condition.key.0;
    if key.len() > limits::KEY_BYTES {
        return Err(Problem::new(Kind::TooLarge, format!("a key has at most {} bytes", limits::KEY_BYTES)));
    }
    match (condition.version, condition.absent) {
        (Some(version), None) => Ok(Guard::Version { key, version }),
        (None, Some(true)) => Ok(Guard::Absent { key }),
        _ => Err(Problem::malformed("a guard is {\"key\": …, \"version\": 42} or {\"key\": …, \"absent\": true}")),
    }
}
