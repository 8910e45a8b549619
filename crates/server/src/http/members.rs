//! Members: who holds data of leaderless tables, who votes in the groups of the others, and where they are.

use super::node::picture;
use super::operate::{Action, Done, misfit, number, operate, operate_with};
use super::problem::{Kind, Problem};
use super::routes::Asked;
use super::{body, json, percent};
use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use quorate_core::catalogue::MemberError;
use quorate_core::guarantee::Level;
use quorate_core::machine::NodeId;
use quorate_core::operation::{Status, Value, Words};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

type Answer = Result<Response<Body>, Problem>;

/// What is to change of a member, or what one that is added begins with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    weight: Option<u16>,
    zone: Option<u16>,
    votes: Option<bool>,
    address: Option<String>,
}

/// All members, by their numbers.
pub async fn list(asked: Asked) -> Answer {
    asked.query(&[])?;
    let action = Action { commands: vec![vec![Bytes::from_static(b"MEMBER.LIST")]], ..Action::default() };
    let done = operate_with(&asked, action, |wish| wish.at_least(Level::Session)).await?;
    let Value::Array(known) = &done.value else { return Err(misfit()) };
    let members = if known.is_empty() { founders(&picture(&asked).await?) } else { known.iter().map(member).collect() };
    Ok(done.json(json!({ "members": members })))
}

/// Adds a member, or changes what the body names of one.
pub async fn set(asked: Asked, content: Body) -> Answer {
    asked.query(&[])?;
    let node = node(&asked)?;
    let (change, _share) = body::json::<Change>(&asked, content, None).await?;
    let mut words = vec![Bytes::from_static(b"MEMBER.SET"), Bytes::from(node.to_string())];
    let votes = change.votes.map(|votes| if votes { "yes" } else { "no" }.to_string());
    let numbers = [("weight", change.weight), ("zone", change.zone)];
    let said = numbers.map(|(word, number)| (word, number.map(|number| number.to_string())));
    for (word, value) in said.into_iter().chain([("votes", votes), ("address", change.address)]) {
        let Some(value) = value else { continue };
        words.extend([Bytes::from_static(word.as_bytes()), Bytes::from(value)]);
    }
    let done = run(&asked, words, node).await?;
    let action = Action { commands: vec![vec![Bytes::from_static(b"MEMBER.LIST")]], ..Action::default() };
    let shown = operate_with(&asked, action, |wish| wish.after(&done)).await;
    let members: Vec<Json> = match shown.map(|shown| shown.value) {
        Ok(Value::Array(known)) => known.iter().map(member).collect(),
        Ok(_) | Err(_) => Vec::new(),
    };
    // It was set, even if it cannot be shown in time.
    let found = members.into_iter().find(|member| member["node"] == node);
    Ok(done.json(found.unwrap_or_else(|| json!({ "node": node }))))
}

/// Forgets a member that neither votes nor holds data.
pub async fn forget(asked: Asked) -> Answer {
    asked.query(&[])?;
    let node = node(&asked)?;
    let words = vec![Bytes::from_static(b"MEMBER.FORGET"), Bytes::from(node.to_string())];
    Ok(run(&asked, words, node).await?.json(json!({ "removed": true })))
}

async fn run(asked: &Asked, words: Words, node: u64) -> Result<Done, Problem> {
    let done = operate(asked, Action { commands: vec![words], ..Action::default() }).await?;
    let Value::Error(text) = &done.value else { return Ok(done) };
    let text = String::from_utf8_lossy(text).into_owned();
    Err(match text.strip_prefix("ERR applied: no; ") {
        Some(why) if why == MemberError::Unknown.to_string() => {
            done.problem(Kind::NoSuchTarget, format!("there is no member {node}; GET /v1/members lists them"))
        }
        Some(why) => done.problem(Kind::Impossible, why),
        None => return Err(done.failed(Kind::Guard).unwrap_or_else(misfit)),
    })
}

fn node(asked: &Asked) -> Result<u64, Problem> {
    let word = percent::decode(asked.segment("{node}").unwrap_or_default())?;
    number(&word).ok_or_else(|| Problem::malformed("a node has a number"))
}

/// A member as an object, from the pairs that the node tells.
fn member(value: &Value) -> Json {
    let Value::Map(pairs) = value else { return Json::Null };
    let field = |(name, value): &(Value, Value)| match name {
        Value::Bulk(name) if &name[..] == b"votes" => Some(("votes".to_string(), json!(*value == Value::bulk(b"yes")))),
        Value::Bulk(name) => Some((String::from_utf8_lossy(name).into_owned(), json::value(value))),
        _ => None,
    };
    Json::Object(pairs.iter().filter_map(field).collect::<Map<String, Json>>())
}

/// The members as long as only the configuration says who they are.
fn founders(status: &Status) -> Vec<Json> {
    let votes = |node: NodeId| status.groups.first().is_some_and(|group| group.voters.contains(&node));
    let member =
        |&node: &NodeId| json!({ "node": node.0, "weight": 1, "zone": node.0, "votes": votes(node), "address": "" });
    status.members.iter().map(member).collect()
}
