//! Projections over the operator's door: where they stand, and their rebuilds, a step a request. Whoever asks brings the
//! events, page by page, from the doors of the services that told them; so no service needs a way into another.

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use eventkit::outbox::StoredEvent;
use eventkit::projection::{self, Ending, Feeder, Finished, Projection, Rebuild, Status, StorePage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use super::Door;
use crate::api::Api;
use crate::error_code::ErrorCode;
use crate::extract::ValidJson;
use crate::problem::Problem;

/// The largest page of a store that is taken: an event may be as large as the broker takes.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Types that are asked for at a time.
const EVENT_TYPES_MAX: usize = 100;

/// A projection of this part, and who feeds it.
#[derive(Debug, Clone)]
pub(crate) struct Fed {
    pub(crate) projection: Projection,
    pub(crate) feeder: Feeder,
}

/// The routes over a part's projections, and the one that reads its store.
pub(super) fn routes() -> Api<Door> {
    let (schemas, paths, applying) = routes!(apply);
    Api::new("projections", "For the operator's tools.")
        .operator(routes!(read))
        .operator(routes!(list))
        .operator(routes!(begin))
        .operator((schemas, paths, applying.layer(DefaultBodyLimit::max(PAGE_BYTES_MAX))))
        .operator(routes!(finish))
        .operator(routes!(cancel))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadRequest {
    after_position: i64,
    up_to: Option<i64>,
    event_types: Vec<String>,
    limit: u32,
}

/// The next events of this part's store.
#[utoipa::path(
    post, path = "/operator/v1/events/read", request_body = Value,
    responses((status = 200, description = "Up to 500")),
)]
async fn read(
    State(door): State<Door>,
    ValidJson(request): ValidJson<ReadRequest>,
) -> Result<Json<StorePage>, Problem> {
    let ReadRequest { after_position, up_to, event_types, limit } = request;
    if event_types.len() > EVENT_TYPES_MAX {
        let detail = format!("at most {EVENT_TYPES_MAX} types are asked for at a time");
        return Err(Problem::new(ErrorCode::InvalidRequest).detail(detail));
    }
    Ok(Json(projection::read_store(door.publisher.db(), after_position, up_to, &event_types, limit).await?))
}

/// Where this part's projections stand.
#[utoipa::path(get, path = "/operator/v1/projections", responses((status = 200, description = "All of them")))]
async fn list(State(door): State<Door>) -> Result<Json<Vec<Status>>, Problem> {
    let (db, now_ms) = (door.publisher.db(), door.publisher.clock().now_ms());
    let mut all = Vec::with_capacity(door.projections.len());
    for fed in door.projections.iter() {
        all.push(projection::status(db, &fed.projection, Some(&fed.feeder), now_ms).await?);
    }
    Ok(Json(all))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BeginRequest {
    projection: String,
    take_over: bool,
}

/// A rebuild that was begun.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    rebuild_id: String,
}

/// Begins a rebuild of a projection beside the running one.
#[utoipa::path(
    post, path = "/operator/v1/projections/begin", request_body = Value,
    responses((status = 200, description = "Its id")),
)]
async fn begin(State(door): State<Door>, ValidJson(request): ValidJson<BeginRequest>) -> Result<Json<Begun>, Problem> {
    let Fed { projection, feeder } = door.projection(&request.projection)?;
    let (db, now_ms) = (door.publisher.db(), door.publisher.clock().now_ms());
    let feeder = Some(feeder.clone());
    let begun = match request.take_over {
        true => Rebuild::take_over(db, projection, feeder, now_ms).await,
        false => Rebuild::begin(db, projection, feeder, now_ms).await,
    };
    let rebuild = begun.map_err(refused)?;
    tracing::info!(part = door.part, projection = projection.name(), rebuild = rebuild.id(), "rebuild begun");
    Ok(Json(Begun { rebuild_id: rebuild.id().to_owned() }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplyRequest {
    projection: String,
    rebuild_id: String,
    service: String,
    events: Vec<StoredEvent>,
}

/// How far a rebuild is.
#[derive(Debug, Serialize)]
struct Applied {
    events: i64,
}

/// Applies the next events of a service's store to a rebuild.
#[utoipa::path(
    post, path = "/operator/v1/projections/apply", request_body = Value,
    responses((status = 200, description = "How many so far")),
)]
async fn apply(
    State(door): State<Door>,
    ValidJson(request): ValidJson<ApplyRequest>,
) -> Result<Json<Applied>, Problem> {
    let rebuild = door.rebuild(&request.projection, &request.rebuild_id)?;
    let (db, now_ms) = (door.publisher.db(), door.publisher.clock().now_ms());
    let events = rebuild.apply(db, &request.service, &request.events, now_ms).await.map_err(refused)?;
    Ok(Json(Applied { events }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FinishRequest {
    projection: String,
    rebuild_id: String,
    ending: Ending,
}

/// Ends a rebuild whose stores were read to their ends; nothing is answered when it must be asked once more.
#[utoipa::path(
    post, path = "/operator/v1/projections/finish", request_body = Value,
    responses((status = 200, description = "What changed")),
)]
async fn finish(
    State(door): State<Door>,
    ValidJson(request): ValidJson<FinishRequest>,
) -> Result<Json<Option<Finished>>, Problem> {
    let FinishRequest { projection, rebuild_id, ending } = request;
    let rebuild = door.rebuild(&projection, &rebuild_id)?;
    let (db, now_ms) = (door.publisher.db(), door.publisher.clock().now_ms());
    let finished = rebuild.finish(db, ending, now_ms).await.map_err(refused)?;
    if let (Some(finished), Ending::Swap) = (&finished, ending) {
        tracing::warn!(part = door.part, projection, rebuild_id, events = finished.events, "projection swapped in");
    }
    Ok(Json(finished))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CancelRequest {
    projection: String,
    rebuild_id: String,
}

/// Whether there was something to give up.
#[derive(Debug, Serialize)]
struct Cancelled {
    cancelled: bool,
}

/// Gives a rebuild up; the running projection is as it was.
#[utoipa::path(
    post, path = "/operator/v1/projections/cancel", request_body = Value,
    responses((status = 200, description = "Whether it ran")),
)]
async fn cancel(
    State(door): State<Door>,
    ValidJson(request): ValidJson<CancelRequest>,
) -> Result<Json<Cancelled>, Problem> {
    let rebuild = door.rebuild(&request.projection, &request.rebuild_id)?;
    let cancelled = rebuild.cancel(door.publisher.db()).await?;
    Ok(Json(Cancelled { cancelled }))
}

impl Door {
    fn projection(&self, name: &str) -> Result<&Fed, Problem> {
        self.projections.iter().find(|fed| fed.projection.name() == name).ok_or_else(|| {
            let detail = format!("{} has no such projection; `techleet events projections` lists them", self.part);
            Problem::new(ErrorCode::NotFound).detail(detail)
        })
    }

    fn rebuild(&self, projection: &str, id: &str) -> Result<Rebuild, Problem> {
        let Fed { projection, feeder } = self.projection(projection)?;
        Ok(Rebuild::resume(projection, Some(feeder.clone()), id))
    }
}

/// What stops a rebuild is told to the operator: it names events by their ids alone.
fn refused(error: eventkit::Error) -> Problem {
    let time = |ms| Timestamp::from_millisecond(ms).map_or_else(|_| "?".to_owned(), |time| time.to_string());
    let detail = match &error {
        eventkit::Error::RebuildRuns { since_ms, until_ms, .. } => format!(
            "{error} since {}; wait until it is done; if nobody is at work on it any more, it counts as given up at {}, \
             and --take-over ends it at once",
            time(*since_ms),
            time(*until_ms)
        ),
        eventkit::Error::Projection { transient: false, source, .. } => {
            format!("{error}: {}", eventkit::chain(&**source))
        }
        eventkit::Error::RebuildOver { .. } | eventkit::Error::Config { .. } => error.to_string(),
        eventkit::Error::Database(db::Error::UnitTimedOut | db::Error::StatementTimedOut { .. }) => {
            let detail =
                "a step took longer than database.unit_timeout_ms or database.statement_timeout_ms; raise them";
            return Problem::new(ErrorCode::Timeout).detail(detail).source(error);
        }
        _ => return error.into(),
    };
    Problem::new(ErrorCode::Conflict).detail(detail).source(error)
}
