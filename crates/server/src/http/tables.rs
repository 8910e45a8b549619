//! Tables: those of the configuration, and those that were made at run time.

use super::operate::{Action, Done, misfit, number, operate, operate_with};
use super::problem::{Kind, Problem};
use super::routes::Asked;
use super::{body, json, percent};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use quorate_core::catalogue::TableError;
use quorate_core::crdt;
use quorate_core::guarantee::Level;
use quorate_core::operation::{TableId, Value, Words};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

type Answer = Result<Response<Body>, Problem>;

/// A table that a path names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub id: TableId,
    /// It has no log: no versions, no guards and no batches.
    pub leaderless: bool,
    /// Texts that several edit stand at its keys.
    pub text: bool,
}

/// What a table is made with, or what changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    name: Option<String>,
    shape: Option<String>,
    replicas: Option<u64>,
    read: Option<u64>,
    write: Option<u64>,
    preset: Option<String>,
    cell: Option<String>,
    bound: Option<i64>,
    split: Option<u64>,
    ranges: Option<Vec<json::Word>>,
}

/// All tables, in the order of their numbers.
pub async fn list(asked: Asked) -> Answer {
    asked.query(&[])?;
    let done = read(&asked, &[b"TABLE.LIST"]).await?;
    let Value::Array(made) = &done.value else { return Err(misfit()) };
    let configured = (0..asked.site.settings.tables.len()).map(|id| configured(&asked, id));
    let tables: Vec<Json> = configured.chain(made.iter().map(table)).collect();
    Ok(done.json(json!({ "tables": tables })))
}

/// One table.
pub async fn show(asked: Asked) -> Answer {
    asked.query(&[])?;
    let name = name(&asked)?;
    if let Some(id) = find_configured(&asked, &name) {
        let mut response = Response::new(Body::from(configured(&asked, id).to_string()));
        response.headers_mut().insert("content-type", "application/json".parse().expect("it is ASCII"));
        return Ok(response);
    }
    let done = read(&asked, &[b"TABLE.SHOW", &name]).await?;
    match failed(&done, &name) {
        Some(problem) => Err(problem),
        None => Ok(done.json(table(&done.value))),
    }
}

/// Makes a table.
pub async fn create(asked: Asked, content: Body) -> Answer {
    asked.query(&[])?;
    let (policy, _share) = body::json::<Policy>(&asked, content, None).await?;
    let name = policy.name.clone().ok_or_else(|| Problem::malformed("a table needs a name"))?;
    let mut response = change(&asked, words("TABLE.CREATE", name.as_bytes(), policy)?, name.as_bytes()).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Changes what the body names.
pub async fn alter(asked: Asked, content: Body) -> Answer {
    asked.query(&[])?;
    let name = made(&asked)?;
    let (policy, _share) = body::json::<Policy>(&asked, content, None).await?;
    if policy.name.is_some() {
        return Err(Problem::malformed("a table keeps its name"));
    }
    change(&asked, words("TABLE.ALTER", &name, policy)?, &name).await
}

/// Removes a table with all that it holds.
pub async fn remove(asked: Asked) -> Answer {
    asked.query(&[])?;
    let name = made(&asked)?;
    let words = vec![Bytes::from_static(b"TABLE.DROP"), Bytes::copy_from_slice(&name)];
    let done = operate(&asked, Action { commands: vec![words], ..Action::default() }).await?;
    match failed(&done, &name) {
        Some(problem) => Err(problem),
        None => Ok(done.json(json!({ "removed": true }))),
    }
}

impl Asked {
    /// The table in the path, by its name or its number; the first if the path names none. A name that this node does
    /// not know may have been made so lately that it has not heard of it: then the log is asked.
    pub async fn table(&self) -> Result<Found, Problem> {
        if self.segment("{table}").is_none() {
            return Ok(Found::default());
        }
        let name = name(self)?;
        if let Some(id) = find_configured(self, &name) {
            return Ok(Found { id: TableId(id as u16), ..Found::default() });
        }
        if !name.first().is_some_and(u8::is_ascii_alphabetic) {
            return Err(unknown(&name));
        }
        for level in [Level::Session, Level::Linearizable] {
            let words = vec![Bytes::from_static(b"TABLE.SHOW"), Bytes::copy_from_slice(&name)];
            let action = Action { commands: vec![words], ..Action::default() };
            let done = operate_with(self, action, |wish| wish.look_up(level)).await?;
            let shown = table(&done.value);
            if let Some(id) = shown["id"].as_u64().and_then(|id| u16::try_from(id).ok()) {
                let (leaderless, text) = (shown["shape"] == "leaderless", shown["cell"] == crdt::Kind::Text.word());
                return Ok(Found { id: TableId(id), leaderless, text });
            }
        }
        Err(unknown(&name))
    }
}

fn name(asked: &Asked) -> Result<Vec<u8>, Problem> {
    percent::decode(asked.segment("{table}").unwrap_or_default())
}

/// The name in the path, if it is none of the configuration.
fn made(asked: &Asked) -> Result<Vec<u8>, Problem> {
    let name = name(asked)?;
    match find_configured(asked, &name) {
        None => Ok(name),
        Some(_) => {
            Err(Problem::new(Kind::Impossible, "this table belongs to the configuration, which cannot be changed"))
        }
    }
}

fn find_configured(asked: &Asked, name: &[u8]) -> Option<usize> {
    let tables = &asked.site.settings.tables;
    let by_name = tables.iter().position(|table| table.as_bytes() == name);
    let by_number = || number(name).and_then(|number| usize::try_from(number).ok());
    by_name.or_else(by_number).filter(|id| *id < tables.len())
}

fn configured(asked: &Asked, id: usize) -> Json {
    json!({ "id": id, "name": asked.site.settings.tables[id], "shape": "consensus" })
}

/// A table as an object, from the pairs that the node tells.
fn table(value: &Value) -> Json {
    let Value::Map(pairs) = value else { return Json::Null };
    let member = |(name, value): &(Value, Value)| match name {
        Value::Bulk(name) => Some((String::from_utf8_lossy(name).into_owned(), json::value(value))),
        _ => None,
    };
    Json::Object(pairs.iter().filter_map(member).collect::<Map<String, Json>>())
}

/// Looks at the catalogue as this node knows it, unless the headers ask for more: it can be read where there is no leader.
async fn read(asked: &Asked, words: &[&[u8]]) -> Result<Done, Problem> {
    let words = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
    let action = Action { commands: vec![words], ..Action::default() };
    operate_with(asked, action, |wish| wish.at_least(Level::Session)).await
}

/// Makes or changes a table, and tells what it is then.
async fn change(asked: &Asked, words: Words, name: &[u8]) -> Answer {
    let done = operate(asked, Action { commands: vec![words], ..Action::default() }).await?;
    if let Some(problem) = failed(&done, name) {
        return Err(problem);
    }
    let words = vec![Bytes::from_static(b"TABLE.SHOW"), Bytes::copy_from_slice(name)];
    let action = Action { commands: vec![words], ..Action::default() };
    let shown = operate_with(asked, action, |wish| wish.after(&done)).await;
    let shown = shown.map(|shown| table(&shown.value)).unwrap_or_default();
    // It was made, even if it cannot be shown in time.
    Ok(done.json(if shown.is_object() { shown } else { json!({ "name": String::from_utf8_lossy(name) }) }))
}

fn words(command: &'static str, name: &[u8], policy: Policy) -> Result<Words, Problem> {
    let mut words = vec![Bytes::from_static(command.as_bytes()), Bytes::copy_from_slice(name)];
    let texts = [("shape", policy.shape), ("preset", policy.preset), ("cell", policy.cell)];
    let counts =
        [("replicas", policy.replicas), ("read", policy.read), ("write", policy.write), ("split", policy.split)];
    let counts = counts.into_iter().map(|(word, count)| (word, count.map(|count| count.to_string())));
    let bound = ("bound", policy.bound.map(|bound| bound.to_string()));
    for (word, value) in texts.into_iter().chain(counts).chain([bound]) {
        let Some(value) = value else { continue };
        words.extend([Bytes::from_static(word.as_bytes()), Bytes::from(value)]);
    }
    if let Some(ranges) = policy.ranges {
        if ranges.is_empty() {
            return Err(Problem::malformed("ranges has at least one bound; without it the keys are divided by hash"));
        }
        words.push(Bytes::from_static(b"ranges"));
        words.extend(ranges.into_iter().map(|bound| bound.0));
    }
    Ok(words)
}

/// What an error of the catalogue means here.
fn failed(done: &Done, name: &[u8]) -> Option<Problem> {
    let Value::Error(text) = &done.value else { return None };
    let text = String::from_utf8_lossy(text);
    let Some(why) = text.strip_prefix("ERR applied: no; ") else { return done.failed(Kind::Guard) };
    Some(if why == TableError::Unknown.to_string() {
        unknown(name)
    } else if why == TableError::Exists.to_string() {
        done.problem(Kind::TableExists, why)
    } else {
        done.problem(Kind::Impossible, why)
    })
}

fn unknown(name: &[u8]) -> Problem {
    let shown = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
    Problem::new(Kind::UnknownTable, format!("there is no table '{shown}'; GET /v1/tables lists them"))
}
