//! Texts that several edit: as text for people, and as updates of Yjs for editors.

use super::body;
use super::operate::{Action, misfit, operate};
use super::problem::{Kind, Problem};
use super::routes::Asked;
use crate::receipt::from_hex;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use quorate_core::operation::{TableId, Value};

type Answer = Result<Response<Body>, Problem>;

const BYTES: &str = "application/octet-stream";
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The text; or what an editor lacks of it, if it says what it knows (in hexadecimal) or accepts bytes only.
pub async fn get(asked: &Asked, table: TableId, key: Bytes, known: Option<&[u8]>) -> Answer {
    let accepted = asked.parts.headers.get(header::ACCEPT);
    let wants_updates = known.is_some() || accepted.is_some_and(|accepted| accepted == BYTES);
    let command = if wants_updates {
        let known = known.filter(|known| !known.is_empty()).map(from_hex);
        let vector = known.map(|known| known.ok_or_else(|| Problem::malformed("vector takes hexadecimal digits")));
        let words = [Bytes::from_static(b"TEXT.STATE"), key];
        words.into_iter().chain(vector.transpose()?.map(Bytes::from)).collect()
    } else {
        vec![Bytes::from_static(b"GET"), key]
    };
    let done = operate(asked, Action { table, commands: vec![command], ..Action::default() }).await?;
    match &done.value {
        Value::Bulk(value) => {
            let mut response = done.bytes(StatusCode::OK, value.clone());
            if !wants_updates {
                response.headers_mut().insert(header::CONTENT_TYPE, PLAIN);
            }
            Ok(response)
        }
        Value::Nil => Err(done.problem(Kind::KeyAbsent, "the key does not exist at the replicas that were read")),
        _ => Err(done.failed(Kind::Guard).unwrap_or_else(misfit)),
    }
}

/// Takes an editor's update in.
pub async fn update(asked: Asked, content: Body) -> Answer {
    asked.query(&[])?;
    let (table, key) = (asked.table().await?.id, asked.key()?);
    let (update, _share) = body::read(&asked, content).await?;
    let command = vec![Bytes::from_static(b"TEXT.UPDATE"), key, update];
    let done = operate(&asked, Action { table, commands: vec![command], ..Action::default() }).await?;
    match done.failed(Kind::Precondition) {
        Some(problem) => Err(problem),
        None => Ok(done.bytes(StatusCode::NO_CONTENT, Bytes::new())),
    }
}
