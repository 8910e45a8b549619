//! The body of a request: bounded in bytes, in time, and in what all bodies together hold.

use super::Share;
use super::problem::{Kind, Problem};
use super::routes::Asked;
use axum::body::{Body, HttpBody};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

/// Reads the whole body. The share is what it counts for; hold it as long as the bytes.
pub async fn read(asked: &Asked, mut body: Body) -> Result<(Bytes, Share), Problem> {
    let bounds = asked.site.settings.bounds;
    let too_large =
        || Problem::new(Kind::TooLarge, format!("the body of a request has at most {} bytes", bounds.body_bytes));
    if body.size_hint().lower() > bounds.body_bytes as u64 {
        return Err(too_large());
    }
    if asked.parts.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Problem::malformed("a body with a content encoding is not understood; send it plain"));
    }
    let mut share = asked.site.bodies.share();
    let mut bytes = BytesMut::new();
    let end = Instant::now() + bounds.body_timeout;
    loop {
        let until = end.min(Instant::now() + bounds.stall_timeout);
        let frame = match timeout_at(until, body.frame()).await {
            Ok(None) => return Ok((bytes.freeze(), share)),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(why))) => {
                return Err(Problem::malformed(format!("the body ended early or is malformed: {why}")));
            }
            Err(_) => return Err(Problem::new(Kind::Timeout, "the body of the request did not arrive in time")),
        };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > bounds.body_bytes {
            return Err(too_large());
        }
        if !share.grow(data.len(), bounds.bodies_bytes) {
            return Err(Problem::new(Kind::Overloaded, "the requests in progress hold too much memory; try again"));
        }
        bytes.extend_from_slice(&data);
    }
}

/// Reads the body as JSON. An empty body means `empty`, if that is given.
pub async fn json<T: DeserializeOwned>(asked: &Asked, body: Body, empty: Option<T>) -> Result<(T, Share), Problem> {
    let (bytes, share) = read(asked, body).await?;
    if bytes.is_empty()
        && let Some(empty) = empty
    {
        return Ok((empty, share));
    }
    // The message ends with the line and the column.
    let value = serde_json::from_slice(&bytes)
        .map_err(|why| Problem::malformed(format!("the body is not the JSON that is expected here: {why}")))?;
    Ok((value, share))
}
