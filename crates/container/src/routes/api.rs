//! The operator's way to the routes: what runs, and having it start, stop or go back.

mod steps;
mod trace;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::{Api, ErrorCode, Principal, Problem, ValidJson};
use contracts::audit::{Action as Done, AuditData, digest};
use eventkit::{CommitAnyway, Work};
use jiff::Timestamp;
use routes::run::{Route, RouteState};
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::deploy::FileState;
use super::{BUILT_IN, Routes};
use crate::api::Desks;

/// The routes over routes.
pub(crate) fn api() -> Api<Desks> {
    Api::new("container", "For the operator's tools.")
        .operator(routes!(list_routes))
        .operator(routes!(control_route))
        .operator(routes!(list_revisions))
        .operator(routes!(roll_back))
        .operator(routes!(steps::list_steps))
        .operator(routes!(trace::trace_route))
}

/// All files and routes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    files: Vec<ListedFile>,
    routes: Vec<ListedRoute>,
}

/// A file with routes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedFile {
    file: String,
    /// `running`; `refused`, if nothing of it ever ran; `old-running`, if its newest text was refused.
    state: &'static str,
    /// Whether it comes with TechLeet, and not from the folder.
    built_in: bool,
    revision: Option<i64>,
    digest: Option<String>,
    deployed_at: Option<Timestamp>,
    refused_at: Option<Timestamp>,
    /// What is wrong with the text that was refused.
    reasons: Vec<String>,
    /// What has no effect in the text that runs.
    notes: Vec<String>,
}

/// A route.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedRoute {
    id: String,
    file: String,
    revision: Option<i64>,
    from: String,
    /// `started`, `stopped` or `suspended`.
    state: &'static str,
    total: u64,
    failed: u64,
    handled: u64,
    redelivered: u64,
    dead_lettered: u64,
    in_flight: u64,
    unacknowledged: u64,
    /// The time of the exchange that ended last.
    last_us: u64,
    /// The time of an exchange in the mean.
    mean_us: u64,
}

/// What runs, and what was refused.
#[utoipa::path(get, path = "/operator/v1/routes", responses((status = 200, description = "All files and routes")))]
async fn list_routes(State(desks): State<Desks>) -> Result<Json<Listed>, Problem> {
    let routes = &desks.routes;
    let deployment = &routes.0.deployment;
    let files = deployment.files().into_iter().map(|(name, file)| listed(name, file)).collect();
    let mut listed: Vec<_> = deployment.engine().routes().iter().map(|route| about(routes, route)).collect();
    listed.sort_by(|a, b| (&a.file, &a.id).cmp(&(&b.file, &b.id)));
    Ok(Json(Listed { files, routes: listed }))
}

fn about(routes: &Routes, route: &Route) -> ListedRoute {
    let counted = route.stats.snapshot();
    ListedRoute {
        id: route.id().to_string(),
        file: route.plan.file.to_string(),
        revision: routes.0.deployment.origin(route).map(|revision| revision.number),
        from: route.plan.from.to_string(),
        state: route.state().as_str(),
        total: counted.total,
        failed: counted.failed,
        handled: counted.handled,
        redelivered: counted.redelivered,
        dead_lettered: counted.dead_lettered,
        in_flight: counted.in_flight,
        unacknowledged: counted.unacknowledged,
        last_us: micros(counted.last),
        mean_us: micros(counted.mean()),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn listed(file: String, state: FileState) -> ListedFile {
    let FileState { running, refused } = state;
    let word = match (&running, &refused) {
        (_, None) => "running",
        (None, Some(_)) => "refused",
        (Some(_), Some(_)) => "old-running",
    };
    let revision = running.as_ref().and_then(|running| running.revision.as_ref());
    let is_built_in = |text: &str| BUILT_IN.iter().any(|(name, known)| *name == file && *known == text);
    ListedFile {
        state: word,
        built_in: running.as_ref().is_some_and(|running| is_built_in(&running.text)),
        revision: revision.map(|revision| revision.number),
        digest: revision.map(|revision| revision.digest.clone()),
        deployed_at: revision.and_then(|revision| Timestamp::from_millisecond(revision.deployed_at_ms).ok()),
        refused_at: refused.as_ref().and_then(|refused| Timestamp::from_millisecond(refused.at_ms).ok()),
        reasons: refused.map(|refused| refused.reasons).unwrap_or_default(),
        notes: running.map(|running| running.notes).unwrap_or_default(),
        file,
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ControlRequest {
    route: String,
    action: Action,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Start,
    Stop,
    Suspend,
    Resume,
}

impl Action {
    /// As the audit trail calls it.
    fn done(self) -> Done {
        match self {
            Self::Start => Done::Start,
            Self::Stop => Done::Stop,
            Self::Suspend => Done::Suspend,
            Self::Resume => Done::Resume,
        }
    }
}

/// Starts, stops, suspends or resumes a route; it is as its file says again when that changes.
#[utoipa::path(post, path = "/operator/v1/routes/control", responses((status = 200, description = "How the route is then")))]
async fn control_route(
    State(desks): State<Desks>,
    principal: Principal,
    mut work: Work,
    ValidJson(request): ValidJson<ControlRequest>,
) -> Result<Response, Problem> {
    let routes = &desks.routes;
    let engine = routes.0.deployment.engine();
    let ControlRequest { route, action } = request;
    let found = engine.route(&route).map_err(|reason| Problem::new(ErrorCode::Conflict).detail(reason))?;
    let before = found.state();
    let outcome = match action {
        Action::Start => engine.start_route(&route).await,
        Action::Stop => engine.stop_route(&route).await,
        Action::Suspend => engine.suspend_route(&route).await,
        Action::Resume => engine.resume_route(&route).await,
    };
    let after = found.state();
    tracing::info!(route, action = ?action, before = before.as_str(), after = after.as_str(), "route was told by the operator");
    if before != after {
        let state = |state: RouteState| Some(digest(&state.as_str()));
        tell(&mut work, &principal, action.done(), format!("route-{route}"), (state(before), state(after))).await?;
    }
    Ok(match outcome {
        Ok(()) => Json(about(routes, &found)).into_response(),
        Err(reason) => {
            // What was done is on the trail, also if not all of it was.
            let mut response = Problem::new(ErrorCode::Conflict).detail(reason).into_response();
            response.extensions_mut().insert(CommitAnyway);
            response
        }
    })
}

/// Records on the audit trail what somebody did, with the digests of what was before and is now.
async fn tell(
    work: &mut Work,
    principal: &Principal,
    action: Done,
    entity: String,
    (before, after): (Option<String>, Option<String>),
) -> Result<(), Problem> {
    work.publish(&AuditData { actor: principal.actor(), action, entity, before, after }).await?;
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RevisionsRequest {
    file: String,
}

/// A text of a file that ran.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedRevision {
    revision: i64,
    digest: String,
    deployed_at: Option<Timestamp>,
    /// Nothing where the file was taken away.
    text: Option<String>,
}

/// The revisions of a file, the newest first.
#[utoipa::path(post, path = "/operator/v1/routes/revisions", responses((status = 200, description = "Up to 50")))]
async fn list_revisions(
    State(desks): State<Desks>,
    ValidJson(request): ValidJson<RevisionsRequest>,
) -> Result<Json<Vec<ListedRevision>>, Problem> {
    let revisions = desks.routes.0.deployment.revisions().list(&request.file).await?;
    let listed = revisions.into_iter().map(|revision| ListedRevision {
        revision: revision.number,
        digest: revision.digest,
        deployed_at: Timestamp::from_millisecond(revision.deployed_at_ms).ok(),
        text: revision.text,
    });
    Ok(Json(listed.collect()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RollBackRequest {
    file: String,
    revision: i64,
}

/// Puts an earlier text of a file into the folder, where it is deployed like any other.
#[utoipa::path(post, path = "/operator/v1/routes/rollback", responses((status = 200, description = "What became of the file")))]
async fn roll_back(
    State(desks): State<Desks>,
    principal: Principal,
    mut work: Work,
    ValidJson(request): ValidJson<RollBackRequest>,
) -> Result<Json<ListedFile>, Problem> {
    let routes = &desks.routes;
    let RollBackRequest { file, revision } = request;
    let revisions = routes.0.deployment.revisions().list(&file).await?;
    let wanted = revisions.into_iter().find(|known| known.number == revision);
    let wanted = wanted.ok_or_else(|| {
        let detail = format!(
            "there is no revision {revision} of {file}; `techleet routes revisions {file}` shows what there is"
        );
        Problem::new(ErrorCode::NotFound).detail(detail)
    })?;
    let folder = &routes.0.folder;
    let written = match &wanted.text {
        Some(text) => folder.write(&file, text).await,
        None => folder.remove(&file).await,
    };
    written.map_err(|error| {
        let detail = format!("{} cannot be written: {error}", folder.path().join(&file).display());
        Problem::new(ErrorCode::Unavailable).detail(detail)
    })?;
    let before = routes.0.deployment.running(&file).map(|text| super::revisions::digest(&text));
    // Others may be being written.
    routes.look(&mut super::folder::Only(&file)).await;
    tracing::info!(file, revision, "route file was taken back by the operator");
    let after = wanted.text.is_some().then_some(wanted.digest);
    tell(&mut work, &principal, Done::RollBack, format!("route-file-{file}"), (before, after)).await?;
    let state = routes.0.deployment.files().remove(&file).unwrap_or_default();
    Ok(Json(listed(file, state)))
}
