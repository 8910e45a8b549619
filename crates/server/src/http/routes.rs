//! The one table of what there is: the router, the OpenAPI document and the page at `/` are made from it.

use super::problem::{Kind, Problem};
use super::{Site, admit, batch, keys, members, node, repair, tables, texts};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, header};
use axum::routing::any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A request that found its route.
#[derive(Debug)]
pub struct Asked {
    /// What all requests share.
    pub site: Arc<Site>,
    /// The head.
    pub parts: Parts,
    template: &'static str,
    action: Option<&'static str>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Problem>> + Send>>;

/// Which headers a route looks at, and what its replies can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Reads data.
    Read,
    /// Writes data.
    Write,
    /// Both, by its body.
    Batch,
    /// About the node.
    Node,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// None.
    Nothing,
    /// The bytes of a value.
    Bytes,
    /// Plain text.
    Text,
    /// The schema of this name.
    Json(&'static str),
}

/// One thing that can be asked.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The paths at which it can be asked; `{table}` and `{key}` stand for one segment each.
    pub templates: &'static [&'static str],
    /// A suffix of the last segment, after a colon.
    pub action: Option<&'static str>,
    /// Its name for programs.
    pub id: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What it looks at.
    pub family: Family,
    /// Parameters of the query: name, schema type, description.
    pub query: &'static [(&'static str, &'static str, &'static str)],
    /// Takes `If-Match` and `If-None-Match`.
    pub conditional: bool,
    /// What the request holds.
    pub takes: Content,
    /// What a success is and holds.
    pub gives: (u16, Content),
    /// Answered without the password.
    pub open: bool,
    /// Does it.
    run: fn(Asked, Body) -> Answer,
}

impl Route {
    /// The path of a template, with the action.
    pub fn path(&self, template: &str) -> String {
        match self.action {
            Some(action) => format!("{template}:{action}"),
            None => template.to_string(),
        }
    }
}

const KEY: &[&str] = &["/v1/keys/{key}", "/v1/tables/{table}/keys/{key}"];
const KEYS: &[&str] = &["/v1/keys", "/v1/tables/{table}/keys"];
const TABLES: &[&str] = &["/v1/tables"];
const TABLE: &[&str] = &["/v1/tables/{table}"];
const MEMBERS: &[&str] = &["/v1/members"];
const MEMBER: &[&str] = &["/v1/members/{node}"];
const COMMANDS: &[&str] = &["/v1/commands", "/v1/tables/{table}/commands"];

const fn route(
    method: &'static str,
    templates: &'static [&'static str],
    id: &'static str,
    summary: &'static str,
    family: Family,
    gives: (u16, Content),
    run: fn(Asked, Body) -> Answer,
) -> Route {
    let (query, takes): (&[_], _) = (&[], Content::Nothing);
    Route {
        method,
        templates,
        action: None,
        id,
        summary,
        family,
        query,
        conditional: false,
        takes,
        gives,
        open: false,
        run,
    }
}

use Content::{Bytes, Json, Nothing, Text};

/// All that can be asked.
pub const ROUTES: &[Route] = &[
    route(
        "GET",
        KEY,
        "getKey",
        "The value of a key; its version is the ETag",
        Family::Read,
        (200, Bytes),
        |asked, _| Box::pin(keys::get(asked)),
    )
    .conditional()
    .query(&[(
        "vector",
        "string",
        "Of a text: give the update (Yjs, v1) that an editor lacks whose state vector this is, in hexadecimal; empty for all",
    )]),
    route("PUT", KEY, "putKey", "Sets a key to the body", Family::Write, (204, Nothing), |asked, body| {
        Box::pin(keys::put(asked, body))
    })
    .conditional()
    .takes(Bytes)
    .query(&[("ttl_ms", "integer", "The key expires after this many milliseconds of log time")]),
    route("DELETE", KEY, "deleteKey", "Removes a key", Family::Write, (200, Json("Removed")), |asked, _| {
        Box::pin(keys::delete(asked))
    })
    .conditional(),
    route(
        "POST",
        KEY,
        "incrementKey",
        "Adds to the number in a key",
        Family::Write,
        (200, Json("Incremented")),
        |asked, body| Box::pin(keys::increment(asked, body)),
    )
    .action("incr")
    .conditional()
    .takes(Json("Increment")),
    route(
        "POST",
        KEY,
        "swapKey",
        "Sets a key if it holds what is expected",
        Family::Write,
        (200, Json("Swapped")),
        |asked, body| Box::pin(keys::compare_and_set(asked, body)),
    )
    .action("cas")
    .takes(Json("Swap")),
    route(
        "POST",
        KEY,
        "updateText",
        "Takes an update of an editor (Yjs, v1) into a text",
        Family::Write,
        (204, Nothing),
        |asked, body| Box::pin(texts::update(asked, body)),
    )
    .action("update")
    .takes(Bytes),
    route("GET", KEYS, "listKeys", "One page of the keys", Family::Read, (200, Json("Page")), |asked, _| {
        Box::pin(keys::list(asked))
    })
    .query(&[
        ("prefix", "string", "Only keys that begin with these bytes"),
        ("cursor", "string", "The cursor that the page before gave"),
        (
            "count",
            "integer",
            "About how many keys to look at, 1 to 10000; 100 if it is not said. A page may hold fewer, even none",
        ),
    ]),
    route(
        "POST",
        COMMANDS,
        "runCommands",
        "Commands as one atomic batch",
        Family::Batch,
        (200, Json("Results")),
        |asked, body| Box::pin(batch::run(asked, body)),
    )
    .takes(Json("Commands")),
    route("GET", TABLES, "listTables", "The tables", Family::Read, (200, Json("Tables")), |asked, _| {
        Box::pin(tables::list(asked))
    }),
    route("POST", TABLES, "createTable", "Makes a table", Family::Write, (201, Json("Table")), |asked, body| {
        Box::pin(tables::create(asked, body))
    })
    .takes(Json("NewTable")),
    route("GET", TABLE, "showTable", "One table", Family::Read, (200, Json("Table")), |asked, _| {
        Box::pin(tables::show(asked))
    }),
    route(
        "PATCH",
        TABLE,
        "alterTable",
        "Changes what the body names of a table",
        Family::Write,
        (200, Json("Table")),
        |asked, body| Box::pin(tables::alter(asked, body)),
    )
    .takes(Json("Policy")),
    route(
        "DELETE",
        TABLE,
        "dropTable",
        "Removes a table with all that it holds",
        Family::Write,
        (200, Json("Removed")),
        |asked, _| Box::pin(tables::remove(asked)),
    ),
    route("GET", MEMBERS, "listMembers", "The members", Family::Read, (200, Json("Members")), |asked, _| {
        Box::pin(members::list(asked))
    }),
    route(
        "PUT",
        MEMBER,
        "setMember",
        "Adds a member, or changes what the body names of one",
        Family::Write,
        (200, Json("Member")),
        |asked, body| Box::pin(members::set(asked, body)),
    )
    .takes(Json("MemberChange")),
    route(
        "DELETE",
        MEMBER,
        "forgetMember",
        "Forgets a member that neither votes nor holds data",
        Family::Write,
        (200, Json("Removed")),
        |asked, _| Box::pin(members::forget(asked)),
    ),
    route(
        "GET",
        &["/v1/status"],
        "status",
        "Roles, terms, positions and counters",
        Family::Node,
        (200, Json("Status")),
        |asked, _| Box::pin(node::status(asked)),
    ),
    route(
        "GET",
        &["/v1/hot"],
        "hot",
        "The keys that clients of this node ask for most, lately",
        Family::Node,
        (200, Json("Hot")),
        |asked, _| Box::pin(node::hot(asked)),
    ),
    route(
        "GET",
        &["/v1/repair"],
        "repair",
        "How the repair of leaderless tables stands at this node",
        Family::Node,
        (200, Json("Repair")),
        |asked, _| Box::pin(repair::status(asked)),
    ),
    route(
        "POST",
        &["/v1/repair/run"],
        "runRepair",
        "Begins to compare all that this node shares with others",
        Family::Node,
        (200, Json("Repair")),
        |asked, _| Box::pin(repair::run(asked)),
    ),
    route(
        "POST",
        &["/v1/transfer"],
        "transfer",
        "Moves leadership of a group",
        Family::Node,
        (200, Json("Transferring")),
        |asked, body| Box::pin(node::transfer(asked, body)),
    )
    .takes(Json("Transfer")),
    route(
        "PUT",
        &["/v1/faults"],
        "faults",
        "Replaces faults on links, in test clusters",
        Family::Node,
        (200, Json("Faults")),
        |asked, body| Box::pin(node::faults(asked, body)),
    )
    .takes(Json("Rules")),
    route("GET", &["/livez"], "live", "Does this node answer?", Family::Node, (200, Text), |asked, _| {
        Box::pin(node::live(asked))
    })
    .open(),
    route(
        "GET",
        &["/readyz"],
        "ready",
        "Does every group have a leader?",
        Family::Node,
        (200, Json("Ready")),
        |asked, _| Box::pin(node::ready(asked)),
    ),
    route("GET", &["/metrics"], "metrics", "Figures for Prometheus", Family::Node, (200, Text), |asked, _| {
        Box::pin(node::metrics(asked))
    }),
    route(
        "GET",
        &["/v1/openapi.json"],
        "openapi",
        "This interface as an OpenAPI document",
        Family::Node,
        (200, Json("Any")),
        |asked, _| Box::pin(node::document(asked)),
    ),
    route("GET", &["/"], "welcome", "This page", Family::Node, (200, Text), |asked, _| Box::pin(node::welcome(asked))),
];

impl Route {
    const fn action(mut self, action: &'static str) -> Route {
        self.action = Some(action);
        self
    }
    const fn conditional(mut self) -> Route {
        self.conditional = true;
        self
    }
    const fn takes(mut self, content: Content) -> Route {
        self.takes = content;
        self
    }
    const fn query(mut self, query: &'static [(&'static str, &'static str, &'static str)]) -> Route {
        self.query = query;
        self
    }
    const fn open(mut self) -> Route {
        self.open = true;
        self
    }
}

/// The router over the table.
pub fn router(site: &Arc<Site>) -> Router {
    let mut templates: Vec<&'static str> = ROUTES.iter().flat_map(|route| route.templates).copied().collect();
    templates.sort_unstable();
    templates.dedup();
    let mut router = Router::new();
    for template in templates {
        let site = site.clone();
        let answer = move |request: Request| dispatch(site.clone(), template, request);
        router = router.route(template, any(answer));
    }
    let site = site.clone();
    router.fallback(move |request: Request| unknown(site.clone(), request))
}

async fn dispatch(site: Arc<Site>, template: &'static str, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let found = find(template, &parts);
    let open = found.as_ref().is_ok_and(|route| route.open);
    if !open && let Err(problem) = admit::admit(&site, &parts) {
        return problem.response();
    }
    let answer = match found {
        Ok(route) => (route.run)(Asked { site, parts, template, action: route.action }, body).await,
        Err(problem) => Err(problem),
    };
    answer.unwrap_or_else(Problem::response)
}

async fn unknown(site: Arc<Site>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let problem = match admit::admit(&site, &parts) {
        Ok(()) => unknown_path("GET / lists what there is; a '/' within a key is written %2F"),
        Err(problem) => problem,
    };
    problem.response()
}

fn unknown_path(detail: &str) -> Problem {
    Problem::new(Kind::UnknownPath, detail)
}

fn find(template: &'static str, parts: &Parts) -> Result<&'static Route, Problem> {
    let here = || ROUTES.iter().filter(|route| route.templates.contains(&template));
    let method = if parts.method == Method::HEAD { "GET" } else { parts.method.as_str() };
    let last = parts.uri.path().rsplit('/').next().unwrap_or_default();
    let action = last.rsplit_once(':').map(|(_, action)| action);
    let by_method = || here().filter(|route| route.method == method);
    if let Some(route) = by_method().find(|route| route.action.is_none() || route.action == action) {
        return Ok(route);
    }
    let actions: Vec<String> =
        by_method().filter_map(|route| route.action).map(|action| format!(":{action}")).collect();
    if !actions.is_empty() {
        let detail = format!("a {method} here ends with what to do: {}", actions.join(" or "));
        return Err(unknown_path(&detail));
    }
    let mut allowed: Vec<&str> = here().map(|route| route.method).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    allowed.sort_unstable();
    allowed.dedup();
    let allowed = allowed.join(", ");
    let value = HeaderValue::from_str(&allowed).expect("methods are a header value");
    Err(Problem::new(Kind::Method, format!("this path takes {allowed}")).header(header::ALLOW, value))
}

impl Asked {
    /// The segment of the path, still encoded, that stands for a name of the template.
    pub fn segment(&self, name: &str) -> Option<&str> {
        let at = self.template.split('/').position(|segment| segment == name)?;
        let segment = self.parts.uri.path().split('/').nth(at)?;
        match self.action {
            Some(action) if name == "{key}" => segment.strip_suffix(action)?.strip_suffix(':'),
            Some(_) | None => Some(segment),
        }
    }
}
