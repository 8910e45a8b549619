//! Repair of leaderless tables: how it stands at this node, and the beginning of it.

use super::node::{PATIENCE, json_reply};
use super::operate::{call, misfit};
use super::problem::Problem;
use super::routes::Asked;
use crate::front::repair_json;
use axum::body::Body;
use axum::http::Response;
use quorate_core::operation::{RepairStatus, Reply, Request};

type Answer = Result<Response<Body>, Problem>;

/// What was done, what goes on, and what is owed.
pub async fn status(asked: Asked) -> Answer {
    asked.query(&[])?;
    Ok(json_reply(&repair_json(&picture(&asked, false).await?)))
}

/// Begins to compare all that this node shares with others.
pub async fn run(asked: Asked) -> Answer {
    asked.query(&[])?;
    Ok(json_reply(&repair_json(&picture(&asked, true).await?)))
}

/// How repair stands, once it is begun if that is asked for.
pub async fn picture(asked: &Asked, run: bool) -> Result<RepairStatus, Problem> {
    match call(&asked.site, Request::Repair { run }, PATIENCE).await {
        Ok(Reply::Repair(status)) => Ok(status),
        Ok(
            Reply::Operated { .. } | Reply::Status(_) | Reply::Transferred(_) | Reply::ChangeBegun(_) | Reply::Hot(_),
        ) => Err(misfit()),
        Err(silence) => Err(silence.problem(run)),
    }
}
