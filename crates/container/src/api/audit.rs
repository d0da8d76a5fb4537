//! The audit trail over HTTP.

use axum::Json;
use axum::extract::State;
use chassis::{EntityError, Principal, Problem, ValidQuery};
use contracts::access::Place;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Desks, READ_AUDIT, milliseconds};
use crate::audit::{self, Query, Record, Report, Stretch, VERIFIED_MAX};

/// Records on one page at the most.
const PAGE_MAX: i64 = 1_000;
const PAGE_DEFAULT: i64 = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Params {
    /// Records after this place in the chain: that of the last record of the page before.
    #[serde(default)]
    after: i64,
    /// Records on the page, 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// The id of the event that is recorded.
    event_id: Option<String>,
    /// What the records are about, for example `user-42`.
    entity: Option<String>,
    /// Who did it: `operator`, `employee-42`, or `service-` and a part's name.
    actor: Option<String>,
    /// The type of the events: `audit.data`, `audit.security` or `audit.system`.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// What happened then or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// What happened before then.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// Records of the audit trail, in the order of the chain.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(Params), responses((status = 200, body = Vec<Record>)))]
pub(super) async fn list_audit(
    State(desks): State<Desks>,
    principal: Principal,
    ValidQuery(params): ValidQuery<Params>,
) -> Result<Json<Vec<Record>>, Problem> {
    principal.require_at(READ_AUDIT, Place::default())?;
    let limit = params.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(EntityError::field("limit", format!("must be from 1 to {PAGE_MAX}")).into());
    }
    let query = Query {
        after: params.after,
        limit,
        event_id: params.event_id,
        entity: params.entity,
        actor: params.actor,
        event_type: params.event_type,
        from_ms: milliseconds(params.from),
        to_ms: milliseconds(params.to),
    };
    Ok(Json(audit::list(&desks.db, query).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct VerifyParams {
    /// Records after this place in the chain: `next.after` of the answer before.
    #[serde(default)]
    after: i64,
    /// The hash of the record at that place: `next.previousHash` of the answer before.
    previous_hash: Option<String>,
    /// Records that are checked, 10,000 where it is not said.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<i64>,
}

/// Whether a stretch of the chain is whole. Where the answer has a `next`, another request goes on there; without one
/// the chain's end was reached.
#[utoipa::path(
    get,
    path = "/api/v1/audit/verify",
    tag = "audit",
    params(VerifyParams),
    responses((status = 200, body = Report))
)]
pub(super) async fn verify_audit(
    State(desks): State<Desks>,
    principal: Principal,
    ValidQuery(params): ValidQuery<VerifyParams>,
) -> Result<Json<Report>, Problem> {
    principal.require_at(READ_AUDIT, Place::default())?;
    let limit = params.limit.unwrap_or(VERIFIED_MAX);
    if !(1..=VERIFIED_MAX).contains(&limit) {
        return Err(EntityError::field("limit", format!("must be from 1 to {VERIFIED_MAX}")).into());
    }
    let from = match (params.after, params.previous_hash) {
        (0, None) => Stretch::default(),
        (after, Some(previous_hash)) => Stretch { after, previous_hash },
        (_, None) => return Err(EntityError::field("previousHash", "is needed with after").into()),
    };
    Ok(Json(audit::verify(&desks.db, from, limit).await?))
}
