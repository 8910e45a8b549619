//! Single keys, with raw bytes in the body, and lists of keys.

use super::operate::{Action, misfit, number, operate, single};
use super::problem::{Kind, Problem};
use super::routes::Asked;
use super::tables::Found;
use super::{body, json, percent, texts};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use quorate_core::operation::{Guard, TableId, Value, Words};
use serde::Deserialize;
use serde_json::{Value as Json, json};

type Answer = Result<Response<Body>, Problem>;

/// Keys in a page when the request names no count.
const PAGE: u64 = 100;
/// The most keys that one page may be asked for.
const PAGE_MAX: u64 = 10_000;
const MUST_EXIST: &str = "If-Match: * needs a key that exists, and this one does not";

/// The value of a key, with its version as `ETag`: both from one state.
pub async fn get(asked: Asked) -> Answer {
    let query = asked.query(&["vector"])?;
    let known = query.first().map(|(_, known)| &known[..]);
    let (Found { id: table, leaderless, text }, key) = (asked.table().await?, asked.key()?);
    if text {
        return texts::get(&asked, table, key, known).await;
    }
    if known.is_some() {
        return Err(Problem::malformed("vector belongs to texts: to tables whose cell is text"));
    }
    if leaderless {
        return get_without_version(&asked, table, &key).await;
    }
    let commands = vec![words([&b"GET"[..], &key]), words([&b"VERSION"[..], &key])];
    let done = operate(&asked, Action { table, commands, transaction: true, ..Action::default() }).await?;
    let Value::Array(values) = &done.value else { return Err(done.failed(Kind::Guard).unwrap_or_else(misfit)) };
    match &values[..] {
        [Value::Bulk(value), Value::Int(version)] => {
            let tag = etag(*version as u64);
            let seen = matches_any(&asked.parts.headers, &tag);
            let status = if seen { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
            let mut response = done.bytes(status, value.clone());
            response.headers_mut().insert(header::ETAG, tag);
            Ok(response)
        }
        [Value::Nil, _] => Err(done.problem(Kind::KeyAbsent, "the key does not exist at the state that was read")),
        [Value::Error(text), _] if text.starts_with(b"WRONGTYPE") => Err(done.problem(
            Kind::WrongType,
            "the key holds a hash or a set; read it with its commands, for example HGETALL, at …/commands",
        )),
        _ => Err(misfit()),
    }
}

/// The value of a key on a table without a log. What the next write hands back is in `Quorate-Seen`.
async fn get_without_version(asked: &Asked, table: TableId, key: &[u8]) -> Answer {
    let done = operate(asked, Action { table, commands: vec![words([b"GET", key])], ..Action::default() }).await?;
    match &done.value {
        Value::Bulk(value) => Ok(done.bytes(StatusCode::OK, value.clone())),
        Value::Nil => Err(done.problem(Kind::KeyAbsent, "the key does not exist at the replicas that were read")),
        Value::Error(_) => Err(done.failed(Kind::Guard).unwrap_or_else(misfit)),
        other => Ok(done.json(json!({ "value": json::value(other) }))),
    }
}

/// Sets a key to the body.
pub async fn put(asked: Asked, content: Body) -> Answer {
    let (table, key) = (asked.table().await?.id, asked.key()?);
    let query = asked.query(&["ttl_ms"])?;
    let condition = Condition::read(&asked.parts.headers, &key)?;
    let (value, _share) = body::read(&asked, content).await?;
    let mut set = vec![Bytes::from_static(b"SET"), key, value];
    if let Some((_, ttl)) = query.first() {
        number(ttl)
            .filter(|ttl| *ttl > 0)
            .ok_or_else(|| Problem::malformed("ttl_ms takes milliseconds, at least 1"))?;
        set.extend([Bytes::from_static(b"PX"), Bytes::copy_from_slice(ttl)]);
    }
    if condition.exists {
        set.push(Bytes::from_static(b"XX"));
    }
    let done =
        operate(&asked, Action { table, commands: vec![set], guards: condition.guards, ..Action::default() }).await?;
    if done.value == Value::Nil {
        return Err(done.problem(Kind::Precondition, MUST_EXIST));
    }
    if let Some(problem) = done.failed(Kind::Precondition) {
        return Err(problem);
    }
    let mut response = done.bytes(StatusCode::NO_CONTENT, Bytes::new());
    if let Some(version) = done.version() {
        response.headers_mut().insert(header::ETAG, etag(version));
    }
    Ok(response)
}

/// Removes a key. One that is not there is removed already.
pub async fn delete(asked: Asked) -> Answer {
    asked.query(&[])?;
    let (table, key) = (asked.table().await?.id, asked.key()?);
    let condition = Condition::read(&asked.parts.headers, &key)?;
    let commands = vec![words([&b"DEL"[..], &key])];
    let done = operate(&asked, Action { table, commands, guards: condition.guards, ..Action::default() }).await?;
    let Value::Int(removed) = done.value else { return Err(done.failed(Kind::Precondition).unwrap_or_else(misfit)) };
    if removed == 0 && condition.exists {
        return Err(done.problem(Kind::Precondition, MUST_EXIST));
    }
    Ok(done.json(json!({ "removed": removed > 0 })))
}

/// By how much.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Increment {
    by: i64,
}

/// Adds to the number in a key.
pub async fn increment(asked: Asked, content: Body) -> Answer {
    asked.query(&[])?;
    let (table, key) = (asked.table().await?.id, asked.key()?);
    let condition = Condition::read(&asked.parts.headers, &key)?;
    let (Increment { by }, _share) = body::json(&asked, content, Some(Increment { by: 1 })).await?;
    let commands = vec![words([&b"INCRBY"[..], &key, by.to_string().as_bytes()])];
    let done = operate(&asked, Action { table, commands, guards: condition.guards, ..Action::default() }).await?;
    let value = match done.value {
        Value::Int(value) => Some(value),
        // Of a key in parts one was increased, and the sum is not known.
        Value::Nil => None,
        _ => return Err(done.failed(Kind::Precondition).unwrap_or_else(misfit)),
    };
    Ok(done.json(json!({ "value": value, "version": done.version() })))
}

/// What a key must hold, and what it then gets. `null` expects no key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Swap {
    #[serde(deserialize_with = "present")]
    expected: Option<json::Word>,
    new: json::Word,
}

/// A member that may be null but must be there.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<json::Word>, D::Error> {
    Option::deserialize(deserializer)
}

/// Sets a key if it holds what is expected.
pub async fn compare_and_set(asked: Asked, content: Body) -> Answer {
    asked.query(&[])?;
    let (table, key) = (asked.table().await?.id, asked.key()?);
    let (Swap { expected, new }, _share) = body::json(&asked, content, None).await?;
    let command = match &expected {
        Some(expected) => words([&b"CAS"[..], &key, &expected.0, &new.0]),
        None => words([&b"SET"[..], &key, &new.0, b"NX"]),
    };
    let done = operate(&asked, Action { table, commands: vec![command], ..Action::default() }).await?;
    if let Some(problem) = done.failed(Kind::Precondition) {
        return Err(problem);
    }
    // CAS says 1 or 0, SET with NX says OK or nothing.
    let swapped = done.value == Value::Int(1) || done.value == Value::OK;
    let version = if swapped { json!(done.version()) } else { Json::Null };
    Ok(done.json(json!({ "swapped": swapped, "version": version })))
}

/// One page of the keys that begin with a prefix.
pub async fn list(asked: Asked) -> Answer {
    let table = asked.table().await?.id;
    let query = asked.query(&["prefix", "cursor", "count"])?;
    let given = |name: &str| query.iter().find(|(found, _)| *found == name).map(|(_, value)| &value[..]);
    let count = match given("count") {
        None => PAGE,
        Some(text) => number(text)
            .filter(|count| (1..=PAGE_MAX).contains(count))
            .ok_or_else(|| Problem::malformed(format!("count takes a number from 1 to {PAGE_MAX}")))?,
    };
    let cursor = given("cursor").unwrap_or(b"0");
    let mut scan = words([&b"SCAN"[..], cursor, b"COUNT", count.to_string().as_bytes()]);
    if let Some(prefix) = given("prefix").filter(|prefix| !prefix.is_empty()) {
        scan.extend([Bytes::from_static(b"MATCH"), beginning_with(prefix)]);
    }
    let done = operate(&asked, Action { table, commands: vec![scan], ..Action::default() }).await?;
    let Value::Array(parts) = &done.value else { return Err(done.failed(Kind::Guard).unwrap_or_else(misfit)) };
    let [Value::Bulk(cursor), Value::Array(keys)] = &parts[..] else { return Err(misfit()) };
    let following = if cursor == "0" { Json::Null } else { json::bytes(cursor) };
    let keys: Vec<Json> = keys.iter().map(json::value).collect();
    Ok(done.json(json!({ "keys": keys, "cursor": following })))
}

/// The pattern that matches what begins with these bytes.
fn beginning_with(prefix: &[u8]) -> Bytes {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for &byte in prefix {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'^' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    Bytes::from(pattern)
}

fn words<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Words {
    words.into_iter().map(Bytes::copy_from_slice).collect()
}

/// A version as a tag.
fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits and quotes are a header value")
}

/// Does `If-None-Match` name this tag?
fn matches_any(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let tags =
        headers.get_all(header::IF_NONE_MATCH).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    tags.map(<[u8]>::trim_ascii)
        .any(|found| found == b"*" || found.strip_prefix(b"W/").unwrap_or(found) == tag.as_bytes())
}

/// What a write's `If-Match` and `If-None-Match` demand.
#[derive(Debug, Default)]
struct Condition {
    guards: Vec<Guard>,
    /// The key must exist, at whatever version.
    exists: bool,
}

impl Condition {
    fn read(headers: &HeaderMap, key: &Bytes) -> Result<Condition, Problem> {
        let mut condition = Condition::default();
        match single(headers, &header::IF_NONE_MATCH)? {
            None => {}
            Some(b"*") => condition.guards.push(Guard::Absent { key: key.clone() }),
            Some(_) => {
                return Err(bad_condition(&header::IF_NONE_MATCH, "takes only * in a write: the key must not exist"));
            }
        }
        match single(headers, &header::IF_MATCH)? {
            None => {}
            Some(b"*") => condition.exists = true,
            Some(tag) => {
                let version = tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\"")).and_then(number);
                let version = version.ok_or_else(|| {
                    bad_condition(&header::IF_MATCH, "takes * or one version as an ETag gave it, such as \"42\"")
                })?;
                condition.guards.push(Guard::Version { key: key.clone(), version });
            }
        }
        Ok(condition)
    }
}

fn bad_condition(name: &HeaderName, why: &str) -> Problem {
    Problem::malformed(format!("{name} {why}"))
}

impl Asked {
    /// The key in the path.
    pub fn key(&self) -> Result<Bytes, Problem> {
        Ok(Bytes::from(percent::decode(self.segment("{key}").unwrap_or_default())?))
    }
    /// The parameters of the query.
    pub fn query(&self, known: &[&'static str]) -> Result<Vec<(&'static str, Vec<u8>)>, Problem> {
        percent::query(self.parts.uri.query(), known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_literally() {
        assert_eq!(beginning_with(b"a*[x]?^\\"), "a\\*\\[x\\]\\?\\^\\\\*");
        assert_eq!(beginning_with(b"\xFF"), &b"\xFF*"[..]);
    }
}
