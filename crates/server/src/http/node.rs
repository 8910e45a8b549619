//! The node itself: its health, how it sees itself and the others, and what operators ask of it.

use super::operate::{call, misfit};
use super::problem::{Kind, Problem};
use super::routes::{Asked, ROUTES};
use super::{body, openapi};
use crate::fault::{LinkRule, LinkRules};
use crate::metrics::Metrics;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use quorate_core::machine::NodeId;
use quorate_core::operation::{Refusal, Reply, Request, Status};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

type Answer = Result<Response<Body>, Problem>;

/// How long the loop may take to tell how it is.
pub const PATIENCE: Duration = Duration::from_secs(2);

fn reply(content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// JSON as a reply.
pub fn json_reply(body: &Json) -> Response<Body> {
    reply("application/json", body.to_string())
}

/// How this node sees itself and the others.
pub async fn picture(asked: &Asked) -> Result<Status, Problem> {
    match call(&asked.site, Request::Status, PATIENCE).await {
        Ok(Reply::Status(status)) => Ok(status),
        Ok(
            Reply::Operated { .. } | Reply::Transferred(_) | Reply::ChangeBegun(_) | Reply::Hot(_) | Reply::Repair(_),
        ) => Err(misfit()),
        Err(silence) => Err(silence.problem(false)),
    }
}

/// The counters.
pub async fn counters(asked: &Asked) -> Result<Metrics, Problem> {
    match tokio::time::timeout(PATIENCE, asked.site.handle.metrics()).await {
        Ok(Ok(metrics)) => Ok(metrics),
        Ok(Err(_)) => Err(super::operate::Silence::Stopped.problem(false)),
        Err(_) => Err(super::operate::Silence::Stuck.problem(false)),
    }
}

/// What this server is and what it answers.
pub async fn welcome(asked: Asked) -> Answer {
    let settings = &asked.site.settings;
    let mut page = format!(
        "Quorate {}: a replicated key-value store. This is node {} of cluster {}.\n\n",
        env!("CARGO_PKG_VERSION"),
        settings.node,
        if settings.cluster_name.is_empty() { "(unnamed)" } else { &settings.cluster_name },
    );
    for route in ROUTES {
        for template in route.templates {
            let path = route.path(template);
            let _ = writeln!(page, "{:6} {path:42} {}", route.method, route.summary);
        }
    }
    page.push_str("\nEvery path, header and reply is described in /v1/openapi.json.\n");
    Ok(reply("text/plain; charset=utf-8", page))
}

/// The loop answers.
pub async fn live(asked: Asked) -> Answer {
    counters(&asked).await?;
    Ok(reply("text/plain; charset=utf-8", "ok\n".to_string()))
}

/// Every group has a leader that this node knows.
pub async fn ready(asked: Asked) -> Answer {
    let status = picture(&asked).await?;
    let orphans: Vec<u16> =
        status.groups.iter().filter(|group| group.leader.is_none()).map(|group| group.group).collect();
    if orphans.is_empty() {
        let mut body = json!({ "ready": true, "groups": status.groups.len() });
        if let Some(out) = &status.clock_out {
            // It serves all the same: others lead, and all that is promised holds.
            body["warning"] = json!(out.sentence());
        }
        return Ok(json_reply(&body));
    }
    let list = orphans.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let detail = format!("this node knows no leader of group {list}; wait for the election, or see /v1/status");
    Err(Problem::new(Kind::Unavailable, detail).with("groups_without_leader", json!(orphans)))
}

/// The busiest keys.
pub async fn hot(asked: Asked) -> Answer {
    asked.query(&[])?;
    match call(&asked.site, Request::Hot, PATIENCE).await {
        Ok(Reply::Hot(status)) => Ok(json_reply(&crate::front::hot_json(&status))),
        Ok(
            Reply::Operated { .. }
            | Reply::Status(_)
            | Reply::Transferred(_)
            | Reply::ChangeBegun(_)
            | Reply::Repair(_),
        ) => Err(misfit()),
        Err(silence) => Err(silence.problem(false)),
    }
}

/// Roles, terms, positions and counters.
pub async fn status(asked: Asked) -> Answer {
    asked.query(&[])?;
    let (status, metrics) = (picture(&asked).await?, counters(&asked).await?);
    let mut body = crate::front::status_json(&status, &metrics);
    body["cluster"] = json!(asked.site.settings.cluster_name);
    body["version"] = json!(env!("CARGO_PKG_VERSION"));
    Ok(json_reply(&body))
}

/// The counters and the groups for Prometheus.
pub async fn metrics(asked: Asked) -> Answer {
    let (status, metrics) = (picture(&asked).await?, counters(&asked).await?);
    let repair = super::repair::picture(&asked, false).await?;
    let text = super::metrics::text(&status, &repair, &metrics).map_err(|_| misfit())?;
    Ok(reply("application/openmetrics-text; version=1.0.0; charset=utf-8", text))
}

/// The OpenAPI document.
pub async fn document(_asked: Asked) -> Answer {
    Ok(json_reply(&openapi::document()))
}

/// Which group goes to which node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    group: u16,
    to: u16,
}

/// Asks that leadership of a group move.
pub async fn transfer(asked: Asked, content: Body) -> Answer {
    let (Transfer { group, to }, _share) = body::json(&asked, content, None).await?;
    match call(&asked.site, Request::Transfer { group, to: NodeId(to) }, PATIENCE).await {
        Ok(Reply::Transferred(Ok(()))) => Ok(json_reply(&json!({ "group": group, "to": to, "begun": true }))),
        Ok(Reply::Transferred(Err(Refusal::NoLeader))) => Err(Problem::new(
            Kind::NotLeader,
            format!("this node does not lead group {group}; ask its leader, which /v1/status names"),
        )),
        Ok(Reply::Transferred(Err(refusal))) => Err(Problem::refused(&refusal)),
        Ok(Reply::Operated { .. } | Reply::Status(_) | Reply::ChangeBegun(_) | Reply::Hot(_) | Reply::Repair(_)) => {
            Err(misfit())
        }
        Err(silence) => Err(silence.problem(true)),
    }
}

/// What happens to messages to one peer; what is not said is healthy.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rule {
    cut: bool,
    drop_per_mille: u16,
    delay_ms: u32,
}

/// Replaces the faults on this node's outgoing links.
pub async fn faults(asked: Asked, content: Body) -> Answer {
    if !asked.site.settings.faults_allowed {
        let detail = "faults can be injected only where the configuration says faults_allowed = true";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let (given, _share) = body::json::<BTreeMap<u16, Rule>>(&asked, content, None).await?;
    let members = picture(&asked).await?.members;
    for (peer, rule) in &given {
        if *peer == asked.site.settings.node || !members.contains(&NodeId(*peer)) {
            return Err(Problem::new(Kind::NoSuchTarget, format!("node {peer} is no peer of this node")));
        }
        if rule.drop_per_mille > 1000 {
            return Err(Problem::malformed("drop_per_mille takes a number from 0 to 1000"));
        }
    }
    let rule = |rule: Rule| LinkRule { cut: rule.cut, drop_per_mille: rule.drop_per_mille, delay_ms: rule.delay_ms };
    let rules = LinkRules(given.into_iter().map(|(peer, given)| (peer, rule(given))).collect());
    match tokio::time::timeout(PATIENCE, asked.site.handle.set_faults(rules.clone())).await {
        Ok(Ok(())) => Ok(json_reply(&json!({ "faults": rules }))),
        Ok(Err(_)) => Err(super::operate::Silence::Stopped.problem(true)),
        Err(_) => Err(super::operate::Silence::Stuck.problem(true)),
    }
}
