//! The container over HTTP: the audit trail, the notifications log, and what people want to be told.

mod audit;
mod notifications;
mod preferences;

use std::sync::Arc;

use chassis::Api;
use contracts::access::{Action, Permission, Resource};
use db::Db;
use jiff::Timestamp;
use utoipa_axum::routes;

use crate::notify::Desk;
use crate::routes::Routes;

const READ_AUDIT: Permission = Permission::new(Resource::Audit, Action::Read);

/// What the routes work with.
#[derive(Debug, Clone)]
pub(crate) struct Desks {
    pub(crate) db: Db,
    pub(crate) desk: Arc<Desk>,
    pub(crate) routes: Routes,
}

/// The routes, with who may use them.
pub(crate) fn api() -> Api<Desks> {
    Api::new("container", "What was done by whom, who was told what, and who wants to be told.")
        .permitted(READ_AUDIT, routes!(audit::list_audit))
        .permitted(READ_AUDIT, routes!(audit::verify_audit))
        .operator(routes!(notifications::list_notifications))
        .logged_in(routes!(preferences::get_preferences))
        .logged_in(routes!(preferences::put_preferences))
}

/// A time of the query, in milliseconds.
fn milliseconds(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millisecond)
}
