//! The door through which an operator's tools reach a running part's events: what it knows of one, telling stored ones
//! again, what is parked and held, its projections. For the operator alone, by the same guard as every other route.

mod projections;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json, Router};
use eventkit::relay::held::{self, HeldEvent};
use eventkit::replay::{self, BATCH_MAX, Preview, Replayed, Selection, Target};
use eventkit::trace::{self, Asked, Known};
use eventkit::transport::Transport;
use eventkit::{EventPublisher, parking};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::OpenApi;
use utoipa_axum::routes;

use crate::api::Api;
use crate::error_code::ErrorCode;
use crate::extract::ValidJson;
use crate::part::Consumers;
use crate::problem::Problem;

pub(crate) use projections::Fed;

/// Events of a preview that are shown.
const SAMPLE_MAX: u32 = 5;

/// What the routes work with.
#[derive(Clone)]
pub(crate) struct Door {
    /// The part's name, which is its relay's too.
    pub(crate) part: &'static str,
    pub(crate) publisher: EventPublisher,
    pub(crate) transport: Arc<dyn Transport>,
    /// The part's consumers.
    pub(crate) consumers: Consumers,
    pub(crate) projections: Arc<[Fed]>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("part", &self.part).finish_non_exhaustive()
    }
}

/// The routes over a part's events, and the description of them.
pub(crate) fn router(door: Door) -> Router {
    let api = Api::new(door.part, "For the operator's tools.")
        .operator(routes!(describe))
        .operator(routes!(known))
        .operator(routes!(preview))
        .operator(routes!(replay_some))
        .operator(routes!(list_parked))
        .operator(routes!(release_parked))
        .operator(routes!(skip_parked))
        .operator(routes!(list_held))
        .operator(routes!(skip_held))
        .merge(projections::routes());
    let description = Description(Arc::new(api.openapi().clone()));
    api.into_routes(door).layer(Extension(description))
}

/// What this API says of itself.
#[derive(Clone)]
struct Description(Arc<OpenApi>);

/// This description.
#[utoipa::path(get, path = "/operator/v1/openapi.json", responses((status = 200, description = "OpenAPI 3.1")))]
async fn describe(Extension(description): Extension<Description>) -> Json<OpenApi> {
    Json(OpenApi::clone(&description.0))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KnownRequest {
    events: Vec<Asked>,
}

/// What this part knows of some events.
#[utoipa::path(
    post, path = "/operator/v1/events/known", request_body = Value,
    responses((status = 200, description = "One for each")),
)]
async fn known(
    State(door): State<Door>,
    ValidJson(request): ValidJson<KnownRequest>,
) -> Result<Json<Vec<Known>>, Problem> {
    if request.events.len() > trace::EVENTS_MAX {
        let detail = format!("at most {} events are asked for at a time", trace::EVENTS_MAX);
        return Err(Problem::new(ErrorCode::InvalidRequest).detail(detail));
    }
    let groups = door.consumers.groups();
    let mut known = Vec::with_capacity(request.events.len());
    for asked in &request.events {
        known.push(trace::known(door.publisher.db(), door.part, &groups, asked).await?);
    }
    Ok(Json(known))
}

/// What a replay would tell again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Previewed {
    #[serde(flatten)]
    preview: Preview,
    /// The first of them.
    sample: Vec<SampleEvent>,
    /// The last of them, where it is not in the sample.
    last: Option<SampleEvent>,
}

/// An event of a preview.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleEvent {
    position: i64,
    event_id: String,
    event_type: String,
    topic: String,
    key: String,
    occurred_at: Option<Timestamp>,
}

/// What a selection of stored events holds.
#[utoipa::path(
    post, path = "/operator/v1/events/preview", request_body = Value,
    responses((status = 200, description = "Counts and some")),
)]
async fn preview(
    State(door): State<Door>,
    ValidJson(selection): ValidJson<Selection>,
) -> Result<Json<Previewed>, Problem> {
    let db = door.publisher.db();
    let preview = replay::preview(db, &selection).await?;
    let end = preview.last_position.unwrap_or(0);
    let sample = replay::read(db, &selection, end, SAMPLE_MAX).await?;
    let is_shown = sample.last().is_none_or(|event| event.position == end);
    let last = match is_shown {
        true => None,
        false => replay::read(db, &Selection { after_position: end - 1, ..selection }, end, 1).await?.pop(),
    };
    let sample = sample.into_iter().map(SampleEvent::from).collect();
    Ok(Json(Previewed { preview, sample, last: last.map(SampleEvent::from) }))
}

impl From<eventkit::outbox::StoredEvent> for SampleEvent {
    fn from(event: eventkit::outbox::StoredEvent) -> Self {
        Self {
            position: event.position,
            event_id: event.event_id,
            event_type: event.event_type,
            topic: event.topic,
            key: event.key,
            occurred_at: Timestamp::from_millisecond(event.occurred_at_ms).ok(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplayRequest {
    selection: Selection,
    target: Target,
    up_to: i64,
    limit: u32,
}

/// Publishes the first events of a selection again; whoever asks sets the pace and asks for the next.
#[utoipa::path(
    post, path = "/operator/v1/events/replay", request_body = Value,
    responses((status = 200, description = "How far it came")),
)]
async fn replay_some(
    State(door): State<Door>,
    ValidJson(request): ValidJson<ReplayRequest>,
) -> Result<Json<Replayed>, Problem> {
    if request.target.topic.is_none() && request.target.group.is_none() {
        let detail = "a replay goes to another topic or to one group: to everybody, inboxes would pass it over";
        return Err(Problem::new(ErrorCode::InvalidRequest).detail(detail));
    }
    let ReplayRequest { selection, target, up_to, limit } = request;
    let limit = limit.min(BATCH_MAX);
    let replayed = replay::replay_batch(&door.publisher, &*door.transport, &selection, &target, up_to, limit).await?;
    tracing::info!(part = door.part, events = replayed.events, position = replayed.position, "events told again");
    Ok(Json(replayed))
}

/// A key that waits for its dead letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Parked {
    group: String,
    topic: String,
    key: String,
    blocker: String,
    resolved: bool,
    events: i64,
    since: Option<Timestamp>,
}

/// The keys that wait for a dead letter, the oldest first.
#[utoipa::path(get, path = "/operator/v1/parked", responses((status = 200, description = "Up to 1,000")))]
async fn list_parked(State(door): State<Door>) -> Result<Json<Vec<Parked>>, Problem> {
    let keys = parking::list(door.publisher.db()).await?;
    let shown = keys.into_iter().map(|parked| Parked {
        group: parked.group,
        topic: parked.topic,
        key: String::from_utf8_lossy(&parked.key).into_owned(),
        blocker: parked.blocker,
        resolved: parked.resolved,
        events: parked.events,
        since: Timestamp::from_millisecond(parked.since_ms).ok(),
    });
    Ok(Json(shown.collect()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ParkedKeyRequest {
    group: String,
    topic: String,
    key: String,
}

/// How many events something concerned.
#[derive(Debug, Serialize)]
struct Concerned {
    events: u64,
}

/// Gives a key's dead letter up; what is parked behind it is handled in order, at once.
#[utoipa::path(
    post, path = "/operator/v1/parked/release", request_body = Value,
    responses((status = 200, description = "How many follow")),
)]
async fn release_parked(
    State(door): State<Door>,
    ValidJson(request): ValidJson<ParkedKeyRequest>,
) -> Result<Json<Concerned>, Problem> {
    let ParkedKeyRequest { group, topic, key } = &request;
    let db = door.publisher.db();
    let listed = parking::list(db).await?;
    let is_it =
        |parked: &&parking::ParkedKey| parked.group == *group && parked.topic == *topic && parked.key == key.as_bytes();
    let events = listed.iter().find(is_it).map_or(0, |parked| parked.events);
    if !parking::release(db, group, topic, key.as_bytes()).await? {
        return Err(not_parked());
    }
    match parking::nudge(db, group, topic, key.as_bytes()).await? {
        Some(record) => door.transport.publish(vec![record]).await?,
        // Nothing waits: the key is free at once.
        None => drop(parking::skip(db, group, topic, key.as_bytes()).await?),
    }
    tracing::warn!(part = door.part, group, topic, "a parked key was released without its dead letter");
    Ok(Json(Concerned { events: u64::try_from(events).unwrap_or(0) }))
}

/// Gives a key's dead letter up and everything parked behind it.
#[utoipa::path(
    post, path = "/operator/v1/parked/skip", request_body = Value,
    responses((status = 200, description = "How many are lost")),
)]
async fn skip_parked(
    State(door): State<Door>,
    ValidJson(request): ValidJson<ParkedKeyRequest>,
) -> Result<Json<Concerned>, Problem> {
    let ParkedKeyRequest { group, topic, key } = &request;
    let skipped = parking::skip(door.publisher.db(), group, topic, key.as_bytes()).await?;
    let events = skipped.ok_or_else(not_parked)?;
    tracing::warn!(part = door.part, group, topic, events, "a parked key was skipped: its events are not handled");
    Ok(Json(Concerned { events }))
}

fn not_parked() -> Problem {
    Problem::new(ErrorCode::NotFound).detail("no such key is parked in this group")
}

/// The events that the broker refuses, and those that wait behind them.
#[utoipa::path(get, path = "/operator/v1/held", responses((status = 200, description = "Up to 1,000")))]
async fn list_held(State(door): State<Door>) -> Result<Json<Vec<HeldEvent>>, Problem> {
    Ok(Json(held::list(door.publisher.db(), door.part).await?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HeldRequest {
    position: i64,
}

/// Gives a held event up; the later ones of its key follow when the relay next tries.
#[utoipa::path(
    post, path = "/operator/v1/held/skip", request_body = Value,
    responses((status = 200, description = "How many are skipped")),
)]
async fn skip_held(
    State(door): State<Door>,
    ValidJson(request): ValidJson<HeldRequest>,
) -> Result<Json<Concerned>, Problem> {
    if !held::skip(door.publisher.db(), door.part, request.position).await? {
        return Err(Problem::new(ErrorCode::NotFound).detail("no event is held at this position"));
    }
    tracing::warn!(part = door.part, position = request.position, "a held event was skipped: it is not published");
    Ok(Json(Concerned { events: 1 }))
}
