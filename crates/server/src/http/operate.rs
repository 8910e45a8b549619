//! From a request's headers to an operation, and from its outcome to a reply.

use super::Site;
use super::json;
use super::problem::{Kind, Problem};
use super::routes::Asked;
use crate::receipt::{from_hex, hex, shortfall};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use quorate_core::guarantee::{Ack, Level, Quorum, Receipt, Session, Want};
use quorate_core::limits;
use quorate_core::operation::{Batch, Guard, IdempotencyKey, Operate, Outcome, Reply, Request, TableId, Value, Words};
use quorate_core::quorum::Rule;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// What a read must not miss.
pub const LEVEL: HeaderName = HeaderName::from_static("quorate-level");
/// Who must hold a write durably.
pub const ACK: HeaderName = HeaderName::from_static("quorate-ack");
/// How long the caller waits.
pub const DEADLINE: HeaderName = HeaderName::from_static("quorate-deadline-ms");
/// What the session has seen.
pub const SESSION: HeaderName = HeaderName::from_static("quorate-session");
/// Asks for the receipt; carries it where the body has no room.
pub const RECEIPT: HeaderName = HeaderName::from_static("quorate-receipt");
/// The name under which a write is applied at most once.
pub const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");

/// How many replicas of a leaderless table must answer a read.
pub const READ: HeaderName = HeaderName::from_static("quorate-r");
/// How many replicas of a leaderless table must hold a write.
pub const WRITE: HeaderName = HeaderName::from_static("quorate-w");
/// Nodes that are no replicas may stand in for some.
pub const SLOPPY: HeaderName = HeaderName::from_static("quorate-sloppy");
/// An answer counts before it is durable.
pub const VOLATILE: HeaderName = HeaderName::from_static("quorate-volatile");
/// What a read of a key on a leaderless table handed out, in hexadecimal: the next write of the key hands it back.
pub const SEEN: HeaderName = HeaderName::from_static("quorate-seen");

/// The loop answers at the deadline; if it has not this much later, something is wrong with it.
const GRACE: Duration = Duration::from_secs(2);

/// What the headers ask beyond the operation.
#[derive(Clone, Debug)]
pub struct Wish {
    want: Want,
    session: Session,
    deadline_ms: u32,
    receipt: bool,
    idempotency: Option<IdempotencyKey>,
    seen: Option<Bytes>,
}

impl Wish {
    /// Reads the headers.
    pub fn read(headers: &HeaderMap, cluster: u64) -> Result<Wish, Problem> {
        let mut wish = Wish {
            want: Want::default(),
            session: Session::default(),
            deadline_ms: limits::DEADLINE_MS,
            receipt: false,
            idempotency: None,
            seen: None,
        };
        if let Some(word) = single(headers, &LEVEL)? {
            let known = Level::ALL.map(Level::word);
            wish.want.level = Some(Level::parse(word).ok_or_else(|| unknown_word(&LEVEL, word, &known))?);
        }
        if let Some(word) = single(headers, &ACK)? {
            let known = Ack::ALL.map(Ack::word);
            wish.want.ack = Some(Ack::parse(word).ok_or_else(|| unknown_word(&ACK, word, &known))?);
        }
        if let Some(word) = single(headers, &DEADLINE)? {
            let most = limits::DEADLINE_MAX_MS;
            wish.deadline_ms = number(word)
                .filter(|ms| (1..=u64::from(most)).contains(ms))
                .ok_or_else(|| Problem::malformed(format!("{DEADLINE} takes milliseconds from 1 to {most}")))?
                as u32;
        }
        if let Some(token) = single(headers, &SESSION)? {
            wish.session = Session::from_token(&String::from_utf8_lossy(token), cluster).map_err(|why| {
                Problem::malformed(format!("{SESSION}: {why}; send a token that this cluster gave, or none"))
            })?;
        }
        wish.receipt = flag(headers, &RECEIPT)?;
        wish.want.quorum = Quorum {
            read: replicas(headers, &READ)?,
            write: replicas(headers, &WRITE)?,
            sloppy: flag(headers, &SLOPPY)?,
            volatile: flag(headers, &VOLATILE)?,
        };
        if let Some(digits) = single(headers, &SEEN)? {
            let seen = from_hex(digits)
                .ok_or_else(|| Problem::malformed(format!("{SEEN} takes what an earlier reply gave in this header")))?;
            wish.seen = Some(Bytes::from(seen));
        }
        if let Some(key) = single(headers, &IDEMPOTENCY)? {
            if key.is_empty() || key.len() > limits::IDEMPOTENCY_KEY_BYTES {
                let most = limits::IDEMPOTENCY_KEY_BYTES;
                return Err(Problem::malformed(format!("{IDEMPOTENCY} has 1 to {most} bytes")));
            }
            wish.idempotency = Some(IdempotencyKey(Bytes::copy_from_slice(key)));
        }
        Ok(wish)
    }
}

impl Wish {
    /// For a read of the catalogue before the operation: nothing that is meant for data.
    pub fn look_up(self, level: Level) -> Wish {
        Wish { want: Want::of_level(level), idempotency: None, seen: None, ..self }
    }
    /// A read of this level, unless the headers name one.
    pub fn at_least(mut self, level: Level) -> Wish {
        self.want.level.get_or_insert(level);
        self
    }
    /// A read that does not miss what was done before.
    pub fn after(self, done: &Done) -> Wish {
        Wish { session: done.session.clone(), ..self.look_up(Level::Session) }
    }
}

fn flag(headers: &HeaderMap, name: &HeaderName) -> Result<bool, Problem> {
    let Some(word) = single(headers, name)? else { return Ok(false) };
    match &word.to_ascii_lowercase()[..] {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(unknown_word(name, word, &["true", "false"])),
    }
}

/// A number of replicas; 0 if the header is not there.
fn replicas(headers: &HeaderMap, name: &HeaderName) -> Result<u8, Problem> {
    let Some(word) = single(headers, name)? else { return Ok(0) };
    let most = Rule::REPLICAS_MAX;
    let count = number(word).and_then(|count| u8::try_from(count).ok()).filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| Problem::malformed(format!("{name} takes a number of replicas, 1 to {most}")))
}

fn unknown_word(name: &HeaderName, word: &[u8], known: &[&str]) -> Problem {
    let word = String::from_utf8_lossy(&word[..word.len().min(64)]).into_owned();
    Problem::malformed(format!("{name} does not know '{word}'; it knows {}", known.join(", ")))
        .with("known", json!(known))
}

/// The value of a header that may stand once.
pub fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() {
        return Err(Problem::malformed(format!("the header {name} stands twice")));
    }
    Ok(first)
}

/// A number of decimal digits only.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What is done, apart from what the headers ask.
#[derive(Clone, Debug, Default)]
pub struct Action {
    /// The table.
    pub table: TableId,
    /// The commands.
    pub commands: Vec<Words>,
    /// What must hold before.
    pub guards: Vec<Guard>,
    /// Reply with an array even for one command.
    pub transaction: bool,
}

/// An operation that was evaluated, with the guarantee that was asked for.
#[derive(Debug)]
pub struct Done {
    /// The result.
    pub value: Value,
    /// What was met.
    pub receipt: Receipt,
    /// What a read of a leaderless table handed out.
    seen: Option<Bytes>,
    session: Session,
    cluster: u64,
    receipt_wanted: bool,
}

/// Carries out an operation. An error of the command itself is a value here; see [`Done::failed`].
pub async fn operate(asked: &Asked, action: Action) -> Result<Done, Problem> {
    operate_with(asked, action, |wish| wish).await
}

/// As [`operate`], with other wishes than the headers say.
pub async fn operate_with(asked: &Asked, action: Action, change: impl FnOnce(Wish) -> Wish) -> Result<Done, Problem> {
    let cluster = asked.site.settings.cluster;
    let wish = change(Wish::read(&asked.parts.headers, cluster)?);
    let writes = action.commands.iter().any(|words| {
        words.first().and_then(|name| quorate_core::state::command::find(name)).is_some_and(|spec| spec.write)
    });
    let batch = Batch {
        table: action.table,
        guards: action.guards,
        idempotency: wish.idempotency,
        commands: action.commands,
        transaction: action.transaction,
    };
    let operate = Operate {
        batch,
        want: wish.want,
        session: wish.session.clone(),
        seen: wish.seen,
        after_own_writes: false,
        deadline_ms: wish.deadline_ms,
    };
    let wait = Duration::from_millis(u64::from(wish.deadline_ms)) + GRACE;
    let (outcome, heard, seen) = match call(&asked.site, Request::Operate(operate), wait).await {
        Ok(Reply::Operated { outcome, session, seen }) => (outcome, session, seen),
        Ok(Reply::Status(_) | Reply::Transferred(_) | Reply::ChangeBegun(_) | Reply::Hot(_) | Reply::Repair(_)) => {
            return Err(misfit());
        }
        Err(silence) => return Err(silence.problem(writes)),
    };
    let mut session = wish.session;
    session.merge(&heard);
    let token = token(&session, cluster);
    match outcome {
        Outcome::Done { value, receipt } => {
            Ok(Done { value, receipt, seen, session, cluster, receipt_wanted: wish.receipt })
        }
        Outcome::Refused(refusal) => Err(Problem::refused(&refusal).header(SESSION, token)),
        Outcome::Unknown(doubt) => Err(Problem::unknown(&doubt).header(SESSION, token)),
        Outcome::Short { value, receipt } => {
            let detail =
                format!("the write was applied with less than was asked: {}; do not repeat it", shortfall(&receipt));
            Err(Problem::new(Kind::Short, detail)
                .with("value", json::value(&value))
                .with("receipt", json::receipt(&receipt, &session, cluster, seen.as_deref()))
                .header(SESSION, token))
        }
    }
}

/// The loop gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It has ended.
    Stopped,
    /// It does not answer in time.
    Stuck,
}

impl Silence {
    /// What a caller is told; a write may have been applied.
    pub fn problem(self, write: bool) -> Problem {
        let why = match self {
            Silence::Stopped => "this node is stopping",
            Silence::Stuck => "this node does not answer",
        };
        if write {
            Problem::new(Kind::Unknown, format!("{why}; read the state elsewhere, or repeat with an idempotency key"))
        } else {
            Problem::new(Kind::Unavailable, format!("{why}; ask another node"))
        }
    }
}

/// Asks the loop, but not for ever.
pub async fn call(site: &Site, request: Request, wait: Duration) -> Result<Reply, Silence> {
    match tokio::time::timeout(wait, site.handle.call(request)).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(_)) => Err(Silence::Stopped),
        Err(_) => Err(Silence::Stuck),
    }
}

/// The loop answered another question.
pub fn misfit() -> Problem {
    Problem::new(Kind::Broken, "the node gave an answer that does not fit the question; this is a defect")
}

fn token(session: &Session, cluster: u64) -> HeaderValue {
    HeaderValue::from_str(&session.token(cluster)).expect("a token is hexadecimal")
}

impl Done {
    /// A failure after the operation was evaluated, with what the session has seen and the receipt, if it was asked for.
    pub fn problem(&self, kind: Kind, detail: impl Into<String>) -> Problem {
        let problem = Problem::new(kind, detail).header(SESSION, token(&self.session, self.cluster));
        let seen =
            self.seen.as_ref().map(|seen| HeaderValue::from_str(&hex(seen)).expect("hexadecimal is a header value"));
        let problem = match seen {
            Some(seen) => problem.header(SEEN, seen),
            None => problem,
        };
        if self.receipt_wanted { problem.with("receipt", self.receipt_json()) } else { problem }
    }

    /// The version that a write gave its key. There are none without a log.
    pub fn version(&self) -> Option<u64> {
        self.receipt.round().is_none().then(|| self.receipt.position().index)
    }

    /// If the value is an error of the command, the failure that it means. `guard` is what a broken guard is called.
    pub fn failed(&self, guard: Kind) -> Option<Problem> {
        let Value::Error(text) = &self.value else { return None };
        let bad_words = ["ERR syntax", "ERR wrong number", "ERR invalid cursor", "ERR unknown"];
        let kind = if text.starts_with(b"GUARD") {
            guard
        } else if text.starts_with(b"WRONGTYPE") {
            Kind::WrongType
        } else if text.starts_with(b"IDEMPOTENCY") {
            Kind::IdempotencyReused
        } else if bad_words.iter().any(|start| text.starts_with(start.as_bytes())) {
            Kind::Malformed
        } else {
            Kind::CommandFailed
        };
        Some(self.problem(kind, String::from_utf8_lossy(text)))
    }

    /// A reply of JSON: an object, which gets the receipt if it was asked for.
    pub fn json(&self, mut body: Json) -> Response<Body> {
        if self.receipt_wanted {
            body["receipt"] = self.receipt_json();
        }
        let mut response = Response::new(Body::from(body.to_string()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.tell(headers);
        response
    }

    /// A reply of bytes, or of none; the receipt goes into a header.
    pub fn bytes(&self, status: StatusCode, body: Bytes) -> Response<Body> {
        let empty = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let mut response = Response::new(if empty { Body::empty() } else { Body::from(body) });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if !empty {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        self.tell(headers);
        if self.receipt_wanted {
            let receipt = self.receipt_json().to_string();
            headers.insert(RECEIPT, HeaderValue::from_str(&receipt).expect("a receipt is ASCII"));
        }
        response
    }

    fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(SESSION, token(&self.session, self.cluster));
        if let Some(seen) = &self.seen {
            headers.insert(SEEN, HeaderValue::from_str(&hex(seen)).expect("hexadecimal is a header value"));
        }
    }

    fn receipt_json(&self) -> Json {
        json::receipt(&self.receipt, &self.session, self.cluster, self.seen.as_deref())
    }
}
