//! The container's operator API: the audit trail.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chassis::{ErrorCode, Problem, ValidQuery};
use db::Db;
use serde::Deserialize;

use crate::audit::{self, Record, Report};
use crate::error::Error;

/// Records on one page at the most.
const PAGE_MAX: i64 = 1_000;
const PAGE_DEFAULT: i64 = 100;

/// The routes; all are the operator's.
pub(crate) fn router(db: Db) -> Router {
    Router::new()
        .route("/api/v1/audit", get(list_audit))
        .route("/api/v1/audit/verify", get(verify_audit))
        .with_state(db)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Page {
    #[serde(default)]
    after: i64,
    limit: Option<i64>,
}

async fn list_audit(State(db): State<Db>, ValidQuery(page): ValidQuery<Page>) -> Result<Json<Vec<Record>>, Problem> {
    let limit = page.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let problem = Problem::new(ErrorCode::ValidationFailed);
        return Err(problem.field("limit", format!("must be from 1 to {PAGE_MAX}")));
    }
    audit::list(&db, page.after, limit).await.map(Json).map_err(Problem::from)
}

async fn verify_audit(State(db): State<Db>) -> Result<Json<Report>, Error> {
    audit::verify(&db).await.map(Json)
}
