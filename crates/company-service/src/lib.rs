//! The company-service: companies, headquarters, departments and positions over HTTP on port 3002, and the events of
//! companies and departments on `company-events`.
//!
//! # Map
//! - `domain`: what there is and which requests make sense; `store`: the tables; `service`: what can be done, with its
//!   events.
//! - `api`: HTTP; `events`: what is consumed; `error`: what is refused and how that is answered.
//!
//! # Invariants
//! - A change, its event and its audit record are committed together or not at all.
//! - A company that has headquarters has exactly one main one; the database checks it too.
//! - Head counts are counted over rows that say where each employee is now; nothing is ever added to or taken from one.
//! - Grants for a headquarters or a department reach headquarters and departments alone. What belongs to no place
//!   (companies, types, positions) is read with a grant for any scope, and written with one for all.
//! - Budgets are in no event, and in few answers.

mod api;
mod domain;
mod error;
mod events;
mod service;
mod store;

use std::net::SocketAddr;

use chassis::Running;
use chassis::part::{Process, StartError};
use db::Migration;
use serde::Deserialize;

pub use api::router;
pub use error::Error;
pub use events::handlers;

/// The service's name in events, logs and folders, and its consumer group.
pub const NAME: &str = contracts::services::COMPANY_SERVICE;

/// The service's tables.
pub const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "companies", sql: include_str!("../migrations/1_companies.sql") }];

/// The section `company_service`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the service answers HTTP.
    pub listen: String,
}

/// Starts the service; answers where it listens.
///
/// # Errors
/// The configuration is wrong, the port is taken, or the database cannot be opened.
pub async fn start(process: &Process) -> Result<(SocketAddr, Running), StartError> {
    let config: Config = process.settings().section("company_service")?;
    let part = process.part(NAME);
    let listener = part.bind("company_service.listen", &config.listen).await?;
    let backbone = part.backbone(MIGRATIONS).await?;
    let consumer = backbone.start_consumer(handlers(backbone.consumer(NAME)));
    let router = router(backbone.db().clone());
    part.serve(listener, router, process.authenticator(), backbone, vec![consumer]).await
}
