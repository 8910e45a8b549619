//! Failures as `application/problem+json` (RFC 9457), with two members of our own: `applied`, which says whether the
//! operation took effect (`no`, `yes` or `unknown`), and `retry_after_ms`, which is there when the same request may
//! succeed later.
//!
//! Why 202 for `short`: the write was applied, so a status that clients or proxies repeat would apply it twice; and what
//! was asked was not reached, so neither 200 nor 204, which promise it. Nothing else answers 202.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use quorate_core::operation::{Applied, Doubt, Refusal};
use serde_json::{Map, Value as Json, json};

/// What went wrong. [`Kind::spec`] has what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Short,
    Malformed,
    UnknownCommand,
    Unauthorized,
    Forbidden,
    UnknownPath,
    UnknownTable,
    NoSuchTarget,
    KeyAbsent,
    TableExists,
    Method,
    Timeout,
    WrongType,
    Guard,
    NotLeader,
    Precondition,
    TooLarge,
    UriTooLong,
    Misdirected,
    CommandFailed,
    Impossible,
    IdempotencyReused,
    HeadTooLarge,
    Broken,
    Unavailable,
    Overloaded,
    Unknown,
}

impl Kind {
    /// All kinds.
    pub const ALL: &'static [Kind] = &[
        Kind::Short,
        Kind::Malformed,
        Kind::UnknownCommand,
        Kind::Unauthorized,
        Kind::Forbidden,
        Kind::UnknownPath,
        Kind::UnknownTable,
        Kind::NoSuchTarget,
        Kind::KeyAbsent,
        Kind::TableExists,
        Kind::Method,
        Kind::Timeout,
        Kind::WrongType,
        Kind::Guard,
        Kind::NotLeader,
        Kind::Precondition,
        Kind::TooLarge,
        Kind::UriTooLong,
        Kind::Misdirected,
        Kind::CommandFailed,
        Kind::Impossible,
        Kind::IdempotencyReused,
        Kind::HeadTooLarge,
        Kind::Broken,
        Kind::Unavailable,
        Kind::Overloaded,
        Kind::Unknown,
    ];

    /// Its status, its name in `type`, and its title.
    pub const fn spec(self) -> (u16, &'static str, &'static str) {
        match self {
            Kind::Short => (202, "short", "Applied, but the guarantee that was asked for was not reached in time"),
            Kind::Malformed => (400, "malformed", "The request is malformed"),
            Kind::UnknownCommand => (400, "unknown-command", "There is no such command"),
            Kind::Unauthorized => (401, "unauthorized", "The password is missing or wrong"),
            Kind::Forbidden => (403, "forbidden", "Not allowed here"),
            Kind::UnknownPath => (404, "unknown-path", "There is nothing at this path"),
            Kind::UnknownTable => (404, "unknown-table", "There is no such table"),
            Kind::NoSuchTarget => (404, "no-such-target", "There is no such group or node"),
            Kind::KeyAbsent => (404, "key-absent", "The key does not exist"),
            Kind::Method => (405, "method", "The path does not take this method"),
            Kind::Timeout => (408, "timeout", "The request did not arrive in time"),
            Kind::TableExists => (409, "table-exists", "There is a table of this name already"),
            Kind::WrongType => (409, "wrong-type", "The key holds another type"),
            Kind::Guard => (409, "guard", "A guard does not hold"),
            Kind::NotLeader => (409, "not-leader", "This node does not lead the group"),
            Kind::Precondition => (412, "precondition", "The key is not at the version that was named"),
            Kind::TooLarge => (413, "too-large", "The request is over a limit"),
            Kind::UriTooLong => (414, "uri-too-long", "The path or query is too long"),
            Kind::Misdirected => (421, "misdirected", "The request was meant for another host"),
            Kind::CommandFailed => (422, "command-failed", "The command was evaluated and changed nothing"),
            Kind::Impossible => (422, "impossible", "The operation cannot be given as asked"),
            Kind::IdempotencyReused => (422, "idempotency-reused", "The idempotency key belongs to another operation"),
            Kind::HeadTooLarge => (431, "head-too-large", "The headers are too large"),
            Kind::Broken => (500, "broken", "The node gave an answer that does not fit the question"),
            Kind::Unavailable => (503, "unavailable", "Not possible at the moment"),
            Kind::Overloaded => (503, "overloaded", "Too much is in flight"),
            Kind::Unknown => (504, "unknown", "The outcome is not known"),
        }
    }

    /// The status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.spec().0).expect("the table holds valid statuses")
    }
}

/// How long a client should wait before the same request may succeed, in milliseconds.
const RETRY_AFTER_MS: u64 = 250;

/// A failure on its way out.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    more: Map<String, Json>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    /// A failure with a sentence: what happened and what to do.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), more: Map::new(), headers: Vec::new() }
    }
    /// A request that cannot be understood.
    pub fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::Malformed, detail)
    }
    /// The operation was certainly not applied.
    pub fn refused(refusal: &Refusal) -> Problem {
        let kind = match refusal {
            Refusal::NoLeader
            | Refusal::NoQuorum
            | Refusal::Behind
            | Refusal::Superseded
            | Refusal::TooFewReplicas { .. }
            | Refusal::NoLife
            | Refusal::ClockAhead(_)
            | Refusal::ChangeOnItsWay => Kind::Unavailable,
            Refusal::Overloaded => Kind::Overloaded,
            Refusal::CrossGroup | Refusal::AckNeedsBlindWrite | Refusal::Impossible(_) => Kind::Impossible,
            Refusal::UnknownTable => Kind::UnknownTable,
            Refusal::UnknownCommand => Kind::UnknownCommand,
            Refusal::TooLarge(_) => Kind::TooLarge,
            Refusal::NoSuchTarget => Kind::NoSuchTarget,
        };
        Problem::new(kind, refusal.sentence())
    }
    /// It is not known whether the operation was applied.
    pub fn unknown(doubt: &Doubt) -> Problem {
        Problem::new(Kind::Unknown, doubt.sentence())
    }
    /// A member beyond the usual.
    pub fn with(mut self, name: &str, value: Json) -> Problem {
        self.more.insert(name.to_string(), value);
        self
    }
    /// A header.
    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }
    fn applied(&self) -> Applied {
        if self.kind == Kind::Short {
            Applied::Yes
        } else if self.kind == Kind::Unknown {
            Applied::Unknown
        } else {
            Applied::No
        }
    }

    fn may_retry(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Overloaded)
    }

    /// The body.
    pub fn json(&self) -> Json {
        let (status, slug, title) = self.kind.spec();
        let mut body = json!({
            "type": format!("urn:quorate:{slug}"),
            "title": title,
            "status": status,
            "detail": self.detail,
            "applied": self.applied().word(),
        });
        if self.may_retry() {
            body["retry_after_ms"] = json!(RETRY_AFTER_MS);
        }
        for (name, value) in &self.more {
            body[name] = value.clone();
        }
        body
    }

    /// The reply.
    pub fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.json().to_string()));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.may_retry() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_MS.div_ceil(1000)));
        }
        headers.extend(self.headers);
        response
    }

    /// The reply as bytes, for a connection that ends with it.
    pub fn last_words(&self) -> Vec<u8> {
        let body = self.json().to_string();
        let status = self.kind.status();
        let reason = status.canonical_reason().unwrap_or("Error");
        let retry = if self.may_retry() { "retry-after: 1\r\n" } else { "" };
        format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\n{retry}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            status.as_u16(),
            body.len(),
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_status() {
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.spec().1).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(Kind::ALL.iter().all(|kind| kind.status().as_u16() == 202 || kind.status().as_u16() >= 400));
    }

    #[test]
    fn what_may_be_repeated_is_told_so_and_nothing_else() {
        for refusal in [
            Refusal::NoLeader,
            Refusal::NoQuorum,
            Refusal::Behind,
            Refusal::TooFewReplicas { answered: 1, needed: 2 },
            Refusal::NoLife,
            Refusal::ClockAhead("no".to_string()),
            Refusal::CrossGroup,
            Refusal::UnknownTable,
            Refusal::UnknownCommand,
            Refusal::AckNeedsBlindWrite,
            Refusal::Impossible("no".to_string()),
            Refusal::Superseded,
            Refusal::Overloaded,
            Refusal::TooLarge("no".to_string()),
            Refusal::NoSuchTarget,
            Refusal::ChangeOnItsWay,
        ] {
            let problem = Problem::refused(&refusal);
            assert_eq!(problem.may_retry(), refusal.may_retry(), "{refusal:?}");
            assert_eq!(problem.json()["applied"], "no", "{refusal:?}");
            assert_eq!(problem.kind.status() == StatusCode::SERVICE_UNAVAILABLE, refusal.may_retry(), "{refusal:?}");
        }
    }
}
