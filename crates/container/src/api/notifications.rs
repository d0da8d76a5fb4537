//! The notifications log over HTTP.

use axum::Json;
use axum::extract::State;
use chassis::listing::{Filter, Listing, Page, SortKey};
use chassis::{Problem, ValidQuery};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Desks, milliseconds};
use crate::notify::{Logged, Outcome};

const SORT_KEYS: &[SortKey] = &[("triedAt", "tried_at")];
/// The newest first, unless it is asked for otherwise.
const SORT_DEFAULT: &str = "-triedAt";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Params {
    /// Notifications on the page, 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// `triedAt`, or `-triedAt` for the newest first.
    sort: Option<String>,
    /// The id of the event that asked for it.
    event_id: Option<String>,
    /// `employee` or `candidate`.
    recipient_type: Option<String>,
    /// The recipient's number.
    recipient_id: Option<i64>,
    /// `email`, `sms` or `push`.
    channel: Option<String>,
    /// The template's name.
    template: Option<String>,
    /// What became of them.
    outcome: Option<Outcome>,
    /// What was tried last then or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// What was tried last before then.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// What was sent, skipped or failed, without addresses and texts.
#[utoipa::path(
    get, path = "/api/v1/notifications", tag = "notifications", params(Params),
    responses((status = 200, body = Page<Logged>))
)]
pub(super) async fn list_notifications(
    State(desks): State<Desks>,
    ValidQuery(params): ValidQuery<Params>,
) -> Result<Json<Page<Logged>>, Problem> {
    let sort = params.sort.as_deref().unwrap_or(SORT_DEFAULT);
    let listing = Listing::read(params.limit, params.cursor.as_deref(), Some(sort), SORT_KEYS)?;
    let filter = Filter::default()
        .equals("event_id", params.event_id)
        .equals("recipient_type", params.recipient_type)
        .equals("recipient_id", params.recipient_id)
        .equals("channel", params.channel)
        .equals("template", params.template)
        .equals("outcome", params.outcome.map(Outcome::as_str))
        .at_least("tried_at", milliseconds(params.from))
        .below("tried_at", milliseconds(params.to));
    Ok(Json(desks.desk.log.page(&listing, filter).await?))
}
