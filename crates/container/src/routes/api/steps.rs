//! The steps of routes, with what each has done.

use axum::Json;
use axum::extract::State;
use chassis::{ErrorCode, Problem, ValidJson};
use jiff::Timestamp;
use routes::run::{Route, StepInfo};
use serde::{Deserialize, Serialize};

use super::{ListedRoute, about, micros};
use crate::api::Desks;
use crate::routes::Routes;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StepsRequest {
    /// One route alone.
    route: Option<String>,
}

/// A route with its steps.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DetailedRoute {
    #[serde(flatten)]
    route: ListedRoute,
    group: Option<String>,
    /// When the revision was deployed.
    deployed_at: Option<Timestamp>,
    auto_startup: bool,
    /// Where its dead letter channel sends.
    dead_letters_to: Option<String>,
    /// In the order of the file, those of error handling last.
    steps: Vec<ListedStep>,
}

/// A step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedStep {
    /// Its id, or its kind and its line.
    step: String,
    kind: &'static str,
    file: String,
    line: usize,
    /// In how many steps it stands.
    depth: usize,
    sends_to: Vec<String>,
    total: u64,
    failed: u64,
    redelivered: u64,
    dead_lettered: u64,
    in_flight: u64,
    last_us: u64,
    mean_us: u64,
}

/// The steps of all routes, or of one.
#[utoipa::path(post, path = "/operator/v1/routes/steps", responses((status = 200, description = "Routes with their steps")))]
pub(super) async fn list_steps(
    State(desks): State<Desks>,
    ValidJson(request): ValidJson<StepsRequest>,
) -> Result<Json<Vec<DetailedRoute>>, Problem> {
    let engine = desks.routes.0.deployment.engine();
    let found = match request.route {
        None => engine.routes(),
        Some(id) => vec![engine.route(&id).map_err(|reason| Problem::new(ErrorCode::NotFound).detail(reason))?],
    };
    let mut detailed: Vec<_> = found.iter().map(|route| detail(&desks.routes, route)).collect();
    detailed.sort_by(|a, b| (&a.route.file, &a.route.id).cmp(&(&b.route.file, &b.route.id)));
    Ok(Json(detailed))
}

fn detail(routes: &Routes, route: &Route) -> DetailedRoute {
    let plan = &route.plan;
    let deployed = routes.0.deployment.origin(route);
    let dead_letter = plan.errors.as_ref().and_then(|errors| errors.dead_letter.as_ref());
    DetailedRoute {
        route: about(routes, route),
        group: (!plan.group.is_empty()).then(|| plan.group.to_string()),
        deployed_at: deployed.and_then(|revision| Timestamp::from_millisecond(revision.deployed_at_ms).ok()),
        auto_startup: plan.auto_startup,
        dead_letters_to: dead_letter.map(|target| target.name.to_string()),
        steps: plan.steps.iter().map(|step| listed(step)).collect(),
    }
}

fn listed(step: &StepInfo) -> ListedStep {
    let counted = step.stats.snapshot();
    ListedStep {
        step: step.name.to_string(),
        kind: step.kind,
        file: step.file.to_string(),
        line: step.line,
        depth: step.depth,
        sends_to: step.sends_to.iter().map(ToString::to_string).collect(),
        total: counted.total,
        failed: counted.failed,
        redelivered: counted.redelivered,
        dead_lettered: counted.dead_lettered,
        in_flight: counted.in_flight,
        last_us: micros(counted.last),
        mean_us: micros(counted.mean()),
    }
}
